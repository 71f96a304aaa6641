/** How cost and memory grow: records from a hundred to a million, sessions from a thousand to a million. */
import { readConfig } from '../../config/index.js';
import { compileConfig, stateSizes, TenantIds } from '../../daemon/tables.js';
import { makeSharedState } from '../../pipeline/gateway.js';
import { largeConfig } from '../config/large.js';
import { load, tableBytes } from '../config/load.bench.js';
import { measureNs, once, type Effort, type Measured } from '../harness.js';
import type { Bench } from '../result.js';
import { recordWork } from './lookup.bench.js';
import { SMALLEST, configOf, makeBusyWorld, makeRing, openAll, through } from './world.js';

const RECORDS = [100, 1000, 10_000, 100_000, 1_000_000] as const;
const RECORDS_EACH = 100;
const K = 1024;
const SESSIONS = [K, 8 * K, 64 * K, 256 * K, K * K, 4 * K * K] as const;
/** Takes half a gigabyte and half a minute. */
const LARGEST = '4M';
const RULES = 100;
const SEED = 1;
/** Both directions, binding and empty slots. */
const MOST_SESSION_BYTES = 128;
/** In smaller tables what every table has weighs more than what is in it. */
const HELD_FROM = 64 * K;

function label(n: number, unit: number): string {
  return n < unit ? String(n) : n < unit * unit ? `${n / unit}k` : `${n / unit / unit}M`;
}

/** Samples of one size; what they were taken of is let go. */
interface RecordFigures { readonly lookUp: Measured; readonly bytes: number; readonly compileMs: number[] }

function measureRecords(effort: Effort, entries: number): RecordFigures {
  const tenants = Math.max(1, entries / RECORDS_EACH);
  const { config, ids, policy } = load(largeConfig(tenants, entries / tenants));
  const compileMs = Array.from({ length: effort.slowRounds }, () => {
    const began = performance.now();
    compileConfig(config, new TenantIds(tenants), 1, SEED);
    return performance.now() - began;
  });
  return { lookUp: measureNs(effort, recordWork(config, ids, policy)), bytes: tableBytes(policy) / entries, compileMs };
}

function recordBenches(entries: number): Bench[] {
  const figures = once(async effort => measureRecords(effort, Math.max(RECORDS[0], entries * effort.part - entries * effort.part % RECORDS_EACH)));
  const name = `scale/records/${label(entries, 1000)}`;
  const plain = (samples: readonly number[]): Measured => ({ samples, heapBytesPerOp: null, baseline: null });
  return [
    { name: `${name}/look-up`, unit: 'ns', what: `a random look-up among ${entries} records, ${RECORDS_EACH} a tenant`, measure: async effort => (await figures(effort)).lookUp },
    { name: `${name}/bytes`, unit: 'B', what: `memory of all tables of such a policy, by the record`, measure: async effort => plain([(await figures(effort)).bytes]) },
    { name: `${name}/compile`, unit: 'ms', what: `from a config of ${entries} records to those tables`, measure: async effort => plain((await figures(effort)).compileMs) },
  ];
}

function measureSessions(effort: Effort, sessions: number): Measured {
  const flows = Math.max(K, sessions * effort.part);
  const world = makeBusyWorld(effort, { rules: RULES, sessions: flows });
  const ring = makeRing(world, 'natOut', flows, SMALLEST);
  openAll(world, ring);
  if (world.gateway.context.nat.sessionCount < flows) throw new Error(`${world.gateway.context.nat.sessionCount} sessions, not ${flows}`);
  return measureNs(effort, through(world, ring));
}

/** Shared memory of sessions, bindings and the look-up tables of both, for a gateway of so many sessions. Flows without a session have room of their own. */
function sessionBytes(sessions: number): number {
  const { config } = readConfig(configOf({ rules: 0, sessions, flows: 1 }), 'scale.json');
  if (config === undefined) throw new Error('the config is not valid');
  return makeSharedState(stateSizes(config), 1, SEED).nat.byteLength / sessions;
}

function sessionBenches(sessions: number): Bench[] {
  const size = label(sessions, K);
  const name = `scale/sessions/${size}`;
  const onRequest = size === LARGEST ? { onRequest: LARGEST } : {};
  return [
    { ...onRequest, name: `${name}/packet`, unit: 'ns', what: `NVGRE → NAT → GRE with ${sessions} sessions, all in use, and room for no more`, measure: effort => measureSessions(effort, sessions) },
    {
      ...onRequest, name: `${name}/bytes`, unit: 'B', what: 'memory of a session: both directions, binding, empty slots',
      ...(sessions >= HELD_FROM ? { target: { of: 'median' as const, max: MOST_SESSION_BYTES } } : {}),
      measure: () => ({ samples: [sessionBytes(sessions)], heapBytesPerOp: null, baseline: null }),
    },
  ];
}

export const growthBenches: readonly Bench[] = [...RECORDS.flatMap(recordBenches), ...SESSIONS.flatMap(sessionBenches)];
