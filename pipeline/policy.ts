/**
 * A policy: one generation of the config, compiled to immutable tables in shared memory.
 *
 * `PolicyData` is plain data that crosses threads by structured clone, the columns shared and not copied; `Policy`
 * is the view a worker puts over it. Workers switch from one policy to the next between packets, whole.
 * Rows are numbered: peers (hosts, then uplinks, then sites), subnets, records, routes, rules, mappings.
 */
import { V4_MAPPED } from './address.js';
import { Classifier } from './acl/classifier.js';
import type { AclData } from './acl/layout.js';
import type { TallyData } from './acl/tallies.js';
import { Lpm, type LpmData } from './tables/lpm.js';
import { PortPolicy, type PortColumns, type QuotaColumns } from './nat/port-policy.js';
import { Mappings, type MappingColumns, type MappingsData } from './tables/mappings.js';
import { Netmaps, type NetmapData } from './tables/netmaps.js';
import { WordMap, type WordMapData } from './tables/word-map.js';
import type { GatewayRow, Timers } from './policy-rows.js';

export const PeerKind = { host: 1, uplink: 2, site: 3 } as const;
export const Encap = { nvgre: 0, vxlan: 1, gre: 2 } as const;
export const RecordKind = { static: 1, l2only: 2, wildcard: 3, gateway: 4 } as const;
export const Via = { subnet: 1, nat: 2, forward: 3, site: 4, record: 5, drop: 6 } as const;
/** What an entry does with what it matches; measure counts and goes on. */
export const Action = { allow: 0, deny: 1, measure: 2 } as const;
/** A rule's protocol column: every protocol. */
export const ANY_PROTOCOL = 256;
/** Who may send in by a binding (RFC 4787 §5): anybody, who was sent to, who was sent to at that port. */
export const Filtering = { endpointIndependent: 0, addressDependent: 1, addressAndPortDependent: 2 } as const;
/** Stands for "none" in an index column. */
export const NONE = 0xffffffff;
/** Bytes of a GRE key in the header. */
const KEY_LEN = 4;

/** Words a rule in `RuleColumns.sieve`. */
export const SIEVE_WORDS = 4;

export interface PeerColumns {
  readonly names: readonly string[];
  readonly kind: Uint32Array;
  readonly family: Uint32Array;
  /** Four words a peer. */
  readonly pa: Uint32Array;
  readonly port: Uint32Array;
  readonly encap: Uint32Array;
  /** Largest inner IP packet, a GRE header without key assumed. */
  readonly innerMtu: Uint32Array;
  /** 1: NVGRE FlowID carries a flow hash; 0: it is zero. */
  readonly flowHash: Uint32Array;
  /** A site's tenant; 0 for hosts and uplinks. */
  readonly tenant: Uint32Array;
  readonly keyed: Uint32Array;
  readonly key: Uint32Array;
  readonly line: Uint32Array;
}
export interface SubnetColumns {
  readonly names: readonly string[];
  readonly vsid: Uint32Array;
  readonly tenant: Uint32Array;
  /** Record of the gateway's CA of each family, NONE without; and the wildcard record. */
  readonly gateway4: Uint32Array;
  readonly gateway6: Uint32Array;
  readonly wildcard: Uint32Array;
  readonly line: Uint32Array;
}
export interface RecordColumns {
  readonly kind: Uint32Array;
  readonly subnet: Uint32Array;
  /** Four words a record; zero without a CA. */
  readonly ca: Uint32Array;
  readonly macHigh: Uint32Array;
  readonly macLow: Uint32Array;
  /** Host; NONE for the gateway's own CAs. */
  readonly peer: Uint32Array;
  readonly line: Uint32Array;
}
export interface RouteColumns {
  readonly via: Uint32Array;
  /** Subnet, site's peer or next hop's record, as `via` says. */
  readonly target: Uint32Array;
  readonly bits: Uint32Array;
  readonly line: Uint32Array;
}
export interface RuleColumns {
  readonly names: readonly string[];
  /** 1 outbound, 0 inbound. */
  readonly outbound: Uint32Array;
  /** Of `Action`. */
  readonly action: Uint32Array;
  /** Seconds without traffic until the state of a stateful entry ends; 0 keeps no state. */
  readonly idle: Uint32Array;
  /** Place in the evaluation of its tenant and direction, from 0, entries that measure among the others. */
  readonly order: Uint32Array;
  /** Number of its rule's tally: entries of one rule share it. */
  readonly tally: Uint32Array;
  /** Two's complement. */
  readonly weight: Uint32Array;
  /** Or `ANY_PROTOCOL`. */
  readonly protocol: Uint32Array;
  /** 6 where a prefix is so short that it would hold the mapped form of IPv4 too, as ::/0 does; else 0, and the prefixes tell. */
  readonly family: Uint32Array;
  /** Four words each: prefix and mask, already masked. */
  readonly local: Uint32Array;
  readonly localMask: Uint32Array;
  readonly remote: Uint32Array;
  readonly remoteMask: Uint32Array;
  /** The VM's subnet, NONE for any: for addresses that are of no subnet. */
  readonly localSubnet: Uint32Array;
  /** The VM's adapter, and the one it sees on the other side; NONE in the high half for any. */
  readonly localMacHigh: Uint32Array;
  readonly localMacLow: Uint32Array;
  readonly remoteMacHigh: Uint32Array;
  readonly remoteMacLow: Uint32Array;
  /** Bounds, inclusive. 0..65535 with `ports` 0: also packets without ports. */
  readonly ports: Uint32Array;
  readonly localFrom: Uint32Array;
  readonly localTo: Uint32Array;
  readonly remoteFrom: Uint32Array;
  readonly remoteTo: Uint32Array;
  readonly line: Uint32Array;
  /** Four words a rule that nearly all misses are seen from: last word of local mask and prefix, of remote mask and prefix. */
  readonly sieve: Int32Array;
}
/** Indexed by tenant id; cell 0 is nobody. */
export interface TenantColumns {
  /** Empty where no tenant has the id. */
  readonly names: readonly string[];
  readonly line: Uint32Array;
  readonly natUplink: Uint32Array;
  readonly natKeyed: Uint32Array;
  readonly natKey: Uint32Array;
  readonly natLine: Uint32Array;
  /** Of `Filtering`. */
  readonly filtering: Uint32Array;
  /** The lowest address of the pool, and how far from it the highest is: most addresses are seen from these to be in none. */
  readonly poolLow: Uint32Array;
  readonly poolSpan: Uint32Array;
  readonly forwardUplink: Uint32Array;
  readonly forwardKeyed: Uint32Array;
  readonly forwardKey: Uint32Array;
  readonly forwardLine: Uint32Array;
  /** Slices of the rules that allow or deny, in order of evaluation: outbound ones from `ruleFirst` up to `ruleInbound`, inbound ones from there up to `ruleEnd`. */
  readonly ruleFirst: Uint32Array;
  readonly ruleInbound: Uint32Array;
  readonly ruleEnd: Uint32Array;
  /** 1 where an entry keeps state. */
  readonly stateful: Uint32Array;
  /** The same of those that measure; they begin where the others end. */
  readonly meterInbound: Uint32Array;
  readonly meterEnd: Uint32Array;
  /** Any subnet's gateway record of each family, to speak from when no better is known; NONE without. */
  readonly gateway4: Uint32Array;
  readonly gateway6: Uint32Array;
}

