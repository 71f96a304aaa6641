import t from 'tap';
import { Fault } from '../../codecs/faults.js';
import { greChecksumOk, GreView, parseGre, writeGre, writeGreFull } from '../../codecs/gre.js';
import { bytes, hex } from '../support/bytes.js';
import { seeded } from '../support/seeded.js';
import { vector } from './vectors.js';

const view = new GreView();

const accepted = [
  ['RFC 2784 §2.1: no options', '0000 0800', { headerLen: 4, protocol: 0x0800, key: -1, sequence: -1, flags: 0 }],
  ['RFC 2784 §2.3: bits 6 to 12 are ignored', '03f8 0800', { headerLen: 4, protocol: 0x0800, key: -1, flags: 0x03f8 }],
  ['RFC 2784 §2.3: bit 6 alone', '0200 0800', { headerLen: 4, protocol: 0x0800, key: -1 }],
  ['RFC 2890 §2.1: a key', '2000 6558 00138942', { headerLen: 8, protocol: 0x6558, key: 0x00138942, sequence: -1 }],
  ['RFC 2890 §2.1: key 0 is a key', '2000 0800 00000000', { headerLen: 8, key: 0 }],
  ['RFC 2890 §2.1: a key is unsigned', '2000 0800 ffffffff', { headerLen: 8, key: 0xffffffff }],
  ['RFC 2890 §2.2: a sequence number alone', '1000 88be 00000007', { headerLen: 8, protocol: 0x88be, key: -1, sequence: 7 }],
  ['checksum alone: what follows is no key', '8000 0800 1234 0000', { headerLen: 8, key: -1, sequence: -1 }],
  ['checksum and key', 'a000 0800 1234 0000 0050012a', { headerLen: 12, key: 0x0050012a, sequence: -1 }],
  ['checksum and sequence number', '9000 0800 1234 0000 fffffffe', { headerLen: 12, key: -1, sequence: 0xfffffffe }],
  ['key and sequence number', '3000 0800 cafebabe 00000007', { headerLen: 12, key: 0xcafebabe, sequence: 7 }],
  ['all three, in the order of RFC 2890 §2', 'b000 0800 1234 0000 0050012a 00000007', { headerLen: 16, protocol: 0x0800, key: 0x0050012a, sequence: 7 }],
] as const;
for (const [name, header, want] of accepted) {
  t.test(name, async t => {
    const mem = bytes(header);
    t.equal(parseGre(mem, 0, mem.length, view), 0);
    t.match(view, want);
  });
}

const refused = [
  ['RFC 2784 §2.3: bit 1, a routing field', '4000 0800', Fault.gre_reserved],
  ['RFC 2784 §2.3: bit 4, a strict source route', '0800 0800', Fault.gre_reserved],
  ['RFC 2784 §2.3: bit 5, recursion control', '0400 0800', Fault.gre_reserved],
  ['RFC 2637 §4.1: version 1, as PPTP sends it', '3001 880b 00000000 00000000', Fault.gre_version],
  ['RFC 2784 §2.3.1: version 2', '0002 0800', Fault.gre_version],
  ['RFC 2784 §2.3.1: version 4', '0004 0800', Fault.gre_version],
  ['a version and a reserved bit: the version is named, since it says what the bits mean', '4001 880b', Fault.gre_version],
] as const;
for (const [name, header, want] of refused) {
  t.test(`refused: ${name}`, async t => {
    const mem = bytes(header);
    t.equal(parseGre(mem, 0, mem.length, view), want);
  });
}

t.test('every flag word is judged by version, bits 1, 4 and 5, and nothing else', async t => {
  const mem = new Uint8Array(16);
  const wrong: string[] = [];
  for (let flags = 0; flags < 0x10000; flags++) {
    mem[0] = flags >>> 8;
    mem[1] = flags;
    const want = (flags & 7) !== 0 ? Fault.gre_version : (flags & 0x4c00) !== 0 ? Fault.gre_reserved : 0;
    if (parseGre(mem, 0, 16, view) !== want) wrong.push(flags.toString(16));
  }
  t.same(wrong, []);
});

