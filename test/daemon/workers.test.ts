/** Several workers: real threads and sockets, flows of a VM through NAT to a server and back. */
import t, { type Test } from 'tap';
import type { Control } from '../../daemon/control/control.js';
import { queuesOf } from '../../daemon/control/queues.js';
import type { ReceiveMode } from '../../daemon/control/receive-mode.js';
import { ailmentsOf, ledgerTotals, sessionsOf } from '../../daemon/control/status.js';
import { whyNotShared } from '../../daemon/worker/reuse-port.js';
import { ENTRY_MASK } from '../../pipeline/indirection.js';
import { imbalances } from '../../pipeline/ledger.js';
import { Carrier } from '../../pipeline/packet.js';
import { MICROSOFT_KEY, RssHash } from '../../pipeline/rss.js';
import { FLOW_WORDS } from '../../pipeline/tables/flows.js';
import { NatState } from '../../pipeline/tables/nat-state.js';
import { Quiet } from '../../pipeline/tables/quiet.js';
import { ethernet, gre, nvgre, udp } from '../support/frames.js';
import { dispatched, startControl } from './control.js';
import { fromA, GATEWAY_MAC, Peer, until, type Peers } from './daemon.js';

const VM = '10.0.0.5', SERVER = '198.51.100.7', POOL = '203.0.113.10';
const FIRST_SPORT = 5000, FLOWS = 32;
/** Where things are: in a GRE packet without key, and in an NVGRE frame. */
const GRE_SPORT = 4 + 20, GRE_TEXT = 4 + 28, FRAME_TEXT = 8 + 14 + 28;

/** A packet of flow `flow` that says so, and which of its packets it is. */
const question = (flow: number, n: number): Uint8Array => fromA(udp(VM, FIRST_SPORT + flow, SERVER, 53, `${flow} ${n}`));
const answer = (flow: number, n: number, outside: number): Uint8Array => gre(udp(SERVER, 53, POOL, outside, `${flow} ${n}`));

/** The next `count` datagrams in the order of arrival, as the flow and number that they say, whole. */
async function take(peer: Peer, count: number, textAt: number): Promise<{ flow: number; n: number; datagram: Buffer }[]> {
  const got = [];
  for (let i = 0; i < count; i++) {
    const datagram = await peer.take();
    const [flow, n] = datagram.subarray(textAt).toString().split(' ').map(Number);
    got.push({ flow, n, datagram });
  }
  return got;
}

/** Of each flow, what came, in the order in which it came. */
function byFlow(got: readonly { flow: number; n: number }[]): Record<number, number[]> {
  const flows: Record<number, number[]> = {};
  for (const { flow, n } of got) (flows[flow] ??= []).push(n);
  return flows;
}

const flowNumbers = Array.from({ length: FLOWS }, (_, flow) => flow);
const upTo = (packets: number): Record<number, number[]> => Object.fromEntries(flowNumbers.map(flow => [flow, Array.from({ length: packets }, (_, n) => n)]));

/** One packet of each flow out and one back; the outside ports. Each flow must come by as it was sent. */
async function roundTrip(it: Control, { hostA, inet }: Peers, n: number): Promise<number[]> {
  const { port } = it.crew.bound[0];
  for (const flow of flowNumbers) hostA.send(question(flow, n), port);
  const outside: number[] = [];
  for (const { flow, datagram } of await take(inet, FLOWS, GRE_TEXT)) outside[flow] = datagram.readUInt16BE(GRE_SPORT);
  for (const flow of flowNumbers) inet.send(answer(flow, n, outside[flow]), port);
  await take(hostA, FLOWS, FRAME_TEXT);
  return outside;
}

/** When `count` datagrams have met their fate: the totals, which must add up. */
async function settled(t: Test, it: Control, count: number) {
  const sum = await until(`${count} datagrams settled`, () => {
    const now = ledgerTotals(it);
    return now.packets.in - it.waiting >= count && imbalances(now).length === 0 ? now : undefined;
  });
  t.equal(sum.packets.in, count);
  t.same(await ailmentsOf(it), []);
  return sum;
}

