/**
 * The ACL of a tenant that has stateful entries. A packet of a connection passes ahead of all entries, if it makes sense
 * there; for any other the entries decide, and a stateful one that allows asks for a connection. Nothing is changed
 * yet: what comes after may still refuse the packet. `track` makes and moves the state, last of all.
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { isOlder } from '../nat/allowed.js';
import { Fate, seconds, type Context } from '../context.js';
import type { Packet } from '../packet.js';
import { Action } from '../policy.js';
import { Reason } from '../reasons.js';
import { RevokedKind } from '../tables/revoked.js';
import { carriedOver } from './carried.js';
import { classify } from './classify.js';
import { NO_QUERY, isAsker, queryOf } from './query.js';
import { isRelated } from './related.js';
import { Stay, denierOf, isOver, openedBy, reviewConnection } from './review.js';
import { nextState, refusalOf, refusalToOpen } from './segment.js';
import { ANEW, ConnectionState, firstState } from './state.js';
import { Tracks } from './tracked.js';

/** Beside verdicts: nobody knows the flow; or its connection is over by this very packet, which begins another in its place. */
const UNKNOWN = -1, REUSED = -2;

/** What becomes of `p` on this side, of which `c.question` asks. */
export function inspect(p: Packet, c: Context, isOutbound: boolean): number {
  const { connections, question } = c;
  const query = queryOf(p.protocol, p.icmpType, isOutbound);
  if (query === NO_QUERY) return inspectMessage(p, c, isOutbound);
  if (query !== 0) question.remotePort = question.localPort; // one id for both; behind NAT the VM's own
  const at = connections.enter(p.tenant, query, question);
  const verdict = at < 0 ? UNKNOWN : consult(p, c, at, isOutbound);
  connections.leave();
  if (verdict < 0) {
    const said = byEntries(p, c, isOutbound, query, verdict === REUSED);
    if (verdict === REUSED && said === Fate.next && (p.tracks & (isOutbound ? Tracks.out : Tracks.in)) === 0) forgetOver(p, c, query, isOutbound);
    return said;
  }
  if (verdict === Fate.next) note(p, c, isOutbound, query, -1, 0, false);
  return verdict;
}

/** ICMP that is no query: an error about a connection belongs to it; the rest makes no state. */
function inspectMessage(p: Packet, c: Context, isOutbound: boolean): number {
  if (isRelated(p, c, isOutbound)) return Fate.next;
  const rule = classify(c.policy, p.tenant, isOutbound, c.question);
  if (rule < 0) return Fate.next;
  p.rule = rule;
  return c.policy.rules.action[rule] === Action.deny ? Reason.acl_denied : Fate.next;
}

/** Under its lock: what the connection at `at` says; `UNKNOWN` when it is over, or forbidden by now. */
function consult(p: Packet, c: Context, at: number, isOutbound: boolean): number {
  const { connections, policy } = c;
  if (isOver(connections, at, seconds(p), policy)) {
    connections.remove(at);
    return UNKNOWN;
  }
  if (isOlder(connections.generationOf(at), policy.generation) && !goesOn(p, c, at)) return UNKNOWN;
  if (connections.generationOf(at) === (policy.generation & 0xff)) p.rule = connections.rule(at);
  const next = nextState(p, connections.state(at), isOutbound === connections.isOutbound(at));
  return next > 0 ? Fate.next : next === ANEW ? REUSED : refusalOf(next);
}

/** What begins needs no state: the connection that is over by it must not judge what follows. */
function forgetOver(p: Packet, { connections, question }: Context, query: number, isOutbound: boolean): void {
  const at = connections.enter(p.tenant, query, question);
  if (at >= 0 && nextState(p, connections.state(at), isOutbound === connections.isOutbound(at)) === ANEW) connections.remove(at);
  connections.leave();
}

/** Whether a connection of an earlier policy goes on; what does not is listed and taken out. */
function goesOn(p: Packet, { connections, policy, question, revoked }: Context, at: number): boolean {
  const why = reviewConnection(policy, connections, at, p.tenant, question);
  if (why === 0) return true;
  if (why > 0) {
    revoked.note(RevokedKind.connection, p.tenant, question, why, policy.generation, denierOf(policy, p.tenant, connections.isOutbound(at), question), seconds(p));
    connections.noteRevoked();
  }
  connections.remove(at);
  return false;
}

/** The packet belongs to no connection: what the entries say. */
function byEntries(p: Packet, c: Context, isOutbound: boolean, query: number, hasPlace: boolean): number {
  const { policy, question } = c;
  const rule = classify(policy, p.tenant, isOutbound, question);
  const isDenied = rule >= 0 && policy.rules.action[rule] === Action.deny;
  p.rule = rule >= 0 ? rule : p.rule;
  if (!isDenied && (rule < 0 || policy.rules.idle[rule] === 0)) return Fate.next;

  const refusal = isDenied ? Reason.acl_denied : refusalToOpen(p);
  if (refusal === 0) {
    const spent = hasPlace ? 0 : whyNoRoom(p, c);
    if (spent !== 0) return spent;
    // Who answers a query or is asked here is told by its type, not by who came first.
    const isOpener = query === 0 || isAsker(query) === isOutbound;
    if (!isOpener) return Fate.next; // an answer that nobody asked for: the entry allows it, and there is nothing to answer
    note(p, c, isOutbound, query, rule, firstState(p.protocol), isOutbound);
    return Fate.next;
  }
  if (refusal !== Reason.acl_tcp_flags && carriedOver(p, c)) {
    // A flow that was there before there were such entries. Whichever end may open it may be taken for the one that did.
    const asIs = isDenied ? -1 : rule, other = openedBy(policy, p.tenant, !isOutbound, question);
    const entry = asIs >= 0 ? asIs : other;
    if (entry >= 0) {
      const spent = whyNoRoom(p, c);
      if (spent !== 0) return spent;
      note(p, c, isOutbound, query, entry, carriedState(p), asIs >= 0 ? isOutbound : !isOutbound);
      p.rule = entry;
      return Fate.next;
    }
  }
  // Who needs no state for the one direction needs none for the other: an entry that allows takes nothing away.
  const isFree = refusal !== Reason.acl_denied && refusal !== Reason.acl_tcp_flags && openedBy(policy, p.tenant, !isOutbound, question) === Stay.stateless;
  return isFree ? Fate.next : refusal;
}

/** Whether the packet's tenant may have another connection, as far as numbers say, and there is a place for it: 0, or the reason. */
function whyNoRoom(p: Packet, { connections, policy }: Context): number {
  if (connections.countOf(p.tenant) >= policy.quotas.sessions[p.tenant]) return Reason.acl_tenant_connections;
  return connections.hasRoom ? 0 : Reason.acl_connections_spent;
}

/** `track` has to see to this side. `rule` is the entry by which it may open the connection, in `state` and from the VM's end or the other. */
function note(p: Packet, c: Context, isOutbound: boolean, query: number, rule: number, state: number, fromVm: boolean): void {
  const side = isOutbound ? c.trackedOut : c.trackedIn;
  side.take(c.question, query);
  side.rule = rule;
  side.state = state;
  side.isOutbound = fromVm;
  p.tracks |= isOutbound ? Tracks.out : Tracks.in;
}

/** A connection that was there before it was looked at. */
function carriedState(p: Packet): number {
  return p.protocol === IpProtocol.tcp ? ConnectionState.established : firstState(p.protocol);
}
