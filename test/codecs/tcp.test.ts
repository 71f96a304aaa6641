import t from 'tap';
import { Fault } from '../../codecs/faults.js';
import {
  checkTcp, clampMss, fillTcpChecksum4, fillTcpChecksum6, findMss, patchTcp32, setTcpDstPort, setTcpSrcPort,
  tcpAck, tcpChecksum, tcpChecksumOk4, tcpChecksumOk6, tcpDstPort, TcpFlag, tcpFlags, tcpHeaderLen, tcpSeq, tcpSrcPort,
  tcpWindow, writeTcp,
} from '../../codecs/tcp.js';
import { writeIpv6 } from '../../codecs/ipv6.js';
import { bytes, hex } from '../support/bytes.js';
import { seeded } from '../support/seeded.js';
import { vector } from './vectors.js';

const SRC = 0x0a000005;
const DST = 0xc6336407;

t.test('RFC 9293 §3.1: every field reads as it is written', async t => {
  const mem = bytes('1388 0050 fedcba98 89abcdef 60 d2 faf0 1234 0000 02040218');
  t.equal(checkTcp(mem, 0, 24), 0);
  t.equal(tcpSrcPort(mem, 0), 5000);
  t.equal(tcpDstPort(mem, 0), 80);
  t.equal(tcpSeq(mem, 0), 0xfedcba98);
  t.equal(tcpAck(mem, 0), 0x89abcdef);
  t.equal(tcpHeaderLen(mem, 0), 24);
  t.equal(tcpFlags(mem, 0), TcpFlag.syn | TcpFlag.ack | 0x40 | 0x80);
  t.equal(tcpWindow(mem, 0), 64240);
  t.equal(tcpChecksum(mem, 0), 0x1234);
});

t.test('RFC 9293 §3.1: a data offset below 5 is refused, one past the segment is a header cut short', async t => {
  const mem = vector('syn-mss-1460').slice(20);
  for (let words = 0; words <= 15; words++) {
    mem[12] = words << 4;
    t.equal(checkTcp(mem, 0, 28), words < 5 ? Fault.tcp_data_offset : words > 7 ? Fault.tcp_truncated : 0, `${words} words`);
  }
});

t.test('RFC 9293 §3.7.1: 1460 clamped to 1360 is the segment of the vector, byte for byte', async t => {
  const mem = vector('syn-mss-1460');
  t.equal(tcpChecksumOk4(mem, 20, 48, SRC, DST), true);
  t.equal(findMss(mem, 20), 1460);
  t.equal(clampMss(mem, 20, 1360), true);
  t.equal(hex(mem), hex(vector('syn-mss-1360')));
  t.equal(findMss(mem, 20), 1360);
});

t.test('a clamp never raises, and leaves an equal value alone', async t => {
  for (const max of [1460, 1461, 65535]) {
    const mem = vector('syn-mss-1460');
    t.equal(clampMss(mem, 20, max), false);
    t.equal(hex(mem), hex(vector('syn-mss-1460')));
  }
});

const CUT = 'left alone';
const lists = [
  // options (4 to 16 bytes), what findMss says, options after a clamp to 1360
  ['at an even offset', '020405b4', 1460, '02040550'],
  ['at an odd offset: the value lies across two words', '01 020405b4 010100', 1460, '01 02040550 010100'],
  ['behind a window scale', '030307 020405b4 00', 1460, '030307 02040550 00'],
  ['behind SACK permitted, timestamps', '0402 080a0000000100000000 020405b4', 1460, '0402 080a0000000100000000 02040550'],
  ['twice: the first is told, both are lowered', '020405b4 020405dc', 1460, '02040550 02040550'],
  ['twice, the second at an odd offset', '02040550 01 020405dc 000000', 1360, '02040550 01 02040550 000000'],
  ['none among others', '0402 0101', -1, CUT],
  ['none, no options', '', -1, CUT],
  ['behind the end of the list', '00 020405b4 000000', -1, CUT],
  ['with a length of 3', '020305 00', -1, CUT],
  ['with a length of 5', '020505b400 000000', -1, CUT],
  ['cut off by the header', '01 01 02 04', -1, CUT],
  ['before an option of length 0', '020405b4 0300 0000', -1, CUT],
  ['before an option of length 1', '020405b4 0301 0000', -1, CUT],
  ['before an option that runs past the header', '020405b4 0809 0000', -1, CUT],
  ['before a type without room for its length', '020405b4 01010108', -1, CUT],
] as const;
for (const [name, list, mss, after] of lists) {
  t.test(`RFC 9293 §3.1: an MSS ${name}`, async t => {
    const options = bytes(list);
    const mem = new Uint8Array(20 + options.length + 1).fill(0xa5);
    const end = mem.length - 1;
    writeTcp(mem, 0, 5000, 80, 1, 0, TcpFlag.syn, 64240, 0);
    mem[12] = end << 2;
    mem.set(options, 20);
    fillTcpChecksum4(mem, 0, end, SRC, DST);
    const before = hex(mem);

    t.equal(findMss(mem, 0), mss);
    t.equal(clampMss(mem, 0, 1360), after !== CUT);
    if (after === CUT) t.equal(hex(mem), before);
    else t.equal(hex(mem, 20, end), hex(bytes(after)));
    t.equal(tcpChecksumOk4(mem, 0, end, SRC, DST), true);
    t.equal(mem[end], 0xa5);
  });
}

