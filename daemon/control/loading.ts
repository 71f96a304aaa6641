/** Has a config loaded by a thread of its own, which ends with it. */
import { Worker } from 'node:worker_threads';
import type { LoadAnswer, LoadOrder } from '../loader/messages.js';

/**
 * What a config becomes lives until all is compiled: a large nursery would copy it more often and not make it die. On Node 24
 * a load peaks at 330 MiB with this and at 440 without, in the same time.
 */
const LIMITS = { maxYoungGenerationSizeMb: 32 };

/** `execArgv`: Node's own flags for the thread. Rejects only for a fault in the loader, or when there is no memory for what it loads. */
export function loadInThread(script: URL, execArgv: readonly string[], order: LoadOrder): Promise<LoadAnswer> {
  return new Promise((resolve, reject) => {
    let answer: LoadAnswer | undefined;
    const thread = new Worker(script, { workerData: order, name: 'loader', execArgv: [...execArgv], resourceLimits: LIMITS });
    thread.on('message', (message: LoadAnswer) => { answer = message; });
    thread.on('error', reject);
    // Not before it has ended: what it took has been given back then.
    thread.on('exit', code => {
      if (answer === undefined) reject(new Error(`the loader ended with code ${code} and without an answer`));
      else resolve(answer);
    });
  });
}
