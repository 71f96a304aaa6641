/**
 * TCP header: RFC 9293 §3.1, as far as a gateway looks into it.
 *
 *   |          Source Port          |       Destination Port        |
 *   |                        Sequence Number                        |
 *   |                    Acknowledgment Number                      |
 *   | Offset|  Rsv  |C E U A P R S F|            Window             |
 *   |           Checksum            |        Urgent Pointer         |
 *   |                 Options, 0 to 40 bytes, padded                |
 */
import { putU16, putU32, u16, u32 } from './bytes.js';
import { addSum, checksum, patchChecksum, patchChecksum32, pseudoSum4, pseudoSum6, sum16 } from './checksum.js';
import { Fault } from './faults.js';
import { IpProtocol } from './ip-protocol.js';

export const TCP_SRC_PORT = 0; // u16
export const TCP_DST_PORT = 2; // u16
const SEQ = 4; // u32
const ACK = 8; // u32
/** Data offset in the high four bits, in units of 4 bytes; flags in the low eight. */
export const TCP_OFFSET_FLAGS = 12; // u16
const FLAGS = 13; // u8
const WINDOW = 14; // u16
export const TCP_CHECKSUM = 16; // u16
const URGENT = 18; // u16
export const TCP_MIN_LEN = 20;

export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 } as const;

const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_MSS = 2;
const MSS_LEN = 4;

/** Check the header at `at`, options included, of a segment that ends at `end`. Returns 0 or a `Fault`. */
export function checkTcp(mem: Uint8Array, at: number, end: number): number {
  if (end - at < TCP_MIN_LEN) return Fault.tcp_truncated;
  const headerLen = tcpHeaderLen(mem, at);
  if (headerLen < TCP_MIN_LEN) return Fault.tcp_data_offset;
  return headerLen > end - at ? Fault.tcp_truncated : 0;
}

export function tcpSrcPort(mem: Uint8Array, at: number): number {
  return u16(mem, at + TCP_SRC_PORT);
}

export function tcpDstPort(mem: Uint8Array, at: number): number {
  return u16(mem, at + TCP_DST_PORT);
}

export function tcpSeq(mem: Uint8Array, at: number): number {
  return u32(mem, at + SEQ);
}

export function tcpAck(mem: Uint8Array, at: number): number {
  return u32(mem, at + ACK);
}

/** Bits of `TcpFlag`, with ECE (64) and CWR (128) above them. */
export function tcpFlags(mem: Uint8Array, at: number): number {
  return mem[at + FLAGS];
}

/** Header and options, in bytes. */
export function tcpHeaderLen(mem: Uint8Array, at: number): number {
  return (mem[at + TCP_OFFSET_FLAGS] >>> 4) << 2;
}

export function tcpWindow(mem: Uint8Array, at: number): number {
  return u16(mem, at + WINDOW);
}

/** 0000 and ffff are both in use for the same sum: TCP, unlike UDP, has no value that means "none". */
export function tcpChecksum(mem: Uint8Array, at: number): number {
  return u16(mem, at + TCP_CHECKSUM);
}

export function setTcpSrcPort(mem: Uint8Array, at: number, port: number): void {
  patchTcp(mem, at, tcpSrcPort(mem, at), port);
  putU16(mem, at + TCP_SRC_PORT, port);
}

export function setTcpDstPort(mem: Uint8Array, at: number, port: number): void {
  patchTcp(mem, at, tcpDstPort(mem, at), port);
  putU16(mem, at + TCP_DST_PORT, port);
}

/** Bring the checksum up to date after a covered word changed, here or in the pseudo-header. */
export function patchTcp(mem: Uint8Array, at: number, was: number, is: number): void {
  putU16(mem, at + TCP_CHECKSUM, patchChecksum(tcpChecksum(mem, at), was, is));
}

/** As `patchTcp`, for 32 bits: an address of the pseudo-header. */
export function patchTcp32(mem: Uint8Array, at: number, was: number, is: number): void {
  putU16(mem, at + TCP_CHECKSUM, patchChecksum32(tcpChecksum(mem, at), was, is));
}

/** Maximum segment size that the checked header at `at` announces; -1 when it announces none or its options are malformed. */
export function findMss(mem: Uint8Array, at: number): number {
  const end = at + tcpHeaderLen(mem, at);
  if (!optionsOk(mem, at + TCP_MIN_LEN, end)) return -1;
  const option = findMssOption(mem, at + TCP_MIN_LEN, end);
  return option < 0 ? -1 : u16(mem, option + 2);
}

