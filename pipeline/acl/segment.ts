/** What the packet in hand does to the state of its connection. */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { TcpFlag, tcpFlags, tcpHeaderLen } from '../../codecs/tcp.js';
import { Fragment, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';
import { NO_SENSE, hasGoodFlags, pseudoStep, tcpStep } from './state.js';

/** Beside what `tcpStep` says: flags that no state has. */
export const BAD_FLAGS = -2;

/** State after it, `NO_SENSE`, `ANEW` or `BAD_FLAGS`. A later fragment follows its first, which has been looked at. */
export function nextState(p: Packet, state: number, isOpener: boolean): number {
  if (p.protocol !== IpProtocol.tcp) return pseudoStep(state, isOpener);
  if (p.fragment === Fragment.later) return state;
  const flags = tcpFlags(p.mem, p.l4);
  if (!hasGoodFlags(flags)) return BAD_FLAGS;
  return tcpStep(state, flags, isOpener, p.end - p.l4 > tcpHeaderLen(p.mem, p.l4));
}

/** The reason for what is no state. */
export function refusalOf(next: number): number {
  return next === BAD_FLAGS ? Reason.acl_tcp_flags : next === NO_SENSE ? Reason.acl_tcp_state : Reason.acl_tcp_no_connection;
}

/** Why the packet may not open a connection: 0 when it may. Of TCP a SYN alone does. */
export function refusalToOpen(p: Packet): number {
  if (p.protocol !== IpProtocol.tcp) return 0;
  if (p.fragment === Fragment.later) return Reason.acl_tcp_no_connection;
  const flags = tcpFlags(p.mem, p.l4);
  if (!hasGoodFlags(flags)) return Reason.acl_tcp_flags;
  if ((flags & TcpFlag.syn) === 0) return Reason.acl_tcp_no_connection;
  return (flags & TcpFlag.ack) === 0 ? 0 : Reason.acl_tcp_state;
}
