/**
 * A packet's way in words: what each stage saw, decided, and by which line of the config.
 *
 * Stages are told apart by identity and not by `Function.name`, which bundlers change.
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { ipv4Dst, ipv4Src, ipv4TotalLen, ipv4Ttl } from '../../codecs/ipv4.js';
import { IPV6_LEN, ipv6HopLimit, ipv6PayloadLen } from '../../codecs/ipv6.js';
import { findMss } from '../../codecs/tcp.js';
import { macHigh, macLow } from '../../codecs/bytes.js';
import { ETHERNET_DST, ETHERNET_SRC } from '../../codecs/ethernet.js';
import { Tracks } from '../acl/tracked.js';
import { V4_MAPPED } from '../address.js';
import { Fate, type Context, type Stage } from '../context.js';
import { rewriteTexts } from './describe.js';
import { Fragment, Rewrite, type Packet } from '../packet.js';
import { Encap, PeerKind, RecordKind } from '../policy.js';
import { Reason } from '../reasons.js';
import { aclIn, aclOut } from '../stages/acl.js';
import { admit } from '../stages/admit.js';
import { claimSite, claimUplink } from '../stages/claim.js';
import { decapGre, decapOverlay } from '../stages/decap.js';
import { encapBridged, encapFrame, encapGre } from '../stages/encap.js';
import { fit } from '../stages/fit.js';
import { fragments } from '../stages/fragments.js';
import { frame } from '../stages/frame.js';
import { guard } from '../stages/guard.js';
import { hairpin, turn } from '../stages/hairpin.js';
import { inner } from '../stages/inner.js';
import { local } from '../stages/local.js';
import { natIn, natOut, natTrack } from '../stages/nat.js';
import { arp, neighbor } from '../stages/neighbor.js';
import { police } from '../stages/police.js';
import { netmapIn, netmapOut } from '../stages/netmap.js';
import { rewrite } from '../stages/rewrite.js';
import { route, routeInside } from '../stages/route.js';
import { track } from '../stages/track.js';
import { ttl } from '../stages/ttl.js';
import { addressText, endpointText, flowText, ipv4Text, lineText, macText, peerText, recordText, routeText, ruleText, subnetText, tenantText } from './words.js';

/** One stage of a trace. `config` is the file:line that decided, '' where none did. */
export interface TraceStep { readonly stage: string; readonly text: string; readonly config: string }

/** What a stage has to say, and the line of the config that made it so; null for nothing worth a line. */
type Told = { readonly text: string; readonly line?: number } | null;
type Telling = (p: Packet, c: Context, verdict: number) => Told;


const TELLINGS: ReadonlyMap<Stage, readonly [stage: string, tell: Telling]> = new Map<Stage, readonly [string, Telling]>([
  [decapOverlay, ['decap', tellOverlay]],
  [decapGre, ['decap', tellGre]],
  [admit, ['admit', tellAdmit]],
  [frame, ['frame', tellFrame]],
  [arp, ['arp', tellArp]],
  [inner, ['inner', tellInner]],
  [guard, ['guard', tellGuard]],
  [neighbor, ['neighbor', tellNeighbor]],
  [fragments, ['fragments', tellFragments]],
  [claimUplink, ['claim', tellUplink]],
  [claimSite, ['claim', tellSite]],
  [netmapIn, ['maps', tellMapIn]],
  [netmapOut, ['maps', tellMapOut]],
  [police, ['limits', tellPolice]],
  [aclOut, ['acl', (p, c, verdict) => tellAcl(p, c, 1, verdict)]],
  [aclIn, ['acl', (p, c, verdict) => (p.family === 0 ? null : tellAcl(p, c, 0, verdict))]],
  [route, ['route', tellRoute]],
  [routeInside, ['route', tellRoute]],
  [local, ['local', tellLocal]],
  [ttl, ['ttl', tellTtl]],
  [hairpin, ['hairpin', (p, _c, verdict) => ({ text: verdict === 0 ? "to the tenant's own pool: out and in again" : `nothing inside for ${end(p, p.dst3, p.dport)}` })]],
  [turn, ['hairpin', p => ({ text: p.quoteAt >= 0 ? `comes in from ${ipv4Text(p.src3)}` : `comes in from ${end(p, p.src3, p.sport)}` })]],
  [natOut, ['nat', tellNatOut]],
  [natIn, ['nat', tellNatIn]],
  [natTrack, ['session', tellTrack]],
  [track, ['connection', tellConnection]],
  [fit, ['fit', tellFit]],
  [rewrite, ['rewrite', tellRewrite]],
  [encapFrame, ['encap', tellEncapHost]],
  [encapBridged, ['encap', tellEncapHost]],
  [encapGre, ['encap', tellEncapGre]],
]);

