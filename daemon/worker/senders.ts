/** Who sent it: the address that Node gives as text, as the words that the policy's tables know. */
import { parseAddress, Refusal } from '../../config/index.js';
import type { Words } from '../../config/index.js';
import type { Policy } from '../../pipeline/policy.js';

/** Enough for all peers of a gateway; strangers who fill it cost us a parse. */
const CACHED = 4096;
const MAPPED = '::ffff:';

/** `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0` or `::ffff:192.0.2.1` as words; undefined when it is no address. */
export function addressWords(text: string): Words | undefined {
  const zone = text.indexOf('%');
  const bare = zone < 0 ? text : text.slice(0, zone);
  const address = parseAddress(bare.startsWith(MAPPED) && bare.includes('.') ? bare.slice(MAPPED.length) : bare);
  return address instanceof Refusal ? undefined : address.words;
}

/** `addressWords` with a memory. */
export function makeAddressReader(): (text: string) => Words | undefined {
  const known = new Map<string, Words | undefined>();
  return text => {
    const before = known.get(text);
    if (before !== undefined) return before;
    if (known.size >= CACHED) known.clear();
    const words = addressWords(text);
    known.set(text, words);
    return words;
  };
}

/** Senders by address and port, remembered; a power of two. */
const SLOTS = 4096;
/** Of an address where the port decides. */
const BY_PORT = -2;

interface Place { readonly words: Words | undefined; readonly peer: number }

/**
 * Which peer of the policy in force sent it; -1 for none. The text that Node makes anew for each datagram is compared
 * with one remembered by its port: that costs 5 ns, a `Map` and the policy 45 to 70, as a `Map` hashes the text first.
 */
export class PeerFinder {
  readonly #wordsOf = makeAddressReader();
  readonly #ports = new Int32Array(SLOTS);
  readonly #peers = new Int32Array(SLOTS);
  readonly #addresses: string[] = Array.from({ length: SLOTS }, () => '');
  readonly #places = new Map<string, Place>();
  readonly #portsMatter = new Set<string>();
  #policy: Policy;

  constructor(policy: Policy) {
    this.#policy = policy;
    this.adopt(policy);
  }

  /** Peers are numbered anew: forget all. */
  adopt(policy: Policy): void {
    this.#policy = policy;
    this.#ports.fill(-1);
    this.#places.clear();
    this.#portsMatter.clear();
    const { names, pa, port } = policy.peers;
    for (let peer = 0; peer < names.length; peer++) if (port[peer] !== 0) this.#portsMatter.add(pa.subarray(peer * 4, peer * 4 + 4).join());
  }

  find(address: string, port: number): number {
    // The last letter keeps neighbours apart that send from the same port.
    const slot = (port ^ address.charCodeAt(address.length - 1) << 8) & (SLOTS - 1);
    if (this.#ports[slot] === port && this.#addresses[slot] === address) return this.#peers[slot];
    const peer = this.#look(address, port);
    this.#ports[slot] = port;
    this.#addresses[slot] = address;
    this.#peers[slot] = peer;
    return peer;
  }

  #look(address: string, port: number): number {
    let place = this.#places.get(address);
    if (place === undefined) {
      if (this.#places.size >= CACHED) this.#places.clear();
      place = this.#place(this.#wordsOf(address));
      this.#places.set(address, place);
    }
    const { words, peer } = place;
    return peer === BY_PORT && words !== undefined ? this.#policy.findSender(words[0], words[1], words[2], words[3], port) : peer;
  }

  #place(words: Words | undefined): Place {
    if (words === undefined) return { words, peer: -1 };
    return { words, peer: this.#portsMatter.has(words.join()) ? BY_PORT : this.#policy.findSender(words[0], words[1], words[2], words[3], 0) };
  }
}
