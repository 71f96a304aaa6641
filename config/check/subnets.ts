/** Virtual subnets: their prefixes, the gateway's CA in them, and who may speak for them. */
import { compareWords, covers, lastWords, V4_BITS } from '../address.js';
import { findLongest } from '../prefix-index.js';
import type { SubnetDraft } from '../schema.js';
import { lowestHost } from '../scalars.js';
import { subnetName, type SubnetPart, type TenantView, type View } from '../view.js';
import { checkReference, reportTwins, unusable } from './common.js';

/** Wider than any broadcast domain; surely a slip in the length, which would swallow every other prefix. */
const SHORTEST = { prefix: V4_BITS + 8, prefix6: 16 } as const;

export function checkSubnets(view: View): void {
  const { reporter } = view;
  for (const tenant of view.tenants) {
    const subnets = tenant.draft.subnets ?? [];
    for (const subnet of subnets) {
      checkShape(view, subnet);
      checkSpeakers(view, subnet);
    }
    for (const part of tenant.parts) {
      if (checkPrefix(view, part)) checkGatewayCa(view, tenant, part);
    }
    // Twins by VSID have been reported, and their default names are twins too.
    const named = subnets.filter(subnet => subnet.name !== null || tenant.byVsid.get(subnet.vsid ?? -1) === subnet);
    reportTwins(reporter, named, 'name', subnetName, first => `line ${first.line} has a subnet of this name`,
      'give each subnet of a tenant a name of its own');
  }
}

function checkShape({ reporter }: View, subnet: SubnetDraft): void {
  const { at, prefix, prefix6, gateway, gateway6 } = subnet;
  if (prefix === null && prefix6 === null) reporter.report(at, 'prefix', 'missing', 'a subnet needs "prefix", "prefix6" or both');
  if (prefix?.family === 6) reporter.report(at, 'prefix', 'an IPv6 prefix', 'call the key "prefix6"');
  if (prefix6?.family === 4) reporter.report(at, 'prefix6', 'an IPv4 prefix', 'call the key "prefix"');
  if (gateway && prefix === null && prefix6 !== null) reporter.report(at, 'gateway', 'a gateway without a prefix',
    gateway.family === 6 ? 'call the key "gateway6"' : 'add "prefix"');
  if (gateway6 && prefix6 === null && prefix !== null) reporter.report(at, 'gateway6', 'a gateway without a prefix',
    gateway6.family === 4 ? 'call the key "gateway"' : 'add "prefix6"');
}

function checkSpeakers({ reporter, hosts }: View, subnet: SubnetDraft): void {
  const seen = new Set<string>();
  subnet.hosts?.forEach((name, i) => {
    if (!checkReference(reporter, subnet.at, ['hosts', i], 'host', name, hosts) || name === undefined) return;
    if (seen.has(name)) reporter.report(subnet.at, ['hosts', i], 'in this list already', 'keep one');
    seen.add(name);
  });
}

/** Returns whether the prefix is worth looking into. */
function checkPrefix({ reporter }: View, { subnet, key, prefix }: SubnetPart): boolean {
  const wrong = unusable(prefix);
  const [kind, room] = prefix.family === 4 ? ['IPv4', '/8 to /31'] : ['IPv6', '/16 to /127'];
  if (prefix.bits < SHORTEST[key]) reporter.report(subnet.at, key, 'too wide for one subnet', `an ${kind} subnet has ${room}`);
  else if (prefix.bits === 128) reporter.report(subnet.at, key, 'no room for a VM beside the gateway', `an ${kind} subnet has ${room}`);
  else if (wrong !== undefined) reporter.report(subnet.at, key, `starts with ${wrong}, which no VM can have`, 'use a unicast prefix');
  else return true;
  return false;
}

function checkGatewayCa({ reporter }: View, tenant: TenantView, part: SubnetPart): void {
  const { subnet, gatewayKey, gateway, prefix } = part;
  if (!subnet[gatewayKey] || gateway === undefined) return; // not given: the default is right by construction
  const fit = `write ${lowestHost(prefix).text}, or another host address of ${prefix.text}`;
  if (gateway.family !== prefix.family) reporter.report(subnet.at, gatewayKey, `an IPv${gateway.family} address`, fit);
  else if (!covers(prefix, gateway)) {
    const other = findLongest(tenant.index, gateway)?.owner;
    const where = other === undefined ? '' : `, but inside ${other.prefix.text} of line ${other.subnet.line}`;
    reporter.report(subnet.at, gatewayKey, `outside ${prefix.text}${where}`, fit);
  } else {
    const taken = endOf(prefix, gateway.words);
    if (taken !== undefined) reporter.report(subnet.at, gatewayKey, `${taken} of ${prefix.text}`, fit);
  }
}

/** The name of the addresses no host can have: the first of a prefix, and in IPv4 the last (RFC 1122 §3.2.1.3, RFC 4291 §2.6.1). */
export function endOf(prefix: SubnetPart['prefix'], words: SubnetPart['prefix']['words']): string | undefined {
  if (prefix.bits >= 127) return undefined; // RFC 3021, RFC 6164: both ends are hosts
  if (compareWords(words, prefix.words) === 0) return prefix.family === 4 ? 'the network address' : 'the subnet-router anycast address';
  if (prefix.family === 4 && compareWords(words, lastWords(prefix)) === 0) return 'the broadcast address';
  return undefined;
}

/** For advice: the subnets a CA could belong to, when they are few enough to list. */
export function listSubnets(tenant: TenantView): string {
  if (tenant.parts.length === 0) return 'the tenant has no subnets';
  return tenant.parts.length <= 4 ? `its subnets: ${tenant.parts.map(part => part.prefix.text).join(', ')}` : 'add a subnet for it, or correct it';
}
