import t from 'tap';
import { recomputeIpv4Checksum } from '../../codecs/ipv4.js';
import { Carrier } from '../../pipeline/packet.js';
import { MICROSOFT_KEY, RssHash, SYMMETRIC_KEY, Toeplitz } from '../../pipeline/rss.js';
import { bytes } from '../support/bytes.js';
import { cut4, cut6, echo, ethernet, gre, ip, ip6, nvgre, tcp, udp, vxlan, withExtension, withOptions } from '../support/frames.js';
import { seeded } from '../support/seeded.js';

/** The specification, word for word: for every bit that is set, the 32 bits of the key that begin there. */
function slowToeplitz(key: Uint8Array, input: Uint8Array): number {
  const bits = (of: Uint8Array): number[] => Array.from(of).flatMap(byte => Array.from({ length: 8 }, (_, i) => byte >> (7 - i) & 1));
  const keyBits = bits(key);
  let sum = 0;
  bits(input).forEach((bit, i) => { if (bit === 1) sum ^= parseInt(keyBits.slice(i, i + 32).join(''), 2) | 0; });
  return sum >>> 0;
}

const microsoft = new RssHash(MICROSOFT_KEY);
const symmetric = new RssHash(SYMMETRIC_KEY);
const FROM = '02:00:00:00:00:05', TO = '02:00:00:00:00:01';

/** The hash of a packet in plain GRE without a key, unsigned. */
function hashOf(packet: Uint8Array, hash = microsoft): number {
  const datagram = gre(packet, -1);
  return hash.ofDatagram(datagram, 0, datagram.length, Carrier.gre) >>> 0;
}

// From "Verifying the RSS Hash Calculation"; and with the symmetric key, computed from the definition.
const VECTORS = [
  ['66.9.149.187', 2794, '161.142.100.80', 1766, 0x323e8fc2, 0x51ccc178, 66, 120, 0x0a590a59, 0x9fcc9fcc],
  ['199.92.111.2', 14230, '65.69.140.83', 4739, 0xd718262a, 0xc626b0ea, 42, 106, 0x7ba97ba9, 0x60d760d7],
  ['24.19.198.95', 12898, '12.22.207.184', 38024, 0xd2d0a5de, 0x5c2b394a, 94, 74, 0xa55aa55a, 0x3a3e3a3e],
  ['38.27.205.30', 48228, '209.142.163.6', 2217, 0x82989176, 0xafc7327f, 118, 127, 0xf8a7f8a7, 0xd26ed26e],
  ['153.39.163.191', 44251, '202.188.127.2', 1303, 0x5d1809c5, 0x10e828a2, 69, 34, 0x57545754, 0xf23ef23e],
  ['3ffe:2501:200:1fff::7', 2794, '3ffe:2501:200:3::1', 1766, 0x2cc18cd5, 0x40207d3d, 85, 61, 0x867e867e, 0x13eb13eb],
  ['3ffe:501:8::260:97ff:fe40:efab', 14230, 'ff02::1', 4739, 0x0f0c461c, 0xdde51bbf, 28, 63, 0x2def2def, 0x36913691],
  ['3ffe:1900:4545:3:200:f8ff:fe21:67cf', 44251, 'fe80::200:f8ff:fe21:67cf', 38024, 0x4b61e985, 0x02d1feef, 5, 111, 0xc85ec85e, 0x08090809],
] as const;

for (const [from, sport, to, dport, addresses, ports, addressEntry, portEntry, symmetricAddresses, symmetricPorts] of VECTORS) {
  t.test(`Microsoft, Verifying the RSS Hash Calculation: ${from} port ${sport} to ${to} port ${dport}`, async t => {
    const plain = ip(from, to, 99, new Uint8Array(8));
    for (const packet of [tcp(from, sport, to, dport, 2), udp(from, sport, to, dport, 'x')]) {
      t.equal(hashOf(packet), ports);
      t.equal(hashOf(packet) & 127, portEntry);
      t.equal(hashOf(packet, symmetric), symmetricPorts);
    }
    t.equal(hashOf(plain), addresses);
    t.equal(hashOf(plain) & 127, addressEntry);
    t.equal(hashOf(plain, symmetric), symmetricAddresses);
    t.equal(hashOf(udp(to, dport, from, sport, 'x'), symmetric), symmetricPorts, 'the way back');
    t.not(hashOf(udp(to, dport, from, sport, 'x')), ports, 'the default key tells the directions apart');
  });
}

