/**
 * JSON (RFC 8259) with what people write in config files: comments, // and slash-star, and trailing commas.
 *
 * The tree keeps offsets, so that every later problem can name its line. An error does not end the reading: where
 * the meaning is plain (a comma left out, a key without quotes) the parser says so and carries on as if it had been
 * written right; where it has to guess it says so and sets `lost`, and nobody should trust the tree's meaning then.
 */

export interface ObjectNode { readonly kind: 'object'; readonly start: number; readonly end: number; readonly value: readonly Member[] }
export interface ArrayNode { readonly kind: 'array'; readonly start: number; readonly end: number; readonly value: readonly Node[] }
export interface StringNode { readonly kind: 'string'; readonly start: number; readonly end: number; readonly value: string }
export interface NumberNode { readonly kind: 'number'; readonly start: number; readonly end: number; readonly value: number }
export interface WordNode { readonly kind: 'word'; readonly start: number; readonly end: number; readonly value: boolean | null }
/** Something was here and has been reported; whoever meets it says nothing more. */
export interface BadNode { readonly kind: 'bad'; readonly start: number; readonly end: number; readonly value: undefined }
export type Node = ObjectNode | ArrayNode | StringNode | NumberNode | WordNode | BadNode;

export interface Member {
  readonly key: string;
  /** Where the key starts. */
  readonly start: number;
  readonly node: Node;
}

export interface SyntaxFault { readonly at: number; readonly message: string; readonly advice: string; readonly value?: string }

export interface Parsed {
  readonly root: Node;
  readonly faults: readonly SyntaxFault[];
  readonly lost: boolean;
}

const TAB = 9, LF = 10, CR = 13, SPACE = 32, QUOTE = 34, HASH = 35, STAR = 42, COMMA = 44, SLASH = 47, ZERO = 48, NINE = 57;
const COLON = 58, SEMICOLON = 59, EQUALS = 61, OPEN_LIST = 91, BACKSLASH = 92, CLOSE_LIST = 93, OPEN = 123, CLOSE = 125, BOM = 0xfeff;

/** Deeper than any config, and far from the end of the stack. */
const MAX_DEPTH = 64;
/** A file with more than this is not a config; the rest would be noise. */
const MAX_FAULTS = 100;

