/**
 * An immutable hash table in shared memory: five 32-bit key words to one number.
 *
 * Everything the gateway looks up by exact match has a key of at most five words (tenant and address, VSID and MAC,
 * address and port, …), so one table serves all: open addressing, linear probing, at most half full, 32 bytes a slot.
 *
 *   word 0..4  key     word 5  value + 1, 0 = empty     word 6, 7  unused
 *
 * Built once, then only read, by any number of threads.
 */
const STRIDE = 8;
const VALUE = 5;

/** What crosses threads: structured clone shares the memory. */
export interface WordMapData {
  readonly words: Uint32Array;
  readonly seed: number;
}

/**
 * Hash of five words, 31 bits: V8 keeps larger numbers on the heap when they leave a function. `seed` keeps an
 * outsider from choosing collisions.
 */
export function hashWords(seed: number, a: number, b: number, c: number, d: number, e: number): number {
  let h = seed ^ Math.imul(a, 0x9e3779b1);
  h = Math.imul((h << 13 | h >>> 19) ^ b, 0x85ebca6b);
  h = Math.imul((h << 13 | h >>> 19) ^ c, 0xc2b2ae35);
  h = Math.imul((h << 13 | h >>> 19) ^ d, 0x27d4eb2f);
  h = Math.imul((h << 13 | h >>> 19) ^ e, 0x165667b1);
  h ^= h >>> 15;
  h = Math.imul(h, 0x85ebca77);
  return (h ^ h >>> 13) & 0x7fffffff;
}

export class WordMap {
  readonly #words: Uint32Array;
  readonly #mask: number;
  readonly #seed: number;

  constructor(data: WordMapData) {
    this.#words = data.words;
    this.#mask = data.words.length / STRIDE - 1;
    this.#seed = data.seed;
  }

  /** The value stored under this key, or -1. */
  find(a: number, b: number, c: number, d: number, e: number): number {
    const words = this.#words;
    const mask = this.#mask;
    for (let slot = hashWords(this.#seed, a, b, c, d, e) & mask; ; slot = slot + 1 & mask) {
      const at = slot * STRIDE;
      const value = words[at + VALUE];
      if (value === 0) return -1;
      if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d && words[at + 4] === e) return value - 1;
    }
  }
}

/** Collects keys, then lays them out. The first value under a key stays; `add` says whether it was new. */
export class WordMapBuilder {
  readonly #seed: number;
  #words: Uint32Array;
  #mask: number;
  #count = 0;

  /** `expected` keys fit without growing. */
  constructor(seed: number, expected = 0) {
    this.#seed = seed;
    this.#words = emptySlots(expected);
    this.#mask = this.#words.length / STRIDE - 1;
  }

  /** Key words are unsigned 32-bit numbers; `value` is 0 .. 2^32 - 2. */
  add(a: number, b: number, c: number, d: number, e: number, value: number): boolean {
    if ((this.#count + 1) * 2 > this.#mask + 1) this.#grow();
    const added = this.#put(a, b, c, d, e, value);
    if (added) this.#count++;
    return added;
  }

  build(): WordMapData {
    return { words: this.#words, seed: this.#seed };
  }

  #put(a: number, b: number, c: number, d: number, e: number, value: number): boolean {
    const words = this.#words;
    for (let slot = hashWords(this.#seed, a, b, c, d, e) & this.#mask; ; slot = slot + 1 & this.#mask) {
      const at = slot * STRIDE;
      if (words[at + VALUE] === 0) {
        words[at] = a; words[at + 1] = b; words[at + 2] = c; words[at + 3] = d; words[at + 4] = e;
        words[at + VALUE] = value + 1;
        return true;
      }
      if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d && words[at + 4] === e) return false;
    }
  }

  #grow(): void {
    const old = this.#words;
    this.#words = emptySlots(this.#mask + 1);
    this.#mask = this.#words.length / STRIDE - 1;
    for (let at = 0; at < old.length; at += STRIDE) {
      const value = old[at + VALUE];
      if (value !== 0) this.#put(old[at], old[at + 1], old[at + 2], old[at + 3], old[at + 4], value - 1);
    }
  }
}

function emptySlots(expected: number): Uint32Array {
  let slots = 8;
  while (slots < expected * 2) slots *= 2;
  return new Uint32Array(new SharedArrayBuffer(slots * STRIDE * 4));
}
