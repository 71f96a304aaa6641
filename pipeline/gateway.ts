/**
 * One worker's pipeline: datagrams in, fates counted, datagrams out. No socket, clock or file: arrival, time and the
 * way out are passed in.
 */
import { V4_MAPPED } from './address.js';
import { answerDrop } from './answer.js';
import { Context, Fate, HEADROOM, type Outlet, type Stage } from './context.js';
import { WALKS } from './graph.js';
import { Cell, Ledger, ledgerBytes } from './ledger.js';
import { Packet, Side, Walk } from './packet.js';
import { PeerKind, Policy, type PolicyData } from './policy.js';
import type { Random } from './random.js';
import { Reason } from './reasons.js';
import { tenantOfScope } from './stages/fragments.js';
import { FragmentTable, makeFragmentMemory, type FragmentSizes, type Held } from './tables/fragments.js';
import { NatState, makeNatMemory, type NatSizes } from './tables/nat-state.js';
import { RateLimit } from './tables/rate-limit.js';

/** Looks over the pipeline's shoulder, for traces and captures. Not on the fast path: null costs nothing. */
export interface Observer {
  /** A stage has decided about `p`: 0 went on, below a `Fate`, above a `Reason`. */
  step?(stage: Stage, p: Packet, verdict: number, c: Context): void;
  /** The packet's fate; `p.tag` tells which. */
  settled?(p: Packet, verdict: number, c: Context): void;
  /** A held packet expired: its tag. */
  expired?(tag: number, tenant: number): void;
}

export interface StateSizes { readonly tenants: number; readonly nat: NatSizes; readonly fragments: FragmentSizes }

/** The state that outlives policies and is shared by threads: allocated once, from the config's limits. */
export interface SharedState {
  readonly sizes: StateSizes;
  readonly nat: SharedArrayBuffer;
  readonly fragments: SharedArrayBuffer;
  /** One ledger a worker. */
  readonly ledgers: readonly SharedArrayBuffer[];
}

/** Allocate for `workers` workers; `seed` keeps hash positions from being guessed. */
export function makeSharedState(sizes: StateSizes, workers: number, seed: number): SharedState {
  return {
    sizes,
    nat: makeNatMemory(sizes.nat, seed),
    fragments: makeFragmentMemory(sizes.fragments, seed),
    ledgers: Array.from({ length: workers }, () => new SharedArrayBuffer(ledgerBytes(sizes.tenants))),
  };
}

