/** A datagram that leaves, layer by layer in words: what a trace ends with, and what a capture says of our own packets. */
import { ARP_REPLY, arpOp, arpSenderIp, arpSenderMacHigh, arpSenderMacLow, arpTargetIp, checkArp } from '../../codecs/arp.js';
import { macHigh, macLow, u16, u32 } from '../../codecs/bytes.js';
import { ETHERNET_DST, ETHERNET_LEN, ETHERNET_SRC, EtherType, checkEthernet, etherType } from '../../codecs/ethernet.js';
import { GreView, parseGre } from '../../codecs/gre.js';
import { ICMP_LEN, IcmpType, checkIcmpLen, icmpCode, icmpId, icmpSeq, icmpType, isIcmpError } from '../../codecs/icmp.js';
import { Icmpv6Type, checkIcmpv6Len, icmpv6Id, icmpv6Seq, icmpv6Type, isIcmpv6Error, ND_TARGET } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import {
  checkQuotedIpv4, ipv4DontFragment, ipv4Dst, ipv4FragmentOffset, ipv4HeaderLen, ipv4MoreFragments, ipv4Protocol, ipv4Src, ipv4TotalLen, ipv4Ttl,
} from '../../codecs/ipv4.js';
import { IPV6_DST, IPV6_LEN, IPV6_SRC, Ipv6View, ipv6HopLimit, ipv6PayloadLen, parseQuotedIpv6 } from '../../codecs/ipv6.js';
import { checkNvgre, NVGRE_LEN, nvgreFlowId, nvgreVsid } from '../../codecs/nvgre.js';
import { TcpFlag, checkTcp, findMss, tcpFlags } from '../../codecs/tcp.js';
import { VXLAN_LEN, checkVxlan, vxlanVni } from '../../codecs/vxlan.js';
import { addressText, icmpText, icmpv6Text, ipv4Text, macText, protocolText } from './words.js';

/** One line a layer, outermost first; `headline` names the innermost message: `ICMP time exceeded`. */
export interface DatagramWords { readonly layers: readonly string[]; readonly headline: string }

/** Words for the UDP payload `mem[at..end)`. What cannot be read is said to be so; never throws. */
export function datagramWords(mem: Uint8Array, at: number, end: number, isVxlan: boolean): DatagramWords {
  const layers: string[] = [];
  return { headline: tunnel(mem, at, end, isVxlan, layers), layers };
}

function tunnel(mem: Uint8Array, at: number, end: number, isVxlan: boolean, layers: string[]): string {
  if (isVxlan) {
    if (checkVxlan(mem, at, end) !== 0) return unreadable(layers, 'VXLAN');
    layers.push(`VXLAN, VNI ${vxlanVni(mem, at)}`);
    return frame(mem, at + VXLAN_LEN, end, layers);
  }
  if (checkNvgre(mem, at, end) === 0) {
    const flowId = nvgreFlowId(mem, at);
    layers.push(`NVGRE, VSID ${nvgreVsid(mem, at)}${flowId === 0 ? '' : `, FlowID ${flowId}`}`);
    return frame(mem, at + NVGRE_LEN, end, layers);
  }
  const gre = new GreView();
  if (parseGre(mem, at, end, gre) !== 0) return unreadable(layers, 'GRE');
  layers.push(gre.key < 0 ? 'GRE without a key' : `GRE, key ${gre.key}`);
  return network(mem, at + gre.headerLen, end, gre.protocol, layers);
}

function frame(mem: Uint8Array, at: number, end: number, layers: string[]): string {
  if (checkEthernet(mem, at, end) !== 0) return unreadable(layers, 'Ethernet');
  const src = macText(macHigh(mem, at + ETHERNET_SRC), macLow(mem, at + ETHERNET_SRC));
  const dst = macText(macHigh(mem, at + ETHERNET_DST), macLow(mem, at + ETHERNET_DST));
  layers.push(`Ethernet ${src} -> ${dst}`);
  return network(mem, at + ETHERNET_LEN, end, etherType(mem, at), layers);
}

function network(mem: Uint8Array, at: number, end: number, type: number, layers: string[]): string {
  if (type === EtherType.ipv4) return ipv4(mem, at, end, layers, 0);
  if (type === EtherType.ipv6) return ipv6(mem, at, end, layers, 0);
  if (type === EtherType.arp) return arp(mem, at, end, layers);
  return said(layers, `EtherType ${type.toString(16).padStart(4, '0')}`);
}

function arp(mem: Uint8Array, at: number, end: number, layers: string[]): string {
  if (checkArp(mem, at, end) !== 0) return unreadable(layers, 'ARP');
  const sender = ipv4Text(arpSenderIp(mem, at));
  if (arpOp(mem, at) === ARP_REPLY) layers.push(`ARP reply: ${sender} is at ${macText(arpSenderMacHigh(mem, at), arpSenderMacLow(mem, at))}`);
  else layers.push(`ARP request: who has ${ipv4Text(arpTargetIp(mem, at))}? tell ${sender}`);
  return arpOp(mem, at) === ARP_REPLY ? 'ARP reply' : 'ARP request';
}

