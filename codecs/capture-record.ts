/** What every capture format is read into: one packet, and the interface it was seen on. */

/** More than any link carries. A longer record is a damaged length, and nobody should hold its bytes to find out. */
export const MAX_CAPTURED_LEN = 262144;

/** Where packets of a capture were seen, and how it counts time. */
export type CaptureInterface = {
  /** Number within its section; 0 in a pcap file. */
  readonly id: number;
  readonly linkType: number;
  /** Longest packet kept, bytes; 0 means whole packets. */
  readonly snaplen: number;
  /** '' when the file gives none, as pcap never does. */
  readonly name: string;
  readonly description: string;
  /** Clock ticks in a second, and in a millisecond. */
  readonly perSecond: bigint;
  readonly perMs: number;
  /** Seconds that every timestamp lacks (if_tsoffset). */
  readonly offsetSeconds: number;
};

const NOWHERE: CaptureInterface = {
  id: 0, linkType: 0, snaplen: 0, name: '', description: '', perSecond: 1n, perMs: 0.001, offsetSeconds: 0,
};

/** What `CaptureReader.next` found. Make one and hand it to every call; it holds until the next call or push. */
export class CaptureRecord {
  /** The captured bytes are `mem[at..end)`. */
  mem: Uint8Array = new Uint8Array(0);
  at = 0;
  end = 0;
  /** Bytes of the packet on its link, of which the capture may have kept fewer. */
  originalLen = 0;
  linkType = 0;
  interfaceId = 0;
  interface = NOWHERE;
  /** Packets count from 1 over the whole file, sections from 1; a pcap file is one section. */
  number = 0;
  section = 0;

  /** Time as the file has it: `seconds` since the epoch plus high:low ticks of the interface's clock. */
  hasTime = false;
  seconds = 0;
  ticksHigh = 0;
  ticksLow = 0;

  /** Undecoded pcapng options at `mem[optionsAt..optionsEnd)`; `readOptions` decodes them. */
  optionsAt = 0;
  optionsEnd = 0;
  little = true;

  /** Nanoseconds since the epoch, or -1n where the format has no time. Computed on asking: bigints are dear. */
  get timeNs(): bigint {
    if (!this.hasTime) return -1n;
    const ticks = (BigInt(this.ticksHigh) << 32n) | BigInt(this.ticksLow);
    return BigInt(this.seconds) * 1_000_000_000n + (ticks * 1_000_000_000n) / this.interface.perSecond;
  }
}

/** Milliseconds since the epoch, as good as a float can say it (a quarter microsecond); -1 where there is no time. */
export function timeMs(record: CaptureRecord): number {
  if (!record.hasTime) return -1;
  const ticks = record.ticksHigh * 0x1_0000_0000 + record.ticksLow;
  return record.seconds * 1000 + ticks / record.interface.perMs;
}
