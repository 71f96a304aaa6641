import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { putU32 } from '../../../codecs/bytes.js';
import { RingWriter, Written, makeRing, ringDepth } from '../../../pipeline/ring.js';
import { seeded, type Seeded } from '../../support/seeded.js';
import { Tally, type ReaderReport, type ReaderStart } from './tally.js';

const FLOWS = 64;
const LOADER = new URL('../../support/typescript.mjs', import.meta.url).href;

interface Readers { readonly rings: SharedArrayBuffer[]; readonly writers: RingWriter[]; readonly threads: Worker[]; readonly seen: Int32Array<SharedArrayBuffer>; readonly tally: Int32Array<SharedArrayBuffer> }
type Habits = Partial<Omit<ReaderStart, 'rings' | 'seen' | 'tally'>>;

async function makeReaders(random: Seeded, count: number, slots: number, habits: Habits = {}): Promise<Readers> {
  const rings = Array.from({ length: count }, () => makeRing(slots, 128));
  const seen = new Int32Array(new SharedArrayBuffer(FLOWS * 4));
  const readers = { rings, writers: rings.map(ring => new RingWriter(ring)), threads: [] as Worker[], seen, tally: new Int32Array(new SharedArrayBuffer(Tally.cells * 4)) };
  for (let queue = 0; queue < count; queue++) await spawn(readers, { seed: random.u32(), ...habits, queue });
  return readers;
}

async function spawn({ rings, threads, seen, tally }: Readers, habits: Habits & { queue: number }): Promise<void> {
  const start: ReaderStart = { rings, seen: seen.buffer, tally: tally.buffer, slowOneIn: 0, slowUs: 0, seed: 1, turnsEach: 1, diesOf: -1, ...habits };
  const thread = new Worker(new URL('./reader.ts', import.meta.url), { workerData: start, execArgv: [`--import=${LOADER}`] });
  threads[habits.queue] = thread;
  await once(thread, 'message');
}

async function stop(threads: readonly Worker[]): Promise<ReaderReport[]> {
  return Promise.all(threads.map(async thread => {
    thread.postMessage('stop');
    return (await once(thread, 'message') as [ReaderReport])[0];
  }));
}

const datagram = new Uint8Array(8);
/** Write (flow, number); false when the ring is full. */
function tryWrite(writer: RingWriter, flow: number, number: number): boolean {
  putU32(datagram, 0, flow);
  putU32(datagram, 4, number);
  const written = writer.write(datagram, 0, 0, 0, 0, 0, 0, 0, flow);
  if (written === Written.asleep) writer.wake();
  return written !== Written.full;
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

/** The same, and when the ring is full, let others run and try again. */
async function write(writer: RingWriter, flow: number, number: number): Promise<void> {
  while (!tryWrite(writer, flow, number)) await turn();
}

const total = (reports: readonly ReaderReport[]): number => reports.reduce((sum, { taken }) => sum + taken, 0);

t.test('300,000 datagrams, with pauses on both sides so that the ring runs full and empty, all arrive in order', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const readers = await makeReaders(random, 1, 256, { slowOneIn: 10_000, slowUs: 2000 });
  const numbers = new Uint32Array(FLOWS);
  for (let i = 0; i < 300_000; i++) {
    const flow = random.below(FLOWS);
    if (!tryWrite(readers.writers[0], flow, ++numbers[flow])) await write(readers.writers[0], flow, numbers[flow]);
    if (random.below(3000) === 0) await turn();
  }
  const reports = await stop(readers.threads);
  t.match(reports, [{ taken: 300_000, disordered: [], lost: [] }]);
  t.equal(ringDepth(readers.rings[0]), 0);
});

t.test('no wake-up is lost: one datagram at a time, just when the reader goes to sleep', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const readers = await makeReaders(random, 1, 16, { turnsEach: 0 });
  const [writer] = readers.writers;
  for (let i = 1; i <= 30_000; i++) {
    await write(writer, 0, i);
    for (let spins = 0; Atomics.load(readers.seen, 0) !== i; spins++) if (spins > 1e9) throw new Error(`datagram ${i} is not taken`);
    for (let pause = random.below(2000); pause > 0; pause--) Atomics.load(readers.seen, 0);
  }
  t.match(await stop(readers.threads), [{ taken: 30_000, disordered: [] }]);
});

