/**
 * Flow records in shared memory: what the fast path knows about an IPv4 flow, key and action side by side, 32 bytes.
 *
 *   word 0  tenant:16 | protocol:8 | kind:8       key: `Kind.fromHost`, `fromUplink`, … name where the packet came from;
 *   word 1  source                                the tenant is 0 where only the flow itself tells it (NAT from outside)
 *   word 2  destination
 *   word 3  source port:16 | destination port:16
 *   word 4  generation:8 | tracked:1 |            action: which policy compiled it (0: none did), whether a connection
 *             metered:1 | lane:22                 wants to be told of it and rules measure it (acl/), and the lane of
 *                                                 the record that says how it is carried (policy.ts)
 *   word 5  new address, or who must have sent it
 *   word 6  new port:16 | state:8 | `Op`:8
 *   word 7  when it was last seen, seconds; like all times here a word that wraps round, so compared by difference
 *
 * A key has two buckets of four records to be in, and in each a home, which is looked at first; where both are full, it may lie in
 * one of those that follow the second, as far behind as the table says of itself. Nothing ever moves, so readers need no lock: they read plainly, and what they may see is harmless.
 *
 *   - A free record is all zero. A writer claims it by compare-and-swap of word 0, fills it, and stores word 0 last.
 *   - Taken out, it keeps its words, under a word 0 that no key equals and that says when; it is zeroed only when
 *     nobody can be reading it any more (quiet.ts), word 0 last.
 *   - Who looks for a key reads word 0 first: from then on the others stay this record's until he has passed. A record that was
 *     dead before he came waits for him no more, so what he had read of words 1 to 3 before word 0 could be of the flow before.
 *   - So who finds the key finds either this key's action words or, where stores are seen out of order, zeros: every
 *     action word of a finished record has a bit set, and a zero sends the packet to the slow path.
 *   - Words 4, 6 and 7 change while it lives, each by one store, and any mix of old and new is right: 4 is checked
 *     against the policy in hand, 6 changes only its state, 7 is a clock.
 */
import type { Quiet } from './quiet.js';

export const F_SRC = 1, F_DST = 2, F_PORTS = 3, F_LANE = 4, F_TO = 5, F_DO = 6, F_SEEN = 7;
export const FLOW_WORDS = 8;
const BUCKET_WORDS = 4 * FLOW_WORDS;
/** Buckets behind the second that are tried when both are full: more than a million sessions ever need when all limits are reached, so that these and nothing else say when it is full. */
const SPILL = 128;
/** How full the table is when it holds all that the limits allow: the fuller, the more records lie in their second bucket or behind. */
const FILL = 0.85;
/**
 * The last record's place holds what the table says of itself: how many buckets behind a second one are in use (low byte) and, so that
 * this can fall again, how many were met since the sweep began (next byte); plain flows; how many places these leave in a bucket.
 */
const T_SPILLED = 0, T_PLAIN = 1, T_SPARE = 2;
/** Seconds without a packet after which a plain flow gives way to another when the table is full. */
const YIELD_SECONDS = 2;
/** Records looked at to find it. */
const YIELD_LOOKS = 64;

/** Word 4 without its generation, without the bit that sends one packet a second to the walks, and without that for rules that measure the flow. */
export const LANE_MASK = 0x3fffff;
export const LANE_TRACKED = 0x800000;
export const LANE_METERED = 0x400000;

/** The low byte of word 0. */
export const Kind = { fromHost: 1, natIn: 2, fromUplink: 3, fromSite: 4, permit: 5, claimed: 0xfe, dead: 0xff } as const;
const KIND_MASK = 0xff;
/** What to do with the packet: the low bits of word 6. */
export const Op = { natOut: 1, natIn: 2, toSubnet: 3, toForward: 4, toSite: 5 } as const;
export const OP_MASK = 0x7f;
/** Set in word 6 while the connection's state lets packets pass without a look at it. */
export const OP_FAST = 0x80;

/** `plain` flows are those without a session; `permits` are permissions (permits.ts), for which room is kept where there will be some. */
export interface FlowSizes { readonly sessions: number; readonly plain: number; readonly permits?: number }

function flowBuckets({ sessions, plain, permits = 0 }: FlowSizes): number {
  return Math.ceil((2 * sessions + plain + permits) / FILL / 4);
}

