/** A plain reader of whole packets, made of the codecs, that tests set against vectors, captures and other dissectors. */
import { checkArp } from '../../codecs/arp.js';
import { checkEthernet, ETHERNET_LEN, etherType, EtherType } from '../../codecs/ethernet.js';
import { Fault } from '../../codecs/faults.js';
import { greChecksumOk, GreView, parseGre } from '../../codecs/gre.js';
import { GRE_UDP_PORT } from '../../codecs/gre-udp.js';
import { checkIcmp, checkIcmpLen } from '../../codecs/icmp.js';
import { checkIcmpv6, checkIcmpv6Len } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import {
  checkIpv4, ipv4Dst, ipv4FragmentOffset, ipv4HeaderLen, ipv4MoreFragments, ipv4Protocol, ipv4Src, ipv4TotalLen,
} from '../../codecs/ipv4.js';
import { IPV6_LEN, ipv6PayloadLen, Ipv6View, parseIpv6 } from '../../codecs/ipv6.js';
import { checkNvgre, NVGRE_LEN, nvgreVsid } from '../../codecs/nvgre.js';
import { checkTcp, tcpChecksumOk4, tcpChecksumOk6 } from '../../codecs/tcp.js';
import { checkUdp, checkUdpFragment, udpChecksumOk4, udpChecksumOk6, udpDstPort, udpLen, UDP_LEN } from '../../codecs/udp.js';
import { checkVxlan, VXLAN_LEN, VXLAN_PORT, vxlanVni } from '../../codecs/vxlan.js';

const NAMES: readonly string[] = ['', ...Object.keys(Fault)];

/** The headers of an IP packet, outside in: `ipv4 udp nvgre:5001 ethernet arp`. The last word may be a fault, or `bad-sum`. */
export function dissectIp(mem: Uint8Array, at: number, end: number): string {
  return (mem[at] >>> 4 === 6 ? ipv6(mem, at, end) : ipv4(mem, at, end)).join(' ');
}

export function dissectFrame(mem: Uint8Array, at: number, end: number): string {
  return ethernet(mem, at, end).join(' ');
}

function ethernet(mem: Uint8Array, at: number, end: number): string[] {
  const fault = checkEthernet(mem, at, end);
  return fault !== 0 ? [NAMES[fault]] : ['ethernet', ...payload(mem, at + ETHERNET_LEN, end, etherType(mem, at))];
}

function payload(mem: Uint8Array, at: number, end: number, type: number): string[] {
  if (type === EtherType.ipv4) return ipv4(mem, at, end);
  if (type === EtherType.ipv6) return ipv6(mem, at, end);
  if (type === EtherType.teb) return ethernet(mem, at, end);
  if (type !== EtherType.arp) return [`type-${type.toString(16)}`];
  const fault = checkArp(mem, at, end);
  return [fault !== 0 ? NAMES[fault] : 'arp'];
}

function ipv4(mem: Uint8Array, at: number, end: number): string[] {
  const fault = checkIpv4(mem, at, end);
  if (fault !== 0) return [NAMES[fault]];
  const next = at + ipv4HeaderLen(mem, at);
  const last = at + ipv4TotalLen(mem, at);
  if (ipv4FragmentOffset(mem, at) !== 0) return ['ipv4', 'fragment'];
  return ['ipv4', ...transport(mem, next, last, ipv4Protocol(mem, at), at, ipv4MoreFragments(mem, at))];
}

function ipv6(mem: Uint8Array, at: number, end: number): string[] {
  const view = new Ipv6View();
  const fault = parseIpv6(mem, at, end, view);
  if (fault !== 0) return [NAMES[fault]];
  const last = at + IPV6_LEN + ipv6PayloadLen(mem, at);
  if (view.fragmentOffset !== 0) return ['ipv6', 'fragment'];
  return ['ipv6', ...transport(mem, view.transportAt, last, view.protocol, at, view.moreFragments)];
}

/** In a first fragment checksums cannot be judged, and what is inside is cut. */
function transport(mem: Uint8Array, at: number, end: number, protocol: number, ipAt: number, isCut: boolean): string[] {
  const is6 = mem[ipAt] >>> 4 === 6;
  switch (protocol) {
    case IpProtocol.udp: {
      const fault = isCut ? checkUdpFragment(mem, at, end) : checkUdp(mem, at, end);
      if (fault !== 0) return [NAMES[fault]];
      if (isCut) return ['udp', 'cut'];
      const sound = is6 ? udpChecksumOk6(mem, at, ipAt) : udpChecksumOk4(mem, at, ipv4Src(mem, ipAt), ipv4Dst(mem, ipAt));
      return sound ? ['udp', ...inUdp(mem, at, at + udpLen(mem, at))] : ['udp', 'bad-sum'];
    }
    case IpProtocol.tcp: {
      const fault = checkTcp(mem, at, end);
      if (fault !== 0) return [NAMES[fault]];
      if (isCut) return ['tcp', 'cut'];
      const sound = is6 ? tcpChecksumOk6(mem, at, end, ipAt) : tcpChecksumOk4(mem, at, end, ipv4Src(mem, ipAt), ipv4Dst(mem, ipAt));
      return sound ? ['tcp'] : ['tcp', 'bad-sum'];
    }
    case IpProtocol.icmp: {
      const fault = isCut ? checkIcmpLen(mem, at, end) : checkIcmp(mem, at, end);
      return [fault !== 0 ? NAMES[fault] : 'icmp'];
    }
    case IpProtocol.icmpv6: {
      const fault = isCut ? checkIcmpv6Len(mem, at, end) : checkIcmpv6(mem, at, end, ipAt);
      return [fault !== 0 ? NAMES[fault] : 'icmpv6'];
    }
    case IpProtocol.gre:
      return isCut ? ['gre', 'cut'] : gre(mem, at, end);
    default:
      return [`protocol-${protocol}`];
  }
}

function inUdp(mem: Uint8Array, udpAt: number, end: number): string[] {
  const at = udpAt + UDP_LEN;
  if (udpDstPort(mem, udpAt) === GRE_UDP_PORT) return gre(mem, at, end);
  if (udpDstPort(mem, udpAt) !== VXLAN_PORT) return [];
  const fault = checkVxlan(mem, at, end);
  return fault !== 0 ? [NAMES[fault]] : [`vxlan:${vxlanVni(mem, at)}`, ...ethernet(mem, at + VXLAN_LEN, end)];
}

function gre(mem: Uint8Array, at: number, end: number): string[] {
  const view = new GreView();
  const fault = parseGre(mem, at, end, view);
  if (fault !== 0) return [NAMES[fault]];
  if (view.protocol === EtherType.teb && view.key >= 0) {
    const nvgreFault = checkNvgre(mem, at, end);
    return nvgreFault !== 0 ? [NAMES[nvgreFault]] : [`nvgre:${nvgreVsid(mem, at)}`, ...ethernet(mem, at + NVGRE_LEN, end)];
  }
  if (!greChecksumOk(mem, at, end)) return ['gre', 'bad-sum'];
  return [view.key < 0 ? 'gre' : `gre:${view.key}`, ...payload(mem, at + view.headerLen, end, view.protocol)];
}
