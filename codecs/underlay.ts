/**
 * The outer packet of a tunnel, as captures hold it and as our answers are written into them.
 *
 *   | IPv4, or IPv6 and its extension headers | UDP, to the port of a tunnel | GRE or VXLAN ...   RFC 8086, RFC 7348
 *   | IPv4, or IPv6 and its extension headers | GRE ...                                           RFC 2784, protocol 47
 *
 * Addresses are four unsigned words, IPv4 v4-mapped (RFC 4291 §2.5.5.2), so that one shape does for both families.
 */
import { putU32, u32 } from './bytes.js';
import { pseudoSum4, pseudoSum6 } from './checksum.js';
import { ETHERNET_LEN, EtherType, writeEthernet } from './ethernet.js';
import { Fault } from './faults.js';
import { ICMP_LEN, icmpType, isIcmpError } from './icmp.js';
import { icmpv6Type, isIcmpv6Error } from './icmpv6.js';
import { IpProtocol } from './ip-protocol.js';
import {
  IPV4_MIN_LEN, checkIpv4, checkQuotedIpv4, ipv4Checksum, ipv4Dst, ipv4FragmentOffset, ipv4HeaderLen, ipv4MoreFragments, ipv4Protocol, ipv4Src, ipv4TotalLen, writeIpv4,
} from './ipv4.js';
import { IPV6_DST, IPV6_LEN, IPV6_SRC, Ipv6View, ipv6PayloadLen, parseIpv6, parseQuotedIpv6, writeIpv6 } from './ipv6.js';
import {
  UDP_LEN, checkUdp, fillUdpChecksum4, fillUdpChecksum6, udpChecksum, udpChecksumOk4, udpChecksumOk6, udpDstPort, udpLen, udpSrcPort, writeUdp,
} from './udp.js';

export type UnderlayAddress = readonly [number, number, number, number];
const V4_MAPPED = 0xffff;

/** What `parseUnderlay` found. Make one and hand it to every call. */
export class UnderlayView {
  /** Tunnel header and what it carries are `mem[at..end)`. */
  at = 0;
  end = 0;
  /** VXLAN, by its port; else GRE. */
  isVxlan = false;
  /** GRE straight in IP, as Hyper-V hosts send it; the ports are 0. */
  isNative = false;
  src0 = 0; src1 = 0; src2 = 0; src3 = 0;
  dst0 = 0; dst1 = 0; dst2 = 0; dst3 = 0;
  srcPort = 0;
  readonly ipv6 = new Ipv6View();
}

/**
 * Read the network packet `mem[at..end)` that a link header with `etherType` announced, down to the tunnel header.
 * Returns 0 and fills `out`, or returns a `Fault` and leaves `out` meaningless. Never throws, never reads at or past `end`.
 * A UDP checksum is verified where there is one. None is accepted, over IPv6 too: RFC 6935 §5 lets tunnels do so
 * (though Node would never see such a datagram), and RFC 7348 §5 wants it. An IPv4 header checksum of 0 counts as not
 * filled in yet.
 */
export function parseUnderlay(
  mem: Uint8Array, at: number, end: number, etherType: number, grePort: number, vxlanPort: number, out: UnderlayView,
): number {
  if (etherType === EtherType.ipv4) return parseOver4(mem, at, end, grePort, vxlanPort, out);
  return etherType === EtherType.ipv6 ? parseOver6(mem, at, end, grePort, vxlanPort, out) : Fault.not_a_tunnel;
}

function parseOver4(mem: Uint8Array, at: number, end: number, grePort: number, vxlanPort: number, out: UnderlayView): number {
  const fault = checkIpv4(mem, at, end);
  if (fault !== 0 && !(fault === Fault.ipv4_checksum && leftToTheCard(mem, at))) return fault;
  out.src0 = 0; out.src1 = 0; out.src2 = V4_MAPPED; out.src3 = ipv4Src(mem, at);
  out.dst0 = 0; out.dst1 = 0; out.dst2 = V4_MAPPED; out.dst3 = ipv4Dst(mem, at);
  const isFragment = ipv4MoreFragments(mem, at) || ipv4FragmentOffset(mem, at) !== 0;
  return parseTunnel(mem, at, at + ipv4HeaderLen(mem, at), at + ipv4TotalLen(mem, at), ipv4Protocol(mem, at), isFragment, grePort, vxlanPort, out);
}

