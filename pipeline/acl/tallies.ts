/**
 * Counts of rules: for one that measures, the packets and bytes (of inner IP) that it matched; for one that allows or
 * denies, those of which it was asked, which is the first packet of a flow and whatever else takes the walks. An entry has the number of its
 * rule's tally. The cells are the policy's, a row a worker; control adds rows up, and policies that follow each other.
 */

/** As many as a gateway can have; rows that nobody writes into take no memory. */
export const TALLY_WORKERS = 128;
/** Cells of a tally. */
const PACKETS = 0, BYTES = 1, CELLS = 2;
/** Cells in a cache line: no two workers' rows share one. */
const LINE = 8;

export interface TallyData {
  readonly count: number;
  readonly cells: Float64Array;
}

export function makeTallies(count: number, workers = TALLY_WORKERS): TallyData {
  return { count, cells: new Float64Array(new SharedArrayBuffer(Math.max(1, workers * strideOf(count)) * Float64Array.BYTES_PER_ELEMENT)) };
}

function strideOf(count: number): number {
  return Math.ceil(count * CELLS / LINE) * LINE;
}

/** A worker's own row. */
export class Tallies {
  readonly #cells: Float64Array;
  readonly #row: number;

  constructor({ count, cells }: TallyData, worker: number) {
    this.#cells = cells;
    this.#row = worker * strideOf(count);
  }

  add(tally: number, bytes: number): void {
    const at = this.#row + tally * CELLS;
    this.#cells[at + PACKETS]++;
    this.#cells[at + BYTES] += bytes;
  }

  of(tally: number): { packets: number; bytes: number } {
    const at = this.#row + tally * CELLS;
    return { packets: this.#cells[at + PACKETS], bytes: this.#cells[at + BYTES] };
  }
}

/** What all workers together have counted. */
export function sumTally({ count, cells }: TallyData, tally: number): { packets: number; bytes: number } {
  let packets = 0, bytes = 0;
  for (let at = tally * CELLS, stride = strideOf(count); at < cells.length; at += stride) {
    packets += cells[at + PACKETS];
    bytes += cells[at + BYTES];
  }
  return { packets, bytes };
}
