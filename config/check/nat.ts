/** NAT and forwarding: their uplinks, the pool, and static mappings. */
import { coversPrefix } from '../address.js';
import { findLongest, makeIndex, type PrefixIndex } from '../prefix-index.js';
import type { MappingDraft, NatDraft } from '../schema.js';
import type { MappingEnd, Prefix } from '../types.js';
import type { TenantView, View } from '../view.js';
import { checkReference, unusable } from './common.js';
import { listSubnets } from './subnets.js';

type Reporter = View['reporter'];
/** A mapping whose ends are IPv4 and fit each other. */
type Fitting = MappingDraft & { readonly external: MappingEnd; readonly internal: MappingEnd };

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
    if (nat.blocks?.assign === 'dynamic' && nat.blocks.perAddress === 0) {
      reporter.report(nat.blocks.at, 'perAddress', 'no ports for anybody', 'with assign "dynamic" all ports go by blocks: write 1 or more, or leave it out');
    }
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
  const fitting: Fitting[] = [];
  for (const mapping of nat.mappings ?? []) {
    checkExternal(reporter, mapping, pool);
    checkInternal(reporter, tenant, mapping);
    if (fits(reporter, mapping)) fitting.push(mapping);
  }
  checkTaken(reporter, fitting);
}

function checkExternal(reporter: Reporter, { at, external }: MappingDraft, pool: PrefixIndex<NatDraft> | undefined): void {
  if (external === undefined) return;
  if (external.prefix.family === 6) reporter.report(at, 'external', 'an IPv6 address', 'NAT is IPv4 only: use an address of the pool');
  else if (pool !== undefined && !holds(pool, external.prefix)) {
    reporter.report(at, 'external', isOne(external) ? 'not an address of the pool' : 'not all of it is in the pool',
      `the pool: ${pool.slice(0, 4).map(entry => entry.prefix.text).join(', ')}${pool.length > 4 ? ', …' : ''}`);
  }
}

/** Whether every address of `prefix` is in the pool, whose entries may be narrower and do not overlap. */
function holds(pool: PrefixIndex<NatDraft>, prefix: Prefix): boolean {
  let held = 0;
  for (const entry of pool) {
    if (coversPrefix(entry.prefix, prefix)) return true;
    if (coversPrefix(prefix, entry.prefix)) held += 2 ** (128 - entry.prefix.bits);
  }
  return held === 2 ** (128 - prefix.bits);
}

function checkInternal(reporter: Reporter, tenant: TenantView, { at, internal }: MappingDraft): void {
  if (internal === undefined) return;
  const { prefix } = internal;
  if (prefix.family === 6) reporter.report(at, 'internal', 'an IPv6 address', 'NAT is IPv4 only: use an IPv4 CA');
  else if (!isOne(internal)) {
    if (tenant.subnetsKnown && !tenant.parts.some(part => coversPrefix(part.prefix, prefix))) {
      reporter.report(at, 'internal', `not within a subnet of ${tenant.title}`, listSubnets(tenant));
    }
    return;
  }
  const ca = prefix.text.slice(0, prefix.text.indexOf('/'));
  if (prefix.family === 6 || tenant.owners.has(ca) || !tenant.recordsKnown) return;
  const own = findLongest(tenant.index, { text: ca, family: 4, words: prefix.words })?.owner.gateway?.text === ca;
  if (own) reporter.report(at, 'internal', 'the gateway’s own CA', 'a mapping leads to a VM: write its CA');
  else reporter.report(at, 'internal', 'no record for this CA', `add one to the records of ${tenant.title}, or correct it`);
}

function isOne({ prefix }: MappingEnd): boolean {
  return prefix.bits === 128;
}

