/**
 * The reaper: the one that ends what is over. It sweeps the shared tables, a slice at a time, closes sessions whose time is
 * up, forgets idle flows, and frees what was taken out once nobody can be reading it. One thread has it: control, or the
 * gateway itself where that is alone. It waits for nobody: a session whose lock is taken has its turn on the next round.
 */
import { isOver } from './acl/review.js';
import type { Policy } from './policy.js';
import { BUSY, type Review } from './review.js';
import { CONNECTION_WORDS, type Connections } from './tables/connections.js';
import { F_LANE, F_SEEN, FLOW_WORDS, Kind, isPlain } from './tables/flows.js';
import { BLOCK_LOCK } from './tables/nat-layout.js';
import type { NatState } from './tables/nat-state.js';
import type { Quiet } from './tables/quiet.js';

/** Every record is looked at once in so many seconds, however many there are. */
const SWEEP_SECONDS = 8;
/** When the table is all but full, or much has just been taken out, in so many. */
const HURRY_SECONDS = 1;
/** A reload leaves much to be freed: for so long after one the sweeps hurry. */
const AFTER_RELOAD_MS = 10_000;
const CROWDED = 0.9;
/** A flow without a session goes after so long without a packet; it costs its next packet the walks. */
export const PLAIN_IDLE_SECONDS = 60;

/** What was taken out in one epoch or before: word indices of flow records, numbers of bindings. */
interface Limbo { readonly epoch: number; readonly flows: readonly number[]; readonly bindings: readonly number[] }

export class Reaper {
  readonly #nat: NatState;
  readonly #quiet: Quiet;
  readonly #connections: Connections;
  readonly #review: Review;
  /** Plain flows forgotten, since the start, because a policy would not carry them. */
  revokedFlows = 0;
  #sweptAt = -Infinity;
  /** Where the sweeps are: word index of a flow record, numbers of a binding and of a connection. */
  #flow = 0;
  #binding = 0;
  #connection = 0;
  #block = 0;
  #subscriber = 0;
  #hurriesUntil = -Infinity;
  /** What was taken out here, to be freed as soon as may be; the sweep frees what workers take out. */
  readonly #limbo: Limbo[] = [];

  constructor(nat: NatState, quiet: Quiet, connections: Connections, review: Review) {
    this.#nat = nat;
    this.#quiet = quiet;
    this.#connections = connections;
    this.#review = review;
    if (quiet.isAlone) return;
    nat.flows.removed = [];
    nat.unbound = [];
  }

