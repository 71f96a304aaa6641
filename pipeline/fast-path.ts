/**
 * The fast path: ordinary IPv4 packets of flows that `compile-flow.ts` has compiled. Read, one look-up, apply, send.
 *
 * It decides nothing. A compiled flow says that every packet with its key, from its sender, is carried in one way. What
 * else a walk would look at in the packet is looked at here, and anything out of the ordinary (fragments, options, SYN,
 * FIN and RST, too long, TTL spent, malformed, another's MAC) is left untouched for the walks to decide. A test holds both to
 * the same bytes and counters.
 *
 * One long function, on purpose. Each byte is read once and each checksum patched once, with the offsets that the codecs
 * name; a call costs 3 to 9 ns here, and V8 stops putting one function into another at 920 bytes of bytecode, which the
 * reads use up: with a function a step it took about twice as long (DESIGN.md). Every number is a signed 32-bit word, so that V8
 * keeps none on the heap; and what is needed of a policy lies in a few typed arrays.
 */
import { copyBytes } from '../codecs/bytes.js';
import { foldSum } from '../codecs/checksum.js';
import { ETHERNET_LEN, EtherType } from '../codecs/ethernet.js';
import { GRE_HAS_KEY, GRE_MIN_LEN } from '../codecs/gre.js';
import { IpProtocol } from '../codecs/ip-protocol.js';
import { IPV4_DST, IPV4_ID, IPV4_LIFE, IPV4_MIN_LEN, IPV4_SRC } from '../codecs/ipv4.js';
import { NVGRE_FIRST_WORD, NVGRE_LEN } from '../codecs/nvgre.js';
import { TCP_CHECKSUM, TCP_MIN_LEN, TCP_OFFSET_FLAGS, TcpFlag } from '../codecs/tcp.js';
import { UDP_CHECKSUM, UDP_LEN, UDP_LENGTH } from '../codecs/udp.js';
import { VXLAN_VALID } from '../codecs/vxlan.js';
import { HEADROOM, type Context } from './context.js';
import { FieldsOf, type Fields } from './fields.js';
import type { Ledger } from './ledger.js';
import { Carrier, Side } from './packet.js';
import { Encap, LANE_FLOW_ID, LANE_LIMITED, LANE_VXLAN, LANE_WORDS, Lane, NONE, PeerKind, type Policy } from './policy.js';
import type { IpIds } from './tables/ip-ids.js';
import { F_DO, F_DST, F_LANE, F_PORTS, F_SEEN, F_SRC, F_TO, Kind, LANE_MASK, LANE_METERED, LANE_TRACKED, OP_FAST, OP_MASK, Op, flowKey, type FlowTable } from './tables/flows.js';

/** Tunnel header, the same length in both overlays, and frame header of a packet to or from a host. */
const FRAME_LEN = NVGRE_LEN + ETHERNET_LEN;
const GRE_KEYED_LEN = GRE_MIN_LEN + 4;
const PLAIN_GRE = EtherType.ipv4, KEYED_GRE = GRE_HAS_KEY << 16 | EtherType.ipv4;
const VXLAN_FIRST_WORD = VXLAN_VALID << 24;
const VERSION_4_IHL_5 = 0x45;
/** Of the second word of IPv4: more fragments, and the offset; and that nobody may cut it. */
const FRAGMENT = 0x3fff, DONT_FRAGMENT = 0x4000;
/** What opens, closes or breaks a connection; and what every other segment has. */
const TCP_EVENTS = TcpFlag.syn | TcpFlag.fin | TcpFlag.rst | TcpFlag.ack;
/** What a sum gains when TTL, the upper half of its word, becomes one less: ~m + m' (RFC 1624). */
const HOP_LESS = 0xfeff;

/** What a peer is, by number: a host by its overlay, or `UPLINK` or `SITE`. */
const UPLINK = 2, SITE = 3;
/** Ways out through GRE, four words each: peer, keyed, key, MTU of the inner packet. A tenant has two, a site one. */
const EXIT_WORDS = 4;
const E_PEER = 0, E_KEYED = 1, E_KEY = 2, E_MTU = 3;

