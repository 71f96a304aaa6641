/**
 * ICMP for IPv4: RFC 792, with the length of the quoted datagram from RFC 4884 §4.
 *
 *   |     Type      |     Code      |           Checksum            |
 *   |        Identifier             |        Sequence Number        |   queries
 *   |   unused      | Length, 4 B   |    Next-Hop MTU or unused     |   errors 3, 11, 12 (12: a pointer comes first)
 *
 * The checksum covers the message alone, no pseudo-header, so new addresses outside do not change it.
 */
import { putU16, putU32, u16, u32 } from './bytes.js';
import { checksum, patchChecksum, patchChecksum32, sum16 } from './checksum.js';
import { Fault } from './faults.js';

const TYPE = 0; // u8
const CODE = 1; // u8
const CHECKSUM = 2; // u16
const REST = 4; // u32
const ID = 4; // u16, in queries
const QUOTE_WORDS = 5; // u8, in errors: length of the quote in units of 4 bytes
const SEQ = 6; // u16, in queries
export const ICMP_LEN = 8;
const MIN_QUOTE_LEN = 128; // what a sender of extensions pads its quote to (RFC 4884 §3)

export const IcmpType = {
  echoReply: 0,
  unreachable: 3,
  sourceQuench: 4,
  redirect: 5,
  echo: 8,
  timeExceeded: 11,
  parameterProblem: 12,
  timestamp: 13,
  timestampReply: 14,
} as const;

/** Check the whole message `mem[at..end)`, checksum included. Returns 0 or a `Fault`. */
export function checkIcmp(mem: Uint8Array, at: number, end: number): number {
  if (end - at < ICMP_LEN) return Fault.icmp_truncated;
  return sum16(mem, at, end) === 0xffff ? 0 : Fault.icmp_checksum;
}

/** As `checkIcmp`, for a first fragment or a quoted packet, where the checksum covers bytes that are elsewhere. */
export function checkIcmpLen(_mem: Uint8Array, at: number, end: number): number {
  return end - at < ICMP_LEN ? Fault.icmp_truncated : 0;
}

export function icmpType(mem: Uint8Array, at: number): number {
  return mem[at + TYPE];
}

export function icmpCode(mem: Uint8Array, at: number): number {
  return mem[at + CODE];
}

export function icmpChecksum(mem: Uint8Array, at: number): number {
  return u16(mem, at + CHECKSUM);
}

/** Of a query; what plays the part of a port. */
export function icmpId(mem: Uint8Array, at: number): number {
  return u16(mem, at + ID);
}

/** Of a query. In an unreachable with code 4 these are the next hop's MTU (RFC 1191 §4). */
export function icmpSeq(mem: Uint8Array, at: number): number {
  return u16(mem, at + SEQ);
}

/** Messages about another packet. Nobody answers them with an error of his own (RFC 1122 §3.2.2). */
export function isIcmpError(type: number): boolean {
  return type === IcmpType.unreachable || type === IcmpType.sourceQuench || type === IcmpType.redirect
    || type === IcmpType.timeExceeded || type === IcmpType.parameterProblem;
}

/**
 * Where the datagram quoted by the error at `at` ends: at the RFC 4884 length when one is given and
 * can be true, else at `end`, as for senders that know no extensions.
 */
export function icmpQuoteEnd(mem: Uint8Array, at: number, end: number): number {
  const type = icmpType(mem, at);
  if (type !== IcmpType.unreachable && type !== IcmpType.timeExceeded && type !== IcmpType.parameterProblem) return end;
  const len = mem[at + QUOTE_WORDS] << 2;
  return len < MIN_QUOTE_LEN || len > end - at - ICMP_LEN ? end : at + ICMP_LEN + len;
}

export function setIcmpType(mem: Uint8Array, at: number, type: number): void {
  patchIcmp(mem, at, u16(mem, at + TYPE), (type << 8) | mem[at + CODE]);
  mem[at + TYPE] = type;
  settleZero(mem, at);
}

export function setIcmpId(mem: Uint8Array, at: number, id: number): void {
  patchIcmp(mem, at, icmpId(mem, at), id);
  putU16(mem, at + ID, id);
  settleZero(mem, at);
}

/**
 * An echo reply may be zero in every byte, and then its checksum is ffff; the patch, which cannot tell, has made it 0000.
 * Where the data is not seen to differ, ffff is right for both kinds: it sums like 0000. No other protocol here can
 * be all zero, each has a version, a type or a pseudo-header.
 */
function settleZero(mem: Uint8Array, at: number): void {
  if (u32(mem, at) === 0 && u32(mem, at + REST) === 0) putU16(mem, at + CHECKSUM, 0xffff);
}

/** Bring the checksum up to date after an aligned word of the message changed, in the quoted packet for one. */
export function patchIcmp(mem: Uint8Array, at: number, was: number, is: number): void {
  putU16(mem, at + CHECKSUM, patchChecksum(icmpChecksum(mem, at), was, is));
}

/** As `patchIcmp`, for 32 bits. */
export function patchIcmp32(mem: Uint8Array, at: number, was: number, is: number): void {
  putU16(mem, at + CHECKSUM, patchChecksum32(icmpChecksum(mem, at), was, is));
}

/** Write the first eight bytes with checksum 0 at `at`; returns 8. `rest32` is id and sequence, MTU or pointer, as the type has it. */
export function writeIcmpHeader(mem: Uint8Array, at: number, type: number, code: number, rest32: number): number {
  mem[at + TYPE] = type;
  mem[at + CODE] = code;
  putU16(mem, at + CHECKSUM, 0);
  putU32(mem, at + REST, rest32);
  return ICMP_LEN;
}

/** Fill the checksum of the whole message `mem[at..end)`. */
export function fillIcmpChecksum(mem: Uint8Array, at: number, end: number): void {
  putU16(mem, at + CHECKSUM, 0);
  putU16(mem, at + CHECKSUM, checksum(mem, at, end));
}
