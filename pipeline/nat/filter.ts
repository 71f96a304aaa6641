/**
 * Who may send in (RFC 4787 §5, RFC 5382 REQ-3): by a static mapping everybody; by a binding whoever has a session, and beside those,
 * as the tenant has it, everybody, whoever its inside end has sent to, or nobody.
 */
import { Filtering, type Policy } from '../policy.js';
import type { NatState } from '../tables/nat-state.js';
import { isPermitted } from '../tables/permits.js';

/** Whether `remote` may open a session by `binding`. */
export function admits(policy: Policy, nat: NatState, binding: number, remote: number): boolean {
  switch (policy.tenants.filtering[nat.tenantOf(binding)]) {
    case Filtering.endpointIndependent: return true;
    case Filtering.addressDependent: return nat.isStatic(binding) || isPermitted(nat, binding, remote);
    default: return nat.isStatic(binding);
  }
}
