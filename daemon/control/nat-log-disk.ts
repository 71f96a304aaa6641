/** What the NAT log needs of a file system. Tests have others, that are slow or full. */
import { constants } from 'node:fs';
import { mkdir, open, readdir, rm, stat, writeFile } from 'node:fs/promises';

export interface LogFile {
  readonly id: string;
  /** Bytes in it when it was opened, and whether the last of them ends a line. */
  readonly size: number;
  readonly isTorn: boolean;
  /** Returns how many of them were written, from the first on. */
  write(bytes: Uint8Array): Promise<number>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface Disk {
  makeFolder(path: string): Promise<void>;
  list(folder: string): Promise<string[]>;
  /** For appending; made if it is not there. */
  open(path: string): Promise<LogFile>;
  /** Which file is there; empty for none. */
  idOf(path: string): Promise<string>;
  /** Replaces what a small file holds, in place where it is as long. */
  put(path: string, text: string): Promise<void>;
  remove(path: string): Promise<void>;
}

/** Who reads the log is in the folder's group. */
const FOLDER_MODE = 0o750, FILE_MODE = 0o640;
const LINE_FEED = 10;

export const realDisk: Disk = {
  async makeFolder(path) {
    await mkdir(path, { recursive: true, mode: FOLDER_MODE });
  },
  list: folder => readdir(folder),
  async open(path) {
    const handle = await open(path, 'a+', FILE_MODE);
    const { size, dev, ino } = await handle.stat();
    const last = new Uint8Array(1);
    if (size > 0) await handle.read(last, 0, 1, size - 1);
    return {
      id: `${dev} ${ino}`, size, isTorn: size > 0 && last[0] !== LINE_FEED,
      write: async bytes => (await handle.write(bytes)).bytesWritten,
      sync: () => handle.datasync(),
      close: () => handle.close(),
    };
  },
  async idOf(path) {
    try {
      const { dev, ino } = await stat(path);
      return `${dev} ${ino}`;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw error;
    }
  },
  async put(path, text) {
    // Not cut off first: a full disk must not leave it empty, and who reads it meanwhile shall find a time.
    await writeFile(path, text, { mode: FILE_MODE, flag: constants.O_WRONLY | constants.O_CREAT });
  },
  async remove(path) {
    await rm(path, { force: true });
  },
};
