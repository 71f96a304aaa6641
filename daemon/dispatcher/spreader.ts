/**
 * What the dispatcher does with a datagram: hash, entry, queue, one copy into that queue's ring. Nothing else; what it
 * means is the worker's to find out.
 */
import type { RemoteInfo } from 'node:dgram';
import { ENTRIES, ENTRY_MASK, Indirection } from '../../pipeline/indirection.js';
import { Cell, type Ledger } from '../../pipeline/ledger.js';
import { Reason } from '../../pipeline/reasons.js';
import { Balancer, evacuate, type Move } from '../../pipeline/rebalance.js';
import { ringSlots, RingWriter, Written } from '../../pipeline/ring.js';
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
/** As part of a ring's slots: more must not wait for a wake-up, or there is no room for those that come meanwhile. */
const WORTH_WAKING_PART = 8;
/**
 * Nor must the few that came for a quiet queue wait until they are many. So many for all queues, and the turn in which the
 * first of them came, are half a millisecond; half of that would cost a dispatcher of four queues a fifth of what it does.
 */
const MOST_MEANWHILE = 224;
/** The ledger's row for packets that no tenant can be charged with. */
const NOBODY = 0;

export interface SpreaderParts {
  readonly rings: readonly SharedArrayBuffer[];
  readonly indirection: SharedArrayBuffer;
  readonly ledger: Ledger;
  readonly key: Uint8Array;
  readonly rebalance: boolean;
}

/** Why an entry was given another queue, as the log says it. */
export type Why = 'load' | 'worker died' | 'worker is back';
export interface Moved extends Move { readonly why: Why }

export class Spreader {
  readonly table: Indirection;
  readonly #ledger: Ledger;
  readonly #rings: readonly RingWriter[];
  readonly #hash: RssHash;
  readonly #addresses = new AddressFinder();
  readonly #alive: boolean[];
  readonly #balancer: Balancer | undefined;
  /** Packets by entry, up to the interval before. */
  readonly #before: Float64Array;
  readonly #turnEnds = (): void => this.#endTurn();
  #isFlushDue = false;
  /** Datagrams since the last turn that woke somebody, or could have. */
  #received = 0;
  /** By queue: datagrams for whomever since the turn that ended with its worker asleep beside some; -1 when none did. */
  readonly #meanwhile: Int32Array;
  readonly #worthWaking: number;

  /** Goes on where a spreader before it stopped. */
  constructor(parts: SpreaderParts) {
    this.table = new Indirection(parts.indirection);
    this.#ledger = parts.ledger;
    this.#rings = parts.rings.map(memory => new RingWriter(memory));
    this.#hash = new RssHash(parts.key);
    this.#alive = this.#rings.map(ring => !ring.isDead);
    this.#balancer = parts.rebalance ? new Balancer(ENTRIES) : undefined;
    this.#before = this.#packets();
    this.#meanwhile = new Int32Array(this.#rings.length).fill(-1);
    this.#worthWaking = Math.min(WORTH_WAKING, ...parts.rings.map(ring => ringSlots(ring) / WORTH_WAKING_PART));
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
    if (written === Written.asleep) this.#besideSleeper(ring);
    else if (written === Written.full) this.#drop(datagram.length, Reason.ring_full);
  }

  /** Wake whoever sleeps beside a ring that is not empty. */
  flush(): void {
    for (const ring of this.#rings) if (ring.overslept > 0) ring.wake();
  }

  /** A datagram was put beside the reader of `ring`, which sleeps. */
  #besideSleeper(ring: RingWriter): void {
    if (ring.overslept >= this.#worthWaking) ring.wake();
    else this.#flushSoon();
  }

  #endTurn(): void {
    const received = this.#received;
    this.#received = 0;
    this.#isFlushDue = false;
    for (let queue = 0; queue < this.#rings.length; queue++) {
      const ring = this.#rings[queue];
      const before = this.#meanwhile[queue];
      this.#meanwhile[queue] = -1;
      if (ring.overslept === 0) continue;
      const meanwhile = before < 0 ? 0 : before + received;
      if (received < BUSY_TURN || meanwhile >= MOST_MEANWHILE) {
        ring.wake();
        continue;
      }
      this.#meanwhile[queue] = meanwhile;
      this.#flushSoon();
    }
  }

  /** The worker of `queue` died, or has been replaced; may be told twice. Returns the entries that leave it or come home. */
  setQueue(queue: number, isUp: boolean): readonly Moved[] {
    this.#alive[queue] = isUp;
    this.#rings[queue].setDead(!isUp);
    return [...this.#evacuate(this.#since()), ...this.#comeHome()];
  }

  /** An interval is over: see to the balance. Returns the entries that were given another queue. */
  balance(): readonly Moved[] {
    const load = this.#since();
    this.#before.set(this.#packets());
    // Again, for what found no room when its queue died, or when it came back.
    const owed = [...this.#evacuate(load), ...this.#comeHome()];
    return owed.length > 0 ? owed : this.#apply(this.#balancer?.after(load, this.#tableNow(), this.#alive) ?? [], 'load');
  }

  #evacuate(load: Float64Array): readonly Moved[] {
    return this.#apply(evacuate(load, this.#tableNow(), this.#alive), 'worker died');
  }

  #comeHome(): readonly Moved[] {
    const away = this.#tableNow().map((from, entry) => ({ entry, from, to: this.table.homeOf(entry) })).filter(({ from, to }) => from !== to && this.#alive[to]);
    return this.#apply(away, 'worker is back');
  }

  /**
   * Move entries, each once, behind a barrier: what is in the old queue is done before what comes to the new one. What a
   * dead queue holds is not waited for: its next worker may send it late.
   */
  #apply(moves: readonly Move[], why: Why): readonly Moved[] {
    const fenced = new Map<string, boolean>();
    const made = moves.filter(({ entry, from, to }) => {
      const pair = `${from} ${to}`;
      const isFenced = fenced.get(pair) ?? (!this.#alive[from] || this.#rings[to].writeBarrier(from, this.#rings[from].head) !== Written.full);
      fenced.set(pair, isFenced);
      if (!isFenced) return false;
      if (why === 'load') this.table.settle(entry, to);
      this.table.move(entry, to);
      return true;
    });
    if (made.length > 0) this.#flushSoon();
    return made.map(move => ({ ...move, why }));
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
