/**
 * A worker that was ended between two counts of one packet leaves its ledger off by that packet, for good. Control, once
 * the thread is gone the only one who may write there, completes what it finds half done:
 *
 *   out above forwarded + copies + originated    it was sent, and nobody had said so yet: forwarded, in pieces if several
 *   fates above in                               its fate is known, its arrival was not: in
 *   in above fates                               nobody will ever know: dropped, worker_died
 */
import { Cell, type Ledger } from '../../pipeline/ledger.js';
import { Reason } from '../../pipeline/reasons.js';

/** Mend `rows` of a dead worker's ledger; whether anything was off, so that the packet in hand is in it now. */
export function mendLedger(ledger: Ledger, rows: Iterable<number>): boolean {
  let isMended = false;
  const off = (more: number): boolean => {
    if (more > 0) isMended = true;
    return more > 0;
  };
  for (const row of rows) {
    const cell = (name: keyof typeof Cell): number => ledger.get(row, Cell[name]);
    const sent = cell('out') - cell('forwarded') - cell('copies') - cell('originated');
    if (off(sent)) {
      ledger.add(row, Cell.forwarded, 1);
      ledger.add(row, Cell.copies, sent - 1);
    }
    const missing = cell('forwarded') + cell('dropped') + cell('consumed') + cell('held') - cell('in');
    if (off(missing)) ledger.add(row, Cell.in, missing);
    for (let lost = -missing; off(lost); lost--) ledger.drop(row, Reason.worker_died);
  }
  return isMended;
}
