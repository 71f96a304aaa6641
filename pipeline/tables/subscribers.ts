/**
 * Inside addresses with NAT state, "subscribers" as RFC 6888 calls them: one record each, by tenant and address, in
 * the NAT's shared memory.
 *
 *   record, 16 words: next tenant inside dead:1|-:1|udp:15|tcp:15 icmp fixed sessions paired blocks blockCount seen - flows(2) flows(2)
 *
 * The bindings in its share of ports are counted by protocol, so that one look says whether one more fits; `fixed` are static
 * mappings'. All of them keep the record: dead, it is nobody's, and the rest of the word is the epoch, or 0 when it may be used again.
 * `sessions` are counted where the policy limits them, and bindings say whether theirs are.
 * `paired` is the outside address that it keeps to (RFC 6888 REQ-2), 0 before it has one; `blocks` the head of the chain of
 * its port blocks (port-blocks.ts). `seen` is when a binding was last asked for, in seconds; `flows` a token bucket.
 *
 * Found without a lock. Whoever makes one, or takes one out, holds the block lock: of all locks the one that is taken second, and
 * never beside an outside one. What is taken out leads on in its chain until nobody stands on it (quiet.ts).
 */
import { counted, disuseCounted, useCounted } from './counted.js';
import type { Locks } from './locks.js';
import type { Quiet } from './quiet.js';
import { RateLimit } from './rate-limit.js';
import { hashWords } from './word-map.js';

const NEXT = 0, TENANT = 1, INSIDE = 2, BINDINGS = 3, ICMP = 4, FIXED = 5, SESSIONS = 6, PAIRED = 7, BLOCKS = 8, BLOCK_COUNT = 9, SEEN = 10, FLOWS = 12;
export const SUBSCRIBER_WORDS = 16;
const DEAD = 1 << 31;
const FREE = DEAD;
/** What `hold` says when it has nothing to give: the table is full, or the share. */
export const NO_SUBSCRIBER = -1, NO_PORT = -2;
/** Free list, records that have ever been used, and how many are now. */
const H_FREE = 0, H_USED = 1, H_COUNT = 2;
const HEADER_WORDS = 16;
/** A record without bindings is kept for so long: a bucket that is empty must not be full at once. */
const KEPT_SECONDS = 2;

function buckets(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, count)));
}

/** Words of memory for `count` subscribers of `tenants` tenants. */
export function subscriberWords(count: number, tenants: number): number {
  return HEADER_WORDS + Math.ceil((buckets(count) + tenants + 1) / 16) * 16 + count * SUBSCRIBER_WORDS;
}

export class SubscriberTable {
  readonly size: number;
  /** Token buckets of new sessions, by subscriber. */
  readonly flows: RateLimit;
  readonly #w: Int32Array;
  readonly #seed: number;
  readonly #mask: number;
  readonly #perTenant: number;
  readonly #records: number;
  readonly #locks: Locks;
  readonly #lock: number;
  readonly #quiet: Quiet;

  /** `words` is this table's part of the memory, all zero at first; `lock` is the number of the block lock among `locks`. */
  constructor(words: Int32Array, count: number, tenants: number, seed: number, locks: Locks, lock: number, quiet: Quiet) {
    this.size = count;
    this.#w = words;
    this.#seed = seed;
    this.#mask = buckets(count) - 1;
    this.#perTenant = HEADER_WORDS + buckets(count);
    this.#records = subscriberWords(count, tenants) - count * SUBSCRIBER_WORDS;
    this.#locks = locks;
    this.#lock = lock;
    this.#quiet = quiet;
    const records = words.byteOffset + this.#records * 4;
    this.flows = new RateLimit(words.buffer as SharedArrayBuffer, records + FLOWS * 4, SUBSCRIBER_WORDS / 2, count);
  }

