/**
 * The dispatcher thread, where the system cannot spread datagrams over sockets for us: it receives all of them and puts
 * each into a worker's ring. It knows no policy.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Ledger } from '../../pipeline/ledger.js';
import { Carrier } from '../../pipeline/packet.js';
import { readClock, TICK_MS } from '../worker/clock.js';
import { Count } from '../worker/counters.js';
import { Receiver } from '../worker/receiver.js';
import { Repeats } from '../worker/repeats.js';
import { makeSocket } from '../worker/sockets.js';
import type { DispatcherStart, FromDispatcher, ToDispatcher } from './messages.js';
import { Spreader, type Moved } from './spreader.js';

/** How often the balance is looked at. */
const BALANCE_MS = 1000;

if (parentPort === null) throw new Error('dispatcher.js is a thread of causeway run, not a program');
const control = parentPort;
const start = workerData as DispatcherStart;
const tell = (message: FromDispatcher): void => control.postMessage(message);

const clock = readClock(start.clock);
const counters = new Float64Array(start.counters);
counters[Count.beat] = clock();
const warnings = new Repeats((message, fields) => tell({ type: 'log', level: 'warn', message, fields }));
const spreader = new Spreader({ ...start, ledger: new Ledger(start.ledger) });

const receivers = start.listen.map(listen => new Receiver({
  listen, bufferBytes: start.receiveBuffer, makeSocket,
  deliver: (datagram, from, bound) => spreader.receive(datagram, from, bound),
  failed: (code, { address, carrier }) => {
    counters[Count.receiveErrors]++;
    warnings.note('receive socket failed, opening it again', `${code} ${address} ${carrier}`, clock(), { code, address, carrier: carrier === Carrier.gre ? 'gre' : 'vxlan' });
  },
}));

const timer = setInterval(() => {
  counters[Count.beat] = clock();
  warnings.flush(clock());
}, TICK_MS);
const balanceTimer = setInterval(() => logMoves(spreader.balance()), BALANCE_MS);

/** One line for all that moved at a time, and for one reason. */
function logMoves(moves: readonly Moved[]): void {
  for (const reason of new Set(moves.map(({ why }) => why))) {
    const moved = moves.filter(({ why }) => why === reason);
    const pairs = new Map<string, number>();
    for (const { from, to } of moved) pairs.set(`${from} to ${to}`, (pairs.get(`${from} to ${to}`) ?? 0) + 1);
    tell({ type: 'log', level: 'info', message: 'entries moved to other queues', fields: { why: reason, entries: moved.length, queues: Object.fromEntries(pairs) } });
  }
}

/** Stop; `last` is what control is told when all that came is in the rings. */
function end(last: FromDispatcher): void {
  for (const receiver of receivers) receiver.close();
  clearInterval(timer);
  clearInterval(balanceTimer);
  spreader.flush();
  tell(last);
  control.close();
}

function obey(message: ToDispatcher): void {
  if (message.type === 'queue') {
    logMoves(spreader.setQueue(message.index, message.up));
    return;
  }
  end({ type: 'drained' });
}

try {
  control.on('message', obey);
  tell({ type: 'ready', bound: await Promise.all(receivers.map(receiver => receiver.open())) });
} catch (error) {
  end({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
}
