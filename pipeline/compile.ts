/** From rows to a policy: number everything, lay out the columns, fill the tables. Runs on the control thread. */
import { tunnelOverhead } from '../codecs/gre-udp.js';
import { buildAcl } from './acl/build.js';
import { makeTallies } from './acl/tallies.js';
import { V4_BITS, isMapped } from './address.js';
import { makePortColumns, makeQuotaColumns, type QuotaColumns } from './nat/port-policy.js';
import { ColumnsBuilder } from './tables/columns.js';
import { LANE_MASK } from './tables/flows.js';
import { LpmBuilder, maskWord } from './tables/lpm.js';
import { MappingsBuilder } from './tables/mappings.js';
import { NetmapBuilder } from './tables/netmaps.js';
import { shared32 } from './tables/memory.js';
import { WordMapBuilder } from './tables/word-map.js';
import {
  ANY_PROTOCOL, Action, Encap, Filtering, LANE_FLOW_ID, LANE_LIMITED, LANE_VXLAN, LANE_WORDS, Lane, NONE, PeerKind, RecordKind, SIEVE_WORDS, Via, type PeerColumns, type PolicyData, type RecordColumns, type RuleColumns,
  type SubnetColumns, type TenantColumns,
} from './policy.js';
import type { GreKey, HostRow, NatRow, PolicyRows, PrefixRow, RecordRow, RouteRow, RuleRow, SiteRow, SubnetRow, TenantRow, UplinkRow, Words } from './policy-rows.js';

const ANY_PREFIX: PrefixRow = { words: [0, 0, 0, 0], bits: 0 };
const ANY_PORT = { from: 0, to: 0xffff };
const NO_CA: Words = [0, 0, 0, 0];
const FILTERING = {
  'endpoint-independent': Filtering.endpointIndependent, 'address-dependent': Filtering.addressDependent, 'address-and-port-dependent': Filtering.addressAndPortDependent,
} as const;

/**
 * Compile `rows`, which config validation has found consistent; a dangling name throws.
 * `seed` keeps hash positions from being guessed; the same rows and seed give the same tables.
 */
export function compilePolicy(rows: PolicyRows, generation: number, seed: number): PolicyData {
  const draft = new Draft(rows, seed);
  for (const host of rows.hosts) draft.addHost(host);
  for (const uplink of rows.uplinks) draft.addUplink(uplink);
  for (const tenant of rows.tenants) draft.addTenant(tenant);
  return draft.build(rows, generation);
}

