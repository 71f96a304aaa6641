/**
 * The threads that carry packets: workers, and in dispatcher mode the dispatcher. Started, told of policies, replaced
 * when they die, drained. What they know of flows lies in memory that they share and that outlives them.
 */
import type { Worker } from 'node:worker_threads';
import type { PolicyData } from '../../pipeline/policy.js';
import type { DispatcherStart, FromDispatcher, ToDispatcher } from '../dispatcher/messages.js';
import type { Bound, FromThread, FromWorker, Listen, ToWorker, WorkerStart } from '../worker/messages.js';
import type { Logger } from './log.js';
import { STUCK_MS } from './status.js';
import { Thread } from './thread.js';

/** So many deaths within a minute, and the fault is not one that a new thread mends. */
const MOST_DEATHS = 5;
const DEATHS_WITHIN_MS = 60_000;
const RESPAWN_STEP_MS = 100;
/** Beyond the time a draining thread was given, before it is ended. */
const DRAIN_GRACE_MS = 1000;

type OwnWords<From> = Exclude<From, FromThread>;

interface Hand {
  readonly thread: Thread<ToWorker, OwnWords<FromWorker>>;
  /** Who waits for its word on a policy, in the order of asking. */
  readonly asked: (() => void)[];
}

export interface CrewParts {
  readonly script: URL;
  /** Node's own flags for the threads. */
  readonly execArgv: readonly string[];
  /** Workers. */
  readonly size: number;
  readonly log: Logger;
  readonly listen: readonly Listen[];
  /** What a worker is started with; `listen` holds the ports that an earlier thread got. */
  startOf(index: number, listen: readonly Listen[]): WorkerStart;
  /** Null where workers receive by themselves. */
  readonly dispatcher: { readonly script: URL; startOf(listen: readonly Listen[]): DispatcherStart } | null;
  /**
   * A worker has ended, or as number `size` the dispatcher, whatever it was doing: mend what it left half done in shared
   * memory, before anything else. `isLast`: all threads are about to end. A successor goes by the same name in locks, so
   * it starts when the promise resolves, not before.
   */
  repair(index: number, isLast: boolean): Promise<void>;
  /** They keep dying: the daemon cannot go on. */
  lost(): void;
}

export class Crew {
  /** Threads replaced since the start. */
  restarts = 0;
  readonly #parts: CrewParts;
  readonly #hands: Hand[] = [];
  /** By worker: that what its predecessor left is in order. */
  readonly #repaired: Promise<void>[] = [];
  #dispatcher: Thread<ToDispatcher, OwnWords<FromDispatcher>> | null = null;
  #listen: readonly Listen[];
  #deaths: number[] = [];
  #draining = false;

  constructor(parts: CrewParts) {
    this.#parts = parts;
    this.#listen = parts.listen;
  }

