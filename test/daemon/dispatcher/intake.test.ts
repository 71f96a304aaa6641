import t from 'tap';
import { Intake, type IntakeParts } from '../../../daemon/worker/intake.js';
import { RingReader, RingWriter, Written, makeRing, ringDepth } from '../../../pipeline/ring.js';
import { until } from '../daemon.js';

/** Word of a ring that says whether its reader sleeps. */
const SLEEPS = 48;

/** A ring and an intake of it in this thread. */
function make(slots: number, parts: Partial<IntakeParts> = {}) {
  const rings = [makeRing(slots, 64)];
  const writer = new RingWriter(rings[0]);
  const got: number[] = [];
  const intake = (): Intake => new Intake({ rings, queue: 0, pending: () => 0, lost() {}, deliver: (mem, _start, at) => { got.push(mem[at]); }, ...parts });
  const put = (value: number): number => {
    const written = writer.write(Uint8Array.of(value), 0, 0, 0xffff, 0xc000020b, 50000, 1, 2, 7);
    if (written === Written.asleep) writer.wake();
    return written;
  };
  return { rings, intake, got, put };
}

t.test('a datagram is delivered where it lies, with room before it, its sender and its socket', async t => {
  const calls: unknown[][] = [];
  const { intake, put } = make(4, { deliver: (mem, start, at, end, ...rest) => { calls.push([at - start >= 22, end - at, mem[at], ...rest]); } });
  const it = intake();
  it.start();
  put(5);
  await until('it came', () => calls.length === 1 || undefined);
  t.same(calls, [[true, 1, 5, 0, 0, 0xffff, 0xc000020b, 50000, 1, 2]]);
  await it.stop();
});

t.test('stopping waits for what is in the ring, asleep or not, and one that never began stops at once', async t => {
  const { intake, put, got, rings } = make(256);
  const it = intake();
  await it.stop();
  for (let i = 0; i < 200; i++) put(i);
  t.equal(it.depth, 200);
  it.start();
  await it.stop();
  t.equal(got.length, 200);
  t.equal(ringDepth(rings[0]), 0);
  await it.stop();
});

t.test('it sleeps when nothing comes, and no sooner than its datagrams bought it; what comes wakes it', async t => {
  const { intake, put, got, rings } = make(4);
  const it = intake();
  const words = new Int32Array(rings[0]);
  it.start();
  for (let value = 1; value <= 3; value++) {
    await until('it sleeps', () => words[SLEEPS] === 1 || undefined);
    t.equal(put(value), Written.asleep);
    await until('it came', () => got.length === value || undefined);
    t.equal(words[SLEEPS], 0);
  }
  await it.stop();
});

t.test('a slot that the kernel keeps is written again once nothing is pending, even when the ring is full and nothing comes', async t => {
  let pending = 1;
  const { intake, put, got } = make(4, { pending: () => pending, deliver: (mem, _start, at) => {
    got.push(mem[at]);
    if (mem[at] === 1) it.keep();
  } });
  const it = intake();
  it.start();
  for (const value of [1, 2, 3, 4]) put(value);
  await until('four', () => got.length === 4 || undefined);
  t.equal(put(5), Written.full);
  pending = 0;
  await until('room', () => put(5) !== Written.full || undefined);
  await it.stop();
  t.same(got, [1, 2, 3, 4, 5]);
});

t.test('worker_died: the datagram that the one before had in hand is told, and not delivered', async t => {
  const lost: number[][] = [];
  const { intake, put, got, rings } = make(4, { lost: (mem, at, end) => lost.push([...mem.subarray(at, end)]) });
  for (const value of [1, 2, 3]) put(value);
  const dying = new RingReader(rings, 0);
  dying.peek();
  dying.take();
  const it = intake();
  it.start();
  await it.stop();
  t.same([lost, got], [[[1]], [2, 3]]);
});
