/**
 * Blocks of external ports and who has them, in the NAT's shared memory: what arithmetic (nat/blocks.ts) does not say.
 *
 *   record, 16 words: nextOwn nextOutside outside firstPort:16|count:16 subscriber tenant inside dead:1|-:1|udp:15|tcp:15 icmp - - - since(2) until(2)
 *
 * A block belongs to one inside address at a time. It is in two chains, its subscriber's and that of its outside
 * address. Its bindings are counted by protocol, so that one look says whether one more fits; they keep the record, and its
 * record keeps the subscriber's. When the reaper finds a block without bindings it writes down `until`; the
 * subscriber may take it up again, as of a new `since`, and after `timers.portBlock` somebody else may have the ports.
 * So no port changes hands in less, and who looks at every change within that time misses none.
 *
 * Times are milliseconds. Changed under the block lock, and `changes` counts; read without, as subscribers are.
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import type { PortPlan } from '../nat/blocks.js';
import { counted, disuseCounted, firstCounted, useCounted } from './counted.js';
import type { Locks } from './locks.js';
import type { Quiet } from './quiet.js';
import type { SubscriberTable } from './subscribers.js';
import { hashWords } from './word-map.js';

const NEXT_OWN = 0, NEXT_OUTSIDE = 1, OUTSIDE = 2, PORTS = 3, SUBSCRIBER = 4, TENANT = 5, INSIDE = 6, USERS = 7, ICMP = 8, SINCE = 12, UNTIL = 14;
export const PORT_BLOCK_WORDS = 16;
const DEAD = 1 << 31, FREE = DEAD;
const H_FREE = 0, H_USED = 1, H_COUNT = 2, H_CHANGES = 3;
const HEADER_WORDS = 16;
/** Blocks of one address at most: of 64 ports from 1024 up. */
const MOST = 1008;

/** What `claim` says when it has none to give: all are others', this table or that of subscribers is full, the subscriber has as many as it may. */
export const NO_BLOCK = -1, NO_RECORD = -2, NO_HOLDER = -3, NO_MORE = -4;

/** Somebody's block, as the evidence of it is written down. */
export interface BlockRecord {
  readonly outside: number;
  readonly firstPort: number;
  readonly count: number;
  readonly tenant: number;
  readonly inside: number;
  /** Milliseconds since the epoch. `until` is 0 while the block is in use; before `since` it means that the block is being taken up again at this moment. */
  readonly since: number;
  readonly until: number;
}

function buckets(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, count)));
}

export function portBlockWords(count: number, tenants: number): number {
  return HEADER_WORDS + Math.ceil((buckets(count) + tenants + 1) / 16) * 16 + count * PORT_BLOCK_WORDS;
}

export class PortBlockTable {
  readonly size: number;
  readonly #w: Int32Array;
  /** The same memory, for times. */
  readonly #times: Float64Array;
  readonly #subscribers: SubscriberTable;
  readonly #seed: number;
  readonly #mask: number;
  readonly #perTenant: number;
  readonly #records: number;
  readonly #locks: Locks;
  readonly #lock: number;
  readonly #quiet: Quiet;
  /** Which blocks of an address are taken, while one is looked for. */
  readonly #taken = new Uint8Array(MOST);

  /** As for `SubscriberTable`. */
  constructor(words: Int32Array, count: number, tenants: number, seed: number, subscribers: SubscriberTable, locks: Locks, lock: number, quiet: Quiet) {
    this.size = count;
    this.#w = words;
    this.#times = new Float64Array(words.buffer, words.byteOffset, words.length >> 1);
    this.#subscribers = subscribers;
    this.#seed = seed;
    this.#mask = buckets(count) - 1;
    this.#perTenant = HEADER_WORDS + buckets(count);
    this.#records = portBlockWords(count, tenants) - count * PORT_BLOCK_WORDS;
    this.#locks = locks;
    this.#lock = lock;
    this.#quiet = quiet;
  }

