/**
 * Control: the main thread of the daemon. Reads configs, compiles policies, looks after workers, and reads the shared
 * memory for whoever asks. It never touches a packet and never asks a worker for a number.
 */
import { randomBytes } from 'node:crypto';
import { renderProblem, type Config } from '../../config/index.js';
import { makeSharedState, type SharedState } from '../../pipeline/gateway.js';
import { Ledger } from '../../pipeline/ledger.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import type { PolicyData } from '../../pipeline/policy.js';
import { NatState } from '../../pipeline/tables/nat-state.js';
import { startClock } from '../worker/clock.js';
import { readConfigFile, UnreadableFile } from '../cli/config-file.js';
import { makeCounters } from '../worker/counters.js';
import { Crew } from './crew.js';
import type { Logger } from './log.js';
import type { Listen } from '../worker/messages.js';
import { needRestart } from './reload.js';
import { compileConfig, stateSizes, TenantIds } from '../tables.js';

/** One for now; the state is shared, so more are a matter of spreading packets. */
const WORKERS = 1;

export interface ControlParts {
  readonly config: Config;
  /** The compiled worker.ts. */
  readonly script: URL;
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
  readonly counters: readonly SharedArrayBuffer[];
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
  #reloads: Promise<void> = Promise.resolve();
  // Where tables put what: not to be guessed by those who choose addresses and ports.
  readonly #seed = seed();

  constructor(parts: ControlParts) {
    const { config, log } = parts;
    this.config = config;
    this.log = log;
    this.ids = new TenantIds(config.gateway.limits.tenants);
    this.state = makeSharedState(stateSizes(config), WORKERS, this.#seed);
    this.ledgers = this.state.ledgers.map(memory => new Ledger(memory));
    this.nat = new NatState(this.state.nat, this.state.sizes.nat);
    this.counters = Array.from({ length: WORKERS }, makeCounters);
    this.#policy = compileConfig(config, this.ids, 1, this.#seed);
    this.crew = new Crew({
      script: parts.script, execArgv: parts.execArgv, size: WORKERS, log, lost: parts.lost, listen: listens(config), policy: () => this.#policy,
      startOf: (index, listen) => ({
        index, listen, state: this.state, counters: this.counters[index], policy: this.#policy, clock: this.clock, seed: seed(),
        receiveBuffer: config.gateway.receiveBuffer, sendBuffer: config.gateway.sendBuffer,
      }),
    });
  }

  get generation(): number { return this.#policy.generation; }

  /** Start the workers; rejects with a sentence when sockets are not to be had. */
  async start(): Promise<void> {
    const { workers } = this.config.gateway;
    if (workers !== 'auto' && workers !== WORKERS) this.log.warn({ asked: workers, run: WORKERS }, 'more than one worker is not there yet');
    await this.crew.start();
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
    const revoked = await this.crew.adopt(policy);
    this.log.info({ file, generation, tenants: next.tenants.length, revokedSessions: revoked }, 'config reloaded');
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
