/**
 * The ledger: what became of every packet, per tenant, in one worker.
 *
 *   in  = forwarded + dropped + consumed + held
 *   out = forwarded + copies + originated
 *
 * Row 0 is `-`, the packets that no tenant can be charged with. Both sides of each equation are counted where they
 * happen, so that the equations are a check and not a definition. One worker writes a ledger; anyone may read it.
 */
import { REASON_COUNT, REASON_NAMES } from './reasons.js';

/** Columns of a row. `held` is a gauge, all others only grow. Bytes are UDP payload: tunnel header and inner packet. */
export const LEDGER_COLUMNS = ['in', 'forwarded', 'dropped', 'consumed', 'held', 'out', 'copies', 'originated', 'bytesIn', 'bytesOut'] as const;
export type LedgerColumn = (typeof LEDGER_COLUMNS)[number];

export const Cell = Object.fromEntries(LEDGER_COLUMNS.map((name, i) => [name, i])) as { readonly [C in LedgerColumn]: number };
const { in: IN, forwarded: FORWARDED, out: OUT, bytesIn: BYTES_IN, bytesOut: BYTES_OUT } = Cell;
/** The drop reasons follow the columns; reason 0 is never counted. */
const DROPS = LEDGER_COLUMNS.length;
/** Cells a row: columns, then one for each reason. */
export const LEDGER_STRIDE = DROPS + REASON_COUNT;

/** Bytes of shared memory for a ledger of `tenants` tenants and the `-` row. */
export function ledgerBytes(tenants: number): number {
  return (tenants + 1) * LEDGER_STRIDE * Float64Array.BYTES_PER_ELEMENT;
}

export class Ledger {
  readonly #cells: Float64Array;
  readonly rows: number;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Float64Array(memory);
    this.rows = Math.floor(this.#cells.length / LEDGER_STRIDE);
  }

  add(tenant: number, cell: number, n: number): void {
    this.#cells[tenant * LEDGER_STRIDE + cell] += n;
  }

  /** One packet of `tenant` ended as drop `reason`. The fate only: `in` is counted by the caller. */
  drop(tenant: number, reason: number): void {
    const row = tenant * LEDGER_STRIDE;
    this.#cells[row + Cell.dropped]++;
    this.#cells[row + DROPS + reason]++;
  }

  /** One packet of `tenant` came and went on, and nothing else has to be said of it. */
  forward(tenant: number, bytesIn: number, bytesOut: number): void {
    const row = tenant * LEDGER_STRIDE, cells = this.#cells;
    cells[row + IN]++;
    cells[row + FORWARDED]++;
    cells[row + OUT]++;
    cells[row + BYTES_IN] += bytesIn;
    cells[row + BYTES_OUT] += bytesOut;
  }

  get(tenant: number, cell: number): number {
    return this.#cells[tenant * LEDGER_STRIDE + cell];
  }

  drops(tenant: number, reason: number): number {
    return this.#cells[tenant * LEDGER_STRIDE + DROPS + reason];
  }
}

/** One tenant's packets, or all of them. */
export type PacketTotals = Record<LedgerColumn, number>;
export interface LedgerTotals {
  packets: PacketTotals;
  /** Only reasons that occurred. */
  drops: Record<string, number>;
}

/** The sum of `ledgers` over `rows`; without `rows`, over all of them. */
export function totals(ledgers: readonly Ledger[], rows?: readonly number[]): LedgerTotals {
  const packets = Object.fromEntries(LEDGER_COLUMNS.map(name => [name, 0])) as PacketTotals;
  const drops: Record<string, number> = {};
  for (const ledger of ledgers) {
    const wanted = rows ?? Array.from({ length: ledger.rows }, (_, row) => row);
    for (const row of wanted) {
      for (const name of LEDGER_COLUMNS) packets[name] += ledger.get(row, Cell[name]);
      for (let reason = 1; reason < REASON_COUNT; reason++) {
        const n = ledger.drops(row, reason);
        if (n !== 0) drops[REASON_NAMES[reason]] = (drops[REASON_NAMES[reason]] ?? 0) + n;
      }
    }
  }
  return { packets, drops };
}

/** What does not add up in `t`, in words; empty when the ledger balances. */
export function imbalances(t: LedgerTotals): string[] {
  const { packets: p } = t;
  const found: string[] = [];
  const fates = p.forwarded + p.dropped + p.consumed + p.held;
  if (p.in !== fates) found.push(`in ${p.in} but forwarded + dropped + consumed + held = ${fates}`);
  const sent = p.forwarded + p.copies + p.originated;
  if (p.out !== sent) found.push(`out ${p.out} but forwarded + copies + originated = ${sent}`);
  const reasons = Object.values(t.drops).reduce((sum, n) => sum + n, 0);
  if (p.dropped !== reasons) found.push(`dropped ${p.dropped} but the reasons add up to ${reasons}`);
  return found;
}
