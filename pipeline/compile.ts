/** From rows to a policy: numbers everything, lays out the columns, fills the tables. Runs on the control thread. */
import { tunnelOverhead } from '../codecs/gre-udp.js';
import { Encap, NONE, PeerKind, RecordKind, Via, type PolicyData } from './policy.js';
import type { PolicyRows, PrefixRow, RecordRow, RuleRow, SiteRow, TenantRow, Words } from './policy-rows.js';
import { LpmBuilder, maskWord } from './tables/lpm.js';
import { shared32 } from './tables/memory.js';
import { WordMapBuilder } from './tables/word-map.js';

const ANY_PROTOCOL = 256;
const ANY_PREFIX: PrefixRow = { words: [0, 0, 0, 0], bits: 0 };

/**
 * Compile `rows`, which config validation has found consistent; a dangling name throws.
 * `seed` keeps hash positions from being guessed; the same rows and seed give the same tables.
 */
export function compilePolicy(rows: PolicyRows, generation: number, seed: number): PolicyData {
  const { tenants } = rows;
  const sites = tenants.flatMap(tenant => tenant.sites.map(site => ({ tenant, site })));
  const peerCount = rows.hosts.length + rows.uplinks.length + sites.length;
  const count = (of: (tenant: TenantRow) => number): number => tenants.reduce((sum, tenant) => sum + of(tenant), 0);
  const subnetCount = count(t => t.subnets.length);
  const gatewayCount = count(t => t.subnets.reduce((sum, s) => sum + s.prefixes.length, 0));
  const recordCount = gatewayCount + count(t => t.records.length);
  const routeCount = gatewayCount + count(t => t.routes.length);
  const mappingCount = count(t => t.nat?.mappings.length ?? 0);

  const senders = new WordMapBuilder(seed, peerCount);
  const greKeys = new WordMapBuilder(seed);
  const vsids = new WordMapBuilder(seed, subnetCount);
  const speakers = new WordMapBuilder(seed);
  const byCa = new WordMapBuilder(seed, recordCount);
  const byMac = new WordMapBuilder(seed, recordCount);
  const mappingsInside = new WordMapBuilder(seed, mappingCount);
  const mappingsOutside = new WordMapBuilder(seed, mappingCount);
  const routing = new LpmBuilder(seed, rows.maxTenants + 1);
  const connected = new LpmBuilder(seed, rows.maxTenants + 1);
  const sitePrefixes = new LpmBuilder(seed, peerCount);
  const pools = new LpmBuilder(seed, 1);

  const peers = makePeers(peerCount);
  const hostIds = new Map<string, number>();
  const uplinkIds = new Map<string, number>();
  let peer = 0;
  const addPeer = (row: SiteRow | PolicyRows['uplinks'][number], kind: number, encap: number, tenant: number): number => {
    peers.names.push(row.name);
    peers.kind[peer] = kind;
    peers.family[peer] = row.family;
    peers.pa.set(row.pa, peer * 4);
    peers.port[peer] = row.port;
    peers.encap[peer] = encap;
    const header = encap === Encap.gre ? 'gre' : encap === Encap.vxlan ? 'vxlan' : 'nvgre';
    peers.innerMtu[peer] = row.mtu - tunnelOverhead(row.family, header);
    peers.tenant[peer] = tenant;
    peers.line[peer] = row.line;
    senders.add(row.pa[0], row.pa[1], row.pa[2], row.pa[3], row.port, peer);
    return peer++;
  };
  for (const host of rows.hosts) {
    const id = addPeer(host, PeerKind.host, Encap[host.encap], 0);
    peers.flowHash[id] = host.flowId === 'hash' ? 1 : 0;
    hostIds.set(host.name, id);
  }
  for (const uplink of rows.uplinks) uplinkIds.set(uplink.name, addPeer(uplink, PeerKind.uplink, Encap.gre, 0));

  const subnets = {
    names: [] as string[], vsid: shared32(subnetCount), tenant: shared32(subnetCount), gateway4: shared32(subnetCount, NONE),
    gateway6: shared32(subnetCount, NONE), wildcard: shared32(subnetCount, NONE), line: shared32(subnetCount),
  };
  const records = {
    kind: shared32(recordCount), subnet: shared32(recordCount), ca: shared32(recordCount * 4), macHigh: shared32(recordCount),
    macLow: shared32(recordCount), peer: shared32(recordCount, NONE), line: shared32(recordCount),
  };
  const routes = { via: shared32(routeCount), target: shared32(routeCount), bits: shared32(routeCount), line: shared32(routeCount) };
  const mappings = {
    tenant: shared32(mappingCount), protocol: shared32(mappingCount), external: shared32(mappingCount), externalPort: shared32(mappingCount),
    internal: shared32(mappingCount), internalPort: shared32(mappingCount), line: shared32(mappingCount),
  };
  const ids = rows.maxTenants + 1;
  const tenantColumns = {
    names: Array.from({ length: ids }, () => ''), line: shared32(ids),
    natUplink: shared32(ids, NONE), natKeyed: shared32(ids), natKey: shared32(ids), natLine: shared32(ids),
    forwardUplink: shared32(ids, NONE), forwardKeyed: shared32(ids), forwardKey: shared32(ids), forwardLine: shared32(ids),
    poolFirst: shared32(ids), poolRanges: shared32(2 * count(t => t.nat?.pool.length ?? 0)), poolTotal: shared32(ids),
    ruleFirst: shared32(ids), ruleCount: shared32(ids), gateway4: shared32(ids, NONE), gateway6: shared32(ids, NONE),
  };
  const rules: RuleRow[] = [];

  let subnet = 0, record = 0, route = 0, mapping = 0, poolRange = 0;
  for (const tenant of tenants) {
    const { id } = tenant;
    tenantColumns.names[id] = tenant.name;
    tenantColumns.line[id] = tenant.line;
    const subnetOf = new Map<number, number>();
    const addRecord = (kind: number, of: number, ca: Words | null, macHigh: number, macLow: number, at: number, line: number): number => {
      records.kind[record] = kind;
      records.subnet[record] = of;
      if (ca !== null) records.ca.set(ca, record * 4);
      records.macHigh[record] = macHigh;
      records.macLow[record] = macLow;
      records.peer[record] = at;
      records.line[record] = line;
      if (ca !== null) byCa.add(id, ca[0], ca[1], ca[2], ca[3], record);
      byMac.add(of, macHigh, macLow, 0, 0, record);
      return record++;
    };
    const addRoute = (prefix: PrefixRow, via: number, target: number, line: number): void => {
      routes.via[route] = via;
      routes.target[route] = target;
      routes.bits[route] = prefix.bits;
      routes.line[route] = line;
      routing.add(id, prefix.words, prefix.bits, route++);
    };

    for (const row of tenant.subnets) {
      subnets.names.push(row.name);
      subnets.vsid[subnet] = row.vsid;
      subnets.tenant[subnet] = id;
      subnets.line[subnet] = row.line;
      vsids.add(row.vsid, 0, 0, 0, 0, subnet);
      subnetOf.set(row.vsid, subnet);
      for (const { prefix, gateway } of row.prefixes) {
        const own = addRecord(RecordKind.gateway, subnet, gateway, rows.gateway.macHigh, rows.gateway.macLow, NONE, row.line);
        const family = isMapped(gateway) ? 'gateway4' : 'gateway6';
        subnets[family][subnet] = own;
        if (tenantColumns[family][id] === NONE) tenantColumns[family][id] = own;
        addRoute(prefix, Via.subnet, subnet, row.line);
        connected.add(id, prefix.words, prefix.bits, subnet);
      }
      for (const name of row.hosts ?? hostsOf(tenant.records)) speakers.add(subnet, idOf(hostIds, name), 0, 0, 0, 1);
      subnet++;
    }
    for (const row of tenant.records) {
      const of = subnetOf.get(row.vsid);
      if (of === undefined) throw new Error(`record on line ${row.line}: tenant ${tenant.name} has no VSID ${row.vsid}`);
      const at = addRecord(RecordKind[row.kind], of, row.ca, row.macHigh, row.macLow, idOf(hostIds, row.host), row.line);
      if (row.kind === 'wildcard') subnets.wildcard[of] = at;
    }
    for (const row of tenant.sites) {
      const site = addPeer(row, PeerKind.site, Encap.gre, id);
      peers.keyed[site] = row.key === null ? 0 : 1;
      peers.key[site] = row.key ?? 0;
      for (const prefix of row.prefixes) sitePrefixes.add(site, prefix.words, prefix.bits, 1);
    }
    const firstSite = peer - tenant.sites.length;
    for (const row of [...tenant.routes].sort((a, b) => a.metric - b.metric)) {
      const { via } = row;
      const target = via.kind === 'site' ? firstSite + tenant.sites.findIndex(site => site.name === via.site)
        : via.kind === 'ca' ? recordOf(tenant, via.ca, record)
        : NONE;
      addRoute(row.prefix, via.kind === 'ca' ? Via.record : Via[via.kind], target, row.line);
    }
    if (tenant.nat !== null) {
      const uplink = idOf(uplinkIds, tenant.nat.uplink);
      tenantColumns.natUplink[id] = uplink;
      tenantColumns.natKeyed[id] = tenant.nat.key === null ? 0 : 1;
      tenantColumns.natKey[id] = tenant.nat.key ?? 0;
      tenantColumns.natLine[id] = tenant.nat.line;
      tenantColumns.poolFirst[id] = poolRange;
      for (const prefix of tenant.nat.pool) {
        const addresses = 2 ** (128 - prefix.bits);
        tenantColumns.poolRanges.set([prefix.words[3], addresses], poolRange);
        poolRange += 2;
        tenantColumns.poolTotal[id] += addresses;
        pools.add(0, prefix.words, prefix.bits, id);
      }
      for (const row of tenant.nat.mappings) {
        for (const name of ['protocol', 'external', 'externalPort', 'internal', 'internalPort', 'line'] as const) mappings[name][mapping] = row[name];
        mappings.tenant[mapping] = id;
        mappingsInside.add(id, row.protocol, row.internal, row.internalPort, 0, mapping);
        mappingsOutside.add(row.protocol, row.external, row.externalPort, 0, 0, mapping++);
      }
    }
    if (tenant.forward !== null) {
      const uplink = idOf(uplinkIds, tenant.forward.uplink);
      tenantColumns.forwardUplink[id] = uplink;
      tenantColumns.forwardKeyed[id] = tenant.forward.key === null ? 0 : 1;
      tenantColumns.forwardKey[id] = tenant.forward.key ?? 0;
      tenantColumns.forwardLine[id] = tenant.forward.line;
      greKeys.add(uplink, tenant.forward.key === null ? 0 : 1, tenant.forward.key ?? 0, 0, 0, id);
    }
    tenantColumns.ruleFirst[id] = rules.length;
    tenantColumns.ruleCount[id] = tenant.rules.length;
    rules.push(...inOrder(tenant.rules));
  }

  // Sites that share a PA answer to the first one's number, and are told apart by key.
  const sendersBuilt = senders.build();
  const firstAt = new Map<string, number>();
  for (let site = rows.hosts.length + rows.uplinks.length; site < peer; site++) {
    const endpoint = `${peers.pa.subarray(site * 4, site * 4 + 4).join()}:${peers.port[site]}`;
    const sender = firstAt.get(endpoint) ?? site;
    firstAt.set(endpoint, sender);
    greKeys.add(sender, peers.keyed[site], peers.key[site], 0, 0, site);
  }

  return {
    file: rows.file, generation, gateway: rows.gateway, peers, subnets, records, routes, mappings, rules: ruleColumns(rules), tenants: tenantColumns,
    senders: sendersBuilt, greKeys: greKeys.build(), vsids: vsids.build(), speakers: speakers.build(), byCa: byCa.build(), byMac: byMac.build(),
    routing: routing.build(), connected: connected.build(), sitePrefixes: sitePrefixes.build(), pools: pools.build(),
    mappingsInside: mappingsInside.build(), mappingsOutside: mappingsOutside.build(),
  };
}

