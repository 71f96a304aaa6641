/** Packets through the whole pipeline in memory, from the UDP payload that came to the one that goes. */
import { imbalances, totals } from '../../pipeline/ledger.js';
import { measureNs, once, type Effort, type Measured } from '../harness.js';
import type { Bench, Target } from '../result.js';
import { measureAlone, type AloneData } from './alone.js';
import { minimalNat } from './minimal-nat.js';
import { ROOM } from './ring.js';
import { SMALLEST, WALKS, forgetting, idle, makeBusyWorld, makeRing, openAll, through, type WalkName, type World } from './world.js';

const K = 1024;
const FLOWS = [K, 64 * K, 1024 * K] as const;
/** Room for the flows that warm a world up. */
const WARM_FLOWS = 16 * K;
const LENGTHS = [SMALLEST, 1400] as const;
/** "Everything on" has so many rules a tenant, none of which matches. */
const RULES = 100;
const NEW_FLOWS = 16 * K;

const WHAT: Record<WalkName, string> = {
  natOut: 'NVGRE → NAT → GRE', natIn: 'GRE → NAT → NVGRE', subnet: 'NVGRE → other subnet → VXLAN', forward: 'NVGRE → forward → GRE with a key',
  forwardIn: 'GRE with a key → NVGRE', site: 'NVGRE → site → GRE with a key',
};

/** Nanoseconds a packet at each number of flows, for the smallest packets. */
const BUDGETS: Partial<Record<WalkName, readonly number[]>> = { natOut: [60, 100, 250], natIn: [60, 110, 260] };

/** The last world that was made: lines that differ in the packet only share it. */
let kept: { readonly key: string; readonly world: World } | undefined;

function worldFor(effort: Effort, flows: number): World {
  const key = `${flows} ${effort.part}`;
  if (kept?.key !== key) {
    kept = undefined; // first let go of the old one
    kept = { key, world: makeBusyWorld(effort, { rules: RULES, sessions: Math.max(FLOWS[1], flows) + WARM_FLOWS }) };
  }
  return kept.world;
}

function sized(flows: number, effort: Effort): number {
  return Math.max(K, flows * effort.part);
}

/** A gateway that lost count measured something else. */
function checked(world: World, measured: Measured): Measured {
  const wrong = imbalances(totals([world.gateway.ledger]));
  if (wrong.length > 0) throw new Error(wrong.join('; '));
  return measured;
}

function measureWalk(effort: Effort, walk: WalkName, flows: number, len: number, headroom: 0 | typeof ROOM): Measured {
  const world = worldFor(effort, sized(flows, effort));
  idle(world); // so that records of the line before are free
  const ring = makeRing(world, walk, sized(flows, effort), len);
  openAll(world, ring);
  const baseline = { name: 'minimal NAT', work: minimalNat(ring, walk !== 'natIn') };
  return checked(world, measureNs(effort, through(world, ring, headroom), baseline));
}

function measureFirst(effort: Effort): Measured {
  const parts = { rules: RULES, sessions: FLOWS[1] };
  const world = makeBusyWorld(effort, parts);
  const known = makeBusyWorld(effort, parts);
  const ring = makeRing(world, 'natOut', NEW_FLOWS, SMALLEST);
  openAll(known, ring);
  const again = through(known, ring);
  return checked(world, measureNs(effort, forgetting(world, through(world, ring)), { name: 'known flow', work: again }));
}

function label(flows: number): string {
  return flows < K * K ? `${flows / K}k` : `${flows / (K * K)}M`;
}

function kebab(walk: WalkName): string {
  return walk.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
}

function walkBench(walk: WalkName, flows: number, len: number): Bench {
  const most = len === SMALLEST ? BUDGETS[walk]?.[FLOWS.findIndex(n => n === flows)] : undefined;
  return {
    name: `pipeline/${kebab(walk)}/${label(flows)}/${len}`, unit: 'ns', what: `${WHAT[walk]}, ${flows} known flows, ${len}-byte packets, ${RULES} ACL rules; baseline: a minimal NAT`,
    ...(most === undefined ? {} : { target: { of: 'median' as const, max: most } }),
    measure: effort => measureWalk(effort, walk, flows, len, ROOM),
  };
}

const NO_HEAP: Target = { of: 'median', max: 0.5 };

/** A line of its own for what the table has as a column: it is a budget. Out of slots with headroom, as from a ring. */
function heapBench(walk: WalkName): Bench {
  return {
    name: `pipeline/${kebab(walk)}/heap`, unit: 'B', what: `heap bytes a packet leaves to the collector, ${WHAT[walk]}, rounding to 0`, target: NO_HEAP,
    measure: effort => ({ samples: [measureWalk(effort, walk, FLOWS[0], SMALLEST, ROOM).heapBytesPerOp ?? 0], heapBytesPerOp: null, baseline: null }),
  };
}

/** What can be left out of a walk, and what is then measured. */
const PARTS: Record<string, { readonly what: string; readonly change: Partial<AloneData> }> = {
  acl: { what: 'without ACL rules', change: { rules: 0 } },
  counters: { what: 'without the ledger', change: { counts: false } },
};

/** What the parts of a walk cost: the same without each, and everything on as the baseline. `plain` is the walk without NAT. */
function withoutBenches(walk: WalkName, plain: WalkName | null): Bench[] {
  const all: Omit<AloneData, 'effort'> = { walk, flows: FLOWS[0], len: SMALLEST, rules: RULES, counts: true, isFirst: false };
  const parts = Object.entries(PARTS).concat(plain === null ? [] : [['nat', { what: `without NAT, which is ${WHAT[plain]}`, change: { walk: plain } }]]);
  const samples = once(effort => measureAlone(effort, [all, ...parts.map(([, { change }]) => ({ ...all, ...change }))]));
  return parts.map(([part, { what }], i) => ({
    name: `pipeline/${kebab(walk)}/1k/64/no-${part}`, unit: 'ns', what: `${WHAT[walk]} ${what}; baseline: with everything on`,
    async measure(effort) {
      const [baseline, ...subjects] = await samples(effort);
      return { samples: subjects[i], heapBytesPerOp: null, baseline: { name: 'everything on', samples: baseline } };
    },
  }));
}

const first = once(async effort => measureFirst(effort));
const PER_MS = 1e6; // nanoseconds in a millisecond: 1,000 flows a second are one a millisecond

export const walkBenches: readonly Bench[] = [
  ...FLOWS.flatMap(flows => WALKS.flatMap(walk => LENGTHS.map(len => walkBench(walk, flows, len)))),
  {
    name: 'pipeline/nat-in/1k/64/copied', unit: 'ns', what: `${WHAT.natIn} out of datagrams as Node hands them out, with no room before them for the longer header, so that each is copied; baseline: a minimal NAT`,
    measure: effort => measureWalk(effort, 'natIn', FLOWS[0], SMALLEST, 0),
  },
  ...WALKS.map(heapBench),
  {
    name: 'pipeline/first-packet', unit: 'ns', what: `${WHAT.natOut}, the first packet of a flow, which makes binding and session; baseline: the next packet`,
    target: { of: 'median', max: 1000 }, measure: first,
  },
  {
    name: 'pipeline/new-flows', unit: 'kpps', what: 'the same as new flows per second, in thousands',
    async measure(effort) {
      const { samples } = await first(effort);
      return { samples: samples.map(ns => PER_MS / ns), heapBytesPerOp: null, baseline: null };
    },
  },
  ...WALKS.flatMap(walk => withoutBenches(walk, walk === 'natOut' ? 'forward' : walk === 'natIn' ? 'forwardIn' : null)),
];
