/** Sockets of the live benches, all on one loopback address. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { ADDRESS } from './traffic.js';

/** What gateway and baseline get to receive with, bytes: some ten milliseconds' worth, so that what waits in it when a trial ends is little beside the trial. */
export const RECEIVE_BUFFER = 1 << 20;
const SEND_BUFFER = 1 << 20;

/** A socket on a free port. */
export async function openSocket(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('error', () => {}); // nobody there, for instance: the figures show it
  socket.bind(0, ADDRESS);
  await once(socket, 'listening');
  socket.setSendBufferSize(SEND_BUFFER);
  return socket;
}

export function connect(socket: Socket, port: number): Promise<void> {
  return new Promise(resolve => socket.connect(port, ADDRESS, () => resolve()));
}
