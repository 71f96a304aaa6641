import t from 'tap';
import type { RemoteInfo } from 'node:dgram';
import { Spreader } from '../../../daemon/dispatcher/spreader.js';
import { ENTRIES, makeIndirection } from '../../../pipeline/indirection.js';
import { Ledger, imbalances, ledgerBytes, totals } from '../../../pipeline/ledger.js';
import { Carrier, Side } from '../../../pipeline/packet.js';
import { RingReader, RingWriter, makeRing, ringDepth } from '../../../pipeline/ring.js';
import { MICROSOFT_KEY, RssHash } from '../../../pipeline/rss.js';
import { ethernet, gre, nvgre, udp } from '../../support/frames.js';
import { until } from '../daemon.js';

const LISTEN = { side: Side.hosts, carrier: Carrier.gre, family: 4, address: '192.0.2.1', port: 4754 } as const;
const FROM = { address: '192.0.2.11', family: 'IPv4', port: 50000, size: 0 } as RemoteInfo;
const hash = new RssHash(MICROSOFT_KEY);
/** Word of a ring that says whether its reader sleeps. */
const SLEEPS = 48;

function make(queues: number, slots = 64, rebalance = true) {
  const rings = Array.from({ length: queues }, () => makeRing(slots, 512));
  const ledger = new Ledger(new SharedArrayBuffer(ledgerBytes(1)));
  const parts = { rings, indirection: makeIndirection(queues), ledger, key: MICROSOFT_KEY, rebalance };
  const spreader = new Spreader(parts);
  const readers = rings.map((_, queue) => new RingReader(rings, queue));
  return { spreader, rings, readers, ledger, table: spreader.table, parts };
}

/** A turn of the loop in which `datagrams` came. */
async function turn(spreader: Spreader, datagrams: readonly Uint8Array[]): Promise<void> {
  for (const datagram of datagrams) spreader.receive(datagram, FROM, LISTEN);
  await new Promise(resolve => setImmediate(resolve)); // behind the spreader's own
}
/** Whether the reader of `ring` has been told: to be woken takes a moment. */
const isCalled = (ring: SharedArrayBuffer): boolean => new Int32Array(ring)[SLEEPS] === 0;
const queuesNow = ({ table }: Spreader): number[] => Array.from({ length: ENTRIES }, (_, entry) => table.queueOf(entry));
const IN_TURNS = Array.from({ length: ENTRIES }, (_, entry) => entry % 2);

/** Flow i of a tenant. */
function flow(i: number, payload: Uint8Array | string = 'x'): Uint8Array {
  return nvgre(5001, ethernet('02:00:00:00:00:01', '00:15:5d:00:00:05', udp('10.0.0.5', 1024 + i, '198.51.100.7', 53, payload)));
}
const entryOf = (datagram: Uint8Array): number => hash.ofDatagram(datagram, 0, datagram.length, Carrier.gre) & (ENTRIES - 1);

/** All that waits in a ring, barriers let pass: their entries, -1 for a barrier. */
function drain(reader: RingReader): number[] {
  const found: number[] = [];
  for (let slot = reader.peek(); slot >= 0; slot = reader.peek()) {
    reader.take();
    found.push(reader.isBarrier(slot) ? -1 : reader.bucketOf(slot));
    reader.finish();
  }
  reader.publish();
  return found;
}

t.test('a datagram goes to the ring that its entry names, with who sent it and where it came in', async t => {
  const { spreader, readers, table } = make(3);
  for (let i = 0; i < 50; i++) {
    const datagram = flow(i), entry = entryOf(datagram);
    spreader.receive(datagram, FROM, LISTEN);
    const reader = readers[entry % 3];
    const slot = reader.peek();
    t.same(Uint8Array.from(reader.mem.subarray(reader.atOf(slot), reader.endOf(slot))), Uint8Array.from(datagram));
    t.same([0, 1, 2, 3].map(n => reader.addressOf(slot, n)), [0, 0, 0xffff, 0xc000020b]);
    t.same([reader.portOf(slot), reader.carrierOf(slot), reader.sideOf(slot), reader.bucketOf(slot)], [50000, Carrier.gre, Side.hosts, entry]);
    t.same(drain(reader), [entry]);
  }
  t.equal([0, 1, 2].reduce((sum, queue) => sum + table.queuePackets(queue), 0), 50);
});

