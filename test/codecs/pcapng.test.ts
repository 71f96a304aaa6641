import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { LinkType } from '../../codecs/link.js';
import { PcapngWriter } from '../../codecs/pcapng.js';
import { bytes, hex } from '../support/bytes.js';
import { annotated, ARP, block, concat, installed, mixed, random32, readAll, T0, UDP } from '../support/captures.js';

// A complete file, block by block; Wireshark reads it.
const SHB = '0a0d0d0a2c0000004d3c2b1a01000000ffffffffffffffff0400070067776420312e3000000000002c000000';
const IDB = '010000002c00000001000000000004000200070074656e616e7430000900010009000000000000002c000000';
const EPB = '060000008000000000000000fe9c971715cd853d2a0000002a000000ffffffffffff00155d0000010806000108000604000100155d0000010a000005'
  + '0000000000000a000006000001000f0061636c2064726f702072756c65203700020004000100000005000800630000000000000006000400030000000000000080000000';
const CUT_EPB = '060000003400000000000000fe9c9717fdd0853d140000002a000000ffffffffffff00155d000001080600010800060434000000';
const ISB = '050000003400000000000000fe9c971715cd853d0400080064000000000000000500080003000000000000000000000034000000';
const SPB = '030000003c0000002a000000ffffffffffff00155d0000010806000108000604000100155d0000010a0000050000000000000a00000600003c000000';

/** The example's packets, read from its own time stamps. */
const TIME = 0x17979cfe_3d85cd15n;
const LATER = 0x17979cfe_3d85d0fdn;

t.test('pcapng §4: every block of the example is written byte for byte', async t => {
  const writer = new PcapngWriter();
  const frame = { interfaceId: 0, mem: ARP, at: 0 };
  t.equal(hex(writer.sectionHeader({ userAppl: 'gwd 1.0' })), SHB);
  t.equal(hex(writer.interface({ name: 'tenant0', linkType: LinkType.ethernet, snaplen: 262144 })), IDB);
  t.equal(hex(writer.enhancedPacket({
    ...frame, end: 42, timeNs: TIME, comments: ['acl drop rule 7'], flags: { direction: 'in' }, packetId: 99, queue: 3,
  })), EPB);
  t.equal(hex(writer.enhancedPacket({ ...frame, end: 20, originalLen: 42, timeNs: LATER })), CUT_EPB);
  t.equal(hex(writer.interfaceStatistics({ interfaceId: 0, timeNs: TIME, received: 100, dropped: 3 })), ISB);
  t.equal(hex(writer.simplePacket(ARP, 0, 42)), SPB);
});

t.test('pcapng §4: every packet of the example is read', async t => {
  const { packets, status, warnings } = readAll(bytes(SHB + IDB + EPB + CUT_EPB + ISB + SPB));
  t.equal(status, 'end');
  t.same(warnings, []);
  const about = { section: 1, interfaceId: 0, name: 'tenant0', linkType: 1, originalLen: 42 };
  t.same(packets, [
    { ...about, number: 1, data: hex(ARP), timeNs: TIME, timeMs: 1_700_000_000_123.456_789, options: {
      comments: ['acl drop rule 7'], flags: { direction: 'in' }, packetId: 99n, queue: 3 } },
    { ...about, number: 2, data: hex(ARP, 0, 20), timeNs: LATER, timeMs: 1_700_000_000_123.457_789, options: { comments: [] } },
    { ...about, number: 3, data: hex(ARP), timeNs: -1n, timeMs: -1, options: { comments: [] } },
  ]);
});

t.test('a big-endian file says the same as a little-endian one', async t => {
  t.same(readAll(annotated(false)), readAll(annotated(true)));
});

t.test('sections of both orders, old blocks, unknown blocks and odd clocks are read as their writers meant', async t => {
  const { packets, status, warnings } = readAll(mixed());
  t.equal(status, 'end');
  t.same(warnings, []);
  const brief = packets.map(p => [p.number, p.section, p.interfaceId, p.name, p.linkType, p.data, p.originalLen, p.timeNs]);
  t.same(brief, [
    [1, 1, 0, 'eth0', 1, hex(ARP), 42, 1_700_000_000_123_456_000n],
    [2, 1, 1, 'raw0', 101, hex(UDP), 32, 1_700_000_001_500_000_000n],
    [3, 1, 0, 'eth0', 1, hex(ARP, 0, 14), 42, 1_700_000_000_123_457_000n],
    [4, 1, 0, 'eth0', 1, hex(ARP), 42, -1n],
    [5, 2, 0, '', 101, hex(UDP, 0, 24), 32, -1n],
    [6, 2, 0, '', 101, hex(UDP, 0, 24), 32, 1_700_000_000_123_000_000n],
  ]);
  t.same(packets[0].options, { comments: ['hi'] });
  t.same(packets[2].options, { comments: [], flags: { direction: 'out' } });
});

