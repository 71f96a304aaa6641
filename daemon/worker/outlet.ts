/**
 * Where datagrams leave a worker: a few sockets per address family and side, so that the UDP source port can carry the
 * flow's entropy (RFC 8086 §3.2.1, RFC 7348 §5); for busy destinations, and for slow ones, sockets of their own.
 */
import type { Socket } from 'node:dgram';
import { formatAddress } from '../../config/index.js';
import { GRE_UDP_PORT } from '../../codecs/gre-udp.js';
import { VXLAN_PORT } from '../../codecs/vxlan.js';
import type { Outlet } from '../../pipeline/context.js';
import { Side } from '../../pipeline/packet.js';
import { Encap, PeerKind, type PolicyData } from '../../pipeline/policy.js';
import type { Random } from '../../pipeline/random.js';
import { closeBundle, openBundle, replaceSocket, SOCKETS, waitingIn, type Bundle, type BundleParts } from './bundle.js';
import { Count, sendErrorCell } from './counters.js';
import type { Listen } from './messages.js';
import { ASK_AFTER_ERROR, ASK_MOST, CROWD, MOST_OWN, Promotion, SHARE, type Route } from './promotion.js';
import { errorCode } from './sockets.js';
import { PATIENCE_MS, Unblock } from './unblock.js';

/** Datagrams that may wait for the kernel in one socket; more are not sent. */
const QUEUE_LIMIT = 1024;
/**
 * Of sends that nothing is wrong with, one in so many asks how it fared. Node tells in a later turn, which costs 0.4 µs;
 * without being asked it tells nothing.
 */
const ASK_EVERY = 32;

export interface OutletParts {
  readonly listen: readonly Listen[];
  readonly bufferBytes: number;
  readonly counters: Float64Array;
  readonly random: Random;
  /** Destinations that may have sockets of their own. */
  readonly mostOwn?: number | undefined;
  /** How long a datagram may wait in a shared socket. */
  readonly patienceMs?: number | undefined;
  makeSocket(family: 4 | 6): Socket;
  /** An error of `send` or of a socket, or a port that was not to be had. */
  failed(what: 'send' | 'socket' | 'port', code: string): void;
}

export class SocketOutlet implements Outlet {
  readonly #parts: OutletParts;
  readonly #bundles: Bundle[] = [];
  readonly #promotion: Promotion;
  readonly #unblock: Unblock;
  #closed = false;
  // By peer of the policy in force; and each once, by what makes it another.
  #route: (Route | undefined)[] = [];
  #routes = new Map<string, Route>();

