/**
 * inner: read the inner IP header and as much of the transport as there is.
 *   needs   l3..end is the packet, etherType says which
 *   leaves  family, addresses, protocol, l4, ports, fragment, flowHash; end is the end of the IP packet (padding is off)
 *   drops   ipv4_*, ipv6_*, ip_*, udp_*, tcp_*, icmp_truncated, icmpv6_truncated, fragment_tiny, fragment_bounds, frame_multicast
 */
import { u16, u32 } from '../../codecs/bytes.js';
import { EtherType, isGroupMac } from '../../codecs/ethernet.js';
import { checkIcmpLen, icmpId, icmpType } from '../../codecs/icmp.js';
import { Icmpv6Type, checkIcmpv6Len, icmpv6Id, icmpv6Type } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import {
  badIpv4Destination, badIpv4Source, checkIpv4, ipv4Dst, ipv4FragmentOffset, ipv4HeaderLen, ipv4Id, ipv4MoreFragments, ipv4Protocol, ipv4Src,
  ipv4TotalLen, isIpv4Multicast,
} from '../../codecs/ipv4.js';
import { IPV6_DST, IPV6_FRAGMENT_LEN, IPV6_LEN, IPV6_SRC, badIpv6Destination, badIpv6Source, ipv6PayloadLen, isIpv6Multicast, isIpv6Unspecified, parseIpv6 } from '../../codecs/ipv6.js';
import { TCP_MIN_LEN, checkTcp } from '../../codecs/tcp.js';
import { checkUdp, checkUdpFragment } from '../../codecs/udp.js';
import { V4_MAPPED } from '../address.js';
import { Fate, type Context } from '../context.js';
import { Fragment, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';
import type { NatState } from '../tables/nat-state.js';
import { hashWords } from '../tables/word-map.js';

const BROADCAST = 0xffffffff;
/** What a length field of 16 bits can say. */
const MAX_DATAGRAM = 0xffff;
/** Where a second TCP fragment would overlap the flags of the first (RFC 3128). */
const TINY_TCP_OFFSET = 8;

export function inner(p: Packet, c: Context): number {
  const fault = p.etherType === EtherType.ipv4 ? readIpv4(p) : readIpv6(p, c);
  if (fault !== 0) return fault;
  const wrong = readTransport(p);
  if (wrong !== 0) return wrong;
  if (p.family === 6 && needsSolicitation(p) && p.icmpType !== Icmpv6Type.neighborSolicit) {
    return isIpv6Unspecified(p.mem, p.l3 + IPV6_SRC) && !isIpv6Multicast(p.mem, p.l3 + IPV6_DST) ? Reason.ip_source : Reason.frame_multicast;
  }
  p.flowHash = flowHash(p, c.nat);
  return Fate.next;
}

function readIpv4(p: Packet): number {
  const { mem, l3 } = p;
  const fault = checkIpv4(mem, l3, p.end);
  if (fault !== 0) return fault;
  const src = ipv4Src(mem, l3);
  const dst = ipv4Dst(mem, l3);
  // Before the source is judged: DHCP comes from 0.0.0.0 and is a broadcast first of all.
  if (dst === BROADCAST || isIpv4Multicast(dst) || toGroupMac(p)) return Reason.frame_multicast;
  if (badIpv4Source(src) || src === dst) return Reason.ip_source;
  if (badIpv4Destination(dst)) return Reason.ip_destination;

  p.family = 4;
  p.end = l3 + ipv4TotalLen(mem, l3);
  p.l4 = l3 + ipv4HeaderLen(mem, l3);
  p.protocol = ipv4Protocol(mem, l3);
  p.src0 = 0; p.src1 = 0; p.src2 = V4_MAPPED; p.src3 = src;
  p.dst0 = 0; p.dst1 = 0; p.dst2 = V4_MAPPED; p.dst3 = dst;
  p.fragmentOffset = ipv4FragmentOffset(mem, l3);
  p.moreFragments = ipv4MoreFragments(mem, l3);
  p.fragmentId = ipv4Id(mem, l3);
  p.fragment = p.fragmentOffset !== 0 ? Fragment.later : p.moreFragments ? Fragment.first : Fragment.none;
  p.fragmentLen = p.end - p.l4;
  return checkBounds(p, MAX_DATAGRAM - (p.l4 - l3));
}

function readIpv6(p: Packet, c: Context): number {
  const { mem, l3 } = p;
  const view = c.ipv6;
  const fault = parseIpv6(mem, l3, p.end, view);
  if (fault !== 0) return fault;
  const src = l3 + IPV6_SRC;
  const dst = l3 + IPV6_DST;
  if (badIpv6Destination(mem, dst)) return Reason.ip_destination;
  if (badIpv6Source(mem, src) && !isIpv6Unspecified(mem, src)) return Reason.ip_source;

  p.family = 6;
  p.end = l3 + IPV6_LEN + ipv6PayloadLen(mem, l3);
  p.l4 = view.transportAt;
  p.protocol = view.protocol;
  p.src0 = u32(mem, src); p.src1 = u32(mem, src + 4); p.src2 = u32(mem, src + 8); p.src3 = u32(mem, src + 12);
  p.dst0 = u32(mem, dst); p.dst1 = u32(mem, dst + 4); p.dst2 = u32(mem, dst + 8); p.dst3 = u32(mem, dst + 12);
  if (p.src0 === p.dst0 && p.src1 === p.dst1 && p.src2 === p.dst2 && p.src3 === p.dst3) return Reason.ip_source;
  p.fragmentOffset = view.fragmentOffset;
  p.moreFragments = view.moreFragments;
  p.fragmentId = view.fragmentId;
  // A fragment header with offset 0 and nothing to follow is a whole packet (RFC 6946 §4).
  p.fragment = view.fragmentOffset !== 0 ? Fragment.later : view.moreFragments ? Fragment.first : Fragment.none;
  const fragmentedAt = view.fragmentAt < 0 ? l3 + IPV6_LEN : view.fragmentAt + IPV6_FRAGMENT_LEN;
  p.fragmentLen = p.end - fragmentedAt;
  return checkBounds(p, MAX_DATAGRAM - (fragmentedAt - l3 - IPV6_LEN));
}

/** Whether a fragment can be part of any datagram that holds at most `room` bytes of what is cut. */
function checkBounds(p: Packet, room: number): number {
  if (p.fragment === Fragment.none) return 0;
  const isCutWrong = p.moreFragments && (p.fragmentLen & 7) !== 0;
  return isCutWrong || p.fragmentOffset + p.fragmentLen > room ? Reason.fragment_bounds : 0;
}

/** IPv6 that only a neighbor solicitation may be: to a group, or from the unspecified address. */
function needsSolicitation(p: Packet): boolean {
  return toGroupMac(p) || isIpv6Multicast(p.mem, p.l3 + IPV6_DST) || isIpv6Unspecified(p.mem, p.l3 + IPV6_SRC);
}

function toGroupMac(p: Packet): boolean {
  return p.frameAt >= 0 && isGroupMac(u16(p.mem, p.frameAt));
}

/** Ports and ICMP type of a whole packet or first fragment; a later fragment has none of its own. */
function readTransport(p: Packet): number {
  const { mem, l4, end } = p;
  if (p.fragment === Fragment.later) {
    return p.protocol === IpProtocol.tcp && p.fragmentOffset <= TINY_TCP_OFFSET ? Reason.fragment_tiny : 0;
  }
  const isFirst = p.fragment === Fragment.first;
  let fault = 0;
  switch (p.protocol) {
    case IpProtocol.tcp:
      if (isFirst && end - l4 < TCP_MIN_LEN) return Reason.fragment_tiny;
      fault = checkTcp(mem, l4, end);
      break;
    case IpProtocol.udp:
      fault = isFirst ? checkUdpFragment(mem, l4, end) : checkUdp(mem, l4, end);
      break;
    case IpProtocol.icmp:
      if (p.family !== 4) return 0;
      fault = checkIcmpLen(mem, l4, end);
      if (fault !== 0) break;
      p.icmpType = icmpType(mem, l4);
      p.sport = p.dport = icmpId(mem, l4);
      return 0;
    case IpProtocol.icmpv6:
      if (p.family !== 6) return 0;
      fault = checkIcmpv6Len(mem, l4, end);
      if (fault !== 0) break;
      p.icmpType = icmpv6Type(mem, l4);
      p.sport = p.dport = icmpv6Id(mem, l4);
      return 0;
    default:
      return 0;
  }
  if (fault !== 0) return isFirst ? Reason.fragment_tiny : fault;
  p.sport = u16(mem, l4);
  p.dport = u16(mem, l4 + 2);
  p.hasPorts = true;
  return 0;
}

/** One value for all packets of a flow, and for all fragments of a datagram: with ports only where every packet has them. */
function flowHash(p: Packet, { flows }: NatState): number {
  const ports = p.hasPorts && p.fragment === Fragment.none ? p.sport << 16 | p.dport : 0;
  if (p.family === 4) return flows.hash(p.claimed << 8 | p.protocol, p.src3 | 0, p.dst3 | 0, ports);
  // Fragments of one IPv6 datagram may name different protocols.
  const protocol = p.fragment !== Fragment.none ? IpProtocol.fragment : p.protocol;
  const high = hashWords(protocol, p.src0, p.src1, p.src2, p.dst0, p.dst1);
  return flows.hash(p.claimed << 8 | protocol, hashWords(high, p.src3, p.dst2, p.dst3, 0, 0), high, ports);
}
