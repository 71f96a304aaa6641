import t from 'tap';
import { covers, formatAddress, makePrefix, parseAddress, parsePrefix, rangePrefixes, useOf } from '../../config/address.js';
import { findLongest, makeIndex } from '../../config/prefix-index.js';
import { Refusal } from '../../config/refusal.js';
import { lowestHost, parseEndpoint, parseGuid, parseMac, parsePoolEntry, parsePortRange, parseVia } from '../../config/scalars.js';
import type { Address, Prefix, Words } from '../../config/types.js';

function address(text: string): Address {
  const a = parseAddress(text);
  if (a instanceof Refusal) throw new Error(`${text}: ${a.message}`);
  return a;
}

function prefix(text: string): Prefix {
  const p = parsePrefix(text);
  if (p instanceof Refusal) throw new Error(`${text}: ${p.message}`);
  return p;
}

t.test('RFC 4291 §2.5.5.2: IPv4 is kept v4-mapped', async t => {
  t.same(address('192.0.2.1'), { text: '192.0.2.1', family: 4, words: [0, 0, 0xffff, 0xc0000201] });
  t.same(prefix('10.0.0.0/24'), { text: '10.0.0.0/24', family: 4, words: [0, 0, 0xffff, 0x0a000000], bits: 120 });
  t.same(prefix('0.0.0.0/0'), { text: '0.0.0.0/0', family: 4, words: [0, 0, 0xffff, 0], bits: 96 });
});

t.test('RFC 5952: IPv6 comes back in its one canonical form', async t => {
  for (const [written, canonical] of [
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'], ['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'], ['::', '::'], ['::1', '::1'],
    ['fe80:0:0:0:1:0:0:0', 'fe80::1:0:0:0'], ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'], ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
  ] as const) t.equal(address(written).text, canonical);
  t.same(address('2001:db8:1:2:3:4:5:6').words, [0x20010db8, 0x00010002, 0x00030004, 0x00050006]);
  t.same(prefix('::/0'), { text: '::/0', family: 6, words: [0, 0, 0, 0], bits: 0 });
});

t.test('addresses that some programs would take, and that mean different things to different programs, are refused', async t => {
  for (const text of ['010.0.0.1', '0x7f.0.0.1', '127.1', '2130706433', '1.2.3.4.5', '1.2.3', '1.2.3.', '.1.2.3', '256.1.1.1', '1..2.3', ' 1.2.3.4', '1.2.3.4 ', '', '1:2', '2001:db8:::1', '::ffff:1.2.3.4', '::ffff:a00:1', '::1%lo', '[::1]', '12345::']) {
    t.ok(parseAddress(text) instanceof Refusal, JSON.stringify(text));
  }
  for (const text of ['10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/024', '10.0.0.0/', '10.0.0.0/8/8', '::/129', '/24', 'default']) {
    t.ok(parsePrefix(text) instanceof Refusal, JSON.stringify(text));
  }
});

t.test('text and words agree, both ways, for addresses of any shape', async t => {
  let seed = 7;
  const random = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0);
  for (let i = 0; i < 2000; i++) {
    const zeros = random() >>> 16;
    const word = (n: number): number => ((zeros >>> n) & 1) === 0 ? 0 : random() ^ (random() >>> 16);
    const words: Words = i % 2 === 0 ? [0, 0, 0xffff, word(0) >>> 0] : [(word(1) | 0x20000000) >>> 0, word(2) >>> 0, word(3) >>> 0, word(4) >>> 0];
    t.same(address(formatAddress(words)).words, words, `seed 7, round ${i}: ${formatAddress(words)}`);
  }
});

t.test('::/0 holds every IPv6 address and no IPv4 one', async t => {
  t.ok(covers(prefix('::/0'), address('2001:db8::1')));
  t.notOk(covers(prefix('::/0'), address('192.0.2.1')));
  t.ok(covers(prefix('0.0.0.0/0'), address('192.0.2.1')));
  t.notOk(covers(prefix('0.0.0.0/0'), address('2001:db8::1')));
});

t.test('the lowest host address of a prefix', async t => {
  for (const [text, lowest] of [['10.0.0.0/24', '10.0.0.1'], ['10.0.0.4/30', '10.0.0.5'], ['10.0.0.4/31', '10.0.0.4'], ['2001:db8::/64', '2001:db8::1'], ['2001:db8::2/127', '2001:db8::2']] as const) {
    t.equal(lowestHost(prefix(text)).text, lowest, text);
  }
});

t.test('a range of addresses is the fewest prefixes that hold just these', async t => {
  const texts = (from: string, to: string): string[] => rangePrefixes(address(from), address(to)).map(p => p.text);
  t.same(texts('203.0.113.10', '203.0.113.20'), ['203.0.113.10/31', '203.0.113.12/30', '203.0.113.16/30', '203.0.113.20/32']);
  t.same(texts('10.0.0.0', '10.0.0.255'), ['10.0.0.0/24']);
  t.same(texts('10.0.0.1', '10.0.0.1'), ['10.0.0.1/32']);
  t.same(texts('255.255.255.254', '255.255.255.255'), ['255.255.255.254/31']);
  t.same(texts('0.0.0.0', '255.255.255.255'), ['0.0.0.0/0']);
});

