/**
 * route: where to? A frame for another MAC of the VSID is bridged, all others are routed by the tenant's own table.
 *   needs   tenant, addresses; from a host also the frame
 *   leaves  route, record, toPeer, toKey; the next walk
 *   drops   mac_unknown, mac_same_host, spoofed_mac, link_local, no_route, no_record, frame_multicast, route_drop, transit, nat_ipv6
 */
import { IPV6_DST, IPV6_SRC, isIpv6LinkLocal } from '../../codecs/ipv6.js';
import { Fate, type Context } from '../context.js';
import { Walk, type Packet } from '../packet.js';
import { RecordKind, Via } from '../policy.js';
import { Reason } from '../reasons.js';
import { maskWord } from '../tables/lpm.js';
import { isForGateway, passOn } from './neighbor.js';

/** The longest prefix, counted on the v4-mapped form, whose last address is a broadcast: /31 has none (RFC 3021). */
const BROADCAST_BITS = 126;

/** From a host. */
export function route(p: Packet, c: Context): number {
  if (!isForGateway(p, c)) return isSubnetBroadcast(p, c) ? Reason.frame_multicast : passOn(p, c);
  const { policy } = c;
  const { tenants, routes, peers } = policy;
  const own = policy.findRecord(p.tenant, p.dst0, p.dst1, p.dst2, p.dst3);
  if (own >= 0 && policy.records.kind[own] === RecordKind.gateway) {
    p.record = own;
    p.next = Walk.toGateway;
    return Fate.next;
  }
  if (isLinkLocal(p)) return Reason.link_local;
  p.route = policy.routing.find(p.tenant, p.dst0, p.dst1, p.dst2, p.dst3);
  if (p.route < 0) return Reason.no_route;
  const target = routes.target[p.route];
  switch (routes.via[p.route]) {
    case Via.subnet:
    case Via.record:
      p.next = Walk.toSubnet;
      return deliver(p, c);
    case Via.nat:
      if (p.family !== 4) return Reason.nat_ipv6;
      if (policy.isOwnPool(p.tenant, p.dst3 | 0)) {
        p.next = Walk.toHairpin;
        return Fate.next;
      }
      p.toPeer = tenants.natUplink[p.tenant];
      p.toKey = tenants.natKeyed[p.tenant] === 1 ? tenants.natKey[p.tenant] : -1;
      p.next = Walk.toNat;
      return Fate.next;
    case Via.forward:
      p.toPeer = tenants.forwardUplink[p.tenant];
      p.toKey = tenants.forwardKeyed[p.tenant] === 1 ? tenants.forwardKey[p.tenant] : -1;
      p.next = Walk.toTunnel;
      return Fate.next;
    case Via.site:
      p.toPeer = target;
      p.toKey = peers.keyed[target] === 1 ? peers.key[target] : -1;
      p.next = Walk.toTunnel;
      return Fate.next;
    default:
      return Reason.route_drop;
  }
}

/** From an uplink or a site: only into the tenant's subnets, or to the gateway itself. */
export function routeInside(p: Packet, c: Context): number {
  const { policy } = c;
  const own = policy.findRecord(p.tenant, p.dst0, p.dst1, p.dst2, p.dst3);
  if (own >= 0 && policy.records.kind[own] === RecordKind.gateway) {
    p.record = own;
    p.next = Walk.toGateway;
    return Fate.next;
  }
  if (isLinkLocal(p)) return Reason.link_local;
  p.next = Walk.toSubnet;
  return deliver(p, c);
}

function isLinkLocal(p: Packet): boolean {
  return p.family === 6 && (isIpv6LinkLocal(p.mem, p.l3 + IPV6_SRC) || isIpv6LinkLocal(p.mem, p.l3 + IPV6_DST));
}

/** Whether the destination is the last address of the subnet that its route leads to (RFC 919 §7), where nothing may be let through (RFC 2644 §2). */
function isBroadcast(p: Packet, bits: number): boolean {
  const host = ~maskWord(bits, 3);
  return p.family === 4 && bits <= BROADCAST_BITS && (p.dst3 & host) === host;
}

/** Whether the packet is for all of the subnet, though its frame is for one: that one would take it for its own, under an address that no entry about it names. */
function isSubnetBroadcast(p: Packet, { policy }: Context): boolean {
  if (p.family !== 4 || (p.dst3 & 3) !== 3) return false; // saves nearly all the look-up
  const route = policy.routing.find(p.tenant, p.dst0, p.dst1, p.dst2, p.dst3);
  return route >= 0 && policy.routes.via[route] === Via.subnet && isBroadcast(p, policy.routes.bits[route]);
}

/** The host to deliver to, as the tenant's route says: by the CA's own record or the subnet's wildcard, or by the next hop's. */
export function deliver(p: Packet, c: Context): number {
  const { policy } = c;
  const { records, routes } = policy;
  if (p.route < 0) p.route = policy.routing.find(p.tenant, p.dst0, p.dst1, p.dst2, p.dst3);
  if (p.route < 0) return Reason.no_route;
  const via = routes.via[p.route];
  if (via === Via.subnet && isBroadcast(p, routes.bits[p.route])) return Reason.frame_multicast;
  const record = policy.deliverVia(p.route, p.tenant, p.dst0, p.dst1, p.dst2, p.dst3);
  if (record < 0) return via === Via.subnet ? Reason.no_record : via === Via.drop ? Reason.route_drop : Reason.transit;
  p.record = record;
  p.toPeer = records.peer[record];
  return Fate.next;
}