/** Stages that end in `deliver`. */
const DELIVERING: ReadonlySet<Stage> = new Set([route, routeInside, natIn]);

/** What `stage` did to `p`: a step, two where it also chose the record to deliver to, none where it had nothing to say. */
export function tellStep(stage: Stage, p: Packet, verdict: number, c: Context): TraceStep[] {
  const telling = TELLINGS.get(stage);
  if (telling === undefined) return [{ stage: stage.name, text: verdict > 0 ? 'dropped here' : 'passed', config: '' }];
  const [name, tell] = telling;
  const step = (word: string, { text, line }: NonNullable<Told>): TraceStep => ({ stage: word, text, config: line === undefined ? '' : lineText(c.policy, line) });
  const told = tell(p, c, verdict);
  const steps = told !== null ? [step(name, told)] : verdict > 0 ? [step(name, { text: 'dropped here' })] : [];
  if (DELIVERING.has(stage) && p.route >= 0) {
    const delivered = tellDelivery(p, c, verdict);
    if (delivered !== null) steps.push(step('record', delivered));
  }
  return steps;
}

/** The stages this module has words for; a test holds it to the walks. */
export function toldStages(): ReadonlySet<Stage> {
  return new Set(TELLINGS.keys());
}

function tellOverlay(p: Packet, c: Context, verdict: number): Told {
  const isVxlan = c.policy.peers.encap[p.peer] === Encap.vxlan;
  if (verdict !== 0) return { text: `${peerText(c.policy, p.peer)} is configured for ${isVxlan ? 'VXLAN' : 'NVGRE'}; this header is not one`, line: c.policy.peers.line[p.peer] };
  return { text: isVxlan ? `VXLAN, VNI ${p.vsid}` : `NVGRE, VSID ${p.vsid}` };
}

function tellGre(p: Packet, c: Context, verdict: number): Told {
  if (verdict !== 0) return { text: `not a GRE packet that ${peerText(c.policy, p.peer)} may send`, line: c.policy.peers.line[p.peer] };
  const key = p.key < 0 ? 'GRE without a key' : `GRE, key ${p.key}`;
  if (c.policy.peers.kind[p.peer] !== PeerKind.site) return { text: key };
  return { text: `${key}: ${peerText(c.policy, p.peer)} of tenant ${tenantText(c.policy, p.tenant)}`, line: c.policy.peers.line[p.peer] };
}

function tellPolice(p: Packet, c: Context, verdict: number): Told {
  if (c.policy.quotas.hasRates[p.tenant] === 0) return null;
  return { text: verdict === 0 ? "within the tenant's packets and bytes a second" : `tenant ${tenantText(c.policy, p.tenant)} has had its packets or bytes of this second`, line: c.policy.tenants.line[p.tenant] };
}

function tellAdmit(p: Packet, c: Context, verdict: number): Told {
  if (p.subnet < 0) return { text: `VSID ${p.vsid} belongs to no tenant` };
  const { subnets } = c.policy;
  const whose = `${subnetText(c.policy, p.subnet)} of tenant ${tenantText(c.policy, subnets.tenant[p.subnet])}`;
  return { text: `${whose}: ${peerText(c.policy, p.peer)} may ${verdict === 0 ? '' : 'not '}speak for it`, line: subnets.line[p.subnet] };
}

function tellFrame(p: Packet, c: Context, verdict: number): Told {
  if (verdict !== 0) return null;
  const dst = macText(macHigh(p.mem, p.frameAt + ETHERNET_DST), macLow(p.mem, p.frameAt + ETHERNET_DST));
  const toGateway = dst === macText(c.policy.macHigh, c.policy.macLow) ? ' (the gateway)' : '';
  return { text: `${macText(macHigh(p.mem, p.frameAt + ETHERNET_SRC), macLow(p.mem, p.frameAt + ETHERNET_SRC))} -> ${dst}${toGateway}` };
}

function tellArp(p: Packet, c: Context, verdict: number): Told {
  if (p.sourceRecord < 0) return null;
  const source = `sender is ${recordText(c.policy, p.sourceRecord)}`;
  const line = c.policy.records.line[p.sourceRecord];
  if (verdict === Fate.consumed) return { text: `${source}; answered with a record of another host or of the gateway`, line };
  return { text: source, line };
}

