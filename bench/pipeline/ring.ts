/**
 * Datagrams to feed a pipeline with, again and again: it rewrites them where they lie, so each has a template to be
 * restored from. Slots are as large as a small packet and its headroom need, and lie in a Buffer, as datagrams do.
 */

/** Bytes before a datagram, room for a longer header. */
export const ROOM = 32;
const SLOT = 128;

export class Ring {
  readonly count: number;
  readonly slots: Buffer;
  readonly #templates: Buffer;
  /** By slot: byte after the last one; number of the peer that sent it. */
  readonly ends: Uint32Array;
  readonly peers: Uint32Array;

  constructor(count: number) {
    this.count = count;
    this.slots = Buffer.alloc(count * SLOT);
    this.#templates = Buffer.alloc(count * SLOT);
    this.ends = new Uint32Array(count);
    this.peers = new Uint32Array(count);
  }

  /** Where the datagram of slot `i` begins. */
  at(i: number): number {
    return i * SLOT + ROOM;
  }

  /** Slot `i` gets the `len` bytes that `write` puts from the byte it is told on, and returns. */
  fill(i: number, peer: number, write: (mem: Uint8Array, at: number) => number): void {
    this.ends[i] = this.at(i) + write(this.#templates, this.at(i));
    this.peers[i] = peer;
  }

  restore(): void {
    this.slots.set(this.#templates);
  }
}
