/** The dispatcher thread itself, between a real socket and rings that the test reads. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import type { DispatcherStart, FromDispatcher, ToDispatcher } from '../../../daemon/dispatcher/messages.js';
import { startClock } from '../../../daemon/worker/clock.js';
import { Count, makeCounters } from '../../../daemon/worker/counters.js';
import type { Listen } from '../../../daemon/worker/messages.js';
import { Indirection, makeIndirection } from '../../../pipeline/indirection.js';
import { Ledger, ledgerBytes, totals } from '../../../pipeline/ledger.js';
import { Carrier, Side } from '../../../pipeline/packet.js';
import { RingReader, makeRing, ringDepth } from '../../../pipeline/ring.js';
import { MICROSOFT_KEY } from '../../../pipeline/rss.js';
import { ethernet, gre, udp, vxlan } from '../../support/frames.js';
import { Peer, built, until } from '../daemon.js';

const FREE: Listen = { side: Side.both, carrier: Carrier.gre, family: 4, address: '127.0.0.1', port: 0 };

function makeStart(queues: number, listen: readonly Listen[], slots = 64): DispatcherStart {
  return {
    listen, rings: Array.from({ length: queues }, () => makeRing(slots, 1500)), indirection: makeIndirection(queues), ledger: new SharedArrayBuffer(ledgerBytes(1)),
    counters: makeCounters(), key: MICROSOFT_KEY, rebalance: true, receiveBuffer: 1 << 20, clock: startClock(),
  };
}

/** Its first word is there before anybody listens for a second. */
async function run(t: Test, start: DispatcherStart) {
  const thread = new Worker(built('dispatcher.js'), { workerData: start, execArgv: [] });
  t.teardown(() => thread.terminate());
  const said: FromDispatcher[] = [];
  thread.on('message', (message: FromDispatcher) => said.push(message));
  await until('a first word', () => said.length > 0 || undefined);
  return { thread, said, tell: (message: ToDispatcher) => thread.postMessage(message) };
}

function boundPorts(said: readonly FromDispatcher[]): number[] {
  const [ready] = said;
  if (ready.type !== 'ready') throw new Error(JSON.stringify(ready));
  return ready.bound.map(({ port }) => port);
}

t.test('datagrams of every socket reach the rings, each once; draining tells when all of them are there, and the thread ends', async t => {
  const start = makeStart(3, [FREE, { ...FREE, carrier: Carrier.vxlan, side: Side.hosts }]);
  const { thread, said, tell } = await run(t, start);
  const [grePort, vxlanPort] = boundPorts(said);
  const peer = await Peer.open();
  t.teardown(() => peer.close());
  for (let i = 0; i < 30; i++) peer.send(gre(udp('198.51.100.7', i, '10.0.0.5', 2, 'x'), 7001), grePort);
  for (let i = 0; i < 30; i++) peer.send(vxlan(5001, ethernet('02:00:00:00:00:01', '00:15:5d:00:00:05', udp('10.0.0.5', i, '198.51.100.7', 2, 'x'))), vxlanPort);
  await until('all are there', () => start.rings.reduce((sum, ring) => sum + ringDepth(ring), 0) === 60 || undefined);
  tell({ type: 'drain' });
  await once(thread, 'exit');
  t.equal(said.at(-1)?.type, 'drained');
  const found = start.rings.map((_, queue) => {
    const reader = new RingReader(start.rings, queue);
    const kinds: string[] = [];
    for (let slot = reader.peek(); slot >= 0; slot = reader.peek()) {
      kinds.push(`${reader.carrierOf(slot)} ${reader.sideOf(slot)} ${reader.addressOf(slot, 3).toString(16)} ${reader.portOf(slot)}`);
      reader.take();
      reader.finish();
    }
    return kinds;
  });
  t.ok(found.every(kinds => kinds.length > 5), 'spread over all three');
  t.same(found.flat().sort(), [...new Array<string>(30).fill(`0 0 7f000001 ${peer.port}`), ...new Array<string>(30).fill(`1 1 7f000001 ${peer.port}`)]);
  t.ok(new Float64Array(start.counters)[Count.beat] > 0);
});

t.test('a queue that is down is not filled, and says the log; a dispatcher that died is replaced without a loss in the rings', async t => {
  const start = makeStart(2, [FREE]);
  const first = await run(t, start);
  const [port] = boundPorts(first.said);
  const peer = await Peer.open();
  t.teardown(() => peer.close());
  const send = (to: number): void => { for (let i = 0; i < 20; i++) peer.send(gre(udp('198.51.100.7', i, '10.0.0.5', 2, 'x'), -1), to); };
  first.tell({ type: 'queue', index: 0, up: false });
  await until('the log', () => first.said.length > 1 || undefined);
  t.match(first.said[1], { type: 'log', level: 'info', message: 'entries moved to other queues', fields: { why: 'worker died', entries: 64, queues: { '0 to 1': 64 } } });
  send(port);
  await until('twenty', () => ringDepth(start.rings[1]) === 20 || undefined);
  t.equal(ringDepth(start.rings[0]), 0);

  await first.thread.terminate();
  const second = await run(t, { ...start, listen: [{ ...FREE, port }] });
  send(boundPorts(second.said)[0]);
  await until('forty', () => ringDepth(start.rings[1]) === 40 || undefined);
  t.equal(new Indirection(start.indirection).queuePackets(1), 40);
});

t.test('ring_full: a worker that does not read costs drops that are counted, and nothing else', async t => {
  const start = makeStart(1, [FREE], 8);
  const { said } = await run(t, start);
  const [port] = boundPorts(said);
  const peer = await Peer.open();
  t.teardown(() => peer.close());
  const ledger = new Ledger(start.ledger);
  for (let i = 0; i < 20; i++) peer.send(gre(udp('198.51.100.7', i, '10.0.0.5', 2, 'x'), -1), port);
  await until('twelve drops', () => totals([ledger]).drops['ring_full'] === 12 || undefined);
  t.equal(ringDepth(start.rings[0]), 8);
});

t.test('a socket that is not to be had is told in a sentence, and the thread ends', async t => {
  const holder = await run(t, makeStart(1, [FREE]));
  const [port] = boundPorts(holder.said);
  const { thread, said } = await run(t, makeStart(1, [{ ...FREE, port }]));
  if (thread.threadId !== -1) await once(thread, 'exit');
  t.same(said, [{ type: 'failed', message: `cannot bind 127.0.0.1 port ${port}: another program has it (EADDRINUSE)` }]);
});
