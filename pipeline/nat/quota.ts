/**
 * What a tenant, and each of its inside addresses, may have of NAT at most (RFC 6888 §3 REQ-4). Tenants without limits pay one load.
 * Counts are read and not reserved, so two workers at once may both take the last one, and of limits in thousands a few per thousand more.
 */
import { seconds, type Context } from '../context.js';
import type { Packet } from '../packet.js';
import { Reason } from '../reasons.js';
import { BINDINGS, SESSIONS } from '../tables/quota-notes.js';
import { UNLIMITED } from './port-policy.js';

/** May one more session be opened for this inside address of the packet's tenant? 0, and it is counted as a new flow; or the reason why not. Needs the inside lock. */
export function refuseSession(p: Packet, c: Context, inside: number): number {
  return c.policy.quotas.hasLimits[p.tenant] === 0 ? 0 : askSession(p, c, inside);
}

/** The same for a binding, of none that a static mapping promises. */
export function refuseBinding(p: Packet, c: Context, inside: number): number {
  return c.policy.quotas.hasLimits[p.tenant] === 0 ? 0 : askBinding(p, c, inside);
}

function askSession(p: Packet, c: Context, inside: number): number {
  const { nat, newFlows, quotaNotes, policy: { quotas } } = c, { subscribers } = nat, { tenant } = p;
  const rate = quotas.newFlows[tenant], addressRate = quotas.addressNewFlows[tenant], addressSessions = quotas.addressSessions[tenant];
  if (quotas.sessions[tenant] !== UNLIMITED && !quotaNotes.hasRoom(nat, SESSIONS, tenant, quotas.sessions[tenant], p.now)) return Reason.nat_tenant_sessions;
  if (rate !== UNLIMITED && !newFlows.has(tenant, rate, rate, p.now)) return Reason.nat_tenant_new_flows;
  if (addressRate !== UNLIMITED || addressSessions !== UNLIMITED) {
    const subscriber = findSubscriber(p, c, inside);
    if (subscriber < 0) return Reason.nat_subscribers_spent;
    if (subscribers.sessions(subscriber) >= addressSessions) return Reason.nat_address_sessions;
    if (addressRate !== UNLIMITED && !subscribers.flows.take(subscriber, addressRate, addressRate, p.now)) return Reason.nat_address_new_flows;
  }
  // Last, so that an address that is too fast does not use up what the others may have.
  if (rate !== UNLIMITED) newFlows.take(tenant, rate, rate, p.now);
  return 0;
}

/** The record of an inside address, made if there is none: its bucket is to be there when the next flow comes, also if this one gets nothing else. */
function findSubscriber(p: Packet, { nat: { subscribers } }: Context, inside: number): number {
  const found = subscribers.find(p.tenant, inside);
  if (found >= 0) return found;
  const made = subscribers.holdFixed(p.tenant, inside, seconds(p) | 0);
  if (made >= 0) subscribers.releaseFixed(made);
  return made;
}

function askBinding(p: Packet, c: Context, inside: number): number {
  const { nat, quotaNotes, policy: { quotas } } = c, { subscribers, blocks } = nat, { tenant } = p;
  if (quotas.bindings[tenant] !== UNLIMITED && !quotaNotes.hasRoom(nat, BINDINGS, tenant, quotas.bindings[tenant], p.now)) return Reason.nat_tenant_bindings;
  if (quotas.addressBindings[tenant] === UNLIMITED) return 0;
  const subscriber = subscribers.find(tenant, inside | 0);
  if (subscriber < 0) return 0;
  let bindings = subscribers.bindings(subscriber);
  for (let link = subscribers.firstBlock(subscriber); link !== 0; link = blocks.next(link - 1)) bindings += blocks.users(link - 1);
  return bindings >= quotas.addressBindings[tenant] ? Reason.nat_address_bindings : 0;
}
