/**
 * Epochs: when may memory that others could still be reading be used again? (Fraser, "Practical lock-freedom", §5.2.3.)
 *
 * Readers take no lock and leave no mark. Between packets, from a timer, each says which epoch it has seen; the reaper
 * goes on to the next epoch once all have seen this one. What was taken out of the tables in epoch e can be in nobody's
 * hands any more when all have seen e + 2: whoever took it out had seen e - 1 at least, so the epoch was e + 1 at most
 * when it had become unreachable, and who has seen e + 2 has ended every packet since.
 *
 *   word 0  epoch, 1 and up    word 1 + i  what reader i has seen, 0 while it is not there
 */
const EPOCH = 0;
/** Epochs fit beside a kind in one word (flows.ts); at ten a second they come round in nineteen days. */
const EPOCH_BITS = 24;
const EPOCH_MASK = 2 ** EPOCH_BITS - 1;

export function makeQuietMemory(readers: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer((1 + readers) * 4);
  new Int32Array(memory)[EPOCH] = 1;
  return memory;
}

export class Quiet {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** There are no readers but the caller: what is taken out can be used again at once. */
  get isAlone(): boolean { return this.#words.length === 1; }

  /** The epoch to mark with what is taken out now. */
  get epoch(): number { return Atomics.load(this.#words, EPOCH); }

  /** Reader `i` holds nothing at this moment. */
  pass(i: number): void {
    Atomics.store(this.#words, 1 + i, Atomics.load(this.#words, EPOCH));
  }

  /** Reader `i` is gone, for good or until its next `pass`. */
  leave(i: number): void {
    Atomics.store(this.#words, 1 + i, 0);
  }

  /** Go on to the next epoch if all readers have seen this one. The reaper alone calls it. */
  advance(): void {
    const { epoch } = this;
    for (let i = 1; i < this.#words.length; i++) {
      const seen = Atomics.load(this.#words, i);
      if (seen !== 0 && seen !== epoch) return;
    }
    const next = epoch + 1 & EPOCH_MASK;
    Atomics.store(this.#words, EPOCH, next === 0 ? 1 : next);
  }

  /** Whether nobody can hold any more what was taken out in epoch `then`. */
  isOver(then: number): boolean {
    if (this.#behind(this.epoch, then) < 2) return false;
    for (let i = 1; i < this.#words.length; i++) {
      const seen = Atomics.load(this.#words, i);
      if (seen !== 0 && this.#behind(seen, then) < 2) return false;
    }
    return true;
  }

  /** Epochs from `then` to `now`, the short way round. */
  #behind(now: number, then: number): number {
    return (now - then) << 32 - EPOCH_BITS >> 32 - EPOCH_BITS;
  }
}