/**
 * Lower the maximum segment size of a SYN to `max`, and patch the checksum; true when something was lowered.
 * Never raises and never adds one (RFC 9293 §3.7.1: without the option the peer assumes 536 or 1220, which fit). A malformed option list is left alone:
 * the far end has to judge it as it was sent. Should the option come twice, both are lowered: ends differ in which they believe.
 */
export function clampMss(mem: Uint8Array, at: number, max: number): boolean {
  const end = at + tcpHeaderLen(mem, at);
  if (!optionsOk(mem, at + TCP_MIN_LEN, end)) return false;
  let lowered = false;
  let option = findMssOption(mem, at + TCP_MIN_LEN, end);
  while (option >= 0) {
    const was = u16(mem, option + 2);
    if (was > max) {
      // At an odd offset the value lies across two words, where it counts with its bytes swapped (RFC 1071 §2 B).
      const odd = ((option - at) & 1) !== 0;
      patchTcp(mem, at, odd ? swapBytes(was) : was, odd ? swapBytes(max) : max);
      putU16(mem, option + 2, max);
      lowered = true;
    }
    option = findMssOption(mem, option + MSS_LEN, end);
  }
  return lowered;
}

function swapBytes(word: number): number {
  return ((word & 0xff) << 8) | (word >>> 8);
}

/** Whether every option in `mem[at..end)` lies inside and an MSS has its four bytes. */
function optionsOk(mem: Uint8Array, at: number, end: number): boolean {
  while (at < end && mem[at] !== OPTION_END) {
    if (mem[at] === OPTION_NOP) {
      at++;
      continue;
    }
    if (at + 1 >= end) return false;
    const len = mem[at + 1];
    if (len < 2 || len > end - at) return false;
    if (mem[at] === OPTION_MSS && len !== MSS_LEN) return false;
    at += len;
  }
  return true;
}

/** Position of the first MSS option at or after `at` in a well-formed list, or -1. */
function findMssOption(mem: Uint8Array, at: number, end: number): number {
  while (at < end && mem[at] !== OPTION_END) {
    if (mem[at] === OPTION_MSS) return at;
    at += mem[at] === OPTION_NOP ? 1 : mem[at + 1];
  }
  return -1;
}

/** Write a header with checksum 0 at `at`, with an MSS option unless `mss` is 0; returns its length, 20 or 24. */
export function writeTcp(
  mem: Uint8Array, at: number, srcPort: number, dstPort: number,
  seq: number, ack: number, flags: number, window: number, mss: number,
): number {
  const headerLen = mss === 0 ? TCP_MIN_LEN : TCP_MIN_LEN + MSS_LEN;
  putU16(mem, at + TCP_SRC_PORT, srcPort);
  putU16(mem, at + TCP_DST_PORT, dstPort);
  putU32(mem, at + SEQ, seq);
  putU32(mem, at + ACK, ack);
  mem[at + TCP_OFFSET_FLAGS] = headerLen << 2;
  mem[at + FLAGS] = flags;
  putU16(mem, at + WINDOW, window);
  putU16(mem, at + TCP_CHECKSUM, 0);
  putU16(mem, at + URGENT, 0);
  if (mss !== 0) {
    mem[at + TCP_MIN_LEN] = OPTION_MSS;
    mem[at + TCP_MIN_LEN + 1] = MSS_LEN;
    putU16(mem, at + TCP_MIN_LEN + 2, mss);
  }
  return headerLen;
}

/** Fill the checksum of the segment `mem[at..end)` between two IPv4 addresses. */
export function fillTcpChecksum4(mem: Uint8Array, at: number, end: number, src: number, dst: number): void {
  putU16(mem, at + TCP_CHECKSUM, 0);
  putU16(mem, at + TCP_CHECKSUM, checksum(mem, at, end, pseudoSum4(src, dst, IpProtocol.tcp, end - at)));
}

/** Fill the checksum of the segment `mem[at..end)` under the IPv6 header at `ipAt`. */
export function fillTcpChecksum6(mem: Uint8Array, at: number, end: number, ipAt: number): void {
  putU16(mem, at + TCP_CHECKSUM, 0);
  putU16(mem, at + TCP_CHECKSUM, checksum(mem, at, end, pseudoSum6(mem, ipAt, IpProtocol.tcp, end - at)));
}

export function tcpChecksumOk4(mem: Uint8Array, at: number, end: number, src: number, dst: number): boolean {
  return addSum(sum16(mem, at, end), pseudoSum4(src, dst, IpProtocol.tcp, end - at)) === 0xffff;
}

export function tcpChecksumOk6(mem: Uint8Array, at: number, end: number, ipAt: number): boolean {
  return addSum(sum16(mem, at, end), pseudoSum6(mem, ipAt, IpProtocol.tcp, end - at)) === 0xffff;
}
