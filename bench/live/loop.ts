/** The baseline: a thread that receives datagrams and sends each on as it is, with nothing in between. */
import { createSocket, type SocketOptions } from 'node:dgram';
import { once } from 'node:events';
import { parentPort } from 'node:worker_threads';
import { RECEIVE_BUFFER, connect, openSocket } from './sockets.js';
import { ADDRESS } from './traffic.js';

/** `shares`: the port is one that other loops have as well. `sendTo` 0: it only counts, in `count`. */
export interface LoopData { readonly port: number; readonly shares: boolean; readonly sendTo: number; readonly count: SharedArrayBuffer }

/** As many as a worker of the gateway has towards a peer. */
const SEND_SOCKETS = 8;

/** Says its port when it is there. */
export async function playLoop(data: unknown): Promise<void> {
  const { port, shares, sendTo, count } = data as LoopData;
  const socket = createSocket({ type: 'udp4', ...(shares ? { reusePort: true } : {}) } as SocketOptions);
  socket.bind({ port, address: ADDRESS, exclusive: !shares });
  await once(socket, 'listening');
  socket.setRecvBufferSize(RECEIVE_BUFFER);
  if (sendTo === 0) {
    const received = new Float64Array(count);
    socket.on('message', () => {
      received[0]++;
    });
  } else {
    const senders = await Promise.all(Array.from({ length: SEND_SOCKETS }, openSocket));
    await Promise.all(senders.map(sender => connect(sender, sendTo)));
    let turn = 0;
    socket.on('message', datagram => {
      turn = turn + 1 & SEND_SOCKETS - 1;
      senders[turn].send(datagram);
    });
  }
  parentPort!.postMessage(socket.address().port);
}