t.test('ring_full: what finds no slot is dropped at the tail and counted, in the ledger and with its queue', async t => {
  const { spreader, rings, ledger, table } = make(1, 4);
  for (let i = 0; i < 6; i++) spreader.receive(flow(i), FROM, LISTEN);
  t.equal(ringDepth(rings[0]), 4);
  const { packets, drops } = totals([ledger]);
  t.same(drops, { ring_full: 2 });
  t.match(packets, { in: 2, dropped: 2, bytesIn: 2 * flow(0).length });
  t.same(imbalances({ packets, drops }), []);
  t.same([table.queuePackets(0), table.queueDrops(0)], [4, 2]);
});

t.test('datagram_too_long: what no slot holds is dropped and counted, and the longest that fits is not', async t => {
  const { spreader, rings, ledger } = make(1);
  const overhead = flow(0, '').length;
  spreader.receive(flow(0, new Uint8Array(513 - overhead)), FROM, LISTEN);
  t.equal(ringDepth(rings[0]), 0);
  spreader.receive(flow(0, new Uint8Array(512 - overhead)), FROM, LISTEN);
  t.equal(ringDepth(rings[0]), 1);
  const { packets, drops } = totals([ledger]);
  t.same(drops, { datagram_too_long: 1 });
  t.match(packets, { in: 1, bytesIn: 513 });
});

t.test('a sender whose address nobody can read is passed on as one that no policy knows', async t => {
  const { spreader, readers } = make(1);
  spreader.receive(gre(udp('198.51.100.7', 1, '10.0.0.5', 2, 'x'), -1), { ...FROM, address: 'nonsense' }, LISTEN);
  const slot = readers[0].peek();
  t.same([0, 1, 2, 3].map(n => readers[0].addressOf(slot, n)), [0, 0, 0, 0]);
});

t.test('a dead queue has its entries taken from it, without a barrier, and gets back those when it lives again, behind one', async t => {
  const { spreader, readers, table } = make(3);
  const before = Array.from({ length: ENTRIES }, (_, entry) => table.queueOf(entry));
  const left = spreader.setQueue(0, false);
  t.equal(left.length, 43);
  t.ok(left.every(({ from, to }) => from === 0 && to !== 0));
  t.same([1, 2].map(queue => drain(readers[queue])), [[], []]);
  t.equal(spreader.setQueue(0, true).length, 43);
  t.same(Array.from({ length: ENTRIES }, (_, entry) => table.queueOf(entry)), before);
  t.equal(table.moves, 86);
  t.same(drain(readers[0]), [-1, -1], 'one for each queue that had some of them');
});

t.test('a queue that stays loaded beside an idle one gives entries away, once', async t => {
  const { spreader, readers } = make(2);
  const busy = Array.from({ length: 400 }, (_, i) => flow(i)).filter(datagram => entryOf(datagram) % 2 === 1);
  for (let second = 0; second < 3; second++) {
    for (let i = 0; i < 2000; i++) { spreader.receive(busy[i % busy.length], FROM, LISTEN); drain(readers[1]); }
    const balanced = spreader.balance();
    t.equal(balanced.length > 0, second === 2, `second ${second}: ${balanced.length} moves`);
    t.ok(balanced.every(({ from, to }) => from === 1 && to === 0));
  }
  t.same(drain(readers[0]), [-1], 'one barrier for all of them');
  t.same(spreader.balance(), []);
});

