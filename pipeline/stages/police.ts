/**
 * police: no more packets and bytes of a tenant than it may have, whatever becomes of them then.
 *   needs   tenant, and `end` at the end of the IP packet
 *   drops   rate_limited
 */
import { Fate, type Context } from '../context.js';
import type { Packet } from '../packet.js';
import { Reason } from '../reasons.js';

export function police(p: Packet, c: Context): number {
  if (c.policy.quotas.hasRates[p.tenant] === 0 || p.resumed) return Fate.next; // what was held has been counted when it came
  const len = p.end - p.l3;
  if (!c.traffic.allows(p.tenant, len)) return Reason.rate_limited;
  c.traffic.take(p.tenant, len);
  return Fate.next;
}
