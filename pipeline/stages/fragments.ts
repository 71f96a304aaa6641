/**
 * fragments: give a later fragment the ports of its first, so that all fragments of a datagram go the same way.
 *   needs   tenant, addresses, fragment
 *   leaves  protocol, ports and ICMP type of later fragments; `releases` when this one sets others free
 *   drops   fragment_overlap, fragment_bounds, fragment_gaps, fragment_table, fragment_hold; holds what came before its first
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { IPV6_LEN } from '../../codecs/ipv6.js';
import { Fate, seconds, type Context } from '../context.js';
import { Fragment, Walk, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';
import { Fit } from '../tables/fragments.js';

/** What a length field of 16 bits can say. */
const MAX_DATAGRAM = 0xffff;

/**
 * Datagrams of different tenants and directions never meet: tenant, family, protocol and kind of sender. Fragments of one
 * IPv6 datagram may name different protocols, the first of its extension headers or the transport (RFC 8200 §4.5).
 */
function scopeOf(p: Packet, c: Context): number {
  const protocol = p.family === 4 ? p.protocol : 0;
  return (p.tenant << 11 | protocol << 3 | c.policy.peers.kind[p.peer] << 1 | (p.family === 6 ? 1 : 0)) >>> 0;
}

/** The tenant in a scope. */
export function tenantOfScope(scope: number): number {
  return scope >>> 11;
}

export function fragments(p: Packet, c: Context): number {
  if (p.fragment === Fragment.none) return Fate.next;
  c.fragments.locks.lock(0);
  const verdict = place(p, c);
  c.fragments.locks.unlock();
  return verdict;
}

function place(p: Packet, c: Context): number {
  const table = c.fragments;
  const { timers } = c.policy;
  const now = seconds(p);
  const scope = scopeOf(p, c);
  const holder = p.tenant << 1 | (p.frameAt < 0 ? 1 : 0); // what outsiders send counts apart from the tenant's own
  let entry = table.find(scope, p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, p.fragmentId);

  if (p.fragmentLen === 0) return Reason.fragment_bounds; // a piece of nothing
  if (p.fragment === Fragment.first) {
    if (entry < 0 && isUnbound(p, c)) return Fate.next; // natIn is about to drop it: nothing to remember
    // A second first fragment overlaps the first one; but once a datagram is complete, another may have its number.
    if (entry >= 0 && table.isKnown(entry) && !table.isComplete(entry)) {
      p.releases = entry; // should a worker have died before what waited was let go
      return Reason.fragment_overlap;
    }
    if (entry < 0) entry = table.add(scope, holder, p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, p.fragmentId, now + timers.fragment);
    if (entry < 0) return Reason.fragment_table;
    const ports = p.hasPorts ? p.sport << 16 | p.dport : p.sport << 16 | p.icmpType & 0xffff;
    table.know(entry, p.protocol, ports >>> 0, p.fragmentLen, MAX_DATAGRAM - unfragmented(p), now + timers.fragment);
    p.releases = p.datagram = entry;
    return Fate.next;
  }

  if (entry >= 0 && table.isKnown(entry)) {
    const fit = table.note(entry, p.fragmentOffset, p.fragmentLen, !p.moreFragments, now + timers.fragmentHold);
    if (fit !== Fit.fits) return fit === Fit.overlap ? Reason.fragment_overlap : fit === Fit.beyond ? Reason.fragment_bounds : Reason.fragment_gaps;
    p.protocol = table.protocol(entry);
    borrowPorts(p, table.ports(entry));
    p.datagram = entry;
    return Fate.next;
  }
  if (p.resumed) return Reason.fragment_orphan; // its first was dropped before it could be known
  if (!table.canHold(holder, p.end - p.at)) return Reason.fragment_hold; // before it costs anybody an entry
  if (entry < 0) {
    entry = table.add(scope, holder, p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, p.fragmentId, now + timers.fragmentHold);
    if (entry < 0) return Reason.fragment_table;
  }
  table.hold(entry, holder, p.mem, p.at, p.end, p.tag, p.carrier, p.side, p.peer, c.policy.generation);
  return Fate.held;
}

/** Bytes that every fragment has of its own and its datagram once, as the length field counts: all before what is cut. */
function unfragmented(p: Packet): number {
  return p.end - p.fragmentLen - p.l3 - (p.family === 4 ? 0 : IPV6_LEN);
}

/** From the Internet to an address and port of the pool that lead to nobody. */
function isUnbound(p: Packet, c: Context): boolean {
  if (p.next !== Walk.uplinkNat || (p.protocol !== IpProtocol.tcp && p.protocol !== IpProtocol.udp)) return false;
  return c.nat.findOutside(p.protocol, p.dst3, p.dport) < 0 && c.policy.mapped.findOutside(p.tenant, p.protocol, p.dst3, p.dport) < 0;
}

function borrowPorts(p: Packet, ports: number): void {
  p.sport = ports >>> 16;
  p.dport = ports & 0xffff;
  if (p.protocol === IpProtocol.tcp || p.protocol === IpProtocol.udp) {
    p.hasPorts = true;
  } else if (p.protocol === IpProtocol.icmp || p.protocol === IpProtocol.icmpv6) {
    p.icmpType = p.dport;
    p.dport = p.sport;
  }
}
