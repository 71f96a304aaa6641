/**
 * hairpin, turn: from a VM to an outside end of its own tenant (RFC 4787 §6, RFC 5382 §7.2, RFC 5508 §4.4): what would go to the uplink
 * and come back is turned round here. It goes out by `natOut`, which gives it its outside source, and comes in by `natIn` as from the
 * Internet: the same mapping, filtering and rules, both sessions kept, one hop paid.
 *   needs   tenant, addresses, ports; turn: natAddress, natPort
 *   leaves  src, sport as everybody outside sees them; route, session, binding and mapping free for the way in
 *   drops   nat_no_binding
 */
import { isIcmpError } from '../../codecs/icmp.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { Fate, type Context } from '../context.js';
import type { Packet } from '../packet.js';
import { Reason } from '../reasons.js';

/** Before anything is opened for it: it must lead somewhere. Errors are told by what they quote. */
export function hairpin(p: Packet, c: Context): number {
  const { nat, policy } = c;
  p.toKey = -1;
  if (p.protocol === IpProtocol.icmp) return isIcmpError(p.icmpType) || leadsSomewhere(p, c) ? Fate.next : Reason.nat_no_binding;
  if (p.protocol !== IpProtocol.tcp && p.protocol !== IpProtocol.udp) return Fate.next; // natOut has a word for it
  return nat.findOutside(p.protocol, p.dst3, p.dport) >= 0 || policy.mapped.findOutside(p.tenant, p.protocol, p.dst3, p.dport) >= 0 ? Fate.next : Reason.nat_no_binding;
}

/** An ICMP query's id is not yet the one that it will have: it must be for an address that is mapped as a whole, or be a reply. */
function leadsSomewhere(p: Packet, { nat, policy }: Context): boolean {
  return policy.mapped.findOutside(p.tenant, p.protocol, p.dst3, p.dport) >= 0 || nat.findOutside(p.protocol, p.dst3, p.dport) >= 0;
}

/** It is outside now: from here on it is a packet like any that comes in. */
export function turn(p: Packet, _c: Context): number {
  p.src3 = p.natAddress;
  if (p.quoteAt < 0) {
    p.sport = p.natPort;
    if (p.protocol === IpProtocol.icmp) p.dport = p.natPort; // one id for both ends
  }
  p.route = p.session = p.binding = p.mapping = -1;
  return Fate.next;
}
