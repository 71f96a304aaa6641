/**
 * NAT bindings and sessions in shared memory: allocated once, never grown.
 *
 * A binding maps an inside address and port to an outside one, whatever the remote end (endpoint-independent mapping,
 * RFC 4787 §4.1); a session is a binding and one remote end, and carries the timer. A binding lives as long as its
 * longest session. Both are records on free lists, found through chained hash tables:
 *
 *   binding, 12 words: nextInside nextOutside tenant protocol inside insidePort outside outsidePort sessions static created expires
 *   session,  8 words: next binding remote remotePort:16|state:16 expires created older younger
 *
 * `older` and `younger` chain the sessions of one binding, whose `sessions` word links the youngest. A binding's
 * `expires` is that of its only session, or no earlier than that of any: what goes too late goes with its last session.
 * Times are seconds since the epoch. One worker writes; others may read whole words. (The rules for several writers
 * come with several workers.)
 */
import { hashWords } from './word-map.js';

const B_NEXT_INSIDE = 0, B_NEXT_OUTSIDE = 1, B_TENANT = 2, B_PROTOCOL = 3, B_INSIDE = 4, B_INSIDE_PORT = 5;
const B_OUTSIDE = 6, B_OUTSIDE_PORT = 7, B_SESSIONS = 8, B_STATIC = 9, B_CREATED = 10, B_EXPIRES = 11;
const BINDING_WORDS = 12;
const S_NEXT = 0, S_BINDING = 1, S_REMOTE = 2, S_PORT_STATE = 3, S_EXPIRES = 4, S_CREATED = 5, S_OLDER = 6, S_YOUNGER = 7;
const SESSION_WORDS = 8;
/** An expiry that no clock reaches: a binding about to get its first session. */
const NEVER = 0xffffffff;
/** Links are index + 1; 0 ends a chain. A free record's protocol or binding word is FREE. */
const FREE = 0xffffffff;

const H_SEED = 0, H_FREE_BINDING = 1, H_FREE_SESSION = 2, H_BINDINGS = 3, H_SESSIONS = 4;
const HEADER_WORDS = 16;

export interface NatSizes { readonly bindings: number; readonly sessions: number; readonly tenants: number }

function layout(sizes: NatSizes) {
  const buckets = (n: number): number => 2 ** Math.ceil(Math.log2(Math.max(2, n)));
  let at = HEADER_WORDS;
  const take = (words: number): number => { const from = at; at += words; return from; };
  const bindingBuckets = buckets(sizes.bindings), sessionBuckets = buckets(sizes.sessions);
  return {
    bindingBuckets, sessionBuckets,
    inside: take(bindingBuckets), outside: take(bindingBuckets), remotes: take(sessionBuckets),
    bindings: take(sizes.bindings * BINDING_WORDS), sessions: take(sizes.sessions * SESSION_WORDS),
    perTenant: take(sizes.tenants + 1), words: at,
  };
}

/** Memory for so many records, with its free lists strung. `seed` hides hash positions from the outside. */
export function makeNatMemory(sizes: NatSizes, seed: number): SharedArrayBuffer {
  const at = layout(sizes);
  const memory = new SharedArrayBuffer(at.words * 4);
  const words = new Uint32Array(memory);
  words[H_SEED] = seed;
  words[H_FREE_BINDING] = 1;
  for (let i = 0; i < sizes.bindings; i++) {
    const binding = at.bindings + i * BINDING_WORDS;
    words[binding + B_NEXT_INSIDE] = i + 1 < sizes.bindings ? i + 2 : 0;
    words[binding + B_PROTOCOL] = FREE;
  }
  words[H_FREE_SESSION] = 1;
  for (let i = 0; i < sizes.sessions; i++) {
    const session = at.sessions + i * SESSION_WORDS;
    words[session + S_NEXT] = i + 1 < sizes.sessions ? i + 2 : 0;
    words[session + S_BINDING] = FREE;
  }
  return memory;
}

export class NatState {
  readonly sizes: NatSizes;
  readonly #w: Uint32Array;
  readonly #seed: number;
  readonly #inside: number;
  readonly #outside: number;
  readonly #remotes: number;
  readonly #bindings: number;
  readonly #sessions: number;
  readonly #perTenant: number;
  readonly #bindingMask: number;
  readonly #sessionMask: number;
  #hand = 0;