t.test('workers are woken at the end of a turn; after a full one only when it is worth it, or no more comes', async t => {
  const { spreader, rings, readers: [reader] } = make(1, 1024);
  let isAwake = false;
  const sleep = (): void => {
    drain(reader);
    isAwake = false;
    void reader.sleep()?.then(() => { isAwake = true; });
  };
  // Each turn's datagrams, and whether the reader has been told when it ends.
  for (const turns of [[1], [15], [32, 0], [32, 5], [32, 32, 32, 32], [128]]) {
    sleep();
    for (const [i, datagrams] of turns.entries()) {
      await turn(spreader, Array.from({ length: datagrams }, (_, i) => flow(i)));
      t.equal(isCalled(rings[0]), i === turns.length - 1, `${turns.join()}: turn ${i}`);
    }
    await until('it is woken', () => isAwake || undefined);
  }
});

t.test('a small ring beside a sleeper never fills while turns are full: its reader is called when an eighth waits, not at the turn\'s end', async t => {
  const { spreader, rings, readers: [reader], table } = make(1, 64);
  for (let i = 0; i < 20; i++) {
    const asleep = reader.sleep();
    for (let n = 1; n <= 100 && !isCalled(rings[0]); n++) {
      spreader.receive(flow(n), FROM, LISTEN);
      t.equal(isCalled(rings[0]), n >= 8, `${n} wait`);
    }
    await turn(spreader, Array.from({ length: 32 }, (_, n) => flow(n)));
    await asleep;
    drain(reader);
  }
  t.equal(table.queueDrops(0), 0);
});

t.test('a quiet queue beside a busy one waits for no more than 256 datagrams of others, and so does a barrier', async t => {
  const { spreader, rings, readers: [reader, busyReader] } = make(2, 4096);
  const flows = Array.from({ length: 400 }, (_, i) => flow(i));
  const quiet = flows.find(datagram => entryOf(datagram) % 2 === 0)!, busy = flows.filter(datagram => entryOf(datagram) % 2 === 1);
  const waits = async (each: number): Promise<number> => {
    drain(reader);
    drain(busyReader);
    const asleep = reader.sleep();
    let others = 0;
    for (let turns = 0; turns < 100 && !isCalled(rings[0]); turns++) {
      await turn(spreader, [...turns === 0 ? [quiet] : [], ...busy.slice(0, each)]);
      others += each;
    }
    if (isCalled(rings[0])) await asleep;
    return others;
  };
  t.equal(await waits(32), 256);
  t.equal(await waits(16), 240);
  t.equal(await waits(64), 320, 'to the end of a turn');
  t.equal(await waits(32), 256, 'and again');

  spreader.setQueue(0, false);
  drain(reader);
  const asleep = reader.sleep();
  spreader.setQueue(0, true); // its entries come home behind a barrier
  await turn(spreader, busy.slice(0, 32));
  for (let turns = 1; turns < 8; turns++) {
    t.notOk(isCalled(rings[0]), `turn ${turns}`);
    await turn(spreader, busy.slice(0, 32));
  }
  t.ok(isCalled(rings[0]));
  await asleep;
});

t.test('another spreader knows which queues are dead, and wakes who was left asleep beside a datagram', async t => {
  const { spreader, rings, readers, table, ledger } = make(2);
  spreader.setQueue(0, false);
  const memory = makeIndirection(2);
  const asleep = readers[1].sleep();
  new RingWriter(rings[1]).write(flow(0), 0, 0, 0, 0, 0, 0, 0, 0); // and it died before the end of its turn
  const other = new Spreader({ rings, indirection: memory, ledger, key: MICROSOFT_KEY, rebalance: true });
  await asleep;
  t.equal(other.balance().length, 64);
  t.equal(table.moves, 64);
});

