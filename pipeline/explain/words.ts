/** Numbers of the pipeline as people write them: addresses, flows, and the names of what the policy numbers. */
import { IcmpType } from '../../codecs/icmp.js';
import { Icmpv6Type } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { V4_BITS, isMapped } from '../address.js';
import { Fragment, type Packet } from '../packet.js';
import { Action, NONE, PeerKind, RecordKind, Via, type Policy } from '../policy.js';
import { maskWord } from '../tables/lpm.js';


export function ipv4Text(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`;
}

/** Four words: IPv4 when v4-mapped, else IPv6 as RFC 5952 §4 wants it. */
export function addressText(a: number, b: number, c: number, d: number): string {
  if (isMapped(a, b, c)) return ipv4Text(d);
  const groups = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff, c >>> 16, c & 0xffff, d >>> 16, d & 0xffff];
  // The first of the longest runs of zeros shrinks to ::, a lone zero does not (§4.2.2, §4.2.3).
  let from = -1, longest = 1;
  for (let i = 0; i < groups.length; i++) {
    let len = 0;
    while (i + len < groups.length && groups[i + len] === 0) len++;
    if (len > longest) { longest = len; from = i; }
    i += len;
  }
  const hex = groups.map(group => group.toString(16));
  return from < 0 ? hex.join(':') : `${hex.slice(0, from).join(':')}::${hex.slice(from + longest).join(':')}`;
}

/** With the port, where there is one. */
export function endpointText(a: number, b: number, c: number, d: number, port: number): string {
  const address = addressText(a, b, c, d);
  if (port === 0) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** `bits` count on the v4-mapped form. The bits behind the prefix need not be zero. */
export function prefixText(a: number, b: number, c: number, d: number, bits: number): string {
  const [m0, m1, m2, m3] = [a & maskWord(bits, 0), b & maskWord(bits, 1), c & maskWord(bits, 2), d & maskWord(bits, 3)].map(word => word >>> 0);
  const isV4 = bits >= V4_BITS && isMapped(m0, m1, m2);
  return `${addressText(m0, m1, m2, m3)}/${isV4 ? bits - V4_BITS : bits}`;
}

export function macText(high: number, low: number): string {
  const digits = high.toString(16).padStart(4, '0') + low.toString(16).padStart(8, '0');
  return digits.replace(/..(?!$)/g, '$&:');
}

export function protocolText(protocol: number): string {
  switch (protocol) {
    case IpProtocol.tcp: return 'TCP';
    case IpProtocol.udp: return 'UDP';
    case IpProtocol.icmp: return 'ICMP';
    case IpProtocol.icmpv6: return 'ICMPv6';
    case IpProtocol.gre: return 'GRE';
    case IpProtocol.esp: return 'ESP';
    case IpProtocol.sctp: return 'SCTP';
    default: return `protocol ${protocol}`;
  }
}

const ICMP_WORDS: Readonly<Record<number, string>> = {
  [IcmpType.echoReply]: 'echo reply', [IcmpType.unreachable]: 'destination unreachable', [IcmpType.sourceQuench]: 'source quench',
  [IcmpType.redirect]: 'redirect', [IcmpType.echo]: 'echo request', [IcmpType.timeExceeded]: 'time exceeded',
  [IcmpType.parameterProblem]: 'parameter problem', [IcmpType.timestamp]: 'timestamp', [IcmpType.timestampReply]: 'timestamp reply',
};
const UNREACHABLE_WORDS = ['network unreachable', 'host unreachable', 'protocol unreachable', 'port unreachable', 'fragmentation needed'] as const;
const ICMPV6_WORDS: Readonly<Record<number, string>> = {
  [Icmpv6Type.unreachable]: 'destination unreachable', [Icmpv6Type.packetTooBig]: 'packet too big', [Icmpv6Type.timeExceeded]: 'time exceeded',
  [Icmpv6Type.parameterProblem]: 'parameter problem', [Icmpv6Type.echo]: 'echo request', [Icmpv6Type.echoReply]: 'echo reply',
  [Icmpv6Type.routerSolicit]: 'router solicitation', [Icmpv6Type.routerAdvert]: 'router advertisement',
  [Icmpv6Type.neighborSolicit]: 'neighbor solicitation', [Icmpv6Type.neighborAdvert]: 'neighbor advertisement', [Icmpv6Type.redirect]: 'redirect',
};

export function icmpText(type: number, code: number): string {
  if (type === IcmpType.unreachable && code < UNREACHABLE_WORDS.length) return `ICMP ${UNREACHABLE_WORDS[code]}`;
  return `ICMP ${ICMP_WORDS[type] ?? `type ${type}`}`;
}

export function icmpv6Text(type: number): string {
  return `ICMPv6 ${ICMPV6_WORDS[type] ?? `type ${type}`}`;
}

/** Where the config says so. */
export function lineText(policy: Policy, line: number): string {
  return `${policy.data.file}:${line}`;
}

/** The tenant's name; `-` for nobody. */
export function tenantText(policy: Policy, tenant: number): string {
  return policy.tenants.names[tenant] || '-';
}

const PEER_KINDS = { [PeerKind.host]: 'host', [PeerKind.uplink]: 'uplink', [PeerKind.site]: 'site' } as const;

/** Kind and name: `host host-a`. */
export function peerText(policy: Policy, peer: number): string {
  return peer < 0 || peer === NONE ? 'nobody' : `${PEER_KINDS[policy.peers.kind[peer] as keyof typeof PEER_KINDS]} ${policy.peers.names[peer]}`;
}

/** The peer's PA, with the port if the config gives one. */
export function paText(policy: Policy, peer: number): string {
  const [a, b, c, d] = policy.peers.pa.subarray(peer * 4, peer * 4 + 4);
  return endpointText(a, b, c, d, policy.peers.port[peer]);
}

export function subnetText(policy: Policy, subnet: number): string {
  return `subnet ${policy.subnets.names[subnet]} (VSID ${policy.subnets.vsid[subnet]})`;
}

function caText(policy: Policy, record: number): string {
  const [a, b, c, d] = policy.records.ca.subarray(record * 4, record * 4 + 4);
  return addressText(a, b, c, d);
}

/** A record by its CA, or by its MAC where it has none. */
export function recordText(policy: Policy, record: number): string {
  const { records } = policy;
  const ca = caText(policy, record);
  const mac = macText(records.macHigh[record], records.macLow[record]);
  switch (records.kind[record]) {
    case RecordKind.gateway: return `the gateway's own ${ca}`;
    case RecordKind.wildcard: return `wildcard record ${mac} at ${peerText(policy, records.peer[record])}`;
    case RecordKind.l2only: return `l2only record ${mac} at ${peerText(policy, records.peer[record])}`;
    default: return `record ${ca} (${mac}) at ${peerText(policy, records.peer[record])}`;
  }
}

