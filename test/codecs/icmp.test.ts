import t from 'tap';
import { u16, u32 } from '../../codecs/bytes.js';
import { Fault } from '../../codecs/faults.js';
import {
  checkIcmp, checkIcmpLen, fillIcmpChecksum, icmpChecksum, icmpCode, icmpId, icmpQuoteEnd, icmpSeq, icmpType, IcmpType,
  isIcmpError, patchIcmp, patchIcmp32, setIcmpId, setIcmpType, writeIcmpHeader,
} from '../../codecs/icmp.js';
import { ipv4Checksum, ipv4Dst, ipv4Src, setIpv4Dst, setIpv4Src, setIpv4Ttl, writeIpv4 } from '../../codecs/ipv4.js';
import { patchUdp32, setUdpSrcPort, UDP_CHECKSUM, UDP_SRC_PORT, udpChecksum, udpSrcPort } from '../../codecs/udp.js';
import { bytes, hex } from '../support/bytes.js';
import { seeded } from '../support/seeded.js';
import { vector } from './vectors.js';

t.test('RFC 792: every field reads as it is written', async t => {
  const mem = vector('nat-echo-inside');
  t.equal(checkIcmp(mem, 20, mem.length), 0);
  t.equal(icmpType(mem, 20), IcmpType.echo);
  t.equal(icmpCode(mem, 20), 0);
  t.equal(icmpChecksum(mem, 20), 0x2104);
  t.equal(icmpId(mem, 20), 0x1234);
  t.equal(icmpSeq(mem, 20), 1);
});

t.test('RFC 5508 §3.1: an echo with a new id is the vector, byte for byte', async t => {
  const mem = vector('nat-echo-inside');
  setIcmpId(mem, 20, 40001);
  t.equal(hex(mem, 20), hex(vector('nat-echo-outside'), 20));
});

t.test('RFC 792: an echo becomes its reply, and the checksum follows', async t => {
  const mem = vector('nat-echo-inside');
  setIcmpType(mem, 20, IcmpType.echoReply);
  t.equal(icmpType(mem, 20), IcmpType.echoReply);
  t.equal(checkIcmp(mem, 20, mem.length), 0);
});

const zeros = [
  ['no data', 8], ['data of zeros', 64], ['an odd byte of it', 9],
] as const;
for (const [name, len] of zeros) {
  t.test(`an echo reply that is zero all through has checksum ffff, as if computed: ${name}`, async t => {
    const mem = new Uint8Array(len);
    writeIcmpHeader(mem, 0, IcmpType.echo, 0, 0);
    fillIcmpChecksum(mem, 0, len);
    setIcmpType(mem, 0, IcmpType.echoReply);
    t.equal(icmpChecksum(mem, 0), 0xffff);
    t.equal(checkIcmp(mem, 0, len), 0);
    setIcmpId(mem, 0, 7);
    t.equal(checkIcmp(mem, 0, len), 0);
    setIcmpId(mem, 0, 0);
    t.equal(icmpChecksum(mem, 0), 0xffff);
  });
}

t.test('an echo reply whose data sums to zero is right with ffff as well', async t => {
  const mem = bytes('0800 0000 0000 0000 8000 7fff');
  fillIcmpChecksum(mem, 0, 12);
  setIcmpType(mem, 0, IcmpType.echoReply);
  t.equal(checkIcmp(mem, 0, 12), 0);
});

t.test('any single wrong bit is icmp_checksum, save in a first fragment, which cannot tell', async t => {
  for (let bit = 0; bit < 96; bit++) {
    const mem = vector('nat-echo-inside').slice(20);
    mem[bit >> 3] ^= 0x80 >> (bit & 7);
    t.equal(checkIcmp(mem, 0, 12), Fault.icmp_checksum, `bit ${bit}`);
    t.equal(checkIcmpLen(mem, 0, 12), 0);
  }
});

t.test('RFC 1122 §3.2.2: five types are errors', async t => {
  const errors = Array.from({ length: 256 }, (_, type) => type).filter(isIcmpError);
  t.same(errors, [3, 4, 5, 11, 12]);
});