/**
 * A header seen on the host that sends it, before the network card has filled in the checksum. With options the rest of
 * the check would have to follow; nobody sends them here.
 */
function leftToTheCard(mem: Uint8Array, at: number): boolean {
  return ipv4Checksum(mem, at) === 0 && ipv4HeaderLen(mem, at) === IPV4_MIN_LEN;
}

function parseOver6(mem: Uint8Array, at: number, end: number, grePort: number, vxlanPort: number, out: UnderlayView): number {
  const { ipv6 } = out;
  const fault = parseIpv6(mem, at, end, ipv6);
  if (fault !== 0) return fault;
  const src = at + IPV6_SRC, dst = at + IPV6_DST;
  out.src0 = u32(mem, src); out.src1 = u32(mem, src + 4); out.src2 = u32(mem, src + 8); out.src3 = u32(mem, src + 12);
  out.dst0 = u32(mem, dst); out.dst1 = u32(mem, dst + 4); out.dst2 = u32(mem, dst + 8); out.dst3 = u32(mem, dst + 12);
  const isFragment = ipv6.fragmentOffset !== 0 || ipv6.moreFragments;
  return parseTunnel(mem, at, ipv6.transportAt, at + IPV6_LEN + ipv6PayloadLen(mem, at), ipv6.protocol, isFragment, grePort, vxlanPort, out);
}

/** Above the IP header at `ipAt`: UDP to one of the two ports, or GRE. */
function parseTunnel(
  mem: Uint8Array, ipAt: number, at: number, end: number, protocol: number, isFragment: boolean, grePort: number, vxlanPort: number, out: UnderlayView,
): number {
  if (protocol === IpProtocol.icmp || protocol === IpProtocol.icmpv6) {
    return !isFragment && quotesTunnel(mem, at, end, protocol === IpProtocol.icmp, grePort, vxlanPort, out.ipv6) ? Fault.underlay_error : Fault.not_a_tunnel;
  }
  if (protocol !== IpProtocol.udp && protocol !== IpProtocol.gre) return Fault.not_a_tunnel;
  // Only the first fragment could say whether it is a tunnel's; whoever puts an endpoint here would see none of them.
  if (isFragment) return Fault.outer_fragment;

  out.end = end;
  out.isNative = protocol === IpProtocol.gre;
  out.isVxlan = false;
  out.srcPort = 0;
  out.at = at;
  if (out.isNative) return 0;

  const fault = checkUdp(mem, at, end);
  if (fault !== 0) return fault;
  const port = udpDstPort(mem, at);
  if (port !== grePort && port !== vxlanPort) return Fault.not_a_tunnel;
  if (!checksumOk(mem, at, ipAt)) return Fault.outer_checksum;
  out.isVxlan = port === vxlanPort;
  out.srcPort = udpSrcPort(mem, at);
  out.at = at + UDP_LEN;
  out.end = at + udpLen(mem, at);
  return 0;
}

/**
 * Whether `mem[at..end)` is an ICMP error about a tunnel packet. Neither its checksum nor the quoted header's length and
 * checksum are asked for: Linux with FOU quotes a header whose total length is 8 short, so its checksum is wrong.
 */
function quotesTunnel(mem: Uint8Array, at: number, end: number, is4: boolean, grePort: number, vxlanPort: number, view: Ipv6View): boolean {
  const quote = at + ICMP_LEN;
  if (quote >= end || !(is4 ? isIcmpError(icmpType(mem, at)) : isIcmpv6Error(icmpv6Type(mem, at)))) return false;
  let transport = 0, protocol = 0;
  if (is4) {
    if (checkQuotedIpv4(mem, quote, end) !== 0) return false;
    transport = quote + ipv4HeaderLen(mem, quote);
    protocol = ipv4Protocol(mem, quote);
  } else {
    if (parseQuotedIpv6(mem, quote, end, view) !== 0) return false;
    transport = view.transportAt;
    protocol = view.protocol;
  }
  if (protocol === IpProtocol.gre) return true;
  if (protocol !== IpProtocol.udp || end - transport < UDP_LEN) return false;
  const port = udpDstPort(mem, transport);
  return port === grePort || port === vxlanPort;
}

