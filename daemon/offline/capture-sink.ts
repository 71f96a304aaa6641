/**
 * Where a capture is written: a file that appears under its name only when it is whole, a device or pipe, or standard
 * output. Written in pieces; a slow reader slows the writer down.
 */
import { randomBytes } from 'node:crypto';
import { open, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises';

export interface CaptureSink {
  write(pieces: readonly Uint8Array[]): Promise<void>;
  /** All is written: let it be seen. */
  commit(): Promise<void>;
  /** Something failed: leave nothing that looks complete. */
  abort(): Promise<void>;
}

/** `-` is standard output. */
export async function openSink(path: string): Promise<CaptureSink> {
  if (path === '-') return stdoutSink();
  const there = await stat(path).catch(() => null);
  // A pipe or /dev/null must be written to, not replaced.
  if (there !== null && !there.isFile()) return fileSink(await open(path, 'w'), null);
  const target = there === null ? path : await realpath(path);
  const part = `${target}.${randomBytes(4).toString('hex')}.part`;
  return fileSink(await open(part, 'wx'), { part, target });
}

function fileSink(file: FileHandle, names: { part: string; target: string } | null): CaptureSink {
  return {
    async write(pieces) {
      if (pieces.length > 0) await file.writeFile(Buffer.concat(pieces));
    },
    async commit() {
      await file.close();
      if (names !== null) await rename(names.part, names.target);
    },
    async abort() {
      await file.close();
      if (names !== null) await rm(names.part, { force: true });
    },
  };
}

function stdoutSink(): CaptureSink {
  return {
    write(pieces) {
      if (pieces.length === 0) return Promise.resolve();
      return new Promise((resolve, reject) => process.stdout.write(Buffer.concat(pieces), error => (error ? reject(error) : resolve())));
    },
    commit: () => Promise.resolve(),
    abort: () => Promise.resolve(),
  };
}