function makePeers(n: number) {
  return {
    names: [] as string[], kind: shared32(n), family: shared32(n), pa: shared32(n * 4), port: shared32(n), encap: shared32(n),
    innerMtu: shared32(n), flowHash: shared32(n), tenant: shared32(n), keyed: shared32(n), key: shared32(n), line: shared32(n),
  };
}

/** IPv4 in its v4-mapped form (RFC 4291 §2.5.5.2). */
function isMapped(words: Words): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
}

function hostsOf(records: readonly RecordRow[]): Set<string> {
  return new Set(records.map(record => record.host));
}

function idOf(ids: ReadonlyMap<string, number>, name: string): number {
  const id = ids.get(name);
  if (id === undefined) throw new Error(`nothing is named ${name}`);
  return id;
}

/** The record of this tenant with the CA; the tenant's records are the last ones before `end`. */
function recordOf(tenant: TenantRow, ca: Words, end: number): number {
  const at = tenant.records.findIndex(row => row.ca !== null && row.ca.every((word, i) => word === ca[i]));
  if (at < 0) throw new Error(`tenant ${tenant.name}: next hop has no record`);
  return end - tenant.records.length + at;
}

/** Highest weight first, at equal weight deny before allow, then as written. */
function inOrder(rules: readonly RuleRow[]): RuleRow[] {
  return [...rules].sort((a, b) => b.weight - a.weight || Number(b.action === 'deny') - Number(a.action === 'deny'));
}

