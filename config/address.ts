/**
 * Addresses and prefixes: from text to four words and back.
 *
 * Everything is kept on the v4-mapped form, so that tables need one shape for both families. IPv4 is read here,
 * strictly, because a lenient reader takes 010.0.0.1 for 8.0.0.1; IPv6 is ipaddr.js's work.
 */
import ipaddr from 'ipaddr.js';
import { Refusal } from './refusal.js';
import type { Address, Prefix, Words } from './types.js';

const V4_MAPPED = 0xffff;
/** Eight groups with an IPv4 tail have 45 characters, and a zone is worth its own message; ipaddr.js need not chew on more. */
const LONGEST_IPV6 = 64;
/** Bits of the v4-mapped form before the IPv4 address itself. */
export const V4_BITS = 96;

export function parseAddress(text: string): Address | Refusal<Address> {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Address | Refusal<Address> {
  const value = ipv4Value(text);
  if (value >= 0) return makeAddress(4, text, [0, 0, V4_MAPPED, value]);
  if (/^0\d|\.0\d/.test(text) && ipv4Value(text.replace(/\b0+(?=\d)/g, '')) >= 0) {
    return new Refusal('leading zeros are read as octal by some programs', `write ${text.replace(/\b0+(?=\d)/g, '')}`);
  }
  if (text.includes('/')) return new Refusal('a prefix where an address belongs', `write ${text.slice(0, text.indexOf('/'))}`);
  return new Refusal('not an IP address', 'write 192.0.2.1 or 2001:db8::1');
}

/** Four decimal numbers as one unsigned 32-bit value, or -1. */
function ipv4Value(text: string): number {
  let value = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9) {
      if (octet === 0) return -1; // a leading zero
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return -1;
    } else if (digit === -2 && octet >= 0 && dots < 3) {
      value = value * 256 + octet;
      octet = -1;
      dots++;
    } else return -1;
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : -1;
}

function parseIpv6(text: string): Address | Refusal<Address> {
  let parsed: ipaddr.IPv6;
  if (text.length > LONGEST_IPV6) return new Refusal('not an IPv6 address', 'write 2001:db8::1');
  try {
    parsed = ipaddr.IPv6.parse(text);
  } catch {
    return /^[\d.]+:\d+$/.test(text)
      ? new Refusal('a port where only an address belongs', `write ${text.slice(0, text.indexOf(':'))}`)
      : new Refusal('not an IPv6 address', 'write 2001:db8::1');
  }
  if (parsed.zoneId !== undefined) return new Refusal('an address with a zone', 'leave out the % and what follows');
  const p = parsed.parts;
  const words: Words = [p[0] * 0x10000 + p[1], p[2] * 0x10000 + p[3], p[4] * 0x10000 + p[5], p[6] * 0x10000 + p[7]];
  // The same four words as the IPv4 address itself: two spellings of one address would be two owners of it.
  if (isV4(words)) return new Refusal('IPv4 in IPv6 clothes', `write ${formatAddress(words)}`);
  return makeAddress(6, parsed.toRFC5952String(), words);
}

function makeAddress(family: 4 | 6, text: string, words: Words): Address {
  return Object.freeze({ text, family, words: Object.freeze(words) });
}

export function parsePrefix(text: string): Prefix | Refusal<Prefix> {
  const slash = text.indexOf('/');
  if (slash < 0) {
    if (text === 'default' || text === 'any') return new Refusal('not a prefix', 'write 0.0.0.0/0 or ::/0');
    const alone = parseAddress(text);
    if (alone instanceof Refusal) return new Refusal('not a prefix', 'write 10.0.0.0/24 or 2001:db8::/64');
    return new Refusal('an address without a prefix length', `write ${text}/${alone.family === 4 ? 32 : 128} for that one address`);
  }
  const address = parseAddress(text.slice(0, slash));
  if (address instanceof Refusal) return new Refusal(address.message, address.advice);
  const length = text.slice(slash + 1);
  const longest = address.family === 4 ? 32 : 128;
  if (!/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > longest) {
    const mask = length.includes('.') ? maskLength(length) : -1;
    return new Refusal('not a prefix length', mask >= 0 ? `write ${address.text}/${mask}` : `write a number from 0 to ${longest}`);
  }
  const bits = Number(length) + 128 - longest;
  const masked = maskWords(address.words, bits);
  const prefix = makePrefix(masked, bits);
  if (compareWords(masked, address.words) === 0) return prefix;
  return new Refusal(`has bits set to the right of /${length}`, `write ${prefix.text}`, prefix);
}

