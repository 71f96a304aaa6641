/** The daemon with as much as it is meant for: a thousand tenants, a hundred thousand records, a million sessions; and reloads meanwhile. */
import type { StatusAnswer } from '../../daemon/control/admin.js';
import { largeConfigObject } from '../config/large.js';
import { median, once, type Effort, type Measured } from '../harness.js';
import type { Bench, Target } from '../result.js';
import { LiveDaemon } from './daemon.js';
import { ratesOf } from './rates.bench.js';
import { Generator, Sink, after, prime, settled } from './stage.js';
import { ADDRESS, gatewayConfig } from './traffic.js';

const TENANTS = 1000;
const RECORDS_EACH = 100;
const SESSIONS = 1_000_000;
/** So many times the flows may be opened again, should packets be lost on the way. */
const OPENINGS = 4;
const LEAST_PPS = 2000;
const BYTES_PER_MIB = 2 ** 20;
/** Until V8 has given back to the system what a loader took: on Node 24 it keeps pages for others for some ten seconds. */
const GIVEN_BACK_MS = 15_000;

interface Scale { readonly startMs: number[]; readonly residentMiB: number[]; readonly reloadedMiB: number[]; readonly reloadMs: number[]; readonly lost: number[]; readonly steadyLost: number[]; readonly sessionsLost: number[] }

/** `generation` makes each config another one, so that a reload has something to do. */
function configOf(ports: readonly number[], sinkPort: number, generation: number): object {
  const large = largeConfigObject(TENANTS, RECORDS_EACH, i => `${ADDRESS}:${1 + i}`); // nothing is sent there
  const live = gatewayConfig(ports, sinkPort, {
    workers: 1, rss: { mode: 'kernel' }, timers: { udp: 3600 - generation }, limits: { tenants: 2 * TENANTS, sessions: SESSIONS, bindings: SESSIONS },
  }) as typeof large;
  return { ...live, hosts: [...live.hosts, ...large.hosts], uplinks: [...live.uplinks, { name: 'core', pa: `${ADDRESS}:1000` }], tenants: [...live.tenants, ...large.tenants] };
}

async function measure(effort: Effort): Promise<Scale> {
  const { gateway } = await ratesOf.kernel[0](effort);
  const pps = Math.max(LEAST_PPS, median(gateway.ndr) / 2);
  const result: Scale = { startMs: [], residentMiB: [], reloadedMiB: [], reloadMs: [], lost: [], steadyLost: [], sessionsLost: [] };
  const generator = await Generator.open();
  const sink = await Sink.open();
  const began = performance.now();
  const daemon = await LiveDaemon.start(configOf(generator.ports, sink.port, 0));
  result.startMs.push(performance.now() - began);
  try {
    await prime({ generator, from: 'hosts', ports: [daemon.port], out: sink });
    const sessions = Math.floor(SESSIONS * effort.part);
    const openNow = async (): Promise<number> => (await daemon.ask<StatusAnswer>('/v1/status')).nat.sessions;
    for (let i = 0; i < OPENINGS && await openNow() < sessions; i++) {
      await generator.open(pps / 2, sessions);
      await settled(sink);
    }
    const before = await openNow();
    if (before < sessions) throw new Error(`${sessions} flows were sent, ${before} sessions are open`);
    result.residentMiB.push(daemon.residentBytes / BYTES_PER_MIB);

    /** One run after the other, without a pause, until one has begun after `isOver`. */
    const traffic = async (isOver: (runs: number) => boolean): Promise<{ lost: number; runs: number }> => {
      const from = sink.count();
      let sent = 0, runs = 0;
      for (let wasOver = false; !wasOver; runs++) {
        wasOver = isOver(runs + 1);
        sent += (await generator.run(pps, effort.trialMs)).sent;
      }
      return { lost: sent - (await settled(sink, from + sent) - from), runs };
    };
    for (let round = 0; round < effort.slowRounds; round++) {
      let isOver = false;
      const took = reload(daemon, configOf(generator.ports, sink.port, round + 1), effort.trialMs).finally(() => { isOver = true; });
      const { lost, runs } = await traffic(() => isOver);
      result.reloadMs.push(await took);
      result.lost.push(lost);
      result.steadyLost.push((await traffic(done => done >= runs)).lost);
      result.sessionsLost.push(Math.max(0, before - await openNow()));
    }
    await after(GIVEN_BACK_MS * effort.part);
    result.reloadedMiB.push(daemon.residentBytes / BYTES_PER_MIB);
    return result;
  } finally {
    await Promise.all([daemon.close(), sink.close(), generator.close()]);
  }
}

/** Milliseconds from HUP until the new config is in force, with traffic before it. */
async function reload(daemon: LiveDaemon, config: object, afterMs: number): Promise<number> {
  daemon.write(config);
  await after(afterMs);
  const began = performance.now();
  daemon.signal('SIGHUP');
  await daemon.line('config reloaded');
  return performance.now() - began;
}

const scale = once(measure);

function line(name: string, unit: Bench['unit'], what: string, pick: (result: Scale) => number[], target?: Target): Bench {
  return {
    name: `live/scale/${name}`, unit, what: `1,000 tenants, 100,000 records, 1,000,000 sessions: ${what}`, ...(target === undefined ? {} : { target }),
    measure: async (effort): Promise<Measured> => ({ samples: pick(await scale(effort)), heapBytesPerOp: null, baseline: null }),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

const NONE: Target = { of: 'median', max: 0 };

export const scaleBenches: readonly Bench[] = [
  line('start', 'ms', 'from its start to the line "ready"', r => r.startMs),
  line('resident', 'MiB', 'what lies in memory when all sessions are open', r => r.residentMiB, { of: 'median', max: 512 }),
  line('resident-reloaded', 'MiB', 'the same 15 s after those reloads', r => r.reloadedMiB, { of: 'median', max: 512 }),
  line('reload', 'ms', 'from HUP until the new config is in force, at half of kernel/1/ndr', r => r.reloadMs),
  line('reload-lost', 'packets', 'that did not come out during all those reloads', r => [sum(r.lost)], NONE),
  line('steady-lost', 'packets', 'that did not come out in as much traffic without a reload: more than 0, and the machine was too busy to tell', r => [sum(r.steadyLost)]),
  line('reload-sessions', 'sessions', 'that were gone after them', r => [sum(r.sessionsLost)], NONE),
];
