/**
 * pcapng options (draft-ietf-opsawg-pcapng §3.5): a list that follows the fixed part of a block.
 *
 *   |  code (16)  | length (16), without padding |  value, padded with zeros to 4 bytes ...
 *
 * A list ends with code 0, or with its block: some writers leave code 0 out, and readers must bear it.
 */
import { get16, get32, get64, put16, put32, put64 } from './byte-order.js';
import type { CaptureRecord } from './capture-record.js';

/** Codes mean different things in different blocks; 0 and 1 are the same in all. */
export const OptionCode = {
  end: 0,
  comment: 1,
  sectionHardware: 2,
  sectionOs: 3,
  sectionUserAppl: 4,
  interfaceName: 2,
  interfaceDescription: 3,
  interfaceTsResol: 9,
  interfaceTsOffset: 14,
  packetFlags: 2,
  packetId: 5,
  packetQueue: 6,
  statsReceived: 4,
  statsDropped: 5,
} as const;

const OPTION_HEADER_LEN = 4;
const MAX_VALUE_LEN = 0xffff;
const DIRECTION_MASK = 3; // of epb_flags: 01 in, 10 out
const DIRECTION_IN = 1;
const DIRECTION_OUT = 2;

export function pad4(len: number): number {
  return (len + 3) & ~3;
}

/**
 * Visit the options in `mem[at..end)` in order, each as its code and the range of its value.
 * Returns false when an option runs past the list; those before it were visited.
 */
export function eachOption(
  mem: Uint8Array, at: number, end: number, little: boolean,
  visit: (code: number, at: number, end: number) => void,
): boolean {
  let next = at;
  while (end - next >= OPTION_HEADER_LEN) {
    const code = get16(mem, next, little);
    const len = get16(mem, next + 2, little);
    next += OPTION_HEADER_LEN;
    if (code === OptionCode.end) return true;
    if (len > end - next) return false;
    visit(code, next, next + len);
    next += pad4(len);
  }
  return true;
}

/** UTF-8 text; a zero byte ends it, though writers should not put one there. */
export function readText(mem: Uint8Array, at: number, end: number): string {
  const zero = mem.subarray(at, end).indexOf(0);
  const len = zero < 0 ? end - at : zero;
  return Buffer.from(mem.buffer, mem.byteOffset + at, len).toString('utf8');
}

export type PacketDirection = 'in' | 'out';

/** What a pcapng packet may carry besides its bytes. */
export type PacketOptions = {
  comments: string[];
  flags?: { direction: PacketDirection };
  packetId?: bigint;
  queue?: number;
};

/** Decode the options of the record just read. Options that are damaged or that we have no use for are left out. */
export function readOptions(record: CaptureRecord): PacketOptions {
  const { mem, little } = record;
  const found: PacketOptions = { comments: [] };
  eachOption(mem, record.optionsAt, record.optionsEnd, little, (code, at, end) => {
    const len = end - at;
    if (code === OptionCode.comment) found.comments.push(readText(mem, at, end));
    if (code === OptionCode.packetFlags && len === 4) {
      const direction = get32(mem, at, little) & DIRECTION_MASK;
      if (direction === DIRECTION_IN) found.flags = { direction: 'in' };
      if (direction === DIRECTION_OUT) found.flags = { direction: 'out' };
    }
    if (code === OptionCode.packetId && len === 8) found.packetId = get64(mem, at, little);
    if (code === OptionCode.packetQueue && len === 4) found.queue = get32(mem, at, little);
  });
  return found;
}

/** Collects the options of one block, to be measured before they are written. */
export class OptionList {
  private readonly entries: { readonly code: number; readonly value: Uint8Array }[] = [];
  constructor(private readonly little: boolean) {}

  /** Text longer than an option can hold is cut, at a whole character. Absent text is no option. */
  text(code: number, value: string | undefined): void {
    if (value === undefined) return;
    const utf8 = Buffer.from(value, 'utf8');
    let len = Math.min(utf8.length, MAX_VALUE_LEN);
    while (len < utf8.length && (utf8[len] & 0xc0) === 0x80) len--; // a continuation byte cannot start what is left out
    this.entries.push({ code, value: utf8.subarray(0, len) });
  }

  u8(code: number, value: number): void {
    this.entries.push({ code, value: Uint8Array.of(value) });
  }

  u32(code: number, value: number | undefined): void {
    if (value === undefined) return;
    const bytes = new Uint8Array(4);
    put32(bytes, 0, value, this.little);
    this.entries.push({ code, value: bytes });
  }

  u64(code: number, value: number | bigint | undefined): void {
    if (value === undefined) return;
    const bytes = new Uint8Array(8);
    put64(bytes, 0, BigInt(value), this.little);
    this.entries.push({ code, value: bytes });
  }

  flags(direction: PacketDirection | undefined): void {
    if (direction === undefined) return;
    this.u32(OptionCode.packetFlags, direction === 'in' ? DIRECTION_IN : DIRECTION_OUT);
  }

  /** Bytes the list takes, its end mark included; an empty list takes none. */
  get len(): number {
    if (this.entries.length === 0) return 0;
    return this.entries.reduce((sum, { value }) => sum + OPTION_HEADER_LEN + pad4(value.length), OPTION_HEADER_LEN);
  }

  /** Write the list at byte `at` of zeroed memory; returns bytes written. */
  write(mem: Uint8Array, at: number): number {
    let next = at;
    for (const { code, value } of this.entries) {
      put16(mem, next, code, this.little);
      put16(mem, next + 2, value.length, this.little);
      mem.set(value, next + OPTION_HEADER_LEN);
      next += OPTION_HEADER_LEN + pad4(value.length);
    }
    return this.len; // the end mark is four zero bytes
  }
}
