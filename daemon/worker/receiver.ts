/** A socket to receive on, which is there for as long as the worker: what closes by an error is opened again. */
import type { RemoteInfo, Socket } from 'node:dgram';
import type { Bound, Listen } from './messages.js';
import { bindSocket, errorCode, sizeBuffer } from './sockets.js';

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5000;

export interface ReceiverParts {
  readonly listen: Listen;
  readonly bufferBytes: number;
  makeSocket(family: 4 | 6): Socket;
  deliver(datagram: Buffer, from: RemoteInfo, listen: Listen): void;
  failed(code: string, listen: Listen): void;
}

export class Receiver {
  readonly #parts: ReceiverParts;
  #socket: Socket | undefined;
  #port: number;
  #closed = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
    this.#port = parts.listen.port;
  }

  /** Bind for the first time; rejects when that cannot be. */
  async open(): Promise<Bound> {
    const { listen, bufferBytes, deliver, makeSocket } = this.#parts;
    const socket = makeSocket(listen.family);
    await bindSocket(socket, listen.address, this.#port);
    socket.on('error', error => this.#lost(socket, errorCode(error)));
    sizeBuffer(socket, 'receive', bufferBytes);
    const bound = { ...listen, port: socket.address().port, receiveBuffer: socket.getRecvBufferSize() };
    socket.on('message', (datagram, from) => deliver(datagram, from, bound));
    this.#socket = socket;
    this.#port = bound.port;
    if (this.#closed) this.close();
    return bound;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.#socket = undefined;
  }

  #lost(socket: Socket, code: string): void {
    if (socket !== this.#socket) return;
    this.#parts.failed(code, this.#parts.listen);
    this.#socket = undefined;
    socket.close();
    this.#reopen(FIRST_RETRY_MS);
  }

  #reopen(afterMs: number): void {
    if (this.#closed) return;
    this.#retry = setTimeout(() => {
      this.open().catch((error: unknown) => {
        this.#parts.failed(errorCode(error), this.#parts.listen);
        this.#reopen(Math.min(LONGEST_RETRY_MS, afterMs * 2));
      });
    }, afterMs);
  }
}
