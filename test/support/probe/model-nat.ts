/** A NAT of every kind there is, a page long: what the probe is held to. Nothing about it is Causeway's. */
import type { Arrival, Cut, Dependence, Way } from './nat-probe.js';
import { endWords, sameEnd, serve, type End, type Server } from './stun.js';

export interface ModelKind {
  readonly mapping: Dependence;
  readonly filtering: Dependence;
  readonly hairpin: 'none' | 'external source' | 'internal source';
  /** How an external port is chosen. */
  readonly port: 'same' | 'parity' | 'next';
  /** Of two that want one external port both get it. */
  readonly overloads: boolean;
  readonly lifetime: number;
  readonly refreshedBy: 'outbound' | 'both';
  /** Loses pieces that come before the first one. */
  readonly reassembles: boolean;
  /** Rewrites its own address wherever it sees it. */
  readonly meddles: boolean;
}

interface Mapping { readonly inside: End; readonly outside: End; readonly spokenTo: Set<string>; last: number }

const OUTSIDE = '203.0.113.10';
const SERVER: Server = { addresses: ['198.51.100.7', '198.51.100.8'], ports: [3478, 3479] };

export class ModelNat implements Way {
  readonly server = SERVER;
  readonly inside = ['10.0.0.5', '10.0.0.6'];
  readonly #kind: ModelKind;
  readonly #mappings = new Map<string, Mapping>();
  readonly #arrived = new Map<string, Arrival[]>();
  #next = 40_000;
  #now = 0;

  constructor(kind: ModelKind) {
    this.#kind = kind;
  }

  send(from: End, to: End, payload: Uint8Array, cut: Cut = 'whole'): void {
    if (cut === 'last first' && !this.#kind.reassembles) return;
    const { mapping, hairpin } = this.#kind;
    const key = endWords(from) + (mapping === 'endpoint-independent' ? '' : mapping === 'address-dependent' ? ` ${to.address}` : ` ${endWords(to)}`);
    const mapped = this.#live(key) ?? this.#open(key, from);
    mapped.last = this.#now;
    mapped.spokenTo.add(this.#permission(to));
    if (to.address === OUTSIDE) {
      if (hairpin !== 'none') this.#inbound(mapped.outside, to, payload, hairpin === 'external source' ? mapped.outside : from);
      return;
    }
    const answered = serve(this.server, mapped.outside, to, payload);
    if (answered !== null) this.#inbound(answered.from, answered.to, answered.answer);
  }

  #inbound(from: End, to: End, payload: Uint8Array, shown: End = from): void {
    for (const [key, mapping] of this.#mappings) {
      if (!sameEnd(mapping.outside, to) || this.#live(key) === undefined || !mapping.spokenTo.has(this.#permission(from))) continue;
      if (this.#kind.refreshedBy === 'both') mapping.last = this.#now;
      const at = endWords(mapping.inside);
      const bytes = Uint8Array.from(payload);
      if (this.#kind.meddles) this.#meddle(bytes, mapping.inside);
      this.#arrived.set(at, [...this.#arrived.get(at) ?? [], { from: shown, payload: bytes }]);
    }
  }

  /** An old ALG's idea of help: its own address, wherever it is, becomes the inside one. */
  #meddle(bytes: Uint8Array, { address }: End): void {
    const at = Buffer.from(bytes).indexOf(Buffer.from(OUTSIDE.split('.').map(Number)));
    if (at >= 0) bytes.set(address.split('.').map(Number), at);
  }

  #permission(to: End): string {
    const { filtering } = this.#kind;
    return filtering === 'endpoint-independent' ? '' : filtering === 'address-dependent' ? to.address : endWords(to);
  }

  #live(key: string): Mapping | undefined {
    const found = this.#mappings.get(key);
    return found !== undefined && this.#now - found.last < this.#kind.lifetime * 1000 ? found : undefined;
  }

  #open(key: string, inside: End): Mapping {
    const { port } = this.#kind;
    if (port === 'parity') this.#next += 1 + (this.#next + 1 + inside.port & 1);
    else this.#next++;
    // An end that must keep its port and has several mappings cannot: the others get what comes next.
    const isTaken = !this.#kind.overloads && [...this.#mappings.values()].some(({ outside }) => outside.port === inside.port);
    const mapping = { inside, outside: { address: OUTSIDE, port: port === 'same' && !isTaken ? inside.port : this.#next }, spokenTo: new Set<string>(), last: this.#now };
    this.#mappings.set(key, mapping);
    return mapping;
  }

  async settle(): Promise<void> { /* a datagram is there at once or never */ }

  arrivals(at: End): readonly Arrival[] {
    return this.#arrived.get(endWords(at)) ?? [];
  }

  /** Time passes for all who wait, in order. */
  async wait(ms: number): Promise<void> {
    const until = this.#now + ms;
    this.#waiting.push(until);
    do await new Promise(resolve => setImmediate(resolve));
    while (Math.min(...this.#waiting) < until);
    this.#now = Math.max(this.#now, until);
    this.#waiting.splice(this.#waiting.indexOf(until), 1);
  }
  readonly #waiting: number[] = [];

  now(): number { return this.#now; }
}
