/** The small languages inside strings: names, MACs, GUIDs, PAs, port ranges, next hops, pool entries. */
import { addressOf, hostPrefix, maskWords, parseAddress, parsePrefix, rangePrefixes } from './address.js';
import { Refusal } from './refusal.js';
import type { Address, Endpoint, Mac, MappingEnd, PortRange, Prefix, Via } from './types.js';

export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
export const MAC = /^[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}|[0-9A-Fa-f]{10})$/;
export const GUID = /^\{?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?$/;

/** A name goes into metric labels, file names and command lines, so it keeps to what needs no quoting anywhere. */
export function parseName(text: string): string | Refusal<string> {
  if (NAME.test(text)) return text;
  if (text === '') return new Refusal('an empty name', 'give it one');
  return new Refusal('not a name', 'use letters, digits, . _ and -, at most 63, starting with a letter or a digit', text);
}

/** 00:15:5d:00:00:05, 00-15-5D-00-00-05, or 00155d000005 as HNV's cmdlets print it. */
export function parseMac(text: string): Mac | Refusal<Mac> {
  if (!MAC.test(text)) return new Refusal('not a MAC address', 'write 00:15:5d:00:00:05');
  const lower = text.toLowerCase();
  const canonical = lower[2] === ':' ? lower : (lower.match(/[0-9a-f]{2}/g) ?? []).join(':');
  const byte = (i: number): number => hexDigit(canonical, 3 * i) * 16 + hexDigit(canonical, 3 * i + 1);
  const high = byte(0) * 0x100 + byte(1);
  const low = byte(2) * 0x1000000 + byte(3) * 0x10000 + byte(4) * 0x100 + byte(5);
  const mac = Object.freeze({ text: canonical, high, low });
  if (high === 0 && low === 0) return new Refusal('the all-zero MAC', 'write the address of the VM’s network adapter', mac);
  // The lowest bit of the first byte makes a group address, which never is a source (IEEE 802-2014 §8.4).
  return (high & 0x0100) === 0 ? mac : new Refusal('a group MAC, which no adapter has', 'the first byte must be even', mac);
}

/** A config of 100,000 records has 100,000 MACs: this is four times as fast as parseInt over slices. */
function hexDigit(lower: string, at: number): number {
  const c = lower.charCodeAt(at);
  return c < 58 ? c - 48 : c - 87;
}

export function parseGuid(text: string): string | Refusal<string> {
  if (!GUID.test(text) || text.startsWith('{') !== text.endsWith('}')) {
    return new Refusal('not a GUID', 'write 32 hex digits as 8-4-4-4-12, for example from uuidgen');
  }
  return text.replace(/[{}]/g, '').toLowerCase();
}

export const RSS_KEY = /^(default|symmetric|[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){39,51})$/;

/** A word, or the bytes as `ethtool -x` prints them, with colons or without; in lower case and without. */
export function parseRssKey(text: string): string | Refusal<string> {
  const key = text.replaceAll(':', '').toLowerCase();
  if (!RSS_KEY.test(text)) {
    const isHex = /^[0-9a-f]+$/.test(key);
    const found = isHex ? `${key.length} hex digits where a key has 80 to 104` : 'not a key';
    return new Refusal(found, 'write "default", "symmetric", or 40 to 52 bytes in hex');
  }
  return /^0+$/.test(key) ? new Refusal('a key of zeros, under which every flow hashes alike', 'leave it out, or give it random bytes') : key;
}

/** Digits of a port, 1..65535, or -1. */
function portOf(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) return -1;
  const port = Number(text);
  return port <= 65535 ? port : -1;
}

/** An address with or without a port; `port` is undefined where none is written, and its text otherwise. */
function splitPort(text: string): { readonly address: Address; readonly port: string | undefined } | Refusal<never> {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  const plain = /^([^:]*):([^:]*)$/.exec(text);
  const written = bracketed?.[1] ?? plain?.[1] ?? text;
  const address = parseAddress(written);
  if (address instanceof Refusal) return new Refusal(address.message, address.advice);
  if (bracketed !== null && address.family === 4) return new Refusal('brackets around an IPv4 address', 'brackets are for IPv6: leave them out');
  return { address, port: bracketed?.[2] ?? plain?.[2] };
}

export function withPort(address: Address, port: number): string {
  return address.family === 4 ? `${address.text}:${port}` : `[${address.text}]:${port}`;
}

/** A PA: 192.0.2.11, 127.0.0.1:47011, 2001:db8::1 or [2001:db8::1]:4754. */
export function parseEndpoint(text: string): Endpoint | Refusal<Endpoint> {
  const parts = splitPort(text);
  if (parts instanceof Refusal) return parts;
  const { address } = parts;
  if (parts.port === undefined) return Object.freeze({ text: address.text, address, port: 0 });
  const port = portOf(parts.port);
  if (port > 0) return Object.freeze({ text: withPort(address, port), address, port });
  if (parts.port === '0') return new Refusal('port 0', 'leave the port out when any source port counts');
  return new Refusal('not a port', 'write a number from 1 to 65535');
}