  /** Start all; rejects when one cannot, for what it says. */
  async start(): Promise<void> {
    const rest = Array.from({ length: this.size }, (_, index) => index);
    // The first to receive takes free ports where the config leaves them open; the others are told which.
    if (this.#parts.dispatcher === null) await this.#spawn(rest.shift() ?? 0);
    await Promise.all(rest.map(index => this.#spawn(index)));
    if (this.#parts.dispatcher !== null) await this.#spawnDispatcher();
  }

  get size(): number { return this.#parts.size; }
  /** Workers that carry packets. */
  get up(): number { return this.#hands.filter(({ thread }) => thread.up).length; }
  get isDispatcherDown(): boolean { return this.#parts.dispatcher !== null && this.#dispatcher?.up !== true; }
  /** What is listened on, with the ports as they came out. Workers that share addresses have the same ones. */
  get bound(): readonly Bound[] { return (this.#parts.dispatcher === null ? this.#hands[0]?.thread.bound : this.#dispatcher?.bound) ?? []; }
  /** What worker `index` itself receives on: the same addresses and ports, but sockets of its own. */
  boundBy(index: number): readonly Bound[] { return this.#hands[index]?.thread.bound ?? []; }
  /** Worker `index`, or as number `size` the dispatcher, carries packets. */
  isUp(index: number): boolean { return this.#thread(index)?.up ?? false; }
  /** The threads of workers themselves, for whoever must end one. */
  get threads(): readonly Worker[] { return this.#hands.map(({ thread }) => thread.worker); }
  get dispatcherThread(): Worker | null { return this.#dispatcher?.worker ?? null; }

  /** Hand a policy to every worker, also to those that are only starting; resolves when none is left that goes by another. */
  async adopt(policy: PolicyData): Promise<void> {
    const late = setTimeout(() => {
      const workers = this.#hands.flatMap(({ asked }, index) => asked.length > 0 ? [index] : []);
      this.#parts.log.warn({ workers }, 'workers have not taken the new config over yet');
    }, STUCK_MS);
    await Promise.all(this.#hands.filter(({ thread }) => !thread.gone).map(hand => tell(hand, policy)));
    clearTimeout(late);
  }

  /** Have every worker give back what it holds of policies before the last one. */
  forget(): void {
    for (const { thread } of this.#hands) thread.post({ type: 'forget' });
  }

  /** Worker `index`, or as number `size` the dispatcher, does nothing any more: end it, which is seen to like any other death. */
  giveUpOn(index: number): void {
    const thread = this.#thread(index);
    if (this.#draining || thread?.up !== true) return;
    if (index === this.size) this.#parts.log.error({ thread: 'dispatcher' }, 'dispatcher is stuck, ending it');
    else this.#parts.log.error({ worker: index }, 'worker is stuck, ending it');
    void thread.worker.terminate();
  }

  /**
   * Let every thread finish and end; those that do not in time are ended. The dispatcher goes first, so that nothing
   * comes in behind what the workers find in their rings.
   */
  async drain(withinMs: number): Promise<void> {
    this.#draining = true;
    const deadline = performance.now() + withinMs;
    await this.#dispatcher?.end({ type: 'drain' }, withinMs + DRAIN_GRACE_MS);
    const left = Math.max(0, Math.round(deadline - performance.now()));
    await Promise.all(this.#hands.map(({ thread }) => thread.end({ type: 'drain', withinMs: left }, left + DRAIN_GRACE_MS)));
  }

  /** End every thread now. */
  async end(): Promise<void> {
    this.#draining = true;
    await Promise.all([...this.threads, this.dispatcherThread].map(worker => worker?.terminate()));
  }

  #thread(index: number): Hand['thread'] | Thread<ToDispatcher, OwnWords<FromDispatcher>> | null {
    return index === this.size ? this.#dispatcher : this.#hands[index]?.thread ?? null;
  }

  async #spawn(index: number): Promise<void> {
    const { script, execArgv, log, startOf, repair } = this.#parts;
    const who = { worker: index };
    const asked: Hand['asked'] = [];
    const thread: Hand['thread'] = new Thread({
      script, execArgv, log, who, name: `worker ${index}`, data: startOf(index, this.#listen),
      heard: message => {
        if (message.type === 'adopted') asked.shift()?.();
        else if (message.unsent > 0) log.warn({ ...who, unsent: message.unsent }, 'time is up with datagrams unsent');
      },
      ended: (code, wasUp) => {
        this.#repaired[index] = repair(index, this.#draining);
        for (const answer of asked.splice(0)) answer();
        this.#dispatcher?.post({ type: 'queue', index, up: false });
        if (!wasUp || this.#draining) return;
        log.error({ ...who, code }, 'worker died, its state is kept');
        this.#again(who, () => this.#replace(index));
      },
    });
    this.#hands[index] = { thread, asked };
    await thread.ready;
    if (this.#parts.dispatcher === null) this.#listen = thread.bound;
  }

  async #replace(index: number): Promise<void> {
    await this.#repaired[index];
    if (this.#draining) return;
    await this.#spawn(index);
    this.#dispatcher?.post({ type: 'queue', index, up: true });
    this.restarts++;
    this.#parts.log.warn({ worker: index, restarts: this.restarts }, 'worker replaced');
  }

  async #spawnDispatcher(): Promise<void> {
    const { dispatcher, execArgv, log, repair } = this.#parts;
    if (dispatcher === null) return;
    const who = { thread: 'dispatcher' };
    const thread: Thread<ToDispatcher, OwnWords<FromDispatcher>> = new Thread({
      script: dispatcher.script, execArgv, log, who, name: 'dispatcher', data: dispatcher.startOf(this.#listen),
      heard: () => {}, // that it has drained; its end says so too
      ended: (code, wasUp) => {
        void repair(this.size, this.#draining);
        if (!wasUp || this.#draining) return;
        log.error({ ...who, code }, 'dispatcher died, what waits in rings is kept');
        this.#again(who, async () => {
          await this.#spawnDispatcher();
          this.restarts++;
          log.warn({ ...who, restarts: this.restarts }, 'dispatcher replaced');
        });
      },
    });
    this.#dispatcher = thread;
    // Told before it is ready, so that its first datagram knows. Of the living too: the rings say what the one before was told.
    this.#hands.forEach((hand, index) => thread.post({ type: 'queue', index, up: hand.thread.up }));
    await thread.ready;
    this.#listen = thread.bound;
  }

  /** Replace a thread that died: at once, then with growing pauses, and after so many deaths no more. */
  #again(who: Readonly<Record<string, unknown>>, replace: () => Promise<void>): void {
    const now = performance.now();
    this.#deaths = [...this.#deaths.filter(at => now - at < DEATHS_WITHIN_MS), now];
    if (this.#deaths.length >= MOST_DEATHS) {
      this.#parts.log.fatal({ deaths: this.#deaths.length, withinSeconds: DEATHS_WITHIN_MS / 1000 }, 'workers keep dying');
      this.#parts.lost();
      return;
    }
    setTimeout(() => {
      if (this.#draining) return;
      replace().catch((error: Error) => {
        if (this.#draining) return;
        this.#parts.log.error({ ...who, error: error.message }, 'thread cannot be replaced, trying again');
        this.#again(who, replace);
      });
    }, (this.#deaths.length - 1) * RESPAWN_STEP_MS);
  }
}

/** Hand over a policy; resolves when the worker has it, or has died over it. */
function tell({ thread, asked }: Hand, policy: PolicyData): Promise<void> {
  return new Promise(resolve => {
    asked.push(resolve);
    thread.post({ type: 'adopt', policy });
  });
}
