/** How long packets are on their way through the daemon at half the rate that it carries without loss. */
import { median, once, type Effort, type Measured } from '../harness.js';
import type { Bench } from '../result.js';
import { LiveDaemon } from './daemon.js';
import { MODES, WORKERS, gatewayOptions, missing, ratesOf, type Mode } from './rates.bench.js';
import { Ear, Generator, Loops, prime, settled, type Path } from './stage.js';
import { gatewayConfig } from './traffic.js';

/** A run is so many times as long as a trial: one packet in a thousand must be many. */
const TRIALS_LONG = 5;
const MOST_PPS = 1_000_000;
/** Where the search found none, on a machine that is busy with other things. */
const LEAST_PPS = 2000;

const QUANTILES = { p50: 0.5, p99: 0.99, 'p99.9': 0.999, max: 1 } as const;
type Quantile = keyof typeof QUANTILES;
const QUANTILE_NAMES = Object.keys(QUANTILES) as Quantile[];

/** The value below which a share `q` of `sorted` lies: the nearest rank. */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)];
}

/** A sample a round. */
type Samples = Record<Quantile, number[]>;
interface Latencies { readonly gateway: Samples; readonly loops: Samples; readonly pauses: number[]; readonly longestPause: number[] }

function noSamples(): Samples {
  return { p50: [], p99: [], 'p99.9': [], max: [] };
}

async function measureRound(path: Path & { out: Ear }, pps: number, ms: number, samples: Samples): Promise<void> {
  const { generator, out } = path;
  await prime(path);
  await out.forget();
  const { sent } = await generator.run(pps, ms, true);
  if (await settled(out, sent) === 0) throw new Error(`none of ${sent} packets came through`);
  const sorted = out.latencies();
  for (const name of QUANTILE_NAMES) samples[name].push(quantile(sorted, QUANTILES[name]));
}

async function measure(mode: Mode, workers: number, effort: Effort): Promise<Latencies> {
  const pps = Math.max(LEAST_PPS, median((await ratesOf[mode][workers - 1](effort)).gateway.ndr) / 2);
  const ms = effort.trialMs * TRIALS_LONG;
  const generator = await Generator.open();
  const ear = await Ear.open(MOST_PPS * ms / 1000);
  const loops = await Loops.open(workers, ear.port);
  const daemon = await LiveDaemon.start(gatewayConfig(generator.ports, ear.port, gatewayOptions(mode, workers)), true);
  const result: Latencies = { gateway: noSamples(), loops: noSamples(), pauses: [], longestPause: [] };
  try {
    for (let round = 0; round < effort.slowRounds; round++) {
      await measureRound({ generator, from: 'anywhere', ports: loops.ports, out: ear }, pps, ms, result.loops);
      await daemon.forgetPauses();
      await measureRound({ generator, from: 'hosts', ports: [daemon.port], out: ear }, pps, ms, result.gateway);
      const pauses = await daemon.forgetPauses();
      result.pauses.push(pauses.length);
      result.longestPause.push(Math.max(0, ...pauses));
    }
    return result;
  } finally {
    await Promise.all([daemon.close(), loops.close(), ear.close(), generator.close()]);
  }
}

export const latenciesOf: Readonly<Record<Mode, readonly ((effort: Effort) => Promise<Latencies>)[]>> = {
  kernel: WORKERS.map(workers => once(effort => measure('kernel', workers, effort))),
  dispatcher: WORKERS.map(workers => once(effort => measure('dispatcher', workers, effort))),
};

const WHAT: Record<Quantile, string> = { p50: 'half of the packets', p99: '99 in 100', 'p99.9': '999 in 1,000', max: 'all' };

function benchesOf(mode: Mode, workers: number): Bench[] {
  const name = `live/${mode}/${workers}/latency`;
  const latencies = latenciesOf[mode][workers - 1];
  const common = { missing: () => missing(mode, workers) };
  const loops = `${workers} bare receive-and-send loop${workers > 1 ? 's' : ''}`;
  const plain = (samples: number[]): Measured => ({ samples, heapBytesPerOp: null, baseline: null });
  return [
    ...QUANTILE_NAMES.map((q): Bench => ({
      ...common, name: `${name}/${q}`, unit: 'us', what: `at half of ${mode}/${workers}/ndr, from the generator's send to the sink's read, no more than this for ${WHAT[q]}; baseline: ${loops} at the same rate`,
      ...(q === 'p99.9' ? { target: { of: 'median' as const, max: 2000 } } : {}),
      async measure(effort) {
        const { gateway, loops: bare } = await latencies(effort);
        return { samples: gateway[q], heapBytesPerOp: null, baseline: { name: loops, samples: bare[q] } };
      },
    })),
    { ...common, name: `${name}/gc-count`, unit: 'pauses', what: 'collections in all threads of the daemon during such a run', measure: async effort => plain((await latencies(effort)).pauses) },
    { ...common, name: `${name}/gc-longest`, unit: 'ms', what: 'the longest of them', measure: async effort => plain((await latencies(effort)).longestPause) },
  ];
}

export const latencyBenches: readonly Bench[] = MODES.flatMap(mode => WORKERS.flatMap(workers => benchesOf(mode, workers)));
