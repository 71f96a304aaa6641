/** Customer routes: each next hop there, and fit for the prefix. */
import { covers, coversPrefix } from '../address.js';
import { findLongest } from '../prefix-index.js';
import type { RouteDraft } from '../schema.js';
import type { Address, Prefix } from '../types.js';
import { subnetName, type TenantView, type View } from '../view.js';
import { checkReference, unusable } from './common.js';
import { sitePartsOf } from './sites.js';
import { listSubnets } from './subnets.js';

export function checkRoutes(view: View): void {
  for (const tenant of view.tenants) {
    const taken = new Map<string, RouteDraft>();
    const connected = new Map(tenant.parts.map(part => [part.prefix.text, part]));
    for (const route of tenant.draft.routes ?? []) {
      const { at, prefix, metric } = route;
      if (prefix !== undefined) {
        const part = connected.get(prefix.text);
        const wrong = prefix.text === '0.0.0.0/0' || prefix.text === '::/0' ? undefined : unusable(prefix, ['unspecified']);
        if (part !== undefined) {
          view.reporter.report(at, 'prefix', `subnet ${subnetName(part.subnet)}, line ${part.subnet.line}, is this prefix`,
            'a connected subnet needs no route and takes none: take it out');
        } else if (wrong !== undefined) view.reporter.report(at, 'prefix', `starts with ${wrong}, which is never routed`, 'take it out');
        const id = `${prefix.text} ${metric}`;
        const first = taken.get(id);
        if (first === undefined) taken.set(id, route);
        else if (metric !== undefined) {
          view.reporter.report(at, 'prefix', `line ${first.line} has a route to this prefix with metric ${metric}`,
            'give one of them another metric, or keep one');
        }
      }
      checkVia(view, tenant, route);
    }
  }
}

function checkVia({ reporter }: View, tenant: TenantView, { at, prefix, via }: RouteDraft): void {
  const { nat, forward } = tenant.draft;
  if (via?.kind === 'nat') {
    if (nat === null) reporter.report(at, 'via', `${tenant.title} has no nat`, 'add "nat": { "uplink": …, "pool": [ … ] } to the tenant');
    else if (prefix?.family === 6) reporter.report(at, 'via', 'NAT for an IPv6 prefix', 'NAT is IPv4 only: use "forward" or a site');
  } else if (via?.kind === 'forward') {
    if (forward === null) reporter.report(at, 'via', `${tenant.title} has no forward`, 'add "forward": { "uplink": … } to the tenant');
  } else if (via?.kind === 'site') {
    if (!checkReference(reporter, at, 'via', 'site', via.site, tenant.sites) || prefix === undefined) return;
    const site = tenant.sites.byName.get(via.site);
    const parts = site === undefined ? undefined : sitePartsOf(site);
    if (parts === undefined || parts.some(part => coversPrefix(part.prefix, prefix))) return;
    const known = parts.map(part => part.prefix.text).join(', ');
    reporter.report(at, 'prefix', `not within the prefixes of site ${via.site}, line ${site?.line}`,
      `answers from outside ${known} would not be let in: route what the site has or is shown as, or add to its prefixes`);
  } else if (via?.kind === 'ca') checkNextHop(reporter, tenant, at, prefix, via.address);
}

function checkNextHop(reporter: View['reporter'], tenant: TenantView, at: RouteDraft['at'], prefix: Prefix | undefined, hop: Address): void {
  const part = findLongest(tenant.index, hop)?.owner;
  if (prefix !== undefined && prefix.family !== hop.family) {
    reporter.report(at, 'via', `an IPv${hop.family} next hop for an IPv${prefix.family} prefix`, `write an IPv${prefix.family} CA`);
  } else if (part === undefined) {
    if (tenant.subnetsKnown) reporter.report(at, 'via', `in no subnet of ${tenant.title}`, listSubnets(tenant));
  } else if (part.gateway !== undefined && covers({ ...part.prefix, words: part.gateway.words, bits: 128 }, hop)) {
    reporter.report(at, 'via', 'the gateway’s own CA', 'a route leads to somebody else: name a VM that routes');
  } else if (!tenant.owners.has(hop.text) && tenant.recordsKnown) {
    reporter.report(at, 'via', 'no record for this CA',
      `add one to the records of ${tenant.title}: without it nobody knows the next hop’s MAC and host`);
  }
}
