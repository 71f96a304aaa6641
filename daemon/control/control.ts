/**
 * Control: the main thread of the daemon. Reads configs, compiles policies, looks after workers, and reads the shared
 * memory for whoever asks. It never touches a packet and never asks a worker for a number.
 */
import { randomBytes } from 'node:crypto';
import { renderProblem, type Config } from '../../config/index.js';
import { Overseer, makeSharedState, type SharedState } from '../../pipeline/gateway.js';
import { Ledger } from '../../pipeline/ledger.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { Policy, type PolicyData } from '../../pipeline/policy.js';
import type { NatState } from '../../pipeline/tables/nat-state.js';
import { readClock, startClock, TICK_MS } from '../worker/clock.js';
import { readConfigFile, UnreadableFile } from '../cli/config-file.js';
import { makeCounters } from '../worker/counters.js';
import type { DispatcherStart } from '../dispatcher/messages.js';
import { Crew } from './crew.js';
import type { Logger } from './log.js';
import { mendLedger } from './mend-ledger.js';
import { claimPorts, type PortClaim } from './port-claim.js';
import { dropLeft, keyBytes, makeQueues, packetsByQueue, Recent, waitingIn, type Queues } from './queues.js';
import type { ReceiveMode } from './receive-mode.js';
import type { Listen, WorkerStart } from '../worker/messages.js';
import { needRestart } from './reload.js';
import { Shortages } from './shortages.js';
import { ledgerRows, LOOK_MS } from './status.js';
import { compileConfig, stateSizes, TenantIds } from '../tables.js';
import { Watch } from './watch.js';

/** Records between two turns of the event loop, a few milliseconds. */
const REVOKED_AT_ONCE = 16384;

export interface ControlParts {
  readonly config: Config;
  readonly mode: ReceiveMode;
  /** The compiled worker.ts and dispatcher.ts. */
  readonly scripts: { readonly worker: URL; readonly dispatcher: URL };
  readonly execArgv: readonly string[];
  readonly log: Logger;
  /** Workers keep dying: there is no going on. */
  lost(): void;
}

export class Control {
  readonly log: Logger;
  readonly ids: TenantIds;
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
  /** Workers that had a packet in hand when they died, and it has been counted. */
  readonly #counted = new Set<number>();
  /** Workers that died and left what could not be put right yet; their successors wait for it. */
  readonly #unrepaired = new Map<number, () => void>();
  /** Where the daemon can be asked, once that is known. */
  readonly endpoints: { admin: { socket: string } | null; metrics: { address: string; port: number } | null } = { admin: null, metrics: null };
  readonly clock = startClock();
  readonly crew: Crew;
  config: Config;
  /** When the config in force was taken over, ms since the epoch. */
  loadedAt = Date.now();
  readonly startedAt = Date.now();
  reloadFailures = 0;
  draining = false;
  #policy: PolicyData;
  /** The same, to look things up in. */
  #view: Policy;
  #timer: NodeJS.Timeout | undefined;
  /** Where workers share addresses and ports. */
  #claim: PortClaim | undefined;
  readonly #now = readClock(this.clock);
  readonly #shortages: Shortages;
  readonly #watch: Watch;
  #lookedAt = 0;
  #reloads: Promise<void> = Promise.resolve();
  // Where tables put what: not to be guessed by those who choose addresses and ports.
  readonly #seed = seed();

