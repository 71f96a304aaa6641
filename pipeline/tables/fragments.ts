/**
 * Which ports belong to a fragmented datagram, and the fragments that came before anybody knew.
 *
 * Only the first fragment names the ports, so it is remembered for `timers.fragment` seconds, and later ones borrow
 * them: every fragment then takes the same verdict and the same way. One that comes too early waits in a slot, whole
 * and untouched, for `timers.fragmentHold` seconds. Datagrams and slots are bounded; both lie in shared memory, and
 * whichever worker sees a fragment finds them. Fragments are few, so one lock serves: whoever looks and then writes holds
 * it throughout (`locks`), except that `release` and `takeOverdue` take it themselves.
 *
 * What has come of a datagram is kept as extents in order, in units of 8 bytes, those that touch made one: so nothing is told
 * twice (RFC 5722 §3), nothing lies behind the end that the last fragment gave, and nothing makes it longer than IP can say.
 *
 *   entry, 48 words: next scope src×4 dst×4 id flags:8|protocol:8 ports end expires held most holder newId extents (from:16|to:16)×29
 *   slot,   8 words: next length tag carrier side peer holder generation, and its bytes
 */
import { Locks, lockWords } from './locks.js';
import { hashWords } from './word-map.js';

const E_NEXT = 0, E_SCOPE = 1, E_SRC = 2, E_DST = 6, E_ID = 10, E_FLAGS = 11, E_PORTS = 12, E_END = 13, E_EXPIRES = 14, E_HELD = 15;
const E_MOST = 16, E_HOLDER = 17, E_NEW_ID = 18, E_EXTENTS = 19;
const ENTRY_WORDS = 48;
/** In whatever order they come, so many extents are enough for twice as many fragments: all that 65,535 bytes make at an MTU of 1200. */
const EXTENTS = ENTRY_WORDS - E_EXTENTS;
const UNIT = 8;
const SLOT_WORDS = 8;
const S_NEXT = 0, S_LENGTH = 1, S_TAG = 2, S_CARRIER = 3, S_SIDE = 4, S_PEER = 5, S_HOLDER = 6, S_GENERATION = 7;
/** `broken`: fragments of it overlapped, and no more of it is let through (RFC 5722 §3). */
const USED = 1, KNOWN = 2, BROKEN = 4;
/** What `note` says: it fits; it tells again what was told; it lies behind the end; there are more holes than fit. */
export const Fit = { fits: 0, overlap: 1, beyond: 2, gaps: 3 } as const;
/** `newId` has one. */
const HAS_NEW_ID = 0x10000;
/** Entries looked at to find one that may give way: enough, since those that know their first are by far the most. */
const EVICTION_LOOKS = 512;
const PROTOCOL_SHIFT = 8;
/** Of a small table nobody is refused a share. */
const LEAST_SHARE = 16;
const H_SEED = 0, H_FREE_ENTRY = 1, H_FREE_SLOT = 2, H_ENTRIES = 3, H_SLOTS_FREE = 4;
const HEADER_WORDS = 8;

export interface FragmentSizes { readonly datagrams: number; readonly slots: number; readonly slotBytes: number; readonly holders: number }

function layout(sizes: FragmentSizes) {
  const buckets = 2 ** Math.ceil(Math.log2(Math.max(2, sizes.datagrams)));
  const locks = HEADER_WORDS;
  const heads = locks + lockWords(1);
  const entries = heads + buckets;
  const slots = entries + sizes.datagrams * ENTRY_WORDS;
  const perHolder = slots + sizes.slots * SLOT_WORDS;
  const bytes = (perHolder + 2 * sizes.holders) * 4;
  return { buckets, locks, heads, entries, slots, perHolder, bytes, total: bytes + sizes.slots * sizes.slotBytes };
}