// if_tsresol, if_tsoffset, high and low words, nanoseconds since the epoch.
const clocks = [
  ['microseconds when nothing is said', '', '00060a24 18202240', 1_700_000_000_123_456_000n],
  ['10^0', '0009 0001 00000000', '00000000 6553f100', 1_700_000_000_000_000_000n],
  ['10^-9', '0009 0001 09000000', '17979cfe 3d85cd15', TIME],
  ['10^-12', '0009 0001 0c000000', '00000000 000003e8', 1n],
  ['10^-127', '0009 0001 7f000000', 'ffffffff ffffffff', 0n],
  ['2^-1', '0009 0001 81000000', '00000000 00000003', 1_500_000_000n],
  ['2^-32, as NTP', '0009 0001 a0000000', '6553f100 80000000', 1_700_000_000_500_000_000n],
  ['2^-127', '0009 0001 ff000000', 'ffffffff ffffffff', 0n],
  ['an offset, seconds', '000e 0008 00000000 6553f100', '00000000 00000001', 1_700_000_000_000_001_000n],
  ['a negative offset', '000e 0008 ffffffff ffffffff', '00000000 001e8480', 1_000_000_000n],
  ['both', '000e 0008 00000000 00000001 0009 0001 03000000', '00000000 000003e9', 2_001_000_000n],
  ['a resolution of the wrong length is no resolution', '0009 0002 09090000', '00000000 00000001', 1000n],
] as const;
for (const [name, options, time, want] of clocks) {
  t.test(`pcapng §4.2 if_tsresol, if_tsoffset: ${name}`, async t => {
    const { packets } = readAll(concat(
      block(0x0a0d0d0a, '1a2b3c4d 0001 0000 ffffffffffffffff', false),
      block(1, `0001 0000 00000000 ${options}`, false),
      block(6, `00000000 ${time} 00000000 00000000`, false),
    ));
    t.equal(packets[0].timeNs, want);
    t.ok(Math.abs(packets[0].timeMs - Number(want) / 1e6) < 0.001, 'and in milliseconds to a float\'s worth');
  });
}

const HEAD = bytes(SHB + IDB);
function optionsOf(list: string): unknown {
  return readAll(concat(HEAD, block(6, `00000000 00000000 00000000 00000000 00000000 ${list}`))).packets[0].options;
}
const lists = [
  ['an end mark may be missing', '0100 0200 68690000', { comments: ['hi'] }],
  ['what follows an end mark is not read', '0100 0200 68690000 00000000 0100 0200 68690000', { comments: ['hi'] }],
  ['comments repeat, in order', '0100 0100 61000000 0100 0100 62000000 00000000', { comments: ['a', 'b'] }],
  ['text ends at a zero byte', '0100 0400 61006200 00000000', { comments: ['a'] }],
  ['text that is not UTF-8 is read as well as can be', '0100 0200 61ff0000 00000000', { comments: ['a\ufffd'] }],
  ['an option that runs past its block is left out, those before it are not', '0100 0100 61000000 0100 ff00 62000000', { comments: ['a'] }],
  ['unknown options and options of a wrong length are left out', '3412 0100 61000000 0200 0200 01000000 0500 0400 01000000 0600 0100 01000000', { comments: [] }],
  ['flags without a direction say nothing', '0200 0400 04000000 00000000', { comments: [] }],
  ['a packet id has 64 bits', '0500 0800 ffffffffffffffff 00000000', { comments: [], packetId: 0xffff_ffff_ffff_ffffn }],
] as const;
for (const [name, list, want] of lists) {
  t.test(`pcapng §3.5 options: ${name}`, async t => { t.same(optionsOf(list), want); });
}

t.test('a comment longer than an option can hold is cut at a whole character', async t => {
  const packet = { interfaceId: 0, mem: ARP, at: 0, end: 42, timeNs: T0, comments: ['a' + 'é'.repeat(40_000)] };
  const { packets, status } = readAll(concat(HEAD, new PcapngWriter().enhancedPacket(packet)));
  t.equal(status, 'end');
  t.equal(packets[0].options.comments[0], 'a' + 'é'.repeat(32_767)); // 65,535 bytes, exactly what fits
  packet.comments = ['é'.repeat(40_000)];
  t.equal(readAll(concat(HEAD, new PcapngWriter().enhancedPacket(packet))).packets[0].options.comments[0], 'é'.repeat(32_767));
});

t.test('packets of any length, time and options read back as written, in both orders', async t => {
  const seed = 0xca05e;
  t.comment(`seed ${seed}`);
  for (const little of [true, false]) {
    const random = random32(seed);
    const writer = new PcapngWriter({ little });
    const parts = [writer.sectionHeader({ userAppl: 'test' }), writer.interface({ name: 'a', linkType: 1 }), writer.interface({ name: 'b', linkType: 101 })];
    const want: unknown[] = [];
    for (let i = 0; i < 200; i++) {
      const data = Uint8Array.from({ length: random() % 100 }, random);
      const packet = {
        interfaceId: random() % 2,
        timeNs: (BigInt(random() >>> 1) << 32n) | BigInt(random()),
        originalLen: data.length + (random() % 3),
      };
      const options = {
        comments: Array.from({ length: random() % 3 }, (_, n) => 'x'.repeat(random() % 9) + n),
        ...(random() % 2 === 0 ? { flags: { direction: random() % 2 === 0 ? 'in' as const : 'out' as const } } : {}),
        ...(random() % 2 === 0 ? { packetId: BigInt(random()) } : {}),
        ...(random() % 2 === 0 ? { queue: random() } : {}),
      };
      parts.push(writer.enhancedPacket({ ...packet, ...options, mem: data, at: 0, end: data.length }));
      want.push({ ...packet, data: hex(data), options });
    }
    const { packets, status } = readAll(concat(...parts));
    t.equal(status, 'end');
    t.same(packets.map(({ interfaceId, timeNs, originalLen, data, options }) => ({ interfaceId, timeNs, originalLen, data, options })), want);
  }
});

