/**
 * GRE header: RFC 2784, with the Key and Sequence Number of RFC 2890.
 *
 *   |C|0|K|S|   Reserved0   | Ver |        Protocol Type        |
 *   |     Checksum, if C          |       Reserved1, if C       |
 *   |     Key, if K                                             |
 *   |     Sequence Number, if S                                 |
 */
import { putU16, putU32, u16, u32 } from './bytes.js';
import { checksum, sum16 } from './checksum.js';
import { Fault } from './faults.js';

const FLAGS = 0; // u16
const PROTOCOL = 2; // u16
const OPTIONAL = 4; // checksum, key, sequence: four bytes each, in that order
const HAS_CHECKSUM = 0x8000;
export const GRE_HAS_KEY = 0x2000;
const HAS_SEQUENCE = 0x1000;
const MUST_BE_ZERO = 0x4c00; // bits 1, 4, 5: a receiver discards (RFC 2784 §2.3, less the two RFC 2890 uses)
const VERSION = 0x0007;
export const GRE_MIN_LEN = 4;

/** What `parseGre` found. Make one per worker and hand it to every call. */
export class GreView {
  /** Bytes from the first flag to the first payload byte: 4, 8, 12 or 16. */
  headerLen = 0;
  /** EtherType of the payload. */
  protocol = 0;
  /** Unsigned 32-bit key, or -1 when the packet carries none. */
  key = -1;
  /** Unsigned 32-bit sequence number, or -1 when the packet carries none. */
  sequence = -1;
  /** The first two bytes as they came: C, K, S, reserved bits and version. */
  flags = 0;
}

/**
 * Read the GRE header that starts at byte `at` and must finish by byte `end` (exclusive).
 * Returns 0 and fills `out`, or returns a `Fault` and leaves `out` meaningless.
 * Never throws, never allocates, never reads at or past `end`.
 * A checksum, when present, is stepped over; `greChecksumOk` verifies it.
 */
export function parseGre(mem: Uint8Array, at: number, end: number, out: GreView): number {
  if (end - at < GRE_MIN_LEN) return Fault.gre_truncated;
  const flags = u16(mem, at + FLAGS);
  if ((flags & VERSION) !== 0) return Fault.gre_version;
  if ((flags & MUST_BE_ZERO) !== 0) return Fault.gre_reserved;

  let next = at + OPTIONAL;
  if ((flags & HAS_CHECKSUM) !== 0) next += 4;
  const keyAt = next;
  if ((flags & GRE_HAS_KEY) !== 0) next += 4;
  const sequenceAt = next;
  if ((flags & HAS_SEQUENCE) !== 0) next += 4;
  if (next > end) return Fault.gre_truncated;

  out.headerLen = next - at;
  out.protocol = u16(mem, at + PROTOCOL);
  out.key = (flags & GRE_HAS_KEY) !== 0 ? u32(mem, keyAt) : -1;
  out.sequence = (flags & HAS_SEQUENCE) !== 0 ? u32(mem, sequenceAt) : -1;
  out.flags = flags;
  return 0;
}

/** Whether the parsed packet `mem[at..end)`, header and payload, carries no checksum or a right one (RFC 2784 §2.2). */
export function greChecksumOk(mem: Uint8Array, at: number, end: number): boolean {
  return (u16(mem, at + FLAGS) & HAS_CHECKSUM) === 0 || sum16(mem, at, end) === 0xffff;
}

/** Write a header at `at`, with a key unless it is -1; returns its length, 4 or 8. The caller has made the room. */
export function writeGre(mem: Uint8Array, at: number, protocol: number, key: number): number {
  putU16(mem, at + FLAGS, key < 0 ? 0 : GRE_HAS_KEY);
  putU16(mem, at + PROTOCOL, protocol);
  if (key < 0) return GRE_MIN_LEN;
  putU32(mem, at + OPTIONAL, key);
  return GRE_MIN_LEN + 4;
}

/**
 * Write a header with any of the options (`key` and `sequence` -1: none) at `at`; returns its length, 4 to 16.
 * A checksum covers the payload, which must already lie between the header and `end`.
 */
export function writeGreFull(
  mem: Uint8Array, at: number, end: number, protocol: number, key: number, sequence: number, withChecksum: boolean,
): number {
  putU16(mem, at + FLAGS, (withChecksum ? HAS_CHECKSUM : 0) | (key < 0 ? 0 : GRE_HAS_KEY) | (sequence < 0 ? 0 : HAS_SEQUENCE));
  putU16(mem, at + PROTOCOL, protocol);
  let next = at + OPTIONAL;
  if (withChecksum) {
    putU32(mem, next, 0); // the checksum counts as zero while it is computed; Reserved1 is sent as zero
    next += 4;
  }
  if (key >= 0) {
    putU32(mem, next, key);
    next += 4;
  }
  if (sequence >= 0) {
    putU32(mem, next, sequence);
    next += 4;
  }
  if (withChecksum) putU16(mem, at + OPTIONAL, checksum(mem, at, end));
  return next - at;
}
