/**
 * From a valid config to the pipeline's rows. Config and pipeline do not know each other; this is where they meet.
 */
import type { Acl, Address, Config, Endpoint, Prefix, Tenant } from '../config/types.js';
import { compilePolicy } from '../pipeline/compile.js';
import { slotBytesFor, type StateSizes } from '../pipeline/gateway.js';
import type { PolicyData } from '../pipeline/policy.js';
import type { PolicyRows, PrefixRow, RuleRow, TenantRow } from '../pipeline/policy-rows.js';

const PROTOCOLS = { tcp: 6, udp: 17 } as const;

/**
 * Numbers that stay a tenant's across reloads, by its routing domain: sessions and ledger rows are filed under them.
 * A tenant that went keeps its number for as long as numbers last, so that its rows cannot become another's unseen.
 */
export class TenantIds {
  readonly #ids = new Map<string, number>();
  readonly #names = new Map<number, string>();
  readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
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
  const mtu = Math.max(config.gateway.mtu, ...config.hosts.map(host => host.mtu), ...config.uplinks.map(uplink => uplink.mtu));
  return {
    tenants: limits.tenants,
    nat: { bindings: limits.bindings, sessions: limits.sessions, plain: limits.flows, tenants: limits.tenants },
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
      line: nat.line, uplink: nat.uplink, key: nat.key, pool: nat.pool.map(prefixRow),
      mappings: nat.mappings.map(mapping => ({
        line: mapping.line, protocol: PROTOCOLS[mapping.proto],
        external: ipv4(mapping.external.address), externalPort: mapping.external.port,
        internal: ipv4(mapping.internal.address), internalPort: mapping.internal.port,
      })),
    },
    forward: tenant.forward,
    sites: tenant.sites.map(site => ({ ...underlay(site), key: site.key, prefixes: site.prefixes.map(prefixRow) })),
    rules: tenant.acls.flatMap(ruleRows),
  };
}

/** A rule about several prefixes is as many entries. */
function ruleRows(acl: Acl): RuleRow[] {
  const { line, name, weight, action, direction, protocol, localMac, remoteMac, localPort, remotePort } = acl;
  const locals = acl.local === null ? [null] : acl.local.map(prefixRow);
  return locals.map(local => ({
    line, name, weight, action, direction, protocol, local, localMac, remoteMac, localPort, remotePort,
    remote: acl.remote === null ? null : prefixRow(acl.remote), idle: acl.stateful ? acl.idleTimeout : null,
  }));
}

function underlay(peer: { name: string; line: number; pa: Endpoint; mtu: number }) {
  const { name, line, mtu, pa } = peer;
  return { name, line, mtu, family: pa.address.family, pa: pa.address.words, port: pa.port };
}

function prefixRow(prefix: Prefix): PrefixRow {
  return { words: prefix.words, bits: prefix.bits };
}

function ipv4(address: Address): number {
  return address.words[3];
}
