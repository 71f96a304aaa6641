/** What control makes of several workers' memory: queues in words, ledgers completed, rings emptied, shortages told. */
import t, { type Test } from 'tap';
import type { QueuesAnswer, StatusAnswer, TenantsAnswer } from '../../daemon/control/admin.js';
import type { Logger } from '../../daemon/control/log.js';
import { mendLedger } from '../../daemon/control/mend-ledger.js';
import { dropLeft, keyBytes, Recent } from '../../daemon/control/queues.js';
import { Shortages } from '../../daemon/control/shortages.js';
import { renderQueues } from '../../daemon/cli/queues.js';
import { Count, makeCounters } from '../../daemon/worker/counters.js';
import { whyNotShared } from '../../daemon/worker/reuse-port.js';
import { Cell, imbalances, Ledger, ledgerBytes, totals } from '../../pipeline/ledger.js';
import { Reason } from '../../pipeline/reasons.js';
import { makeRing, ringDepth, RingWriter } from '../../pipeline/ring.js';
import { MICROSOFT_KEY, MIN_KEY_LEN, SYMMETRIC_KEY } from '../../pipeline/rss.js';
import { gre, udp } from '../support/frames.js';
import { causeway, ConfigFolder, Daemon, fromA, labConfig, openPeers, until, type LabConfig, type Peer } from './daemon.js';

const VM = '10.0.0.5', SERVER = '198.51.100.7', POOL = '203.0.113.10';

async function lab(t: Test, gateway: Record<string, unknown>) {
  const peers = await openPeers();
  const config = labConfig(peers);
  Object.assign(config.gateway, gateway);
  const folder = new ConfigFolder(config as LabConfig);
  t.teardown(() => {
    for (const peer of Object.values(peers) as Peer[]) peer.close();
    folder.remove();
  });
  return { peers, folder };
}

t.test('dispatcher mode: the log, show queues, the admin API and the metrics say how datagrams are spread', async t => {
  const { peers, folder } = await lab(t, { workers: 2, rss: { mode: 'dispatcher', key: 'symmetric', ringSlots: 64, rebalance: false } });
  const daemon = await Daemon.start(folder);
  t.teardown(() => daemon.end('SIGKILL'));
  t.match(await daemon.line('receive mode'), { level: 'info', mode: 'dispatcher', workers: 2, reason: 'gateway.rss.mode asks for it' });
  const FLOWS = 16;
  for (let flow = 0; flow < FLOWS; flow++) peers.hostA.send(fromA(udp(VM, 5000 + flow, SERVER, 53, 'question')), daemon.port('gre'));
  for (let flow = 0; flow < FLOWS; flow++) peers.inet.send(gre(udp(SERVER, 53, POOL, (await peers.inet.take()).readUInt16BE(24), 'answer')), daemon.port('gre'));
  for (let flow = 0; flow < FLOWS; flow++) await peers.hostA.take();
  const status = await daemon.received(2 * FLOWS);
  t.match(status, { workers: { size: 2, up: 2 }, receive: { mode: 'dispatcher', waiting: 0 }, packets: { in: 2 * FLOWS, forwarded: 2 * FLOWS, held: 0 }, ailments: [] });

  const answer = await daemon.ask<QueuesAnswer>('/v1/queues');
  t.match(answer, {
    mode: 'dispatcher', workers: 2, key: 'symmetric', rebalance: false, moves: 0,
    queues: [{ queue: 0, up: true, entries: 64, waiting: 0, slots: 64, ringFull: 0, sockets: null }, { queue: 1, up: true, entries: 64 }],
  });
  t.equal(answer.queues[0].packets + answer.queues[1].packets, 2 * FLOWS);
  t.equal(answer.queues[0].share + answer.queues[1].share, 1);
  t.same(answer.table, Array.from({ length: 128 }, (_, entry) => entry % 2));
  t.equal(answer.imbalance, Math.max(...answer.queues.map(queue => queue.packets)) / FLOWS);

  // When all looks are behind the last packet, what is recent is nothing, and the same whenever it is asked for.
  const settled = await until('seconds without packets', async () => {
    const { recent, ...rest } = await daemon.ask<QueuesAnswer>('/v1/queues');
    return recent.seconds >= 5 && recent.imbalance === null ? rest : undefined;
  });
  const shown = await causeway(['show', 'queues', '--socket', folder.socket]);
  t.equal(shown.code, 0);
  t.equal(shown.out, renderQueues({ ...settled, recent: { seconds: 5, imbalance: null } } as QueuesAnswer));
  t.match(JSON.parse((await causeway(['show', 'queues', '--json', '--socket', folder.socket])).out), settled);
  t.equal((await causeway(['show', 'queues', '--tenant', 'red', '--socket', folder.socket])).code, 2, 'queues are nobody\'s');

  const metrics = await daemon.metrics();
  t.equal(metrics.get('causeway_receive_mode{mode="dispatcher"}'), 1);
  t.equal(metrics.get('causeway_receive_mode{mode="kernel"}'), 0);
  for (const { queue, packets } of answer.queues) {
    t.equal(metrics.get(`causeway_queue_packets_total{queue="${queue}"}`), packets);
    t.equal(metrics.get(`causeway_ring_depth{queue="${queue}"}`), 0);
    t.equal(metrics.get(`causeway_ring_drops_total{queue="${queue}"}`), 0);
  }
  t.equal(metrics.get('causeway_queue_moves_total'), 0);
  t.equal(metrics.get('causeway_workers'), 2);
  t.equal(await daemon.end(), 0);
  t.match(await daemon.line('drained'), { packets: { in: 2 * FLOWS, forwarded: 2 * FLOWS, held: 0 } });
});

