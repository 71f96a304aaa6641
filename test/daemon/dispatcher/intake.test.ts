import t from 'tap';
import { Intake, type IntakeParts } from '../../../daemon/worker/intake.js';
import { SlotOutlet } from '../../../daemon/worker/slot-outlet.js';
import { RingReader, RingWriter, Written, makeRing, ringDepth } from '../../../pipeline/ring.js';
import { until } from '../daemon.js';

/** Word of a ring that says whether its reader sleeps. */
const SLEEPS = 48;

/** A ring and an intake of it in this thread. */
function make(slots: number, parts: Partial<IntakeParts> = {}) {
  const rings = [makeRing(slots, 64)];
  const writer = new RingWriter(rings[0]);
  const got: number[] = [];
  const intake = (): Intake => new Intake({ rings, queue: 0, lost() {}, deliver: (mem, _start, at) => { got.push(mem[at]); }, ...parts });
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

t.test('halted, it delivers nothing more, though batches are left, and who waits for its end waits no longer', async t => {
  const { intake, put, got, rings } = make(256);
  const it = intake();
  for (let i = 0; i < 200; i++) put(i);
  it.start();
  setImmediate(() => it.halt()); // behind its first batch
  await it.stop();
  for (let i = 0; i < 3; i++) await new Promise(resolve => setImmediate(resolve));
  t.equal(got.length, 64);
  t.equal(ringDepth(rings[0]), 136, 'the others are left in the ring');
});

t.test('a destination that takes nothing holds up no slot: the ring goes round for the others', async t => {
  const rings = [makeRing(16, 64)];
  const writer = new RingWriter(rings[0]);
  const kept: { mem: Uint8Array; at: number }[] = [];
  let others = 0;
  const outlet = new SlotOutlet(rings[0], { send(mem, at, _end, peer) {
    if (peer === 1) others++;
    else kept.push({ mem, at });
    return peer === 0;
  } });
  const it = new Intake({ rings, queue: 0, lost() {}, deliver: (mem, _start, at, end) => { if (outlet.send(mem, at, end, mem[at] & 1, 0)) t.fail('a slot is kept'); } });
  it.start();
  for (let value = 0; value < 250; value++) {
    await until('room', () => {
      const written = writer.write(Uint8Array.of(value), 0, 0, 0, 0, 1, 0, 0, 0);
      if (written === Written.asleep) writer.wake();
      return written !== Written.full || undefined;
    });
  }
  await it.stop();
  t.equal(others, 125);
  t.same(kept.map(({ mem, at }) => mem[at]), Array.from({ length: 125 }, (_, i) => i * 2), 'and what waits is what was sent');
  t.ok(new Set(kept.map(({ mem }) => mem.buffer)).size === 1, 'side by side');
});

t.test('a datagram longer than what is left of the memory for copies gets new memory; one that is not in a slot is not copied', async t => {
  const ring = new SharedArrayBuffer(70_000);
  const sent: { mem: Uint8Array; at: number; length: number }[] = [];
  const outlet = new SlotOutlet(ring, { send(mem, at, end) {
    sent.push({ mem, at, length: end - at });
    return true;
  } });
  const slot = Buffer.from(ring);
  for (const length of [40_000, 30_000, 70_000]) t.notOk(outlet.send(slot, 0, length, 0, 0));
  t.same(sent.map(({ at, length }) => [at, length]), [[0, 40_000], [0, 30_000], [0, 70_000]]);
  t.equal(new Set(sent.map(({ mem }) => mem.buffer)).size, 3);
  const own = Buffer.alloc(8);
  t.ok(outlet.send(own, 2, 8, 0, 0));
  t.equal(sent[3].mem, own);
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
