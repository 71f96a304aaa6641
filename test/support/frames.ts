/** Packets for tests, spelled in the words of the field. Layers are functions: the outermost takes the inner as bytes. */
import { ETHERNET_LEN, EtherType, writeEthernet } from '../../codecs/ethernet.js';
import { writeGre } from '../../codecs/gre.js';
import { fillIcmpChecksum, writeIcmpHeader } from '../../codecs/icmp.js';
import { fillIcmpv6Checksum, writeIcmpv6Header } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { recomputeIpv4Checksum, setIpv4Fragment, setIpv4Id, writeIpv4 } from '../../codecs/ipv4.js';
import { writeIpv6 } from '../../codecs/ipv6.js';
import { writeNvgre } from '../../codecs/nvgre.js';
import { fillTcpChecksum4, fillTcpChecksum6, writeTcp } from '../../codecs/tcp.js';
import { fillUdpChecksum4, fillUdpChecksum6, writeUdp } from '../../codecs/udp.js';
import { writeVxlan } from '../../codecs/vxlan.js';
import ipaddr from 'ipaddr.js';

export type Ip = { ttl?: number; id?: number; dontFragment?: boolean; offset?: number; more?: boolean };

export function ip4(text: string): number {
  return ipaddr.IPv4.parse(text).octets.reduce((word, byte) => (word << 8 | byte) >>> 0, 0);
}
export function ip6(text: string): Uint8Array {
  return Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray());
}
/** Four words, IPv4 v4-mapped. */
export function words(text: string): [number, number, number, number] {
  if (!text.includes(':')) return [0, 0, 0xffff, ip4(text)];
  const bytes = ip6(text);
  const view = new DataView(bytes.buffer);
  return [view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12)];
}
/** High 16 and low 32 bits. */
export function mac(text: string): [number, number] {
  const bytes = text.split(/[:-]/).map(pair => parseInt(pair, 16));
  return [bytes[0] << 8 | bytes[1], (bytes[2] << 24 | bytes[3] << 16 | bytes[4] << 8 | bytes[5]) >>> 0];
}

function isV6(address: string): boolean {
  return address.includes(':');
}

/** An IP packet; `fill` completes a checksum that covers the addresses. */
export function ip(from: string, to: string, protocol: number, payload: Uint8Array, options: Ip = {}, fill?: (mem: Uint8Array, l4: number, l3: number) => void): Uint8Array {
  const header = isV6(from) ? 40 : 20;
  const mem = new Uint8Array(header + payload.length);
  mem.set(payload, header);
  if (isV6(from)) {
    writeIpv6(mem, 0, payload.length, protocol, options.ttl ?? 64, ip6(from), 0, ip6(to), 0);
  } else {
    writeIpv4(mem, 0, mem.length, options.id ?? 0, options.dontFragment ?? false, options.ttl ?? 64, protocol, ip4(from), ip4(to));
  }
  fill?.(mem, header, 0);
  return mem;
}

export function udp(from: string, sport: number, to: string, dport: number, payload: Uint8Array | string = '', options: Ip = {}): Uint8Array {
  const data = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const l4 = new Uint8Array(8 + data.length);
  writeUdp(l4, 0, sport, dport, l4.length);
  l4.set(data, 8);
  return ip(from, to, IpProtocol.udp, l4, options, (mem, at, l3) => {
    if (isV6(from)) fillUdpChecksum6(mem, at, l3);
    else fillUdpChecksum4(mem, at, ip4(from), ip4(to));
  });
}

export function tcp(from: string, sport: number, to: string, dport: number, flags: number, payload: Uint8Array | string = '', options: Ip & { mss?: number; seq?: number; ack?: number } = {}): Uint8Array {
  const data = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const header = options.mss === undefined ? 20 : 24;
  const l4 = new Uint8Array(header + data.length);
  writeTcp(l4, 0, sport, dport, options.seq ?? 1000, options.ack ?? 0, flags, 65535, options.mss ?? 0);
  l4.set(data, header);
  return ip(from, to, IpProtocol.tcp, l4, options, (mem, at, l3) => {
    if (isV6(from)) fillTcpChecksum6(mem, at, mem.length, l3);
    else fillTcpChecksum4(mem, at, mem.length, ip4(from), ip4(to));
  });
}

/** ICMP or ICMPv6 as the family says; `rest` is id << 16 | sequence of a query, or the MTU of an error. */
export function icmp(from: string, to: string, type: number, code: number, rest: number, payload: Uint8Array | string = '', options: Ip = {}): Uint8Array {
  const data = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const l4 = new Uint8Array(8 + data.length);
  l4.set(data, 8);
  if (isV6(from)) writeIcmpv6Header(l4, 0, type, code, rest);
  else writeIcmpHeader(l4, 0, type, code, rest);
  return ip(from, to, isV6(from) ? IpProtocol.icmpv6 : IpProtocol.icmp, l4, options, (mem, at, l3) => {
    if (isV6(from)) fillIcmpv6Checksum(mem, at, mem.length, l3);
    else fillIcmpChecksum(mem, at, mem.length);
  });
}

export function echo(from: string, to: string, id: number, payload: Uint8Array | string = 'abcdefgh', options: Ip = {}): Uint8Array {
  return icmp(from, to, isV6(from) ? 128 : 8, 0, (id << 16 | 1) >>> 0, payload, options);
}
export function echoReply(from: string, to: string, id: number, payload: Uint8Array | string = 'abcdefgh', options: Ip = {}): Uint8Array {
  return icmp(from, to, isV6(from) ? 129 : 0, 0, (id << 16 | 1) >>> 0, payload, options);
}

