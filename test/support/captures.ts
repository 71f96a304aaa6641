/** Helpers for tests about capture files, and the making of those in test/fixtures/captures. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CaptureReader, CaptureRecord, readOptions, timeMs, type CaptureFault, type CaptureStatus, type CaptureWarning, type PacketOptions,
} from '../../codecs/capture.js';
import { LinkType } from '../../codecs/link.js';
import { PcapWriter } from '../../codecs/pcap.js';
import { PcapngWriter } from '../../codecs/pcapng.js';
import { bytes, hex } from './bytes.js';

/** One packet, copied out of the reader's mutable record. */
export type Packet = {
  number: number; section: number; interfaceId: number; name: string; linkType: number;
  originalLen: number; data: string; timeNs: bigint; timeMs: number; options: PacketOptions;
};
export type Reading = { packets: Packet[]; status: CaptureStatus; fault: CaptureFault | null; warnings: readonly CaptureWarning[] };

/** Read a capture pushed `chunkLen` bytes at a time, always through the same piece of memory, as a file is read. */
export function readAll(file: Uint8Array, chunkLen = file.length): Reading {
  const reader = new CaptureReader();
  const record = new CaptureRecord();
  const packets: Packet[] = [];
  const chunk = new Uint8Array(chunkLen);
  let given = 0;
  for (;;) {
    const status = reader.next(record);
    if (status === 'record') packets.push(copyOf(record));
    else if (status !== 'more') return { packets, status, fault: reader.fault, warnings: reader.warnings };
    else if (given === file.length) reader.end();
    else {
      const len = Math.min(chunkLen, file.length - given);
      chunk.set(file.subarray(given, given + len));
      reader.push(chunk.subarray(0, len));
      given += len;
    }
  }
}

