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
import { ANY_PROTOCOL, SIEVE_WORDS, type RuleColumns } from '../policy.js';

/** The sender is a VM: local is the source. */
export function aclOut(p: Packet, c: Context): number {
  const { ruleFirst, ruleInbound } = c.policy.tenants;
  return decide(p, c, ruleFirst[p.tenant], ruleInbound[p.tenant], p.sport, p.dport, p.src0 | 0, p.src1 | 0, p.src2 | 0, p.src3 | 0, p.dst0 | 0, p.dst1 | 0, p.dst2 | 0, p.dst3 | 0);
}

/** The receiver is a VM: local is the destination. */
export function aclIn(p: Packet, c: Context): number {
  if (p.family === 0) return Fate.next; // ARP in passing
  const { ruleInbound, ruleEnd } = c.policy.tenants;
  return decide(p, c, ruleInbound[p.tenant], ruleEnd[p.tenant], p.dport, p.sport, p.dst0 | 0, p.dst1 | 0, p.dst2 | 0, p.dst3 | 0, p.src0 | 0, p.src1 | 0, p.src2 | 0, p.src3 | 0);
}

/** Address words come signed and read once: unsigned ones above 2^31 are floating point to V8, and here they are compared a hundred times over. */
function decide(
  p: Packet, c: Context, first: number, end: number, localPort: number, remotePort: number,
  l0: number, l1: number, l2: number, l3: number, r0: number, r1: number, r2: number, r3: number,
): number {
  const { rules } = c.policy;
  const { sieve } = rules;
  const { family, protocol, hasPorts } = p;
  for (let i = first; i < end; i++) {
    const at = i * SIEVE_WORDS;
    if ((l3 & sieve[at]) !== sieve[at + 1] || (r3 & sieve[at + 2]) !== sieve[at + 3]) continue;
    if (rules.family[i] > family || !matches(rules, i, protocol, hasPorts, localPort, remotePort)) continue;
    if (!within(rules.local, rules.localMask, i, l0, l1, l2, l3)) continue;
    if (!within(rules.remote, rules.remoteMask, i, r0, r1, r2, r3)) continue;
    p.rule = i;
    return rules.deny[i] === 1 ? Reason.acl_denied : Fate.next;
  }
  return Fate.next;
}

function matches(rules: RuleColumns, i: number, protocol: number, hasPorts: boolean, local: number, remote: number): boolean {
  if (rules.protocol[i] !== protocol && rules.protocol[i] !== ANY_PROTOCOL) return false;
  if (rules.ports[i] === 0) return true;
  return hasPorts && local >= rules.localFrom[i] && local <= rules.localTo[i] && remote >= rules.remoteFrom[i] && remote <= rules.remoteTo[i];
}

function within(prefixes: Uint32Array, masks: Uint32Array, i: number, a0: number, a1: number, a2: number, a3: number): boolean {
  const at = i * 4;
  return ((a3 & masks[at + 3]) ^ prefixes[at + 3]) === 0 && ((a2 & masks[at + 2]) ^ prefixes[at + 2]) === 0
    && ((a1 & masks[at + 1]) ^ prefixes[at + 1]) === 0 && ((a0 & masks[at]) ^ prefixes[at]) === 0;
}
