import t from 'tap';
import { F_DO, F_LANE, F_SEEN, F_TO, FLOW_WORDS, FlowTable, Kind, OP_FAST, Op, flowKey, flowWords, isPlain, type FlowSizes } from '../../../pipeline/tables/flows.js';
import { Quiet, makeQuietMemory } from '../../../pipeline/tables/quiet.js';
import { crashAt, watch } from '../../support/crash-points.js';
import { seeded } from '../../support/seeded.js';

const UDP = 17;
const KEY = flowKey(1, UDP, Kind.fromUplink);
const BUCKET_WORDS = 4 * FLOW_WORDS;

function make(sizes: Partial<FlowSizes> = {}, readers = 0, seed = 7) {
  const all = { sessions: 8, plain: 8, ...sizes };
  const words = new Int32Array(new SharedArrayBuffer(flowWords(all) * 4));
  const quiet = new Quiet(makeQuietMemory(readers));
  const view = (owner: number): FlowTable => new FlowTable(new Int32Array(words.buffer), all, seed, owner, quiet);
  return { quiet, words, view, table: view(1), sizes: all };
}
const hashOf = (table: FlowTable, src: number, dst = 2, ports = 3): number => table.hash(1 << 8 | UDP, src, dst, ports);
const put = (table: FlowTable, src: number, hash = hashOf(table, src)): boolean => table.addPlain(KEY, src, 2, 3, hash, 5 << 24 | 9, 77, OP_FAST | Op.toSubnet, 100);
const find = (table: FlowTable, src: number, hash = hashOf(table, src)): number => table.find(KEY, src, 2, 3, hash);
/** Claim and publish, as a session's record is. */
function publish(table: FlowTable, src: number, hash = hashOf(table, src)): number {
  const at = table.claim(hash);
  if (at >= 0) table.publish(at, KEY, src, 2, 3, 0, 1, 1, 1);
  return at;
}

t.test('a record says what was put in, and is found by all of its key and nothing less', async t => {
  const { table, view } = make();
  t.ok(put(table, -1));
  const at = find(view(2), -1);
  t.same([F_LANE, F_TO, F_DO, F_SEEN].map(word => table.words[at + word]), [5 << 24 | 9, 77, OP_FAST | Op.toSubnet, 100]);
  t.equal(table.peek(KEY, -1, 2, 3, hashOf(table, -1)), at);
  const hash = hashOf(table, -1);
  for (const [key, src, dst, ports] of [[flowKey(2, UDP, Kind.fromUplink), -1, 2, 3], [flowKey(1, 6, Kind.fromUplink), -1, 2, 3], [flowKey(1, UDP, Kind.fromSite), -1, 2, 3], [KEY, 1, 2, 3], [KEY, -1, 3, 3], [KEY, -1, 2, 4]]) {
    t.equal(table.find(key, src, dst, ports, hash), -1);
  }
  t.same([isPlain(table.kind(at)), isPlain(Kind.natIn), isPlain(Kind.claimed), isPlain(Kind.dead), isPlain(0)], [true, false, false, false, false]);
});

t.test('a key has two buckets, and the places behind the second; a full table says so', async t => {
  const { table } = make({ sessions: 1000, plain: 0 });
  const buckets = new Map<number, number>();
  let near = 0, records = 0;
  for (let src = 0; ; src++, records++) {
    const at = publish(table, src, hashOf(table, 1)); // all with one hash
    if (at < 0) break;
    if (table.peek(KEY, src, 2, 3, hashOf(table, 1)) >= 0) near++;
    t.equal(find(table, src, hashOf(table, 1)), at, `record ${src}`);
    buckets.set(Math.floor(at / BUCKET_WORDS), (buckets.get(Math.floor(at / BUCKET_WORDS)) ?? 0) + 1);
  }
  t.equal(near, 8, 'two buckets of four');
  t.equal(records, 8 + 128 * 4, 'and 128 behind the second');
  t.ok([...buckets.values()].every(n => n === 4), 'all of them full');
  t.equal(table.claim(hashOf(table, 1)), -1);
  t.not(table.claim(hashOf(table, 2)), -1, 'elsewhere there is room');
});

t.test('a hole is filled again before anything lies farther off', async t => {
  const { table } = make();
  const places = Array.from({ length: 8 }, (_, src) => publish(table, src, 12345));
  table.remove(places[2]);
  t.equal(find(table, 2, 12345), -1);
  t.equal(publish(table, 99, 12345), places[2]);
});

