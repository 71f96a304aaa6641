/** Which entry of a tenant's ACL decides about a flow: the first that allows or denies it, in order of evaluation. */
import type { Policy } from '../policy.js';
import { List } from './layout.js';
import type { Question } from './question.js';

/** The entry that allows or denies what `q` asks, or -1 where none does, which allows. */
export function classify(policy: Policy, tenant: number, isOutbound: boolean, q: Question): number {
  return policy.acl.first(tenant, isOutbound ? List.outbound : List.inbound, q);
}