for (const workers of [2, 3]) {
  t.test(`${workers} workers behind a dispatcher carry many flows, each in order, and answer what another has opened`, async t => {
    const { control: it, peers } = await startControl(t, { mode: dispatched(workers) });
    await it.start();
    const { port } = it.crew.bound[0];
    const ROUNDS = 8, BURST = 4;
    const out = [], back = [];
    const outside: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const numbers = Array.from({ length: BURST }, (_, i) => round * BURST + i);
      for (const n of numbers) for (const flow of flowNumbers) peers.hostA.send(question(flow, n), port);
      out.push(...await take(peers.inet, FLOWS * BURST, GRE_TEXT));
      for (const { flow, datagram } of out) outside[flow] ??= datagram.readUInt16BE(GRE_SPORT);
      for (const n of numbers) for (const flow of flowNumbers) peers.inet.send(answer(flow, n, outside[flow]), port);
      back.push(...await take(peers.hostA, FLOWS * BURST, FRAME_TEXT));
    }
    t.same(byFlow(out), upTo(ROUNDS * BURST), 'every flow out, in its order');
    t.same(byFlow(back), upTo(ROUNDS * BURST), 'and back');
    t.ok(out.every(({ flow, datagram }) => datagram.readUInt16BE(GRE_SPORT) === outside[flow]), 'a flow keeps its outside port, whoever carries it');
    t.equal(new Set(outside).size, FLOWS, 'and no two have the same');
    t.equal(sessionsOf(it, new URLSearchParams()).matching, FLOWS);

    const { packets, drops } = await settled(t, it, 2 * FLOWS * ROUNDS * BURST);
    t.same(drops, {});
    t.match(packets, { forwarded: packets.in, out: packets.in, held: 0 });

    const hash = new RssHash(MICROSOFT_KEY);
    const queueOf = (datagram: Uint8Array): number => (hash.ofDatagram(datagram, 0, datagram.length, Carrier.gre) & ENTRY_MASK) % workers;
    t.ok(flowNumbers.some(flow => queueOf(question(flow, 0)) !== queueOf(answer(flow, 0, outside[flow]))), 'some answers came to another worker than the question');
    const { queues, table, moves, imbalance } = queuesOf(it);
    t.equal(queues.length, workers);
    t.equal(queues.reduce((sum, queue) => sum + queue.packets, 0), packets.in);
    t.ok(queues.every(queue => queue.packets > 0 && queue.waiting === 0 && queue.ringFull === 0));
    if (moves === 0) {
      const expected = Array.from({ length: workers }, () => 0);
      for (const flow of flowNumbers) for (const datagram of [question(flow, 0), answer(flow, 0, outside[flow])]) expected[queueOf(datagram)] += ROUNDS * BURST;
      t.same(queues.map(queue => queue.packets), expected, 'each queue got what the hash says');
    }
    t.equal(table?.length, 128);
    t.ok(imbalance !== null && imbalance >= 1);
  });
}

