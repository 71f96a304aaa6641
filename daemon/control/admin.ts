/** The admin API: what can be asked, and what the answers look like. GET only, JSON, no answer changes anything. */
import type { Control } from './control.js';
import { jsonAnswer, type Route } from './http.js';
import { queuesOf } from './queues.js';
import type { ConnectionList } from './connections.js';
import type { RevokedList } from './revoked.js';
import type { RuleStatus } from './rules.js';
import type { Verdict } from '../nat-log/answers.js';
import type { SessionList } from './sessions.js';
import { ailmentsOf, connectionsOf, dropsOf, revokedOf, rulesOf, sessionsOf, statusOf, tenantsOf, type DropStatus, type TenantStatus } from './status.js';
import { whoisOf } from './whois.js';

export type StatusAnswer = ReturnType<typeof statusOf> & {
  /** What is wrong, in sentences; a gateway that is well has none. */
  readonly ailments: readonly string[];
};
export interface TenantsAnswer { readonly tenants: readonly TenantStatus[] }
export type SessionsAnswer = SessionList;
export type ConnectionsAnswer = ConnectionList;
export type RevokedAnswer = RevokedList;
export type QueuesAnswer = ReturnType<typeof queuesOf>;
export interface RulesAnswer { readonly rules: readonly RuleStatus[] }
/** Of this moment; the past is in the log. */
export type WhoisAnswer = Verdict;
export interface DropsAnswer { readonly drops: readonly DropStatus[] }

export function adminRoutes(control: Control): Record<string, Route> {
  return {
    '/v1/status': async () => jsonAnswer({ ...statusOf(control), ailments: await ailmentsOf(control) } satisfies StatusAnswer),
    '/v1/tenants': query => jsonAnswer({ tenants: tenantsOf(control, query) } satisfies TenantsAnswer),
    '/v1/sessions': query => jsonAnswer(sessionsOf(control, query) satisfies SessionsAnswer),
    '/v1/connections': query => jsonAnswer(connectionsOf(control, query) satisfies ConnectionsAnswer),
    '/v1/revoked': query => jsonAnswer(revokedOf(control, query) satisfies RevokedAnswer),
    '/v1/drops': query => jsonAnswer({ drops: dropsOf(control, query) } satisfies DropsAnswer),
    '/v1/rules': query => jsonAnswer({ rules: rulesOf(control, query) } satisfies RulesAnswer),
    '/v1/whois': query => jsonAnswer(whoisOf(control, query) satisfies WhoisAnswer),
    '/v1/queues': () => jsonAnswer(queuesOf(control) satisfies QueuesAnswer),
  };
}
