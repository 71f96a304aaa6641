/**
 * admit: whose subnet is this, and may the sender speak for it?
 *   needs   vsid and peer
 *   leaves  subnet and claimed; the tenant is not proved before `guard`
 *   drops   vsid_unknown, host_not_allowed
 */
import { Fate, type Context } from '../context.js';
import type { Packet } from '../packet.js';
import { Reason } from '../reasons.js';

export function admit(p: Packet, c: Context): number {
  const { policy } = c;
  p.subnet = policy.vsids.find(p.vsid, 0, 0, 0, 0);
  if (p.subnet < 0) return Reason.vsid_unknown;
  if (policy.speakers.find(p.subnet, p.peer, 0, 0, 0) < 0) return Reason.host_not_allowed;
  p.claimed = policy.subnets.tenant[p.subnet];
  return Fate.next;
}