/**
 * Right, absent, or only begun: a capture taken on the sending host shows the sum of the pseudo-header alone, uncomplemented,
 * where the network card was to do the rest.
 */
function checksumOk(mem: Uint8Array, at: number, ipAt: number): boolean {
  const field = udpChecksum(mem, at);
  if (field === 0) return true;
  const is4 = mem[ipAt] >>> 4 === 4;
  const sound = is4 ? udpChecksumOk4(mem, at, ipv4Src(mem, ipAt), ipv4Dst(mem, ipAt)) : udpChecksumOk6(mem, at, ipAt);
  if (sound) return true;
  const len = udpLen(mem, at);
  return field === (is4 ? pseudoSum4(ipv4Src(mem, ipAt), ipv4Dst(mem, ipAt), IpProtocol.udp, len) : pseudoSum6(mem, ipAt, IpProtocol.udp, len));
}

/**
 * MACs of the frames we write, from gateway to next hop. Locally administered (IEEE 802 §8.4) and fixed: a UDP socket
 * never learns the true ones.
 */
export const UNDERLAY_MAC = { gateway: [0x0200, 0x0000ca01], nextHop: [0x0200, 0x0000ca02] } as const;
/** Room that `writeUnderlay` needs before the payload, whatever the family. */
export const UNDERLAY_HEADROOM = ETHERNET_LEN + IPV6_LEN + UDP_LEN;
const OWN_TTL = 64;
const MAX_U16 = 0xffff;

/** Who sends to whom. */
export type UnderlayRoute = {
  readonly family: 4 | 6;
  readonly src: UnderlayAddress;
  readonly srcPort: number;
  readonly dst: UnderlayAddress;
  readonly dstPort: number;
};

/**
 * Write Ethernet, IP and UDP with right checksums before the payload `mem[at..end)`. Returns where the frame begins,
 * or -1 and writes nothing when the payload is longer than UDP can carry. IPv4 says don't-fragment, with id 0 as
 * RFC 6864 §4.1 allows then: NVGRE and VXLAN forbid fragments (RFC 7637 §4, RFC 7348 §4.3).
 */
export function writeUnderlay(mem: Uint8Array, at: number, end: number, route: UnderlayRoute): number {
  const udpAt = at - UDP_LEN;
  const udpBytes = end - udpAt;
  const ipAt = udpAt - (route.family === 4 ? IPV4_MIN_LEN : IPV6_LEN);
  if (udpBytes > MAX_U16 || (route.family === 4 && end - ipAt > MAX_U16)) return -1;

  writeUdp(mem, udpAt, route.srcPort, route.dstPort, udpBytes);
  if (route.family === 4) {
    const src = route.src[3], dst = route.dst[3];
    writeIpv4(mem, ipAt, end - ipAt, 0, true, OWN_TTL, IpProtocol.udp, src, dst);
    fillUdpChecksum4(mem, udpAt, src, dst);
  } else {
    writeIpv6(mem, ipAt, udpBytes, IpProtocol.udp, OWN_TTL, NO_ADDRESS, 0, NO_ADDRESS, 0);
    for (let word = 0; word < 4; word++) {
      putU32(mem, ipAt + IPV6_SRC + word * 4, route.src[word]);
      putU32(mem, ipAt + IPV6_DST + word * 4, route.dst[word]);
    }
    fillUdpChecksum6(mem, udpAt, ipAt);
  }
  const { gateway, nextHop } = UNDERLAY_MAC;
  writeEthernet(mem, ipAt - ETHERNET_LEN, ...nextHop, ...gateway, route.family === 4 ? EtherType.ipv4 : EtherType.ipv6);
  return ipAt - ETHERNET_LEN;
}

/** Stands where the addresses go until they are written as words. */
const NO_ADDRESS = new Uint8Array(16);
