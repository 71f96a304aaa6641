/**
 * One worker's pipeline: datagrams in, fates counted, datagrams out. No socket, clock or file: arrival, time and the
 * way out are passed in.
 */
import { answerDrop } from './answer.js';
import { compileFlow } from './compile-flow.js';
import { Context, Fate, HEADROOM, type Outlet, type Stage } from './context.js';
import { FastPath } from './fast-path.js';
import { WALKS } from './graph.js';
import { Cell, Ledger, ledgerBytes } from './ledger.js';
import { Packet, Side, Walk } from './packet.js';
import { PeerKind, Policy, type PolicyData } from './policy.js';
import type { Random } from './random.js';
import { Reaper } from './reaper.js';
import { Reason } from './reasons.js';
import { Review } from './review.js';
import { tenantOfScope } from './stages/fragments.js';
import { Connections, makeConnectionMemory, type ConnectionSizes } from './tables/connections.js';
import { FragmentTable, makeFragmentMemory, type FragmentSizes, type Held } from './tables/fragments.js';
import { IpIds, makeIpIdMemory } from './tables/ip-ids.js';
import { makeNatMemory, type NatSizes } from './tables/nat-layout.js';
import { repairNat } from './tables/nat-repair.js';
import { NatState } from './tables/nat-state.js';
import { Quiet, makeQuietMemory } from './tables/quiet.js';
import { RateLimit, rateLimitBytes } from './tables/rate-limit.js';
import { Traffic } from './tables/traffic.js';
import { Revoked, makeRevokedMemory } from './tables/revoked.js';

/** Looks over the pipeline's shoulder, for traces and captures. Not on the fast path: null costs nothing. */
export interface Observer {
  /** A stage has decided about `p`: 0 went on, below a `Fate`, above a `Reason`. */
  step?(stage: Stage, p: Packet, verdict: number, c: Context): void;
  /** The packet's fate; `p.tag` tells which. */
  settled?(p: Packet, verdict: number, c: Context): void;
  /** A held packet expired: its tag. */
  expired?(tag: number, tenant: number): void;
}

export interface StateSizes { readonly tenants: number; readonly nat: NatSizes; readonly fragments: FragmentSizes; readonly connections: ConnectionSizes }

/** The state that outlives policies and is shared by threads: allocated once, from the config's limits. */
export interface SharedState {
  readonly sizes: StateSizes;
  readonly nat: SharedArrayBuffer;
  readonly fragments: SharedArrayBuffer;
  readonly connections: SharedArrayBuffer;
  /** Flows that a reload has ended (revoked.ts). */
  readonly revoked: SharedArrayBuffer;
  readonly icmpLimit: SharedArrayBuffer;
  /** Token buckets of tenants: new NAT sessions, packets, bytes. */
  readonly newFlows: SharedArrayBuffer;
  readonly packets: SharedArrayBuffer;
  readonly bytes: SharedArrayBuffer;
  /** Who may still be reading what (quiet.ts): one place a worker. */
  readonly quiet: SharedArrayBuffer;
  /** Where each worker is with its IPv4 IDs (ip-ids.ts). */
  readonly ids: readonly SharedArrayBuffer[];
  /** One ledger a worker. */
  readonly ledgers: readonly SharedArrayBuffer[];
}

/** Allocate for `workers` threads beside control; `seed` keeps hash positions from being guessed. */
export function makeSharedState(sizes: StateSizes, workers: number, seed: number): SharedState {
  return makeState(sizes, workers, workers, seed);
}

/** Allocate for one gateway that shares with nobody: it sweeps by itself, and what it closes is free at once. */
export function makeLoneState(sizes: StateSizes, seed: number): SharedState {
  return makeState(sizes, 1, 0, seed);
}

function makeState(sizes: StateSizes, ledgers: number, readers: number, seed: number): SharedState {
  return {
    sizes,
    nat: makeNatMemory(sizes.nat, seed),
    fragments: makeFragmentMemory(sizes.fragments, seed),
    connections: makeConnectionMemory(sizes.connections, seed),
    revoked: makeRevokedMemory(),
    icmpLimit: new SharedArrayBuffer(rateLimitBytes(sizes.tenants)),
    newFlows: new SharedArrayBuffer(rateLimitBytes(sizes.tenants)),
    packets: new SharedArrayBuffer(rateLimitBytes(sizes.tenants)),
    bytes: new SharedArrayBuffer(rateLimitBytes(sizes.tenants)),
    quiet: makeQuietMemory(readers),
    ids: makeIpIdMemory(ledgers, seed),
    ledgers: Array.from({ length: ledgers }, () => new SharedArrayBuffer(ledgerBytes(sizes.tenants))),
  };
}

