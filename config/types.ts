/**
 * What a valid config is: plain records, frozen, with every default filled in and every address parsed.
 *
 * Words follow the HNV vocabulary: CA, PA, VSID, RDID, lookup record, customer route. `line` is the line in the
 * file that declared the thing, so that any output can name it. Things refer to each other by name; a name that
 * is not there never gets past validation.
 */

/** Four unsigned 32-bit words, first word first. IPv4 is kept v4-mapped, ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). */
export type Words = readonly [number, number, number, number];

export interface Address {
  readonly text: string;
  readonly family: 4 | 6;
  readonly words: Words;
}

export interface Prefix {
  readonly text: string;
  readonly family: 4 | 6;
  readonly words: Words;
  /** Counted on the v4-mapped form, so that one trie holds both families: an IPv4 /24 has 120. */
  readonly bits: number;
}

/** A PA: with a port only that source port counts and we send there; port 0 means any source port, well-known destination. */
export interface Endpoint {
  readonly text: string;
  readonly address: Address;
  readonly port: number;
}

export interface Mac {
  readonly text: string;
  /** First 16 bits. */
  readonly high: number;
  /** Last 32 bits, unsigned. */
  readonly low: number;
}

/** Both ends belong to the range. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

export interface Config {
  readonly file: string;
  readonly gateway: Gateway;
  readonly hosts: readonly Host[];
  readonly uplinks: readonly Uplink[];
  readonly tenants: readonly Tenant[];
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface Gateway {
  readonly line: number;
  readonly name: string;
  readonly listen: readonly Address[];
  /** Where uplinks and sites are spoken to; empty means that they share `listen`. */
  readonly uplinkListen: readonly Address[];
  /** 0 takes a free port. */
  readonly grePort: number;
  /** 0 takes a free port. */
  readonly vxlanPort: number;
  /** Underlay IP MTU, bytes. */
  readonly mtu: number;
  /** The gateway's own MAC, the same in every VSID. */
  readonly mac: Mac;
  readonly workers: number | 'auto';
  readonly rss: Rss;
  /** SO_RCVBUF, bytes. */
  readonly receiveBuffer: number;
  /** SO_SNDBUF, bytes. */
  readonly sendBuffer: number;
  readonly admin: {
    /** Path of the unix socket; null leaves the choice to the daemon. */
    readonly socket: string | null;
  };
  /** Where /metrics and /healthz answer; null is off. Port 0 takes a free one. */
  readonly metrics: { readonly listen: Address; readonly port: number } | null;
  readonly natLog: NatLog;
  readonly logLevel: LogLevel;
  readonly limits: Limits;
  readonly timers: Timers;
  /** ICMP errors the gateway originates, per tenant. */
  readonly icmpErrors: { readonly perSecond: number; readonly burst: number };
}

/** Who had which external ports when. */
export interface NatLog {
  /** Folder; null is off. */
  readonly path: string | null;
  readonly maxBytes: number;
  readonly files: number;
}

export type RssMode = 'auto' | 'dispatcher' | 'kernel';

/** How datagrams are spread over workers. */
export interface Rss {
  readonly mode: RssMode;
  /** 'default', 'symmetric', or 80 to 104 hex digits in lower case. */
  readonly key: string;
  readonly rebalance: boolean;
  /** A power of two. */
  readonly ringSlots: number;
}

export interface Limits {
  readonly tenants: number;
  readonly sessions: number;
  readonly flows: number;
  readonly bindings: number;
  /** Inside addresses with NAT state. */
  readonly subscribers: number;
  readonly portBlocks: number;
  /** Of stateful rules: one for a VM's side of a flow. */
  readonly connections: number;
  /** Lookup records, all tenants together. */
  readonly records: number;
  /** Fragmented datagrams tracked at once. */
  readonly fragments: number;
  /** Slots for fragments that came before their first one. */
  readonly heldFragments: number;
}

/** Seconds. */
export interface Timers {
  readonly udp: number;
  readonly tcpEstablished: number;
  readonly tcpTransitory: number;
  readonly tcpClosing: number;
  readonly icmp: number;
  readonly fragment: number;
  readonly fragmentHold: number;
  readonly portBlock: number;
}

export type Encap = 'nvgre' | 'vxlan';
export type FlowId = 'zero' | 'hash';

export interface Host {
  readonly line: number;
  readonly name: string;
  readonly pa: Endpoint;
  readonly encap: Encap;
  /** What NVGRE's FlowID byte carries; a Linux gretap peer needs zero. */
  readonly flowId: FlowId;
  /** Underlay IP MTU towards this host, bytes. */
  readonly mtu: number;
}

export interface Uplink {
  readonly line: number;
  readonly name: string;
  readonly pa: Endpoint;
  readonly mtu: number;
}

export interface Tenant {
  readonly line: number;
  readonly name: string;
  /** Lower case, no braces. */
  readonly rdid: string;
  readonly subnets: readonly Subnet[];
  readonly records: readonly LookupRecord[];
  readonly routes: readonly Route[];
  readonly nat: Nat | null;
  readonly forward: Forward | null;
  readonly sites: readonly Site[];
  readonly limits: Quotas;
  /** Its own, its subnets' and its records', in the order of the file. */
  readonly acls: readonly Acl[];
}

