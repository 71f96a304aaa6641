/** Both kinds of fields say and write what the codecs would. */
import t from 'tap';
import { putU16, putU32, s32, u16 } from '../../codecs/bytes.js';
import { FieldsOf } from '../../pipeline/fields.js';
import { seeded } from '../support/seeded.js';

const KINDS = { 'a datagram of its own': 2048, 'slots of a ring': 1 << 17 };
for (const [kind, length] of Object.entries(KINDS)) {
  t.test(`fields of ${kind} are those of codecs/bytes.ts, at any position`, async t => {
    const random = seeded(), all = new Uint8Array(length + 5), mem = all.subarray(5); // a view of a part, as slots are
    for (let i = 0; i < all.length; i++) all[i] = random.below(256);
    const copy = mem.slice(), fields = new FieldsOf().take(mem), wrong: string[] = [];
    for (let i = 0; i < 2000; i++) {
      const at = random.below(length - 3), value = random.below(2 ** 32) | 0;
      if (fields.word(at) !== s32(copy, at) || fields.half(at) !== u16(copy, at)) wrong.push(`read at ${at}`);
      switch (i % 3) {
        case 0: fields.putWord(at, value); putU32(copy, at, value); break;
        case 1: fields.putHalf(at, value); putU16(copy, at, value); break;
        default: fields.putByte(at, value); copy[at] = value;
      }
    }
    t.same(wrong, [], `seed ${random.seed}`);
    t.ok(Buffer.from(mem).equals(Buffer.from(copy)), `what was written, seed ${random.seed}`);
  });
}

t.test('whatever memory comes after another, fields are of the one in hand', async t => {
  const fieldsOf = new FieldsOf(), ring = new Uint8Array(1 << 17).fill(1), other = new Uint8Array(1 << 17).fill(2), small = new Uint8Array(64).fill(3), next = new Uint8Array(64).fill(4);
  for (const mem of [ring, small, ring, other, next, small, other, ring]) t.same([fieldsOf.take(mem).mem === mem, fieldsOf.take(mem).half(10)], [true, mem[0] * 0x101]);
  const view = fieldsOf.take(ring);
  fieldsOf.take(small);
  t.equal(fieldsOf.take(ring), view, 'a view is made once');
});
