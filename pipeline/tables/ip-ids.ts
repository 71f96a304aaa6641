/**
 * IPv4 IDs for what leaves by NAT: many inside addresses become one outside, so their own IDs would meet there and a receiver would
 * put pieces of different datagrams together (RFC 6864 §5.3.1, RFC 7857 §10). So whatever may be in pieces, or be cut further on, gets
 * the next ID for its outside source, destination and protocol. Packets that must not be cut keep theirs: nobody reads it.
 *
 * A table of counters, asked by a hash of the three; those that share one skip a number, no more. Every thread has its own table, and the
 * low bits of its IDs say whose they are, so no two threads give out one.
 */
import { hashWords } from './word-map.js';

const COUNTERS = 1024;
/** Behind the counters: what their hash is seeded with, and how far apart the IDs of one thread are. */
const SEED = COUNTERS / 2, STEP = SEED + 1, WORDS = STEP + 1;

/** Memory for each of `threads` threads, which outlives it, so that its successor goes on where it was. */
export function makeIpIdMemory(threads: number, seed: number): SharedArrayBuffer[] {
  const step = 2 ** Math.ceil(Math.log2(threads));
  return Array.from({ length: threads }, (_, thread) => {
    const memory = new SharedArrayBuffer(WORDS * 4);
    const counters = new Uint16Array(memory), words = new Int32Array(memory);
    for (let i = 0; i < COUNTERS; i++) counters[i] = hashWords(seed, i, thread, 0, 0, 0) & -step | thread;
    words[SEED] = seed;
    words[STEP] = step;
    return memory;
  });
}

export class IpIds {
  readonly #counters: Uint16Array;
  readonly #seed: number;
  readonly #step: number;

  constructor(memory: SharedArrayBuffer) {
    const words = new Int32Array(memory);
    this.#counters = new Uint16Array(memory, 0, COUNTERS);
    this.#seed = words[SEED];
    this.#step = words[STEP];
  }

  /** The next ID. Addresses are signed words. */
  next(src: number, dst: number, protocol: number): number {
    const mixed = Math.imul(Math.imul(src ^ this.#seed, 0x9e3779b1) + dst ^ protocol, 0x85ebca6b);
    const at = mixed >>> 22; // the upper ten bits
    const id = this.#counters[at] + this.#step & 0xffff;
    this.#counters[at] = id;
    return id;
  }
}
