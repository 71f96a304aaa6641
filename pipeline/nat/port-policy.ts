/** How a policy gives out external ports, and how much of NAT a tenant may use: from rows to columns, and the view over them. */
import { V4_BITS, isMapped } from '../address.js';
import type { AddressQuotaRow, NatRow, PrefixRow, QuotaRow, TenantRow } from '../policy-rows.js';
import { shared32, sharedFrom } from '../tables/memory.js';
import { PortPlan } from './blocks.js';
import { freeRanges } from './pool.js';

/** No limit, in a column. */
export const UNLIMITED = 0xffffffff;

/** Indexed by tenant number. */
export interface PortColumns {
  /** Pairs (first address, count): inside ones of a tenant from `insideFirst` on, outside ones from `outsideFirst` up to `end`. */
  readonly ranges: Uint32Array;
  readonly insideFirst: Uint32Array;
  readonly outsideFirst: Uint32Array;
  readonly end: Uint32Array;
  /** Ports of a block, 0 for tenants without NAT; and how many blocks an inside address may have. */
  readonly blockSize: Uint32Array;
  readonly mostBlocks: Uint32Array;
  /** 1: all ports go by blocks; ports keep their lowest bit; an inside address may get ports of any address of the pool. */
  readonly isDynamic: Uint32Array;
  readonly keepsParity: Uint32Array;
  readonly isUnpaired: Uint32Array;
}

/** Indexed by tenant number; `UNLIMITED` where there is no limit. */
export interface QuotaColumns {
  /** 1: some limit on sessions, bindings or new ones is set; 1: one on packets or bytes. */
  readonly hasLimits: Uint32Array;
  readonly hasRates: Uint32Array;
  readonly sessions: Uint32Array;
  readonly bindings: Uint32Array;
  readonly newFlows: Uint32Array;
  readonly addressSessions: Uint32Array;
  readonly addressBindings: Uint32Array;
  readonly addressNewFlows: Uint32Array;
  readonly packets: Uint32Array;
  readonly bytes: Uint32Array;
  /** Bytes at once: a second's worth, and one whole packet at least. */
  readonly byteBurst: Uint32Array;
}

/** The plan by which a tenant's NAT gives out ports, or null without NAT: what `PortPolicy` says, for whoever has a config and no policy. */
export function planOfTenant(tenant: TenantRow): PortPlan | null {
  const { nat } = tenant;
  return nat === null ? null : new PortPlan({ inside: insideRanges(tenant), outside: outsideRanges(nat), size: nat.blocks.size, assign: nat.blocks.assign });
}

/** All addresses of the tenant's IPv4 subnets, in the order of the config. */
function insideRanges({ subnets }: TenantRow): number[] {
  return subnets.flatMap(subnet => subnet.prefixes.flatMap(({ prefix }) => rangeOf(prefix)));
}

function rangeOf({ words, bits }: PrefixRow): number[] {
  return bits >= V4_BITS && isMapped(words[0], words[1], words[2]) ? [words[3], 2 ** (32 + V4_BITS - bits)] : [];
}

function outsideRanges({ pool, mappings }: NatRow): number[] {
  return freeRanges(pool, mappings).flat();
}

/** Columns for tenant numbers below `ids`. */
export function makePortColumns(tenants: readonly TenantRow[], ids: number): PortColumns {
  const ranges: number[] = [];
  const columns = {
    insideFirst: shared32(ids), outsideFirst: shared32(ids), end: shared32(ids), blockSize: shared32(ids), mostBlocks: shared32(ids),
    isDynamic: shared32(ids), keepsParity: shared32(ids), isUnpaired: shared32(ids),
  };
  for (const tenant of tenants) {
    const { id, nat } = tenant;
    if (nat === null) continue;
    columns.insideFirst[id] = ranges.length;
    ranges.push(...insideRanges(tenant));
    columns.outsideFirst[id] = ranges.length;
    ranges.push(...outsideRanges(nat));
    columns.end[id] = ranges.length;
    columns.blockSize[id] = nat.blocks.size;
    columns.mostBlocks[id] = nat.blocks.perAddress ?? UNLIMITED;
    columns.isDynamic[id] = nat.blocks.assign === 'dynamic' ? 1 : 0;
    columns.keepsParity[id] = nat.parity ? 1 : 0;
    columns.isUnpaired[id] = nat.pooling === 'any' ? 1 : 0;
  }
  return { ...columns, ranges: sharedFrom(ranges) };
}

/** `mtu` is the largest on the underlay. */
export function makeQuotaColumns(tenants: readonly TenantRow[], ids: number, mtu: number): QuotaColumns {
  const column = (limitOf: (limits: QuotaRow) => number | null): Uint32Array => {
    const cells = shared32(ids, UNLIMITED);
    for (const { id, limits } of tenants) cells[id] = limitOf(limits) ?? UNLIMITED;
    return cells;
  };
  const isSet = (limits: AddressQuotaRow): boolean => limits.sessions !== null || limits.bindings !== null || limits.newFlowsPerSecond !== null;
  const hasLimits = shared32(ids), hasRates = shared32(ids);
  for (const { id, limits } of tenants) {
    if (isSet(limits) || isSet(limits.perAddress)) hasLimits[id] = 1;
    if (limits.packetsPerSecond !== null || limits.bytesPerSecond !== null) hasRates[id] = 1;
  }
  return {
    hasLimits, hasRates,
    sessions: column(limits => limits.sessions), bindings: column(limits => limits.bindings), newFlows: column(limits => limits.newFlowsPerSecond),
    addressSessions: column(({ perAddress }) => perAddress.sessions), addressBindings: column(({ perAddress }) => perAddress.bindings),
    addressNewFlows: column(({ perAddress }) => perAddress.newFlowsPerSecond),
    packets: column(limits => limits.packetsPerSecond), bytes: column(limits => limits.bytesPerSecond),
    byteBurst: column(limits => limits.bytesPerSecond === null ? null : Math.max(mtu, limits.bytesPerSecond)),
  };
}

const NO_PLAN = new PortPlan({ inside: [], outside: [], size: 1, assign: 'dynamic' });

/** A policy's columns, with a plan for each tenant that was asked about. */
export class PortPolicy {
  readonly columns: PortColumns;
  readonly #plans: (PortPlan | null)[];

  constructor(columns: PortColumns) {
    this.columns = columns;
    this.#plans = Array.from(columns.blockSize, () => null);
  }

  /** One without addresses for tenants without NAT. */
  planOf(tenant: number): PortPlan {
    return this.#plans[tenant] ?? this.#makePlan(tenant);
  }

  #makePlan(tenant: number): PortPlan {
    const { ranges, insideFirst, outsideFirst, end, blockSize, isDynamic } = this.columns;
    const size = blockSize[tenant];
    if (size === 0) return NO_PLAN;
    const inside = ranges.subarray(insideFirst[tenant], outsideFirst[tenant]), outside = ranges.subarray(outsideFirst[tenant], end[tenant]);
    return this.#plans[tenant] = new PortPlan({ inside, outside, size, assign: isDynamic[tenant] === 1 ? 'dynamic' : 'auto' });
  }
}