t.test('a worker that dies among others: its queue moves on, it is replaced, and no session is lost', async t => {
  const { control: it, peers, said } = await startControl(t, { mode: dispatched(2) });
  await it.start();
  const before = await roundTrip(it, peers, 0);
  await settled(t, it, 2 * FLOWS);

  const { port } = it.crew.bound[0];
  // In the midst: what waits in its ring is the next one's.
  for (const flow of flowNumbers) peers.hostA.send(question(flow, 1), port);
  await it.crew.threads[0].terminate();
  await until('the table to move on', () => queuesOf(it).queues[0].entries === 0 || said.some(({ msg }) => msg === 'worker replaced') || undefined);
  await until('a new worker', () => said.find(({ msg }) => msg === 'worker replaced'));
  t.ok(said.some(({ msg, fields }) => msg === 'entries moved to other queues' && fields.why === 'worker died' && (fields.queues as Record<string, number>)['0 to 1'] > 0));
  t.same(queuesOf(it).queues.map(({ up }) => up), [true, true]);

  const lost = await until('what was sent meanwhile', () => {
    const { drops } = ledgerTotals(it);
    const inHand = drops.worker_died ?? 0;
    return peers.inet.waiting + inHand >= FLOWS ? inHand : undefined;
  });
  t.ok(lost <= 1, 'at most the one in hand');
  await take(peers.inet, FLOWS - lost, GRE_TEXT);

  t.same(await roundTrip(it, peers, 2), before, 'every flow keeps its outside port');
  t.equal(sessionsOf(it, new URLSearchParams()).matching, FLOWS);
  await settled(t, it, 5 * FLOWS);
  t.equal(it.crew.restarts, 1);
});

t.test('a worker that dies holding locks: they are freed, and the sessions behind them go on', async t => {
  const { control: it, peers, said } = await startControl(t, { mode: dispatched(2) });
  await it.start();
  const before = await roundTrip(it, peers, 0);
  await settled(t, it, 2 * FLOWS);

  // Locks taken in the name of worker 0, as if it had been ended in the midst of a packet: one at most of each kind.
  const FIRST_WORKER = 1;
  const nat = new NatState(it.state.nat, it.state.sizes.nat, new Quiet(it.state.quiet), FIRST_WORKER);
  let held = -1;
  for (let at = 0; at < nat.flows.end && held < 0; at += FLOW_WORDS) if (nat.isOpen(at) && nat.lockSession(at, false)) held = at;
  t.ok(held >= 0);
  t.notOk(it.nat.lockSession(held, false), 'taken, whoever asks');
  await it.crew.threads[0].terminate();
  await until('a new worker', () => said.find(({ msg }) => msg === 'worker replaced'));
  t.ok(it.nat.lockSession(held, false), 'free again');
  it.nat.locks.unlock();
  t.same(await roundTrip(it, peers, 1), before);
  t.equal(sessionsOf(it, new URLSearchParams()).matching, FLOWS);
  await settled(t, it, 4 * FLOWS);
});

t.test('a worker that dies while another holds a lock has no successor until what it left is in order', async t => {
  const { control: it, peers, said } = await startControl(t, { mode: dispatched(2) });
  await it.start();
  const before = await roundTrip(it, peers, 0);
  await settled(t, it, 2 * FLOWS);
  const SECOND_WORKER = 2;
  const nat = new NatState(it.state.nat, it.state.sizes.nat, new Quiet(it.state.quiet), SECOND_WORKER);
  for (let at = 0, held = false; at < nat.flows.end && !held; at += FLOW_WORDS) held = nat.isOpen(at) && nat.lockSession(at, false);
  const tries: boolean[] = [];
  const repair = it.overseer.repairAfter.bind(it.overseer);
  it.overseer.repairAfter = index => {
    tries.push(repair(index));
    return tries.at(-1) ?? false;
  };
  await it.crew.threads[0].terminate();
  await until('three tries', () => tries.length === 3 || undefined);
  t.same(tries, [false, false, false]);
  t.notOk(it.crew.isUp(0));
  t.same(said.filter(({ msg }) => /replaced/.test(msg)), []);
  nat.locks.unlock();
  await until('a new worker', () => said.find(({ msg }) => msg === 'worker replaced'));
  t.equal(tries.indexOf(true), tries.length - 1, 'tried until it was done');
  t.same(await roundTrip(it, peers, 1), before);
  await settled(t, it, 4 * FLOWS);
});