t.test('every cut of a header is gre_truncated, and the whole is not', async t => {
  for (let flags = 0; flags < 0x10; flags += 1) {
    if ((flags & 4) !== 0) continue; // bit 1
    const mem = bytes(`${flags.toString(16)}000 0800 ${'00'.repeat(12)}`);
    const len = 4 + 4 * (flags >>> 3) + 4 * ((flags >>> 1) & 1) + 4 * (flags & 1);
    for (let end = 0; end < len; end++) t.equal(parseGre(mem, 0, end, view), Fault.gre_truncated, `${end} of ${len} bytes`);
    t.equal(parseGre(mem, 0, len, view), 0);
    t.equal(view.headerLen, len);
  }
});

t.test('RFC 2784 §2.2: the checksum covers header and payload, odd lengths too', async t => {
  for (const name of ['gre-checksum', 'gre-all-options']) {
    const mem = vector(name); // 31 bytes of payload
    t.equal(greChecksumOk(mem, 28, mem.length), true, name);
    for (const at of [31, 34, mem.length - 1]) {
      mem[at] ^= 1;
      t.equal(greChecksumOk(mem, 28, mem.length), false, `${name}, byte ${at} wrong`);
      mem[at] ^= 1;
    }
  }
  t.equal(greChecksumOk(bytes('2000 0800 00000001'), 0, 8), true, 'without a checksum there is nothing to be wrong');
});

t.test('RFC 2784 §2.6: Reserved1 is summed, though not judged', async t => {
  const mem = bytes('8000 0800 0000 0001 ffff');
  mem[4] = 0x77;
  mem[5] = 0xfe;
  t.equal(greChecksumOk(mem, 0, 10), true);
  t.equal(parseGre(mem, 0, 10, view), 0);
});

const full = [
  ['gre-plain', -1, -1, false], ['gre-checksum', -1, -1, true],
  ['gre-key-sequence', 0xcafebabe, 7, false], ['gre-all-options', 0xcafebabe, 7, true],
] as const;
for (const [name, key, sequence, withChecksum] of full) {
  t.test(`RFC 2784, RFC 2890: what we write is ${name}, byte for byte, over dirty memory`, async t => {
    const want = vector(name).slice(28);
    const headerLen = want.length - 31;
    const mem = new Uint8Array(want.length + 2).fill(0xa5);
    mem.set(want.slice(headerLen), 1 + headerLen);
    t.equal(writeGreFull(mem, 1, 1 + want.length, 0x0800, key, sequence, withChecksum), headerLen);
    t.equal(hex(mem), `a5${hex(want)}a5`);
    t.equal(parseGre(mem, 1, 1 + want.length, view), 0);
    t.match(view, { headerLen, protocol: 0x0800, key, sequence });
  });
}

t.test('the short writer makes 4 bytes, or 8 with a key, over dirty memory', async t => {
  const mem = new Uint8Array(12).fill(0xa5);
  t.equal(writeGre(mem, 2, 0x86dd, -1), 4);
  t.equal(hex(mem), 'a5a5000086dda5a5a5a5a5a5');
  t.equal(writeGre(mem, 2, 0x0800, 0xfedcba98), 8);
  t.equal(hex(mem), 'a5a520000800fedcba98a5a5');
  t.equal(writeGre(mem, 2, 0x0800, 0), 8);
  t.equal(parseGre(mem, 2, 10, view), 0);
  t.equal(view.key, 0);
});

t.test('any options over any payload read back, for 2,000 random packets', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const wrong: string[] = [];
  for (let round = 0; round < 2000; round++) {
    const mem = random.fill(new Uint8Array(16 + random.below(64)));
    const key = random.below(2) === 0 ? -1 : random.u32();
    const sequence = random.below(2) === 0 ? -1 : random.u32();
    const headerLen = writeGreFull(mem, 0, mem.length, 0x0800, key, sequence, random.below(2) === 1);
    const fault = parseGre(mem, 0, mem.length, view);
    if (fault !== 0 || view.key !== key || view.sequence !== sequence || view.headerLen !== headerLen || !greChecksumOk(mem, 0, mem.length)) {
      wrong.push(`round ${round}: ${hex(mem)}`);
    }
  }
  t.same(wrong, []);
});
