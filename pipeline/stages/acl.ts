/**
 * aclOut, aclIn: the tenant's ACL on customer addresses, as the VM sees it: local is the VM's side. The first entry
 * that allows or denies decides (they are in order: highest weight, deny before allow, as written); no match allows.
 *   needs   tenant, addresses, ports; aclOut sourceRecord, aclIn record
 *   leaves  rule, the entry that matched, -1 for none
 *   drops   acl_denied
 */
import { classify } from '../acl/classify.js';
import { askIn, askOut } from '../acl/question.js';
import { Fate, type Context } from '../context.js';
import type { Packet } from '../packet.js';
import { Action } from '../policy.js';
import { Reason } from '../reasons.js';

/** The sender is a VM: local is the source. */
export function aclOut(p: Packet, c: Context): number {
  const { ruleFirst, ruleInbound } = c.policy.tenants;
  if (ruleFirst[p.tenant] === ruleInbound[p.tenant]) return Fate.next;
  askOut(c.question, p, c.policy);
  return decide(p, c, true);
}

/** The receiver is a VM: local is the destination. */
export function aclIn(p: Packet, c: Context): number {
  if (p.family === 0) return Fate.next; // ARP in passing
  const { ruleInbound, ruleEnd } = c.policy.tenants;
  if (ruleInbound[p.tenant] === ruleEnd[p.tenant]) return Fate.next;
  askIn(c.question, p, c.policy);
  return decide(p, c, false);
}

function decide(p: Packet, c: Context, isOutbound: boolean): number {
  const rule = classify(c.policy, p.tenant, isOutbound, c.question);
  if (rule < 0) return Fate.next;
  p.rule = rule;
  return c.policy.rules.action[rule] === Action.deny ? Reason.acl_denied : Fate.next;
}
