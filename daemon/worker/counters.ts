/**
 * What a worker counts beside the ledger: how its sockets fare. One cell each, written by the worker alone and read by
 * control on scrape.
 */

/** Errors of `send` that are told apart; every other code counts as `other`. */
export const SEND_ERRORS = [
  'EMSGSIZE', 'ENETUNREACH', 'EHOSTUNREACH', 'ECONNREFUSED', 'EPERM', 'EACCES', 'EINVAL', 'ENOBUFS', 'EADDRNOTAVAIL', 'other',
] as const;

/** beat: when its timer ran last, in ms of the clock, the one cell that is no count. queued: the kernel had no room at once; queueFull: not sent for want of room; noSocket: no socket of that family; then the errors. */
export const COUNTERS = ['beat', 'queued', 'queueFull', 'noSocket', 'receiveErrors', 'faults', ...SEND_ERRORS] as const;
export type CounterName = (typeof COUNTERS)[number];

export const Count = Object.fromEntries(COUNTERS.map((name, i) => [name, i])) as { readonly [C in CounterName]: number };

export function makeCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer(COUNTERS.length * Float64Array.BYTES_PER_ELEMENT);
}

/** Cell of an error code. */
export function sendErrorCell(code: string): number {
  return (Count as Readonly<Record<string, number>>)[(SEND_ERRORS as readonly string[]).includes(code) ? code : 'other'];
}

export type SocketCounts = Record<Exclude<CounterName, 'beat'>, number>;

/** The sums over workers. */
export function sumCounters(workers: readonly SharedArrayBuffer[]): SocketCounts {
  const cells = workers.map(memory => new Float64Array(memory));
  const names = COUNTERS.filter(name => name !== 'beat');
  return Object.fromEntries(names.map(name => [name, cells.reduce((sum, c) => sum + c[Count[name]], 0)])) as SocketCounts;
}

/** When a worker's timer ran last, in ms of the clock; 0 before it did. */
export function lastBeat(worker: SharedArrayBuffer): number {
  return new Float64Array(worker)[Count.beat];
}
