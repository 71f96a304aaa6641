/** Looking things up among few and among many, in an order that no cache can foresee. */
import type { Config } from '../../config/types.js';
import type { TenantIds } from '../../daemon/tables.js';
import { LpmBuilder, Lpm } from '../../pipeline/tables/lpm.js';
import { Policy, type PolicyData } from '../../pipeline/policy.js';
import { seededRandom } from '../../pipeline/random.js';
import { largeConfig } from '../config/large.js';
import { load } from '../config/load.bench.js';
import { measureNs, type Work } from '../harness.js';
import type { Bench } from '../result.js';

/** Look-ups a pass. The questions lie in a row, so that only the answers miss the cache. */
const QUESTIONS = 1 << 17;
const SIZES = [10, 1000, 100_000] as const;
/** Entries a tenant. */
const EACH = 100;
const V4_MAPPED = 0xffff;
const SEED = 7;

/** Pairs of scope and address, drawn with repetition from `known`. */
function makeQuestions(known: Uint32Array): Uint32Array {
  const questions = new Uint32Array(QUESTIONS * 2);
  const random = seededRandom(SEED);
  for (let i = 0; i < questions.length; i += 2) {
    const at = random.next() % (known.length / 2) * 2;
    questions[i] = known[at];
    questions[i + 1] = known[at + 1];
  }
  return questions;
}

function mustFind(found: number): number {
  if (found < 0) throw new Error('a look-up found nothing');
  return found;
}

/** `entries` records, at most 100 a tenant, as the config reader and the compiler make them. */
function recordLookups(entries: number): Work {
  const tenants = Math.max(1, entries / EACH);
  const { config, ids, policy } = load(largeConfig(tenants, entries / tenants));
  return recordWork(config, ids, policy);
}

/** Look-ups of records of `config`, all of them known. */
export function recordWork(config: Config, ids: TenantIds, data: PolicyData): Work {
  const idOf = new Map(Array.from(ids.entries(), ([id, name]) => [name, id]));
  const questions = makeQuestions(Uint32Array.from(config.tenants.flatMap(
    tenant => tenant.records.flatMap(({ ca }) => ca === null ? [] : [idOf.get(tenant.name) ?? 0, ca.words[3]]),
  )));
  const policy = new Policy(data);
  return {
    ops: QUESTIONS,
    run(from, to) {
      let seen = 0;
      for (let i = from * 2; i < to * 2; i += 2) seen ^= mustFind(policy.findRecord(questions[i], 0, 0, V4_MAPPED, questions[i + 1]));
      return seen;
    },
  };
}

/** Prefix lengths of a tenant's routes, as v4-mapped: a default route, large and small subnets, hosts. */
const LENGTHS = [96, 112, 116, 120, 124, 128] as const;

/** `entries` prefixes, at most 100 a tenant, and addresses under them. */
function lpmLookups(entries: number): Work {
  const random = seededRandom(SEED);
  const tenants = Math.max(1, entries / EACH);
  const builder = new LpmBuilder(SEED, tenants);
  const known = new Uint32Array(entries * 2);
  for (let i = 0; i < entries; i++) {
    const scope = i % tenants;
    const address = random.next();
    builder.add(scope, [0, 0, V4_MAPPED, address], LENGTHS[Math.floor(i / tenants) % LENGTHS.length], i);
    known.set([scope, address], i * 2);
  }
  const lpm = new Lpm(builder.build());
  const questions = makeQuestions(known);
  return {
    ops: QUESTIONS,
    run(from, to) {
      let seen = 0;
      for (let i = from * 2; i < to * 2; i += 2) seen ^= mustFind(lpm.find(questions[i], 0, 0, V4_MAPPED, questions[i + 1]));
      return seen;
    },
  };
}

function sizes(name: string, what: string, make: (entries: number) => Work, most?: number): Bench[] {
  return SIZES.map(entries => ({
    name: `pipeline/${name}/${label(entries)}`, unit: 'ns', what: `${what} among ${entries}${entries === SIZES[0] ? '' : '; baseline: among 10'}`,
    ...(most === undefined || entries !== SIZES[2] ? {} : { target: { of: 'ratio' as const, max: most } }),
    measure: effort => measureNs(effort, make(entries), entries === SIZES[0] ? null : { name: 'among 10', work: make(SIZES[0]) }),
  }));
}

function label(entries: number): string {
  return entries >= 1000 ? `${entries / 1000}k` : String(entries);
}

export const lookupBenches: readonly Bench[] = [
  ...sizes('record', 'Policy.findRecord of a random (tenant, CA)', recordLookups, 5),
  ...sizes('lpm', 'Lpm.find of a random address, six prefix lengths a tenant', lpmLookups),
];