t.test('the order of every flow survives constant moves among three readers, slow ones and full rings among them', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const QUEUES = 3, DATAGRAMS = 200_000;
  const readers = await makeReaders(random, QUEUES, 64, { slowOneIn: 5000, slowUs: 1000 });
  const queueOf = Uint8Array.from({ length: FLOWS }, (_, flow) => flow % QUEUES);
  const numbers = new Uint32Array(FLOWS);
  let moves = 0;
  for (let i = 0; i < DATAGRAMS; i++) {
    if (random.below(50) === 0) {
      const flow = random.below(FLOWS), from = queueOf[flow], to = random.below(QUEUES);
      const written = from === to ? Written.full : readers.writers[to].writeBarrier(from, readers.writers[from].head);
      if (written === Written.asleep) readers.writers[to].wake();
      if (written !== Written.full) { queueOf[flow] = to; moves++; }
    }
    const flow = random.below(FLOWS), writer = readers.writers[queueOf[flow]];
    if (!tryWrite(writer, flow, ++numbers[flow])) await write(writer, flow, numbers[flow]);
  }
  const reports = await stop(readers.threads);
  t.same(reports.flatMap(({ disordered }) => disordered), []);
  t.equal(total(reports), DATAGRAMS);
  t.ok(moves > 1000, `${moves} moves`);
});

t.test('a reader that dies costs the datagram in hand: its successor tells of that one and goes on with the next', async t => {
  const random = seeded();
  const readers = await makeReaders(random, 1, 16, { diesOf: 7 });
  const died = once(readers.threads[0], 'exit');
  for (const [flow, number] of [[1, 1], [7, 1], [1, 2], [1, 3]]) await write(readers.writers[0], flow, number);
  await died;
  t.equal(ringDepth(readers.rings[0]), 2, 'behind the one in hand');
  await spawn(readers, { queue: 0 });
  t.match(await stop(readers.threads), [{ taken: 2, disordered: [], lost: ['7 1 8'] }]);
});

t.test('readers that are ended at any time lose no more than the datagram in hand, and none is taken twice', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const DEATHS = 10;
  const readers = await makeReaders(random, 1, 64, { slowOneIn: 50, slowUs: 200 });
  let number = 0;
  for (let death = 0; death < DEATHS; death++) {
    for (let n = 200 + random.below(2000); n > 0; n--) await write(readers.writers[0], 1, ++number);
    await readers.threads[0].terminate();
    await spawn(readers, { queue: 0, slowOneIn: 50, slowUs: 200, seed: random.u32() });
  }
  await stop(readers.threads);
  t.equal(ringDepth(readers.rings[0]), 0);
  const taken = readers.tally[Tally.taken], lost = readers.tally[Tally.lost];
  t.equal(readers.tally[Tally.repeats], 0);
  t.ok(lost <= DEATHS && taken <= number && taken + lost >= number, `${number} written, ${taken} taken, ${lost} lost`);
});

t.test('a barrier does not wait for a queue that is declared dead', async t => {
  const random = seeded();
  const readers = await makeReaders(random, 2, 16, { diesOf: 7 });
  const died = once(readers.threads[0], 'exit');
  await write(readers.writers[0], 7, 1);
  await died;
  await write(readers.writers[0], 1, 1); // nobody takes this one
  t.not(readers.writers[1].writeBarrier(0, readers.writers[0].head), Written.full);
  await write(readers.writers[1], 2, 1);
  readers.writers[1].wake();
  const began = performance.now();
  readers.writers[0].setDead(true);
  while (Atomics.load(readers.seen, 2) !== 1) await turn();
  t.ok(performance.now() - began < 900, 'and not because its patience ended');
  t.match(await stop(readers.threads.slice(1)), [{ taken: 1 }]);
});

t.test('a reader that hangs holds up a barrier for a second, and no longer', async t => {
  const random = seeded();
  const readers = await makeReaders(random, 2, 16, { diesOf: 7 });
  const died = once(readers.threads[0], 'exit');
  await write(readers.writers[0], 7, 1);
  await died; // and nobody notices
  t.not(readers.writers[1].writeBarrier(0, readers.writers[0].head), Written.full);
  await write(readers.writers[1], 2, 1);
  while (Atomics.load(readers.seen, 2) !== 1) await turn();
  t.match(await stop(readers.threads.slice(1)), [{ taken: 1 }]);
});
