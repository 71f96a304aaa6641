/**
 * The NAT log: which inside address had which external ports when (RFC 6888 REQ-12; daemon/NAT-LOG.md has the format). Plans,
 * from which shares follow by arithmetic (RFC 7422), are written when they change, port blocks when they change hands; no flow
 * and no destination is (REQ-12, REQ-14). Written by control; no worker knows of it.
 *
 * Workers' time never steps, the log's is the machine's: what lies between the two is measured at every tick.
 */
import type { Server } from 'node:net';
import type { NatLog as Settings } from '../../config/index.js';
import type { PolicyData } from '../../pipeline/policy.js';
import { FORMAT, renderLine, type Line, type LineOf, type PlanLine } from '../nat-log/format.js';
import { numbersIn, readAlive } from '../nat-log/files.js';
import { plansOf, type PlanBody } from '../nat-log/plans.js';
import type { KnownTenants } from '../tables.js';
import type { Clock } from '../worker/clock.js';
import { Repeats } from '../worker/repeats.js';
import { VERSION } from '../version.js';
import { HeldBlocks, type BlockSource, type HeldBlock } from './held-blocks.js';
import type { Logger } from './log.js';
import { realDisk, type Disk } from './nat-log-disk.js';
import { claimFolder } from './nat-log-lock.js';
import { LogWriter, type Lost, type Why } from './nat-log-writer.js';

/** The clock was set when it differs by more than this from what it should say; less is how exact the two looks at it are. */
const SET_MS = 100;
/** Two looks at the machine's clock that are further apart than this have been interrupted. */
const INTERRUPTED_MS = 5;
/** In a line about what is held. */
const BLOCKS_A_LINE = 64;

/** A config that has been compiled: what of it the log is about. */
export interface InForce {
  readonly file: string;
  readonly policy: Pick<PolicyData, 'generation' | 'tenants' | 'ports' | 'mappings'>;
  readonly tenants: KnownTenants;
}

export interface NatLogParts {
  readonly settings: Settings & { readonly path: string };
  readonly gateway: string;
  readonly log: Logger;
  readonly blocks: BlockSource;
  /** The workers' clock, and the machine's. */
  readonly clock: Clock;
  readonly wall: Clock;
  readonly disk?: Disk;
  readonly mostWaiting?: number;
}

/** What became of it so far. */
export interface NatLogStatus { readonly path: string; readonly file: string; readonly lines: number; readonly lost: number; readonly waiting: number; readonly failing: string | null }

export class NatLog {
  readonly #parts: NatLogParts;
  readonly #writer: LogWriter;
  readonly #lock: Server;
  readonly #held = new HeldBlocks();
  readonly #repeats: Repeats;
  /** What the machine's clock says beyond the workers'. */
  #offset: number;
  /** By routing domain: the plan in force, and all but its lines, to compare. */
  readonly #plans = new Map<string, { readonly line: PlanLine; readonly text: string }>();
  #tenants: KnownTenants = { rdids: [], names: [] };
  #file = '';
  #generation = 0;
  #isSettled = true;

