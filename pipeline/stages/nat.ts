/**
 * natOut; natIn, natTrack: find or make the binding and session of an IPv4 packet to or from the Internet (RFC 4787, 5382,
 * 5508). Bytes are `rewrite`'s. Mapping is endpoint-independent, a binding serves every remote end; filtering is as the tenant has it.
 * Inbound it takes two steps, so that what the ACL refuses in between opens nothing and refreshes nothing (RFC 7857 §6).
 *   needs   tenant, addresses, ports
 *   leaves  binding, session, natAddress, natPort, quoteAt, rewrites; inbound also dst, dport, record, toPeer
 *   drops   nat_*, icmp_checksum, ipv4_*, no_record
 */
import { IcmpType } from '../../codecs/icmp.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { tcpFlags } from '../../codecs/tcp.js';
import { Fate, seconds, type Context } from '../context.js';
import { allowsBinding, isOlder } from '../nat/allowed.js';
import { admits } from '../nat/filter.js';
import { findLiveSession } from '../nat/live.js';
import { bindFixed, bindToPool } from '../nat/ports.js';
import { refuseBinding, refuseSession } from '../nat/quota.js';
import { icmpErrorIn, icmpErrorOut } from '../nat/icmp.js';
import { Fragment, Rewrite, type Packet } from '../packet.js';
import { Filtering } from '../policy.js';
import { Reason } from '../reasons.js';
import { FROM_OUTSIDE, PERMITS, type NatState } from '../tables/nat-state.js';
import { permit, withdraw } from '../tables/permits.js';
import { TcpState, isOpening, letsPass, refreshes, tcpNext } from '../nat/tcp-state.js';
import { deliver } from './route.js';

const ICMP_NO_PORT = 0;

/** From inside. Fails closed: a packet that gets no session is not sent untranslated. */
export function natOut(p: Packet, c: Context): number {
  if (p.protocol === IpProtocol.icmp) {
    if (isNatError(p.icmpType)) return icmpErrorOut(p, c);
    // Replies go out where queries come in: from an address that is mapped as a whole.
    if (!isQuery(p.icmpType) && !(isReply(p.icmpType) && c.policy.mapped.findInside(p.tenant, p.protocol, p.src3, p.sport) >= 0)) return Reason.nat_icmp;
  } else if (p.protocol !== IpProtocol.tcp && p.protocol !== IpProtocol.udp) {
    return Reason.nat_protocol;
  }

  const { nat } = c;
  const chain = nat.lockInside(p.tenant, p.protocol, p.src3 | 0, p.sport);
  const verdict = trackOut(p, c, chain);
  nat.locks.unlock();
  if (verdict !== 0) return verdict;
  p.natAddress = nat.sessionOutside(p.session);
  p.natPort = nat.sessionOutsidePort(p.session);
  p.rewrites |= Rewrite.natOut;
  return Fate.next;
}

/** From the Internet, to a pool address of the tenant: which inside host it is for. Takes no lock and changes nothing. */
export function natIn(p: Packet, c: Context): number {
  if (p.protocol === IpProtocol.icmp) {
    if (isNatError(p.icmpType)) return icmpErrorIn(p, c);
    if (!isReply(p.icmpType) && !(isQuery(p.icmpType) && c.policy.mapped.findOutside(p.tenant, p.protocol, p.dst3, p.dport) >= 0)) return Reason.nat_icmp;
  } else if (p.protocol !== IpProtocol.tcp && p.protocol !== IpProtocol.udp) {
    return Reason.nat_protocol;
  }

  const { nat, policy } = c;
  p.natAddress = p.dst3;
  p.natPort = p.dport;
  const binding = nat.findOutside(p.protocol, p.dst3, p.dport);
  if (binding >= 0 && isUsable(c, binding, seconds(p))) {
    if (nat.tenantOf(binding) !== p.tenant) return Reason.nat_no_binding;
    if (!admits(policy, nat, binding, p.src3) && nat.findInbound(p.protocol, p.dst3, p.dport, p.src3, remotePortOf(p, p.sport)) < 0) return Reason.nat_filtered;
    p.binding = binding;
    p.dst3 = nat.inside(binding);
    p.dport = nat.insidePort(binding);
  } else {
    p.mapping = policy.mapped.findOutside(p.tenant, p.protocol, p.dst3, p.dport);
    if (p.mapping < 0) return Reason.nat_no_binding;
    p.dst3 = policy.mapped.internal(p.mapping, p.natAddress);
    p.dport = policy.mapped.internalPort(p.mapping, p.natPort);
  }
  p.rewrites |= Rewrite.natIn;
  return deliver(p, c);
}