t.test('what an address is good for', async t => {
  for (const [text, use] of [
    ['0.1.2.3', 'unspecified'], ['127.9.9.9', 'loopback'], ['169.254.1.1', 'link-local'], ['224.0.0.1', 'multicast'], ['239.255.255.255', 'multicast'],
    ['240.0.0.1', 'reserved'], ['255.255.255.255', 'broadcast'], ['223.255.255.255', 'usable'], ['10.0.0.1', 'usable'],
    ['::', 'unspecified'], ['::1', 'loopback'], ['::2', 'usable'], ['fe80::1', 'link-local'], ['febf::1', 'link-local'], ['fec0::1', 'usable'], ['ff02::1', 'multicast'], ['fd00::1', 'usable'],
  ] as const) t.equal(useOf(address(text)), use, text);
});

t.test('a look-up in an index finds what a look at every prefix finds', async t => {
  let seed = 11;
  const random = (n: number): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % 65536 % n;
  const items = Array.from({ length: 300 }, (_, i) => {
    const bits = 96 + 8 + random(25);
    const a = 0x0a000000 + random(256) * 65536 + random(4) * 256 + random(256);
    const mask = (0xffffffff << (128 - bits)) >>> 0;
    return { prefix: makePrefix([0, 0, 0xffff, (a & mask) >>> 0], bits), owner: i };
  });
  const index = makeIndex(items);
  for (let i = 0; i < 3000; i++) {
    const at = address(`10.${random(256)}.${random(4)}.${random(256)}`);
    const best = Math.max(-1, ...items.filter(item => covers(item.prefix, at)).map(item => item.prefix.bits));
    t.equal(findLongest(index, at)?.prefix.bits ?? -1, best, `seed 11, round ${i}: ${at.text}`);
  }
});

t.test('a PA: with a port, without, and in brackets', async t => {
  for (const [text, canonical, port] of [
    ['192.0.2.11', '192.0.2.11', 0], ['127.0.0.1:47011', '127.0.0.1:47011', 47011], ['2001:DB8::1', '2001:db8::1', 0],
    ['[2001:db8::1]', '2001:db8::1', 0], ['[2001:db8::1]:4754', '[2001:db8::1]:4754', 4754],
  ] as const) t.match(parseEndpoint(text), { text: canonical, port });
  for (const text of ['192.0.2.11:', '192.0.2.11:0', '192.0.2.11:70000', '[192.0.2.11]:80', '[2001:db8::1', '2001:db8::1]:80', ':80', 'host-a', '[::1]80', '192.0.2.11:80:80']) {
    t.ok(parseEndpoint(text) instanceof Refusal, text);
  }
});

t.test('a MAC in each of its spellings is one MAC', async t => {
  for (const text of ['00:15:5D:a0:00:05', '00-15-5d-A0-00-05', '00155dA00005']) t.same(parseMac(text), { text: '00:15:5d:a0:00:05', high: 0x0015, low: 0x5da00005 });
  for (const text of ['00:15:5d:a0:00', '00:15:5d-a0:00:05', '00:15:5d:a0:00:0g', '0:15:5d:a0:0:5', '01:00:5e:00:00:01', '00:00:00:00:00:00']) t.ok(parseMac(text) instanceof Refusal, text);
});

t.test('GUIDs lose their braces and capitals', async t => {
  t.equal(parseGuid('{6F1C2A70-51D5-4F0E-9A53-2B1D4C7E8F01}'), '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01');
  for (const text of ['6f1c…', '{6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01', '6f1c2a7051d54f0e9a532b1d4c7e8f01', '']) t.ok(parseGuid(text) instanceof Refusal, text);
});

t.test('port ranges, next hops and pool entries', async t => {
  t.same(parsePortRange('22'), { from: 22, to: 22 });
  t.same(parsePortRange('49152 - 49182'), { from: 49152, to: 49182 });
  for (const text of ['', '-', '1-', '-1', '1-2-3', '0-5', '5-4', '65536', 'ssh']) t.ok(parsePortRange(text) instanceof Refusal, text);
  t.same(parseVia('site:hq'), { kind: 'site', site: 'hq' });
  t.match(parseVia('ca:2001:db8::5'), { kind: 'ca', address: { text: '2001:db8::5' } });
  for (const text of ['', 'NAT', 'site:', 'ca:', 'ca:hq', 'nat:inet', 'hq']) t.ok(parseVia(text) instanceof Refusal, text);
  t.match(parsePoolEntry('203.0.113.10'), [{ text: '203.0.113.10/32', bits: 128 }]);
  for (const text of ['203.0.113.9/30', '10.0.0.0/15', '::1', '1.2.3.4-', '1.2.3.4-5', 'any']) t.ok(parsePoolEntry(text) instanceof Refusal, text);
});