function ruleColumns(rules: readonly RuleRow[]) {
  const n = rules.length;
  const columns = {
    names: rules.map(rule => rule.name), outbound: shared32(n), deny: shared32(n), protocol: shared32(n), ports: shared32(n),
    local: shared32(n * 4), localMask: shared32(n * 4), remote: shared32(n * 4), remoteMask: shared32(n * 4),
    localFrom: shared32(n), localTo: shared32(n), remoteFrom: shared32(n), remoteTo: shared32(n), line: shared32(n),
  };
  rules.forEach((rule, i) => {
    columns.outbound[i] = rule.direction === 'outbound' ? 1 : 0;
    columns.deny[i] = rule.action === 'deny' ? 1 : 0;
    columns.protocol[i] = rule.protocol ?? ANY_PROTOCOL;
    columns.ports[i] = rule.localPort !== null || rule.remotePort !== null ? 1 : 0;
    columns.localFrom[i] = rule.localPort?.from ?? 0;
    columns.localTo[i] = rule.localPort?.to ?? 0xffff;
    columns.remoteFrom[i] = rule.remotePort?.from ?? 0;
    columns.remoteTo[i] = rule.remotePort?.to ?? 0xffff;
    columns.line[i] = rule.line;
    for (const [prefix, words, masks] of [[rule.local, columns.local, columns.localMask], [rule.remote, columns.remote, columns.remoteMask]] as const) {
      const { words: address, bits } = prefix ?? ANY_PREFIX;
      for (let w = 0; w < 4; w++) {
        masks[i * 4 + w] = maskWord(bits, w);
        words[i * 4 + w] = address[w] & maskWord(bits, w);
      }
    }
  });
  return columns;
}
