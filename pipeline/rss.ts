/**
 * Receive-side scaling as a NIC does it: the Toeplitz hash of the inner flow, after Microsoft's specification ("RSS
 * Hashing Types" and "Verifying the RSS Hash Calculation" in the Windows driver documentation).
 *
 *   IPv4  | source | destination |                  8 bytes hashed, 12 with the ports of TCP or UDP
 *   IPv6  | source | destination |                  32 bytes, or 36
 *
 * For every bit of the input that is 1, the 32 bits of the key that begin at that bit's position are added (XOR). A
 * fragment, the first one too, counts without ports, so that all of a datagram go one way.
 *
 * Tenants' addresses overlap, and then so do their flows' hashes. So the VSID, or the GRE key of an uplink's or site's
 * packet, is mixed in, behind the Toeplitz hash: without one, or with 0, the hash is the specification's to the bit.
 * The same for both directions of a flow within a VSID, a symmetric key stays symmetric.
 */
import { ETHERNET_LEN, EtherType, etherType } from '../codecs/ethernet.js';
import { IpProtocol } from '../codecs/ip-protocol.js';
import {
  IPV4_MIN_LEN, IPV4_SRC, ipv4FragmentOffset, ipv4HeaderLen, ipv4MoreFragments, ipv4Protocol,
} from '../codecs/ipv4.js';
import { IPV6_LEN, IPV6_SRC, Ipv6View, ipv6NextHeader, parseIpv6 } from '../codecs/ipv6.js';
import { u16 } from '../codecs/bytes.js';
import { Carrier } from './packet.js';

/** Bytes of the longest input: IPv6 addresses and ports. */
const MAX_INPUT = 36;
/** So many bytes of key that the last bit of input has its 32 bits. */
export const MIN_KEY_LEN = MAX_INPUT + 4;
const ADDRESSES4_LEN = 8;
const ADDRESSES6_LEN = 32;
const PORTS_LEN = 4;

// Of the GRE header; `codecs/gre.ts` has the picture. Any other flag, or version, and we do not know where the packet is.
const GRE_MIN_LEN = 4;
const GRE_CHECKSUM = 0x8000;
const GRE_KEY = 0x2000;
const GRE_SEQUENCE = 0x1000;
const GRE_UNKNOWN = 0x4c07;
/** Of NVGRE's key and VXLAN's second word, the low byte is no part of the id. */
const VSID_SHIFT = 8;
const VXLAN_LEN = 8;
const VXLAN_ID_AT = 4;

function keyOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], byte => parseInt(byte, 16));
}

/** The specification's verification key, which every NIC driver takes by default. */
export const MICROSOFT_KEY = keyOf('6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa');
/** Gives both directions of a flow one hash (Woo and Park, 2012), at a price: 16 bits of entropy, and anyone can make flows collide. */
export const SYMMETRIC_KEY = keyOf('6d5a'.repeat(MIN_KEY_LEN / 2));

export class Toeplitz {
  /** By position and value of an input byte: what its bits add. */
  readonly #table = new Int32Array(MAX_INPUT * 256);

  /** `key` has `MIN_KEY_LEN` bytes or more, of which the rest is not used. */
  constructor(key: Uint8Array) {
    if (key.length < MIN_KEY_LEN) throw new RangeError(`an RSS key of ${key.length} bytes: ${MIN_KEY_LEN} at least`);
    for (let position = 0; position < MAX_INPUT; position++) {
      for (let value = 1; value < 256; value++) {
        let sum = 0;
        for (let bit = 0; bit < 8; bit++) if ((value & 0x80 >> bit) !== 0) sum ^= window32(key, position * 8 + bit);
        this.#table[position << 8 | value] = sum;
      }
    }
  }

  /** What `len` bytes at `at` add when they stand at `position` in the input. Signed. */
  add(mem: Uint8Array, at: number, len: number, position: number): number {
    const table = this.#table;
    let sum = 0;
    for (let i = 0; i < len; i++) sum ^= table[(position + i) << 8 | mem[at + i]];
    return sum;
  }
}

/** The 32 bits of `key` that begin at bit `bit`. */
function window32(key: Uint8Array, bit: number): number {
  const at = bit >>> 3, shift = bit & 7;
  return (key[at] << 24 | key[at + 1] << 16 | key[at + 2] << 8 | key[at + 3]) << shift | key[at + 4] >>> (8 - shift);
}