/** Every session is looked at once in so many seconds, however many there are. */
const SWEEP_SECONDS = 8;
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
  readonly #p = new Packet();
  readonly #held: Held = { at: 0, end: 0, tag: 0, carrier: 0, side: 0, peer: 0 };
  #sweptAt = -Infinity;

  constructor(parts: { state: SharedState; worker: number; policy: PolicyData; random: Random; outlet: Outlet }) {
    const { state } = parts;
    const memory = state.ledgers[parts.worker];
    if (memory === undefined) throw new RangeError(`no ledger for worker ${parts.worker}`);
    this.ledger = new Ledger(memory);
    this.context = new Context({
      policy: new Policy(parts.policy),
      nat: new NatState(state.nat, state.sizes.nat),
      fragments: new FragmentTable(state.fragments, state.sizes.fragments),
      ledger: this.ledger,
      random: parts.random,
      outlet: parts.outlet,
      icmpLimit: new RateLimit(state.sizes.tenants),
    });
  }

  /**
   * Switch to another policy, between packets. Sessions stay, except those that the new policy would not open: their
   * tenant, pool address, mapping or inside record is gone, or the way to their remote end is no longer NAT. Returns how
   * many went. Peers are numbered anew, so fragments on hold are given up; what is known of others stays.
   */
  adopt(data: PolicyData): number {
    const policy = new Policy(data);
    this.giveUpHeld();
    this.context.policy = policy;
    const { nat } = this.context;
    return nat.revoke((binding, session) => isStillAllowed(policy, nat, binding, nat.remote(session)));
  }

  /**
   * One datagram: `mem[at..end)` is its UDP payload and `mem[start..at)` may be overwritten. `peer` is what
   * `policy.findSender` said of its PA, `carrier` and `side` which socket it came to, `now` milliseconds since the
   * epoch. The bytes belong to the pipeline until it returns. Returns the packet's fate or drop reason.
   */
  receive(mem: Uint8Array, start: number, at: number, end: number, peer: number, carrier: number, side: number, now: number, tag = 0): number {
    const p = this.#p;
    p.reset();
    p.mem = mem; p.start = start; p.at = at; p.end = end;
    p.peer = peer; p.carrier = carrier; p.side = side; p.now = now; p.tag = tag;
    this.received++;
    const bytes = end - at;
    const verdict = this.#guarded(p);
    this.#settle(p, verdict, bytes);
    if (p.releases >= 0) this.#release(p.releases, now);
    return verdict;
  }

  /** A datagram that ends before the pipeline, under `reason`: of a capture, what is no tunnel or not for us. */
  refuse(mem: Uint8Array, at: number, end: number, reason: number, now: number, tag = 0): void {
    const p = this.#p;
    p.reset();
    p.mem = mem; p.start = at; p.at = at; p.end = end; p.peer = -1; p.now = now; p.tag = tag;
    this.received++;
    this.#settle(p, reason, end - at);
  }

  /** Drop every fragment that is on hold, under its reason: before a policy change, and at the end. */
  giveUpHeld(): void {
    const { fragments } = this.context;
    for (let entry = 0; entry < fragments.sizes.datagrams; entry++) if (fragments.isWaiting(entry)) this.#giveUp(entry);
  }

  /** Let timers run: close sessions and give up fragments whose time has come. Cheap when nothing is due; call it often. */
  tick(now: number): void {
    const { nat } = this.context;
    const elapsed = Math.min(SWEEP_SECONDS, Math.abs(now - this.#sweptAt) / 1000); // a clock that was set back sweeps too
    if (elapsed > 0) {
      nat.reap(Math.floor(now / 1000), Math.ceil(nat.sizes.sessions * elapsed / SWEEP_SECONDS));
      this.#sweptAt = now;
    }
    this.#expireFragments(Math.floor(now / 1000), FRAGMENTS_PER_TICK);
  }

  #guarded(p: Packet): number {
    try {
      return this.#run(p);
    } catch (error) {
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
        if (verdict !== Fate.next) return verdict;
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
    const held = this.#held;
    const p = this.#p;
    const tenant = tenantOfScope(this.context.fragments.scope(entry));
    while (this.context.fragments.release(entry, held)) {
      const mem = this.context.fragments.bytes.slice(held.at, held.end); // a copy: its slot is free again
      p.reset();
      p.mem = mem; p.start = 0; p.at = 0; p.end = mem.length;
      p.peer = held.peer; p.carrier = held.carrier; p.side = held.side; p.now = now; p.tag = held.tag;
      p.resumed = true;
      const verdict = this.#guarded(p);
      p.tenant = tenant; // who was charged when it came, also when it now goes wrong before that is proved again
      this.#settle(p, verdict, 0);
    }
  }

  #expireFragments(now: number, budget: number): void {
    const { fragments } = this.context;
    for (let entry = fragments.expired(now, budget); entry >= 0; entry = fragments.expired(now, budget)) this.#giveUp(entry);
  }

  #giveUp(entry: number): void {
    const { fragments } = this.context;
    const tenant = tenantOfScope(fragments.scope(entry));
    while (fragments.release(entry, this.#held)) {
      this.ledger.add(tenant, Cell.held, -1);
      this.ledger.drop(tenant, Reason.fragment_orphan);
      if (this.observer !== null) this.observer.expired?.(this.#held.tag, tenant);
    }
    fragments.remove(entry);
  }
}

/** Bytes of slot that hold a datagram of an underlay with this MTU. */
export function slotBytesFor(mtu: number): number {
  return Math.max(2048, mtu + HEADROOM);
}

/**
 * Whether `policy` would still open this session: the outside end is the tenant's and nobody else's, the inside one is
 * delivered to somebody, and the way to `remote` is NAT. ACLs are asked packet by packet anyway.
 */
function isStillAllowed(policy: Policy, nat: NatState, binding: number, remote: number): boolean {
  const { mappings } = policy;
  const tenant = nat.tenantOf(binding);
  if (policy.findPoolOwner(nat.outside(binding)) !== tenant || !policy.isByNat(tenant, remote)) return false;
  const protocol = nat.protocolOf(binding), inside = nat.inside(binding), insidePort = nat.insidePort(binding);
  const mapping = policy.mappingsOutside.find(protocol, nat.outside(binding), nat.outsidePort(binding), 0, 0);
  if (nat.isStatic(binding)) {
    if (mapping < 0 || mappings.internal[mapping] !== inside || mappings.internalPort[mapping] !== insidePort) return false;
  } else if (mapping >= 0 || policy.mappingsInside.find(tenant, protocol, inside, insidePort, 0) >= 0) {
    return false; // its outside port is promised to a mapping now, or its inside one has a mapping to leave by
  }
  return policy.deliverTo(tenant, 0, 0, V4_MAPPED, inside) >= 0;
}
