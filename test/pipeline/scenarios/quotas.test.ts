/** What a tenant and each of its inside addresses may have at most: sessions, bindings, new flows, packets and bytes (RFC 6888 REQ-4). */
import t from 'tap';
import { expectLedger } from '../../support/expect.js';
import { cut4, echo, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { natFaults } from '../../support/nat-invariants.js';
import { arpRequest } from '../../support/neighbors.js';
import { FAR, HQ_KEY, RED_POOL, fromHost, fromSite, fromUplink, fromVm, makeConfig, makeWorld, vm, type WorldChange } from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4'), DB = vm('vx4', 'db'), BLUE = vm('nv4', 'web', 'blue');
const SYN = 2;

/** Limits of red's, in a world with room for them. */
const red = (limits: object): WorldChange => (config, tenant) => { Object.assign(config.gateway.limits, { sessions: 400, bindings: 400 }); Object.assign(tenant, { limits }); };
const flow = (lab: Lab, port: number, from = A): string => fromVm(lab, from, udp(from.ca, port, FAR, 53));
/** How often each fate came. */
function tally(fates: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const fate of fates) counts[fate] = (counts[fate] ?? 0) + 1;
  return counts;
}
const many = (n: number, each: (i: number) => string): Record<string, number> => tally(Array.from({ length: n }, (_, i) => each(i)));

t.test('a tenant’s sessions and bindings are its own to use up: others have room, and what it has goes on', async t => {
  for (const [limits, reason] of [[{ sessions: 5 }, 'nat_tenant_sessions'], [{ bindings: 5 }, 'nat_tenant_bindings']] as const) {
    const lab = makeWorld(red(limits));
    t.same(many(8, i => flow(lab, 1000 + i, i % 2 === 0 ? A : B)), { forwarded: 5, [reason]: 3 });
    t.same(many(8, i => flow(lab, 1000 + i, BLUE)), { forwarded: 8 });
    t.equal(flow(lab, 1000), 'forwarded', 'an old flow');
    lab.wait(301);
    t.equal(flow(lab, 2000), 'forwarded', 'when the others are over');
    lab.take();
    t.same(natFaults(lab.state.nat, lab.state.sizes.nat), []);
    expectLedger(t, lab, { red: { forwarded: 7, [reason]: 3, originated: 3 }, blue: { forwarded: 8 } });
  }
});

t.test('one binding has as many sessions as the tenant may; the limit on bindings does not count them', async t => {
  const lab = makeWorld(red({ bindings: 1, sessions: 5 }));
  t.same(many(8, i => fromVm(lab, A, udp(A.ca, 1000, FAR, 2000 + i))), { forwarded: 5, nat_tenant_sessions: 3 });
});

t.test('an inside address has limits of its own: one that uses them up leaves the others theirs', async t => {
  for (const [limits, reason] of [[{ sessions: 3 }, 'nat_address_sessions'], [{ bindings: 3 }, 'nat_address_bindings']] as const) {
    const lab = makeWorld(red({ perAddress: limits }));
    t.same(many(6, i => flow(lab, 1000 + i)), { forwarded: 3, [reason]: 3 });
    t.same(many(6, i => flow(lab, 1000 + i, B)), { forwarded: 3, [reason]: 3 });
    t.equal(fromVm(lab, A, echo(A.ca, FAR, 1)), reason, 'TCP, UDP and ICMP are counted together');
    const other = lab.reload(makeConfig(red({ perAddress: { ...limits, newFlowsPerSecond: 100 } })));
    t.equal(other, 0);
    t.equal(flow(lab, 1000), 'forwarded');
    t.equal(flow(lab, 5000), reason, 'after a reload too');
    lab.wait(301);
    t.equal(flow(lab, 5000), 'forwarded');
    t.same(natFaults(lab.state.nat, lab.state.sizes.nat), []);
    t.same(lab.imbalances(), []);
  }
});

