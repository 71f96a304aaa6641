/**
 * UDP header: RFC 768.
 *
 *   |      Source Port      |   Destination Port    |
 *   |        Length         |       Checksum        |
 *
 * Over IPv4 a checksum of 0 means that there is none, so a computed 0 is sent as ffff.
 */
import { putU16, u16 } from './bytes.js';
import { addSum, checksum, patchChecksum, patchChecksum32, pseudoSum4, pseudoSum6, sum16 } from './checksum.js';
import { Fault } from './faults.js';
import { IpProtocol } from './ip-protocol.js';

export const UDP_SRC_PORT = 0; // u16
export const UDP_DST_PORT = 2; // u16
export const UDP_LENGTH = 4; // u16
export const UDP_CHECKSUM = 6; // u16
export const UDP_LEN = 8;

/** Check the header at `at` of a datagram that must finish by `end`. Returns 0 or a `Fault`. */
export function checkUdp(mem: Uint8Array, at: number, end: number): number {
  const fault = checkUdpFragment(mem, at, end);
  if (fault !== 0) return fault;
  return udpLen(mem, at) > end - at ? Fault.udp_length : 0;
}

/** As `checkUdp`, for a first fragment or a quoted packet, where the rest of the datagram is elsewhere. */
export function checkUdpFragment(mem: Uint8Array, at: number, end: number): number {
  if (end - at < UDP_LEN) return Fault.udp_truncated;
  return udpLen(mem, at) < UDP_LEN ? Fault.udp_length : 0;
}

export function udpSrcPort(mem: Uint8Array, at: number): number {
  return u16(mem, at + UDP_SRC_PORT);
}

export function udpDstPort(mem: Uint8Array, at: number): number {
  return u16(mem, at + UDP_DST_PORT);
}

/** Header and payload, in bytes. */
export function udpLen(mem: Uint8Array, at: number): number {
  return u16(mem, at + UDP_LENGTH);
}

export function udpChecksum(mem: Uint8Array, at: number): number {
  return u16(mem, at + UDP_CHECKSUM);
}

export function setUdpSrcPort(mem: Uint8Array, at: number, port: number): void {
  patchUdp(mem, at, udpSrcPort(mem, at), port);
  putU16(mem, at + UDP_SRC_PORT, port);
}

export function setUdpDstPort(mem: Uint8Array, at: number, port: number): void {
  patchUdp(mem, at, udpDstPort(mem, at), port);
  putU16(mem, at + UDP_DST_PORT, port);
}

/** Bring the checksum up to date after a covered word changed, here or in the pseudo-header. No checksum stays none. */
export function patchUdp(mem: Uint8Array, at: number, was: number, is: number): void {
  const hc = udpChecksum(mem, at);
  if (hc !== 0) putSum(mem, at, patchChecksum(hc, was, is));
}

/** As `patchUdp`, for 32 bits: an address of the pseudo-header. */
export function patchUdp32(mem: Uint8Array, at: number, was: number, is: number): void {
  const hc = udpChecksum(mem, at);
  if (hc !== 0) putSum(mem, at, patchChecksum32(hc, was, is));
}

/** Store a checksum that exists; 0 would say that it does not. */
function putSum(mem: Uint8Array, at: number, sum: number): void {
  putU16(mem, at + UDP_CHECKSUM, sum === 0 ? 0xffff : sum);
}

/** Write a header with checksum 0 at `at`; returns its length, 8. `len` counts header and payload. */
export function writeUdp(mem: Uint8Array, at: number, srcPort: number, dstPort: number, len: number): number {
  putU16(mem, at + UDP_SRC_PORT, srcPort);
  putU16(mem, at + UDP_DST_PORT, dstPort);
  putU16(mem, at + UDP_LENGTH, len);
  putU16(mem, at + UDP_CHECKSUM, 0);
  return UDP_LEN;
}

/** Fill the checksum of a whole datagram between two IPv4 addresses. */
export function fillUdpChecksum4(mem: Uint8Array, at: number, src: number, dst: number): void {
  const len = udpLen(mem, at);
  putU16(mem, at + UDP_CHECKSUM, 0);
  putSum(mem, at, checksum(mem, at, at + len, pseudoSum4(src, dst, IpProtocol.udp, len)));
}

/** Fill the checksum of a whole datagram under the IPv6 header at `ipAt`. */
export function fillUdpChecksum6(mem: Uint8Array, at: number, ipAt: number): void {
  const len = udpLen(mem, at);
  putU16(mem, at + UDP_CHECKSUM, 0);
  putSum(mem, at, checksum(mem, at, at + len, pseudoSum6(mem, ipAt, IpProtocol.udp, len)));
}

/** Whether the checksum of a checked datagram is right, or absent. */
export function udpChecksumOk4(mem: Uint8Array, at: number, src: number, dst: number): boolean {
  if (udpChecksum(mem, at) === 0) return true;
  const len = udpLen(mem, at);
  return addSum(sum16(mem, at, at + len), pseudoSum4(src, dst, IpProtocol.udp, len)) === 0xffff;
}

/** Whether the checksum of a checked datagram is right; over IPv6 it must be there (RFC 8200 §8.1). */
export function udpChecksumOk6(mem: Uint8Array, at: number, ipAt: number): boolean {
  if (udpChecksum(mem, at) === 0) return false;
  const len = udpLen(mem, at);
  return addSum(sum16(mem, at, at + len), pseudoSum6(mem, ipAt, IpProtocol.udp, len)) === 0xffff;
}
