/** The sink of latency runs: a thread that reads what comes and notes how long it was on its way. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { parentPort } from 'node:worker_threads';
import { ADDRESS, makeClock, sequenceOf, stampOf } from './traffic.js';

/** Cell 0 counts what came; one cell for each number after it: microseconds, or 0 for what has not come. */
export interface EarData { readonly cells: SharedArrayBuffer }

const RECEIVE_BUFFER = 4 << 20;

export function makeEarCells(packets: number): SharedArrayBuffer {
  return new SharedArrayBuffer((packets + 1) * Float64Array.BYTES_PER_ELEMENT);
}

/** Says its port, and `ready` whenever it was told to forget, and did. */
export async function playEar(data: unknown): Promise<void> {
  const control = parentPort!;
  const cells = new Float64Array((data as EarData).cells);
  const clock = makeClock();
  const socket = createSocket('udp4');
  socket.on('message', datagram => {
    const us = clock() - stampOf(datagram);
    const i = sequenceOf(datagram);
    if (i + 1 >= cells.length) return;
    cells[i + 1] = us;
    cells[0]++;
  });
  socket.bind(0, ADDRESS);
  await once(socket, 'listening');
  socket.setRecvBufferSize(RECEIVE_BUFFER);
  control.on('message', () => {
    cells.fill(0);
    control.postMessage('ready');
  });
  control.postMessage(socket.address().port);
}
