/** Lookup records: each CA, MAC and host where it can be, and nobody twice. */
import { compareWords, covers } from '../address.js';
import type { RecordDraft, SubnetDraft } from '../schema.js';
import { subnetName, type SubnetPart, type TenantView, type View } from '../view.js';
import { checkReference, isAllZero, unusable } from './common.js';
import { endOf, listSubnets } from './subnets.js';

export function checkRecords(view: View): void {
  for (const tenant of view.tenants) {
    const speakers = speakersOf(view, tenant);
    const seen: Seen = { adapters: new Map(), wildcards: new Map() };
    tenant.draft.records?.forEach((record, i) => {
      const place = tenant.placed[i];
      const subnet = subnetOf(view, tenant, record, place);
      const fresh = checkCa(view, tenant, record, place, subnet);
      checkHost(view, record, subnet, speakers);
      checkMac(view, record, subnet, fresh, seen);
    });
  }
}

/** What a tenant's records have shown so far, per subnet. */
interface Seen {
  readonly adapters: Map<SubnetDraft, Map<number, RecordDraft>>;
  readonly wildcards: Map<SubnetDraft, RecordDraft>;
}

/** The subnet a record is in, by its VSID or else by its CA; reports a VSID that is not the tenant's. */
function subnetOf(view: View, tenant: TenantView, record: RecordDraft, place: SubnetPart | undefined): SubnetDraft | undefined {
  const { vsid, type, at } = record;
  if (vsid === null) {
    if (type === 'l2only' || type === 'wildcard') view.reporter.report(at, 'vsid', 'missing',
      `a record of type ${type} has no CA to find its subnet by: add "vsid"`);
    return place?.subnet;
  }
  if (vsid === undefined) return undefined;
  const subnet = tenant.byVsid.get(vsid);
  if (subnet === undefined && tenant.subnetsKnown) {
    const owner = view.vsidOwners.get(vsid);
    const whose = owner === undefined ? 'no subnet has this VSID' : `a VSID of ${owner.title}'s, line ${owner.byVsid.get(vsid)?.line}`;
    const known = [...tenant.byVsid.keys()];
    view.reporter.report(at, 'vsid', whose,
      known.length > 0 && known.length <= 4 ? `${tenant.title} has ${known.join(', ')}` : 'leave it out where the CA tells the subnet');
  }
  return subnet;
}

/** Returns false when another record has the CA, so that its MAC is not counted twice as well. */
function checkCa(
  { reporter }: View, tenant: TenantView, record: RecordDraft, place: SubnetPart | undefined, subnet: SubnetDraft | undefined,
): boolean {
  const { at, type, ca, vsid } = record;
  if (type === undefined || ca === undefined) return true;
  if (type !== 'static') {
    if (ca !== null && !isAllZero(ca)) reporter.report(at, 'ca', `a record of type ${type} has no CA`,
      'leave "ca" out, or make the type static');
    return true;
  }
  if (ca === null) {
    reporter.report(at, 'ca', 'missing', 'a static record needs its CA; without one the type is "l2only"');
    return true;
  }

  const gateway = place?.gateway;
  if (place === undefined) reportHomeless(reporter, tenant, record, subnet);
  else if (subnet !== undefined && place.subnet.vsid !== subnet.vsid && !tenant.partsOf.get(subnet)?.some(part => covers(part.prefix, ca))) {
    reporter.report(at, 'ca', `outside VSID ${vsid}: it lies in ${place.prefix.text}, VSID ${place.subnet.vsid}, line ${place.subnet.line}`,
      'correct the CA, or leave "vsid" out');
  } else if (gateway && compareWords(gateway.words, ca.words) === 0) {
    reporter.report(at, 'ca', `the gateway’s own CA in ${subnetName(place.subnet)}, line ${place.subnet.line}`,
      'give the VM another, or the subnet another gateway');
  } else {
    const end = endOf(place.prefix, ca.words);
    if (end !== undefined) reporter.report(at, 'ca', `${end} of ${place.prefix.text}`, 'no VM can have it: use an address between');
  }

  const first = tenant.owners.get(ca.text);
  if (first === record || first === undefined) return true;
  reporter.report(at, 'ca', `line ${first.line} has a record for this CA`, 'a CA belongs to one MAC on one host: keep one');
  return false;
}

