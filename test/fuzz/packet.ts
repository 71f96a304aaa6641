/**
 * A second opinion on IP packets: the slow and obvious way, sharing nothing with the codecs, so that the fuzzer does not
 * ask the accused.
 */

/** Where the inner IP packet begins, if the headers are as usual: behind NVGRE or VXLAN and Ethernet, or behind GRE with its options. */
export function innerAt(datagram: Uint8Array, carrier: number): number {
  if (carrier === 1 || (datagram[2] === 0x65 && datagram[3] === 0x58)) return 22;
  const flags = datagram[0] ?? 0;
  return 4 + (flags & 0x80 ? 4 : 0) + (flags & 0x20 ? 4 : 0) + (flags & 0x10 ? 4 : 0);
}

function word(mem: Uint8Array, at: number): number {
  return ((mem[at] ?? 0) << 8) | (mem[at + 1] ?? 0);
}

/** One's-complement sum of `mem[at..end)`, RFC 1071 to the letter. */
function sum(mem: Uint8Array, at: number, end: number, seed = 0): number {
  let total = seed;
  for (let i = at; i < end; i += 2) {
    total += i + 1 < end ? word(mem, i) : mem[i] << 8;
    if (total > 0xffff) total -= 0xffff;
  }
  return total;
}

export interface Read {
  readonly family: 4 | 6;
  readonly headerOk: boolean;
  readonly length: number;
  readonly source: string;
  readonly isFragment: boolean;
  readonly protocol: number;
  readonly l4: number;
  /** Of the transport checksum: right, wrong, none (UDP over IPv4), or not to be told (a fragment, an unknown protocol). */
  readonly transport: 'right' | 'wrong' | 'none' | 'unknown';
}

/** Read the packet that starts at `at` and must be there whole; a string says what is wrong with it. */
export function readIp(mem: Uint8Array, at = 0, end = mem.length): Read | string {
  const version = mem[at] >>> 4;
  if (version === 4) return read4(mem, at, end);
  return version === 6 ? read6(mem, at, end) : `version ${version}`;
}

function read4(mem: Uint8Array, at: number, end: number): Read | string {
  const headerLen = (mem[at] & 15) * 4, length = word(mem, at + 2);
  if (headerLen < 20 || length < headerLen || length > end - at) return `IPv4 lengths ${headerLen}, ${length} in ${end - at}`;
  const isFragment = (word(mem, at + 6) & 0x3fff) !== 0;
  const protocol = mem[at + 9], l4 = at + headerLen, l4Len = length - headerLen;
  const pseudo = sum(mem, at + 12, at + 20, 0) + protocol;
  return {
    family: 4, headerOk: sum(mem, at, l4) === 0xffff, length, isFragment, protocol, l4, source: [...mem.subarray(at + 12, at + 16)].join('.'),
    transport: isFragment ? 'unknown' : transport(mem, l4, l4Len, protocol, pseudo % 0xffff || 0xffff, true),
  };
}

function read6(mem: Uint8Array, at: number, end: number): Read | string {
  const payload = word(mem, at + 4);
  if (end - at < 40 || payload > end - at - 40) return `IPv6 payload ${payload} in ${end - at}`;
  const stop = at + 40 + payload;
  let protocol = mem[at + 6], l4 = at + 40, isFragment = false;
  while ([0, 43, 44, 51, 60, 135, 139, 140].includes(protocol)) {
    if (stop - l4 < 8) return 'IPv6 extension header cut';
    const len = protocol === 44 ? 8 : protocol === 51 ? (mem[l4 + 1] + 2) * 4 : (mem[l4 + 1] + 1) * 8;
    const later = protocol === 44 && (word(mem, l4 + 2) & 0xfff8) !== 0;
    if (protocol === 44) isFragment ||= (word(mem, l4 + 2) & 0xfff9) !== 0;
    protocol = mem[l4];
    l4 += len;
    if (l4 > stop) return 'IPv6 extension header cut';
    if (later) break;
  }
  const pseudo = sum(mem, at + 8, at + 40, 0) + protocol;
  return {
    family: 6, headerOk: true, length: 40 + payload, isFragment, protocol, l4, source: Buffer.from(mem.subarray(at + 8, at + 24)).toString('hex'),
    transport: isFragment ? 'unknown' : transport(mem, l4, stop - l4, protocol, pseudo % 0xffff || 0xffff, false),
  };
}

function transport(mem: Uint8Array, l4: number, len: number, protocol: number, pseudo: number, four: boolean): Read['transport'] {
  if (protocol === 17) {
    const own = word(mem, l4 + 4);
    if (len < 8 || own < 8 || own > len) return 'unknown';
    if (word(mem, l4 + 6) === 0 && four) return 'none';
    return sum(mem, l4, l4 + own, (pseudo + own) % 0xffff) === 0xffff ? 'right' : 'wrong';
  }
  if (protocol === 6) return len < 20 ? 'unknown' : sum(mem, l4, l4 + len, (pseudo + len) % 0xffff) === 0xffff ? 'right' : 'wrong';
  if (protocol === 1 && four) return len < 8 ? 'unknown' : sum(mem, l4, l4 + len) === 0xffff ? 'right' : 'wrong';
  if (protocol === 58 && !four) return len < 8 ? 'unknown' : sum(mem, l4, l4 + len, (pseudo + len) % 0xffff) === 0xffff ? 'right' : 'wrong';
  return 'unknown';
}

/** Put right what mutations broke: the total length, the IPv4 header's checksum, the transport's; as far as there is one. */
export function mend(mem: Uint8Array, l3: number, header: boolean, payload: boolean): void {
  const put = (at: number, value: number): void => { mem[at] = value >>> 8; mem[at + 1] = value; };
  const version = (mem[l3] ?? 0) >>> 4;
  if (mem.length - l3 < (version === 4 ? 20 : 40)) return;
  if (version === 4) {
    put(l3 + 2, mem.length - l3);
    const headerLen = (mem[l3] & 15) * 4;
    if (headerLen < 20 || headerLen > mem.length - l3) return;
    if (header) {
      put(l3 + 10, 0);
      put(l3 + 10, ~sum(mem, l3, l3 + headerLen) & 0xffff);
    }
  } else if (version === 6) {
    put(l3 + 4, mem.length - l3 - 40);
  }
  const read = payload ? readIp(mem, l3) : '';
  if (typeof read === 'string' || read.transport !== 'wrong') return;
  const field = read.l4 + (read.protocol === 17 ? 6 : read.protocol === 6 ? 16 : 2);
  // Bring the sum to ffff by the one word that is free.
  const without = read.protocol === 17 ? word(mem, read.l4 + 4) : l3 + read.length - read.l4;
  put(field, 0);
  const pseudo = read.protocol === 1 ? 0 : (sum(mem, l3 + (read.family === 4 ? 12 : 8), l3 + (read.family === 4 ? 20 : 40)) + read.protocol + without) % 0xffff;
  put(field, ~sum(mem, read.l4, read.l4 + without, pseudo) & 0xffff || 0xffff);
}
