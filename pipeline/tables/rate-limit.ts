/**
 * Token buckets, one a tenant: `burst` at once, refilled at `perSecond`. Time is the caller's, in milliseconds. In shared
 * memory and without a lock: two workers at once may take the same token, and that is all that can go wrong.
 */
const FILLED_AT = 0, TOKENS = 1;

export function rateLimitBytes(tenants: number): number {
  return (tenants + 1) * 2 * Float64Array.BYTES_PER_ELEMENT;
}

export class RateLimit {
  readonly #cells: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Float64Array(memory);
  }

  /** Take one token of `tenant`; false when there is none, and always at a rate of 0. */
  take(tenant: number, perSecond: number, burst: number, now: number): boolean {
    if (perSecond === 0) return false; // the bucket must outlive this setting
    const at = tenant * 2, cells = this.#cells;
    const filledAt = cells[at + FILLED_AT]; // 0: never taken from
    const earned = Math.max(0, now - filledAt) / 1000 * perSecond;
    const tokens = filledAt === 0 ? burst : Math.min(burst, cells[at + TOKENS] + earned);
    cells[at + FILLED_AT] = now;
    cells[at + TOKENS] = tokens >= 1 ? tokens - 1 : tokens;
    return tokens >= 1;
  }
}