t.test('sessions from before there was a limit for each address are not counted by it; what comes is', async t => {
  const lab = makeWorld(red({}));
  for (let i = 0; i < 4; i++) flow(lab, 1000 + i);
  lab.reload(makeConfig(red({ perAddress: { sessions: 2 } })));
  t.same(many(4, i => flow(lab, 2000 + i)), { forwarded: 2, nat_address_sessions: 2 });
  lab.wait(301);
  t.same(natFaults(lab.state.nat, lab.state.sizes.nat), []);
});

t.test('new flows a second: a second’s worth at once, then as they come; of a tenant, and of an address, whose haste costs the others nothing', async t => {
  const lab = makeWorld(red({ newFlowsPerSecond: 20, perAddress: { newFlowsPerSecond: 5 } }));
  t.same(many(30, i => flow(lab, 1000 + i)), { forwarded: 5, nat_address_new_flows: 25 });
  t.same(many(30, i => flow(lab, 1000 + i, B)), { forwarded: 5, nat_address_new_flows: 25 });
  t.same(many(20, i => flow(lab, 1000 + i % 5)), { forwarded: 20 }, 'flows that are open are none');
  t.same(many(12, i => flow(lab, 3000 + i, vm((['nv6', 'vx6', 'nvp'] as const)[i % 3]))), { forwarded: 10, nat_tenant_new_flows: 2 }, 'twenty of the tenant’s in all');
  lab.wait(0.2);
  t.equal(flow(lab, 4000), 'forwarded', 'a fifth of a second is one of five, and four of twenty');
  t.equal(flow(lab, 4001), 'nat_address_new_flows');
  lab.wait(60);
  t.same(many(30, i => flow(lab, 5000 + i)), { forwarded: 5, nat_address_new_flows: 25 }, 'a silence fills the bucket, and no more');
  t.same(many(3, i => flow(lab, 5000 + i, BLUE)), { forwarded: 3 });
  t.same(lab.imbalances(), []);
});

t.test('what comes from outside counts, and is refused in silence', async t => {
  const lab = makeWorld(red({ sessions: 2, newFlowsPerSecond: 2 }));
  const knock = (port: number): string => fromUplink(lab, 'inet', tcp(FAR, port, RED_POOL, 80, SYN));
  t.same([knock(1), knock(2), knock(3)], ['forwarded', 'forwarded', 'nat_tenant_sessions']);
  expectLedger(t, lab, { red: { forwarded: 2, nat_tenant_sessions: 1 } });
});

t.test('a bucket of new flows survives an address that is refused all the time, and its record does not survive long', async t => {
  const lab = makeWorld(red({ bindings: 1, perAddress: { newFlowsPerSecond: 2 } }));
  flow(lab, 1, B);
  t.same(many(4, i => flow(lab, 1 + i)), { nat_tenant_bindings: 2, nat_address_new_flows: 2 });
  const { subscribers } = lab.gateway.context.nat;
  t.equal(subscribers.count, 2);
  lab.wait(10);
  lab.wait(1);
  t.equal(subscribers.count, 1);
});