t.test('all that the limits allow finds room and is found, mostly in its two buckets, whatever the seed', async t => {
  for (const seed of [1, 2, 3]) {
    const sizes = { sessions: 50_000, plain: 20_000 };
    const { table } = make(sizes, 0, seed);
    const all = 2 * sizes.sessions + sizes.plain;
    const near = (count: number): number => {
      let peeked = 0;
      for (let src = 0; src < count; src++) {
        if (find(table, src * 7) < 0) t.fail(`record ${src} is lost`);
        if (table.peek(KEY, src * 7, 2, 3, hashOf(table, src * 7)) >= 0) peeked++;
      }
      return peeked / count;
    };
    for (let src = 0; src < all; src++) {
      if (src === all / 2) t.ok(near(src) > 0.995, `seed ${seed}, half of it: ${(100 * near(src)).toFixed(2)} % in one of the two`);
      if (src === all * 3 / 4) t.ok(near(src) > 0.98, `three quarters: ${(100 * near(src)).toFixed(2)} %`);
      if (publish(table, src * 7) < 0) t.fail(`no room for record ${src}`);
    }
    t.ok(near(all) > 0.9, `all: ${(100 * near(all)).toFixed(2)} %`);
  }
});

t.test('hashes of neighbours are spread, and differ by seed', async t => {
  const { table } = make();
  const cells = new Uint32Array(256);
  for (let i = 0; i < 65_536; i++) cells[hashOf(table, 0x0a000000 + (i >> 8), 0x08080808, (1024 + (i & 255)) << 16 | 53) >>> 23]++;
  const chi = cells.reduce((sum, n) => sum + (n - 256) ** 2 / 256, 0);
  t.ok(chi < 400, `χ² ${chi.toFixed(0)} of 255`);
  t.not(hashOf(table, 1), hashOf(make({}, 0, 8).table, 1));
  for (let i = 0; i < 100; i++) t.ok(hashOf(table, i) >= 0 && hashOf(table, i) < 2 ** 31);
});

t.test('plain flows have a limit of their own, and a count', async t => {
  const { table } = make({ sessions: 8, plain: 3 });
  t.same([1, 2, 3, 4].map(src => put(table, src)), [true, true, true, false]);
  t.equal(table.plainCount, 3, 'a refusal counts nothing');
  table.removePlain(find(table, 2));
  t.equal(table.plainCount, 2);
  t.ok(put(table, 4));
});

t.test('beside sessions that fill its two buckets a plain flow lies behind them, unless the table is crowded', async t => {
  const { table } = make({ sessions: 100, plain: 8 });
  for (let src = 0; src < 8; src++) publish(table, src, 12345);
  t.equal(table.peek(KEY, 9, 2, 3, 12345), -1);
  t.ok(put(table, 9, 12345));
  t.ok(find(table, 9, 12345) >= 0);
  t.equal(table.spilled, 1);
  table.isCrowded = true;
  t.notOk(put(table, 10, 12345), 'sessions come first then');
  t.equal(table.plainCount, 1);
});

t.test('a flow without neighbours lies where it is looked for first', async t => {
  const { table } = make({ sessions: 1000, plain: 1000 });
  for (let src = 0; src < 50; src++) {
    const alone = make({ sessions: 1000, plain: 1000 }).table;
    t.equal(publish(alone, src), alone.first(hashOf(alone, src)));
    publish(table, src);
  }
  t.ok(Array.from({ length: 50 }, (_, src) => find(table, src) === table.first(hashOf(table, src))).filter(Boolean).length > 40);
});

t.test('a plain flow that two threads take out goes once', async t => {
  const { table, view } = make({}, 2);
  put(table, 1);
  put(table, 2);
  const at = find(table, 1);
  table.removePlain(at);
  view(2).removePlain(at); // found before, and too late
  t.same([table.plainCount, table.kind(at)], [1, Kind.dead]);
  const session = table.claim(1);
  view(2).removePlain(session);
  t.equal(table.kind(session), Kind.claimed, 'and what is no plain flow stays');
});