function tellInner(p: Packet, _c: Context, verdict: number): Told {
  if (verdict !== 0) return null;
  const { mem, l3 } = p;
  const [left, len] = p.family === 4 ? [`TTL ${ipv4Ttl(mem, l3)}`, ipv4TotalLen(mem, l3)] : [`hop limit ${ipv6HopLimit(mem, l3)}`, IPV6_LEN + ipv6PayloadLen(mem, l3)];
  return { text: `${flowText(p)}, ${left}, ${len} bytes` };
}

function tellGuard(p: Packet, c: Context, verdict: number): Told {
  const { policy } = c;
  if (verdict === 0) return { text: `source is ${recordText(policy, p.sourceRecord)}`, line: policy.records.line[p.sourceRecord] };
  const address = addressText(p.src0, p.src1, p.src2, p.src3);
  const record = policy.findRecord(p.claimed, p.src0, p.src1, p.src2, p.src3);
  if (record < 0) return { text: `no record of tenant ${tenantText(policy, p.claimed)} has ${address}` };
  const { kind, peer, line } = policy.records;
  if (kind[record] === RecordKind.gateway) return { text: `${address} is the gateway's own`, line: line[record] };
  return { text: `${address} is at ${peerText(policy, peer[record])}, not at ${peerText(policy, p.peer)}`, line: line[record] };
}

function tellNeighbor(p: Packet, c: Context, verdict: number): Told {
  if (verdict === Fate.consumed) return { text: 'neighbor discovery, for the gateway to answer' };
  return verdict === 0 && p.record >= 0 ? { text: `neighbor discovery, passed on to ${recordText(c.policy, p.record)}`, line: c.policy.records.line[p.record] } : null;
}

function tellFragments(p: Packet, _c: Context, verdict: number): Told {
  if (p.fragment === Fragment.none) return null;
  if (verdict === Fate.held) return { text: `fragment at ${p.fragmentOffset} of datagram ${p.fragmentId}: its first has not come yet` };
  if (p.fragment === Fragment.first) return { text: `first fragment of datagram ${p.fragmentId}: its ports count for all` };
  return verdict === 0 ? { text: `fragment at ${p.fragmentOffset} of datagram ${p.fragmentId}: ports known from its first` } : null;
}

function tellUplink(p: Packet, c: Context, verdict: number): Told {
  const { policy } = c;
  const { tenants } = policy;
  const owner = p.family === 4 ? policy.findPoolOwner(p.dst3) : -1;
  if (p.tenant === 0) {
    return owner > 0
      ? { text: `${ipv4Text(p.dst3)} is in tenant ${tenantText(policy, owner)}'s NAT pool, which is reached another way`, line: tenants.natLine[owner] }
      : { text: p.key < 0 ? 'no key, and the destination is in no NAT pool' : `nobody has key ${p.key} at ${peerText(policy, p.peer)}` };
  }
  const whose = `tenant ${tenantText(policy, p.tenant)}`;
  if (verdict !== 0) return { text: `${whose}'s, but its source ${addressText(p.src0, p.src1, p.src2, p.src3)} lies in a subnet of the tenant` };
  if (owner === p.tenant) return { text: `${ipv4Text(p.dst3)} is in ${whose}'s NAT pool`, line: tenants.natLine[p.tenant] };
  return { text: `${p.key < 0 ? 'packets without a key' : `key ${p.key}`}: ${whose}'s forwarding`, line: tenants.forwardLine[p.tenant] };
}

function tellSite(p: Packet, c: Context, verdict: number): Told {
  const source = addressText(p.src0, p.src1, p.src2, p.src3);
  return { text: `source ${source} ${verdict === 0 ? 'is' : 'is not'} one of ${peerText(c.policy, p.peer)}'s`, line: c.policy.peers.line[p.peer] };
}

function tellMapIn(p: Packet, c: Context, verdict: number): Told {
  return tellMaps(p, c, verdict, p.peer);
}

function tellMapOut(p: Packet, c: Context, verdict: number): Told {
  return tellMaps(p, c, verdict, p.toPeer);
}

/** The bytes are as they came: before is what they say, after is what was decided. */
function tellMaps(p: Packet, { policy }: Context, verdict: number, site: number): Told {
  if (p.family !== 4 || !policy.netmaps.has(site)) return null;
  const line = policy.peers.line[site];
  const src = ipv4Src(p.mem, p.l3), dst = ipv4Dst(p.mem, p.l3);
  if (verdict === Reason.netmap_hidden) return { text: `${ipv4Text(src)} -> ${ipv4Text(dst)}: ${peerText(policy, site)}'s maps give one of them another name`, line };
  if (verdict !== 0) return null;
  const changed = [[src, p.mapSource], [dst, p.mapDestination]].filter(([was, is]) => was !== is).map(([was, is]) => `${ipv4Text(was)} is ${ipv4Text(is)} on the other side`);
  return changed.length === 0 ? null : { text: changed.join(', '), line };
}

