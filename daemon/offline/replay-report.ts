/** What a replay came to: one object for programs, the same in words for people. */
import type { CaptureFault, CaptureWarning } from '../../codecs/capture.js';
import { REASON_COUNT, REASON_NAMES, reasonRow } from '../../pipeline/reasons.js';
import type { LedgerTotals } from '../../pipeline/ledger.js';

export const PACKET_FATES = ['in', 'forwarded', 'dropped', 'consumed', 'held', 'out', 'copies', 'originated'] as const;
export type PacketCounts = Record<(typeof PACKET_FATES)[number], number>;
export interface Counts { readonly packets: PacketCounts; readonly drops: Record<string, number> }

export interface ReplayReport extends Counts {
  readonly file: string;
  /** First and latest time in the capture, ISO 8601 with nanoseconds; null where no packet has one. */
  readonly first: string | null;
  readonly last: string | null;
  /** Every tenant of the config, in its order, zeros included; `-`, nobody, comes first. */
  readonly tenants: Record<string, Counts>;
  /** Why the capture could not be read to its end. */
  readonly faults: readonly CaptureFault[];
  /** Oddities of the capture that were read all the same. */
  readonly warnings: readonly CaptureWarning[];
  /** Datagrams too long to be sent. */
  readonly unsendable: number;
  /** What does not add up; empty when the ledger balances. */
  readonly imbalances: readonly string[];
}

export function countsOf({ packets, drops }: LedgerTotals): Counts {
  return { packets: Object.fromEntries(PACKET_FATES.map(name => [name, packets[name]])) as PacketCounts, drops };
}

/** A time in nanoseconds since the epoch, as ISO 8601. */
export function timeText(ns: bigint): string {
  const date = new Date(Number(ns / 1_000_000n));
  if (Number.isNaN(date.getTime())) return `${ns / 1_000_000_000n} seconds since the epoch`; // past the year 275760: a damaged clock
  return `${date.toISOString().slice(0, 19)}.${String(ns % 1_000_000_000n).padStart(9, '0')}Z`;
}

export function renderReport(report: ReplayReport): string {
  const { packets, drops, tenants } = report;
  const lines = [
    `${report.file}: ${plural(packets.in, 'packet')}${report.first === null ? '' : `, ${report.first} to ${report.last}`}`,
    `  in   ${packets.in} = ${sum(packets, ['forwarded', 'dropped', 'consumed', 'held'])}`,
    `  out  ${packets.out} = ${sum(packets, ['forwarded', 'copies', 'originated'])}`,
  ];
  if (Object.keys(drops).length > 0) {
    lines.push('', 'drops');
    const width = Math.max(...Object.keys(drops).map(reason => reason.length));
    for (let code = 1; code < REASON_COUNT; code++) {
      const name = REASON_NAMES[code];
      const row = reasonRow(code);
      if (drops[name] !== undefined && row !== undefined) lines.push(`  ${String(drops[name]).padStart(7)}  ${name.padEnd(width)}  ${row.help} (${row.source})`);
    }
  }
  const busy = Object.entries(tenants).filter(([, counts]) => Object.values(counts.packets).some(n => n !== 0));
  if (busy.length > 0) lines.push('', ...tenantTable(busy));
  lines.push('');
  if (report.unsendable > 0) lines.push(`${plural(report.unsendable, 'datagram')} longer than UDP can carry: not written`);
  if (report.imbalances.length === 0) lines.push('ledger balances');
  else lines.push('the ledger does NOT balance:', ...report.imbalances.map(what => `  ${what}`));
  return `${lines.join('\n')}\n`;
}

function sum(packets: PacketCounts, parts: readonly (keyof PacketCounts)[]): string {
  return parts.map(part => `${packets[part]} ${part}`).join(' + ');
}

function tenantTable(tenants: readonly (readonly [string, Counts])[]): string[] {
  const rows = [['tenant', ...PACKET_FATES], ...tenants.map(([name, { packets }]) => [name, ...PACKET_FATES.map(fate => String(packets[fate]))])];
  const widths = rows[0].map((_, column) => Math.max(...rows.map(row => row[column].length)));
  return rows.map(row => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  '));
}

export function plural(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
