/** Access rules that cannot mean what they say. A rule that never matches is worse than none: somebody relies on it. */
import { coversPrefix } from '../address.js';
import { ICMP, ICMPV6, TCP, UDP } from '../protocol.js';
import type { AclDraft } from '../schema.js';
import type { TenantView, View } from '../view.js';
import { reportTwins } from './common.js';
import { listSubnets } from './subnets.js';

export function checkAcls({ reporter, tenants }: View): void {
  for (const tenant of tenants) {
    const acls = tenant.draft.acls ?? [];
    const names = new Map(acls.map((acl, i) => [acl, aclName(acl.name, i)]));
    reportTwins(reporter, acls, 'name', acl => names.get(acl), first => `line ${first.line} has a rule of this name`,
      'give each rule of a tenant a name of its own');

    const said = new Map<string, AclDraft>();
    for (const acl of acls) {
      checkFamilies(reporter, acl);
      checkLocal(reporter, tenant, acl);
      for (const key of ['localPort', 'remotePort'] as const) {
        if (acl[key] && acl.protocol !== undefined && acl.protocol !== TCP && acl.protocol !== UDP) {
          reporter.report(acl.at, key, 'a port, but the protocol has none', 'ports need "protocol": "tcp" or "udp"');
        }
      }
      const id = matchOf(acl);
      const first = said.get(id);
      if (first === undefined) said.set(id, acl);
      else if (!Object.values(acl).includes(undefined)) {
        reporter.report(acl.at, null, `matches the same as the rule of line ${first.line}, at the same weight`,
          first.action === acl.action ? 'keep one' : 'one of them never decides: keep one, or give them different weights');
      }
    }
  }
}

export function aclName(name: string | null | undefined, index: number): string | undefined {
  return name === null ? `acl-${index + 1}` : name;
}

function checkFamilies(reporter: View['reporter'], { at, local, remote, protocol }: AclDraft): void {
  if (local && remote && local.family !== remote.family) {
    reporter.report(at, 'remote', `an IPv${remote.family} prefix beside an IPv${local.family} one`,
      'no packet has both: give local and remote of one family');
    return;
  }
  const family = protocol === ICMP ? 4 : protocol === ICMPV6 ? 6 : undefined;
  const odd = family === undefined ? undefined : ([['local', local], ['remote', remote]] as const).find(([, prefix]) => prefix && prefix.family !== family);
  if (odd !== undefined) {
    reporter.report(at, 'protocol', `${family === 4 ? 'icmp with an IPv6' : 'icmpv6 with an IPv4'} prefix in "${odd[0]}"`,
      `write "${family === 4 ? 'icmpv6' : 'icmp'}", or a prefix of IPv${family}`);
  }
}

/** A VM's side that no VM of the tenant can have. */
function checkLocal(reporter: View['reporter'], tenant: TenantView, { at, local }: AclDraft): void {
  if (!local || !tenant.subnetsKnown) return;
  const meets = tenant.parts.some(({ prefix }) => coversPrefix(prefix, local) || coversPrefix(local, prefix));
  if (!meets) reporter.report(at, 'local', `in no subnet of ${tenant.title}, so the rule never matches`,
    `local is the VM’s side; ${listSubnets(tenant)}`);
}

function matchOf({ weight, direction, protocol, local, remote, localPort, remotePort }: AclDraft): string {
  return [weight, direction, protocol, local?.text, remote?.text, localPort?.from, localPort?.to, remotePort?.from, remotePort?.to].join(' ');
}