/** A packet that `natIn` has placed and nobody has refused: its session, and its binding if it comes by a mapping not in use. */
export function natTrack(p: Packet, c: Context): number {
  if (p.quoteAt >= 0) return Fate.next;
  const { nat } = c;
  const chain = nat.lockInside(p.tenant, p.protocol, p.dst3 | 0, p.dport);
  const verdict = trackIn(p, c, chain);
  nat.locks.unlock();
  return verdict;
}

function isNatError(type: number): boolean {
  return type === IcmpType.unreachable || type === IcmpType.timeExceeded || type === IcmpType.parameterProblem;
}

function isQuery(type: number): boolean {
  return type === IcmpType.echo || type === IcmpType.timestamp;
}

function isReply(type: number): boolean {
  return type === IcmpType.echoReply || type === IcmpType.timestampReply;
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

/** Whether new sessions may join this binding: its time is not up, and the policy in force would make it too. */
function isUsable({ nat, policy }: Context, binding: number, now: number): boolean {
  if (!nat.isLive(binding, now, policy.timers)) return false;
  return !isOlder(nat.generationOf(binding), policy.generation) || allowsBinding(policy, nat, binding);
}

/** Under the lock: the session of a packet from inside, found or made. */
function trackOut(p: Packet, c: Context, chain: number): number {
  const { nat } = c;
  const now = seconds(p) | 0;
  const remotePort = remotePortOf(p, p.dport), src = p.src3 | 0, dst = p.dst3 | 0;
  p.session = findLiveSession(c, p.tenant, p.protocol, src, p.sport, dst, remotePort, now);
  if (p.session >= 0) return advance(p, c, true, now);

  if (!mayOpen(p)) return Reason.nat_tcp_not_syn;
  if (isReply(p.icmpType)) return Reason.nat_no_session;
  if (!nat.hasRoom) return Reason.nat_sessions_spent; // before a binding is made for nothing
  const refusal = refuseSession(p, c, src);
  if (refusal !== 0) return refusal;
  p.binding = nat.findInside(p.tenant, p.protocol, src, p.sport, now, c.policy.timers, -1, chain);
  while (p.binding >= 0 && !isKept(p, c)) p.binding = nat.findInside(p.tenant, p.protocol, src, p.sport, now, c.policy.timers, p.binding, chain);
  const isNew = p.binding < 0;
  if (isNew) {
    const verdict = bind(p, c, chain, now);
    if (verdict !== 0) return verdict;
  }
  const permits = c.policy.tenants.filtering[p.tenant] === Filtering.addressDependent && !nat.isStatic(p.binding);
  if (permits && !permit(nat, p.binding, dst)) {
    if (isNew) nat.unbind(p.binding);
    return Reason.nat_sessions_spent;
  }
  return open(p, c, dst, remotePort, permits ? PERMITS : 0, isNew, chain, now);
}

/** Under the lock: the session of a packet from outside, found or made. */
function trackIn(p: Packet, c: Context, chain: number): number {
  const { nat, policy } = c;
  const now = seconds(p);
  const remotePort = remotePortOf(p, p.sport);
  p.session = findLiveSession(c, p.tenant, p.protocol, p.dst3, p.dport, p.src3, remotePort, now);
  if (p.session >= 0 && (nat.sessionOutside(p.session) !== p.natAddress || nat.sessionOutsidePort(p.session) !== p.natPort)) {
    // One inside end behind two outside ones, and the same remote end comes to both: inside, the two could not be told apart.
    if (p.protocol !== IpProtocol.tcp || letsPass(nat.state(p.session)) || !mayOpen(p)) return Reason.nat_session_taken;
    nat.close(p.session);
    p.session = -1;
  }
  if (p.session >= 0) return advance(p, c, false, now);

  if (!mayOpen(p)) return Reason.nat_tcp_not_syn;
  if (!policy.isByNat(p.tenant, p.src3)) return Reason.nat_no_way_back;
  if (!nat.hasRoom) return Reason.nat_sessions_spent;
  p.binding = nat.findOutside(p.protocol, p.natAddress, p.natPort); // again: others may have come before the lock did
  if (p.binding >= 0 && (!isInside(p, nat) || !nat.settle(p.binding, now, policy.timers) || !isKept(p, c))) p.binding = -1;
  const isNew = p.binding < 0;
  if (isNew) {
    if (p.mapping < 0) return Reason.nat_no_binding;
    if (isReply(p.icmpType)) return Reason.nat_no_session; // to a query that nobody has asked
  } else if (!admits(policy, nat, p.binding, p.src3)) {
    return Reason.nat_filtered;
  }
  const refusal = refuseSession(p, c, p.dst3 | 0);
  if (refusal !== 0) return refusal;
  if (isNew) {
    const binding = bindFixed(p, c, p.dst3 | 0, p.dport, p.natAddress, p.natPort, chain, now);
    if (binding === -Reason.nat_ports_spent) return Reason.nat_no_binding; // there is one, that is not to be used
    if (binding < 0) return -binding;
    p.binding = binding;
  }
  return open(p, c, p.src3 | 0, remotePort, FROM_OUTSIDE, isNew, chain, now);
}

/** Whether the packet's binding leads to the inside end that it was placed at, whose lock is held: the outside end may have changed hands. */
function isInside(p: Packet, nat: NatState): boolean {
  return nat.tenantOf(p.binding) === p.tenant && nat.inside(p.binding) === p.dst3 && nat.insidePort(p.binding) === p.dport;
}

/** Whether the policy in force keeps the packet's binding. One that it does not gets no more sessions; those it has are the reaper's to close, and it goes with the last. */
function isKept(p: Packet, { nat, policy }: Context): boolean {
  if (!isOlder(nat.generationOf(p.binding), policy.generation)) return true;
  const isAllowed = allowsBinding(policy, nat, p.binding);
  if (isAllowed) nat.allow(p.binding, policy.generation);
  return isAllowed;
}

/** A binding for the packet's inside address and port: 0, or the reason why not. */
function bind(p: Packet, c: Context, chain: number, now: number): number {
  const { mapped } = c.policy, src = p.src3 | 0;
  p.mapping = mapped.findInside(p.tenant, p.protocol, src, p.sport);
  let binding: number;
  if (p.mapping >= 0) {
    binding = bindFixed(p, c, src, p.sport, mapped.external(p.mapping, p.src3), mapped.externalPort(p.mapping, p.sport), chain, now);
  } else {
    const refusal = refuseBinding(p, c, src);
    if (refusal !== 0) return refusal;
    binding = bindToPool(p, c, chain, now);
  }
  if (binding < 0) return -binding;
  p.binding = binding;
  return 0;
}

/** Open a session of the packet's binding: `mark` says who opens it, and whether it counts in a permission. A new binding that gets none goes again. */
function open(p: Packet, c: Context, remote: number, remotePort: number, mark: number, isNewBinding: boolean, chain: number, now: number): number {
  const isTcp = p.protocol === IpProtocol.tcp, state = !isTcp ? 0 : mark === FROM_OUTSIDE ? TcpState.outInit : TcpState.inInit;
  p.session = c.nat.open(p.binding, remote, remotePort, state | mark, !isTcp, c.policy.generation, now, chain);
  if (p.session >= 0) return 0;
  if (mark === PERMITS) withdraw(c.nat, p.binding, remote);
  if (isNewBinding) c.nat.unbind(p.binding);
  return Reason.nat_sessions_spent;
}

/** Move the session's state on, and set its clock. */
function advance(p: Packet, c: Context, outbound: boolean, now: number): number {
  const { nat } = c;
  const before = nat.state(p.session);
  if (p.protocol !== IpProtocol.tcp) {
    nat.touch(p.session, now);
    return 0;
  }
  const isLater = p.fragment === Fragment.later, flags = isLater ? 0 : tcpFlags(p.mem, p.l4);
  const state = isLater ? before : tcpNext(before, flags, outbound);
  if (state !== before) nat.move(p.session, state, letsPass(state));
  if (refreshes(before, state, flags)) nat.touch(p.session, now);
  return 0;
}
