import t from 'tap';
import { LinkType } from '../../codecs/link.js';
import { isPcap, PcapWriter } from '../../codecs/pcap.js';
import { bytes, hex } from '../support/bytes.js';
import { ARP, concat, random32, readAll, T0 } from '../support/captures.js';

// Headers for Ethernet and snaplen 262144, records of 42 bytes at 1700000000.123456789.
const formats = [
  ['little endian, microseconds', { little: true, nanos: false },
    'd4c3b2a10200040000000000000000000000040001000000', '00f1536540e201002a0000002a000000', 123_456_000n],
  ['big endian, microseconds', { little: false, nanos: false },
    'a1b2c3d40002000400000000000000000004000000000001', '6553f1000001e2400000002a0000002a', 123_456_000n],
  ['little endian, nanoseconds', { little: true, nanos: true },
    '4d3cb2a10200040000000000000000000000040001000000', '00f1536515cd5b072a0000002a000000', 123_456_789n],
  ['big endian, nanoseconds', { little: false, nanos: true },
    'a1b23c4d0002000400000000000000000004000000000001', '6553f100075bcd150000002a0000002a', 123_456_789n],
] as const;

for (const [name, format, header, record, fraction] of formats) {
  t.test(`pcap §4: ${name}: header and record are written byte for byte`, async t => {
    const writer = new PcapWriter(format);
    t.equal(hex(writer.header(LinkType.ethernet)), header);
    t.equal(hex(writer.record(ARP, 0, ARP.length, T0)), record + hex(ARP));
  });

  t.test(`pcap §4: ${name}: header and record are read`, async t => {
    const { packets, status, warnings } = readAll(concat(bytes(header), bytes(record), ARP));
    t.equal(status, 'end');
    t.same(warnings, []);
    const timeNs = 1_700_000_000_000_000_000n + fraction;
    t.same(packets, [{
      number: 1, section: 1, interfaceId: 0, name: '', linkType: 1, originalLen: 42, data: hex(ARP),
      timeNs, timeMs: 1_700_000_000_000 + Number(fraction) / 1e6, options: { comments: [] },
    }]);
  });

  t.test(`${name}: packets of any length, time and cut read back as written`, async t => {
    const seed = 0xca05e;
    t.comment(`seed ${seed}`);
    const random = random32(seed);
    const writer = new PcapWriter(format);
    const parts = [writer.header(LinkType.raw, 100)];
    const want: { data: string; originalLen: number; timeNs: bigint }[] = [];
    for (let i = 0; i < 200; i++) {
      const data = Uint8Array.from({ length: random() % 100 }, random);
      const originalLen = data.length + (random() % 3);
      const timeNs = BigInt(random()) * 1_000_000_000n + BigInt(random() % 1_000_000) * 1000n;
      parts.push(writer.record(data, 0, data.length, timeNs, originalLen));
      want.push({ data: hex(data), originalLen, timeNs });
    }
    const { packets, status } = readAll(concat(...parts));
    t.equal(status, 'end');
    t.same(packets.map(({ data, originalLen, timeNs }) => ({ data, originalLen, timeNs })), want);
    t.ok(packets.every(packet => packet.linkType === LinkType.raw));
  });
}

t.test('a writer copies the bytes between at and end, and no others', async t => {
  const mem = bytes('aaaa 01020304 bbbb');
  t.equal(hex(new PcapWriter().record(mem, 2, 6, 0n), 16), '01020304');
});

t.test('a packet without time, or from before the epoch, is written at 0', async t => {
  t.equal(hex(new PcapWriter().record(ARP, 0, 0, -1n)), '00'.repeat(16));
});

t.test('pcap §5: seconds are unsigned, so they read past 2038 and wrap in 2106', async t => {
  const writer = new PcapWriter();
  const late = writer.record(ARP, 0, 0, 0xffff_ffffn * 1_000_000_000n + 999_999_999n);
  const wrapped = writer.record(ARP, 0, 0, 0x1_0000_0001n * 1_000_000_000n);
  const { packets } = readAll(concat(writer.header(1), late, wrapped));
  t.same(packets.map(packet => packet.timeNs), [4294967295_999_999_999n, 1_000_000_000n]);
});

t.test('pcap §4: only the low 16 bits of the link type word are the link type; the others tell of an FCS', async t => {
  const file = concat(bytes('a1b2c3d4 0002 0004 00000000 00000000 00040000 24000001'), new PcapWriter({ little: false }).record(ARP, 0, 42, T0));
  t.equal(readAll(file).packets[0].linkType, 1);
});

t.test('a fraction of a second or more is added all the same, and noted', async t => {
  const file = concat(new PcapWriter().header(1), bytes('0a000000 00ca9a3b 00000000 00000000'), bytes('0a000000 ffffffff 00000000 00000000'));
  const { packets, status, warnings } = readAll(file);
  t.equal(status, 'end');
  t.same(packets.map(packet => packet.timeNs), [11_000_000_000n, 14_294_967_295n]);
  t.match(warnings, [{ packet: 1, offset: 24, what: /1000000000 is a second or more/ }, { packet: 2, offset: 40 }]);
});

t.test('more bytes captured than there were: the captured bytes count for both, and it is noted', async t => {
  const file = concat(new PcapWriter().header(1), new PcapWriter().record(ARP, 0, 42, T0, 10));
  const { packets, status, warnings } = readAll(file);
  t.equal(status, 'end');
  t.match(packets, [{ originalLen: 42, data: hex(ARP) }]);
  t.match(warnings, [{ packet: 1, what: /captured 42 bytes of a packet of 10/ }]);
});

t.test('pcap 2.3 is read as 2.4 and noted; version 3 is refused', async t => {
  const minor = readAll(bytes('d4c3b2a1 0200 0300 00000000 00000000 00000400 01000000'));
  t.equal(minor.status, 'end');
  t.match(minor.warnings, [{ packet: 1, offset: 0, what: 'pcap version 2.3, read as 2.4' }]);
  t.match(readAll(bytes('d4c3b2a1 0300 0000 00000000 00000000 00000400 01000000')).fault,
    { packet: 1, offset: 0, reason: 'not_a_capture', what: 'pcap version 3.0; only 2.4 is read' });
});

t.test('a record of 256 KiB is read, and one of a byte more is a bad length, however much of it there is', async t => {
  const header = new PcapWriter().header(1);
  const most = new Uint8Array(262144);
  t.equal(readAll(concat(header, new PcapWriter().record(most, 0, most.length, T0))).packets[0].originalLen, 262144);

  const record = bytes('00000000 00000000 01000400 01000400');
  for (const file of [concat(header, record), concat(header, record, most, most)]) {
    t.match(readAll(file).fault, { packet: 1, offset: 24, reason: 'bad_length', what: /^record says 262145 bytes captured/ });
  }
});

t.test('isPcap knows the four magics by as many bytes as there are', async t => {
  for (const [, , header] of formats) for (let end = 1; end <= 4; end++) t.ok(isPcap(bytes(header), 0, end));
  t.notOk(isPcap(bytes('a1b2cd34'), 0, 4), 'the magic of a patched libpcap of the nineties');
});