export interface Subnet {
  readonly line: number;
  readonly vsid: number;
  readonly name: string;
  /** One or two: IPv4 first, then IPv6. */
  readonly prefixes: readonly SubnetPrefix[];
  /** Names of the hosts that may speak for this VSID; null: every host with a record of this tenant. */
  readonly hosts: readonly string[] | null;
}

export interface SubnetPrefix {
  readonly prefix: Prefix;
  /** The gateway's own CA in it. */
  readonly gateway: Address;
}

export type RecordType = 'static' | 'l2only' | 'wildcard';

/** HNV's lookup record: (VSID, CA) to MAC and PA. */
export interface LookupRecord {
  readonly line: number;
  readonly type: RecordType;
  /** Null for l2only (not learned yet) and wildcard (whatever no other record matches). */
  readonly ca: Address | null;
  readonly mac: Mac;
  readonly host: string;
  readonly vsid: number;
}

export type Via =
  | { readonly kind: 'nat' }
  | { readonly kind: 'forward' }
  | { readonly kind: 'site'; readonly site: string }
  | { readonly kind: 'ca'; readonly address: Address }
  | { readonly kind: 'drop' };

/** HNV's customer route: (RDID, prefix) to next hop. */
export interface Route {
  readonly line: number;
  readonly prefix: Prefix;
  /** Lowest wins among equal prefixes. */
  readonly metric: number;
  readonly via: Via;
}

/** What one may use at most; null is no limit. */
export interface AddressQuotas {
  readonly sessions: number | null;
  readonly bindings: number | null;
  readonly newFlowsPerSecond: number | null;
}
export interface Quotas extends AddressQuotas {
  readonly packetsPerSecond: number | null;
  readonly bytesPerSecond: number | null;
  readonly perAddress: AddressQuotas;
}

/** How external ports are given out. */
export interface Blocks {
  /** Ports. */
  readonly size: number;
  readonly assign: 'auto' | 'dynamic';
  /** Blocks that an inside address may have; null is no limit. */
  readonly perAddress: number | null;
}

export interface Nat {
  readonly line: number;
  readonly pooling: 'paired' | 'any';
  readonly parity: boolean;
  readonly blocks: Blocks;
  readonly uplink: string;
  /** GRE key towards the uplink; null: no key field. */
  readonly key: number | null;
  /** IPv4. Prefixes that do not overlap; a single address has 128 bits. */
  readonly pool: readonly Prefix[];
  readonly filtering: Filtering;
  readonly mappings: readonly Mapping[];
}

/** A static mapping: both ends have as many addresses, and as many ports or all of them. */
export interface Mapping {
  readonly line: number;
  /** Null: TCP, UDP and ICMP queries. Never with ports. */
  readonly proto: 'tcp' | 'udp' | null;
  readonly external: MappingEnd;
  readonly internal: MappingEnd;
}

/** IPv4. With ports it is one address; null is all ports. */
export interface MappingEnd {
  readonly prefix: Prefix;
  readonly ports: PortRange | null;
}

/** Who may send in by a binding (RFC 4787 §5). */
export type Filtering = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent';

export interface Forward {
  readonly line: number;
  readonly uplink: string;
  readonly key: number | null;
}

export interface Site {
  readonly line: number;
  readonly name: string;
  readonly type: 'gre';
  readonly pa: Endpoint;
  readonly key: number | null;
  /** Its own, whatever the tenant sees of them. */
  readonly prefixes: readonly Prefix[];
  readonly maps: readonly SiteMap[];
  readonly mtu: number;
}

/** NETMAP: addresses of one side that the other side sees as others, one for one. IPv4, both of one length. */
export interface SiteMap {
  readonly line: number;
  /** Whose addresses `real` are. */
  readonly side: 'tenant' | 'site';
  readonly real: Prefix;
  readonly shown: Prefix;
}

/** What a rule was written under. */
export type AclScope = { readonly kind: 'tenant' } | { readonly kind: 'subnet'; readonly vsid: number } | { readonly kind: 'record'; readonly ca: string };

/** HNV's extended port ACL. Larger weight first, the first that allows or denies decides; local is the CA side. */
export interface Acl {
  readonly line: number;
  readonly name: string;
  readonly scope: AclScope;
  readonly weight: number;
  readonly action: 'allow' | 'deny' | 'measure';
  /** As the VM sees it: inbound is towards the CA. */
  readonly direction: 'inbound' | 'outbound';
  /** IP protocol number; null is any. */
  readonly protocol: number | null;
  /** Prefixes of which one must hold the VM, within the scope; null is any. */
  readonly local: readonly Prefix[] | null;
  /** Also the link-local addresses of its scope. */
  readonly linkLocal: boolean;
  readonly localMac: Mac | null;
  readonly remote: Prefix | null;
  readonly remoteMac: Mac | null;
  readonly localPort: PortRange | null;
  readonly remotePort: PortRange | null;
  readonly stateful: boolean;
  /** Seconds; means something where it is stateful. */
  readonly idleTimeout: number;
}

/** One thing wrong with a config. Line and column count from 1. */
export interface Problem {
  readonly line: number;
  readonly column: number;
  /** Where in the value: tenants[0].records[2].ca; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  readonly advice: string;
  readonly value?: string;
}

export type ReadResult =
  | { readonly config: Config; readonly problems: readonly [] }
  | { readonly config: undefined; readonly problems: readonly Problem[] };
