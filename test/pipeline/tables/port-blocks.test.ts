/** Subscribers and their port blocks: who has what, for how long, and that nobody else has it meanwhile. */
import t from 'tap';
import { PortPlan } from '../../../pipeline/nat/blocks.js';
import { Locks, lockWords } from '../../../pipeline/tables/locks.js';
import { NO_BLOCK, NO_MORE, NO_RECORD, NO_HOLDER, PortBlockTable, portBlockWords } from '../../../pipeline/tables/port-blocks.js';
import { Quiet, makeQuietMemory } from '../../../pipeline/tables/quiet.js';
import { NO_PORT, SubscriberTable, subscriberWords } from '../../../pipeline/tables/subscribers.js';
import { seeded } from '../../support/seeded.js';

const TCP = 6, UDP = 17, ICMP = 1;
const TENANTS = 3;
const OUTSIDE = 0xcb00710a, NEXT = OUTSIDE + 1;
const KEPT = 120_000;
const SHARE = 100;
const UNLIMITED = 0xffffffff;

/** Tables as one thread sees them; `again` gives another thread's view of the same. */
function makeTables({ subscribers = 8, blocks = 8, readers = 0 } = {}) {
  const words = { subscribers: subscriberWords(subscribers, TENANTS), blocks: portBlockWords(blocks, TENANTS) };
  const memory = new SharedArrayBuffer((16 + words.subscribers + words.blocks) * 4), quiet = new Quiet(makeQuietMemory(readers));
  const view = (owner: number) => {
    const locks = new Locks(new Int32Array(memory, 0, lockWords(1)), owner);
    const own = new SubscriberTable(new Int32Array(memory, 64, words.subscribers), subscribers, TENANTS, 5, locks, 0, quiet);
    return { locks, quiet, subscribers: own, blocks: new PortBlockTable(new Int32Array(memory, 64 + words.subscribers * 4, words.blocks), blocks, TENANTS, 5, own, locks, 0, quiet) };
  };
  return { ...view(1), again: () => view(2) };
}
type Tables = ReturnType<typeof makeTables>;

const PLAN = new PortPlan({ inside: [0x0a000000, 256], outside: [OUTSIDE, 2], size: 16384, assign: 'dynamic' }); // three blocks an address
const claim = ({ blocks }: Tables, inside: number, nowMs = 1000, protocol = UDP, most = UNLIMITED, outside = OUTSIDE): number => blocks.claim(1, inside, PLAN, outside, protocol, most, 0, nowMs);
function sweep({ subscribers, blocks, locks }: Pick<Tables, 'subscribers' | 'blocks' | 'locks'>, nowMs: number): void {
  if (!locks.tryLock(0)) throw new Error('the block lock is held');
  for (let i = 0; i < blocks.used; i++) blocks.sweep(i, nowMs, KEPT);
  for (let i = 0; i < subscribers.used; i++) subscribers.sweep(i, nowMs / 1000);
  locks.unlock();
}

t.test('a subscriber is found by tenant and address, made once, and kept while it has a binding or has just had one', async t => {
  const tables = makeTables({ subscribers: 2 });
  const { subscribers } = tables, other = tables.again().subscribers;
  const a = subscribers.hold(1, 0x0a000005, UDP, SHARE, 10);
  t.equal(other.hold(1, 0x0a000005 | 0, UDP, SHARE, 10), a, 'another worker’s is the same');
  t.equal(subscribers.find(2, 0x0a000005), -1, 'another tenant’s is not');
  const high = subscribers.hold(2, 0xc0a80001, UDP, SHARE, 10);
  t.equal(subscribers.find(2, 0xc0a80001 | 0), high, 'addresses from 128.0.0.0 up');
  t.same([subscribers.inside(high), subscribers.tenantOf(high)], [0xc0a80001, 2]);
  t.equal(subscribers.hold(1, 0x0a000006, UDP, SHARE, 10), -1, 'the table is full');
  t.same([subscribers.count, subscribers.countOf(1), subscribers.countOf(2), subscribers.bindings(a)], [2, 1, 1, 2]);

  subscribers.release(a, UDP);
  sweep(tables, 60_000);
  t.equal(subscribers.find(1, 0x0a000005), a, 'it has one binding left');
  subscribers.release(a, UDP);
  subscribers.hold(1, 0x0a000005, UDP, SHARE, 60);
  subscribers.release(a, UDP);
  sweep(tables, 61_000);
  t.equal(subscribers.find(1, 0x0a000005), a, 'it had one a second ago');
  sweep(tables, 62_000);
  t.equal(subscribers.find(1, 0x0a000005), -1);
  t.same([subscribers.count, subscribers.countOf(1)], [1, 0]);
  t.equal(subscribers.hold(3, 0x0a000007, UDP, SHARE, 62), a, 'its record is another’s');
  t.same([subscribers.sessions(a), subscribers.paired(a), subscribers.firstBlock(a), subscribers.bindings(a)], [0, 0, 0, 1]);
});

