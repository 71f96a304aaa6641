/**
 * Control: the main thread of the daemon. Reads configs, compiles policies, looks after workers, and reads the shared
 * memory for whoever asks. It never touches a packet and never asks a worker for a number.
 */
import { randomBytes } from 'node:crypto';
import { resolve as absolute } from 'node:path';
import { renderProblem, type Gateway } from '../../config/index.js';
import { Overseer, makeSharedState, type SharedState } from '../../pipeline/gateway.js';
import { Ledger } from '../../pipeline/ledger.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { Policy, type PolicyData } from '../../pipeline/policy.js';
import type { NatState } from '../../pipeline/tables/nat-state.js';
import { readClock, startClock, TICK_MS } from '../worker/clock.js';
import { collect } from '../worker/collect.js';
import { makeCounters } from '../worker/counters.js';
import type { DispatcherStart } from '../dispatcher/messages.js';
import type { Loaded, LoadRefusal } from '../loader/messages.js';
import { Crew } from './crew.js';
import { loadInThread } from './loading.js';
import type { Logger } from './log.js';
import { mendLedger } from './mend-ledger.js';
import { NatLog, type InForce } from './nat-log.js';
import { claimPorts, type PortClaim } from './port-claim.js';
import { dropLeft, keyBytes, makeQueues, packetsByQueue, Recent, waitingIn, type Queues } from './queues.js';
import type { ReceiveMode } from './receive-mode.js';
import { RevokedFlows } from './revoked.js';
import type { Listen, WorkerStart } from '../worker/messages.js';
import { PressureWatch, pressures } from './pressure.js';
import { Shortages } from './shortages.js';
import { RuleCounts } from './rules.js';
import { ledgerRows, LOOK_MS } from './status.js';
import { TenantIds } from '../tables.js';
import { Watch } from './watch.js';

/**
 * Records that a sweep after a reload looks at in one go, a millisecond or two. Then it rests, for on a machine that has a
 * worker a core it takes its time from them, and nothing hangs on it: what comes for a session has it looked at.
 */
const REVOKED_AT_ONCE = 4096;
const REST_MS = 4;
/** For the NAT log's last lines. */
const NAT_LOG_MS = 2000;

export interface ControlParts {
  /** The config to begin with. */
  readonly loaded: Loaded;
  /** That it was compiled with, and those after it will be. */
  readonly seed: number;
  readonly mode: ReceiveMode;
  /** The compiled worker.ts, dispatcher.ts and loader.ts. */
  readonly scripts: { readonly worker: URL; readonly dispatcher: URL; readonly loader: URL };
  readonly execArgv: readonly string[];
  readonly log: Logger;
  /** Workers keep dying: there is no going on. */
  lost(): void;
}

export class Control {
  readonly log: Logger;
  readonly state: SharedState;
  /** Views of it, to read only. */
  readonly ledgers: readonly Ledger[];
  readonly nat: NatState;
  readonly overseer: Overseer;
  /** One a worker; in dispatcher mode the dispatcher's behind them. The same for ledgers. */
  readonly counters: readonly SharedArrayBuffer[];
  readonly receiveMode: ReceiveMode;
  /** Null where workers receive by themselves. */
  readonly queues: Queues | null;
  readonly recent = new Recent();
  readonly ruleCounts: RuleCounts;
  readonly revoked: RevokedFlows;
  /** Null where the config wants none, and before the start. */
  natLog: NatLog | null = null;
  /** Workers that had a packet in hand when they died, and it has been counted. */
  readonly #counted = new Set<number>();
  /** Workers that died and left what could not be put right yet; their successors wait for it. */
  readonly #unrepaired = new Map<number, () => void>();
  /** Where the daemon can be asked, once that is known. */
  readonly endpoints: { admin: { socket: string } | null; metrics: { address: string; port: number } | null } = { admin: null, metrics: null };
  readonly clock = startClock();
  readonly crew: Crew;
  /** The config file. */
  readonly file: string;
  /** Of the config in force; so are the next four. */
  gateway: Gateway;
  tenantCount: number;
  ids: TenantIds;
  policy: PolicyData;
  /** When the config in force was taken over, ms since the epoch. */
  loadedAt = Date.now();
  readonly startedAt = Date.now();
  reloadFailures = 0;
  draining = false;
  /** `policy`, to look things up in. */
  #view: Policy;
  #timer: NodeJS.Timeout | undefined;
  /** Where workers share addresses and ports. */
  #claim: PortClaim | undefined;
  readonly #now = readClock(this.clock);
  readonly #shortages: Shortages;
  readonly #pressure: PressureWatch;
  readonly #watch: Watch;
  #lookedAt = 0;
  #reloads: Promise<void> = Promise.resolve();
  readonly #parts: Pick<ControlParts, 'scripts' | 'execArgv' | 'seed'>;

