/**
 * The address that Node gives as text, as words, remembered. Node makes the text anew for each datagram; to compare it
 * with one remembered by its port costs 20 ns, a `Map` 70, as it hashes the text first.
 */
import { addressWords } from '../worker/senders.js';

/** Senders remembered, by address and port; a power of two. */
const SLOTS = 4096;
/** Addresses remembered; strangers who fill this cost us a parse. */
const CACHED = 4096;
/** Stands for an address that cannot be read; no policy knows it. */
const NOWHERE = new Int32Array(4);

export class AddressFinder {
  readonly #texts: string[] = Array.from({ length: SLOTS }, () => '');
  readonly #words: Int32Array[] = Array.from({ length: SLOTS }, () => NOWHERE);
  readonly #known = new Map<string, Int32Array>();

  /** The four words of `address`, to read only. The port only helps to remember it. */
  find(address: string, port: number): Int32Array {
    // The last letter keeps neighbours apart that send from the same port.
    const slot = (port ^ address.charCodeAt(address.length - 1) << 8) & (SLOTS - 1);
    if (this.#texts[slot] === address) return this.#words[slot];
    this.#texts[slot] = address;
    return this.#words[slot] = this.#look(address);
  }

  #look(address: string): Int32Array {
    let words = this.#known.get(address);
    if (words === undefined) {
      if (this.#known.size >= CACHED) this.#known.clear();
      const read = addressWords(address);
      words = read === undefined ? NOWHERE : Int32Array.from(read, word => word | 0);
      this.#known.set(address, words);
    }
    return words;
  }
}
