/** A NAT log of a test's own: its clocks, its blocks, its disk; and questions to it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { readConfig } from '../../config/index.js';
import type { BlockSource } from '../../daemon/control/held-blocks.js';
import type { Logger } from '../../daemon/control/log.js';
import type { Disk } from '../../daemon/control/nat-log-disk.js';
import { NatLog, type InForce } from '../../daemon/control/nat-log.js';
import { PROTOS, type Question, type Verdict } from '../../daemon/nat-log/answers.js';
import { askLog, fileName, numbersIn } from '../../daemon/nat-log/files.js';
import { parseLine, type Line, type LineType } from '../../daemon/nat-log/format.js';
import { ipv4Of } from '../../daemon/nat-log/kinds.js';
import { compileConfig, TenantIds } from '../../daemon/tables.js';
import type { BlockRecord } from '../../pipeline/tables/port-blocks.js';

export const T0 = Date.parse('2026-11-23T12:00:00.000Z');
export const RDID = '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01', RDID_BLUE = 'b10e5a1d-0c3f-4c8e-8d27-93f1e6a4c002';

/** An address as a number. */
export function ip(text: string): number {
  return ipv4Of(text) ?? NaN;
}

/** Blocks as a test sets them, in the place of the shared table. */
export class FakeBlocks implements BlockSource {
  changes = 0;
  readonly records: (BlockRecord | undefined)[] = [];

  get used(): number { return this.records.length; }
  record(i: number): BlockRecord | undefined { return this.records[i]; }
  stamp(i: number): number {
    const record = this.records[i];
    return record === undefined ? 0 : record.until === 0 ? record.since : -record.until;
  }

  set(i: number, record: BlockRecord | undefined): void {
    while (this.records.length <= i) this.records.push(undefined);
    this.records[i] = record;
    this.changes++;
  }

  give(i: number, inside: string, firstPort: number, since: number, { tenant = 1, outside = '203.0.113.10', count = 256 } = {}): void {
    this.set(i, { tenant, inside: ip(inside), outside: ip(outside), firstPort, count, since, until: 0 });
  }

  idle(i: number, until: number): void {
    const record = this.records[i];
    if (record !== undefined) this.set(i, { ...record, until });
  }
}

export interface TenantPart { readonly name: string; readonly rdid: string; readonly prefix: string; readonly pool: readonly string[]; readonly mappings?: readonly object[]; readonly assign?: 'auto' | 'dynamic' }

export const RED: TenantPart = { name: 'red', rdid: RDID, prefix: '10.0.0.0/26', pool: ['203.0.113.10'] };
export const BLUE: TenantPart = { name: 'blue', rdid: RDID_BLUE, prefix: '10.0.0.0/24', pool: ['203.0.113.20', '203.0.113.21'], assign: 'dynamic' };

/** Configs one after the other, tenants with the numbers they had. */
export class Configs {
  readonly #ids = new TenantIds(16);
  #generation = 0;
  /** Of the last one. */
  text = '';