function reportHomeless(reporter: View['reporter'], tenant: TenantView, { at, ca, vsid }: RecordDraft, subnet: SubnetDraft | undefined): void {
  if (!ca) return;
  const wrong = unusable(ca);
  if (wrong !== undefined) reporter.report(at, 'ca', `${wrong} cannot be a CA`, listSubnets(tenant));
  else if (subnet !== undefined && subnet.prefix !== undefined && subnet.prefix6 !== undefined) {
    const prefixes = (tenant.partsOf.get(subnet) ?? []).map(part => part.prefix.text).join(' and ');
    if (prefixes !== '') reporter.report(at, 'ca', `outside ${prefixes} of ${subnetName(subnet)}, line ${subnet.line}`,
      'correct the CA or the VSID');
  } else if (vsid === null && tenant.subnetsKnown) reporter.report(at, 'ca', `in no subnet of ${tenant.title}`, listSubnets(tenant));
}

/** The hosts that may speak for a subnet; undefined for all, or when the list has a mistake that would echo here. */
type Speakers = ReadonlyMap<SubnetDraft, ReadonlySet<string> | undefined>;

function speakersOf({ hosts }: View, { draft }: TenantView): Speakers {
  return new Map((draft.subnets ?? []).map(subnet => {
    const names = subnet.hosts ?? [];
    const clean = names.length > 0 && names.every(name => name !== undefined && hosts.byName.has(name));
    return [subnet, clean ? new Set(names.filter(name => name !== undefined)) : undefined];
  }));
}

function checkHost({ reporter, hosts }: View, record: RecordDraft, subnet: SubnetDraft | undefined, speakers: Speakers): void {
  const { at, host } = record;
  if (!checkReference(reporter, at, 'host', 'host', host, hosts) || host === undefined || subnet === undefined) return;
  const allowed = speakers.get(subnet);
  if (allowed === undefined || allowed.has(host) || !hosts.byName.has(host)) return;
  reporter.report(at, 'host', `not among the hosts of ${subnetName(subnet)}, line ${subnet.line}`,
    `add it there, or use one of: ${[...allowed].slice(0, 5).join(', ')}`);
}

function checkMac({ draft, reporter }: View, record: RecordDraft, subnet: SubnetDraft | undefined, fresh: boolean, seen: Seen): void {
  const { at, mac, host, type } = record;
  const own = draft.gateway?.mac;
  if (mac !== undefined && own !== undefined && mac.high === own.high && mac.low === own.low) {
    reporter.report(at, 'mac', 'the gateway’s own MAC', 'give the VM another, or change gateway.mac');
    return;
  }
  if (subnet === undefined || !fresh) return;

  if (type === 'wildcard') {
    const first = seen.wildcards.get(subnet);
    if (first === undefined) seen.wildcards.set(subnet, record);
    else {
      reporter.report(at, 'type', `line ${first.line} is a wildcard of ${subnetName(subnet)} already`, 'a VSID has one: keep one');
      return;
    }
  }
  if (mac === undefined || host === undefined) return;
  let adapters = seen.adapters.get(subnet);
  if (adapters === undefined) seen.adapters.set(subnet, adapters = new Map());
  const id = mac.high * 2 ** 32 + mac.low;
  const first = adapters.get(id);
  // One VM may have several CAs, and an l2only record beside the ones it has; it cannot be in two places.
  if (first === undefined) adapters.set(id, record);
  else if (first.host !== host) reporter.report(at, 'mac', `line ${first.line} has this MAC on ${first.host}`,
    'a MAC is on one host per VSID: correct the MAC or the host');
  else if (type === 'l2only' && first.type === 'l2only') reporter.report(at, 'mac', `line ${first.line} says the same`, 'keep one');
}
