/**
 * Connections in shared memory: what stateful ACL entries remember, one record for a VM's side of a flow, either family,
 * any protocol. Allocated once, never grown, written by every worker, on the slow path alone.
 *
 *   word 0        link, the next in its chain or on the free list
 *   word 1        tenant:16 | protocol:8 | query:8       key, with words 2 to 10; what a query is, acl/query.ts says
 *   word 2..5     local address, the VM's side           words 6..9  remote address
 *                 of a link-local one word 3 tells the VM: any may take it (acl/question.ts)
 *   word 10       local port:16 | remote port:16
 *   word 11       generation:8 | opened outbound:1 | state:8       a state of 0 is a free record
 *   word 12       the entry that opened it, as that generation of the policy numbers them
 *   word 13       seconds without traffic that it lives
 *   word 14, 15   when it was seen last, and made: seconds, compared by difference
 *
 * The table is in parts, each with its lock, its chains and its free list, so that one lock covers everything about a
 * record. Readers lock, too. Every store leaves lists that others can use: who dies leaves a record that nobody finds,
 * or a count that is wrong by one, and `repair` sees to both.
 */
import { Locks, lockWords } from './locks.js';
import { hashWords } from './word-map.js';

export const CONNECTION_WORDS = 16;
const C_LINK = 0, C_WHO = 1, C_LOCAL = 2, C_REMOTE = 6, C_PORTS = 10, C_HOW = 11, C_RULE = 12, C_IDLE = 13, C_SEEN = 14, C_CREATED = 15;
const STATE = 0xff, OUTBOUND = 0x100;
/** The first ten bits of fe80::/10. */
const LINK_LOCAL = 0x3fa;

const H_SEED = 0, H_COUNT = 1, H_REVOKED = 2;
const HEADER_WORDS = 16;
/** A part: head of its free list, a cache line to itself. */
const PART_WORDS = 16;
const MOST_PARTS = 64;
/** A table that is smaller is in one part, and holds its limit to the record. */
const PART_RECORDS = 256;
/** Keys are not spread evenly: room for so many standard deviations more in each part, so that the limit and not a part is what is reached. */
const SPARE = 4;

/** Both ends of a flow as the VM sees it; address words are signed. A `Question` is one. */
export interface Ends {
  protocol: number;
  localPort: number;
  remotePort: number;
  /** Whose a link-local address is on the VM's side; 0 for every other address. */
  adapter: number;
  local0: number; local1: number; local2: number; local3: number;
  remote0: number; remote1: number; remote2: number; remote3: number;
}

export interface ConnectionSizes { readonly connections: number; readonly tenants: number }

function layout({ connections, tenants }: ConnectionSizes) {
  const parts = Math.min(MOST_PARTS, 2 ** Math.floor(Math.log2(Math.max(1, connections / PART_RECORDS))));
  const share = Math.ceil(connections / parts);
  const records = parts === 1 ? connections : share + Math.ceil(SPARE * Math.sqrt(share));
  const buckets = 2 ** Math.ceil(Math.log2(records));
  let at = HEADER_WORDS;
  const take = (words: number): number => { const from = at; at = Math.ceil((at + words) / CONNECTION_WORDS) * CONNECTION_WORDS; return from; };
  return {
    parts, records, buckets, perTenant: take(tenants + 1), locks: take(lockWords(parts)), frees: take(parts * PART_WORDS), heads: take(parts * buckets),
    table: take(parts * records * CONNECTION_WORDS), words: at,
  };
}

/** Memory for so many connections, their free lists strung. `seed` hides places from the outside. */
export function makeConnectionMemory(sizes: ConnectionSizes, seed: number): SharedArrayBuffer {
  const { parts, records, frees, table, words } = layout(sizes);
  const memory = new SharedArrayBuffer(words * 4);
  const w = new Int32Array(memory);
  w[H_SEED] = seed;
  for (let part = 0; part < parts; part++) {
    const first = table + part * records * CONNECTION_WORDS;
    w[frees + part * PART_WORDS] = first;
    for (let i = 0; i + 1 < records; i++) w[first + i * CONNECTION_WORDS + C_LINK] = first + (i + 1) * CONNECTION_WORDS;
  }
  return memory;
}

