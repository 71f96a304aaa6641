/** A worker's own notes of how much of its quotas a tenant has left. */
import type { NatState } from './nat-state.js';

/** What is counted of a tenant. */
export const SESSIONS = 0, BINDINGS = 1;
const COUNTED = 2;
/** Of the room that is found, so much may be taken without another look, by each worker and within the second: to add up counts (nat-counts.ts) costs as much as half a first packet. */
const CREDIT_SHIFT = 7, MOST_CREDIT = 64;

export class QuotaNotes {
  readonly #credit: Int32Array;
  readonly #second: Int32Array;
  /** When there was none, milliseconds: at that very time there is none. */
  readonly #refusedAt: Float64Array;

  constructor(tenants: number) {
    this.#credit = new Int32Array((tenants + 1) * COUNTED);
    this.#second = new Int32Array((tenants + 1) * COUNTED);
    this.#refusedAt = new Float64Array((tenants + 1) * COUNTED);
  }

  /** Whether the tenant may have one more, of `most`. */
  hasRoom(nat: NatState, what: typeof SESSIONS | typeof BINDINGS, tenant: number, most: number, now: number): boolean {
    const i = tenant * COUNTED + what, second = Math.floor(now / 1000) | 0;
    if (this.#refusedAt[i] === now) return false;
    if (this.#credit[i] > 0 && this.#second[i] === second) {
      this.#credit[i]--;
      return true;
    }
    const room = most - (what === SESSIONS ? nat.sessionsOf(tenant) : nat.bindingsOf(tenant));
    this.#credit[i] = room <= 0 ? 0 : Math.min(room >> CREDIT_SHIFT, MOST_CREDIT);
    this.#second[i] = second;
    if (room <= 0) this.#refusedAt[i] = now;
    return room > 0;
  }
}
