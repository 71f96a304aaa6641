/** The bytes of a capture that came and were not read yet, and what there is to say about them. */

/**
 * What a step of reading came to. 'more' asks for bytes; 'skip' (between the reader and its formats
 * only) means something other than a packet was read, so go on.
 */
export type CaptureStatus = 'record' | 'more' | 'end' | 'fault';
export type CaptureStep = CaptureStatus | 'skip';

export type CaptureFaultReason = 'not_a_capture' | 'truncated' | 'bad_block' | 'bad_length' | 'bad_interface';

/** Why reading stopped. `packet` is the one that could not be had; `offset` is the byte in the file where it went wrong. */
export type CaptureFault = {
  readonly packet: number;
  readonly offset: number;
  readonly reason: CaptureFaultReason;
  readonly what: string;
};

/** An oddity that was read all the same. */
export type CaptureWarning = { readonly packet: number; readonly offset: number; readonly what: string };

/** A file that is odd throughout shall not fill memory with warnings. */
export const MAX_WARNINGS = 100;

export class CaptureInput {
  /** Unread bytes are `mem[at..end)`; `mem[at]` is byte `offset` of the file. */
  mem: Uint8Array = new Uint8Array(0);
  at = 0;
  end = 0;
  offset = 0;
  ended = false;
  /** Packets read so far. */
  packets = 0;
  fault: CaptureFault | null = null;
  readonly warnings: CaptureWarning[] = [];
  /** Memory to write in; a chunk that holds all unread bytes is read where it lies. */
  private own: Uint8Array = new Uint8Array(0);

  push(chunk: Uint8Array): void {
    if (this.ended || this.fault !== null || chunk.length === 0) return;
    if (this.at === this.end) {
      this.mem = chunk;
      this.at = 0;
      this.end = chunk.length;
      return;
    }
    this.hold(chunk.length);
    this.mem.set(chunk, this.end);
    this.end += chunk.length;
  }

  /** Bring the unread bytes into memory of our own, with room for `more` after them. */
  hold(more: number): void {
    const { mem, at, end } = this;
    if (mem === this.own && end + more <= mem.length) return;
    const need = end - at + more;
    // Twice what is needed, so that a block arriving byte by byte is not copied at every byte.
    if (need > this.own.length) this.own = new Uint8Array(Math.max(need * 2, 4096));
    if (mem === this.own) mem.copyWithin(0, at, end);
    else this.own.set(mem.subarray(at, end));
    this.mem = this.own;
    this.at = 0;
    this.end = end - at;
  }

  /** Step over `len` bytes that are there. */
  take(len: number): void {
    this.at += len;
    this.offset += len;
  }

  /** There are fewer than `len` bytes: ask for them or, when none will come, say that the file was cut. */
  short(what: string, len: number): 'more' | 'fault' {
    if (!this.ended) return 'more';
    return this.fail('truncated', `${what} takes ${len} bytes, ${this.end - this.at} remain in the file`);
  }

  fail(reason: CaptureFaultReason, what: string): 'fault' {
    this.fault = { packet: this.packets + 1, offset: this.offset, reason, what };
    return 'fault';
  }

  warn(what: string): void {
    if (this.warnings.length < MAX_WARNINGS) this.warnings.push({ packet: this.packets + 1, offset: this.offset, what });
  }
}
