/**
 * Datagrams to feed a pipeline with, again and again: it rewrites them where they lie, so each is written anew before it
 * is used. Packets of one ring differ in their first bytes only, the headers, which are kept of every flow; whole ones lie
 * in a window of a thousand slots, as packets just received do, which the next flows take in turn.
 */

/** Bytes before a datagram, room for a longer header. */
export const ROOM = 32;
/** What differs: tunnel, Ethernet, IP and UDP headers and more. */
const HEAD = 64;
const LINE = 64;
const WINDOW = 1024;

export class Ring {
  readonly flows: number;
  /** Bytes of each datagram, and the number of the peer that sends them. */
  readonly len: number;
  readonly peer: number;
  /** How many lie in `slots` at a time: all flows, or a part that divides their number. */
  readonly size: number;
  /** In a Buffer, as datagrams do. */
  readonly slots: Buffer;
  readonly #stride: number;
  readonly #heads: Buffer;
  #next = 0;

  constructor(flows: number, len: number, peer: number) {
    this.flows = flows;
    this.len = len;
    this.peer = peer;
    this.size = Math.min(flows, WINDOW);
    this.#stride = Math.ceil((ROOM + len) / LINE) * LINE;
    this.slots = Buffer.alloc(this.size * this.#stride);
    this.#heads = Buffer.alloc(flows * HEAD);
    if (flows % this.size !== 0) throw new RangeError(`${flows} flows do not fill windows of ${this.size}`);
  }

  /** Where the datagram of slot `i` begins. */
  at(i: number): number {
    return i * this.#stride + ROOM;
  }

  /** What is sent of flow `i` from now on: what `write` puts from the byte it is told on, in memory of the length of a slot. */
  fill(i: number, write: (mem: Uint8Array, at: number) => void): void {
    const slot = i % this.size;
    const at = this.at(slot);
    write(this.slots, at); // and there the bytes behind the head remain
    this.slots.copy(this.#heads, i * HEAD, at, at + HEAD);
  }

  /** The next flows come, each with a packet as it was filled in. */
  restore(): void {
    const first = this.#next;
    this.#next = (first + this.size) % this.flows;
    for (let i = 0; i < this.size; i++) this.#heads.copy(this.slots, this.at(i), (first + i) * HEAD, (first + i + 1) * HEAD);
  }
}
