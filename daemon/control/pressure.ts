/**
 * How full what has a limit is: the gateway's tables, a tenant's quotas, the port blocks of its pool. Metrics show it, and the log
 * says so at four fifths and when that is over: before packets are refused, not after (shortages.ts).
 */
import type { Overseer } from '../../pipeline/gateway.js';
import { UNLIMITED } from '../../pipeline/nat/port-policy.js';
import type { Policy } from '../../pipeline/policy.js';
import type { Logger } from './log.js';

export interface Pressure {
  readonly what: string;
  /** Null: all tenants together. */
  readonly tenant: string | null;
  readonly used: number;
  readonly limit: number;
  /** The config key that says how much there is. */
  readonly see: string;
}

/** Everything that has a limit and runs out as flows come; `rows` are tenant numbers and names. */
export function pressures({ nat, connections }: Overseer, { ports, quotas, tenants }: Policy, rows: Iterable<readonly [row: number, tenant: string]>): Pressure[] {
  const { sizes, subscribers, blocks } = nat;
  const found: Pressure[] = [
    { what: 'NAT sessions', tenant: null, used: nat.sessionCount, limit: sizes.sessions, see: 'gateway.limits.sessions' },
    { what: 'NAT bindings', tenant: null, used: nat.bindingCount, limit: sizes.bindings, see: 'gateway.limits.bindings' },
    { what: 'inside addresses with NAT state', tenant: null, used: subscribers.count, limit: sizes.subscribers, see: 'gateway.limits.subscribers' },
    { what: 'port blocks', tenant: null, used: blocks.count, limit: sizes.portBlocks, see: 'gateway.limits.portBlocks' },
    { what: 'connections', tenant: null, used: connections.count, limit: connections.sizes.connections, see: 'gateway.limits.connections' },
  ];
  for (const [row, tenant] of rows) {
    if (row === 0 || tenants.names[row] === '') continue;
    const { sessions: mostSessions, bindings: mostBindings } = quotas;
    if (mostSessions[row] !== UNLIMITED) found.push({ what: 'NAT sessions', tenant, used: nat.sessionsOf(row), limit: mostSessions[row], see: 'tenants[].limits.sessions' });
    if (mostBindings[row] !== UNLIMITED) found.push({ what: 'NAT bindings', tenant, used: nat.bindingsOf(row), limit: mostBindings[row], see: 'tenants[].limits.bindings' });
    const pool = ports.planOf(row).blocks;
    if (pool > 0) found.push({ what: 'port blocks of the pool', tenant, used: blocks.countOf(row), limit: pool, see: 'tenants[].nat.pool' });
  }
  return found;
}

const HIGH = 0.8;
/** Somewhat lower, so that what goes to and fro is not said each time. */
const OVER = 0.75;

export class PressureWatch {
  readonly #log: Logger;
  readonly #high = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  look(all: readonly Pressure[]): void {
    const seen = new Set<string>();
    for (const { what, tenant, used, limit, see } of all) {
      const key = `${tenant ?? ''} ${what}`, fields = { what, ...tenant === null ? {} : { tenant }, used, limit };
      seen.add(key);
      if (!this.#high.has(key) && used >= HIGH * limit) {
        this.#high.add(key);
        this.#log.warn({ ...fields, see }, 'four fifths in use');
      } else if (this.#high.has(key) && used < OVER * limit) {
        this.#high.delete(key);
        this.#log.info({ ...fields }, 'less than four fifths in use again');
      }
    }
    for (const key of this.#high) if (!seen.has(key)) this.#high.delete(key); // it has no limit any more
  }
}