t.test('a share has as many ports for each protocol, and whoever has used them up is told so at once', async t => {
  const { subscribers } = makeTables();
  for (const protocol of [TCP, UDP, ICMP]) {
    for (let i = 0; i < SHARE; i++) t.ok(subscribers.hold(1, 5, protocol, SHARE, 10) >= 0);
    t.equal(subscribers.hold(1, 5, protocol, SHARE, 10), NO_PORT);
  }
  const a = subscribers.find(1, 5);
  t.equal(subscribers.bindings(a), 3 * SHARE);
  subscribers.release(a, ICMP);
  t.equal(subscribers.hold(1, 5, ICMP, SHARE, 10), a);
});

t.test('static mappings’ bindings keep a subscriber, and are not counted as its own', async t => {
  const tables = makeTables();
  const { subscribers } = tables;
  const a = subscribers.holdFixed(1, 5, 10);
  t.equal(subscribers.hold(1, 5, UDP, SHARE, 10), a);
  t.same([subscribers.bindings(a), subscribers.fixed(a)], [1, 1]);
  subscribers.release(a, UDP);
  sweep(tables, 60_000);
  t.equal(subscribers.find(1, 5), a);
  subscribers.releaseFixed(a);
  sweep(tables, 60_000);
  t.equal(subscribers.find(1, 5), -1);
});

t.test('a new subscriber has a full bucket of new flows, whoever had the record before', async t => {
  const tables = makeTables({ subscribers: 1 });
  const { subscribers } = tables;
  const a = subscribers.hold(1, 5, UDP, SHARE, 10);
  t.same([1, 2, 3].map(() => subscribers.flows.take(a, 2, 2, 10_000)), [true, true, false]);
  subscribers.release(a, UDP);
  sweep(tables, 13_000);
  t.equal(subscribers.hold(1, 6, UDP, SHARE, 13), a);
  t.same([1, 2, 3].map(() => subscribers.flows.take(a, 2, 2, 10_000)), [true, true, false]);
});

t.test('with readers, what was taken out is used again when all have passed two quiet points', async t => {
  const tables = makeTables({ subscribers: 1, blocks: 1, readers: 1 });
  const { quiet } = tables;
  quiet.pass(0);
  const block = claim(tables, 5);
  tables.blocks.disuse(block, UDP);
  sweep(tables, 1000);
  sweep(tables, 1000 + KEPT);
  sweep(tables, 4000 + KEPT);
  t.same([tables.blocks.count, tables.subscribers.count], [0, 0]);
  t.equal(claim(tables, 6, 4000 + KEPT), NO_HOLDER);
  for (let i = 0; i < 3; i++) { quiet.advance(); quiet.pass(0); }
  sweep(tables, 4000 + KEPT);
  t.equal(claim(tables, 6, 4000 + KEPT), block);
});