/** Whatever stands where a value belongs, up to a delimiter or a comment. */
const BARE_VALUE = /(?:(?!\/[/*])[^\s,;[\]{}"])+/y;
const BARE_KEY = /[^\s,:=[\]{}"]+/y;
/** Hexadecimal, a leading zero or plus, underscores: numbers elsewhere. Two dots make an address. */
const LIKE_A_NUMBER = /^[-+]?[0-9.][-+_0-9a-fA-FxX]*\.?[-+_0-9a-fA-FxX]*$/;
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const WORDS: ReadonlyMap<string, boolean | null> = new Map<string, boolean | null>([['true', true], ['false', false], ['null', null]]);
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'], ['\\', '\\'], ['/', '/'], ['b', '\b'], ['f', '\f'], ['n', '\n'], ['r', '\r'], ['t', '\t'],
]);

interface State {
  readonly text: string;
  at: number;
  depth: number;
  lost: boolean;
  /** The next comma that is missing is a consequence of something already reported. */
  excused: boolean;
  readonly faults: SyntaxFault[];
}

export function parseJsonc(text: string): Parsed {
  const s: State = { text, at: text.charCodeAt(0) === BOM ? 1 : 0, depth: 0, lost: false, excused: false, faults: [] };
  skip(s);
  if (s.at >= text.length && s.faults.length === 0) {
    lose(s, 0, 'the file is empty', 'start from one of the examples');
    return { root: bad(0, 0), faults: s.faults, lost: true };
  }
  const root = value(s);
  skip(s);
  if (s.at < text.length && !s.lost) lose(s, s.at, 'something follows the end of the config', 'a config is one object in braces');
  return { root, faults: s.faults, lost: s.lost };
}

function fault(s: State, at: number, message: string, advice: string, value?: string): void {
  s.faults.push(value === undefined ? { at, message, advice } : { at, message, advice, value });
  if (s.faults.length < MAX_FAULTS) return;
  s.lost = true;
  s.at = s.text.length; // ends every loop
}

/** A fault after which the meaning of the rest is a guess. */
function lose(s: State, at: number, message: string, advice: string, value?: string): void {
  s.lost = true;
  fault(s, at, message, advice, value);
}

function bad(start: number, end: number): BadNode {
  return { kind: 'bad', start, end, value: undefined };
}

/** Move past white space and comments. */
function skip(s: State): void {
  const { text } = s;
  let at = s.at;
  for (;;) {
    const c = text.charCodeAt(at);
    if (c === SPACE || c === LF || c === CR || c === TAB) { at++; continue; }
    if (c === SLASH && text.charCodeAt(at + 1) === SLASH) { at = endOfLine(text, at); continue; }
    if (c === SLASH && text.charCodeAt(at + 1) === STAR) {
      const close = text.indexOf('*/', at + 2);
      if (close < 0) { s.at = text.length; lose(s, at, 'the comment is never closed', 'end it with */'); return; }
      at = close + 2;
      continue;
    }
    if (c === HASH) {
      fault(s, at, '# does not start a comment here', 'write //');
      if (s.at === text.length) return;
      at = endOfLine(text, at);
      continue;
    }
    if (c > 127 && /\s/.test(text[at] ?? '')) {
      const code = `U+${c.toString(16).padStart(4, '0').toUpperCase()}`;
      fault(s, at, 'a space that is not a plain space', 'often pasted from a web page: type it again', code);
      if (s.at === text.length) return;
      at++;
      continue;
    }
    break;
  }
  s.at = at;
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end < 0 ? text.length : end;
}

function value(s: State): Node {
  const c = s.text.charCodeAt(s.at);
  if (c === QUOTE) return string(s);
  if (c === OPEN) return object(s);
  if (c === OPEN_LIST) return array(s);
  return word(s);
}

function object(s: State): ObjectNode {
  const start = s.at++;
  const members: Member[] = [];
  if (enter(s, start)) {
    let seen: Set<string> | undefined;
    for (;;) {
      skip(s);
      const c = s.text.charCodeAt(s.at);
      if (c === CLOSE) { s.at++; break; }
      if (s.at >= s.text.length) { if (!s.lost) lose(s, start, 'this { is never closed', 'add the missing }'); break; }
      if (c === CLOSE_LIST || c === OPEN || c === OPEN_LIST) { // the } before it was left out: what comes belongs to whoever is outside
        lose(s, s.at, `the { of line ${lineAt(s.text, start)} is not closed before this ${s.text[s.at]}`, 'add the missing }');
        s.excused = true;
        break;
      }
      if (c === COMMA) { fault(s, s.at++, 'a comma with nothing before it', 'take it out'); continue; }

      const member = readMember(s);
      if (member !== undefined) {
        // A search through a few keys beats a Set; an object with thousands of keys must not cost their square.
        if (members.length === 24) seen = new Set(members.map(m => m.key));
        const twin = seen === undefined || seen.has(member.key) ? members.find(m => m.key === member.key) : undefined;
        if (twin !== undefined) {
          fault(s, member.start, `the key "${member.key}" is there twice`, `line ${lineAt(s.text, twin.start)} has it already: keep one`);
        } else {
          members.push(member);
          seen?.add(member.key);
        }
      }
      separator(s);
    }
  }
  s.depth--;
  return { kind: 'object', start, end: s.at, value: members };
}

function array(s: State): ArrayNode {
  const start = s.at++;
  const items: Node[] = [];
  if (enter(s, start)) {
    for (;;) {
      skip(s);
      const c = s.text.charCodeAt(s.at);
      if (c === CLOSE_LIST) { s.at++; break; }
      if (s.at >= s.text.length) { if (!s.lost) lose(s, start, 'this [ is never closed', 'add the missing ]'); break; }
      if (c === CLOSE) {
        lose(s, s.at, `the [ of line ${lineAt(s.text, start)} is not closed before this }`, 'add the missing ]');
        s.excused = true;
        break;
      }
      if (c === COMMA) { fault(s, s.at++, 'a comma with nothing before it', 'take it out'); continue; }
      items.push(value(s));
      separator(s);
    }
  }
  s.depth--;
  return { kind: 'array', start, end: s.at, value: items };
}

function enter(s: State, start: number): boolean {
  if (++s.depth <= MAX_DEPTH) return true;
  s.at = s.text.length;
  lose(s, start, `nested deeper than ${MAX_DEPTH} levels`, 'no config is: look for a bracket too many');
  return false;
}

function readMember(s: State): Member | undefined {
  const start = s.at;
  let key: string | undefined;
  if (s.text.charCodeAt(start) === QUOTE) {
    const node = string(s);
    key = node.kind === 'string' ? node.value : undefined;
  } else {
    BARE_KEY.lastIndex = start;
    const bare = BARE_KEY.exec(s.text)?.[0];
    if (bare === undefined) {
      lose(s, start, 'a key is missing', 'keys are names in double quotes');
    } else {
      key = unquote(bare);
      s.at = start + bare.length;
      fault(s, start, 'the key is not in double quotes', `write "${key}"`, bare);
    }
  }

  const keyEnd = s.at;
  skip(s);
  const c = s.text.charCodeAt(s.at);
  if (c === COLON) s.at++;
  else if (c === EQUALS) fault(s, s.at++, '= where : belongs', 'write : between key and value');
  else if (c === COMMA || c === CLOSE || c === CLOSE_LIST || s.at >= s.text.length) {
    if (key !== undefined && !s.lost) fault(s, start, `the key "${key}" has no value`, `write "${key}": and the value`);
    return key === undefined ? undefined : { key, start, node: bad(start, keyEnd) };
  } else if (!s.excused) fault(s, keyEnd, 'a colon is missing after the key', 'write : between key and value');

  skip(s);
  const node = value(s);
  return key === undefined ? undefined : { key, start, node };
}

/** After a value: a comma, or a bracket that the caller will see, or a fault. */
function separator(s: State): void {
  const end = s.at;
  skip(s);
  const c = s.text.charCodeAt(s.at);
  const { excused } = s;
  s.excused = false;
  if (c === COMMA) { s.at++; return; }
  if (c === CLOSE || c === CLOSE_LIST || s.at >= s.text.length) return;
  if (c === SEMICOLON) { fault(s, s.at++, '; where a comma belongs', 'write a comma'); return; }
  if (c === COLON || c === EQUALS) { // a value that was a key after all, or a key that was a value: step over both
    lose(s, s.at++, `${String.fromCharCode(c)} is not expected here`, 'look for a quote or a brace left out before it');
    skip(s);
    value(s);
    separator(s);
    return;
  }
  if (!excused) fault(s, end, 'a comma is missing', 'put one after the value');
}

function string(s: State): StringNode | BadNode {
  const { text } = s;
  const start = s.at;
  let at = start + 1;
  for (;;) {
    const c = text.charCodeAt(at);
    if (c === QUOTE) {
      s.at = at + 1;
      return { kind: 'string', start, end: at + 1, value: text.slice(start + 1, at) };
    }
    if (c === BACKSLASH || !(c >= SPACE)) return stringWithEscapes(s, start);
    at++;
  }
}

/** The slow way, for a string with escapes, or one that does not end. */
function stringWithEscapes(s: State, start: number): StringNode | BadNode {
  const { text } = s;
  let out = '';
  let broken = false;
  let at = start + 1;
  for (;;) {
    const c = text.charCodeAt(at);
    if (c === QUOTE) break;
    if (at >= text.length || c === LF || c === CR) {
      s.at = at;
      s.excused = true;
      lose(s, start, 'the string is not closed', 'end it with " on the same line');
      return bad(start, at);
    }
    if (c === BACKSLASH) {
      const escape = text[at + 1] ?? '';
      const code = escape === 'u' ? /^[0-9a-fA-F]{4}/.exec(text.slice(at + 2, at + 6))?.[0] : undefined;
      const plain = code !== undefined ? String.fromCharCode(parseInt(code, 16)) : ESCAPES.get(escape);
      if (plain === undefined && escape !== '\n' && escape !== '\r' && escape !== '') {
        fault(s, at, 'not an escape of JSON', 'write \\\\ for a backslash', text.slice(at, at + 2));
        broken = true;
      }
      out += plain ?? '';
      at += code !== undefined ? 6 : plain !== undefined ? 2 : 1;
      continue;
    }
    if (c < SPACE) {
      fault(s, at, 'a control character inside a string', c === TAB ? 'write \\t' : 'write it as \\u and four hex digits');
      broken = true;
    }
    out += text[at++];
  }
  if (s.at < text.length) s.at = at + 1; // unless the faults ran out, and with them the file
  return broken ? bad(start, at + 1) : { kind: 'string', start, end: at + 1, value: out };
}

function word(s: State): Node {
  const { text } = s;
  const start = s.at;
  const digits = afterDigits(text, start);
  if (digits > start && digits - start < 16 && ends(text.charCodeAt(digits)) && (text.charCodeAt(start) !== ZERO || digits === start + 1)) {
    s.at = digits;
    return { kind: 'number', start, end: digits, value: Number(text.slice(start, digits)) };
  }

  BARE_VALUE.lastIndex = start;
  const bare = BARE_VALUE.exec(text)?.[0];
  if (bare === undefined) {
    if (!s.lost) fault(s, start, 'a value is missing', 'write one, or take the key out');
    s.excused = true;
    return bad(start, start);
  }

  const end = start + bare.length;
  s.at = end;
  if (NUMBER.test(bare)) {
    const n = Number(bare);
    if (Number.isFinite(n)) return { kind: 'number', start, end, value: n };
  }
  const known = WORDS.get(bare);
  if (known !== undefined) return { kind: 'word', start, end, value: known };

  const lower = bare.toLowerCase();
  if (WORDS.has(lower)) fault(s, start, `${bare} is not a word of JSON`, `write ${lower}`);
  else if (lower === 'none' || lower === 'nil' || lower === 'undefined') fault(s, start, `${bare} is not a word of JSON`, 'write null');
  else if (bare.length < 64 && LIKE_A_NUMBER.test(bare)) {
    fault(s, start, 'not a number of JSON', 'write plain decimal digits, or put text in double quotes', bare);
  } else fault(s, start, 'text without quotes', `write "${unquote(bare)}"`, bare);
  return bad(start, end);
}

/** Nearly every number in a config is a plain whole one: no pattern needed. */
function afterDigits(text: string, start: number): number {
  let at = start;
  for (;;) {
    const c = text.charCodeAt(at);
    if (!(c >= ZERO && c <= NINE)) return at;
    at++;
  }
}

function ends(c: number): boolean {
  return c === COMMA || c === SPACE || c === LF || c === CR || c === CLOSE || c === CLOSE_LIST;
}

/** Text without the quotes that are not JSON's: 'x', `x` and what word processors make of "x". */
function unquote(text: string): string {
  return text.replace(/^['`\u2018\u2019\u201c\u201d]|['`\u2018\u2019\u201c\u201d]$/g, '');
}

/** Line of an offset, counted afresh: for messages only. */
function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}
