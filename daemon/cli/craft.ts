/**
 * Packets made by hand, in the words of the field: for `demo`, `trace` and tests. Off the packet path, so it may
 * allocate. Layers are functions; the outer one takes the inner as bytes. Addresses are text.
 */
import { parseAddress, Refusal } from '../../config/index.js';
import { putU32 } from '../../codecs/bytes.js';
import { ETHERNET_LEN, EtherType, writeEthernet } from '../../codecs/ethernet.js';
import { writeGre } from '../../codecs/gre.js';
import { ICMP_LEN, fillIcmpChecksum, writeIcmpHeader } from '../../codecs/icmp.js';
import { fillIcmpv6Checksum, writeIcmpv6Header } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { IPV4_MIN_LEN, writeIpv4 } from '../../codecs/ipv4.js';
import { IPV6_LEN, writeIpv6 } from '../../codecs/ipv6.js';
import { NVGRE_LEN, writeNvgre } from '../../codecs/nvgre.js';
import { fillTcpChecksum4, fillTcpChecksum6, writeTcp } from '../../codecs/tcp.js';
import { UDP_LEN, fillUdpChecksum4, fillUdpChecksum6, writeUdp } from '../../codecs/udp.js';
import { VXLAN_LEN, writeVxlan } from '../../codecs/vxlan.js';

export interface IpOptions { readonly ttl?: number; readonly id?: number; readonly dontFragment?: boolean }
export interface TcpOptions extends IpOptions { readonly mss?: number; readonly seq?: number; readonly ack?: number; readonly window?: number }
type Payload = Uint8Array | string;

/** Four words of an address, IPv4 v4-mapped; throws on text that is none. */
export function addressWords(text: string): [number, number, number, number] {
  const address = parseAddress(text);
  if (address instanceof Refusal) throw new RangeError(`not an address: ${text}`);
  return [...address.words];
}

/** An IPv4 address as an unsigned number. */
export function ipv4Word(text: string): number {
  return addressWords(text)[3];
}

/** A MAC, group addresses included, as its high 16 and low 32 bits. */
export function macWords(text: string): [number, number] {
  const digits = text.replace(/[:-]/g, '');
  if (!/^[0-9a-fA-F]{12}$/.test(digits)) throw new RangeError(`not a MAC: ${text}`);
  return [parseInt(digits.slice(0, 4), 16), parseInt(digits.slice(4), 16)];
}

/** An IP packet from `from` to `to`; both say the family. */
export function ipPacket(from: string, to: string, protocol: number, payload: Uint8Array, options: IpOptions = {}): Uint8Array {
  const { ttl = 64, id = 0, dontFragment = false } = options;
  const headerLen = isIpv6(from) ? IPV6_LEN : IPV4_MIN_LEN;
  const mem = new Uint8Array(headerLen + payload.length);
  mem.set(payload, headerLen);
  if (isIpv6(from)) writeIpv6(mem, 0, payload.length, protocol, ttl, addressBytes(from), 0, addressBytes(to), 0);
  else writeIpv4(mem, 0, mem.length, id, dontFragment, ttl, protocol, ipv4Word(from), ipv4Word(to));
  return mem;
}

export function udpPacket(from: string, sport: number, to: string, dport: number, payload: Payload = '', options: IpOptions = {}): Uint8Array {
  const data = bytesOf(payload);
  const datagram = new Uint8Array(UDP_LEN + data.length);
  writeUdp(datagram, 0, sport, dport, datagram.length);
  datagram.set(data, UDP_LEN);
  const mem = ipPacket(from, to, IpProtocol.udp, datagram, options);
  if (isIpv6(from)) fillUdpChecksum6(mem, IPV6_LEN, 0);
  else fillUdpChecksum4(mem, IPV4_MIN_LEN, ipv4Word(from), ipv4Word(to));
  return mem;
}

/** `flags` are `TcpFlag` bits; an `mss` makes room for the option. */
export function tcpPacket(from: string, sport: number, to: string, dport: number, flags: number, payload: Payload = '', options: TcpOptions = {}): Uint8Array {
  const data = bytesOf(payload);
  const segment = new Uint8Array(64 + data.length);
  const headerLen = writeTcp(segment, 0, sport, dport, options.seq ?? 0, options.ack ?? 0, flags, options.window ?? 0xffff, options.mss ?? 0);
  segment.set(data, headerLen);
  const mem = ipPacket(from, to, IpProtocol.tcp, segment.subarray(0, headerLen + data.length), options);
  if (isIpv6(from)) fillTcpChecksum6(mem, IPV6_LEN, mem.length, 0);
  else fillTcpChecksum4(mem, IPV4_MIN_LEN, mem.length, ipv4Word(from), ipv4Word(to));
  return mem;
}

/** ICMP or, between IPv6 addresses, ICMPv6. `rest` is the second word: id and sequence, MTU or pointer. */
export function icmpPacket(from: string, to: string, type: number, code: number, rest: number, payload: Payload = '', options: IpOptions = {}): Uint8Array {
  const data = bytesOf(payload);
  const message = new Uint8Array(ICMP_LEN + data.length);
  message.set(data, ICMP_LEN);
  if (isIpv6(from)) {
    writeIcmpv6Header(message, 0, type, code, rest);
    const mem = ipPacket(from, to, IpProtocol.icmpv6, message, options);
    fillIcmpv6Checksum(mem, IPV6_LEN, mem.length, 0);
    return mem;
  }
  writeIcmpHeader(message, 0, type, code, rest);
  fillIcmpChecksum(message, 0, message.length);
  return ipPacket(from, to, IpProtocol.icmp, message, options);
}

/** A frame around `payload`, an IP packet unless `type` says otherwise. */
export function ethernetFrame(dst: string, src: string, payload: Uint8Array, type?: number): Uint8Array {
  const frame = new Uint8Array(ETHERNET_LEN + payload.length);
  writeEthernet(frame, 0, ...macWords(dst), ...macWords(src), type ?? etherTypeOf(payload));
  frame.set(payload, ETHERNET_LEN);
  return frame;
}

export function nvgrePacket(vsid: number, frame: Uint8Array, flowId = 0): Uint8Array {
  const packet = new Uint8Array(NVGRE_LEN + frame.length);
  packet.set(frame, writeNvgre(packet, 0, vsid, flowId));
  return packet;
}

export function vxlanPacket(vni: number, frame: Uint8Array): Uint8Array {
  const packet = new Uint8Array(VXLAN_LEN + frame.length);
  packet.set(frame, writeVxlan(packet, 0, vni));
  return packet;
}

/** Plain GRE around an IP packet; `key` -1 for none. */
export function grePacket(payload: Uint8Array, key = -1): Uint8Array {
  const packet = new Uint8Array(8 + payload.length);
  const headerLen = writeGre(packet, 0, etherTypeOf(payload), key);
  packet.set(payload, headerLen);
  return packet.subarray(0, headerLen + payload.length);
}

function isIpv6(address: string): boolean {
  return address.includes(':');
}

/** The sixteen bytes of an address, IPv4 v4-mapped. */
export function addressBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  addressWords(text).forEach((word, i) => putU32(bytes, i * 4, word));
  return bytes;
}

function bytesOf(payload: Payload): Uint8Array {
  return typeof payload === 'string' ? Buffer.from(payload) : payload;
}

function etherTypeOf(packet: Uint8Array): number {
  return packet[0] >>> 4 === 6 ? EtherType.ipv6 : EtherType.ipv4;
}
