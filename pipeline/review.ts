/**
 * After a reload: would the policy in force let happen what an earlier one did? Asked by control for all there is, and by a
 * worker for what its packets meet before that. What it would not is listed by whoever ends it (tables/revoked.ts).
 *
 *   NAT session      binding and route as ever, and the ACL for the end that opened it
 *   plain flow       source, route and both sides' ACLs for its direction
 *   connection       the VM, and a stateful entry for the end that opened it; what no entry denies any more goes unlisted
 *
 * Where a stateful entry allows a live flow that has no connection yet, it gets one: entries become stateful under
 * traffic, and that is not to cut it.
 */
import { IpProtocol } from '../codecs/ip-protocol.js';
import { V4_MAPPED } from './address.js';
import { Question, adapterOf } from './acl/question.js';
import { Stay, askAbout, denierOf, isOver, openedBy, reviewConnection } from './acl/review.js';
import { ConnectionState } from './acl/state.js';
import { isOlder, whyNotSession } from './nat/allowed.js';
import { TcpState, letsPass } from './nat/tcp-state.js';
import { NONE, PeerKind, RecordKind, Via, type Policy } from './policy.js';
import type { Connections, Ends } from './tables/connections.js';
import { F_DST, F_PORTS, F_SRC, Kind } from './tables/flows.js';
import type { NatState } from './tables/nat-state.js';
import { RevokedKind, Why, type Revoked } from './tables/revoked.js';

/** Instead of an answer: somebody has a lock, and the asker must not wait. */
export const BUSY = -1;

export class Review {
  /** For whoever asks about what there is no packet of. */
  readonly question = new Question();
  readonly #nat: NatState;
  readonly #connections: Connections;
  readonly #revoked: Revoked;
  readonly #ends: Ends = { protocol: 0, localPort: 0, remotePort: 0, adapter: 0, local0: 0, local1: 0, local2: 0, local3: 0, remote0: 0, remote1: 0, remote2: 0, remote3: 0 };
  /** Sites of each tenant, of the policy asked last. */
  #sites: ReadonlyMap<number, readonly number[]> = new Map();
  #sitesOf: Policy | null = null;
  /** Records by `keyOf`, of the policy last asked about link-local addresses, of which there are few. */
  readonly #adapters = new Map<number, number>();
  #adaptersOf: Policy | null = null;

  constructor(nat: NatState, connections: Connections, revoked: Revoked) {
    this.#nat = nat;
    this.#connections = connections;
    this.#revoked = revoked;
  }

