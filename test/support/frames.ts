/** Packets for tests, spelled in the words of the field: those of daemon/cli/craft.ts under short names, and what only tests need. */
import { recomputeIpv4Checksum, setIpv4Fragment, setIpv4Id } from '../../codecs/ipv4.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { addressWords, icmpPacket, macWords, tcpPacket, type IpOptions, type TcpOptions } from '../../daemon/cli/craft.js';

export { addressBytes as ip6, ethernetFrame as ethernet, grePacket as gre, ipPacket as ip, ipv4Word as ip4, nvgrePacket as nvgre, udpPacket as udp, vxlanPacket as vxlan } from '../../daemon/cli/craft.js';
export { icmpPacket as icmp, macWords as mac, addressWords as words };

export function tcp(from: string, sport: number, to: string, dport: number, flags: number, payload: Uint8Array | string = '', options: TcpOptions = {}): Uint8Array {
  return tcpPacket(from, sport, to, dport, flags, payload, { seq: 1000, ...options });
}

export function echo(from: string, to: string, id: number, payload: Uint8Array | string = 'abcdefgh', options: IpOptions = {}): Uint8Array {
  return icmpPacket(from, to, from.includes(':') ? 128 : 8, 0, (id << 16 | 1) >>> 0, payload, options);
}
export function echoReply(from: string, to: string, id: number, payload: Uint8Array | string = 'abcdefgh', options: IpOptions = {}): Uint8Array {
  return icmpPacket(from, to, from.includes(':') ? 129 : 0, 0, (id << 16 | 1) >>> 0, payload, options);
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
