/**
 * Packets the gateway makes itself, towards whoever sent the one in hand: replies, and ICMP errors about drops.
 *
 * An error speaks from the gateway's CA in the sender's subnet (or, outside, from the address that was asked for),
 * never from a PA; it quotes the packet as it came; and it is silent wherever RFC 1122 §3.2.2, RFC 1812 §4.3.2.7 and
 * RFC 4443 §2.4 want silence, or when the tenant has had its share.
 */
import { copyBytes, macHigh, macLow, putU32 } from '../codecs/bytes.js';
import { ETHERNET_SRC, EtherType } from '../codecs/ethernet.js';
import { ICMP_LEN, IcmpType, fillIcmpChecksum, isIcmpError, writeIcmpHeader } from '../codecs/icmp.js';
import { ICMPV6_LEN, Icmpv6Type, fillIcmpv6Checksum, isIcmpv6Error, writeIcmpv6Header } from '../codecs/icmpv6.js';
import { IpProtocol } from '../codecs/ip-protocol.js';
import { IPV4_MIN_LEN, ipv4Dst, ipv4Src, writeIpv4 } from '../codecs/ipv4.js';
import { IPV6_DST, IPV6_LEN, IPV6_SRC, isIpv6Multicast, isIpv6Unspecified, writeIpv6 } from '../codecs/ipv6.js';
import { HEADROOM, type Context } from './context.js';
import { Cell } from './ledger.js';
import { Fragment, type Packet } from './packet.js';
import { NONE, PeerKind, RecordKind } from './policy.js';
import { Reason } from './reasons.js';
import { MapWay } from './tables/netmaps.js';
import { transmit } from './transmit.js';

/** TTL and hop limit of what the gateway sends of its own. */
export const OWN_TTL = 64;
/** Longest error: RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c). */
const IPV4_ERROR_MAX = 576;
const IPV6_ERROR_MAX = 1280;

/** Type and code for each family. */
interface IcmpKind { readonly v4: readonly [number, number]; readonly v6: readonly [number, number] }
/** RFC 6888 §4 REQ-11: what is spent is host unreachable. */
const SPENT: IcmpKind = { v4: [IcmpType.unreachable, 1], v6: [Icmpv6Type.unreachable, 0] };
/** RFC 5508 §4 REQ-8: what the policy does not want is administratively prohibited. */
const PROHIBITED: IcmpKind = { v4: [IcmpType.unreachable, 13], v6: [Icmpv6Type.unreachable, 1] };

/**
 * The error that each reason is worth; reasons not here are silent, as `rate_limited` is: a packet
 * was lost, its flow not refused.
 */
const ERRORS: ReadonlyMap<number, IcmpKind> = new Map<number, IcmpKind>([
  [Reason.ttl_expired,        { v4: [IcmpType.timeExceeded, 0], v6: [Icmpv6Type.timeExceeded, 0] }],
  [Reason.too_big,            { v4: [IcmpType.unreachable, 4],  v6: [Icmpv6Type.packetTooBig, 0] }],
  [Reason.link_local,         { v4: [IcmpType.unreachable, 0],  v6: [Icmpv6Type.unreachable, 2] }], // code 2: beyond scope of source address
  [Reason.no_route,           { v4: [IcmpType.unreachable, 0],  v6: [Icmpv6Type.unreachable, 0] }],
  [Reason.no_record,          { v4: [IcmpType.unreachable, 1],  v6: [Icmpv6Type.unreachable, 3] }],
  [Reason.nat_ipv6,           { v4: [IcmpType.unreachable, 0],  v6: [Icmpv6Type.unreachable, 0] }],
  [Reason.nat_protocol,       { v4: [IcmpType.unreachable, 2],  v6: [Icmpv6Type.unreachable, 0] }],
  [Reason.acl_connections_spent, SPENT], [Reason.acl_tenant_connections, PROHIBITED],
  [Reason.nat_ports_spent, SPENT], [Reason.nat_bindings_spent, SPENT], [Reason.nat_sessions_spent, SPENT],
  [Reason.nat_subscribers_spent, SPENT], [Reason.nat_blocks_spent, SPENT],
  [Reason.nat_tenant_sessions, PROHIBITED], [Reason.nat_tenant_bindings, PROHIBITED], [Reason.nat_tenant_new_flows, PROHIBITED],
  [Reason.nat_address_sessions, PROHIBITED], [Reason.nat_address_bindings, PROHIBITED], [Reason.nat_address_new_flows, PROHIBITED], [Reason.nat_address_blocks, PROHIBITED],
  [Reason.gateway_no_service, { v4: [IcmpType.unreachable, 3],  v6: [Icmpv6Type.unreachable, 4] }],
]);
/** For a packet to the gateway of a protocol without ports: protocol unreachable; unrecognized next header (RFC 4443 §3.4). */
const NO_PROTOCOL: IcmpKind = { v4: [IcmpType.unreachable, 2], v6: [Icmpv6Type.parameterProblem, 1] };
const NEXT_HEADER_AT = 6;

