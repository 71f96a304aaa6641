/** Finds the entries of a list that match, in their order. A worker has one for each policy; layout.ts says how it looks. */
import { SIEVE_WORDS, type RuleColumns } from '../policy.js';
import {
  A_KIND, A_RANGE, AXES, AXIS_WORDS, Axis, BIAS, L_END, L_FIRST, L_PLAN, LIST_WORDS, LISTS, P_AXES, P_SUMMARY, P_WORDS, PLAN_WORDS, R_COUNT, R_CUTS, R_ROWS, RANGE_WORDS, type AclData,
} from './layout.js';
import { matches } from './match.js';
import type { Question } from './question.js';

export class Classifier {
  /** By tenant: a bit for each of its lists that has entries, and `ASKS_ADAPTERS`. */
  readonly asks: Int32Array;
  readonly #rules: RuleColumns;
  readonly #lists: Int32Array;
  readonly #plans: Int32Array;
  readonly #cuts: Int32Array;
  readonly #bits: Int32Array;
  /** Where the rows of the packet in hand begin in `#bits`, an axis each; and of which list. */
  readonly #rows = new Int32Array(AXES);

  constructor(rules: RuleColumns, { asks, lists, plans, cuts, bits }: AclData) {
    this.asks = asks;
    this.#rules = rules;
    this.#lists = lists;
    this.#plans = plans;
    this.#cuts = cuts;
    this.#bits = bits;
  }

  /** Whether the list has no entry. */
  isEmpty(tenant: number, list: number): boolean {
    return (this.asks[tenant] >> list & 1) === 0;
  }

  /** The first entry of this list of a tenant that matches, or -1. */
  first(tenant: number, list: number, q: Question): number {
    const at = (tenant * LISTS + list) * LIST_WORDS, lists = this.#lists;
    const first = lists[at + L_FIRST], plan = lists[at + L_PLAN];
    if (plan === 0) return this.#scan(first, lists[at + L_END], q);
    this.#locate(plan, q);
    return this.#search(plan, first, first, q);
  }

  /** The next one after `entry`, which `first` or this has just found for the same question, or -1. */
  next(tenant: number, list: number, q: Question, entry: number): number {
    const at = (tenant * LISTS + list) * LIST_WORDS, lists = this.#lists;
    const plan = lists[at + L_PLAN];
    return plan === 0 ? this.#scan(entry + 1, lists[at + L_END], q) : this.#search(plan, lists[at + L_FIRST], entry + 1, q);
  }

  /** The sieve sees most misses from two words. They are read once: they are compared dozens of times over. */
  #scan(first: number, end: number, q: Question): number {
    const rules = this.#rules, { sieve } = rules;
    const l3 = q.local3, r3 = q.remote3;
    for (let i = first; i < end; i++) {
      const at = i * SIEVE_WORDS;
      if ((l3 & sieve[at]) !== sieve[at + 1] || (r3 & sieve[at + 2]) !== sieve[at + 3]) continue;
      if (matches(rules, i, q)) return i;
    }
    return -1;
  }

  /** The packet's segment on every axis. */
  #locate(plan: number, q: Question): void {
    const plans = this.#plans;
    const axes = plans[plan + P_AXES], stride = plans[plan + P_WORDS] + plans[plan + P_SUMMARY];
    for (let axis = 0, at = plan + PLAN_WORDS; axis < axes; axis++, at += AXIS_WORDS) {
      const isSixth = q.family === 6, first = at + A_RANGE, second = first + RANGE_WORDS;
      let range = first, segment = 0;
      switch (plans[at + A_KIND]) {
        case Axis.local:
          range = isSixth ? second : first;
          segment = isSixth ? this.#segment4(range, q.local0, q.local1, q.local2, q.local3) : this.#segment1(range, q.local3);
          break;
        case Axis.remote:
          range = isSixth ? second : first;
          segment = isSixth ? this.#segment4(range, q.remote0, q.remote1, q.remote2, q.remote3) : this.#segment1(range, q.remote3);
          break;
        case Axis.localPort:
          if (q.hasPorts) segment = this.#segment1(first, q.localPort);
          else range = second;
          break;
        case Axis.remotePort:
          if (q.hasPorts) segment = this.#segment1(first, q.remotePort);
          else range = second;
          break;
        case Axis.protocol: segment = this.#segment1(first, q.protocol); break;
        case Axis.localMac: segment = this.#segment2(first, q.localMacHigh, q.localMacLow); break;
        case Axis.remoteMac: segment = this.#segment2(first, q.remoteMacHigh, q.remoteMacLow); break;
        default: segment = this.#segment1(first, q.localSubnet);
      }
      this.#rows[axis] = plans[range + R_ROWS] + segment * stride;
    }
  }

  /** The first entry from `from` on, of a list that begins at `first`, that has its bit in all rows and matches indeed. */
  #search(plan: number, first: number, from: number, q: Question): number {
    const plans = this.#plans, bits = this.#bits, rows = this.#rows;
    const axes = plans[plan + P_AXES], summary = plans[plan + P_SUMMARY];
    for (let s = from - first >>> 10; s < summary; s++) {
      let busy = -1;
      for (let axis = 0; axis < axes && busy !== 0; axis++) busy &= bits[rows[axis] + s];
      while (busy !== 0) {
        const word = s << 5 | 31 - Math.clz32(busy & -busy);
        busy &= busy - 1;
        let left = -1;
        for (let axis = 0; axis < axes && left !== 0; axis++) left &= bits[rows[axis] + summary + word];
        while (left !== 0) {
          const entry = first + (word << 5 | 31 - Math.clz32(left & -left));
          left &= left - 1;
          if (entry >= from && matches(this.#rules, entry, q)) return entry;
        }
      }
    }
    return -1;
  }

  /** How many cuts of a range are no larger than this value of one word, of two, of four. */
  #segment1(range: number, value: number): number {
    const cuts = this.#cuts, first = this.#plans[range + R_CUTS], biased = value ^ BIAS;
    let low = 0, high = this.#plans[range + R_COUNT];
    while (low < high) {
      const mid = low + high >>> 1;
      if (cuts[first + mid] <= biased) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  #segment2(range: number, a: number, b: number): number {
    const cuts = this.#cuts, first = this.#plans[range + R_CUTS], a0 = a ^ BIAS, b0 = b ^ BIAS;
    let low = 0, high = this.#plans[range + R_COUNT];
    while (low < high) {
      const mid = low + high >>> 1, at = first + mid * 2;
      if (cuts[at] < a0 || (cuts[at] === a0 && cuts[at + 1] <= b0)) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  #segment4(range: number, a: number, b: number, c: number, d: number): number {
    const cuts = this.#cuts, first = this.#plans[range + R_CUTS], a0 = a ^ BIAS, b0 = b ^ BIAS, c0 = c ^ BIAS, d0 = d ^ BIAS;
    let low = 0, high = this.#plans[range + R_COUNT];
    while (low < high) {
      const mid = low + high >>> 1, at = first + mid * 4;
      const x = cuts[at], y = cuts[at + 1], z = cuts[at + 2];
      const isUpTo = x !== a0 ? x < a0 : y !== b0 ? y < b0 : z !== c0 ? z < c0 : cuts[at + 3] <= d0;
      if (isUpTo) low = mid + 1;
      else high = mid;
    }
    return low;
  }
}