/** One end of a mapping: 203.0.113.10:80, 203.0.113.10:8000-8099, 203.0.113.10 or 203.0.113.0/29. */
export function parseMappingEnd(text: string): MappingEnd | Refusal<MappingEnd> {
  if (text.includes('/')) {
    const prefix = parsePrefix(text);
    return prefix instanceof Refusal ? new Refusal(prefix.message, prefix.advice) : Object.freeze({ prefix, ports: null });
  }
  const parts = splitPort(text);
  if (parts instanceof Refusal) return parts;
  const prefix = hostPrefix(parts.address);
  if (parts.port === undefined) return Object.freeze({ prefix, ports: null });
  const ports = parsePortRange(parts.port);
  return ports instanceof Refusal ? new Refusal(ports.message, `write ${withPort(parts.address, 80)} or ${parts.address.text}:8000-8099`) : Object.freeze({ prefix, ports });
}

/** Where to serve metrics; here port 0 does mean something: a free one. */
export function parseListener(text: string): { readonly listen: Address; readonly port: number } | Refusal<never> {
  const parts = splitPort(text);
  if (parts instanceof Refusal) return parts;
  const port = parts.port === '0' ? 0 : portOf(parts.port ?? '');
  if (port < 0) return new Refusal(parts.port === undefined ? 'an address without a port' : 'not a port', `write ${withPort(parts.address, 9464)}`);
  return Object.freeze({ listen: parts.address, port });
}

/** "22" or "49152-49182". */
export function parsePortRange(text: string): PortRange | Refusal<PortRange> {
  const [first, last, more] = text.split('-').map(part => part.trim());
  const from = portOf(first);
  const to = last === undefined ? from : portOf(last);
  if (from < 0 || to < 0 || more !== undefined) {
    return new Refusal(first === '0' || last === '0' ? 'port 0' : 'not a port or a range of ports', 'write 22 or "49152-49182", from 1 to 65535');
  }
  if (from > to) return new Refusal('a range that runs backwards', `write "${to}-${from}"`);
  return Object.freeze({ from, to });
}

const PLAIN_HOPS = ['nat', 'forward', 'drop'] as const;

export function parseVia(text: string): Via | Refusal<Via> {
  for (const kind of PLAIN_HOPS) if (text === kind) return Object.freeze({ kind });
  const [, kind, rest] = /^(site|ca):(.*)$/.exec(text) ?? [];
  if (kind === 'site') {
    const site = parseName(rest);
    return site instanceof Refusal ? new Refusal('not the name of a site', 'write "site:NAME"') : Object.freeze({ kind, site });
  }
  const address = parseAddress(rest ?? text);
  if (kind === 'ca') {
    return address instanceof Refusal ? new Refusal(`not a next hop: ${address.message}`, 'write "ca:10.0.0.250"') : Object.freeze({ kind, address });
  }
  if (!(address instanceof Refusal)) return new Refusal('an address where a next hop belongs', `write "ca:${text}"`);
  return new Refusal('not a next hop', 'write "nat", "forward", "site:NAME", "ca:ADDRESS" or "drop"');
}

/** An address or a prefix of either family. */
export function parseAddressOrPrefix(text: string): Prefix | Refusal<Prefix> {
  if (text.includes('/')) return parsePrefix(text);
  const address = parseAddress(text);
  return address instanceof Refusal ? new Refusal(address.message, 'write 10.0.0.5, 10.0.0.0/24 or "any"') : hostPrefix(address);
}

/** An end of a rule: an address, a prefix, or the MAC of an adapter. */
export function parseRuleEnd(text: string): Prefix | Mac | Refusal<Prefix | Mac> {
  return MAC.test(text) ? parseMac(text) : parseAddressOrPrefix(text);
}

/** A pool entry may not be wider: a slip in a prefix length should not claim half the Internet. */
const WIDEST_POOL_ENTRY = 65536;

/** One pool entry: an address, a prefix, or a range of addresses; IPv4 only, because NAT is. */
export function parsePoolEntry(text: string): readonly Prefix[] | Refusal<readonly Prefix[]> {
  const dash = text.indexOf('-');
  if (dash < 0) {
    const prefix = parseAddressOrPrefix(text);
    if (prefix instanceof Refusal) {
      return new Refusal(prefix.message, prefix.meant === undefined ? 'write 203.0.113.10, 203.0.113.0/28 or 203.0.113.10-203.0.113.20' : prefix.advice);
    }
    if (prefix.family === 6) return new Refusal('an IPv6 pool', 'NAT is IPv4 only: give IPv4 addresses');
    return 2 ** (128 - prefix.bits) > WIDEST_POOL_ENTRY ? tooWide() : Object.freeze([prefix]);
  }
  const from = parseAddress(text.slice(0, dash).trim());
  const to = parseAddress(text.slice(dash + 1).trim());
  if (from instanceof Refusal || to instanceof Refusal || from.family === 6 || to.family === 6) {
    return new Refusal('not a range of IPv4 addresses', 'write 203.0.113.10-203.0.113.20');
  }
  if (from.words[3] > to.words[3]) return new Refusal('a range that runs backwards', `write ${to.text}-${from.text}`);
  return to.words[3] - from.words[3] >= WIDEST_POOL_ENTRY ? tooWide() : Object.freeze(rangePrefixes(from, to));
}

function tooWide(): Refusal<never> {
  return new Refusal(`more than ${WIDEST_POOL_ENTRY} addresses`, 'a pool entry holds at most a /16');
}

/** The lowest host address, which HNV's router takes by default. */
export function lowestHost(prefix: Prefix): Address {
  // /31 and /127 have no network address (RFC 3021, RFC 6164); elsewhere the lowest is taken (RFC 4291 §2.6.1 for IPv6).
  const step = prefix.bits >= 127 ? 0 : 1;
  const [a, b, c, d] = maskWords(prefix.words, prefix.bits);
  return addressOf([a, b, c, d + step]);
}
