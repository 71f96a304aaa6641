/** Packets through the whole pipeline in memory, from the UDP payload that came to the one that goes. */
import { imbalances, totals } from '../../pipeline/ledger.js';
import { measureNs, warmUp, type Effort, type Measured } from '../harness.js';
import type { Bench } from '../result.js';
import { minimalNat } from './minimal-nat.js';
import { ROOM } from './ring.js';
import { WALKS, makeRing, makeWorld, through, type WalkName, type World } from './world.js';

const FLOWS = [1024, 65536] as const;
const RULES = [0, 100] as const;
const NEW_FLOWS = 16384;

const WHAT: Record<WalkName, string> = {
  natOut: 'NVGRE → NAT → GRE', natIn: 'GRE → NAT → NVGRE', subnet: 'NVGRE → other subnet → VXLAN', forward: 'NVGRE → forward → GRE with a key',
  site: 'NVGRE → site → GRE with a key',
};

/** A world that all walks have gone through: a gateway has all of them in use, and its code is compiled for all. */
function makeBusyWorld(effort: Effort, rules: number): World {
  const world = makeWorld(rules);
  warmUp(effort, WALKS.flatMap(walk => {
    const ring = makeRing(world, walk, FLOWS[0]);
    return [through(world, ring), through(world, ring, ROOM)];
  }));
  return world;
}

/** A gateway that lost count measured something else. */
function checked(world: World, measured: Measured): Measured {
  const wrong = imbalances(totals([world.gateway.ledger]));
  if (wrong.length > 0) throw new Error(wrong.join('; '));
  return measured;
}

function measureWalk(effort: Effort, walk: WalkName, flows: number, rules: number, headroom: 0 | typeof ROOM): Measured {
  const world = makeBusyWorld(effort, rules);
  const ring = makeRing(world, walk, flows);
  const baseline = { name: 'minimal NAT', work: minimalNat(ring, walk !== 'natIn') };
  return checked(world, measureNs(effort, through(world, ring, headroom), baseline));
}

function measureFirst(effort: Effort): Measured {
  const world = makeBusyWorld(effort, 0);
  const known = makeBusyWorld(effort, 0);
  const ring = makeRing(world, 'natOut', NEW_FLOWS);
  const again = through(known, ring);
  const first = through(world, ring);
  const { nat } = world.gateway.context;
  return checked(world, measureNs(effort, {
    ...first,
    restore() {
      nat.revoke(() => false); // all flows are forgotten
      first.restore?.();
    },
  }, { name: 'known flow', work: again }));
}

function label(flows: number): string {
  return `${flows / 1024}k`;
}

function kebab(walk: WalkName): string {
  return walk.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
}

export const walkBenches: readonly Bench[] = [
  ...WALKS.flatMap(walk => FLOWS.flatMap(flows => RULES.map((rules): Bench => ({
    name: `pipeline/${kebab(walk)}/${label(flows)}/acl-${rules}`, unit: 'ns', what: `${WHAT[walk]}, ${flows} known flows, ${rules} ACL rules; baseline: a minimal NAT`,
    measure: effort => measureWalk(effort, walk, flows, rules, 0),
  })))),
  {
    name: 'pipeline/nat-in/1k/headroom', unit: 'ns', what: `${WHAT.natIn} out of slots with headroom, where nothing need be copied; baseline: a minimal NAT`,
    measure: effort => measureWalk(effort, 'natIn', FLOWS[0], RULES[0], ROOM),
  },
  {
    name: 'pipeline/first-packet', unit: 'ns', what: `${WHAT.natOut}, the first packet of a flow, which makes binding and session; baseline: the next packet`,
    measure: measureFirst,
  },
];
