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
/** A flow without a session goes after so long without a packet; it costs its next packet the walks. */
export const PLAIN_IDLE_SECONDS = 60;

export class Reaper {
  readonly #nat: NatState;
  readonly #quiet: Quiet;
  #sweptAt = -Infinity;
  /** Where the sweeps are: word index of a flow record, number of a binding. */
  #flow = 0;
  #binding = 0;

  constructor(nat: NatState, quiet: Quiet) {
    this.#nat = nat;
    this.#quiet = quiet;
  }

  /** Go on sweeping; as far as the time since the last call asks for. `now` in milliseconds. Call it ten times a second. */
  tick(now: number, policy: Policy): void {
    this.#quiet.advance();
    const elapsed = Math.min(SWEEP_SECONDS, Math.abs(now - this.#sweptAt) / 1000); // a clock that was set back sweeps too
    if (elapsed === 0) return;
    this.#sweptAt = now;
    const { flows, sizes } = this.#nat;
    const part = elapsed / SWEEP_SECONDS;
    this.#sweepFlows(Math.ceil(flows.end / FLOW_WORDS * part), Math.floor(now / 1000), policy);
    const bindings = Math.ceil(sizes.bindings * part);
    this.#nat.recycleBindings(this.#binding, bindings);
    this.#binding = this.#binding + bindings >= sizes.bindings ? 0 : this.#binding + bindings;
  }

  /**
   * After a policy change, once no worker has an older one: look at `records` flow records from the `from`th on, close the
   * sessions that `policy` would not open, and forget flows compiled by others. Returns the record to go on from, or -1 at the
   * end; it stops early where a lock is taken, for its holder may be dead, and the caller the one that has to see to that.
   */
  revoke(policy: Policy, from: number, records: number): number {
    const { flows } = this.#nat;
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
    if (allowsSession(policy, nat, session)) {
      nat.allowSession(session, policy.generation);
    } else {
      nat.close(session);
      nat.noteRevoked();
    }
    nat.locks.unlock();
    return true;
  }

  #sweepFlows(records: number, now: number, policy: Policy): void {
    const { flows } = this.#nat;
    for (let i = Math.min(records, flows.end / FLOW_WORDS); i > 0; i--) {
      const at = this.#flow;
      this.#flow = at + FLOW_WORDS === flows.end ? 0 : at + FLOW_WORDS;
      const kind = flows.kind(at);
      if (kind === 0) continue;
      if (kind === Kind.dead) flows.recycle(at);
      else if (this.#nat.isOpen(at)) this.#expire(at, now, policy);
      else if (isPlain(kind) && (now - flows.words[at + F_SEEN] >= PLAIN_IDLE_SECONDS)) flows.removePlain(at);
    }
  }

  #expire(session: number, now: number, { timers }: Policy): void {
    const nat = this.#nat;
    if (!nat.isExpired(session, now, timers) || !nat.lockSession(session, false)) return;
    if (nat.isExpired(session, now, timers)) nat.close(session);
    nat.locks.unlock();
  }
}
