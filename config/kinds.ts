/**
 * Kinds of value: how one is read from a node, what it is called in messages and in the reference, and its JSON Schema.
 *
 * A kind reports what is wrong and returns undefined. From then on undefined means "unknown, already reported":
 * whoever meets it says nothing, so that one mistake is one problem.
 */
import type { Node } from './jsonc.js';
import { nearest, type Reporter } from './problems.js';
import { Refusal } from './refusal.js';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export interface Kind<T> {
  /** With its article: "an IP address". */
  readonly label: string;
  readonly json: JsonObject;
  /** Its name under $defs, where it is used often enough to have one. */
  readonly id?: string;
  /** The kinds this one is made of, for whoever walks the declaration. */
  readonly parts?: readonly Kind<unknown>[];
  /** What an object holds, also when there is a list of them. */
  readonly section?: SectionShape;
  read(node: Node, reporter: Reporter): T | undefined;
}

export interface Field<T> {
  readonly kind: Kind<T>;
  /** Whether a missing key is a problem, reads as null, or reads as the preset. */
  readonly need: 'required' | 'optional' | 'preset';
  /** As one would write it. */
  readonly preset?: Json;
  readonly help: string;
  readonly example?: Json;
}

/** A section with the types of its fields forgotten. */
export interface SectionShape {
  readonly id: string;
  readonly help: string;
  readonly fields: Readonly<Record<string, Field<unknown>>>;
}

/** What a kind read from a field: undefined is reported, null is absent. */
type Read<F> = F extends Field<infer T> ? T | undefined : never;

/** An object as read: its node, for reports, and a value for each declared key. */
export type Draft<F> = { readonly at: Node; readonly line: number } & { readonly [K in keyof F]: Read<F[K]> };

export interface Section<F> extends Kind<Draft<F>> {
  readonly section: SectionShape;
  read(node: Node, reporter: Reporter): Draft<F>;
}

export function required<T>(kind: Kind<T>, help: string, example: Json): Field<T> {
  return { kind, need: 'required', help, example };
}

export function optional<T>(kind: Kind<T>, help: string, example: Json): Field<T | null> {
  return { kind, need: 'optional', help, example };
}

export function preset<T>(kind: Kind<T>, value: Json, help: string, example?: Json): Field<T> {
  return { kind, need: 'preset', preset: value, help, ...(example === undefined ? {} : { example }) };
}

/** A string with a meaning of its own. */
export function text<T>(id: string, label: string, sample: string, json: JsonObject, parse: (text: string) => T | Refusal<T>): Kind<T> {
  return {
    id, label, json: { type: 'string', ...json },
    read(node, reporter) {
      if (node.kind !== 'string') return wrongKind(node, label, JSON.stringify(sample), reporter);
      const value = parse(node.value);
      if (!(value instanceof Refusal)) return value;
      reporter.report(node, null, value.message, value.advice);
      return value.meant;
    },
  };
}

/** A whole number, both ends included; the unit is for people. */
export function whole(unit: string, min: number, max: number): Kind<number> {
  const label = unit === '' ? 'a whole number' : `a whole number of ${unit}`;
  return {
    label: `${label}, ${min} to ${max}`,
    json: { type: 'integer', minimum: min, maximum: max },
    read(node, reporter) {
      let value = NaN;
      if (node.kind === 'number') value = node.value;
      else if (node.kind === 'string' && /^-?\d{1,15}$/.test(node.value)) {
        reporter.report(node, null, 'a number in quotes', `write ${Number(node.value)}`);
        return Number(node.value) >= min && Number(node.value) <= max ? Number(node.value) : undefined;
      } else return wrongKind(node, label, `a number from ${min} to ${max}`, reporter);
      if (Number.isInteger(value) && value >= min && value <= max) return value;
      const advice = `write a whole number from ${min} to ${max}${unit === '' ? '' : ` (${unit})`}`;
      reporter.report(node, null, Number.isInteger(value) ? 'out of range' : 'not a whole number', advice);
      return undefined;
    },
  };
}

