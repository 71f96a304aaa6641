/**
 * The fast path: IPv4 packets of flows that `compile-flow.ts` has compiled. Parse, one look-up, apply, send.
 *
 * It decides nothing. A compiled flow says that every packet with its key, from its sender, is carried in one way; what
 * else a walk would look at in the packet is looked at here with the same functions, and anything out of the ordinary
 * (fragments, options, SYN, FIN and RST, too long, TTL spent, malformed) is left untouched for the walks to decide. A
 * test holds both to the same bytes and counters.
 *
 * Every number here fits 31 bits or is a signed 32-bit word, so that V8 keeps none on the heap.
 */
import { copyBytes, macHigh, putMac, s32 } from '../codecs/bytes.js';
import { ETHERNET_DST, ETHERNET_LEN, ETHERNET_SRC, EtherType, checkEthernet, etherType } from '../codecs/ethernet.js';
import { GRE_MIN_LEN, greProtocol, plainGreLen, writeGre } from '../codecs/gre.js';
import { IpProtocol } from '../codecs/ip-protocol.js';
import { IPV4_DST, IPV4_MIN_LEN, IPV4_SRC, hopIpv4, ipv4Protocol, ipv4TotalLen, isPlainIpv4, translateIpv4 } from '../codecs/ipv4.js';
import { NVGRE_LEN, checkNvgre, nvgreVsid, writeNvgre } from '../codecs/nvgre.js';
import { TCP_DST_PORT, TCP_SRC_PORT, TcpFlag, checkTcp, tcpFlags, translateTcp } from '../codecs/tcp.js';
import { UDP_DST_PORT, UDP_SRC_PORT, checkUdp, translateUdp } from '../codecs/udp.js';
import { checkVxlan, vxlanVni, writeVxlan } from '../codecs/vxlan.js';
import { HEADROOM, type Context } from './context.js';
import { Carrier } from './packet.js';
import { Encap, LANE_FLOW_ID, LANE_VXLAN, LANE_WORDS, Lane, PeerKind, type Policy } from './policy.js';
import { F_DO, F_LANE, F_SEEN, F_TO, Kind, LANE_MASK, OP_FAST, OP_MASK, Op, flowKey, type FlowTable } from './tables/flows.js';

/** Flags that change a connection's state, or come with options that must be seen. */
const TCP_EVENTS = TcpFlag.syn | TcpFlag.fin | TcpFlag.rst;
/** Tunnel header and frame header, either overlay's. */
const TO_HOST = NVGRE_LEN + ETHERNET_LEN;

/** Answers to "whose is this VSID, or GRE key, from this peer" that were asked of the policy before: a power of two. */
const KNOWN = 1024;
/** peer + 1, VSID or key, keyed, tenant, peer that the key names. */
const KNOWN_WORDS = 8;

export class FastPath {
  readonly #c: Context;
  readonly #flows: FlowTable;
  readonly #words: Int32Array;
  readonly #known = new Int32Array(KNOWN * KNOWN_WORDS);
  #policy: Policy;
  // Of the policy in force, at arm's length.
  #generation = 0;
  #lanes: Int32Array = new Int32Array(0);

  constructor(context: Context) {
    this.#c = context;
    this.#flows = context.nat.flows;
    this.#words = context.nat.flows.words;
    this.#policy = context.policy;
    this.adopt(context.policy);
  }

  adopt(policy: Policy): void {
    this.#policy = policy;
    this.#generation = policy.generation & 0xff;
    this.#lanes = policy.lanes;
    this.#known.fill(0);
  }

