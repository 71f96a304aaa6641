/** Results as people and programs read them. */
import { arch, availableParallelism, cpus, loadavg, release, type as system } from 'node:os';
import type { Result } from './result.js';

export interface Machine {
  /** Processor, how many of them, system. */
  readonly machine: string;
  readonly node: string;
}

export function thisMachine(): Machine {
  return { machine: `${cpus()[0]?.model.trim() ?? arch()}, ${availableParallelism()} CPUs, ${system()} ${release()} ${arch()}`, node: process.version };
}

/** What to know before believing a figure. */
export function renderMachine({ machine, node }: Machine): string {
  return `${machine} · Node ${node} · load ${loadavg()[0].toFixed(1)}`;
}

const COLUMNS = ['name', 'unit', 'min', 'median', 'max', 'heap B/op', 'baseline', 'ratio', 'target', 'met'] as const;
const LEFT = 2; // columns of words, the others are figures
const WIDTH = 9;
const UNIT_WIDTH = 8;

function cells(r: Result): string[] {
  const isRatio = r.target_of === 'ratio';
  return [
    r.name, r.unit, figure(r.min), figure(r.median), figure(r.max), r.heap_bytes_per_op === null ? '' : r.heap_bytes_per_op.toFixed(1),
    r.baseline === undefined ? '' : figure(r.baseline), r.ratio === undefined ? '' : `${figure(r.ratio)}×`,
    r.target === undefined ? '' : `${r.target_is === 'least' ? '≥' : '≤'} ${r.target}${isRatio ? '×' : ''}`, r.met === undefined ? '' : r.met ? 'yes' : 'NO',
  ];
}

/** Three digits that count. */
export function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Lines of a table whose names are known before its figures. */
export function makeTable(names: readonly string[]): { head: string; row(result: Result): string } {
  const longest = Math.max(...names.map(name => name.length), COLUMNS[0].length);
  const line = (texts: readonly string[]): string => texts.map((text, i) => i === 0 ? text.padEnd(longest) : i < LEFT ? text.padEnd(UNIT_WIDTH) : text.padStart(WIDTH)).join('  ').trimEnd();
  return { head: line(COLUMNS), row: result => line(cells(result)) };
}

/** A bench that this machine or this Node cannot run, and why. */
export interface Missing { readonly name: string; readonly why: string }

/** The text of RESULTS.md. */
export function renderResults(results: readonly Result[], machine: Machine, whats: ReadonlyMap<string, string>, missing: readonly Missing[] = [], charts: readonly { readonly file: string; readonly what: string }[] = []): string {
  const row = (texts: readonly string[]): string => `| ${texts.join(' | ')} |\n`;
  const align = COLUMNS.map((_, i) => i < LEFT ? '---' : '--:');
  return '# Results\n\nWritten by `npm run bench -- --write`; README.md says what the columns mean. Other machines have other figures: compare ratios.\n\n'
    + `${renderMachine(machine)}\n\n`
    + row(COLUMNS) + row(align) + results.map(result => row(cells(result))).join('')
    + (charts.length === 0 ? '' : '\n' + charts.map(({ file, what }) => `![${what}](${file})\n`).join('\n'))
    + (missing.length === 0 ? '' : '\n## Not measured here\n\n' + missing.map(({ name, why }) => `- \`${name}\`: ${why}\n`).join(''))
    + '\n## What is measured\n\n' + results.map(({ name }) => `- \`${name}\`: ${whats.get(name) ?? ''}\n`).join('');
}
