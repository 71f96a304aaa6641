/**
 * Where a worker's datagrams come from when a dispatcher receives them: its ring. Loaded, it takes them in batches and
 * lets the event loop turn in between, so that sends, timers and messages have their turn; idle, it sleeps.
 */
import { RingReader, SLOT_ROOM, ringDepth } from '../../pipeline/ring.js';

/** Datagrams between two turns of the event loop. */
const BATCH = 64;
/**
 * Being woken costs the dispatcher some 10 µs, as much as it needs for four datagrams. So who was busy looks again for a
 * while before it sleeps: each datagram buys two empty turns of the event loop, of 1 µs or so. Not many more, because a
 * loaded dispatcher's datagrams are 3 µs apart, and where processors are few, it may be waiting for ours.
 */
const TURNS_EACH = 2;
const MOST_TURNS = 32;

export interface IntakeParts {
  /** All rings, by worker; barriers name them. */
  readonly rings: readonly SharedArrayBuffer[];
  /** Which one is ours. */
  readonly queue: number;
  /** A datagram: `mem[start..at)` may be overwritten, a, b, c, d are its sender's address. Its memory is gone when this returns. Never throws. */
  deliver(mem: Uint8Array, start: number, at: number, end: number, a: number, b: number, c: number, d: number, port: number, carrier: number, side: number): void;
  /** The datagram that the worker before us had in hand when it died: nobody knows how far it came. */
  lost(mem: Uint8Array, at: number, end: number): void;
  /** Empty turns of the event loop that a datagram buys before it sleeps. */
  readonly turnsEach?: number;
}

export class Intake {
  /** What `deliver` gets as `mem`: one array for all slots. */
  readonly mem: Uint8Array;
  readonly #parts: IntakeParts;
  readonly #reader: RingReader;
  readonly #turn = (): void => this.#run();
  readonly #turnsEach: number;
  /** Empty turns to go. */
  #turns = 0;
  #stopping: (() => void) | undefined;
  #isRunning = false;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#reader = new RingReader(parts.rings, parts.queue);
    this.mem = this.#reader.mem;
    this.#turnsEach = parts.turnsEach ?? TURNS_EACH;
  }

  /** Datagrams that wait in the ring. */
  get depth(): number { return ringDepth(this.#parts.rings[this.#parts.queue]); }

  /** Begin to take datagrams in; first the one that was lost is told. */
  start(): void {
    const { lostAt, lostEnd } = this.#reader;
    if (lostAt >= 0) this.#parts.lost(this.mem, lostAt, lostEnd);
    this.#isRunning = true;
    setImmediate(this.#turn);
  }

  /**
   * Resolves when all that is in the ring has got its fate; the dispatcher must have stopped before. Whoever cannot
   * wait any longer calls `halt`.
   */
  stop(): Promise<void> {
    return new Promise(resolve => {
      if (!this.#isRunning) return resolve();
      this.#stopping = resolve;
      this.#reader.wake();
    });
  }

  /** Deliver nothing more, at once: what is left stays in the ring. */
  halt(): void {
    this.#isRunning = false;
    this.#stopping?.();
  }

  #run(): void {
    if (!this.#isRunning) return;
    const reader = this.#reader;
    const { deliver } = this.#parts;
    let waits: Promise<unknown> | undefined;
    let taken = 0;
    for (; taken < BATCH; taken++) {
      const slot = reader.peek();
      if (slot < 0) break;
      if (reader.isBarrier(slot)) {
        waits = reader.waitAt(slot);
        if (waits !== undefined) break;
        reader.take();
        reader.finish();
        continue;
      }
      const at = reader.atOf(slot);
      reader.take();
      deliver(
        reader.mem, at - SLOT_ROOM, at, reader.endOf(slot),
        reader.addressOf(slot, 0), reader.addressOf(slot, 1), reader.addressOf(slot, 2), reader.addressOf(slot, 3), reader.portOf(slot),
        reader.carrierOf(slot), reader.sideOf(slot),
      );
      reader.finish();
    }
    if (taken > 0) reader.publish();
    this.#next(taken, waits);
  }

  /** When to run again. */
  #next(taken: number, waits: Promise<unknown> | undefined): void {
    if (waits !== undefined) {
      void waits.then(this.#turn);
      return;
    }
    if (taken > 0) this.#turns = Math.min(MOST_TURNS, this.#turns + taken * this.#turnsEach);
    else if (this.#stopping !== undefined) return this.#finish(this.#stopping);
    else if (--this.#turns < 0) {
      this.#turns = 0;
      const asleep = this.#reader.sleep();
      if (asleep !== undefined) {
        void asleep.then(this.#turn);
        return;
      }
    }
    setImmediate(this.#turn);
  }

  #finish(done: () => void): void {
    this.#isRunning = false;
    done();
  }
}