t.test('packets a second: a second’s worth at once, both directions and all walks together, by the fast path as by the walks', async t => {
  const lab = makeWorld(red({ packetsPerSecond: 10 }));
  const inside = (): string => fromVm(lab, A, udp(A.ca, 1, DB.ca, 2));
  t.same(many(4, () => inside()), { forwarded: 4 });
  t.equal(flow(lab, 1000), 'forwarded');
  const { port } = { port: lab.gateway.context.nat.sessionOutsidePort([...lab.gateway.context.nat.sessions()][0]) };
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, port)), 'forwarded');
  t.equal(fromVm(lab, A, udp(A.ca, 1, '172.16.0.9', 2)), 'forwarded');
  t.equal(fromSite(lab, HQ_KEY, udp('192.168.50.1', 1, A.ca, 2)), 'forwarded');
  t.equal(fromVm(lab, A, echo(A.ca, A.gateway, 1)), 'consumed', 'what is for the gateway too');
  t.equal(fromVm(lab, A, udp(A.ca6, 1, '2001:db8:1234::7', 2)), 'forwarded', 'IPv6 too');
  t.same([inside(), flow(lab, 1000), flow(lab, 1001), fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, port)), fromSite(lab, HQ_KEY, udp('192.168.50.1', 1, A.ca, 2))], Array(5).fill('rate_limited'));
  t.same(many(20, () => flow(lab, 1000, BLUE)), { forwarded: 20 }, 'blue’s are its own');
  lab.wait(0.3);
  t.same(many(5, () => inside()), { forwarded: 3, rate_limited: 2 });
  lab.wait(5);
  t.same(many(15, () => flow(lab, 1000)), { forwarded: 10, rate_limited: 5 });
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 22, consumed: 1, rate_limited: 12, originated: 1 }, blue: { forwarded: 20 } });
});

t.test('bytes a second: of the inner packet, header and all; a packet is not refused for being larger than a second’s worth', async t => {
  const lab = makeWorld(red({ bytesPerSecond: 4000 }));
  const sized = (bytes: number): string => fromVm(lab, A, udp(A.ca, 1, DB.ca, 2, new Uint8Array(bytes - 28)));
  t.same([sized(1000), sized(1000), sized(1000), sized(1000), sized(28)], ['forwarded', 'forwarded', 'forwarded', 'forwarded', 'rate_limited']);
  lab.wait(0.25);
  t.same([sized(1001), sized(1000), sized(28)], ['rate_limited', 'forwarded', 'rate_limited']);
  const slow = makeWorld(red({ bytesPerSecond: 100 }));
  const large = (): string => fromVm(slow, A, udp(A.ca, 1, DB.ca, 2, new Uint8Array(1800)));
  t.equal(large(), 'forwarded', 'in two pieces');
  slow.wait(14);
  t.equal(large(), 'rate_limited');
  slow.wait(2);
  t.equal(large(), 'forwarded');
  for (const each of [lab, slow]) t.same(each.imbalances(), []);
});

t.test('fragments count as packets, once: those that waited not again', async t => {
  const lab = makeWorld(red({ packetsPerSecond: 3 }));
  const [first, second, third] = cut4(udp(A.ca, 1, DB.ca, 2, 'x'.repeat(64)), 24).slice(0, 3);
  t.same([fromVm(lab, A, second), fromVm(lab, A, third), fromVm(lab, A, first)], ['held', 'held', 'forwarded']);
  t.equal(fromVm(lab, A, udp(A.ca, 1, DB.ca, 2)), 'rate_limited');
  expectLedger(t, lab, { red: { forwarded: 3, rate_limited: 1 } });
});

t.test('a packet that the fast path leaves to the walks is charged once', async t => {
  const lab = makeWorld(red({ packetsPerSecond: 4 }));
  const large = (size: number): string => fromVm(lab, A, udp(A.ca, 1, DB.ca, 2, new Uint8Array(size)));
  t.same([large(10), large(10)], ['forwarded', 'forwarded']);
  t.equal(large(1800), 'forwarded', 'cut in two, by the walks');
  t.equal(large(10), 'forwarded');
  t.equal(large(10), 'rate_limited');
});

t.test('neighbours are found by tenants that have used up everything', async t => {
  const lab = makeWorld(red({ packetsPerSecond: 1 }));
  fromVm(lab, A, udp(A.ca, 1, DB.ca, 2));
  t.equal(fromVm(lab, A, udp(A.ca, 1, DB.ca, 2)), 'rate_limited');
  t.equal(lab.take().length, 1, 'and nothing is said of what was lost');
  t.equal(fromHost(lab, 'nv4', A.vsid, arpRequest(A.mac, A.ca, A.gateway)), 'consumed');
});