  constructor(parts: ControlParts) {
    const { loaded, log, mode, scripts, execArgv, seed } = parts;
    const { gateway, sizes, policy } = loaded;
    const { workers } = mode;
    // The dispatcher counts what ends with it, so it has a ledger too.
    const threads = workers + (mode.mode === 'dispatcher' ? 1 : 0);
    this.#parts = { scripts, execArgv, seed }; // not what was loaded: its tables go with the first reload
    this.file = loaded.file;
    this.gateway = gateway;
    this.tenantCount = loaded.tenantCount;
    this.log = log;
    this.receiveMode = mode;
    const queues = mode.mode === 'dispatcher' ? makeQueues(gateway, sizes.fragments.slotBytes, workers) : null;
    this.queues = queues;
    this.ids = new TenantIds(gateway.limits.tenants, loaded.tenants);
    this.state = makeSharedState(sizes, threads, seed);
    this.ledgers = this.state.ledgers.map(memory => new Ledger(memory));
    this.overseer = new Overseer(this.state);
    this.nat = this.overseer.nat;
    this.revoked = new RevokedFlows(this.overseer.revoked, log);
    this.counters = Array.from({ length: threads }, makeCounters);
    this.policy = policy;
    this.ruleCounts = new RuleCounts(policy);
    this.#view = new Policy(policy);
    this.#shortages = new Shortages(this.ledgers, this.counters, log);
    this.#pressure = new PressureWatch(log);
    this.#watch = new Watch(this.counters);
    this.crew = new Crew({
      script: scripts.worker, execArgv, size: workers, log, lost: parts.lost, listen: listens(gateway),
      startOf: (index, listen) => this.#workerStart(index, listen),
      repair: (index, isLast) => this.#repair(index, isLast),
      dispatcher: queues && { script: scripts.dispatcher, startOf: listen => this.#dispatcherStart(listen, queues) },
    });
  }

  /** Datagrams in rings: taken in, and without a fate yet. */
  get waiting(): number { return this.queues === null ? 0 : waitingIn(this.queues.rings); }
  get generation(): number { return this.policy.generation; }
  /** The policy in force, to look things up in. */
  get view(): Policy { return this.#view; }

  /** Start the workers; rejects with a sentence when sockets are not to be had. */
  async start(): Promise<void> {
    const { mode, workers, reason } = this.receiveMode;
    this.log.info({ mode, workers, reason }, 'receive mode');
    if (this.receiveMode.shared) this.#claim = await claimPorts(listens(this.gateway));
    try {
      // Before any packet: what it says of the time since the start must hold.
      this.natLog = await this.#openNatLog();
      await this.crew.start();
    } catch (error) {
      await this.natLog?.close(NAT_LOG_MS);
      this.#claim?.release();
      throw error;
    }
    // It keeps nothing alive: the threads do, as long as there are any.
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** Read the config file again; one at a time, in the order of asking. Never rejects. */
  reload(): Promise<void> {
    this.#reloads = this.#reloads.then(() => this.#reload()).catch((error: unknown) => this.#refuse({ error: error instanceof Error ? error.stack : String(error) }));
    return this.#reloads;
  }

  /** Stop taking packets, send what waits, end the workers. */
  async drain(withinMs: number): Promise<void> {
    this.draining = true;
    await this.crew.drain(withinMs);
    this.#claim?.release();
    clearInterval(this.#timer);
    await this.natLog?.close(NAT_LOG_MS);
    // All threads have ended: what a worker that died, or ran out of time, has left behind is nobody else's to count.
    this.queues?.rings.forEach((_, index) => dropLeft(this.queues?.rings ?? [], index, this.ledgers[index], this.#counted.has(index)));
  }

  async #openNatLog(): Promise<NatLog | null> {
    const { gateway, log, nat: { blocks } } = this;
    const { path } = gateway.natLog;
    if (path === null) return null;
    return NatLog.open({ settings: { ...gateway.natLog, path }, gateway: gateway.name, log, blocks, clock: this.#now, wall: Date.now }, this.#inForce());
  }

  #inForce(): InForce {
    return { file: absolute(this.file), policy: this.policy, tenants: this.ids.known() };
  }

  #workerStart(index: number, listen: readonly Listen[]): WorkerStart {
    const { receiveBuffer, sendBuffer } = this.gateway;
    return {
      index, listen: this.#claim?.listen ?? listen, state: this.state, counters: this.counters[index], policy: this.policy, clock: this.clock, seed: makeSeed(),
      shared: this.receiveMode.shared, rings: this.queues?.rings ?? null, isLostCounted: this.#counted.has(index), receiveBuffer, sendBuffer,
    };
  }

  #dispatcherStart(listen: readonly Listen[], { rings, indirection }: Queues): DispatcherStart {
    const { receiveBuffer, rss } = this.gateway;
    const last = this.receiveMode.workers;
    return {
      listen, rings, indirection, ledger: this.state.ledgers[last], counters: this.counters[last], clock: this.clock,
      key: keyBytes(rss.key), rebalance: rss.rebalance, receiveBuffer,
    };
  }

  /** Thread `index` has ended and left in shared memory what it left. Resolves when that is in order. */
  #repair(index: number, isLast: boolean): Promise<void> {
    // At the end nobody needs the tables any more; and a repair waits for all locks, of which another thread that has just
    // been ended by force may hold one, with nobody left to hear of its end.
    const isRepaired = index >= this.receiveMode.workers || isLast || this.overseer.repairAfter(index);
    if (mendLedger(this.ledgers[index], ledgerRows(this).map(([row]) => row))) this.#counted.add(index);
    else this.#counted.delete(index);
    return isRepaired ? Promise.resolve() : new Promise(resolve => this.#unrepaired.set(index, resolve));
  }

  /** One try a tick, for it may wait a while for a lock whose holder is dead too, or has no processor. */
  #repairAgain(): void {
    for (const [index, done] of this.#unrepaired) {
      this.#unrepaired.delete(index);
      if (this.overseer.repairAfter(index)) done();
      else this.#unrepaired.set(index, done); // behind the others
      return;
    }
  }

  async #reload(): Promise<void> {
    if (this.draining) return;
    const { file, gateway, log, state: { sizes } } = this;
    const { scripts, execArgv, seed } = this.#parts;
    const running = { gateway, sizes, tenants: this.ids.known() };
    const answer = await loadInThread(scripts.loader, execArgv, { path: file, generation: this.generation + 1, seed, running });
    if (this.draining) return;
    if (answer.type !== 'loaded') return this.#refuse(reasonsOf(answer, file));

    const { policy } = answer;
    this.policy = policy;
    this.gateway = answer.gateway;
    this.tenantCount = answer.tenantCount;
    this.ids = new TenantIds(this.ids.limit, answer.tenants);
    this.loadedAt = Date.now();
    log.level = answer.gateway.logLevel;
    const before = this.#revokedCounts();
    this.#view = new Policy(policy);
    this.ruleCounts.add(policy);
    this.natLog?.adopt(this.#inForce());
    await this.crew.adopt(policy);
    this.ruleCounts.settle();
    await this.#revoke(this.#view);
    this.natLog?.settled(policy.generation);
    this.#listRevoked();
    const now = this.#revokedCounts();
    log.info({
      file, generation: policy.generation, tenants: this.tenantCount,
      revokedSessions: now.sessions - before.sessions, revokedConnections: now.connections - before.connections, revokedFlows: now.flows - before.flows,
    }, 'config reloaded');
    this.crew.forget();
    collect();
  }

  /** Close what `policy` would not open, now that all workers go by it; in slices, for others ask control things too. */
  async #revoke(policy: Policy): Promise<void> {
    for (let next = 0; next >= 0;) {
      next = this.overseer.reaper.revoke(policy, next, REVOKED_AT_ONCE, this.#now());
      this.#listRevoked();
      if (next >= 0) await new Promise(resolve => setTimeout(resolve, REST_MS));
    }
  }

  /** Name what workers and the reaper have ended. */
  #listRevoked(): void {
    this.revoked.take(this.policy, id => this.ids.nameOf(id));
  }

  #revokedCounts() {
    const { nat, connections, reaper } = this.overseer;
    return { sessions: nat.revoked, connections: connections.revoked, flows: reaper.revokedFlows };
  }

  #tick(): void {
    const now = this.#now();
    this.overseer.reaper.tick(now, this.#view);
    this.natLog?.tick();
    this.#listRevoked();
    this.#repairAgain();
    if (now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    this.#shortages.look(now, ledgerRows(this));
    this.#pressure.look(pressures(this.overseer, this.#view, ledgerRows(this)));
    this.recent.look(now, packetsByQueue(this));
    const stuck = this.#watch.look(thread => this.crew.isUp(thread));
    if (stuck >= 0) this.crew.giveUpOn(stuck);
  }

  #refuse(why: Record<string, unknown>): void {
    this.reloadFailures++;
    this.log.error({ file: this.file, generation: this.generation, ...why }, 'config refused, the old one stays in force');
  }
}

/** The same for the log. */
function reasonsOf(refusal: LoadRefusal, file: string): Record<string, unknown> {
  switch (refusal.type) {
    case 'problems': return { problems: refusal.problems.map(problem => renderProblem(file, problem)) };
    case 'restart': return { keys: refusal.keys, advice: 'these take effect at a restart; nothing of the new config was applied' };
    case 'unreadable': case 'failed': return { error: refusal.message };
  }
}

/** Sockets to receive on. Uplinks and sites speak GRE only. */
function listens(gateway: Gateway): Listen[] {
  const at = (addresses: Gateway['listen'], side: number, carrier: number, port: number): Listen[] =>
    addresses.map(({ family, text }) => ({ side, carrier, family, address: text, port }));
  const split = gateway.uplinkListen.length > 0;
  return [
    ...at(gateway.listen, split ? Side.hosts : Side.both, Carrier.gre, gateway.grePort),
    ...at(gateway.listen, split ? Side.hosts : Side.both, Carrier.vxlan, gateway.vxlanPort),
    ...at(gateway.uplinkListen, Side.uplinks, Carrier.gre, gateway.grePort),
  ];
}

/** Decides where tables put what, and which numbers a thread draws: not to be guessed by those who choose addresses and ports. */
export function makeSeed(): number {
  return randomBytes(4).readUInt32LE();
}
