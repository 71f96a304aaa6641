/** Where a worker's datagrams come from: sockets of its own, or the ring that a dispatcher fills for it. */
import type { RemoteInfo } from 'node:dgram';
import type { Gateway } from '../../pipeline/gateway.js';
import type { Policy } from '../../pipeline/policy.js';
import { Reason } from '../../pipeline/reasons.js';
import type { PacketClock } from './clock.js';
import { Intake } from './intake.js';
import type { Bound, Listen, WorkerStart } from './messages.js';
import { Receiver } from './receiver.js';
import { makeSharedSocket } from './reuse-port.js';
import { PeerFinder } from './senders.js';
import { makeSocket } from './sockets.js';

export interface SourceParts {
  readonly start: Pick<WorkerStart, 'index' | 'listen' | 'shared' | 'rings' | 'isLostCounted' | 'receiveBuffer'>;
  readonly gateway: Gateway;
  readonly clock: PacketClock;
  /** A receive socket closed by an error; it is opened again. */
  failed(code: string, listen: Listen): void;
}

export interface Source {
  /** Begin; says what is listened on. Rejects with a sentence when that cannot be. */
  open(): Promise<readonly Bound[]>;
  /** The gateway goes by another policy now, and peers are numbered anew. */
  adopt(policy: Policy): void;
  /** Take nothing more in; resolves when all that was taken in has got its fate. */
  close(): Promise<void>;
  /** Nothing more gets to the gateway, from now on: for whoever cannot wait for `close`. */
  halt(): void;
}

export function makeSource(parts: SourceParts): Source {
  return parts.start.rings === null ? fromSockets(parts) : fromRing(parts, parts.start.rings);
}

function fromSockets({ start, gateway, clock, failed }: SourceParts): Source {
  const senders = new PeerFinder(gateway.context.policy);
  // Node gives each datagram a buffer of its own, so the pipeline may rewrite it in place, and the outlet keep it.
  const deliver = (datagram: Buffer, from: RemoteInfo, { carrier, side }: Listen): void => {
    clock.count();
    gateway.receive(datagram, 0, 0, datagram.length, senders.find(from.address, from.port), carrier, side);
  };
  const receivers = start.listen.map(listen => new Receiver({
    listen, failed, deliver, bufferBytes: start.receiveBuffer, makeSocket: start.shared ? makeSharedSocket : makeSocket,
  }));
  return {
    open: () => Promise.all(receivers.map(receiver => receiver.open())),
    adopt: policy => senders.adopt(policy),
    async close() { for (const receiver of receivers) receiver.close(); },
    halt() {}, // closed sockets deliver nothing
  };
}

function fromRing({ start, gateway, clock }: SourceParts, rings: readonly SharedArrayBuffer[]): Source {
  const { context } = gateway;
  const intake = new Intake({
    rings, queue: start.index,
    // The dispatcher says the address and not the peer, for it knows no policy.
    deliver: (mem, first, at, end, a, b, c, d, port, carrier, side) => {
      clock.count();
      gateway.receive(mem, first, at, end, context.policy.findSender(a, b, c, d, port), carrier, side);
    },
    lost: (mem, at, end) => { if (!start.isLostCounted) gateway.refuse(mem, at, end, Reason.worker_died); },
  });
  return {
    async open() {
      intake.start();
      return [];
    },
    adopt() {},
    close: () => intake.stop(),
    halt: () => intake.halt(),
  };
}
