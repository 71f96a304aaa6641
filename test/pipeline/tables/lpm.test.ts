import t from 'tap';
import { Lpm, LpmBuilder, maskWord } from '../../../pipeline/tables/lpm.js';
import { seeded } from '../../support/seeded.js';

type Words = [number, number, number, number];

t.test('maskWord: every prefix length, against a string of bits', async t => {
  for (let bits = 0; bits <= 128; bits++) {
    const mask = '1'.repeat(bits).padEnd(128, '0');
    t.same([0, 1, 2, 3].map(i => maskWord(bits, i)), [0, 32, 64, 96].map(at => parseInt(mask.slice(at, at + 32), 2)), `/${bits}`);
  }
});

t.test('10,000 random prefixes in 8 scopes: the same answers as trying them all', async t => {
  const random = seeded();
  const builder = new LpmBuilder(random.u32(), 8);
  const rows: { scope: number; words: Words; bits: number; value: number }[] = [];
  const wrong: string[] = [];
  const holds = (words: Words, bits: number, address: Words): boolean =>
    words.every((word, i) => ((word & maskWord(bits, i)) >>> 0) === ((address[i] & maskWord(bits, i)) >>> 0));
  // Half of them IPv4 in its mapped form, and all in a small part of the space, so that they lie within each other.
  const address = (): Words => random.below(2) === 0 ? [0, 0, 0xffff, (0x0a000000 | random.u32() >>> 12) >>> 0] : [0x20010db8, random.below(4), random.u32(), random.u32()];
  const seen = new Set<string>();
  for (let value = 0; value < 10_000; value++) {
    const words = address();
    const scope = random.below(8), bits = words[0] === 0 ? 96 + random.below(33) : random.below(129);
    const name = `${scope} ${bits} ${words.map((word, i) => (word & maskWord(bits, i)) >>> 0).join()}`;
    if (builder.add(scope, words, bits, value) === seen.has(name)) wrong.push(`add of ${name}`);
    if (seen.has(name)) continue;
    seen.add(name);
    rows.push({ scope, words, bits, value });
  }
  rows.sort((a, b) => b.bits - a.bits);
  const lpm = new Lpm(builder.build());
  for (let i = 0; i < 2_000; i++) {
    const scope = random.below(8);
    const inside = rows[random.below(rows.length)].words;
    const target = random.below(2) === 0 ? address() : inside.map((word, w) => w === 3 ? (word ^ random.below(256)) >>> 0 : word) as Words;
    const isV4 = target[0] === 0 && target[1] === 0 && target[2] === 0xffff;
    const slow = rows.find(row => row.scope === scope && (!isV4 || row.bits >= 96) && holds(row.words, row.bits, target))?.value ?? -1;
    const found = lpm.find(scope, ...target);
    if (found !== slow) wrong.push(`scope ${scope}, ${target.join()}: ${found}, not ${slow}`);
  }
  t.same(wrong.slice(0, 5), [], `seed ${random.seed}`);
});

t.test('an IPv6 prefix holds no IPv4 address, though its bits hold the mapped form: ::/0 is not 0.0.0.0/0', async t => {
  const builder = new LpmBuilder(1, 2);
  builder.add(0, [0, 0, 0xffff, 0], 96, 4);
  for (const bits of [0, 8, 64, 80, 95]) {
    builder.add(0, [0, 0, 0, 0], bits, 6);
    builder.add(1, [0, 0, 0, 0], bits, 6);
  }
  const lpm = new Lpm(builder.build());
  t.equal(lpm.find(0, 0, 0, 0xffff, 0x0a000005), 4);
  t.equal(lpm.find(1, 0, 0, 0xffff, 0x0a000005), -1);
  for (const scope of [0, 1]) t.equal(lpm.find(scope, 0x20010db8, 0, 0, 1), 6);
});