/** Spread an id over all bits; 0 stays 0. Its low bits alone would do for a table of entries, were VSIDs not often 256 apart. */
function mix(id: number): number {
  const spread = Math.imul(id, 0x9e3779b1);
  return spread ^ spread >>> 15;
}

export class RssHash {
  readonly #toeplitz: Toeplitz;
  readonly #ipv6 = new Ipv6View();

  constructor(key: Uint8Array) {
    this.#toeplitz = new Toeplitz(key);
  }

  /**
   * The hash of the flow within the UDP payload `mem[at..end)`, signed. It only steers: what is malformed gets a hash of
   * what could be read, at worst 0, and is the pipeline's to refuse. Never throws, allocates, or reads at or past `end`.
   */
  ofDatagram(mem: Uint8Array, at: number, end: number, carrier: number): number {
    if (carrier === Carrier.vxlan) {
      if (end - at < VXLAN_LEN) return 0;
      return this.#ofFrame(mem, at + VXLAN_LEN, end, word(mem, at + VXLAN_ID_AT) >>> VSID_SHIFT);
    }
    if (end - at < GRE_MIN_LEN) return 0;
    const flags = u16(mem, at);
    if ((flags & GRE_UNKNOWN) !== 0) return 0;
    const protocol = u16(mem, at + 2);
    let next = at + GRE_MIN_LEN;
    if ((flags & GRE_CHECKSUM) !== 0) next += 4;
    const keyAt = next;
    if ((flags & GRE_KEY) !== 0) next += 4;
    if ((flags & GRE_SEQUENCE) !== 0) next += 4;
    if (next > end) return 0;
    const key = (flags & GRE_KEY) !== 0 ? word(mem, keyAt) : 0;
    return protocol === EtherType.teb ? this.#ofFrame(mem, next, end, key >>> VSID_SHIFT) : this.#ofPacket(mem, next, end, protocol, key);
  }

  #ofFrame(mem: Uint8Array, at: number, end: number, vsid: number): number {
    return end - at < ETHERNET_LEN ? mix(vsid) : this.#ofPacket(mem, at + ETHERNET_LEN, end, etherType(mem, at), vsid);
  }

  #ofPacket(mem: Uint8Array, at: number, end: number, protocol: number, id: number): number {
    if (protocol === EtherType.ipv4) return mix(id) ^ this.#ofIpv4(mem, at, end);
    if (protocol === EtherType.ipv6) return mix(id) ^ this.#ofIpv6(mem, at, end);
    return mix(id);
  }

  #ofIpv4(mem: Uint8Array, at: number, end: number): number {
    if (end - at < IPV4_MIN_LEN || mem[at] >>> 4 !== 4) return 0;
    const hash = this.#toeplitz.add(mem, at + IPV4_SRC, ADDRESSES4_LEN, 0);
    if (!hasPorts(ipv4Protocol(mem, at)) || ipv4MoreFragments(mem, at) || ipv4FragmentOffset(mem, at) !== 0) return hash;
    const ports = at + ipv4HeaderLen(mem, at);
    return end - ports < PORTS_LEN ? hash : hash ^ this.#toeplitz.add(mem, ports, PORTS_LEN, ADDRESSES4_LEN);
  }

  #ofIpv6(mem: Uint8Array, at: number, end: number): number {
    if (end - at < IPV6_LEN || mem[at] >>> 4 !== 6) return 0;
    const hash = this.#toeplitz.add(mem, at + IPV6_SRC, ADDRESSES6_LEN, 0);
    let ports = at + IPV6_LEN;
    if (!hasPorts(ipv6NextHeader(mem, at))) {
      const view = this.#ipv6;
      if (parseIpv6(mem, at, end, view) !== 0 || !hasPorts(view.protocol) || view.fragmentOffset !== 0 || view.moreFragments) return hash;
      ports = view.transportAt;
    }
    return end - ports < PORTS_LEN ? hash : hash ^ this.#toeplitz.add(mem, ports, PORTS_LEN, ADDRESSES6_LEN);
  }
}

function hasPorts(protocol: number): boolean {
  return protocol === IpProtocol.tcp || protocol === IpProtocol.udp;
}

/** Signed, so that it is never a boxed number. */
function word(mem: Uint8Array, at: number): number {
  return mem[at] << 24 | mem[at + 1] << 16 | mem[at + 2] << 8 | mem[at + 3];
}