// Each is a file after HEAD; `offset` is where the block at fault starts.
const faults = [
  ['a packet of an interface nobody described', block(6, '01000000 00000000 00000000 00000000 00000000'), 'bad_interface', /interface 1; section 1 has described 1/],
  ['captured bytes past the block', block(6, '00000000 00000000 00000000 05000000 05000000 00000000'), 'bad_length', /5 bytes captured, in a block of 36/],
  ['captured bytes past belief', block(6, '00000000 00000000 00000000 ffffffff ffffffff'), 'bad_length', /4294967295 bytes captured/],
  ['a simple packet past its block', block(3, '05000000 00000000'), 'bad_length', /simple packet of 5 bytes, in a block of 20/],
  ['a block too short for its type', block(6, '00000000'), 'bad_length', /type 6 says 16 bytes/],
  ['a length of zero', bytes('ad0b0000 00000000 00000000'), 'bad_length', /says 0 bytes/],
  ['a length that is not a multiple of four', bytes('ad0b0000 0d000000 00000000'), 'bad_length', /says 13 bytes/],
  ['a length past belief', bytes('ad0b0000 04000001 00000000'), 'bad_length', /says 16777220 bytes/],
  ['two lengths that differ', bytes('ad0b0000 0c000000 10000000'), 'bad_length', /12 bytes at its start and 16 at its end/],
  ['a section of neither byte order', block(0x0a0d0d0a, '00000000 01000000 ffffffffffffffff'), 'bad_block', /byte-order magic/],
  ['a section of version 2', block(0x0a0d0d0a, '4d3c2b1a 02000000 ffffffffffffffff'), 'bad_block', /pcapng version 2.0/],
] as const;
for (const [name, rest, reason, what] of faults) {
  t.test(`${name} is ${reason}, after what came before it`, async t => {
    const { packets, status, fault } = readAll(concat(HEAD, bytes(SPB), rest, bytes(SPB)));
    t.equal(status, 'fault');
    t.equal(packets.length, 1);
    t.match(fault, { packet: 2, offset: HEAD.length + SPB.length / 2, reason, what });
  });
}

t.test('interfaces belong to their section: the next one starts with none', async t => {
  const { packets, fault } = readAll(bytes(SHB + IDB + SPB + SHB + SPB));
  t.equal(packets.length, 1);
  t.match(fault, { packet: 2, offset: (SHB + IDB + SPB + SHB).length / 2, reason: 'bad_interface', what: /section 2 has described 0/ });
});

t.test('an interface option that runs past its block is noted, and the packets are read', async t => {
  const { packets, warnings } = readAll(concat(bytes(SHB), block(1, '01000000 00000000 0200 0100 61000000 0900 ff00 09000000'), bytes(SPB)));
  t.match(packets, [{ name: 'a', data: hex(ARP) }]);
  t.match(warnings, [{ packet: 1, offset: 44, what: /option of interface 0/ }]);
});

t.test('more captured than there was of an enhanced packet: the captured bytes count for both, and it is noted', async t => {
  const { packets, warnings } = readAll(concat(HEAD, block(6, `00000000 00000000 00000000 2a000000 01000000 ${hex(ARP)}`)));
  t.match(packets, [{ originalLen: 42, data: hex(ARP) }]);
  t.match(warnings, [{ packet: 1, what: /captured 42 bytes of a packet of 1/ }]);
});

t.test('Wireshark reads the comments, directions, ids and queues we write', async t => {
  if (!installed('tshark')) {
    t.pass('tshark is not installed here: not compared');
    return;
  }
  const fields = ['frame.time_epoch', 'frame.len', 'frame.cap_len', 'frame.comment', 'frame.packet_flags',
    'frame.packet_id', 'frame.interface_queue', 'frame.interface_name', 'frame.interface_description'];
  for (const name of ['annotated-le.pcapng', 'annotated-be.pcapng']) {
    const path = fileURLToPath(new URL(`../fixtures/captures/${name}`, import.meta.url));
    const { stdout } = spawnSync('tshark', ['-r', path, '-T', 'fields', '-E', 'separator=|', ...fields.flatMap(field => ['-e', field])], { encoding: 'utf8' });
    t.same(stdout.trimEnd().split('\n'), [
      '1700000000.123456789|42|42|Größe\\nzwei,ca_unmapped|0x00000001|7|1|red|tenant red',
      '1700000000.123456794|32|21||0x00000002|7||inet|',
      '|42|42|||||red|tenant red',
    ], name);
  }
});
