/**
 * Problems: what is wrong, where, and what to do about it.
 *
 * Nobody carries paths and positions around. A check names a node of the file; line, column and path are found by
 * walking down to that node, which costs something only when there is a problem.
 */
import type { Node, ObjectNode } from './jsonc.js';
import type { Problem } from './types.js';

/** A place inside a node: the node itself, the value of one of its keys, or one item of a list under a key. */
export type Place = null | string | readonly [key: string, index: number];

export interface Reporter {
  readonly problems: Problem[];
  report(node: Node, place: Place, message: string, advice: string): void;
  /** The same about a key as such, not about its value. */
  reportKey(node: ObjectNode, key: string, message: string, advice: string): void;
  /** A fault of syntax, where there is no node to name yet. */
  reportAt(offset: number, message: string, advice: string, value?: string): void;
  lineOf(offset: number): number;
  /** `did you mean "x"?` when one of `names` is close to `word`, otherwise what you give as `otherwise`. */
  suggest(word: string, names: Iterable<string>, otherwise: string): string;
}

/** Nobody reads more suggestions than this, and each costs a look at every name. */
const SUGGESTIONS = 200;
const LONGEST_VALUE = 60;

export function makeReporter(text: string, root: Node): Reporter {
  const starts = lineStarts(text);
  const problems: Problem[] = [];
  let suggested = 0;

  function lineOf(offset: number): number {
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const mid = (low + high) >>> 1;
      if (starts[mid] <= offset) low = mid;
      else high = mid;
    }
    return low + 1;
  }

  function add(offset: number, path: string, message: string, advice: string, value: string | undefined): void {
    const line = lineOf(offset);
    const problem = { line, column: offset - starts[line - 1] + 1, path, message, advice };
    problems.push(Object.freeze(value === undefined ? problem : { ...problem, value }));
  }

  function report(node: Node, place: Place, message: string, advice: string): void {
    const path = pathTo(root, node);
    const key = place === null ? undefined : typeof place === 'string' ? place : place[0];
    const index = place === null || typeof place === 'string' ? undefined : place[1];
    const named = key === undefined ? node : memberOf(node, key);
    // A list of one may be written without its brackets, and then has no index to name.
    const item = index !== undefined && named?.kind === 'array' ? named.value[index] : undefined;
    const target = item ?? named ?? node;
    add(target.start, path + (key === undefined ? '' : keyStep(path, key)) + (item === undefined ? '' : `[${index}]`), message, advice,
      named === undefined ? undefined : shown(text, target));
  }

  return {
    problems,
    report,
    lineOf,
    reportKey(node, key, message, advice) {
      const path = pathTo(root, node);
      const member = node.value.find(m => m.key === key);
      add(member?.start ?? node.start, path + keyStep(path, key), message, advice, undefined);
    },
    reportAt(offset, message, advice, value) {
      add(offset, pathAround(root, offset), message, advice, value);
    },
    suggest(word, names, otherwise) {
      const near = suggested++ < SUGGESTIONS ? nearest(word, names) : undefined;
      return near === undefined ? otherwise : `did you mean "${near}"?`;
    },
  };
}

/** file:line:column: path: message (value) - advice */
export function renderProblem(file: string, p: Problem): string {
  const path = p.path === '' ? '' : `${p.path}: `;
  const value = p.value === undefined ? '' : ` (${p.value})`;
  return `${file}:${p.line}:${p.column}: ${path}${p.message}${value} - ${p.advice}`;
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

export function memberOf(node: Node, key: string): Node | undefined {
  return node.kind === 'object' ? node.value.find(m => m.key === key)?.node : undefined;
}

/** An item of the list under a key; the nearest thing around it where there is none. */
export function nodeOfItem(node: Node, key: string, index: number): Node {
  const named = memberOf(node, key) ?? node;
  return named.kind === 'array' ? named.value[index] ?? named : named;
}

/** What the file says there, if it is short enough to repeat. */
function shown(text: string, node: Node): string | undefined {
  if (node.kind === 'object' || node.kind === 'array' || node.start === node.end) return undefined;
  const value = node.kind === 'string' ? node.value : text.slice(node.start, node.end);
  return value.length > LONGEST_VALUE ? `${value.slice(0, LONGEST_VALUE)}…` : value;
}

function keyStep(path: string, key: string): string {
  if (!/^[A-Za-z_$][\w$]*$/.test(key)) return `[${JSON.stringify(key)}]`;
  return path === '' ? key : `.${key}`;
}

function pathTo(root: Node, target: Node): string {
  return walk(root, target.start, target);
}

/** The path of the innermost value that holds an offset. */
function pathAround(root: Node, offset: number): string {
  return walk(root, offset, undefined);
}

function walk(root: Node, offset: number, target: Node | undefined): string {
  let node = root;
  let path = '';
  while (node !== target) {
    if (node.kind === 'object') {
      const member = node.value[lastBefore(node.value.length, offset, i => (node as ObjectNode).value[i].start)];
      if (member === undefined || offset > member.node.end) break;
      path += keyStep(path, member.key);
      node = member.node;
    } else if (node.kind === 'array') {
      const items = node.value;
      const i = lastBefore(items.length, offset, n => items[n].start);
      if (i < 0 || offset > items[i].end) break;
      path += `[${i}]`;
      node = items[i];
    } else break;
  }
  return path;
}

/** The last of `count` ascending starts that is not past `offset`, or -1. */
function lastBefore(count: number, offset: number, start: (i: number) => number): number {
  let low = -1;
  let high = count;
  while (high - low > 1) {
    const mid = (low + high) >>> 1;
    if (start(mid) <= offset) low = mid;
    else high = mid;
  }
  return low;
}

/** The name closest to what was written, or undefined when none is close enough to be meant. */
export function nearest(word: string, names: Iterable<string>): string | undefined {
  const lower = word.toLowerCase();
  let best: string | undefined;
  let bestCost = Math.min(3, Math.ceil(word.length / 3)) + 1;
  for (const name of names) {
    if (Math.abs(name.length - word.length) >= bestCost) continue;
    const cost = editDistance(lower, name.toLowerCase());
    if (cost < bestCost) { best = name; bestCost = cost; }
  }
  return best;
}

/** Levenshtein's distance, with a swap of neighbours counted as one slip. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      let cost = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2] + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length];
}
