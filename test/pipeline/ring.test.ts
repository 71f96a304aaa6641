import t from 'tap';
import { MAX_RINGS, RingReader, RingWriter, SLOT_ROOM, Written, makeRing, ringDepth, ringSlots } from '../../pipeline/ring.js';
import { seeded } from '../support/seeded.js';

const SLOT = 128;

function put(writer: RingWriter, ...data: number[]): number {
  return writer.write(Uint8Array.from(data), 0, 0, 0, 0, 0, 0, 0, 0);
}

/** Take what is there, up to `most`; the first byte of each. */
function take(reader: RingReader, most = Infinity): number[] {
  const taken: number[] = [];
  for (let slot = reader.peek(); slot >= 0 && taken.length < most; slot = reader.peek()) {
    reader.take();
    taken.push(reader.mem[reader.atOf(slot)]);
    reader.finish();
  }
  reader.publish();
  return taken;
}

t.test('a datagram comes out as it went in, with its sender, its socket and its bucket, and room before it', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const ring = makeRing(8, 1500);
  const writer = new RingWriter(ring), reader = new RingReader([ring], 0);
  t.ok(writer.longest >= 1500 && writer.longest < 1564, String(writer.longest));
  t.equal(reader.peek(), -1);
  for (const len of [0, 1, 65, writer.longest]) {
    const datagram = random.fill(new Uint8Array(len));
    t.equal(writer.write(datagram, 0x20010db8, 0, 0xffffffff, 0x80000001, 65535, 1, 2, 127), Written.awake);
    t.equal(ringDepth(ring), 1);
    const slot = reader.peek();
    t.same(Uint8Array.from(reader.mem.subarray(reader.atOf(slot), reader.endOf(slot))), Uint8Array.from(datagram));
    t.same([0, 1, 2, 3].map(i => reader.addressOf(slot, i)), [0x20010db8, 0, 0xffffffff, 0x80000001]);
    t.same([reader.portOf(slot), reader.carrierOf(slot), reader.sideOf(slot), reader.bucketOf(slot), reader.isBarrier(slot)], [65535, 1, 2, 127, false]);
    reader.mem.fill(0xee, reader.atOf(slot) - SLOT_ROOM, reader.endOf(slot));
    t.equal(reader.portOf(slot), 65535, 'the headroom is no part of the fields');
    take(reader);
  }
});

t.test('a full ring refuses, and takes again when slots were given back; the sequence may wrap', async t => {
  const ring = makeRing(4, SLOT);
  // Just before the sequence's sign changes, and before it is 0 again: as after years of traffic.
  for (const sequence of [0x7ffffffd, -3]) {
    const words = new Int32Array(ring);
    for (const at of [16, 32, 64, 65, 80]) words[at] = sequence; // head, tail, taken, finished, passed
    const writer = new RingWriter(ring), reader = new RingReader([ring], 0);
    let next = 0, expected = 0;
    for (let round = 0; round < 6; round++) {
      while (put(writer, next) !== Written.full) next++;
      t.equal(ringDepth(ring), 4);
      for (const got of take(reader, 1 + round % 4)) t.equal(got, expected++);
    }
    for (const got of take(reader)) t.equal(got, expected++);
    t.equal(expected, next);
    t.equal(ringDepth(ring), 0);
  }
  t.equal(ringSlots(ring), 4);
  t.throws(() => makeRing(6, SLOT), /6 slots: not a power of two/);
});

t.test('another writer, or another reader, goes on where the one before stopped', async t => {
  const ring = makeRing(8, SLOT);
  const writer = new RingWriter(ring), reader = new RingReader([ring], 0);
  for (const i of [0, 1, 2, 3]) put(writer, i);
  t.same(take(reader, 2), [0, 1]);
  const other = new RingWriter(ring);
  t.equal(other.head, writer.head);
  put(other, 4);
  const successor = new RingReader([ring], 0);
  t.equal(successor.lostAt, -1);
  t.same(take(successor), [2, 3, 4]);

  put(other, 5);
  put(other, 6);
  successor.peek();
  successor.take(); // and here it dies
  const third = new RingReader([ring], 0);
  t.equal(third.mem[third.lostAt], 5);
  t.equal(third.lostEnd - third.lostAt, 1);
  t.same(take(third), [6]);
});

t.test('a barrier lets pass when the other ring has got as far, and not before', async t => {
  const rings = [makeRing(8, SLOT), makeRing(8, SLOT)];
  const [a, b] = rings.map(ring => new RingWriter(ring));
  const readers = rings.map((_, queue) => new RingReader(rings, queue));
  put(a, 0);
  put(a, 1);
  t.not(b.writeBarrier(0, a.head), Written.full);
  put(a, 2); // behind the barrier's time: it does not wait for this one
  const slot = readers[1].peek();
  t.ok(readers[1].isBarrier(slot));
  const waits = readers[1].waitAt(slot);
  t.ok(waits);
  t.same(take(readers[0], 1), [0]);
  await waits; // told that there is news
  const again = readers[1].waitAt(slot);
  t.ok(again, 'but not enough');
  t.same(take(readers[0], 1), [1]);
  await again;
  t.equal(readers[1].waitAt(slot), undefined);
});

t.test('barriers across each other, each before the other ring\'s packets, are no lock', async t => {
  const rings = [makeRing(8, SLOT), makeRing(8, SLOT)];
  const [a, b] = rings.map(ring => new RingWriter(ring));
  const readers = rings.map((_, queue) => new RingReader(rings, queue));
  put(a, 0);
  b.writeBarrier(0, a.head);
  a.writeBarrier(1, b.head); // waits for the barrier that waits for packet 0
  put(b, 1);
  const order: number[] = [];
  for (let turns = 0; turns < 4; turns++) {
    for (const reader of readers) {
      for (let slot = reader.peek(); slot >= 0 && (!reader.isBarrier(slot) || reader.waitAt(slot) === undefined); slot = reader.peek()) {
        reader.take();
        if (!reader.isBarrier(slot)) order.push(reader.mem[reader.atOf(slot)]);
        reader.finish();
      }
      reader.publish();
    }
  }
  t.same(order, [0, 1]);
  t.same(rings.map(ringDepth), [0, 0]);
});

t.test('a reader that sleeps is woken by the writer, once, and does not fall asleep beside a datagram', async t => {
  const ring = makeRing(4, SLOT);
  const writer = new RingWriter(ring), reader = new RingReader([ring], 0);
  const asleep = reader.sleep();
  t.ok(asleep);
  t.equal(put(writer, 1), Written.asleep);
  writer.wake();
  t.equal(put(writer, 2), Written.awake, 'it has been told');
  await asleep;
  t.equal(reader.sleep(), undefined);
  t.equal(put(writer, 3), Written.awake);
});

t.test('barriers know up to 32 rings', async t => {
  const rings = Array.from({ length: MAX_RINGS + 1 }, () => makeRing(2, SLOT));
  t.throws(() => new RingReader(rings, 0), /33 rings: 32 at most/);
  t.ok(new RingReader(rings.slice(1), 31));
});
