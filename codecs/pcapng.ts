/**
 * pcapng files (draft-ietf-opsawg-pcapng): blocks, in sections that each choose a byte order.
 *
 *   |  block type  |  total length  |  body, padded to 4 bytes ...  |  total length again  |
 *
 *   section header (SHB)   | byte-order magic | 1, 0 | section length (64) | options
 *   interface (IDB)        | link type, 0 | snaplen | options
 *   packet (EPB)           | interface | time high | time low | captured | original | bytes, padded | options
 *   simple packet (SPB)    | original | bytes, padded
 *   statistics (ISB)       | interface | time high | time low | options
 *   obsolete packet (PB)   as EPB, with interface and drop count 16 bits each
 */
import { get16, get32, get64, put16, put32 } from './byte-order.js';
import type { CaptureInput, CaptureStep } from './capture-input.js';
import { MAX_CAPTURED_LEN, type CaptureInterface, type CaptureRecord } from './capture-record.js';
import { eachOption, OptionCode, OptionList, pad4, readText, type PacketDirection } from './pcapng-options.js';

const BlockType = {
  section: 0x0a0d0d0a, // the same in both orders, so it can be known before the order is
  interface: 1,
  obsoletePacket: 2,
  simplePacket: 3,
  statistics: 5,
  packet: 6,
} as const;

const ORDER_MAGIC = 0x1a2b3c4d;

// Positions from the start of a block, and the length of each block with an empty body.
const TOTAL_LEN = 4;
const BODY = 8;
const MIN_BLOCK_LEN = 12;
const SECTION_MAJOR = 12;
const SECTION_MINOR = 14;
const SECTION_LEN = 16; // of the whole section; -1 for not known
const SECTION_BLOCK_LEN = 28;
const INTERFACE_SNAPLEN = 12;
const INTERFACE_BLOCK_LEN = 20;
const TIME_HIGH = 12;
const TIME_LOW = 16;
const STATISTICS_BLOCK_LEN = 24;
const CAPTURED = 20;
const ORIGINAL = 24;
const PACKET_BLOCK_LEN = 32;
const SIMPLE_BLOCK_LEN = 16;

/** No honest block comes near it (key logs and name tables are skipped but must be held whole). */
const MAX_BLOCK_LEN = 16 * 1024 * 1024;
/** So that a file of nothing but interfaces cannot fill memory. */
const MAX_INTERFACES = 65536;

const MICROS_RESOLUTION = 6;
const NANOS_RESOLUTION = 9;

/** Where in a pcapng file the reader is. */
export type PcapngSection = { number: number; little: boolean; interfaces: CaptureInterface[] };

export function makePcapngSection(): PcapngSection {
  return { number: 0, little: true, interfaces: [] };
}

/** Whether `mem[at..end)` starts a pcapng file, as far as it goes. */
export function isPcapng(mem: Uint8Array, at: number, end: number): boolean {
  const type = new Uint8Array(4);
  put32(type, 0, BlockType.section, true);
  return type.every((byte, i) => at + i >= end || mem[at + i] === byte);
}

/** Read one block. */
export function stepPcapng(input: CaptureInput, section: PcapngSection, out: CaptureRecord): CaptureStep {
  const { mem, at, end } = input;
  if (at === end && input.ended) return 'end';
  if (end - at < MIN_BLOCK_LEN) return input.short('a block', MIN_BLOCK_LEN);

  let { little } = section;
  const type = get32(mem, at, little);
  if (type === BlockType.section) {
    little = get32(mem, at + BODY, true) === ORDER_MAGIC;
    if (get32(mem, at + BODY, little) !== ORDER_MAGIC) return input.fail('bad_block', 'section header without a byte-order magic');
  }

  const len = get32(mem, at + TOTAL_LEN, little);
  if (len > MAX_BLOCK_LEN) return input.fail('bad_length', `block says ${len} bytes; no more than ${MAX_BLOCK_LEN} is credible`);
  if (len < minBlockLen(type) || len % 4 !== 0) return input.fail('bad_length', `block of type ${type} says ${len} bytes, which cannot be`);
  if (end - at < len) return input.short('a block', len);
  const again = get32(mem, at + len - 4, little);
  if (again !== len) return input.fail('bad_length', `block says ${len} bytes at its start and ${again} at its end`);

  const step = readBlock(input, section, type, len, little, out);
  if (step !== 'fault') input.take(len);
  return step;
}