  constructor(parts: OutletParts) {
    this.#parts = parts;
    this.#promotion = new Promotion({
      most: parts.mostOwn ?? MOST_OWN,
      open: (route, connects) => openBundle({ ...this.#opening(route.home), to: connects ? route : undefined, failed: code => this.#failedOn(route, code) }),
      failed: error => parts.failed('socket', errorCode(error)),
    });
    this.#unblock = new Unblock({
      patienceMs: parts.patienceMs ?? PATIENCE_MS,
      replace: (bundle, i) => replaceSocket(bundle, i, this.#opening(bundle), () => this.#closed),
      failed: error => { if (!this.#closed) parts.failed('socket', errorCode(error)); },
    });
  }

  /** Bind all sockets: on the first address of each family and side. */
  async open(): Promise<void> {
    for (const { side, family, address } of this.#parts.listen) {
      if (this.#bundles.some(bundle => bundle.side === side && bundle.family === family)) continue;
      this.#bundles.push(await openBundle(this.#opening({ side, family, address })));
    }
  }

  /** Peers are numbered anew: work out where each is. */
  adopt({ peers }: PolicyData): void {
    const before = this.#routes;
    this.#routes = new Map();
    this.#route = peers.names.map((_name, peer) => {
      const side = peers.kind[peer] === PeerKind.host ? Side.hosts : Side.uplinks;
      const home = this.#bundles.find(b => b.family === peers.family[peer] && (b.side === Side.both || b.side === side));
      if (home === undefined) return undefined;
      const at = peer * 4;
      const address = formatAddress([peers.pa[at], peers.pa[at + 1], peers.pa[at + 2], peers.pa[at + 3]]);
      const port = peers.port[peer] || (peers.encap[peer] === Encap.vxlan ? VXLAN_PORT : GRE_UDP_PORT);
      const key = `${home.side} ${address} ${port}`;
      const route = this.#routes.get(key) ?? before.get(key) ?? this.#makeRoute(address, port, home);
      this.#routes.set(key, route);
      return route;
    });
    for (const [key, route] of before) if (!this.#routes.has(key)) this.#promotion.forget(route);
  }

  send(mem: Uint8Array, at: number, end: number, peer: number, flowHash: number): boolean {
    const { counters } = this.#parts;
    const route = this.#route[peer];
    if (route === undefined) {
      counters[Count.noSocket]++;
      return false;
    }
    if (route.crowded && this.#promotion.isLeaving(route)) {
      counters[Count.queueFull]++;
      return false;
    }
    const { bundle } = route;
    const i = flowHash & (SOCKETS - 1);
    const socket = bundle.sockets[i];
    const { waiting } = bundle;
    const before = waiting[i] === 0 ? 0 : socket.getSendQueueCount();
    const joins = before > 0 && bundle === route.home;
    if (before >= QUEUE_LIMIT || joins && route.waiting >= SHARE) {
      waiting[i] = before;
      counters[Count.queueFull]++;
      return false;
    }
    let datagram = end - at === mem.length ? mem : new Uint8Array(mem.buffer, mem.byteOffset + at, end - at);
    // libuv queues behind what is queued, so this one will wait. It waits in memory of its own size: the caller's may be
    // a slot for the largest packet, and a thousand of those are 64 MiB.
    if (before > 0) datagram = ownCopy(datagram);
    route.sent++;
    const asks = route.asks > 0 || before > 0;
    route.asks = route.asks > 2 - ASK_EVERY ? route.asks - 1 : 1;
    if (joins) {
      socket.send(datagram, route.port, route.address, route.left);
      if (++route.waiting >= CROWD && !route.crowded) this.#promotion.crowd(route);
    } else if (bundle.connected) {
      if (asks) socket.send(datagram, route.told);
      else socket.send(datagram);
    } else if (asks) {
      socket.send(datagram, route.port, route.address, route.told);
    } else {
      socket.send(datagram, route.port, route.address);
    }
    waiting[i] = socket.getSendQueueCount();
    if (waiting[i] === 0) return false;
    counters[Count.queued]++;
    bundle.queued[i]++;
    if (bundle === route.home) route.last[i] = bundle.queued[i];
    return before === 0;
  }

  /** Let busy destinations have sockets of their own, and idle ones lose them; `now` in ms. Call it a few times a second. Without it all share. */
  tick(now: number): void {
    this.#unblock.tick(now, this.#bundles);
    this.#promotion.tick(now, this.#routes);
  }

  /** Destinations that have sockets of their own, now. */
  connected(): number {
    let count = 0;
    for (const route of this.#routes.values()) if (route.bundle.connected) count++;
    return count;
  }

  /** Datagrams that the kernel has not taken yet. */
  pending(): number {
    let sum = this.#promotion.pending();
    for (const bundle of this.#bundles) sum += waitingIn(bundle);
    for (const { own } of this.#routes.values()) if (own !== undefined) sum += waitingIn(own);
    return sum;
  }

  /** The end: what is sent from now on goes nowhere. */
  close(): void {
    this.#closed = true;
    this.#promotion.close(this.#routes);
    for (const bundle of this.#bundles.splice(0)) closeBundle(bundle);
    this.#route = [];
    this.#routes.clear();
  }

  #opening({ side, family, address }: Pick<Bundle, 'side' | 'family' | 'address'>): BundleParts {
    const { random, bufferBytes, makeSocket, failed } = this.#parts;
    return { side, family, address, random, bufferBytes, makeSocket, noPort: code => failed('port', code), failed: code => failed('socket', code) };
  }

  #makeRoute(address: string, port: number, home: Bundle): Route {
    const route: Route = {
      address, port, home, bundle: home, own: undefined, opening: false, gone: false, trouble: false,
      sent: 0, rate: 0, asks: ASK_MOST, waiting: 0, last: home.sockets.map(() => 0), crowded: false, busyAt: 0, stayUntil: 0,
      told: error => { if (error !== null) this.#failedOn(route, errorCode(error)); },
      left: error => {
        route.waiting--;
        route.told(error);
      },
    };
    return route;
  }

  #failedOn(route: Route, code: string): void {
    if (code === 'ECANCELED') { // it waited in a socket that was given up
      this.#parts.counters[Count.queueFull]++;
      return;
    }
    this.#parts.counters[sendErrorCell(code)]++;
    this.#parts.failed('send', code);
    route.asks = ASK_AFTER_ERROR;
    this.#promotion.troubled(route);
  }
}

/** The same bytes in memory that nothing else shares. */
function ownCopy(datagram: Uint8Array): Uint8Array {
  const copy = new Uint8Array(datagram.length);
  copy.set(datagram);
  return copy;
}
