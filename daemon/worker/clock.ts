/**
 * The time, for all threads alike: milliseconds since the epoch as they were at start, and from there as many as went
 * by. It never steps, so an operator who sets the machine's clock ends no session.
 */
export interface ClockBase {
  /** The wall clock at start, in ms. */
  readonly epoch: number;
  /** What `process.hrtime` said then, in ns; it is the same clock in every thread. */
  readonly tick: bigint;
}

export type Clock = () => number;

/** How often timers run, in a worker and in a replay. */
export const TICK_MS = 100;

export function startClock(): ClockBase {
  return { epoch: Date.now(), tick: process.hrtime.bigint() };
}

/** This thread's view of the clock. Allocates nothing when called. */
export function readClock(base: ClockBase): Clock {
  const offset = base.epoch + Number(process.hrtime.bigint() - base.tick) / 1e6 - performance.now();
  return () => offset + performance.now();
}

/** How many packets may share one look at the clock: a look costs as much as the fast path does, 80 to 100 ns. */
const PACKETS_A_LOOK = 32;

/** The clock for packets: looked at for every so many of them, and by a timer that calls `look`, so never older than that timer's time. */
export class PacketClock {
  readonly #clock: Clock;
  readonly #tell: (now: number) => void;
  #packets = 0;

  /** `tell` gets the time whenever it has been looked at, the first time at once. */
  constructor(clock: Clock, tell: (now: number) => void) {
    this.#clock = clock;
    this.#tell = tell;
    this.look();
  }

  /** One more packet comes. */
  count(): void {
    if (++this.#packets >= PACKETS_A_LOOK) this.look();
  }

  look(): void {
    this.#packets = 0;
    this.#tell(this.#clock());
  }
}
