import t from 'tap';
import { putU16, putU32, u16, u32 } from '../../codecs/bytes.js';
import { addSum, checksum, patchChecksum, patchChecksum32, pseudoSum4, pseudoSum6, sum16 } from '../../codecs/checksum.js';
import { bytes, hex } from '../support/bytes.js';
import { seeded } from '../support/seeded.js';

/** The slow, obvious sum: one word at a time, each carry brought round at once. */
function plainSum(mem: Uint8Array, at: number, end: number, seed = 0): number {
  let sum = seed;
  for (let i = at; i < end; i += 2) {
    sum += mem[i] * 256 + (i + 1 < end ? mem[i + 1] : 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

t.test('RFC 1071 §3: the worked example sums to ddf2', async t => {
  t.equal(sum16(bytes('0001 f203 f4f5 f6f7'), 0, 8), 0xddf2);
  t.equal(checksum(bytes('0001 f203 f4f5 f6f7'), 0, 8), 0x220d);
});

t.test('RFC 1071 §4.1: an odd last byte is padded with zero, wherever the range starts', async t => {
  t.equal(sum16(bytes('01'), 0, 1), 0x0100);
  t.equal(sum16(bytes('ff 0102 03 ff'), 1, 4), 0x0402);
  t.equal(sum16(bytes('01'), 0, 0), 0);
});

t.test('RFC 1071 §2 (B): swapping the bytes of every word swaps those of the sum', async t => {
  t.equal(sum16(bytes('0100 03f2 f5f4 f7f6'), 0, 8), 0xf2dd);
});

t.test('a seed is added before the carries come back round', async t => {
  t.equal(sum16(bytes('0001'), 0, 2, 0xffff), 0x0001);
  t.equal(sum16(bytes('ffff'), 0, 2, 0x1fffe), 0xffff);
});

t.test('the largest packet, all ones, still folds right', async t => {
  t.equal(sum16(new Uint8Array(65535).fill(0xff), 0, 65535), plainSum(new Uint8Array(65535).fill(0xff), 0, 65535));
  t.equal(sum16(new Uint8Array(65536).fill(0xff), 0, 65536, 0xffff), 0xffff);
});

t.test('the sum equals the plain one for random bytes of every length to 300, at any start', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const wrong: string[] = [];
  for (let len = 0; len <= 300; len++) {
    const mem = random.fill(new Uint8Array(len + 8));
    const at = random.below(8);
    const seed = random.below(0x10000);
    const got = sum16(mem, at, at + len, seed);
    if (got !== plainSum(mem, at, at + len, seed)) wrong.push(`${len} bytes from ${at}, seed ${seed}: ${got}`);
  }
  t.same(wrong, []);
});

const patches = [
  ['RFC 1624 §4: 5555 becoming 3285 takes dd2f to 0000, not ffff', 0xdd2f, 0x5555, 0x3285, 0x0000],
  ['RFC 1624 erratum 4782: an unchanged word leaves 0000 alone', 0x0000, 0x5555, 0x5555, 0x0000],
  ['RFC 1624 erratum 5864: a carry that carries again comes round twice', 0x0000, 0x5555, 0x5556, 0xfffe],
  ['an IPv4 header: TTL 64 to 63', 0x064c, 0x4011, 0x3f11, 0x074c],
  ['an IPv4 header: high half of the source', 0x074c, 0x0a00, 0xcb00, 0x464b],
  ['an IPv4 header: low half of the source', 0x464b, 0x0005, 0x7101, 0xd54e],
  ['UDP: high half of the source', 0x58c8, 0x0a00, 0xcb00, 0x97c7],
  ['UDP: low half of the source', 0x97c7, 0x0005, 0x7101, 0x26cb],
  ['UDP: source port', 0x26cb, 0xc738, 0x9c40, 0x51c3],
  ['TCP: MSS 1460 to 1360', 0x3c11, 0x05b4, 0x0550, 0x3c75],
  ['UDP: a port that makes the sum 0000', 0xd507, 0xc738, 0x9c40, 0x0000],
  ['UDP: and back from ffff, as it was sent', 0xffff, 0x9c40, 0xc738, 0xd507],
] as const;
for (const [name, hc, was, is, want] of patches) {
  t.test(name, async t => { t.equal(patchChecksum(hc, was, is), want); });
}

t.test('RFC 1624 §2: 32 bits are two words, in either order', async t => {
  t.equal(patchChecksum32(0x074c, 0x0a000005, 0xcb007101), 0xd54e);
  t.equal(patchChecksum(patchChecksum(0x074c, 0x0005, 0x7101), 0x0a00, 0xcb00), 0xd54e);
});

t.test('RFC 1624: patching equals recomputing, for 10,000 random headers', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const mem = new Uint8Array(20);
  const wrong: string[] = [];
  for (let round = 0; round < 10_000; round++) {
    random.fill(mem);
    mem[0] |= 1; // all zero has no checksum to patch
    putU16(mem, 10, 0);
    let hc = checksum(mem, 0, 20);
    const at = random.below(5) * 2; // 0 to 8, and the next word would be the checksum's
    const is = random.below(4) === 0 ? u16(mem, at) : random.below(0x10000);
    hc = patchChecksum(hc, u16(mem, at), is);
    putU16(mem, at, is);
    const address = random.u32();
    hc = patchChecksum32(hc, u32(mem, 12), address);
    putU32(mem, 12, address);
    if ((mem[0] | mem[1]) !== 0 && hc !== checksum(mem, 0, 20)) wrong.push(`round ${round}: ${hex(mem)}`);
  }
  t.same(wrong, []);
});

t.test('RFC 1624 §3: a wrong checksum stays wrong by as much', async t => {
  const mem = bytes('4500 0020 0002 4000 4011 064d 0a000005 c6336407'); // right would be 064c
  t.not(sum16(mem, 0, 20), 0xffff);
  putU16(mem, 10, patchChecksum(u16(mem, 10), 0x4011, 0x3f11));
  putU16(mem, 8, 0x3f11);
  t.equal(u16(mem, 10), 0x074d);
});

t.test('sums add with the carry brought round', async t => {
  t.equal(addSum(0xffff, 0x0001), 0x0001);
  t.equal(addSum(0xfffe, 0x0001), 0xffff);
});

t.test('RFC 768: the pseudo-header from numbers is that from bytes', async t => {
  const mem = bytes('cb007101 c6336407 00 11 000c');
  t.equal(pseudoSum4(0xcb007101, 0xc6336407, 17, 12), sum16(mem, 0, 12));
  t.equal(pseudoSum4(0xffffffff, 0xffffffff, 255, 65535), plainSum(bytes('ffffffff ffffffff 00ff ffff'), 0, 12));
});

t.test('RFC 8200 §8.1: the pseudo-header has a 32-bit length and the addresses of the fixed header', async t => {
  const ip = bytes('60000000 000a 11 40 20010db8000100000000000000000005 20010db8000200000000000000000007');
  const pseudo = bytes('20010db8000100000000000000000005 20010db8000200000000000000000007 0001000a 00000011');
  t.equal(pseudoSum6(ip, 0, 17, 0x1000a), sum16(pseudo, 0, 40));
});
