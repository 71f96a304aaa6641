/**
 * How many bindings there are, and of each tenant bindings and sessions: counted beside the inside locks, one count for each. Whoever
 * holds a lock counts there, plainly, for an atomic operation costs a first packet 12 ns; only the sums of all say anything.
 */
import { LOCK_WORDS } from './locks.js';

export const STRIPES = 64;
/** In the line of a lock: bindings. */
const L_BINDINGS = 1;
const SESSIONS = 0, BINDINGS = 1, TENANT_WORDS = 2;

/** Words of memory beside the locks. */
export function countWords(tenants: number): number {
  return STRIPES * (tenants + 1) * TENANT_WORDS;
}

export class NatCounts {
  readonly #w: Int32Array;
  readonly #locks: number;
  readonly #perTenant: number;
  readonly #stripe: number;

  /** Words from `locks` on are the inside locks; those from `perTenant` on are this one's. */
  constructor(words: Int32Array, locks: number, perTenant: number, tenants: number) {
    this.#w = words;
    this.#locks = locks;
    this.#perTenant = perTenant;
    this.#stripe = (tenants + 1) * TENANT_WORDS;
  }

  /** One binding more or less in a stripe whose lock is held. Those of static mappings count for no tenant. */
  addBinding(stripe: number, tenant: number, isFixed: boolean, n: 1 | -1): void {
    this.#w[this.#locks + stripe * LOCK_WORDS + L_BINDINGS] += n;
    if (!isFixed) this.#w[this.#perTenant + stripe * this.#stripe + tenant * TENANT_WORDS + BINDINGS] += n;
  }

  addSession(stripe: number, tenant: number, n: number): void {
    this.#w[this.#perTenant + stripe * this.#stripe + tenant * TENANT_WORDS + SESSIONS] += n;
  }

  get bindings(): number { return this.#sum(this.#locks + L_BINDINGS, LOCK_WORDS); }
  sessionsOf(tenant: number): number { return this.#sum(this.#perTenant + tenant * TENANT_WORDS + SESSIONS, this.#stripe); }
  bindingsOf(tenant: number): number { return this.#sum(this.#perTenant + tenant * TENANT_WORDS + BINDINGS, this.#stripe); }

  /** A repair counts anew, from nothing. The caller holds all inside locks. */
  clear(): void {
    const w = this.#w;
    for (let stripe = 0; stripe < STRIPES; stripe++) w[this.#locks + stripe * LOCK_WORDS + L_BINDINGS] = 0;
    w.fill(0, this.#perTenant, this.#perTenant + STRIPES * this.#stripe);
  }

  #sum(at: number, apart: number): number {
    let sum = 0;
    for (let stripe = 0; stripe < STRIPES; stripe++) sum += Atomics.load(this.#w, at + stripe * apart);
    return sum;
  }
}