  constructor(memory: SharedArrayBuffer, sizes: NatSizes) {
    const at = layout(sizes);
    this.sizes = sizes;
    this.#w = new Uint32Array(memory);
    this.#seed = this.#w[H_SEED];
    this.#inside = at.inside;
    this.#outside = at.outside;
    this.#remotes = at.remotes;
    this.#bindings = at.bindings;
    this.#sessions = at.sessions;
    this.#perTenant = at.perTenant;
    this.#bindingMask = at.bindingBuckets - 1;
    this.#sessionMask = at.sessionBuckets - 1;
  }

  get bindingCount(): number { return this.#w[H_BINDINGS]; }
  get sessionCount(): number { return this.#w[H_SESSIONS]; }
  sessionsOf(tenant: number): number { return this.#w[this.#perTenant + tenant]; }

  /**
   * The live binding of a tenant's inside address and port, or -1; one whose time is up is removed here. Static mappings
   * may lead from several outside ports to one inside: of such bindings the one that has a session with this remote end,
   * so that an answer leaves from where it was asked, or else the latest.
   */
  findInside(tenant: number, protocol: number, address: number, port: number, remote: number, remotePort: number, now: number): number {
    const w = this.#w;
    let found = -1;
    for (let link = w[this.#insideBucket(tenant, protocol, address, port)]; link !== 0;) {
      const at = this.#bindings + (link - 1) * BINDING_WORDS;
      const next = w[at + B_NEXT_INSIDE];
      if (w[at + B_INSIDE] === address && w[at + B_INSIDE_PORT] === port && w[at + B_TENANT] === tenant && w[at + B_PROTOCOL] === protocol) {
        const binding = this.#live(link - 1, now);
        if (found < 0) found = binding; // nearly always the only one
        else if (binding >= 0 && this.findSession(found, remote, remotePort, now) < 0 && this.findSession(binding, remote, remotePort, now) >= 0) found = binding;
      }
      link = next;
    }
    return found;
  }

  /** The live binding of an outside address and port, or -1; one whose time is up is removed here. */
  findOutside(protocol: number, address: number, port: number, now: number): number {
    const w = this.#w;
    for (let link = w[this.#outsideBucket(protocol, address, port)]; link !== 0;) {
      const at = this.#bindings + (link - 1) * BINDING_WORDS;
      if (w[at + B_OUTSIDE] === address && w[at + B_OUTSIDE_PORT] === port && w[at + B_PROTOCOL] === protocol) return this.#live(link - 1, now);
      link = w[at + B_NEXT_OUTSIDE];
    }
    return -1;
  }

  /** A new binding without sessions, or -1 when the table is full. The caller has made sure that neither side is taken. */
  bind(tenant: number, protocol: number, inside: number, insidePort: number, outside: number, outsidePort: number, fixed: boolean, now: number): number {
    const w = this.#w;
    const link = w[H_FREE_BINDING];
    if (link === 0) return -1;
    const at = this.#bindings + (link - 1) * BINDING_WORDS;
    w[H_FREE_BINDING] = w[at + B_NEXT_INSIDE];
    w[at + B_TENANT] = tenant;
    w[at + B_INSIDE] = inside;
    w[at + B_INSIDE_PORT] = insidePort;
    w[at + B_OUTSIDE] = outside;
    w[at + B_OUTSIDE_PORT] = outsidePort;
    w[at + B_SESSIONS] = 0;
    w[at + B_STATIC] = fixed ? 1 : 0;
    w[at + B_CREATED] = now;
    w[at + B_EXPIRES] = NEVER; // until its first session says
    w[at + B_PROTOCOL] = protocol;
    const insideAt = this.#insideBucket(tenant, protocol, inside, insidePort);
    w[at + B_NEXT_INSIDE] = w[insideAt];
    w[insideAt] = link;
    const outsideAt = this.#outsideBucket(protocol, outside, outsidePort);
    w[at + B_NEXT_OUTSIDE] = w[outsideAt];
    w[outsideAt] = link;
    w[H_BINDINGS]++;
    return link - 1;
  }

  /** Take back a binding that has no session. */
  unbind(binding: number): void {
    const w = this.#w;
    const at = this.#bindings + binding * BINDING_WORDS;
    const protocol = w[at + B_PROTOCOL];
    this.#unlink(this.#insideBucket(w[at + B_TENANT], protocol, w[at + B_INSIDE], w[at + B_INSIDE_PORT]), binding, this.#bindings, BINDING_WORDS, B_NEXT_INSIDE);
    this.#unlink(this.#outsideBucket(protocol, w[at + B_OUTSIDE], w[at + B_OUTSIDE_PORT]), binding, this.#bindings, BINDING_WORDS, B_NEXT_OUTSIDE);
    w[at + B_PROTOCOL] = FREE;
    w[at + B_NEXT_INSIDE] = w[H_FREE_BINDING];
    w[H_FREE_BINDING] = binding + 1;
    w[H_BINDINGS]--;
  }

  tenantOf(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_TENANT]; }
  protocolOf(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_PROTOCOL]; }
  inside(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_INSIDE]; }
  insidePort(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_INSIDE_PORT]; }
  outside(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_OUTSIDE]; }
  outsidePort(binding: number): number { return this.#w[this.#bindings + binding * BINDING_WORDS + B_OUTSIDE_PORT]; }
  isStatic(binding: number): boolean { return this.#w[this.#bindings + binding * BINDING_WORDS + B_STATIC] === 1; }
  hasSessions(binding: number): boolean { return this.#w[this.#bindings + binding * BINDING_WORDS + B_SESSIONS] !== 0; }

  /** The live session of a live binding with this remote end, or -1. One whose time is up is closed here; its binding stays, having a longer one. */
  findSession(binding: number, remote: number, remotePort: number, now: number): number {
    const w = this.#w;
    for (let link = w[this.#remoteBucket(binding, remote, remotePort)]; link !== 0;) {
      const at = this.#sessions + (link - 1) * SESSION_WORDS;
      if (w[at + S_BINDING] === binding && w[at + S_REMOTE] === remote && w[at + S_PORT_STATE] >>> 16 === remotePort) {
        if (w[at + S_EXPIRES] > now) return link - 1;
        this.close(link - 1);
        return -1;
      }
      link = w[at + S_NEXT];
    }
    return -1;
  }

  /** A new session, or -1 when the table is full. */
  open(binding: number, remote: number, remotePort: number, state: number, expires: number, now: number): number {
    const w = this.#w;
    const link = w[H_FREE_SESSION];
    if (link === 0) return -1;
    const at = this.#sessions + (link - 1) * SESSION_WORDS;
    w[H_FREE_SESSION] = w[at + S_NEXT];
    w[at + S_REMOTE] = remote;
    w[at + S_PORT_STATE] = remotePort << 16 | state;
    w[at + S_EXPIRES] = expires;
    w[at + S_CREATED] = now;
    w[at + S_BINDING] = binding;
    const bucket = this.#remoteBucket(binding, remote, remotePort);
    w[at + S_NEXT] = w[bucket];
    w[bucket] = link;

    const owner = this.#bindings + binding * BINDING_WORDS;
    const sibling = w[owner + B_SESSIONS];
    w[at + S_OLDER] = sibling;
    w[at + S_YOUNGER] = 0;
    if (sibling !== 0) w[this.#sessions + (sibling - 1) * SESSION_WORDS + S_YOUNGER] = link;
    w[owner + B_SESSIONS] = link;
    if (sibling === 0 || w[owner + B_EXPIRES] < expires) w[owner + B_EXPIRES] = expires;
    w[this.#perTenant + w[owner + B_TENANT]]++;
    w[H_SESSIONS]++;
    return link - 1;
  }

  isOpen(session: number): boolean { return this.#w[this.#sessions + session * SESSION_WORDS + S_BINDING] !== FREE; }
  bindingOf(session: number): number { return this.#w[this.#sessions + session * SESSION_WORDS + S_BINDING]; }
  remote(session: number): number { return this.#w[this.#sessions + session * SESSION_WORDS + S_REMOTE]; }
  remotePort(session: number): number { return this.#w[this.#sessions + session * SESSION_WORDS + S_PORT_STATE] >>> 16; }
  state(session: number): number { return this.#w[this.#sessions + session * SESSION_WORDS + S_PORT_STATE] & 0xffff; }
  expires(session: number): number { return this.#w[this.#sessions + session * SESSION_WORDS + S_EXPIRES]; }
  created(session: number): number { return this.#w[this.#sessions + session * SESSION_WORDS + S_CREATED]; }

  /** Set state and time of expiry; writes only what changed, so an active session is touched once a second at most. */
  touch(session: number, state: number, expires: number): void {
    const w = this.#w;
    const at = this.#sessions + session * SESSION_WORDS;
    if ((w[at + S_PORT_STATE] & 0xffff) !== state) w[at + S_PORT_STATE] = (w[at + S_PORT_STATE] & 0xffff0000) | state;
    if (w[at + S_EXPIRES] === expires) return;
    w[at + S_EXPIRES] = expires;
    const binding = w[at + S_BINDING];
    const owner = this.#bindings + binding * BINDING_WORDS;
    const alone = w[at + S_OLDER] === 0 && w[at + S_YOUNGER] === 0;
    if (alone || expires > w[owner + B_EXPIRES]) w[owner + B_EXPIRES] = expires;
  }

  /** End a session, and its binding if that was the last one. */
  close(session: number): void {
    const w = this.#w;
    const at = this.#sessions + session * SESSION_WORDS;
    const binding = w[at + S_BINDING];
    const owner = this.#bindings + binding * BINDING_WORDS;
    this.#unlink(this.#remoteBucket(binding, w[at + S_REMOTE], w[at + S_PORT_STATE] >>> 16), session, this.#sessions, SESSION_WORDS, S_NEXT);

    const older = w[at + S_OLDER], younger = w[at + S_YOUNGER];
    if (older !== 0) w[this.#sessions + (older - 1) * SESSION_WORDS + S_YOUNGER] = younger;
    if (younger !== 0) w[this.#sessions + (younger - 1) * SESSION_WORDS + S_OLDER] = older;
    else w[owner + B_SESSIONS] = older;

    w[at + S_BINDING] = FREE;
    w[at + S_NEXT] = w[H_FREE_SESSION];
    w[H_FREE_SESSION] = session + 1;
    w[this.#perTenant + w[owner + B_TENANT]]--;
    w[H_SESSIONS]--;
    const youngest = w[owner + B_SESSIONS];
    if (youngest === 0) return this.unbind(binding);
    const last = this.#sessions + (youngest - 1) * SESSION_WORDS;
    if (w[last + S_OLDER] === 0) w[owner + B_EXPIRES] = w[last + S_EXPIRES]; // alone again: the binding's time is its own
  }

  /** Look at the next `budget` sessions and close those whose time is up. */
  reap(now: number, budget: number): void {
    const n = this.sizes.sessions;
    for (let i = Math.min(budget, n); i > 0; i--) {
      const session = this.#hand;
      this.#hand = session + 1 === n ? 0 : session + 1;
      if (this.isOpen(session) && this.expires(session) <= now) this.close(session);
    }
  }

  /** Close every session that `allowed` refuses; says how many. For the moment after a policy change. */
  revoke(allowed: (binding: number, session: number) => boolean): number {
    let closed = 0;
    for (let session = 0; session < this.sizes.sessions; session++) {
      if (!this.isOpen(session) || allowed(this.bindingOf(session), session)) continue;
      this.close(session);
      closed++;
    }
    return closed;
  }

  /** `binding` if its time is not up; otherwise it goes, with its sessions, and the answer is -1. */
  #live(binding: number, now: number): number {
    if (this.#w[this.#bindings + binding * BINDING_WORDS + B_EXPIRES] > now) return binding;
    this.#closeAll(binding);
    return -1;
  }

  #closeAll(binding: number): void {
    const youngest = this.#bindings + binding * BINDING_WORDS + B_SESSIONS;
    for (let left = this.#w[youngest]; left !== 0;) {
      const older = this.#w[this.#sessions + (left - 1) * SESSION_WORDS + S_OLDER];
      this.close(left - 1);
      left = older;
    }
  }

  #unlink(bucket: number, index: number, base: number, stride: number, next: number): void {
    const w = this.#w;
    let from = bucket;
    while (w[from] !== index + 1) from = base + (w[from] - 1) * stride + next;
    w[from] = w[base + index * stride + next];
  }

  #insideBucket(tenant: number, protocol: number, address: number, port: number): number {
    return this.#inside + (hashWords(this.#seed, tenant, protocol, address, port, 0) & this.#bindingMask);
  }

  #outsideBucket(protocol: number, address: number, port: number): number {
    return this.#outside + (hashWords(this.#seed, protocol, address, port, 0, 0) & this.#bindingMask);
  }

  #remoteBucket(binding: number, remote: number, remotePort: number): number {
    return this.#remotes + (hashWords(this.#seed, binding, remote, remotePort, 0, 0) & this.#sessionMask);
  }
}
