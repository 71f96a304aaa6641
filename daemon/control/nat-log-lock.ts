/**
 * Whose a folder is. The system has no lock in Node that goes with the process, but sockets do: while their owner lives they
 * answer, and when it is gone, however that came, they refuse. That holds across containers, where process ids mean nothing.
 *
 * A socket that is left over cannot be taken, only removed, and two who do that at once would remove each other's. So each
 * taker makes one of the next higher number, which only one can, then looks at the lower ones again.
 */
import { readdir, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { isAnswered, listenOn } from './admin-socket.js';

const LOCK = /^lock-(\d{1,9})$/;
/** Others that begin at the same moment are few. */
const TRIES = 20;

/** Take a folder; rejects with a sentence when another daemon has it. Close the server to give it back. */
export async function claimFolder(folder: string): Promise<Server> {
  for (let i = 0; i < TRIES; i++) {
    const before = await locksIn(folder);
    await refuseOwned(folder, before);
    const own = (before.at(-1) ?? 0) + 1;
    const server = createServer(connection => connection.destroy());
    server.unref();
    try {
      await listenOn(server, join(folder, `lock-${own}`));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue; // somebody was faster: is there still?
      throw error;
    }
    const lower = (await locksIn(folder)).filter(number => number < own);
    try {
      await refuseOwned(folder, lower);
    } catch (error) {
      server.close();
      throw error;
    }
    for (const number of lower) await rm(join(folder, `lock-${number}`), { force: true });
    return server;
  }
  throw new Error('other daemons keep taking the folder');
}

async function locksIn(folder: string): Promise<number[]> {
  return (await readdir(folder)).map(name => Number(LOCK.exec(name)?.[1] ?? -1)).filter(number => number >= 0).sort((a, b) => a - b);
}

async function refuseOwned(folder: string, locks: readonly number[]): Promise<void> {
  for (const number of locks) {
    if (await isAnswered(join(folder, `lock-${number}`))) throw new Error(`another daemon writes there (lock-${number} answers); give this one a folder of its own`);
  }
}
