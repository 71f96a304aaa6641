/**
 * Prefixes in order, for two questions: which of them overlap, and which holds an address.
 *
 * Two prefixes either nest or have nothing in common. So one sort and one sweep with a stack find the closest
 * prefix around each one: that is the overlap, and it is where a look-up goes on when the first guess misses.
 */
import { compareWords, covers, coversPrefix } from './address.js';
import type { Address, Prefix } from './types.js';

export interface Entry<T> {
  readonly prefix: Prefix;
  readonly owner: T;
  /** The closest entry that holds this one; equal prefixes nest in the order they were given. */
  readonly around: Entry<T> | undefined;
}

export type PrefixIndex<T> = readonly Entry<T>[];

export function makeIndex<T>(items: readonly { readonly prefix: Prefix; readonly owner: T }[]): PrefixIndex<T> {
  const sorted = [...items].sort(({ prefix: a }, { prefix: b }) => a.family - b.family || compareWords(a.words, b.words) || a.bits - b.bits);
  const open: Entry<T>[] = [];
  return sorted.map(({ prefix, owner }) => {
    while (open.length > 0 && !coversPrefix(open[open.length - 1].prefix, prefix)) open.pop();
    const entry = { prefix, owner, around: open[open.length - 1] };
    open.push(entry);
    return entry;
  });
}

/** The longest prefix that holds the address. */
export function findLongest<T>(index: PrefixIndex<T>, address: Address): Entry<T> | undefined {
  let low = -1;
  let high = index.length;
  while (high - low > 1) {
    const mid = (low + high) >>> 1;
    const { prefix } = index[mid];
    if ((prefix.family - address.family || compareWords(prefix.words, address.words)) <= 0) low = mid;
    else high = mid;
  }
  let entry: Entry<T> | undefined = index[low];
  while (entry !== undefined && !covers(entry.prefix, address)) entry = entry.around;
  return entry;
}
