/**
 * The TCP state a NAT keeps: RFC 6146 §3.5.2.2, as RFC 7857 §2 takes it over. `in` is the tenant's side.
 * CLOSED is a session that does not exist.
 */
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
      return fin && !outbound ? TcpState.bothFin : state;
    case TcpState.outFin:
      if (!outbound && isOpening(flags)) return TcpState.outInit;
      return fin && outbound ? TcpState.bothFin : state;
    case TcpState.trans: return rst ? state : TcpState.established;
    case TcpState.bothFin: // a port pair used again (RFC 9293 §3.6.1) begins a new session under the old one's number
      return !isOpening(flags) ? state : outbound ? TcpState.inInit : TcpState.outInit;
    default: return state;
  }
}

/** Seconds that a session moving from `before` to `state` now has; 0 leaves the timer as it is. */
export function tcpLifetime(before: number, state: number, timers: Timers): number {
  switch (state) {
    case TcpState.established:
      return timers.tcpEstablished;
    case TcpState.inFin:
    case TcpState.outFin: // the FIN itself changes no timer, what the other side still sends does
      return before === state ? timers.tcpEstablished : 0;
    case TcpState.inInit:
    case TcpState.outInit:
      return timers.tcpTransitory;
    default: // closing: the timer was set on the way in, and nothing extends it
      return before === state ? 0 : timers.tcpTransitory;
  }
}