export function makePrefix(words: Words, bits: number): Prefix {
  const family = isV4(words) && bits >= V4_BITS ? 4 : 6;
  const text = `${formatAddress(words)}/${family === 4 ? bits - V4_BITS : bits}`;
  return Object.freeze({ text, family, words: Object.freeze(words), bits });
}

/** The prefix that holds one address only. */
export function hostPrefix(address: Address): Prefix {
  return makePrefix(address.words, 128);
}

/** 255.255.255.0 as 24, or -1. */
function maskLength(text: string): number {
  const value = ipv4Value(text);
  if (value < 0) return -1;
  const ones = Math.clz32(~value >>> 0);
  return maskWord(ones, 0) === value ? ones : -1;
}

/** The text of an address (RFC 5952 for IPv6). */
export function formatAddress(words: Words): string {
  if (isV4(words)) return [24, 16, 8, 0].map(shift => (words[3] >>> shift) & 255).join('.');
  return new ipaddr.IPv6(words.flatMap(word => [word >>> 16, word & 0xffff])).toRFC5952String();
}

export function addressOf(words: Words): Address {
  return makeAddress(isV4(words) ? 4 : 6, formatAddress(words), words);
}

function isV4(words: Words): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === V4_MAPPED;
}

/** Word number `i` of the mask of a prefix. */
export function maskWord(bits: number, i: number): number {
  const ones = bits - 32 * i;
  return ones >= 32 ? 0xffffffff : ones <= 0 ? 0 : (0xffffffff << (32 - ones)) >>> 0;
}

export function maskWords(words: Words, bits: number): Words {
  const keep = (i: number): number => (words[i] & maskWord(bits, i)) >>> 0;
  return [keep(0), keep(1), keep(2), keep(3)];
}

/** The last address of a prefix: an IPv4 subnet's broadcast address. */
export function lastWords(prefix: Prefix): Words {
  const w = prefix.words;
  const fill = (i: number): number => (w[i] | ~maskWord(prefix.bits, i)) >>> 0;
  return [fill(0), fill(1), fill(2), fill(3)];
}

export function compareWords(a: Words, b: Words): number {
  for (let i = 0; i < 4; i++) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  return 0;
}

/** Whether `words` lie in the prefix. Families stay apart: ::/0 does not hold IPv4. */
export function covers(prefix: Prefix, at: { readonly family: 4 | 6; readonly words: Words }): boolean {
  if (prefix.family !== at.family) return false;
  for (let i = 0; i < 4; i++) if (((prefix.words[i] ^ at.words[i]) & maskWord(prefix.bits, i)) !== 0) return false;
  return true;
}

export function coversPrefix(outer: Prefix, inner: Prefix): boolean {
  return outer.bits <= inner.bits && covers(outer, inner);
}

/** The fewest prefixes that hold exactly `from`..`to`, both IPv4. */
export function rangePrefixes(from: Address, to: Address): Prefix[] {
  const out: Prefix[] = [];
  let at = from.words[3];
  while (at <= to.words[3]) {
    let bits = 32;
    // Grow while the start stays aligned and the end stays inside.
    while (bits > 0 && at % 2 ** (33 - bits) === 0 && at + 2 ** (33 - bits) - 1 <= to.words[3]) bits--;
    out.push(makePrefix([0, 0, V4_MAPPED, at], V4_BITS + bits));
    at += 2 ** (32 - bits);
  }
  return out;
}

export type AddressUse = 'usable' | 'unspecified' | 'loopback' | 'link-local' | 'multicast' | 'broadcast' | 'reserved';

/** What an address is good for, as far as its own bits tell (RFC 6890, RFC 4291 §2.4). */
export function useOf({ family, words }: { readonly family: 4 | 6; readonly words: Words }): AddressUse {
  if (family === 6) {
    if (words[0] === 0 && words[1] === 0 && words[2] === 0 && words[3] <= 1) return words[3] === 0 ? 'unspecified' : 'loopback';
    if (words[0] >>> 24 === 0xff) return 'multicast';
    return words[0] >>> 22 === 0xfe80 >>> 6 ? 'link-local' : 'usable';
  }
  const first = words[3] >>> 24;
  if (first === 0) return 'unspecified';
  if (first === 127) return 'loopback';
  if (words[3] >>> 16 === 0xa9fe) return 'link-local';
  if (words[3] === 0xffffffff) return 'broadcast';
  if (first >= 240) return 'reserved';
  return first >= 224 ? 'multicast' : 'usable';
}
