/** Whether a policy would still make what an earlier one made: after a reload exactly the rest is revoked, and listed with the reason. */
import { V4_MAPPED } from '../address.js';
import type { Policy } from '../policy.js';
import type { NatState } from '../tables/nat-state.js';
import { admits } from './filter.js';
import { Why } from '../tables/revoked.js';
import { isOwnPort } from './ports.js';

/** Whether the low byte of a policy's generation names one before `generation`. Reloads review all there is, so they are never far apart. */
export function isOlder(byte: number, generation: number): boolean {
  return (byte - generation) << 24 < 0;
}

/**
 * Why `policy` would not make this binding, of `Why`; 0 when it would: the outside end is the tenant's and nobody else's, the
 * inside one is delivered to somebody, and no mapping was promised either.
 */
export function whyNotBinding(policy: Policy, nat: NatState, binding: number): number {
  const { mapped } = policy;
  const tenant = nat.tenantOf(binding), outside = nat.outside(binding), outsidePort = nat.outsidePort(binding);
  if (policy.tenants.names[tenant] === '') return Why.tenant;
  if (policy.findPoolOwner(outside) !== tenant) return Why.pool;
  const protocol = nat.protocolOf(binding), inside = nat.inside(binding), insidePort = nat.insidePort(binding);
  const mapping = mapped.findOutside(tenant, protocol, outside, outsidePort);
  if (nat.isStatic(binding)) {
    if (mapping < 0 || mapped.internal(mapping, outside) !== inside || mapped.internalPort(mapping, outsidePort) !== insidePort) return Why.mapping;
  } else if (mapping >= 0 || mapped.findInside(tenant, protocol, inside, insidePort) >= 0) {
    return Why.mapping; // its outside port is promised to a mapping now, or its inside one has a mapping to leave by
  } else if (!isOwnPort(policy, nat, binding)) {
    return Why.block;
  }
  return policy.deliverTo(tenant, 0, 0, V4_MAPPED, inside) >= 0 ? 0 : Why.record;
}

export function allowsBinding(policy: Policy, nat: NatState, binding: number): boolean {
  return whyNotBinding(policy, nat, binding) === 0;
}

/** As `whyNotBinding`, for a session: its binding is allowed, the way to the remote end is NAT, and who opened it from outside may. The ACL is asked beside this (acl/review.ts). */
export function whyNotSession(policy: Policy, nat: NatState, session: number): number {
  const binding = nat.bindingOf(session);
  if (binding < 0) return Why.mapping; // it is being closed
  const why = whyNotBinding(policy, nat, binding);
  if (why !== 0) return why;
  if (!policy.isByNat(nat.sessionTenant(session), nat.remote(session))) return Why.route;
  return nat.isFromOutside(session) && !admits(policy, nat, binding, nat.remote(session)) ? Why.filtering : 0;
}
