/** The daemon under show: a process of its own, watched over its log and asked over its admin socket. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { getJson } from '../cli/admin-client.js';
import type { DropsAnswer, QueuesAnswer, StatusAnswer, TenantsAnswer } from '../control/admin.js';

/** How long it may take to come up, to count what it was sent, and to end. */
const PATIENCE_MS = 5000;
const LOOK_MS = 5;
const WORDS_KEPT = 20;

export class RunningDaemon {
  readonly grePort: number;
  readonly vxlanPort: number;
  readonly #child: ChildProcess;
  readonly #socket: string;
  readonly #words: readonly string[];

  private constructor(child: ChildProcess, socket: string, words: readonly string[], ready: { sockets: { carrier: string; port: number }[] }) {
    this.#child = child;
    this.#socket = socket;
    this.#words = words;
    this.grePort = ready.sockets.find(s => s.carrier === 'gre')?.port ?? 0;
    this.vxlanPort = ready.sockets.find(s => s.carrier === 'vxlan')?.port ?? 0;
  }

  /** Start it and wait until its log says that all sockets are bound. */
  static async start(configFile: string, socket: string): Promise<RunningDaemon> {
    const child = spawn(process.execPath, [fileURLToPath(new URL('./causeway.js', import.meta.url)), 'run', '-c', configFile], { stdio: ['ignore', 'pipe', 'pipe'] });
    const words: string[] = [];
    const ready = new Promise<{ sockets: { carrier: string; port: number }[] }>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the daemon was not ready within ${PATIENCE_MS} ms\n${words.join('\n')}`)), PATIENCE_MS);
      const listen = (line: string): void => {
        words.push(line);
        if (words.length > WORDS_KEPT) words.shift();
        if (!line.includes('"msg":"ready"')) return;
        clearTimeout(timer);
        resolve(JSON.parse(line) as { sockets: { carrier: string; port: number }[] });
      };
      createInterface(child.stdout).on('line', listen);
      createInterface(child.stderr).on('line', listen);
      child.once('exit', code => {
        clearTimeout(timer);
        reject(new Error(`the daemon ended with ${code} before it was ready\n${words.join('\n')}`));
      });
    });
    try {
      return new RunningDaemon(child, socket, words, await ready);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  status(): Promise<StatusAnswer> {
    return getJson(this.#socket, '/v1/status');
  }

  queues(): Promise<QueuesAnswer> {
    return getJson(this.#socket, '/v1/queues');
  }

  tenants(): Promise<TenantsAnswer> {
    return getJson(this.#socket, '/v1/tenants');
  }

  /** Drops so far by reason, of one tenant or `-`. */
  async drops(tenant: string): Promise<Record<string, number>> {
    const { drops } = await getJson<DropsAnswer>(this.#socket, `/v1/drops?tenant=${encodeURIComponent(tenant)}`);
    return Object.fromEntries(drops.map(({ reason, count }) => [reason, count]));
  }

  /** Resolves when as many datagrams as `sent` says by then have met their fate. */
  async received(sent: () => number): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const { packets, receive } = await this.status();
      if (packets.in - receive.waiting >= sent()) return;
      if (Date.now() > deadline) throw new Error(`the daemon has counted ${packets.in} datagrams of ${sent()}`);
      await new Promise(resolve => setTimeout(resolve, LOOK_MS));
    }
  }

  /** TERM; resolves to its exit code. */
  async stop(): Promise<number | null> {
    if (this.#child.exitCode !== null) return this.#child.exitCode;
    const ended = once(this.#child, 'exit') as Promise<[number | null]>;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.kill(), PATIENCE_MS);
    const [code] = await ended;
    clearTimeout(timer);
    return code;
  }

  kill(): void {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
  }

  /** The end of its log, for when things went wrong. */
  lastWords(): string {
    return this.#words.join('\n');
  }
}