t.test('RFC 6888 REQ-8: a block is one inside address’s, until nobody has used it for 120 s; its own may take it up again', async t => {
  const tables = makeTables();
  const { blocks, subscribers } = tables;
  const [a, b, c] = [5, 6, 7].map(inside => claim(tables, inside));
  t.same([...blocks.records()].map(({ firstPort, count, outside }) => [outside, firstPort, count]).sort(), [[OUTSIDE, 16384, 16384], [OUTSIDE, 32768, 16384], [OUTSIDE, 49152, 16384]]);
  t.equal(claim(tables, 8), NO_BLOCK, 'all three are others’');
  t.equal(claim(tables, 8, 1000, UDP, UNLIMITED, NEXT) >= 0, true, 'another address has some');
  const before = blocks.changes;
  blocks.disuse(a, UDP);
  t.equal(blocks.changes, before, 'nobody has looked yet');
  sweep(tables, 10_000);
  t.equal(blocks.changes, before + 1);
  t.match([...blocks.records()].find(record => record.inside === 5), { tenant: 1, since: 1000, until: 10_000 });
  t.equal(blocks.isIdle(a), true);
  sweep(tables, 10_000 + KEPT - 1);
  t.equal(claim(tables, 8, 10_000 + KEPT - 1), NO_BLOCK, 'not yet');

  t.ok(blocks.use(a, TCP));
  blocks.takeUp(a, 10_000 + KEPT - 1);
  t.match([...blocks.records()].find(record => record.inside === 5), { since: 10_000 + KEPT - 1, until: 0 });
  blocks.disuse(a, TCP);
  sweep(tables, 200_000);
  sweep(tables, 200_000 + KEPT);
  t.equal(blocks.use(a, TCP), false, 'it is nobody’s');
  t.equal(claim(tables, 8, 200_000 + KEPT) >= 0, true, 'and then another’s');
  t.equal(blocks.find(OUTSIDE, blocks.firstPort(a) + 5)?.inside, 8);
  t.equal(blocks.find(OUTSIDE, 1024), undefined);
  t.same([b, c].map(block => blocks.find(OUTSIDE, blocks.firstPort(block))?.inside), [6, 7]);
  t.same([blocks.count, blocks.countOf(1), subscribers.firstBlock(subscribers.find(1, 5))], [4, 4, 0]);
});

t.test('a clock that is set back begins the 120 s anew', async t => {
  const tables = makeTables();
  const a = claim(tables, 5, 1_000_000);
  tables.blocks.disuse(a, UDP);
  sweep(tables, 1_000_000);
  sweep(tables, 500_000);
  sweep(tables, 500_000 + KEPT - 1);
  t.equal(tables.blocks.count, 1);
  sweep(tables, 500_000 + KEPT);
  t.equal(tables.blocks.count, 0);
});

t.test('a block has as many ports for each protocol', async t => {
  const tables = makeTables();
  const small = new PortPlan({ inside: [5, 1], outside: [OUTSIDE, 1], size: 64, assign: 'dynamic' });
  const block = tables.blocks.claim(1, 5, small, OUTSIDE, UDP, UNLIMITED, 7, 1000);
  for (let i = 1; i < 64; i++) t.ok(tables.blocks.use(block, UDP));
  t.notOk(tables.blocks.use(block, UDP), 'all UDP ports are used');
  for (let i = 0; i < 64; i++) t.ok(tables.blocks.use(block, TCP) && tables.blocks.use(block, ICMP));
  t.notOk(tables.blocks.use(block, TCP) || tables.blocks.use(block, ICMP));
  t.equal(tables.blocks.users(block), 192);
  tables.blocks.disuse(block, ICMP);
  t.ok(tables.blocks.use(block, ICMP));
});

t.test('an inside address has as many blocks as it may; tables that are full say so', async t => {
  const tables = makeTables({ subscribers: 2, blocks: 2 });
  const full = (block: number): void => { while (tables.blocks.use(block, UDP)); };
  full(claim(tables, 5, 1000, UDP, 1));
  t.equal(claim(tables, 5, 1000, UDP, 1), NO_MORE);
  full(claim(tables, 5, 1000, UDP, 2));
  t.equal(claim(tables, 6), NO_RECORD);
  t.equal(claim(tables, 7), NO_HOLDER);
});

t.test('of two workers that want a block for one address at once, the second gets the first’s', async t => {
  const tables = makeTables();
  const block = claim(tables, 5);
  t.equal(tables.again().blocks.claim(1, 5, PLAN, OUTSIDE, UDP, UNLIMITED, 1, 1000), block);
  t.equal(tables.blocks.users(block), 2);
});

t.test('blocks that an earlier plan gave out keep their ports from those of a later one, whatever their size', async t => {
  const tables = makeTables();
  claim(tables, 5); // 49152 to 65535
  const later = new PortPlan({ inside: [5, 9], outside: [OUTSIDE, 1], size: 4096, assign: 'dynamic' });
  for (let i = 0; i < 7; i++) tables.blocks.claim(1, 10 + i, later, OUTSIDE, UDP, UNLIMITED, 15 - i, 1000);
  const runs = [...tables.blocks.records()].map(({ firstPort, count }) => [firstPort, firstPort + count]).sort((a, b) => a[0] - b[0]);
  runs.forEach(([, end], i) => t.ok(i + 1 === runs.length || end <= runs[i + 1][0], `${runs[i].join()}`));
  t.equal(runs.length, 8);
});