t.test('RFC 1191 §4: what we write about a packet too big is the vector, byte for byte', async t => {
  const want = vector('icmp-frag-needed');
  const mem = new Uint8Array(58).fill(0xa5);
  mem.set(want.slice(28), 29);
  t.equal(writeIpv4(mem, 1, 56, 0, false, 64, 1, 0x0a000001, 0x0a000005), 20);
  t.equal(writeIcmpHeader(mem, 21, IcmpType.unreachable, 4, 1400), 8);
  fillIcmpChecksum(mem, 21, 57);
  t.equal(hex(mem), `a5${hex(want)}a5`);
  t.equal(icmpSeq(mem, 21), 1400, 'the next hop MTU');
});

t.test('RFC 792: what we write about a packet too old is the vector, byte for byte', async t => {
  const want = vector('icmp-time-exceeded');
  const mem = want.slice().fill(0xa5, 0, 28);
  writeIpv4(mem, 0, 56, 0, false, 64, 1, 0x0a000001, 0x0a000005);
  writeIcmpHeader(mem, 20, IcmpType.timeExceeded, 0, 0);
  fillIcmpChecksum(mem, 20, 56);
  t.equal(hex(mem), hex(want));
});

t.test('RFC 5508 §4.2: an error translated word by word is the vector, byte for byte', async t => {
  const mem = vector('icmp-error-outside');
  const icmp = 20;
  const quote = 28;
  const udp = 48;
  t.equal(checkIcmp(mem, icmp, mem.length), 0);

  setIpv4Ttl(mem, 0, 56);
  setIpv4Dst(mem, 0, 0x0a000005);

  // Inside the message each change is a change of the message, so its checksum is patched for it too.
  const was = { src: ipv4Src(mem, quote), sum: ipv4Checksum(mem, quote), port: udpSrcPort(mem, udp), udpSum: udpChecksum(mem, udp) };
  setIpv4Src(mem, quote, 0x0a000005);
  patchUdp32(mem, udp, was.src, 0x0a000005);
  setUdpSrcPort(mem, udp, 51000);
  patchIcmp32(mem, icmp, was.src, ipv4Src(mem, quote));
  patchIcmp(mem, icmp, was.sum, ipv4Checksum(mem, quote));
  patchIcmp(mem, icmp, was.port, u16(mem, udp + UDP_SRC_PORT));
  patchIcmp(mem, icmp, was.udpSum, u16(mem, udp + UDP_CHECKSUM));

  t.equal(hex(mem), hex(vector('icmp-error-inside')));
  t.equal(ipv4Dst(mem, 0), 0x0a000005);
  t.equal(checkIcmp(mem, icmp, mem.length), 0);
});

const quotes = [
  // type, length byte, bytes of the message, where the quote ends
  ['without a length it is all the rest', 3, 0, 200, 200],
  ['RFC 4884 §4.1: a length in units of 4 bytes', 3, 32, 200, 136],
  ['RFC 4884 §4.2: in a time exceeded as well', 11, 33, 200, 140],
  ['RFC 4884 §4.3: and in a parameter problem', 12, 32, 200, 136],
  ['a length of exactly what is there', 3, 48, 200, 200],
  ['RFC 4884 §3: a length below 128 bytes is not believed', 3, 31, 200, 200],
  ['nor one past the end', 3, 49, 200, 200],
  ['a redirect has a gateway there, not a length', 5, 32, 200, 200],
  ['a source quench has nothing there', 4, 32, 200, 200],
] as const;
for (const [name, type, words, len, want] of quotes) {
  t.test(`where a quoted packet ends: ${name}`, async t => {
    const mem = new Uint8Array(len + 10);
    writeIcmpHeader(mem, 5, type, 0, words << 16);
    t.equal(icmpQuoteEnd(mem, 5, 5 + len), 5 + want);
  });
}

t.test('RFC 1624: patching equals recomputing, for 10,000 random messages', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const wrong: string[] = [];
  for (let round = 0; round < 10_000; round++) {
    const mem = random.fill(new Uint8Array(16 + random.below(40)));
    fillIcmpChecksum(mem, 0, mem.length);
    setIcmpId(mem, 0, random.below(0x10000));
    setIcmpType(mem, 0, 1 + random.below(255));
    const was = u32(mem, 8);
    random.fill(mem.subarray(8, 12));
    patchIcmp32(mem, 0, was, u32(mem, 8));
    const patched = icmpChecksum(mem, 0);
    fillIcmpChecksum(mem, 0, mem.length);
    if (icmpChecksum(mem, 0) !== patched) wrong.push(`round ${round}: ${hex(mem)}`);
  }
  t.same(wrong, []);
});
