/** What a scenario asserts: every datagram that left, byte for byte, and every counter. */
import type { Test } from 'tap';
import type { LedgerTotals } from '../../pipeline/ledger.js';
import { REASONS, type ReasonName } from '../../pipeline/reasons.js';
import { hex } from './bytes.js';
import type { Lab, Sent } from './lab.js';

type Counter = 'forwarded' | 'consumed' | 'held' | 'copies' | 'originated' | ReasonName;
/** Fates, copies, originated packets and drops by reason; one not named must be zero. */
export type Expected = Partial<Record<Counter, number>>;

/** Everything that left since the last call, in order, is `wanted` and nothing else. */
export function expectSent(t: Test, lab: Lab, wanted: readonly Sent[], what = 'what left'): void {
  const lines = (sent: readonly Sent[]): string[] => sent.map(({ peer, bytes }) => `${peer} ${hex(bytes)}`);
  t.same(lines(lab.take()), lines(wanted), what);
}

/** The whole ledger: `wanted` by tenant name, `-` for nobody's; a tenant not named has seen nothing. And it balances. */
export function expectLedger(t: Test, lab: Lab, wanted: Readonly<Record<string, Expected>>): void {
  const names = new Set(['-', ...lab.tenants(), ...Object.keys(wanted)]);
  for (const name of names) t.same(counted(lab.totals(name)), filled(wanted[name] ?? {}), `counters of ${name}`);
  t.same(lab.imbalances(), [], 'the ledger balances');
}

function counted({ packets, drops }: LedgerTotals) {
  const { bytesIn: _in, bytesOut: _out, ...counts } = packets; // `imbalances` compares them with the wire
  return { ...counts, drops };
}

/** The sums follow from the parts. */
function filled(wanted: Expected) {
  const { forwarded = 0, consumed = 0, held = 0, copies = 0, originated = 0, ...rest } = wanted;
  const drops = Object.fromEntries(Object.entries(rest).filter(([reason, n]) => reason in REASONS && n !== 0));
  const dropped = Object.values(drops).reduce((sum, n) => sum + n, 0);
  return { in: forwarded + dropped + consumed + held, forwarded, dropped, consumed, held, out: forwarded + copies + originated, copies, originated, drops };
}