export function makeFragmentMemory(sizes: FragmentSizes, seed: number): SharedArrayBuffer {
  const at = layout(sizes);
  const memory = new SharedArrayBuffer(Math.ceil(at.total / 4) * 4);
  const w = new Uint32Array(memory, 0, at.bytes / 4);
  w[H_SEED] = seed;
  w[H_FREE_ENTRY] = sizes.datagrams > 0 ? 1 : 0;
  for (let i = 0; i < sizes.datagrams; i++) w[at.entries + i * ENTRY_WORDS + E_NEXT] = i + 1 < sizes.datagrams ? i + 2 : 0;
  w[H_FREE_SLOT] = sizes.slots > 0 ? 1 : 0;
  w[H_SLOTS_FREE] = sizes.slots;
  for (let i = 0; i < sizes.slots; i++) w[at.slots + i * SLOT_WORDS + S_NEXT] = i + 1 < sizes.slots ? i + 2 : 0;
  return memory;
}

/** How a held datagram came, given back on release; `scope` is its entry's, `generation` is that of the policy that numbered the peer. */
export interface Held { at: number; end: number; tag: number; carrier: number; side: number; peer: number; generation: number; scope: number }

export class FragmentTable {
  readonly sizes: FragmentSizes;
  /** Bytes of the slots; a `Held` says where. */
  readonly bytes: Uint8Array;
  /** The one lock, 0. */
  readonly locks: Locks;
  readonly #w: Uint32Array;
  readonly #seed: number;
  readonly #heads: number;
  readonly #mask: number;
  readonly #entries: number;
  readonly #slots: number;
  readonly #perHolder: number;
  /** Entries beyond which a holder's are the first to give way when the table is full. */
  readonly #entryShare: number;
  #hand = 0;
  #victim = 0;

  /** `owner` is this thread's name, as in nat-state.ts. */
  constructor(memory: SharedArrayBuffer, sizes: FragmentSizes, owner: number) {
    const at = layout(sizes);
    this.locks = new Locks(new Int32Array(memory, at.locks * 4, lockWords(1)), owner);
    this.sizes = sizes;
    this.#w = new Uint32Array(memory, 0, at.bytes / 4);
    this.bytes = Buffer.from(memory, at.bytes, sizes.slots * sizes.slotBytes); // a Buffer as datagrams are: codecs see one kind of memory
    this.#seed = this.#w[H_SEED];
    this.#heads = at.heads;
    this.#mask = at.buckets - 1;
    this.#entries = at.entries;
    this.#slots = at.slots;
    this.#perHolder = at.perHolder;
    this.#entryShare = Math.max(LEAST_SHARE, sizes.datagrams >>> 2);
  }

