/**
 * Ethernet II header (IEEE 802.3), without preamble and FCS, which a tunnel does not carry.
 *
 *   |      Destination MAC, 6 bytes     |        Source MAC, 6 bytes        |  EtherType  |
 *   |  (before the EtherType, per tag: TPID 8100, 88a8 or 9100 | PCP, DEI, 12-bit VLAN id) |
 */
import { macHigh, macLow, putMac, putU16, u16 } from './bytes.js';
import { Fault } from './faults.js';

export const ETHERNET_DST = 0;
export const ETHERNET_SRC = 6;
const TYPE = 12;
export const ETHERNET_LEN = 14;
const TAG_LEN = 4;
const MAX_TAGS = 4; // two are common, four are generous; more is somebody probing
const GROUP_BIT = 0x0100; // of a MAC's high 16 bits: the first bit on the wire, least significant of byte 0

export const EtherType = {
  ipv4: 0x0800,
  arp: 0x0806,
  teb: 0x6558, // transparent Ethernet bridging: what NVGRE carries
  vlan: 0x8100,
  ipv6: 0x86dd,
  qinq: 0x88a8,
  qinqOld: 0x9100, // never assigned, yet sent by older switches
} as const;

/** The EtherType of an untagged frame; below 0600 it is an 802.3 length. */
export function etherType(mem: Uint8Array, at: number): number {
  return u16(mem, at + TYPE);
}

export function isGroupMac(high: number): boolean {
  return (high & GROUP_BIT) !== 0;
}

/** Whether this EtherType announces a VLAN tag. */
export function isTag(type: number): boolean {
  return type === EtherType.vlan || type === EtherType.qinq || type === EtherType.qinqOld;
}

/**
 * Check the header of an inner frame: all there, from one real sender, and untagged
 * (RFC 7637 §3.3 and RFC 7348 §6.1: a tagged inner frame is dropped). Frames below 60 bytes are
 * fine: nobody pads inside a tunnel. Returns 0 or a `Fault`.
 */
export function checkEthernet(mem: Uint8Array, at: number, end: number): number {
  if (end - at < ETHERNET_LEN) return Fault.ethernet_truncated;
  if (isTag(etherType(mem, at))) return Fault.ethernet_tagged;
  const high = macHigh(mem, at + ETHERNET_SRC);
  if (isGroupMac(high)) return Fault.ethernet_source;
  if (high === 0 && macLow(mem, at + ETHERNET_SRC) === 0) return Fault.ethernet_source;
  return 0;
}

/** What `parseEthernet` found. Make one and hand it to every call. */
export class EthernetView {
  /** Bytes from the destination MAC to the first payload byte: 14 and four per tag. */
  headerLen = 0;
  /** EtherType behind the tags; still a tag's when there are more than four. */
  type = 0;
  /** VLAN id of the outermost tag, or -1 without one. */
  vlan = -1;
}

/** Read the header of an outer frame, as captures hold it, stepping over up to four tags. Returns 0 or ethernet_truncated. */
export function parseEthernet(mem: Uint8Array, at: number, end: number, out: EthernetView): number {
  if (end - at < ETHERNET_LEN) return Fault.ethernet_truncated;
  let next = at + ETHERNET_LEN;
  let type = etherType(mem, at);
  let vlan = -1;
  for (let tags = 0; tags < MAX_TAGS && isTag(type); tags++) {
    if (end - next < TAG_LEN) return Fault.ethernet_truncated;
    if (vlan < 0) vlan = u16(mem, next) & 0x0fff;
    type = u16(mem, next + 2);
    next += TAG_LEN;
  }
  out.headerLen = next - at;
  out.type = type;
  out.vlan = vlan;
  return 0;
}

/** Write an untagged header at `at`; returns its length, 14. */
export function writeEthernet(
  mem: Uint8Array, at: number, dstHigh: number, dstLow: number, srcHigh: number, srcLow: number, type: number,
): number {
  putMac(mem, at + ETHERNET_DST, dstHigh, dstLow);
  putMac(mem, at + ETHERNET_SRC, srcHigh, srcLow);
  putU16(mem, at + TYPE, type);
  return ETHERNET_LEN;
}
