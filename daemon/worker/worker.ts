/**
 * A worker thread: a source of datagrams, one pipeline, its send sockets, a timer. It tells control what it decided and
 * is told policies; packets and counters never travel as messages.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Gateway } from '../../pipeline/gateway.js';
import { Carrier } from '../../pipeline/packet.js';
import { seededRandom } from '../../pipeline/random.js';
import { PacketClock, readClock, TICK_MS } from './clock.js';
import { collect } from './collect.js';
import { tuneCompiler } from './compiler.js';
import { Count } from './counters.js';
import type { FromWorker, LogWord, ToWorker, WorkerStart } from './messages.js';
import { SocketOutlet } from './outlet.js';
import { Repeats } from './repeats.js';
import { SlotOutlet } from './slot-outlet.js';
import { makeSocket } from './sockets.js';
import { makeSource } from './source.js';

/** How often a draining worker looks whether the kernel has taken what was queued. */
const DRAIN_LOOK_MS = 10;

if (parentPort === null) throw new Error('worker.js is a thread of causeway run, not a program');
tuneCompiler();
const control = parentPort;
const start = workerData as WorkerStart;
const tell = (message: FromWorker): void => control.postMessage(message);

const clock = readClock(start.clock);
const counters = new Float64Array(start.counters);
counters[Count.beat] = clock();
const random = seededRandom(start.seed);
const repeats = (level: LogWord) => new Repeats((message, fields) => tell({ type: 'log', level, message, fields }));
const warnings = repeats('warn');
const faults = repeats('error');

const OUTLET_WORDS = { send: 'send failed', socket: 'send socket failed', port: 'no free port for flow entropy, any other taken' } as const;
const outlet = new SocketOutlet({
  listen: start.listen, bufferBytes: start.sendBuffer, counters, random, makeSocket,
  failed: (what, code) => warnings.note(OUTLET_WORDS[what], code, clock(), { code }),
});
const gateway = new Gateway({ state: start.state, worker: start.index, policy: start.policy, random, outlet: start.rings === null ? outlet : new SlotOutlet(start.rings[start.index], outlet) });
gateway.onFault = error => {
  counters[Count.faults]++;
  faults.note('fault in the pipeline, one packet lost', '', clock(), { error: error instanceof Error ? error.stack : String(error) });
};

const packetClock = new PacketClock(clock, now => { gateway.now = now; });
const source = makeSource({
  start, gateway, clock: packetClock,
  failed: (code, { address, carrier }) => {
    counters[Count.receiveErrors]++;
    warnings.note('receive socket failed, opening it again', `${code} ${address} ${carrier}`, clock(), { code, address, carrier: carrier === Carrier.gre ? 'gre' : 'vxlan' });
  },
});

const timer = setInterval(() => {
  const now = clock();
  counters[Count.beat] = now;
  gateway.tick(now);
  outlet.tick(now);
  warnings.flush(now);
  faults.flush(now);
}, TICK_MS);

function obey(message: ToWorker): void {
  if (message.type === 'drain') {
    void drain(message.withinMs);
    return;
  }
  if (message.type === 'forget') {
    collect();
    return;
  }
  // One turn of the loop, so no packet sees half of it: peers are numbered anew by all three.
  gateway.adopt(message.policy);
  source.adopt(gateway.context.policy);
  outlet.adopt(message.policy);
  tell({ type: 'adopted', generation: message.policy.generation });
}

/** Take nothing in any more, let out what waits, end. */
async function drain(withinMs: number): Promise<void> {
  const deadline = clock() + withinMs;
  let late: NodeJS.Timeout | undefined;
  await Promise.race([source.close(), new Promise(resolve => { late = setTimeout(resolve, withinMs); })]);
  clearTimeout(late);
  source.halt(); // out of time, it may be in the midst: what is left in a ring is control's to count
  clearInterval(timer);
  gateway.giveUpHeld(); // no first fragment can come any more, and the totals shall add up
  gateway.leave();
  while (outlet.pending() > 0 && clock() < deadline) await new Promise(resolve => setTimeout(resolve, DRAIN_LOOK_MS));
  tell({ type: 'drained', unsent: outlet.pending() });
  outlet.close();
  control.close();
}

try {
  await outlet.open();
  outlet.adopt(start.policy);
  Reflect.deleteProperty(start, 'policy'); // what a thread was started with it keeps for good
  control.on('message', obey);
  tell({ type: 'ready', bound: await source.open() });
} catch (error) {
  tell({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
  void source.close();
  outlet.close();
  clearInterval(timer);
  control.close();
}
