import t from 'tap';
import { copyBytes, macHigh, macLow, putMac, putU16, putU32, sameBytes, u16, u32 } from '../../codecs/bytes.js';
import { bytes, hex } from '../support/bytes.js';

t.test('words are big-endian and unsigned, at even and odd positions', async t => {
  const mem = bytes('00 ffee ddcc bbaa');
  t.equal(u16(mem, 1), 0xffee);
  t.equal(u16(mem, 2), 0xeedd);
  t.equal(u32(mem, 1), 0xffeeddcc);
  t.equal(u32(mem, 3), 0xddccbbaa);
});

t.test('what is put reads back, and the bytes around it stay', async t => {
  const mem = new Uint8Array(8).fill(0xa5);
  putU16(mem, 1, 0x1fffe); // only the low 16 bits fit
  t.equal(hex(mem), 'a5fffea5a5a5a5a5');
  putU32(mem, 3, 0xfedcba98);
  t.equal(hex(mem), 'a5fffefedcba98a5');
  putU32(mem, 3, -1);
  t.equal(u32(mem, 3), 0xffffffff);
});

t.test('a MAC is its high 16 and its low 32 bits', async t => {
  const mem = new Uint8Array(8).fill(0xa5);
  putMac(mem, 1, 0x0215, 0xfdfffe01);
  t.equal(hex(mem), 'a50215fdfffe01a5');
  t.equal(macHigh(mem, 1), 0x0215);
  t.equal(macLow(mem, 1), 0xfdfffe01);
});

t.test('a copy moves exactly its range, whichever way it is done for that length', async t => {
  for (const len of [0, 1, 7, 27, 28, 29, 200]) {
    const from = Uint8Array.from({ length: 256 }, (_, i) => i);
    const to = new Uint8Array(256).fill(0xa5);
    copyBytes(to, 3, from, 17, len);
    t.ok(sameBytes(to, 3, from, 17, len), `${len} bytes arrive`);
    t.equal(to.filter(byte => byte !== 0xa5).length, from.slice(17, 17 + len).filter(byte => byte !== 0xa5).length, `${len} bytes and no more`);
    t.equal(to[2], 0xa5);
    t.equal(to[3 + len], 0xa5);
  }
});

t.test('overlapping ranges of one array are copied as if through a third', async t => {
  for (const [toAt, fromAt] of [[0, 3], [3, 0], [5, 5]] as const) {
    for (const len of [4, 100]) {
      const mem = Uint8Array.from({ length: 128 }, (_, i) => i);
      const want = mem.slice(fromAt, fromAt + len);
      copyBytes(mem, toAt, mem, fromAt, len);
      t.same(mem.slice(toAt, toAt + len), want, `${len} bytes from ${fromAt} to ${toAt}`);
    }
  }
});

t.test('shared memory is copied like any other', async t => {
  const to = new Uint8Array(new SharedArrayBuffer(64));
  copyBytes(to, 0, new Uint8Array(64).fill(7), 0, 64);
  t.ok(to.every(byte => byte === 7));
});

t.test('equal ranges are equal, and one byte tells different ones apart', async t => {
  const a = bytes('00 010203 ff');
  const b = bytes('010203 fe');
  t.equal(sameBytes(a, 1, b, 0, 3), true);
  t.equal(sameBytes(a, 1, b, 0, 4), false);
  t.equal(sameBytes(a, 0, b, 0, 0), true);
});