t.test('HUP with several workers: all of them take the new config over, and sessions it forbids are closed once', async t => {
  const { peers, folder } = await lab(t, { workers: 3, rss: { mode: 'dispatcher' } });
  const daemon = await Daemon.start(folder);
  t.teardown(() => daemon.end('SIGKILL'));
  const FLOWS = 24;
  const ask = async (): Promise<string[]> => {
    for (let flow = 0; flow < FLOWS; flow++) peers.hostA.send(fromA(udp(VM, 5000 + flow, SERVER, 53, 'question')), daemon.port('gre'));
    const sources = [];
    for (let flow = 0; flow < FLOWS; flow++) sources.push((await peers.inet.take()).subarray(16, 20).join('.'));
    return sources;
  };
  t.same([...new Set(await ask())], [POOL]);
  const config = labConfig(peers);
  Object.assign(config.gateway, { workers: 3, rss: { mode: 'dispatcher' } });
  config.tenants[0].nat.pool = ['203.0.113.11'];
  folder.write(config);
  daemon.child.kill('SIGHUP');
  t.match(await daemon.line('config reloaded'), { generation: 2, revokedSessions: FLOWS });
  t.same([...new Set(await ask())], ['203.0.113.11'], 'whichever worker');
  t.match(await daemon.ask<TenantsAnswer>('/v1/tenants'), { tenants: [{ name: 'red', sessions: FLOWS }] });
});

t.test('kernel mode with two workers: sockets of their own, or a plain sentence and exit 1 where that cannot be', async t => {
  const { folder } = await lab(t, { workers: 2, rss: { mode: 'kernel' } });
  const obstacle = await whyNotShared(4, '127.0.0.1');
  if (obstacle !== null) {
    const { code, out } = await causeway(['run', folder.file]);
    t.equal(code, 1);
    t.match(out, /"msg":"cannot start"/);
    t.match(out, /gateway\.rss\.mode \\"kernel\\" with 2 workers needs sockets that share a port .*set it to \\"dispatcher\\" or \\"auto\\"/);
    t.equal((await causeway(['check', folder.file])).code, 0, 'the file itself is right');
    return;
  }
  const daemon = await Daemon.start(folder);
  t.teardown(() => daemon.end('SIGKILL'));
  t.match(await daemon.line('receive mode'), { mode: 'kernel', workers: 2 });
  const answer = await daemon.ask<QueuesAnswer>('/v1/queues');
  t.match(answer, { mode: 'kernel', table: null, key: null, moves: null, imbalance: null, queues: [{ sockets: [{ port: daemon.port('gre') }, {}] }, { sockets: [{ port: daemon.port('gre') }, {}] }] });
  t.match(renderQueues(answer), new RegExp(`gre 127.0.0.1:${daemon.port('gre')}, vxlan 127.0.0.1:${daemon.port('vxlan')}`));
  t.equal((await daemon.metrics()).get('causeway_queue_packets_total{queue="1"}'), 0);
  t.match(await daemon.ask<StatusAnswer>('/v1/status'), { workers: { up: 2 } });
});

