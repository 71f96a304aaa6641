/**
 * The state that a stateful ACL entry keeps of a flow, seen from who opened it and who answers. TCP by its flags (RFC 9293
 * §3.3.2, both simultaneous opens and closes); sequence numbers are not looked at, so windows are not held to.
 *
 *   opening      SYN of the opener                     closed    FIN of both
 *   crossing     SYN of both, simultaneous open        reset     RST; goes on if it was forged (RFC 7857 §2.2)
 *   answered     SYN and ACK                           refused   RST before it was established
 *   established, and half-closed: opener-done, answerer-done
 *
 * Other protocols have pseudo states: one-way until the other end has answered, then both-ways.
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { TcpFlag } from '../../codecs/tcp.js';
import type { Timers } from '../policy-rows.js';

export const ConnectionState = {
  opening: 1, crossing: 2, answered: 3, established: 4, openerDone: 5, answererDone: 6, closed: 7, reset: 8, refused: 9, oneWay: 10, bothWays: 11,
} as const;
export const CONNECTION_STATE_NAMES: readonly string[] = [
  '-', 'opening', 'crossing', 'answered', 'established', 'opener-done', 'answerer-done', 'closed', 'reset', 'refused', 'one-way', 'both-ways',
];
const S = ConnectionState;

/** What `tcpStep` says beside states: the segment makes no sense now; it is a SYN that begins a new connection, if it may. */
export const NO_SENSE = 0, ANEW = -1;

/** One of SYN, FIN and RST at most, and ACK unless it is a SYN or RST: anything else is a probe (RFC 9293 §3.10.7). ECE, CWR, PSH and URG are nobody's business. */
export function hasGoodFlags(flags: number): boolean {
  const event = flags & (TcpFlag.syn | TcpFlag.fin | TcpFlag.rst);
  if ((event & event - 1) !== 0) return false;
  return (flags & TcpFlag.ack) !== 0 || (event & (TcpFlag.syn | TcpFlag.rst)) !== 0;
}

/** State after a segment with these (good) flags of the opener or of who answers; or `NO_SENSE`, or `ANEW`. `hasData`: it carries payload. */
export function tcpStep(state: number, flags: number, isOpener: boolean, hasData: boolean): number {
  if ((flags & TcpFlag.rst) !== 0) return state < S.established || state === S.refused ? S.refused : state === S.closed ? state : S.reset;
  const isSyn = (flags & TcpFlag.syn) !== 0, isSynAck = isSyn && (flags & TcpFlag.ack) !== 0;
  if (isSynAck) return synAck(state, isOpener);
  if (isSyn) return syn(state, isOpener);
  if ((flags & TcpFlag.fin) !== 0) return fin(state, isOpener);
  return ack(state, isOpener, hasData);
}

function syn(state: number, isOpener: boolean): number {
  switch (state) {
    case S.opening: return isOpener ? S.opening : S.crossing;
    case S.crossing: return S.crossing;
    case S.answered:
    case S.established: return isOpener ? state : NO_SENSE; // a copy, or of who has lost its memory: the other end will answer with its ACK (RFC 9293 §3.5.1)
    case S.openerDone: return isOpener ? ANEW : NO_SENSE;
    case S.answererDone: return isOpener ? NO_SENSE : ANEW;
    default: return ANEW;
  }
}

function synAck(state: number, isOpener: boolean): number {
  switch (state) {
    case S.opening: return isOpener ? NO_SENSE : S.answered;
    case S.crossing: return S.answered;
    case S.answered: return S.answered; // a copy, or the second of two that crossed
    case S.established:
    case S.openerDone:
    case S.answererDone: return isOpener ? NO_SENSE : state; // the last ACK was lost behind us
    default: return NO_SENSE;
  }
}

function fin(state: number, isOpener: boolean): number {
  switch (state) {
    case S.answered:
    case S.established: return isOpener ? S.openerDone : S.answererDone;
    case S.openerDone: return isOpener ? state : S.closed;
    case S.answererDone: return isOpener ? S.closed : state;
    case S.closed: return state;
    case S.reset: return isOpener ? S.openerDone : S.answererDone;
    default: return NO_SENSE;
  }
}

function ack(state: number, isOpener: boolean, hasData: boolean): number {
  switch (state) {
    case S.opening:
    case S.crossing: return isOpener || hasData ? NO_SENSE : state; // who believes an old connection to be there says so, and is reset (RFC 9293 §3.5.1)
    case S.answered: return isOpener ? S.established : state; // who answers may send before he knows (RFC 7413 §4.2)
    case S.reset: return S.established;
    case S.refused: return NO_SENSE;
    default: return state;
  }
}

/** Whether plain segments, or packets of other protocols, may pass without a look at the state: they would not change it. */
export function passesPlain(state: number): boolean {
  return state >= S.established && state <= S.answererDone || state >= S.oneWay;
}

/** Whether what comes in this state, or takes the connection to it, gives it its whole time anew. What comes after the last FIN or a RST extends nothing. */
export function isRefreshing(before: number, state: number): boolean {
  return before !== state || state < S.closed || state > S.refused;
}

/** Seconds that a connection lives after the packet that was seen last. Its entry's idle timeout bounds them all. */
export function connectionLifetime(state: number, idle: number, timers: Timers): number {
  if (state < S.established) return Math.min(idle, timers.tcpTransitory);
  return state >= S.closed && state <= S.refused ? Math.min(idle, timers.tcpClosing) : idle;
}

/** The state in which a flow of this protocol begins. */
export function firstState(protocol: number): number {
  return protocol === IpProtocol.tcp ? S.opening : S.oneWay;
}

/** State after a packet of a protocol other than TCP. */
export function pseudoStep(state: number, isOpener: boolean): number {
  return isOpener ? state : S.bothWays;
}