  constructor(parts: ControlParts) {
    const { config, log, mode } = parts;
    const { workers } = mode;
    // The dispatcher counts what ends with it, so it has a ledger too.
    const threads = workers + (mode.mode === 'dispatcher' ? 1 : 0);
    this.config = config;
    this.log = log;
    this.receiveMode = mode;
    const queues = mode.mode === 'dispatcher' ? makeQueues(config, workers) : null;
    this.queues = queues;
    this.ids = new TenantIds(config.gateway.limits.tenants);
    this.state = makeSharedState(stateSizes(config), threads, this.#seed);
    this.ledgers = this.state.ledgers.map(memory => new Ledger(memory));
    this.overseer = new Overseer(this.state);
    this.nat = this.overseer.nat;
    this.counters = Array.from({ length: threads }, makeCounters);
    this.#policy = compileConfig(config, this.ids, 1, this.#seed);
    this.#view = new Policy(this.#policy);
    this.#shortages = new Shortages(this.ledgers, this.counters, log);
    this.#watch = new Watch(this.counters);
    this.crew = new Crew({
      script: parts.scripts.worker, execArgv: parts.execArgv, size: workers, log, lost: parts.lost, listen: listens(config),
      startOf: (index, listen) => this.#workerStart(index, listen),
      repair: (index, isLast) => this.#repair(index, isLast),
      dispatcher: queues && { script: parts.scripts.dispatcher, startOf: listen => this.#dispatcherStart(listen, queues) },
    });
  }

  /** Datagrams in rings: taken in, and without a fate yet. */
  get waiting(): number { return this.queues === null ? 0 : waitingIn(this.queues.rings); }
  get generation(): number { return this.#policy.generation; }

  /** Start the workers; rejects with a sentence when sockets are not to be had. */
  async start(): Promise<void> {
    const { mode, workers, reason } = this.receiveMode;
    this.log.info({ mode, workers, reason }, 'receive mode');
    if (this.receiveMode.shared) this.#claim = await claimPorts(listens(this.config));
    try {
      await this.crew.start();
    } catch (error) {
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
    // All threads have ended: what a worker that died, or ran out of time, has left behind is nobody else's to count.
    this.queues?.rings.forEach((_, index) => dropLeft(this.queues?.rings ?? [], index, this.ledgers[index], this.#counted.has(index)));
  }

  #workerStart(index: number, listen: readonly Listen[]): WorkerStart {
    const { receiveBuffer, sendBuffer } = this.config.gateway;
    return {
      index, listen: this.#claim?.listen ?? listen, state: this.state, counters: this.counters[index], policy: this.#policy, clock: this.clock, seed: seed(),
      shared: this.receiveMode.shared, rings: this.queues?.rings ?? null, isLostCounted: this.#counted.has(index), receiveBuffer, sendBuffer,
    };
  }

  #dispatcherStart(listen: readonly Listen[], { rings, indirection }: Queues): DispatcherStart {
    const { receiveBuffer, rss } = this.config.gateway;
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
    const { file } = this.config;
    if (this.draining) return;
    let next: Config | undefined;
    try {
      const read = await readConfigFile(file);
      if (read.config === undefined) return this.#refuse({ problems: read.problems.map(problem => renderProblem(file, problem)) });
      next = read.config;
    } catch (error) {
      if (!(error instanceof UnreadableFile)) throw error;
      return this.#refuse({ error: error.message });
    }
    const keys = needRestart(this.config, next, this.state.sizes);
    if (keys.length > 0) return this.#refuse({ keys, advice: 'these take effect at a restart; nothing of the new config was applied' });

    const generation = this.generation + 1;
    let policy: PolicyData;
    try {
      policy = compileConfig(next, this.ids, generation, this.#seed);
    } catch (error) {
      return this.#refuse({ error: error instanceof Error ? error.message : String(error) });
    }
    this.#policy = policy;
    this.config = next;
    this.loadedAt = Date.now();
    this.log.level = next.gateway.logLevel;
    const before = this.nat.revoked;
    this.#view = new Policy(policy);
    await this.crew.adopt(policy);
    await this.#revoke(this.#view);
    this.log.info({ file, generation, tenants: next.tenants.length, revokedSessions: this.nat.revoked - before }, 'config reloaded');
  }

  /** Close what `policy` would not open, now that all workers go by it; in slices, for others ask control things too. */
  async #revoke(policy: Policy): Promise<void> {
    for (let next = 0; next >= 0;) {
      next = this.overseer.reaper.revoke(policy, next, REVOKED_AT_ONCE);
      await new Promise(resolve => setImmediate(resolve));
    }
  }

  #tick(): void {
    const now = this.#now();
    this.overseer.reaper.tick(now, this.#view);
    this.#repairAgain();
    if (now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    this.#shortages.look(now, ledgerRows(this));
    this.recent.look(now, packetsByQueue(this));
    const stuck = this.#watch.look(thread => this.crew.isUp(thread));
    if (stuck >= 0) this.crew.giveUpOn(stuck);
  }

  #refuse(why: Record<string, unknown>): void {
    this.reloadFailures++;
    this.log.error({ file: this.config.file, generation: this.generation, ...why }, 'config refused, the old one stays in force');
  }
}

/** Sockets to receive on. Uplinks and sites speak GRE only. */
function listens({ gateway }: Config): Listen[] {
  const at = (addresses: Config['gateway']['listen'], side: number, carrier: number, port: number): Listen[] =>
    addresses.map(({ family, text }) => ({ side, carrier, family, address: text, port }));
  const split = gateway.uplinkListen.length > 0;
  return [
    ...at(gateway.listen, split ? Side.hosts : Side.both, Carrier.gre, gateway.grePort),
    ...at(gateway.listen, split ? Side.hosts : Side.both, Carrier.vxlan, gateway.vxlanPort),
    ...at(gateway.uplinkListen, Side.uplinks, Carrier.gre, gateway.grePort),
  ];
}

function seed(): number {
  return randomBytes(4).readUInt32LE();
}
