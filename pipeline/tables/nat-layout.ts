/**
 * Where the NAT's shared memory holds what: header, locks, heads of chains, sessions by stripe and tenant, bindings, flow records.
 *
 *   binding, 9 words: nextInside nextOutside tenant:16|generation:8|protocol:7|static:1 inside outside
 *                     insidePort:16|outsidePort:16 sessions latest created
 *
 * `sessions` counts them; below 0 the binding is nobody's. `latest` is the session opened last. Links are index + 1; 0 ends
 * a chain. Times are seconds since the epoch.
 */
import { flowWords } from './flows.js';
import { lockWords } from './locks.js';

export const B_NEXT_INSIDE = 0, B_NEXT_OUTSIDE = 1, B_WHO = 2, B_INSIDE = 3, B_OUTSIDE = 4, B_PORTS = 5, B_SESSIONS = 6, B_LATEST = 7, B_CREATED = 8;
export const BINDING_WORDS = 9;
/** Of word `who`: all but the generation and the mapping bit. */
export const WHOSE = 0xffff00fe | 0;
export const GENERATION = 0xff00;
export const STATIC = 1;
/** `sessions` of a binding on the free list; of one taken out, this bit and the epoch. */
export const FREE = -1;
export const DEAD = 1 << 31;

/** Half of the locks are inside ones, half outside ones. */
export const STRIPES = 64;

export const H_SEED = 0, H_FREE = 1, H_SESSIONS = 2, H_REVOKED = 3;
/** In the line of each inside lock: bindings of its stripe. */
export const L_BINDINGS = 1;
const HEADER_WORDS = 16;
/** Flow buckets are two cache lines. */
const ALIGN_WORDS = 32;

export interface NatSizes { readonly bindings: number; readonly sessions: number; readonly plain: number; readonly tenants: number }

export function natLayout(sizes: NatSizes) {
  // The power of two that is nearest: two thirds to four thirds of a binding a chain.
  const buckets = 2 ** Math.max(Math.log2(STRIPES), Math.round(Math.log2(sizes.bindings)));
  let at = HEADER_WORDS;
  const take = (words: number): number => { const from = at; at += words; return from; };
  const locks = take(lockWords(2 * STRIPES));
  const inside = take(buckets), outside = take(buckets), perTenant = take(STRIPES * (sizes.tenants + 1)), bindings = take(sizes.bindings * BINDING_WORDS);
  at = Math.ceil(at / ALIGN_WORDS) * ALIGN_WORDS;
  return { buckets, locks, inside, outside, perTenant, bindings, flows: take(flowWords(sizes)), words: at };
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
