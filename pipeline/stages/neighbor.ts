/**
 * arp, neighbor: answer who-has for the gateway's own CAs and for CAs whose record is on another host of the VSID, with
 * that record's MAC, as HNV hosts do for each other. An address that lives on the asking host is never answered for:
 * that would fail its duplicate-address detection.
 *   needs   subnet, claimed, frameAt; `neighbor` also the proof of `guard`
 *   leaves  unicast ARP and ND for somebody else: record, for delivery as they are
 *   drops   arp_*, nd_*, icmpv6_checksum, spoofed_source, spoofed_mac, neighbor_unanswered, mac_unknown, mac_same_host, frame_multicast
 */
import {
  ARP_REPLY, ARP_REQUEST, ARP_SENDER_MAC, arpOp, arpSenderIp, arpSenderMacHigh, arpSenderMacLow, arpTargetIp, checkArp, ARP_LEN, writeArp,
} from '../../codecs/arp.js';
import { macHigh, macLow, sameBytes, u32 } from '../../codecs/bytes.js';
import { ETHERNET_DST, ETHERNET_SRC, EtherType, isGroupMac } from '../../codecs/ethernet.js';
import {
  Icmpv6Type, NaFlag, ND_TARGET, ND_OPTIONS, NdOption, checkIcmpv6, checkNd, checkNdAddresses, fillIcmpv6Checksum, writeNeighborAdvert,
} from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { IPV6_LEN, IPV6_SRC, ipv6HopLimit, isIpv6LinkLocal, isIpv6Unspecified, writeIpv6 } from '../../codecs/ipv6.js';
import { V4_MAPPED } from '../address.js';
import { Fate, HEADROOM, type Context } from '../context.js';
import { Fragment, Walk, type Packet } from '../packet.js';
import { NONE, RecordKind } from '../policy.js';
import { Reason } from '../reasons.js';
import { originate, toSender } from '../answer.js';
import { ownedAddress, ownedMac } from './guard.js';

