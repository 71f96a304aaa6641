/**
 * IPv6 header and its chain of extension headers: RFC 8200 §3, §4.
 *
 *   |Version| Traffic Class |           Flow Label          |
 *   |       Payload Length          |  Next Header  |Hop Lim|
 *   |               Source Address, 16 bytes                |
 *   |             Destination Address, 16 bytes             |
 *
 * Fragment header:
 *
 *   |  Next Header  |   Reserved    |  Offset, 8 bytes  |0 0|M|
 *   |                     Identification                      |
 */
import { copyBytes, putU16, putU32, u16, u32 } from './bytes.js';
import { Fault } from './faults.js';
import { IpProtocol } from './ip-protocol.js';

const VERSION = 0; // high four bits
const PAYLOAD_LEN = 4; // u16, without this header
const NEXT_HEADER = 6; // u8
const HOP_LIMIT = 7; // u8
export const IPV6_SRC = 8;
export const IPV6_DST = 24;
export const IPV6_LEN = 40;

const FRAGMENT_OFFSET = 2; // u16 of the fragment header
const FRAGMENT_ID = 4; // u32
export const IPV6_FRAGMENT_LEN = 8;
const OFFSET = 0xfff8; // bytes as it stands: the field is in units of 8 and starts at bit 3
const MORE_FRAGMENTS = 0x0001;
const ROUTING_TYPE = 2; // u8 of a routing header

const MIN_EXTENSION_LEN = 8;
const MAX_EXTENSIONS = 8; // our caps (RFC 8504 §5.3 allows them): no honest packet comes near, and a walk must end
const MAX_CHAIN_LEN = 256;

/** What `parseIpv6` found. Make one per worker and hand it to every call. */
export class Ipv6View {
  /** Number of the first header that is not an extension header: a transport, 50 (ESP), 59 (none) or one we do not know. */
  protocol = 0;
  /** Position of that header's first byte; of the first payload byte in a later fragment. */
  transportAt = 0;
  /** Position of the fragment header, or -1 without one. */
  fragmentAt = -1;
  /** Where this fragment belongs in the datagram's fragmentable part, in bytes. */
  fragmentOffset = 0;
  moreFragments = false;
  fragmentId = 0;
}

/**
 * Read the header at `at` and walk its extension headers; the packet, as long as its payload length says, must finish
 * by `end`. Returns 0 and fills `out`, or returns a `Fault` and leaves `out` meaningless.
 * In a fragment other than the first the walk stops after the fragment header: what follows is a piece of something.
 * A first fragment must hold the whole chain (RFC 7112 §5). Jumbograms (RFC 2675) are refused.
 */
export function parseIpv6(mem: Uint8Array, at: number, end: number, out: Ipv6View): number {
  if (end - at < IPV6_LEN) return Fault.ipv6_truncated;
  if (mem[at + VERSION] >>> 4 !== 6) return Fault.ipv6_version;
  const payloadLen = ipv6PayloadLen(mem, at);
  if (payloadLen > end - at - IPV6_LEN) return Fault.ipv6_payload_length;
  if (payloadLen === 0 && ipv6NextHeader(mem, at) === IpProtocol.hopByHop) return Fault.ipv6_payload_length;
  return walkExtensions(mem, at, at + IPV6_LEN + payloadLen, out);
}

/** As `parseIpv6`, for the packet quoted in an ICMPv6 error, which may be cut anywhere behind its fixed header (RFC 4443 §2.4). */
export function parseQuotedIpv6(mem: Uint8Array, at: number, end: number, out: Ipv6View): number {
  if (end - at < IPV6_LEN) return Fault.ipv6_truncated;
  if (mem[at + VERSION] >>> 4 !== 6) return Fault.ipv6_version;
  return walkExtensions(mem, at, Math.min(end, at + IPV6_LEN + ipv6PayloadLen(mem, at)), out);
}

/** Walk from the fixed header at `at` to the transport header; `end` is the end of the packet. */
function walkExtensions(mem: Uint8Array, at: number, end: number, out: Ipv6View): number {
  out.fragmentAt = -1;
  out.fragmentOffset = 0;
  out.moreFragments = false;
  out.fragmentId = 0;

  const chainAt = at + IPV6_LEN;
  let next = chainAt;
  let type = ipv6NextHeader(mem, at);
  for (let seen = 0; isExtension(type); seen++) {
    if (seen === MAX_EXTENSIONS) return Fault.ipv6_extension_chain;
    if (type === IpProtocol.hopByHop && seen !== 0) return Fault.ipv6_extension_chain; // RFC 8200 §4.1
    if (end - next < MIN_EXTENSION_LEN) return Fault.ipv6_extension_truncated;
    const len = extensionLen(mem, next, type);
    if (len > end - next) return Fault.ipv6_extension_truncated;
    if (next + len - chainAt > MAX_CHAIN_LEN) return Fault.ipv6_extension_chain;
    if (type === IpProtocol.routing && mem[next + ROUTING_TYPE] === 0) return Fault.ipv6_routing_type0;
    if (type === IpProtocol.fragment) {
      if (out.fragmentAt >= 0) return Fault.ipv6_extension_chain; // a fragment of a fragment: only ever an evasion
      const word = u16(mem, next + FRAGMENT_OFFSET);
      out.fragmentAt = next;
      out.fragmentOffset = word & OFFSET;
      out.moreFragments = (word & MORE_FRAGMENTS) !== 0;
      out.fragmentId = u32(mem, next + FRAGMENT_ID);
    }
    type = mem[next];
    next += len;
    if (out.fragmentOffset !== 0) break;
  }
  out.protocol = type;
  out.transportAt = next;
  return 0;
}

