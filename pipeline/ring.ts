/**
 * A ring of datagrams between two threads: one writes (the dispatcher), one reads (a worker), anyone may look.
 *
 *   header, 512 bytes          slot 0                                       slot 1 …
 *   | counts, a line each |    | words, 40 bytes | headroom, 24 | datagram … |
 *
 * Slots are numbered by a sequence of 32 bits that wraps; slot s lies at s mod the number of slots. Every cell has one
 * writer, but for those by which threads wake each other. The writer fills a slot with plain writes and then publishes it with an
 * atomic store of `head`; the reader gives slots back with an atomic store of `tail`. Both are read once the copy that
 * the other side keeps says "full" or "empty", so a loaded ring costs one atomic store a packet.
 *
 * Sleep and wake. The reader stores `sleeps` and looks at `head` once more; the writer stores `head` and then looks at
 * `sleeps`. These four are sequentially consistent, so one of them sees the other, and no wake-up is lost.
 *
 * Barriers. When packets of a kind go to ring B from now on and went to ring A before, the writer first puts a barrier
 * into B: "wait until A's reader has passed A's sequence s", s being A's head at that time. So what went to A is done
 * before what goes to B. It cannot lock up: a barrier waits only for slots that were written before it, those slots may
 * be barriers that wait only for slots written before them, and so on to a slot that waits for nothing. There is one
 * writer for all rings, so "before" is an order without circles. A reader that is declared dead holds nobody up.
 *
 * Death. `taken` and `finished` are the sequences at which the reader is, written for each datagram. A successor sees
 * from them whether one was in hand; that one is lost, what was before it is done, what comes after it is not. (A thread
 * may be ended between the last thing that it did for a packet and `finished`: then one that got its fate counts as lost.)
 */

// Words of the header: a cache line of 16 for each, so that the sides do not fight over one.
const SLOTS = 0;
const STRIDE = 1; // bytes from slot to slot
const HEAD = 16; // sequence of the next slot to write
const TAIL = 32; // sequence of the oldest slot that is not free
const SLEEPS = 48; // 1: the reader sleeps
const TAKEN = 64; // sequence behind the slot that was taken in hand last
const FINISHED = 65; // sequence behind the slot that was finished last
const PASSED = 80; // `FINISHED`, published once a batch, for barriers
const WAITERS = 81; // bit i: reader i waits for `PASSED`
const EPOCH = 96; // changes when waiters shall look again
const DEAD = 97; // 1: nobody reads
const HEADER_LEN = 512;

// Words of a slot. They share a cache line with the headroom: each line that two threads write costs both of them.
const KIND = 0;
const LEN = 1;
const CARRIER = 2;
const SIDE = 3;
const ADDRESS = 4; // four words
const PORT = 8;
const BUCKET = 9;
const BARRIER_QUEUE = 1;
const BARRIER_SEQUENCE = 2;
const SLOT_WORDS_LEN = 40;
/** Bytes before a datagram that may be overwritten: the longest tunnel header, 8 + 14, rounded up. */
export const SLOT_ROOM = 24;
const DATAGRAM_AT = SLOT_WORDS_LEN + SLOT_ROOM;

const DATAGRAM = 0;
const BARRIER = 1;
const LINE = 64;

/** Rings that barriers can tell apart. RSS wants no more than a quarter of its 128 entries anyway. */
export const MAX_RINGS = 32;
/** A barrier whose queue does nothing for so long is let go: a worker that hangs costs others the order of packets, not the packets. */
const BARRIER_MS = 1000;

/** What `RingWriter.write` says. */
export const Written = { full: 0, awake: 1, asleep: 2 } as const;

type WaitAsync = (words: Int32Array, at: number, value: number, timeout?: number) => { async: boolean; value: Promise<string> | string };
// In every Node that we run on; TypeScript has it from ES2024 on.
const waitAsync = (Atomics as unknown as { waitAsync: WaitAsync }).waitAsync;

/** Memory for a ring of `slots` (a power of two) for datagrams of `longest` bytes at most. */
export function makeRing(slots: number, longest: number): SharedArrayBuffer {
  if (slots < 2 || (slots & (slots - 1)) !== 0) throw new RangeError(`${slots} slots: not a power of two`);
  const stride = DATAGRAM_AT + Math.ceil(longest / LINE) * LINE;
  const memory = new SharedArrayBuffer(HEADER_LEN + slots * stride);
  const words = new Int32Array(memory);
  words[SLOTS] = slots;
  words[STRIDE] = stride;
  return memory;
}

/** How many slots a ring has. */
export function ringSlots(memory: SharedArrayBuffer): number {
  return new Int32Array(memory)[SLOTS];
}

