/**
 * aclOut, aclIn: the tenant's ACL on customer addresses, as the VM sees it: local is the VM's side. The first entry
 * that matches decides (they are in order: highest weight, deny before allow, as written); no match allows.
 *   needs   tenant, addresses, ports
 *   leaves  rule, the entry that matched, -1 for none
 *   drops   acl_denied
 */
import { Fate, type Context } from '../context.js';
import type { Packet } from '../packet.js';
import { Reason } from '../reasons.js';
import { ANY_PROTOCOL, type RuleColumns } from '../policy.js';

/** The sender is a VM: local is the source. */
export function aclOut(p: Packet, c: Context): number {
  const { rules } = c.policy;
  const first = c.policy.tenants.ruleFirst[p.tenant];
  const end = first + c.policy.tenants.ruleCount[p.tenant];
  for (let i = first; i < end; i++) {
    if (rules.outbound[i] === 0 || !matches(rules, i, p.protocol, p.hasPorts, p.sport, p.dport)) continue;
    if (!within(rules.local, rules.localMask, i, p.src0, p.src1, p.src2, p.src3)) continue;
    if (!within(rules.remote, rules.remoteMask, i, p.dst0, p.dst1, p.dst2, p.dst3)) continue;
    return decide(p, rules, i);
  }
  return Fate.next;
}

/** The receiver is a VM: local is the destination. */
export function aclIn(p: Packet, c: Context): number {
  if (p.family === 0) return Fate.next; // ARP in passing
  const { rules } = c.policy;
  const first = c.policy.tenants.ruleFirst[p.tenant];
  const end = first + c.policy.tenants.ruleCount[p.tenant];
  for (let i = first; i < end; i++) {
    if (rules.outbound[i] === 1 || !matches(rules, i, p.protocol, p.hasPorts, p.dport, p.sport)) continue;
    if (!within(rules.local, rules.localMask, i, p.dst0, p.dst1, p.dst2, p.dst3)) continue;
    if (!within(rules.remote, rules.remoteMask, i, p.src0, p.src1, p.src2, p.src3)) continue;
    return decide(p, rules, i);
  }
  return Fate.next;
}

function decide(p: Packet, rules: RuleColumns, rule: number): number {
  p.rule = rule;
  return rules.deny[rule] === 1 ? Reason.acl_denied : Fate.next;
}

function matches(rules: RuleColumns, i: number, protocol: number, hasPorts: boolean, local: number, remote: number): boolean {
  if (rules.protocol[i] !== protocol && rules.protocol[i] !== ANY_PROTOCOL) return false;
  if (rules.ports[i] === 0) return true;
  return hasPorts && local >= rules.localFrom[i] && local <= rules.localTo[i] && remote >= rules.remoteFrom[i] && remote <= rules.remoteTo[i];
}

function within(prefixes: Uint32Array, masks: Uint32Array, i: number, a0: number, a1: number, a2: number, a3: number): boolean {
  const at = i * 4;
  return (((a3 & masks[at + 3]) ^ prefixes[at + 3]) | ((a2 & masks[at + 2]) ^ prefixes[at + 2])
    | ((a1 & masks[at + 1]) ^ prefixes[at + 1]) | ((a0 & masks[at]) ^ prefixes[at])) === 0;
}