  get count(): number { return Atomics.load(this.#w, H_COUNT); }
  countOf(tenant: number): number { return Atomics.load(this.#w, this.#perTenant + tenant); }
  /** Records below this have been used. */
  get used(): number { return Atomics.load(this.#w, H_USED); }

  /** The subscriber with this address, or -1. */
  find(tenant: number, inside: number): number {
    const w = this.#w, address = inside | 0;
    for (let link = Atomics.load(w, this.#bucket(tenant, address)); link !== 0;) {
      const at = this.#at(link - 1);
      if (w[at + INSIDE] === address && w[at + TENANT] === tenant && w[at + BINDINGS] >= 0) return link - 1;
      link = w[at + NEXT];
    }
    return -1;
  }

  /**
   * The subscriber with this address, made if there is none, for one more binding in its share, of `share` ports a protocol; `release` gives
   * that back. Below 0: why not. Needs the inside lock.
   */
  hold(tenant: number, inside: number, protocol: number, share: number, now: number): number {
    for (;;) {
      const found = this.find(tenant, inside), subscriber = found >= 0 ? found : this.#make(tenant, inside, now);
      if (subscriber < 0) return NO_SUBSCRIBER;
      const at = this.#at(subscriber);
      if (useCounted(this.#w, at + BINDINGS, at + ICMP, protocol, share)) return this.#see(subscriber, now);
      if (this.isLive(subscriber)) return NO_PORT;
    }
  }

  release(subscriber: number, protocol: number): void {
    const at = this.#at(subscriber);
    disuseCounted(this.#w, at + BINDINGS, at + ICMP, protocol);
  }

  /** The same for a binding of a static mapping, or for a while. */
  holdFixed(tenant: number, inside: number, now: number): number {
    for (;;) {
      const found = this.find(tenant, inside), subscriber = found >= 0 ? found : this.#make(tenant, inside, now);
      if (subscriber < 0) return NO_SUBSCRIBER;
      Atomics.add(this.#w, this.#at(subscriber) + FIXED, 1);
      if (this.isLive(subscriber)) return this.#see(subscriber, now);
      this.releaseFixed(subscriber);
    }
  }

  releaseFixed(subscriber: number): void { Atomics.sub(this.#w, this.#at(subscriber) + FIXED, 1); }
  addSession(subscriber: number, n: number): void { Atomics.add(this.#w, this.#at(subscriber) + SESSIONS, n); }

  tenantOf(subscriber: number): number { return this.#w[this.#at(subscriber) + TENANT]; }
  inside(subscriber: number): number { return this.#w[this.#at(subscriber) + INSIDE] >>> 0; }
  sessions(subscriber: number): number { return Atomics.load(this.#w, this.#at(subscriber) + SESSIONS); }
  /** Bindings in its share. */
  bindings(subscriber: number): number {
    const at = this.#at(subscriber);
    return counted(Atomics.load(this.#w, at + BINDINGS), Atomics.load(this.#w, at + ICMP));
  }
  /** Bindings of static mappings. */
  fixed(subscriber: number): number { return Atomics.load(this.#w, this.#at(subscriber) + FIXED); }
  isLive(subscriber: number): boolean { return Atomics.load(this.#w, this.#at(subscriber) + BINDINGS) >= 0; }

  /** The outside address it keeps to, or 0. */
  paired(subscriber: number): number { return this.#w[this.#at(subscriber) + PAIRED] >>> 0; }
  pair(subscriber: number, outside: number): void { this.#w[this.#at(subscriber) + PAIRED] = outside; }

  /** Its latest port block, as a link: number + 1, or 0. */
  firstBlock(subscriber: number): number { return Atomics.load(this.#w, this.#at(subscriber) + BLOCKS); }
  blockCount(subscriber: number): number { return this.#w[this.#at(subscriber) + BLOCK_COUNT]; }
  /** Needs the block lock. */
  setBlocks(subscriber: number, first: number, count: number): void {
    const at = this.#at(subscriber);
    Atomics.store(this.#w, at + BLOCKS, first);
    this.#w[at + BLOCK_COUNT] = count;
  }

  /** The reaper's look at record `i`: take it out when nothing is left of it, free it when nobody can stand on it. Needs the block lock. */
  sweep(i: number, now: number): void {
    const w = this.#w, at = this.#at(i);
    const life = Atomics.load(w, at + BINDINGS);
    if (life === FREE) return;
    if (life < 0) {
      if (this.#quiet.isOver(life & ~DEAD)) this.#giveBack(i);
      return;
    }
    if (life > 0 || this.#isUsed(at) || w[at + BLOCKS] !== 0 || Math.abs(now - w[at + SEEN] | 0) < KEPT_SECONDS) return;
    if (Atomics.compareExchange(w, at + BINDINGS, 0, DEAD | this.#quiet.epoch) !== 0) return;
    if (this.#isUsed(at)) { // who counts itself in there looks at the other word after that, and has seen that nothing has gone yet
      Atomics.store(w, at + BINDINGS, 0);
      return;
    }
    const tenant = w[at + TENANT];
    for (let from = this.#bucket(tenant, w[at + INSIDE]); w[from] !== 0; from = this.#at(w[from] - 1) + NEXT) {
      if (w[from] !== i + 1) continue;
      Atomics.store(w, from, w[at + NEXT]);
      break;
    }
    Atomics.sub(w, H_COUNT, 1);
    Atomics.sub(w, this.#perTenant + tenant, 1);
    if (this.#quiet.isAlone) this.#giveBack(i);
  }

  /** After a death, while nobody else is at work: chains, lists and counts anew. What is counted of others' records is cleared, for whoever goes through those. */
  rebuild(): void {
    const w = this.#w;
    w.fill(0, HEADER_WORDS, this.#records); // heads of chains, counts of tenants
    Atomics.store(w, H_FREE, 0);
    let count = 0;
    for (let i = 0; i < this.used; i++) {
      const at = this.#at(i), life = w[at + BINDINGS];
      if (life < 0) {
        if (life === FREE) this.#giveBack(i);
        continue;
      }
      w[at + BINDINGS] = w[at + ICMP] = w[at + FIXED] = w[at + SESSIONS] = w[at + BLOCKS] = w[at + BLOCK_COUNT] = 0;
      this.#link(i);
      Atomics.add(w, this.#perTenant + w[at + TENANT], 1);
      count++;
    }
    Atomics.store(w, H_COUNT, count);
  }

  /** Count once more, for a repair: a binding in its share, a static mapping's, so many sessions. */
  recountBinding(subscriber: number, protocol: number): void {
    const at = this.#at(subscriber);
    useCounted(this.#w, at + BINDINGS, at + ICMP, protocol, Infinity);
  }
  recountFixed(subscriber: number): void { this.#w[this.#at(subscriber) + FIXED]++; }

  /** Needs the block lock. */
  findOrMake(tenant: number, inside: number, now: number): number {
    const found = this.find(tenant, inside);
    return found >= 0 ? found : this.#take(tenant, inside, now);
  }

  #make(tenant: number, inside: number, now: number): number {
    this.#locks.lock(this.#lock);
    const i = this.findOrMake(tenant, inside, now); // another worker may have come before
    this.#locks.unlock();
    return i;
  }

  #see(subscriber: number, now: number): number {
    const at = this.#at(subscriber) + SEEN;
    if (this.#w[at] !== now) this.#w[at] = now;
    return subscriber;
  }

  /** Beside what the word that keeps it says. */
  #isUsed(at: number): boolean { return Atomics.load(this.#w, at + ICMP) !== 0 || Atomics.load(this.#w, at + FIXED) !== 0; }

  /** A record filled and linked, or -1. Its last store is the one by which it lives. */
  #take(tenant: number, inside: number, now: number): number {
    const w = this.#w;
    const link = Atomics.load(w, H_FREE), i = link === 0 ? this.used : link - 1;
    if (i === this.size) return -1;
    const at = this.#at(i);
    if (link !== 0) Atomics.store(w, H_FREE, w[at + NEXT]);
    w.fill(0, at, at + BINDINGS);
    w.fill(0, at + FIXED, at + SUBSCRIBER_WORDS);
    w[at + BINDINGS] = FREE; // also where it was never used
    w[at + TENANT] = tenant;
    w[at + INSIDE] = inside;
    w[at + SEEN] = now;
    if (link === 0) Atomics.store(w, H_USED, i + 1);
    Atomics.add(w, H_COUNT, 1);
    Atomics.add(w, this.#perTenant + tenant, 1);
    this.#link(i);
    Atomics.store(w, at + BINDINGS, 0);
    return i;
  }

  #link(i: number): void {
    const w = this.#w, at = this.#at(i), bucket = this.#bucket(w[at + TENANT], w[at + INSIDE]);
    w[at + NEXT] = w[bucket];
    Atomics.store(w, bucket, i + 1);
  }

  #giveBack(i: number): void {
    const w = this.#w, at = this.#at(i);
    w[at + NEXT] = w[H_FREE];
    Atomics.store(w, at + BINDINGS, FREE);
    Atomics.store(w, H_FREE, i + 1);
  }

  #at(subscriber: number): number { return this.#records + subscriber * SUBSCRIBER_WORDS; }
  #bucket(tenant: number, inside: number): number { return HEADER_WORDS + (hashWords(this.#seed, tenant, inside, 0, 0, 0) & this.#mask); }
}
