/**
 * Sends what came in a ring's slot, from a copy. A datagram that the kernel has no room for must stay where it is until
 * it has left, which may take seconds on a slow path; in a slot it would hold up the whole ring meanwhile, and with it
 * every other destination. Whether there is room is known only when it is too late to copy, so all are copied: 50 to
 * 90 ns each, of some 3 µs that a send takes.
 */
import type { Outlet } from '../../pipeline/context.js';

/** For many datagrams, or one of the longest. */
const SLAB_BYTES = 65536;

export class SlotOutlet implements Outlet {
  readonly #ring: SharedArrayBuffer;
  readonly #outlet: Outlet;
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** Bytes of it that the outlet keeps. */
  #used = 0;

  /** What does not lie in `ring` may wait where it is. */
  constructor(ring: SharedArrayBuffer, outlet: Outlet) {
    this.#ring = ring;
    this.#outlet = outlet;
  }

  send(mem: Uint8Array, at: number, end: number, peer: number, flowHash: number): boolean {
    if (mem.buffer !== this.#ring) return this.#outlet.send(mem, at, end, peer, flowHash);
    const length = end - at;
    if (this.#used + length > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, length)); // the old one is the outlet's, and the collector's
      this.#used = 0;
    }
    const from = this.#used;
    this.#slab.set(new Uint8Array(mem.buffer, mem.byteOffset + at, length), from);
    if (this.#outlet.send(this.#slab, from, from + length, peer, flowHash)) this.#used += length;
    return false;
  }
}