  next(...tenants: readonly TenantPart[]): InForce {
    this.text = JSON.stringify({
      gateway: { listen: '192.0.2.1' },
      hosts: [{ name: 'host-a', pa: '192.0.2.11', encap: 'nvgre' }],
      uplinks: [{ name: 'inet', pa: '192.0.2.20' }],
      tenants: tenants.map(({ name, rdid, prefix, pool, mappings = [], assign = 'auto' }, i) => ({
        name, rdid, subnets: [{ vsid: 5001 + i, prefix }], records: [{ ca: prefix.replace(/\.0\/.*/, '.5'), mac: '00:15:5d:00:00:05', host: 'host-a' }],
        routes: [{ prefix: '0.0.0.0/0', via: 'nat' }], nat: { uplink: 'inet', pool, mappings, blocks: { assign } },
      })),
    }, null, 1);
    const { config, problems } = readConfig(this.text, 'gw.jsonc');
    if (config === undefined) throw new Error(JSON.stringify(problems));
    const policy = compileConfig(config, this.#ids, ++this.#generation, 1);
    return { file: '/etc/causeway/gw.jsonc', policy, tenants: this.#ids.known() };
  }
}

export interface Said { readonly level: string; readonly msg: string; readonly fields: Record<string, unknown> }

/** A folder with a log, written by one daemon after the other. */
export class LogLab {
  readonly folder: string;
  readonly blocks = new FakeBlocks();
  /** What the next daemon has in its place, if anything. */
  table: BlockSource | undefined;
  readonly configs = new Configs();
  readonly said: Said[] = [];
  /** The workers' clock, which never steps, and what the machine's says beyond it. */
  now = T0;
  ahead = 0;
  #log: NatLog | undefined;
  readonly #settings: { maxBytes: number; files: number; disk: Disk | undefined; mostWaiting: number };

  constructor(t: Test, { maxBytes = 1 << 24, files = 10, disk, mostWaiting = 1 << 22 }: { maxBytes?: number; files?: number; disk?: Disk; mostWaiting?: number } = {}) {
    this.folder = join(mkdtempSync(join(tmpdir(), 'causeway-nat-log-')), 'log');
    this.#settings = { maxBytes, files, disk, mostWaiting };
    t.teardown(async () => {
      await this.#log?.abandon();
      rmSync(join(this.folder, '..'), { recursive: true, force: true });
    });
  }

  get log(): NatLog {
    if (this.#log === undefined) throw new Error('no daemon runs');
    return this.#log;
  }

  async start(first: InForce = this.configs.next(RED)): Promise<NatLog> {
    const { disk, mostWaiting, ...sizes } = this.#settings;
    const say = (level: string) => (fields: Record<string, unknown>, msg: string): void => { this.said.push({ level, msg, fields }); };
    const log = Object.fromEntries(['info', 'warn', 'error'].map(level => [level, say(level)])) as unknown as Logger;
    this.#log = await NatLog.open({
      settings: { path: this.folder, ...sizes }, gateway: 'gw1', log, blocks: this.table ?? this.blocks, clock: () => this.now, wall: () => this.now + this.ahead, mostWaiting, ...(disk !== undefined && { disk }),
    }, first);
    await this.written();
    return this.#log;
  }

  /** Time goes by, and control ticks. */
  async pass(ms: number): Promise<void> {
    this.now += ms;
    this.log.tick();
    await this.written();
  }

  /** Until the log has nothing more to write, or cannot. */
  async written(): Promise<void> {
    await this.log.idle();
  }

  async stop(): Promise<void> {
    await this.log.close(5000);
    this.#log = undefined;
    this.blocks.records.length = 0;
  }

  /** The daemon dies, and all that it had in memory with it. */
  async die(): Promise<void> {
    await this.log.abandon();
    this.#log = undefined;
    this.blocks.records.length = 0;
  }

  names(): string[] { return numbersIn(readdirSync(this.folder)).map(fileName); }
  text(name = this.names().at(-1) ?? ''): string { return readFileSync(join(this.folder, name), 'utf8'); }

  /** All lines of all files, or of the one. */
  lines(...names: string[]): Line[] {
    return (names.length > 0 ? names : this.names()).flatMap(name => this.text(name).split('\n').filter(line => line !== '').map(line => {
      const read = parseLine(line);
      if (typeof read === 'string') throw new Error(`${read}: ${line}`);
      return read;
    }));
  }

  linesOf<T extends LineType>(type: T): Extract<Line, { type: T }>[] {
    return this.lines().filter((line): line is Extract<Line, { type: T }> => line.type === type);
  }

  /** Who had it; `at` is ms, or a span of them. */
  whois(outside: string, at: number | readonly [number, number] = this.now + this.ahead, protos: Question['protos'] = PROTOS, wall = this.now + this.ahead): Promise<Verdict> {
    const [host, port] = outside.split(':');
    const [from, to] = typeof at === 'number' ? [at, at] : at;
    return askLog(this.folder, { address: ip(host), port: Number(port), protos, from, to }, wall);
  }
}

/** Answers in short: `red 10.0.0.5 share`, with `?` where that is not certain. */
export function inShort({ verdict, answers }: Verdict): string {
  const each = answers.map(({ tenant, inside, insidePort, evidence, certain }) => `${tenant} ${inside}${insidePort === null ? '' : `:${insidePort}`} ${evidence.kind}${certain ? '' : '?'}`);
  return [verdict, ...each].join(', ');
}