function tellAcl(p: Packet, c: Context, outbound: number, verdict: number): Told {
  const said = tellDecision(p, c, outbound, verdict), measured = measuredBy(p, c, outbound);
  if (measured.length === 0) return said;
  const by = `measured by ${measured.join(', ')}`;
  return said === null ? { text: `${outbound === 1 ? 'outbound' : 'inbound'}: ${by}` } : { ...said, text: `${said.text}; ${by}` };
}

/** Names of rules that measured the packet on this side, as far as it is known which. */
function measuredBy(p: Packet, c: Context, outbound: number): string[] {
  const { rules } = c.policy;
  const entries = [...c.meters.found.subarray(0, p.meters)].map(tally => rules.tally.indexOf(tally));
  return entries.filter(entry => rules.outbound[entry] === outbound).map(entry => rules.names[entry]);
}

function tellDecision(p: Packet, c: Context, outbound: number, verdict: number): Told {
  const { rules, tenants } = c.policy;
  const matched = p.rule >= 0 && rules.outbound[p.rule] === outbound;
  if (verdict > 0 && verdict !== Reason.acl_denied && p.rule >= 0) return { text: `${ruleText(c.policy, p.rule)}, stateful: no place in a connection for this packet`, line: rules.line[p.rule] };
  const side = outbound === 1 ? c.trackedOut : c.trackedIn;
  if ((p.tracks & (outbound === 1 ? Tracks.out : Tracks.in)) !== 0 && side.rule < 0) {
    return p.rule < 0 ? { text: 'belongs to a connection' } : { text: `belongs to a connection by: ${ruleText(c.policy, p.rule)}`, line: rules.line[p.rule] };
  }
  if (matched) return { text: ruleText(c.policy, p.rule), line: rules.line[p.rule] };
  if (tenants.ruleEnd[p.tenant] === tenants.ruleFirst[p.tenant]) return null;
  return { text: `${outbound === 1 ? 'outbound' : 'inbound'}: no entry matches, which allows` };
}

function tellRoute(p: Packet, c: Context, verdict: number): Told {
  const { policy } = c;
  const { records, routes } = policy;
  if (p.route >= 0) return { text: routeText(policy, p.route, p), line: routes.line[p.route] };
  if (verdict === Reason.mac_unknown) return { text: "addressed to a MAC that is neither the gateway's nor a record's" };
  if (verdict === Reason.no_route) return { text: `tenant ${tenantText(policy, p.tenant)} has no route to ${addressText(p.dst0, p.dst1, p.dst2, p.dst3)}` };
  if (p.record < 0) return null;
  if (records.kind[p.record] === RecordKind.gateway) return { text: recordText(policy, p.record), line: records.line[p.record] };
  return { text: `bridged to ${macText(records.macHigh[p.record], records.macLow[p.record])} at ${peerText(policy, records.peer[p.record])}`, line: records.line[p.record] };
}

/** The record at the end of a route into the tenant's own subnets. */
function tellDelivery(p: Packet, { policy }: Context, verdict: number): Told {
  if (p.record >= 0) return { text: recordText(policy, p.record).replace(/^record /, ''), line: policy.records.line[p.record] };
  return verdict === Reason.no_record ? { text: `no record has ${addressText(p.dst0, p.dst1, p.dst2, p.dst3)}` } : null;
}

function tellLocal(p: Packet, c: Context, verdict: number): Told {
  if (verdict > 0) return { text: 'for the gateway itself, which has no such service' };
  return { text: 'for the gateway itself', line: c.policy.records.line[p.record] };
}

function tellTtl(p: Packet, _c: Context, verdict: number): Told {
  const left = p.family === 4 ? ipv4Ttl(p.mem, p.l3) : ipv6HopLimit(p.mem, p.l3);
  const word = p.family === 4 ? 'TTL' : 'hop limit';
  return { text: verdict === 0 ? `${word} ${left} -> ${left - 1}` : `${word} ${left} ends here` };
}

