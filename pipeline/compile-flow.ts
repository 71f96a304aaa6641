/**
 * Compile a flow for the fast path: what the walks have just decided for one packet, where it holds for every packet
 * with the same key from the same sender. Not compiled are ICMP, fragments, what a site's maps change, what is bridged or for the gateway, and
 * senders that speak for addresses behind them: who they are is told by their MAC, packet by packet.
 */
import { MOST_METERS } from './acl/meter-cache.js';
import { Tracks } from './acl/tracked.js';
import { seconds, type Context } from './context.js';
import { Fragment, Rewrite, Walk, type Packet } from './packet.js';
import { PeerKind, RecordKind, Via } from './policy.js';
import { F_LANE, F_SEEN, Kind, LANE_MASK, LANE_METERED, LANE_TRACKED, OP_FAST, Op, flowKey } from './tables/flows.js';

/** Where a flow without a session may come from; its answers come from one of them, too. */
const PLAIN_KINDS = [Kind.fromHost, Kind.fromSite, Kind.fromUplink];

/** `p` was forwarded and has been through all its walks, the last of which was `walk`. */
export function compileFlow(p: Packet, c: Context, walk: number): void {
  if (p.family !== 4 || !p.hasPorts || p.fragment !== Fragment.none || p.quoteAt >= 0 || (p.rewrites & Rewrite.maps) !== 0) return;
  if ((p.tracks & Tracks.closely) !== 0 || p.meters > MOST_METERS) return;
  const { policy, nat } = c;
  const kind = policy.peers.kind[p.peer];
  if (kind === PeerKind.host && !isOwnAddress(p, c)) return;
  const marks = (p.tracks === 0 ? 0 : LANE_TRACKED) | (p.meters === 0 ? 0 : LANE_METERED);
  switch (walk) {
    case Walk.toNat: {
      const lane = p.sourceRecord + 1 | marks;
      nat.compile(p.session, policy.generation, lane);
      return note(p, c, p.session, flowKey(p.tenant, p.protocol, Kind.fromHost), p.src3, p.dst3, p.sport, p.dport, lane, p.natAddress, p.natPort);
    }
    case Walk.uplinkNat: {
      const record = nat.findInbound(p.protocol, p.natAddress, p.natPort, p.src3, p.sport), lane = p.record + 1 | marks;
      if (record < 0) return;
      nat.compile(record, policy.generation, lane);
      return note(p, c, record, flowKey(0, p.protocol, Kind.natIn), p.src3, p.natAddress, p.sport, p.natPort, lane, p.dst3, p.dport);
    }
    case Walk.toSubnet:
      if (kind === PeerKind.host) return keep(p, c, Kind.fromHost, p.record + 1 | marks, p.sourceRecord + 1, Op.toSubnet);
      return keep(p, c, kind === PeerKind.site ? Kind.fromSite : Kind.fromUplink, p.record + 1 | marks, p.peer + 1, Op.toSubnet);
    case Walk.toTunnel:
      return keep(p, c, Kind.fromHost, p.sourceRecord + 1 | marks, p.toPeer + 1, policy.routes.via[p.route] === Via.site ? Op.toSite : Op.toForward);
  }
}

/** The source has a record, and it is the one that proved it. */
function isOwnAddress(p: Packet, { policy: { records } }: Context): boolean {
  return records.kind[p.sourceRecord] === RecordKind.static && records.ca[p.sourceRecord * 4 + 3] === p.src3;
}

/** Put a flow without a session into the table, in place of what an earlier policy made of it. */
function keep(p: Packet, c: Context, kind: number, lane: number, to: number, op: number): void {
  const { flows } = c.nat;
  const generation = c.policy.generation << 24;
  const key = flowKey(p.tenant, p.protocol, kind), src = p.src3 | 0, dst = p.dst3 | 0, ports = p.sport << 16 | p.dport;
  const known = flows.find(key, src, dst, ports, p.flowHash);
  if (known >= 0) {
    if (c.nat.isOpen(known)) return; // a session's record is its own affair: the reaper will see to it
    if (((flows.words[known + F_LANE] ^ (generation | lane)) & ~LANE_MASK) === 0) {
      flows.words[known + F_SEEN] = seconds(p); // its connection has been told: the rest of this second goes by itself
      return note(p, c, known, key, src, dst, p.sport, p.dport, lane, to, 0);
    }
    flows.removePlain(known);
  }
  const isAdded = flows.addPlain(key, src, dst, ports, p.flowHash, generation | lane, to, OP_FAST | op, seconds(p));
  if (isAdded && p.meters > 0) note(p, c, flows.find(key, src, dst, ports, p.flowHash), key, src, dst, p.sport, p.dport, lane, to, 0);
}

/** For this worker, which rules measure the flow that is compiled in the record at `flow`. Another that meets it finds out by itself. */
function note(p: Packet, c: Context, flow: number, key: number, src: number, dst: number, sport: number, dport: number, lane: number, to: number, port: number): void {
  if (p.meters > 0) c.meters.note(flow, key, src, dst, sport << 16 | dport, c.policy.generation << 24 | lane, to, port, p.meters);
}

/** Both directions of the packet's flow take the walks again, until they are compiled anew. */
export function forgetFlow(p: Packet, { nat, policy }: Context): void {
  if (p.family !== 4 || !p.hasPorts) return;
  if (p.session >= 0) {
    const back = nat.inboundOf(p.session);
    nat.compile(p.session, policy.generation, 0);
    if (back >= 0) nat.compile(back, policy.generation, 0);
    return;
  }
  const { flows } = nat;
  const src = p.src3 | 0, dst = p.dst3 | 0;
  for (const kind of PLAIN_KINDS) {
    const out = flows.findPlain(kind, p.tenant, p.protocol, src, dst, p.sport << 16 | p.dport), home = flows.findPlain(kind, p.tenant, p.protocol, dst, src, p.dport << 16 | p.sport);
    if (out >= 0 && !nat.isOpen(out)) flows.removePlain(out);
    if (home >= 0 && !nat.isOpen(home)) flows.removePlain(home);
  }
}

/** As `forgetFlow`, for a NAT session whose directions were compiled while it had a connection. */
export function forgetTracked(p: Packet, c: Context): void {
  const { nat } = c, back = nat.inboundOf(p.session), { words } = nat.flows;
  const isTracked = (words[p.session + F_LANE] & LANE_TRACKED) !== 0 || (back >= 0 && (words[back + F_LANE] & LANE_TRACKED) !== 0);
  if (isTracked) forgetFlow(p, c);
}
