/**
 * Token buckets: `burst` at once, refilled at `perSecond`. Time is the caller's, in milliseconds. In shared memory and
 * without a lock: two workers at once may take the same token, and that is all that can go wrong.
 */
const FILLED_AT = 0, TOKENS = 1;
/** Cells a bucket, where nothing else lies between. */
const CELLS = 2;

/** Memory for a bucket for each tenant. */
export function rateLimitBytes(tenants: number): number {
  return (tenants + 1) * CELLS * Float64Array.BYTES_PER_ELEMENT;
}

export class RateLimit {
  readonly #cells: Float64Array;
  readonly #stride: number;

  /** All of `memory`; or from byte `at` on `count` buckets, `stride` cells apart. Zeros are full buckets. */
  constructor(memory: SharedArrayBuffer, at = 0, stride = CELLS, count = memory.byteLength / Float64Array.BYTES_PER_ELEMENT / CELLS) {
    this.#cells = new Float64Array(memory, at, Math.max(0, (count - 1) * stride + CELLS));
    this.#stride = stride;
  }

  /** Take `cost` tokens of bucket `i`; false, and none taken, when there are not so many, and always at a rate of 0. */
  take(i: number, perSecond: number, burst: number, now: number, cost = 1): boolean {
    if (perSecond === 0) return false; // the bucket must outlive this setting
    const at = i * this.#stride, cells = this.#cells;
    const tokens = this.#fill(at, perSecond, burst, now);
    cells[at + FILLED_AT] = now;
    cells[at + TOKENS] = tokens >= cost ? tokens - cost : tokens;
    return tokens >= cost;
  }

  /** Whether `take` would say yes. */
  has(i: number, perSecond: number, burst: number, now: number, cost = 1): boolean {
    return perSecond !== 0 && this.#fill(i * this.#stride, perSecond, burst, now) >= cost;
  }

  #fill(at: number, perSecond: number, burst: number, now: number): number {
    const cells = this.#cells;
    const filledAt = cells[at + FILLED_AT]; // 0: never taken from
    return filledAt === 0 ? burst : Math.min(burst, cells[at + TOKENS] + Math.max(0, now - filledAt) / 1000 * perSecond);
  }
}