/** Answers to "whose is this VSID, or this GRE key, from this peer" that the policy gave before: a power of two. */
const KNOWN = 1024;
const KNOWN_WORDS = 8;
const K_PEER = 0, K_ID = 1, K_KEYED = 2, K_TENANT = 3, K_SENDER = 4;

export class FastPath {
  readonly #c: Context;
  readonly #ledger: Ledger;
  readonly #flows: FlowTable;
  readonly #words: Int32Array;
  readonly #fields = new FieldsOf();
  readonly #scratch = new FieldsOf();
  readonly #ids: IpIds;
  readonly #known = new Int32Array(KNOWN * KNOWN_WORDS);
  #policy: Policy;
  // Of the policy in force.
  #generation = 0;
  #udpTime = 0;
  #tcpTime = 0;
  #lanes: Int32Array = new Int32Array(0);
  #roles: Int32Array = new Int32Array(0);
  /** By tenant: to the Internet, and to the physical network; by peer: to a site. */
  #nat: Int32Array = new Int32Array(0);
  #forward: Int32Array = new Int32Array(0);
  #sites: Int32Array = new Int32Array(0);
  /** The gateway's MAC: its first four bytes, its last two. */
  #mac0 = 0;
  #mac4 = 0;

  constructor(context: Context) {
    this.#c = context;
    this.#ledger = context.ledger;
    this.#flows = context.nat.flows;
    this.#words = context.nat.flows.words;
    this.#ids = context.ids;
    this.#policy = context.policy;
    this.adopt(context.policy);
  }

  /** Go by another policy. What was compiled by the one before is left to the walks. */
  adopt(policy: Policy): void {
    const { peers, tenants } = policy;
    this.#policy = policy;
    this.#generation = policy.generation & 0xff;
    this.#udpTime = policy.timers.udp;
    this.#tcpTime = policy.timers.tcpEstablished;
    this.#lanes = policy.lanes;
    this.#mac0 = policy.macHigh << 16 | policy.macLow >>> 16;
    this.#mac4 = policy.macLow & 0xffff;
    this.#roles = Int32Array.from(peers.kind, (kind, peer) => kind === PeerKind.uplink ? UPLINK : kind === PeerKind.site ? SITE : peers.encap[peer] === Encap.vxlan ? Carrier.vxlan : Carrier.gre);
    this.#nat = exits(policy, tenants.natUplink, tenants.natKeyed, tenants.natKey);
    this.#forward = exits(policy, tenants.forwardUplink, tenants.forwardKeyed, tenants.forwardKey);
    this.#sites = exits(policy, peers.kind.map((_kind, peer) => peer), peers.keyed, peers.key);
    this.#known.fill(0);
  }

