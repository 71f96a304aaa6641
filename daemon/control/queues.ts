/**
 * How datagrams are spread over workers, as control sees it: in dispatcher mode the rings and the indirection table,
 * which lie in memory that the dispatcher and the workers share; in kernel mode what each worker has counted.
 */
import type { Gateway } from '../../config/index.js';
import { ENTRIES, Indirection, makeIndirection } from '../../pipeline/indirection.js';
import { Cell, totals, type Ledger } from '../../pipeline/ledger.js';
import { Reason } from '../../pipeline/reasons.js';
import { makeRing, ringDepth, RingReader } from '../../pipeline/ring.js';
import { MICROSOFT_KEY, SYMMETRIC_KEY } from '../../pipeline/rss.js';
import type { Control } from './control.js';
import { ledgerRows, socketWords } from './status.js';

/** The ledger's row for packets that no tenant can be charged with. */
const NOBODY = 0;

/** What the dispatcher fills and workers empty; it outlives both. */
export interface Queues {
  readonly rings: readonly SharedArrayBuffer[];
  readonly indirection: SharedArrayBuffer;
  /** A view of that, to read only. */
  readonly table: Indirection;
}

/** `slotBytes` hold a datagram of the largest MTU, and headroom. */
export function makeQueues({ rss }: Gateway, slotBytes: number, workers: number): Queues {
  const indirection = makeIndirection(workers);
  const rings = Array.from({ length: workers }, () => makeRing(rss.ringSlots, slotBytes));
  return { rings, indirection, table: new Indirection(indirection) };
}

/** Bytes of the key that the config names or spells out. */
export function keyBytes(key: string): Uint8Array {
  if (key === 'default') return MICROSOFT_KEY;
  return key === 'symmetric' ? SYMMETRIC_KEY : Uint8Array.from(Buffer.from(key, 'hex'));
}

export function waitingIn(rings: readonly SharedArrayBuffer[]): number {
  return rings.reduce((sum, ring) => sum + ringDepth(ring), 0);
}

/** Drop what is left in ring `queue`, whose reader and writer are gone for good; `ledger` was that reader's. */
export function dropLeft(rings: readonly SharedArrayBuffer[], queue: number, ledger: Ledger, isLostCounted: boolean): void {
  const reader = new RingReader(rings, queue);
  const drop = (bytes: number): void => {
    ledger.add(NOBODY, Cell.in, 1);
    ledger.add(NOBODY, Cell.bytesIn, bytes);
    ledger.drop(NOBODY, Reason.worker_died);
  };
  if (reader.lostAt >= 0 && !isLostCounted) drop(reader.lostEnd - reader.lostAt);
  for (let slot = reader.peek(); slot >= 0; slot = reader.peek()) {
    if (!reader.isBarrier(slot)) drop(reader.endOf(slot) - reader.atOf(slot));
    reader.take();
    reader.finish();
  }
  reader.publish();
}

/** Looks that "recent" goes back. */
const RECENT_LOOKS = 5;

/** Packets by queue in the last seconds: sums since the start would hide for hours what a rebalance has mended. */
export class Recent {
  readonly #looks: { readonly now: number; readonly packets: readonly number[] }[] = [];

  /** Call it now and then, with sums since the start. */
  look(now: number, packets: readonly number[]): void {
    this.#looks.push({ now, packets });
    if (this.#looks.length > RECENT_LOOKS + 1) this.#looks.shift();
  }

  get seconds(): number {
    return ((this.#looks.at(-1)?.now ?? 0) - (this.#looks[0]?.now ?? 0)) / 1000;
  }

  packetsOf(queue: number): number {
    return (this.#looks.at(-1)?.packets[queue] ?? 0) - (this.#looks[0]?.packets[queue] ?? 0);
  }
}

/** What came for each queue since the start: into its ring, or to its worker's sockets. */
export function packetsByQueue(control: Control): number[] {
  const { ledgers, queues, receiveMode: { workers } } = control;
  const rows = ledgerRows(control).map(([row]) => row);
  return Array.from({ length: workers }, (_, i) => queues?.table.queuePackets(i) ?? totals([ledgers[i]], rows).packets.in);
}

/** The busiest queue's packets as a multiple of the mean; 1 is even, null when there were none. */
function imbalanceOf(packets: readonly number[]): number | null {
  const all = sum(packets);
  return all === 0 ? null : Math.max(...packets) * packets.length / all;
}

function shareOf(packets: readonly number[], queue: number): number {
  return packets[queue] / (sum(packets) || 1);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((before, n) => before + n, 0);
}

export interface QueueStatus {
  /** A worker's number. */
  readonly queue: number;
  readonly up: boolean;
  /** What came for it: into its ring, or to its sockets. */
  readonly packets: number;
  /** Of all packets, 0 to 1. */
  readonly share: number;
  /** The same of the last `recent.seconds`. */
  readonly recentPackets: number;
  readonly recentShare: number;
  /** Entries of the table that lead to it. */
  readonly entries: number | null;
  readonly waiting: number | null;
  readonly slots: number | null;
  /** Dropped for want of a free slot. */
  readonly ringFull: number | null;
  /** Those it receives on by itself. */
  readonly sockets: readonly ReturnType<typeof socketWords>[] | null;
}

export function queuesOf(control: Control) {
  const { crew, queues, receiveMode: { mode, reason, workers } } = control;
  const { rss } = control.gateway;
  const packets = packetsByQueue(control);
  const recently = packets.map((_, queue) => control.recent.packetsOf(queue));
  const table = queues === null ? null : Array.from({ length: ENTRIES }, (_, entry) => queues.table.queueOf(entry));
  return {
    mode, reason, workers,
    imbalance: imbalanceOf(packets),
    recent: { seconds: control.recent.seconds, imbalance: imbalanceOf(recently) },
    ...(queues === null ? { key: null, rebalance: null, moves: null } : {
      // A key of one's own is nobody's business: who knows it can choose flows that meet in one queue.
      key: rss.key === 'default' || rss.key === 'symmetric' ? rss.key : 'of the config', rebalance: rss.rebalance, moves: queues.table.moves,
    }),
    queues: packets.map((n, queue): QueueStatus => ({
      queue, up: crew.isUp(queue), packets: n, share: shareOf(packets, queue), recentPackets: recently[queue], recentShare: shareOf(recently, queue),
      ...(queues === null || table === null ? { entries: null, waiting: null, slots: null, ringFull: null, sockets: crew.boundBy(queue).map(socketWords) } : {
        entries: table.filter(to => to === queue).length, waiting: ringDepth(queues.rings[queue]), slots: rss.ringSlots,
        ringFull: queues.table.queueDrops(queue), sockets: null,
      }),
    })),
    /** By entry of the indirection table, the queue it leads to. */
    table,
  };
}
