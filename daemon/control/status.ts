/** What control can say about the daemon, as plain objects: read from shared memory, never asked of a worker. */
import { parseAddress, Refusal, type Address } from '../../config/index.js';
import { totals, type LedgerTotals, type PacketTotals } from '../../pipeline/ledger.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { REASONS, type ReasonName } from '../../pipeline/reasons.js';
import { auditLedger } from './audit.js';
import { readClock } from '../worker/clock.js';
import type { Control } from './control.js';
import { lastBeat, sumCounters } from '../worker/counters.js';
import type { Listen } from '../worker/messages.js';
import { listConnections, type ConnectionList } from './connections.js';
import type { RevokedList } from './revoked.js';
import { listRules, type RuleStatus } from './rules.js';
import { listSessions, type SessionList } from './sessions.js';
import { VERSION } from '../version.js';

/** A question that cannot be answered as it was asked. */
export class BadQuestion extends Error {}

const SIDE_WORDS = { [Side.both]: 'both', [Side.hosts]: 'hosts', [Side.uplinks]: 'uplinks' } as const;
/** A worker's timer runs ten times a second; silent for so long, it is stuck. */
export const STUCK_MS = 5000;
/** How often control looks whether a thread is stuck or something is full. */
export const LOOK_MS = 1000;
const SESSIONS_SHOWN = 1000;
const MOST_SESSIONS = 1_000_000;

/** A socket in words. */
export function socketWords({ side, carrier, address, port }: Listen) {
  return { side: SIDE_WORDS[side as keyof typeof SIDE_WORDS], carrier: carrier === Carrier.gre ? 'gre' : 'vxlan', address, port };
}

/** Rows of the ledger with their names: `-`, then every tenant since the start. */
export function ledgerRows({ ids }: Control): [row: number, name: string][] {
  return [[0, '-'], ...ids.entries()];
}

export function statusOf(control: Control) {
  const { file, gateway, crew, nat, waiting } = control;
  return {
    gateway: gateway.name, version: VERSION, node: process.version, pid: process.pid,
    uptimeSeconds: Math.round((Date.now() - control.startedAt) / 1000), draining: control.draining,
    config: { file, generation: control.generation, loadedAt: new Date(control.loadedAt).toISOString(), reloadFailures: control.reloadFailures },
    workers: { size: crew.size, up: crew.up, restarts: crew.restarts },
    receive: { mode: control.receiveMode.mode, reason: control.receiveMode.reason, waiting },
    sockets: crew.bound.map(socketWords),
    ...control.endpoints,
    ...ledgerTotals(control, waiting),
    acl: { connections: control.overseer.connections.count, connectionsLimit: control.overseer.connections.sizes.connections },
    nat: { sessions: nat.sessionCount, sessionsLimit: nat.sizes.sessions, bindings: nat.bindingCount, bindingsLimit: nat.sizes.bindings },
    natLog: control.natLog?.status ?? null,
    sends: sumCounters(control.counters),
  };
}

/** What is wrong, as a list of sentences: a gateway that is well has none. */
export async function ailmentsOf(control: Control): Promise<string[]> {
  const { crew, ids, ledgers } = control;
  const ailments: string[] = [];
  if (control.draining) ailments.push('draining');
  if (crew.up < crew.size) ailments.push(`${crew.size - crew.up} of ${crew.size} workers down`);
  if (crew.isDispatcherDown) ailments.push('dispatcher down');
  const now = readClock(control.clock)();
  control.counters.forEach((memory, thread) => {
    const silent = now - lastBeat(memory);
    const [name, isUp] = thread < crew.size ? [`worker ${thread}`, crew.isUp(thread)] : ['dispatcher', !crew.isDispatcherDown];
    if (isUp && silent > STUCK_MS) ailments.push(`${name} has been stuck for ${Math.round(silent / 1000)} s`);
  });
  const off = await auditLedger(ledgers, ledgerRows(control).map(([row]) => row));
  for (const [row, found] of off) ailments.push(...found.map(what => `ledger of ${ids.nameOf(row)}: ${what}`));
  return ailments;
}

/** All rows together. What waits in rings has come in, and is held: no worker has counted it yet. */
export function ledgerTotals(control: Control, waiting = control.waiting): LedgerTotals {
  const sum = totals(control.ledgers, ledgerRows(control).map(([row]) => row));
  return { ...sum, packets: withWaiting(sum.packets, waiting) };
}

