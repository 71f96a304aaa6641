/**
 * What the pipeline wants to be told: plain rows, from which `compilePolicy` builds its tables.
 *
 * Addresses are four unsigned words, IPv4 v4-mapped; prefix lengths count on that form (IPv4 /24 is 120). `line` is
 * the line of the config that says so, for traces. Tenants carry the number that stays theirs across generations:
 * sessions and ledger rows are filed under it; 0 is nobody.
 */
export type Words = readonly [number, number, number, number];
export interface PrefixRow { readonly words: Words; readonly bits: number }
export interface PortRow { readonly from: number; readonly to: number }

/** A GRE key; `null` is a header without one. */
export type GreKey = number | null;

export interface GatewayRow {
  readonly macHigh: number;
  readonly macLow: number;
  /** ICMP errors a tenant may cause, per second and at once. */
  readonly icmpPerSecond: number;
  readonly icmpBurst: number;
  /** Seconds. */
  readonly timers: Timers;
}
export interface Timers {
  readonly udp: number;
  readonly tcpEstablished: number;
  readonly tcpTransitory: number;
  readonly tcpClosing: number;
  readonly icmp: number;
  /** How long a datagram's first fragment is remembered. */
  readonly fragment: number;
  /** How long a fragment waits for its first. */
  readonly fragmentHold: number;
  /** How long a block of ports stays with its inside address after its last binding. */
  readonly portBlock: number;
}

/** `pa` + `port`: who it is on the underlay. Port 0: any source port, and the well-known destination port. */
interface UnderlayRow {
  readonly name: string;
  readonly line: number;
  readonly family: 4 | 6;
  readonly pa: Words;
  readonly port: number;
  /** Underlay MTU towards it, bytes of outer IP packet. */
  readonly mtu: number;
}
export interface HostRow extends UnderlayRow { readonly encap: 'nvgre' | 'vxlan'; readonly flowId: 'zero' | 'hash' }
export type UplinkRow = UnderlayRow;
export interface SiteRow extends UnderlayRow { readonly key: GreKey; readonly prefixes: readonly PrefixRow[]; readonly maps: readonly SiteMapRow[] }

export interface SubnetRow {
  readonly vsid: number;
  readonly name: string;
  readonly line: number;
  readonly prefixes: readonly { readonly prefix: PrefixRow; readonly gateway: Words }[];
  /** Names of hosts that may speak for it; null: every host with a record of the tenant. */
  readonly hosts: readonly string[] | null;
}
export interface RecordRow {
  readonly line: number;
  readonly kind: 'static' | 'l2only' | 'wildcard';
  readonly ca: Words | null;
  readonly macHigh: number;
  readonly macLow: number;
  readonly host: string;
  readonly vsid: number;
}
export interface RouteRow {
  readonly line: number;
  readonly prefix: PrefixRow;
  /** Of equal prefixes the lowest metric wins. */
  readonly metric: number;
  readonly via:
    | { readonly kind: 'nat' } | { readonly kind: 'forward' } | { readonly kind: 'drop' }
    | { readonly kind: 'site'; readonly site: string } | { readonly kind: 'ca'; readonly ca: Words };
}
export interface MappingRow {
  readonly line: number;
  /** Null: TCP, UDP and ICMP queries. */
  readonly protocol: number | null;
  /** First IPv4 addresses as unsigned numbers, and the length of both prefixes, 0 to 32. */
  readonly external: number;
  readonly internal: number;
  readonly bits: number;
  /** First ports, and how many; 0 is all of them, and then the first are 0. */
  readonly externalPort: number;
  readonly internalPort: number;
  readonly ports: number;
}
/** NETMAP at a site: addresses of one side, and what the other side sees. */
export interface SiteMapRow {
  readonly line: number;
  readonly side: 'tenant' | 'site';
  /** IPv4 prefixes of one length, 0 to 32. */
  readonly real: number;
  readonly shown: number;
  readonly bits: number;
}
/** What a tenant may use at most, and each of its inside addresses; null is no limit. */
export interface AddressQuotaRow { readonly sessions: number | null; readonly bindings: number | null; readonly newFlowsPerSecond: number | null }
export interface QuotaRow extends AddressQuotaRow {
  readonly packetsPerSecond: number | null;
  /** Of the inner packet, IP header and all. */
  readonly bytesPerSecond: number | null;
  readonly perAddress: AddressQuotaRow;
}
export interface NatRow {
  readonly line: number;
  readonly uplink: string;
  readonly key: GreKey;
  readonly pooling: 'paired' | 'any';
  readonly parity: boolean;
  readonly blocks: { readonly size: number; readonly assign: 'auto' | 'dynamic'; readonly perAddress: number | null };
  /** IPv4 prefixes, in the order in which addresses are given out. */
  readonly pool: readonly PrefixRow[];
  readonly filtering: 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent';
  readonly mappings: readonly MappingRow[];
}
export interface MacRow { readonly high: number; readonly low: number }
/** An entry of an ACL. A rule about several prefixes is as many entries, of one name and line. */
export interface RuleRow {
  readonly line: number;
  readonly name: string;
  readonly weight: number;
  readonly action: 'allow' | 'deny' | 'measure';
  /** Of a stateful entry, seconds without traffic until its state ends; null without state. */
  readonly idle: number | null;
  /** As the VM sees it. */
  readonly direction: 'inbound' | 'outbound';
  readonly protocol: number | null;
  readonly local: PrefixRow | null;
  /** The VSID of the VM's subnet; null for any. */
  readonly localVsid: number | null;
  readonly localMac: MacRow | null;
  readonly remote: PrefixRow | null;
  readonly remoteMac: MacRow | null;
  readonly localPort: PortRow | null;
  readonly remotePort: PortRow | null;
}
export interface TenantRow {
  /** 1 .. limits.tenants. */
  readonly id: number;
  readonly name: string;
  readonly line: number;
  readonly subnets: readonly SubnetRow[];
  readonly records: readonly RecordRow[];
  readonly routes: readonly RouteRow[];
  readonly nat: NatRow | null;
  readonly limits: QuotaRow;
  readonly forward: { readonly line: number; readonly uplink: string; readonly key: GreKey } | null;
  readonly sites: readonly SiteRow[];
  readonly rules: readonly RuleRow[];
}
export interface PolicyRows {
  /** Where the lines are, for people. */
  readonly file: string;
  /** Rows of per-tenant state; ids stay below it. */
  readonly maxTenants: number;
  readonly gateway: GatewayRow;
  readonly hosts: readonly HostRow[];
  readonly uplinks: readonly UplinkRow[];
  readonly tenants: readonly TenantRow[];
}