/** Whether both ends are there, IPv4, and as large as each other. */
function fits(reporter: Reporter, mapping: MappingDraft): mapping is Fitting {
  const { at, proto, external, internal } = mapping;
  if (external === undefined || internal === undefined || external.prefix.family === 6 || internal.prefix.family === 6) return false;
  const [out, own] = [external.ports, internal.ports];
  if (external.prefix.bits !== internal.prefix.bits) {
    reporter.report(at, 'internal', `${2 ** (128 - internal.prefix.bits)} addresses for ${2 ** (128 - external.prefix.bits)}`, 'both ends have as many: write prefixes of one length');
  } else if ((out === null) !== (own === null)) {
    reporter.report(at, out === null ? 'external' : 'internal', 'an address without a port, where the other end has one',
      'write ports at both ends, or at none to map the whole address');
  } else if (out !== null && own !== null && out.to - out.from !== own.to - own.from) {
    reporter.report(at, 'internal', `${own.to - own.from + 1} ports for ${out.to - out.from + 1}`, 'both ends have as many');
  } else if (out !== null && proto === null) {
    reporter.report(at, 'proto', 'ports of no protocol', 'write "proto": "tcp" or "proto": "udp"; for both, two mappings');
  } else if (!isOne(external) && proto !== null) {
    reporter.report(at, 'proto', 'a prefix of one protocol', 'leave it out: a prefix maps TCP, UDP and ICMP queries');
  } else {
    return true;
  }
  return false;
}

/** External ends that meet; and whole addresses inside that are mapped twice, for then it is not told which one they leave by. */
function checkTaken(reporter: Reporter, mappings: readonly Fitting[]): void {
  const whole = mappings.filter(({ external }) => external.ports === null);
  const outside = makeIndex(whole.map(owner => ({ prefix: owner.external.prefix, owner })));
  const blamed = new Set<MappingDraft>();
  const blame = (a: Fitting, b: Fitting, key: 'external' | 'internal', message: (first: Fitting) => string, advice: string): void => {
    const [first, later] = a.at.start < b.at.start ? [a, b] : [b, a];
    if (!conflict(a, b) || blamed.has(later)) return;
    blamed.add(later);
    reporter.report(later.at, key, message(first), advice);
  };
  const overlaps = ({ line }: Fitting): string => `overlaps the mapping of line ${line}`;
  for (const entry of outside) {
    for (let outer = entry.around; outer !== undefined; outer = outer.around) blame(entry.owner, outer.owner, 'external', overlaps, ONE_PLACE);
  }
  const inside = makeIndex(whole.map(owner => ({ prefix: owner.internal.prefix, owner })));
  for (const entry of inside) {
    for (let outer = entry.around; outer !== undefined; outer = outer.around) {
      blame(entry.owner, outer.owner, 'internal', ({ line }) => `line ${line} maps ${isOne(entry.owner.internal) ? 'this address' : 'some of it'} as a whole already`, 'an address leaves by one address: keep one');
    }
  }

  // Ports: in order, and each compared with the one that reaches farthest so far.
  const ported = mappings.flatMap(owner => (owner.external.ports === null ? [] : [{ owner, prefix: owner.external.prefix, ...owner.external.ports }]))
    .sort((a, b) => a.prefix.words[3] - b.prefix.words[3] || (a.owner.proto === 'tcp' ? 0 : 1) - (b.owner.proto === 'tcp' ? 0 : 1) || a.from - b.from || a.owner.at.start - b.owner.at.start);
  let before: (typeof ported)[number] | undefined;
  for (const each of ported) {
    const { owner, prefix, from, to } = each;
    for (let around = findLongest(outside, { text: '', family: 4, words: prefix.words }); around !== undefined; around = around.around) blame(owner, around.owner, 'external', overlaps, ONE_PLACE);
    const isBeside = before === undefined || before.prefix.words[3] !== prefix.words[3] || before.owner.proto !== owner.proto;
    if (before !== undefined && !isBeside && from <= before.to) {
      const isSame = from === to && before.from === before.to;
      blame(owner, before.owner, 'external', first => (isSame ? `line ${first.line} maps this ${owner.proto} port already` : overlaps(first)), ONE_PLACE);
    }
    if (isBeside || before === undefined || to > before.to) before = each;
  }
}

const ONE_PLACE = 'one external port leads to one place: keep one';

/** Whether the two are about one protocol. */
function conflict(a: Fitting, b: Fitting): boolean {
  if (a.proto === undefined || b.proto === undefined) return false;
  return a.proto === null || b.proto === null || a.proto === b.proto;
}
