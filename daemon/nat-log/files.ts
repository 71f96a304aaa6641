/**
 * The NAT log's folder:
 *
 *   nat-000041.jsonl  nat-000042.jsonl …   the log, from the oldest file to the newest, which is being written
 *   alive                                  a time: all that happened until then is in the log. Gone when the daemon ended as it should
 *   lock-7                                 the socket of the daemon that writes here
 */
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Question, Verdict } from './answers.js';
import { HEAD, parseLine } from './format.js';
import { ipv4Text, time } from './kinds.js';
import { Witness } from './witness.js';

const FILE = /^nat-(\d{6,15})\.jsonl$/;
export const ALIVE = 'alive';

export function fileName(number: number): string {
  return `nat-${String(number).padStart(6, '0')}.jsonl`;
}

/** The number of a file of the log, or -1 for others. */
export function numberOf(name: string): number {
  const digits = FILE.exec(name)?.[1];
  return digits === undefined ? -1 : Number(digits);
}

/** Numbers of the files that there are, oldest first. */
export function numbersIn(names: readonly string[]): number[] {
  return names.map(numberOf).filter(number => number >= 0).sort((a, b) => a - b);
}

/** Nobody writes such lines; what is longer is damage, and need not be held in memory to say so. */
const LONGEST_LINE = 64 * 1024 * 1024;

/** A line and whether it has an end; of one that is too long, its beginning. */
export interface TextLine { readonly text: string; readonly isWhole: boolean }

/** Lines of a file, from the first to the last. Throws what the system says. */
export async function* linesOf(path: string): AsyncGenerator<TextLine> {
  let rest: string[] = [], length = 0, isTooLong = false;
  for await (const chunk of createReadStream(path, { encoding: 'utf8' }) as AsyncIterable<string>) {
    let from = 0;
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', from)) {
      rest.push(chunk.slice(from, end));
      yield { text: rest.length === 1 ? rest[0] : rest.join(''), isWhole: !isTooLong };
      rest = [];
      length = 0;
      isTooLong = false;
      from = end + 1;
    }
    if (from === chunk.length || isTooLong) continue;
    rest.push(chunk.slice(from));
    length += chunk.length - from;
    isTooLong = length > LONGEST_LINE;
  }
  if (rest.length > 0) yield { text: rest.join(''), isWhole: false };
}

/** Ask the log in this folder. Throws what the system says about the folder or a file. */
export async function askLog(folder: string, question: Question, now: number): Promise<Verdict> {
  const witness = new Witness(question);
  const address = `"${ipv4Text(question.address)}"`;
  let done = -1;
  for (;;) {
    // While it is read the daemon may begin another file, and remove the oldest.
    const left = numbersIn(await readdir(folder)).filter(number => number > done);
    if (left.length === 0) break;
    for (const number of left) {
      await readOne(folder, number, done >= 0 && number !== done + 1, address, witness);
      done = number;
    }
  }
  if (done < 0) return { verdict: 'unknown', answers: [], notes: [`there is no NAT log in ${folder}`] };
  return witness.finish(await readAlive(folder), now);
}

async function readOne(folder: string, number: number, isAfterGap: boolean, address: string, witness: Witness): Promise<void> {
  const name = fileName(number);
  let missing = isAfterGap ? 'files of the log are missing' : undefined;
  let count = 0;
  try {
    for await (const { text, isWhole } of linesOf(join(folder, name))) {
      count++;
      if (text === '') continue;
      const [, at, type] = HEAD.exec(text) ?? [];
      // Most lines are about blocks, and most of those about others'.
      if (isWhole && missing === undefined && (type === 'allocate' || type === 'release') && text.endsWith('}') && !text.includes(address)) {
        witness.pass(time.read(at));
        continue;
      }
      const line = isWhole ? parseLine(text) : 'damaged';
      const where = `${name}:${count}`;
      if (line === 'unknown') {
        witness.note(`${where} is of a type that this Causeway does not know`);
      } else if (line === 'damaged') {
        witness.note(isWhole ? `${where} cannot be read, and is passed over` : `${where} has no end, torn or being written, and is passed over`);
        missing ??= 'lines cannot be read';
      } else {
        // What a daemon that died has torn is none of what it said was written down.
        if (missing !== undefined && line.type !== 'start') witness.missing(line.time, missing);
        missing = undefined;
        witness.take(line, where);
      }
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    witness.note(`${name} went while it was to be read`);
  }
}

/** What the daemon said last, or null. */
export async function readAlive(folder: string): Promise<number | null> {
  try {
    return time.read((await readFile(join(folder, ALIVE), 'utf8')).trim()) ?? null;
  } catch {
    return null;
  }
}