t.test('Microsoft: the way back of the first row hashes to fde799b2', async t => {
  t.equal(hashOf(udp('161.142.100.80', 1766, '66.9.149.187', 2794, '')), 0xfde799b2);
});

t.test('the table agrees with the definition, bit by bit, whatever the key and the input', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  for (let i = 0; i < 20; i++) {
    const key = random.fill(new Uint8Array(40 + random.below(13)));
    const fast = new Toeplitz(key);
    for (const len of [8, 12, 32, 36]) {
      const input = random.fill(new Uint8Array(len));
      t.equal(fast.add(input, 0, len, 0) >>> 0, slowToeplitz(key, input));
    }
  }
  t.throws(() => new RssHash(new Uint8Array(39)), /39 bytes: 40 at least/);
});

t.test('the same flow hashes alike in every encapsulation of a VSID, and with another VSID to something else', async t => {
  for (const [packet, family] of [[udp('10.0.0.5', 1, '10.0.1.6', 2, 'x'), 4], [tcp('2001:db8::5', 1, '2001:db8::6', 2, 2), 6]] as const) {
    const frame = ethernet(TO, FROM, packet);
    const byNvgre = nvgre(5001, frame), byVxlan = vxlan(5001, frame), other = nvgre(6001, frame);
    const hash = microsoft.ofDatagram(byNvgre, 0, byNvgre.length, Carrier.gre);
    t.equal(microsoft.ofDatagram(byVxlan, 0, byVxlan.length, Carrier.vxlan), hash, `IPv${family}`);
    t.not(microsoft.ofDatagram(other, 0, other.length, Carrier.gre), hash);
    t.equal(microsoft.ofDatagram(Uint8Array.of(...bytes('a5a5a5'), ...byNvgre), 3, 3 + byNvgre.length, Carrier.gre), hash, 'at any position');
    const none = nvgre(0, frame);
    t.equal(microsoft.ofDatagram(none, 0, none.length, Carrier.gre) >>> 0, hashOf(packet), 'VSID 0 adds nothing');
  }
});

t.test('a GRE key is mixed in, and key 0 is as good as none', async t => {
  const packet = udp('198.51.100.7', 53, '10.0.0.5', 5000, 'x');
  const hash = (key: number): number => { const datagram = gre(packet, key); return microsoft.ofDatagram(datagram, 0, datagram.length, Carrier.gre) >>> 0; };
  t.equal(hash(0), hashOf(packet));
  t.not(hash(7001), hashOf(packet));
  t.not(hash(7001), hash(7002));
  const withAll = Uint8Array.of(...bytes('b000 0800 0000 0000 00001b59 00000001'), ...packet);
  t.equal(microsoft.ofDatagram(withAll, 0, withAll.length, Carrier.gre) >>> 0, hash(7001), 'checksum and sequence are stepped over');
});

t.test('within a VSID a symmetric key stays symmetric', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  for (let i = 0; i < 200; i++) {
    const vsid = 4096 + random.below(1 << 20), sport = random.below(65536), dport = random.below(65536);
    const a = `10.0.${random.below(256)}.1`, b = `10.1.${random.below(256)}.2`;
    const there = nvgre(vsid, ethernet(TO, FROM, udp(a, sport, b, dport, 'x')));
    const back = nvgre(vsid, ethernet(FROM, TO, udp(b, dport, a, sport, 'x')));
    t.equal(symmetric.ofDatagram(there, 0, there.length, Carrier.gre), symmetric.ofDatagram(back, 0, back.length, Carrier.gre));
  }
});

t.test('tenants with the same addresses spread over all entries, be their VSIDs neighbours or far apart', async t => {
  const packet = udp('10.0.0.5', 1, '10.0.1.6', 2, 'x');
  for (const step of [1, 128, 256, 4096]) {
    const seen = new Set<number>();
    for (let i = 0; i < 1024; i++) {
      const datagram = nvgre(4096 + i * step, ethernet(TO, FROM, packet));
      seen.add(microsoft.ofDatagram(datagram, 0, datagram.length, Carrier.gre) & 127);
    }
    t.ok(seen.size > 100, `VSIDs ${step} apart reach ${seen.size} of 128 entries`);
  }
});

