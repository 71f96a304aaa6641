/**
 * natOut; natIn, natTrack: find or make the binding and session of an IPv4 packet to or from the Internet (RFC 4787, 5382,
 * 5508). Bytes are `rewrite`'s. Mapping and filtering are endpoint-independent: a binding serves every remote end.
 * Inbound it takes two steps, so that what the ACL refuses in between opens nothing and refreshes nothing (RFC 7857 §6).
 *   needs   tenant, addresses, ports
 *   leaves  binding, session, natAddress, natPort, quoteAt, rewrites; inbound also dst, dport, record, toPeer
 *   drops   nat_*, icmp_checksum, ipv4_*, no_record
 */
import { IcmpType } from '../../codecs/icmp.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { tcpFlags } from '../../codecs/tcp.js';
import { Fate, seconds, type Context } from '../context.js';
import { allocatePort } from '../nat/ports.js';
import { icmpErrorIn, icmpErrorOut } from '../nat/icmp.js';
import { Fragment, Rewrite, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';
import { TcpState, isOpening, tcpLifetime, tcpNext } from '../nat/tcp-state.js';
import { deliver } from './route.js';

const ICMP_NO_PORT = 0;

/** From inside. Fails closed: a packet that gets no binding is not sent untranslated. */
export function natOut(p: Packet, c: Context): number {
  if (p.protocol === IpProtocol.icmp) {
    if (isNatError(p.icmpType)) return icmpErrorOut(p, c);
    if (p.icmpType !== IcmpType.echo && p.icmpType !== IcmpType.timestamp) return Reason.nat_icmp;
  } else if (p.protocol !== IpProtocol.tcp && p.protocol !== IpProtocol.udp) {
    return Reason.nat_protocol;
  }

  const now = seconds(p);
  const { nat } = c;
  let binding = nat.findInside(p.tenant, p.protocol, p.src3, p.sport, p.dst3, remotePortOf(p, p.dport), now);
  const isNew = binding < 0;
  if (isNew) {
    if (!mayOpen(p)) return Reason.nat_tcp_not_syn;
    const made = bind(p, c, now);
    if (made < 0) return -made;
    binding = made;
  }
  const verdict = track(p, c, binding, p.dst3, remotePortOf(p, p.dport), true, now);
  if (verdict !== 0) {
    if (isNew) nat.unbind(binding);
    return verdict;
  }
  p.natAddress = nat.outside(binding);
  p.natPort = nat.outsidePort(binding);
  p.rewrites |= Rewrite.natOut;
  return Fate.next;
}

/** From the Internet, to a pool address of the tenant: which inside host it is for. */
export function natIn(p: Packet, c: Context): number {
  if (p.protocol === IpProtocol.icmp) {
    if (isNatError(p.icmpType)) return icmpErrorIn(p, c);
    if (p.icmpType !== IcmpType.echoReply && p.icmpType !== IcmpType.timestampReply) return Reason.nat_icmp;
  } else if (p.protocol !== IpProtocol.tcp && p.protocol !== IpProtocol.udp) {
    return Reason.nat_protocol;
  }

  const { nat, policy } = c;
  p.natAddress = p.dst3;
  p.natPort = p.dport;
  p.binding = nat.findOutside(p.protocol, p.dst3, p.dport, seconds(p));
  if (p.binding >= 0) {
    if (nat.tenantOf(p.binding) !== p.tenant) return Reason.nat_no_binding;
    p.dst3 = nat.inside(p.binding);
    p.dport = nat.insidePort(p.binding);
  } else {
    p.mapping = policy.mappingsOutside.find(p.protocol, p.dst3, p.dport, 0, 0);
    if (p.mapping < 0) return Reason.nat_no_binding;
    p.dst3 = policy.mappings.internal[p.mapping];
    p.dport = policy.mappings.internalPort[p.mapping];
  }
  p.rewrites |= Rewrite.natIn;
  return deliver(p, c);
}

/** A packet that `natIn` has placed and nobody has refused: its session, and its binding if it comes by a mapping not in use. */
export function natTrack(p: Packet, c: Context): number {
  if (p.quoteAt >= 0) return Fate.next;
  const { nat } = c;
  const now = seconds(p);
  const isNew = p.binding < 0;
  if (isNew) {
    if (!mayOpen(p)) return Reason.nat_tcp_not_syn;
    p.binding = nat.bind(p.tenant, p.protocol, p.dst3, p.dport, p.natAddress, p.natPort, true, now);
    if (p.binding < 0) return Reason.nat_bindings_spent;
  }
  const verdict = track(p, c, p.binding, p.src3, remotePortOf(p, p.sport), false, now);
  if (verdict !== 0 && isNew) nat.unbind(p.binding);
  return verdict;
}

function isNatError(type: number): boolean {
  return type === IcmpType.unreachable || type === IcmpType.timeExceeded || type === IcmpType.parameterProblem;
}

/** ICMP queries have one id for both ends: it is the inside port, and the remote end has none. */
function remotePortOf(p: Packet, port: number): number {
  return p.protocol === IpProtocol.icmp ? ICMP_NO_PORT : port;
}

/** A TCP segment that may start something: SYN alone. Later fragments cannot tell. */
function mayOpen(p: Packet): boolean {
  if (p.protocol !== IpProtocol.tcp) return true;
  return p.fragment !== Fragment.later && isOpening(tcpFlags(p.mem, p.l4));
}

/** A binding for the packet's inside address and port, or minus the reason why not. */
function bind(p: Packet, c: Context, now: number): number {
  const { nat, policy } = c;
  p.mapping = policy.mappingsInside.find(p.tenant, p.protocol, p.src3, p.sport, 0);
  if (p.mapping >= 0) {
    const { external, externalPort } = policy.mappings;
    const made = nat.bind(p.tenant, p.protocol, p.src3, p.sport, external[p.mapping], externalPort[p.mapping], true, now);
    return made < 0 ? -Reason.nat_bindings_spent : made;
  }
  if (!allocatePort(p, c, now)) return -Reason.nat_ports_spent;
  const made = nat.bind(p.tenant, p.protocol, p.src3, p.sport, p.natAddress, p.natPort, false, now);
  return made < 0 ? -Reason.nat_bindings_spent : made;
}

/** Find or open the session, move its state on, and set its timer. */
function track(p: Packet, c: Context, binding: number, remote: number, remotePort: number, outbound: boolean, now: number): number {
  const { nat } = c;
  const { timers } = c.policy;
  const isTcp = p.protocol === IpProtocol.tcp;
  let session = nat.findSession(binding, remote, remotePort, now);
  if (session < 0) {
    if (!mayOpen(p)) return Reason.nat_tcp_not_syn;
    if (!outbound && !c.policy.isByNat(p.tenant, remote)) return Reason.nat_no_way_back;
    const state = isTcp ? outbound ? TcpState.inInit : TcpState.outInit : 0;
    const lifetime = isTcp ? timers.tcpTransitory : p.protocol === IpProtocol.udp ? timers.udp : timers.icmp;
    session = nat.open(binding, remote, remotePort, state, now + lifetime, now);
    if (session < 0) return Reason.nat_sessions_spent;
  } else if (isTcp) {
    const before = nat.state(session);
    const state = p.fragment === Fragment.later ? before : tcpNext(before, tcpFlags(p.mem, p.l4), outbound);
    const lifetime = tcpLifetime(before, state, timers);
    nat.touch(session, state, lifetime > 0 ? now + lifetime : nat.expires(session));
  } else {
    nat.touch(session, 0, now + (p.protocol === IpProtocol.udp ? timers.udp : timers.icmp));
  }
  p.binding = binding;
  p.session = session;
  return 0;
}
