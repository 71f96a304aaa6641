/** Config files: the one place that reads them, for every verb. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { readConfig, renderProblem, type Config, type Problem } from '../../config/index.js';

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
  const name = path === '-' ? 'stdin' : path;
  let content: string;
  try {
    content = path === '-' ? await text(process.stdin) : await readFile(path, 'utf8');
  } catch (error) {
    throw new UnreadableFile(`cannot read ${name}: ${whyUnreadable(error)}`);
  }
  return { name, ...readConfig(content, name) };
}

/** Every problem, a line each, and how many there are. */
export function renderProblems({ name, problems }: ConfigFile): string {
  const lines = problems.map(problem => `${renderProblem(name, problem)}\n`);
  return `${lines.join('')}${name}: ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}\n`;
}

const WHY: Record<string, string> = {
  ENOENT: 'there is no such file', EACCES: 'permission denied', EISDIR: 'it is a directory', ENOTDIR: 'part of the path is no directory',
};

function whyUnreadable(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return WHY[code ?? ''] ?? message;
}
