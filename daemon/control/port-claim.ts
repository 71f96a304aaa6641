/**
 * The addresses and ports of a daemon whose workers share them. Sockets that share let in any other of the same user's
 * that share too, so another daemon would get a part of the datagrams, and neither would know. So each address and port
 * is claimed for as long as the daemon lives, by a name that only one process can have.
 */
import { createServer, type Server } from 'node:net';
import type { Listen } from '../worker/messages.js';
import { bindSocket, errorCode, makeSocket } from '../worker/sockets.js';

export interface PortClaim {
  /** What was asked for, with ports that were free in place of 0. */
  readonly listen: readonly Listen[];
  /** Let others have them. */
  release(): void;
}

/** Claim all of `listen` before workers bind it; rejects with a sentence when another program has one of them. */
export async function claimPorts(listen: readonly Listen[]): Promise<PortClaim> {
  const guards: Server[] = [];
  const release = (): void => { for (const guard of guards) guard.close(); };
  const claimed: Listen[] = [];
  try {
    for (const asked of listen) {
      const { address } = asked;
      const socket = makeSocket(asked.family);
      // One that does not share: whoever has the port already keeps it out, sharing or not.
      await bindSocket(socket, address, asked.port);
      const { port } = socket.address();
      try {
        guards.push(await guard(address, port));
      } finally {
        socket.close(); // at once, so that workers can have it
      }
      claimed.push({ ...asked, port });
    }
  } catch (error) {
    release();
    throw error;
  }
  return { listen: claimed, release };
}

/**
 * A unix socket without a file, of Linux, where sockets share: its name is unique in the network namespace and goes with
 * the process, however that ends.
 */
async function guard(address: string, port: number): Promise<Server> {
  const server = createServer(connection => connection.destroy());
  server.unref();
  if (process.platform !== 'linux') return server;
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => {
      const code = errorCode(error);
      const why = code === 'EADDRINUSE' ? 'another causeway is there, or is just about to be' : error.message;
      reject(Object.assign(new Error(`cannot bind ${address} port ${port}: ${why} (${code})`), { code }));
    });
    server.listen(`\0causeway udp ${address} ${port}`, resolve);
  });
  return server;
}
