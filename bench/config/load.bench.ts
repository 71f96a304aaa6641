/** From the text of a large config to the tables of the pipeline: what a start or a reload waits for. */
import { readConfig } from '../../config/index.js';
import type { Config } from '../../config/types.js';
import { compileConfig, TenantIds } from '../../daemon/tables.js';
import type { PolicyData } from '../../pipeline/policy.js';
import { measureMs } from '../harness.js';
import type { Bench } from '../result.js';
import { largeConfig } from './large.js';

const TENANTS = 1000;
const RECORDS_EACH = 100;
const SEED = 1;
const BYTES_PER_MIB = 2 ** 20;

/** A config that must be valid, read and compiled. */
export function load(text: string): { config: Config; ids: TenantIds; policy: PolicyData } {
  const config = read(text);
  const ids = new TenantIds(config.gateway.limits.tenants);
  return { config, ids, policy: compileConfig(config, ids, 1, SEED) };
}

function read(text: string): Config {
  const { config, problems } = readConfig(text, 'bench.jsonc');
  if (config === undefined) throw new Error(`${problems.length} problems, first: ${problems[0].path}: ${problems[0].message}`);
  return config;
}

/** Bytes of shared memory behind a policy, each buffer once. */
export function tableBytes(value: unknown, seen = new Set<unknown>()): number {
  if (ArrayBuffer.isView(value)) return tableBytes(value.buffer, seen);
  if (typeof value !== 'object' || value === null || seen.has(value)) return 0;
  seen.add(value);
  if (value instanceof SharedArrayBuffer || value instanceof ArrayBuffer) return value.byteLength;
  return Object.values(value).reduce((sum: number, part) => sum + tableBytes(part, seen), 0);
}

export const loadBenches: readonly Bench[] = [
  {
    name: 'config/read', unit: 'ms', what: `text of ${TENANTS} tenants with ${RECORDS_EACH} records each to a valid config`,
    measure(effort) {
      const text = largeConfig(TENANTS, RECORDS_EACH);
      return measureMs(effort, () => read(text).tenants.length);
    },
  },
  {
    name: 'config/compile', unit: 'ms', what: 'that config to the tables of the pipeline',
    measure(effort) {
      const config = read(largeConfig(TENANTS, RECORDS_EACH));
      return measureMs(effort, () => compileConfig(config, new TenantIds(TENANTS), 1, SEED).generation);
    },
  },
  {
    name: 'config/load', unit: 'ms', what: 'both: text to tables', target: { of: 'median', max: 2000 },
    measure(effort) {
      const text = largeConfig(TENANTS, RECORDS_EACH);
      return measureMs(effort, () => load(text).policy.generation);
    },
  },
  {
    name: 'config/tables', unit: 'MiB', what: 'shared memory of those tables',
    measure() {
      const { policy } = load(largeConfig(TENANTS, RECORDS_EACH));
      return { samples: [tableBytes(policy) / BYTES_PER_MIB], heapBytesPerOp: null, baseline: null };
    },
  },
];
