/** Who gets which external port: shares by arithmetic, blocks, pairing, parity, and that no port changes hands within 120 s. */
import t from 'tap';
import { u16, u32 } from '../../../codecs/bytes.js';
import { planOfTenant } from '../../../pipeline/nat/port-policy.js';
import { seededRandom } from '../../../pipeline/random.js';
import { expectLedger } from '../../support/expect.js';
import { echo, ip4, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { natFaults } from '../../support/nat-invariants.js';
import { FAR, HOST_NAMES, RED_POOL, fromUplink, fromVm, makeConfig, makeWorld, vm, type WorldChange } from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4');
const SYN = 2;
const POOL = ip4(RED_POOL);

const nat = (changes: object): WorldChange => (_config, red) => { Object.assign(red.nat ?? {}, changes); };
const both = (...changes: WorldChange[]): WorldChange => (...args) => { for (const change of changes) change(...args); };
const limits = (changes: object): WorldChange => config => { Object.assign(config.gateway.limits, changes); };
/** Subnets of 32 addresses, so that there are shares of 504 ports on one address: 64 inside addresses. */
const small: WorldChange = (_config, red) => { red.subnets.forEach((subnet, i) => { subnet.prefix = `10.0.${i}.0/27`; }); };

/** The outside end of the packet that left last. */
function outside(lab: Lab): { address: number; port: number } {
  const [{ bytes }] = lab.take().slice(-1);
  return { address: u32(bytes, 4 + 12), port: u16(bytes, 4 + 20) };
}
function open(lab: Lab, from: typeof A, port: number): { address: number; port: number } | string {
  const fate = fromVm(lab, from, udp(from.ca, port, FAR, 53));
  if (fate === 'forwarded') return outside(lab);
  lab.take();
  return fate;
}
const portOf = (lab: Lab, from: typeof A, port: number): number => { const end = open(lab, from, port); return typeof end === 'string' ? -1 : end.port; };
function faults(lab: Lab): string[] {
  return [...natFaults(lab.state.nat, lab.state.sizes.nat), ...lab.imbalances()];
}
const plan = (lab: Lab, tenant = 1) => lab.gateway.context.policy.ports.planOf(tenant);

t.test('RFC 7422: an inside address gets its ports from the share that arithmetic gives it, UDP, TCP and ICMP alike', async t => {
  const lab = makeWorld(both(small, limits({ sessions: 2000, bindings: 2000 })), seededRandom(3));
  t.same([plan(lab).perOutside, plan(lab).share], [64, 504]);
  for (const from of [A, B, vm('nv4', 'db')]) {
    const share = plan(lab).shareOf(ip4(from.ca));
    const isOwn = (port: number): boolean => share !== undefined && port >= share.firstPort && port < share.firstPort + share.count;
    for (let port = 2000; port < 2040; port++) t.ok(isOwn(portOf(lab, from, port)), `${from.ca}:${port}`);
    fromVm(lab, from, tcp(from.ca, 2000, FAR, 80, SYN));
    t.ok(isOwn(outside(lab).port), 'TCP');
    fromVm(lab, from, echo(from.ca, FAR, 77));
    t.ok(isOwn(u16(lab.take()[0].bytes, 4 + 24)), 'an ICMP id');
  }
  t.equal(lab.gateway.context.nat.blocks.count, 0);
  t.same(faults(lab), []);
});

t.test('RFC 7422 §3: when its share is used up, an inside address gets blocks, one after the other, on the same outside address', async t => {
  const lab = makeWorld(both(small, limits({ sessions: 2000, bindings: 2000 }), nat({ pool: [RED_POOL, '203.0.113.11'] })), seededRandom(3));
  t.equal(plan(lab).share, 1008);
  const { blocks } = lab.gateway.context.nat;
  const share = plan(lab).shareOf(ip4(A.ca));
  const ends = Array.from({ length: 1300 }, (_, i) => open(lab, A, 2000 + i) as { address: number; port: number });
  t.same(new Set(ends.map(end => end.address)), new Set([share?.outside]), 'RFC 6888 REQ-2: paired');
  t.equal(new Set(ends.map(end => end.port)).size, 1300);
  t.same([...blocks.records()].map(({ count, tenant, inside }) => [count, tenant, inside]), [[256, 1, ip4(A.ca)], [256, 1, ip4(A.ca)]]);
  const holders = ends.map(({ address, port }) => { const holder = plan(lab).holderOf(address, port); return holder !== undefined && 'inside' in holder ? holder.inside : blocks.find(address, port)?.inside; });
  t.ok(holders.every(holder => holder === ip4(A.ca)), 'whoever asks who had a port finds it');
  t.same(faults(lab), []);
});

t.test('planOfTenant says from the config what the gateway does', async t => {
  const lab = makeWorld(both(small, nat({ pool: ['203.0.113.11', RED_POOL], mappings: [{ external: '203.0.113.11', internal: A.ca }] })));
  const own = plan(lab), prefix = (text: string, bits: number) => ({ words: [0, 0, 0xffff, ip4(text)] as const, bits: 96 + bits });
  const rows = {
    nat: { pool: [prefix('203.0.113.11', 32), prefix(RED_POOL, 32)], mappings: [{ protocol: null, external: ip4('203.0.113.11'), internal: ip4(A.ca), bits: 32, externalPort: 0, internalPort: 0, ports: 0, line: 1 }], blocks: { size: 256, assign: 'auto', perAddress: null } },
    subnets: [{ prefixes: [{ prefix: prefix('10.0.0.0', 27) }] }, { prefixes: [{ prefix: prefix('10.0.1.0', 27) }] }],
  };
  const told = planOfTenant(rows as never);
  t.same(told?.shareOf(ip4(B.ca)), own.shareOf(ip4(B.ca)));
  t.equal(own.indexOfOutside(ip4('203.0.113.11')), -1, 'an address that is mapped as a whole is shared out to nobody');
  t.same([told?.share, told?.blocks], [own.share, own.blocks]);
});

t.test('RFC 6888 REQ-15: blocks are taken from a random place, ports in them too; each inside address has its own', async t => {
  const lab = makeWorld(limits({ sessions: 400, bindings: 400 }), seededRandom(5));
  t.equal(plan(lab).share, 0, '512 inside addresses behind one');
  const firsts = HOST_NAMES.map(name => {
    const ports = Array.from({ length: 20 }, (_, i) => portOf(lab, vm(name), 3000 + i));
    t.equal(new Set(ports.map(port => port >> 8)).size, 1, `${name} has one block`);
    t.ok(ports.filter((port, i) => i > 0 && port === ports[i - 1] + 1).length < 4, 'its ports do not follow on each other');
    return ports[0] >> 8;
  });
  t.equal(new Set(firsts).size, HOST_NAMES.length);
  t.ok(firsts.filter((block, i) => i > 0 && Math.abs(block - firsts[i - 1]) === 1).length < 2);
  t.same(faults(lab), []);
});

t.test('RFC 4787 REQ-2, RFC 6888 REQ-2: paired: an inside address keeps to its outside address, and is refused when that has nothing left', async t => {
  const world = both(limits({ sessions: 400, bindings: 400, portBlocks: 24 }), nat({ pool: ['203.0.113.12/31'], blocks: { size: 16_384, assign: 'dynamic' }, mappings: [] }));
  const lab = makeWorld(world, seededRandom(1));
  const ends = new Map(HOST_NAMES.map(name => [name, open(lab, vm(name), 1) as { address: number }]));
  t.equal(new Set([...ends.values()].map(end => end.address)).size, 2, 'six blocks on two addresses, for six inside addresses');
  t.equal(open(lab, vm('nv4', 'db'), 1), 'nat_ports_spent');
  for (const name of HOST_NAMES) for (let port = 2; port < 30; port++) t.equal((open(lab, vm(name), port) as { address: number }).address, ends.get(name)?.address);
  fromVm(lab, A, tcp(A.ca, 9, FAR, 80, SYN));
  t.equal(outside(lab).address, ends.get('nv4')?.address, 'for all protocols');
  t.same(faults(lab), []);
});

for (const [pooling, second] of [['paired', 'nat_ports_spent'], ['any', 'forwarded']] as const) {
  t.test(`RFC 7857 §3: pooling ${pooling}: when the outside address has no port left, ${pooling === 'any' ? 'another gives some' : 'there are no more'}`, async t => {
    // Each address has one block and a half: the share of one inside address, 16384 ports, and a block of as many.
    const lab = makeWorld(both(limits({ sessions: 40_000, bindings: 40_000 }), nat({ pool: ['203.0.113.12/31'], pooling, blocks: { size: 16_384, assign: 'dynamic' }, mappings: [] })), seededRandom(1));
    const { context: { nat: table, policy } } = lab.gateway;
    const first = open(lab, A, 1) as { address: number; port: number };
    // All blocks of that address but A's are others', and A's is full.
    for (const { context } of lab.gateways) {
      const own = context.nat.blocks.find(first.address, first.port);
      for (let i = 0; i < 2; i++) context.nat.blocks.claim(1, ip4('10.0.0.200') + i, policy.ports.planOf(1), first.address, 17, 0xffffffff, 0, lab.now);
      const block = context.nat.subscribers.firstBlock(context.nat.subscribers.find(1, ip4(A.ca))) - 1;
      while (context.nat.blocks.use(block, 17)) continue;
      t.equal(own?.inside, ip4(A.ca));
    }
    const next = open(lab, A, 2);
    if (pooling === 'paired') t.equal(next, second);
    else t.not((next as { address: number }).address, first.address);
    t.equal(table.subscribers.paired(table.subscribers.find(1, ip4(A.ca))), first.address);
  });
}

t.test('RFC 6888 REQ-2: after a reload that pairs an inside address with another outside one, its new ports are there; blocks from before serve those that have them', async t => {
  const room = both(small, limits({ sessions: 3000, bindings: 3000 }));
  const lab = makeWorld(both(room, nat({ blocks: { assign: 'dynamic' } })));
  t.equal((open(lab, A, 1) as { address: number }).address, POOL);
  lab.reload(makeConfig(both(room, nat({ pool: [RED_POOL, '203.0.113.11'] }))));
  t.equal(plan(lab).shareOf(ip4(A.ca))?.outside, POOL + 1);
  const ends = Array.from({ length: 1100 }, (_, i) => open(lab, A, 10 + i) as { address: number });
  t.same(new Set(ends.map(end => end.address)), new Set([POOL + 1]), 'more than its share, and none from the block that it still has');
  t.equal((open(lab, A, 1) as { address: number }).address, POOL, 'the old flow');
  t.same(faults(lab), []);
});

t.test('RFC 4787 REQ-4, RFC 7857 §8: with parity an even port gets an even one, an odd one an odd one, until there are none; ICMP does not care', async t => {
  const lab = makeWorld(both(limits({ sessions: 400, bindings: 400 }), nat({ parity: true, blocks: { size: 64, perAddress: 1 } })), seededRandom(9));
  const ports = Array.from({ length: 32 }, (_, i) => [portOf(lab, A, 2000 + 2 * i), portOf(lab, A, 2001 + 2 * i)]);
  t.ok(ports.every(([even, odd]) => even % 2 === 0 && odd % 2 === 1));
  t.equal(new Set(ports.flat().map(port => port >> 6)).size, 1, 'all 64 ports of one block');
  t.equal(open(lab, A, 3000), 'nat_address_blocks');
  for (let id = 0; id < 64; id += 2) t.equal(fromVm(lab, A, echo(A.ca, FAR, id)), 'forwarded');
  for (let port = 4000; port < 4080; port += 2) fromVm(lab, A, tcp(A.ca, port, FAR, 80, SYN));
  t.equal(lab.totals('red').drops['nat_address_blocks'], 1, 'forty even TCP ports: the odd half rather than none');
  t.same(faults(lab), []);
});

t.test('RFC 6888 REQ-8: a block that is no longer used is kept for its inside address for 120 s, then it is another’s', async t => {
  const change = both(limits({ sessions: 400, bindings: 400 }), nat({ blocks: { size: 16_384 }, mappings: [] }));
  const lab = makeWorld(change);
  const first = portOf(lab, A, 1);
  for (const name of ['vx4', 'nv6'] as const) t.ok(portOf(lab, vm(name), 1) > 0);
  t.equal(open(lab, vm('vx6'), 1), 'nat_ports_spent');
  lab.wait(250);
  for (const name of ['vx4', 'nv6'] as const) t.ok(portOf(lab, vm(name), 1) > 0, 'the others go on');
  lab.wait(50); // A's binding is over
  const { blocks } = lab.gateway.context.nat;
  t.match([...blocks.records()].find(record => record.inside === ip4(A.ca)), { since: lab.now - 300_000, until: lab.now });
  lab.wait(60);
  t.equal(open(lab, vm('vx6'), 1), 'nat_ports_spent', 'it is A’s for another minute');
  t.equal(portOf(lab, A, 2) >> 14, first >> 14, 'who may take it up again');
  t.match([...blocks.records()].find(record => record.inside === ip4(A.ca)), { since: lab.now, until: 0 });
  lab.wait(301);
  lab.wait(119);
  for (const name of ['vx4', 'nv6'] as const) portOf(lab, vm(name), 1);
  t.equal(open(lab, vm('vx6'), 1), 'nat_ports_spent');
  lab.wait(1);
  lab.wait(1);
  t.equal(portOf(lab, vm('vx6'), 1) >> 14, first >> 14, 'two minutes after the reaper saw that it was free');
  t.same(faults(lab), []);
});

t.test('RFC 4787 REQ-3: ports of static mappings are given to nobody, in a share or in a block', async t => {
  const mappings = [{ proto: 'udp', external: `${RED_POOL}:65024-65100`, internal: `${B.ca}:1024-1100` }];
  const lab = makeWorld(both(limits({ sessions: 400, bindings: 400 }), nat({ mappings, blocks: { size: 256, perAddress: 1 } })), { next: () => 64_000 });
  const ports = Array.from({ length: 179 }, (_, i) => portOf(lab, A, 2000 + i));
  t.same([Math.min(...ports), Math.max(...ports), new Set(ports).size], [65_101, 65_279, 179]);
  t.equal(open(lab, A, 5000), 'nat_address_blocks', '77 of the block’s 256 ports are promised');
  t.equal(fromVm(lab, B, udp(B.ca, 1024, FAR, 53)), 'forwarded');
  t.equal(outside(lab).port, 65_024, 'and whom they are promised to has them');
  t.same(faults(lab), []);
});

t.test('a VM that takes part by a static mapping alone has no block, and counts for no port quota', async t => {
  const lab = makeWorld((_config, red) => { Object.assign(red, { limits: { bindings: 1, perAddress: { bindings: 1 } } }); });
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 1, RED_POOL, 80, SYN)), 'forwarded');
  const { nat: table } = lab.gateway.context;
  t.same([table.blocks.count, table.bindingsOf(1), table.bindingCount, table.subscribers.count], [0, 0, 1, 1]);
  t.equal(fromVm(lab, A, udp(A.ca, 1, FAR, 2)), 'forwarded', 'the one that it may have');
  t.equal(fromVm(lab, A, udp(A.ca, 2, FAR, 2)), 'nat_tenant_bindings');
  t.same(faults(lab), []);
});

