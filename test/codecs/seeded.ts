/** Random numbers that a printed seed brings back. */
export type Seeded = {
  readonly seed: number;
  /** 0 to 2^32 - 1. */
  u32(): number;
  /** 0 to n - 1. */
  below(n: number): number;
  fill(mem: Uint8Array): Uint8Array;
};

/** mulberry32, from the given seed, from the environment's SEED, or from the clock. */
export function seeded(seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)): Seeded {
  let state = seed >>> 0;
  function u32(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return (z ^ (z >>> 14)) >>> 0;
  }
  function below(n: number): number {
    return Math.floor((u32() / 0x100000000) * n);
  }
  function fill(mem: Uint8Array): Uint8Array {
    for (let i = 0; i < mem.length; i++) mem[i] = u32();
    return mem;
  }
  return { seed, u32, below, fill };
}
