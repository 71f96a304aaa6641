import t from 'tap';
import { Fault } from '../../codecs/faults.js';
import {
  badIpv4Destination, badIpv4Source, checkIpv4, checkQuotedIpv4, ipv4Checksum, ipv4ChecksumOk, ipv4DontFragment, ipv4Dst,
  ipv4FragmentOffset, ipv4HeaderLen, ipv4Id, ipv4MoreFragments, ipv4Protocol, ipv4Src, ipv4TosByte, ipv4TotalLen, ipv4Ttl,
  isIpv4Multicast, recomputeIpv4Checksum, setIpv4Dst, setIpv4Fragment, setIpv4Id, setIpv4Src, setIpv4TotalLen, setIpv4Ttl,
  writeIpv4,
} from '../../codecs/ipv4.js';
import { bytes, hex } from '../support/bytes.js';
import { seeded } from '../support/seeded.js';
import { vector } from './vectors.js';

/** A header with these bytes, its checksum filled, and a payload to its total length. */
function packet(header: string, payloadLen: number): Uint8Array {
  const start = bytes(header);
  const mem = new Uint8Array(start.length + payloadLen);
  mem.set(start);
  recomputeIpv4Checksum(mem, 0);
  return mem;
}

t.test('RFC 791 §3.1: every field reads as it is written', async t => {
  const mem = packet('45b9 0020 1234 6003 4011 0000 0a000005 c6336407', 12);
  t.equal(checkIpv4(mem, 0, 32), 0);
  t.equal(ipv4HeaderLen(mem, 0), 20);
  t.equal(ipv4TosByte(mem, 0), 0xb9);
  t.equal(ipv4TotalLen(mem, 0), 32);
  t.equal(ipv4Id(mem, 0), 0x1234);
  t.equal(ipv4DontFragment(mem, 0), true);
  t.equal(ipv4MoreFragments(mem, 0), true);
  t.equal(ipv4FragmentOffset(mem, 0), 24);
  t.equal(ipv4Ttl(mem, 0), 64);
  t.equal(ipv4Protocol(mem, 0), 17);
  t.equal(ipv4Src(mem, 0), 0x0a000005);
  t.equal(ipv4Dst(mem, 0), 0xc6336407);
});

const refused = [
  ['version 6', '65000014 00000000 40110000 0a000005 c6336407', Fault.ipv4_version],
  ['version 0', '05000014 00000000 40110000 0a000005 c6336407', Fault.ipv4_version],
  ['a header of 16 bytes', '44000014 00000000 40110000 0a000005 c6336407', Fault.ipv4_header_length],
  ['a header of 24 bytes where 20 are', '46000018 00000000 40110000 0a000005 c6336407', Fault.ipv4_truncated],
  ['a total length of 19', '45000013 00000000 40110000 0a000005 c6336407', Fault.ipv4_total_length],
  ['a total length of 0, as segmentation offload leaves it', '45000000 00000000 40110000 0a000005 c6336407', Fault.ipv4_total_length],
  ['a total length past the frame', '45000015 00000000 40110000 0a000005 c6336407', Fault.ipv4_total_length],
] as const;
for (const [name, header, want] of refused) {
  t.test(`RFC 1812 §5.2.2: refused: ${name}`, async t => {
    const mem = bytes(header);
    if (want !== Fault.ipv4_truncated) recomputeIpv4Checksum(mem, 0);
    t.equal(checkIpv4(mem, 0, mem.length), want);
  });
}

t.test('RFC 1812 §5.2.2: any single wrong bit of the header is refused', async t => {
  for (let bit = 0; bit < 160; bit++) {
    const mem = vector('nat-udp-inside');
    mem[bit >> 3] ^= 0x80 >> (bit & 7);
    t.not(checkIpv4(mem, 0, mem.length), 0, `bit ${bit}`);
  }
  const mem = vector('nat-udp-inside');
  mem[11] ^= 1;
  t.equal(checkIpv4(mem, 0, mem.length), Fault.ipv4_checksum);
});

