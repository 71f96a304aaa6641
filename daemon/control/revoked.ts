/**
 * Live flows that a reload has ended, with names: the last thousand to be shown, the first hundred of each reload in the
 * log. What one conversation left in several tables, its session, its connection, its flows each way, is listed once.
 */
import { formatAddress } from '../../config/index.js';
import type { PolicyData } from '../../pipeline/policy.js';
import { RevokedKind, WHY_WORDS, type Revoked, type RevokedNote } from '../../pipeline/tables/revoked.js';
import { localEnd, protocolWord, remoteEnd } from './connections.js';
import type { Logger } from './log.js';
import type { End } from './sessions.js';

const KEPT = 1000;
const LOGGED = 100;
const KIND_WORDS: Readonly<Record<number, RevokedRow['kind']>> = { [RevokedKind.session]: 'session', [RevokedKind.connection]: 'connection', [RevokedKind.flow]: 'flow' };

export interface RevokedRow {
  /** ISO 8601. */
  readonly at: string;
  /** The config that forbids it. */
  readonly generation: number;
  readonly tenant: string;
  /** What was first seen of it: a NAT session, a stateful rule's connection, or a flow without state. */
  readonly kind: 'session' | 'connection' | 'flow';
  readonly proto: string;
  /** The VM's end, or the source of a flow. */
  readonly local: End;
  readonly remote: End;
  /** Of a NAT session. */
  readonly outside: End | null;
  readonly reason: string;
  /** The rule that denies it, and its line. */
  readonly rule: string | null;
  readonly line: number | null;
}

export interface RevokedList {
  /** The latest first. */
  readonly revoked: readonly RevokedRow[];
  /** How many there were since the start, listed or not. */
  readonly total: number;
}

export class RevokedFlows {
  readonly #source: Revoked;
  readonly #log: Logger;
  /** By what tells conversations apart; oldest first. */
  readonly #rows = new Map<string, { readonly tenant: number; readonly row: RevokedRow }>();
  #total = 0;
  #generation = 0;
  #logged = 0;

  constructor(source: Revoked, log: Logger) {
    this.#source = source;
    this.#log = log;
  }

  /** Take over what has been written since the last call. `policy` is in force, and has the names. Returns how many conversations. */
  take(policy: PolicyData, nameOf: (tenant: number) => string): number {
    const { notes, lost } = this.#source.take();
    const before = this.#total;
    this.#total += lost;
    for (const note of notes) this.#add(note, policy, nameOf);
    return this.#total - before;
  }

  /** Of one tenant, or of all. */
  list(tenant?: number): RevokedList {
    const rows = [...this.#rows.values()].filter(one => tenant === undefined || one.tenant === tenant).map(({ row }) => row).reverse();
    return { revoked: rows, total: this.#total };
  }

  #add(note: RevokedNote, policy: PolicyData, nameOf: (tenant: number) => string): void {
    const key = keyOf(note);
    if (this.#rows.has(key)) return;
    const isNamed = note.rule >= 0 && note.generation === (policy.generation & 0xff);
    const row: RevokedRow = {
      at: new Date(note.at * 1000).toISOString(), generation: policy.generation, tenant: nameOf(note.tenant), kind: KIND_WORDS[note.kind] ?? 'flow',
      proto: protocolWord(note.ends.protocol), local: localEnd(note.ends), remote: remoteEnd(note.ends),
      outside: note.kind === RevokedKind.session ? { address: formatAddress([0, 0, 0xffff, note.outside]), port: note.outsidePort } : null,
      reason: WHY_WORDS[note.why] ?? '-', rule: isNamed ? policy.rules.names[note.rule] : null, line: isNamed ? policy.rules.line[note.rule] : null,
    };
    this.#total++;
    this.#rows.set(key, { tenant: note.tenant, row });
    for (const oldest of this.#rows.keys()) {
      if (this.#rows.size <= KEPT) break;
      this.#rows.delete(oldest);
    }
    if (policy.generation !== this.#generation) {
      this.#generation = policy.generation;
      this.#logged = 0;
    }
    if (this.#logged++ < LOGGED) this.#log.info({ ...row }, 'flow revoked');
  }
}

/** A conversation, whichever end is named first, and the reload that ended it. */
function keyOf({ tenant, generation, ends }: RevokedNote): string {
  const local = localEnd(ends), remote = remoteEnd(ends);
  const both = [`${local.address} ${local.port}`, `${remote.address} ${remote.port}`].sort();
  return `${generation} ${tenant} ${ends.protocol} ${both.join(' ')}`;
}