  /** Why `policy` would not open this session, of `Why`; 0 when it would. Needs the inside lock. */
  whyNotSession(policy: Policy, session: number, now: number, mayWait: boolean): number {
    const nat = this.#nat;
    const why = whyNotSession(policy, nat, session);
    if (why !== 0) return why;
    const tenant = nat.sessionTenant(session), protocol = nat.sessionProtocol(session);
    if (!hasEntries(policy, tenant)) return 0;
    this.#sessionEnds(session);
    askAbout(this.question, policy, tenant, this.#ends);
    const isOutbound = !nat.isFromOutside(session), rule = openedBy(policy, tenant, isOutbound, this.question);
    if (rule === Stay.forbidden) return Why.acl;
    if (rule === Stay.stateless || (protocol !== IpProtocol.tcp && protocol !== IpProtocol.udp)) return 0; // a query begins anew with the next one
    return this.#keep(policy, tenant, isOutbound, rule, stateOf(protocol, nat.state(session)), now, mayWait);
  }

  /** Close the session for this reason, and list it; false, and nothing done, when the asker must not wait and would have to. Needs the inside lock. */
  revokeSession(policy: Policy, session: number, why: number, now: number, mayWait: boolean): boolean {
    const nat = this.#nat, tenant = nat.sessionTenant(session), outside = nat.sessionOutside(session), outsidePort = nat.sessionOutsidePort(session);
    this.#sessionEnds(session);
    const rule = this.#denier(policy, tenant, why, !nat.isFromOutside(session));
    if (!nat.close(session, mayWait)) return false;
    this.#revoked.note(RevokedKind.session, tenant, this.#ends, why, policy.generation, rule, now, outside, outsidePort);
    nat.noteRevoked();
    return true;
  }

  /** Why `policy` would not carry packets of the plain flow at `at`, of `Why`; 0 when it would; `BUSY`. */
  whyNotFlow(policy: Policy, at: number, now: number): number {
    const { words } = this.#nat.flows;
    const kind = words[at] & 0xff, tenant = words[at] >>> 16, src = words[at + F_SRC] >>> 0, dst = words[at + F_DST] >>> 0;
    if (policy.tenants.names[tenant] === '') return Why.tenant;
    const isFromHost = kind === Kind.fromHost;
    const wrong = isFromHost ? this.#whyNotHost(policy, tenant, src) : kind === Kind.fromSite ? this.#whyNotSite(policy, tenant, src) : policy.tenants.forwardUplink[tenant] === NONE ? Why.route : 0;
    if (wrong !== 0) return wrong;
    const route = policy.routing.find(tenant, 0, 0, V4_MAPPED, dst), via = route < 0 ? Via.drop : policy.routes.via[route];
    const isInside = via === Via.subnet || via === Via.record;
    if (isInside && policy.deliverVia(route, tenant, 0, 0, V4_MAPPED, dst) < 0) return Why.record;
    if (!isInside && !(isFromHost && (via === Via.forward || via === Via.site))) return Why.route;
    const why = isFromHost ? this.#whyNotSide(policy, at, true, now) : 0;
    return why !== 0 || !isInside ? why : this.#whyNotSide(policy, at, false, now);
  }

  listFlow(policy: Policy, at: number, why: number, now: number): void {
    const tenant = this.#nat.flows.words[at] >>> 16;
    this.#flowEnds(at, true);
    const denier = this.#denier(policy, tenant, why, true);
    if (denier < 0) this.#flowEnds(at, false);
    const rule = denier >= 0 ? denier : this.#denier(policy, tenant, why, false);
    this.#flowEnds(at, true);
    this.#revoked.note(RevokedKind.flow, tenant, this.#ends, why, policy.generation, rule, now);
  }

  /** Ask about the connection at `at`, whose lock is held; what `policy` forbids is listed and taken out. */
  settleConnection(policy: Policy, at: number, now: number): void {
    const connections = this.#connections, tenant = connections.tenantOf(at);
    connections.read(at, this.#ends);
    askAbout(this.question, policy, tenant, this.#ends, this.#ofAdapter(policy, tenant));
    const why = isOver(connections, at, now, policy) ? -1 : policy.tenants.names[tenant] === '' ? Why.tenant : this.#isNobodys(policy, tenant) ? Why.record : reviewConnection(policy, connections, at, tenant, this.question);
    if (why === 0) return;
    if (why > 0) {
      this.#revoked.note(RevokedKind.connection, tenant, this.#ends, why, policy.generation, this.#denier(policy, tenant, why, connections.isOutbound(at)), now);
      connections.noteRevoked();
    }
    connections.remove(at);
  }

  /** What denies a flow with the ends in hand, if that is why it goes. */
  #denier(policy: Policy, tenant: number, why: number, isOutbound: boolean): number {
    if (why !== Why.acl) return -1;
    askAbout(this.question, policy, tenant, this.#ends, this.#ofAdapter(policy, tenant));
    return denierOf(policy, tenant, isOutbound, this.question);
  }

  /** Whether the VM at the local end of the ends in hand is gone: who has its address next is not to have its connections. */
  #isNobodys(policy: Policy, tenant: number): boolean {
    const { adapter, local0, local1, local2, local3 } = this.#ends;
    if (adapter !== 0) return this.#ofAdapter(policy, tenant) < 0;
    const route = policy.routing.find(tenant, local0 >>> 0, local1 >>> 0, local2 >>> 0, local3 >>> 0);
    return route >= 0 && policy.routes.via[route] === Via.subnet && policy.deliverVia(route, tenant, local0 >>> 0, local1 >>> 0, local2 >>> 0, local3 >>> 0) < 0;
  }

  /** A record of the VM that has the local address of the ends in hand, where that is a link-local one; else -1. */
  #ofAdapter(policy: Policy, tenant: number): number {
    const { adapter } = this.#ends;
    if (adapter === 0) return -1;
    if (this.#adaptersOf !== policy) {
      const { kind, subnet } = policy.records;
      this.#adapters.clear();
      kind.forEach((_kind, record) => this.#adapters.set(keyOf(policy.subnets.tenant[subnet[record]], adapterOf(policy, record)), record));
      this.#adaptersOf = policy;
    }
    return this.#adapters.get(keyOf(tenant, adapter)) ?? -1;
  }

  #whyNotHost(policy: Policy, tenant: number, src: number): number {
    const record = policy.findRecord(tenant, 0, 0, V4_MAPPED, src);
    return record >= 0 && policy.records.kind[record] === RecordKind.static ? 0 : Why.record;
  }

  #whyNotSite(policy: Policy, tenant: number, src: number): number {
    if (this.#sitesOf !== policy) {
      const sites = new Map<number, number[]>();
      policy.peers.kind.forEach((kind, peer) => { if (kind === PeerKind.site) sites.set(policy.peers.tenant[peer], [...sites.get(policy.peers.tenant[peer]) ?? [], peer]); });
      this.#sites = sites;
      this.#sitesOf = policy;
    }
    const own = this.#sites.get(tenant) ?? [];
    return own.some(site => policy.sitePrefixes.find(site, 0, 0, V4_MAPPED, src) >= 0) ? 0 : Why.route;
  }

