/** Token buckets, one a tenant: `burst` at once, refilled at `perSecond`. Time is the caller's, in milliseconds. */
export class RateLimit {
  readonly #tokens: Float64Array;
  readonly #filledAt: Float64Array;

  constructor(tenants: number) {
    this.#tokens = new Float64Array(tenants + 1);
    this.#filledAt = new Float64Array(tenants + 1).fill(-Infinity);
  }

  /** Take one token of `tenant`; false when there is none, and always at a rate of 0. */
  take(tenant: number, perSecond: number, burst: number, now: number): boolean {
    if (perSecond === 0) return false; // before an infinite silence times no rate: the bucket must outlive this setting
    const earned = Math.max(0, now - this.#filledAt[tenant]) / 1000 * perSecond;
    const tokens = Math.min(burst, this.#tokens[tenant] + earned);
    this.#filledAt[tenant] = now;
    this.#tokens[tenant] = tokens >= 1 ? tokens - 1 : tokens;
    return tokens >= 1;
  }
}