/**
 * How packets are delivered to a record and who may speak as it: what the fast path needs in one cache line. Eight words
 * a record; those of record r begin at (r + 1) * 8, so that lane 0 is none.
 */
export const Lane = { peer: 0, vsid: 1, macHigh: 2, macLow: 3, tenant: 4, how: 5, mtu: 6 } as const;
export const LANE_WORDS = 8;
/** Bits of `Lane.how`. */
/** The last: of a tenant whose packets or bytes are limited. */
export const LANE_VXLAN = 1, LANE_FLOW_ID = 2, LANE_LIMITED = 4;

export interface PolicyData {
  readonly file: string;
  readonly generation: number;
  readonly gateway: GatewayRow;
  readonly peers: PeerColumns;
  readonly subnets: SubnetColumns;
  readonly records: RecordColumns;
  readonly lanes: Int32Array;
  readonly routes: RouteColumns;
  readonly rules: RuleColumns;
  readonly acl: AclData;
  readonly tallies: TallyData;
  readonly mappings: MappingColumns;
  readonly tenants: TenantColumns;
  /** Who may have which external ports, and how much of NAT. */
  readonly ports: PortColumns;
  readonly quotas: QuotaColumns;
  /** [pa, port] to host, uplink, or the first of the sites that share the PA. */
  readonly senders: WordMapData;
  /** [sender, keyed, key] of an uplink to tenant, of a site's PA to site. */
  readonly greKeys: WordMapData;
  /** [vsid] to subnet. */
  readonly vsids: WordMapData;
  /** [subnet, host] is there when the host may speak for the subnet. */
  readonly speakers: WordMapData;
  /** [tenant, ca] and [subnet, MAC] to record. */
  readonly byCa: WordMapData;
  readonly byMac: WordMapData;
  /** Scope tenant to route, scope tenant to subnet, scope site's peer to 1, scope 0 to the tenant of a pool. */
  readonly routing: LpmData;
  readonly connected: LpmData;
  readonly sitePrefixes: LpmData;
  readonly pools: LpmData;
  /** By either end of them to static mappings; a site's addresses to what they are shown as, and back. */
  readonly mapped: MappingsData;
  readonly netmaps: NetmapData;
}