/** Words of memory: two records a session, one a plain flow, and the room between them. */
export function flowWords(sizes: FlowSizes): number {
  return (flowBuckets(sizes) + 1 + SPILL) * BUCKET_WORDS + FLOW_WORDS;
}

/** Word 0 of a key. */
export function flowKey(tenant: number, protocol: number, kind: number): number {
  return tenant << 16 | protocol << 8 | kind;
}

/** Of a record that may be a flow's without a session; `fromHost` may be a session's, too. */
export function isPlain(kind: number): boolean {
  return kind === Kind.fromHost || kind === Kind.fromUplink || kind === Kind.fromSite;
}


/** The first record of the bucket that holds the one at `at`; the others are `at` with a bit or two turned over. */
function bucketOf(at: number): number {
  return at & -BUCKET_WORDS;
}

export class FlowTable {
  /** Signed words: unsigned ones from 2^31 on would be numbers on the heap. */
  readonly words: Int32Array;
  /** Word index behind the last record. */
  readonly end: number;
  readonly sizes: FlowSizes;
  readonly #seed: number;
  readonly #scale: number;
  readonly #quiet: Quiet;
  readonly #claim: number;
  /** What this thread took out, for whoever frees it; null where nobody asks and the sweep will come by. */
  removed: number[] | null = null;

  /** `owner` is this thread's name, as for locks. */
  constructor(words: Int32Array, sizes: FlowSizes, seed: number, owner: number, quiet: Quiet) {
    this.words = words;
    this.sizes = sizes;
    this.end = words.length - FLOW_WORDS;
    this.#seed = seed;
    this.#scale = 4 * flowBuckets(sizes) / 2 ** 31;
    this.#quiet = quiet;
    this.#claim = owner << 8 | Kind.claimed;
  }

  /**
   * Hash of a key, 31 bits; `scope` is tenant << 8 | protocol, without the kind. It is also a flow's entropy outside:
   * source port, FlowID. The words are multiplied side by side and mixed once: in a row they take the processor 10 ns longer.
   */
  hash(scope: number, src: number, dst: number, ports: number): number {
    const seed = this.#seed;
    const a = Math.imul(src ^ seed, 0x9e3779b1), b = Math.imul(dst + seed, 0x85ebca6b), c = Math.imul(ports ^ seed, 0xc2b2ae35), d = Math.imul(scope, 0x27d4eb2f);
    const ab = a ^ (b << 16 | b >>> 16), cd = c + d;
    const mixed = Math.imul((ab ^ ab >>> 15) + (cd ^ cd >>> 17), 0x85ebca77);
    return (mixed ^ mixed >>> 13) & 0x7fffffff;
  }

  /** Word index of the record with this key, or -1. Looks into the two buckets only; `find` looks everywhere. */
  peek(key: number, src: number, dst: number, ports: number, hash: number): number {
    const { words } = this, first = this.first(hash);
    for (let i = 0; i < BUCKET_WORDS; i += FLOW_WORDS) {
      const at = first ^ i;
      if (words[at] === key && words[at + F_PORTS] === ports && words[at + F_SRC] === src && words[at + F_DST] === dst) return at;
    }
    const second = this.#second(hash);
    for (let i = 0; i < BUCKET_WORDS; i += FLOW_WORDS) {
      const at = second ^ i;
      if (words[at] === key && words[at + F_PORTS] === ports && words[at + F_SRC] === src && words[at + F_DST] === dst) return at;
    }
    return -1;
  }