/** Send `mem[l3..end)` through `c.exit` as a packet of the gateway's own. */
export function originate(p: Packet, c: Context, mem: Uint8Array, start: number, l3: number, end: number, etherType: number, mtu = 0): void {
  const datagrams = transmit(c, c.exit, p.tenant, mem, start, l3, end, etherType, mtu, p.flowHash);
  c.ledger.add(p.tenant, Cell.originated, datagrams);
}

/** Point `c.exit` back the way the packet came; a host that routes by itself gets it under the VSID of its own record. */
export function toSender(p: Packet, c: Context): void {
  const { policy, exit } = c;
  const { records, subnets, peers } = policy;
  exit.peer = p.peer;
  exit.key = p.key;
  if (peers.kind[p.peer] !== PeerKind.host) return;
  const known = p.sourceRecord >= 0 && records.kind[p.sourceRecord] === RecordKind.static;
  exit.vsid = known ? subnets.vsid[records.subnet[p.sourceRecord]] : p.vsid;
  exit.dstHigh = known ? records.macHigh[p.sourceRecord] : macHigh(p.mem, p.frameAt + ETHERNET_SRC);
  exit.dstLow = known ? records.macLow[p.sourceRecord] : macLow(p.mem, p.frameAt + ETHERNET_SRC);
  exit.srcHigh = policy.macHigh;
  exit.srcLow = policy.macLow;
}

/** Answer a dropped packet with the ICMP error its reason is worth, if any and if one may be sent. */
export function answerDrop(p: Packet, c: Context, reason: number): void {
  const error = ERRORS.get(reason);
  if (error === undefined || p.tenant === 0 || !mayAnswer(p)) return;
  const { icmpPerSecond, icmpBurst } = c.policy.data.gateway;
  const kind = reason === Reason.gateway_no_service && !p.hasPorts ? NO_PROTOCOL : error;
  if (kind === PROHIBITED && p.frameAt < 0) return; // what a tenant may is nobody's business outside
  if (p.family === 4) {
    const from = sourceFor4(p, c);
    if (from < 0 || !c.icmpLimit.take(p.tenant, icmpPerSecond, icmpBurst, p.now)) return;
    error4(p, c, kind.v4[0], kind.v4[1], from);
  } else {
    const from = gatewayRecord(p, c);
    if (from < 0 || !c.icmpLimit.take(p.tenant, icmpPerSecond, icmpBurst, p.now)) return;
    error6(p, c, kind.v6[0], kind.v6[1], from);
  }
}

function mayAnswer(p: Packet): boolean {
  if (p.family === 0 || p.fragment === Fragment.later) return false;
  if (p.family === 4) return !isIcmpError(p.icmpType);
  if (p.icmpType >= 0 && isIcmpv6Error(p.icmpType)) return false;
  return !isIpv6Multicast(p.mem, p.l3 + IPV6_DST) && !isIpv6Unspecified(p.mem, p.l3 + IPV6_SRC);
}

