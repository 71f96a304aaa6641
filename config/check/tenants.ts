/** What is unique among tenants: names, RDIDs, VSIDs, and who is who on an uplink. */
import type { SubnetDraft } from '../schema.js';
import type { TenantView, View } from '../view.js';
import { reportTwins } from './common.js';

export function checkTenants({ reporter, tenants }: View): void {
  const drafts = tenants.map(view => view.draft);
  reportTwins(reporter, drafts, 'name', t => t.name, first => `line ${first.line} has a tenant of this name`,
    'give each tenant a name of its own');
  reportTwins(reporter, drafts, 'rdid', t => t.rdid, first => `tenant ${first.name ?? ''}, line ${first.line}, has this RDID`,
    'an RDID belongs to one tenant: make a new one, for example with uuidgen');
  checkVsids(reporter, tenants);
  checkKeys(reporter, tenants);
}

/** RFC 7637 §3.2: 0 to 0xfff are reserved, 0xffffff is for vendors. */
const LEAST_VSID = 4096;
const VENDOR_VSID = 0xffffff;

function checkVsids(reporter: View['reporter'], tenants: readonly TenantView[]): void {
  const first = new Map<number, { readonly subnet: SubnetDraft; readonly tenant: TenantView }>();
  for (const tenant of tenants) {
    for (const subnet of tenant.draft.subnets ?? []) {
      const { at, vsid } = subnet;
      if (vsid === undefined) continue;
      const taken = first.get(vsid);
      if (vsid < LEAST_VSID || vsid === VENDOR_VSID) reporter.report(at, 'vsid', 'a reserved VSID',
        `use ${LEAST_VSID} to ${VENDOR_VSID - 1}`);
      else if (taken !== undefined) {
        const whose = taken.tenant === tenant ? 'another subnet' : `${taken.tenant.title}'s subnet`;
        reporter.report(at, 'vsid', `${whose}, line ${taken.subnet.line}, has this VSID`, 'a VSID belongs to one subnet of one tenant');
      } else first.set(vsid, { subnet, tenant });
    }
  }
}

/** Packets from an uplink carry no tenant but their key, so a key that forwards is one tenant's alone. */
function checkKeys(reporter: View['reporter'], tenants: readonly TenantView[]): void {
  const forwards = new Map<string, TenantView>();
  for (const tenant of tenants) {
    const { forward } = tenant.draft;
    if (!forward || forward.uplink === undefined || forward.key === undefined) continue;
    const id = `${forward.uplink} ${forward.key}`;
    const taken = forwards.get(id);
    if (taken === undefined) forwards.set(id, tenant);
    else {
      reporter.report(forward.at, forward.key === null ? null : 'key',
        `${taken.title}, line ${taken.draft.forward?.line}, forwards to this uplink ${keyed(forward.key)} too`,
        'packets coming back could be either’s: give each tenant a key of its own');
    }
  }
  for (const tenant of tenants) {
    const { nat } = tenant.draft;
    if (!nat || nat.uplink === undefined || nat.key === undefined) continue;
    const taken = forwards.get(`${nat.uplink} ${nat.key}`);
    if (taken !== undefined && taken !== tenant) {
      reporter.report(nat.at, nat.key === null ? null : 'key',
        `${taken.title}, line ${taken.draft.forward?.line}, forwards to this uplink ${keyed(nat.key)}`,
        'packets coming back could be either’s: use another key, or another uplink');
    }
  }
}

function keyed(key: number | null): string {
  return key === null ? 'without a key' : 'with this key';
}
