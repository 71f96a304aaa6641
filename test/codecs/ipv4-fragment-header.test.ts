import t from 'tap';
import {
  checkIpv4, ipv4HeaderLen, recomputeIpv4Checksum, setIpv4Fragment, setIpv4TotalLen, writeIpv4FragmentHeader,
} from '../../codecs/ipv4.js';
import { bytes, hex } from '../support/bytes.js';
import { seeded, type Seeded } from '../support/seeded.js';

const FIXED = '00000000 40110000 0a000005 c6336407';

const headers = [
  ['no options: the same 20 bytes', `45000014 ${FIXED}`, `45000014 ${FIXED}`],
  ['an option without the copied bit stays behind', `4700001c ${FIXED} 07 07 04 00000000 00`, `4500001c ${FIXED}`],
  ['an option with it comes along', `46000018 ${FIXED} 94 04 0000`, `46000018 ${FIXED} 94 04 0000`],
  ['of two, the copied one alone', `48000020 ${FIXED} 07 07 04 00000000 01 94 04 0000`, `46000020 ${FIXED} 94 04 0000`],
  ['no-ops stay behind, padding is zero', `4700001c ${FIXED} 01 86 06 00000001 00`, `4700001c ${FIXED} 86 06 00000001 0000`],
  ['what follows an end stays behind', `4700001c ${FIXED} 00 000000 94 04 0000`, `4500001c ${FIXED}`],
] as const;
for (const [name, from, want] of headers) {
  t.test(`RFC 791 §3.1: ${name}`, async t => {
    const to = new Uint8Array(62).fill(0xa5);
    const wanted = bytes(want);
    t.equal(writeIpv4FragmentHeader(to, 1, bytes(from), 0), wanted.length);
    t.equal(hex(to, 0, wanted.length + 2), `a5${hex(wanted)}a5`);
  });
}

/** Fill `mem[at..end)` with no-ops, ends and options of random types and lengths, all of them inside. */
function fillOptions(random: Seeded, mem: Uint8Array, at: number, end: number): void {
  while (at < end) {
    const room = end - at;
    const type = [0, 1, 7, 68, 130, 134, 148, 222][random.below(room === 1 ? 2 : 8)];
    const len = type <= 1 ? 1 : 2 + random.below(Math.min(room, 12) - 1);
    mem[at] = type;
    if (type > 1) mem[at + 1] = len;
    at += len;
  }
}

t.test('completed as its comment says, the header is sound and no longer, for 2,000 random option lists', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const wrong: string[] = [];
  for (let round = 0; round < 2000; round++) {
    const from = random.fill(new Uint8Array(60));
    from[0] = 0x45 + random.below(11);
    from[2] = 0;
    from[3] = 60;
    fillOptions(random, from, 20, ipv4HeaderLen(from, 0));
    recomputeIpv4Checksum(from, 0);

    const to = new Uint8Array(100).fill(0xa5);
    const headerLen = writeIpv4FragmentHeader(to, 0, from, 0);
    setIpv4TotalLen(to, 0, headerLen + 8);
    setIpv4Fragment(to, 0, 8, true, false);
    recomputeIpv4Checksum(to, 0);
    const isSound = checkIpv4(from, 0, 60) === 0 && checkIpv4(to, 0, headerLen + 8) === 0;
    if (!isSound || headerLen > ipv4HeaderLen(from, 0) || headerLen !== ipv4HeaderLen(to, 0)) wrong.push(`round ${round}: ${hex(from)}`);
  }
  t.same(wrong, []);
});