  /** The ACL on one side of a plain flow. */
  #whyNotSide(policy: Policy, at: number, isOutbound: boolean, now: number): number {
    const tenant = this.#nat.flows.words[at] >>> 16, protocol = this.#nat.flows.words[at] >>> 8 & 0xff;
    if (!hasEntries(policy, tenant)) return 0;
    this.#flowEnds(at, isOutbound);
    askAbout(this.question, policy, tenant, this.#ends);
    if (policy.tenants.stateful[tenant] === 1) {
      const known = this.#hasConnection(policy, tenant, now);
      if (known !== 0) return known === BUSY ? BUSY : 0;
    }
    const rule = openedBy(policy, tenant, isOutbound, this.question);
    const state = protocol === IpProtocol.tcp ? ConnectionState.established : ConnectionState.bothWays;
    if (rule >= 0) return this.#keep(policy, tenant, isOutbound, rule, state, now, false);
    if (rule === Stay.stateless) return 0;
    // Answers of a flow that the other end may have opened, and that goes on there.
    const other = openedBy(policy, tenant, !isOutbound, this.question);
    return other >= 0 && this.#hasReverse(at) ? this.#keep(policy, tenant, !isOutbound, other, state, now, false) : Why.acl;
  }

  /** 1 when the flow in question has a connection that `policy` allows, 0 when not, `BUSY`. */
  #hasConnection(policy: Policy, tenant: number, now: number): number {
    const connections = this.#connections, at = connections.tryEnter(tenant, 0, this.#ends);
    if (at === -2) return BUSY;
    let has = at >= 0 && !isOver(connections, at, now, policy);
    if (has && isOlder(connections.generationOf(at), policy.generation)) has = reviewConnection(policy, connections, at, tenant, this.question) === 0;
    connections.leave();
    return has ? 1 : 0;
  }

  /** See that the flow in question has a connection, opened from this end by this entry: 0, or `BUSY`. */
  #keep(policy: Policy, tenant: number, isOutbound: boolean, rule: number, state: number, now: number, mayWait: boolean): number {
    const connections = this.#connections;
    const at = mayWait ? connections.enter(tenant, 0, this.#ends) : connections.tryEnter(tenant, 0, this.#ends);
    if (at === -2) return BUSY;
    const idle = policy.rules.idle[rule];
    if (at < 0) connections.add(tenant, 0, this.#ends, state, isOutbound, policy.generation, rule, idle, now);
    else if (isOver(connections, at, now, policy)) connections.begin(at, state, isOutbound, policy.generation, rule, idle, now);
    connections.leave();
    return 0;
  }

  #hasReverse(at: number): boolean {
    const { flows } = this.#nat, { words } = flows;
    const src = words[at + F_SRC], dst = words[at + F_DST], ports = words[at + F_PORTS] << 16 | words[at + F_PORTS] >>> 16;
    return [Kind.fromHost, Kind.fromSite, Kind.fromUplink].some(kind => flows.findPlain(kind, words[at] >>> 16, words[at] >>> 8 & 0xff, dst, src, ports) >= 0);
  }

  #sessionEnds(session: number): void {
    const nat = this.#nat, ends = this.#ends;
    ends.protocol = nat.sessionProtocol(session);
    ends.localPort = nat.sessionInsidePort(session);
    ends.remotePort = ends.protocol === IpProtocol.icmp ? ends.localPort : nat.remotePort(session);
    this.#setAddresses(nat.sessionInside(session), nat.remote(session));
  }

  /** As the VM at its source sees it, or the one at its destination. */
  #flowEnds(at: number, isOutbound: boolean): void {
    const { words } = this.#nat.flows, ends = this.#ends;
    const sport = words[at + F_PORTS] >>> 16, dport = words[at + F_PORTS] & 0xffff;
    ends.protocol = words[at] >>> 8 & 0xff;
    ends.localPort = isOutbound ? sport : dport;
    ends.remotePort = isOutbound ? dport : sport;
    this.#setAddresses(isOutbound ? words[at + F_SRC] : words[at + F_DST], isOutbound ? words[at + F_DST] : words[at + F_SRC]);
  }

  #setAddresses(local: number, remote: number): void {
    const ends = this.#ends;
    ends.adapter = ends.local0 = ends.local1 = ends.remote0 = ends.remote1 = 0;
    ends.local2 = ends.remote2 = V4_MAPPED;
    ends.local3 = local | 0;
    ends.remote3 = remote | 0;
  }
}

function keyOf(tenant: number, adapter: number): number {
  return tenant * 2 ** 32 + (adapter >>> 0);
}

/** Entries that allow or deny; without, there is nothing to ask. */
function hasEntries({ tenants }: Policy, tenant: number): boolean {
  return tenants.ruleFirst[tenant] !== tenants.ruleEnd[tenant];
}

/** The state of a connection whose NAT session is in `state`. */
function stateOf(protocol: number, state: number): number {
  if (protocol !== IpProtocol.tcp) return ConnectionState.bothWays;
  if (letsPass(state)) return ConnectionState.established;
  return state === TcpState.inInit || state === TcpState.outInit ? ConnectionState.opening : state === TcpState.trans ? ConnectionState.reset : ConnectionState.closed;
}
