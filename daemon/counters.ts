/**
 * What a worker counts beside the ledger: how its sockets fare. One cell each, written by the worker alone and read by
 * control on scrape.
 */

/** Errors of `send` that are told apart; every other code counts as `other`. */
export const SEND_ERRORS = [
  'EMSGSIZE', 'ENETUNREACH', 'EHOSTUNREACH', 'ECONNREFUSED', 'EPERM', 'EACCES', 'EINVAL', 'ENOBUFS', 'EADDRNOTAVAIL', 'other',
] as const;

/** queued: the kernel had no room at once; queueFull: not sent for want of room; noSocket: no socket of that family; then the errors. */
export const COUNTERS = ['queued', 'queueFull', 'noSocket', 'receiveErrors', 'faults', ...SEND_ERRORS] as const;
export type CounterName = (typeof COUNTERS)[number];

export const Count = Object.fromEntries(COUNTERS.map((name, i) => [name, i])) as { readonly [C in CounterName]: number };

export function makeCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer(COUNTERS.length * Float64Array.BYTES_PER_ELEMENT);
}

/** Cell of an error code. */
export function sendErrorCell(code: string): number {
  return (Count as Readonly<Record<string, number>>)[(SEND_ERRORS as readonly string[]).includes(code) ? code : 'other'];
}

/** The sum over workers. */
export function sumCounters(workers: readonly SharedArrayBuffer[]): Record<CounterName, number> {
  const cells = workers.map(memory => new Float64Array(memory));
  return Object.fromEntries(COUNTERS.map((name, i) => [name, cells.reduce((sum, c) => sum + c[i], 0)])) as Record<CounterName, number>;
}
