/**
 * police: no more packets and bytes of a tenant than it may have, whatever becomes of them then.
 *   needs   tenant, and `end` at the end of the IP packet
 *   drops   rate_limited
 */
import { Fate, type Context } from '../context.js';
import type { Packet } from '../packet.js';
import { Reason } from '../reasons.js';

export function police(p: Packet, c: Context): number {
  const { quotas } = c.policy;
  if (quotas.hasRates[p.tenant] === 0 || p.resumed) return Fate.next; // what was held has been counted when it came
  const len = p.end - p.l3;
  if (!c.traffic.allows(quotas, p.tenant, len, p.now)) return Reason.rate_limited;
  c.traffic.take(quotas, p.tenant, len, p.now);
  return Fate.next;
}
