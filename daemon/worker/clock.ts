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
