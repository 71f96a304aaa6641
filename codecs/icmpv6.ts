/**
 * ICMPv6 (RFC 4443) and the Neighbor Discovery messages in it (RFC 4861 §4).
 *
 *   |     Type      |     Code      |           Checksum            |
 *   |   identifier and sequence, MTU, pointer, flags or unused      |
 *   |        Target Address, 16 bytes (137: Destination too)        |   neighbor solicitation, advertisement
 *   |     Type      | Length, 8 B   |            Value ...          |   options
 *
 * The checksum covers the pseudo-header, so most functions take the position of the IPv6 header too.
 */
import { copyBytes, putMac, putU16, putU32, u16, u32 } from './bytes.js';
import { addSum, checksum, patchChecksum, pseudoSum6, sum16 } from './checksum.js';
import { Fault } from './faults.js';
import { IpProtocol } from './ip-protocol.js';
import { IPV6_DST, IPV6_SRC, isIpv6LinkLocal, isIpv6Multicast, isIpv6Unspecified } from './ipv6.js';

const TYPE = 0; // u8
const CODE = 1; // u8
const CHECKSUM = 2; // u16
const REST = 4; // u32
const ID = 4; // u16, in echoes
const QUOTE_UNITS = 4; // u8, in errors 1 and 3: length of the quote in units of 8 bytes (RFC 4884 §4)
const SEQ = 6; // u16, in echoes
export const ICMPV6_LEN = 8;
export const ND_TARGET = 8; // 16 bytes, in solicitation, advertisement and redirect
export const ND_OPTIONS = 24; // where the options of solicitation and advertisement begin
const LINK_OPTION_LEN = 8; // type, length, MAC
const MIN_QUOTE_LEN = 128;

export const Icmpv6Type = {
  unreachable: 1,
  packetTooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echo: 128,
  echoReply: 129,
  routerSolicit: 133,
  routerAdvert: 134,
  neighborSolicit: 135,
  neighborAdvert: 136,
  redirect: 137,
} as const;

export const NdOption = { sourceLink: 1, targetLink: 2, prefix: 3, redirected: 4, mtu: 5 } as const;

/** Flags of a neighbor advertisement (RFC 4861 §4.4), in the first of its four flag bytes. */
export const NaFlag = { router: 0x80, solicited: 0x40, override: 0x20 } as const;

/** Check the whole message `mem[at..end)` under the IPv6 header at `ipAt`, checksum included. Returns 0 or a `Fault`. */
export function checkIcmpv6(mem: Uint8Array, at: number, end: number, ipAt: number): number {
  if (end - at < ICMPV6_LEN) return Fault.icmpv6_truncated;
  const sum = addSum(sum16(mem, at, end), pseudoSum6(mem, ipAt, IpProtocol.icmpv6, end - at));
  return sum === 0xffff ? 0 : Fault.icmpv6_checksum;
}

/** As `checkIcmpv6`, for a first fragment or a quoted packet, where the checksum covers bytes that are elsewhere. */
export function checkIcmpv6Len(_mem: Uint8Array, at: number, end: number): number {
  return end - at < ICMPV6_LEN ? Fault.icmpv6_truncated : 0;
}

export function icmpv6Type(mem: Uint8Array, at: number): number {
  return mem[at + TYPE];
}

export function icmpv6Code(mem: Uint8Array, at: number): number {
  return mem[at + CODE];
}

export function icmpv6Checksum(mem: Uint8Array, at: number): number {
  return u16(mem, at + CHECKSUM);
}

/** Of an echo. */
export function icmpv6Id(mem: Uint8Array, at: number): number {
  return u16(mem, at + ID);
}

/** Of an echo. */
export function icmpv6Seq(mem: Uint8Array, at: number): number {
  return u16(mem, at + SEQ);
}

/** Patches the checksum; swapping the two addresses, as an echo reply does, leaves it as it is. */
export function setIcmpv6Type(mem: Uint8Array, at: number, type: number): void {
  const code = icmpv6Code(mem, at);
  putU16(mem, at + CHECKSUM, patchChecksum(icmpv6Checksum(mem, at), icmpv6Type(mem, at) << 8 | code, type << 8 | code));
  mem[at + TYPE] = type;
}

/** The high bit of the type tells (RFC 4443 §2.1), so that errors not yet invented count too. */
export function isIcmpv6Error(type: number): boolean {
  return type < 128;
}

/** Where the datagram quoted by the error at `at` ends; see `icmpQuoteEnd`. Types 2 and 4 have no length to give. */
export function icmpv6QuoteEnd(mem: Uint8Array, at: number, end: number): number {
  const type = icmpv6Type(mem, at);
  if (type !== Icmpv6Type.unreachable && type !== Icmpv6Type.timeExceeded) return end;
  const len = mem[at + QUOTE_UNITS] << 3;
  return len < MIN_QUOTE_LEN || len > end - at - ICMPV6_LEN ? end : at + ICMPV6_LEN + len;
}

/** Write the first eight bytes with checksum 0 at `at`; returns 8. `rest32` is id and sequence, MTU or pointer, as the type has it. */
export function writeIcmpv6Header(mem: Uint8Array, at: number, type: number, code: number, rest32: number): number {
  mem[at + TYPE] = type;
  mem[at + CODE] = code;
  putU16(mem, at + CHECKSUM, 0);
  putU32(mem, at + REST, rest32);
  return ICMPV6_LEN;
}

/** Fill the checksum of the whole message `mem[at..end)` under the IPv6 header at `ipAt`. */
export function fillIcmpv6Checksum(mem: Uint8Array, at: number, end: number, ipAt: number): void {
  putU16(mem, at + CHECKSUM, 0);
  putU16(mem, at + CHECKSUM, checksum(mem, at, end, pseudoSum6(mem, ipAt, IpProtocol.icmpv6, end - at)));
}