function minBlockLen(type: number): number {
  switch (type) {
    case BlockType.section: return SECTION_BLOCK_LEN;
    case BlockType.interface: return INTERFACE_BLOCK_LEN;
    case BlockType.obsoletePacket:
    case BlockType.packet: return PACKET_BLOCK_LEN;
    case BlockType.simplePacket: return SIMPLE_BLOCK_LEN;
    default: return MIN_BLOCK_LEN;
  }
}

/** The whole block is there and its length is right for its type. Types we do not know are skipped, as the format asks. */
function readBlock(
  input: CaptureInput, section: PcapngSection, type: number, len: number, little: boolean, out: CaptureRecord,
): CaptureStep {
  switch (type) {
    case BlockType.section: return readSection(input, section, little);
    case BlockType.interface: return readInterface(input, section, len);
    case BlockType.packet: return readPacket(input, section, len, get32(input.mem, input.at + BODY, little), out);
    case BlockType.obsoletePacket: return readPacket(input, section, len, get16(input.mem, input.at + BODY, little), out);
    case BlockType.simplePacket: return readSimplePacket(input, section, len, out);
    default: return 'skip';
  }
}

function readSection(input: CaptureInput, section: PcapngSection, little: boolean): CaptureStep {
  const major = get16(input.mem, input.at + SECTION_MAJOR, little);
  const minor = get16(input.mem, input.at + SECTION_MINOR, little);
  if (major !== 1) return input.fail('bad_block', `pcapng version ${major}.${minor}; only 1.x is read`);
  section.number++;
  section.little = little;
  section.interfaces = [];
  return 'skip';
}

function readInterface(input: CaptureInput, section: PcapngSection, len: number): CaptureStep {
  const { mem, at } = input;
  const { little, interfaces } = section;
  if (interfaces.length === MAX_INTERFACES) return input.fail('bad_interface', `more than ${MAX_INTERFACES} interfaces in a section`);

  let name = '';
  let description = '';
  let resolution = MICROS_RESOLUTION;
  let offset = 0n;
  const whole = eachOption(mem, at + INTERFACE_BLOCK_LEN - 4, at + len - 4, little, (code, from, to) => {
    if (code === OptionCode.interfaceName) name = readText(mem, from, to);
    if (code === OptionCode.interfaceDescription) description = readText(mem, from, to);
    if (code === OptionCode.interfaceTsResol && to - from === 1) resolution = mem[from];
    if (code === OptionCode.interfaceTsOffset && to - from === 8) offset = BigInt.asIntN(64, get64(mem, from, little));
  });
  if (!whole) input.warn(`an option of interface ${interfaces.length} runs past its block; it and what follows are ignored`);

  // if_tsresol: the top bit chooses between negative powers of two and of ten.
  const perSecond = ((resolution & 0x80) !== 0 ? 2n : 10n) ** BigInt(resolution & 0x7f);
  interfaces.push({
    id: interfaces.length,
    linkType: get16(mem, at + BODY, little),
    snaplen: get32(mem, at + INTERFACE_SNAPLEN, little),
    name,
    description,
    perSecond,
    perMs: Number(perSecond) / 1000,
    offsetSeconds: Number(offset),
  });
  return 'skip';
}

