/**
 * Counting after a verdict: the entry that decided, and before it, in order of evaluation, every one that measures and
 * matches. What counts is what reaches an entry, as HNV's meters have it: also what this or a later stage drops.
 */
import type { Context } from '../context.js';
import type { Packet } from '../packet.js';
import { List } from './layout.js';
import { MOST_METERS } from './meter-cache.js';

/**
 * `c.question` is still what was asked of this side. A packet that its connection lets pass counts as the one that opened it, by the same
 * entry; one that comes the other way is ahead of all entries, so all that measure count it.
 */
export function countMatches(p: Packet, c: Context, isOutbound: boolean): void {
  const { acl, rules } = c.policy;
  const list = isOutbound ? List.outboundMeters : List.inboundMeters, bytes = p.end - p.l3;
  let before = Infinity;
  if (p.rule >= 0 && rules.outbound[p.rule] === (isOutbound ? 1 : 0)) { // or it is the other side's
    before = rules.order[p.rule];
    c.tallies.add(rules.tally[p.rule], bytes);
  }
  if (acl.isEmpty(p.tenant, list)) return;
  for (let entry = acl.first(p.tenant, list, c.question); entry >= 0 && rules.order[entry] < before; entry = acl.next(p.tenant, list, c.question, entry)) {
    c.tallies.add(rules.tally[entry], bytes);
    if (p.meters < MOST_METERS) c.meters.found[p.meters] = rules.tally[entry];
    p.meters++;
  }
}
