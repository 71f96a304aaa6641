/**
 * The draft as the checks look at it: names resolved, subnets indexed, each record in its subnet.
 *
 * Each `…Known` says that everything of its sort could be read. Where it is false, "there is no such thing" is not
 * a fact but the echo of a problem already reported, and the checks keep quiet.
 */
import { makeIndex, findLongest, type PrefixIndex } from './prefix-index.js';
import type { Reporter } from './problems.js';
import { viewRules, type RuleView } from './rule-scope.js';
import { lowestHost } from './scalars.js';
import type { ConfigDraft, HostDraft, RecordDraft, SiteDraft, SubnetDraft, TenantDraft, UplinkDraft } from './schema.js';
import type { Address, Prefix } from './types.js';

export interface View {
  readonly draft: ConfigDraft;
  readonly reporter: Reporter;
  readonly hosts: Named<HostDraft>;
  readonly uplinks: Named<UplinkDraft>;
  readonly tenants: readonly TenantView[];
  /** The first tenant to name each VSID. */
  readonly vsidOwners: ReadonlyMap<number, TenantView>;
}

export interface Named<T> {
  readonly byName: ReadonlyMap<string, T>;
  readonly known: boolean;
}

/** One prefix of a subnet. */
export interface SubnetPart {
  readonly subnet: SubnetDraft;
  readonly key: 'prefix' | 'prefix6';
  readonly gatewayKey: 'gateway' | 'gateway6';
  readonly prefix: Prefix;
  readonly gateway: Address | undefined;
}

export interface TenantView {
  readonly draft: TenantDraft;
  readonly title: string;
  /** All prefixes of all subnets. */
  readonly parts: readonly SubnetPart[];
  readonly partsOf: ReadonlyMap<SubnetDraft, readonly SubnetPart[]>;
  readonly index: PrefixIndex<SubnetPart>;
  readonly subnetsKnown: boolean;
  readonly byVsid: ReadonlyMap<number, SubnetDraft>;
  /** For each record, the subnet prefix its CA lies in. */
  readonly placed: readonly (SubnetPart | undefined)[];
  /** First record of each CA, by its text. */
  readonly owners: ReadonlyMap<string, RecordDraft>;
  readonly recordsKnown: boolean;
  readonly sites: Named<SiteDraft>;
  /** All rules, in the order of the file. */
  readonly rules: readonly RuleView[];
}

export function makeView(draft: ConfigDraft, reporter: Reporter): View {
  const tenants = (draft.tenants ?? []).map(viewTenant);
  const vsidOwners = new Map<number, TenantView>();
  for (const tenant of tenants) for (const vsid of tenant.byVsid.keys()) if (!vsidOwners.has(vsid)) vsidOwners.set(vsid, tenant);
  return { draft, reporter, hosts: named(draft.hosts), uplinks: named(draft.uplinks), tenants, vsidOwners };
}

function viewTenant(draft: TenantDraft): TenantView {
  const partsOf = new Map((draft.subnets ?? []).map(subnet => [subnet, partsIn(subnet)]));
  const parts = [...partsOf.values()].flat();
  const index = makeIndex(parts.map(part => ({ prefix: part.prefix, owner: part })));
  const byVsid = new Map<number, SubnetDraft>();
  for (const subnet of draft.subnets ?? []) if (subnet.vsid !== undefined && !byVsid.has(subnet.vsid)) byVsid.set(subnet.vsid, subnet);

  const owners = new Map<string, RecordDraft>();
  let recordsKnown = draft.records !== undefined;
  const placed = (draft.records ?? []).map(record => {
    const { ca } = record;
    if (ca === undefined || record.type === undefined) recordsKnown = false;
    if (ca === undefined || ca === null) return undefined;
    if (!owners.has(ca.text)) owners.set(ca.text, record);
    return findLongest(index, ca)?.owner;
  });

  return {
    draft, title: titled('tenant', draft), parts, partsOf, index, byVsid, placed, owners, recordsKnown,
    subnetsKnown: draft.subnets?.every(s => s.vsid !== undefined && s.prefix !== undefined && s.prefix6 !== undefined) ?? false,
    sites: named(draft.sites), rules: viewRules(draft, subnetName, subnet => (partsOf.get(subnet) ?? []).map(part => part.prefix)),
  };
}

function partsIn(subnet: SubnetDraft): SubnetPart[] {
  const parts: SubnetPart[] = [];
  for (const [key, gatewayKey] of [['prefix', 'gateway'], ['prefix6', 'gateway6']] as const) {
    const prefix = subnet[key];
    if (!prefix || prefix.family !== (key === 'prefix' ? 4 : 6)) continue;
    const given = subnet[gatewayKey];
    parts.push({ subnet, key, gatewayKey, prefix, gateway: given === null ? lowestHost(prefix) : given });
  }
  return parts;
}

function named<T extends { readonly name: string | undefined }>(drafts: readonly T[] | undefined): Named<T> {
  const byName = new Map<string, T>();
  for (const draft of drafts ?? []) if (draft.name !== undefined && !byName.has(draft.name)) byName.set(draft.name, draft);
  return { byName, known: drafts?.every(draft => draft.name !== undefined) ?? false };
}

/** "tenant red", or "the tenant of line 5" while it has no name. */
export function titled(noun: string, draft: { readonly name: string | null | undefined; readonly line: number }): string {
  return draft.name ? `${noun} ${draft.name}` : `the ${noun} of line ${draft.line}`;
}

export function subnetName(subnet: SubnetDraft): string | undefined {
  return subnet.name === null ? (subnet.vsid === undefined ? undefined : `vsid-${subnet.vsid}`) : subnet.name;
}
