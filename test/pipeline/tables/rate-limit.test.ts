import t from 'tap';
import { RateLimit, rateLimitBytes } from '../../../pipeline/tables/rate-limit.js';

function make(tenants: number): RateLimit {
  return new RateLimit(new SharedArrayBuffer(rateLimitBytes(tenants)));
}

t.test('a burst at once, then the sustained rate; tenants do not share', async t => {
  const limit = make(2);
  const taken = (tenant: number, now: number, tries: number): number =>
    Array.from({ length: tries }, () => limit.take(tenant, 10, 5, now)).filter(ok => ok).length;
  t.equal(taken(1, 1000, 20), 5, 'the burst');
  t.equal(taken(1, 1099, 20), 0, 'not yet a tenth of a second');
  t.equal(taken(1, 1100, 20), 1);
  t.equal(taken(2, 1100, 20), 5, 'another tenant');
  t.equal(taken(1, 60_000, 20), 5, 'silence fills the bucket and no more');
});

t.test('a clock that goes back grants nothing, and a rate of 0 sends none for as long as it is set', async t => {
  const limit = make(1);
  t.notOk(limit.take(1, 0, 1, 1000));
  t.notOk(limit.take(1, 0, 1, 1_000_000));
  t.ok(limit.take(1, 1, 1, 1_000_000), 'after a reload with another rate');
  const back = make(1);
  t.ok(back.take(1, 1, 1, 10_000));
  t.notOk(back.take(1, 1, 1, 5_000));
  t.ok(back.take(1, 1, 1, 6_000), 'and time goes on from there');
});

t.test('to ask takes nothing; a cost is taken whole or not at all', async t => {
  const limit = make(1);
  t.ok(limit.has(1, 100, 100, 1000, 100) && limit.has(1, 100, 100, 1000, 100));
  t.notOk(limit.has(1, 100, 100, 1000, 101));
  t.ok(limit.take(1, 100, 100, 1000, 70));
  t.notOk(limit.take(1, 100, 100, 1000, 31));
  t.ok(limit.has(1, 100, 100, 1000, 30) && limit.take(1, 100, 100, 1000, 30));
  t.notOk(limit.has(1, 100, 100, 1009));
  t.ok(limit.has(1, 100, 100, 1010));
  t.notOk(limit.has(1, 0, 1, 2000), 'a rate of 0');
});

t.test('buckets may lie among other things', async t => {
  const memory = new SharedArrayBuffer(3 * 64), words = new Int32Array(memory).fill(7);
  for (let i = 0; i < 3; i++) words.fill(0, i * 16 + 12, i * 16 + 16);
  const limit = new RateLimit(memory, 48, 8, 3);
  t.same([0, 1, 2, 0, 1, 2].map(i => limit.take(i, 1, 1, 1000)), [true, true, true, false, false, false]);
  t.ok(words.every((word, i) => i % 16 >= 12 || word === 7));
});
