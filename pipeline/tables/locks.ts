/**
 * Locks in shared memory, for the slow path. A word names its holder (0: nobody), so that control can tell whose locks
 * a dead worker left and take them over. Whoever waits sleeps, and is woken by the clock: nobody has to be told.
 *
 * A thread holds at most two, an inside one and then an outside one or the block lock (see nat-state.ts), so there is no circle to wait in.
 */
/** A cache line each. In the rest of it may be counted what the lock guards: its holder has it at hand. */
export const LOCK_WORDS = 16;
const SPINS = 100;
const NAP_MS = 1;
/** Whoever must not wait for ever gives up after so long for one lock: it is held for microseconds by whoever lives. */
const PATIENCE_MS = 250;

/** Words of memory for `count` locks. */
export function lockWords(count: number): number {
  return count * LOCK_WORDS;
}

export class Locks {
  readonly #words: Int32Array;
  readonly #holder: number;
  /** Word indices of what this thread holds, -1 for none. */
  #first = -1;
  #second = -1;

  /** `words` is the memory, or a part of it; `holder` is this thread's name, 1 and up. */
  constructor(words: Int32Array, holder: number) {
    this.#words = words;
    this.#holder = holder;
  }

  /** Wait for lock `i` and hold it. */
  lock(i: number): void {
    this.#wait(i * LOCK_WORDS);
    this.#note(i * LOCK_WORDS);
  }

  /** Hold lock `i` if nobody does. */
  tryLock(i: number): boolean {
    const at = i * LOCK_WORDS;
    if (Atomics.compareExchange(this.#words, at, 0, this.#holder) !== 0) return false;
    this.#note(at);
    return true;
  }

  /** Let go of the lock taken last. */
  unlock(): void {
    const at = this.#second >= 0 ? this.#second : this.#first;
    if (this.#second >= 0) this.#second = -1;
    else this.#first = -1;
    Atomics.store(this.#words, at, 0);
  }

  /** Let go of everything: after an exception, and harmless otherwise. */
  unlockAll(): void {
    while (this.#first >= 0) this.unlock();
  }

  /** Let go of all that `holder`, who is dead, held; says how many there were. */
  freeAllOf(holder: number): number {
    let freed = 0;
    for (let at = 0; at < this.#words.length; at += LOCK_WORDS) if (Atomics.compareExchange(this.#words, at, holder, 0) === holder) freed++;
    return freed;
  }

  /**
   * Run `work` while holding locks 0 to `count` - 1. For a thread that holds none; not for packets. False, and nothing
   * done, when one does not come free: another has died with it, and the caller may be the one that has to see to that.
   * Locks that `dead` left are taken over, and nobody comes between.
   */
  withAll(count: number, work: () => void, dead = -1): boolean {
    let held = 0;
    try {
      while (held < count && (this.#inherit(held * LOCK_WORDS, dead) || this.#wait(held * LOCK_WORDS, PATIENCE_MS))) held++;
      if (held === count) work();
      return held === count;
    } finally {
      for (let i = 0; i < held; i++) Atomics.store(this.#words, i * LOCK_WORDS, 0);
    }
  }

  #inherit(at: number, dead: number): boolean {
    return Atomics.compareExchange(this.#words, at, dead, this.#holder) === dead;
  }

  #wait(at: number, naps = Infinity): boolean {
    for (let tries = 0; tries < SPINS + naps; tries++) {
      const holder = Atomics.compareExchange(this.#words, at, 0, this.#holder);
      if (holder === 0) return true;
      if (tries >= SPINS) Atomics.wait(this.#words, at, holder, NAP_MS);
    }
    return false;
  }

  #note(at: number): void {
    if (this.#first < 0) this.#first = at;
    else if (this.#second < 0) this.#second = at;
    else throw new Error('a thread holds two locks at most');
  }
}
