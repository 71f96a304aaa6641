/** Prefixes that claim the same addresses: within a tenant its subnets, sites and pool, among tenants their pools. */
import type { Node } from '../jsonc.js';
import { type Entry, makeIndex } from '../prefix-index.js';
import { nodeOfItem, type Place } from '../problems.js';
import type { Prefix } from '../types.js';
import { subnetName, type TenantView, type View } from '../view.js';
import { sitePartsOf } from './sites.js';

interface Claim {
  readonly tenant: TenantView;
  readonly kind: 'subnet' | 'site' | 'pool';
  readonly title: string;
  readonly at: Node;
  readonly place: Place;
  /** Of the text that makes the claim. */
  readonly node: Node;
  /** Of the site. */
  readonly site?: Node;
}

type Claimed = { readonly prefix: Prefix; readonly owner: Claim };

const ADVICE: Readonly<Record<string, string>> = {
  'subnet subnet': 'subnets of a tenant share no addresses',
  'site site': 'an address is at one site: take one out, split the wider prefix, or show it as another (maps)',
  'site subnet': 'an address is in a subnet or at a site: take one out, split the wider prefix, or show it as another (maps)',
  'pool subnet': 'a pool address belongs to the outside: use addresses that no VM has',
  'pool site': 'a pool address belongs to the outside: use addresses that no site has',
  'pool pool': 'a pool address belongs to one tenant, once',
};

export function checkOverlaps(view: View): void {
  const pools: Claimed[] = [];
  for (const tenant of view.tenants) {
    const pool = poolClaims(tenant);
    pools.push(...pool);
    checkClaims(view, [...networkClaims(tenant), ...pool], false);
  }
  checkClaims(view, pools, true);
}

function networkClaims(tenant: TenantView): Claimed[] {
  const claims: Claimed[] = tenant.parts.map(({ prefix, subnet: { at }, subnet, key }) => (
    { prefix, owner: { tenant, kind: 'subnet', title: `subnet ${subnetName(subnet) ?? ''}`, at, place: key, node: nodeOfItem(at, key, 0) } }
  ));
  for (const site of tenant.draft.sites ?? []) {
    for (const { prefix, at, place, node } of sitePartsOf(site) ?? []) {
      claims.push({ prefix, owner: { tenant, kind: 'site', title: `site ${site.name ?? ''}`, at, place, node, site: site.at } });
    }
  }
  return claims;
}

function poolClaims(tenant: TenantView): Claimed[] {
  const { nat } = tenant.draft;
  if (!nat) return [];
  return (nat.pool ?? []).flatMap((entry, i) => {
    const owner: Claim = { tenant, kind: 'pool', title: 'pool', at: nat.at, place: ['pool', i], node: nodeOfItem(nat.at, 'pool', i) };
    return (entry ?? []).map(prefix => ({ prefix, owner })); // a range is several prefixes of one owner
  });
}

/**
 * Each claim that meets another is reported once, at whichever of the two comes later in the file.
 * Pools against pools are a question among all tenants, so within one they are passed over.
 */
function checkClaims({ reporter }: View, claims: readonly Claimed[], amongPools: boolean): void {
  const blamed = new Set<Claim>();
  /** For a pool's entry, the closest entry around it that is no pool's. */
  const network = new Map<Entry<Claim>, Entry<Claim> | undefined>();
  for (const entry of makeIndex(claims)) {
    let outer = entry.around;
    if (!amongPools && entry.owner.kind === 'pool') {
      if (outer?.owner.kind === 'pool') outer = network.get(outer);
      network.set(entry, outer);
    }
    // A site may be wider than a subnet or pool, up to the whole Internet by way of headquarters: what lies within is the tenant's own first.
    while (outer !== undefined && isWideSite(outer, entry)) outer = outer.around;
    if (outer === undefined) continue;

    const [first, later] = entry.owner.node.start < outer.owner.node.start ? [entry, outer] : [outer, entry];
    if (first.owner === later.owner || blamed.has(later.owner)) continue;
    blamed.add(later.owner);
    const { tenant, kind, title, node } = first.owner;
    const theirs = tenant === later.owner.tenant ? title : `${tenant.title}'s ${title}`;
    reporter.report(later.owner.at, later.owner.place, `overlaps ${theirs} ${first.prefix.text}, line ${reporter.lineOf(node.start)}`,
      ADVICE[[kind, later.owner.kind].sort().join(' ')]);
  }
}

/** A site may hold what is in use elsewhere, if that is narrower; and what it is itself shown as. */
function isWideSite(outer: Entry<Claim>, { owner, prefix }: Entry<Claim>): boolean {
  if (outer.owner.kind !== 'site' || outer.prefix.bits >= prefix.bits) return false;
  return owner.kind !== 'site' || (owner.site === outer.owner.site && owner.at !== owner.site);
}
