import t from 'tap';
import { WordMap, WordMapBuilder, hashWords } from '../../../pipeline/tables/word-map.js';
import { seeded } from '../../support/seeded.js';

t.test('10,000 random keys: every one is found, near misses are not, the first value under a key stays', async t => {
  const random = seeded();
  const builder = new WordMapBuilder(random.u32());
  const model = new Map<string, number>();
  const keys: [number, number, number, number, number][] = [];
  const wrong: string[] = [];
  for (let i = 0; i < 10_000; i++) {
    // Few distinct words, so that keys repeat and differ in one word only.
    const key = Array.from({ length: 5 }, () => random.below(3) === 0 ? random.u32() : random.below(6)) as [number, number, number, number, number];
    keys.push(key);
    const name = key.join();
    const isNew = !model.has(name);
    if (isNew) model.set(name, i);
    if (builder.add(...key, i) !== isNew) wrong.push(`add of ${name} says ${!isNew}`);
  }
  const map = new WordMap(builder.build());
  for (const key of keys) {
    if (map.find(...key) !== model.get(key.join())) wrong.push(`${key.join()} is ${map.find(...key)}`);
    for (let word = 0; word < 5; word++) {
      const near = [...key] as typeof key;
      near[word] = (near[word] ^ 1 << random.below(32)) >>> 0;
      if (map.find(...near) !== (model.get(near.join()) ?? -1)) wrong.push(`${near.join()} is ${map.find(...near)}`);
    }
  }
  t.same(wrong.slice(0, 5), [], `seed ${random.seed}`);
});

t.test('the key of all zeros and the largest value are as good as any', async t => {
  const builder = new WordMapBuilder(0);
  t.equal(new WordMap(builder.build()).find(0, 0, 0, 0, 0), -1, 'an empty map ends its search');
  builder.add(0, 0, 0, 0, 0, 0);
  builder.add(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xfffffffe);
  const map = new WordMap(builder.build());
  t.equal(map.find(0, 0, 0, 0, 0), 0);
  t.equal(map.find(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff), 0xfffffffe);
});

t.test('addresses that count up spread over the table, whatever the seed', async t => {
  for (const seed of [0, 1, 0xffffffff]) {
    const buckets = new Uint32Array(1024);
    for (let host = 0; host < 8192; host++) buckets[hashWords(seed, 7, 0, 0, 0xffff, 0x0a000000 + host) & 1023]++;
    t.ok(Math.max(...buckets) < 32, `8 a bucket on average, ${Math.max(...buckets)} at most`);
  }
  t.not(hashWords(1, 2, 3, 4, 5, 6), hashWords(2, 2, 3, 4, 5, 6), 'another seed, another place');
});