export class Policy {
  readonly data: PolicyData;
  readonly generation: number;
  readonly timers: Timers;
  readonly macHigh: number;
  readonly macLow: number;
  readonly lanes: Int32Array;
  readonly peers: PeerColumns;
  readonly subnets: SubnetColumns;
  readonly records: RecordColumns;
  readonly routes: RouteColumns;
  readonly rules: RuleColumns;
  readonly acl: Classifier;
  readonly mappings: MappingColumns;
  readonly tenants: TenantColumns;
  readonly ports: PortPolicy;
  readonly quotas: QuotaColumns;
  readonly senders: WordMap;
  readonly greKeys: WordMap;
  readonly vsids: WordMap;
  readonly speakers: WordMap;
  readonly byCa: WordMap;
  readonly byMac: WordMap;
  readonly routing: Lpm;
  readonly connected: Lpm;
  readonly sitePrefixes: Lpm;
  readonly pools: Lpm;
  readonly mapped: Mappings;
  readonly netmaps: Netmaps;

  constructor(data: PolicyData) {
    this.data = data;
    this.generation = data.generation;
    this.timers = data.gateway.timers;
    this.macHigh = data.gateway.macHigh;
    this.macLow = data.gateway.macLow;
    this.lanes = data.lanes;
    this.peers = data.peers;
    this.subnets = data.subnets;
    this.records = data.records;
    this.routes = data.routes;
    this.rules = data.rules;
    this.acl = new Classifier(data.rules, data.acl);
    this.mappings = data.mappings;
    this.tenants = data.tenants;
    this.ports = new PortPolicy(data.ports);
    this.quotas = data.quotas;
    this.senders = new WordMap(data.senders);
    this.greKeys = new WordMap(data.greKeys);
    this.vsids = new WordMap(data.vsids);
    this.speakers = new WordMap(data.speakers);
    this.byCa = new WordMap(data.byCa);
    this.byMac = new WordMap(data.byMac);
    this.routing = new Lpm(data.routing);
    this.connected = new Lpm(data.connected);
    this.sitePrefixes = new Lpm(data.sitePrefixes);
    this.pools = new Lpm(data.pools);
    this.mapped = new Mappings(data.mapped, data.mappings);
    this.netmaps = new Netmaps(data.netmaps);
  }

  /** The sender at this PA, or -1. A PA that was given with a port counts only from that port. */
  findSender(a: number, b: number, c: number, d: number, port: number): number {
    const exact = this.senders.find(a, b, c, d, port);
    return exact >= 0 || port === 0 ? exact : this.senders.find(a, b, c, d, 0);
  }

  /** The record of a tenant's CA, or -1. */
  findRecord(tenant: number, a: number, b: number, c: number, d: number): number {
    return this.byCa.find(tenant, a, b, c, d);
  }

  /** The record of a MAC in a subnet, or -1. */
  findMac(subnet: number, high: number, low: number): number {
    return this.byMac.find(subnet, high, low, 0, 0);
  }

  /** The record that packets of the tenant to this address are delivered by, along `route`: its own, the subnet's wildcard or the next hop's; -1 for none. */
  deliverVia(route: number, tenant: number, a: number, b: number, c: number, d: number): number {
    const target = this.routes.target[route];
    if (this.routes.via[route] === Via.record) return target;
    if (this.routes.via[route] !== Via.subnet) return -1;
    const own = this.findRecord(tenant, a, b, c, d);
    const record = own >= 0 ? own : this.subnets.wildcard[target];
    return record === NONE || this.records.peer[record] === NONE ? -1 : record;
  }

  /** As `deliverVia`, along whatever route the tenant has. */
  deliverTo(tenant: number, a: number, b: number, c: number, d: number): number {
    const route = this.routing.find(tenant, a, b, c, d);
    return route < 0 ? -1 : this.deliverVia(route, tenant, a, b, c, d);
  }

  /** Whether the tenant reaches this IPv4 address by NAT. */
  isByNat(tenant: number, address: number): boolean {
    const route = this.routing.find(tenant, 0, 0, V4_MAPPED, address);
    return route >= 0 && this.routes.via[route] === Via.nat;
  }

  /** Largest inner IP packet that fits the tunnel to `peer`, in bytes. */
  innerMtu(peer: number, keyed: boolean): number {
    return this.peers.innerMtu[peer] - (keyed ? KEY_LEN : 0);
  }

  /** Whether the tenant's NAT pool holds this IPv4 address. */
  isOwnPool(tenant: number, address: number): boolean {
    const { poolLow, poolSpan } = this.tenants;
    return (address - poolLow[tenant] >>> 0) <= poolSpan[tenant] && this.findPoolOwner(address >>> 0) === tenant;
  }

  /** The tenant whose NAT pool holds this IPv4 address, or -1. */
  findPoolOwner(address: number): number {
    return this.pools.find(0, 0, 0, 0xffff, address);
  }
}
