/**
 * One way to measure: warm up, then rounds of passes, the baseline and the subject by turns.
 *
 * A pass does every operation once. Whatever an operation spoils is put back between passes, off the clock: the
 * pipeline rewrites packets where they lie. Other people's load comes and goes, so a ratio is taken within each round,
 * where both sides suffered alike.
 */
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What is measured. Same `ops`, same work: passes are interchangeable. */
export interface Work {
  /** Operations in a pass; a thousand or more, where one takes nanoseconds, so that the clock is read rarely. */
  readonly ops: number;
  /** Do operations `from` up to but not including `to`, without allocating, and return something of all they found. */
  run(from: number, to: number): number;
  /** Make a pass possible again; neither timed nor counted. */
  restore?(): void;
}

export interface Effort {
  /** Milliseconds of work before anything counts, for the compiler's sake. */
  readonly warmUpMs: number;
  readonly rounds: number;
  /** Milliseconds of work a round, at least one pass. */
  readonly roundMs: number;
  /** Rounds of what takes a large part of a second each time. */
  readonly slowRounds: number;
  /** Milliseconds that live traffic flows before it is judged. */
  readonly trialMs: number;
  /** How near to each other a rate that is carried and one that is not must lie, as a part of it. */
  readonly precision: number;
  /** Part of what is large (flows by the million, captures) that is really built: 1 unless only its running matters. */
  readonly part: number;
}

export const FULL: Effort = { warmUpMs: 120, rounds: 7, roundMs: 40, slowRounds: 3, trialMs: 400, precision: 0.02, part: 1 };
/** Enough to see that everything runs; the figures are rough. */
export const QUICK: Effort = { warmUpMs: 10, rounds: 3, roundMs: 2, slowRounds: 1, trialMs: 40, precision: 0.4, part: 1 / 64 };

/** One sample a round, per operation, in the bench's unit. */
export interface Measured {
  readonly samples: readonly number[];
  /** Bytes of JavaScript heap an operation takes; null where it cannot be told. */
  readonly heapBytesPerOp: number | null;
  /** Samples of the same rounds. */
  readonly baseline: { readonly name: string; readonly samples: readonly number[] } | null;
}

export interface Baseline { readonly name: string; readonly work: Work }

/** Every result goes in here: the engine cannot leave out work whose outcome somebody may ask for. */
let sink = 0;
export function drained(): number {
  return sink;
}

const NS_PER_MS = 1e6;

/** Nanoseconds and heap bytes of an operation of `subject`, and nanoseconds of one of `baseline`. */
export function measureNs(effort: Effort, subject: Work, baseline: Baseline | null = null): Measured {
  for (const work of baseline === null ? [subject] : [baseline.work, subject]) warmUp(effort, [work]);

  const samples: number[] = [];
  const baselineSamples: number[] = [];
  for (let round = 0; round < effort.rounds; round++) {
    if (baseline !== null) baselineSamples.push(sampleNs(baseline.work, effort.roundMs));
    samples.push(sampleNs(subject, effort.roundMs));
  }
  return {
    samples, heapBytesPerOp: heapBytesPerOp(subject),
    baseline: baseline === null ? null : { name: baseline.name, samples: baselineSamples },
  };
}

/** Milliseconds of something slow that is done once a round; it warms up the first time, which does not count. */
export function measureMs(effort: Effort, once: () => number): Measured {
  if (effort.slowRounds > 1) sink ^= once();
  const samples = Array.from({ length: effort.slowRounds }, () => {
    collect('major');
    const began = performance.now();
    sink ^= once();
    return performance.now() - began;
  });
  return { samples, heapBytesPerOp: null, baseline: null };
}

/** What several benches take their figures from is measured when the first of them asks, and not again for the others. */
export function once<T>(measure: (effort: Effort) => Promise<T>): (effort: Effort) => Promise<T> {
  const known = new Map<Effort, Promise<T>>();
  return effort => {
    let result = known.get(effort);
    if (result === undefined) known.set(effort, result = measure(effort));
    return result;
  };
}

/** Let the compiler see `works`, by turns, until they have had their time. */
export function warmUp(effort: Effort, works: readonly Work[]): void {
  for (let spent = 0; spent < effort.warmUpMs;) for (const work of works) spent += pass(work);
}

function pass(work: Work): number {
  work.restore?.();
  const began = performance.now();
  sink ^= work.run(0, work.ops);
  return performance.now() - began;
}

/** Nanoseconds an operation takes, over passes of so much work. */
export function sampleNs(work: Work, roundMs: number): number {
  let ms = 0;
  let passes = 0;
  while (ms < roundMs) {
    ms += pass(work);
    passes++;
  }
  return ms * NS_PER_MS / (passes * work.ops);
}

/** Operations between two looks at the heap: few enough that the collector does not come in between. */
const HEAP_OPS = 2048;
const HEAP_LOOKS = 15;

/** The middle of several looks, because now and then the compiler's own allocations fall into one. */
function heapBytesPerOp(work: Work): number {
  const ops = Math.min(work.ops, HEAP_OPS);
  const looking = median(Array.from({ length: HEAP_LOOKS }, () => heapGrowth(() => 0)));
  const looks = Array.from({ length: HEAP_LOOKS }, () => {
    work.restore?.();
    return (heapGrowth(() => work.run(0, ops)) - looking) / ops;
  });
  return Math.max(0, median(looks));
}

function heapGrowth(run: () => number): number {
  collect('minor'); // all room of the young generation is before us
  const before = process.memoryUsage().heapUsed;
  sink ^= run();
  return process.memoryUsage().heapUsed - before;
}

type Collector = (options: { type: 'minor' | 'major' }) => void;
let collector: Collector | undefined;

/** Call the collector; benches need no flag on the command line for it. */
function collect(type: 'minor' | 'major'): void {
  if (collector === undefined) {
    setFlagsFromString('--expose-gc');
    collector = runInNewContext('gc') as Collector;
  }
  collector({ type });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
