import t from 'tap';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Count } from '../../daemon/worker/counters.js';
import type { WorkerStart } from '../../daemon/worker/messages.js';
import { imbalances } from '../../pipeline/ledger.js';
import { ledgerTotals } from '../../daemon/control/status.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { makeRing, ringDepth, RingWriter } from '../../pipeline/ring.js';
import { udp } from '../support/frames.js';
import { dispatched, startControl } from './control.js';
import { built, fromA } from './daemon.js';

t.test('a worker that is to drain at once delivers nothing after it has left: the rest of its ring is there for others to count', async t => {
  const { control: it, peers } = await startControl(t, { mode: dispatched(1) });
  const SLOTS = 16384;
  const ring = makeRing(SLOTS, 2048);
  const writer = new RingWriter(ring);
  const question = fromA(udp('10.0.0.5', 5000, '198.51.100.7', 53, 'question'));
  const LOCALHOST = 0x7f000001;
  for (let i = 0; i < SLOTS; i++) writer.write(question, 0, 0, 0xffff, LOCALHOST, peers.hostA.port, Carrier.gre, Side.both, 0);
  const start: WorkerStart = {
    index: 0, state: it.state, counters: it.counters[0], policy: it.policy, clock: it.clock, seed: 1,
    listen: [{ side: Side.both, carrier: Carrier.gre, family: 4, address: '127.0.0.1', port: 0 }], shared: false, rings: [ring], isLostCounted: false,
    receiveBuffer: 1 << 20, sendBuffer: 1 << 20,
  };
  const worker = new Worker(built('worker.js'), { workerData: start, execArgv: [] });
  worker.postMessage({ type: 'drain', withinMs: 0 });
  await once(worker, 'exit');
  t.equal(new Float64Array(it.counters[0])[Count.faults], 0);
  const { packets } = ledgerTotals(it);
  t.ok(packets.in < SLOTS, `it did ${packets.in} of them`);
  t.equal(packets.in + ringDepth(ring), SLOTS);
  t.same(imbalances(ledgerTotals(it)), []);
});
