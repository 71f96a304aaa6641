/**
 * The packet in hand. A worker has one of these and fills it anew for every datagram; stages read and write its
 * fields and touch its bytes only at the very end, so that a packet which is dropped or answered is still as it came.
 *
 *   start            at              frameAt        l3             l4               end
 *   | may be written | tunnel header | Ethernet     | inner IP     | transport …    |
 *
 * Positions are byte offsets into `mem`. Addresses are four unsigned words, IPv4 v4-mapped, and together with the
 * ports always name the flow as the tenant sees it (CA and not NAT address); `natAddress`, `natPort` are the outside.
 */

/** What the datagram came in: the local port says so, or for captures the IP protocol. */
export const Carrier = { gre: 0, vxlan: 1 } as const;
/** Which listen address it came to, where uplinks have one of their own. */
export const Side = { both: 0, hosts: 1, uplinks: 2 } as const;
/** Fragment of what: a whole packet, the first fragment, a later one. */
export const Fragment = { none: 0, first: 1, later: 2 } as const;
/** The walks of graph.ts; a walk that ends without a fate has set `next` to one of them. */
export const Walk = {
  fromHost: 0, hostArp: 1, hostIp: 2, fromUplink: 3, uplinkNat: 4, uplinkForward: 5, fromSite: 6,
  toGateway: 7, toNeighbor: 8, toSubnet: 9, toNat: 10, toHairpin: 11, toTunnel: 12,
} as const;
/** What `rewrite` has to do, bits. */
export const Rewrite = { ttl: 1, natOut: 2, natIn: 4, mss: 8, maps: 16 } as const;

export class Packet {
  // where the bytes are
  mem: Uint8Array = new Uint8Array(0);
  start = 0;
  at = 0;
  end = 0;
  /** The caller's name for it: the packet number of a capture. */
  tag = 0;

  // how it came
  carrier: number = Carrier.gre;
  side: number = Side.both;
  /** Number of the peer that sent it; for sites that share a PA the first of them, until `decapGre` knows better. */
  peer = -1;
  /** Milliseconds since the epoch. */
  now = 0;

  // tunnel
  vsid = -1;
  /** GRE key of an uplink's or site's packet, -1 without. */
  key = -1;
  subnet = -1;
  /** Tenant that the tunnel claims; `tenant` is set only once that is proved, and is what the ledger charges. */
  claimed = 0;
  tenant = 0;

  // inner packet
  frameAt = -1;
  etherType = 0;
  l3 = 0;
  l4 = 0;
  family = 0;
  protocol = 0;
  src0 = 0; src1 = 0; src2 = 0; src3 = 0;
  dst0 = 0; dst1 = 0; dst2 = 0; dst3 = 0;
  /** TCP and UDP ports; an ICMP query's id in both. */
  sport = 0;
  dport = 0;
  /** The ports are real: TCP or UDP, and known. */
  hasPorts = false;
  /** ICMP or ICMPv6 type, -1 for other protocols and later fragments. */
  icmpType = -1;
  fragment: number = Fragment.none;
  fragmentId = 0;
  fragmentOffset = 0;
  /** Bytes of the datagram that this fragment holds. */
  fragmentLen = 0;
  moreFragments = false;
  /** Fragment entry whose held packets go after this one, or -1. */
  releases = -1;
  /** Fragment entry of its datagram, -1 without. */
  datagram = -1;
  /** It waited in a slot: `in` and `held` have counted it already. */
  resumed = false;
  /** 31-bit hash of the inner flow: source port and FlowID; fragments hash addresses only. */
  flowHash = 0;

  // decisions
  /** The next of `Walk`. */
  next = 0;
  /** Record that proved the source, -1 where none did. */
  sourceRecord = -1;
  route = -1;
  /** The entry that allowed or denied it last, -1 for none. */
  rule = -1;
  /** Bits of `Tracks`: sides on which a connection is to be made or told. */
  tracks = 0;
  /** Rules that measure it and have counted it; `context.meters` has the first of them. */
  meters = 0;
  /** Record it is delivered to, and the peer it leaves to. */
  record = -1;
  toPeer = -1;
  /** GRE key to send with; -1 without. */
  toKey = -1;
  /** Bits of `Rewrite`. */
  rewrites = 0;
  mss = 0;
  /** Inner IP packets above this are cut up (IPv4); 0 does not cut. Or the MTU to report when it was too big. */
  mtu = 0;
  binding = -1;
  session = -1;
  mapping = -1;
  natAddress = 0;
  natPort = 0;
  /** Position of the packet quoted by an ICMP error that NAT or a map changes, -1 otherwise. */
  quoteAt = -1;
  /** Where a map changes addresses, what they become. */
  mapSource = 0;
  mapDestination = 0;
  /** Ends of the quoted packet: as it came, and then what they become. */
  quoteSource = 0;
  quoteDestination = 0;
  quoteSourcePort = 0;
  quoteDestinationPort = 0;

  /** Forget the packet before. The bytes and how they came are the caller's to set. */
  reset(): void {
    this.vsid = -1; this.key = -1; this.subnet = -1;
    this.claimed = 0; this.tenant = 0;
    this.frameAt = -1; this.etherType = 0;
    this.l3 = 0; this.l4 = 0; this.family = 0; this.protocol = 0;
    this.src0 = 0; this.src1 = 0; this.src2 = 0; this.src3 = 0;
    this.dst0 = 0; this.dst1 = 0; this.dst2 = 0; this.dst3 = 0;
    this.sport = 0; this.dport = 0; this.hasPorts = false; this.icmpType = -1;
    this.fragment = Fragment.none; this.fragmentId = 0; this.fragmentOffset = 0; this.fragmentLen = 0; this.moreFragments = false; this.releases = -1; this.datagram = -1; this.resumed = false;
    this.flowHash = 0;
    this.next = 0; this.sourceRecord = -1; this.route = -1; this.rule = -1; this.tracks = 0; this.meters = 0; this.record = -1;
    this.toPeer = -1; this.toKey = -1; this.rewrites = 0; this.mss = 0; this.mtu = 0;
    this.binding = -1; this.session = -1; this.mapping = -1; this.natAddress = 0; this.natPort = 0; this.quoteAt = -1;
    this.mapSource = 0; this.mapDestination = 0; this.quoteSource = 0; this.quoteDestination = 0; this.quoteSourcePort = 0; this.quoteDestinationPort = 0;
  }
}
