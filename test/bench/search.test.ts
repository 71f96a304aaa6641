import t from 'tap';
import { NO_LOSS, SOME_LOSS, Search, type Trial } from '../../bench/live/search.js';

/** Loses what is beyond `capacity`; the trials with these numbers lose a packet in a hundred whatever the rate. */
function subject(capacity: number, unlucky: readonly number[] = []): { run(pps: number): Promise<Trial>; count: number } {
  return {
    count: 0,
    async run(pps) {
      const bad = unlucky.includes(this.count++);
      return { pps, loss: Math.max(bad ? 0.01 : 0, 1 - capacity / pps) };
    },
  };
}

for (const guess of [1000, 90_000, 100_000, 103_000, 900_000]) {
  t.test(`from a guess of ${guess} it finds the rate that is just not lost, to a fiftieth`, async t => {
    const { run, count } = subject(100_000);
    const found = await new Search(pps => run.call({ count }, pps), 0.02).highest(NO_LOSS, guess);
    t.ok(found <= 100_000 && found >= 98_000, `${found}`);
  });
}

t.test('a rate may lose its share and no more, and trials for one share serve the other', async t => {
  const it = subject(100_000);
  const search = new Search(pps => it.run(pps), 0.001);
  const pdr = await search.highest(SOME_LOSS, 100_000);
  t.ok(pdr > 100_000 && 1 - 100_000 / pdr <= SOME_LOSS, `${pdr}`);
  const before = it.count;
  const ndr = await search.highest(NO_LOSS, 50_000);
  t.ok(ndr <= 100_000 && ndr >= 99_800, `${ndr}`);
  t.ok(it.count - before < before, `${before} trials, and ${it.count - before} more`);
});

t.test('one unlucky trial is run again, and does not move the figure', async t => {
  const it = subject(100_000, [0]);
  const found = await new Search(pps => it.run(pps), 0.02).highest(NO_LOSS, 99_000);
  t.ok(found >= 98_000, `${found}`);
});

t.test('what takes all that the generator has is given that rate', async t => {
  const found = await new Search(async pps => ({ pps: Math.min(pps, 500_000), loss: 0 }), 0.02).highest(NO_LOSS, 400_000);
  t.equal(found, 500_000);
});

t.test('what loses at every rate has none, which is 0', async t => {
  t.equal(await new Search(async pps => ({ pps, loss: 0.5 }), 0.02).highest(SOME_LOSS, 100_000), 0);
});
