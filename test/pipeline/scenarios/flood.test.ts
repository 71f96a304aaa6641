/** Two tenants flood; a third does not lose one packet, and what the flooders lose is counted under their names (RFC 6888 REQ-4, RFC 4787 REQ-14a). */
import t from 'tap';
import { totals } from '../../../pipeline/ledger.js';
import { cut4, udp } from '../../support/frames.js';
import { Crew, compileAll } from '../../support/crew.js';
import { FLOODERS, FLOODS, FLOOD_LOSSES, SERVER, SERVER_PORT, TENANTS, WEB, DB, floodConfig, floodDatagram, floodFromOutside, fromVm, numberOf, numbered, type Flood, type FloodTenant } from '../../support/flood.js';
import { natFaults } from '../../support/nat-invariants.js';
import { seeded, type Seeded } from '../../support/seeded.js';

const HOST = '192.0.2.11', INET = '192.0.2.20';
/** What the gateway holds is less than the flooders want, and more than their quotas and what Green needs. */
const SESSIONS = 2048;
const QUOTA = { sessions: 500, bindings: 500, newFlowsPerSecond: 200, perAddress: { sessions: 400, bindings: 400, newFlowsPerSecond: 150 } };
const WORKERS = 2;
const STEPS = 8000;
const STEP_MS = 1;
const FLOOD_PER_STEP = 3;
/** Green's established flows, and how often it opens another. */
const FLOWS = 8, FRESH_EVERY = 20, PIECES_EVERY = 7;
const ROW = new Map<FloodTenant | '-', number>([['-', 0], ...TENANTS.map((name, i) => [name, i + 1] as const)]);

/** What all tenants have beside quotas. */
interface Setting { readonly acls?: readonly object[]; readonly filtering?: string }

function makeFlood(quotas: object, { acls = [], filtering = 'endpoint-independent' }: Setting = {}) {
  const { policies, sizes } = compileAll([floodConfig({
    host: HOST, inet: INET, quotas, acls, nat: { filtering },
    gateway: { limits: { tenants: 4, sessions: SESSIONS, bindings: SESSIONS, connections: 2 * SESSIONS, flows: 1024, fragments: 256, heldFragments: 128 }, timers: { udp: 3, tcpTransitory: 3, icmp: 3 } },
  })]);
  const crew = new Crew({ policy: policies[0], sizes, workers: WORKERS });
  const ledgerOf = (tenant: FloodTenant | '-') => totals(crew.gateways.map(({ ledger }) => ledger), [ROW.get(tenant)!]);
  return { crew, ledgerOf, faults: () => natFaults(crew.state.nat, sizes.nat) };
}

/** Send for a while, with floods of these kinds; what Green sent and what became of it. */
function flood({ crew }: ReturnType<typeof makeFlood>, random: Seeded, kinds: readonly Flood[] = FLOODS) {
  const wanted: string[] = [], fates = new Map<string, number>();
  const sent: Record<FloodTenant, number> = { red: 0, blue: 0, green: 0 };
  let n = 0;
  const give = (tenant: FloodTenant, pa: string, bytes: Uint8Array): string => {
    sent[tenant]++;
    return crew.send(random.below(WORKERS), { pa, carrier: 'gre', bytes });
  };
  const green = (datagram: Uint8Array): void => {
    wanted.push(`green ${n++}`);
    const fate = give('green', HOST, datagram);
    fates.set(fate, (fates.get(fate) ?? 0) + 1);
  };
  const floods = (): void => {
    for (const tenant of FLOODERS) {
      for (let i = 0; i < FLOOD_PER_STEP; i++) give(tenant, HOST, floodDatagram(tenant, kinds[random.below(kinds.length)], random));
      give(tenant, INET, floodFromOutside(tenant, random, kinds.includes('pieces') && random.below(2) === 0));
    }
  };
  for (let step = 0; step < STEPS; step++) {
    floods();
    const port = 2000 + step % FLOWS;
    green(numbered('green', port, n));
    green(numbered('green', port, n, DB));
    if (step % FRESH_EVERY === 0) green(numbered('green', 10_000 + step, n));
    if (step % PIECES_EVERY === 0) {
      const [first, later] = cut4(udp(WEB, port, SERVER, SERVER_PORT, `${'.'.repeat(60)}green ${n}`), 40, step).map(piece => fromVm('green', piece));
      if (step % 2 === 0) green(first); else green(later);
      n--, wanted.pop();
      floods();
      if (step % 2 === 0) green(later); else green(first);
    }
    crew.now += STEP_MS;
    if (step % 100 === 0) crew.wait(0);
  }
  return { wanted, fates, sent };
}

