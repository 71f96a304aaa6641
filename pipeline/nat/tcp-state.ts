/**
 * The TCP state a NAT keeps: RFC 6146 §3.5.2.2, as RFC 7857 §2 takes it over. `in` is the tenant's side.
 * CLOSED is a session that does not exist. Where that table is silent: a reset ends a half-closed connection too, which would
 * else live on for two hours; and a FIN that shows a reset to be forged counts as one.
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { TcpFlag } from '../../codecs/tcp.js';
import type { Timers } from '../policy-rows.js';

export const TcpState = { inInit: 1, outInit: 2, established: 3, inFin: 4, outFin: 5, bothFin: 6, trans: 7 } as const;
export const TCP_STATE_NAMES: readonly string[] = ['-', 'in-init', 'out-init', 'established', 'in-fin', 'out-fin', 'both-fin', 'trans'];

/** SYN and nothing that contradicts it. ECE and CWR may come along (RFC 3168 §6.1.1). */
export function isOpening(flags: number): boolean {
  return (flags & (TcpFlag.syn | TcpFlag.ack | TcpFlag.rst | TcpFlag.fin)) === TcpFlag.syn;
}

/** State after a segment with these flags, from inside (`outbound`) or from outside. */
export function tcpNext(state: number, flags: number, outbound: boolean): number {
  const syn = (flags & TcpFlag.syn) !== 0, fin = (flags & TcpFlag.fin) !== 0, rst = (flags & TcpFlag.rst) !== 0;
  switch (state) {
    case TcpState.inInit: return syn && !outbound ? TcpState.established : state;
    case TcpState.outInit: return syn && outbound ? TcpState.established : state;
    case TcpState.established:
      if (rst) return TcpState.trans;
      return !fin ? state : outbound ? TcpState.inFin : TcpState.outFin;
    case TcpState.inFin: // who has closed and says SYN again begins anew, whether the other end ever closed or not
      if (outbound && isOpening(flags)) return TcpState.inInit;
      if (rst) return TcpState.trans;
      return fin && !outbound ? TcpState.bothFin : state;
    case TcpState.outFin:
      if (!outbound && isOpening(flags)) return TcpState.outInit;
      if (rst) return TcpState.trans;
      return fin && outbound ? TcpState.bothFin : state;
    case TcpState.trans:
      if (rst) return state;
      return !fin ? TcpState.established : outbound ? TcpState.inFin : TcpState.outFin;
    case TcpState.bothFin: // a port pair used again (RFC 9293 §3.6.1) begins a new session under the old one's number
      return !isOpening(flags) ? state : outbound ? TcpState.inInit : TcpState.outInit;
    default: return state;
  }
}

/** Whether segments that carry no flag of interest may pass without a look at the state: they would not change it. */
export function letsPass(state: number): boolean {
  return state === TcpState.established || state === TcpState.inFin || state === TcpState.outFin;
}

/**
 * Whether a segment with these flags that takes the state from `before` to `state` gives the session its whole time anew. A reset that changes
 * nothing does not: it answers what somebody tries, and would keep alive what is tried in vain (RFC 7857 §7).
 */
export function refreshes(before: number, state: number, flags: number): boolean {
  if (before === state && (flags & TcpFlag.rst) !== 0) return false;
  switch (state) {
    case TcpState.established:
    case TcpState.inInit:
    case TcpState.outInit:
      return true;
    case TcpState.inFin:
    case TcpState.outFin: // the FIN itself does not, what the other side still sends does
      return before === state;
    default: // closing: what comes after the last FIN or the RST extends nothing
      return before !== state;
  }
}

/** Seconds that a session lives after the packet that was seen last (RFC 4787 §4.3, RFC 5382 §5, RFC 5508 §3.2; RFC 7857 §2.1 has two transitory ones). */
export function sessionLifetime(protocol: number, state: number, timers: Timers): number {
  if (protocol === IpProtocol.udp) return timers.udp;
  if (protocol !== IpProtocol.tcp) return timers.icmp;
  if (letsPass(state)) return timers.tcpEstablished;
  return state === TcpState.bothFin || state === TcpState.trans ? timers.tcpClosing : timers.tcpTransitory;
}