t.test('a spreader that follows one takes entries home that left before its time, also without rebalancing', async t => {
  const { spreader, rings, readers, parts } = make(2, 64, false);
  t.equal(spreader.setQueue(0, false).length, 64);
  const other = new Spreader(parts);
  t.same(other.balance(), [], 'not while it is dead');
  t.match(other.setQueue(0, true), Array.from({ length: 64 }, () => ({ from: 1, to: 0, why: 'worker is back' })));
  t.same(queuesNow(other), IN_TURNS);
  t.same(drain(readers[0]), [-1]);
  t.equal(new RingWriter(rings[0]).isDead, false);
  t.same(other.setQueue(0, true), [], 'told twice');
});

t.test('an entry that a busy queue gave away is at home where it went', async t => {
  const { spreader, readers, parts } = make(2);
  const busy = Array.from({ length: 400 }, (_, i) => flow(i)).filter(datagram => entryOf(datagram) % 2 === 1);
  for (let second = 0; second < 3; second++) {
    for (let i = 0; i < 2000; i++) { spreader.receive(busy[i % busy.length], FROM, LISTEN); drain(readers[1]); }
    spreader.balance();
  }
  const balanced = queuesNow(spreader);
  t.not(balanced.join(), IN_TURNS.join());
  spreader.setQueue(0, false);
  const other = new Spreader(parts);
  other.setQueue(0, true);
  t.same(queuesNow(other), balanced);
});

t.test('entries whose ring is full when its worker comes back go home as soon as there is room', async t => {
  const { spreader, readers } = make(2, 4, false);
  const even = Array.from({ length: 400 }, (_, i) => flow(i)).filter(datagram => entryOf(datagram) % 2 === 0);
  for (const datagram of even.slice(0, 4)) spreader.receive(datagram, FROM, LISTEN);
  spreader.setQueue(0, false);
  t.same(spreader.setQueue(0, true), [], 'no room for a barrier');
  t.same(spreader.balance(), []);
  drain(readers[0]);
  t.match(spreader.balance(), Array.from({ length: 64 }, () => ({ to: 0, why: 'worker is back' })));
  t.same(queuesNow(spreader), IN_TURNS);
  t.same(drain(readers[0]), [-1]);
  t.same(spreader.balance(), [], 'once');
});

t.test('when the last queue dies its entries stay, and go as soon as another lives', async t => {
  const { spreader, table } = make(2);
  t.equal(spreader.setQueue(0, false).length, 64);
  t.same(spreader.setQueue(1, false), []);
  t.same(spreader.balance(), []);
  t.equal(spreader.setQueue(0, true).length, 128);
  t.equal(table.queueOf(5), 0);
  t.equal(spreader.setQueue(1, true).length, 64);
  t.same(Array.from({ length: ENTRIES }, (_, entry) => table.queueOf(entry)), Array.from({ length: ENTRIES }, (_, entry) => entry % 2), 'as in the beginning');
});

t.test('an entry does not move while its new ring has no room for the barrier, and rebalancing can be off', async t => {
  const { spreader, readers, rings, table } = make(2, 4);
  const busy = Array.from({ length: 400 }, (_, i) => flow(i)).filter(datagram => entryOf(datagram) % 2 === 0);
  const idle = Array.from({ length: 400 }, (_, i) => flow(i)).filter(datagram => entryOf(datagram) % 2 === 1);
  const second = (): void => {
    for (let i = 0; i < 2000; i++) { spreader.receive(busy[i % busy.length], FROM, LISTEN); drain(readers[0]); }
  };
  for (let i = 0; i < 4; i++) spreader.receive(idle[0], FROM, LISTEN);
  t.equal(ringDepth(rings[1]), 4);
  for (let i = 0; i < 3; i++) { second(); t.same(spreader.balance(), []); }
  t.equal(table.moves, 0);
  drain(readers[1]);
  let moves = 0;
  for (let i = 0; i < 3; i++) { second(); moves += spreader.balance().length; }
  t.ok(moves > 0);

  const still = make(2, 4, false);
  for (let n = 0; n < 5; n++) {
    for (let i = 0; i < 2000; i++) { still.spreader.receive(busy[i % busy.length], FROM, LISTEN); drain(still.readers[0]); }
    t.same(still.spreader.balance(), []);
  }
});
