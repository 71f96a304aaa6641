/** A config for the verbs that work offline, and what the system says about files. */
import type { Config } from '../../config/index.js';
import { Exit, type Io } from './cli.js';
import { readConfigFile, renderProblems } from './config-file.js';

/** The config, or the exit code after every problem in it was printed to standard error. Throws `UnreadableFile`. */
export async function loadConfig(path: string, io: Io): Promise<Config | number> {
  const file = await readConfigFile(path);
  if (file.config !== undefined) return file.config;
  io.err(renderProblems(file));
  return Exit.config;
}

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder', EACCES: 'permission denied', EPERM: 'permission denied', EISDIR: 'it is a directory',
  ENOTDIR: 'part of the path is no directory', ENOSPC: 'the disk is full', EROFS: 'the file system is read-only', EPIPE: 'the reader has gone',
};

/** What the system said about a file, as a sentence. */
export function fileErrorText(error: unknown, path: string): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return `${path}: ${FILE_ERRORS[code ?? ''] ?? message}`;
}