/** Cut an IPv4 packet without options into fragments of at most `size` payload bytes (a multiple of 8), in order. */
export function cut4(packet: Uint8Array, size: number, id = 0x1234): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let from = 20; from < packet.length; from += size) {
    const end = Math.min(packet.length, from + size);
    const piece = new Uint8Array(20 + end - from);
    piece.set(packet.subarray(0, 20));
    piece.set(packet.subarray(from, end), 20);
    new DataView(piece.buffer).setUint16(2, piece.length);
    setIpv4Id(piece, 0, id);
    setIpv4Fragment(piece, 0, from - 20, end < packet.length, false);
    recomputeIpv4Checksum(piece, 0);
    pieces.push(piece);
  }
  return pieces;
}

/**
 * Cut an IPv6 packet into fragments of at most `size` bytes (a multiple of 8) of what follows its fixed header, in order.
 * All of them name the first header behind the fragment header, as hosts do (RFC 8200 §4.5).
 */
export function cut6(packet: Uint8Array, size: number, id = 0xabcdef01): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let from = 40; from < packet.length; from += size) {
    const end = Math.min(packet.length, from + size);
    const piece = new Uint8Array(48 + end - from);
    const view = new DataView(piece.buffer);
    piece.set(packet.subarray(0, 40));
    view.setUint16(4, piece.length - 40);
    piece[6] = IpProtocol.fragment;
    piece[40] = packet[6];
    view.setUint16(42, (from - 40) | (end < packet.length ? 1 : 0));
    view.setUint32(44, id);
    piece.set(packet.subarray(from, end), 48);
    pieces.push(piece);
  }
  return pieces;
}

/** Put the fragments of one IPv4 datagram together again, whatever their order: the header of the first, with its flags cleared. Null when bytes are missing or told twice. */
export function reassemble4(pieces: readonly Uint8Array[]): Uint8Array | null {
  const data: number[] = [];
  let header: Uint8Array | null = null;
  let total = -1;
  for (const piece of pieces) {
    const headerLen = (piece[0] & 15) * 4;
    const word = piece[6] << 8 | piece[7];
    const offset = (word & 0x1fff) * 8;
    if (offset === 0) header = piece.slice(0, headerLen);
    if ((word & 0x2000) === 0) total = offset + piece.length - headerLen;
    for (let i = headerLen; i < piece.length; i++) {
      if (data[offset + i - headerLen] !== undefined) return null;
      data[offset + i - headerLen] = piece[i];
    }
  }
  if (header === null || total < 0 || data.length !== total || data.includes(undefined as unknown as number)) return null;
  const whole = Uint8Array.from([...header, ...data]);
  new DataView(whole.buffer).setUint16(2, whole.length);
  setIpv4Fragment(whole, 0, 0, false, false);
  recomputeIpv4Checksum(whole, 0);
  return whole;
}

/** The same IPv4 packet with options (a multiple of 4 bytes) in its header. */
export function withOptions(packet: Uint8Array, options: Uint8Array): Uint8Array {
  const out = new Uint8Array(packet.length + options.length);
  out.set(packet.subarray(0, 20));
  out.set(options, 20);
  out.set(packet.subarray(20), 20 + options.length);
  out[0] = 0x40 | (20 + options.length) >>> 2;
  new DataView(out.buffer).setUint16(2, out.length);
  recomputeIpv4Checksum(out, 0);
  return out;
}

/** The same IPv6 packet with an extension header (a multiple of 8 bytes, its next-header byte filled here) before the rest. */
export function withExtension(packet: Uint8Array, type: number, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(packet.length + body.length);
  out.set(packet.subarray(0, 40));
  out.set(body, 40);
  out.set(packet.subarray(40), 40 + body.length);
  out[40] = packet[6];
  out[6] = type;
  new DataView(out.buffer).setUint16(4, out.length - 40);
  return out;
}

/** A copy with one 16-bit word set: for packets that are wrong on purpose. */
export function patched(packet: Uint8Array, at: number, word: number): Uint8Array {
  const out = packet.slice();
  new DataView(out.buffer).setUint16(at, word);
  return out;
}

export function ethernet(dst: string, src: string, payload: Uint8Array, type?: number): Uint8Array {
  const frame = new Uint8Array(ETHERNET_LEN + payload.length);
  writeEthernet(frame, 0, ...mac(dst), ...mac(src), type ?? (payload[0] >>> 4 === 6 ? EtherType.ipv6 : EtherType.ipv4));
  frame.set(payload, ETHERNET_LEN);
  return frame;
}
export function nvgre(vsid: number, frame: Uint8Array, flowId = 0): Uint8Array {
  const packet = new Uint8Array(8 + frame.length);
  writeNvgre(packet, 0, vsid, flowId);
  packet.set(frame, 8);
  return packet;
}
export function vxlan(vni: number, frame: Uint8Array): Uint8Array {
  const packet = new Uint8Array(8 + frame.length);
  writeVxlan(packet, 0, vni);
  packet.set(frame, 8);
  return packet;
}
/** Plain GRE; `key` -1 for none. */
export function gre(packet: Uint8Array, key = -1): Uint8Array {
  const header = key >= 0 ? 8 : 4;
  const out = new Uint8Array(header + packet.length);
  writeGre(out, 0, packet[0] >>> 4 === 6 ? EtherType.ipv6 : EtherType.ipv4, key);
  out.set(packet, header);
  return out;
}
