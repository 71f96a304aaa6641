/**
 * fragments: give a later fragment the ports of its first, so that all fragments of a datagram go the same way.
 *   needs   tenant, addresses, fragment
 *   leaves  protocol, ports and ICMP type of later fragments; `releases` when this one sets others free
 *   drops   fragment_overlap, fragment_table, fragment_hold; holds what came before its first
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { Fate, seconds, type Context } from '../context.js';
import { Fragment, Walk, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';

/**
 * Datagrams of different tenants and directions never meet: tenant, family, protocol and kind of sender. Fragments of one
 * IPv6 datagram may name different protocols, the first of its extension headers or the transport (RFC 8200 §4.5).
 */
function scopeOf(p: Packet, c: Context): number {
  const protocol = p.family === 4 ? p.protocol : 0;
  return (p.tenant << 11 | protocol << 3 | c.policy.peers.kind[p.peer] << 1 | (p.family === 6 ? 1 : 0)) >>> 0;
}

/** The tenant in a scope. */
export function tenantOfScope(scope: number): number {
  return scope >>> 11;
}

export function fragments(p: Packet, c: Context): number {
  if (p.fragment === Fragment.none) return Fate.next;
  c.fragments.locks.lock(0);
  const verdict = place(p, c);
  c.fragments.locks.unlock();
  return verdict;
}

function place(p: Packet, c: Context): number {
  const table = c.fragments;
  const { timers } = c.policy;
  const now = seconds(p);
  const scope = scopeOf(p, c);
  let entry = table.find(scope, p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, p.fragmentId);

  if (p.fragment === Fragment.first) {
    if (entry < 0 && isUnbound(p, c)) return Fate.next; // natIn is about to drop it: nothing to remember
    if (entry < 0) entry = table.add(scope, p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, p.fragmentId, now + timers.fragment);
    if (entry < 0) return Reason.fragment_table;
    // A second first fragment begins a new datagram under an old number: its ports count from here on.
    const ports = p.hasPorts ? p.sport << 16 | p.dport : p.sport << 16 | p.icmpType & 0xffff;
    table.know(entry, p.protocol, ports >>> 0, p.fragmentLen, now + timers.fragment);
    p.releases = entry;
    return Fate.next;
  }

  if (entry >= 0 && table.isKnown(entry)) {
    if (p.fragmentOffset < table.firstEnd(entry)) return Reason.fragment_overlap;
    p.protocol = table.protocol(entry);
    borrowPorts(p, table.ports(entry));
    return Fate.next;
  }
  if (p.resumed) return Reason.fragment_orphan; // its first was dropped before it could be known
  const holder = p.tenant << 1 | (p.frameAt < 0 ? 1 : 0); // what outsiders send counts apart from the tenant's own
  if (!table.canHold(holder, p.end - p.at)) return Reason.fragment_hold; // before it costs anybody an entry
  if (entry < 0) {
    entry = table.add(scope, p.src0, p.src1, p.src2, p.src3, p.dst0, p.dst1, p.dst2, p.dst3, p.fragmentId, now + timers.fragmentHold);
    if (entry < 0) return Reason.fragment_table;
  }
  table.hold(entry, holder, p.mem, p.at, p.end, p.tag, p.carrier, p.side, p.peer, c.policy.generation);
  return Fate.held;
}

/** From the Internet to an address and port of the pool that lead to nobody. */
function isUnbound(p: Packet, c: Context): boolean {
  if (p.next !== Walk.uplinkNat || (p.protocol !== IpProtocol.tcp && p.protocol !== IpProtocol.udp)) return false;
  return c.nat.findOutside(p.protocol, p.dst3, p.dport) < 0 && c.policy.mappingsOutside.find(p.protocol, p.dst3, p.dport, 0, 0) < 0;
}

function borrowPorts(p: Packet, ports: number): void {
  p.sport = ports >>> 16;
  p.dport = ports & 0xffff;
  if (p.protocol === IpProtocol.tcp || p.protocol === IpProtocol.udp) {
    p.hasPorts = true;
  } else if (p.protocol === IpProtocol.icmp || p.protocol === IpProtocol.icmpv6) {
    p.icmpType = p.dport;
    p.dport = p.sport;
  }
}