  /**
   * Carry a datagram if it is ordinary and its flow compiled; false, and nothing touched, when the walks must see it.
   * Arguments are those of `Gateway.receive`; `now` is in seconds.
   */
  carry(mem: Uint8Array, start: number, at: number, end: number, peer: number, carrier: number, side: number, now: number): boolean {
    const f = this.#fields.take(mem), role = this.#roles[peer], known = this.#known;
    let l3: number, tenant = 0, kind: number = Kind.natIn, keyed = 0, key = 0;
    if (role < UPLINK) {
      // A host's frame, untagged, from one real sender to the gateway: see `checkNvgre`, `checkVxlan`, `checkEthernet`.
      l3 = at + FRAME_LEN;
      if (end - l3 < IPV4_MIN_LEN + UDP_LEN || carrier !== role || side === Side.uplinks) return false;
      if (role === Carrier.gre ? f.word(at) !== NVGRE_FIRST_WORD : (f.word(at) & VXLAN_FIRST_WORD) === 0) return false;
      const middle = f.word(at + 12); // two bytes of the destination, two of the source
      if (f.word(at + 8) !== this.#mac0 || middle >>> 16 !== this.#mac4 || f.half(at + 20) !== EtherType.ipv4) return false;
      if ((middle & 0x0100) !== 0 || ((middle & 0xffff) === 0 && f.word(at + 16) === 0)) return false;
      const vsid = f.word(at + 4) >>> 8, place = ((vsid ^ Math.imul(peer, 0x9e3779b1)) & KNOWN - 1) * KNOWN_WORDS;
      tenant = known[place + K_PEER] === peer + 1 && known[place + K_ID] === vsid ? known[place + K_TENANT] : this.#askHost(place, vsid, peer);
      if (tenant === 0) return false;
      kind = Kind.fromHost;
    } else {
      if (end - at < GRE_KEYED_LEN + IPV4_MIN_LEN || carrier !== Carrier.gre || side === Side.hosts) return false;
      const header = f.word(at);
      if (header === KEYED_GRE) {
        keyed = 1;
        key = f.word(at + GRE_MIN_LEN);
        l3 = at + GRE_KEYED_LEN;
      } else {
        if (header !== PLAIN_GRE) return false;
        l3 = at + GRE_MIN_LEN;
      }
      if (end - l3 < IPV4_MIN_LEN + UDP_LEN) return false;
      if (role === SITE) {
        tenant = known[this.#knownKey(peer, keyed, key) + K_TENANT];
        if (tenant === 0) return false;
        kind = Kind.fromSite;
      }
    }

    // IPv4 without options, whole, sound, with a TTL that lasts: see `checkIpv4`.
    const lengths = f.word(l3), fragment = f.word(l3 + 4), life = f.word(l3 + IPV4_LIFE);
    const src = f.word(l3 + IPV4_SRC), dst = f.word(l3 + IPV4_DST);
    const len = lengths & 0xffff, bytesIn = end - at;
    if (lengths >>> 24 !== VERSION_4_IHL_5 || (fragment & FRAGMENT) !== 0 || life >>> 24 <= 1 || len > end - l3) return false;
    const sum = (lengths >>> 16) + len + (fragment >>> 16) + (fragment & 0xffff) + (life >>> 16) + (life & 0xffff)
      + (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff);
    if ((sum & 0xffff) + (sum >>> 16) !== 0xffff) return false; // ten words carry less than once more
    end = l3 + len;

    // UDP, or TCP without events: see `checkUdp`, `checkTcp`.
    const l4 = l3 + IPV4_MIN_LEN, rest = len - IPV4_MIN_LEN, protocol = life >>> 16 & 0xff, isUdp = protocol === IpProtocol.udp;
    if (isUdp) {
      const udpLen = f.half(l4 + UDP_LENGTH);
      if (udpLen < UDP_LEN || udpLen > rest) return false;
    } else {
      if (protocol !== IpProtocol.tcp || rest < TCP_MIN_LEN) return false;
      const offsetFlags = f.half(l4 + TCP_OFFSET_FLAGS), headerLen = offsetFlags >>> 12 << 2;
      if (headerLen < TCP_MIN_LEN || headerLen > rest || (offsetFlags & TCP_EVENTS) !== TcpFlag.ack) return false;
    }
    const ports = f.word(l4);

    // Its record: see `FlowTable.find`, of which this is the first step; word 0 first, as there.
    const flows = this.#flows, words = this.#words, lanes = this.#lanes;
    const hash = flows.hash(tenant << 8 | protocol, src, dst, ports);
    let flowOf = tenant << 16 | protocol << 8 | kind;
    let flow = flows.first(hash);
    if (words[flow] !== flowOf || words[flow + F_PORTS] !== ports || words[flow + F_SRC] !== src || words[flow + F_DST] !== dst) {
      flow = flows.find(flowOf, src, dst, ports, hash);
      if (flow < 0) {
        if (role !== UPLINK) return false;
        tenant = known[this.#knownKey(peer, keyed, key) + K_TENANT]; // no NAT session: a flow by the uplink's key, then
        flowOf = flowKey(tenant, protocol, Kind.fromUplink);
        flow = tenant === 0 ? -1 : flows.find(flowOf, src, dst, ports, hash);
        if (flow < 0) return false;
      }
    }
    const laneWord = words[flow + F_LANE], to = words[flow + F_TO], op = words[flow + F_DO];
    const lane = (laneWord & LANE_MASK) * LANE_WORDS;
    if (laneWord >>> 24 !== this.#generation || lane === 0 || to === 0 || (op & OP_FAST) === 0) return false;
    // The clock is written once a second at most: between, the line stays in everybody's cache. A session whose own record
    // has been still for its whole time is over, unless the other direction's, which the walks know, says more.
    const seen = words[flow + F_SEEN];
    // Where there is a connection to be told, the walks have the first packet of every second.
    if (seen !== now && ((laneWord & LANE_TRACKED) !== 0 || (now - seen | 0) >= (isUdp ? this.#udpTime : this.#tcpTime))) return false;
    const isLimited = (lanes[lane + Lane.how] & LANE_LIMITED) !== 0;
    if (isLimited && !this.#c.traffic.allows(lanes[lane + Lane.tenant], len)) return false; // the walks drop it
    const isMetered = (laneWord & LANE_METERED) !== 0, meters = isMetered ? this.#c.meters.find(words, flow) : 0;
    if (meters < 0) return false;

    switch (op & OP_MASK) {
      case Op.natOut: {
        const exit = tenant * EXIT_WORDS;
        if (lanes[lane + Lane.peer] !== peer || len > this.#nat[exit + E_MTU]) return false;
        // One hop less, another source: RFC 1624, as `setIpv4Src` and the others have it, in one go.
        const gained = (~src >>> 16) + (~src & 0xffff) + (to >>> 16) + (to & 0xffff), port = op >>> 16;
        f.putByte(l3 + IPV4_LIFE, (life >>> 24) - 1);
        const renewed = (fragment & DONT_FRAGMENT) !== 0 ? 0 : this.#renewId(f, l3, fragment, to, dst, protocol);
        f.putHalf(l3 + IPV4_LIFE + 2, ~foldSum((~life & 0xffff) + HOP_LESS + gained + renewed));
        f.putWord(l3 + IPV4_SRC, to);
        f.putHalf(l4, port);
        this.#patch(f, l4, isUdp, gained + (~(ports >>> 16) & 0xffff) + port);
        if (seen !== now) words[flow + F_SEEN] = now;
        if (isMetered) this.#c.meters.count(meters, this.#c.tallies, len);
        if (isLimited) this.#c.traffic.take(tenant, len);
        this.#sendGre(f, l3, end, this.#nat, exit, tenant, bytesIn, hash);
        return true;
      }
      case Op.natIn: {
        const exit = lanes[lane + Lane.tenant] * EXIT_WORDS, nat = this.#nat;
        if (nat[exit + E_PEER] !== peer || nat[exit + E_KEYED] !== keyed || nat[exit + E_KEY] !== key || len > lanes[lane + Lane.mtu]) return false;
        const gained = (~dst >>> 16) + (~dst & 0xffff) + (to >>> 16) + (to & 0xffff), port = op >>> 16;
        f.putByte(l3 + IPV4_LIFE, (life >>> 24) - 1);
        f.putHalf(l3 + IPV4_LIFE + 2, ~foldSum((~life & 0xffff) + HOP_LESS + gained));
        f.putWord(l3 + IPV4_DST, to);
        f.putHalf(l4 + 2, port);
        this.#patch(f, l4, isUdp, gained + (~ports & 0xffff) + port);
        break;
      }
      default:
        return this.#carryPlain(f, start, l3, end, life, flow, lane, isMetered ? meters : -1, peer, tenant, this.#senderOf(role, peer, keyed, key), bytesIn, hash, now);
    }
    if (seen !== now) words[flow + F_SEEN] = now;
    if (isMetered) this.#c.meters.count(meters, this.#c.tallies, len);
    if (isLimited) this.#c.traffic.take(lanes[lane + Lane.tenant], len);
    this.#sendFrame(f, start, l3, end, lane, bytesIn, hash);
    return true;
  }

  /** As the end of `carry`, for a flow without translation. Apart, so that `carry` stays small enough for V8 to put the reads into it. */
  #carryPlain(
    f: Fields, start: number, l3: number, end: number, life: number, flow: number, lane: number, meters: number, peer: number, tenant: number, sender: number,
    bytesIn: number, hash: number, now: number,
  ): boolean {
    const words = this.#words, lanes = this.#lanes, to = words[flow + F_TO], op = words[flow + F_DO] & OP_MASK;
    const isInside = op === Op.toSubnet, isSite = op === Op.toSite;
    const exits = isSite ? this.#sites : this.#forward, exit = (isSite ? to - 1 : tenant) * EXIT_WORDS;
    if (sender >= 0 ? to !== sender + 1 : lanes[(isInside ? to * LANE_WORDS : lane) + Lane.peer] !== peer) return false;
    if (end - l3 > (isInside ? lanes[lane + Lane.mtu] : exits[exit + E_MTU])) return false;
    f.putByte(l3 + IPV4_LIFE, (life >>> 24) - 1);
    f.putHalf(l3 + IPV4_LIFE + 2, ~foldSum((~life & 0xffff) + HOP_LESS));
    if (words[flow + F_SEEN] !== now) words[flow + F_SEEN] = now;
    if (meters >= 0) this.#c.meters.count(meters, this.#c.tallies, end - l3);
    if ((lanes[lane + Lane.how] & LANE_LIMITED) !== 0) this.#c.traffic.take(lanes[lane + Lane.tenant], end - l3);
    if (isInside) this.#sendFrame(f, start, l3, end, lane, bytesIn, hash);
    else this.#sendGre(f, l3, end, exits, exit, tenant, bytesIn, hash);
    return true;
  }

  /** Who sent a packet from outside: the uplink, or the site that its key names; -1 for a host's. */
  #senderOf(role: number, peer: number, keyed: number, key: number): number {
    return role < UPLINK ? -1 : this.#known[this.#knownKey(peer, keyed, key) + K_SENDER];
  }

  /** What may be cut further on gets an ID of its own, as by `rewrite`: what the header's sum gains by it. `fragment` is the word that holds the old one. */
  #renewId(f: Fields, l3: number, fragment: number, src: number, dst: number, protocol: number): number {
    const id = this.#ids.next(src, dst, protocol);
    f.putHalf(l3 + IPV4_ID, id);
    return (~fragment >>> 16) + id;
  }

  /** Bring the transport's checksum up to date with what the words it covers have gained. UDP's may be absent (RFC 768). */
  #patch(f: Fields, l4: number, isUdp: boolean, gained: number): void {
    const at = l4 + (isUdp ? UDP_CHECKSUM : TCP_CHECKSUM);
    const hc = f.half(at);
    if (isUdp && hc === 0) return;
    const sum = ~foldSum((~hc & 0xffff) + gained) & 0xffff;
    f.putHalf(at, isUdp && sum === 0 ? 0xffff : sum);
  }

  #sendGre(f: Fields, l3: number, end: number, exits: Int32Array, exit: number, tenant: number, bytesIn: number, hash: number): void {
    let at = l3 - GRE_MIN_LEN;
    if (exits[exit + E_KEYED] === 1) {
      at -= 4;
      f.putWord(at, KEYED_GRE);
      f.putWord(at + GRE_MIN_LEN, exits[exit + E_KEY]);
    } else {
      f.putWord(at, PLAIN_GRE);
    }
    this.#c.outlet.send(f.mem, at, end, exits[exit + E_PEER], hash);
    this.#ledger.forward(tenant, bytesIn, end - at);
  }

  #sendFrame(f: Fields, start: number, l3: number, end: number, lane: number, bytesIn: number, hash: number): void {
    const c = this.#c, lanes = this.#lanes;
    if (l3 - start < FRAME_LEN) {
      copyBytes(c.scratch, HEADROOM, f.mem, l3, end - l3);
      f = this.#scratch.take(c.scratch);
      end = HEADROOM + end - l3;
      l3 = HEADROOM;
    }
    const at = l3 - FRAME_LEN, frame = l3 - ETHERNET_LEN;
    const how = lanes[lane + Lane.how]; // see `writeVxlan`, `writeNvgre`
    f.putWord(at, (how & LANE_VXLAN) !== 0 ? VXLAN_FIRST_WORD : NVGRE_FIRST_WORD);
    f.putWord(at + 4, lanes[lane + Lane.vsid] << 8 | ((how & (LANE_VXLAN | LANE_FLOW_ID)) === LANE_FLOW_ID ? hash & 0xff : 0));
    f.putHalf(frame, lanes[lane + Lane.macHigh]);
    f.putWord(frame + 2, lanes[lane + Lane.macLow]);
    f.putWord(frame + 6, this.#mac0);
    f.putHalf(frame + 10, this.#mac4);
    f.putHalf(frame + 12, EtherType.ipv4);
    if (c.outlet.send(f.mem, at, end, lanes[lane + Lane.peer], hash) && f.mem === c.scratch) c.replaceScratch();
    this.#ledger.forward(lanes[lane + Lane.tenant], bytesIn, end - at);
  }

  /** The tenant whose VSID this is and that host `peer` may speak for, 0 for none; remembered at `place`. */
  #askHost(place: number, vsid: number, peer: number): number {
    const { speakers, subnets, vsids } = this.#policy;
    const subnet = vsids.find(vsid, 0, 0, 0, 0);
    const tenant = subnet >= 0 && speakers.find(subnet, peer, 0, 0, 0) >= 0 ? subnets.tenant[subnet] : 0;
    this.#remember(place, peer, vsid, 0, tenant, peer);
    return tenant;
  }

  /** Place in `#known` of a GRE key from an uplink, or from a site's PA: sites that share one are told apart by it. */
  #knownKey(peer: number, keyed: number, key: number): number {
    const known = this.#known;
    const at = ((key ^ Math.imul(peer, 0x9e3779b1)) & KNOWN - 1) * KNOWN_WORDS;
    if (known[at + K_PEER] === peer + 1 && known[at + K_ID] === key && known[at + K_KEYED] === keyed) return at;
    const { greKeys, peers } = this.#policy;
    const found = greKeys.find(peer, keyed, key >>> 0, 0, 0);
    const isSite = peers.kind[peer] === PeerKind.site;
    this.#remember(at, peer, key, keyed, found < 0 ? 0 : isSite ? peers.tenant[found] : found, isSite ? found : peer);
    return at;
  }

  #remember(at: number, peer: number, id: number, keyed: number, tenant: number, sender: number): void {
    const known = this.#known;
    known[at + K_PEER] = peer + 1;
    known[at + K_ID] = id;
    known[at + K_KEYED] = keyed;
    known[at + K_TENANT] = tenant;
    known[at + K_SENDER] = sender;
  }
}

function exits(policy: Policy, peer: Uint32Array, keyed: Uint32Array, key: Uint32Array): Int32Array {
  const words = new Int32Array(peer.length * EXIT_WORDS);
  for (let i = 0; i < peer.length; i++) {
    const exit = i * EXIT_WORDS;
    words[exit + E_PEER] = peer[i];
    words[exit + E_KEYED] = keyed[i];
    words[exit + E_KEY] = key[i];
    words[exit + E_MTU] = peer[i] === NONE ? 0 : policy.innerMtu(peer[i], keyed[i] === 1);
  }
  return words;
}