t.test('RFC 1624: patching equals recomputing, for 10,000 random segments', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const wrong: string[] = [];
  for (let round = 0; round < 10_000; round++) {
    const mem = random.fill(new Uint8Array(24 + random.below(40)));
    const [src, dst, newSrc] = [random.u32(), random.u32(), random.u32()];
    writeTcp(mem, 0, random.below(0x10000), random.below(0x10000), random.u32(), random.u32(), TcpFlag.syn, random.below(0x10000), 1 + random.below(0xffff));
    fillTcpChecksum4(mem, 0, mem.length, src, dst);
    setTcpSrcPort(mem, 0, random.below(0x10000));
    setTcpDstPort(mem, 0, random.below(0x10000));
    clampMss(mem, 0, 1 + random.below(0xffff));
    patchTcp32(mem, 0, src, newSrc);
    const patched = tcpChecksum(mem, 0);
    fillTcpChecksum4(mem, 0, mem.length, newSrc, dst);
    if (tcpChecksum(mem, 0) !== patched) wrong.push(`round ${round}: ${hex(mem)}`);
  }
  t.same(wrong, []);
});

t.test('TCP has no value that means no checksum: 0000 and ffff are both right', async t => {
  const mem = new Uint8Array(20);
  writeTcp(mem, 0, 0, 80, 0, 0, TcpFlag.ack, 0, 0);
  fillTcpChecksum4(mem, 0, 20, SRC, DST);
  setTcpSrcPort(mem, 0, tcpChecksum(mem, 0)); // what was missing to ffff is now in the port
  t.equal(tcpChecksum(mem, 0), 0x0000);
  t.equal(tcpChecksumOk4(mem, 0, 20, SRC, DST), true);
  mem[16] = 0xff;
  mem[17] = 0xff;
  t.equal(tcpChecksumOk4(mem, 0, 20, SRC, DST), true);
});

t.test('over IPv6 the checksum covers the other pseudo-header', async t => {
  const mem = new Uint8Array(63).fill(0xa5);
  const addresses = bytes('20010db8000100000000000000000005 20010db8000200000000000000000007');
  writeIpv6(mem, 0, 23, 6, 64, addresses, 0, addresses, 16);
  writeTcp(mem, 40, 5000, 80, 1, 2, TcpFlag.psh | TcpFlag.ack, 512, 0);
  fillTcpChecksum6(mem, 40, 63, 0);
  t.equal(tcpChecksumOk6(mem, 40, 63, 0), true);
  mem[23] ^= 1;
  t.equal(tcpChecksumOk6(mem, 40, 63, 0), false);
});

t.test('what we write reads back, over dirty memory', async t => {
  const mem = new Uint8Array(28).fill(0xa5);
  t.equal(writeTcp(mem, 2, 5000, 80, 0x01020304, 0xf0f1f2f3, TcpFlag.syn | TcpFlag.ack, 64240, 1460), 24);
  t.equal(hex(mem), 'a5a51388005001020304f0f1f2f36012faf000000000020405b4a5a5');
  t.equal(checkTcp(mem, 2, 26), 0);
  t.equal(findMss(mem, 2), 1460);

  mem.fill(0xa5);
  t.equal(writeTcp(mem, 2, 5000, 80, 1, 0, TcpFlag.rst, 0, 0), 20);
  t.equal(hex(mem), 'a5a51388005000000001000000005004000000000000a5a5a5a5a5a5');
  t.equal(findMss(mem, 2), -1);
});