t.test('a dispatcher that dies is replaced on the same ports; workers and what is in rings stay', async t => {
  const { control: it, peers, said } = await startControl(t, { mode: dispatched(2) });
  await it.start();
  const before = await roundTrip(it, peers, 0);
  const { port } = it.crew.bound[0];
  await it.crew.dispatcherThread?.terminate();
  t.match(await ailmentsOf(it), ['dispatcher down']);
  await until('a new dispatcher', () => said.find(({ msg }) => msg === 'dispatcher replaced'));
  t.same(await ailmentsOf(it), []);
  t.equal(it.crew.bound[0].port, port);
  t.same(await roundTrip(it, peers, 1), before);
  await settled(t, it, 4 * FLOWS);
  t.match(said.map(({ msg }) => msg), ['receive mode', 'dispatcher died, what waits in rings is kept', 'dispatcher replaced']);
});

t.test('a worker and the dispatcher die together: both are replaced, and the worker gets its entries back', async t => {
  const { control: it, peers, said } = await startControl(t, { mode: dispatched(2), change: ({ gateway }) => Object.assign(gateway, { rss: { rebalance: false } }) });
  await it.start();
  const before = await roundTrip(it, peers, 0);
  void it.crew.threads[0].terminate();
  // When the table has moved on, so that it stands in shared memory that a worker is dead.
  await until('the table to move on', () => queuesOf(it).moves! > 0 || undefined);
  void it.crew.dispatcherThread?.terminate();
  for (const who of ['worker', 'dispatcher']) await until(`a new ${who}`, () => said.find(({ msg }) => msg === `${who} replaced`));
  await until('entries to come home', () => queuesOf(it).queues.every(({ entries }) => entries === 64) || undefined);
  const [{ packets }] = queuesOf(it).queues;
  t.same(await roundTrip(it, peers, 1), before);
  t.ok(queuesOf(it).queues[0].packets > packets, 'it carries packets');
  await settled(t, it, 4 * FLOWS);
});

t.test('draining under load: what was taken in is carried, and the totals add up', async t => {
  const { control: it, peers } = await startControl(t, { mode: dispatched(2) });
  await it.start();
  const { port } = it.crew.bound[0];
  for (let n = 0; n < 8; n++) for (const flow of flowNumbers) peers.hostA.send(question(flow, n), port);
  await until('some of it taken in', () => ledgerTotals(it).packets.in > 0 || undefined);
  await it.drain(5000);
  const sum = ledgerTotals(it);
  t.same(imbalances(sum), []);
  t.same(sum.drops, {});
  t.match(sum.packets, { held: 0, forwarded: sum.packets.in });
  t.equal(it.waiting, 0);
  t.equal(it.crew.up, 0);
  await take(peers.inet, sum.packets.out, GRE_TEXT);
});

t.test('draining ends when workers are ended by force, though they held locks', async t => {
  const { control: it, peers } = await startControl(t, { mode: dispatched(2) });
  await it.start();
  await roundTrip(it, peers, 0);
  for (const owner of [1, 2]) {
    const nat = new NatState(it.state.nat, it.state.sizes.nat, new Quiet(it.state.quiet), owner);
    for (let at = 0, held = false; at < nat.flows.end && !held; at += FLOW_WORDS) held = nat.isOpen(at) && nat.lockSession(at, false);
  }
  const drained = it.drain(5000);
  for (const thread of it.crew.threads) void thread.terminate();
  await drained;
  t.same(imbalances(ledgerTotals(it)), []);
});

t.test('draining with a worker dead: what its ring holds is dropped by name, and the totals add up', async t => {
  const { control: it, peers } = await startControl(t, { mode: dispatched(1) });
  await it.start();
  const { port } = it.crew.bound[0];
  // Nobody is left to take the entries over, so the dispatcher goes on filling the dead one's ring.
  const dying = it.crew.threads[0].terminate();
  for (const flow of flowNumbers) peers.hostA.send(question(flow, 0), port);
  await until('datagrams that wait', () => it.waiting > 0 || ledgerTotals(it).packets.forwarded > 0 || undefined);
  await Promise.all([dying, it.drain(5000)]);
  const sum = ledgerTotals(it);
  t.same(imbalances(sum), []);
  t.match(sum.packets, { held: 0 });
  t.equal(it.waiting, 0);
  t.equal(sum.packets.in, sum.packets.forwarded + (sum.drops.worker_died ?? 0));
});

