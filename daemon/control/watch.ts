/**
 * Watches the threads' beats. One that does not beat any more carries no packets and may hold a lock that others wait
 * for: it must go, so that its death can be seen to.
 */
import { lastBeat } from '../worker/counters.js';
import { LOOK_MS, STUCK_MS } from './status.js';

/**
 * In looks, not in time: when the whole process has stood still for a while, control must not end its threads for what
 * befell all of them.
 */
const STUCK_LOOKS = STUCK_MS / LOOK_MS;
/** When one has been found, another has so many looks more: it may only have waited for a lock of the first one's. */
const RESPITE = 2;

export class Watch {
  readonly #counters: readonly SharedArrayBuffer[];
  /** By thread: the beat seen last, and the looks since it came. */
  readonly #beats: number[];
  readonly #looks: number[];

  constructor(counters: readonly SharedArrayBuffer[]) {
    this.#counters = counters;
    this.#beats = counters.map(lastBeat);
    this.#looks = counters.map(() => 0);
  }

  /** Call it every `LOOK_MS`. The thread, of those that are up, that is stuck and has been for longest, each only once; or -1. */
  look(isUp: (thread: number) => boolean): number {
    let stuck = -1;
    this.#counters.forEach((memory, thread) => {
      const beat = lastBeat(memory);
      this.#looks[thread] = beat === this.#beats[thread] ? this.#looks[thread] + 1 : 0;
      this.#beats[thread] = beat;
      if (this.#looks[thread] >= STUCK_LOOKS && isUp(thread) && (stuck < 0 || beat < this.#beats[stuck])) stuck = thread;
    });
    if (stuck < 0) return -1;
    for (let thread = 0; thread < this.#looks.length; thread++) this.#looks[thread] = Math.min(this.#looks[thread], STUCK_LOOKS - RESPITE);
    this.#looks[stuck] = -Infinity; // until it beats again, or a successor does
    return stuck;
  }
}