function copyOf(record: CaptureRecord): Packet {
  return {
    number: record.number,
    section: record.section,
    interfaceId: record.interfaceId,
    name: record.interface.name,
    linkType: record.linkType,
    originalLen: record.originalLen,
    data: hex(record.mem, record.at, record.end),
    timeNs: record.timeNs,
    timeMs: timeMs(record),
    options: readOptions(record),
  };
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** A pcapng block from its body in hex, padded and framed. */
export function block(type: number, body: string, little = true): Uint8Array {
  const data = bytes(body);
  const to = Buffer.alloc(12 + ((data.length + 3) & ~3));
  to.set(data, 8);
  for (const [value, at] of [[type, 0], [to.length, 4], [to.length, to.length - 4]] as const) {
    if (little) to.writeUInt32LE(value, at);
    else to.writeUInt32BE(value, at);
  }
  return new Uint8Array(to);
}

/** Numbers from 0 to 2^32-1 that a seed repeats (xorshift32). */
export function random32(seed: number): () => number {
  let state = (seed | 0) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Whether a program of Wireshark's can be asked for a second opinion here. */
export function installed(program: 'tshark' | 'capinfos'): boolean {
  return spawnSync(program, ['--version']).status === 0;
}

/** Captures from public test suites, kept beside the project on some machines: full paths, or none. */
export function publicCaptures(): string[] {
  const root = fileURLToPath(new URL('../../../shared/captures/', import.meta.url));
  if (!existsSync(root)) return [];
  return (readdirSync(root, { recursive: true }) as string[]).filter(name => /\.(cap|pcap|pcapng)$/.test(name)).sort().map(name => join(root, name));
}

/** An ARP request for 10.0.0.6 from 10.0.0.5. */
export const ARP = bytes('ffffffffffff 00155d000001 0806 0001 0800 06 04 0001 00155d000001 0a000005 000000000000 0a000006');
/** A UDP datagram, 10.0.0.5:4000 to 10.0.0.6:53, of the four bytes "ping", from its IPv4 header. */
export const UDP = bytes('45000020 00010000 401166c2 0a000005 0a000006  0fa00035 000cfd25  70696e67');
const SECOND = 1_000_000_000n;
export const T0 = 1_700_000_000n * SECOND + 123_456_789n;

function plain(little: boolean, nanos: boolean): Uint8Array {
  const writer = new PcapWriter({ little, nanos });
  const ethernet = concat(ARP.subarray(0, 12), bytes('0800'), UDP);
  return concat(
    writer.header(LinkType.ethernet),
    writer.record(ARP, 0, ARP.length, T0),
    writer.record(ethernet, 0, 34, T0 + 1000n, ethernet.length),
    writer.record(ethernet, 0, ethernet.length, T0 + SECOND),
  );
}

/** What `capture` writes: packets with comments, direction, id and queue. */
export function annotated(little: boolean): Uint8Array {
  const writer = new PcapngWriter({ little });
  const frame = { interfaceId: 0, mem: ARP, at: 0, end: ARP.length };
  return concat(
    writer.sectionHeader({ hardware: 'none', os: 'any', userAppl: 'causeway' }),
    writer.interface({ name: 'red', description: 'tenant red', linkType: LinkType.ethernet }),
    writer.interface({ name: 'inet', linkType: LinkType.raw, snaplen: 64 }),
    writer.enhancedPacket({ ...frame, timeNs: T0, comments: ['Größe\nzwei', 'ca_unmapped'], flags: { direction: 'in' }, packetId: 7, queue: 1 }),
    writer.enhancedPacket({ interfaceId: 1, timeNs: T0 + 5n, mem: UDP, at: 0, end: 21, originalLen: UDP.length, flags: { direction: 'out' }, packetId: 7n }),
    writer.simplePacket(ARP, 0, ARP.length),
    writer.interfaceStatistics({ interfaceId: 0, timeNs: T0 + SECOND, received: 3, dropped: 0 }),
  );
}

/** What a writer of ours never makes, but others do: sections of both orders, old blocks, odd clocks. */
export function mixed(): Uint8Array {
  return concat(
    block(0x0a0d0d0a, '1a2b3c4d 0001 0000 ffffffffffffffff', false),
    block(1, '0001 0000 00000000  0002 0004 65746830', false), // eth0, no end mark, microseconds unsaid
    block(0xbad, '0000ffff 01020304', false),
    // raw0: 2^-20 of a second, counted from 1700000000
    block(1, '0065 0000 00040000  0002 0004 72617730  0009 0001 94000000  000e 0008 000000006553f100  0000 0000', false),
    block(6, `00000000 00060a24 18202240 0000002a 0000002a ${hex(ARP)} 0000  0001 0002 68690000  0000 0000`, false),
    block(6, `00000001 00000000 00180000 00000020 00000020 ${hex(UDP)}`, false),
    block(4, '0000 0000', false),
    block(2, `0000 0003 00060a24 18202241 0000000e 0000002a ${hex(ARP, 0, 14)} 0000  0002 0004 00000002`, false),
    block(3, `0000002a ${hex(ARP)}`, false),
    block(0x0a0d0d0a, '4d3c2b1a 0100 0200 ffffffffffffffff', true),
    block(1, '6500 0000 18000000  0900 0100 03000000  0000 0000', true), // milliseconds; 24 bytes of each packet
    block(3, `20000000 ${hex(UDP, 0, 24)}`, true),
    block(6, `00000000 8b010000 7b68e5cf 18000000 20000000 ${hex(UDP, 0, 24)}`, true),
  );
}

/** Every file of test/fixtures/captures, by name. */
export function captureFixtures(): Record<string, Uint8Array> {
  return {
    'three-le-us.pcap': plain(true, false),
    'three-be-us.pcap': plain(false, false),
    'three-le-ns.pcap': plain(true, true),
    'three-be-ns.pcap': plain(false, true),
    'annotated-le.pcapng': annotated(true),
    'annotated-be.pcapng': annotated(false),
    'mixed.pcapng': mixed(),
  };
}
