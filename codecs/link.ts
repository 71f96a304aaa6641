/**
 * Link headers of captures, down to the network header.
 *
 *   Ethernet (1)       | destination 6 | source 6 | EtherType 2 |, then up to four VLAN tags
 *   NULL (0)           | address family 4, in the order of the machine that wrote it |
 *   LOOP (108)         | address family 4 |
 *   RAW (12, 14, 101, 228, 229) nothing
 *   Linux SLL (113)    | packet type 2 | ARPHRD 2 | address length 2 | address 8 | EtherType 2 |
 *   Linux SLL2 (276)   | EtherType 2 | 0 2 | interface 4 | ARPHRD 2 | packet type 1 | address length 1 | address 8 |
 */
import { get32 } from './byte-order.js';
import { u16 } from './bytes.js';
import { EtherType, isTag } from './ethernet.js';
import { Fault } from './faults.js';

/** The link types `parseLink` reads, numbered as in tcpdump.org/linktypes.html. */
export const LinkType = {
  null: 0, // BSD loopback
  ethernet: 1,
  bsdRaw: 12, // DLT_RAW as most systems number it, and 14 as OpenBSD does: never link types, and in files all the same
  openbsdRaw: 14,
  raw: 101,
  loop: 108, // OpenBSD loopback
  linuxSll: 113,
  ipv4: 228,
  ipv6: 229,
  linuxSll2: 276,
} as const;

const ETHERNET = { type: 12, len: 14 } as const;
const SLL = { type: 14, len: 16 } as const;
const SLL2 = { type: 0, len: 20 } as const;
const FAMILY_LEN = 4;
const TAG_LEN = 4;
const MAX_TAGS = 4;
const VLAN_ID = 0x0fff;

const AF_INET = 2; // the one family that all systems number alike
const AF_INET6: readonly number[] = [24, 28, 30, 10, 23]; // NetBSD and OpenBSD, FreeBSD, macOS, Linux, Windows

/** What `parseLink` found. Make one and hand it to every call. */
export class LinkView {
  /** Position of the network header. */
  networkAt = 0;
  /** Of the network header: 0x0800 and 0x86dd are IP; 0 where the link names something that has no EtherType. */
  etherType = 0;
  /** Id in the outermost VLAN tag, or -1. */
  vlan = -1;
}

/**
 * Read the link header of the captured bytes `mem[at..end)`.
 * Returns 0 and fills `out`, or returns a `Fault` and leaves `out` meaningless. Never throws.
 * Says nothing of what follows the link header, which may be cut or empty.
 */
export function parseLink(mem: Uint8Array, at: number, end: number, linkType: number, out: LinkView): number {
  out.vlan = -1;
  switch (linkType) {
    case LinkType.ethernet: return parseTyped(mem, at, end, ETHERNET, out);
    case LinkType.linuxSll: return parseTyped(mem, at, end, SLL, out);
    case LinkType.linuxSll2: return parseTyped(mem, at, end, SLL2, out);
    case LinkType.null: return parseFamily(mem, at, end, false, out);
    case LinkType.loop: return parseFamily(mem, at, end, true, out);
    case LinkType.bsdRaw: case LinkType.openbsdRaw: case LinkType.raw: return parseRaw(mem, at, end, out);
    case LinkType.ipv4: return found(out, at, EtherType.ipv4);
    case LinkType.ipv6: return found(out, at, EtherType.ipv6);
    default: return Fault.link_unsupported;
  }
}

function found(out: LinkView, networkAt: number, etherType: number): number {
  out.networkAt = networkAt;
  out.etherType = etherType;
  return 0;
}

/** A header that holds an EtherType. Linux leaves VLAN tags behind the SLL headers too. */
function parseTyped(mem: Uint8Array, at: number, end: number, header: { type: number; len: number }, out: LinkView): number {
  if (end - at < header.len) return Fault.link_truncated;
  let type = u16(mem, at + header.type);
  let next = at + header.len;
  for (let tags = 0; tags < MAX_TAGS && isTag(type); tags++) {
    if (end - next < TAG_LEN) return Fault.link_truncated;
    if (tags === 0) out.vlan = u16(mem, next) & VLAN_ID;
    type = u16(mem, next + 2);
    next += TAG_LEN;
  }
  return found(out, next, type);
}

/** A family is a small number, so in NULL the order that makes it small is the writer's. */
function parseFamily(mem: Uint8Array, at: number, end: number, big: boolean, out: LinkView): number {
  if (end - at < FAMILY_LEN) return Fault.link_truncated;
  let family = get32(mem, at, !big);
  if (!big && family > 0xffff) family = get32(mem, at, false);
  if (family === AF_INET) return found(out, at + FAMILY_LEN, EtherType.ipv4);
  return found(out, at + FAMILY_LEN, AF_INET6.includes(family) ? EtherType.ipv6 : 0);
}

/** The version nibble tells which IP it is. */
function parseRaw(mem: Uint8Array, at: number, end: number, out: LinkView): number {
  if (end === at) return Fault.link_truncated;
  const version = mem[at] >>> 4;
  if (version === 4) return found(out, at, EtherType.ipv4);
  return found(out, at, version === 6 ? EtherType.ipv6 : 0);
}
