/** Random numbers that a printed seed brings back: the gateway's own generator, in the shapes that tests ask for. */
import { seededRandom } from '../../pipeline/random.js';

export type Seeded = {
  readonly seed: number;
  /** 0 to 2^32 - 1. */
  u32(): number;
  /** 0 to n - 1. */
  below(n: number): number;
  fill(mem: Uint8Array): Uint8Array;
};

/** From the given seed, from the environment's SEED, or from the clock. */
export function seeded(seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)): Seeded {
  const { next } = seededRandom(seed);
  return {
    seed,
    u32: next,
    below: n => Math.floor((next() / 0x100000000) * n),
    fill(mem) {
      for (let i = 0; i < mem.length; i++) mem[i] = next();
      return mem;
    },
  };
}
