/**
 * The reaper: the one that ends what is over. It sweeps the shared tables, a slice at a time, closes sessions whose time is
 * up, forgets idle flows, and frees what was taken out once nobody can be reading it. One thread has it: control, or the
 * gateway itself where that is alone. It waits for nobody: a session whose lock is taken has its turn on the next round.
 */
import { allowsSession } from './nat/allowed.js';
import type { Policy } from './policy.js';
import { F_LANE, F_SEEN, FLOW_WORDS, Kind, isPlain } from './tables/flows.js';
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
  #sweptAt = -Infinity;
  /** Where the sweeps are: word index of a flow record, number of a binding. */
  #flow = 0;
  #binding = 0;
  #hurriesUntil = -Infinity;
  /** What was taken out here, to be freed as soon as may be; the sweep frees what workers take out. */
  readonly #limbo: Limbo[] = [];

  constructor(nat: NatState, quiet: Quiet) {
    this.#nat = nat;
    this.#quiet = quiet;
    if (quiet.isAlone) return;
    nat.flows.removed = [];
    nat.unbound = [];
  }

  /** Go on sweeping; as far as the time since the last call asks for. `now` in milliseconds. Call it ten times a second. */
  tick(now: number, policy: Policy): void {
    this.#freeLimbo();
    this.#quiet.advance();
    const isCrowded = this.#nat.sessionCount > CROWDED * this.#nat.sizes.sessions;
    const isHurried = now < this.#hurriesUntil;
    this.#nat.flows.isCrowded = isHurried || isCrowded;
    const round = isHurried || isCrowded ? HURRY_SECONDS : SWEEP_SECONDS;
    const part = Math.min(1, Math.abs(now - this.#sweptAt) / 1000 / round); // a clock that was set back sweeps too
    if (part === 0) return;
    this.#sweptAt = now;
    const { flows, sizes } = this.#nat;
    this.#sweepFlows(Math.ceil(flows.end / FLOW_WORDS * part), Math.floor(now / 1000), policy);
    for (let i = Math.ceil(sizes.bindings * part); i > 0; i--) {
      this.#nat.recycleBinding(this.#binding);
      this.#binding = this.#binding + 1 === sizes.bindings ? 0 : this.#binding + 1;
    }
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
   * After a policy change, once no worker has an older one: look at `records` flow records from the `from`th on, close the
   * sessions that `policy` would not open, and forget flows compiled by others. Returns the record to go on from, or -1 at the
   * end; it stops early where a lock is taken, for its holder may be dead, and the caller the one that has to see to that.
   */
  revoke(policy: Policy, from: number, records: number): number {
    const { flows } = this.#nat;
    if (from === 0 && !this.#quiet.isAlone) {
      this.#hurriesUntil = this.#sweptAt + AFTER_RELOAD_MS;
      flows.isCrowded = true;
    }
    const end = Math.min(flows.end, (from + records) * FLOW_WORDS);
    for (let at = from * FLOW_WORDS; at < end; at += FLOW_WORDS) {
      if (this.#nat.isOpen(at)) {
        if (!this.#review(at, policy)) return at / FLOW_WORDS;
      } else if (isPlain(flows.kind(at)) && flows.words[at + F_LANE] >>> 24 !== (policy.generation & 0xff)) {
        flows.removePlain(at);
      }
    }
    return end === flows.end ? -1 : from + records;
  }

  /** False when somebody has the session's lock. */
  #review(session: number, policy: Policy): boolean {
    const nat = this.#nat;
    if (nat.sessionGeneration(session) === (policy.generation & 0xff)) return true;
    if (!nat.lockSession(session, false)) return !nat.isOpen(session);
    let isDone = true;
    if (allowsSession(policy, nat, session)) {
      nat.allowSession(session, policy.generation);
    } else {
      isDone = nat.close(session, false);
      if (isDone) nat.noteRevoked();
    }
    nat.locks.unlock();
    return isDone;
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
