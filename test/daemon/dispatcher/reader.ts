/**
 * A worker thread of the ring tests: takes datagrams of (flow, number) in through an Intake and holds each to the one
 * before it, whichever thread had that: `seen[flow]` is shared by all readers.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { u32 } from '../../../codecs/bytes.js';
import { Intake } from '../../../daemon/worker/intake.js';
import { seededRandom } from '../../../pipeline/random.js';
import { Tally, type ReaderReport, type ReaderStart } from './tally.js';

if (parentPort === null) throw new Error('a thread of a test');
const port = parentPort;
const start = workerData as ReaderStart;
const seen = new Int32Array(start.seen);
const tally = new Int32Array(start.tally);
const random = seededRandom(start.seed);
const disordered: string[] = [], lost: string[] = [];
let taken = 0;

function dawdle(): void {
  const until = performance.now() + random.next() % start.slowUs / 1000;
  while (performance.now() < until);
}

const intake = new Intake({
  rings: start.rings, queue: start.queue, turnsEach: start.turnsEach,
  lost: (mem, at, end) => {
    lost.push(`${u32(mem, at)} ${u32(mem, at + 4)} ${end - at}`);
    Atomics.add(tally, Tally.lost, 1);
  },
  deliver: (mem, _start, at) => {
    const flow = u32(mem, at), number = u32(mem, at + 4);
    if (flow === start.diesOf) process.exit(1); // of a thread: ends it here and now
    if (start.slowOneIn > 0 && random.next() % start.slowOneIn === 0) dawdle();
    const before = Atomics.load(seen, flow);
    if (number !== before + 1) disordered.push(`flow ${flow}: ${number} after ${before}`);
    if (number <= before) Atomics.add(tally, Tally.repeats, 1);
    Atomics.store(seen, flow, number);
    Atomics.add(tally, Tally.taken, 1);
    taken++;
  },
});

port.on('message', async () => {
  await intake.stop();
  port.postMessage({ queue: start.queue, taken, disordered: disordered.slice(0, 10), lost } satisfies ReaderReport);
  port.close();
});
intake.start();
port.postMessage('up');