/** A route with the prefix that held this destination. */
export function routeText(policy: Policy, route: number, p: Packet): string {
  const prefix = prefixText(p.dst0, p.dst1, p.dst2, p.dst3, policy.routes.bits[route]);
  const target = policy.routes.target[route];
  switch (policy.routes.via[route]) {
    case Via.subnet: return `${prefix}, connected: ${subnetText(policy, target)}`;
    case Via.nat: return `${prefix} via nat`;
    case Via.forward: return `${prefix} via forward`;
    case Via.site: return `${prefix} via site:${policy.peers.names[target]}`;
    case Via.record: return `${prefix} via ca:${caText(policy, target)}`;
    default: return `${prefix} via drop`;
  }
}

export const ACTION_WORDS: readonly string[] = Object.keys(Action);

export function ruleText(policy: Policy, rule: number): string {
  const { rules } = policy;
  return `${rules.outbound[rule] === 1 ? 'outbound' : 'inbound'} entry ${rules.names[rule]}: ${ACTION_WORDS[rules.action[rule]]}`;
}

/** Protocol and both ends as the tenant sees them; empty before `inner` has read them. */
export function flowText(p: Packet): string {
  if (p.family === 0) return '';
  const ports = p.hasPorts;
  const src = endpointText(p.src0, p.src1, p.src2, p.src3, ports ? p.sport : 0);
  const dst = endpointText(p.dst0, p.dst1, p.dst2, p.dst3, ports ? p.dport : 0);
  return `${transportText(p)} ${src} -> ${dst}${p.fragment === Fragment.none ? '' : `, ${p.fragment === Fragment.first ? 'first' : 'later'} fragment`}`;
}

function transportText(p: Packet): string {
  if (p.icmpType < 0) return protocolText(p.protocol);
  return p.protocol === IpProtocol.icmpv6 ? icmpv6Text(p.icmpType) : icmpText(p.icmpType, p.fragment === Fragment.later ? -1 : p.mem[p.l4 + 1]);
}
