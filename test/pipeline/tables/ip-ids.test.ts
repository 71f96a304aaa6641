import t from 'tap';
import { IpIds, makeIpIdMemory } from '../../../pipeline/tables/ip-ids.js';
import { seeded } from '../../support/seeded.js';

t.test('RFC 6864 §5.3.1: for one source, destination and protocol no id comes again before all others have', async t => {
  for (const threads of [1, 3]) {
    const ids = new IpIds(makeIpIdMemory(threads, 5)[threads - 1]);
    const share = 65536 / (threads === 1 ? 1 : 4);
    const seen = new Set<number>();
    for (let i = 0; i < share; i++) seen.add(ids.next(1, 2, 17));
    t.equal(seen.size, share, `${threads} threads`);
  }
});

t.test('no two threads give out one id for one source, destination and protocol', async t => {
  const random = seeded();
  const threads = makeIpIdMemory(5, random.u32()).map(memory => new IpIds(memory));
  const seen = new Map<number, number>();
  for (let i = 0; i < 30_000; i++) {
    const thread = random.below(5), id = threads[thread].next(-7, 0x7fffffff, 6);
    if ((seen.get(id) ?? thread) !== thread) t.fail(`seed ${random.seed}: ${id} is of thread ${thread} and ${seen.get(id)}`);
    seen.set(id, thread);
  }
  t.ok(seen.size > 25_000);
});

t.test('they begin at random, go on where a thread was that died, and differ from destination to destination', async t => {
  const starts = [1, 2, 3, 4].map(seed => new IpIds(makeIpIdMemory(1, seed)[0]).next(1, 2, 17));
  t.equal(new Set(starts).size, 4);
  const [memory] = makeIpIdMemory(1, 9);
  const last = new IpIds(memory).next(1, 2, 17);
  t.equal(new IpIds(memory).next(1, 2, 17), last + 1 & 0xffff);
  const ids = new IpIds(memory);
  t.ok(new Set(Array.from({ length: 64 }, (_, i) => ids.next(1, i, 17))).size > 55, 'few share a counter');
});