function tellNatOut(p: Packet, c: Context, verdict: number): Told {
  const { policy, nat } = c;
  const line = policy.tenants.natLine[p.tenant];
  if (verdict !== 0) return { text: `no way out through tenant ${tenantText(policy, p.tenant)}'s NAT`, line };
  if (p.quoteAt >= 0) return { text: `error about a session; ${rewriteTexts(p)[0]}`, line };
  const mapping = policy.mapped.findOutside(p.tenant, p.protocol, p.natAddress, p.natPort);
  const text = `${end(p, p.src3, p.sport)} is ${end(p, p.natAddress, p.natPort)} outside`;
  if (mapping >= 0 && nat.isStatic(nat.bindingOf(p.session))) return { text: `${text}, by a static mapping`, line: policy.mappings.line[mapping] };
  return { text, line };
}

function tellNatIn(p: Packet, c: Context, verdict: number): Told {
  const { policy } = c;
  if ((p.rewrites & Rewrite.natIn) === 0) return verdict > 0 ? { text: `nothing inside for ${end(p, p.dst3, p.dport)}`, line: policy.tenants.natLine[p.tenant] } : null;
  if (p.quoteAt >= 0) return { text: `error about a session; ${rewriteTexts(p)[0]}`, line: policy.tenants.natLine[p.tenant] };
  const mapping = policy.mapped.findOutside(p.tenant, p.protocol, p.natAddress, p.natPort);
  const text = `${end(p, p.natAddress, p.natPort)} is ${end(p, p.dst3, p.dport)} inside`;
  if (mapping >= 0) return { text: `${text}, by a static mapping`, line: policy.mappings.line[mapping] };
  return { text: `${text}, by a binding`, line: policy.tenants.natLine[p.tenant] };
}

/** Silent where it finds or opens a session, as it nearly always does. */
function tellTrack(p: Packet, c: Context, verdict: number): Told {
  return verdict === 0 ? null : { text: 'no session, and this packet can open none', line: c.policy.tenants.natLine[p.tenant] };
}

/** Which connections the packet has opened, or moved on; by their entries, which the ACL has told. */
function tellConnection(p: Packet, c: Context, verdict: number): Told {
  if (p.tracks === 0) return null;
  if (verdict !== 0) return { text: 'no place for it in its connection' };
  const sides = [[Tracks.out, c.trackedOut, 'sender'], [Tracks.in, c.trackedIn, 'receiver']] as const;
  return { text: sides.filter(([bit]) => (p.tracks & bit) !== 0).map(([, { rule }, whose]) => `${rule >= 0 ? 'opened' : 'goes on'} for the ${whose}`).join(', ') };
}

function end(p: Packet, address: number, port: number): string {
  return p.icmpType >= 0 ? `${ipv4Text(address)} id ${port}` : endpointText(0, 0, V4_MAPPED, address, port);
}

function tellFit(p: Packet, c: Context, verdict: number): Told {
  if (p.family === 0) return null;
  const { policy } = c;
  const mtu = policy.innerMtu(p.toPeer, p.toKey >= 0);
  const line = policy.peers.line[p.toPeer];
  const size = `${p.end - p.l3} bytes, and ${mtu} fit towards ${peerText(policy, p.toPeer)}`;
  if (verdict !== 0) return { text: `${size}: too big, and must not be cut`, line };
  if (p.mtu > 0) return { text: `${size}: cut up`, line };
  if ((p.rewrites & Rewrite.mss) === 0 || p.protocol !== IpProtocol.tcp) return { text: size, line };
  const mss = findMss(p.mem, p.l4);
  return { text: `${size}; ${mss < 0 ? 'no MSS option' : mss > p.mss ? `MSS ${mss} -> ${p.mss}` : `MSS ${mss} stays`}`, line };
}

function tellRewrite(p: Packet): Told {
  const texts = rewriteTexts(p).filter(text => !text.startsWith('cut ') && !text.startsWith('MSS '));
  return texts.length === 0 ? null : { text: texts.join('; ') };
}

function tellEncapHost(_p: Packet, { exit, policy }: Context): Told {
  const { peers } = policy;
  const header = peers.encap[exit.peer] === Encap.vxlan ? `VXLAN, VNI ${exit.vsid}` : `NVGRE, VSID ${exit.vsid}`;
  return { text: `${header}, ${macText(exit.srcHigh, exit.srcLow)} -> ${macText(exit.dstHigh, exit.dstLow)}, to ${peerText(policy, exit.peer)}`, line: peers.line[exit.peer] };
}

function tellEncapGre(_p: Packet, { exit, policy }: Context): Told {
  return { text: `${exit.key < 0 ? 'GRE without a key' : `GRE, key ${exit.key}`}, to ${peerText(policy, exit.peer)}`, line: policy.peers.line[exit.peer] };
}
