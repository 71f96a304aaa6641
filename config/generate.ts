/** The published files that follow from the declaration: schema.json and REFERENCE.md. */
import type { Field, Json, Kind, SectionShape } from './kinds.js';
import { CONFIG } from './schema.js';

/** JSON Schema 2020-12 of the file, for editors. It knows shapes; whether they make sense together is `check`'s business. */
export function renderJsonSchema(): string {
  const defs: Record<string, Json> = {};
  for (const kind of kindsWithin(CONFIG)) if (kind.id !== undefined && kind !== CONFIG) defs[kind.id] = kind.json;
  const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Causeway config', ...CONFIG.json, $defs: defs };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/** The text of REFERENCE.md. */
export function renderReference(): string {
  const shapes = [...kindsWithin(CONFIG)].filter(kind => kind.id === kind.section?.id).flatMap(kind => kind.section ?? []);
  return `# Config reference

One file: JSON with comments (\`//\` and \`/* */\`) and trailing commas. Every key is here; a key that is not is a problem.
\`causeway check FILE\` lists all problems of a file at once. [examples/](examples/) has files to start from,
[schema.json](schema.json) is the same as JSON Schema for editors.

CA is a customer address (inner), PA a provider address (outer), VSID a 24-bit virtual subnet id, RDID a routing domain id.

${shapes.map(renderSection).join('\n')}
## Value formats

| value | what it looks like |
| --- | --- |
${FORMATS.map(([value, form]) => `| ${value} | ${form} |`).join('\n')}
`;
}

const FORMATS = [
  ['a name', 'letters, digits, `.` `_` `-`; at most 63; starts with a letter or a digit'],
  ['an IP address', '`192.0.2.1` or `2001:db8::1`; no leading zeros, no zone, no IPv4 inside IPv6'],
  ['an IP prefix', '`10.0.0.0/24` or `2001:db8::/64`, with no bits set to the right of the length'],
  ['a PA', '`192.0.2.11`, `127.0.0.1:47011`, `2001:db8::1` or `[2001:db8::1]:4754`; PAs that share an address must all carry ports'],
  ['a MAC address', '`00:15:5d:00:00:05`, `00-15-5D-00-00-05` or `00155d000005`'],
  ['a GUID', '`6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01`, with or without braces, in either case'],
  ['a pool entry', '`203.0.113.10`, `203.0.113.0/28` or `203.0.113.10-203.0.113.20`'],
  ['a port or range', '`22` or `"49152-49182"`'],
  ['a next hop', '`"nat"`, `"forward"`, `"site:NAME"`, `"ca:ADDRESS"` or `"drop"`'],
] as const;

function renderSection({ id, help, fields }: SectionShape): string {
  const rows = Object.entries(fields).map(([key, field]) => (
    `| \`${key}\` | ${valueOf(field)} | ${defaultOf(field)} | ${code(field.example)} | ${cell(field.help)} |\n`
  ));
  return `## ${id}\n\n${help}\n\n| key | value | default | example | meaning |\n| --- | --- | --- | --- | --- |\n${rows.join('')}`;
}

function valueOf({ kind }: Field<unknown>): string {
  if (kind.section === undefined) return cell(kind.label);
  const link = `[${kind.section.id}](#${kind.section.id.toLowerCase()})`;
  return kind.id === undefined ? `list of ${link}` : `object ${link}`;
}

function defaultOf(field: Field<unknown>): string {
  if (field.need === 'required') return '**required**';
  return field.need === 'optional' || JSON.stringify(field.preset) === '{}' ? '' : code(field.preset);
}

function code(value: Json | undefined): string {
  return value === undefined ? '' : `\`${cell(JSON.stringify(value))}\``;
}

function cell(text: string): string {
  return text.replace(/\|/g, '\\|');
}

/** Every kind that a kind is made of, itself first, each once. */
function kindsWithin(kind: Kind<unknown>, found = new Set<Kind<unknown>>()): Set<Kind<unknown>> {
  if (!found.has(kind)) {
    found.add(kind);
    for (const part of kind.parts ?? []) kindsWithin(part, found);
  }
  return found;
}