  /** Carry a host's datagram if its flow is compiled; false, and nothing touched, when the walks must see it. Arguments are those of `Gateway.receive`; `now` in seconds. */
  fromHost(mem: Uint8Array, start: number, at: number, end: number, peer: number, carrier: number, now: number): boolean {
    const isVxlan = carrier === Carrier.vxlan;
    if ((this.#policy.peers.encap[peer] === Encap.vxlan) !== isVxlan || (isVxlan ? checkVxlan(mem, at, end) : checkNvgre(mem, at, end)) !== 0) return false;
    const frame = at + NVGRE_LEN, l3 = frame + ETHERNET_LEN; // both tunnel headers are 8 bytes
    if (etherType(mem, frame) !== EtherType.ipv4 || checkEthernet(mem, frame, end) !== 0 || !this.#isForGateway(mem, frame)) return false;
    if (!isOrdinary(mem, l3, end)) return false;
    const known = this.#knownHost(isVxlan ? vxlanVni(mem, at) : nvgreVsid(mem, at), peer);
    const tenant = this.#known[known + 3];
    if (tenant === 0) return false;

    const protocol = ipv4Protocol(mem, l3);
    const src = s32(mem, l3 + IPV4_SRC), dst = s32(mem, l3 + IPV4_DST), ports = s32(mem, l3 + IPV4_MIN_LEN);
    const hash = this.#flows.hash(tenant << 8 | protocol, src, dst, ports);
    const flow = this.#flows.peek(flowKey(tenant, protocol, Kind.fromHost), src, dst, ports, hash);
    if (flow < 0) return false;
    const words = this.#words;
    const lane = this.#laneOf(words[flow + F_LANE]), to = words[flow + F_TO], op = words[flow + F_DO];
    if (lane === 0 || to === 0 || (op & OP_FAST) === 0) return false;

    const packetEnd = l3 + ipv4TotalLen(mem, l3);
    const { tenants } = this.#policy;
    switch (op & OP_MASK) {
      case Op.natOut: {
        if (this.#lanes[lane + Lane.peer] !== peer || !this.#fits(l3, packetEnd, tenants.natUplink[tenant], tenants.natKeyed[tenant])) return false;
        translateIpv4(mem, l3, IPV4_SRC, to);
        if (protocol === IpProtocol.udp) translateUdp(mem, l3 + IPV4_MIN_LEN, UDP_SRC_PORT, op >>> 16, src, to);
        else translateTcp(mem, l3 + IPV4_MIN_LEN, TCP_SRC_PORT, op >>> 16, src, to);
        this.#seen(flow, now);
        this.#sendGre(mem, at, l3, end, packetEnd, tenants.natUplink[tenant], tenants.natKeyed[tenant], tenants.natKey[tenant], tenant, hash);
        return true;
      }
      case Op.toForward: {
        if (this.#lanes[lane + Lane.peer] !== peer || !this.#fits(l3, packetEnd, tenants.forwardUplink[tenant], tenants.forwardKeyed[tenant])) return false;
        hopIpv4(mem, l3);
        this.#seen(flow, now);
        this.#sendGre(mem, at, l3, end, packetEnd, tenants.forwardUplink[tenant], tenants.forwardKeyed[tenant], tenants.forwardKey[tenant], tenant, hash);
        return true;
      }
      case Op.toSite: {
        const site = to - 1;
        const { keyed, key } = this.#policy.peers;
        if (this.#lanes[lane + Lane.peer] !== peer || !this.#fits(l3, packetEnd, site, keyed[site])) return false;
        hopIpv4(mem, l3);
        this.#seen(flow, now);
        this.#sendGre(mem, at, l3, end, packetEnd, site, keyed[site], key[site], tenant, hash);
        return true;
      }
      case Op.toSubnet: {
        if (this.#lanes[to * LANE_WORDS + Lane.peer] !== peer || packetEnd - l3 > this.#lanes[lane + Lane.mtu]) return false;
        hopIpv4(mem, l3);
        this.#seen(flow, now);
        this.#sendFrame(mem, start, at, l3, end, packetEnd, lane, hash);
        return true;
      }
      default:
        return false;
    }
  }

  /** As `fromHost`, for a datagram of an uplink or a site. */
  fromOutside(mem: Uint8Array, start: number, at: number, end: number, peer: number, carrier: number, now: number): boolean {
    if (carrier !== Carrier.gre) return false;
    const headerLen = plainGreLen(mem, at, end);
    if (headerLen === 0 || greProtocol(mem, at) !== EtherType.ipv4) return false;
    const l3 = at + headerLen;
    if (!isOrdinary(mem, l3, end)) return false;
    const keyed = headerLen === GRE_MIN_LEN ? 0 : 1;
    const key = keyed === 0 ? 0 : s32(mem, at + GRE_MIN_LEN);

    const protocol = ipv4Protocol(mem, l3);
    const src = s32(mem, l3 + IPV4_SRC), dst = s32(mem, l3 + IPV4_DST), ports = s32(mem, l3 + IPV4_MIN_LEN);
    const packetEnd = l3 + ipv4TotalLen(mem, l3);
    const words = this.#words;
    let hash = this.#flows.hash(protocol, src, dst, ports);
    let kind: number = Kind.fromUplink;
    if (this.#policy.peers.kind[peer] === PeerKind.uplink) {
      const flow = this.#flows.peek(flowKey(0, protocol, Kind.natIn), src, dst, ports, hash);
      if (flow >= 0) return this.#natIn(mem, start, at, l3, end, packetEnd, flow, peer, keyed, key, hash, now);
    } else {
      kind = Kind.fromSite;
    }

    const known = this.#knownKey(peer, keyed, key);
    const tenant = this.#known[known + 3], sender = this.#known[known + 4];
    if (tenant === 0) return false;
    if (kind === Kind.fromSite) hash = this.#flows.hash(tenant << 8 | protocol, src, dst, ports);
    const flow = this.#flows.peek(flowKey(tenant, protocol, kind), src, dst, ports, hash);
    if (flow < 0 || words[flow + F_TO] !== sender + 1 || words[flow + F_DO] === 0) return false;
    const lane = this.#laneOf(words[flow + F_LANE]);
    if (lane === 0 || packetEnd - l3 > this.#lanes[lane + Lane.mtu]) return false;
    hopIpv4(mem, l3);
    this.#seen(flow, now);
    this.#sendFrame(mem, start, at, l3, end, packetEnd, lane, hash);
    return true;
  }

  #natIn(
    mem: Uint8Array, start: number, at: number, l3: number, end: number, packetEnd: number, flow: number, peer: number, keyed: number, key: number, hash: number, now: number,
  ): boolean {
    const words = this.#words;
    const lane = this.#laneOf(words[flow + F_LANE]), to = words[flow + F_TO], op = words[flow + F_DO];
    if (lane === 0 || to === 0 || (op & OP_FAST) === 0) return false;
    const tenant = this.#lanes[lane + Lane.tenant];
    const { tenants } = this.#policy;
    if (tenants.natUplink[tenant] !== peer || tenants.natKeyed[tenant] !== keyed || (keyed === 1 && (tenants.natKey[tenant] | 0) !== key)) return false;
    if (packetEnd - l3 > this.#lanes[lane + Lane.mtu]) return false;
    const was = s32(mem, l3 + IPV4_DST);
    translateIpv4(mem, l3, IPV4_DST, to);
    if (ipv4Protocol(mem, l3) === IpProtocol.udp) translateUdp(mem, l3 + IPV4_MIN_LEN, UDP_DST_PORT, op >>> 16, was, to);
    else translateTcp(mem, l3 + IPV4_MIN_LEN, TCP_DST_PORT, op >>> 16, was, to);
    this.#seen(flow, now);
    this.#sendFrame(mem, start, at, l3, end, packetEnd, lane, hash);
    return true;
  }

  /** Word index of a flow's lane, or 0 when no policy, or another than the one in force, has compiled it. */
  #laneOf(word: number): number {
    return word >>> 24 === this.#generation ? (word & LANE_MASK) * LANE_WORDS : 0;
  }

  /** A session's clock is touched once a second at most: between, its line stays in everybody's cache. */
  #seen(flow: number, now: number): void {
    if (this.#words[flow + F_SEEN] !== now) this.#words[flow + F_SEEN] = now;
  }

  #fits(l3: number, packetEnd: number, peer: number, keyed: number): boolean {
    return packetEnd - l3 <= this.#policy.innerMtu(peer, keyed === 1);
  }

  #isForGateway(mem: Uint8Array, frame: number): boolean {
    return macHigh(mem, frame + ETHERNET_DST) === this.#policy.macHigh && s32(mem, frame + ETHERNET_DST + 2) === this.#policy.macLowSigned;
  }

  #sendGre(mem: Uint8Array, at: number, l3: number, end: number, packetEnd: number, peer: number, keyed: number, key: number, tenant: number, hash: number): void {
    const from = l3 - (keyed === 1 ? GRE_MIN_LEN + 4 : GRE_MIN_LEN);
    writeGre(mem, from, EtherType.ipv4, keyed === 1 ? key : -1);
    const c = this.#c;
    c.outlet.send(mem, from, packetEnd, peer, hash);
    c.ledger.forward(tenant, end - at, packetEnd - from);
  }

  #sendFrame(mem: Uint8Array, start: number, at: number, l3: number, end: number, packetEnd: number, lane: number, hash: number): void {
    const c = this.#c, lanes = this.#lanes;
    const bytesIn = end - at;
    if (l3 - start < TO_HOST) {
      copyBytes(c.scratch, HEADROOM, mem, l3, packetEnd - l3);
      mem = c.scratch;
      packetEnd = HEADROOM + packetEnd - l3;
      l3 = HEADROOM;
    }
    const frame = l3 - ETHERNET_LEN, from = l3 - TO_HOST, how = lanes[lane + Lane.how];
    putMac(mem, frame + ETHERNET_DST, lanes[lane + Lane.macHigh], lanes[lane + Lane.macLow]);
    putMac(mem, frame + ETHERNET_SRC, this.#policy.macHigh, this.#policy.macLowSigned);
    mem[l3 - 2] = EtherType.ipv4 >>> 8;
    mem[l3 - 1] = EtherType.ipv4 & 0xff;
    if ((how & LANE_VXLAN) !== 0) writeVxlan(mem, from, lanes[lane + Lane.vsid]);
    else writeNvgre(mem, from, lanes[lane + Lane.vsid], (how & LANE_FLOW_ID) !== 0 ? hash & 0xff : 0);
    if (c.outlet.send(mem, from, packetEnd, lanes[lane + Lane.peer], hash) && mem === c.scratch) c.replaceScratch();
    c.ledger.forward(lanes[lane + Lane.tenant], bytesIn, packetEnd - from);
  }

  /** What is known of `vsid` from host `peer`: its place in `#known`, whose tenant is 0 where the host may not speak for it. */
  #knownHost(vsid: number, peer: number): number {
    const at = ((vsid ^ Math.imul(peer, 0x9e3779b1)) & KNOWN - 1) * KNOWN_WORDS;
    const known = this.#known;
    if (known[at] === peer + 1 && known[at + 1] === vsid) return at;
    const policy = this.#policy;
    const subnet = policy.vsids.find(vsid, 0, 0, 0, 0);
    const tenant = subnet >= 0 && policy.speakers.find(subnet, peer, 0, 0, 0) >= 0 ? policy.subnets.tenant[subnet] : 0;
    return this.#remember(at, peer, vsid, 0, tenant, peer);
  }

  /** As `#knownHost`, of a GRE key from an uplink or a site's PA; sites that share a PA are told apart by it. */
  #knownKey(peer: number, keyed: number, key: number): number {
    const at = ((key ^ Math.imul(peer, 0x9e3779b1)) & KNOWN - 1) * KNOWN_WORDS;
    const known = this.#known;
    if (known[at] === peer + 1 && known[at + 1] === key && known[at + 2] === keyed) return at;
    const { greKeys, peers } = this.#policy;
    const found = greKeys.find(peer, keyed, key >>> 0, 0, 0);
    const isSite = peers.kind[peer] === PeerKind.site;
    return this.#remember(at, peer, key, keyed, found < 0 ? 0 : isSite ? peers.tenant[found] : found, isSite ? found : peer);
  }

  #remember(at: number, peer: number, id: number, keyed: number, tenant: number, sender: number): number {
    const known = this.#known;
    known[at] = peer + 1;
    known[at + 1] = id;
    known[at + 2] = keyed;
    known[at + 3] = tenant;
    known[at + 4] = sender;
    return at;
  }
}

/** A plain IPv4 packet with a sound UDP header, or a TCP one without events. */
function isOrdinary(mem: Uint8Array, l3: number, end: number): boolean {
  if (!isPlainIpv4(mem, l3, end)) return false;
  const l4 = l3 + IPV4_MIN_LEN, packetEnd = l3 + ipv4TotalLen(mem, l3);
  switch (ipv4Protocol(mem, l3)) {
    case IpProtocol.udp: return checkUdp(mem, l4, packetEnd) === 0;
    case IpProtocol.tcp: return checkTcp(mem, l4, packetEnd) === 0 && (tcpFlags(mem, l4) & TCP_EVENTS) === 0;
    default: return false;
  }
}