const STATEFUL = { acls: [{ action: 'allow', direction: 'outbound', stateful: true, weight: 1 }] }, BY_ADDRESS = { filtering: 'address-dependent' };
const NEW_FLOWS = ['udp', 'syn', 'ping', 'spray'] as const;
/** Floods alone and together, and what else takes state. */
const FLOODS_TRIED: readonly (readonly [name: string, kinds: readonly Flood[], setting: Setting])[] = [
  ['with new flows by NAT', NEW_FLOWS, {}],
  ['with new flows within their own networks', ['inside'], {}],
  ['with both', [...NEW_FLOWS, 'inside'], {}],
  ['with pieces whose first never comes, from inside and outside', ['pieces'], {}],
  ['in all these ways', FLOODS, {}],
  ['with new flows by NAT, where rules are stateful', NEW_FLOWS, STATEFUL],
  ['with new flows within their own networks, where rules are stateful', ['inside'], STATEFUL],
  ['with new flows by NAT, where filtering goes by address', NEW_FLOWS, BY_ADDRESS],
  ['with new flows within their own networks, where filtering goes by address', ['inside'], BY_ADDRESS],
];

for (const [name, kinds, setting] of FLOODS_TRIED) t.test(`issue 4: Red and Blue flood ${name}, with quotas on: Green loses nothing`, async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const world = makeFlood(QUOTA, setting);
  const { wanted, fates, sent } = flood(world, random, kinds);

  const arrived = world.crew.sent.map(({ bytes }) => numberOf(bytes)).filter(number => number?.startsWith('green'));
  const missing = wanted.filter(number => !arrived.includes(number));
  t.same([missing.length, missing.slice(0, 5)], [0, []], 'every one of Green’s packets left');
  t.equal(arrived.join(), wanted.join(), 'once, and in order');
  t.same([...fates].filter(([fate]) => fate !== 'forwarded' && fate !== 'held'), []);
  const green = world.ledgerOf('green');
  t.same([green.packets.in, green.packets.dropped, green.packets.held, green.drops], [sent.green, 0, 0, {}]);

  for (const tenant of FLOODERS) {
    const { packets, drops } = world.ledgerOf(tenant);
    t.comment(`${tenant}: ${packets.in} in, ${packets.forwarded} forwarded, dropped ${JSON.stringify(drops)}`);
    t.equal(packets.in, sent[tenant]);
    t.equal(packets.in, packets.forwarded + packets.dropped + packets.consumed + packets.held, 'each has one fate');
    t.equal(Object.values(drops).reduce((sum, count) => sum + count, 0), packets.dropped, 'and each that was lost a reason');
    t.same(Object.keys(drops).filter(reason => !FLOOD_LOSSES.has(reason)), [], 'its own quota is what stops it, not the gateway’s room');
  }
  t.same(world.ledgerOf('-').packets.in, 0, 'nothing is nobody’s');
  t.same(world.faults(), []);
});

t.test('and without quotas Green does lose some: so the test can tell', async t => {
  const world = makeFlood({});
  flood(world, seeded(1), ['udp', 'syn', 'ping']);
  t.ok(world.ledgerOf('green').packets.dropped > 0);
});
