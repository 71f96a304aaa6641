/**
 * ttl: one routing hop costs one; the byte itself is `rewrite`'s.
 *   drops   ttl_expired
 */
import { ipv4Ttl } from '../../codecs/ipv4.js';
import { ipv6HopLimit } from '../../codecs/ipv6.js';
import { Fate, type Context } from '../context.js';
import { Rewrite, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';

export function ttl(p: Packet, _c: Context): number {
  const left = p.family === 4 ? ipv4Ttl(p.mem, p.l3) : ipv6HopLimit(p.mem, p.l3);
  if (left <= 1) return Reason.ttl_expired;
  p.rewrites |= Rewrite.ttl;
  return Fate.next;
}