  get count(): number { return this.#w[H_ENTRIES]; }

  /** The entry of a datagram, or -1. `scope` keeps tenants and directions apart; `id` is the IP identification. */
  find(scope: number, s0: number, s1: number, s2: number, s3: number, d0: number, d1: number, d2: number, d3: number, id: number): number {
    const w = this.#w;
    for (let link = w[this.#bucket(scope, s3, s2 ^ s0 ^ s1, d3 ^ d2 ^ d1 ^ d0, id)]; link !== 0;) {
      const at = this.#entries + (link - 1) * ENTRY_WORDS;
      if (w[at + E_ID] === id && w[at + E_SCOPE] === scope && w[at + E_SRC + 3] === s3 && w[at + E_DST + 3] === d3
        && w[at + E_SRC] === s0 && w[at + E_SRC + 1] === s1 && w[at + E_SRC + 2] === s2
        && w[at + E_DST] === d0 && w[at + E_DST + 1] === d1 && w[at + E_DST + 2] === d2) return link - 1;
      link = w[at + E_NEXT];
    }
    return -1;
  }

  /**
   * A new entry whose first fragment is not yet known, on account of `holder`. When the table is full, of the next few hundred the one that
   * has known its first longest gives way, for it has most likely seen its last, and first of all one of somebody who has more than
   * his share; -1 when all of these are waiting.
   */
  add(scope: number, holder: number, s0: number, s1: number, s2: number, s3: number, d0: number, d1: number, d2: number, d3: number, id: number, expires: number): number {
    const w = this.#w;
    if (w[H_FREE_ENTRY] === 0) this.#evict();
    const link = w[H_FREE_ENTRY];
    if (link === 0) return -1;
    const at = this.#entries + (link - 1) * ENTRY_WORDS;
    w[H_FREE_ENTRY] = w[at + E_NEXT];
    const bucket = this.#bucket(scope, s3, s2 ^ s0 ^ s1, d3 ^ d2 ^ d1 ^ d0, id);
    w[at + E_NEXT] = w[bucket];
    w[at + E_SCOPE] = scope;
    w[at + E_SRC] = s0; w[at + E_SRC + 1] = s1; w[at + E_SRC + 2] = s2; w[at + E_SRC + 3] = s3;
    w[at + E_DST] = d0; w[at + E_DST + 1] = d1; w[at + E_DST + 2] = d2; w[at + E_DST + 3] = d3;
    w[at + E_ID] = id;
    w[at + E_FLAGS] = USED;
    w[at + E_EXPIRES] = expires;
    w[at + E_HELD] = 0;
    w[at + E_HOLDER] = holder;
    w[this.#entriesOf + holder]++;
    w[bucket] = link;
    w[H_ENTRIES]++;
    return link - 1;
  }

  /** Whether it waits for its first fragment. */
  isWaiting(entry: number): boolean { return this.#w[this.#entries + entry * ENTRY_WORDS + E_FLAGS] === USED; }
  isKnown(entry: number): boolean { return (this.#w[this.#entries + entry * ENTRY_WORDS + E_FLAGS] & KNOWN) !== 0; }
  /** The transport: in IPv6 only the first fragment is sure to tell (RFC 8200 §4.5). */
  protocol(entry: number): number { return this.#w[this.#entries + entry * ENTRY_WORDS + E_FLAGS] >>> PROTOCOL_SHIFT; }
  /** Source port, or ICMP id, in the upper half; destination port in the lower. */
  ports(entry: number): number { return this.#w[this.#entries + entry * ENTRY_WORDS + E_PORTS]; }
  expires(entry: number): number { return this.#w[this.#entries + entry * ENTRY_WORDS + E_EXPIRES]; }

  /** Whether every byte has come, from the first to where the last fragment ends. */
  isComplete(entry: number): boolean {
    const w = this.#w, at = this.#entries + entry * ENTRY_WORDS;
    return this.isKnown(entry) && w[at + E_END] !== 0 && w[at + E_EXTENTS] === Math.ceil(w[at + E_END] / UNIT);
  }

  /** The first fragment came, with `len` bytes; with it the datagram begins. All of it, header aside, may have `most` bytes. */
  know(entry: number, protocol: number, ports: number, len: number, most: number, expires: number): void {
    const w = this.#w, at = this.#entries + entry * ENTRY_WORDS;
    w[at + E_PORTS] = ports;
    w[at + E_END] = 0;
    w[at + E_MOST] = most;
    w[at + E_NEW_ID] = 0;
    w.fill(0, at + E_EXTENTS, at + ENTRY_WORDS);
    w[at + E_EXTENTS] = len / UNIT;
    w[at + E_EXPIRES] = expires;
    w[at + E_FLAGS] = protocol << PROTOCOL_SHIFT | KNOWN | USED;
  }

  /**
   * A later fragment came, bytes `from` to `from + len`: whether it fits what else has come, as a word of `Fit`, and if so it has come.
   * What has come as a whole before is a copy and refused (RFC 8200 §4.5); a part of it refuses the datagram. Once complete,
   * it need not be remembered beyond `doneBy`.
   */
  note(entry: number, from: number, len: number, isLast: boolean, doneBy: number): number {
    const w = this.#w, at = this.#entries + entry * ENTRY_WORDS;
    if ((w[at + E_FLAGS] & BROKEN) !== 0) return Fit.overlap;
    const to = from + len, first = from / UNIT, end = Math.ceil(to / UNIT);
    if (to > w[at + E_MOST]) return Fit.beyond;
    if (w[at + E_END] !== 0 && (to > w[at + E_END] || (isLast && to !== w[at + E_END]))) return Fit.beyond;

    // Extents are in order; an empty one ends them. `i` is the first that is not wholly before this fragment.
    const extents = at + E_EXTENTS;
    let i = 0, count = 0;
    while (count < EXTENTS && w[extents + count] !== 0) count++;
    if (isLast && (w[extents + count - 1] & 0xffff) > end) return Fit.beyond;
    while (i < count && (w[extents + i] & 0xffff) <= first) i++;
    const next = i < count ? w[extents + i] : 0;
    if (next !== 0 && next >>> 16 < end) {
      if (next >>> 16 > first || (next & 0xffff) < end) w[at + E_FLAGS] |= BROKEN;
      return Fit.overlap;
    }
    const joinsLast = i > 0 && (w[extents + i - 1] & 0xffff) === first, joinsNext = next !== 0 && next >>> 16 === end;
    if (!joinsLast && !joinsNext && count === EXTENTS) return Fit.gaps;
    if (joinsLast && joinsNext) {
      w[extents + i - 1] = (w[extents + i - 1] & ~0xffff) | next & 0xffff;
      w.copyWithin(extents + i, extents + i + 1, extents + count);
      w[extents + count - 1] = 0;
    } else if (joinsLast) {
      w[extents + i - 1] = (w[extents + i - 1] & ~0xffff) | end;
    } else if (joinsNext) {
      w[extents + i] = first << 16 | next & 0xffff;
    } else {
      w.copyWithin(extents + i + 1, extents + i, extents + count);
      w[extents + i] = first << 16 | end;
    }
    if (isLast) w[at + E_END] = to;
    if (doneBy < w[at + E_EXPIRES] && this.isComplete(entry)) w[at + E_EXPIRES] = doneBy;
    return Fit.fits;
  }

  /** The IPv4 ID that all of datagram `id` leave under; -1 while it has none, or has given way to another since its entry was found. */
  newId(entry: number, id: number): number {
    const w = this.#w, at = this.#entries + entry * ENTRY_WORDS;
    return entry < 0 || w[at + E_ID] !== id || w[at + E_NEW_ID] === 0 ? -1 : w[at + E_NEW_ID] & 0xffff;
  }

  setNewId(entry: number, id: number, newId: number): void {
    const w = this.#w, at = this.#entries + entry * ENTRY_WORDS;
    if (entry >= 0 && w[at + E_ID] === id) w[at + E_NEW_ID] = HAS_NEW_ID | newId;
  }

  /**
   * Whether `hold` would take `bytes` of this holder (a tenant's VMs, or the outside towards it): there is a slot, long enough, and the
   * holder does not have as many as are free. So one that takes all it gets leaves half, and three of them leave a quarter, as
   * switches share their buffers.
   */
  canHold(holder: number, bytes: number): boolean {
    const free = this.#w[H_SLOTS_FREE];
    return free !== 0 && bytes <= this.sizes.slotBytes && this.#w[this.#perHolder + holder] < Math.max(LEAST_SHARE, free);
  }

  /** Keep a whole datagram until its first fragment comes. False, and nothing kept, where `canHold` says no. */
  hold(entry: number, holder: number, mem: Uint8Array, at: number, end: number, tag: number, carrier: number, side: number, peer: number, generation: number): boolean {
    if (!this.canHold(holder, end - at)) return false;
    const w = this.#w;
    const link = w[H_FREE_SLOT];
    w[this.#perHolder + holder]++;
    w[H_SLOTS_FREE]--;
    const slot = this.#slots + (link - 1) * SLOT_WORDS;
    w[H_FREE_SLOT] = w[slot + S_NEXT];
    this.bytes.set(mem.subarray(at, end), (link - 1) * this.sizes.slotBytes);
    w[slot + S_LENGTH] = end - at;
    w[slot + S_TAG] = tag;
    w[slot + S_CARRIER] = carrier;
    w[slot + S_SIDE] = side;
    w[slot + S_PEER] = peer;
    w[slot + S_HOLDER] = holder;
    w[slot + S_GENERATION] = generation;
    w[slot + S_NEXT] = 0;
    let tail = this.#entries + entry * ENTRY_WORDS + E_HELD; // oldest first
    while (w[tail] !== 0) tail = this.#slots + (w[tail] - 1) * SLOT_WORDS + S_NEXT;
    w[tail] = link;
    return true;
  }

  /** A copy of the oldest datagram held for a datagram whose first fragment is known, out of its slot; null when there is none. Takes the lock. */
  release(entry: number, out: Held): Uint8Array | null {
    this.locks.lock(0);
    const isHeld = this.isKnown(entry) && this.#takeHeld(entry, out);
    const bytes = isHeld ? Buffer.copyBytesFrom(this.bytes, out.at, out.end - out.at) : null; // a copy: the slot is free again
    this.locks.unlock();
    return bytes;
  }

  /**
   * Take the oldest datagram held for an entry whose time is up at `now` out of its slot; when there is none left, the entry goes, and
   * the answer is false. Takes the lock.
   */
  takeOverdue(entry: number, now: number, out: Held): boolean {
    this.locks.lock(0);
    const isOverdue = this.#w[this.#entries + entry * ENTRY_WORDS + E_FLAGS] !== 0 && this.expires(entry) <= now;
    const isHeld = isOverdue && this.#takeHeld(entry, out);
    if (isOverdue && !isHeld) this.remove(entry);
    this.locks.unlock();
    return isHeld;
  }

  /** As `takeOverdue`, whatever the time, for an entry that waits for its first fragment; but what came under generation `kept` stays, and its entry. */
  takeWaiting(entry: number, kept: number, out: Held): boolean {
    this.locks.lock(0);
    const link = this.isWaiting(entry) ? this.#w[this.#entries + entry * ENTRY_WORDS + E_HELD] : 0;
    const isTaken = link !== 0 && this.#w[this.#slots + (link - 1) * SLOT_WORDS + S_GENERATION] !== kept;
    if (isTaken) this.#takeHeld(entry, out);
    if (isTaken && this.#w[this.#entries + entry * ENTRY_WORDS + E_HELD] === 0) this.remove(entry);
    this.locks.unlock();
    return isTaken;
  }

  #takeHeld(entry: number, out: Held): boolean {
    const w = this.#w;
    const held = this.#entries + entry * ENTRY_WORDS + E_HELD;
    const link = w[held];
    if (link === 0) return false;
    const slot = this.#slots + (link - 1) * SLOT_WORDS;
    w[held] = w[slot + S_NEXT];
    out.at = (link - 1) * this.sizes.slotBytes;
    out.end = out.at + w[slot + S_LENGTH];
    out.tag = w[slot + S_TAG];
    out.carrier = w[slot + S_CARRIER];
    out.side = w[slot + S_SIDE];
    out.peer = w[slot + S_PEER];
    out.generation = w[slot + S_GENERATION];
    out.scope = this.scope(entry);
    w[this.#perHolder + w[slot + S_HOLDER]]--;
    w[H_SLOTS_FREE]++;
    w[slot + S_NEXT] = w[H_FREE_SLOT];
    w[H_FREE_SLOT] = link;
    return true;
  }

  /**
   * Put right what `owner`, who died, left half done: every entry in use is linked anew, and all that hangs on none is
   * free. Nothing that is held is lost. False when another thread has died, too, with the lock, whose repair it then is.
   */
  repair(owner: number): boolean {
    return this.locks.withAll(1, () => this.#repair(), owner); // lists are broken until then, so nobody may come between
  }

  #repair(): void {
    const w = this.#w;
    const heldSlots = new Uint8Array(this.sizes.slots);
    w.fill(0, this.#heads, this.#heads + this.#mask + 1);
    w.fill(0, this.#perHolder, this.#perHolder + 2 * this.sizes.holders);
    w[H_FREE_ENTRY] = w[H_ENTRIES] = w[H_FREE_SLOT] = w[H_SLOTS_FREE] = 0;
    for (let entry = 0; entry < this.sizes.datagrams; entry++) {
      const at = this.#entries + entry * ENTRY_WORDS;
      const isUsed = w[at + E_FLAGS] !== 0;
      const list = isUsed ? this.#bucketOf(at) : H_FREE_ENTRY;
      w[at + E_NEXT] = w[list];
      w[list] = entry + 1;
      if (!isUsed) continue;
      w[H_ENTRIES]++;
      w[this.#entriesOf + w[at + E_HOLDER]]++;
      for (let link = w[at + E_HELD]; link !== 0; link = w[this.#slots + (link - 1) * SLOT_WORDS + S_NEXT]) {
        heldSlots[link - 1] = 1;
        w[this.#perHolder + w[this.#slots + (link - 1) * SLOT_WORDS + S_HOLDER]]++;
      }
    }
    for (let slot = 0; slot < heldSlots.length; slot++) {
      if (heldSlots[slot] !== 0) continue;
      w[this.#slots + slot * SLOT_WORDS + S_NEXT] = w[H_FREE_SLOT];
      w[H_FREE_SLOT] = slot + 1;
      w[H_SLOTS_FREE]++;
    }
  }

  /** Next entry, among the next `budget`, whose time is up; -1 for none. `takeOverdue` then empties and removes it. */
  expired(now: number, budget: number): number {
    const n = this.sizes.datagrams;
    for (let i = Math.min(budget, n); i > 0; i--) {
      const entry = this.#hand;
      this.#hand = entry + 1 === n ? 0 : entry + 1;
      const at = this.#entries + entry * ENTRY_WORDS;
      if (this.#w[at + E_FLAGS] !== 0 && this.#w[at + E_EXPIRES] <= now) return entry;
    }
    return -1;
  }

  /** Whose it is, for the ledger: the scope given to `add`. */
  scope(entry: number): number { return this.#w[this.#entries + entry * ENTRY_WORDS + E_SCOPE]; }

  remove(entry: number): void {
    const w = this.#w;
    const at = this.#entries + entry * ENTRY_WORDS;
    let from = this.#bucketOf(at);
    while (w[from] !== entry + 1) from = this.#entries + (w[from] - 1) * ENTRY_WORDS + E_NEXT;
    w[from] = w[at + E_NEXT];
    w[this.#entriesOf + w[at + E_HOLDER]]--;
    w[at + E_FLAGS] = 0;
    w[at + E_NEXT] = w[H_FREE_ENTRY];
    w[H_FREE_ENTRY] = entry + 1;
    w[H_ENTRIES]--;
  }

  /** Of the next few entries remove the one, already known, whose time is up first; if there is one whose holder has too many, of those. */
  #evict(): void {
    const n = this.sizes.datagrams;
    let oldest = -1, expires = Infinity, isGreedy = false;
    for (let i = Math.min(EVICTION_LOOKS, n); i > 0; i--) {
      const entry = this.#victim;
      this.#victim = entry + 1 === n ? 0 : entry + 1;
      if (!this.isKnown(entry) || this.#holdsAny(entry)) continue;
      const hasTooMany = this.#w[this.#entriesOf + this.#w[this.#entries + entry * ENTRY_WORDS + E_HOLDER]] > this.#entryShare;
      if (hasTooMany === isGreedy ? this.expires(entry) >= expires : isGreedy) continue;
      oldest = entry;
      expires = this.expires(entry);
      isGreedy = hasTooMany;
    }
    if (oldest >= 0) this.remove(oldest);
  }

  /** Where entries are counted by holder, behind the slots. */
  get #entriesOf(): number { return this.#perHolder + this.sizes.holders; }

  #holdsAny(entry: number): boolean {
    return this.#w[this.#entries + entry * ENTRY_WORDS + E_HELD] !== 0;
  }

  /** Bucket of the entry at `at`. */
  #bucketOf(at: number): number {
    const w = this.#w;
    return this.#bucket(w[at + E_SCOPE], w[at + E_SRC + 3], w[at + E_SRC + 2] ^ w[at + E_SRC] ^ w[at + E_SRC + 1],
      w[at + E_DST + 3] ^ w[at + E_DST + 2] ^ w[at + E_DST + 1] ^ w[at + E_DST], w[at + E_ID]);
  }

  #bucket(scope: number, s: number, s2: number, d: number, id: number): number {
    return this.#heads + (hashWords(this.#seed, scope, s, s2, d, id) & this.#mask);
  }
}
