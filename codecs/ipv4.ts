/**
 * IPv4 header: RFC 791 §3.1, with the router's view of RFC 1812 §5.2.2.
 *
 *   |Version|  IHL  |DSCP and ECN   |          Total Length         |
 *   |         Identification        |0|D|M|     Fragment Offset     |
 *   |      TTL      |   Protocol    |        Header Checksum        |
 *   |                         Source Address                        |
 *   |                      Destination Address                      |
 *   |                 Options, 0 to 40 bytes, padded                |
 */
import { copyBytes, putU16, putU32, u16, u32 } from './bytes.js';
import { checksum, patchChecksum, patchChecksum32, sum16 } from './checksum.js';
import { Fault } from './faults.js';

const VERSION_IHL = 0; // u8
const TOS = 1; // u8
const TOTAL_LEN = 2; // u16
export const IPV4_ID = 4; // u16
const FRAGMENT = 6; // u16: flags and offset
/** TTL, protocol and checksum, as one word. */
export const IPV4_LIFE = 8;
const TTL = 8; // u8, and it shares a checksum word with the protocol
const PROTOCOL = 9; // u8
const CHECKSUM = 10; // u16
export const IPV4_SRC = 12; // u32
export const IPV4_DST = 16; // u32
export const IPV4_MIN_LEN = 20;

const VERSION_4_IHL_5 = 0x45;
const RESERVED = 0x8000; // RFC 791 wants zero; we carry it as it came
const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
const OFFSET = 0x1fff; // in units of 8 bytes

const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_LSRR = 131;
const OPTION_SSRR = 137;
const OPTION_COPIED = 0x80; // goes into every fragment

/**
 * Check the header at `at` of a packet that must finish by `end`: version, lengths, checksum, options.
 * Returns 0 or a `Fault`. Bytes past the total length are link padding and nobody's concern.
 */
export function checkIpv4(mem: Uint8Array, at: number, end: number): number {
  const fault = checkQuotedIpv4(mem, at, end);
  if (fault !== 0) return fault;
  const headerLen = ipv4HeaderLen(mem, at);
  const totalLen = ipv4TotalLen(mem, at);
  if (totalLen < headerLen || totalLen > end - at) return Fault.ipv4_total_length;
  if (!ipv4ChecksumOk(mem, at)) return Fault.ipv4_checksum;
  return headerLen === IPV4_MIN_LEN ? 0 : checkOptions(mem, at + IPV4_MIN_LEN, at + headerLen);
}

/**
 * As `checkIpv4`, for the packet quoted in an ICMP error: only version and header length, because the quote is
 * cut short (RFC 792), and because Linux changes the total length of what it quotes from a UDP tunnel.
 */
export function checkQuotedIpv4(mem: Uint8Array, at: number, end: number): number {
  if (end - at < IPV4_MIN_LEN) return Fault.ipv4_truncated;
  if (mem[at + VERSION_IHL] >>> 4 !== 4) return Fault.ipv4_version;
  const headerLen = ipv4HeaderLen(mem, at);
  if (headerLen < IPV4_MIN_LEN) return Fault.ipv4_header_length;
  return headerLen > end - at ? Fault.ipv4_truncated : 0;
}

/** Whether the header's checksum is right; the header length must have been checked. */
export function ipv4ChecksumOk(mem: Uint8Array, at: number): boolean {
  return sum16(mem, at, at + ipv4HeaderLen(mem, at)) === 0xffff;
}

/** Walk the options in `mem[at..end)`: each inside the header, none a source route (RFC 7126 §4.3, §4.4). */
function checkOptions(mem: Uint8Array, at: number, end: number): number {
  while (at < end) {
    const type = mem[at];
    if (type === OPTION_END) return 0;
    if (type === OPTION_NOP) {
      at++;
      continue;
    }
    if (at + 1 >= end) return Fault.ipv4_options;
    const len = mem[at + 1];
    if (len < 2 || len > end - at) return Fault.ipv4_options;
    if (type === OPTION_LSRR || type === OPTION_SSRR) return Fault.ipv4_source_route;
    at += len;
  }
  return 0;
}

export function ipv4HeaderLen(mem: Uint8Array, at: number): number {
  return (mem[at + VERSION_IHL] & 0x0f) << 2;
}

/** DSCP in the high six bits, ECN in the low two. */
export function ipv4TosByte(mem: Uint8Array, at: number): number {
  return mem[at + TOS];
}

/** Header and payload, in bytes. */
export function ipv4TotalLen(mem: Uint8Array, at: number): number {
  return u16(mem, at + TOTAL_LEN);
}

/** Means something only for datagrams that are, or may yet be, fragmented (RFC 6864 §4). */
export function ipv4Id(mem: Uint8Array, at: number): number {
  return u16(mem, at + IPV4_ID);
}

export function ipv4DontFragment(mem: Uint8Array, at: number): boolean {
  return (u16(mem, at + FRAGMENT) & DONT_FRAGMENT) !== 0;
}

export function ipv4MoreFragments(mem: Uint8Array, at: number): boolean {
  return (u16(mem, at + FRAGMENT) & MORE_FRAGMENTS) !== 0;
}

/** Where this fragment's payload belongs in the datagram's, in bytes. */
export function ipv4FragmentOffset(mem: Uint8Array, at: number): number {
  return (u16(mem, at + FRAGMENT) & OFFSET) << 3;
}

export function ipv4Ttl(mem: Uint8Array, at: number): number {
  return mem[at + TTL];
}

export function ipv4Protocol(mem: Uint8Array, at: number): number {
  return mem[at + PROTOCOL];
}