  /** As `peek`, wherever the record is. */
  find(key: number, src: number, dst: number, ports: number, hash: number): number {
    const near = this.peek(key, src, dst, ports, hash);
    if (near >= 0) return near;
    const { words } = this;
    let at = bucketOf(this.#second(hash)) + BUCKET_WORDS;
    for (const end = at + (Atomics.load(words, this.end + T_SPILLED) & 0xff) * BUCKET_WORDS; at < end; at += FLOW_WORDS) {
      if (words[at] === key && words[at + F_PORTS] === ports && words[at + F_SRC] === src && words[at + F_DST] === dst) return at;
    }
    return -1;
  }

  /** The record of a flow from such a sender, or -1. An uplink's are hashed without their tenant, which only their look-up tells. */
  findPlain(kind: number, tenant: number, protocol: number, src: number, dst: number, ports: number): number {
    return this.find(flowKey(tenant, protocol, kind), src, dst, ports, this.hash(kind === Kind.fromUplink ? protocol : tenant << 8 | protocol, src, dst, ports));
  }

  /** Claim a record for a key with this hash: its word index, -1 where there is no room. Nobody sees it before `publish`. */
  claim(hash: number): number {
    const first = this.first(hash), second = this.#second(hash), near = this.#roomier(hash);
    let at = this.#claimIn(near);
    if (at < 0) at = this.#claimIn(near === first ? second : first);
    for (let distance = 1; at < 0 && distance <= SPILL; distance++) {
      at = this.#claimIn(bucketOf(second) + distance * BUCKET_WORDS);
      if (at >= 0) this.#spilled(distance);
    }
    return at;
  }

  /** Fill a claimed record and let it be found. */
  publish(at: number, key: number, src: number, dst: number, ports: number, lane: number, to: number, op: number, seen: number): void {
    const { words } = this;
    words[at + F_SRC] = src;
    words[at + F_DST] = dst;
    words[at + F_PORTS] = ports;
    words[at + F_LANE] = lane;
    words[at + F_TO] = to;
    words[at + F_DO] = op;
    words[at + F_SEEN] = seen;
    Atomics.store(words, at, key);
  }

  /** Take a published record out. It is free when nobody can be reading it any more. */
  remove(at: number): void {
    if (this.#quiet.isAlone) return this.#zero(at);
    Atomics.store(this.words, at, this.#quiet.epoch << 8 | Kind.dead);
    this.removed?.push(at);
  }

  /** Give a claimed record back that was never published. */
  unclaim(at: number): void {
    this.#zero(at);
  }

  /** Make free what was taken out long enough ago; whether `at` is free now. */
  recycle(at: number): boolean {
    const word = this.words[at];
    if (word === 0) return true;
    if ((word & KIND_MASK) !== Kind.dead || !this.#quiet.isOver(word >>> 8)) return false;
    this.#zero(at);
    return true;
  }

  /**
   * Add a flow without a session; false when there is no room for another. While `isCrowded` it goes into its two buckets or
   * nowhere, and leaves a place in them. Two threads may add the same, which does no harm.
   */
  addPlain(key: number, src: number, dst: number, ports: number, hash: number, lane: number, to: number, op: number, seen: number): boolean {
    const { words } = this;
    if (Atomics.add(words, this.end + T_PLAIN, 1) < this.sizes.plain || this.#makeWay(hash, seen)) {
      const spare = words[this.end + T_SPARE], home = this.#roomier(hash);
      const at = spare === 0 ? this.claim(hash) : this.#free(home) > spare ? this.#claimIn(home) : -1;
      if (at >= 0) {
        this.publish(at, key, src, dst, ports, lane, to, op, seen);
        return true;
      }
    }
    Atomics.sub(words, this.end + T_PLAIN, 1);
    return false;
  }

  /** Take a plain flow out, unless another thread is faster. */
  removePlain(at: number): void {
    const word = Atomics.load(this.words, at);
    if (!isPlain(word & KIND_MASK) || Atomics.compareExchange(this.words, at, word, this.#quiet.epoch << 8 | Kind.dead) !== word) return;
    Atomics.sub(this.words, this.end + T_PLAIN, 1);
    if (this.#quiet.isAlone) this.#zero(at);
    else this.removed?.push(at);
  }

  /** The sweep has met the record at `at`: note how far behind its second bucket it lies. */
  measure(at: number): void {
    const { words } = this;
    const word = Atomics.load(words, at), kind = word & KIND_MASK;
    if (kind === Kind.dead || word === 0) return;
    if (kind === Kind.claimed) return this.#spilled(Atomics.load(words, this.end + T_SPILLED) & 0xff); // no telling yet
    const hash = this.hash(kind === Kind.natIn || kind === Kind.fromUplink ? word >>> 8 & 0xff : word >>> 8, words[at + F_SRC], words[at + F_DST], words[at + F_PORTS]);
    const bucket = bucketOf(at), second = bucketOf(this.#second(hash));
    if (bucket !== bucketOf(this.first(hash)) && bucket !== second) this.#spilled((bucket - second) / BUCKET_WORDS);
  }

  /** A sweep has met every record: what was in use before and is no more need not be looked at again. */
  endSweep(): void {
    const { words } = this, at = this.end + T_SPILLED;
    for (let word = Atomics.load(words, at); ;) {
      const found = Atomics.compareExchange(words, at, word, word >>> 8);
      if (found === word) return;
      word = found;
    }
  }

  /** Buckets behind second ones that are looked through. */
  get spilled(): number { return Atomics.load(this.words, this.end + T_SPILLED) & 0xff; }

  /** Many records wait to be freed, as after a reload: what comes in their place must leave sessions room. */
  set isCrowded(isCrowded: boolean) { Atomics.store(this.words, this.end + T_SPARE, isCrowded ? 1 : 0); }

  get plainCount(): number { return Atomics.load(this.words, this.end + T_PLAIN); }
  /** A repair has counted `n` where it said `before`. If others were at work meanwhile, it stays: one too many at most, which the dead one counted. */
  recountPlain(before: number, n: number): void { Atomics.compareExchange(this.words, this.end + T_PLAIN, before, n); }

  /** Read so that the words behind it are at least as new. */
  kind(at: number): number { return Atomics.load(this.words, at) & KIND_MASK; }
  /** Whether `owner` has claimed this record and not published it. */
  isClaimedBy(at: number, owner: number): boolean { return this.words[at] === (owner << 8 | Kind.claimed); }

  /** Word 0 last: until then nobody claims it. */
  #zero(at: number): void {
    this.words.fill(0, at + 1, at + FLOW_WORDS);
    Atomics.store(this.words, at, 0);
  }

  /** The home of a key with this hash in its first bucket. */
  first(hash: number): number {
    return (hash * this.#scale | 0) * FLOW_WORDS;
  }

  #second(hash: number): number {
    return ((Math.imul(hash, 0x9e3779b1) >>> 1) * this.#scale | 0) * FLOW_WORDS;
  }

  /** Claim a record of a bucket, its home if it can be had: look-ups that find it there touch one cache line or two, and not four. */
  #claimIn(home: number): number {
    const { words } = this;
    for (let i = 0; i < BUCKET_WORDS; i += FLOW_WORDS) {
      const at = home ^ i;
      if (words[at] === 0 && Atomics.compareExchange(words, at, 0, this.#claim) === 0) return at;
    }
    return -1;
  }

  #spilled(distance: number): void {
    const { words } = this, at = this.end + T_SPILLED;
    for (let word = Atomics.load(words, at); ;) {
      const next = Math.max(word & 0xff, distance) | Math.max(word >>> 8, distance) << 8;
      const found = next === word ? word : Atomics.compareExchange(words, at, word, next);
      if (found === word) return;
      word = found;
    }
  }

  /** Of the two homes of a hash the first while its bucket has places to spare, and then the emptier: who takes the last ones sends others behind. */
  #roomier(hash: number): number {
    const first = this.first(hash), free = this.#free(first);
    if (free > 1) return first;
    const second = this.#second(hash);
    return free >= this.#free(second) ? first : second;
  }

  /** Free places in the bucket of a home. */
  #free(home: number): number {
    const { words } = this;
    let free = 0;
    for (let i = 0; i < BUCKET_WORDS; i += FLOW_WORDS) if (words[home ^ i] === 0) free++;
    return free;
  }

  /** Of the plain flows behind the place of this hash take out the one that has been still for longest; false when none has been. */
  #makeWay(hash: number, now: number): boolean {
    let oldest = -1, longest = YIELD_SECONDS - 1;
    for (let at = this.first(hash), i = 0; i < YIELD_LOOKS; i++, at = at + FLOW_WORDS === this.end ? 0 : at + FLOW_WORDS) {
      const still = now - this.words[at + F_SEEN] | 0;
      if (still <= longest || !isPlain(this.kind(at)) || (this.words[at + F_DO] & OP_MASK) < Op.toSubnet) continue;
      oldest = at;
      longest = still;
    }
    if (oldest >= 0) this.removePlain(oldest);
    return oldest >= 0;
  }
}
