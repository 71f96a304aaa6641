/** Where a worker's datagrams come from: sockets of its own, or the ring that a dispatcher fills for it. */
import type { RemoteInfo } from 'node:dgram';
import { Intake } from './intake.js';
import type { Bound, Listen, WorkerStart } from './messages.js';
import { Receiver } from './receiver.js';
import { makeSharedSocket } from './reuse-port.js';
import { makeAddressReader } from './senders.js';
import { makeSocket } from './sockets.js';

export interface SourceParts {
  readonly start: Pick<WorkerStart, 'index' | 'listen' | 'shared' | 'rings' | 'isLostCounted' | 'receiveBuffer'>;
  /** `mem[start..at)` may be overwritten; a, b, c, d are the sender's address, all -1 when it has none that we know. */
  deliver(mem: Uint8Array, start: number, at: number, end: number, a: number, b: number, c: number, d: number, port: number, carrier: number, side: number): void;
  /** This datagram was in hand when the worker before us died. */
  lost(mem: Uint8Array, at: number, end: number): void;
  /** A receive socket closed by an error; it is opened again. */
  failed(code: string, listen: Listen): void;
  /** Datagrams that the kernel has not taken yet. */
  pending(): number;
}

export interface Source {
  /** Begin; says what is listened on. Rejects with a sentence when that cannot be. */
  open(): Promise<readonly Bound[]>;
  /** The outlet keeps `mem`, which may be that of the datagram in hand. */
  keep(mem: Uint8Array): void;
  /** Take nothing more in; resolves when all that was taken in has got its fate. */
  close(): Promise<void>;
}

export function makeSource(parts: SourceParts): Source {
  return parts.start.rings === null ? fromSockets(parts) : fromRing(parts, parts.start.rings);
}

function fromSockets({ start, deliver, failed }: SourceParts): Source {
  const wordsOf = makeAddressReader();
  // Node gives each datagram a buffer of its own, so the pipeline may rewrite it in place, and the outlet keep it.
  const take = (datagram: Buffer, from: RemoteInfo, { carrier, side }: Listen): void => {
    const words = wordsOf(from.address);
    if (words === undefined) deliver(datagram, 0, 0, datagram.length, -1, -1, -1, -1, from.port, carrier, side);
    else deliver(datagram, 0, 0, datagram.length, words[0], words[1], words[2], words[3], from.port, carrier, side);
  };
  const receivers = start.listen.map(listen => new Receiver({
    listen, failed, deliver: take, bufferBytes: start.receiveBuffer, makeSocket: start.shared ? makeSharedSocket : makeSocket,
  }));
  return {
    open: () => Promise.all(receivers.map(receiver => receiver.open())),
    keep() {},
    async close() { for (const receiver of receivers) receiver.close(); },
  };
}

function fromRing({ start, deliver, lost, pending }: SourceParts, rings: readonly SharedArrayBuffer[]): Source {
  const intake = new Intake({ rings, queue: start.index, deliver, lost: start.isLostCounted ? () => {} : lost, pending });
  return {
    async open() {
      intake.start();
      return [];
    },
    keep(mem) { if (mem === intake.mem) intake.keep(); },
    close: () => intake.stop(),
  };
}