  /** Go on sweeping; as far as the time since the last call asks for. `now` in milliseconds. Call it ten times a second. */
  tick(now: number, policy: Policy): void {
    this.#freeLimbo();
    this.#quiet.advance();
    const { sizes, flows } = this.#nat;
    const isCrowded = now < this.#hurriesUntil || this.#nat.sessionCount > CROWDED * sizes.sessions;
    flows.isCrowded = isCrowded;
    // Plain flows give way to one another, and what gives way lies dead until the sweep.
    const round = isCrowded || flows.plainCount > CROWDED * sizes.plain ? HURRY_SECONDS : SWEEP_SECONDS;
    const part = Math.min(1, Math.abs(now - this.#sweptAt) / 1000 / round); // a clock that was set back sweeps too
    if (part === 0) return;
    this.#sweptAt = now;
    this.#sweepFlows(Math.ceil(flows.end / FLOW_WORDS * part), Math.floor(now / 1000), policy);
    for (let i = Math.ceil(sizes.bindings * part); i > 0; i--) {
      this.#nat.recycleBinding(this.#binding);
      this.#binding = this.#binding + 1 === sizes.bindings ? 0 : this.#binding + 1;
    }
    this.#sweepConnections(Math.ceil(this.#connectionRecords * part), Math.floor(now / 1000), policy);
    this.#sweepHolders(Math.min(1, part * round / HURRY_SECONDS), now, policy);
  }

  /** Free what was taken out here, in order, as far as nobody can hold it; begin a new lot. */
  #freeLimbo(): void {
    const { flows } = this.#nat;
    if (flows.removed === null || this.#nat.unbound === null) return;
    if (flows.removed.length + this.#nat.unbound.length > 0) {
      this.#limbo.push({ epoch: this.#quiet.epoch, flows: flows.removed, bindings: this.#nat.unbound });
      flows.removed = [];
      this.#nat.unbound = [];
    }
    while (this.#limbo.length > 0 && this.#quiet.isOver(this.#limbo[0].epoch)) {
      const lot = this.#limbo.shift();
      lot?.flows.forEach(at => flows.recycle(at));
      lot?.bindings.forEach(binding => this.#nat.recycleBinding(binding));
    }
  }

  /**
   * After a policy change, once no worker has an older one: look at `records` records from the `from`th on, flows first and then
   * connections; list and end what `policy` would not open, and forget flows compiled by others. Returns the record to go on from,
   * or -1 at the end; it stops early where a lock is taken, for its holder may be dead, and the caller the one that has to see to that.
   */
  revoke(policy: Policy, from: number, records: number, nowMs = this.#sweptAt): number {
    const { flows } = this.#nat;
    if (from === 0 && !this.#quiet.isAlone) {
      this.#hurriesUntil = this.#sweptAt + AFTER_RELOAD_MS;
      flows.isCrowded = true;
    }
    const now = Math.max(0, Math.floor(nowMs / 1000)) | 0, flowRecords = flows.end / FLOW_WORDS;
    const end = Math.min(flowRecords + this.#connectionRecords, from + records);
    for (let record = from; record < end; record++) {
      const isDone = record < flowRecords ? this.#reviewFlow(record * FLOW_WORDS, policy, now) : this.#reviewConnection(record - flowRecords, policy, now);
      if (!isDone) return record;
    }
    return end === flowRecords + this.#connectionRecords ? -1 : end;
  }

  get #connectionRecords(): number { return (this.#connections.end - this.#connections.first) / CONNECTION_WORDS; }

  #reviewFlow(at: number, policy: Policy, now: number): boolean {
    const { flows } = this.#nat;
    if (this.#nat.isOpen(at)) return this.#reviewSession(at, policy, now);
    const key = flows.words[at];
    if (!isPlain(flows.kind(at)) || flows.words[at + F_LANE] >>> 24 === (policy.generation & 0xff)) return true;
    if ((now - flows.words[at + F_SEEN] | 0) < PLAIN_IDLE_SECONDS) {
      const why = this.#review.whyNotFlow(policy, at, now);
      if (why === BUSY) return false;
      if (why !== 0 && flows.words[at] === key) { // a worker may have taken it out meanwhile: then it is not this one's to list
        this.#review.listFlow(policy, at, why, now);
        this.revokedFlows++;
      }
    }
    flows.removePlain(at);
    return true;
  }

  /** False when somebody has the session's lock. */
  #reviewSession(session: number, policy: Policy, now: number): boolean {
    const nat = this.#nat;
    if (nat.sessionGeneration(session) === (policy.generation & 0xff)) return true;
    if (!nat.lockSession(session, false)) return !nat.isOpen(session);
    let isDone = true;
    const isOver = nat.isExpired(session, now, policy.timers), why = isOver ? 0 : this.#review.whyNotSession(policy, session, now, false);
    if (isOver) isDone = nat.close(session, false);
    else if (why === 0) nat.allowSession(session, policy.generation);
    else if (why === BUSY) isDone = false;
    else isDone = this.#review.revokeSession(policy, session, why, now, false);
    nat.locks.unlock();
    return isDone;
  }

  /** False when somebody has its lock. */
  #reviewConnection(record: number, policy: Policy, now: number): boolean {
    const connections = this.#connections, at = connections.first + record * CONNECTION_WORDS;
    const isSettled = (): boolean => !connections.isOpen(at) || connections.generationOf(at) === (policy.generation & 0xff);
    if (isSettled()) return true;
    if (!connections.tryEnterAt(at)) return false;
    if (!isSettled()) this.#review.settleConnection(policy, at, now);
    connections.leave();
    return true;
  }

  /** Who has used a port block last, and who is still there: of each table the next `part`. Not now, when a worker is at it. */
  #sweepHolders(part: number, now: number, { timers }: Policy): void {
    const { blocks, subscribers, locks } = this.#nat;
    if (blocks.used + subscribers.used === 0 || !locks.tryLock(BLOCK_LOCK)) return;
    for (let i = Math.ceil(blocks.used * part); i > 0; i--) {
      this.#block = this.#block + 1 < blocks.used ? this.#block + 1 : 0;
      blocks.sweep(this.#block, now, timers.portBlock * 1000);
    }
    for (let i = Math.ceil(subscribers.used * part); i > 0; i--) {
      this.#subscriber = this.#subscriber + 1 < subscribers.used ? this.#subscriber + 1 : 0;
      subscribers.sweep(this.#subscriber, Math.floor(now / 1000));
    }
    locks.unlock();
  }

  #sweepConnections(records: number, now: number, policy: Policy): void {
    const connections = this.#connections;
    for (let i = Math.min(records, this.#connectionRecords); i > 0; i--) {
      const at = connections.first + this.#connection * CONNECTION_WORDS;
      this.#connection = at + CONNECTION_WORDS === connections.end ? 0 : this.#connection + 1;
      if (!connections.isOpen(at) || !isOver(connections, at, now, policy) || !connections.tryEnterAt(at)) continue;
      if (connections.isOpen(at) && isOver(connections, at, now, policy)) connections.remove(at);
      connections.leave();
    }
  }

  #sweepFlows(records: number, now: number, policy: Policy): void {
    const { flows } = this.#nat;
    for (let i = Math.min(records, flows.end / FLOW_WORDS); i > 0; i--) {
      const at = this.#flow;
      if (at === 0) flows.endSweep();
      this.#flow = at + FLOW_WORDS === flows.end ? 0 : at + FLOW_WORDS;
      const kind = flows.kind(at);
      if (kind === 0) continue;
      if (flows.spilled > 0) flows.measure(at);
      if (kind === Kind.dead) flows.recycle(at);
      else if (this.#nat.isOpen(at)) this.#expire(at, now, policy);
      else if (isPlain(kind) && (now - flows.words[at + F_SEEN] | 0) >= PLAIN_IDLE_SECONDS) flows.removePlain(at);
    }
  }

  #expire(session: number, now: number, { timers }: Policy): void {
    const nat = this.#nat;
    if (!nat.isExpired(session, now, timers) || !nat.lockSession(session, false)) return;
    if (nat.isExpired(session, now, timers)) nat.close(session, false);
    nat.locks.unlock();
  }
}
