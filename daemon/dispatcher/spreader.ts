/**
 * What the dispatcher does with a datagram: hash, entry, queue, one copy into that queue's ring. Nothing else; what it
 * means is the worker's to find out.
 */
import type { RemoteInfo } from 'node:dgram';
import { ENTRIES, ENTRY_MASK, Indirection } from '../../pipeline/indirection.js';
import { Cell, type Ledger } from '../../pipeline/ledger.js';
import { Reason } from '../../pipeline/reasons.js';
import { Balancer, evacuate, type Move } from '../../pipeline/rebalance.js';
import { RingWriter, Written } from '../../pipeline/ring.js';
import { RssHash } from '../../pipeline/rss.js';
import type { Listen } from '../worker/messages.js';
import { AddressFinder } from './address-finder.js';

/**
 * A turn of the event loop brings up to 32 datagrams a socket. With so many there are more to come at once, and waking a
 * worker, 10 µs or four datagrams, can wait until so many are there for it. That is when it matters what a datagram costs;
 * with less to do, workers are woken at the end of each turn.
 */
const BUSY_TURN = 16;
const WORTH_WAKING = 128;
/** The ledger's row for packets that no tenant can be charged with. */
const NOBODY = 0;

export interface SpreaderParts {
  readonly rings: readonly SharedArrayBuffer[];
  readonly indirection: SharedArrayBuffer;
  readonly ledger: Ledger;
  readonly key: Uint8Array;
  readonly rebalance: boolean;
}

export class Spreader {
  readonly table: Indirection;
  readonly #ledger: Ledger;
  readonly #rings: readonly RingWriter[];
  readonly #hash: RssHash;
  readonly #addresses = new AddressFinder();
  readonly #alive: boolean[];
  /** By entry: the queue that it left first because that one was dead, -1 where it is at home. */
  readonly #homes = new Int32Array(ENTRIES).fill(-1);
  readonly #balancer: Balancer | undefined;
  /** Packets by entry, up to the interval before. */
  readonly #before: Float64Array;
  readonly #turnEnds = (): void => this.#endTurn();
  #isFlushDue = false;
  /** Datagrams since the last turn that woke somebody, or could have. */
  #received = 0;

  /** Goes on where a spreader before it stopped. */
  constructor(parts: SpreaderParts) {
    this.table = new Indirection(parts.indirection);
    this.#ledger = parts.ledger;
    this.#rings = parts.rings.map(memory => new RingWriter(memory));
    this.#hash = new RssHash(parts.key);
    this.#alive = this.#rings.map(ring => !ring.isDead);
    this.#balancer = parts.rebalance ? new Balancer(ENTRIES) : undefined;
    this.#before = this.#packets();
    this.flush(); // the one before may have died on its way to do so
  }

  /** A datagram came. */
  receive(datagram: Uint8Array, from: RemoteInfo, listen: Listen): void {
    const { carrier, side } = listen;
    this.#received++;
    const entry = this.#hash.ofDatagram(datagram, 0, datagram.length, carrier) & ENTRY_MASK;
    const queue = this.table.queueOf(entry);
    const ring = this.#rings[queue];
    if (datagram.length > ring.longest) {
      this.#drop(datagram.length, Reason.datagram_too_long);
      return;
    }
    const address = this.#addresses.find(from.address, from.port);
    const written = ring.write(datagram, address[0], address[1], address[2], address[3], from.port, carrier, side, entry);
    this.table.count(entry, queue, written === Written.full);
    if (written === Written.asleep) this.#flushSoon();
    else if (written === Written.full) this.#drop(datagram.length, Reason.ring_full);
  }

  /** Wake whoever sleeps beside a ring that is not empty. */
  flush(): void {
    for (const ring of this.#rings) if (ring.overslept > 0) ring.wake();
  }

  #endTurn(): void {
    const isBusy = this.#received >= BUSY_TURN;
    this.#received = 0;
    this.#isFlushDue = false;
    for (const ring of this.#rings) {
      const waiting = ring.overslept;
      if (waiting === 0) continue;
      if (isBusy && waiting < WORTH_WAKING) this.#flushSoon();
      else ring.wake();
    }
  }

  /** The worker of `queue` died, or has been replaced. Returns the entries that leave it or come home. */
  setQueue(queue: number, isUp: boolean): readonly Move[] {
    this.#alive[queue] = isUp;
    this.#rings[queue].setDead(!isUp);
    const left = this.#evacuate(this.#since());
    if (!isUp) return left;
    const home = this.#tableNow().flatMap((from, entry) => this.#homes[entry] === queue && from !== queue ? [{ entry, from, to: queue }] : []);
    return [...left, ...this.#apply(home)];
  }

  /** An interval is over: see to the balance. Returns the entries that were given another queue. */
  balance(): readonly Move[] {
    const load = this.#since();
    this.#before.set(this.#packets());
    const left = this.#evacuate(load); // again, for what found no room when its queue died
    return left.length > 0 ? left : this.#apply(this.#balancer?.after(load, this.#tableNow(), this.#alive) ?? []);
  }

  #evacuate(load: Float64Array): readonly Move[] {
    const homes = this.#homes.slice();
    const left = this.#apply(evacuate(load, this.#tableNow(), this.#alive));
    for (const { entry, from, to } of left) {
      const home = homes[entry] >= 0 ? homes[entry] : from;
      this.#homes[entry] = home === to ? -1 : home;
    }
    return left;
  }

  /**
   * Move entries, each once, behind a barrier: what is in the old queue is done before what comes to the new one. What a
   * dead queue holds is not waited for: its next worker may send it late.
   */
  #apply(moves: readonly Move[]): readonly Move[] {
    const fenced = new Map<string, boolean>();
    const made = moves.filter(({ entry, from, to }) => {
      const pair = `${from} ${to}`;
      const isFenced = fenced.get(pair) ?? (!this.#alive[from] || this.#rings[to].writeBarrier(from, this.#rings[from].head) !== Written.full);
      fenced.set(pair, isFenced);
      if (!isFenced) return false;
      this.table.move(entry, to);
      this.#homes[entry] = -1;
      return true;
    });
    if (made.length > 0) this.#flushSoon();
    return made;
  }

  /** All that one turn of the loop brings is worth one wake-up at most. */
  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    setImmediate(this.#turnEnds);
  }

  #drop(bytes: number, reason: number): void {
    this.#ledger.add(NOBODY, Cell.in, 1);
    this.#ledger.add(NOBODY, Cell.bytesIn, bytes);
    this.#ledger.drop(NOBODY, reason);
  }

  #packets(): Float64Array {
    return Float64Array.from({ length: ENTRIES }, (_, entry) => this.table.entryPackets(entry));
  }

  #since(): Float64Array {
    return this.#packets().map((packets, entry) => packets - this.#before[entry]);
  }

  #tableNow(): number[] {
    return Array.from({ length: ENTRIES }, (_, entry) => this.table.queueOf(entry));
  }
}
