/**
 * Reads capture files, pcap or pcapng by their first bytes, whole or a chunk at a time:
 *
 *   reader.push(chunk); … reader.end();
 *   while ((status = reader.next(record)) === 'record') …
 *
 * Only bytes not read yet are kept, so a capture larger than memory streams through.
 * Packets before a fault are delivered before the fault is told. Nothing a file holds makes it throw.
 */
import { CaptureInput, type CaptureFault, type CaptureStatus, type CaptureStep, type CaptureWarning } from './capture-input.js';
import type { CaptureRecord } from './capture-record.js';
import { isPcap, readPcapHeader, stepPcap, type PcapFile } from './pcap.js';
import { isPcapng, makePcapngSection, stepPcapng, type PcapngSection } from './pcapng.js';

export { MAX_WARNINGS, type CaptureFault, type CaptureFaultReason, type CaptureStatus, type CaptureWarning } from './capture-input.js';
export { CaptureRecord, MAX_CAPTURED_LEN, timeMs, type CaptureInterface } from './capture-record.js';
export { readOptions, type PacketDirection, type PacketOptions } from './pcapng-options.js';

const MAGIC_LEN = 4;
/** Files that people take for captures, by their first two bytes. */
const LOOKALIKES: Readonly<Record<string, string>> = {
  '1f8b': 'it is compressed with gzip, decompress it first',
  '28b5': 'it is compressed with zstd, decompress it first',
  '0422': 'it is compressed with lz4, decompress it first',
};

export class CaptureReader {
  private readonly input = new CaptureInput();
  private pcap: PcapFile | null = null;
  private pcapng: PcapngSection | null = null;

  /** Why `next` said 'fault', else null. */
  get fault(): CaptureFault | null {
    return this.input.fault;
  }

  /** Oddities read all the same, the first `MAX_WARNINGS` of them. */
  get warnings(): readonly CaptureWarning[] {
    return this.input.warnings;
  }

  /** '' until the first bytes have told. */
  get format(): '' | 'pcap' | 'pcapng' {
    if (this.pcap !== null) return 'pcap';
    return this.pcapng !== null ? 'pcapng' : '';
  }

  /** Give bytes that follow those given before. They must stay as they are until `next` has asked for more. */
  push(chunk: Uint8Array): void {
    this.input.push(chunk);
  }

  /** No bytes will follow; what is pushed after this is not looked at. */
  end(): void {
    this.input.ended = true;
  }

  /** Read the next packet into `out`. 'more' asks for a push or for the end; 'end' and 'fault' are final. */
  next(out: CaptureRecord): CaptureStatus {
    let step: CaptureStep;
    do step = this.step(out); while (step === 'skip');
    if (step === 'more') this.input.hold(0); // so that the caller may read the next chunk into the same memory
    return step;
  }

  private step(out: CaptureRecord): CaptureStep {
    if (this.input.fault !== null) return 'fault';
    if (this.pcapng !== null) return stepPcapng(this.input, this.pcapng, out);
    if (this.pcap !== null) return stepPcap(this.input, this.pcap, out);
    return this.detect();
  }

  private detect(): CaptureStep {
    const { input } = this;
    const { mem, at, end } = input;
    if (end - at < MAGIC_LEN && !input.ended) return 'more';
    if (at === end) return input.short('a capture', MAGIC_LEN);

    if (isPcapng(mem, at, end)) {
      this.pcapng = makePcapngSection();
      return 'skip';
    }
    if (!isPcap(mem, at, end)) return input.fail('not_a_capture', whatInstead(mem.subarray(at, Math.min(end, at + MAGIC_LEN))));
    const file = readPcapHeader(input);
    if (file === 'more' || file === 'fault') return file;
    this.pcap = file;
    return 'skip';
  }
}

function whatInstead(first: Uint8Array): string {
  const start = Buffer.from(first.buffer, first.byteOffset, first.length).toString('hex');
  return `file starts with ${start}, neither pcap nor pcapng; ${LOOKALIKES[start.slice(0, 4)] ?? 'it may be of another kind or damaged'}`;
}
