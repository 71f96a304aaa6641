/**
 * Where datagrams leave a worker: a few sockets per address family and side, so that the UDP source port can carry the
 * flow's entropy (RFC 8086 §3.2.1, RFC 7348 §5). What peers see as sender is the address that they know as the gateway's PA.
 */
import type { Socket } from 'node:dgram';
import { formatAddress } from '../../config/index.js';
import { GRE_UDP_PORT } from '../../codecs/gre-udp.js';
import { VXLAN_PORT } from '../../codecs/vxlan.js';
import type { Outlet } from '../../pipeline/context.js';
import { Side } from '../../pipeline/packet.js';
import { Encap, PeerKind, type PolicyData } from '../../pipeline/policy.js';
import type { Random } from '../../pipeline/random.js';
import { Count, sendErrorCell } from './counters.js';
import type { Listen } from './messages.js';
import { bindSocket, errorCode, sizeBuffer } from './sockets.js';

/** Sockets in a bundle, a power of two. */
const SOCKETS = 8;
/** Entropy ports: RFC 8086 §3.2.1 and RFC 7348 §5 name the ephemeral range. */
const FIRST_PORT = 49152;
const PORTS = 65536 - FIRST_PORT;
const PORT_TRIES = 64;
/** Datagrams that may wait for the kernel in one socket; more are not sent. */
const QUEUE_LIMIT = 1024;

/** The sockets of one family and side. */
interface Bundle { readonly side: number; readonly family: 4 | 6; readonly sockets: Socket[]; readonly queued: number[] }

export interface OutletParts {
  readonly listen: readonly Listen[];
  readonly bufferBytes: number;
  readonly counters: Float64Array;
  readonly random: Random;
  makeSocket(family: 4 | 6): Socket;
  /** An error of `send` or of a socket, or a port that was not to be had. */
  failed(what: 'send' | 'socket' | 'port', code: string): void;
}

export class SocketOutlet implements Outlet {
  readonly #parts: OutletParts;
  readonly #bundles: Bundle[] = [];
  // By peer of the policy in force.
  #bundle: (Bundle | undefined)[] = [];
  #address: string[] = [];
  #port: number[] = [];
  // One for all sends: a closure for each would be an allocation for each.
  readonly #sent = (error: Error | null): void => {
    if (error !== null) this.#failed(error);
  };

  constructor(parts: OutletParts) {
    this.#parts = parts;
  }

  /** Bind all sockets: on the first address of each family and side. */
  async open(): Promise<void> {
    for (const { side, family, address } of this.#parts.listen) {
      if (this.#bundles.some(bundle => bundle.side === side && bundle.family === family)) continue;
      const bundle: Bundle = { side, family, sockets: [], queued: [] };
      this.#bundles.push(bundle);
      for (let i = 0; i < SOCKETS; i++) {
        bundle.sockets.push(await this.#openSocket(family, address));
        bundle.queued.push(0);
      }
    }
  }

  /** Peers are numbered anew: work out where each is. */
  adopt({ peers }: PolicyData): void {
    const count = peers.names.length;
    this.#address = [];
    this.#port = [];
    this.#bundle = [];
    for (let peer = 0; peer < count; peer++) {
      const at = peer * 4;
      this.#address.push(formatAddress([peers.pa[at], peers.pa[at + 1], peers.pa[at + 2], peers.pa[at + 3]]));
      this.#port.push(peers.port[peer] || (peers.encap[peer] === Encap.vxlan ? VXLAN_PORT : GRE_UDP_PORT));
      const side = peers.kind[peer] === PeerKind.host ? Side.hosts : Side.uplinks;
      this.#bundle.push(this.#bundles.find(b => b.family === peers.family[peer] && (b.side === Side.both || b.side === side)));
    }
  }

  send(mem: Uint8Array, at: number, end: number, peer: number, flowHash: number): boolean {
    const { counters } = this.#parts;
    const bundle = this.#bundle[peer];
    if (bundle === undefined) {
      counters[Count.noSocket]++;
      return false;
    }
    const i = flowHash & (SOCKETS - 1);
    const socket = bundle.sockets[i];
    const { queued } = bundle;
    const before = queued[i] === 0 ? 0 : socket.getSendQueueCount();
    if (before >= QUEUE_LIMIT) {
      queued[i] = before;
      counters[Count.queueFull]++;
      return false;
    }
    let datagram = Buffer.from(mem.buffer, mem.byteOffset + at, end - at);
    // libuv queues behind what is queued, so this one will wait. It waits in memory of its own size: the caller's may be
    // a slot for the largest packet, and a thousand of those are 64 MiB.
    if (before > 0) datagram = ownCopy(datagram);
    socket.send(datagram, this.#port[peer], this.#address[peer], this.#sent);
    queued[i] = socket.getSendQueueCount();
    if (queued[i] === 0) return false;
    counters[Count.queued]++;
    return before === 0;
  }

  /** Datagrams that the kernel has not taken yet. */
  pending(): number {
    return this.#bundles.reduce((sum, bundle) => sum + bundle.sockets.reduce((n, socket) => n + socket.getSendQueueCount(), 0), 0);
  }

  close(): void {
    for (const { sockets } of this.#bundles) for (const socket of sockets) socket.close();
  }

  async #openSocket(family: 4 | 6, address: string): Promise<Socket> {
    const { random, bufferBytes, failed, makeSocket } = this.#parts;
    const first = random.next() % PORTS;
    for (let i = 0; i <= PORT_TRIES; i++) {
      const socket = makeSocket(family);
      const port = i < PORT_TRIES ? FIRST_PORT + (first + i) % PORTS : 0;
      if (port === 0) failed('port', 'EADDRINUSE');
      try {
        await bindSocket(socket, address, port);
      } catch (error) {
        if (port !== 0 && errorCode(error) === 'EADDRINUSE') continue;
        throw error;
      }
      socket.on('error', error => this.#parts.failed('socket', errorCode(error)));
      sizeBuffer(socket, 'send', bufferBytes);
      return socket;
    }
    throw new Error(`no free port on ${address}`);
  }

  #failed(error: Error): void {
    const code = errorCode(error);
    this.#parts.counters[sendErrorCell(code)]++;
    this.#parts.failed('send', code);
  }
}

/** The same bytes in memory that nothing else shares, Node's pool included. */
function ownCopy(datagram: Buffer): Buffer<ArrayBuffer> {
  const copy = Buffer.allocUnsafeSlow(datagram.length);
  datagram.copy(copy);
  return copy;
}
