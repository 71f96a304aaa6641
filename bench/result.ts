/** From samples to the line that is printed: arithmetic only, so that it can be tested without a clock. */
import { median, type Effort, type Measured } from './harness.js';

/** What a figure is held to: the median itself, or its ratio to the baseline. */
export interface Target { readonly of: 'median' | 'ratio'; readonly max: number }

export interface Bench {
  /** Path-like, and what `npm run bench -- NAME` looks in. */
  readonly name: string;
  readonly unit: 'ns' | 'ms' | 'MiB';
  readonly what: string;
  readonly target?: Target;
  /** Builds what it needs, measures, and lets it go. */
  measure(effort: Effort): Measured;
}

/** A line of `--json`, and of the table. What a bench has not got is left out. */
export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly min: number;
  readonly median: number;
  readonly max: number;
  readonly heap_bytes_per_op: number | null;
  /** The baseline's median, in the same unit, and what it did. */
  readonly baseline?: number;
  readonly baseline_name?: string;
  /** How many times the baseline's cost: the middle of the ratios of each round. */
  readonly ratio?: number;
  readonly target?: number;
  /** What may not go over `target`. */
  readonly target_of?: 'median' | 'ratio';
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
    ...(target === undefined ? {} : { target: target.max, target_of: target.of, met: isMet(target, spread.median, ratio) }),
  };
}

function isMet(target: Target, middle: number, ratio: number | undefined): boolean {
  const figure = target.of === 'median' ? middle : ratio;
  return figure !== undefined && figure <= target.max;
}
