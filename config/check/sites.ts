/** Sites and their maps. Their PAs are looked at with all other PAs, their prefixes with all other prefixes. */
import { coversPrefix } from '../address.js';
import type { Node } from '../jsonc.js';
import { nodeOfItem, type Place } from '../problems.js';
import type { SiteDraft, SiteMapDraft } from '../schema.js';
import type { Prefix } from '../types.js';
import { subnetName, type TenantView, type View } from '../view.js';
import { reportTwins, unusable } from './common.js';
import { listSubnets } from './subnets.js';

/** A prefix by which the tenant knows a part of a site, and where the file says so. */
export interface SitePart { readonly prefix: Prefix; readonly at: Node; readonly place: Place; readonly node: Node }

export function checkSites({ reporter, tenants }: View): void {
  for (const tenant of tenants) {
    const sites = tenant.draft.sites ?? [];
    reportTwins(reporter, sites, 'name', s => s.name, first => `line ${first.line} has a site of this name`,
      'give each site of a tenant a name of its own');
    for (const site of sites) {
      site.prefixes?.forEach((prefix, i) => {
        const wrong = prefix === undefined ? undefined : unusable(prefix, ['unspecified']);
        if (wrong !== undefined) reporter.report(site.at, ['prefixes', i], `starts with ${wrong}, which is never routed`, 'take it out');
      });
      checkMaps(reporter, tenant, site);
    }
  }
}

/** The site's prefixes as the tenant sees them; undefined while some could not be read. */
export function sitePartsOf(site: SiteDraft): readonly SitePart[] | undefined {
  const { at, prefixes, maps } = site;
  if (prefixes === undefined || maps === undefined) return undefined;
  const parts: SitePart[] = [];
  const shown = maps.filter(map => map.side !== 'tenant');
  for (const [i, prefix] of prefixes.entries()) {
    if (prefix === undefined) return undefined;
    if (shown.some(({ real }) => real !== undefined && coversPrefix(real, prefix))) continue;
    parts.push({ prefix, at, place: ['prefixes', i], node: nodeOfItem(at, 'prefixes', i) });
  }
  for (const map of shown) {
    if (map.side === undefined || map.real === undefined || map.shown === undefined) return undefined;
    parts.push({ prefix: map.shown, at: map.at, place: 'shown', node: map.at });
  }
  return parts;
}

/** Maps that can work: as many addresses on both sides, each with one meaning for whoever sees it. */
function checkMaps(reporter: View['reporter'], tenant: TenantView, site: SiteDraft): void {
  const before: SiteMapDraft[] = [];
  for (const map of site.maps ?? []) {
    const { at, side, real, shown } = map;
    if (real === undefined || shown === undefined || side === undefined) continue;
    const six = [real, shown].findIndex(({ family }) => family === 6);
    const wrong = [real, shown].map(prefix => unusable(prefix)).findIndex(what => what !== undefined);
    const twin = before.find(other => other.side === side && meet(other.real, real)), shadow = before.find(other => other.side === side && meet(other.shown, shown));
    if (six >= 0) reporter.report(at, six === 0 ? 'real' : 'shown', 'an IPv6 prefix', 'maps are for IPv4: IPv6 networks do not overlap');
    else if (wrong >= 0) reporter.report(at, wrong === 0 ? 'real' : 'shown', `starts with ${unusable(wrong === 0 ? real : shown)}, which is never routed`, 'correct it');
    else if (real.bits !== shown.bits) reporter.report(at, 'shown', `/${shown.bits - 96} for a /${real.bits - 96}`, 'one for one: write a prefix of the same length');
    else if (twin !== undefined) reporter.report(at, 'real', `line ${twin.line} shows some of it already`, 'an address is shown as one other');
    else if (shadow !== undefined) reporter.report(at, 'shown', `line ${shadow.line} shows something as some of it already`, 'an address stands for one other');
    else checkPlace(reporter, tenant, site, map, real, shown);
    before.push(map);
  }
}

/** Whether a map speaks of addresses that its side has, and shows them as none that whoever sees them has. The tenant's are looked at with all other prefixes. */
function checkPlace(reporter: View['reporter'], tenant: TenantView, site: SiteDraft, { at, side }: SiteMapDraft, real: Prefix, shown: Prefix): void {
  const prefixes = site.prefixes?.flatMap(prefix => prefix ?? []) ?? [];
  if (side === 'site') {
    if (site.prefixes?.includes(undefined) === false && !prefixes.some(prefix => coversPrefix(prefix, real) || coversPrefix(real, prefix))) {
      reporter.report(at, 'real', 'none of the site’s prefixes', `the site’s own: ${prefixes.map(({ text }) => text).join(', ')}`);
    }
    return;
  }
  const routed = (tenant.draft.routes ?? []).some(({ prefix, via }) => via?.kind === 'ca' && meet(prefix, real));
  if (tenant.subnetsKnown && tenant.draft.routes !== undefined && !routed && !tenant.parts.some(({ prefix }) => meet(prefix, real))) {
    reporter.report(at, 'real', `in no subnet of ${tenant.title}`, listSubnets(tenant));
    return;
  }
  // A site wider than that has a longer prefix to find the tenant by.
  const own = prefixes.find(prefix => coversPrefix(shown, prefix));
  if (own !== undefined) return reporter.report(at, 'shown', `the site has ${own.text} itself`, 'show the tenant as addresses that the site does not have');
  const hidden = tenant.parts.find(({ prefix }) => meet(prefix, shown) && !(site.maps ?? []).some(map => map.side === 'tenant' && map.real !== undefined && coversPrefix(map.real, prefix)));
  if (hidden !== undefined) {
    reporter.report(at, 'shown', `overlaps subnet ${subnetName(hidden.subnet) ?? ''} ${hidden.prefix.text}, line ${hidden.subnet.line}`,
      'the site could not reach that subnet any more: show other addresses');
  }
}

function meet(a: Prefix | undefined, b: Prefix | undefined): boolean {
  return a !== undefined && b !== undefined && (coversPrefix(a, b) || coversPrefix(b, a));
}
