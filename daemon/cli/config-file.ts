/** Config files: the one place that reads them, for every verb. */
import { createReadStream } from 'node:fs';
import { readConfig, renderProblem, type Config, type Problem } from '../../config/index.js';

/** 500,000 records; what is longer is no config, and a device need not end at all. */
const LONGEST = 64 * 1024 * 1024;

/** The file cannot be read at all; the message is a sentence for the operator. */
export class UnreadableFile extends Error {}

export interface ConfigFile {
  /** What to call it in messages. */
  readonly name: string;
  /** Undefined when there are problems. */
  readonly config: Config | undefined;
  readonly problems: readonly Problem[];
}

/** Read and check a config; `-` is standard input. Throws `UnreadableFile`. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  const name = nameOf(path);
  return { name, ...readConfig(await readConfigText(path), name) };
}

/** The text alone. Throws `UnreadableFile`. */
export async function readConfigText(path: string): Promise<string> {
  try {
    return await readAll(path === '-' ? process.stdin : createReadStream(path));
  } catch (error) {
    throw new UnreadableFile(`cannot read ${nameOf(path)}: ${whyUnreadable(error)}`);
  }
}

function nameOf(path: string): string {
  return path === '-' ? 'stdin' : path;
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  let len = 0;
  for await (const chunk of stream) {
    const piece = chunk as Buffer;
    len += piece.length;
    if (len > LONGEST) throw Object.assign(new Error(), { code: 'EFBIG' });
    chunks.push(piece);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Every problem, a line each, and how many there are. */
export function renderProblems({ name, problems }: Pick<ConfigFile, 'name' | 'problems'>): string {
  const lines = problems.map(problem => `${renderProblem(name, problem)}\n`);
  return `${lines.join('')}${name}: ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}\n`;
}

const WHY: Record<string, string> = {
  ENOENT: 'there is no such file', EACCES: 'permission denied', EISDIR: 'it is a directory', ENOTDIR: 'part of the path is no directory',
  EFBIG: 'it is longer than 64 MiB, which no config is',
};

function whyUnreadable(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return WHY[code ?? ''] ?? message;
}