  /** Blocks that are somebody's, those that nobody uses at the moment included. */
  get count(): number { return Atomics.load(this.#w, H_COUNT); }
  countOf(tenant: number): number { return Atomics.load(this.#w, this.#perTenant + tenant); }
  /** Grows with every change of `records`, after it. */
  get changes(): number { return Atomics.load(this.#w, H_CHANGES); }
  get used(): number { return Atomics.load(this.#w, H_USED); }

  /** Every block that is somebody's, or was until lately, while others come and go. Not for packets. */
  *records(): Generator<BlockRecord> {
    for (let i = 0; i < this.used; i++) {
      const record = this.record(i);
      if (record !== undefined) yield record;
    }
  }

  /** Record `i`, below `used`; undefined where it is nobody's. */
  record(i: number): BlockRecord | undefined {
    const w = this.#w, at = this.#at(i);
    if (Atomics.load(w, at + USERS) < 0) return undefined;
    return {
      outside: w[at + OUTSIDE] >>> 0, firstPort: w[at + PORTS] >>> 16, count: w[at + PORTS] & 0xffff, tenant: w[at + TENANT], inside: w[at + INSIDE] >>> 0,
      since: this.#times[at + SINCE >> 1], until: this.#times[at + UNTIL >> 1],
    };
  }

  /** What a look at record `i` needs to see that it has changed: since when it is used; below 0, since when it is not; 0, nobody's. */
  stamp(i: number): number {
    const at = this.#at(i);
    if (Atomics.load(this.#w, at + USERS) < 0) return 0;
    const since = this.#times[at + SINCE >> 1], until = this.#times[at + UNTIL >> 1];
    return until === 0 || until < since ? since : -until;
  }

  /** The block that holds this outside port, if it is somebody's, or was until lately. */
  find(outside: number, port: number): BlockRecord | undefined {
    const w = this.#w;
    for (let link = Atomics.load(w, this.#bucket(outside | 0)); link !== 0; link = w[this.#at(link - 1) + NEXT_OUTSIDE]) {
      const at = this.#at(link - 1), first = w[at + PORTS] >>> 16;
      if (w[at + OUTSIDE] === (outside | 0) && port >= first && port < first + (w[at + PORTS] & 0xffff)) return this.record(link - 1);
    }
    return undefined;
  }

  // For packets; all need the inside lock.

  /** The link, number + 1 or 0, behind a block in the chain of its subscriber, which begins with `subscribers.firstBlock`. */
  next(block: number): number { return this.#w[this.#at(block) + NEXT_OWN]; }
  outside(block: number): number { return this.#w[this.#at(block) + OUTSIDE] >>> 0; }
  firstPort(block: number): number { return this.#w[this.#at(block) + PORTS] >>> 16; }
  portCount(block: number): number { return this.#w[this.#at(block) + PORTS] & 0xffff; }
  subscriber(block: number): number { return this.#w[this.#at(block) + SUBSCRIBER]; }

  /** One port more of the block is used, by this protocol; false when all are, or the block is nobody's any more. Who uses one that `isIdle` then says `takeUp`. */
  use(block: number, protocol: number): boolean {
    const w = this.#w, at = this.#at(block);
    return useCounted(w, at + USERS, at + ICMP, protocol, w[at + PORTS] & 0xffff);
  }

  disuse(block: number, protocol: number): void {
    const at = this.#at(block);
    disuseCounted(this.#w, at + USERS, at + ICMP, protocol);
  }

  /** Nobody had used it when the reaper came by. */
  isIdle(block: number): boolean { return this.#times[this.#at(block) + UNTIL >> 1] !== 0; }

  takeUp(block: number, nowMs: number): void {
    this.#locks.lock(this.#lock);
    if (this.isIdle(block)) this.#begin(this.#at(block), nowMs);
    this.#locks.unlock();
  }

  /** Bindings in the block. */
  users(block: number): number {
    const at = this.#at(block);
    return counted(Atomics.load(this.#w, at + USERS), Atomics.load(this.#w, at + ICMP));
  }

  /**
   * A block for an inside address at this outside address, used once as `use` does: one that another worker has just got for it,
   * or a new one, any of those that are free (`random` says which). Below 0: why there is none. `most` is how many it may have.
   */
  claim(tenant: number, inside: number, plan: PortPlan, outside: number, protocol: number, most: number, random: number, nowMs: number): number {
    this.#locks.lock(this.#lock);
    const subscriber = this.#subscribers.findOrMake(tenant, inside, Math.floor(nowMs / 1000));
    const block = subscriber < 0 ? NO_HOLDER : this.#claim(subscriber, plan, outside, protocol, most, random, nowMs);
    this.#locks.unlock();
    return block;
  }

  // For the reaper

  /** The look at record `i`: note that nobody uses it, take it out when that has been so for `kept` milliseconds, free it when nobody can stand on it. Needs the block lock. */
  sweep(i: number, nowMs: number, kept: number): void {
    const w = this.#w, at = this.#at(i), until = at + UNTIL >> 1;
    const life = Atomics.load(w, at + USERS);
    if (life === FREE || life > 0 || this.users(i) > 0) return;
    if (life < 0) {
      if (this.#quiet.isOver(life & ~DEAD)) this.#giveBack(i);
      return;
    }
    if (this.#times[until] === 0 || nowMs < this.#times[until]) { // or the clock was set back: then the time begins anew
      this.#times[until] = nowMs;
      Atomics.add(w, H_CHANGES, 1); // and what is written is seen by whoever counts itself in now: it looks at `until` after that
      if (this.users(i) !== 0) this.#times[until] = 0;
      return;
    }
    if (nowMs - this.#times[until] < kept) return;
    if (Atomics.compareExchange(w, at + USERS, 0, DEAD | this.#quiet.epoch) !== 0) return;
    if (Atomics.load(w, at + ICMP) !== 0) { // who counts itself in there looks at the other word after that, and has seen that nothing has gone yet
      Atomics.store(w, at + USERS, 0);
      return;
    }
    this.#unlink(i, at);
    Atomics.sub(w, H_COUNT, 1);
    Atomics.sub(w, this.#perTenant + w[at + TENANT], 1);
    Atomics.add(w, H_CHANGES, 1);
    if (this.#quiet.isAlone) this.#giveBack(i);
  }

  /** As for subscribers, whose table has just been rebuilt. */
  rebuild(): void {
    const w = this.#w;
    w.fill(0, HEADER_WORDS, this.#records);
    Atomics.store(w, H_FREE, 0);
    let count = 0;
    for (let i = 0; i < this.used; i++) {
      const at = this.#at(i), life = w[at + USERS];
      if (life === FREE) this.#giveBack(i);
      if (life < 0) continue;
      w.fill(0, at + USERS, at + SINCE);
      this.#link(i);
      Atomics.add(w, this.#perTenant + w[at + TENANT], 1);
      count++;
    }
    Atomics.store(w, H_COUNT, count);
    Atomics.add(w, H_CHANGES, 1);
  }

  /** Count a binding once more: for a repair. */
  recount(block: number, protocol: number): void {
    const at = this.#at(block);
    useCounted(this.#w, at + USERS, at + ICMP, protocol, Infinity);
    if (this.#times[at + UNTIL >> 1] === 0) return;
    this.#times[at + SINCE >> 1] = this.#times[at + UNTIL >> 1]; // at some time after that it was taken up again
    this.#times[at + UNTIL >> 1] = 0;
  }

  #claim(subscriber: number, plan: PortPlan, outside: number, protocol: number, most: number, random: number, nowMs: number): number {
    const w = this.#w, subscribers = this.#subscribers;
    for (let link = subscribers.firstBlock(subscriber); link !== 0; link = this.next(link - 1)) {
      const block = link - 1;
      // The caller has been through those it knew. This one is new, if it is hardly used.
      if (this.outside(block) !== outside || this.users(block) >= this.portCount(block) >> 1 || !plan.isDynamic(outside, this.firstPort(block)) || !this.use(block, protocol)) continue;
      if (this.isIdle(block)) this.#begin(this.#at(block), nowMs);
      return block;
    }
    if (subscribers.blockCount(subscriber) >= most) return NO_MORE;
    const number = this.#findFree(plan, outside, random);
    if (number < 0) return NO_BLOCK;
    const link = Atomics.load(w, H_FREE), i = link === 0 ? this.used : link - 1;
    if (i === this.size) return NO_RECORD;

    const at = this.#at(i);
    if (link !== 0) Atomics.store(w, H_FREE, w[at + NEXT_OWN]);
    w[at + USERS] = FREE; // also where it was never used
    w[at + OUTSIDE] = outside;
    w[at + PORTS] = plan.blockStart(number) << 16 | plan.size;
    w[at + SUBSCRIBER] = subscriber;
    w[at + TENANT] = subscribers.tenantOf(subscriber);
    w[at + INSIDE] = subscribers.inside(subscriber);
    w[at + ICMP] = protocol === IpProtocol.icmp ? 1 : 0;
    this.#times[at + SINCE >> 1] = nowMs;
    this.#times[at + UNTIL >> 1] = 0;
    if (link === 0) Atomics.store(w, H_USED, i + 1);
    Atomics.add(w, H_COUNT, 1);
    Atomics.add(w, this.#perTenant + w[at + TENANT], 1);
    this.#link(i);
    Atomics.store(w, at + USERS, firstCounted(protocol));
    Atomics.add(w, H_CHANGES, 1);
    return i;
  }

  /** A block of this address that is nobody's, looked for from that of a random port on; -1 when there is none. Blocks of earlier plans may be of another size. */
  #findFree(plan: PortPlan, outside: number, random: number): number {
    const w = this.#w, taken = this.#taken;
    const count = plan.blocksAt(plan.indexOfOutside(outside));
    if (count === 0) return -1;
    taken.fill(0, 0, count);
    for (let link = w[this.#bucket(outside | 0)]; link !== 0; link = w[this.#at(link - 1) + NEXT_OUTSIDE]) {
      const at = this.#at(link - 1);
      if (w[at + OUTSIDE] !== (outside | 0)) continue;
      const first = w[at + PORTS] >>> 16, last = first + (w[at + PORTS] & 0xffff) - 1;
      for (let block = plan.blockOf(last); block <= plan.blockOf(first) && block < count; block++) taken[block] = 1;
    }
    const start = Math.floor(random % (count * plan.size) / plan.size);
    for (let i = 0; i < count; i++) {
      const block = count - 1 - (start + i < count ? start + i : start + i - count); // they are counted from the top
      if (taken[block] === 0) return block;
    }
    return -1;
  }

  /** Its subscriber has a port of it again before its time was up. */
  #begin(at: number, nowMs: number): void {
    this.#times[at + SINCE >> 1] = nowMs;
    this.#times[at + UNTIL >> 1] = 0;
    Atomics.add(this.#w, H_CHANGES, 1);
  }

  #link(i: number): void {
    const w = this.#w, at = this.#at(i), bucket = this.#bucket(w[at + OUTSIDE]), subscriber = w[at + SUBSCRIBER];
    w[at + NEXT_OUTSIDE] = w[bucket];
    w[at + NEXT_OWN] = this.#subscribers.firstBlock(subscriber);
    Atomics.store(w, bucket, i + 1);
    this.#subscribers.setBlocks(subscriber, i + 1, this.#subscribers.blockCount(subscriber) + 1);
  }

  #unlink(i: number, at: number): void {
    const w = this.#w, subscribers = this.#subscribers, subscriber = w[at + SUBSCRIBER];
    for (let from = this.#bucket(w[at + OUTSIDE]); w[from] !== 0; from = this.#at(w[from] - 1) + NEXT_OUTSIDE) {
      if (w[from] !== i + 1) continue;
      Atomics.store(w, from, w[at + NEXT_OUTSIDE]);
      break;
    }
    const count = subscribers.blockCount(subscriber) - 1;
    if (subscribers.firstBlock(subscriber) === i + 1) return subscribers.setBlocks(subscriber, w[at + NEXT_OWN], count);
    for (let link = subscribers.firstBlock(subscriber); link !== 0; link = w[this.#at(link - 1) + NEXT_OWN]) {
      if (w[this.#at(link - 1) + NEXT_OWN] === i + 1) Atomics.store(w, this.#at(link - 1) + NEXT_OWN, w[at + NEXT_OWN]);
    }
    subscribers.setBlocks(subscriber, subscribers.firstBlock(subscriber), count);
  }

  #giveBack(i: number): void {
    const w = this.#w, at = this.#at(i);
    w[at + NEXT_OWN] = w[H_FREE];
    Atomics.store(w, at + USERS, FREE);
    Atomics.store(w, H_FREE, i + 1);
  }

  #at(block: number): number { return this.#records + block * PORT_BLOCK_WORDS; }
  #bucket(outside: number): number { return HEADER_WORDS + (hashWords(this.#seed, outside, 0, 0, 0, 0) & this.#mask); }
}
