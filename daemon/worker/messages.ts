/** What control and its threads, workers above all, tell each other. Memory is shared; only decisions travel as messages. */
import type { SharedState } from '../../pipeline/gateway.js';
import type { PolicyData } from '../../pipeline/policy.js';
import type { ClockBase } from './clock.js';

/** A socket to receive on. */
export interface Listen {
  /** Of `Side`. */
  readonly side: number;
  /** Of `Carrier`. */
  readonly carrier: number;
  readonly family: 4 | 6;
  readonly address: string;
  /** 0: any free one. In what a thread reports, the one it got. */
  readonly port: number;
}

export interface Bound extends Listen {
  /** SO_RCVBUF as granted, in bytes. */
  readonly receiveBuffer: number;
}

/** All a worker needs, handed over at its start. */
export interface WorkerStart {
  readonly index: number;
  readonly state: SharedState;
  readonly counters: SharedArrayBuffer;
  /** To begin with; the worker lets go of it. */
  readonly policy: PolicyData;
  /** Where to receive, and from which addresses to send. */
  readonly listen: readonly Listen[];
  /** Other workers receive on the same addresses and ports. */
  readonly shared: boolean;
  /** Rings that a dispatcher fills, one a worker, ours by `index`; null where workers receive by themselves. */
  readonly rings: readonly SharedArrayBuffer[] | null;
  /** What a worker before us had in hand when it died is in the ledger already. */
  readonly isLostCounted: boolean;
  readonly receiveBuffer: number;
  readonly sendBuffer: number;
  readonly clock: ClockBase;
  readonly seed: number;
}

export type ToWorker =
  | { readonly type: 'adopt'; readonly policy: PolicyData }
  /** Nobody goes by an older policy any more: give its memory back. */
  | { readonly type: 'forget' }
  | { readonly type: 'drain'; readonly withinMs: number };

export type LogWord = 'info' | 'warn' | 'error';

/** What every thread says: workers, and the dispatcher. */
export type FromThread =
  | { readonly type: 'ready'; readonly bound: readonly Bound[] }
  /** It cannot start, and why; it ends by itself. */
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'log'; readonly level: LogWord; readonly message: string; readonly fields: Record<string, unknown> };

export type FromWorker =
  | FromThread
  | { readonly type: 'adopted'; readonly generation: number }
  /** Nothing comes in any more; `unsent` datagrams were still queued when time was up. */
  | { readonly type: 'drained'; readonly unsent: number };
