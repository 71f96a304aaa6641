/**
 * Runs of ports that have hardly a free one left, and addresses of NAT pools without a free block. To find the last ones, or that
 * there is none, costs many look-ups, which a tenant could have the worker spend on each of its packets; so it is done once a second.
 */
import { hashWords } from './word-map.js';

const ROWS = 1024;
/** protocol, address, second. */
const STRIDE = 3;

export class SpentPorts {
  readonly #rows = new Int32Array(ROWS * STRIDE);

  /** Whether this was noted in this very second. A later note may have pushed it out: then it is asked again. */
  has(protocol: number, address: number, now: number): boolean {
    const at = rowOf(protocol, address | 0);
    return this.#rows[at] === protocol && this.#rows[at + 1] === (address | 0) && this.#rows[at + 2] === (now | 0);
  }

  note(protocol: number, address: number, now: number): void {
    const at = rowOf(protocol, address | 0);
    this.#rows[at] = protocol;
    this.#rows[at + 1] = address;
    this.#rows[at + 2] = now;
  }
}

function rowOf(protocol: number, address: number): number {
  return (hashWords(0, protocol, address, 0, 0, 0) & ROWS - 1) * STRIDE;
}
