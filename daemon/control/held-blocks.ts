/**
 * What the log has said of port blocks, beside what the table holds: a look tells the two apart. Columns, not objects, for there
 * may be as many as the table has records.
 */
import type { BlockRecord } from '../../pipeline/tables/port-blocks.js';

/** Of `PortBlockTable`, read only. */
export interface BlockSource {
  readonly changes: number;
  /** Records that were ever somebody's: those below this number. */
  readonly used: number;
  stamp(record: number): number;
  record(record: number): BlockRecord | undefined;
}

export interface HeldBlock { readonly tenant: number; readonly inside: number; readonly outside: number; readonly firstPort: number; readonly count: number; readonly since: number; readonly from: number }

export interface HeldEvents {
  /** From the workers' clock to the log's time. */
  timeOf(ms: number): number;
  allocated(block: HeldBlock): void;
  /** It was used until `until`, by the workers' clock. */
  released(block: HeldBlock, until: number): void;
}

const LEAST = 1024;

export class HeldBlocks {
  count = 0;
  #seen = -1;
  /** As the source had it at the last look, or 0. */
  #stamps = new Float64Array(0);
  #since = new Float64Array(0);
  /** From when on by the clock as it is set now: later than `since` where it was set in between. */
  #from = new Float64Array(0);
  #tenant = new Uint32Array(0);
  #inside = new Uint32Array(0);
  #outside = new Uint32Array(0);
  /** firstPort:16|count:16 */
  #ports = new Uint32Array(0);

  /** Find what has changed since the last look. Costs nothing when nothing has. */
  look(source: BlockSource, events: HeldEvents): void {
    const { changes, used } = source; // before the records: what changes meanwhile is found by the next look
    if (changes === this.#seen) return;
    this.#seen = changes;
    if (used > this.#stamps.length) this.#grow(used);
    for (let i = 0; i < used; i++) {
      const stamp = source.stamp(i);
      if (stamp !== this.#stamps[i]) this.#changed(i, stamp, source.record(i), events);
    }
  }

  /** The log's clock was set to `time`. */
  setClock(time: number): void {
    this.#from.fill(time);
  }

  /** Numbers of those held now, by tenant. */
  byTenant(): Map<number, number[]> {
    const found = new Map<number, number[]>();
    this.#stamps.forEach((stamp, i) => {
      if (stamp === 0) return;
      const list = found.get(this.#tenant[i]);
      if (list === undefined) found.set(this.#tenant[i], [i]);
      else list.push(i);
    });
    return found;
  }

  /** What record `i` is said to hold; undefined when that is nothing any more. */
  get(i: number): HeldBlock | undefined {
    if (this.#stamps[i] === 0) return undefined;
    return { tenant: this.#tenant[i], inside: this.#inside[i], outside: this.#outside[i], firstPort: this.#ports[i] >>> 16, count: this.#ports[i] & 0xffff, since: this.#since[i], from: this.#from[i] };
  }

  #changed(i: number, stamp: number, record: BlockRecord | undefined, events: HeldEvents): void {
    const before = this.get(i), was = this.#stamps[i];
    this.#stamps[i] = record === undefined ? 0 : stamp;
    if (before !== undefined && record !== undefined && isSame(before, record)) return; // idle, or taken up again
    if (before !== undefined) {
      this.count--;
      // Without a look while it was idle, it was so at the latest when somebody else got it, or now.
      events.released(before, was < 0 ? -was : record?.since ?? NaN);
    }
    if (record === undefined || stamp === 0) return;
    this.count++;
    this.#since[i] = this.#from[i] = events.timeOf(record.since);
    this.#tenant[i] = record.tenant;
    this.#inside[i] = record.inside;
    this.#outside[i] = record.outside;
    this.#ports[i] = record.firstPort << 16 | record.count;
    const block = this.get(i);
    if (block !== undefined) events.allocated(block);
  }

  #grow(used: number): void {
    const size = Math.max(LEAST, 2 ** Math.ceil(Math.log2(used)));
    const larger = <T extends Float64Array | Uint32Array>(column: T, next: T): T => { next.set(column); return next; };
    this.#stamps = larger(this.#stamps, new Float64Array(size));
    this.#since = larger(this.#since, new Float64Array(size));
    this.#from = larger(this.#from, new Float64Array(size));
    this.#tenant = larger(this.#tenant, new Uint32Array(size));
    this.#inside = larger(this.#inside, new Uint32Array(size));
    this.#outside = larger(this.#outside, new Uint32Array(size));
    this.#ports = larger(this.#ports, new Uint32Array(size));
  }
}

function isSame(a: HeldBlock, b: BlockRecord): boolean {
  return a.tenant === b.tenant && a.inside === b.inside && a.outside === b.outside && a.firstPort === b.firstPort && a.count === b.count;
}