function withWaiting(packets: PacketTotals, waiting: number): PacketTotals {
  return { ...packets, in: packets.in + waiting, held: packets.held + waiting };
}

export interface TenantStatus { readonly name: string; readonly packets: PacketTotals; readonly sessions: number }
export interface DropStatus { readonly tenant: string; readonly reason: string; readonly severity: string; readonly count: number; readonly help: string; readonly source: string }

/** Every tenant's ledger, `-` where it has counted anything; whose it is that waits in rings is not known yet. */
export function tenantsOf(control: Control, query: URLSearchParams): TenantStatus[] {
  const only = tenantNumber(control, query);
  const { waiting } = control;
  return ledgerRows(control).filter(([row]) => only === undefined || row === only).map(([row, name]) => ({
    name, packets: withWaiting(totals(control.ledgers, [row]).packets, row === 0 ? waiting : 0), sessions: control.nat.sessionsOf(row),
  })).filter(({ name, packets }) => name !== '-' || only === 0 || packets.in > 0);
}

/** What was dropped, most first. */
export function dropsOf(control: Control, query: URLSearchParams): DropStatus[] {
  const only = tenantNumber(control, query);
  const rows = ledgerRows(control).filter(([row]) => only === undefined || row === only);
  return rows.flatMap(([row, tenant]) => Object.entries(totals(control.ledgers, [row]).drops).map(([reason, count]) => {
    const { severity, help, source } = REASONS[reason as ReasonName];
    return { tenant, reason, severity, count, help, source };
  })).sort((a, b) => b.count - a.count);
}

/** Rules in the order in which they are asked. */
export function rulesOf(control: Control, query: URLSearchParams): RuleStatus[] {
  const only = tenantNumber(control, query);
  return listRules(control.policy, control.ruleCounts, ledgerRows(control).filter(([row]) => only === undefined || row === only));
}

export function sessionsOf(control: Control, query: URLSearchParams): SessionList {
  return listSessions(control.nat, control.gateway.timers, id => control.ids.nameOf(id), {
    tenant: tenantNumber(control, query),
    ca: caOf(query),
    port: numberOf(query, 'port', 65535),
    limit: numberOf(query, 'limit', MOST_SESSIONS) ?? SESSIONS_SHOWN,
  }, readClock(control.clock)());
}

/** Connections of stateful rules. */
export function connectionsOf(control: Control, query: URLSearchParams): ConnectionList {
  return listConnections(control.overseer.connections, control.view, id => control.ids.nameOf(id), {
    tenant: tenantNumber(control, query),
    ca: addressOf(query)?.words,
    port: numberOf(query, 'port', 65535),
    limit: numberOf(query, 'limit', MOST_SESSIONS) ?? SESSIONS_SHOWN,
  }, readClock(control.clock)());
}

/** Flows that reloads have ended. */
export function revokedOf(control: Control, query: URLSearchParams): RevokedList {
  return control.revoked.list(tenantNumber(control, query));
}

function tenantNumber(control: Control, query: URLSearchParams): number | undefined {
  const name = query.get('tenant');
  if (name === null) return undefined;
  // A name may have been another routing domain's before: the last to bear it is meant.
  const found = ledgerRows(control).filter(row => row[1] === name).at(-1);
  if (found === undefined) throw new BadQuestion(`no tenant ${name}`);
  return found[0];
}

function caOf(query: URLSearchParams): number | undefined {
  const address = addressOf(query);
  if (address?.family === 6) throw new BadQuestion(`ca ${address.text}: sessions are NAT's, and NAT is IPv4 only`);
  return address?.words[3];
}

function addressOf(query: URLSearchParams): Address | undefined {
  const text = query.get('ca');
  if (text === null) return undefined;
  const address = parseAddress(text);
  if (address instanceof Refusal) throw new BadQuestion(`ca ${text}: ${address.message}, ${address.advice}`);
  return address;
}

function numberOf(query: URLSearchParams, key: string, most: number): number | undefined {
  const text = query.get(key);
  if (text === null) return undefined;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value <= most)) throw new BadQuestion(`${key} ${text}: write a whole number from 0 to ${most}`);
  return value;
}