const ND_HOP_LIMIT = 255;
/** ff02::1, all nodes: where the answer goes when the asker has no address yet (RFC 4861 §7.2.4). */
const ALL_NODES = Uint8Array.of(0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC_HIGH = 0x3333, ALL_NODES_MAC_LOW = 1; // RFC 2464 §7

/** The record to answer with for `target`, or -1: the gateway's, or one on a host other than the asker's. */
function answerFor(p: Packet, c: Context, t0: number, t1: number, t2: number, t3: number): number {
  const { records } = c.policy;
  const record = c.policy.findRecord(p.claimed, t0, t1, t2, t3);
  if (record < 0 || records.subnet[record] !== p.subnet) return -1;
  if (records.kind[record] === RecordKind.gateway) return record;
  return records.kind[record] === RecordKind.static && records.peer[record] !== p.peer ? record : -1;
}

/**
 * A frame for another MAC of the VSID goes there as it is, so bridges on the way will learn where it came from: it must
 * not carry the MAC of a VM elsewhere, nor go back to its host, which would learn its own VM to be outside.
 */
export function passOn(p: Packet, c: Context): number {
  const { mem, frameAt } = p;
  const { peer } = c.policy.records;
  const record = c.policy.findMac(p.subnet, macHigh(mem, frameAt + ETHERNET_DST), macLow(mem, frameAt + ETHERNET_DST));
  if (record < 0 || peer[record] === NONE) return Reason.mac_unknown;
  if (peer[record] === p.peer) return Reason.mac_same_host;
  const source = c.policy.findMac(p.subnet, macHigh(mem, frameAt + ETHERNET_SRC), macLow(mem, frameAt + ETHERNET_SRC));
  if (source >= 0 && peer[source] !== p.peer && peer[source] !== NONE) return Reason.spoofed_mac; // NONE: routers of hosts may share our MAC
  p.record = record;
  p.toPeer = peer[record];
  p.next = Walk.toNeighbor;
  return Fate.next;
}

/** Whether the frame is addressed to the gateway's MAC. */
export function isForGateway(p: Packet, c: Context): boolean {
  const dst = p.frameAt + ETHERNET_DST;
  return macHigh(p.mem, dst) === c.policy.macHigh && macLow(p.mem, dst) === c.policy.macLow;
}

export function arp(p: Packet, c: Context): number {
  const { mem, l3 } = p;
  const fault = checkArp(mem, l3, p.end);
  if (fault !== 0) return fault;
  const sender = arpSenderIp(mem, l3);
  const source = sender === 0 ? ownedMac(p, c) : ownedAddress(p, c, 0, 0, V4_MAPPED, sender);
  if (source < 0) return Reason.spoofed_source;
  if (!isFrameSource(p, l3 + ARP_SENDER_MAC)) return Reason.spoofed_source;
  p.sourceRecord = source;
  p.tenant = p.claimed;

  const toGroup = isGroupMac(macHigh(mem, p.frameAt + ETHERNET_DST));
  const forGateway = isForGateway(p, c);
  if (!toGroup && !forGateway) return passOn(p, c);
  if (arpOp(mem, l3) !== ARP_REQUEST) return forGateway ? Fate.consumed : Reason.neighbor_unanswered; // nothing is learned yet

  const target = arpTargetIp(mem, l3);
  const record = answerFor(p, c, 0, 0, V4_MAPPED, target);
  if (record < 0) return Reason.neighbor_unanswered;
  const { records } = c.policy;
  const high = arpSenderMacHigh(mem, l3), low = arpSenderMacLow(mem, l3);
  toAsker(p, c);
  const at = HEADROOM;
  writeArp(c.scratch, at, ARP_REPLY, records.macHigh[record], records.macLow[record], target, high, low, sender);
  originate(p, c, c.scratch, 0, at, at + ARP_LEN, EtherType.arp);
  return Fate.consumed;
}

export function neighbor(p: Packet, c: Context): number {
  if (p.protocol !== IpProtocol.icmpv6 || p.icmpType < Icmpv6Type.routerSolicit || p.icmpType > Icmpv6Type.redirect) return Fate.next;
  if (p.fragment !== Fragment.none) return Reason.nd_malformed; // RFC 6980 §5: a guard that cannot see it whole lets none through
  const { mem, l3, l4, end } = p;
  const fault = checkIcmpv6(mem, l4, end, l3) || checkNd(mem, l4, end, ipv6HopLimit(mem, l3)) || checkNdAddresses(mem, l4, end, l3);
  if (fault !== 0) return fault;
  if (p.icmpType === Icmpv6Type.routerAdvert || p.icmpType === Icmpv6Type.redirect) return Reason.nd_router;

  if (claimsAnother(p, c)) return Reason.spoofed_source;

  const forGateway = isForGateway(p, c);
  if (!forGateway && !isGroupMac(macHigh(mem, p.frameAt + ETHERNET_DST))) return passOn(p, c);
  if (p.icmpType !== Icmpv6Type.neighborSolicit) return forGateway ? Fate.consumed : Reason.frame_multicast;

  const target = l4 + ND_TARGET;
  const record = answerFor(p, c, u32(mem, target), u32(mem, target + 4), u32(mem, target + 8), u32(mem, target + 12));
  if (record < 0) return Reason.neighbor_unanswered;
  advertise(p, c, record, target);
  return Fate.consumed;
}

/** Whether the MAC at `at`, which a neighbor is to remember, is that of the frame itself. */
function isFrameSource(p: Packet, at: number): boolean {
  return sameBytes(p.mem, at, p.mem, p.frameAt + ETHERNET_SRC, 6);
}

/** An advertisement of an address that is not the sender's, or any message with a link address that is not the frame's. A link-local address is anybody's who has the MAC. */
function claimsAnother(p: Packet, c: Context): boolean {
  const { mem, l4, end } = p;
  if (p.icmpType === Icmpv6Type.neighborAdvert) {
    const target = l4 + ND_TARGET;
    const owned = isIpv6LinkLocal(mem, target) ? ownedMac(p, c)
      : ownedAddress(p, c, u32(mem, target), u32(mem, target + 4), u32(mem, target + 8), u32(mem, target + 12));
    if (owned < 0) return true;
  }
  for (let option = l4 + ND_OPTIONS; option < end; option += mem[option + 1] << 3) {
    const isLink = mem[option] === NdOption.sourceLink || mem[option] === NdOption.targetLink;
    if (isLink && !isFrameSource(p, option + 2)) return true;
  }
  return false;
}

/** As `toSender`, but under the VSID in which was asked, for that is where the answer is waited for. */
function toAsker(p: Packet, c: Context): void {
  toSender(p, c);
  c.exit.vsid = p.vsid;
  c.exit.dstHigh = macHigh(p.mem, p.frameAt + ETHERNET_SRC);
  c.exit.dstLow = macLow(p.mem, p.frameAt + ETHERNET_SRC);
}

function advertise(p: Packet, c: Context, record: number, targetAt: number): void {
  const { records } = c.policy;
  const { mem, l3 } = p;
  const isProbe = isIpv6Unspecified(mem, l3 + IPV6_SRC);
  const isGateway = records.kind[record] === RecordKind.gateway;
  const flags = (isProbe ? 0 : NaFlag.solicited) | (isGateway ? NaFlag.router | NaFlag.override : 0); // no override for a proxy (RFC 4861 §7.2.8)
  const at = HEADROOM;
  const icmpAt = at + IPV6_LEN;
  const len = writeNeighborAdvert(c.scratch, icmpAt, mem, targetAt, flags, records.macHigh[record], records.macLow[record]);
  writeIpv6(c.scratch, at, len, IpProtocol.icmpv6, ND_HOP_LIMIT, mem, targetAt, isProbe ? ALL_NODES : mem, isProbe ? 0 : l3 + IPV6_SRC);
  fillIcmpv6Checksum(c.scratch, icmpAt, icmpAt + len, at);
  toAsker(p, c);
  if (isProbe) {
    c.exit.dstHigh = ALL_NODES_MAC_HIGH;
    c.exit.dstLow = ALL_NODES_MAC_LOW;
  }
  originate(p, c, c.scratch, 0, at, icmpAt + len, EtherType.ipv6);
}
