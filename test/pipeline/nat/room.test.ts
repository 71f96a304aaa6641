/** Room that comes back, reloads that meet each other, locks that nobody lets go of: what a gateway of several workers must get over. */
import t from 'tap';
import { Crew, compileAll } from '../../support/crew.js';
import { uplinkDatagram, vmDatagram, type Datagram } from '../../support/datagrams.js';
import { cut4, tcp, udp } from '../../support/frames.js';
import { natFaults } from '../../support/nat-invariants.js';
import { FAR, LOADED_DICE, NAT_PORT, RED_POOL, makeConfig, vm, type WorldChange } from '../../support/world.js';
import { Cell } from '../../../pipeline/ledger.js';
import { Reason } from '../../../pipeline/reasons.js';
import { Locks, lockWords } from '../../../pipeline/tables/locks.js';
import { natLayout } from '../../../pipeline/tables/nat-layout.js';

const A = vm('nv4'), C = vm('vx4');
const SYN = 2, ACK = 16;
const STRIPES = 64;

function makeCrew(change: WorldChange = () => {}, ...later: WorldChange[]) {
  const { policies, sizes } = compileAll([makeConfig(change), ...later.map(other => makeConfig(other))]);
  const crew = new Crew({ policy: policies[0], sizes, workers: 2, random: () => LOADED_DICE });
  return { crew, policies, sizes, nat: crew.overseer.nat, faults: () => natFaults(crew.state.nat, sizes.nat) };
}
const limits = (all: Record<string, number>): WorldChange => config => { Object.assign(config.gateway.limits, all); };
const out = (port: number): Datagram => vmDatagram(A, udp(A.ca, port, FAR, 53));
const inside = (port: number): Datagram => vmDatagram(A, udp(A.ca, port, '10.0.1.12', 53));

t.test('what the reaper closes can be used again three ticks later, not a sweep later', async t => {
  const { crew, nat, faults } = makeCrew(limits({ sessions: 4, bindings: 4 }));
  for (let port = 1; port <= 4; port++) crew.send(0, out(port));
  t.equal(crew.send(0, out(5)), 'nat_sessions_spent');
  crew.wait(301);
  t.equal(nat.sessionCount, 0, 'a crowded table is swept within a second');
  crew.wait(0.1, 4);
  for (let port = 5; port <= 8; port++) t.equal(crew.send(1, out(port)), 'forwarded', `port ${port}`);
  t.same(faults(), []);
});

t.test('a flow for which there is no session costs no binding', async t => {
  const { crew, nat } = makeCrew(limits({ sessions: 1, bindings: 8 }));
  crew.send(0, out(1));
  for (let port = 2; port < 40; port++) t.equal(crew.send(0, out(port)), 'nat_sessions_spent');
  t.equal(nat.bindingCount, 1);
});

t.test('a sweep and a reload’s review get past locks that a dead worker holds, inside and outside', async t => {
  const { crew, policies, sizes, nat } = makeCrew(undefined, (_config, red) => { if (red.nat) Object.assign(red.nat, { pool: ['203.0.113.11'], mappings: [] }); });
  for (let port = 1; port < 20; port++) crew.send(0, out(port));
  const held = new Int32Array(crew.state.nat, natLayout(sizes.nat).locks * 4, lockWords(2 * STRIPES));
  for (const first of [0, STRIPES]) {
    for (let i = 0; i < STRIPES; i++) Atomics.store(held, first * (held.length / (2 * STRIPES)) + i * (held.length / (2 * STRIPES)), 1);
    crew.wait(301);
    t.equal(nat.sessionCount, 19, 'their turn is still to come');
    crew.adopt(policies[1], []);
    t.not(crew.overseer.reaper.revoke(crew.policy, 0, Infinity), -1, 'and control goes on');
    new Locks(held, 9).freeAllOf(1);
  }
  crew.wait(301);
  t.equal(nat.sessionCount, 0);
});

t.test('a worker that has an older policy leaves a session alone that a newer one opened', async t => {
  const { crew, policies, nat } = makeCrew(undefined, (_config, red) => { red.nat?.mappings.push({ proto: 'tcp', external: `${RED_POOL}:8443`, internal: `${A.ca}:8443` }); });
  crew.adopt(policies[1], [0]);
  t.equal(crew.send(0, uplinkDatagram('inet', tcp(FAR, 5000, RED_POOL, 8443, SYN))), 'forwarded');
  t.equal(crew.send(1, vmDatagram(A, tcp(A.ca, 8443, FAR, 5000, SYN | ACK))), 'forwarded');
  t.same([nat.sessionCount, nat.revoked], [1, 0]);
});

