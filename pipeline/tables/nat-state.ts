/**
 * NAT bindings and sessions in shared memory: allocated once, never grown, written by every worker.
 *
 * A binding maps an inside address and port to an outside one, whatever the remote end (endpoint-independent mapping,
 * RFC 4787 §4.1); a session is a binding and one remote end. A session is two flow records (flows.ts), one for each
 * direction: what the fast path reads is all there is. It goes by the word index of its outbound record. A binding lives
 * as long as it has sessions. Bindings are found through two chained hash tables, by inside and by outside.
 *
 * Who writes what: all about one inside endpoint (its bindings, its sessions and their state) is written under that
 * endpoint's inside lock, and nobody reads an inside chain without it. Outside chains are read by anybody, without a lock: they
 * grow at the head, by compare-and-swap; who takes something out holds the chain's outside lock, taken second; and what is
 * taken out still leads on until nobody can be standing on it (quiet.ts). An atomic operation costs the processor 12 ns
 * and whatever it could have done meanwhile, so what a lock guards is stored plainly, and counted beside it. Every store leaves a table that a reader can use; what a worker
 * leaves half done when it dies is a leak at worst, and nat-repair.ts finds it.
 */
import { TcpState, sessionLifetime } from '../nat/tcp-state.js';
import type { Timers } from '../policy-rows.js';
import { putFree, takeFree, unlink } from './chains.js';
import { FlowTable, F_DO, F_DST, F_LANE, F_PORTS, F_SEEN, F_SRC, F_TO, FLOW_WORDS, Kind, OP_FAST, OP_MASK, Op, flowKey, flowWords } from './flows.js';
import { Locks, lockWords } from './locks.js';
import { NatCounts } from './nat-counts.js';
import {
  BLOCK_LOCK, B_CREATED, B_HOLDER, B_INSIDE, B_LATEST, B_NEXT_INSIDE, B_NEXT_OUTSIDE, B_OUTSIDE, B_PORTS, B_SESSIONS, B_WHO, BINDING_WORDS, COUNTS, DEAD, FREE,
  GENERATION, H_FREE, H_REVOKED, H_SEED, H_SESSIONS, IN_BLOCK, STATIC, STRIPES, WHOSE, natLayout, type NatSizes,
} from './nat-layout.js';
import { withdraw } from './permits.js';
import { PortBlockTable, portBlockWords } from './port-blocks.js';
import type { Quiet } from './quiet.js';
import { SubscriberTable, subscriberWords } from './subscribers.js';
import { hashWords } from './word-map.js';

/** In the state byte of a session, beside its state: the remote end opened it. */
export const FROM_OUTSIDE = 0x80;
/** And: it counts in a permission (permits.ts). */
export const PERMITS = 0x40;
const STATE = 0x3f;
/** What `bind` says when the outside address and port are another's. */
export const TAKEN = -2;

export class NatState {
  readonly sizes: NatSizes;
  readonly flows: FlowTable;
  readonly subscribers: SubscriberTable;
  readonly blocks: PortBlockTable;
  readonly counts: NatCounts;
  readonly locks: Locks;
  readonly #quiet: Quiet;
  readonly #w: Int32Array;
  readonly #f: Int32Array;
  readonly #seed: number;
  readonly #inside: number;
  readonly #outside: number;
  readonly #bindings: number;
  readonly #mask: number;
  /** Bindings that this thread took out, as `FlowTable.removed`. */
  unbound: number[] | null = null;

