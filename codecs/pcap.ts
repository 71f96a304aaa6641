/**
 * pcap files (draft-ietf-opsawg-pcap): one header, then records, all in the byte order of the magic.
 *
 *   file    | magic | 2, 4 | 0 | 0 | snaplen | FCS, link type |
 *   record  | seconds | micro- or nanoseconds | captured length | original length | bytes ... |
 */
import { get16, get32, put16, put32 } from './byte-order.js';
import type { CaptureInput, CaptureStep } from './capture-input.js';
import { MAX_CAPTURED_LEN, type CaptureInterface, type CaptureRecord } from './capture-record.js';

/** The first bytes of a file say its byte order and its fraction of a second. */
const MAGICS = [
  { bytes: [0xd4, 0xc3, 0xb2, 0xa1], little: true, nanos: false },
  { bytes: [0xa1, 0xb2, 0xc3, 0xd4], little: false, nanos: false },
  { bytes: [0x4d, 0x3c, 0xb2, 0xa1], little: true, nanos: true },
  { bytes: [0xa1, 0xb2, 0x3c, 0x4d], little: false, nanos: true },
] as const;
const VERSION_MAJOR = 4; // u16: 2
const VERSION_MINOR = 6; // u16: 4
const SNAPLEN = 16;
const LINK_TYPE = 20; // low 16 bits; the rest tells of an FCS
export const PCAP_HEADER_LEN = 24;

const SECONDS = 0; // unsigned, so it wraps in 2106
const FRACTION = 4;
const CAPTURED = 8;
const ORIGINAL = 12;
export const PCAP_RECORD_LEN = 16;

/** What the header of a pcap file settles for all its records. */
export type PcapFile = { readonly little: boolean; readonly interface: CaptureInterface };

/** Whether `mem[at..end)` starts a pcap file, as far as it goes. */
export function isPcap(mem: Uint8Array, at: number, end: number): boolean {
  return magicOf(mem, at, end) !== undefined;
}

function magicOf(mem: Uint8Array, at: number, end: number): (typeof MAGICS)[number] | undefined {
  return MAGICS.find(({ bytes }) => bytes.every((byte, i) => at + i >= end || mem[at + i] === byte));
}

/** Read the header of a pcap file, or return what there is instead of one. */
export function readPcapHeader(input: CaptureInput): PcapFile | 'more' | 'fault' {
  const { mem, at, end } = input;
  if (end - at < PCAP_HEADER_LEN) return input.short('a pcap header', PCAP_HEADER_LEN);
  const magic = magicOf(mem, at, end);
  if (magic === undefined) return input.fail('not_a_capture', 'no pcap magic');

  const { little, nanos } = magic;
  const major = get16(mem, at + VERSION_MAJOR, little);
  const minor = get16(mem, at + VERSION_MINOR, little);
  if (major !== 2) return input.fail('not_a_capture', `pcap version ${major}.${minor}; only 2.4 is read`);
  if (minor !== 4) input.warn(`pcap version 2.${minor}, read as 2.4`);

  const source: CaptureInterface = {
    id: 0,
    linkType: get32(mem, at + LINK_TYPE, little) & 0xffff,
    snaplen: get32(mem, at + SNAPLEN, little),
    name: '',
    description: '',
    perSecond: nanos ? 1_000_000_000n : 1_000_000n,
    perMs: nanos ? 1e6 : 1e3,
    offsetSeconds: 0,
  };
  input.take(PCAP_HEADER_LEN);
  return { little, interface: source };
}

/** Read one record. */
export function stepPcap(input: CaptureInput, file: PcapFile, out: CaptureRecord): CaptureStep {
  const { mem, at, end } = input;
  const { little } = file;
  if (at === end && input.ended) return 'end';
  if (end - at < PCAP_RECORD_LEN) return input.short('a record header', PCAP_RECORD_LEN);
  const captured = get32(mem, at + CAPTURED, little);
  if (captured > MAX_CAPTURED_LEN) {
    return input.fail('bad_length', `record says ${captured} bytes captured; no more than ${MAX_CAPTURED_LEN} is credible`);
  }
  const len = PCAP_RECORD_LEN + captured;
  if (end - at < len) return input.short(`a record of ${captured} captured bytes`, len);

  const original = get32(mem, at + ORIGINAL, little);
  if (captured > original) input.warn(`captured ${captured} bytes of a packet of ${original}; ${captured} taken for both`);
  const fraction = get32(mem, at + FRACTION, little);
  if (fraction >= file.interface.perSecond) input.warn(`${fraction} is a second or more, where a fraction of one belongs; added all the same`);

  out.mem = mem;
  out.at = at + PCAP_RECORD_LEN;
  out.end = at + len;
  out.originalLen = Math.max(original, captured);
  out.linkType = file.interface.linkType;
  out.interfaceId = 0;
  out.interface = file.interface;
  out.number = ++input.packets;
  out.section = 1;
  out.hasTime = true;
  out.seconds = get32(mem, at + SECONDS, little);
  out.ticksHigh = 0;
  out.ticksLow = fraction;
  out.optionsAt = out.optionsEnd = out.end; // pcap has none
  out.little = little;
  input.take(len);
  return 'record';
}

/** Writes pcap, one piece a call: the header, then records. Little endian with nanoseconds unless told. */
export class PcapWriter {
  private readonly little: boolean;
  private readonly nanos: boolean;

  constructor({ little = true, nanos = true }: { little?: boolean; nanos?: boolean } = {}) {
    this.little = little;
    this.nanos = nanos;
  }

  header(linkType: number, snaplen = MAX_CAPTURED_LEN): Uint8Array {
    const { little } = this;
    const to = new Uint8Array(PCAP_HEADER_LEN);
    to.set(MAGICS.find(magic => magic.little === little && magic.nanos === this.nanos)!.bytes);
    put16(to, VERSION_MAJOR, 2, little);
    put16(to, VERSION_MINOR, 4, little);
    put32(to, SNAPLEN, snaplen, little);
    put32(to, LINK_TYPE, linkType, little);
    return to;
  }

  /** The packet `mem[at..end)`, copied behind its header. `timeNs` is since the epoch; -1n, no time, is written as 0. */
  record(mem: Uint8Array, at: number, end: number, timeNs: bigint, originalLen = end - at): Uint8Array {
    const { little } = this;
    const time = timeNs < 0n ? 0n : timeNs;
    const nanos = Number(time % 1_000_000_000n);
    const to = new Uint8Array(PCAP_RECORD_LEN + end - at);
    put32(to, SECONDS, Number(BigInt.asUintN(32, time / 1_000_000_000n)), little);
    put32(to, FRACTION, this.nanos ? nanos : Math.floor(nanos / 1000), little);
    put32(to, CAPTURED, end - at, little);
    put32(to, ORIGINAL, originalLen, little);
    to.set(mem.subarray(at, end), PCAP_RECORD_LEN);
    return to;
  }
}