t.test('show queues draws every entry of the table, also of more than ten queues', async t => {
  const text = renderQueues({
    mode: 'dispatcher', workers: 12, reason: 'why', imbalance: null, recent: { seconds: 0, imbalance: null }, key: 'default', rebalance: true, moves: 1,
    queues: [], table: Array.from({ length: 128 }, (_, entry) => entry % 12),
  });
  t.match(text, /^dispatcher mode, 12 workers: why\n/);
  t.match(text, /^ {4}0 {2}01234567 89ab0123 456789ab 01234567$/m);
  t.match(text, /^ {3}96 {2}01234567 89ab0123 456789ab 01234567$/m);
  t.match(text, /key default, 1 entry moved so far, rebalancing on\n$/);
});

t.test('what is recent tells of the last five looks, so that a queue relieved does not look loaded for hours', async t => {
  const recent = new Recent();
  t.equal(recent.seconds, 0);
  t.equal(recent.packetsOf(0), 0);
  for (let look = 0; look <= 10; look++) recent.look(look * 1000, [1000 * look, 0]);
  t.same([recent.seconds, recent.packetsOf(0), recent.packetsOf(1)], [5, 5000, 0]);
  for (let look = 11; look <= 15; look++) recent.look(look * 1000, [10_000 + 500 * (look - 10), 500 * (look - 10)]);
  t.same([recent.seconds, recent.packetsOf(0), recent.packetsOf(1)], [5, 2500, 2500]);

  const queue = { up: true, entries: 64, waiting: 0, slots: 64, ringFull: 0, sockets: null, recentPackets: 2500, recentShare: 0.5 };
  const answer: QueuesAnswer = {
    mode: 'dispatcher', workers: 2, reason: 'why', imbalance: 1.667, recent: { seconds: 5, imbalance: 1 }, key: 'default', rebalance: true, moves: 32,
    queues: [{ ...queue, queue: 0, packets: 12_500, share: 5 / 6 }, { ...queue, queue: 1, packets: 2500, share: 1 / 6 }], table: Array.from({ length: 128 }, () => 0),
  };
  const text = renderQueues(answer);
  t.match(text, /^dispatcher mode, 2 workers, the busiest has 1\.00 times the mean \(1\.67 since the start\): why\n/);
  t.match(text, /^queue +worker +packets +share +per second +share now/m);
  t.match(text, /^ +0 +up +12500 +83\.3 % +500 +50\.0 %/m);
  t.match(renderQueues({ ...answer, recent: { seconds: 5, imbalance: null } }), /the busiest has 1\.67 times the mean since the start: why/);
});

t.test('keys: the words of the config, and the bytes that it spells out', async t => {
  t.equal(keyBytes('default'), MICROSOFT_KEY);
  t.equal(keyBytes('symmetric'), SYMMETRIC_KEY);
  t.same(keyBytes('0a'.repeat(MIN_KEY_LEN)), new Uint8Array(MIN_KEY_LEN).fill(10));
});