/** A connection goes by the word index of its record. */
export class Connections {
  readonly sizes: ConnectionSizes;
  readonly locks: Locks;
  /** Word indices of the first record and behind the last. */
  readonly first: number;
  readonly end: number;
  readonly #at: ReturnType<typeof layout>;
  readonly #w: Int32Array;
  readonly #seed: number;
  /** Where the key asked for last belongs: its part, and the word of its chain's head. */
  #part = 0;
  #head = 0;

  /** `owner` is this thread's name in locks: 1 and up. */
  constructor(memory: SharedArrayBuffer, sizes: ConnectionSizes, owner: number) {
    const at = layout(sizes);
    this.sizes = sizes;
    this.#at = at;
    this.#w = new Int32Array(memory);
    this.#seed = this.#w[H_SEED];
    this.first = at.table;
    this.end = at.table + at.parts * at.records * CONNECTION_WORDS;
    this.locks = new Locks(new Int32Array(memory, at.locks * 4, lockWords(at.parts)), owner);
  }

  get count(): number { return Atomics.load(this.#w, H_COUNT); }
  countOf(tenant: number): number { return Atomics.load(this.#w, this.#at.perTenant + tenant); }
  /** Taken out, since the start, because a policy would not open them. */
  get revoked(): number { return Atomics.load(this.#w, H_REVOKED); }
  noteRevoked(): void { Atomics.add(this.#w, H_REVOKED, 1); }
  /** As far as numbers say. */
  get hasRoom(): boolean { return this.count < this.sizes.connections; }

  /** Lock the part where a flow's connection is, or would be, and find it: -1 for none. `leave` lets go. */
  enter(tenant: number, query: number, ends: Ends): number {
    this.#seek(tenant, query, ends);
    this.locks.lock(this.#part);
    return this.#find(tenant, query, ends);
  }

  /** As `enter`, for who must not wait: -2, and nothing is held, when another has the lock. */
  tryEnter(tenant: number, query: number, ends: Ends): number {
    this.#seek(tenant, query, ends);
    return this.locks.tryLock(this.#part) ? this.#find(tenant, query, ends) : -2;
  }

  /** Lock the part of the record at `at`, whosever it is; false when another has the lock. */
  tryEnterAt(at: number): boolean {
    this.#part = Math.floor((at - this.first) / (this.#at.records * CONNECTION_WORDS));
    return this.locks.tryLock(this.#part);
  }

  leave(): void {
    this.locks.unlock();
  }

  /** Make the connection that `enter` or `tryEnter` has just not found; -1 when there is no room. */
  add(tenant: number, query: number, ends: Ends, state: number, isOutbound: boolean, generation: number, rule: number, idle: number, now: number): number {
    const w = this.#w, free = this.#at.frees + this.#part * PART_WORDS;
    if (w[free] === 0 || Atomics.add(w, H_COUNT, 1) >= this.sizes.connections) {
      if (w[free] !== 0) Atomics.sub(w, H_COUNT, 1);
      return -1;
    }
    const at = w[free];
    w[free] = w[at + C_LINK];
    Atomics.add(w, this.#at.perTenant + tenant, 1);
    w[at + C_LINK] = w[this.#head];
    w[at + C_WHO] = tenant << 16 | ends.protocol << 8 | query;
    w[at + C_LOCAL] = ends.local0; w[at + C_LOCAL + 1] = ends.local1 | ends.adapter; w[at + C_LOCAL + 2] = ends.local2; w[at + C_LOCAL + 3] = ends.local3;
    w[at + C_REMOTE] = ends.remote0; w[at + C_REMOTE + 1] = ends.remote1; w[at + C_REMOTE + 2] = ends.remote2; w[at + C_REMOTE + 3] = ends.remote3;
    w[at + C_PORTS] = ends.localPort << 16 | ends.remotePort;
    this.begin(at, state, isOutbound, generation, rule, idle, now);
    w[this.#head] = at;
    return at;
  }

  /** What is new about a connection that begins, in a new record or in that of one that is over. */
  begin(at: number, state: number, isOutbound: boolean, generation: number, rule: number, idle: number, now: number): void {
    const w = this.#w;
    w[at + C_RULE] = rule;
    w[at + C_IDLE] = idle;
    w[at + C_SEEN] = now;
    w[at + C_CREATED] = now;
    w[at + C_HOW] = (generation & 0xff) << 24 | (isOutbound ? OUTBOUND : 0) | state;
  }

  /** Take the connection at `at` out. Needs its lock. */
  remove(at: number): void {
    const w = this.#w, tenant = this.tenantOf(at);
    this.#seekAt(at);
    for (let from = this.#head; w[from] !== 0; from = w[from] + C_LINK) {
      if (w[from] !== at) continue;
      w[from] = w[at + C_LINK];
      break;
    }
    w[at + C_HOW] = 0;
    this.#free(at);
    Atomics.sub(w, this.#at.perTenant + tenant, 1);
    Atomics.sub(w, H_COUNT, 1);
  }

  isOpen(at: number): boolean { return (this.#w[at + C_HOW] & STATE) !== 0; }
  tenantOf(at: number): number { return this.#w[at + C_WHO] >>> 16; }
  queryOf(at: number): number { return this.#w[at + C_WHO] & 0xff; }
  state(at: number): number { return this.#w[at + C_HOW] & STATE; }
  /** Whether the VM's side opened it. */
  isOutbound(at: number): boolean { return (this.#w[at + C_HOW] & OUTBOUND) !== 0; }
  /** Low byte of the policy generation that allowed it last. */
  generationOf(at: number): number { return this.#w[at + C_HOW] >>> 24; }
  rule(at: number): number { return this.#w[at + C_RULE]; }
  idle(at: number): number { return this.#w[at + C_IDLE]; }
  seen(at: number): number { return this.#w[at + C_SEEN]; }
  created(at: number): number { return this.#w[at + C_CREATED] >>> 0; }

  /** Both ends of the connection at `at`, into `ends`. */
  read(at: number, ends: Ends): void {
    const w = this.#w;
    ends.protocol = w[at + C_WHO] >>> 8 & 0xff;
    ends.localPort = w[at + C_PORTS] >>> 16;
    ends.remotePort = w[at + C_PORTS] & 0xffff;
    ends.local0 = w[at + C_LOCAL]; ends.local1 = w[at + C_LOCAL + 1]; ends.local2 = w[at + C_LOCAL + 2]; ends.local3 = w[at + C_LOCAL + 3];
    ends.adapter = w[at + C_LOCAL] >>> 22 === LINK_LOCAL ? ends.local1 : 0;
    if (ends.adapter !== 0) ends.local1 = 0;
    ends.remote0 = w[at + C_REMOTE]; ends.remote1 = w[at + C_REMOTE + 1]; ends.remote2 = w[at + C_REMOTE + 2]; ends.remote3 = w[at + C_REMOTE + 3];
  }

  // Changes: all need the lock.

  move(at: number, state: number): void {
    this.#w[at + C_HOW] = this.#w[at + C_HOW] & ~STATE | state;
  }

  touch(at: number, now: number): void {
    this.#w[at + C_SEEN] = now;
  }

  /** The policy of this generation allows it, by this entry. */
  allow(at: number, generation: number, rule: number, idle: number): void {
    const w = this.#w;
    w[at + C_RULE] = rule;
    w[at + C_IDLE] = idle;
    w[at + C_HOW] = (generation & 0xff) << 24 | w[at + C_HOW] & (OUTBOUND | STATE);
  }

  /**
   * After the death of `owner`: free its locks, and put right what only a walk over all can see. False when somebody else holds a
   * lock for long, who may have died as well: then this is to be tried again.
   */
  repair(owner: number): boolean {
    this.locks.freeAllOf(owner);
    return this.locks.withAll(this.#at.parts, () => this.#restring());
  }

  /** Which records are in use is what chains say: what a death has left out of one was never there, or is gone. */
  #restring(): void {
    const w = this.#w, { parts, buckets, heads, frees, records, perTenant } = this.#at;
    const tally = new Int32Array(this.sizes.tenants + 1);
    let count = 0;
    for (let part = 0; part < parts; part++) {
      const isUsed = new Uint8Array(records), from = this.first + part * records * CONNECTION_WORDS;
      for (let bucket = 0; bucket < buckets; bucket++) {
        for (let at = w[heads + part * buckets + bucket]; at !== 0; at = w[at + C_LINK]) {
          isUsed[(at - from) / CONNECTION_WORDS] = 1;
          tally[this.tenantOf(at)]++;
          count++;
        }
      }
      w[frees + part * PART_WORDS] = 0;
      this.#part = part;
      for (let i = records - 1; i >= 0; i--) {
        if (isUsed[i] === 1) continue;
        w[from + i * CONNECTION_WORDS + C_HOW] = 0;
        this.#free(from + i * CONNECTION_WORDS);
      }
    }
    Atomics.store(w, H_COUNT, count);
    tally.forEach((n, tenant) => Atomics.store(w, perTenant + tenant, n));
  }

  #free(at: number): void {
    const w = this.#w, free = this.#at.frees + this.#part * PART_WORDS;
    w[at + C_LINK] = w[free];
    w[free] = at;
  }

  #seek(tenant: number, query: number, ends: Ends): void {
    const local = hashWords(this.#seed, ends.local0, ends.local1 | ends.adapter, ends.local2, ends.local3, tenant << 16 | ends.protocol << 8 | query);
    this.#place(hashWords(local, ends.remote0, ends.remote1, ends.remote2, ends.remote3, ends.localPort << 16 | ends.remotePort));
  }

  /** As `#seek`, for the key of the record at `at`. */
  #seekAt(at: number): void {
    const w = this.#w;
    const local = hashWords(this.#seed, w[at + C_LOCAL], w[at + C_LOCAL + 1], w[at + C_LOCAL + 2], w[at + C_LOCAL + 3], w[at + C_WHO]);
    this.#place(hashWords(local, w[at + C_REMOTE], w[at + C_REMOTE + 1], w[at + C_REMOTE + 2], w[at + C_REMOTE + 3], w[at + C_PORTS]));
  }

  #place(hash: number): void {
    const { parts, buckets, heads } = this.#at;
    this.#part = hash & parts - 1;
    this.#head = heads + this.#part * buckets + (Math.floor(hash / parts) & buckets - 1);
  }

  #find(tenant: number, query: number, ends: Ends): number {
    const w = this.#w;
    const who = tenant << 16 | ends.protocol << 8 | query, ports = ends.localPort << 16 | ends.remotePort, local1 = ends.local1 | ends.adapter;
    for (let at = w[this.#head]; at !== 0; at = w[at + C_LINK]) {
      if (w[at + C_PORTS] === ports && w[at + C_WHO] === who
        && w[at + C_REMOTE + 3] === ends.remote3 && w[at + C_REMOTE + 2] === ends.remote2 && w[at + C_REMOTE + 1] === ends.remote1 && w[at + C_REMOTE] === ends.remote0
        && w[at + C_LOCAL + 3] === ends.local3 && w[at + C_LOCAL + 2] === ends.local2 && w[at + C_LOCAL + 1] === local1 && w[at + C_LOCAL] === ends.local0) return at;
    }
    return -1;
  }
}
