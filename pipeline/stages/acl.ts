/**
 * aclOut, aclIn: the tenant's ACL on customer addresses, as the VM sees it: local is the VM's side. The first entry
 * that allows or denies decides (they are in order: highest weight, deny before allow, as written); no match allows.
 * Where a tenant has stateful entries its packets look for their connection first (acl/inspect.ts). Neighbours find each other
 * whatever the entries say: ARP and ND, which `neighbor` has looked through, are not asked about.
 *   needs   tenant, addresses, ports; aclOut sourceRecord, aclIn record
 *   leaves  rule, the entry that matched, -1 for none; tracks, where there is or will be a connection; meters, how many
 *           entries have measured it, and their counts
 *   drops   acl_denied, acl_tcp_flags, acl_tcp_no_connection, acl_tcp_state, acl_connections_spent
 */
import { Icmpv6Type } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { classify } from '../acl/classify.js';
import { countMatches } from '../acl/count.js';
import { inspect } from '../acl/inspect.js';
import { List } from '../acl/layout.js';
import { askIn, askOut } from '../acl/question.js';
import { Fate, type Context } from '../context.js';
import { Walk, type Packet } from '../packet.js';
import { Action } from '../policy.js';
import { Reason } from '../reasons.js';

/** The sender is a VM: local is the source. */
export function aclOut(p: Packet, c: Context): number {
  if (isBetweenNeighbors(p)) return Fate.next;
  const { acl, tenants } = c.policy, isStateful = tenants.stateful[p.tenant] === 1, isMeasured = !acl.isEmpty(p.tenant, List.outboundMeters);
  if (!isStateful && !isMeasured && acl.isEmpty(p.tenant, List.outbound)) return Fate.next;
  askOut(c.question, p, c.policy);
  const verdict = isStateful ? inspect(p, c, true) : decide(p, c, true);
  if (isMeasured || p.rule >= 0) countMatches(p, c, true);
  return verdict;
}

/** The receiver is a VM: local is the destination. */
export function aclIn(p: Packet, c: Context): number {
  if (isBetweenNeighbors(p)) return Fate.next;
  const { acl, tenants } = c.policy, isStateful = tenants.stateful[p.tenant] === 1, isMeasured = !acl.isEmpty(p.tenant, List.inboundMeters);
  if (!isStateful && !isMeasured && acl.isEmpty(p.tenant, List.inbound)) return Fate.next;
  askIn(c.question, p, c.policy);
  const verdict = isStateful ? inspect(p, c, false) : decide(p, c, false);
  if (isMeasured || p.rule >= 0) countMatches(p, c, false);
  return verdict;
}

/** ARP, or a solicitation or advertisement, that a VM has sent to its neighbour's MAC. */
function isBetweenNeighbors(p: Packet): boolean {
  if (p.next !== Walk.toNeighbor) return false;
  return p.family === 0 || (p.protocol === IpProtocol.icmpv6 && p.family === 6 && (p.icmpType === Icmpv6Type.neighborSolicit || p.icmpType === Icmpv6Type.neighborAdvert));
}

function decide(p: Packet, c: Context, isOutbound: boolean): number {
  const rule = classify(c.policy, p.tenant, isOutbound, c.question);
  if (rule < 0) return Fate.next;
  p.rule = rule;
  return c.policy.rules.action[rule] === Action.deny ? Reason.acl_denied : Fate.next;
}
