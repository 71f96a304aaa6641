/**
 * Does the ledger balance? Asked from outside while workers count. A row read in the middle of a packet is off by that
 * packet for a moment; one that is truly off stays so. So a row is read again until it balances, for a while. What waits
 * in rings is in no ledger yet, on neither side of the equations, so it does not matter here.
 */
import { imbalances, totals, type Ledger } from '../../pipeline/ledger.js';

/** At once, for the packet that is being counted right now. */
const GLANCES = 32;
/** And after a pause, for the worker that the system has put aside in the middle of one. */
const LOOKS = 6;
const PAUSE_MS = 20;

/** What does not add up and keeps not adding up, by row; empty when all is well. */
export async function auditLedger(ledgers: readonly Ledger[], rows: Iterable<number>): Promise<Map<number, string[]>> {
  let off = glance(ledgers, rows);
  for (let look = 1; look < LOOKS && off.size > 0; look++) {
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS));
    off = glance(ledgers, off.keys());
  }
  return off;
}

function glance(ledgers: readonly Ledger[], rows: Iterable<number>): Map<number, string[]> {
  const off = new Map<number, string[]>();
  for (const row of rows) {
    let found = imbalances(totals(ledgers, [row]));
    for (let again = 1; again < GLANCES && found.length > 0; again++) found = imbalances(totals(ledgers, [row]));
    if (found.length > 0) off.set(row, found);
  }
  return off;
}