t.test('after a death chains, lists and counts are made anew from the records', async t => {
  const tables = makeTables();
  const { subscribers, blocks } = tables;
  const kept = [5, 6].map(inside => claim(tables, inside));
  claim(tables, 7, 1000, TCP);
  const holder = subscribers.hold(2, 9, UDP, SHARE, 1);
  subscribers.rebuild();
  blocks.rebuild();
  blocks.recount(kept[0], UDP);
  blocks.recount(kept[1], ICMP);
  subscribers.recountBinding(holder, UDP);
  subscribers.recountBinding(holder, ICMP);
  subscribers.recountFixed(holder);
  subscribers.addSession(holder, 4);
  t.same([subscribers.count, subscribers.countOf(1), subscribers.countOf(2), blocks.count, blocks.countOf(1)], [4, 3, 1, 3, 3]);
  t.same([subscribers.bindings(holder), subscribers.sessions(holder), blocks.users(kept[0]), blocks.users(kept[1])], [2, 4, 1, 1]);
  t.equal(subscribers.find(2, 9), holder);
  t.equal(claim(tables, 5), kept[0]);
  sweep(tables, 2000);
  t.same([...blocks.records()].filter(({ until }) => until !== 0).map(({ inside }) => inside), [7], 'whose binding was half made');
});

t.test('for random claims, uses, ends and times no port is two addresses’ within 120 s, and counts are those of the records', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const plans = [PLAN, new PortPlan({ inside: [0, 8], outside: [OUTSIDE, 2], size: 8192, assign: 'auto' })];
  const tables = makeTables({ subscribers: 6, blocks: 6 });
  const { blocks, subscribers } = tables;
  let now = 1_000_000, plan = plans[0];
  const bindings: { block: number; protocol: number; inside: number }[] = [];
  /** Who had each quarter of a block last, and when it was last used. */
  const last = new Map<string, { inside: number; at: number }>();
  for (let step = 0; step < 20_000; step++) {
    const what = random.below(10), protocol = [TCP, UDP, ICMP][random.below(3)];
    if (what < 4) {
      const inside = random.below(8);
      const block = blocks.claim(1 + inside % 2, inside, plan, OUTSIDE + random.below(2), protocol, 2, random.u32(), now);
      if (block >= 0) bindings.push({ block, protocol, inside });
    } else if (what < 7 && bindings.length > 0) {
      const [{ block, protocol }] = bindings.splice(random.below(bindings.length), 1);
      blocks.disuse(block, protocol);
    } else if (what < 9) {
      now += random.below(40_000);
      sweep(tables, now);
    } else {
      plan = plans[random.below(2)];
    }
    for (const { block, inside } of bindings) {
      if (subscribers.inside(blocks.subscriber(block)) !== inside) t.fail(`step ${step}: block ${block} is not ${inside}’s`);
      for (let port = blocks.firstPort(block); port < blocks.firstPort(block) + blocks.portCount(block); port += 4096) {
        const key = `${blocks.outside(block)}:${port}`, had = last.get(key);
        if (had !== undefined && had.inside !== inside && now - had.at < KEPT) t.fail(`step ${step}: port ${port} changed hands after ${now - had.at} ms`);
        last.set(key, { inside, at: now });
      }
    }
    const records = [...blocks.records()];
    if (blocks.count !== records.length || blocks.countOf(1) + blocks.countOf(2) !== records.length) t.fail(`step ${step}: ${blocks.count} blocks counted`);
    for (let i = 0; i < blocks.used; i++) if (blocks.users(i) !== bindings.filter(({ block }) => block === i).length) t.fail(`step ${step}: users of ${i}`);
    if (!t.passing()) break;
  }
  for (const { block, protocol } of bindings) blocks.disuse(block, protocol);
  for (let i = 0; i < 4; i++) sweep(tables, now += KEPT);
  t.same([blocks.count, subscribers.count], [0, 0], 'in the end nothing is left');
});
