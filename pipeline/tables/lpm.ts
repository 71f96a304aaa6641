/**
 * Longest-prefix match, many tables in one: a scope (a tenant, a site) and an address to a number.
 *
 * Addresses are four words, IPv4 as v4-mapped IPv6 (RFC 4291 §2.5.5.2), so /24 of IPv4 is 120 bits here. A scope
 * remembers which prefix lengths it has; a look-up tries those, longest first, in one hash table. Tenants have few
 * lengths, so this is a few probes however many prefixes there are.
 */
import { isMapped } from '../address.js';
import { WordMap, WordMapBuilder, type WordMapData } from './word-map.js';

/** No IPv4 prefix is shorter in its mapped form, and no IPv6 one as short may hold an IPv4 address: ::/0 is not 0.0.0.0/0. */
const V4_WORD = 3;

/** Bitset of lengths 0..128: bit n of word n >> 5. */
const LENGTH_WORDS = 5;

export interface LpmData {
  readonly map: WordMapData;
  readonly lengths: Uint32Array;
}

/** Word `index` (0..3) of the netmask of `bits` bits, unsigned. */
export function maskWord(bits: number, index: number): number {
  const left = bits - index * 32;
  return left <= 0 ? 0 : left >= 32 ? 0xffffffff : -1 << 32 - left >>> 0;
}

export class Lpm {
  readonly #map: WordMap;
  readonly #lengths: Uint32Array;

  constructor(data: LpmData) {
    this.#map = new WordMap(data.map);
    this.#lengths = data.lengths;
  }

  /** The value of the longest prefix of `scope` that holds this address, or -1. */
  find(scope: number, a: number, b: number, c: number, d: number): number {
    const base = scope * LENGTH_WORDS;
    const last = isMapped(a, b, c) ? V4_WORD : 0;
    for (let word = LENGTH_WORDS - 1; word >= last; word--) {
      let set = this.#lengths[base + word];
      while (set !== 0) {
        const top = 31 - Math.clz32(set);
        set &= ~(1 << top);
        const bits = word * 32 + top;
        const value = this.#map.find(scope << 8 | bits,
          (a & maskWord(bits, 0)) >>> 0, (b & maskWord(bits, 1)) >>> 0, (c & maskWord(bits, 2)) >>> 0, (d & maskWord(bits, 3)) >>> 0);
        if (value >= 0) return value;
      }
    }
    return -1;
  }
}

export class LpmBuilder {
  readonly #map: WordMapBuilder;
  readonly #lengths: Uint32Array;

  /** Scopes are 0 .. `scopes` - 1, at most 2^23. */
  constructor(seed: number, scopes: number) {
    this.#map = new WordMapBuilder(seed);
    this.#lengths = new Uint32Array(new SharedArrayBuffer(Math.max(1, scopes) * LENGTH_WORDS * 4));
  }

  /** `words` is the prefix, `bits` its length (0..128). False when the scope has this prefix already; the first stays. */
  add(scope: number, words: readonly number[], bits: number, value: number): boolean {
    this.#lengths[scope * LENGTH_WORDS + (bits >> 5)] |= 1 << (bits & 31);
    const masked = words.map((word, i) => (word & maskWord(bits, i)) >>> 0);
    return this.#map.add((scope << 8 | bits) >>> 0, masked[0], masked[1], masked[2], masked[3], value);
  }

  build(): LpmData {
    return { map: this.#map.build(), lengths: this.#lengths };
  }
}