/** A policy in the making. Rows get their numbers in the order in which they are added. */
class Draft {
  readonly #gateway: PolicyRows['gateway'];
  readonly #peers = new ColumnsBuilder(['kind', 'family', 'port', 'encap', 'innerMtu', 'flowHash', 'tenant', 'keyed', 'key', 'line'], ['pa']);
  readonly #subnets = new ColumnsBuilder(['vsid', 'tenant', 'gateway4', 'gateway6', 'wildcard', 'line'], []);
  readonly #records = new ColumnsBuilder(['kind', 'subnet', 'macHigh', 'macLow', 'peer', 'line'], ['ca']);
  readonly #routes = new ColumnsBuilder(['via', 'target', 'bits', 'line'], []);
  readonly #rules = new ColumnsBuilder(
    [
      'outbound', 'action', 'idle', 'order', 'tally', 'weight', 'family', 'protocol', 'localSubnet', 'localMacHigh', 'localMacLow', 'remoteMacHigh', 'remoteMacLow',
      'ports', 'localFrom', 'localTo', 'remoteFrom', 'remoteTo', 'line',
    ], ['local', 'localMask', 'remote', 'remoteMask'],
  );
  #tallies = 0;
  readonly #mappings = new ColumnsBuilder(['tenant', 'protocol', 'external', 'internal', 'addresses', 'externalPort', 'internalPort', 'ports', 'line'], []);
  readonly #tenants: TenantColumns & { names: string[] };

  readonly #names = { peers: [] as string[], subnets: [] as string[], rules: [] as string[] };
  readonly #hostIds = new Map<string, number>();
  readonly #uplinkIds = new Map<string, number>();
  /** The first site at each endpoint, which all sites there are found by. */
  readonly #siteAt = new Map<string, number>();

  readonly #senders: WordMapBuilder;
  readonly #greKeys: WordMapBuilder;
  readonly #vsids: WordMapBuilder;
  readonly #speakers: WordMapBuilder;
  readonly #byCa: WordMapBuilder;
  readonly #byMac: WordMapBuilder;
  readonly #mapped: MappingsBuilder;
  readonly #netmaps: NetmapBuilder;
  readonly #routing: LpmBuilder;
  readonly #connected: LpmBuilder;
  readonly #sitePrefixes: LpmBuilder;
  readonly #pools: LpmBuilder;

  constructor(rows: PolicyRows, seed: number) {
    const ids = rows.maxTenants + 1;
    const sites = rows.tenants.reduce((sum, tenant) => sum + tenant.sites.length, 0);
    const records = rows.tenants.reduce((sum, tenant) => sum + tenant.records.length + 2 * tenant.subnets.length, 0);
    this.#gateway = rows.gateway;
    this.#senders = new WordMapBuilder(seed);
    this.#greKeys = new WordMapBuilder(seed);
    this.#vsids = new WordMapBuilder(seed);
    this.#speakers = new WordMapBuilder(seed);
    this.#byCa = new WordMapBuilder(seed, records);
    this.#byMac = new WordMapBuilder(seed, records);
    this.#mapped = new MappingsBuilder(seed, ids);
    this.#netmaps = new NetmapBuilder(seed, rows.hosts.length + rows.uplinks.length + sites);
    this.#routing = new LpmBuilder(seed, ids);
    this.#connected = new LpmBuilder(seed, ids);
    this.#sitePrefixes = new LpmBuilder(seed, rows.hosts.length + rows.uplinks.length + sites);
    this.#pools = new LpmBuilder(seed, 1);
    this.#tenants = {
      names: Array.from({ length: ids }, () => ''), line: shared32(ids),
      natUplink: shared32(ids, NONE), natKeyed: shared32(ids), natKey: shared32(ids), natLine: shared32(ids), filtering: shared32(ids), poolLow: shared32(ids, NONE), poolSpan: shared32(ids),
      forwardUplink: shared32(ids, NONE), forwardKeyed: shared32(ids), forwardKey: shared32(ids), forwardLine: shared32(ids),
      ruleFirst: shared32(ids), ruleInbound: shared32(ids), ruleEnd: shared32(ids), stateful: shared32(ids), meterInbound: shared32(ids), meterEnd: shared32(ids),
      gateway4: shared32(ids, NONE), gateway6: shared32(ids, NONE),
    };
  }

  addHost(host: HostRow): void {
    const id = this.#addPeer(host, PeerKind.host, Encap[host.encap], 0, null, host.flowId === 'hash');
    this.#hostIds.set(host.name, id);
    this.#addSender(host, id);
  }

  addUplink(uplink: UplinkRow): void {
    const id = this.#addPeer(uplink, PeerKind.uplink, Encap.gre, 0, null, false);
    this.#uplinkIds.set(uplink.name, id);
    this.#addSender(uplink, id);
  }

  addTenant(tenant: TenantRow): void {
    const { id } = tenant;
    this.#tenants.names[id] = tenant.name;
    this.#tenants.line[id] = tenant.line;
    const subnetOf = new Map<number, number>();
    for (const subnet of tenant.subnets) subnetOf.set(subnet.vsid, this.#addSubnet(tenant, subnet));

    const recordOf = new Map<string, number>();
    for (const row of tenant.records) {
      const subnet = subnetOf.get(row.vsid);
      if (subnet === undefined) throw new Error(`record on line ${row.line}: tenant ${tenant.name} has no VSID ${row.vsid}`);
      const record = this.#addRecord(id, RecordKind[row.kind], subnet, row.ca, row.macHigh, row.macLow, idOf(this.#hostIds, row.host), row.line);
      if (row.kind === 'wildcard') this.#subnets.set('wildcard', subnet, record);
      if (row.ca !== null) recordOf.set(row.ca.join(), record);
    }

    const siteOf = new Map<string, number>();
    for (const site of tenant.sites) siteOf.set(site.name, this.#addSite(id, site));
    for (const route of [...tenant.routes].sort((a, b) => a.metric - b.metric)) this.#addCustomerRoute(id, route, siteOf, recordOf);
    if (tenant.nat !== null) this.#addNat(id, tenant.nat);
    if (tenant.forward !== null) {
      const { key, line } = tenant.forward;
      const uplink = idOf(this.#uplinkIds, tenant.forward.uplink);
      this.#tenants.forwardUplink[id] = uplink;
      this.#tenants.forwardKeyed[id] = keyed(key);
      this.#tenants.forwardKey[id] = key ?? 0;
      this.#tenants.forwardLine[id] = line;
      this.#greKeys.add(uplink, keyed(key), key ?? 0, 0, 0, id);
    }
    this.#addRules(id, inOrder(tenant.rules), subnetOf);
  }

  build(rows: PolicyRows, generation: number): PolicyData {
    const peers = { names: this.#names.peers, ...this.#peers.build() };
    const subnets = { names: this.#names.subnets, ...this.#subnets.build() };
    const records = this.#records.build();
    const rules: RuleColumns = withSieve({ names: this.#names.rules, ...this.#rules.build() });
    const quotas = makeQuotaColumns(rows.tenants, rows.maxTenants + 1, Math.max(0, ...rows.hosts.map(host => host.mtu), ...rows.uplinks.map(uplink => uplink.mtu)));
    return {
      file: rows.file, generation, gateway: rows.gateway,
      peers, subnets, records, lanes: makeLanes(peers, subnets, records, quotas),
      routes: this.#routes.build(),
      rules, acl: buildAcl(rules, this.#tenants), tallies: makeTallies(this.#tallies),
      mappings: this.#mappings.build(),
      tenants: this.#tenants,
      ports: makePortColumns(rows.tenants, rows.maxTenants + 1), quotas,
      senders: this.#senders.build(), greKeys: this.#greKeys.build(), vsids: this.#vsids.build(), speakers: this.#speakers.build(),
      byCa: this.#byCa.build(), byMac: this.#byMac.build(), mapped: this.#mapped.build(), netmaps: this.#netmaps.build(),
      routing: this.#routing.build(), connected: this.#connected.build(), sitePrefixes: this.#sitePrefixes.build(), pools: this.#pools.build(),
    };
  }

  #addPeer(row: UplinkRow, kind: number, encap: number, tenant: number, key: GreKey, flowHash: boolean): number {
    this.#names.peers.push(row.name);
    const header = encap === Encap.gre ? 'gre' : encap === Encap.vxlan ? 'vxlan' : 'nvgre';
    return this.#peers.add({
      kind, family: row.family, port: row.port, encap, innerMtu: row.mtu - tunnelOverhead(row.family, header),
      flowHash: flowHash ? 1 : 0, tenant, keyed: keyed(key), key: key ?? 0, line: row.line,
    }, { pa: row.pa });
  }

  #addSender({ pa, port }: UplinkRow, sender: number): void {
    this.#senders.add(pa[0], pa[1], pa[2], pa[3], port, sender);
  }

  /** Sites that share a PA answer to the first one's number, and are told apart by key. */
  #addSite(tenant: number, site: SiteRow): number {
    const id = this.#addPeer(site, PeerKind.site, Encap.gre, tenant, site.key, false);
    for (const prefix of site.prefixes) this.#sitePrefixes.add(id, prefix.words, prefix.bits, 1);
    for (const map of site.maps) this.#netmaps.add(id, map);
    const endpoint = `${site.pa.join()}:${site.port}`;
    const sender = this.#siteAt.get(endpoint) ?? id;
    this.#siteAt.set(endpoint, sender);
    if (sender === id) this.#addSender(site, id);
    this.#greKeys.add(sender, keyed(site.key), site.key ?? 0, 0, 0, id);
    return id;
  }

  #addSubnet(tenant: TenantRow, row: SubnetRow): number {
    const subnet = this.#subnets.add({ vsid: row.vsid, tenant: tenant.id, gateway4: NONE, gateway6: NONE, wildcard: NONE, line: row.line }, {});
    this.#names.subnets.push(row.name);
    this.#vsids.add(row.vsid, 0, 0, 0, 0, subnet);
    for (const { prefix, gateway } of row.prefixes) {
      const { macHigh, macLow } = this.#gateway;
      const own = this.#addRecord(tenant.id, RecordKind.gateway, subnet, gateway, macHigh, macLow, NONE, row.line);
      const family = isMapped(gateway[0], gateway[1], gateway[2]) ? 'gateway4' : 'gateway6';
      this.#subnets.set(family, subnet, own);
      if (this.#tenants[family][tenant.id] === NONE) this.#tenants[family][tenant.id] = own;
      this.#addRoute(tenant.id, prefix, Via.subnet, subnet, row.line);
      this.#connected.add(tenant.id, prefix.words, prefix.bits, subnet);
    }
    for (const name of row.hosts ?? hostsOf(tenant.records)) this.#speakers.add(subnet, idOf(this.#hostIds, name), 0, 0, 0, 1);
    return subnet;
  }

  #addRecord(tenant: number, kind: number, subnet: number, ca: Words | null, macHigh: number, macLow: number, peer: number, line: number): number {
    const record = this.#records.add({ kind, subnet, macHigh, macLow, peer, line }, { ca: ca ?? NO_CA });
    if (ca !== null) this.#byCa.add(tenant, ca[0], ca[1], ca[2], ca[3], record);
    this.#byMac.add(subnet, macHigh, macLow, 0, 0, record);
    return record;
  }

  #addCustomerRoute(tenant: number, { prefix, via, line }: RouteRow, siteOf: ReadonlyMap<string, number>, recordOf: ReadonlyMap<string, number>): void {
    if (via.kind === 'site') this.#addRoute(tenant, prefix, Via.site, idOf(siteOf, via.site), line);
    else if (via.kind === 'ca') this.#addRoute(tenant, prefix, Via.record, idOf(recordOf, via.ca.join()), line);
    else this.#addRoute(tenant, prefix, Via[via.kind], NONE, line);
  }

  #addRoute(tenant: number, prefix: PrefixRow, via: number, target: number, line: number): void {
    this.#routing.add(tenant, prefix.words, prefix.bits, this.#routes.add({ via, target, bits: prefix.bits, line }, {}));
  }

  #addNat(tenant: number, nat: NatRow): void {
    const columns = this.#tenants;
    columns.natUplink[tenant] = idOf(this.#uplinkIds, nat.uplink);
    columns.natKeyed[tenant] = keyed(nat.key);
    columns.natKey[tenant] = nat.key ?? 0;
    columns.natLine[tenant] = nat.line;
    columns.filtering[tenant] = FILTERING[nat.filtering];
    for (const prefix of nat.pool) this.#pools.add(0, prefix.words, prefix.bits, tenant);
    const low = Math.min(...nat.pool.map(({ words }) => words[3]));
    columns.poolLow[tenant] = low;
    columns.poolSpan[tenant] = Math.max(...nat.pool.map(({ words, bits }) => words[3] + 2 ** (128 - bits) - 1)) - low;
    for (const row of nat.mappings) {
      const { protocol, external, internal, bits, externalPort, internalPort, ports, line } = row;
      const mapping = this.#mappings.add({ tenant, protocol: protocol ?? 0, external, internal, addresses: 2 ** (32 - bits), externalPort, internalPort, ports, line }, {});
      this.#mapped.add(tenant, row, mapping);
    }
  }

  #addRules(tenant: number, rules: readonly RuleRow[], subnetOf: ReadonlyMap<number, number>): void {
    const tallies = new Map<string, number>();
    const tallyOf = ({ name }: RuleRow): number => {
      let tally = tallies.get(name);
      if (tally === undefined) tallies.set(name, tally = this.#tallies++);
      return tally;
    };
    const add = (direction: RuleRow['direction'], measures: boolean): number => {
      let order = 0;
      for (const rule of rules) {
        if (rule.direction !== direction) continue;
        if ((rule.action === 'measure') === measures) this.#addRule(rule, order, tallyOf(rule), rule.localVsid === null ? NONE : indexOf(subnetOf, rule.localVsid));
        order++;
      }
      return this.#rules.count;
    };
    const columns = this.#tenants;
    columns.ruleFirst[tenant] = this.#rules.count;
    columns.ruleInbound[tenant] = add('outbound', false);
    columns.ruleEnd[tenant] = add('inbound', false);
    columns.meterInbound[tenant] = add('outbound', true);
    columns.meterEnd[tenant] = add('inbound', true);
    columns.stateful[tenant] = Number(rules.some(rule => rule.idle !== null));
  }

  #addRule(rule: RuleRow, order: number, tally: number, localSubnet: number): void {
    const { from: localFrom, to: localTo } = rule.localPort ?? ANY_PORT;
    const { from: remoteFrom, to: remoteTo } = rule.remotePort ?? ANY_PORT;
    const local = rule.local ?? ANY_PREFIX;
    const remote = rule.remote ?? ANY_PREFIX;
    const onlyIpv6 = (rule.local !== null && local.bits < V4_BITS) || (rule.remote !== null && remote.bits < V4_BITS);
    this.#names.rules.push(rule.name);
    this.#rules.add({
      outbound: rule.direction === 'outbound' ? 1 : 0, action: Action[rule.action], idle: rule.idle ?? 0, order, tally, weight: rule.weight >>> 0,
      localSubnet, localMacHigh: rule.localMac?.high ?? NONE, localMacLow: rule.localMac?.low ?? 0, remoteMacHigh: rule.remoteMac?.high ?? NONE, remoteMacLow: rule.remoteMac?.low ?? 0,
      family: onlyIpv6 ? 6 : 0, protocol: rule.protocol ?? ANY_PROTOCOL,
      ports: rule.localPort !== null || rule.remotePort !== null ? 1 : 0, localFrom, localTo, remoteFrom, remoteTo, line: rule.line,
    }, { local: masked(local), localMask: maskOf(local.bits), remote: masked(remote), remoteMask: maskOf(remote.bits) });
  }
}

