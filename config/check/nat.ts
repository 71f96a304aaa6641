/** NAT and forwarding: their uplinks, the pool, and static mappings. */
import { findLongest, makeIndex, type PrefixIndex } from '../prefix-index.js';
import type { MappingDraft, NatDraft } from '../schema.js';
import { withPort } from '../scalars.js';
import type { TenantView, View } from '../view.js';
import { checkReference, unusable } from './common.js';

export function checkNat(view: View): void {
  const { reporter, uplinks } = view;
  for (const tenant of view.tenants) {
    const { nat, forward } = tenant.draft;
    if (forward) checkReference(reporter, forward.at, 'uplink', 'uplink', forward.uplink, uplinks);
    if (!nat) continue;
    checkReference(reporter, nat.at, 'uplink', 'uplink', nat.uplink, uplinks);
    nat.pool?.forEach((entry, i) => {
      const wrong = entry === undefined ? undefined : entry.map(prefix => unusable(prefix)).find(w => w !== undefined);
      if (wrong !== undefined) reporter.report(nat.at, ['pool', i], `${wrong} cannot be translated to`,
        'use addresses that the uplink routes to this gateway');
    });
    checkMappings(view, tenant, nat);
    const { routes } = tenant.draft;
    if (nat.mappings !== undefined && nat.mappings.length > 0 && routes?.every(({ via }) => via !== undefined && via.kind !== 'nat')) {
      reporter.report(nat.at, 'mappings', 'answers have no way back', 'add a route via nat: { "prefix": "0.0.0.0/0", "via": "nat" }');
    }
  }
}

function checkMappings({ reporter }: View, tenant: TenantView, nat: NatDraft): void {
  const whole = nat.pool?.includes(undefined) === false ? nat.pool : undefined;
  const pool = whole && makeIndex(whole.flatMap(entry => entry ?? []).map(prefix => ({ prefix, owner: nat })));
  const taken = new Map<string, MappingDraft>();
  for (const mapping of nat.mappings ?? []) {
    checkExternal(reporter, mapping, pool);
    checkInternal(reporter, tenant, mapping);
    const { at, external, proto } = mapping;
    if (external === undefined || proto === undefined) continue;
    const id = `${proto} ${withPort(external.address, external.port)}`;
    const first = taken.get(id);
    if (first === undefined) taken.set(id, mapping);
    else reporter.report(at, 'external', `line ${first.line} maps this ${proto} port already`,
      'one external port leads to one place: keep one');
  }
}

function checkExternal(reporter: View['reporter'], { at, external }: MappingDraft, pool: PrefixIndex<NatDraft> | undefined): void {
  if (external === undefined) return;
  if (external.address.family === 6) reporter.report(at, 'external', 'an IPv6 address', 'NAT is IPv4 only: use an address of the pool');
  else if (pool !== undefined && findLongest(pool, external.address) === undefined) {
    reporter.report(at, 'external', 'not an address of the pool',
      `the pool: ${pool.slice(0, 4).map(entry => entry.prefix.text).join(', ')}${pool.length > 4 ? ', …' : ''}`);
  }
}

function checkInternal(reporter: View['reporter'], tenant: TenantView, { at, internal }: MappingDraft): void {
  if (internal === undefined) return;
  const { address } = internal;
  if (address.family === 6) reporter.report(at, 'internal', 'an IPv6 address', 'NAT is IPv4 only: use an IPv4 CA');
  else if (!tenant.owners.has(address.text) && tenant.recordsKnown) {
    const own = findLongest(tenant.index, address)?.owner.gateway?.text === address.text;
    if (own) reporter.report(at, 'internal', 'the gateway’s own CA', 'a mapping leads to a VM: write its CA');
    else reporter.report(at, 'internal', 'no record for this CA',
      `add one to the records of ${tenant.title}, or correct it`);
  }
}
