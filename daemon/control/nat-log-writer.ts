/**
 * Writes lines to files, one after the other, and lets nobody wait for it: what cannot be written yet stays in memory, up to a
 * bound, and beyond that is lost and counted. One write is on its way at a time, and nothing here is done by a timer: whoever
 * has it calls `tick`.
 */
import { join } from 'node:path';
import { ALIVE, fileName, numbersIn } from '../nat-log/files.js';
import { isoTime } from '../nat-log/kinds.js';
import type { Disk, LogFile } from './nat-log-disk.js';

/** Text that may wait, in characters, unless told otherwise. */
const MOST_WAITING = 4 * 1024 * 1024;
/** Written in one go, at least one line. */
const AT_ONCE = 64 * 1024;
/** After an error. */
const RETRY_MS = 1000;
/** How often it is said that all is written down, and looked whether the file is still there. */
const BEAT_MS = 10_000;

export type Why = 'size' | 'lost' | 'removed';

export interface WriterParts {
  readonly disk: Disk;
  readonly folder: string;
  readonly maxBytes: number;
  readonly files: number;
  readonly mostWaiting?: number | undefined;
  /** All that is in force, in lines with their feeds, made as it is written; before it, what was lost. */
  snapshot(why: Why, lost: Lost | null): Iterable<string>;
  /** The line about what was lost until `time`. */
  lostLine(lost: Lost, time: number): string;
  failed(error: NodeJS.ErrnoException): void;
  /** No more can wait, and from now on lines are lost. */
  losing(): void;
  /** It goes on; so many lines were lost. */
  recovered(lost: number): void;
  removed(file: string): void;
}

/** So many lines, the first of them at `since`. */
export interface Lost { readonly lines: number; readonly since: number }