/** Slots that wait for their reader, barriers among them; not the one in hand. */
export function ringDepth(memory: SharedArrayBuffer): number {
  const words = new Int32Array(memory);
  return (Atomics.load(words, HEAD) - Atomics.load(words, TAKEN)) | 0;
}

/** Wake whoever sleeps at the ring. */
function wake(words: Int32Array): void {
  if (Atomics.compareExchange(words, SLEEPS, 1, 0) === 1) Atomics.notify(words, SLEEPS);
}

export class RingWriter {
  /** Bytes of the longest datagram that a slot holds. */
  readonly longest: number;
  readonly #words: Int32Array;
  readonly #mem: Uint8Array;
  readonly #mask: number;
  readonly #slots: number;
  readonly #stride: number;
  #head: number;
  #tail: number;

  /** Goes on where a writer before it stopped. */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
    this.#mem = Buffer.from(memory);
    this.#slots = this.#words[SLOTS];
    this.#mask = this.#slots - 1;
    this.#stride = this.#words[STRIDE];
    this.longest = this.#stride - DATAGRAM_AT;
    this.#head = Atomics.load(this.#words, HEAD);
    this.#tail = Atomics.load(this.#words, TAIL);
  }

  /** Sequence of the next slot. */
  get head(): number { return this.#head; }

  /** Copy a datagram, no longer than `longest`, in, with who sent it: address a, b, c, d. Returns `Written`. */
  write(datagram: Uint8Array, a: number, b: number, c: number, d: number, port: number, carrier: number, side: number, bucket: number): number {
    const at = this.#claim();
    if (at < 0) return Written.full;
    const words = this.#words;
    const word = at >>> 2;
    words[word + KIND] = DATAGRAM;
    words[word + LEN] = datagram.length;
    words[word + CARRIER] = carrier;
    words[word + SIDE] = side;
    words[word + ADDRESS] = a;
    words[word + ADDRESS + 1] = b;
    words[word + ADDRESS + 2] = c;
    words[word + ADDRESS + 3] = d;
    words[word + PORT] = port;
    words[word + BUCKET] = bucket;
    this.#mem.set(datagram, at + DATAGRAM_AT);
    return this.#publish();
  }

  /** Make the reader wait until reader `queue` has passed `sequence`. Returns `Written`. */
  writeBarrier(queue: number, sequence: number): number {
    const at = this.#claim();
    if (at < 0) return Written.full;
    const word = at >>> 2;
    this.#words[word + KIND] = BARRIER;
    this.#words[word + BARRIER_QUEUE] = queue;
    this.#words[word + BARRIER_SEQUENCE] = sequence;
    return this.#publish();
  }

  /** Slots that wait for the reader. */
  get depth(): number { return (this.#head - Atomics.load(this.#words, TAKEN)) | 0; }
  /** Slots that wait beside a reader that sleeps; 0 when it does not, or has nothing to do. */
  get overslept(): number { return Atomics.load(this.#words, SLEEPS) === 0 ? 0 : this.depth; }

  /** Wake the reader if it sleeps. It costs the writer microseconds, so once for many packets. */
  wake(): void {
    wake(this.#words);
  }

  /** What `setDead` said last, perhaps of a writer before this one. */
  get isDead(): boolean { return Atomics.load(this.#words, DEAD) !== 0; }

  /** Nobody reads (`isDead`), or somebody does again: barriers do not wait for the dead. */
  setDead(isDead: boolean): void {
    Atomics.store(this.#words, DEAD, isDead ? 1 : 0);
    if (!isDead) return;
    Atomics.add(this.#words, EPOCH, 1);
    Atomics.notify(this.#words, EPOCH);
  }

  /** Byte position of a free slot, or -1. */
  #claim(): number {
    if (((this.#head - this.#tail) | 0) >= this.#slots) {
      this.#tail = Atomics.load(this.#words, TAIL);
      if (((this.#head - this.#tail) | 0) >= this.#slots) return -1;
    }
    return HEADER_LEN + (this.#head & this.#mask) * this.#stride;
  }

  #publish(): number {
    this.#head = (this.#head + 1) | 0;
    Atomics.store(this.#words, HEAD, this.#head);
    return Atomics.load(this.#words, SLEEPS) === 0 ? Written.awake : Written.asleep;
  }
}

export class RingReader {
  /** The whole ring: a slot's datagram and the headroom before it lie in here. */
  readonly mem: Uint8Array;
  /** The one that the reader before had in hand when it died: byte positions in `mem`; -1 when there was none. */
  readonly lostAt: number = -1;
  readonly lostEnd: number = -1;
  readonly #words: Int32Array;
  readonly #rings: readonly Int32Array[];
  readonly #queue: number;
  readonly #mask: number;
  readonly #stride: number;
  #next: number;
  #head: number;
  /** The barrier that is next has held us up for too long. */
  #isPatienceOver = false;

  /** Read ring `queue` of `rings`, from where a reader before stopped. */
  constructor(rings: readonly SharedArrayBuffer[], queue: number) {
    if (rings.length > MAX_RINGS) throw new RangeError(`${rings.length} rings: ${MAX_RINGS} at most`);
    this.#rings = rings.map(memory => new Int32Array(memory));
    this.#queue = queue;
    const words = this.#words = this.#rings[queue];
    this.mem = Buffer.from(rings[queue]); // a Buffer as datagrams are: the fast path knows one kind of memory
    this.#mask = words[SLOTS] - 1;
    this.#stride = words[STRIDE];
    if (words[TAKEN] !== words[FINISHED]) {
      const word = this.#wordOf(words[FINISHED]);
      if (words[word + KIND] === DATAGRAM) {
        this.lostAt = (word << 2) + DATAGRAM_AT;
        this.lostEnd = this.lostAt + words[word + LEN];
      }
    }
    this.#next = this.#head = words[TAKEN];
    words[FINISHED] = this.#next;
    for (const other of this.#rings) Atomics.and(other, WAITERS, ~(1 << queue));
    Atomics.store(words, SLEEPS, 0);
    this.publish();
  }

  /** Word index of the slot that is next, for the functions below; -1 when there is none. */
  peek(): number {
    if (this.#next === this.#head) {
      this.#head = Atomics.load(this.#words, HEAD);
      if (this.#next === this.#head) return -1;
    }
    return this.#wordOf(this.#next);
  }

  /** The slot that is next is in hand. */
  take(): void {
    this.#words[TAKEN] = (this.#next + 1) | 0;
  }

  /** It has got its fate. */
  finish(): void {
    this.#next = (this.#next + 1) | 0;
    this.#words[FINISHED] = this.#next;
  }

  /** Give finished slots back, and tell those that wait at barriers. Once a batch. */
  publish(): void {
    Atomics.store(this.#words, PASSED, this.#next);
    Atomics.store(this.#words, TAIL, this.#next);
    if (Atomics.load(this.#words, WAITERS) === 0) return;
    Atomics.add(this.#words, EPOCH, 1);
    Atomics.notify(this.#words, EPOCH);
  }

  isBarrier(slot: number): boolean { return this.#words[slot + KIND] === BARRIER; }
  /** Byte position of the slot's datagram, and behind it; `SLOT_ROOM` before it may be overwritten. */
  atOf(slot: number): number { return (slot << 2) + DATAGRAM_AT; }
  endOf(slot: number): number { return this.atOf(slot) + this.#words[slot + LEN]; }
  carrierOf(slot: number): number { return this.#words[slot + CARRIER]; }
  sideOf(slot: number): number { return this.#words[slot + SIDE]; }
  /** Word `i` of the sender's address, unsigned. */
  addressOf(slot: number, i: number): number { return this.#words[slot + ADDRESS + i] >>> 0; }
  portOf(slot: number): number { return this.#words[slot + PORT]; }
  bucketOf(slot: number): number { return this.#words[slot + BUCKET]; }

  /** Go to sleep: a promise of being woken, or undefined when there is something to do already. */
  sleep(): Promise<unknown> | undefined {
    Atomics.store(this.#words, SLEEPS, 1);
    if (Atomics.load(this.#words, HEAD) === this.#next) {
      const { async, value } = waitAsync(this.#words, SLEEPS, 1);
      if (async) return value as Promise<unknown>;
    }
    Atomics.store(this.#words, SLEEPS, 0);
    return undefined;
  }

  /** Wake this reader, from its own thread: to make it look at something else than the ring. */
  wake(): void {
    wake(this.#words);
  }

  /** The barrier in `slot`: a promise of a good time to ask again, or undefined when it does not hold us up. */
  waitAt(slot: number): Promise<unknown> | undefined {
    const other = this.#rings[this.#words[slot + BARRIER_QUEUE]];
    const sequence = this.#words[slot + BARRIER_SEQUENCE];
    const bit = 1 << this.#queue;
    Atomics.or(other, WAITERS, bit); // before `EPOCH` and `PASSED` are read: see `publish`
    const epoch = Atomics.load(other, EPOCH);
    const isPast = ((Atomics.load(other, PASSED) - sequence) | 0) >= 0;
    if (!isPast && Atomics.load(other, DEAD) === 0 && !this.#isPatienceOver) {
      const { value } = waitAsync(other, EPOCH, epoch, BARRIER_MS);
      return Promise.resolve(value).then(outcome => { this.#isPatienceOver = outcome === 'timed-out'; });
    }
    Atomics.and(other, WAITERS, ~bit);
    this.#isPatienceOver = false;
    return undefined;
  }

  #wordOf(sequence: number): number {
    return (HEADER_LEN + (sequence & this.#mask) * this.#stride) >>> 2;
  }
}