/** What a worker had counted when it was ended, and what is made of it. */
const HALF_DONE = [
  ['nothing half done', { in: 2, forwarded: 1, dropped: 1, out: 1 }, false, {}],
  ['sent, and no more', { out: 1 }, true, { in: 1, forwarded: 1, out: 1 }],
  ['sent in three pieces, and no more', { out: 3 }, true, { in: 1, forwarded: 1, copies: 2, out: 3 }],
  ['come in, and no fate', { in: 1 }, true, { in: 1, dropped: 1 }],
  ['forwarded, sent, and not come in', { out: 1, forwarded: 1 }, true, { in: 1, forwarded: 1, out: 1 }],
  ['a fragment let go and not forwarded yet', { in: 5, forwarded: 4, held: 0, out: 4 }, true, { in: 5, forwarded: 4, dropped: 1, out: 4 }],
] as const satisfies readonly (readonly [string, Partial<Record<keyof typeof Cell, number>>, boolean, Partial<Record<keyof typeof Cell, number>>])[];
for (const [name, counted, isMended, want] of HALF_DONE) {
  t.test(`a dead worker's ledger is completed: ${name}`, async t => {
    const ledger = new Ledger(new SharedArrayBuffer(ledgerBytes(1)));
    for (const [cell, n] of Object.entries(counted)) {
      if (cell === 'dropped') for (let i = 0; i < n; i++) ledger.drop(1, Reason.acl_denied);
      else ledger.add(1, Cell[cell as keyof typeof Cell], n);
    }
    t.equal(mendLedger(ledger, [0, 1]), isMended);
    t.same(imbalances(totals([ledger])), []);
    t.match(totals([ledger], [1]).packets, want);
    t.equal(mendLedger(ledger, [0, 1]), false, 'once');
  });
}

t.test('what is left in a ring when all threads have ended is dropped by name, barriers are not', async t => {
  const rings = [makeRing(8, 2048), makeRing(8, 2048)];
  const writer = new RingWriter(rings[1]);
  for (let i = 0; i < 3; i++) writer.write(new Uint8Array(100 + i), 0, 0, 0xffff, 1, 2, 0, 0, 0);
  writer.writeBarrier(0, 0);
  const ledger = new Ledger(new SharedArrayBuffer(ledgerBytes(1)));
  dropLeft(rings, 0, ledger, false);
  t.equal(totals([ledger]).packets.in, 0, 'an empty ring leaves nothing');
  dropLeft(rings, 1, ledger, false);
  t.match(totals([ledger]), { packets: { in: 3, dropped: 3, bytesIn: 303 }, drops: { worker_died: 3 } });
  t.equal(ringDepth(rings[1]), 0);
});

t.test('what is full is said in the log: once, and then once a minute, by tenant and reason', async t => {
  const said: [Record<string, unknown>, string][] = [];
  const log = { warn: (fields: Record<string, unknown>, msg: string) => said.push([fields, msg]) } as unknown as Logger;
  const ledgers = [0, 1].map(() => new Ledger(new SharedArrayBuffer(ledgerBytes(2))));
  const counters = [0, 1].map(makeCounters);
  const shortages = new Shortages(ledgers, counters, log);
  const rows = [[0, '-'], [1, 'red'], [2, 'blue']] as const;
  shortages.look(0, rows);
  t.same(said, []);
  for (const ledger of ledgers) ledger.drop(1, Reason.nat_sessions_spent);
  ledgers[0].drop(1, Reason.acl_denied);
  shortages.look(1000, rows);
  t.same(said.splice(0), [[{ tenant: 'red', reason: 'nat_sessions_spent', packets: 2, see: 'config limits.sessions' }, 'packets dropped for want of room']]);
  ledgers[0].drop(1, Reason.nat_sessions_spent);
  ledgers[1].drop(0, Reason.ring_full);
  shortages.look(2000, rows);
  t.match(said.splice(0), [[{ tenant: '-', reason: 'ring_full', packets: 1 }]]);
  shortages.look(61_500, rows);
  t.match(said.splice(0), [[{ tenant: 'red', packets: 3 }]]);
  shortages.look(200_000, rows);
  t.same(said, [], 'nothing new, nothing said');

  const cells = new Float64Array(counters[1]);
  cells[Count.queueFull] = 7;
  shortages.look(201_000, rows);
  t.same(said.splice(0), [[{ worker: 1, datagrams: 7 }, 'send queue full, datagrams lost']]);
  cells[Count.queueFull] = 9;
  shortages.look(202_000, rows);
  t.same(said, [], 'once a minute');
  shortages.look(262_000, rows);
  t.same(said.splice(0), [[{ worker: 1, datagrams: 9 }, 'send queue full, datagrams lost']]);
});
