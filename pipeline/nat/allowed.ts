/** Whether a policy would still make what an earlier one made: after a reload exactly the rest is revoked. ACLs are asked flow by flow anyway. */
import { V4_MAPPED } from '../address.js';
import type { Policy } from '../policy.js';
import type { NatState } from '../tables/nat-state.js';

/** Whether the low byte of a policy's generation names one before `generation`. Reloads review all there is, so they are never far apart. */
export function isOlder(byte: number, generation: number): boolean {
  return (byte - generation) << 24 < 0;
}

/**
 * Whether `policy` would still make this binding: the outside end is the tenant's and nobody else's, the inside one is
 * delivered to somebody, and no mapping was promised either.
 */
export function allowsBinding(policy: Policy, nat: NatState, binding: number): boolean {
  const { mappings } = policy;
  const tenant = nat.tenantOf(binding);
  if (policy.findPoolOwner(nat.outside(binding)) !== tenant) return false;
  const protocol = nat.protocolOf(binding), inside = nat.inside(binding), insidePort = nat.insidePort(binding);
  const mapping = policy.mappingsOutside.find(protocol, nat.outside(binding), nat.outsidePort(binding), 0, 0);
  if (nat.isStatic(binding)) {
    if (mapping < 0 || mappings.internal[mapping] !== inside || mappings.internalPort[mapping] !== insidePort) return false;
  } else if (mapping >= 0 || policy.mappingsInside.find(tenant, protocol, inside, insidePort, 0) >= 0) {
    return false; // its outside port is promised to a mapping now, or its inside one has a mapping to leave by
  }
  return policy.deliverTo(tenant, 0, 0, V4_MAPPED, inside) >= 0;
}

/** Whether `policy` would still open this session: its binding is allowed, and the way to the remote end is NAT. */
export function allowsSession(policy: Policy, nat: NatState, session: number): boolean {
  const binding = nat.bindingOf(session);
  return binding >= 0 && policy.isByNat(nat.sessionTenant(session), nat.remote(session)) && allowsBinding(policy, nat, binding);
}
