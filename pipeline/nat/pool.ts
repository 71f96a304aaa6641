/** What of a pool NAT may give out. */
import { V4_BITS } from '../address.js';
import type { MappingRow, PrefixRow } from '../policy-rows.js';

/** Addresses in a row: the first, and how many. */
export type AddressRange = readonly [first: number, count: number];

/**
 * The pool in its order, less the addresses that are mapped as a whole: those are promised to one inside address, and whoever
 * was paired with one would find no port there.
 */
export function freeRanges(pool: readonly PrefixRow[], mappings: readonly MappingRow[]): AddressRange[] {
  const taken = mappings.filter(({ ports }) => ports === 0).map(({ external, bits }): AddressRange => [external, 2 ** (32 - bits)]).sort((a, b) => a[0] - b[0]);
  return pool.flatMap(({ words, bits }) => {
    const free: AddressRange[] = [];
    const end = words[3] + 2 ** (32 + V4_BITS - bits);
    let from = words[3];
    for (const [first, count] of taken) {
      if (first + count <= from || first >= end) continue;
      if (first > from) free.push([from, first - from]);
      from = first + count;
    }
    if (from < end) free.push([from, end - from]);
    return free;
  });
}