  /** `owner` is this thread's name in locks and claims: 1 and up, no two alike. */
  constructor(memory: SharedArrayBuffer, sizes: NatSizes, quiet: Quiet, owner: number) {
    const at = natLayout(sizes);
    this.sizes = sizes;
    this.#quiet = quiet;
    this.#w = new Int32Array(memory, 0, at.flows);
    this.#seed = this.#w[H_SEED];
    this.#inside = at.inside;
    this.#outside = at.outside;
    this.#bindings = at.bindings;
    this.#mask = at.buckets - 1;
    this.counts = new NatCounts(this.#w, at.locks, at.perTenant, sizes.tenants);
    this.locks = new Locks(new Int32Array(memory, at.locks * 4, lockWords(BLOCK_LOCK + 1)), owner);
    const { subscribers, portBlocks, tenants } = sizes;
    this.subscribers = new SubscriberTable(new Int32Array(memory, at.subscribers * 4, subscriberWords(subscribers, tenants)), subscribers, tenants, this.#seed, this.locks, BLOCK_LOCK, quiet);
    this.blocks = new PortBlockTable(new Int32Array(memory, at.portBlocks * 4, portBlockWords(portBlocks, tenants)), portBlocks, tenants, this.#seed, this.subscribers, this.locks, BLOCK_LOCK, quiet);
    this.flows = new FlowTable(new Int32Array(memory, at.flows * 4, flowWords(sizes)), sizes, this.#seed, owner, quiet);
    this.#f = this.flows.words;
  }

  get bindingCount(): number { return this.counts.bindings; }
  get sessionCount(): number { return Atomics.load(this.#w, H_SESSIONS); }
  sessionsOf(tenant: number): number { return this.counts.sessionsOf(tenant); }
  /** Bindings of a tenant, but for static mappings'. */
  bindingsOf(tenant: number): number { return this.counts.bindingsOf(tenant); }
  /** Sessions closed, since the start, because a policy would not open them. */
  get revoked(): number { return Atomics.load(this.#w, H_REVOKED); }
  noteRevoked(): void { Atomics.add(this.#w, H_REVOKED, 1); }

  // Locks

  /** Take the inside lock of an endpoint; `locks.unlock` lets go. Returns its chain, which saves those that ask for it next the hash. */
  lockInside(tenant: number, protocol: number, address: number, port: number): number {
    const chain = this.#insideBucket(tenant, protocol, address, port);
    this.locks.lock(chain & STRIPES - 1);
    return chain;
  }

  /** Take the inside lock of a session's endpoint; false when the session is gone, or, if nobody may wait, when the lock is taken. */
  lockSession(session: number, mayWait: boolean): boolean {
    const f = this.#f;
    const key = f[session], src = f[session + F_SRC], ports = f[session + F_PORTS], dst = f[session + F_DST];
    if ((key & 0xff) !== Kind.fromHost) return false;
    const stripe = this.#insideBucket(key >>> 16, key >>> 8 & 0xff, src, ports >>> 16) & STRIPES - 1;
    if (mayWait) this.locks.lock(stripe);
    else if (!this.locks.tryLock(stripe)) return false;
    if (f[session] === key && f[session + F_SRC] === src && f[session + F_PORTS] === ports && f[session + F_DST] === dst && this.isOpen(session)) return true;
    this.locks.unlock();
    return false;
  }

  // Bindings

  /** The latest binding of a tenant's inside address and port, or the one before `after`; -1 for none. Needs the inside lock; closes one whose only session is over. */
  findInside(tenant: number, protocol: number, address: number, port: number, now: number, timers: Timers, after = -1, chain = this.#insideBucket(tenant, protocol, address, port)): number {
    const w = this.#w;
    const who = tenant << 16 | protocol << 1, inside = address | 0;
    const from = after < 0 ? chain : this.#bindings + after * BINDING_WORDS + B_NEXT_INSIDE;
    for (let link = w[from]; link !== 0;) {
      const at = this.#bindings + (link - 1) * BINDING_WORDS;
      const next = w[at + B_NEXT_INSIDE];
      if (w[at + B_INSIDE] === inside && w[at + B_PORTS] >>> 16 === port && (w[at + B_WHO] & WHOSE) === who) {
        if (!this.#isOver(at, now, timers)) return link - 1;
        this.close(w[at + B_LATEST]);
      }
      link = next;
    }
    return -1;
  }

  /** The binding of an outside address and port, or -1; also one whose sessions are over and not swept yet. */
  findOutside(protocol: number, address: number, port: number): number {
    return this.#findIn(Atomics.load(this.#w, this.#outsideBucket(protocol, address, port)), protocol, address | 0, port);
  }

  /** As `findOutside`, in what hangs on `link`. */
  #findIn(link: number, protocol: number, outside: number, port: number): number {
    const w = this.#w;
    while (link !== 0) {
      const at = this.#bindings + (link - 1) * BINDING_WORDS;
      if (w[at + B_OUTSIDE] === outside && (w[at + B_PORTS] & 0xffff) === port && (w[at + B_WHO] >>> 1 & 0x7f) === protocol && w[at + B_SESSIONS] >= 0) return link - 1;
      link = w[at + B_NEXT_OUTSIDE];
    }
    return -1;
  }

  /** Whether a binding is in use: it has a session whose time is not up, as far as can be told without a search. */
  isLive(binding: number, now: number, timers: Timers): boolean {
    const at = this.#bindings + binding * BINDING_WORDS;
    return this.#w[at + B_SESSIONS] >= 0 && !this.#isOver(at, now, timers);
  }

  /** As `isLive`, and a binding that is not is closed. Needs the inside lock. */
  settle(binding: number, now: number, timers: Timers): boolean {
    const at = this.#bindings + binding * BINDING_WORDS;
    if (this.#w[at + B_SESSIONS] < 0) return false;
    if (!this.#isOver(at, now, timers)) return true;
    this.close(this.#w[at + B_LATEST]);
    return false;
  }

  /**
   * A new binding without sessions; -1 when the table is full, `TAKEN` when the outside end is another's. Needs the inside lock
   * and no other: who adds to an outside chain swaps its head, and looks again where somebody else was faster. `holder` has been
   * charged for it, and is no longer when the binding goes.
   */
  bind(
    tenant: number, protocol: number, inside: number, insidePort: number, outside: number, outsidePort: number, fixed: boolean, generation: number, now: number,
    chain = this.#insideBucket(tenant, protocol, inside, insidePort), holder = 0,
  ): number {
    const w = this.#w;
    const outsideAt = this.#outsideBucket(protocol, outside, outsidePort);
    let head = Atomics.load(w, outsideAt);
    if (this.#findIn(head, protocol, outside | 0, outsidePort) >= 0) return TAKEN;
    const link = takeFree(w, H_FREE, this.#bindings + B_NEXT_INSIDE, BINDING_WORDS);
    if (link === 0) return -1;
    const at = this.#bindings + (link - 1) * BINDING_WORDS;
    w[at + B_SESSIONS] = 0;
    w[at + B_WHO] = tenant << 16 | (generation & 0xff) << 8 | protocol << 1 | (fixed ? STATIC : 0);
    w[at + B_INSIDE] = inside;
    w[at + B_OUTSIDE] = outside;
    w[at + B_PORTS] = insidePort << 16 | outsidePort;
    w[at + B_LATEST] = -1;
    w[at + B_CREATED] = now;
    w[at + B_HOLDER] = holder;
    // Into the inside chain first, plainly: it is read under the lock alone. A death before the other leaves what a repair can tell.
    w[at + B_NEXT_INSIDE] = w[chain];
    w[chain] = link;
    for (;;) {
      w[at + B_NEXT_OUTSIDE] = head;
      const found = Atomics.compareExchange(w, outsideAt, head, link);
      if (found === head) break;
      head = found;
      if (this.#findIn(head, protocol, outside | 0, outsidePort) < 0) continue;
      w[chain] = w[at + B_NEXT_INSIDE];
      this.#retire(link - 1);
      return TAKEN;
    }
    this.counts.addBinding(chain & STRIPES - 1, tenant, fixed, 1);
    return link - 1;
  }

  /** Take out a binding that has no sessions. Needs the inside lock; takes the outside one, unless that is held already. */
  unbind(binding: number, isHeld = false): void {
    const w = this.#w;
    const at = this.#bindings + binding * BINDING_WORDS;
    const protocol = this.protocolOf(binding);
    const outsideAt = this.#outsideBucket(protocol, w[at + B_OUTSIDE], w[at + B_PORTS] & 0xffff);
    const chain = this.#insideBucket(this.tenantOf(binding), protocol, w[at + B_INSIDE], w[at + B_PORTS] >>> 16);
    unlink(w, chain, this.#bindings + B_NEXT_INSIDE, BINDING_WORDS, binding + 1);
    if (!isHeld) this.locks.lock(STRIPES + (outsideAt & STRIPES - 1));
    unlink(w, outsideAt, this.#bindings + B_NEXT_OUTSIDE, BINDING_WORDS, binding + 1);
    this.locks.unlock();
    this.counts.addBinding(chain & STRIPES - 1, this.tenantOf(binding), this.isStatic(binding), -1);
    this.#letGo(w[at + B_HOLDER], protocol, this.isStatic(binding));
    this.#retire(binding);
  }

  /** A holder is charged for one binding less. */
  #letGo(holder: number, protocol: number, isFixed: boolean): void {
    if (holder === 0) return;
    const number = (holder >> 2) - 1;
    if ((holder & IN_BLOCK) !== 0) return this.blocks.disuse(number, protocol);
    if (isFixed) this.subscribers.releaseFixed(number);
    else this.subscribers.release(number, protocol);
  }

  /** What the binding's port is charged to (nat-layout.ts). */
  holder(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_HOLDER]; }
  /** The subscriber whose binding it is, or -1. */
  subscriberOf(binding: number): number {
    const holder = this.holder(binding);
    return holder === 0 || (holder & IN_BLOCK) === 0 ? (holder >> 2) - 1 : this.blocks.subscriber((holder >> 2) - 1);
  }

  /** A binding that has left its chains, or was in none: free when nobody can be standing on it, nor be about to take another off the free list before it. */
  #retire(binding: number): void {
    if (this.#quiet.isAlone) return this.giveBack(binding);
    Atomics.store(this.#w, this.#bindings + binding * BINDING_WORDS + B_SESSIONS, DEAD | this.#quiet.epoch);
    this.unbound?.push(binding);
  }

  tenantOf(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_WHO] >>> 16; }
  protocolOf(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_WHO] >>> 1 & 0x7f; }
  isStatic(binding: number): boolean { return (this.#w[this.#bindings + binding * BINDING_WORDS + B_WHO] & STATIC) !== 0; }
  inside(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_INSIDE] >>> 0; }
  insidePort(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_PORTS] >>> 16; }
  outside(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_OUTSIDE] >>> 0; }
  outsidePort(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_PORTS] & 0xffff; }
  created(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_CREATED] >>> 0; }
  hasSessions(binding: number): boolean { return this.#w[this.#bindings + binding * BINDING_WORDS + B_SESSIONS] > 0; }
  /** Low byte of the policy generation that allowed it last. */
  generationOf(binding: number): number { return (this.#w[this.#bindings + binding * BINDING_WORDS + B_WHO] & GENERATION) >>> 8; }
  /** The policy of this generation allows it. Needs the inside lock. */
  allow(binding: number, generation: number): void {
    const at = this.#bindings + binding * BINDING_WORDS + B_WHO;
    this.#w[at] = this.#w[at] & ~GENERATION | (generation & 0xff) << 8;
  }

  // Sessions

  /** The session between a tenant's inside end and a remote one, or -1; also one whose time is up. */
  findSession(tenant: number, protocol: number, inside: number, insidePort: number, remote: number, remotePort: number): number {
    const { flows } = this;
    const ports = insidePort << 16 | remotePort;
    const key = flowKey(tenant, protocol, Kind.fromHost), hash = flows.hash(tenant << 8 | protocol, inside | 0, remote | 0, ports);
    for (;;) {
      const at = flows.find(key, inside | 0, remote | 0, ports, hash);
      if (at < 0 || this.isOpen(at)) return at;
      flows.removePlain(at); // of a policy by which this was no NAT
    }
  }

  /** The inbound record of the session between an outside end and a remote one, or -1. */
  findInbound(protocol: number, outside: number, outsidePort: number, remote: number, remotePort: number): number {
    const ports = remotePort << 16 | outsidePort;
    return this.flows.find(flowKey(0, protocol, Kind.natIn), remote | 0, outside | 0, ports, this.flows.hash(protocol, remote | 0, outside | 0, ports));
  }

  /** A new session of `binding`, or -1 when the table is full. Needs the inside lock, under which `findSession` found none. */
  open(binding: number, remote: number, remotePort: number, state: number, isFast: boolean, generation: number, now: number, chain?: number): number {
    const w = this.#w, { flows } = this;
    const at = this.#bindings + binding * BINDING_WORDS;
    const tenant = this.tenantOf(binding), protocol = this.protocolOf(binding);
    const inside = w[at + B_INSIDE], outside = w[at + B_OUTSIDE], insidePort = w[at + B_PORTS] >>> 16, outsidePort = w[at + B_PORTS] & 0xffff;
    const outPorts = insidePort << 16 | remotePort, inPorts = remotePort << 16 | outsidePort;
    const full = Atomics.add(w, H_SESSIONS, 1) >= this.sizes.sessions;
    const out = full ? -1 : flows.claim(flows.hash(tenant << 8 | protocol, inside, remote | 0, outPorts));
    const back = out < 0 ? -1 : flows.claim(flows.hash(protocol, remote | 0, outside, inPorts));
    if (back < 0) {
      Atomics.sub(w, H_SESSIONS, 1);
      if (out >= 0) flows.unclaim(out);
      return -1;
    }
    this.counts.addSession((chain ?? this.#insideBucket(tenant, protocol, inside, insidePort)) & STRIPES - 1, tenant, 1);
    if ((w[at + B_HOLDER] & COUNTS) !== 0) this.subscribers.addSession(this.subscriberOf(binding), 1);
    w[at + B_LATEST] = out;
    w[at + B_SESSIONS]++;
    const lane = generation << 24, how = state << 8 | (isFast ? OP_FAST : 0);
    flows.publish(back, flowKey(0, protocol, Kind.natIn), remote, outside, inPorts, lane, inside, insidePort << 16 | how | Op.natIn, now);
    flows.publish(out, flowKey(tenant, protocol, Kind.fromHost), inside, remote, outPorts, lane, outside, outsidePort << 16 | how | Op.natOut, now);
    return out;
  }

  isOpen(session: number): boolean { return this.flows.kind(session) === Kind.fromHost && (this.#f[session + F_DO] & OP_MASK) === Op.natOut; }
  /** Every session there is, while others come and go. Not for packets. */
  *sessions(): Generator<number> {
    for (let at = 0; at < this.flows.end; at += FLOW_WORDS) if (this.isOpen(at)) yield at;
  }

  sessionTenant(session: number): number { return this.#f[session] >>> 16; }
  sessionProtocol(session: number): number { return this.#f[session] >>> 8 & 0xff; }
  sessionInside(session: number): number { return this.#f[session + F_SRC] >>> 0; }
  sessionInsidePort(session: number): number { return this.#f[session + F_PORTS] >>> 16; }
  sessionOutside(session: number): number { return this.#f[session + F_TO] >>> 0; }
  sessionOutsidePort(session: number): number { return this.#f[session + F_DO] >>> 16; }
  remote(session: number): number { return this.#f[session + F_DST] >>> 0; }
  remotePort(session: number): number { return this.#f[session + F_PORTS] & 0xffff; }
  state(session: number): number { return this.#f[session + F_DO] >>> 8 & STATE; }
  /** Whether the remote end opened it. */
  isFromOutside(session: number): boolean { return (this.#f[session + F_DO] >>> 8 & FROM_OUTSIDE) !== 0; }
  /** Whether it counts in a permission for its remote end. */
  isPermit(session: number): boolean { return (this.#f[session + F_DO] >>> 8 & PERMITS) !== 0; }
  /** Low byte of the policy generation that allowed it last. */
  sessionGeneration(session: number): number { return this.#f[session + F_LANE] >>> 24; }

  /** When the session's time is up: so long after a packet of either direction. */
  expires(session: number, timers: Timers): number {
    const f = this.#f;
    const back = this.inboundOf(session);
    const own = f[session + F_SEEN], other = back < 0 ? own : f[back + F_SEEN];
    const seen = (other - own | 0) > 0 ? other : own;
    return (seen >>> 0) + sessionLifetime(this.sessionProtocol(session), this.state(session), timers);
  }

  isExpired(session: number, now: number, timers: Timers): boolean {
    const f = this.#f;
    const lifetime = sessionLifetime(this.sessionProtocol(session), this.state(session), timers);
    if ((now - f[session + F_SEEN] | 0) < lifetime) return false;
    const back = this.inboundOf(session);
    return back < 0 || (now - f[back + F_SEEN] | 0) >= lifetime;
  }

  /** The binding that a session belongs to, or -1 when that is gone. */
  bindingOf(session: number): number {
    const binding = this.findOutside(this.sessionProtocol(session), this.sessionOutside(session), this.sessionOutsidePort(session));
    if (binding < 0 || this.inside(binding) !== this.sessionInside(session) || this.insidePort(binding) !== this.sessionInsidePort(session)) return -1;
    return this.tenantOf(binding) === this.sessionTenant(session) ? binding : -1;
  }

  /** Set state, and whether it lets packets pass unseen, in both records. Needs the inside lock. */
  move(session: number, state: number, isFast: boolean): void {
    const f = this.#f;
    const opener = state === TcpState.inInit ? 0 : state === TcpState.outInit ? FROM_OUTSIDE : f[session + F_DO] >>> 8 & FROM_OUTSIDE;
    const permits = f[session + F_DO] >>> 8 & PERMITS;
    const how = (opener | permits | state) << 8 | (isFast ? OP_FAST : 0), mask = ~(0xff00 | OP_FAST);
    const back = this.inboundOf(session);
    f[session + F_DO] = f[session + F_DO] & mask | how;
    if (back >= 0) f[back + F_DO] = f[back + F_DO] & mask | how;
  }

  /** A packet of the session was seen: both records say so, for the fast path does not believe one that has been still for long. */
  touch(session: number, now: number): void {
    const back = this.inboundOf(session);
    this.#f[session + F_SEEN] = now;
    if (back >= 0) this.#f[back + F_SEEN] = now;
  }

  /** The policy of this generation allows the session, and its binding; its packets are still to be compiled. Needs the inside lock. */
  allowSession(session: number, generation: number): void {
    const back = this.inboundOf(session), binding = this.bindingOf(session);
    if (binding >= 0) this.allow(binding, generation);
    this.#f[session + F_LANE] = generation << 24;
    if (back >= 0) this.#f[back + F_LANE] = generation << 24;
  }

  /** Compile a direction of a session: `record` is its outbound or inbound one, as `findSession` and `findInbound` say. */
  compile(record: number, generation: number, lane: number): void {
    this.#f[record + F_LANE] = generation << 24 | lane;
  }

  /**
   * End a session, and its binding if that was the last one. Needs the inside lock. False, and nothing done, when nobody may
   * wait and the outside lock that this takes is another's.
   */
  close(session: number, mayWait = true): boolean {
    const w = this.#w, { flows } = this;
    const back = this.inboundOf(session), binding = this.bindingOf(session), tenant = this.sessionTenant(session);
    const count = this.#bindings + binding * BINDING_WORDS + B_SESSIONS;
    const isLast = binding >= 0 && w[count] === 1;
    if (isLast && !mayWait) {
      const outside = this.#outsideBucket(this.protocolOf(binding), w[count - B_SESSIONS + B_OUTSIDE], this.outsidePort(binding));
      if (!this.locks.tryLock(STRIPES + (outside & STRIPES - 1))) return false;
    }
    // Before its key is gone, and with it the protocol.
    const stripe = this.#insideBucket(tenant, this.sessionProtocol(session), this.sessionInside(session), this.sessionInsidePort(session)) & STRIPES - 1;
    const permits = this.isPermit(session), remote = this.#f[session + F_DST];
    if (back >= 0) flows.remove(back);
    flows.remove(session);
    if (permits && binding >= 0) withdraw(this, binding, remote);
    Atomics.sub(w, H_SESSIONS, 1);
    this.counts.addSession(stripe, tenant, -1);
    if (binding >= 0 && (this.holder(binding) & COUNTS) !== 0) this.subscribers.addSession(this.subscriberOf(binding), -1);
    if (binding >= 0 && --w[count] === 0) this.unbind(binding, isLast && !mayWait);
    return true;
  }

  // Sweeps, by the reaper

  /** Free a binding that was taken out, if nobody can hold it any more. */
  recycleBinding(binding: number): void {
    const sessions = Atomics.load(this.#w, this.#bindings + binding * BINDING_WORDS + B_SESSIONS);
    if (sessions < FREE && this.#quiet.isOver(sessions & ~DEAD)) this.giveBack(binding);
  }

  /** There is room for a session, as far as numbers say. */
  get hasRoom(): boolean { return Atomics.load(this.#w, H_SESSIONS) < this.sizes.sessions; }

  /** Whether the only session of the binding at `at` is over. */
  #isOver(at: number, now: number, timers: Timers): boolean {
    if (this.#w[at + B_SESSIONS] !== 1) return false;
    const latest = this.#w[at + B_LATEST]; // or, where that is closed, whose record it is by now
    return latest >= 0 && this.isOpen(latest) && this.sessionProtocol(latest) === (this.#w[at + B_WHO] >>> 1 & 0x7f) && this.sessionOutside(latest) === this.#w[at + B_OUTSIDE] >>> 0
      && this.sessionOutsidePort(latest) === (this.#w[at + B_PORTS] & 0xffff) && this.isExpired(latest, now, timers);
  }

  /** The inbound record of a session, or -1. */
  inboundOf(session: number): number {
    const f = this.#f;
    return this.findInbound(this.sessionProtocol(session), f[session + F_TO], f[session + F_DO] >>> 16, f[session + F_DST], f[session + F_PORTS] & 0xffff);
  }

  /** Put a binding, which is nobody's, onto the free list. */
  giveBack(binding: number): void {
    Atomics.store(this.#w, this.#bindings + binding * BINDING_WORDS + B_SESSIONS, FREE);
    putFree(this.#w, H_FREE, this.#bindings + B_NEXT_INSIDE, BINDING_WORDS, binding + 1);
  }

  #insideBucket(tenant: number, protocol: number, address: number, port: number): number {
    return this.#inside + (hashWords(this.#seed, tenant, protocol, address, port, 0) & this.#mask);
  }

  #outsideBucket(protocol: number, address: number, port: number): number {
    return this.#outside + (hashWords(this.#seed, protocol, address, port, 0, 0) & this.#mask);
  }
}
