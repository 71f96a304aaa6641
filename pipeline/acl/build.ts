/** Builds the look-up tables of every list (layout.ts says what they are). Control's part; off the packet path. */
import { NONE, type RuleColumns, type TenantColumns } from '../policy.js';
import { sharedSigned } from '../tables/memory.js';
import { AXIS_PLANS, cutWords, type AxisPlan, type Interval, type Range, type Value } from './axes.js';
import { A_KIND, A_RANGE, ASKS_ADAPTERS, AXIS_WORDS, L_END, L_FIRST, L_PLAN, LIST_WORDS, LISTS, List, P_AXES, P_SUMMARY, P_WORDS, PLAN_WORDS, R_COUNT, R_CUTS, R_ROWS, RANGE_WORDS, type AclData } from './layout.js';

/** A list of so many entries or fewer is scanned. */
export const SCANNED = 16;
/** Segments of a range of values at most, while their rows take no more than so many words. */
const MOST_SEGMENTS = 1024, LEAST_SEGMENTS = 64, RANGE_BITS_WORDS = 1 << 20;

/** `scanned` is for tests: from how many entries on lists get tables. */
export function buildAcl(rules: RuleColumns, tenants: Pick<TenantColumns, 'names' | 'ruleFirst' | 'ruleInbound' | 'ruleEnd' | 'meterInbound' | 'meterEnd'>, scanned = SCANNED): AclData {
  const ids = tenants.names.length;
  const asks = sharedSigned(new Int32Array(ids)), lists = sharedSigned(new Int32Array(ids * LISTS * LIST_WORDS));
  const tables = new Tables(rules);
  for (let tenant = 0; tenant < ids; tenant++) {
    const bounds = [tenants.ruleFirst[tenant], tenants.ruleInbound[tenant], tenants.ruleEnd[tenant], tenants.meterInbound[tenant], tenants.meterEnd[tenant]];
    for (const list of Object.values(List)) {
      const at = (tenant * LISTS + list) * LIST_WORDS, first = bounds[list], end = bounds[list + 1];
      lists[at + L_FIRST] = first;
      lists[at + L_END] = end;
      lists[at + L_PLAN] = end - first > scanned ? tables.add(first, end) : 0;
      if (end > first) asks[tenant] |= 1 << list;
      for (let i = first; i < end; i++) if (rules.localMacHigh[i] !== NONE || rules.remoteMacHigh[i] !== NONE || rules.localSubnet[i] !== NONE) asks[tenant] |= ASKS_ADAPTERS;
    }
  }
  return { asks, lists, ...tables.build() };
}

class Tables {
  readonly #rules: RuleColumns;
  /** Word 0 is nobody's: plan 0 is none. */
  readonly #plans: number[] = [0];
  readonly #cuts: number[] = [];
  readonly #bits: Int32Array[] = [];
  #bitWords = 0;

  constructor(rules: RuleColumns) {
    this.#rules = rules;
  }