/** The gateway's CA nearest to the packet: of the source's subnet from inside, of the destination's from outside; -1 for none. */
function gatewayRecord(p: Packet, c: Context): number {
  const { policy } = c;
  const { subnets, records, tenants } = policy;
  const subnet = p.frameAt < 0 ? policy.connected.find(p.tenant, p.dst0, p.dst1, p.dst2, p.dst3)
    : p.sourceRecord >= 0 ? records.subnet[p.sourceRecord] : p.subnet;
  const near = subnet < 0 ? NONE : p.family === 4 ? subnets.gateway4[subnet] : subnets.gateway6[subnet];
  const some = p.family === 4 ? tenants.gateway4[p.tenant] : tenants.gateway6[p.tenant];
  const record = near !== NONE ? near : some;
  return record === NONE ? -1 : record;
}

/** The IPv4 address an error comes from: what was asked for when it is a pool address, else the gateway's CA; -1 for none. */
function sourceFor4(p: Packet, c: Context): number {
  const asked = ipv4Dst(p.mem, p.l3);
  if (p.frameAt < 0 && c.policy.peers.kind[p.peer] === PeerKind.uplink && c.policy.findPoolOwner(asked) === p.tenant) return asked;
  const record = gatewayRecord(p, c);
  if (record < 0) return -1;
  const ca = c.policy.records.ca[record * 4 + 3];
  return p.frameAt < 0 ? c.policy.netmaps.translate(p.peer, MapWay.tenantShown, ca) : ca; // a site knows it by what it is shown
}

function error4(p: Packet, c: Context, type: number, code: number, from: number): void {
  const { scratch } = c;
  const icmpAt = HEADROOM + IPV4_MIN_LEN;
  const quoted = Math.min(p.end - p.l3, IPV4_ERROR_MAX - IPV4_MIN_LEN - ICMP_LEN);
  const end = icmpAt + ICMP_LEN + quoted;
  const fragNeeded = type === IcmpType.unreachable && code === 4;
  writeIcmpHeader(scratch, icmpAt, type, code, fragNeeded ? p.mtu : 0);
  copyBytes(scratch, icmpAt + ICMP_LEN, p.mem, p.l3, quoted);
  fillIcmpChecksum(scratch, icmpAt, end);
  writeIpv4(scratch, HEADROOM, end - HEADROOM, 0, false, OWN_TTL, IpProtocol.icmp, from, ipv4Src(p.mem, p.l3));
  toSender(p, c);
  originate(p, c, scratch, 0, HEADROOM, end, EtherType.ipv4);
}

function error6(p: Packet, c: Context, type: number, code: number, fromRecord: number): void {
  const { scratch } = c;
  const icmpAt = HEADROOM + IPV6_LEN;
  const quoted = Math.min(p.end - p.l3, IPV6_ERROR_MAX - IPV6_LEN - ICMPV6_LEN);
  const end = icmpAt + ICMPV6_LEN + quoted;
  const rest = type === Icmpv6Type.packetTooBig ? p.mtu : type === Icmpv6Type.parameterProblem ? NEXT_HEADER_AT : 0;
  writeIpv6(scratch, HEADROOM, end - icmpAt, IpProtocol.icmpv6, OWN_TTL, p.mem, p.l3 + IPV6_SRC, p.mem, p.l3 + IPV6_SRC);
  const { ca } = c.policy.records;
  for (let word = 0; word < 4; word++) putU32(scratch, HEADROOM + IPV6_SRC + word * 4, ca[fromRecord * 4 + word]);
  writeIcmpv6Header(scratch, icmpAt, type, code, rest);
  copyBytes(scratch, icmpAt + ICMPV6_LEN, p.mem, p.l3, quoted);
  fillIcmpv6Checksum(scratch, icmpAt, end, HEADROOM);
  toSender(p, c);
  originate(p, c, scratch, 0, HEADROOM, end, EtherType.ipv6);
}
