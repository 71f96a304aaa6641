/** The admin socket's place in the file system: where it is by default, and who may take it. */
import { accessSync, constants, existsSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const SYSTEM_DIR = '/run/causeway';
/** Owner only: whoever may connect may see every tenant. */
const UMASK = 0o177;

/** What sockaddr_un holds; Node 20 cuts a longer path off without a word. */
const LONGEST_PATH = process.platform === 'linux' ? 107 : 103;

/** Where a daemon puts its socket when the config does not say, best first. */
export function defaultSockets(): string[] {
  const { XDG_RUNTIME_DIR: runtime } = process.env;
  const own = join(tmpdir(), `causeway-${process.getuid?.() ?? 0}.sock`);
  return [...(runtime ? [join(runtime, 'causeway.sock')] : []), join(SYSTEM_DIR, 'causeway.sock'), own];
}

/** The first of them that this process may create. */
export function chooseSocket(): string {
  if (process.getuid?.() === 0 && existsSync(dirname(SYSTEM_DIR))) mkdirSync(SYSTEM_DIR, { recursive: true, mode: 0o755 });
  return defaultSockets().find(path => isWritable(dirname(path))) ?? defaultSockets()[0];
}

/** The one to ask when nobody says which: the first that is there. */
export function findSocket(): string | undefined {
  return defaultSockets().find(path => existsSync(path));
}

/** Listen on `path`. A socket that nobody answers on is left over and goes; anything else there is refused. */
export async function claimSocket(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > LONGEST_PATH) throw new Error(`admin socket ${path}: longer than ${LONGEST_PATH} bytes, which is all that a socket's path may have`);
  try {
    await listenOn(server, path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE') throw new Error(`admin socket ${path}: ${message}`);
    if (!lstatSync(path).isSocket()) throw new Error(`admin socket ${path}: something else is there`);
    if (await isAnswered(path)) throw new Error(`admin socket ${path}: another daemon answers there; give this one its own, gateway.admin.socket`);
    unlinkSync(path);
    await listenOn(server, path);
  }
}

/** Listen where nothing is; rejects with what the system says. */
export function listenOn(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The socket is made within `listen`, so nobody sees it with wider permissions.
    const before = process.umask(UMASK);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

/** Whether somebody listens there. */
export function isAnswered(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const probe = connect(path);
    probe.once('connect', () => { probe.destroy(); resolve(true); });
    // Only a refusal says that nobody is there.
    probe.once('error', error => resolve((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED'));
  });
}

function isWritable(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