t.test('what was taken out keeps its words until all have passed, and is zero before it is anybody’s', async t => {
  const { table, quiet, words } = make({}, 1);
  quiet.pass(0);
  put(table, 1);
  const at = find(table, 1);
  table.removePlain(at);
  t.equal(find(table, 1), -1);
  t.same([table.kind(at), words[at + F_TO]], [Kind.dead, 77], 'for whoever is reading it');
  t.notOk(table.recycle(at));
  for (let i = 0; i < 2; i++) {
    quiet.advance();
    quiet.pass(0);
  }
  t.ok(table.recycle(at));
  t.same([...words.subarray(at, at + FLOW_WORDS)], [0, 0, 0, 0, 0, 0, 0, 0]);
  t.ok(table.recycle(at), 'it is free');
  const claimed = table.claim(5);
  t.notOk(table.recycle(claimed), 'a claim is not taken away');
  t.ok(table.isClaimedBy(claimed, 1));
  t.notOk(table.isClaimedBy(claimed, 2));
  table.unclaim(claimed);
  t.equal(table.kind(claimed), 0);
});

t.test('word 0 comes first of a claim and last of a record, in and out: at no moment does a key stand over words that are not its own', async t => {
  const sizes = { sessions: 1, plain: 4 };
  const add = (k: number) => {
    const words = new Int32Array(new SharedArrayBuffer(flowWords(sizes) * 4));
    const quiet = new Quiet(makeQuietMemory(0));
    const table = watch(() => new FlowTable(new Int32Array(words.buffer), sizes, 7, 1, quiet));
    const reader = new FlowTable(words, sizes, 7, 2, quiet);
    return { reader, words, ...crashAt(k, () => put(table, 1)) };
  };
  let k = 1;
  for (let run = add(k); run.crashed; run = add(++k)) {
    t.equal(find(run.reader, 1), -1, `not found after ${k - 1} stores`);
  }
  t.ok(k > FLOW_WORDS, `${k - 1} stores`);
  const whole = [...add(Infinity).words];

  const remove = (k: number) => {
    const words = Int32Array.from(whole);
    const shared = new Int32Array(new SharedArrayBuffer(words.length * 4));
    shared.set(words);
    const quiet = new Quiet(makeQuietMemory(0));
    const table = watch(() => new FlowTable(new Int32Array(shared.buffer), sizes, 7, 1, quiet));
    const reader = new FlowTable(shared, sizes, 7, 2, quiet);
    const at = find(reader, 1);
    return { at, reader, words: shared, ...crashAt(k, () => table.removePlain(at)) };
  };
  for (k = 1; ; k++) {
    const { crashed, at, reader, words } = remove(k);
    const found = find(reader, 1);
    if (found >= 0) t.same([...words.subarray(at, at + FLOW_WORDS)], whole.slice(at, at + FLOW_WORDS), `whole after ${k - 1} stores`);
    else if (words[at] === 0) t.same([...words.subarray(at, at + FLOW_WORDS)], new Array(FLOW_WORDS).fill(0), 'free and zero');
    if (!crashed) break;
  }
});

t.test('whatever is added, removed and looked for in whatever order: it agrees with a plain map', async t => {
  const random = seeded();
  const sizes = { sessions: 24, plain: 40 };
  const { table, quiet } = make(sizes, 1);
  const model = new Map<number, number>();
  const wrong: string[] = [];
  for (let step = 0; step < 20_000 && wrong.length === 0; step++) {
    const src = random.below(64);
    const at = find(table, src);
    if ((at >= 0) !== model.has(src)) wrong.push(`find says ${at} of ${src}`);
    if (at >= 0 && table.words[at + F_SEEN] !== model.get(src)) wrong.push(`${src} has words of another`);
    switch (random.below(4)) {
      case 0: case 1:
        if (at >= 0) break;
        if (table.addPlain(KEY, src, 2, 3, hashOf(table, src), 1, 1, 1, step)) model.set(src, step);
        else if (model.size < sizes.plain / 2) wrong.push(`no room for ${src} beside ${model.size}`);
        break;
      case 2:
        if (at < 0) break;
        table.removePlain(at);
        model.delete(src);
        break;
      default:
        quiet.pass(0);
        quiet.advance();
        for (let record = 0; record < table.end; record += FLOW_WORDS) table.recycle(record);
    }
    if (table.plainCount !== model.size) wrong.push(`${table.plainCount} counted, ${model.size} there`);
  }
  t.same(wrong, [], `seed ${random.seed}`);
});
