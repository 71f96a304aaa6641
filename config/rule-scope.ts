/**
 * Where a rule stands and whom it is about. A rule under a subnet or a record is one of its tenant's like any other,
 * only that its local side is that subnet, or that CA; if it names a local side too, it is about what both hold.
 */
import { coversPrefix, hostPrefix, makePrefix } from './address.js';
import { ICMP, ICMPV6 } from './protocol.js';
import type { AclDraft, RecordDraft, SubnetDraft, TenantDraft } from './schema.js';
import type { AclScope, Mac, Prefix } from './types.js';

export interface RuleView {
  readonly draft: AclDraft;
  readonly scope: AclScope;
  /** "web, line 12", for messages; empty at the tenant. */
  readonly title: string;
  /** Undefined while it cannot be known. */
  readonly name: string | undefined;
  /** What its scope holds; null is everything, undefined is unknown, and reported. */
  readonly place: readonly Prefix[] | null | undefined;
}

/** Every rule of a tenant, in the order of the file. */
export function viewRules(tenant: TenantDraft, nameOf: (subnet: SubnetDraft) => string | undefined, prefixesOf: (subnet: SubnetDraft) => readonly Prefix[]): readonly RuleView[] {
  const rules = (tenant.acls ?? []).map((draft, i): RuleView => ({ draft, scope: { kind: 'tenant' }, title: '', name: nameRule(draft, '', i), place: null }));
  for (const subnet of tenant.subnets ?? []) {
    const title = nameOf(subnet) ?? 'the subnet';
    const place = subnet.prefix === undefined || subnet.prefix6 === undefined ? undefined : prefixesOf(subnet);
    subnet.acls?.forEach((draft, i) => rules.push({
      draft, scope: { kind: 'subnet', vsid: subnet.vsid ?? 0 }, title: `${title}, line ${subnet.line}`, name: nameRule(draft, `${title}-`, i), place,
    }));
  }
  for (const record of tenant.records ?? []) {
    record.acls?.forEach((draft, i) => rules.push({
      draft, scope: { kind: 'record', ca: record.ca?.text ?? '' }, title: `the record, line ${record.line}`,
      name: nameRule(draft, `${record.ca?.text ?? `line-${record.line}`}-`, i), place: placeOf(record),
    }));
  }
  return rules.sort((a, b) => a.draft.at.start - b.draft.at.start);
}

function placeOf({ ca }: RecordDraft): readonly Prefix[] | undefined {
  return ca === undefined ? undefined : ca === null ? [] : [hostPrefix(ca)];
}

function nameRule({ name }: AclDraft, scope: string, index: number): string | undefined {
  return name === null ? `acl-${scope}${index + 1}` : name;
}

export function isMac(end: Prefix | Mac): end is Mac {
  return 'high' in end;
}

/** The prefix in an end of a rule, null for any or a MAC. */
export function prefixIn(end: Prefix | Mac | null | undefined): Prefix | null {
  return end === null || end === undefined || isMac(end) ? null : end;
}

export function macIn(end: Prefix | Mac | null | undefined): Mac | null {
  return end !== null && end !== undefined && isMac(end) ? end : null;
}

/** What the rule's local side and its scope have in common; null is everything. */
export function sharedLocals({ draft, place }: RuleView): readonly Prefix[] | null {
  const given = prefixIn(draft.local);
  if (place === null || place === undefined) return given === null ? null : [given];
  if (given === null) return place;
  return place.flatMap(prefix => coversPrefix(prefix, given) ? [given] : coversPrefix(given, prefix) ? [prefix] : []);
}

/** Every IPv6 adapter has such addresses, and no record of them (RFC 4291 §2.5.6). */
const LINK_LOCAL = makePrefix([0xfe800000, 0, 0, 0], 10);

/** Whether the rule holds for the link-local addresses of its subnet or VM, too: a rule of a scope is no rule if IPv6 leads round it. */
export function coversLinkLocal({ draft, scope }: RuleView): boolean {
  const given = prefixIn(draft.local), other = prefixIn(draft.remote);
  return scope.kind !== 'tenant' && draft.protocol !== ICMP && other?.family !== 4 && (given === null || coversPrefix(given, LINK_LOCAL));
}

/** Of those, the ones of the family that the rest of the rule is about. */
export function localsOf(rule: RuleView): readonly Prefix[] | null {
  const { family } = familyOf(rule.draft), locals = sharedLocals(rule);
  return family === undefined || locals === null ? locals : locals.filter(prefix => prefix.family === family);
}

/** The one family that a rule's remote side or protocol leaves, and the key that says so. */
export function familyOf({ remote, protocol }: AclDraft): { readonly family: 4 | 6 | undefined; readonly key: 'remote' | 'protocol' } {
  const other = prefixIn(remote);
  if (other !== null) return { family: other.family, key: 'remote' };
  return { family: protocol === ICMP ? 4 : protocol === ICMPV6 ? 6 : undefined, key: 'protocol' };
}
