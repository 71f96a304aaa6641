/** Packets per second through the daemon, over loopback, beside as many bare loops. */
import { once, type Effort, type Measured } from '../harness.js';
import type { Bench, Target } from '../result.js';
import { LiveDaemon } from './daemon.js';
import { NO_LOSS, SOME_LOSS, Search } from './search.js';
import { Generator, Loops, Sink, canSharePorts, flooded, prime, trial, type Path } from './stage.js';
import { RECEIVE_BUFFER } from './sockets.js';
import { FLOWS, gatewayConfig } from './traffic.js';

export const MODES = ['kernel', 'dispatcher'] as const;
export type Mode = (typeof MODES)[number];
export const WORKERS = [1, 2] as const;

/** What the daemon under test is told beside its peers. */
export function gatewayOptions(mode: Mode, workers: number): object {
  return { workers, rss: { mode }, receiveBuffer: RECEIVE_BUFFER, limits: { sessions: 2 * FLOWS, bindings: 2 * FLOWS } };
}

/** Why a mode cannot be had here. */
export function missing(mode: Mode, workers: number): string | null {
  return mode === 'kernel' && workers > 1 && !canSharePorts() ? 'several sockets on one port want Linux and Node 22.12' : null;
}

/** Packets per second; a sample a round. */
interface Rates { readonly most: number[]; readonly ndr: number[]; readonly pdr: number[] }

/** The gateway's and the baseline's, round by round. */
export interface RatesOfBoth { readonly gateway: Rates; readonly loops: Rates; readonly generator: number[] }

async function measureRound(path: Path, effort: Effort, rates: Rates): Promise<void> {
  await prime(path);
  const most = await flooded(path, effort.trialMs);
  const search = new Search(pps => trial(path, pps, effort.trialMs), effort.precision);
  rates.most.push(most);
  rates.pdr.push(await search.highest(SOME_LOSS, most));
  rates.ndr.push(await search.highest(NO_LOSS, most));
}

async function measure(mode: Mode, workers: number, effort: Effort): Promise<RatesOfBoth> {
  const generator = await Generator.open();
  const sink = await Sink.open();
  const loops = await Loops.open(workers, sink.port);
  const daemon = await LiveDaemon.start(gatewayConfig(generator.ports, sink.port, gatewayOptions(mode, workers)));
  const result: RatesOfBoth = { gateway: { most: [], ndr: [], pdr: [] }, loops: { most: [], ndr: [], pdr: [] }, generator: [] };
  try {
    for (let round = 0; round < effort.slowRounds; round++) {
      await generator.aim([sink.port], 'anywhere');
      const bare = await generator.run(Infinity, effort.trialMs);
      result.generator.push(bare.sent / bare.ms * 1000);
      await measureRound({ generator, from: 'anywhere', ports: loops.ports, out: sink }, effort, result.loops);
      await measureRound({ generator, from: 'hosts', ports: [daemon.port], out: sink }, effort, result.gateway);
    }
    return result;
  } finally {
    await Promise.all([daemon.close(), loops.close(), sink.close(), generator.close()]);
  }
}

/** Each pair of mode and workers is measured once, whoever asks. */
export const ratesOf: Readonly<Record<Mode, readonly ((effort: Effort) => Promise<RatesOfBoth>)[]>> = {
  kernel: WORKERS.map(workers => once(effort => measure('kernel', workers, effort))),
  dispatcher: WORKERS.map(workers => once(effort => measure('dispatcher', workers, effort))),
};

const KPPS = 1e3;
function kpps(samples: readonly number[], name: string, baseline: readonly number[]): Measured {
  return { samples: samples.map(pps => pps / KPPS), heapBytesPerOp: null, baseline: { name, samples: baseline.map(pps => pps / KPPS) } };
}

const WHAT: Record<keyof Rates, string> = {
  most: 'packets out while more come in than go through', ndr: 'the highest rate at which none is lost', pdr: 'the highest rate at which at most 0.5 % are lost',
};

function benchesOf(mode: Mode, workers: number): Bench[] {
  const loops = `${workers} bare receive-and-send loop${workers > 1 ? 's' : ''}`;
  const target: Target | undefined = mode === 'kernel' ? { of: 'ratio', min: 0.9 } : undefined;
  return (['most', 'ndr', 'pdr'] as const).map(kind => ({
    name: `live/${mode}/${workers}/${kind}`, unit: 'kpps', what: `${mode} mode, ${workers} worker${workers > 1 ? 's' : ''}, NVGRE → NAT → GRE: ${WHAT[kind]}; baseline: ${loops}`,
    ...(kind !== 'ndr' && target !== undefined ? { target } : {}),
    missing: () => missing(mode, workers),
    async measure(effort) {
      const { gateway, loops: bare } = await ratesOf[mode][workers - 1](effort);
      return kpps(gateway[kind], loops, bare[kind]);
    },
  }));
}

export const ratesBenches: readonly Bench[] = [
  {
    name: 'live/generator', unit: 'kpps', what: 'what the generator sends when nobody holds it up; baseline: what one bare loop sends on', target: { of: 'ratio', min: 1 },
    async measure(effort) {
      const { generator, loops } = await ratesOf.kernel[0](effort);
      return kpps(generator, '1 bare receive-and-send loop', loops.most);
    },
  },
  ...MODES.flatMap(mode => WORKERS.flatMap(workers => benchesOf(mode, workers))),
];