function readPacket(input: CaptureInput, section: PcapngSection, len: number, id: number, out: CaptureRecord): CaptureStep {
  const { mem, at } = input;
  const { little } = section;
  const source = section.interfaces[id];
  if (source === undefined) return input.fail('bad_interface', noInterface(section, id));
  const captured = get32(mem, at + CAPTURED, little);
  if (captured > MAX_CAPTURED_LEN || captured > len - PACKET_BLOCK_LEN) {
    return input.fail('bad_length', `packet says ${captured} bytes captured, in a block of ${len}`);
  }

  const dataAt = at + PACKET_BLOCK_LEN - 4;
  out.hasTime = true;
  out.seconds = source.offsetSeconds;
  out.ticksHigh = get32(mem, at + TIME_HIGH, little);
  out.ticksLow = get32(mem, at + TIME_LOW, little);
  out.optionsAt = dataAt + pad4(captured);
  out.optionsEnd = at + len - 4;
  return deliver(input, section, source, dataAt, captured, get32(mem, at + ORIGINAL, little), out);
}

/** A simple packet is always interface 0's and gives no captured length: snaplen and original length settle it. */
function readSimplePacket(input: CaptureInput, section: PcapngSection, len: number, out: CaptureRecord): CaptureStep {
  const { mem, at } = input;
  const source = section.interfaces[0];
  if (source === undefined) return input.fail('bad_interface', noInterface(section, 0));
  const original = get32(mem, at + BODY, section.little);
  const captured = source.snaplen === 0 ? original : Math.min(original, source.snaplen);
  if (captured > MAX_CAPTURED_LEN || captured > len - SIMPLE_BLOCK_LEN) {
    return input.fail('bad_length', `simple packet of ${original} bytes, in a block of ${len}`);
  }

  out.hasTime = false;
  out.seconds = out.ticksHigh = out.ticksLow = 0;
  out.optionsAt = out.optionsEnd = at + len - 4;
  return deliver(input, section, source, at + SIMPLE_BLOCK_LEN - 4, captured, original, out);
}

function noInterface(section: PcapngSection, id: number): string {
  return `packet of interface ${id}; section ${section.number} has described ${section.interfaces.length} so far`;
}

/** What all packet blocks have in common. */
function deliver(
  input: CaptureInput, section: PcapngSection, source: CaptureInterface,
  at: number, captured: number, original: number, out: CaptureRecord,
): CaptureStep {
  if (captured > original) input.warn(`captured ${captured} bytes of a packet of ${original}; ${captured} taken for both`);
  out.mem = input.mem;
  out.at = at;
  out.end = at + captured;
  out.originalLen = Math.max(original, captured);
  out.linkType = source.linkType;
  out.interfaceId = source.id;
  out.interface = source;
  out.number = ++input.packets;
  out.section = section.number;
  out.little = section.little;
  return 'record';
}

export type EnhancedPacket = {
  interfaceId: number;
  /** Nanoseconds since the epoch. */
  timeNs: bigint;
  /** The packet is `mem[at..end)`. */
  mem: Uint8Array;
  at: number;
  end: number;
  /** Bytes on the link, when fewer were captured. */
  originalLen?: number | undefined;
  comments?: readonly string[] | undefined;
  flags?: { direction: PacketDirection } | undefined;
  /** The same for one packet seen in several places. */
  packetId?: number | bigint | undefined;
  queue?: number | undefined;
};

/**
 * Writes pcapng, a block a call: a section header, its interfaces (numbered from 0 in order of
 * writing), then packets. Time is in nanoseconds. The same calls give the same bytes.
 */
export class PcapngWriter {
  private readonly little: boolean;

  constructor({ little = true }: { little?: boolean } = {}) {
    this.little = little;
  }

  sectionHeader(about: { userAppl: string; hardware?: string | undefined; os?: string | undefined }): Uint8Array {
    const { little } = this;
    const options = new OptionList(little);
    options.text(OptionCode.sectionHardware, about.hardware);
    options.text(OptionCode.sectionOs, about.os);
    options.text(OptionCode.sectionUserAppl, about.userAppl);
    const to = this.block(BlockType.section, SECTION_BLOCK_LEN, 0, options);
    put32(to, BODY, ORDER_MAGIC, little);
    put16(to, SECTION_MAJOR, 1, little);
    put16(to, SECTION_MINOR, 0, little);
    to.fill(0xff, SECTION_LEN, SECTION_LEN + 8);
    return to;
  }

