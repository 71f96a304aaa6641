/** The Internet checksum beside the loop that RFC 1071 §4.1 writes down. */
import { sum16 } from '../../codecs/checksum.js';
import { seededRandom } from '../../pipeline/random.js';
import { measureNs, type Work } from '../harness.js';
import type { Bench } from '../result.js';

const PACKETS = 4096;

type Sum = (mem: Uint8Array, at: number, end: number) => number;

function sums(sum: Sum, mem: Uint8Array, len: number): Work {
  return {
    ops: PACKETS,
    run(from, to) {
      let seen = 0;
      for (let i = from; i < to; i++) seen ^= sum(mem, (i & 63) * len, (i & 63) * len + len);
      return seen;
    },
  };
}

function obviousSum(mem: Uint8Array, at: number, end: number): number {
  let sum = 0;
  let i = at;
  for (; i + 1 < end; i += 2) sum += mem[i] << 8 | mem[i + 1];
  if (i < end) sum += mem[i] << 8;
  while (sum >>> 16 !== 0) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

export const checksumBenches: readonly Bench[] = [64, 1400].map(len => ({
  name: `codecs/checksum/${len}`, unit: 'ns', what: `sum16 over ${len} bytes; baseline: the same sum word by word`,
  measure(effort) {
    const mem = new Uint8Array(64 * len); // 64 packets, so that it measures adding and not memory
    const random = seededRandom(len);
    for (let i = 0; i < mem.length; i++) mem[i] = random.next();
    return measureNs(effort, sums(sum16, mem, len), { name: 'word by word', work: sums(obviousSum, mem, len) });
  },
}));