/** Control's view of the state: what lists, sweeps and repairs. It is the one thread beside the workers that may change it. */
export class Overseer {
  readonly nat: NatState;
  readonly connections: Connections;
  /** To be read by nobody but control. */
  readonly revoked: Revoked;
  readonly reaper: Reaper;
  readonly #fragments: FragmentTable;
  readonly #quiet: Quiet;
  readonly #memory: SharedArrayBuffer;

  constructor(state: SharedState) {
    this.#memory = state.nat;
    this.#quiet = new Quiet(state.quiet);
    this.nat = new NatState(state.nat, state.sizes.nat, this.#quiet, state.ledgers.length + 1);
    this.connections = new Connections(state.connections, state.sizes.connections, state.ledgers.length + 1);
    this.revoked = new Revoked(state.revoked);
    this.reaper = new Reaper(this.nat, this.#quiet, this.connections, new Review(this.nat, this.connections, this.revoked));
    this.#fragments = new FragmentTable(state.fragments, state.sizes.fragments, state.ledgers.length + 1);
  }

  /**
   * Worker `index` is dead: free what it held and put right what it left half done, so that its successor and all others can
   * go on. False when the rest is up to the repair after another, which has died too and holds a lock still.
   */
  repairAfter(index: number): boolean {
    const owner = ownerOf(index), areFlows = repairNat(this.nat, this.#memory, owner), areFragments = this.#fragments.repair(owner), areConnections = this.connections.repair(owner);
    this.#quiet.leave(index);
    return areFlows && areFragments && areConnections;
  }
}

/** A worker's name in locks and claims; 0 is nobody's. */
function ownerOf(worker: number): number {
  return worker + 1;
}

/** The looks at the fragment table in one tick. */
export const FRAGMENTS_PER_TICK = 4096;

export class Gateway {
  readonly context: Context;
  readonly ledger: Ledger;
  /** Datagrams handed to `receive`, counted here alone: what all the ledger's `in` must add up to. */
  received = 0;
  observer: Observer | null = null;
  /** Told of every exception in the pipeline, which costs one packet and never the worker. */
  onFault: (error: unknown) => void = () => {};
  /** Carry packets of flows that are compiled by the fast path. Without it all take the walks, with the same outcome. */
  isFast = true;
  readonly #p = new Packet();
  readonly #held: Held = { at: 0, end: 0, tag: 0, carrier: 0, side: 0, peer: 0, generation: 0, scope: 0 };
  readonly #fast: FastPath;
  #now = 0;
  #seconds = 0;
  readonly #worker: number;
  readonly #quiet: Quiet;
  /** Its own, where it shares with nobody. */
  readonly #reaper: Reaper | null;

  constructor(parts: { state: SharedState; worker: number; policy: PolicyData; random: Random; outlet: Outlet }) {
    const { state, worker } = parts;
    const memory = state.ledgers[worker];
    if (memory === undefined) throw new RangeError(`no ledger for worker ${worker}`);
    this.ledger = new Ledger(memory);
    this.#worker = worker;
    this.#quiet = new Quiet(state.quiet);
    const nat = new NatState(state.nat, state.sizes.nat, this.#quiet, ownerOf(worker));
    this.context = new Context({
      worker,
      policy: new Policy(parts.policy),
      nat,
      fragments: new FragmentTable(state.fragments, state.sizes.fragments, ownerOf(worker)),
      connections: new Connections(state.connections, state.sizes.connections, ownerOf(worker)),
      revoked: new Revoked(state.revoked),
      ledger: this.ledger,
      random: parts.random,
      outlet: parts.outlet,
      icmpLimit: new RateLimit(state.icmpLimit),
      newFlows: new RateLimit(state.newFlows),
      traffic: new Traffic(state.packets, state.bytes, parts.policy.quotas),
      ids: new IpIds(state.ids[worker]),
    });
    this.#fast = new FastPath(this.context);
    this.#reaper = this.#quiet.isAlone ? new Reaper(nat, this.#quiet, this.context.connections, this.context.review) : null;
    if (this.#reaper === null) this.#quiet.pass(worker);
  }

  /**
   * Switch to another policy, between packets. Sessions stay, except those that the new policy would not open: their
   * tenant, pool address, mapping or inside record is gone, or the way to their remote end is no longer NAT. Each is
   * looked at again with its next packet; the rest is the reaper's. Where that is the gateway itself, this returns how many
   * went. Peers are numbered anew, so fragments on hold are given up; what is known of others stays.
   */
  adopt(data: PolicyData): number {
    const policy = new Policy(data);
    this.giveUpHeld(policy.generation);
    this.context.adopt(policy);
    this.#fast.adopt(policy);
    if (this.#reaper === null) return 0;
    const { nat } = this.context;
    const before = nat.revoked;
    this.#reaper.revoke(policy, 0, Infinity, this.#now);
    return nat.revoked - before;
  }

  /**
   * The time of all packets until it is set again, in milliseconds since the epoch. Not an argument of `receive`: too large
   * for V8 to pass without putting it on the heap, for every packet.
   */
  set now(now: number) {
    this.#now = now;
    this.#seconds = Math.floor(now / 1000) | 0;
    this.context.traffic.now = now;
  }

  /**
   * One datagram: `mem[at..end)` is its UDP payload and `mem[start..at)` may be overwritten. `peer` is what
   * `policy.findSender` said of its PA, `carrier` and `side` which socket it came to; it comes at `now`. The
   * bytes belong to the pipeline until it returns. Returns the packet's fate or drop reason.
   */
  receive(mem: Uint8Array, start: number, at: number, end: number, peer: number, carrier: number, side: number, tag = 0): number {
    this.received++;
    if (this.isFast && peer >= 0 && this.observer === null) {
      try {
        if (this.#fast.carry(mem, start, at, end, peer, carrier, side, this.#seconds)) return Fate.forwarded;
      } catch (error) {
        this.onFault(error);
        return this.#refuse(mem, at, end, Reason.internal_error, tag);
      }
    }
    return this.#walk(mem, start, at, end, peer, carrier, side, tag);
  }

  /** A datagram that ends before the pipeline, under `reason`: of a capture, what is no tunnel or not for us. */
  refuse(mem: Uint8Array, at: number, end: number, reason: number, tag = 0): void {
    this.received++;
    this.#refuse(mem, at, end, reason, tag);
  }

  #refuse(mem: Uint8Array, at: number, end: number, reason: number, tag: number): number {
    const p = this.#p;
    p.reset();
    p.mem = mem; p.start = at; p.at = at; p.end = end; p.peer = -1; p.now = this.#now; p.tag = tag;
    this.#settle(p, reason, end - at);
    return reason;
  }

  /** Drop every fragment that is on hold, under its reason: before a policy change, and at the end. */
  giveUpHeld(kept = -1): void {
    const { fragments } = this.context;
    for (let entry = 0; entry < fragments.sizes.datagrams; entry++) while (fragments.takeWaiting(entry, kept, this.#held)) this.#orphan();
  }

  /** Let timers run, and packets come at `now`: give up fragments whose time has come, and say that no packet is in hand. Cheap when nothing is due; call it often. */
  tick(now: number): void {
    this.now = now;
    if (this.#reaper === null) this.#quiet.pass(this.#worker);
    else this.#reaper.tick(now, this.context.policy);
    this.#expireFragments(Math.floor(now / 1000), FRAGMENTS_PER_TICK);
  }

  /** No packet will come any more: the reaper need not wait for this worker. */
  leave(): void {
    this.#quiet.leave(this.#worker);
  }

  #walk(mem: Uint8Array, start: number, at: number, end: number, peer: number, carrier: number, side: number, tag: number): number {
    const p = this.#p;
    const now = this.#now;
    p.reset();
    p.mem = mem; p.start = start; p.at = at; p.end = end;
    p.peer = peer; p.carrier = carrier; p.side = side; p.now = now; p.tag = tag;
    const bytes = end - at;
    const verdict = this.#guarded(p);
    this.#settle(p, verdict, bytes);
    if (p.releases >= 0) this.#release(p.releases, now);
    return verdict;
  }

  #guarded(p: Packet): number {
    try {
      return this.#run(p);
    } catch (error) {
      this.context.nat.locks.unlockAll();
      this.context.fragments.locks.unlockAll();
      this.context.connections.locks.unlockAll();
      this.onFault(error);
      return Reason.internal_error;
    }
  }

  #run(p: Packet): number {
    if (p.peer < 0) return Reason.pa_unknown;
    const c = this.context;
    const { observer } = this;
    const kind = c.policy.peers.kind[p.peer];
    if (p.side !== Side.both && (p.side === Side.hosts) !== (kind === PeerKind.host)) return Reason.wrong_side;
    let walk: number = kind === PeerKind.host ? Walk.fromHost : kind === PeerKind.uplink ? Walk.fromUplink : Walk.fromSite;
    for (;;) {
      const stages = WALKS[walk];
      for (let i = 0; i < stages.length; i++) {
        const stage = stages[i];
        const verdict = stage(p, c);
        if (observer !== null) observer.step?.(stage, p, verdict, c);
        if (verdict === Fate.next) continue;
        if (verdict === Fate.forwarded) compileFlow(p, c, walk);
        return verdict;
      }
      walk = p.next;
    }
  }

  /** The one place where packets end. */
  #settle(p: Packet, verdict: number, bytes: number): void {
    const { ledger } = this;
    const { tenant } = p;
    if (p.resumed) {
      ledger.add(tenant, Cell.held, -1);
    } else {
      ledger.add(tenant, Cell.in, 1);
      ledger.add(tenant, Cell.bytesIn, bytes);
    }
    if (verdict === Fate.forwarded) ledger.add(tenant, Cell.forwarded, 1);
    else if (verdict === Fate.consumed) ledger.add(tenant, Cell.consumed, 1);
    else if (verdict === Fate.held) ledger.add(tenant, Cell.held, 1);
    else {
      ledger.drop(tenant, verdict);
      try {
        answerDrop(p, this.context, verdict);
      } catch (error) {
        this.onFault(error); // the packet has its fate already; it goes without an answer
      }
    }
    if (this.observer !== null) this.observer.settled?.(p, verdict, this.context);
  }

  /** Send what waited for the first fragment just seen after it, oldest first. */
  #release(entry: number, now: number): void {
    const { fragments, policy } = this.context;
    const held = this.#held;
    const p = this.#p;
    for (let mem = fragments.release(entry, held); mem !== null; mem = fragments.release(entry, held)) {
      p.reset();
      p.mem = mem; p.start = 0; p.at = 0; p.end = mem.length;
      p.peer = held.peer; p.carrier = held.carrier; p.side = held.side; p.now = now; p.tag = held.tag;
      p.resumed = true;
      // Its peer has another number, or none, in a policy that another worker has taken over meanwhile.
      const verdict = held.generation === policy.generation ? this.#guarded(p) : Reason.fragment_orphan;
      p.tenant = tenantOfScope(held.scope); // who was charged when it came, also when it now goes wrong before that is proved again
      this.#settle(p, verdict, 0);
    }
  }

  #expireFragments(now: number, budget: number): void {
    const { fragments } = this.context;
    for (let entry = fragments.expired(now, budget); entry >= 0; entry = fragments.expired(now, budget)) this.#giveUp(entry, now);
  }

  /** Drop what is held for an entry whose time is up at `now`, and the entry. */
  #giveUp(entry: number, now: number): void {
    while (this.context.fragments.takeOverdue(entry, now, this.#held)) this.#orphan();
  }

  /** The datagram just taken out of its slot is dropped. */
  #orphan(): void {
    const tenant = tenantOfScope(this.#held.scope);
    this.ledger.add(tenant, Cell.held, -1);
    this.ledger.drop(tenant, Reason.fragment_orphan);
    if (this.observer !== null) this.observer.expired?.(this.#held.tag, tenant);
  }
}

/** Bytes of slot that hold a datagram of an underlay with this MTU. */
export function slotBytesFor(mtu: number): number {
  return Math.max(2048, mtu + HEADROOM);
}