t.test('kernel mode: workers share a port, any of them answers, and one that dies is replaced', async t => {
  const obstacle = await whyNotShared(4, '127.0.0.1');
  if (obstacle !== null) {
    t.pass(`not to be tested here: ${obstacle}`);
    return;
  }
  const mode: ReceiveMode = { mode: 'kernel', workers: 2, shared: true, reason: 'a test' };
  // The kernel spreads by source ports, so every flow has a host and a VM of its own.
  const hosts = await Promise.all(flowNumbers.map(() => Peer.open()));
  t.teardown(() => { for (const host of hosts) host.close(); });
  const vm = (flow: number): string => `10.0.0.${10 + flow}`;
  const mac = (flow: number): string => `00:15:5d:00:02:${(16 + flow).toString(16)}`;
  const { control: it, peers, said } = await startControl(t, { mode, change: config => {
    config.hosts.push(...hosts.map(({ port }, flow) => ({ name: `host-${flow}`, pa: `127.0.0.1:${port}`, encap: 'nvgre' })));
    config.tenants[0].records.push(...flowNumbers.map(flow => ({ ca: vm(flow), mac: mac(flow), host: `host-${flow}` })));
  } });
  await it.start();
  t.equal(it.crew.boundBy(0)[0].port, it.crew.boundBy(1)[0].port, 'the first takes a free port, the second the same');
  const { port } = it.crew.bound[0];
  const ask = (n: number): void => {
    for (const flow of flowNumbers) hosts[flow].send(nvgre(5001, ethernet(GATEWAY_MAC, mac(flow), udp(vm(flow), 5000, SERVER, 53, `${flow} ${n}`))), port);
  };
  for (let n = 0; n < 4; n++) ask(n);
  const got = await take(peers.inet, 4 * FLOWS, GRE_TEXT);
  t.same(byFlow(got), upTo(4), 'every flow in its order');
  const outside: number[] = [];
  for (const { flow, datagram } of got) outside[flow] = datagram.readUInt16BE(GRE_SPORT);
  await settled(t, it, 4 * FLOWS);
  const { queues, imbalance, table } = queuesOf(it);
  t.equal(queues.reduce((sum, queue) => sum + queue.packets, 0), 4 * FLOWS);
  t.ok(queues.every(({ packets }) => packets > 0), `both got some: ${queues.map(({ packets }) => packets).join(' and ')}`);
  t.match(queues[1].sockets, [{ carrier: 'gre', port }, { carrier: 'vxlan' }]);
  t.equal(table, null);
  t.ok(imbalance !== null && imbalance >= 1 && imbalance <= 2);

  await it.crew.threads[0].terminate();
  await until('a new worker', () => said.find(({ msg }) => msg === 'worker replaced'));
  t.equal(it.crew.boundBy(0)[0].port, port);
  // All of the uplink's come to one worker, whoever opened the session.
  for (const flow of flowNumbers) peers.inet.send(answer(flow, 4, outside[flow]), port);
  for (const flow of flowNumbers) t.equal((await hosts[flow].take()).subarray(FRAME_TEXT).toString(), `${flow} 4`);
  ask(5);
  for (const { flow, datagram } of await take(peers.inet, FLOWS, GRE_TEXT)) t.equal(datagram.readUInt16BE(GRE_SPORT), outside[flow]);
  await settled(t, it, 6 * FLOWS);
  t.equal(sessionsOf(it, new URLSearchParams()).matching, FLOWS);
});

t.test('a policy is in force when all workers have it', async t => {
  const { control: it } = await startControl(t, { mode: dispatched(3) });
  await it.start();
  await t.resolves(it.crew.adopt({ ...it.policy, generation: 2 }));
});
