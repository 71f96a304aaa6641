/** What rules cost: nothing to a packet of a known flow, and to the first one of a flow hardly more for thousands than for a few. */
import { buildAcl } from '../../pipeline/acl/build.js';
import { Classifier } from '../../pipeline/acl/classifier.js';
import { List } from '../../pipeline/acl/layout.js';
import { Question } from '../../pipeline/acl/question.js';
import { withSieve } from '../../pipeline/compile.js';
import { ANY_PROTOCOL, NONE } from '../../pipeline/policy.js';
import { measureNs, once, type Effort, type Work } from '../harness.js';
import type { Bench } from '../result.js';
import { measureAlone, type AloneData } from './alone.js';
import { SMALLEST } from './world.js';

const RULES = [0, 100, 10_000] as const;
/** Sixteen tenants have so many each; a look that everything runs needs fewer. */
const sized = (rules: number, effort: Effort): number => Math.ceil(rules * effort.part);

const KINDS = {
  known: { what: 'a packet of a known flow', flows: 1024, isFirst: false, target: { of: 'ratio', max: 1.1 } },
  first: { what: 'the first packet of a flow, NAT session made', flows: 16 * 1024, isFirst: true, target: { of: 'median', max: 3000 } },
} as const;

function kindBenches(kind: keyof typeof KINDS): Bench[] {
  const { what, flows, isFirst, target } = KINDS[kind];
  const samples = once(effort => measureAlone(effort, RULES.map((rules): Omit<AloneData, 'effort'> => ({ walk: 'natOut', flows, len: SMALLEST, rules: sized(rules, effort), counts: true, isFirst }))));
  return RULES.map((rules, i) => ({
    name: `pipeline/rules/${kind}/${label(rules)}`, unit: 'ns', what: `NVGRE → NAT → GRE, ${what}, ${rules} rules a tenant, of which none matches${i === 0 ? '' : '; baseline: no rules'}`,
    ...(i === 0 ? {} : { target }),
    async measure(effort) {
      const all = await samples(effort);
      return { samples: all[i], heapBytesPerOp: null, baseline: i === 0 ? null : { name: 'no rules', samples: all[0] } };
    },
  }));
}

function label(rules: number): string {
  return rules < 1000 ? String(rules) : `${rules / 1000}k`;
}

const QUESTIONS = 4096;
const HOST = 0x0a000005;
const UDP = 17;

/** Ranges of ports at one address that all cross each other, on both sides, and packets beside most of them: no hash tells them apart. */
function crossing(entries: number): Work {
  const column = (value = 0, words = 1): Uint32Array => new Uint32Array(entries * words).fill(value);
  const address = Uint32Array.from({ length: entries * 4 }, (_, i) => [0, 0, 0xffff, HOST][i & 3]);
  const step = 0x8000 / entries;
  const rules = withSieve({
    names: [], outbound: column(1), action: column(1), idle: column(), order: column(), tally: column(), weight: column(), family: column(), protocol: column(ANY_PROTOCOL),
    local: address, localMask: column(NONE, 4), remote: column(0, 4), remoteMask: column(0, 4),
    localSubnet: column(NONE), localMacHigh: column(NONE), localMacLow: column(), remoteMacHigh: column(NONE), remoteMacLow: column(), ports: column(1),
    // The n-th is wider than those before on one side, and narrower on the other.
    localFrom: column().map((_, i) => 0x8000 - Math.floor(i * step)), localTo: column().map((_, i) => 0x8000 + Math.floor(i * step)),
    remoteFrom: column().map((_, i) => Math.floor(i * step)), remoteTo: column().map((_, i) => 0xffff - Math.floor(i * step)), line: column(),
  });
  const bounds = (end: number): Uint32Array => Uint32Array.of(0, end);
  const classifier = new Classifier(rules, buildAcl(rules, { names: ['', 'one'], ruleFirst: bounds(0), ruleInbound: bounds(entries), ruleEnd: bounds(entries), meterInbound: bounds(entries), meterEnd: bounds(entries) }));
  const questions = Array.from({ length: QUESTIONS }, (_, i) => {
    const q = new Question();
    q.family = 4; q.protocol = UDP; q.hasPorts = true;
    q.local2 = 0xffff; q.local3 = HOST; q.remote2 = 0xffff;
    q.localPort = i * 8; q.remotePort = i * 8 + 4; // outside of what is wide enough here, there or both
    return q;
  });
  return {
    ops: QUESTIONS,
    run(from, to) {
      let seen = 0;
      for (let i = from; i < to; i++) seen ^= classifier.first(1, List.outbound, questions[i]);
      return seen;
    },
  };
}

export const rulesBenches: readonly Bench[] = [
  ...kindBenches('known'),
  ...kindBenches('first'),
  {
    name: 'pipeline/rules/crossing/10k', unit: 'ns', what: 'which of 10000 entries matches, all ranges of ports at one address that cross each other; baseline: of 100', target: { of: 'median', max: 3000 },
    measure: async effort => measureNs(effort, crossing(10_000), { name: 'of 100', work: crossing(100) }),
  },
];