/** The same rules with their sieve. */
export function withSieve(rules: Omit<RuleColumns, 'sieve'>): RuleColumns {
  const { local, localMask, remote, remoteMask } = rules;
  const sieve = new Int32Array(new SharedArrayBuffer(local.length * 4));
  for (let at = 0; at < local.length; at += SIEVE_WORDS) {
    sieve[at] = localMask[at + 3];
    sieve[at + 1] = local[at + 3];
    sieve[at + 2] = remoteMask[at + 3];
    sieve[at + 3] = remote[at + 3];
  }
  return { ...rules, sieve };
}

function makeLanes(peers: PeerColumns, subnets: SubnetColumns, records: RecordColumns, { hasRates }: QuotaColumns): Int32Array {
  const count = records.kind.length;
  if (count >= LANE_MASK) throw new RangeError(`${count} records, the gateway's own addresses among them, and there are numbers for ${LANE_MASK - 1}`);
  const lanes = new Int32Array(new SharedArrayBuffer((count + 1) * LANE_WORDS * 4));
  for (let record = 0; record < count; record++) {
    const lane = (record + 1) * LANE_WORDS;
    const peer = records.peer[record], subnet = records.subnet[record];
    lanes[lane + Lane.peer] = peer; // the gateway's own have NONE, which is -1 here and nobody's number
    lanes[lane + Lane.vsid] = subnets.vsid[subnet];
    lanes[lane + Lane.macHigh] = records.macHigh[record];
    lanes[lane + Lane.macLow] = records.macLow[record];
    lanes[lane + Lane.tenant] = subnets.tenant[subnet];
    if (peer === NONE) continue;
    lanes[lane + Lane.how] = (peers.encap[peer] === Encap.vxlan ? LANE_VXLAN : 0) | (peers.flowHash[peer] === 1 ? LANE_FLOW_ID : 0) | (hasRates[subnets.tenant[subnet]] === 1 ? LANE_LIMITED : 0);
    lanes[lane + Lane.mtu] = peers.innerMtu[peer];
  }
  return lanes;
}

