/** The daemon as it is built, as a process of its own: what live benches measure. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { getJson } from '../../daemon/cli/admin-client.js';
import { built } from './roles.js';

/** A config of many tenants takes its time. */
const PATIENCE_MS = 30_000;
const WORDS_KEPT = 20;
const KIB = 1024;

/** Tells V8 to print every collection, in each thread: as a flag of Node's it would not be let into worker threads. */
const TRACE_GC = `data:text/javascript,${encodeURIComponent('import{setFlagsFromString}from"node:v8";setFlagsFromString("--trace-gc")')}`;
const GC_LINE = /^\[\d+:0x[0-9a-f]+\] +\d+ ms: .*? MB,?.*? ([\d.]+) \/ [\d.]+ ms /;

/** Milliseconds of a line that V8 prints about a collection; undefined for other lines. */
export function gcPauseOf(line: string): number | undefined {
  const found = GC_LINE.exec(line);
  return found === null ? undefined : Number(found[1]);
}

interface LogLine { readonly msg: string; readonly [field: string]: unknown }

export class LiveDaemon {
  readonly #folder = mkdtempSync(join(tmpdir(), 'causeway-bench-'));
  readonly #child: ChildProcess;
  readonly #words: string[] = [];
  readonly #lines: LogLine[] = [];
  #wake: () => void = () => {};
  readonly #pauses: number[] = [];

  private constructor(config: object, traceGc: boolean) {
    this.write(config);
    this.#child = spawn(process.execPath, [...(traceGc ? ['--import', TRACE_GC] : []), fileURLToPath(built('causeway.js')), 'run', '-c', this.#file], { stdio: ['ignore', 'pipe', 'pipe'] });
    const listen = (line: string): void => {
      const pause = gcPauseOf(line);
      if (pause !== undefined) {
        this.#pauses.push(pause);
        return;
      }
      this.#words.push(line);
      if (this.#words.length > WORDS_KEPT) this.#words.shift();
      if (line.startsWith('{')) this.#lines.push(JSON.parse(line) as LogLine);
      this.#wake();
    };
    createInterface(this.#child.stdout!).on('line', listen);
    createInterface(this.#child.stderr!).on('line', listen);
    this.#child.on('exit', () => this.#wake());
  }

  /** Start one with `config`, whose admin socket is set here, and wait until it is ready. */
  static async start(config: object, traceGc = false): Promise<LiveDaemon> {
    const daemon = new LiveDaemon(config, traceGc);
    try {
      await daemon.line('ready');
    } catch (error) {
      await daemon.close();
      throw error;
    }
    return daemon;
  }

  get #file(): string { return join(this.#folder, 'gateway.json'); }
  get #socket(): string { return join(this.#folder, 'admin.sock'); }

  /** Where it listens for GRE. */
  get port(): number {
    const { sockets } = this.#lines.find(({ msg }) => msg === 'ready') as unknown as { sockets: { carrier: string; port: number }[] };
    return sockets.find(({ carrier }) => carrier === 'gre')?.port ?? 0;
  }

  /** Bytes of it that lie in memory; 0 where the system does not say. */
  get residentBytes(): number {
    try {
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#child.pid}/status`, 'latin1'))?.[1] ?? 0) * KIB;
    } catch {
      return 0;
    }
  }

  /** A config in the place of the one in force, for the next HUP. */
  write(config: object): void {
    const { gateway } = config as { gateway: object };
    writeFileSync(this.#file, JSON.stringify({ ...config, gateway: { ...gateway, admin: { socket: this.#socket } } }));
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  ask<T>(path: string): Promise<T> {
    return getJson<T>(this.#socket, path);
  }

  /** The next line with this message, which is then used up. */
  async line(msg: string): Promise<LogLine> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const at = this.#lines.findIndex(line => line.msg === msg);
      if (at >= 0 && msg !== 'ready') return this.#lines.splice(at, 1)[0];
      if (at >= 0) return this.#lines[at];
      if (performance.now() > deadline || this.#child.exitCode !== null) {
        throw new Error(`the daemon did not say "${msg}"${this.#child.exitCode === null ? '' : ` and ended with ${this.#child.exitCode}`}:\n${this.#words.join('\n')}`);
      }
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, PATIENCE_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Every collection since this was last asked, milliseconds; only with `traceGc`. */
  async forgetPauses(): Promise<number[]> {
    await this.ask('/v1/status'); // its output up to now has been read
    return this.#pauses.splice(0);
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
