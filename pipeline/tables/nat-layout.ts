/**
 * Where the NAT's shared memory holds what: header, locks, heads of chains, counts, bindings, subscribers, port blocks, flow records.
 *
 *   binding, 10 words: nextInside nextOutside tenant:16|generation:8|protocol:7|static:1 inside outside
 *                      insidePort:16|outsidePort:16 sessions latest created holder
 *
 * `sessions` counts them; below 0 the binding is nobody's. `latest` is the session opened last. `holder` is what its port is
 * charged to, a subscriber or a port block: number + 1, times 4, with `IN_BLOCK` and `COUNTS`; 0 for nobody. Links are index + 1; 0 ends
 * a chain. Times are seconds since the epoch.
 */
import { flowWords } from './flows.js';
import { lockWords } from './locks.js';
import { STRIPES, countWords } from './nat-counts.js';
import { portBlockWords } from './port-blocks.js';
import { subscriberWords } from './subscribers.js';

export const B_NEXT_INSIDE = 0, B_NEXT_OUTSIDE = 1, B_WHO = 2, B_INSIDE = 3, B_OUTSIDE = 4, B_PORTS = 5, B_SESSIONS = 6, B_LATEST = 7, B_CREATED = 8, B_HOLDER = 9;
export const BINDING_WORDS = 10;
/** Of word `who`: all but the generation and the mapping bit. */
export const WHOSE = 0xffff00fe | 0;
export const GENERATION = 0xff00;
export const STATIC = 1;
/** `sessions` of a binding on the free list; of one taken out, this bit and the epoch. */
export const FREE = -1;
export const DEAD = 1 << 31;

/** Bits of `holder`: it is a block; the subscriber counts the sessions. */
export const IN_BLOCK = 1, COUNTS = 2;

/** The holder of a binding in this subscriber's name, or in this block; whether the subscriber counts its sessions. */
export function holderOf(number: number, isBlock: boolean, counts: boolean): number {
  return number + 1 << 2 | (isBlock ? IN_BLOCK : 0) | (counts ? COUNTS : 0);
}

/** As many locks are inside ones as outside ones; then comes the block lock. */
export { STRIPES };
export const BLOCK_LOCK = 2 * STRIPES;

export const H_SEED = 0, H_FREE = 1, H_SESSIONS = 2, H_REVOKED = 3;
const HEADER_WORDS = 16;
/** Flow buckets are two cache lines. */
const ALIGN_WORDS = 32;

export interface NatSizes { readonly bindings: number; readonly sessions: number; readonly plain: number; readonly permits?: number; readonly tenants: number; readonly subscribers: number; readonly portBlocks: number }

export function natLayout(sizes: NatSizes) {
  // The power of two that is nearest: two thirds to four thirds of a binding a chain.
  const buckets = 2 ** Math.max(Math.log2(STRIPES), Math.round(Math.log2(sizes.bindings)));
  let at = HEADER_WORDS;
  const take = (words: number): number => { const from = at; at += words; return from; };
  const aligned = (words: number): number => { at = Math.ceil(at / ALIGN_WORDS) * ALIGN_WORDS; return take(words); };
  const locks = take(lockWords(BLOCK_LOCK + 1));
  const inside = take(buckets), outside = take(buckets), perTenant = take(countWords(sizes.tenants)), bindings = take(sizes.bindings * BINDING_WORDS);
  const subscribers = aligned(subscriberWords(sizes.subscribers, sizes.tenants)), portBlocks = aligned(portBlockWords(sizes.portBlocks, sizes.tenants));
  return { buckets, locks, inside, outside, perTenant, bindings, subscribers, portBlocks, flows: aligned(flowWords(sizes)), words: at };
}

/** Bytes of memory for so many records. */
export function natBytes(sizes: NatSizes): number {
  return natLayout(sizes).words * 4;
}

/** Memory for so many records, with its free list strung. `seed` hides hash positions from the outside. */
export function makeNatMemory(sizes: NatSizes, seed: number): SharedArrayBuffer {
  const at = natLayout(sizes);
  const memory = new SharedArrayBuffer(at.words * 4);
  const words = new Int32Array(memory);
  words[H_SEED] = seed;
  words[H_FREE] = 1;
  for (let i = 0; i < sizes.bindings; i++) {
    const binding = at.bindings + i * BINDING_WORDS;
    words[binding + B_NEXT_INSIDE] = i + 1 < sizes.bindings ? i + 2 : 0;
    words[binding + B_SESSIONS] = FREE;
  }
  return memory;
}
