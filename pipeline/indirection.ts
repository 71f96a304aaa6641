/**
 * The indirection table of RSS: 128 entries, named by the low bits of a packet's hash, each saying which queue, and what
 * went where. An entry whose queue's worker died is with another one until it can go home; which queue that is stands
 * here too, for a dispatcher may die before. It lies in shared memory; the dispatcher alone writes, anyone may read.
 */

export const ENTRIES = 128;
export const ENTRY_MASK = ENTRIES - 1;

// Words: queues by entry, how many queues, one to spare, homes by entry. Then counts of 8 bytes.
const QUEUES = ENTRIES;
const HOMES = ENTRIES + 2;
const WORDS = HOMES + ENTRIES;
const COUNTS_AT = WORDS * Int32Array.BYTES_PER_ELEMENT;
// Cells of the counts: packets by entry, the moves, then for each queue its packets and its drops.
const MOVES = ENTRIES;
const BY_QUEUE = ENTRIES + 1;

/** Memory for a table over `queues` queues: entry i says i mod queues. */
export function makeIndirection(queues: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(COUNTS_AT + (BY_QUEUE + 2 * queues) * Float64Array.BYTES_PER_ELEMENT);
  const words = new Int32Array(memory, 0, WORDS);
  for (let entry = 0; entry < ENTRIES; entry++) words[entry] = words[HOMES + entry] = entry % queues;
  words[QUEUES] = queues;
  return memory;
}

export class Indirection {
  readonly queues: number;
  readonly #table: Int32Array;
  readonly #counts: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#table = new Int32Array(memory, 0, WORDS);
    this.#counts = new Float64Array(memory, COUNTS_AT);
    this.queues = this.#table[QUEUES];
  }

  queueOf(entry: number): number { return this.#table[entry]; }
  /** Where the entry belongs: elsewhere than `queueOf` says while that queue's worker is dead, and until there is room. */
  homeOf(entry: number): number { return this.#table[HOMES + entry]; }
  /** Packets that fell on the entry, dropped ones included. */
  entryPackets(entry: number): number { return this.#counts[entry]; }
  /** Packets that went into the queue. */
  queuePackets(queue: number): number { return this.#counts[BY_QUEUE + 2 * queue]; }
  /** Packets that found it full. */
  queueDrops(queue: number): number { return this.#counts[BY_QUEUE + 2 * queue + 1]; }
  /** Entries that were given another queue since the start. */
  get moves(): number { return this.#counts[MOVES]; }

  /** A packet of `entry` went into `queue`, or found it full. */
  count(entry: number, queue: number, isDropped: boolean): void {
    this.#counts[entry]++;
    this.#counts[BY_QUEUE + 2 * queue + (isDropped ? 1 : 0)]++;
  }

  /** From now on packets of `entry` go to `queue`. */
  move(entry: number, queue: number): void {
    this.#table[entry] = queue;
    this.#counts[MOVES]++;
  }

  /** And from now on it is at home there. Said before `move`: whoever dies in between leaves an entry that will be taken home. */
  settle(entry: number, queue: number): void {
    this.#table[HOMES + entry] = queue;
  }
}
