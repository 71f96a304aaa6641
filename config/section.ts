/** Reading an object by its declaration: every declared key, its default where it is absent, and nothing else. */
import type { Member, Node, ObjectNode } from './jsonc.js';
import { type Draft, type Field, type Json, type Kind, type Section, refOf, wrongKind } from './kinds.js';
import { nearest, type Reporter } from './problems.js';

type Fields = Readonly<Record<string, Field<unknown>>>;

export function section<F extends { readonly [K in keyof F]: Field<unknown> }>(id: string, help: string, fields: F): Section<F> {
  const declared = fields as Fields;
  const keys = Object.keys(declared);
  const defaults = new Map<string, unknown>();

  function read(node: Node, reporter: Reporter): Draft<F> {
    const draft: Record<string, unknown> = { at: node, line: reporter.lineOf(node.start) };
    const members = node.kind === 'object' ? node.value : [];
    let known = 0;
    let missing = false;
    for (const key of keys) {
      const given = find(members, key);
      if (given === undefined) {
        draft[key] = absent(key, declared[key], node, reporter, defaults);
        missing ||= declared[key].need === 'required';
      } else {
        known++;
        const nothing = declared[key].need === 'optional' && given.kind === 'word' && given.value === null;
        draft[key] = nothing ? null : declared[key].kind.read(given, reporter);
      }
    }
    if (node.kind !== 'object') wrongKind(node, `an object (${id})`, '{ … }', reporter);
    else if (missing || known !== members.length) checkKeys(node, declared, draft, reporter);
    // The one place where a declaration becomes a type: `declared` holds each field's kind, so the values match `Draft<F>`.
    return draft as Draft<F>;
  }

  return {
    id,
    label: `an object: ${id}`,
    json: sectionJson(help, declared),
    parts: Object.values(declared).map(field => field.kind),
    section: { id, help, fields: declared },
    read,
  };
}

function find(members: readonly Member[], key: string): Node | undefined {
  for (let i = 0; i < members.length; i++) if (members[i].key === key) return members[i].node;
  return undefined;
}

/** The value of a key that is not there. */
function absent(key: string, field: Field<unknown>, node: Node, reporter: Reporter, defaults: Map<string, unknown>): unknown {
  if (field.need === 'optional') return null;
  if (field.need === 'required') return undefined;
  if (!defaults.has(key)) {
    const value = field.kind.read(nodeOf(field.preset ?? null), { ...reporter, report: refuse });
    defaults.set(key, value);
  }
  const value = defaults.get(key);
  // An object by default lies where its owner does.
  return field.kind.section !== undefined && !Array.isArray(value) ? { ...(value as object), at: node, line: reporter.lineOf(node.start) } : value;
}

/** Keys that nobody declared, and declared ones that had to be there. A slip of the pen is both, and one problem. */
function checkKeys(node: ObjectNode, fields: Fields, draft: Record<string, unknown>, reporter: Reporter): void {
  const names = Object.keys(fields);
  const meant = new Set<string>();
  for (const member of node.value) {
    if (Object.hasOwn(fields, member.key)) continue;
    const near = nearest(member.key, names);
    if (near !== undefined && !node.value.some(m => m.key === near)) {
      meant.add(near);
      draft[near] = undefined; // something was said about it, and we do not know what
    }
    reporter.reportKey(node, member.key, 'unknown key', near === undefined ? `known here: ${names.join(', ')}` : `did you mean "${near}"?`);
  }
  for (const [key, field] of Object.entries(fields)) {
    if (field.need !== 'required' || meant.has(key) || node.value.some(m => m.key === key)) continue;
    reporter.report(node, key, 'missing', `add "${key}": ${JSON.stringify(field.example)}`);
  }
}

function sectionJson(help: string, fields: Fields): { readonly [key: string]: Json } {
  const entries = Object.entries(fields);
  const needed = entries.filter(([, field]) => field.need === 'required').map(([key]) => key);
  return {
    type: 'object',
    description: help,
    properties: Object.fromEntries(entries.map(([key, field]) => [key, fieldJson(field)])),
    ...(needed.length === 0 ? {} : { required: needed }),
    additionalProperties: false,
  };
}

function fieldJson(field: Field<unknown>): Json {
  const shape = refOf(field.kind as Kind<unknown>);
  return {
    ...(field.need === 'optional' ? { anyOf: [shape, { type: 'null' }] } : shape),
    description: field.help,
    ...(field.need === 'preset' ? { default: field.preset ?? null } : {}),
    ...(field.example === undefined ? {} : { examples: [field.example] }),
  };
}

/** A value as if it had been read from a file. */
export function nodeOf(value: Json): Node {
  const [start, end] = [0, 0];
  if (typeof value === 'string') return { kind: 'string', start, end, value };
  if (typeof value === 'number') return { kind: 'number', start, end, value };
  if (typeof value === 'boolean' || value === null) return { kind: 'word', start, end, value };
  if (Array.isArray(value)) return { kind: 'array', start, end, value: value.map(nodeOf) };
  return { kind: 'object', start, end, value: Object.entries(value).map(([key, each]) => ({ key, start, node: nodeOf(each) })) };
}

function refuse(_node: Node, _place: unknown, message: string): never {
  throw new Error(`a default in the declaration is itself refused: ${message}`);
}