t.test('link padding behind the total length is fine', async t => {
  t.equal(checkIpv4(packet('45000014 00000000 40110000 0a000005 c6336407', 26), 0, 46), 0);
});

t.test('RFC 791 §3.1: the reserved flag is carried, not judged', async t => {
  const mem = packet('45000014 00008000 40110000 0a000005 c6336407', 0);
  t.equal(checkIpv4(mem, 0, 20), 0);
  setIpv4Fragment(mem, 0, 16, false, false);
  t.equal(hex(mem, 6, 8), '8002');
});

const HEADER = { 4: '46000018', 8: '4700001c', 12: '48000020', 40: '4f00003c' } as const;
const options = [
  ['no-ops to the end', 4, '01010101', 0],
  ['an end, and anything after it', 8, '00 ff 83 01 ff ff ff ff', 0],
  ['record route, RFC 791', 8, '07 07 04 00000000 00', 0],
  ['router alert, RFC 2113', 4, '94 04 0000', 0],
  ['40 bytes of record route', 40, `07 27 04 ${'00'.repeat(36)} 00`, 0],
  ['an option as long as the room', 4, '44 04 0500', 0],
  ['a length of 0', 4, '07 00 0000', Fault.ipv4_options],
  ['a length of 1', 4, '07 01 0000', Fault.ipv4_options],
  ['a length one past the header', 4, '07 05 0400', Fault.ipv4_options],
  ['a type with no room for its length', 4, '01 01 01 07', Fault.ipv4_options],
  ['RFC 7126 §4.3: a loose source route', 8, '83 07 04 0a000001 00', Fault.ipv4_source_route],
  ['RFC 7126 §4.4: a strict source route, behind no-ops', 12, '01 01 01 89 07 04 0a000001 0000', Fault.ipv4_source_route],
  ['a source route that runs past the header is malformed first', 8, '83 09 04 0a000001 00', Fault.ipv4_options],
] as const;
for (const [name, len, list, want] of options) {
  t.test(`options: ${name}`, async t => {
    const mem = packet(`${HEADER[len]} 00000000 40110000 0a000005 c6336407 ${list}`, 0);
    t.equal(ipv4HeaderLen(mem, 0), 20 + len);
    t.equal(checkIpv4(mem, 0, mem.length), want);
  });
}

t.test('RFC 792: a quoted packet is cut short, and its header is enough', async t => {
  const mem = vector('icmp-frag-needed').slice(28); // 20 and 8 bytes of a packet of 1,500
  t.equal(checkIpv4(mem, 0, mem.length), Fault.ipv4_total_length);
  t.equal(checkQuotedIpv4(mem, 0, mem.length), 0);
  t.equal(ipv4ChecksumOk(mem, 0), true);
  mem[3] -= 8; // what Linux does to a packet it quotes from a UDP tunnel
  t.equal(checkQuotedIpv4(mem, 0, mem.length), 0);
  t.equal(ipv4ChecksumOk(mem, 0), false);
});

t.test('the vectors are sound, and a translation by setters gives the other byte for byte', async t => {
  const mem = vector('nat-udp-inside');
  t.equal(checkIpv4(mem, 0, mem.length), 0);
  t.equal(ipv4Checksum(mem, 0), 0x064c);
  setIpv4Ttl(mem, 0, 63);
  t.equal(ipv4Checksum(mem, 0), 0x074c);
  setIpv4Src(mem, 0, 0xcb007101);
  t.equal(hex(mem, 0, 20), hex(vector('nat-udp-outside'), 0, 20));
});