/** true or false. */
export const flag: Kind<boolean> = {
  label: 'true or false',
  json: { type: 'boolean' },
  read(node, reporter) {
    if (node.kind === 'word' && typeof node.value === 'boolean') return node.value;
    return wrongKind(node, 'true or false', 'true or false, without quotes', reporter);
  },
};

/** One of a few words. `later` names words that will mean something one day, and what to say until then. */
export function oneOf<const T extends string>(words: readonly T[], later: Readonly<Record<string, string>> = {}): Kind<T> {
  const label = words.map(word => `"${word}"`).join(' or ');
  return {
    label,
    json: { enum: words },
    read(node, reporter) {
      if (node.kind !== 'string') return wrongKind(node, label, label, reporter);
      const found = words.find(word => word === node.value);
      if (found !== undefined) return found;
      const lower = node.value.toLowerCase();
      const promise = Object.hasOwn(later, lower) ? later[lower] : undefined;
      const near = nearest(node.value, words);
      if (promise !== undefined) reporter.report(node, null, promise, `write ${label}`);
      else reporter.report(node, null, `not ${label}`, near === undefined ? 'write one of these' : `did you mean "${near}"?`);
      return undefined;
    },
  };
}

/** A kind, or one word or literal that stands for something special. */
export function either<T, U>(first: Kind<T>, special: Json & (string | boolean | null), meaning: U): Kind<T | U> {
  return {
    label: `${first.label}, or ${JSON.stringify(special)}`,
    json: { anyOf: [refOf(first), { const: special }] },
    parts: [first],
    read(node, reporter) {
      return (node.kind === 'string' || node.kind === 'word') && node.value === special ? meaning : first.read(node, reporter);
    },
  };
}

/** Items that could not be read stay in the list as undefined, so that positions keep their meaning. */
export function list<T>(item: Kind<T>, least: 0 | 1): Kind<readonly (T | undefined)[]> {
  return {
    label: `a list, each item ${item.label}`,
    json: { type: 'array', items: refOf(item), ...(least === 0 ? {} : { minItems: least }) },
    parts: [item],
    read(node, reporter) {
      if (node.kind !== 'array') {
        if (node.kind !== 'bad') reporter.report(node, null, `${nounOf(node)} where a list belongs`, 'put it in [ ]');
        return undefined;
      }
      if (node.value.length < least) {
        reporter.report(node, null, 'an empty list', 'give it at least one item, or leave the key out');
        return undefined;
      }
      return Object.freeze(node.value.map(each => item.read(each, reporter)));
    },
  };
}

/** A list that may be written without brackets when it has one item. */
export function oneOrMore<T>(item: Kind<T>): Kind<readonly (T | undefined)[]> {
  const many = list(item, 1);
  return {
    label: `${item.label}, or a list of them`,
    json: { anyOf: [refOf(item), many.json] },
    parts: [item],
    read: (node, reporter) => (node.kind === 'array' ? many.read(node, reporter) : Object.freeze([item.read(node, reporter)])),
  };
}

/** A list of objects; each comes back as a draft, however little of it could be read. */
export function sections<F>(item: Section<F>): Kind<readonly Draft<F>[]> {
  return {
    label: `a list of ${item.section.id} objects`,
    json: { type: 'array', items: refOf(item) },
    parts: [item],
    section: item.section,
    read(node, reporter) {
      if (node.kind === 'array') return node.value.map(each => item.read(each, reporter));
      if (node.kind !== 'bad') reporter.report(node, null, `${nounOf(node)} where a list belongs`, 'put it in [ ]');
      return undefined;
    },
  };
}

export function refOf(kind: Kind<unknown>): JsonObject {
  return kind.id === undefined ? kind.json : { $ref: `#/$defs/${kind.id}` };
}

export function nounOf(node: Node): string {
  if (node.kind === 'array') return 'a list';
  if (node.kind === 'object') return 'an object';
  if (node.kind === 'string') return 'a text';
  return node.kind === 'word' ? `${node.value}` : 'a number';
}

export function wrongKind(node: Node, label: string, sample: string, reporter: Reporter): undefined {
  if (node.kind !== 'bad') reporter.report(node, null, `${nounOf(node)} where ${label} belongs`, `write ${sample}`);
  return undefined;
}
