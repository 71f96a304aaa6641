/**
 * The lines of the NAT log, declared once: control writes them, `whois` reads them, and NAT-LOG.md's table is made of this.
 * A line is a JSON object with the keys in this order, `time` and `type` first.
 */
import { address, blocks, mappings, nullable, ranges, text, time, whole, word, yes, type Kind, type ValueOf } from './kinds.js';

/** Grows when a reader of before could take a line for something else; not when a type or a key is added. */
export const FORMAT = 1;

interface Field { readonly kind: Kind<unknown>; readonly help: string }
interface LineShape { readonly when: string; readonly fields: Readonly<Record<string, Field>> }

function field<T>(kind: Kind<T>, help: string): { readonly kind: Kind<T>; readonly help: string } {
  return { kind, help };
}

const of = { tenant: field(text, 'its name'), rdid: field(text, 'its routing domain, which stays when the name changes') };
const run = {
  inside: field(address, 'whose ports they are'), outside: field(address, 'the external address'),
  firstPort: field(whole, 'first external port'), count: field(whole, 'how many'),
};
const writer = {
  format: field(whole, 'of these lines; 1'), gateway: field(text, 'its name in the config'), version: field(text, 'Causeway’s'),
  config: field(text, 'the file'), generation: field(whole, 'of the config in force; 1 at start, one more with each reload'), plans: field(whole, 'so many plan lines follow'),
};

export const LINES = {
  start: {
    when: 'A daemon begins to carry packets. What any before it had given out ended with it. plan and complete lines follow',
    fields: { ...writer, before: field(word('nothing', 'stop', 'crash'), 'how the daemon before it ended'), seen: field(nullable(time), 'until when that one’s lines are complete, after a crash') },
  },
  continue: {
    when: 'All that is in force is said again: at the head of a file, and where lines are missing before. plan, held and complete lines follow',
    fields: { ...writer, why: field(word('size', 'lost', 'removed'), 'the file before was full; lines were lost; it was not there any more') },
  },
  plan: {
    when: 'How a tenant’s external ports are given out, since when',
    fields: {
      generation: field(whole, 'of the config that first said so'), since: field(time, 'when that was handed to the workers'), from: field(time, 'the same, or when the clock was set last, if that was later'), ...of, line: field(whole, 'of its nat section in the config'),
      inside: field(ranges, 'its inside addresses, in order'), outside: field(ranges, 'the external ones that ports of which are given out, in order'),
      assign: field(word('auto', 'dynamic'), 'whether there are shares'), order: field(word('inTurn', 'sequential'), 'how inside addresses are laid over outside ones'),
      reserved: field(whole, 'ports below are given to nobody'), perOutside: field(whole, 'inside addresses on each outside one'), share: field(whole, 'ports of a share; 0 without'), size: field(whole, 'ports of a block'),
      mappings: field(mappings, 'static mappings'),
    },
  },
  held: { when: 'Blocks that a tenant’s inside addresses have at this time', fields: { ...of, blocks: field(blocks, 'which, since when; `from` as in plan lines') } },
  complete: { when: 'That was all that is in force', fields: { generation: field(whole, 'of the config in force'), settled: field(yes, 'whether no worker goes by one before') } },
  config: {
    when: 'Another config is handed to the workers. As many plan and gone lines follow; tenants without one go on as before',
    fields: { config: field(text, 'the file'), generation: field(whole, 'its number'), plans: field(whole, 'tenants whose plan is new or another'), gone: field(whole, 'tenants that have none any more') },
  },
  gone: { when: 'A tenant has no external ports in the new config', fields: { generation: field(whole, 'of that config'), ...of } },
  settled: { when: 'All workers go by the new config, and what it forbids has ended: what plans before said holds no longer', fields: { generation: field(whole, 'of that config') } },
  allocate: { when: 'An inside address got a block of ports; since this time', fields: { ...of, ...run } },
  release: { when: 'It has the block no more; it had no binding in it since this time. Written when nobody can confuse the two, as a rule two minutes later', fields: { ...of, ...run, since: field(time, 'when it had got it') } },
  lost: { when: 'Lines are missing: the disk was full or slow, or the file was removed. A continue line and all that is in force follow', fields: { lines: field(whole, 'how many'), since: field(time, 'the first of them') } },
  clock: { when: 'The machine’s clock was set: times before this line are by the old one', fields: { was: field(time, 'what the old one would say at this moment') } },
  stop: { when: 'The daemon ends, and all that it gave out', fields: {} },
} as const satisfies Record<string, LineShape>;

export type LineType = keyof typeof LINES;
type FieldsOf<T extends LineType> = (typeof LINES)[T]['fields'];
/** A line of one type, as it is in memory. */
export type LineOf<T extends LineType> = { readonly type: T; readonly time: number } & { readonly [K in keyof FieldsOf<T>]: FieldsOf<T>[K] extends { readonly kind: infer K2 } ? ValueOf<K2> : never };
export type Line = { [T in LineType]: LineOf<T> }[LineType];
export type PlanLine = LineOf<'plan'>;

/** With its line feed. */
export function renderLine(line: Line): string {
  const shape: LineShape = LINES[line.type];
  const values = line as unknown as Record<string, unknown>;
  const out: Record<string, unknown> = { time: time.write(line.time), type: line.type };
  for (const [key, { kind }] of Object.entries(shape.fields)) out[key] = kind.write(values[key]);
  return `${JSON.stringify(out)}\n`;
}

/** What a line's beginning says, before all of it is read. */
export const HEAD = /^\{"time":"([^"]*)","type":"([a-z]+)"/;

/** A line without its line feed. `damaged`: it is none, or torn. `unknown`: a later version's. */
export function parseLine(given: string): Line | 'damaged' | 'unknown' {
  let value: unknown;
  try {
    value = JSON.parse(given);
  } catch {
    return 'damaged';
  }
  if (typeof value !== 'object' || value === null) return 'damaged';
  const given_ = value as Record<string, unknown>;
  const at = time.read(given_.time), { type } = given_;
  if (at === undefined || typeof type !== 'string') return 'damaged';
  if (!Object.hasOwn(LINES, type)) return 'unknown';
  const shape: LineShape = LINES[type as LineType];
  const line: Record<string, unknown> = { type, time: at };
  for (const [key, { kind }] of Object.entries(shape.fields)) {
    line[key] = kind.read(given_[key]);
    if (line[key] === undefined) return 'damaged';
  }
  // The one place where text becomes a line: every field has been read by its own kind.
  return line as unknown as Line;
}

/** The table of NAT-LOG.md; a test holds the two together. */
export function renderLineTable(): string {
  const rows = Object.entries<LineShape>(LINES).flatMap(([type, { when, fields }]) => [
    `| \`${type}\` | | | ${when} |\n`, ...Object.entries(fields).map(([key, { kind, help }]) => `| | \`${key}\` | ${kind.word} | ${help} |\n`),
  ]);
  return `| type | key | value | meaning |\n| --- | --- | --- | --- |\n${rows.join('')}`;
}