t.test('Microsoft, RSS Hashing Types: every fragment, the first too, counts by its addresses alone', async t => {
  const whole = udp('10.0.0.5', 1, '10.0.1.6', 2, new Uint8Array(200));
  const whole6 = udp('2001:db8::5', 1, '2001:db8::6', 2, new Uint8Array(200));
  t.same(new Set(cut4(whole, 64).map(piece => hashOf(piece))), new Set([hashOf(ip('10.0.0.5', '10.0.1.6', 99, new Uint8Array(8)))]));
  t.same(new Set(cut6(whole6, 64).map(piece => hashOf(piece))), new Set([hashOf(ip('2001:db8::5', '2001:db8::6', 99, new Uint8Array(8)))]));
});

t.test('Microsoft, RSS Hashing Types: options and extension headers are stepped over; ICMP has no ports', async t => {
  const packet = udp('10.0.0.5', 1, '10.0.1.6', 2, 'x'), packet6 = udp('2001:db8::5', 1, '2001:db8::6', 2, 'x');
  t.equal(hashOf(withOptions(packet, bytes('01010101'))), hashOf(packet));
  t.equal(hashOf(withExtension(packet6, 60, bytes('0000 0104 00000000'))), hashOf(packet6));
  t.equal(hashOf(withExtension(packet6, 43, bytes('0000 0000 00000000'))), hashOf(ip('2001:db8::5', '2001:db8::6', 99, new Uint8Array(8))), 'a chain that is refused');
  t.equal(hashOf(echo('10.0.0.5', '10.0.1.6', 7)), hashOf(echo('10.0.0.5', '10.0.1.6', 8)));
});

t.test('what is not IP, or unknown, goes where its VSID says, or to entry 0', async t => {
  const hash = (datagram: Uint8Array, carrier: number = Carrier.gre): number => microsoft.ofDatagram(datagram, 0, datagram.length, carrier);
  const arp = nvgre(5001, ethernet(TO, FROM, new Uint8Array(28), 0x0806));
  const tagged = nvgre(5001, ethernet(TO, FROM, new Uint8Array(28), 0x8100));
  t.equal(hash(arp), hash(tagged));
  t.not(hash(arp), 0);
  t.equal(hash(nvgre(5001, new Uint8Array(13))), hash(arp), 'no whole frame');
  const wrongVersion = udp('10.0.0.5', 1, '10.0.1.6', 2, 'x');
  wrongVersion[0] = 0x55;
  recomputeIpv4Checksum(wrongVersion, 0);
  for (const datagram of [new Uint8Array(0), bytes('000008'), bytes('0001 0800 00000000'), bytes('4000 0800 00000000'), gre(wrongVersion, -1), gre(ip6('::1'), -1)]) t.equal(hash(datagram), 0);
  t.equal(hash(bytes('0800000000'), Carrier.vxlan), 0);
});

t.test('nothing at or behind the end is read, wherever a datagram is cut, and nothing throws', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const packets = [udp('10.0.0.5', 1, '10.0.1.6', 2, 'x'), withExtension(tcp('2001:db8::5', 1, '2001:db8::6', 2, 2), 60, bytes('0000 0104 00000000'))];
  const datagrams = packets.flatMap(packet => [
    [gre(packet, 7), Carrier.gre], [nvgre(5001, ethernet(TO, FROM, packet)), Carrier.gre], [vxlan(5001, ethernet(TO, FROM, packet)), Carrier.vxlan],
  ] as const);
  for (const [datagram, carrier] of datagrams) {
    for (let end = 0; end <= datagram.length; end++) {
      const one = datagram.slice(), two = datagram.slice();
      random.fill(one.subarray(end));
      random.fill(two.subarray(end));
      if (microsoft.ofDatagram(one, 0, end, carrier) !== microsoft.ofDatagram(two, 0, end, carrier)) t.fail(`${carrier}: reads behind ${end}`);
      if (!Number.isInteger(microsoft.ofDatagram(datagram.subarray(0, end), 0, end, carrier))) t.fail(`${carrier}: no number at ${end}`);
    }
  }
  for (let i = 0; i < 20_000; i++) {
    const [datagram, carrier] = datagrams[random.below(datagrams.length)];
    const spoilt = datagram.slice(0, random.below(datagram.length + 1));
    for (let n = random.below(4); n > 0 && spoilt.length > 0; n--) spoilt[random.below(spoilt.length)] = random.u32();
    if ((microsoft.ofDatagram(spoilt, 0, spoilt.length, carrier) | 0) !== microsoft.ofDatagram(spoilt, 0, spoilt.length, carrier)) t.fail('not 32 bits');
  }
  t.pass('20,000 spoilt datagrams');
});
