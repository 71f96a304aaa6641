/** Access rules that cannot mean what they say. A rule that never matches is worse than none: somebody relies on it. */
import { coversPrefix } from '../address.js';
import { memberOf } from '../problems.js';
import { ICMP, ICMPV6, TCP, UDP } from '../protocol.js';
import { coversLinkLocal, familyOf, localsOf, macIn, prefixIn, sharedLocals, type RuleView } from '../rule-scope.js';
import type { AclDraft } from '../schema.js';
import type { TenantView, View } from '../view.js';
import { reportTwins } from './common.js';
import { listSubnets } from './subnets.js';

export function checkAcls({ reporter, tenants }: View): void {
  for (const tenant of tenants) {
    const { rules } = tenant;
    const names = new Map(rules.map(({ draft, name }) => [draft, name]));
    reportTwins(reporter, names.keys(), 'name', draft => names.get(draft), first => `line ${first.line} has a rule of this name`,
      'give each rule of a tenant a name of its own');

    const said = new Map<string, AclDraft>();
    for (const rule of rules) {
      const { draft } = rule;
      checkFamilies(reporter, draft);
      checkPorts(reporter, draft);
      checkState(reporter, draft);
      checkMac(reporter, tenant, draft);
      if (rule.scope.kind === 'tenant') checkLocal(reporter, tenant, draft);
      else checkScope(reporter, rule);
      if (localsOf(rule)?.length === 0 || Object.values(draft).includes(undefined)) continue; // it matches nothing, or nobody knows what: that is enough
      const id = matchOf(rule);
      const first = said.get(id);
      if (first === undefined) said.set(id, draft);
      else if (rule.place !== undefined) {
        reporter.report(draft.at, null, `matches the same as the rule of line ${first.line}, at the same weight`,
          first.action === draft.action ? 'keep one' : 'one of them never decides: keep one, or give them different weights');
      }
    }
  }
}

function checkFamilies(reporter: View['reporter'], { at, local, remote, protocol }: AclDraft): void {
  const [near, far] = [prefixIn(local), prefixIn(remote)];
  if (near !== null && far !== null && near.family !== far.family) {
    reporter.report(at, 'remote', `an IPv${far.family} prefix beside an IPv${near.family} one`,
      'no packet has both: give local and remote of one family');
    return;
  }
  const family = protocol === ICMP ? 4 : protocol === ICMPV6 ? 6 : undefined;
  const odd = family === undefined ? undefined : ([['local', near], ['remote', far]] as const).find(([, prefix]) => prefix !== null && prefix.family !== family);
  if (odd !== undefined) {
    reporter.report(at, 'protocol', `${family === 4 ? 'icmp with an IPv6' : 'icmpv6 with an IPv4'} prefix in "${odd[0]}"`,
      `write "${family === 4 ? 'icmpv6' : 'icmp'}", or a prefix of IPv${family}`);
  }
}

function checkPorts(reporter: View['reporter'], acl: AclDraft): void {
  for (const key of ['localPort', 'remotePort'] as const) {
    if (acl[key] && acl.protocol !== undefined && acl.protocol !== TCP && acl.protocol !== UDP) {
      reporter.report(acl.at, key, 'a port, but the protocol has none', 'ports need "protocol": "tcp" or "udp"');
    }
  }
}

function checkState(reporter: View['reporter'], { at, action, stateful }: AclDraft): void {
  if (stateful === true && action !== undefined && action !== 'allow') {
    reporter.report(at, 'stateful', `a stateful rule that ${action === 'deny' ? 'denies' : 'measures'}`, 'only what is allowed has state: leave it out, or allow');
  }
  if (stateful === false && memberOf(at, 'idleTimeout') !== undefined) {
    reporter.report(at, 'idleTimeout', 'an idle timeout, but the rule keeps no state', 'add "stateful": true, or leave it out');
  }
}

/** A VM's side is told by the MAC of its record. */
function checkMac(reporter: View['reporter'], { draft, title }: TenantView, { at, local }: AclDraft): void {
  const mac = macIn(local), { records } = draft;
  if (mac === null || records === undefined) return;
  if (records.some(record => record.mac === undefined || record.mac.text === mac.text)) return;
  reporter.report(at, 'local', `no record of ${title} has this MAC, so the rule never matches`, 'local is the VM’s side: give the MAC of one of its records');
}

/** A VM's side that no VM of the tenant can have. */
function checkLocal(reporter: View['reporter'], tenant: TenantView, { at, local }: AclDraft): void {
  const near = prefixIn(local);
  if (near === null || !tenant.subnetsKnown) return;
  const meets = tenant.parts.some(({ prefix }) => coversPrefix(prefix, near) || coversPrefix(near, prefix));
  if (!meets) reporter.report(at, 'local', `in no subnet of ${tenant.title}, so the rule never matches`,
    `local is the VM’s side; ${listSubnets(tenant)}`);
}

/** A rule under a subnet or record that is about nothing there. */
function checkScope(reporter: View['reporter'], rule: RuleView): void {
  const { draft: { at, local }, place, title, scope } = rule;
  if (place === undefined || place === null || local === undefined) return;
  if (place.length === 0) {
    if (scope.kind === 'record') reporter.report(at, null, 'a rule of a record without a CA', 'put it under the tenant, with the MAC as its local side');
  } else if (sharedLocals(rule)?.length === 0) {
    reporter.report(at, 'local', `nothing of ${title}, so the rule never matches`, `leave it out, or write what lies in ${place.map(prefix => prefix.text).join(' or ')}`);
  } else if (localsOf(rule)?.length === 0 && prefixIn(local) === null) {
    const { family, key } = familyOf(rule.draft);
    reporter.report(at, key, `IPv${family}, of which ${title} has nothing, so the rule never matches`, `it has ${place.map(prefix => prefix.text).join(' and ')}`);
  }
}

function matchOf(rule: RuleView): string {
  const { weight, action, direction, protocol, local, remote, localPort, remotePort } = rule.draft;
  const locals = localsOf(rule)?.map(prefix => prefix.text).sort().join();
  const kind = action === 'measure' ? 'measures' : 'decides';
  return [kind, weight, direction, protocol, locals, coversLinkLocal(rule), macIn(local)?.text, remote?.text, localPort?.from, localPort?.to, remotePort?.from, remotePort?.to].join(' ');
}
