/**
 * Eight send sockets for one way out, so that the UDP source port carries the flow's entropy. A bundle is shared by all
 * peers of a family and side, or it is connected and one destination's own.
 */
import type { Socket } from 'node:dgram';
import type { Random } from '../../pipeline/random.js';
import { bindSocket, connectSocket, errorCode, sizeBuffer } from './sockets.js';

/** Sockets in a bundle, a power of two. */
export const SOCKETS = 8;
/** Entropy ports: RFC 8086 §3.2.1 and RFC 7348 §5 name the ephemeral range. */
const FIRST_PORT = 49152;
const PORTS = 65536 - FIRST_PORT;
const PORT_TRIES = 64;

export interface Bundle {
  readonly side: number;
  readonly family: 4 | 6;
  /** What peers see as sender: the address that they know as the gateway's PA. */
  readonly address: string;
  readonly connected: boolean;
  readonly sockets: Socket[];
  /** Datagrams that waited in each socket when last sent through; 0 is the truth, more may have gone since. */
  readonly waiting: number[];
  /** Datagrams that ever had to wait in each socket. They leave in the order in which they came. */
  readonly queued: number[];
}

export interface BundleParts {
  readonly side: number;
  readonly family: 4 | 6;
  readonly address: string;
  readonly bufferBytes: number;
  readonly random: Random;
  /** Connect all sockets there. */
  readonly to?: { readonly address: string; readonly port: number } | undefined;
  makeSocket(family: 4 | 6): Socket;
  /** No port was free where we looked; any other was taken. */
  noPort(code: string): void;
  failed(code: string): void;
}

/** Bind, and connect when told to; rejects with all sockets closed. */
export async function openBundle(parts: BundleParts): Promise<Bundle> {
  const { side, family, address, to } = parts;
  const sockets: Socket[] = [];
  try {
    while (sockets.length < SOCKETS) sockets.push(await openSocket(parts));
  } catch (error) {
    for (const socket of sockets) socket.close();
    throw error;
  }
  return { side, family, address, connected: to !== undefined, sockets, waiting: sockets.map(() => 0), queued: sockets.map(() => 0) };
}

async function openSocket(parts: BundleParts): Promise<Socket> {
  const { to } = parts;
  const socket = await bindFree(parts);
  try {
    if (to !== undefined) await connectSocket(socket, to.address, to.port);
  } catch (error) {
    socket.close();
    throw error;
  }
  socket.on('error', error => parts.failed(errorCode(error)));
  sizeBuffer(socket, 'send', parts.bufferBytes);
  return socket;
}

/** Put another socket in place of number `i`, with a port of its own; what waits in the old one is given up. Unless the bundle is closed meanwhile. */
export async function replaceSocket(bundle: Bundle, i: number, parts: BundleParts, isClosed: () => boolean): Promise<void> {
  const socket = await openSocket(parts);
  const unwanted = isClosed() ? socket : bundle.sockets[i];
  if (unwanted !== socket) {
    bundle.sockets[i] = socket;
    bundle.waiting[i] = 0;
  }
  unwanted.close();
}

/** Datagrams that the kernel has not taken yet. */
export function waitingIn({ sockets }: Bundle): number {
  let sum = 0;
  for (const socket of sockets) sum += socket.getSendQueueCount();
  return sum;
}

export function closeBundle({ sockets }: Bundle): void {
  for (const socket of sockets) socket.close();
}

async function bindFree({ family, address, random, makeSocket, noPort }: BundleParts): Promise<Socket> {
  const first = random.next() % PORTS;
  for (let i = 0; ; i++) {
    const socket = makeSocket(family);
    const port = i < PORT_TRIES ? FIRST_PORT + (first + i) % PORTS : 0;
    if (port === 0) noPort('EADDRINUSE');
    try {
      await bindSocket(socket, address, port);
      return socket;
    } catch (error) {
      if (port === 0 || errorCode(error) !== 'EADDRINUSE') throw error;
    }
  }
}
