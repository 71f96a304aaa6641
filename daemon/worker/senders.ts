/** Who sent it: the address that Node gives as text, as the words that the policy's tables know. */
import { parseAddress, Refusal } from '../../config/index.js';
import type { Words } from '../../config/index.js';

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