/** `depth` 1 is a packet quoted in an error, which may be cut anywhere. */
function ipv4(mem: Uint8Array, at: number, end: number, layers: string[], depth: number): string {
  if (checkQuotedIpv4(mem, at, end) !== 0) return unreadable(layers, 'IPv4');
  const offset = ipv4FragmentOffset(mem, at);
  const more = ipv4MoreFragments(mem, at);
  const parts = [`${quoting(depth)}IPv4 ${ipv4Text(ipv4Src(mem, at))} -> ${ipv4Text(ipv4Dst(mem, at))}`, `TTL ${ipv4Ttl(mem, at)}`, `${ipv4TotalLen(mem, at)} bytes`];
  if (ipv4DontFragment(mem, at)) parts.push("don't fragment");
  if (offset !== 0 || more) parts.push(`fragment at ${offset}${more ? ', more follow' : ', the last'}`);
  layers.push(parts.join(', '));
  const protocol = ipv4Protocol(mem, at);
  if (offset !== 0) return said(layers, `${protocolText(protocol)}, a later fragment`);
  return transport(mem, at + ipv4HeaderLen(mem, at), Math.min(end, at + Math.max(ipv4TotalLen(mem, at), ipv4HeaderLen(mem, at))), protocol, layers, depth);
}

function ipv6(mem: Uint8Array, at: number, end: number, layers: string[], depth: number): string {
  const view = new Ipv6View();
  if (parseQuotedIpv6(mem, at, end, view) !== 0) return unreadable(layers, 'IPv6');
  const len = IPV6_LEN + ipv6PayloadLen(mem, at);
  const parts = [`${quoting(depth)}IPv6 ${addressAt(mem, at + IPV6_SRC)} -> ${addressAt(mem, at + IPV6_DST)}`, `hop limit ${ipv6HopLimit(mem, at)}`, `${len} bytes`];
  if (view.fragmentOffset !== 0 || view.moreFragments) parts.push(`fragment at ${view.fragmentOffset}${view.moreFragments ? ', more follow' : ', the last'}`);
  layers.push(parts.join(', '));
  if (view.fragmentOffset !== 0) return said(layers, `${protocolText(view.protocol)}, a later fragment`);
  return transport(mem, view.transportAt, Math.min(end, at + len), view.protocol, layers, depth);
}

function transport(mem: Uint8Array, at: number, end: number, protocol: number, layers: string[], depth: number): string {
  switch (protocol) {
    case IpProtocol.tcp:
    case IpProtocol.udp: {
      if (end - at < 4) return unreadable(layers, protocolText(protocol));
      const mss = protocol === IpProtocol.tcp && checkTcp(mem, at, end) === 0 ? findMss(mem, at) : -1;
      const flags = protocol === IpProtocol.tcp && end - at >= 14 ? ` ${tcpFlagsText(tcpFlags(mem, at))}` : '';
      layers.push(`${protocolText(protocol)} ${u16(mem, at)} -> ${u16(mem, at + 2)}${flags}${mss < 0 ? '' : `, MSS ${mss}`}`);
      return protocolText(protocol);
    }
    case IpProtocol.icmp: return icmp(mem, at, end, layers, depth);
    case IpProtocol.icmpv6: return icmpv6(mem, at, end, layers, depth);
    default: return said(layers, protocolText(protocol));
  }
}

function icmp(mem: Uint8Array, at: number, end: number, layers: string[], depth: number): string {
  if (checkIcmpLen(mem, at, end) !== 0) return unreadable(layers, 'ICMP');
  const type = icmpType(mem, at);
  const text = icmpText(type, icmpCode(mem, at));
  if (!isIcmpError(type)) {
    layers.push(`${text}, id ${icmpId(mem, at)}, sequence ${icmpSeq(mem, at)}`);
    return text;
  }
  const isMtu = type === IcmpType.unreachable && icmpCode(mem, at) === 4;
  layers.push(isMtu ? `${text}, MTU ${icmpSeq(mem, at)}` : text);
  if (depth === 0) ipv4(mem, at + ICMP_LEN, end, layers, 1);
  return text;
}

function icmpv6(mem: Uint8Array, at: number, end: number, layers: string[], depth: number): string {
  if (checkIcmpv6Len(mem, at, end) !== 0) return unreadable(layers, 'ICMPv6');
  const type = icmpv6Type(mem, at);
  const text = icmpv6Text(type);
  if (isIcmpv6Error(type)) {
    layers.push(type === Icmpv6Type.packetTooBig ? `${text}, MTU ${u32(mem, at + 4)}` : text);
    if (depth === 0) ipv6(mem, at + ICMP_LEN, end, layers, 1);
  } else if ((type === Icmpv6Type.neighborSolicit || type === Icmpv6Type.neighborAdvert) && end - at >= ND_TARGET + 16) {
    layers.push(`${text}: ${addressAt(mem, at + ND_TARGET)}`);
  } else {
    layers.push(type === Icmpv6Type.echo || type === Icmpv6Type.echoReply ? `${text}, id ${icmpv6Id(mem, at)}, sequence ${icmpv6Seq(mem, at)}` : text);
  }
  return text;
}

export function tcpFlagsText(flags: number): string {
  const names = (Object.keys(TcpFlag) as (keyof typeof TcpFlag)[]).filter(name => (flags & TcpFlag[name]) !== 0);
  return names.length === 0 ? 'no flags' : names.join('+').toUpperCase();
}

function addressAt(mem: Uint8Array, at: number): string {
  return addressText(u32(mem, at), u32(mem, at + 4), u32(mem, at + 8), u32(mem, at + 12));
}

function quoting(depth: number): string {
  return depth === 0 ? '' : 'about ';
}

function said(layers: string[], text: string): string {
  layers.push(text);
  return text;
}

function unreadable(layers: string[], what: string): string {
  return said(layers, `${what} that cannot be read`);
}