  private constructor(parts: NatLogParts, lock: Server) {
    const { settings: { path, maxBytes, files }, log, clock, wall, disk = realDisk, mostWaiting } = parts;
    this.#parts = parts;
    this.#lock = lock;
    this.#offset = wall() - clock();
    this.#repeats = new Repeats((message, fields) => log.error({ path, ...fields }, message));
    this.#writer = new LogWriter({
      disk, folder: path, maxBytes, files, mostWaiting,
      snapshot: (why, lost) => this.#snapshot(why, lost),
      failed: ({ code, message }) => this.#repeats.note('NAT log cannot be written', code ?? message, clock(), { error: message }),
      lostLine: ({ lines, since }, time) => renderLine({ type: 'lost', time, lines, since }),
      losing: () => this.#repeats.note('NAT log cannot keep up, lines are lost', '', clock(), {}),
      recovered: lost => { log.warn({ path, lost }, 'NAT log goes on'); },
      removed: file => { log.warn({ path, file }, 'file of the NAT log is not there any more, beginning another'); },
    });
  }

  /** Begin, with what will be in force when workers start. Rejects with a sentence when the folder is not to be had. */
  static async open(parts: NatLogParts, first: InForce): Promise<NatLog> {
    const { settings: { path }, disk = realDisk, log } = parts;
    let lock: Server | undefined;
    try {
      await disk.makeFolder(path);
      lock = await claimFolder(path);
      const natLog = new NatLog(parts, lock);
      const before = await natLog.#begin(disk, first);
      log.info({ path, file: natLog.#writer.file, before }, 'NAT log');
      return natLog;
    } catch (error) {
      lock?.close();
      throw new Error(`NAT log ${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  get status(): NatLogStatus {
    const { lines, lost, waiting, failing, file } = this.#writer;
    return { path: this.#parts.settings.path, file, lines, lost, waiting, failing };
  }

  /** Another config is about to be handed to the workers. */
  adopt({ file, policy, tenants }: InForce): void {
    const now = this.#now();
    const { generation } = policy;
    this.#look();
    this.#tenants = tenants;
    this.#file = file;
    this.#generation = generation;
    this.#isSettled = false;
    const plans = plansOf(policy, tenants);
    const changed = plans.flatMap(body => this.#take(body, generation, now) ?? []);
    const left = new Set(plans.map(({ rdid }) => rdid));
    const gone = [...this.#plans.values()].filter(({ line: { rdid } }) => !left.has(rdid));
    this.#say({ type: 'config', time: now, config: file, generation, plans: changed.length, gone: gone.length });
    for (const line of changed) this.#say(line);
    for (const { line: { tenant, rdid } } of gone) {
      this.#say({ type: 'gone', time: now, generation, tenant, rdid });
      this.#plans.delete(rdid);
    }
  }

  /** No worker goes by an older one any more, and what it forbids has ended. */
  settled(generation: number): void {
    if (generation !== this.#generation) return;
    this.#isSettled = true;
    this.#say({ type: 'settled', time: this.#now(), generation });
  }

  /** Call it ten times a second, from the thread that sweeps the table: a block that goes is seen before anybody else can get it. */
  tick(): void {
    const now = this.#parts.clock();
    this.#readWall(now);
    this.#look();
    this.#writer.tick(now, this.#now());
    this.#repeats.flush(now);
  }

  /** The daemon ends. */
  async close(withinMs: number): Promise<void> {
    this.#look();
    const time = this.#now();
    this.#writer.appendLast(renderLine({ type: 'stop', time }), time);
    const isWhole = await this.#writer.close(withinMs);
    const { waiting, failing } = this.#writer;
    if (!isWhole) this.#parts.log.error({ path: this.#parts.settings.path, waiting, error: failing }, 'NAT log ends without its last lines');
    this.#lock.close();
  }

  /** Resolves when nothing is being written. */
  idle(): Promise<void> {
    return this.#writer.idle();
  }

  /** Leave everything as it is: for tests, as if the process had died. */
  async abandon(): Promise<void> {
    await this.#writer.abandon();
    await new Promise(resolve => this.#lock.close(resolve));
  }

  async #begin(disk: Disk, { file, policy, tenants }: InForce): Promise<string> {
    const { settings: { path }, gateway } = this.#parts;
    const seen = await readAlive(path);
    const before = seen !== null ? 'crash' : numbersIn(await disk.list(path)).length > 0 ? 'stop' : 'nothing';
    const now = this.#now();
    this.#tenants = tenants;
    this.#file = file;
    this.#generation = policy.generation;
    const plans = plansOf(policy, tenants).flatMap(body => this.#take(body, policy.generation, now) ?? []);
    await this.#writer.begin([
      renderLine({ type: 'start', time: now, format: FORMAT, gateway, version: VERSION, config: file, generation: policy.generation, plans: plans.length, before, seen }),
      ...plans.map(renderLine),
      renderLine({ type: 'complete', time: now, generation: policy.generation, settled: true }),
    ], now);
    this.#writer.tick(this.#parts.clock(), now);
    return before;
  }

  /** Take a tenant's plan over; its line, when it says something else than the one before. */
  #take(body: PlanBody, generation: number, now: number): PlanLine | undefined {
    const line: PlanLine = { type: 'plan', time: now, generation, since: now, from: now, ...body };
    // Lines of the config move when something is written above them, and nobody's ports do.
    const text = renderLine({ ...line, time: 0, since: 0, from: 0, generation: 0, line: 0, mappings: line.mappings.map(mapping => ({ ...mapping, line: 0 })) });
    if (this.#plans.get(body.rdid)?.text === text) return undefined;
    this.#plans.set(body.rdid, { line, text });
    return line;
  }

  /** All that is in force, as it is when a line is asked for: what changes meanwhile comes in a line of its own after these. */
  *#snapshot(why: Why, lost: Lost | null): Generator<string> {
    const { gateway } = this.#parts;
    const plans = [...this.#plans.values()];
    if (lost !== null) yield renderLine({ type: 'lost', time: this.#now(), ...lost });
    yield renderLine({
      type: 'continue', time: this.#now(), format: FORMAT, gateway, version: VERSION, config: this.#file, generation: this.#generation, plans: plans.length, why,
    });
    for (const { line } of plans) yield renderLine({ ...line, time: this.#now() });
    for (const [tenant, records] of this.#held.byTenant()) {
      for (let from = 0; from < records.length; from += BLOCKS_A_LINE) {
        const blocks = records.slice(from, from + BLOCKS_A_LINE).flatMap(record => this.#held.get(record) ?? []).filter(block => block.tenant === tenant);
        if (blocks.length > 0) yield renderLine({ type: 'held', time: this.#now(), ...this.#nameOf(tenant), blocks });
      }
    }
    yield renderLine({ type: 'complete', time: this.#now(), generation: this.#generation, settled: this.#isSettled });
  }

  #look(): void {
    this.#held.look(this.#parts.blocks, {
      timeOf: ms => Math.floor(ms + this.#offset),
      allocated: block => this.#say({ type: 'allocate', time: block.since, ...this.#runOf(block) }),
      released: (block, until) => this.#say({ type: 'release', time: Number.isNaN(until) ? this.#now() : Math.floor(until + this.#offset), ...this.#runOf(block), since: block.since }),
    });
  }

  #runOf({ tenant, inside, outside, firstPort, count }: HeldBlock): Omit<LineOf<'allocate'>, 'type' | 'time'> {
    return { ...this.#nameOf(tenant), inside, outside, firstPort, count };
  }

  #nameOf(tenant: number): { readonly tenant: string; readonly rdid: string } {
    return { tenant: this.#tenants.names[tenant - 1] ?? '-', rdid: this.#tenants.rdids[tenant - 1] ?? '-' };
  }

  #say(line: Line): void {
    this.#writer.append(renderLine(line), this.#now());
  }

  /** The log's time, in whole ms. */
  #now(): number {
    return Math.floor(this.#parts.clock() + this.#offset);
  }

  #readWall(now: number): void {
    const { wall, clock, log, settings: { path } } = this.#parts;
    const first = wall(), offset = first - clock();
    if (wall() - first > INTERRUPTED_MS) return;
    const by = offset - this.#offset;
    const was = Math.floor(now + this.#offset);
    this.#offset = offset;
    if (Math.abs(by) < SET_MS) return;
    const time = this.#now();
    this.#writer.appendClock(renderLine({ type: 'clock', time, was }), was);
    this.#held.setClock(time);
    for (const [rdid, { line, text }] of this.#plans) this.#plans.set(rdid, { line: { ...line, from: time }, text });
    log.warn({ path, byMs: Math.round(by) }, 'clock was set');
  }
}
