/**
 * Which entries of the indirection table should go to another queue. The model is RSS++ (Barbette et al., CoNEXT 2019):
 * leave the table alone until one queue stays loaded and another does not, then move the fewest entries that mend it.
 */

export interface Move { readonly entry: number; readonly from: number; readonly to: number }

/** Packets of an interval below which no queue is busy enough to help. */
const BUSY = 1000;
/** A queue with so much of the mean is loaded. */
const START = 1.2;
/** Enough is moved once the busiest and the idlest queue differ by so little of the mean. */
const STOP = 0.1;
/** A move that brings less than so much of the mean is not worth its barrier. */
const LEAST_GAIN = 0.02;
/** Act when the same queue is loaded, and the same one is not, in so many intervals in a row. */
const PATIENCE = 3;

/** The load of each queue. */
export function queueLoads(load: ArrayLike<number>, table: ArrayLike<number>, queues: number): number[] {
  const sums = new Array<number>(queues).fill(0);
  for (let entry = 0; entry < table.length; entry++) sums[table[entry]] += load[entry];
  return sums;
}

/**
 * Where the entries of dead queues go: to the living, the heaviest first, each to whoever has the least load, and of
 * those to whoever has the fewest entries. None when all are dead.
 */
export function evacuate(load: ArrayLike<number>, table: ArrayLike<number>, alive: readonly boolean[]): Move[] {
  const living = indexes(alive.length).filter(queue => alive[queue]);
  if (living.length === 0) return [];
  const sums = queueLoads(load, table, alive.length);
  const counts = queueLoads(new Array<number>(table.length).fill(1), table, alive.length);
  return indexes(table.length).filter(entry => !alive[table[entry]]).sort((a, b) => load[b] - load[a] || a - b).map(entry => {
    const to = living.reduce((best, queue) => (sums[queue] - sums[best] || counts[queue] - counts[best]) < 0 ? queue : best);
    sums[to] += load[entry];
    counts[to]++;
    return { entry, from: table[entry], to };
  });
}

/**
 * The moves that even out `load` (packets by entry) over the living queues. Each takes the entry that fits half the
 * difference between the busiest and the idlest queue best; one as heavy as the difference would only swap their roles,
 * so an elephant alone on its queue stays. An entry moves once, and no queue ends up with more than the busiest had before.
 */
export function rebalance(load: ArrayLike<number>, table: ArrayLike<number>, alive: readonly boolean[]): Move[] {
  const living = indexes(alive.length).filter(queue => alive[queue]);
  if (living.length < 2) return [];
  const now = Array.from(table);
  const sums = queueLoads(load, now, alive.length);
  const mean = living.reduce((sum, queue) => sum + sums[queue], 0) / living.length;
  for (let steps = 0; steps < table.length; steps++) {
    const from = living.reduce((best, queue) => sums[queue] > sums[best] ? queue : best);
    const to = living.reduce((best, queue) => sums[queue] < sums[best] ? queue : best);
    const difference = sums[from] - sums[to];
    if (difference <= STOP * mean) break;
    const entry = bestFit(load, now, from, difference / 2);
    if (entry < 0 || Math.min(load[entry], difference - load[entry]) < LEAST_GAIN * mean) break;
    now[entry] = to;
    sums[from] -= load[entry];
    sums[to] += load[entry];
  }
  // From where it was to where it ends up, if it took two steps: its packets in the first queue are what has to be waited for.
  return indexes(table.length).flatMap(entry => now[entry] === table[entry] ? [] : [{ entry, from: table[entry], to: now[entry] }]);
}

/** The entry of `queue` whose load is nearest to `wanted`, or -1. */
function bestFit(load: ArrayLike<number>, table: readonly number[], queue: number, wanted: number): number {
  let best = -1;
  for (let entry = 0; entry < table.length; entry++) {
    if (table[entry] !== queue || load[entry] === 0) continue;
    if (best < 0 || Math.abs(load[entry] - wanted) < Math.abs(load[best] - wanted)) best = entry;
  }
  return best;
}

function indexes(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Waits with `rebalance` until it is worth it: what one second does, the next may undo. */
export class Balancer {
  /** Packets by entry, and how each queue fared, over the intervals that were uneven in the same way. */
  readonly #load: Float64Array;
  #marks: readonly number[] = [];
  #uneven = 0;

  constructor(entries: number) {
    this.#load = new Float64Array(entries);
  }

  /** An interval is over, in which `load` packets came by entry: the moves to make now. */
  after(load: ArrayLike<number>, table: ArrayLike<number>, alive: readonly boolean[]): Move[] {
    const now = marksOf(load, table, alive);
    const marks = this.#uneven === 0 ? now : now.map((mark, queue) => mark === this.#marks[queue] ? mark : 0);
    if (!isUneven(marks)) {
      this.#forget();
      return [];
    }
    this.#marks = marks;
    for (let entry = 0; entry < this.#load.length; entry++) this.#load[entry] += load[entry];
    if (++this.#uneven < PATIENCE) return [];
    const moves = rebalance(this.#load, table, alive);
    this.#forget();
    return moves;
  }

  #forget(): void {
    this.#uneven = 0;
    this.#load.fill(0);
  }
}

/** By queue: 1 loaded, -1 with less than its share, 0 neither. */
function marksOf(load: ArrayLike<number>, table: ArrayLike<number>, alive: readonly boolean[]): number[] {
  const sums = queueLoads(load, table, alive.length);
  const living = sums.filter((_, queue) => alive[queue]);
  const mean = living.reduce((sum, n) => sum + n, 0) / living.length;
  return sums.map((sum, queue) => !alive[queue] ? 0 : sum >= BUSY && sum > START * mean ? 1 : sum < mean ? -1 : 0);
}

/** One queue stays loaded, and another could do more. */
function isUneven(marks: readonly number[]): boolean {
  return marks.includes(1) && marks.includes(-1);
}
