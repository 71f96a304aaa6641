/** One thread of the daemon's, seen from control: started, listened to, ended. What it carries is its own affair. */
import { Worker } from 'node:worker_threads';
import type { Logger } from './log.js';
import type { Bound, FromThread } from '../worker/messages.js';

export interface ThreadParts<Own extends { readonly type: string }> {
  readonly script: URL;
  readonly name: string;
  readonly data: unknown;
  /** Node's own flags for it. */
  readonly execArgv: readonly string[];
  readonly log: Logger;
  /** Which one it is, in log lines. */
  readonly who: Readonly<Record<string, unknown>>;
  /** Whatever it says that not every thread says. */
  heard(message: Own): void;
  /** It ended, by itself or not; `wasUp` says whether it had been ready. */
  ended(code: number, wasUp: boolean): void;
}

export class Thread<To, Own extends { readonly type: string }> {
  /** The sockets it receives on. */
  bound: readonly Bound[] = [];
  /** It has said that it is ready, and has not ended. */
  up = false;
  gone = false;
  readonly worker: Worker;
  /** Resolves when it is ready; rejects with a sentence when it cannot start. */
  readonly ready: Promise<void>;

  constructor({ script, name, data, execArgv, log, who, heard, ended }: ThreadParts<Own>) {
    this.worker = new Worker(script, { workerData: data, name, execArgv: [...execArgv] });
    const { worker } = this;
    this.ready = new Promise<void>((resolve, reject) => {
      let refusal: string | undefined;
      worker.on('message', (message: FromThread | Own) => {
        if (!isCommon(message)) {
          heard(message);
        } else if (message.type === 'ready') {
          this.bound = message.bound;
          this.up = true;
          resolve();
        } else if (message.type === 'failed') {
          refusal = message.message;
          void worker.terminate();
        } else {
          log[message.level]({ ...who, ...message.fields }, message.message);
        }
      });
      worker.on('error', error => {
        refusal = error.message;
        log.error({ ...who, error: error.stack }, 'thread failed');
      });
      worker.on('exit', code => {
        const wasUp = this.up;
        this.gone = true;
        this.up = false;
        ended(code, wasUp);
        if (!wasUp) reject(new Error(refusal ?? `${name} ended with code ${code} before it was ready`));
      });
    });
  }

  post(message: To): void {
    this.worker.postMessage(message);
  }

  /** Send its last message and wait for the end, which comes by force when time is up. */
  async end(last: To, withinMs: number): Promise<void> {
    if (this.gone) return;
    const ended = new Promise<void>(resolve => this.worker.once('exit', () => resolve()));
    this.post(last);
    const late = setTimeout(() => void this.worker.terminate(), withinMs);
    await ended;
    clearTimeout(late);
  }
}

function isCommon(message: { readonly type: string }): message is FromThread {
  return message.type === 'ready' || message.type === 'failed' || message.type === 'log';
}