  /** Returns where the plan is. */
  add(first: number, end: number): number {
    const rules = this.#rules;
    const words = Math.ceil((end - first) / 32), summary = Math.ceil(words / 32);
    const asked = AXIS_PLANS.filter(axis => { for (let i = first; i < end; i++) if (axis.asks(rules, i)) return true; return false; });
    // Rows say how many entries there are, so there must be some.
    const axes = (asked.length === 0 ? AXIS_PLANS.slice(0, 1) : asked).map(axis => this.#addAxis(axis, first, end, words, summary)).sort((a, b) => a.density - b.density);
    const at = this.#plans.length, plan = new Array<number>(PLAN_WORDS + axes.length * AXIS_WORDS).fill(0);
    plan[P_WORDS] = words;
    plan[P_SUMMARY] = summary;
    plan[P_AXES] = axes.length;
    axes.forEach((axis, i) => axis.words.forEach((word, j) => { plan[PLAN_WORDS + i * AXIS_WORDS + j] = word; }));
    this.#plans.push(...plan);
    return at;
  }

  build(): Omit<AclData, 'asks' | 'lists'> {
    const bits = new Int32Array(new SharedArrayBuffer(Math.max(1, this.#bitWords) * 4));
    let at = 0;
    for (const rows of this.#bits) {
      bits.set(rows, at);
      at += rows.length;
    }
    return { plans: sharedSigned(this.#plans), cuts: sharedSigned(this.#cuts), bits };
  }

  /** `density` is the share of bits that are set: an axis with few leaves few candidates, and is asked first. */
  #addAxis({ kind, ranges }: AxisPlan, first: number, end: number, words: number, summary: number): { readonly words: readonly number[]; readonly density: number } {
    const axis = new Array<number>(AXIS_WORDS).fill(0);
    axis[A_KIND] = kind;
    let ones = 0, all = 0;
    ranges.forEach((range, r) => {
      const intervals = Array.from({ length: end - first }, (_, i) => range.intervalOf(this.#rules, first + i));
      const segments = Math.max(LEAST_SEGMENTS, Math.min(MOST_SEGMENTS, Math.floor(RANGE_BITS_WORDS / words)));
      const cuts = cutUp(intervals, segments, range);
      const rows = makeRows(intervals, cuts, words, summary);
      const at = A_RANGE + r * RANGE_WORDS;
      axis[at + R_CUTS] = this.#cuts.length;
      axis[at + R_COUNT] = cuts.length;
      axis[at + R_ROWS] = this.#bitWords;
      for (const cut of cuts) this.#cuts.push(...cutWords(cut, range.words));
      this.#bits.push(rows.bits);
      this.#bitWords += rows.bits.length;
      ones += rows.ones;
      all += (cuts.length + 1) * (end - first);
    });
    return { words: axis, density: ones / all };
  }
}

/**
 * Where to cut so that there are no more than `segments`, and between two cuts as few ends of intervals as can be: all that
 * is not cut at is what candidates may turn out not to match. A value at which many begin or end is always cut at.
 */
export function cutUp(intervals: readonly Interval[], segments: number, { words }: Pick<Range, 'words'>): Value[] {
  const beyond = words === 4 ? 1n << 128n : 2 ** (32 * words);
  const ends: Value[] = [];
  for (const interval of intervals) {
    if (!interval) continue;
    for (const end of interval) if (end > 0 && end < beyond) ends.push(end);
  }
  const sorted: ArrayLike<Value> = words === 4 ? ends.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)) : Float64Array.from(ends, Number).sort(); // which is five times as fast
  const most = ends.length < segments ? 0 : ends.length / (segments - 1);
  const cuts: Value[] = [];
  let within = 0;
  for (let i = 0; i < sorted.length;) {
    let next = i + 1;
    while (next < sorted.length && sorted[next] === sorted[i]) next++;
    within += next - i;
    if (within > most) {
      cuts.push(sorted[i]);
      within = 0;
    }
    i = next;
  }
  return cuts;
}

/** A row for each segment, summary first. */
function makeRows(intervals: readonly Interval[], cuts: readonly Value[], words: number, summary: number): { readonly bits: Int32Array; readonly ones: number } {
  const stride = summary + words;
  const bits = new Int32Array((cuts.length + 1) * stride);
  let ones = 0;
  intervals.forEach((interval, i) => {
    if (interval === undefined) return;
    const from = interval === null ? 0 : countBelow(cuts, interval[0], true), to = interval === null ? cuts.length : countBelow(cuts, interval[1], false);
    const word = i >>> 5, bit = 1 << (i & 31);
    for (let row = from; row <= to; row++) bits[row * stride + summary + word] |= bit;
    ones += to - from + 1;
  });
  for (let row = 0; row <= cuts.length; row++) {
    for (let word = 0; word < words; word++) if (bits[row * stride + summary + word] !== 0) bits[row * stride + (word >>> 5)] |= 1 << (word & 31);
  }
  return { bits, ones };
}

/** How many of the ascending `cuts` are smaller than `value`, or as large where that counts too. */
function countBelow(cuts: readonly Value[], value: Value, orEqual: boolean): number {
  let low = 0, high = cuts.length;
  while (low < high) {
    const mid = (low + high) >>> 1;
    if (cuts[mid] < value || (orEqual && cuts[mid] === value)) low = mid + 1;
    else high = mid;
  }
  return low;
}