export function ipv4Checksum(mem: Uint8Array, at: number): number {
  return u16(mem, at + CHECKSUM);
}

export function ipv4Src(mem: Uint8Array, at: number): number {
  return u32(mem, at + IPV4_SRC);
}

export function ipv4Dst(mem: Uint8Array, at: number): number {
  return u32(mem, at + IPV4_DST);
}

export function setIpv4Src(mem: Uint8Array, at: number, src: number): void {
  setU32(mem, at, IPV4_SRC, src);
}

export function setIpv4Dst(mem: Uint8Array, at: number, dst: number): void {
  setU32(mem, at, IPV4_DST, dst);
}

export function setIpv4Ttl(mem: Uint8Array, at: number, ttl: number): void {
  setU16(mem, at, TTL, (ttl << 8) | mem[at + PROTOCOL]);
}

export function setIpv4TotalLen(mem: Uint8Array, at: number, totalLen: number): void {
  setU16(mem, at, TOTAL_LEN, totalLen);
}

export function setIpv4Id(mem: Uint8Array, at: number, id: number): void {
  setU16(mem, at, IPV4_ID, id);
}

/** Set flags and offset; `offsetBytes` is a multiple of 8. The reserved bit stays as it is. */
export function setIpv4Fragment(mem: Uint8Array, at: number, offsetBytes: number, more: boolean, dontFragment: boolean): void {
  const flags = (more ? MORE_FRAGMENTS : 0) | (dontFragment ? DONT_FRAGMENT : 0);
  setU16(mem, at, FRAGMENT, (u16(mem, at + FRAGMENT) & RESERVED) | flags | (offsetBytes >>> 3));
}

/** Change the aligned word at `field` and the checksum with it. */
function setU16(mem: Uint8Array, at: number, field: number, value: number): void {
  putU16(mem, at + CHECKSUM, patchChecksum(u16(mem, at + CHECKSUM), u16(mem, at + field), value));
  putU16(mem, at + field, value);
}

function setU32(mem: Uint8Array, at: number, field: number, value: number): void {
  putU16(mem, at + CHECKSUM, patchChecksum32(u16(mem, at + CHECKSUM), u32(mem, at + field), value));
  putU32(mem, at + field, value);
}

/** Write a header without options, TOS 0, checksum filled, at `at`; returns its length, 20. */
export function writeIpv4(
  mem: Uint8Array, at: number, totalLen: number, id: number, dontFragment: boolean,
  ttl: number, protocol: number, src: number, dst: number,
): number {
  mem[at + VERSION_IHL] = VERSION_4_IHL_5;
  mem[at + TOS] = 0;
  putU16(mem, at + TOTAL_LEN, totalLen);
  putU16(mem, at + IPV4_ID, id);
  putU16(mem, at + FRAGMENT, dontFragment ? DONT_FRAGMENT : 0);
  mem[at + TTL] = ttl;
  mem[at + PROTOCOL] = protocol;
  putU32(mem, at + IPV4_SRC, src);
  putU32(mem, at + IPV4_DST, dst);
  recomputeIpv4Checksum(mem, at);
  return IPV4_MIN_LEN;
}

/** Fill the checksum from scratch: for headers we build, never to repair one that arrived. */
export function recomputeIpv4Checksum(mem: Uint8Array, at: number): void {
  putU16(mem, at + CHECKSUM, 0);
  putU16(mem, at + CHECKSUM, checksum(mem, at, at + ipv4HeaderLen(mem, at)));
}

/**
 * Write the header for a second or later fragment: the checked header at `from[fromAt]` with only those options
 * whose copied bit is set (RFC 791 §3.1), padded with zeros. Returns its length. Lengths, flags and checksum are still
 * the original's: set them, then call `recomputeIpv4Checksum`. The two ranges must not overlap.
 */
export function writeIpv4FragmentHeader(to: Uint8Array, toAt: number, from: Uint8Array, fromAt: number): number {
  copyBytes(to, toAt, from, fromAt, IPV4_MIN_LEN);
  const end = fromAt + ipv4HeaderLen(from, fromAt);
  let at = fromAt + IPV4_MIN_LEN;
  let headerLen = IPV4_MIN_LEN;
  while (at < end && from[at] !== OPTION_END) {
    const len = from[at] === OPTION_NOP ? 1 : from[at + 1];
    if ((from[at] & OPTION_COPIED) !== 0) {
      copyBytes(to, toAt + headerLen, from, at, len);
      headerLen += len;
    }
    at += len;
  }
  for (; (headerLen & 3) !== 0; headerLen++) to[toAt + headerLen] = OPTION_END;
  to[toAt + VERSION_IHL] = 0x40 | (headerLen >>> 2);
  return headerLen;
}

/** 224/4. */
export function isIpv4Multicast(addr: number): boolean {
  return addr >>> 28 === 0xe;
}

/** Addresses no unicast sender can have: 0/8, 127/8, multicast, 240/4 with the limited broadcast (RFC 1812 §5.3.7). */
export function badIpv4Source(addr: number): boolean {
  const top = addr >>> 24;
  return top === 0 || top === 127 || top >= 224;
}

/**
 * Addresses nothing may be sent to: 0/8, 127/8 and 240/4. Multicast and 255.255.255.255 are left
 * out: they are good addresses that the pipeline treats in its own way.
 */
export function badIpv4Destination(addr: number): boolean {
  const top = addr >>> 24;
  return top === 0 || top === 127 || (top >= 240 && addr >>> 0 !== 0xffffffff);
}