t.test('a reload that moves shares ends the sessions whose ports are another’s now, and keeps those of blocks', async t => {
  const before = both(small, limits({ sessions: 2000, bindings: 2000 }));
  const lab = makeWorld(before, seededRandom(3));
  for (let port = 0; port < 600; port++) t.ok(portOf(lab, A, 2000 + port) > 0); // 504 in its share, 96 in a block
  const share = plan(lab).shareOf(ip4(A.ca));
  t.equal(lab.reload(makeConfig(both(before, nat({ parity: true })))), 0, 'other keys move nothing');
  // Twice as many inside addresses: half the share, elsewhere.
  t.equal(lab.reload(makeConfig(both(before, (_config, red) => { red.subnets[1].prefix = '10.0.1.0/26'; }))), 504 - overlap(share, plan(lab).shareOf(ip4(A.ca))));
  t.ok(lab.gateway.context.nat.sessionCount >= 96);
  for (const session of lab.gateway.context.nat.sessions()) {
    const holder = plan(lab).holderOf(POOL, lab.gateway.context.nat.sessionOutsidePort(session));
    t.ok(holder !== undefined && (!('inside' in holder) || holder.inside === ip4(A.ca)));
  }
  t.same(faults(lab), []);
});

/** Ports that are in both. */
function overlap(a: { firstPort: number; count: number } | undefined, b: { firstPort: number; count: number } | undefined): number {
  if (a === undefined || b === undefined) return 0;
  return Math.max(0, Math.min(a.firstPort + a.count, b.firstPort + b.count) - Math.max(a.firstPort, b.firstPort));
}