function keyed(key: GreKey): number {
  return key === null ? 0 : 1;
}

function indexOf(subnets: ReadonlyMap<number, number>, vsid: number): number {
  const subnet = subnets.get(vsid);
  if (subnet === undefined) throw new Error(`no subnet has the VSID ${vsid}`);
  return subnet;
}

function hostsOf(records: readonly RecordRow[]): Set<string> {
  return new Set(records.map(record => record.host));
}

function idOf(ids: ReadonlyMap<string, number>, name: string): number {
  const id = ids.get(name);
  if (id === undefined) throw new Error(`nothing is named ${name}`);
  return id;
}

function maskOf(bits: number): Words {
  return [maskWord(bits, 0), maskWord(bits, 1), maskWord(bits, 2), maskWord(bits, 3)];
}

function masked({ words, bits }: PrefixRow): Words {
  const mask = maskOf(bits);
  return [words[0] & mask[0], words[1] & mask[1], words[2] & mask[2], words[3] & mask[3]];
}

const ACTION_ORDER = { measure: 0, deny: 1, allow: 2 } as const;

/** Highest weight first, at equal weight measure, deny, allow, then as written. */
function inOrder(rules: readonly RuleRow[]): RuleRow[] {
  return [...rules].sort((a, b) => b.weight - a.weight || ACTION_ORDER[a.action] - ACTION_ORDER[b.action]);
}
