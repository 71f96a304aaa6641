/**
 * Tables, rings and queues have the size that the config gives them; when one is full, packets are dropped and counted,
 * and so are datagrams when too many wait for the kernel to send them. This says so in the log, once and then
 * once a minute: an operator should not have to look for it.
 */
import type { Ledger } from '../../pipeline/ledger.js';
import { REASONS, Reason, type ReasonName } from '../../pipeline/reasons.js';
import { Count } from '../worker/counters.js';
import { Repeats } from '../worker/repeats.js';
import type { Logger } from './log.js';

const SPENT = (Object.keys(REASONS) as ReasonName[]).filter(name => REASONS[name].severity === 'capacity');

export class Shortages {
  readonly #ledgers: readonly Ledger[];
  readonly #counters: readonly Float64Array[];
  readonly #repeats: Repeats;
  /** Losses seen, by what was full: a row and reason, or a worker. */
  readonly #seen = new Map<string, number>();

  constructor(ledgers: readonly Ledger[], counters: readonly SharedArrayBuffer[], log: Logger) {
    this.#ledgers = ledgers;
    this.#counters = counters.map(memory => new Float64Array(memory));
    // The fields say how many packets; how many looks found some is of no use to anybody.
    this.#repeats = new Repeats((message, { count: _looks, ...fields }) => log.warn(fields, message));
  }

  look(now: number, rows: Iterable<readonly [row: number, tenant: string]>): void {
    for (const [row, tenant] of rows) {
      for (const reason of SPENT) {
        const packets = this.#ledgers.reduce((sum, ledger) => sum + ledger.drops(row, Reason[reason]), 0);
        const key = `${row} ${reason}`;
        if (this.#isMore(key, packets)) this.#repeats.note('packets dropped for want of room', key, now, { tenant, reason, packets, see: REASONS[reason].source });
      }
    }
    this.#counters.forEach((cells, worker) => {
      const datagrams = cells[Count.queueFull];
      if (this.#isMore(`worker ${worker}`, datagrams)) this.#repeats.note('send queue full, datagrams lost', `${worker}`, now, { worker, datagrams });
    });
    this.#repeats.flush(now);
  }

  #isMore(key: string, count: number): boolean {
    const before = this.#seen.get(key) ?? 0;
    this.#seen.set(key, count);
    return count !== before;
  }
}