t.test('after 256 reloads, when a generation’s byte comes round, a binding that the policy forbids is still seen to be one', async t => {
  const mapping = (internal: string): WorldChange => (_config, red) => { red.nat?.mappings.push({ proto: 'udp', external: `${RED_POOL}:7000`, internal }); };
  const { crew, policies } = makeCrew(mapping(`${C.ca}:7`), mapping(`${A.ca}:7`));
  const ask = (port: number): string => crew.send(0, uplinkDatagram('inet', udp(FAR, port, RED_POOL, 7000)));
  t.equal(ask(1), 'forwarded');
  for (let generation = 2; generation <= 256; generation++) {
    crew.adopt({ ...policies[0], generation });
    crew.revoke();
  }
  t.equal(ask(1), 'forwarded', 'kept all the while');
  crew.adopt({ ...policies[1], generation: 257 });
  t.equal(ask(2), 'nat_no_binding', 'before control has closed it');
  crew.revoke();
  crew.wait(0.1, 4);
  t.equal(ask(3), 'forwarded');
  t.equal(crew.sent[crew.sent.length - 1].peer, 'nv4', 'to the new VM');
});

t.test('flows without NAT give way when they have been still, leave sessions room, and are not kept off by those who fill the table', async t => {
  const { crew, nat } = makeCrew(limits({ sessions: 64, bindings: 64, flows: 8 }));
  for (let port = 1; port <= 30; port++) t.equal(crew.send(0, inside(port)), 'forwarded');
  t.ok(nat.flows.plainCount <= 8);
  const fast = (): number => { let n = 0; const { ledger } = crew.gateways[0]; const { forward } = ledger; ledger.forward = (...args) => { n++; forward.apply(ledger, args); }; crew.send(0, inside(40)); ledger.forward = forward; return n; };
  let taken = 0;
  for (let i = 0; i < 40; i++) {
    crew.wait(1);
    taken += fast();
  }
  t.ok(taken > 20, `${taken} of 40 packets of a steady flow took the fast path`);
  for (let port = 100; port < 164; port++) t.equal(crew.send(1, out(port)), 'forwarded', 'as many sessions as the config says');
});

t.test('an exception on the fast path costs its packet, is told, and the ledger balances', async t => {
  const { crew } = makeCrew();
  const [gateway] = crew.gateways;
  crew.send(0, out(1));
  const { send } = gateway.context.outlet;
  const told: unknown[] = [];
  gateway.onFault = error => { told.push(error); };
  gateway.context.outlet.send = () => { throw new Error('closed'); };
  t.equal(crew.send(0, out(1)), 'internal_error');
  gateway.context.outlet.send = send;
  t.equal(crew.send(0, out(1)), 'forwarded');
  t.equal(told.length, 1);
  const sum = (cell: number): number => [0, 1, 2].reduce((n, tenant) => n + gateway.ledger.get(tenant, cell), 0);
  t.same([sum(Cell.in), sum(Cell.forwarded), sum(Cell.dropped), gateway.ledger.drops(0, Reason.internal_error)], [3, 2, 1, 1]);
});

t.test('a fragment that came under the new policy waits on when another worker takes that policy over', async t => {
  const { crew, policies } = makeCrew(undefined, () => {});
  const [first, later] = cut4(udp(A.ca, 5000, FAR, 53, new Uint8Array(64)), 24).map(piece => vmDatagram(A, piece));
  crew.adopt(policies[1], [0]);
  t.equal(crew.send(0, later), 'held');
  crew.adopt(policies[1], [1]);
  t.equal(crew.send(0, first), 'forwarded');
  t.equal(crew.sent.length, 2);
});

t.test('times wrap round in 2038: a session opened then lives as long as any', async t => {
  const { crew } = makeCrew();
  crew.now = (2 ** 31 - 100) * 1000;
  t.equal(crew.send(0, out(1)), 'forwarded');
  for (let i = 0; i < 3; i++) {
    crew.wait(200);
    t.equal(crew.send(1, uplinkDatagram('inet', udp(FAR, 53, RED_POOL, NAT_PORT))), 'forwarded');
  }
  crew.wait(300);
  t.equal(crew.send(1, uplinkDatagram('inet', udp(FAR, 53, RED_POOL, NAT_PORT))), 'nat_no_binding');
});

t.test('how far behind its buckets a record may lie falls again when the table empties', async t => {
  const { crew, nat } = makeCrew(limits({ sessions: 2000, bindings: 2000, flows: 1 }));
  for (let port = 1024; port < 3024; port++) crew.send(0, out(port));
  t.ok(nat.flows.spilled > 0);
  crew.wait(301);
  crew.wait(8, 3);
  t.equal(nat.flows.spilled, 0);
});
