/** What a scenario asserts: every datagram that left, byte for byte, and every counter. */
import type { Test } from 'tap';
import type { LedgerTotals } from '../../pipeline/ledger.js';
import { REASONS, type ReasonName } from '../../pipeline/reasons.js';
import { ipv4DontFragment, ipv4Src, setIpv4Id } from '../../codecs/ipv4.js';
import { hex } from './bytes.js';
import type { Lab, Sent } from './lab.js';
import { HOSTS } from './world.js';

/** 203.0.113.0/24, where the world's pools are. */
const POOLS = 0xcb0071;

type Counter = 'forwarded' | 'consumed' | 'held' | 'copies' | 'originated' | ReasonName;
/** Fates, copies, originated packets and drops by reason; one not named must be zero. */
export type Expected = Partial<Record<Counter, number>>;

/** Everything that left since the last call, in order, is `wanted` and nothing else. */
export function expectSent(t: Test, lab: Lab, wanted: readonly Sent[], what = 'what left'): void {
  const lines = (sent: readonly Sent[]): string[] => sent.map(({ peer, bytes }) => `${peer} ${hex(withoutId(peer, bytes))}`);
  t.same(lines(lab.take()), lines(wanted), what);
}

/** What NAT sends and may be cut has an IPv4 ID of its own, which only a test about that has to know: here it is 0, and the header's checksum as right as it was. */
export function withoutId(peer: string, bytes: Uint8Array): Uint8Array {
  const at = peer in HOSTS ? 22 : (bytes[0] & 0x20) !== 0 ? 8 : 4;
  if (bytes.length < at + 20 || bytes[at] >>> 4 !== 4 || ipv4DontFragment(bytes, at) || ipv4Src(bytes, at) >>> 8 !== POOLS) return bytes;
  const copy = bytes.slice();
  setIpv4Id(copy, at, 0);
  return copy;
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
