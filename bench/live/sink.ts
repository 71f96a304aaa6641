/**
 * Where everything ends: a socket whose reader sleeps. Once its buffer is full the kernel throws away all that comes
 * and counts it, so that a datagram is counted without a processor's being lent to whoever counts. Where the kernel
 * does not tell (all but Linux), the thread reads and counts.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { parentPort } from 'node:worker_threads';
import { ADDRESS } from './traffic.js';

export const KERNEL_COUNTS = process.platform === 'linux';
const SMALLEST_BUFFER = 4096;

/** Says its port, and on Linux nothing ever again. */
export async function playSink(data: unknown): Promise<void> {
  const received = new Float64Array(data as SharedArrayBuffer);
  const socket = createSocket('udp4');
  socket.bind(0, ADDRESS);
  await once(socket, 'listening');
  if (KERNEL_COUNTS) socket.setRecvBufferSize(SMALLEST_BUFFER);
  else socket.on('message', () => { received[0]++; });
  parentPort!.postMessage(socket.address().port);
  if (KERNEL_COUNTS) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); // until it is terminated
}
