/**
 * Bindings counted by protocol, in the two words of a record that they keep: TCP's and UDP's in one, as dead:1|-:1|udp:15|tcp:15, ICMP's
 * in another. Whoever ends the record swaps 0 in the first for something below 0, and looks at the second after that.
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';

const UDP_SHIFT = 15, EACH = 0x7fff;

/** One more of this protocol, of `most`; false when there are as many, or the record is nobody's. */
export function useCounted(words: Int32Array, at: number, icmpAt: number, protocol: number, most: number): boolean {
  if (protocol === IpProtocol.icmp) {
    if (Atomics.add(words, icmpAt, 1) < most && Atomics.load(words, at) >= 0) return true;
    Atomics.sub(words, icmpAt, 1);
    return false;
  }
  const shift = protocol === IpProtocol.tcp ? 0 : UDP_SHIFT;
  for (let count = Atomics.load(words, at); count >= 0 && (count >>> shift & EACH) < most;) {
    const found = Atomics.compareExchange(words, at, count, count + (1 << shift));
    if (found === count) return true;
    count = found;
  }
  return false;
}

export function disuseCounted(words: Int32Array, at: number, icmpAt: number, protocol: number): void {
  if (protocol === IpProtocol.icmp) Atomics.sub(words, icmpAt, 1);
  else Atomics.sub(words, at, protocol === IpProtocol.tcp ? 1 : 1 << UDP_SHIFT);
}

/** How many the two words say. */
export function counted(count: number, icmp: number): number {
  return count < 0 ? 0 : (count & EACH) + (count >>> UDP_SHIFT & EACH) + icmp;
}

/** The first word with one of this protocol. */
export function firstCounted(protocol: number): number {
  return protocol === IpProtocol.icmp ? 0 : protocol === IpProtocol.tcp ? 1 : 1 << UDP_SHIFT;
}
