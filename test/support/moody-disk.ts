/** A real disk with moods: full, slow, writing less than asked for. */
import { realDisk, type Disk, type LogFile } from '../../daemon/control/nat-log-disk.js';

export class MoodyDisk implements Disk {
  /** What every write and opening fails with; null for none. */
  failsWith: string | null = null;
  /** Bytes that one write takes at most. */
  most = Infinity;
  /** Writes do not come back until `release`. */
  #stuck: (() => void)[] | null = null;
  writes = 0;

  hold(): void { this.#stuck ??= []; }
  release(): void {
    const waiting = this.#stuck ?? [];
    this.#stuck = null;
    for (const go of waiting) go();
  }

  makeFolder(path: string): Promise<void> { return realDisk.makeFolder(path); }
  list(folder: string): Promise<string[]> { return realDisk.list(folder); }
  idOf(path: string): Promise<string> { return realDisk.idOf(path); }
  put(path: string, text: string): Promise<void> { return realDisk.put(path, text); }
  remove(path: string): Promise<void> { return realDisk.remove(path); }

  async open(path: string): Promise<LogFile> {
    this.#fail();
    const file = await realDisk.open(path);
    return {
      id: file.id, size: file.size, isTorn: file.isTorn, sync: () => file.sync(), close: () => file.close(),
      write: async bytes => {
        this.writes++;
        const stuck = this.#stuck;
        if (stuck !== null) await new Promise<void>(resolve => stuck.push(resolve));
        this.#fail();
        return file.write(bytes.subarray(0, this.most));
      },
    };
  }

  #fail(): void {
    if (this.failsWith !== null) throw Object.assign(new Error(`${this.failsWith}: the disk's mood`), { code: this.failsWith });
  }
}
