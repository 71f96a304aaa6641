import t from 'tap';
import { FULL, QUICK, drained, measureMs, measureNs, once, type Work } from '../../bench/harness.js';

const OPS = 1000;

/** Work that complains when a pass starts on spoilt operations, and knows how often it ran. */
function spoiling(): Work & { passes: number } {
  const fresh = new Uint8Array(OPS);
  return {
    ops: OPS, passes: 0,
    restore() {
      fresh.fill(1);
    },
    run(from, to) {
      this.passes++;
      let seen = 0;
      for (let i = from; i < to; i++) {
        if (fresh[i] === 0) throw new Error(`operation ${i} was not restored`);
        fresh[i] = 0;
        seen++;
      }
      return seen;
    },
  };
}

t.test('every pass starts restored, and each round gives one sample, of both sides', async t => {
  const [subject, least] = [spoiling(), spoiling()];
  const { samples, baseline } = measureNs(QUICK, subject, { name: 'least', work: least });
  t.equal(samples.length, QUICK.rounds);
  t.equal(baseline?.samples.length, QUICK.rounds);
  t.ok(samples.every(sample => sample > 0));
  t.ok(subject.passes > QUICK.rounds && least.passes > QUICK.rounds);
});

t.test('heap is counted per operation: none for arithmetic, its size for what is kept', async t => {
  const kept: unknown[] = new Array(OPS);
  const frugal = measureNs(QUICK, { ops: OPS, run: (from, to) => to - from });
  const lavish = measureNs(QUICK, {
    ops: OPS,
    run(from, to) {
      for (let i = from; i < to; i++) kept[i] = { i, next: kept[0] };
      return kept.length;
    },
  });
  t.equal(Math.round(frugal.heapBytesPerOp ?? -1), 0);
  t.ok((lavish.heapBytesPerOp ?? 0) >= 16, `${lavish.heapBytesPerOp} bytes for an object of two fields`);
});

t.test('what is slow is done once a round, after one time that does not count', async t => {
  let times = 0;
  const { samples } = measureMs({ ...QUICK, slowRounds: 3 }, () => times++);
  t.equal(samples.length, 3);
  t.equal(times, 4);
});

t.test('results reach somewhere, so that work is not left out', async t => {
  const before = drained();
  measureMs({ ...QUICK, slowRounds: 1 }, () => 0x40);
  t.equal(drained() ^ before, 0x40);
});

t.test('what several lines are taken from is measured once an effort, when the first one asks', async t => {
  let times = 0;
  const measure = once(async effort => `${++times} ${effort.rounds}`);
  t.equal(times, 0);
  t.strictSame(await Promise.all([measure(QUICK), measure(QUICK), measure(FULL)]), ['1 3', '1 3', '2 7']);
});