  interface(about: { name: string; description?: string | undefined; linkType: number; snaplen?: number }): Uint8Array {
    const { little } = this;
    const options = new OptionList(little);
    options.text(OptionCode.interfaceName, about.name);
    options.text(OptionCode.interfaceDescription, about.description);
    options.u8(OptionCode.interfaceTsResol, NANOS_RESOLUTION);
    const to = this.block(BlockType.interface, INTERFACE_BLOCK_LEN, 0, options);
    put16(to, BODY, about.linkType, little);
    put32(to, INTERFACE_SNAPLEN, about.snaplen ?? MAX_CAPTURED_LEN, little);
    return to;
  }

  enhancedPacket(packet: EnhancedPacket): Uint8Array {
    const { little } = this;
    const captured = packet.end - packet.at;
    const options = new OptionList(little);
    for (const comment of packet.comments ?? []) options.text(OptionCode.comment, comment);
    options.flags(packet.flags?.direction);
    options.u64(OptionCode.packetId, packet.packetId);
    options.u32(OptionCode.packetQueue, packet.queue);
    const to = this.block(BlockType.packet, PACKET_BLOCK_LEN, captured, options);
    put32(to, BODY, packet.interfaceId, little);
    this.putTime(to, packet.timeNs);
    put32(to, CAPTURED, captured, little);
    put32(to, ORIGINAL, packet.originalLen ?? captured, little);
    to.set(packet.mem.subarray(packet.at, packet.end), PACKET_BLOCK_LEN - 4);
    return to;
  }

  /** A packet of interface 0, without time. The caller has cut it to that interface's snaplen, if at all. */
  simplePacket(mem: Uint8Array, at: number, end: number, originalLen = end - at): Uint8Array {
    const to = this.block(BlockType.simplePacket, SIMPLE_BLOCK_LEN, end - at, new OptionList(this.little));
    put32(to, BODY, originalLen, this.little);
    to.set(mem.subarray(at, end), SIMPLE_BLOCK_LEN - 4);
    return to;
  }

  /** What an interface saw and lost up to `timeNs`. */
  interfaceStatistics(about: {
    interfaceId: number; timeNs: bigint; received?: number | bigint | undefined; dropped?: number | bigint | undefined;
  }): Uint8Array {
    const options = new OptionList(this.little);
    options.u64(OptionCode.statsReceived, about.received);
    options.u64(OptionCode.statsDropped, about.dropped);
    const to = this.block(BlockType.statistics, STATISTICS_BLOCK_LEN, 0, options);
    put32(to, BODY, about.interfaceId, this.little);
    this.putTime(to, about.timeNs);
    return to;
  }

  /** A block of `fixedLen` bytes and `dataLen` more before its options; zeros but for type, lengths and options. */
  private block(type: number, fixedLen: number, dataLen: number, options: OptionList): Uint8Array {
    const bodyEnd = fixedLen - 4 + pad4(dataLen);
    const to = new Uint8Array(bodyEnd + options.len + 4);
    put32(to, 0, type, this.little);
    put32(to, TOTAL_LEN, to.length, this.little);
    options.write(to, bodyEnd);
    put32(to, to.length - 4, to.length, this.little);
    return to;
  }

  /** One 64-bit count as two words, the high one first in either byte order. */
  private putTime(to: Uint8Array, timeNs: bigint): void {
    const time = timeNs < 0n ? 0n : timeNs;
    put32(to, TIME_HIGH, Number((time >> 32n) & 0xffffffffn), this.little);
    put32(to, TIME_LOW, Number(time & 0xffffffffn), this.little);
  }
}
