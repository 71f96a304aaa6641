/** What control and the dispatcher tell each other. Memory is shared; only decisions travel as messages. */
import type { ClockBase } from '../worker/clock.js';
import type { Bound, Listen, LogWord } from '../worker/messages.js';

/** All the dispatcher needs, handed over at its start. One that replaces another gets the same, and goes on from there. */
export interface DispatcherStart {
  readonly listen: readonly Listen[];
  /** One a worker, by its index: `makeRing`. */
  readonly rings: readonly SharedArrayBuffer[];
  /** `makeIndirection`, for as many queues. */
  readonly indirection: SharedArrayBuffer;
  /** The dispatcher's own, the one behind the workers'. */
  readonly ledger: SharedArrayBuffer;
  /** The dispatcher's own, as a worker's: its beat and its receive errors. */
  readonly counters: SharedArrayBuffer;
  /** `MICROSOFT_KEY`, `SYMMETRIC_KEY` or one from the config: 40 bytes or more. */
  readonly key: Uint8Array;
  /** Whether entries are moved from busy queues to idle ones. Those of a dead queue always are. */
  readonly rebalance: boolean;
  readonly receiveBuffer: number;
  readonly clock: ClockBase;
}

export type ToDispatcher =
  /** Worker `index` died, or another has taken its place. */
  | { readonly type: 'queue'; readonly index: number; readonly up: boolean }
  /** Take nothing in any more. */
  | { readonly type: 'drain' };

export type FromDispatcher =
  | { readonly type: 'ready'; readonly bound: readonly Bound[] }
  /** It cannot start, and why; it ends by itself. */
  | { readonly type: 'failed'; readonly message: string }
  /** All that came is in the rings, and nothing comes after it. It ends by itself. */
  | { readonly type: 'drained' }
  | { readonly type: 'log'; readonly level: LogWord; readonly message: string; readonly fields: Record<string, unknown> };