/**
 * Check a Neighbor Discovery message, types 133 to 137, whose ICMPv6 checksum is right (RFC 4861 §6.1, §7.1, §8.1):
 * hop limit 255, so no router has touched it; code 0; long enough for its type; a target that is not a group;
 * options that fit, none of length 0. The rules about the addresses outside are `checkNdAddresses`'s.
 */
export function checkNd(mem: Uint8Array, at: number, end: number, hopLimit: number): number {
  if (end - at < ICMPV6_LEN) return Fault.icmpv6_truncated;
  const options = at + ndOptionsOffset(icmpv6Type(mem, at));
  if (options > end) return Fault.icmpv6_truncated;
  if (hopLimit !== 255 || icmpv6Code(mem, at) !== 0) return Fault.nd_malformed;
  if (hasTarget(icmpv6Type(mem, at)) && isIpv6Multicast(mem, at + ND_TARGET)) return Fault.nd_malformed;
  for (let option = options; option < end; ) {
    if (end - option < 2) return Fault.nd_malformed;
    const len = mem[option + 1] << 3;
    if (len === 0 || len > end - option) return Fault.nd_malformed;
    option += len;
  }
  return 0;
}

/**
 * Check the IPv6 addresses around a Neighbor Discovery message that `checkNd` passed. A solicitation from `::` asks
 * whether an address is free: it goes to a solicited-node group and names no link address (RFC 4861 §7.1.1). An advertisement
 * to a group is not solicited (§7.1.2). Advertisements and redirects of routers come from link-local addresses (§6.1.2, §8.1).
 */
export function checkNdAddresses(mem: Uint8Array, at: number, end: number, ipAt: number): number {
  const type = icmpv6Type(mem, at);
  const fromNobody = isIpv6Unspecified(mem, ipAt + IPV6_SRC);
  const hasSourceLink = findNdOption(mem, at, end, NdOption.sourceLink) >= 0;
  let ok = true;
  if (type === Icmpv6Type.neighborSolicit && fromNobody) ok = isSolicitedNode(mem, ipAt + IPV6_DST) && !hasSourceLink;
  if (type === Icmpv6Type.routerSolicit && fromNobody) ok = !hasSourceLink; // RFC 4861 §6.1.1
  if (type === Icmpv6Type.neighborAdvert && isIpv6Multicast(mem, ipAt + IPV6_DST)) ok = (mem[at + REST] & NaFlag.solicited) === 0;
  if (type === Icmpv6Type.routerAdvert || type === Icmpv6Type.redirect) ok = isIpv6LinkLocal(mem, ipAt + IPV6_SRC);
  return ok ? 0 : Fault.nd_malformed;
}

/** Position of the first option of this type in a checked message, or -1. */
export function findNdOption(mem: Uint8Array, at: number, end: number, type: number): number {
  let option = at + ndOptionsOffset(icmpv6Type(mem, at));
  while (option < end) {
    if (mem[option] === type) return option;
    option += mem[option + 1] << 3;
  }
  return -1;
}

/** Bytes before the options, by message type (RFC 4861 §4.1 to §4.5). */
function ndOptionsOffset(type: number): number {
  switch (type) {
    case Icmpv6Type.routerAdvert: return 16;
    case Icmpv6Type.neighborSolicit: return ND_OPTIONS;
    case Icmpv6Type.neighborAdvert: return ND_OPTIONS;
    case Icmpv6Type.redirect: return 40;
    default: return ICMPV6_LEN;
  }
}

function hasTarget(type: number): boolean {
  return type === Icmpv6Type.neighborSolicit || type === Icmpv6Type.neighborAdvert || type === Icmpv6Type.redirect;
}

/** ff02::1:ff00:0/104 (RFC 4291 §2.7.1). */
function isSolicitedNode(mem: Uint8Array, at: number): boolean {
  return u32(mem, at) === 0xff020000 && u32(mem, at + 4) === 0 && u32(mem, at + 8) === 1 && mem[at + 12] === 0xff;
}

/**
 * Write a neighbor advertisement with the target's MAC, checksum 0, at `at`; returns its length, 32. `flags` are `NaFlag` bits.
 * The target may be read from the very solicitation that is being overwritten.
 */
export function writeNeighborAdvert(
  mem: Uint8Array, at: number, targetMem: Uint8Array, targetAt: number, flags: number, macHigh: number, macLow: number,
): number {
  return writeNeighbor(mem, at, Icmpv6Type.neighborAdvert, flags, targetMem, targetAt, NdOption.targetLink, macHigh, macLow);
}

/** Write a neighbor solicitation with the asker's MAC, checksum 0, at `at`; returns its length, 32. */
export function writeNeighborSolicit(
  mem: Uint8Array, at: number, targetMem: Uint8Array, targetAt: number, macHigh: number, macLow: number,
): number {
  return writeNeighbor(mem, at, Icmpv6Type.neighborSolicit, 0, targetMem, targetAt, NdOption.sourceLink, macHigh, macLow);
}

function writeNeighbor(
  mem: Uint8Array, at: number, type: number, flags: number,
  targetMem: Uint8Array, targetAt: number, option: number, macHigh: number, macLow: number,
): number {
  copyBytes(mem, at + ND_TARGET, targetMem, targetAt, 16); // first: the rest may land on it
  writeIcmpv6Header(mem, at, type, 0, flags << 24);
  mem[at + ND_OPTIONS] = option;
  mem[at + ND_OPTIONS + 1] = LINK_OPTION_LEN >>> 3;
  putMac(mem, at + ND_OPTIONS + 2, macHigh, macLow);
  return ND_OPTIONS + LINK_OPTION_LEN;
}
