/** Prefixes that claim the same addresses: within a tenant its subnets, sites and pool, among tenants their pools. */
import type { Node } from '../jsonc.js';
import { makeIndex } from '../prefix-index.js';
import { nodeOfItem, type Place } from '../problems.js';
import type { Prefix } from '../types.js';
import { subnetName, type TenantView, type View } from '../view.js';

interface Claim {
  readonly tenant: TenantView;
  readonly kind: 'subnet' | 'site' | 'pool';
  readonly title: string;
  readonly at: Node;
  readonly place: Place;
  /** Of the text that makes the claim. */
  readonly node: Node;
}

type Claimed = { readonly prefix: Prefix; readonly owner: Claim };

const ADVICE: Readonly<Record<string, string>> = {
  'subnet subnet': 'subnets of a tenant share no addresses',
  'site site': 'an address is at one site: take one out, or split the wider prefix',
  'site subnet': 'an address is in a subnet or at a site: take one out, or split the wider prefix',
  'pool subnet': 'a pool address belongs to the outside: use addresses that no VM has',
  'pool site': 'a pool address belongs to the outside: use addresses that no site has',
  'pool pool': 'a pool address belongs to one tenant, once',
};

export function checkOverlaps(view: View): void {
  const pools: Claimed[] = [];
  for (const tenant of view.tenants) {
    const pool = poolClaims(tenant);
    pools.push(...pool);
    checkClaims(view, [...networkClaims(tenant), ...pool], (a, b) => a.kind !== 'pool' || b.kind !== 'pool');
  }
  checkClaims(view, pools, () => true);
}

function networkClaims(tenant: TenantView): Claimed[] {
  const subnets = tenant.parts.map(({ prefix, subnet, key }) => (
    { prefix, owner: { tenant, kind: 'subnet' as const, title: `subnet ${subnetName(subnet) ?? ''}`, at: subnet.at, place: key, node: nodeOfItem(subnet.at, key, 0) } }
  ));
  const sites = (tenant.draft.sites ?? []).flatMap(site => (site.prefixes ?? []).flatMap((prefix, i) => (
    prefix === undefined ? [] : [{ prefix, owner: { tenant, kind: 'site' as const, title: `site ${site.name ?? ''}`, at: site.at, place: ['prefixes', i] as const, node: nodeOfItem(site.at, 'prefixes', i) } }]
  )));
  return [...subnets, ...sites];
}

function poolClaims(tenant: TenantView): Claimed[] {
  const { nat } = tenant.draft;
  if (!nat) return [];
  return (nat.pool ?? []).flatMap((entry, i) => {
    const owner: Claim = { tenant, kind: 'pool', title: 'pool', at: nat.at, place: ['pool', i], node: nodeOfItem(nat.at, 'pool', i) };
    return (entry ?? []).map(prefix => ({ prefix, owner })); // a range is several prefixes of one owner
  });
}

/** Each claim that meets another is reported once, at whichever of the two comes later in the file. */
function checkClaims({ reporter }: View, claims: readonly Claimed[], matters: (a: Claim, b: Claim) => boolean): void {
  const blamed = new Set<Claim>();
  for (const { prefix, owner, around } of makeIndex(claims)) {
    for (let outer = around; outer !== undefined; outer = outer.around) {
      if (!matters(owner, outer.owner)) continue;
      const [first, later] = owner.node.start < outer.owner.node.start ? [owner, outer.owner] : [outer.owner, owner];
      if (first !== later && !blamed.has(later)) {
        blamed.add(later);
        const theirs = first.tenant === later.tenant ? first.title : `${first.tenant.title}'s ${first.title}`;
        const text = (first === owner ? prefix : outer.prefix).text;
        reporter.report(later.at, later.place, `overlaps ${theirs} ${text}, line ${reporter.lineOf(first.node.start)}`, ADVICE[[first.kind, later.kind].sort().join(' ')]);
      }
      break;
    }
  }
}
