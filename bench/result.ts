/** From samples to the line that is printed: arithmetic only, so that it can be tested without a clock. */
import { median, type Effort, type Measured } from './harness.js';

/** What a figure is held to, the median itself or its ratio to the baseline: at most `max`, or at least `min`. */
export type Target = { readonly of: 'median' | 'ratio' } & ({ readonly max: number } | { readonly min: number });

export type Unit = 'ns' | 'us' | 'ms' | 'kpps' | 'MB/s' | 'B' | 'MiB' | 'packets' | 'sessions' | 'pauses';

export interface Bench {
  /** Path-like, and what `npm run bench -- NAME` looks in. */
  readonly name: string;
  readonly unit: Unit;
  readonly what: string;
  readonly target?: Target;
  /** It takes long or much memory: it runs only when a NAME has this in it. */
  readonly onRequest?: string;
  /** Why it cannot be measured with this Node or on this machine; null where it can. */
  missing?(): string | null;
  /** Builds what it needs, measures, and lets it go. */
  measure(effort: Effort): Measured | Promise<Measured>;
}

/** A line of `--json`, and of the table. What a bench has not got is left out. */
export interface Result {
  readonly name: string;
  readonly unit: Unit;
  readonly min: number;
  readonly median: number;
  readonly max: number;
  readonly heap_bytes_per_op: number | null;
  /** The baseline's median, in the same unit, and what it did. */
  readonly baseline?: number;
  readonly baseline_name?: string;
  /** How many times the baseline: the middle of the ratios of each round. */
  readonly ratio?: number;
  readonly target?: number;
  /** What is held to `target`, and whether it may be at most that or must be at least. */
  readonly target_of?: 'median' | 'ratio';
  readonly target_is?: 'most' | 'least';
  readonly met?: boolean;
}

export function summarise({ name, unit, target }: Pick<Bench, 'name' | 'unit' | 'target'>, measured: Measured): Result {
  const { samples, baseline, heapBytesPerOp } = measured;
  const spread = { min: Math.min(...samples), median: median(samples), max: Math.max(...samples) };
  const ratio = baseline === null ? undefined : median(samples.map((sample, round) => sample / baseline.samples[round]));
  return {
    name, unit, ...spread, heap_bytes_per_op: heapBytesPerOp,
    ...(baseline === null ? {} : { baseline: median(baseline.samples), baseline_name: baseline.name }),
    ...(ratio === undefined ? {} : { ratio }),
    ...(target === undefined ? {} : { ...targetWords(target), met: isMet(target, spread.median, ratio) }),
  };
}

function targetWords(target: Target): Required<Pick<Result, 'target' | 'target_of' | 'target_is'>> {
  const isMost = 'max' in target;
  return { target: isMost ? target.max : target.min, target_of: target.of, target_is: isMost ? 'most' : 'least' };
}

function isMet(target: Target, middle: number, ratio: number | undefined): boolean {
  const figure = target.of === 'median' ? middle : ratio;
  return figure !== undefined && ('max' in target ? figure <= target.max : figure >= target.min);
}