/** Headers whose length we can tell and step over; ESP is not one, it is opaque from its first byte. */
function isExtension(type: number): boolean {
  switch (type) {
    case IpProtocol.hopByHop:
    case IpProtocol.routing:
    case IpProtocol.fragment:
    case IpProtocol.ah:
    case IpProtocol.destinationOptions:
    case IpProtocol.mobility:
    case IpProtocol.hip:
    case IpProtocol.shim6:
      return true;
    default:
      return false;
  }
}

/** Bytes in the extension header at `at`. AH counts in units of 4 less 2 (RFC 4302 §2.2), the rest in units of 8 less 1. */
function extensionLen(mem: Uint8Array, at: number, type: number): number {
  if (type === IpProtocol.fragment) return IPV6_FRAGMENT_LEN;
  return type === IpProtocol.ah ? (mem[at + 1] + 2) << 2 : (mem[at + 1] + 1) << 3;
}

export function ipv6TrafficClass(mem: Uint8Array, at: number): number {
  return (u16(mem, at) >>> 4) & 0xff;
}

/** Extension headers and transport, in bytes. */
export function ipv6PayloadLen(mem: Uint8Array, at: number): number {
  return u16(mem, at + PAYLOAD_LEN);
}

/** Of the fixed header; `parseIpv6` tells the transport. */
export function ipv6NextHeader(mem: Uint8Array, at: number): number {
  return mem[at + NEXT_HEADER];
}

export function ipv6HopLimit(mem: Uint8Array, at: number): number {
  return mem[at + HOP_LIMIT];
}

/** No checksum covers the hop limit. */
export function setIpv6HopLimit(mem: Uint8Array, at: number, hopLimit: number): void {
  mem[at + HOP_LIMIT] = hopLimit;
}

/** A transport checksum covers its own length, not this one, so nothing else changes. */
export function setIpv6PayloadLen(mem: Uint8Array, at: number, payloadLen: number): void {
  putU16(mem, at + PAYLOAD_LEN, payloadLen);
}

/**
 * Write a fixed header, traffic class and flow label 0, at `at`; returns its length, 40.
 * The addresses may lie in the same array, outside the new header.
 */
export function writeIpv6(
  mem: Uint8Array, at: number, payloadLen: number, nextHeader: number, hopLimit: number,
  srcMem: Uint8Array, srcAt: number, dstMem: Uint8Array, dstAt: number,
): number {
  putU32(mem, at + VERSION, 0x60000000);
  putU16(mem, at + PAYLOAD_LEN, payloadLen);
  mem[at + NEXT_HEADER] = nextHeader;
  mem[at + HOP_LIMIT] = hopLimit;
  copyBytes(mem, at + IPV6_SRC, srcMem, srcAt, 16);
  copyBytes(mem, at + IPV6_DST, dstMem, dstAt, 16);
  return IPV6_LEN;
}

/** ff00::/8. */
export function isIpv6Multicast(mem: Uint8Array, at: number): boolean {
  return mem[at] === 0xff;
}

/** fe80::/10. */
export function isIpv6LinkLocal(mem: Uint8Array, at: number): boolean {
  return (u16(mem, at) & 0xffc0) === 0xfe80;
}

export function isIpv6Unspecified(mem: Uint8Array, at: number): boolean {
  return (u32(mem, at) | u32(mem, at + 4) | u32(mem, at + 8) | u32(mem, at + 12)) === 0;
}

/**
 * Addresses no unicast sender can have: multicast, ::, ::1, the rest of ::/96 and the IPv4-mapped ones (RFC 4291 §2.5, §2.7).
 * `::` is a good source for duplicate-address detection alone; who serves that asks before.
 */
export function badIpv6Source(mem: Uint8Array, at: number): boolean {
  if (isIpv6Multicast(mem, at)) return true;
  if ((u32(mem, at) | u32(mem, at + 4)) !== 0) return false;
  const word = u32(mem, at + 8);
  return word === 0 || word === 0xffff;
}

/** Addresses nothing may be sent to: ::, ::1 and the IPv4-mapped ones. */
export function badIpv6Destination(mem: Uint8Array, at: number): boolean {
  if ((u32(mem, at) | u32(mem, at + 4)) !== 0) return false;
  const word = u32(mem, at + 8);
  return word === 0xffff || (word === 0 && u32(mem, at + 12) <= 1);
}
