/** What a value in the NAT log looks like, and what becomes of it in memory: times are ms since the epoch there, IPv4 addresses numbers. */
import { formatAddress, parseAddress, Refusal } from '../../config/index.js';
import { parseMappingEnd } from '../../config/scalars.js';
import type { MappingEnd } from '../../config/types.js';

export interface Kind<T> {
  /** For the document. */
  readonly word: string;
  /** Undefined when it is none: a line may be damaged. */
  read(value: unknown): T | undefined;
  write(value: T): unknown;
}
export type ValueOf<K> = K extends Kind<infer T> ? T : never;

export const text: Kind<string> = { word: 'text', read: value => typeof value === 'string' ? value : undefined, write: value => value };
export const whole: Kind<number> = { word: 'number', read: value => Number.isSafeInteger(value) && (value as number) >= 0 ? value as number : undefined, write: value => value };
export const yes: Kind<boolean> = { word: 'true or false', read: value => typeof value === 'boolean' ? value : undefined, write: value => value };

export function word<W extends string>(...words: readonly W[]): Kind<W> {
  return { word: words.map(each => `"${each}"`).join(', '), read: value => words.find(each => each === value), write: value => value };
}

/** RFC 3339 in UTC, with milliseconds. */
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

export const time: Kind<number> = {
  word: 'time',
  read(value) {
    const ms = typeof value === 'string' && ISO.test(value) ? Date.parse(value) : NaN;
    return Number.isNaN(ms) ? undefined : ms;
  },
  write: isoTime,
};

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

export function nullable<T>(kind: Kind<T>): Kind<T | null> {
  return { word: `${kind.word}, or null`, read: value => value === null ? null : kind.read(value), write: value => value === null ? null : kind.write(value) };
}

export function ipv4Text(address: number): string {
  return formatAddress([0, 0, 0xffff, address]);
}

/** An IPv4 address as a number, or undefined. */
export function ipv4Of(given: string): number | undefined {
  const found = parseAddress(given);
  return found instanceof Refusal || found.family === 6 ? undefined : found.words[3];
}

export const address: Kind<number> = { word: 'IPv4 address', read: value => typeof value === 'string' ? ipv4Of(value) : undefined, write: ipv4Text };

/** Pairs in a row: the first address, and how many. */
export const ranges: Kind<readonly number[]> = {
  word: 'list of IPv4 addresses, or of ranges of them',
  read(value) {
    const pairs = listOf(value, each => {
      const [from, to = from] = typeof each === 'string' ? each.split('-').map(ipv4Of) : [];
      return from === undefined || to === undefined || to < from ? undefined : [from, to - from + 1];
    });
    return pairs?.flat();
  },
  write(pairs) {
    const list: string[] = [];
    for (let i = 0; i < pairs.length; i += 2) list.push(pairs[i + 1] === 1 ? ipv4Text(pairs[i]) : `${ipv4Text(pairs[i])}-${ipv4Text(pairs[i] + pairs[i + 1] - 1)}`);
    return list;
  },
};

/** As in the config: `proto` null is TCP, UDP and ICMP queries; `line` is the line there. */
export interface MappingEntry { readonly proto: 'tcp' | 'udp' | null; readonly external: MappingEnd; readonly internal: MappingEnd; readonly line: number }

export const mappings: Kind<readonly MappingEntry[]> = {
  word: 'list of `{proto, external, internal, line}`, written as in the config',
  read: value => listOf(value, each => {
    if (typeof each !== 'object' || each === null) return undefined;
    const { proto, external, internal, line } = each as Record<string, unknown>;
    const ends = [external, internal].map(end => typeof end === 'string' ? parseMappingEnd(end) : undefined);
    if ((proto !== 'tcp' && proto !== 'udp' && proto !== null) || whole.read(line) === undefined) return undefined;
    const [from, to] = ends;
    return isEnd(from) && isEnd(to) ? { proto, external: from, internal: to, line: line as number } : undefined;
  }),
  write: list => list.map(({ proto, external, internal, line }) => ({ proto, external: endText(external), internal: endText(internal), line })),
};

function isEnd(end: ReturnType<typeof parseMappingEnd> | undefined): end is MappingEnd {
  return end !== undefined && !(end instanceof Refusal) && end.prefix.family === 4;
}

/** `A`, `A/N`, `A:P` or `A:P-Q`. */
export function endText({ prefix, ports }: MappingEnd): string {
  const isOne = prefix.bits === 128;
  const where = isOne ? ipv4Text(prefix.words[3]) : prefix.text;
  return ports === null ? where : `${where}:${ports.from === ports.to ? ports.from : `${ports.from}-${ports.to}`}`;
}

/** Some tenant's block of ports. `from` is `since`, or when the clock was set last, if that was later: what `since` says is by another clock then. */
export interface BlockEntry { readonly inside: number; readonly outside: number; readonly firstPort: number; readonly count: number; readonly since: number; readonly from: number }

export const blocks: Kind<readonly BlockEntry[]> = {
  word: 'list of `[inside, outside, firstPort, count, since, from]`',
  read: value => listOf(value, each => {
    if (!Array.isArray(each)) return undefined;
    const [inside, outside] = [address.read(each[0]), address.read(each[1])];
    const [firstPort, count, since, from] = [whole.read(each[2]), whole.read(each[3]), time.read(each[4]), time.read(each[5])];
    if (inside === undefined || outside === undefined || firstPort === undefined || count === undefined || since === undefined || from === undefined) return undefined;
    return { inside, outside, firstPort, count, since, from };
  }),
  write: list => list.map(({ inside, outside, firstPort, count, since, from }) => [ipv4Text(inside), ipv4Text(outside), firstPort, count, isoTime(since), isoTime(from)]),
};

/** All of a list, or undefined when one of it is wrong. */
function listOf<T>(value: unknown, read: (each: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const list: T[] = [];
  for (const each of value) {
    const item = read(each);
    if (item === undefined) return undefined;
    list.push(item);
  }
  return list;
}
