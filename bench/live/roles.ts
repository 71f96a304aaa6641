/**
 * The parts that benches are played in: threads of this program, each an instance of main.ts, as it is
 * built, with its part as argument. Tests have them from there too: sources would be translated once for each thread.
 */
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker, workerData } from 'node:worker_threads';
import { playAlone } from '../pipeline/alone.js';
import { playDrain } from './drain.js';
import { playEar } from './ear.js';
import { playGenerator } from './generator.js';
import { playLoop } from './loop.js';
import { playSink } from './sink.js';

const ROLES = { alone: playAlone, drain: playDrain, ear: playEar, generator: playGenerator, loop: playLoop, sink: playSink } as const;
export type RoleName = keyof typeof ROLES;

const FLAG = '--as=';

/** What `argv` says this thread is, or undefined: the program that people start. */
export function roleOf(argv: readonly string[]): (() => Promise<void>) | undefined {
  const name = argv.find(word => word.startsWith(FLAG))?.slice(FLAG.length);
  return name !== undefined && name in ROLES ? () => ROLES[name as RoleName](workerData) : undefined;
}

/** A built file, the daemon's or ours, beside this program or in the folder that CAUSEWAY_DIST names. */
export function built(file: string): URL {
  const { CAUSEWAY_DIST } = process.env;
  if (CAUSEWAY_DIST !== undefined) return pathToFileURL(join(CAUSEWAY_DIST, file));
  return new URL(`${import.meta.url.endsWith('.ts') ? '../../dist' : '.'}/${file}`, import.meta.url);
}

/** A thread that plays a part, and says one thing at a time. */
export class Player {
  readonly #thread: Worker;
  readonly #waiting: { resolve(message: unknown): void; reject(error: Error): void }[] = [];
  readonly #said: unknown[] = [];
  #fault: Error | undefined;

  /** A part of ours by its name, or a script of the daemon's. */
  constructor(role: RoleName | URL, data: object) {
    const name = role instanceof URL ? fileURLToPath(role) : role;
    this.#thread = role instanceof URL ? new Worker(role, { workerData: data, execArgv: [] }) : new Worker(built('bench.js'), { argv: [FLAG + role], workerData: data, execArgv: [], name });
    this.#thread.on('message', (message: unknown) => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#said.push(message);
      else next.resolve(message);
    });
    this.#thread.on('error', (error: Error) => this.#fail(error));
    this.#thread.on('exit', code => this.#fail(new Error(`${name} ended with ${code}`)));
  }

  tell(message: unknown): void {
    this.#thread.postMessage(message);
  }

  /** The next thing it says, already said or yet to come. */
  async hear<T>(): Promise<T> {
    if (this.#said.length > 0) return this.#said.shift() as T;
    if (this.#fault !== undefined) throw this.#fault;
    return new Promise<unknown>((resolve, reject) => this.#waiting.push({ resolve, reject })) as Promise<T>;
  }

  ask<T>(message: unknown): Promise<T> {
    this.tell(message);
    return this.hear<T>();
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }

  #fail(error: Error): void {
    this.#fault ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
