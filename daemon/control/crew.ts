/** The worker threads: started, told of policies, replaced when they die, drained. State is shared and outlives them. */
import { Worker } from 'node:worker_threads';
import type { PolicyData } from '../../pipeline/policy.js';
import type { Logger } from './log.js';
import type { Bound, FromWorker, Listen, ToWorker, WorkerStart } from '../worker/messages.js';

/** So many deaths within a minute, and the fault is not one that a new worker mends. */
const MOST_DEATHS = 5;
const DEATHS_WITHIN_MS = 60_000;
const RESPAWN_STEP_MS = 100;
/** Beyond the time a draining worker was given, before it is ended. */
const DRAIN_GRACE_MS = 1000;

interface Hand {
  readonly index: number;
  readonly thread: Worker;
  bound: readonly Bound[];
  up: boolean;
  gone: boolean;
  /** Who waits for its word on a policy, in the order of asking. */
  readonly asked: ((revoked: number) => void)[];
}

export interface CrewParts {
  readonly script: URL;
  /** Node's own flags for the threads. */
  readonly execArgv: readonly string[];
  readonly size: number;
  readonly log: Logger;
  /** What a worker is started with; `listen` holds the ports that an earlier one got. */
  startOf(index: number, listen: readonly Listen[]): WorkerStart;
  readonly listen: readonly Listen[];
  /** The policy in force. */
  policy(): PolicyData;
  /** They keep dying: the daemon cannot go on. */
  lost(): void;
}

export class Crew {
  /** Workers replaced since the start. */
  restarts = 0;
  readonly #parts: CrewParts;
  readonly #hands: Hand[] = [];
  #listen: readonly Listen[];
  #deaths: number[] = [];
  #draining = false;

  constructor(parts: CrewParts) {
    this.#parts = parts;
    this.#listen = parts.listen;
  }

  /** Start all; rejects when one cannot, for what it says. */
  async start(): Promise<void> {
    for (let index = 0; index < this.#parts.size; index++) await this.#spawn(index);
  }

  get up(): number { return this.#hands.filter(hand => hand.up).length; }
  get size(): number { return this.#parts.size; }
  /** What is listened on, with the ports as they came out. */
  get bound(): readonly Bound[] { return this.#hands[0]?.bound ?? []; }
  /** The threads themselves, for whoever must end one. */
  get threads(): readonly Worker[] { return this.#hands.map(hand => hand.thread); }

  /** Hand a policy to every worker; says how many sessions it cost. A worker being replaced gets it once it is there. */
  async adopt(policy: PolicyData): Promise<number> {
    const answers = this.#hands.filter(hand => hand.up).map(hand => tell(hand, policy));
    return (await Promise.all(answers)).reduce((sum, n) => sum + n, 0);
  }

  /** Let every worker finish and end; those that do not in time are ended. */
  async drain(withinMs: number): Promise<void> {
    this.#draining = true;
    await Promise.all(this.#hands.map(async hand => {
      if (hand.gone) return;
      const ended = new Promise<void>(resolve => hand.thread.once('exit', () => resolve()));
      send(hand, { type: 'drain', withinMs });
      const late = setTimeout(() => void hand.thread.terminate(), withinMs + DRAIN_GRACE_MS);
      await ended;
      clearTimeout(late);
    }));
  }

  /** End every worker now. */
  async end(): Promise<void> {
    this.#draining = true;
    await Promise.all(this.#hands.map(hand => hand.thread.terminate()));
  }

  async #spawn(index: number): Promise<void> {
    const { script, log, startOf } = this.#parts;
    const thread = new Worker(script, { workerData: startOf(index, this.#listen), name: `worker ${index}`, execArgv: [...this.#parts.execArgv] });
    const hand: Hand = { index, thread, bound: [], up: false, gone: false, asked: [] };
    this.#hands[index] = hand;
    await new Promise<void>((resolve, reject) => {
      let refusal: string | undefined;
      thread.on('message', (message: FromWorker) => {
        if (message.type === 'ready') {
          hand.bound = message.bound;
          hand.up = true;
          this.#listen = message.bound;
          resolve();
        } else if (message.type === 'failed') {
          refusal = message.message;
          void thread.terminate();
        } else if (message.type === 'adopted') {
          hand.asked.shift()?.(message.revoked);
        } else if (message.type === 'log') {
          log[message.level]({ worker: index, ...message.fields }, message.message);
        } else if (message.unsent > 0) {
          log.warn({ worker: index, unsent: message.unsent }, 'time is up with datagrams unsent');
        }
      });
      thread.on('error', error => {
        refusal = error.message;
        log.error({ worker: index, error: error.stack }, 'worker failed');
      });
      thread.on('exit', code => {
        hand.gone = true;
        for (const answer of hand.asked.splice(0)) answer(0);
        if (hand.up) this.#replace(hand, code);
        else reject(new Error(refusal ?? `worker ended with code ${code} before it was ready`));
        hand.up = false;
      });
    });
  }

  #replace(hand: Hand, code: number): void {
    if (this.#draining) return;
    this.#parts.log.error({ worker: hand.index, code }, 'worker died, its state is kept');
    this.#again(hand.index);
  }

  #again(index: number): void {
    const now = performance.now();
    this.#deaths = [...this.#deaths.filter(at => now - at < DEATHS_WITHIN_MS), now];
    if (this.#deaths.length >= MOST_DEATHS) {
      this.#parts.log.fatal({ deaths: this.#deaths.length, withinSeconds: DEATHS_WITHIN_MS / 1000 }, 'workers keep dying');
      this.#parts.lost();
      return;
    }
    setTimeout(() => {
      if (this.#draining) return;
      this.#spawn(index).then(async () => {
        this.restarts++;
        // The policy may have changed while there was nobody to close the sessions that it forbids.
        const revoked = await tell(this.#hands[index], this.#parts.policy());
        this.#parts.log.warn({ worker: index, restarts: this.restarts, revokedSessions: revoked }, 'worker replaced');
      }).catch((error: Error) => {
        this.#parts.log.error({ worker: index, error: error.message }, 'worker cannot be replaced, trying again');
        if (!this.#draining) this.#again(index);
      });
    }, (this.#deaths.length - 1) * RESPAWN_STEP_MS);
  }
}

/** Hand over a policy; resolves to the sessions it cost, 0 when the worker dies over it. */
function tell(hand: Hand, policy: PolicyData): Promise<number> {
  return new Promise(resolve => {
    hand.asked.push(resolve);
    send(hand, { type: 'adopt', policy });
  });
}

function send(hand: Hand, message: ToWorker): void {
  hand.thread.postMessage(message);
}
