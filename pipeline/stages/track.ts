/**
 * track: make and move the state that stateful ACL entries keep, now that nobody has refused the packet: for the side it
 * comes from, the side it goes to, or both.
 *   needs   tracks, and what the ACL has noted beside it
 *   leaves  tracks: whether the connections let plain packets pass unseen
 *   drops   acl_tcp_flags, acl_tcp_no_connection, acl_tcp_state, acl_connections_spent
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { nextState, refusalOf } from '../acl/segment.js';
import { ANEW, firstState, isRefreshing, passesPlain } from '../acl/state.js';
import { Tracks, type Tracked } from '../acl/tracked.js';
import { forgetFlow, forgetTracked } from '../compile-flow.js';
import { Fate, seconds, type Context } from '../context.js';
import type { Packet } from '../packet.js';
import { Reason } from '../reasons.js';

export function track(p: Packet, c: Context): number {
  if (p.tracks === 0) {
    // NAT has set the clock of both directions: the other one must not take that for its connection's, which is over.
    if (p.session >= 0 && p.quoteAt < 0 && c.policy.tenants.stateful[p.tenant] === 1) forgetTracked(p, c);
    return Fate.next;
  }
  const verdict = (p.tracks & Tracks.out) === 0 ? 0 : follow(p, c, c.trackedOut, true);
  return verdict === 0 && (p.tracks & Tracks.in) !== 0 ? follow(p, c, c.trackedIn, false) : verdict;
}

/** One side. Others may have been at its connection since the ACL looked, so the packet is judged again. */
function follow(p: Packet, c: Context, side: Tracked, isOutbound: boolean): number {
  const { connections } = c;
  const at = connections.enter(p.tenant, side.query, side);
  const before = at < 0 ? 0 : connections.state(at);
  const state = at < 0 ? begin(p, c, side) : advance(p, c, side, at, isOutbound);
  connections.leave();
  if (state <= 0) return -state;
  if (!passesPlain(state)) p.tracks |= Tracks.closely;
  // What was compiled before there was this connection, or while it let packets pass, must not carry them now.
  if (before === 0 || passesPlain(before) && !passesPlain(state)) forgetFlow(p, c);
  return Fate.next;
}

/** A new connection; its state, or the reason why there is none, negative. */
function begin(p: Packet, c: Context, side: Tracked): number {
  const { connections, policy } = c;
  if (side.rule < 0) return -(p.protocol === IpProtocol.tcp ? Reason.acl_tcp_no_connection : Reason.acl_denied); // it has gone in this very moment
  const at = connections.add(p.tenant, side.query, side, side.state, side.isOutbound, policy.generation, side.rule, policy.rules.idle[side.rule], seconds(p));
  return at < 0 ? -Reason.acl_connections_spent : side.state;
}

/** The state of the connection at `at` after this packet, or the reason why it has no place there, negative. */
function advance(p: Packet, c: Context, side: Tracked, at: number, isOutbound: boolean): number {
  const { connections, policy } = c;
  const now = seconds(p), before = connections.state(at);
  const next = nextState(p, before, isOutbound === connections.isOutbound(at));
  if (next === ANEW && side.rule >= 0) {
    connections.begin(at, firstState(p.protocol), isOutbound, policy.generation, side.rule, policy.rules.idle[side.rule], now);
    return firstState(p.protocol);
  }
  if (next <= 0) return -refusalOf(next);
  if (next !== before) connections.move(at, next);
  if (isRefreshing(before, next)) connections.touch(at, now);
  return next;
}