t.test('setters patch what recomputing gives, for 10,000 random headers', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const wrong: string[] = [];
  const mem = new Uint8Array(60);
  for (let round = 0; round < 10_000; round++) {
    random.fill(mem);
    mem[0] = 0x45 + random.below(11);
    recomputeIpv4Checksum(mem, 0);
    setIpv4Src(mem, 0, random.u32());
    setIpv4Dst(mem, 0, random.u32());
    setIpv4Ttl(mem, 0, random.below(256));
    setIpv4TotalLen(mem, 0, random.below(0x10000));
    setIpv4Id(mem, 0, random.below(0x10000));
    setIpv4Fragment(mem, 0, random.below(0x2000) * 8, random.below(2) === 1, random.below(2) === 1);
    const patched = ipv4Checksum(mem, 0);
    recomputeIpv4Checksum(mem, 0);
    if (ipv4Checksum(mem, 0) !== patched || !ipv4ChecksumOk(mem, 0)) wrong.push(`round ${round}: ${hex(mem)}`);
  }
  t.same(wrong, []);
});

t.test('each setter changes its field and the checksum, nothing else', async t => {
  const set = [
    [setIpv4Src, ipv4Src, 0xfffefdfc], [setIpv4Dst, ipv4Dst, 0xfffefdfc], [setIpv4Ttl, ipv4Ttl, 255],
    [setIpv4TotalLen, ipv4TotalLen, 65535], [setIpv4Id, ipv4Id, 65535],
  ] as const;
  for (const [setter, getter, value] of set) {
    const mem = vector('nat-udp-inside');
    const was = getter(mem, 0);
    setter(mem, 0, value);
    t.equal(getter(mem, 0), value, setter.name);
    t.equal(ipv4ChecksumOk(mem, 0), true, setter.name);
    setter(mem, 0, was);
    t.equal(hex(mem), hex(vector('nat-udp-inside')), `${setter.name} and back`);
  }
});

t.test('RFC 791 §3.2: fragments made by setters are those of the vectors', async t => {
  for (const [name, offset, more] of [['fragment-first', 0, true], ['fragment-last', 24, false]] as const) {
    const want = vector(name);
    const mem = new Uint8Array(20);
    writeIpv4(mem, 0, 64, 8, false, 64, 17, 0x0a000005, 0xc6336407);
    setIpv4Fragment(mem, 0, offset, more, false);
    setIpv4TotalLen(mem, 0, want.length);
    t.equal(hex(mem), hex(want, 0, 20), name);
    t.equal(checkIpv4(want, 0, want.length), 0);
    t.equal(ipv4FragmentOffset(want, 0), offset);
    t.equal(ipv4MoreFragments(want, 0), more);
  }
});

t.test('what we write reads back, over dirty memory', async t => {
  const mem = new Uint8Array(24).fill(0xa5);
  t.equal(writeIpv4(mem, 2, 78, 0x1234, true, 64, 17, 0xc000020a, 0xc0000214), 20);
  t.equal(hex(mem), `a5a5${hex(vector('nvgre-arp'), 0, 20)}a5a5`);
  writeIpv4(mem, 2, 20, 7, false, 1, 1, 0x0a000001, 0xffffffff);
  t.equal(ipv4DontFragment(mem, 2), false);
  t.equal(checkIpv4(mem, 2, 22), 0);
});

const addresses = [
  // address, bad source, bad destination, multicast
  [0x00000000, true, true, false], [0x00ffffff, true, true, false], [0x01000000, false, false, false],
  [0x0a000005, false, false, false], [0x7effffff, false, false, false], [0x7f000001, true, true, false],
  [0x80000000, false, false, false], [0xa9fe0001, false, false, false], [0xdfffffff, false, false, false],
  [0xe0000001, true, false, true], [0xefffffff, true, false, true],
  [0xf0000000, true, true, false], [0xfffffffe, true, true, false], [0xffffffff, true, false, false],
] as const;
t.test('RFC 1812 §5.3.7: addresses that no packet may come from or go to', async t => {
  for (const [addr, badSource, badDestination, multicast] of addresses) {
    const name = addr.toString(16);
    t.equal(badIpv4Source(addr), badSource, `${name} as source`);
    t.equal(badIpv4Destination(addr), badDestination, `${name} as destination`);
    t.equal(isIpv4Multicast(addr), multicast, `${name} as group`);
  }
});