export class LogWriter {
  /** Lines written, and lines lost. */
  lines = 0;
  lost = 0;
  /** What the system said last, until it goes on. */
  failing: string | null = null;
  readonly #parts: WriterParts;
  #number = 0;
  #file: LogFile | null = null;
  /** Bytes of the file; of its head, and where that began. */
  #bytes = 0;
  #headBytes = 0;
  #headFrom = 0;
  /** Why there will be another file, or the head is said again. */
  #why: Why = 'size';
  /** All that is in force is to be said when nothing waits any more: before, lines of what is over would come after it. */
  #due: { readonly why: Why; readonly lost: Lost | null } | null = null;
  /** The rest of that; what waits meanwhile goes behind it. */
  #source: Iterator<string> | null = null;
  #isHead = false;
  #waiting: string[] = [];
  #waitingLength = 0;
  /** Encoded, and not written yet; so many lines. */
  #rest: Uint8Array | null = null;
  #restLines = 0;
  /** No line is taken before all that waits is written: there must be no other hole in the log than the one that is told of. */
  #isLosing = false;
  /** Lines lost since then that have not been told of, the first of them when; and all of this time. */
  #missing = 0;
  #missingSince = 0;
  #missingInAll = 0;
  #busy: Promise<void> | null = null;
  /** By the last tick: ms that never step; and the time of the log, until which all that happened has been appended. */
  #now = 0;
  #time = 0;
  #retryAt = -Infinity;
  #beatAt = -Infinity;
  /** Lines since the file was last seen to be there, and when that was. */
  #unseen = 0;
  #seenAt = 0;
  /** Only what waits is still written; not even that. */
  #isEnding = false;
  #isClosed = false;

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  get file(): string { return fileName(this.#number); }
  /** At which the file is followed by another, when nothing waits. */
  get #limit(): number { return Math.max(this.#parts.maxBytes, 2 * this.#headBytes); }
  /** Lines that wait. */
  get waiting(): number { return this.#waiting.length + this.#restLines; }

  /** Begin with these lines, where the files that are there end. Rejects with what the system says. */
  async begin(source: Iterable<string>, time: number): Promise<void> {
    const { disk, folder, maxBytes } = this.#parts;
    const last = numbersIn(await disk.list(folder)).at(-1) ?? 1;
    await this.#open(last);
    if (this.#bytes >= maxBytes) {
      await this.#file?.close();
      await this.#open(last + 1);
    }
    this.#time = this.#seenAt = time;
    this.#say(source);
  }

  /** A line, with its feed, of something that happened at `time`. */
  append(line: string, time: number): void {
    const { mostWaiting = MOST_WAITING, losing } = this.#parts;
    if (!this.#isLosing && this.#waiting.length > 0 && this.#waitingLength + line.length > mostWaiting) {
      this.#isLosing = true;
      this.#missingInAll = 0;
      losing();
    }
    if (!this.#isLosing) {
      this.#push(line);
      return;
    }
    if (this.#missing++ === 0) this.#missingSince = time;
    this.#missingInAll++;
    this.lost++;
  }

  /** The line of a clock that was set, at what it called `was`: never lost, for without it no time before and after could be told apart. */
  appendClock(line: string, was: number): void {
    if (this.#missing > 0) this.#push(this.#parts.lostLine(this.#takeMissing(), was));
    this.#push(line);
  }

  /** The last line of all. */
  appendLast(line: string, time: number): void {
    this.appendClock(line, time);
    this.#isLosing = false;
  }

  #push(line: string): void {
    this.#waiting.push(line);
    this.#waitingLength += line.length;
  }

  #takeMissing(): Lost {
    const lost = { lines: this.#missing, since: this.#missingSince };
    this.#missing = 0;
    return lost;
  }

  /** Time goes by, `now` in ms, and all that happened until `time` has been appended: write what waits. Call it often. */
  tick(now: number, time: number): void {
    this.#now = now;
    this.#time = time;
    if (this.#busy !== null || this.#isClosed || (this.failing !== null && now < this.#retryAt)) return;
    this.#busy = this.#work().finally(() => { this.#busy = null; });
  }

  /** Resolves when no write is on its way. */
  async idle(): Promise<void> {
    await this.#busy;
  }

  /** End without another word. */
  async abandon(): Promise<void> {
    this.#isClosed = true;
    await this.#busy;
    await this.#file?.close();
  }

  /** Write all and end; false when that could not be done in time, and then it looks as if the daemon had died. */
  async close(withinMs: number): Promise<boolean> {
    let late: NodeJS.Timeout | undefined;
    const isLate = new Promise<false>(resolve => { late = setTimeout(() => resolve(false), withinMs); });
    const isDone = await Promise.race([this.#finish(), isLate]);
    clearTimeout(late);
    this.#isClosed = true;
    return isDone;
  }

  /** Never rejects. */
  async #finish(): Promise<boolean> {
    await this.#busy;
    this.#isEnding = true;
    await this.#work();
    const file = this.#file;
    if (this.failing === null && file !== null) {
      try {
        await file.sync();
        await this.#parts.disk.remove(join(this.#parts.folder, ALIVE));
      } catch (error) {
        this.failing = errorText(error);
      }
    }
    await file?.close().catch(() => {});
    return this.failing === null && file !== null;
  }

  /** Never rejects. */
  async #work(): Promise<void> {
    try {
      while (await this.#step());
      if (this.failing !== null) this.#recover(0);
    } catch (error) {
      this.#retryAt = this.#now + RETRY_MS;
      this.failing = errorText(error);
      this.#parts.failed(error as NodeJS.ErrnoException);
    }
  }

  /** One thing to do; false when there is none. */
  async #step(): Promise<boolean> {
    if (this.#isClosed) return false;
    if (this.#file === null) {
      await this.#next();
      return true;
    }
    if (this.#rest === null) this.#gather();
    if (this.#rest !== null) {
      const written = await this.#file.write(this.#rest);
      this.#bytes += written;
      this.#rest = written < this.#rest.length ? this.#rest.subarray(written) : null;
      if (this.#rest === null) await this.#wrote();
      return true;
    }
    if (this.#due !== null) {
      this.#say(this.#parts.snapshot(this.#due.why, this.#due.lost));
      this.#due = null;
      return true;
    }
    if (this.#isLosing) {
      this.#isLosing = false;
      this.#due = { why: 'lost', lost: this.#missing > 0 ? this.#takeMissing() : null };
      this.#recover(this.#missingInAll);
      return true;
    }
    if (this.#isEnding) return false;
    if (this.#bytes >= this.#limit) {
      await this.#leave('size');
      return true;
    }
    if (this.#now - this.#beatAt >= BEAT_MS) {
      this.#beatAt = this.#now;
      await this.#beat();
      return true;
    }
    return false;
  }

  /** Fill `#rest`, if there is anything. */
  #gather(): void {
    let text = '', lines = 0;
    while (this.#source !== null && text.length < AT_ONCE) {
      const { done, value } = this.#source.next();
      if (done === true) this.#source = null;
      else {
        text += value;
        lines++;
      }
    }
    if (this.#source === null) {
      let taken = 0;
      while (taken < this.#waiting.length && text.length < AT_ONCE) {
        text += this.#waiting[taken];
        this.#waitingLength -= this.#waiting[taken++].length;
      }
      this.#waiting.splice(0, taken);
      lines += taken;
    }
    if (lines === 0) return;
    this.#rest = Buffer.from(text);
    this.#restLines = lines;
  }

  async #wrote(): Promise<void> {
    this.lines += this.#restLines;
    this.#unseen += this.#restLines;
    this.#restLines = 0;
    if (this.#source !== null) return;
    if (this.#isHead) {
      // Whatever the oldest file knew that still holds has been said again.
      this.#isHead = false;
      this.#headBytes = this.#bytes - this.#headFrom;
      await this.#removeOldest();
    }
  }

  #recover(lost: number): void {
    this.failing = null;
    this.#parts.recovered(lost);
  }

  /** All that waited is written: say so, and see whether the file is still there. */
  async #beat(): Promise<void> {
    const { disk, folder } = this.#parts;
    const time = this.#time;
    if (await disk.idOf(join(folder, this.file)) !== this.#file?.id) {
      this.#parts.removed(this.file);
      await this.#leave('removed');
      return;
    }
    if (this.#unseen > 0) await this.#file?.sync();
    this.#unseen = 0;
    this.#seenAt = time;
    await disk.put(join(folder, ALIVE), `${isoTime(time)}\n`);
  }

  async #leave(why: Why): Promise<void> {
    const file = this.#file;
    this.#file = null;
    this.#why = why;
    try {
      if (why === 'size') await file?.sync();
    } finally {
      await file?.close();
    }
  }

  /** Another file, with its head. */
  async #next(): Promise<void> {
    const { disk, folder } = this.#parts;
    await disk.makeFolder(folder);
    await this.#open(Math.max(this.#number, numbersIn(await disk.list(folder)).at(-1) ?? 0) + 1);
    // What went into a file that was removed is gone with it, as far as anybody knows.
    const lost = this.#why === 'removed' && this.#unseen > 0 ? { lines: this.#unseen, since: this.#seenAt } : null;
    this.lost += lost?.lines ?? 0;
    this.#unseen = 0;
    this.#due = { why: this.#why, lost };
    if (this.#why === 'removed') {
      this.#beatAt = -Infinity; // who had the folder away took the sign of life with it
      this.#recover(lost?.lines ?? 0);
    }
  }

  /** Before all that waits: lines that make the head of the file, or what stands for one. */
  #say(source: Iterable<string>): void {
    this.#source = source[Symbol.iterator]();
    this.#isHead = true;
    this.#headFrom = this.#bytes;
  }

  async #open(number: number): Promise<void> {
    const { disk, folder } = this.#parts;
    this.#file = await disk.open(join(folder, fileName(number)));
    this.#number = number;
    this.#bytes = this.#file.size;
    this.#headBytes = 0;
    // Whoever died here may have left half a line.
    if (this.#file.isTorn) this.#rest = Buffer.from('\n');
  }

  async #removeOldest(): Promise<void> {
    const { disk, folder, files } = this.#parts;
    const numbers = numbersIn(await disk.list(folder)).filter(number => number <= this.#number);
    for (const number of numbers.slice(0, Math.max(0, numbers.length - files))) await disk.remove(join(folder, fileName(number)));
  }
}

function errorText(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
