/** What `whois` says, whoever says it: the log, a running daemon, or a config alone. */
import { Refusal } from '../../config/index.js';
import { ipv4Of, isoTime } from './kinds.js';

export const PROTOS = ['tcp', 'udp', 'icmp'] as const;
export type Proto = (typeof PROTOS)[number];

/** `203.0.113.10:40123`. */
export function parseOutside(text: string): { readonly address: number; readonly port: number } | Refusal<never> {
  const [, host, digits] = /^(.*):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined) return new Refusal('no address with a port', 'write 203.0.113.10:40123');
  if (host.includes(':')) return new Refusal('an IPv6 address', 'NAT is IPv4 only: whose an IPv6 address is, its subnet says');
  const address = ipv4Of(host), port = Number(digits);
  if (address === undefined) return new Refusal('not an IPv4 address', 'write 203.0.113.10:40123');
  return port > 65535 ? new Refusal('not a port', 'write a number from 0 to 65535') : { address, port };
}

/** What `--proto` says; all of them without it. */
export function parseProtos(text: string | null | undefined): readonly Proto[] | Refusal<never> {
  if (text === null || text === undefined) return PROTOS;
  const found = PROTOS.find(proto => proto === text.toLowerCase());
  return found === undefined ? new Refusal('not a protocol that NAT knows', `write ${PROTOS.join(', ')}`) : [found];
}

export interface Question {
  /** IPv4, as a number. */
  readonly address: number;
  /** For ICMP the query's id. */
  readonly port: number;
  readonly protos: readonly Proto[];
  /** Any time from the first ms to the last; ms since the epoch. */
  readonly from: number;
  readonly to: number;
}

/** Somebody who had the port, or may have had it. */
export interface Answer {
  readonly tenant: string;
  readonly rdid: string;
  readonly protos: readonly Proto[];
  readonly inside: string;
  /** A mapping says which; otherwise it may be any. */
  readonly insidePort: number | null;
  /** Null: that is not known. */
  readonly since: string | null;
  /** Null: still, or with `sureUntil` nobody knows. */
  readonly until: string | null;
  /** Where the end was not written down: from when on it may have been over. */
  readonly sureUntil: string | null;
  /** False: by the time in question it may have been over. */
  readonly certain: boolean;
  readonly evidence: Evidence;
}

export interface Evidence {
  readonly kind: 'mapping' | 'share' | 'block';
  /** The ports in question; of a mapping the one. */
  readonly firstPort: number;
  readonly count: number;
  /** Of the config that says so, with its file and the line of the mapping, or of the tenant's nat section; null where that is not known. */
  readonly generation: number | null;
  readonly config: string | null;
  readonly line: number | null;
  /** File and line of the log; null for what a daemon or a config says. */
  readonly source: string | null;
}

/** `held`: by all of `answers`. `nobody`: that is known. `unknown`: it cannot be known, and `answers` are guesses. */
export interface Verdict {
  readonly verdict: 'held' | 'nobody' | 'unknown';
  readonly answers: readonly Answer[];
  /** Why not, or what else should be known; sentences without a capital or a full stop. */
  readonly notes: readonly string[];
}

export function spanText(from: number, to: number): string {
  return from === to ? isoTime(from) : `${isoTime(from)} to ${isoTime(to)}`;
}