t.test('a reload that takes blocks away from a tenant’s inside addresses gives their ports to nobody else for 120 s', async t => {
  const dynamic = both(small, limits({ sessions: 2000, bindings: 2000 }), nat({ blocks: { assign: 'dynamic' } }));
  const lab = makeWorld(dynamic, { next: () => 2000 - 1024 });
  const port = portOf(lab, A, 1); // where shares will be
  t.equal(lab.reload(makeConfig(both(small, limits({ sessions: 2000, bindings: 2000 })))), 1);
  lab.wait(1);
  const { blocks } = lab.gateway.context.nat;
  t.match(blocks.find(POOL, port), { inside: ip4(A.ca), until: lab.now });
  t.equal(lab.reload(makeConfig(dynamic)), 0);
  t.not(portOf(lab, B, 1) >> 8, port >> 8, 'by the old plan again, and yet another block');
  lab.wait(121);
  t.equal(blocks.find(POOL, port), undefined);
  t.same(faults(lab), []);
});

t.test('ICMP says host unreachable when ports, blocks or inside addresses are spent (RFC 6888 REQ-11), and prohibited when the policy says no (RFC 5508 REQ-8)', async t => {
  for (const [change, reason, code] of [
    [limits({ portBlocks: 1 }), 'nat_blocks_spent', 1], [limits({ subscribers: 1 }), 'nat_subscribers_spent', 1],
    [(_config, red) => { Object.assign(red, { limits: { sessions: 1 } }); }, 'nat_tenant_sessions', 13],
  ] as const satisfies readonly (readonly [WorldChange, string, number])[]) {
    const lab = makeWorld(change);
    fromVm(lab, A, udp(A.ca, 1, FAR, 2));
    lab.take();
    t.equal(fromVm(lab, B, udp(B.ca, 1, FAR, 2)), reason);
    const [{ bytes }] = lab.take();
    t.same([...bytes.subarray(22 + 20, 22 + 22)], [3, code], reason);
    expectLedger(t, lab, { red: { forwarded: 1, [reason]: 1, originated: 1 } });
  }
});
