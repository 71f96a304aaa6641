import t from 'tap';
import { pseudoSum4, sum16, addSum } from '../../codecs/checksum.js';
import { Fault } from '../../codecs/faults.js';
import {
  checkUdp, checkUdpFragment, fillUdpChecksum4, fillUdpChecksum6, patchUdp, patchUdp32, setUdpDstPort, setUdpSrcPort,
  udpChecksum, udpChecksumOk4, udpChecksumOk6, udpDstPort, udpLen, udpSrcPort, writeUdp,
} from '../../codecs/udp.js';
import { bytes, hex } from '../support/bytes.js';
import { seeded } from '../support/seeded.js';
import { vector } from './vectors.js';

const INSIDE = 0x0a000005;
const OUTSIDE = 0xcb007101;
const REMOTE = 0xc6336407;

t.test('RFC 768: every field reads as it is written', async t => {
  const mem = vector('nat-udp-inside');
  t.equal(checkUdp(mem, 20, mem.length), 0);
  t.equal(udpSrcPort(mem, 20), 51000);
  t.equal(udpDstPort(mem, 20), 9999);
  t.equal(udpLen(mem, 20), 12);
  t.equal(udpChecksum(mem, 20), 0x58c8);
});

const lengths = [
  ['the length of the room', '0001 0002 000a 0000 6869', 0],
  ['less than the room: what follows is not UDP', '0001 0002 0008 0000 6869', 0],
  ['more than the room', '0001 0002 000b 0000 6869', Fault.udp_length],
  ['7', '0001 0002 0007 0000 6869', Fault.udp_length],
  ['0, a jumbogram', '0001 0002 0000 0000 6869', Fault.udp_length],
] as const;
for (const [name, datagram, want] of lengths) {
  t.test(`RFC 768: a length that is ${name}`, async t => { t.equal(checkUdp(bytes(datagram), 0, 10), want); });
}

t.test('a first fragment may announce more than it holds, but never less than a header', async t => {
  const mem = vector('fragment-first');
  t.equal(checkUdp(mem, 20, mem.length), Fault.udp_length);
  t.equal(checkUdpFragment(mem, 20, mem.length), 0);
  t.equal(checkUdpFragment(bytes('0001 0002 0007 0000'), 0, 8), Fault.udp_length);
});

t.test('RFC 3022: address and port patched, the datagram is that of the vector, byte for byte', async t => {
  const mem = vector('nat-udp-inside');
  patchUdp32(mem, 20, INSIDE, OUTSIDE);
  t.equal(udpChecksum(mem, 20), 0x26cb);
  setUdpSrcPort(mem, 20, 40000);
  t.equal(udpChecksum(mem, 20), 0x51c3);
  t.equal(hex(mem, 20), hex(vector('nat-udp-outside'), 20));
});

t.test('RFC 768: a sum that comes to 0 is sent as ffff, and taken from there', async t => {
  const mem = bytes('c738 270f 000a 0000 084b');
  fillUdpChecksum4(mem, 0, INSIDE, REMOTE);
  t.equal(udpChecksum(mem, 0), 0xd507);
  setUdpSrcPort(mem, 0, 40000);
  t.equal(udpChecksum(mem, 0), 0xffff);
  t.equal(udpChecksumOk4(mem, 0, INSIDE, REMOTE), true);
  setUdpSrcPort(mem, 0, 51000);
  t.equal(udpChecksum(mem, 0), 0xd507);

  const filled = bytes('9c40 270f 000a 1234 084b');
  fillUdpChecksum4(filled, 0, INSIDE, REMOTE);
  t.equal(udpChecksum(filled, 0), 0xffff);
});

t.test('RFC 768: no checksum stays none, whatever is translated', async t => {
  const mem = bytes('c738 270f 000a 0000 084b');
  setUdpSrcPort(mem, 0, 40000);
  setUdpDstPort(mem, 0, 7);
  patchUdp(mem, 0, 1, 2);
  patchUdp32(mem, 0, INSIDE, OUTSIDE);
  t.equal(hex(mem), '9c400007000a0000084b');
  t.equal(udpChecksumOk4(mem, 0, INSIDE, REMOTE), true, 'over IPv4 that is allowed');
});

t.test('RFC 8200 §8.1: over IPv6 a datagram must have a checksum', async t => {
  const mem = vector('nvgre-udp-over-ipv6');
  t.equal(udpChecksumOk6(mem, 40, 0), true);
  mem[46] = 0;
  mem[47] = 0;
  t.equal(udpChecksumOk6(mem, 40, 0), false);
  fillUdpChecksum6(mem, 40, 0);
  t.equal(udpChecksum(mem, 40), 0x1369);
});

t.test('a wrong checksum is seen, over both families', async t => {
  const mem = vector('nat-udp-inside');
  t.equal(udpChecksumOk4(mem, 20, INSIDE, REMOTE), true);
  mem[31] ^= 1;
  t.equal(udpChecksumOk4(mem, 20, INSIDE, REMOTE), false);
  const mem6 = vector('vxlan-udp-over-ipv6');
  t.equal(udpChecksumOk6(mem6, 40, 0), true);
  mem6[99] ^= 1;
  t.equal(udpChecksumOk6(mem6, 40, 0), false);
});

t.test('RFC 1624: patching equals recomputing, for 10,000 random datagrams', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const wrong: string[] = [];
  for (let round = 0; round < 10_000; round++) {
    const mem = random.fill(new Uint8Array(8 + random.below(40)));
    const [src, dst, newSrc] = [random.u32(), random.u32(), random.u32()];
    writeUdp(mem, 0, random.below(0x10000), random.below(0x10000), mem.length);
    fillUdpChecksum4(mem, 0, src, dst);
    setUdpSrcPort(mem, 0, random.below(0x10000));
    setUdpDstPort(mem, 0, random.below(0x10000));
    patchUdp32(mem, 0, src, newSrc);
    const patched = udpChecksum(mem, 0);
    fillUdpChecksum4(mem, 0, newSrc, dst);
    if (udpChecksum(mem, 0) !== patched || patched === 0) wrong.push(`round ${round}: ${hex(mem)}`);
  }
  t.same(wrong, []);
});

t.test('what we write reads back, over dirty memory', async t => {
  const mem = new Uint8Array(12).fill(0xa5);
  t.equal(writeUdp(mem, 2, 49443, 4754, 10), 8);
  t.equal(hex(mem), 'a5a5c1231292000a0000a5a5');
  fillUdpChecksum4(mem, 2, 0xc000020a, 0xc0000214);
  t.equal(addSum(sum16(mem, 2, 12), pseudoSum4(0xc000020a, 0xc0000214, 17, 10)), 0xffff);
});
