/** The command line of the benches. It prints and chooses; what is measured is in suite.ts, how is in harness.ts. */
import { parseArgs } from 'node:util';
import { FULL, QUICK } from './harness.js';
import { drawCharts } from './plot/charts.js';
import { makeTable, renderMachine, renderResults, thisMachine, type Missing } from './report.js';
import { summarise, type Bench, type Result } from './result.js';

const USAGE = `npm run bench [-- NAME… | --json | --list | --quick | --write | --plot]

  NAME     only benches whose name contains it (several: any of them)
  --json   an array of objects instead of a table
  --list   names and what they measure; nothing runs
  --quick  see that everything runs; figures are rough
  --write  everything, and bench/RESULTS.md anew
  --plot   also charts of what was measured, SVG beside RESULTS.md
`;

/** Exit codes: 0 done, whatever the figures; 2 the command line makes no sense. */
const DONE = 0;
const MISUSED = 2;

export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** Put the text of RESULTS.md in its place. */
  writeResults(text: string): void;
  /** Put a chart beside it. */
  writeChart(file: string, svg: string): void;
}

const OPTIONS = {
  json: { type: 'boolean', default: false }, list: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false }, plot: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false },
} as const;

/** Run what `argv` asks for out of `suite`; returns the exit code. */
export async function runBenches(argv: readonly string[], suite: readonly Bench[], io: Io): Promise<number> {
  const parsed = parse(argv);
  if (typeof parsed === 'string') return misused(parsed, io);
  const { values: { json, list, quick, write, plot, help }, positionals: names } = parsed;
  if (help) {
    io.out(USAGE);
    return DONE;
  }
  const benches = suite.filter(bench => isWanted(bench, names) || (list && names.length === 0));
  if (benches.length === 0) return misused(`no bench has ${names.join(' or ')} in its name; --list shows all`, io);
  if (write && (quick || names.length > 0)) return misused('--write wants all figures, and good ones: no NAME, no --quick', io);
  if (list) {
    const width = Math.max(...benches.map(({ name }) => name.length));
    for (const { name, what } of benches) io.out(`${name.padEnd(width)}  ${what}\n`);
    return DONE;
  }

  const machine = thisMachine();
  const table = makeTable(benches.map(bench => bench.name));
  if (!json) io.out(`${renderMachine(machine)}\n${table.head}\n`);
  const results: Result[] = [];
  const missing: Missing[] = [];
  for (const bench of benches) {
    const why = bench.missing?.() ?? null;
    if (why !== null) {
      missing.push({ name: bench.name, why });
      continue;
    }
    const result = summarise(bench, await bench.measure(quick ? QUICK : FULL));
    results.push(result);
    if (!json) io.out(`${table.row(result)}\n`);
  }
  for (const why of new Set(missing.map(each => each.why))) {
    io.err(`Not measured here, ${why}: ${missing.filter(each => each.why === why).map(({ name }) => name).join(', ')}\n`);
  }
  if (json) io.out(`${JSON.stringify(results.map(result => ({ ...result, ...machine })), null, 2)}\n`);
  const charts = plot ? drawCharts(results) : [];
  for (const { file, svg } of charts) io.writeChart(file, svg);
  if (write) io.writeResults(renderResults(results, machine, new Map(suite.map(({ name, what }) => [name, what])), missing, charts));
  return DONE;
}

function isWanted({ name, onRequest }: Bench, names: readonly string[]): boolean {
  if (onRequest === undefined && names.length === 0) return true;
  return names.some(asked => name.includes(asked) && asked.includes(onRequest ?? ''));
}

/** What was asked for, or what is wrong with it. */
function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function misused(message: string, io: Io): number {
  io.err(`${message}\n\n${USAGE}`);
  return MISUSED;
}
