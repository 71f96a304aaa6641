/**
 * From a valid config to the pipeline's rows. Config and pipeline do not know each other; this is where they meet.
 */
import type { Acl, Config, Endpoint, LookupRecord, Prefix, Tenant } from '../config/types.js';
import { V4_BITS } from '../pipeline/address.js';
import { compilePolicy } from '../pipeline/compile.js';
import { slotBytesFor, type StateSizes } from '../pipeline/gateway.js';
import type { PolicyData } from '../pipeline/policy.js';
import type { PolicyRows, PrefixRow, RuleRow, TenantRow } from '../pipeline/policy-rows.js';

const PROTOCOLS = { tcp: 6, udp: 17 } as const;

/** Tenants since the start, as columns: the one at index i has number i + 1. */
export interface KnownTenants {
  readonly rdids: readonly string[];
  /** Names last used. */
  readonly names: readonly string[];
}

/**
 * Numbers that stay a tenant's across reloads, by its routing domain: sessions and ledger rows are filed under them.
 * A tenant that went keeps its number for as long as numbers last, so that its rows cannot become another's unseen.
 */
export class TenantIds {
  readonly #ids = new Map<string, number>();
  readonly #names = new Map<number, string>();
  readonly limit: number;

  /** `known` have their numbers already. */
  constructor(limit: number, known: KnownTenants = { rdids: [], names: [] }) {
    this.limit = limit;
    known.rdids.forEach((rdid, i) => this.#ids.set(rdid, i + 1));
    known.names.forEach((name, i) => this.#names.set(i + 1, name));
  }

  /** Number every tenant, 1 and up; throws when there are more routing domains than numbers, and then numbers none. */
  assign(tenants: readonly Tenant[]): (tenant: Tenant) => number {
    const fresh = tenants.filter(tenant => !this.#ids.has(tenant.rdid));
    if (this.#ids.size + fresh.length > this.limit) {
      throw new RangeError(`${this.#ids.size + fresh.length} routing domains since the start, and gateway.limits.tenants is ${this.limit}: raise it and restart`);
    }
    for (const tenant of fresh) this.#ids.set(tenant.rdid, this.#ids.size + 1);
    for (const tenant of tenants) this.#names.set(this.#ids.get(tenant.rdid) ?? 0, tenant.name);
    return tenant => this.#ids.get(tenant.rdid) ?? 0;
  }

  /** Name last used for a number; `-` for 0. */
  nameOf(id: number): string {
    return this.#names.get(id) ?? '-';
  }

  /** For another like this one, in another thread. */
  known(): KnownTenants {
    return { rdids: [...this.#ids.keys()], names: [...this.#names.values()] };
  }

  /** Every number given out so far, with its name. */
  entries(): IterableIterator<[number, string]> {
    return this.#names.entries();
  }
}

/** Compile a config for the pipeline; `ids` remembers tenants between generations. */
export function compileConfig(config: Config, ids: TenantIds, generation: number, seed: number): PolicyData {
  return compilePolicy(toRows(config, ids), generation, seed);
}

/** What the state needs to be allocated with. */
export function stateSizes(config: Config): StateSizes {
  const { limits } = config.gateway;
  const filtersByAddress = config.tenants.some(({ nat }) => nat?.filtering === 'address-dependent'); // who begins to after the start has what is left over
  const mtu = Math.max(config.gateway.mtu, ...config.hosts.map(host => host.mtu), ...config.uplinks.map(uplink => uplink.mtu));
  return {
    tenants: limits.tenants,
    nat: { bindings: limits.bindings, sessions: limits.sessions, plain: limits.flows, permits: filtersByAddress ? limits.sessions : 0, tenants: limits.tenants, subscribers: limits.subscribers, portBlocks: limits.portBlocks },
    connections: { connections: limits.connections, tenants: limits.tenants },
    fragments: { datagrams: limits.fragments, slots: limits.heldFragments, slotBytes: slotBytesFor(mtu), holders: 2 * (limits.tenants + 1) },
  };
}

function toRows(config: Config, ids: TenantIds): PolicyRows {
  const { gateway } = config;
  const idOf = ids.assign(config.tenants);
  return {
    file: config.file,
    maxTenants: ids.limit,
    gateway: {
      macHigh: gateway.mac.high, macLow: gateway.mac.low,
      icmpPerSecond: gateway.icmpErrors.perSecond, icmpBurst: gateway.icmpErrors.burst,
      timers: gateway.timers,
    },
    hosts: config.hosts.map(host => ({ ...underlay(host), encap: host.encap, flowId: host.flowId })),
    uplinks: config.uplinks.map(underlay),
    tenants: config.tenants.map(tenant => tenantRow(tenant, idOf(tenant))),
  };
}

function tenantRow(tenant: Tenant, id: number): TenantRow {
  const { name, line, nat } = tenant;
  return {
    id, name, line,
    subnets: tenant.subnets.map(subnet => ({
      vsid: subnet.vsid, name: subnet.name, line: subnet.line, hosts: subnet.hosts,
      prefixes: subnet.prefixes.map(({ prefix, gateway }) => ({ prefix: prefixRow(prefix), gateway: gateway.words })),
    })),
    records: tenant.records.map(record => ({
      line: record.line, kind: record.type, ca: record.ca?.words ?? null, macHigh: record.mac.high, macLow: record.mac.low,
      host: record.host, vsid: record.vsid,
    })),
    routes: tenant.routes.map(({ line, prefix, metric, via }) => ({
      line, metric, prefix: prefixRow(prefix), via: via.kind === 'ca' ? { kind: 'ca', ca: via.address.words } : via,
    })),
    nat: nat === null ? null : {
      line: nat.line, uplink: nat.uplink, key: nat.key, pooling: nat.pooling, parity: nat.parity, blocks: nat.blocks, pool: nat.pool.map(prefixRow),
      filtering: nat.filtering,
      mappings: nat.mappings.map(({ line, proto, external, internal }) => ({
        line, protocol: proto === null ? null : PROTOCOLS[proto], ports: external.ports === null ? 0 : external.ports.to - external.ports.from + 1,
        external: ipv4(external.prefix), externalPort: external.ports?.from ?? 0,
        internal: ipv4(internal.prefix), internalPort: internal.ports?.from ?? 0, bits: ipv4Bits(external.prefix),
      })),
    },
    limits: tenant.limits,
    forward: tenant.forward,
    sites: tenant.sites.map(site => ({
      ...underlay(site), key: site.key, prefixes: site.prefixes.map(prefixRow),
      maps: site.maps.map(({ line, side, real, shown }) => ({ line, side, real: ipv4(real), shown: ipv4(shown), bits: ipv4Bits(real) })),
    })),
    rules: ruleRowsOf(tenant),
  };
}

/** fe80::/10. */
const LINK_LOCAL: PrefixRow = { words: [0xfe800000, 0, 0, 0], bits: 10 };

function ruleRowsOf({ acls, records }: Tenant): RuleRow[] {
  const recordOf = new Map(records.map(record => [record.ca?.text, record]));
  return acls.flatMap(acl => ruleRows(acl, ca => recordOf.get(ca)));
}

/** A rule about several prefixes is as many entries; the link-local addresses of a scope are one more, told by its subnet or its VM. */
function ruleRows(acl: Acl, recordOf: (ca: string) => LookupRecord | undefined): RuleRow[] {
  const { line, name, weight, action, direction, protocol, localMac, remoteMac, localPort, remotePort, scope } = acl;
  const whole: Omit<RuleRow, 'local'> = {
    line, name, weight, action, direction, protocol, localVsid: null, localMac, remoteMac, localPort, remotePort,
    remote: acl.remote === null ? null : prefixRow(acl.remote), idle: acl.stateful ? acl.idleTimeout : null,
  };
  const rows = (acl.local === null ? [null] : acl.local.map(prefixRow)).map((local): RuleRow => ({ ...whole, local }));
  if (!acl.linkLocal || scope.kind === 'tenant') return rows;
  if (scope.kind === 'subnet') return [...rows, { ...whole, local: LINK_LOCAL, localVsid: scope.vsid }];
  const record = recordOf(scope.ca);
  const isIt = record !== undefined && (localMac === null || (localMac.high === record.mac.high && localMac.low === record.mac.low));
  return isIt ? [...rows, { ...whole, local: LINK_LOCAL, localVsid: record.vsid, localMac: record.mac }] : rows;
}

function underlay(peer: { name: string; line: number; pa: Endpoint; mtu: number }) {
  const { name, line, mtu, pa } = peer;
  return { name, line, mtu, family: pa.address.family, pa: pa.address.words, port: pa.port };
}

function prefixRow(prefix: Prefix): PrefixRow {
  return { words: prefix.words, bits: prefix.bits };
}

function ipv4({ words }: Prefix): number {
  return words[3];
}

/** Length of an IPv4 prefix, of 32. */
function ipv4Bits({ bits }: Prefix): number {
  return bits - V4_BITS;
}
