/**
 * Which destinations have sockets of their own. A connected send is 0.4 µs cheaper, as Node formats no address and the
 * kernel looks up no route; but eight sockets a destination do not scale, so the busiest have them, for as long as they
 * are busy and their path reports no errors. And those get them that are slower than what comes for them: in shared
 * sockets, whose room in the kernel they would fill, all others would be as slow as they.
 */
import type { Bundle } from './bundle.js';
import { closeBundle, waitingIn } from './bundle.js';

/** How often traffic is looked at. */
const LOOK_MS = 1000;
/** Datagrams a second that are worth sockets of one's own, and that are not worth keeping them. */
const BUSY = 1000;
const IDLE = 100;
/** RFC 8086 §3.2.1: the source port of a flow should not change more than once every 30 seconds. */
const STAY_MS = 30_000;
/** A path with errors is left alone for so long. */
const AVOID_MS = 60_000;
/** Destinations with sockets of their own, unless told otherwise: 256 descriptors a worker. */
export const MOST_OWN = 32;

/** Sends that ask how they fared: at first and again each second, at least and at most, all destinations together; after an error. */
const ASK_LEAST = 1;
export const ASK_MOST = 64;
const ASK_ALL = 8192;
export const ASK_AFTER_ERROR = 1024;

/** Of one destination's datagrams in shared sockets, how many may wait, and with how many it is crowded. */
export const SHARE = 64;
export const CROWD = 16;

/** One destination. Peers that share address, port and side share it, and it outlives reloads. */
export interface Route {
  readonly address: string;
  readonly port: number;
  /** The sockets that it shares with others. */
  readonly home: Bundle;
  /** Where its datagrams leave now: `home` or `own`. */
  bundle: Bundle;
  own: Bundle | undefined;
  opening: boolean;
  /** No peer is there any more. */
  gone: boolean;
  /** Its own sockets reported an error. */
  trouble: boolean;
  /** Datagrams since the last look, and a second at that look. */
  sent: number;
  rate: number;
  /** Of the next sends, how many ask how they fared; below 0, how many have not asked since. */
  asks: number;
  /** Of its datagrams in the shared sockets, how many wait; not those that found nobody waiting. */
  waiting: number;
  /** Of `home.queued`, by socket: the last that was its own. */
  readonly last: number[];
  /** So many wait that it needs sockets of its own. */
  crowded: boolean;
  /** In ms of the clock: when it last was busy enough to keep its sockets, and until when its ports stay as they are. */
  busyAt: number;
  stayUntil: number;
  /** Given to sends that ask: one for each route, a closure a datagram would be an allocation a datagram. */
  readonly told: (error: Error | null) => void;
  /** Given to those that wait in shared sockets. */
  readonly left: (error: Error | null) => void;
}

export class Promotion {
  readonly #most: number;
  readonly #open: (route: Route, connects: boolean) => Promise<Bundle>;
  readonly #failed: (error: unknown) => void;
  /** Bundles open or being opened. */
  #count = 0;
  #now = 0;
  #lookedAt = 0;
  #closed = false;
  // Sockets of destinations that are gone, with datagrams in them still.
  #leaving: Bundle[] = [];

  constructor(parts: { readonly most: number; open(route: Route, connects: boolean): Promise<Bundle>; failed(error: unknown): void }) {
    this.#most = parts.most;
    this.#open = parts.open;
    this.#failed = parts.failed;
  }

  /** Look at the traffic of the last second, if one has passed. */
  tick(now: number, routes: ReadonlyMap<unknown, Route>): void {
    this.#now = now;
    const elapsed = now - this.#lookedAt;
    if (elapsed >= 0 && elapsed < LOOK_MS) return;
    const first = this.#lookedAt === 0 || elapsed < 0; // a clock that was set back begins anew
    this.#lookedAt = now;
    this.#closeLeaving();
    let active = 0;
    const wanting: Route[] = [], having: Route[] = [];
    for (const route of routes.values()) {
      if (route.sent > 0) active++;
      route.rate = first ? 0 : route.sent * 1000 / elapsed;
      route.sent = 0;
      if (route.rate >= IDLE) route.busyAt = now;
      this.#settle(route);
      if (route.own === undefined && !route.opening && route.waiting === 0) route.crowded = false;
      if (route.own !== undefined) having.push(route);
      else if (!route.opening && (route.crowded || route.rate >= BUSY && now >= route.stayUntil)) wanting.push(route);
    }
    const asks = Math.max(ASK_LEAST, Math.min(ASK_MOST, Math.floor(ASK_ALL / Math.max(1, active))));
    for (const route of routes.values()) route.asks = Math.max(route.asks, asks);
    this.#share(wanting.sort((a, b) => Number(b.crowded) - Number(a.crowded) || b.rate - a.rate), having.sort((a, b) => a.rate - b.rate));
  }

  /** Its own sockets reported an error. ICMP errors fail the next send of a connected socket, so a peer that is there but refuses now and then is better served by the shared ones. */
  troubled(route: Route): void {
    if (route.own?.connected !== true) return;
    route.trouble = true;
    this.#settle(route);
  }

  /** Too many of its datagrams wait in shared sockets. */
  crowd(route: Route): void {
    route.crowded = true;
    route.busyAt = this.#now;
    if (route.own === undefined && !route.opening && this.#count < this.#most) void this.#promote(route);
  }

  /** Its own sockets are there, and it is crowded: until those that wait have left the shared ones, no more may join them. */
  isLeaving(route: Route): boolean {
    this.#settle(route);
    return route.own !== undefined && route.bundle === route.home;
  }

  /** No peer is there any more. */
  forget(route: Route): void {
    route.gone = true;
    if (route.own !== undefined) this.#leaving.push(this.#take(route, route.own));
    this.#closeLeaving();
  }

  /** Datagrams that wait in sockets which no route has any more. */
  pending(): number {
    return this.#leaving.reduce((sum, bundle) => sum + waitingIn(bundle), 0);
  }

  close(routes: ReadonlyMap<unknown, Route>): void {
    this.#closed = true;
    for (const route of routes.values()) if (route.own !== undefined) closeBundle(this.#take(route, route.own));
    for (const bundle of this.#leaving) closeBundle(bundle);
    this.#leaving = [];
  }

  /** Move a route to its own sockets or back, when nothing of it waits in those it leaves: so nothing is overtaken. */
  #settle(route: Route): void {
    const { own, home } = route;
    if (own === undefined) return;
    const back = route.trouble || this.#now - route.busyAt >= STAY_MS;
    if (back && waitingIn(own) === 0) {
      route.stayUntil = this.#now + (route.trouble ? AVOID_MS : STAY_MS);
      closeBundle(this.#take(route, own));
    } else if (!back && route.bundle === home && hasLeft(route)) {
      route.bundle = own;
      route.crowded = false;
      route.stayUntil = this.#now + STAY_MS;
    }
  }

  /** Sockets for those who want some; when there are no more, from those with less than half their traffic, and for the crowded from any. */
  #share(wanting: readonly Route[], having: Route[]): void {
    for (const route of wanting) {
      if (this.#count >= this.#most) {
        const least = having.find(other => other.own !== undefined && this.#now >= other.stayUntil && waitingIn(other.own) === 0);
        if (least?.own === undefined || !route.crowded && least.rate * 2 > route.rate) return;
        least.stayUntil = this.#now + STAY_MS;
        closeBundle(this.#take(least, least.own));
      }
      void this.#promote(route);
    }
  }

  async #promote(route: Route): Promise<void> {
    route.opening = true;
    this.#count++;
    try {
      // Whoever is to stay away from connected sockets for a while, for errors on the path say, has others.
      const bundle = await this.#open(route, this.#now >= route.stayUntil);
      if (route.gone || this.#closed) {
        this.#count--;
        closeBundle(bundle);
        return;
      }
      route.own = bundle;
      route.trouble = false;
      this.#settle(route);
    } catch (error) {
      this.#count--;
      route.stayUntil = this.#now + AVOID_MS;
      if (!this.#closed) this.#failed(error);
    } finally {
      route.opening = false;
    }
  }

  #take(route: Route, own: Bundle): Bundle {
    route.own = undefined;
    route.bundle = route.home;
    route.trouble = false;
    route.crowded = false;
    this.#count--;
    return own;
  }

  #closeLeaving(): void {
    this.#leaving = this.#leaving.filter(bundle => {
      if (waitingIn(bundle) > 0) return true;
      closeBundle(bundle);
      return false;
    });
  }
}

/** None of its datagrams waits in the shared sockets. */
function hasLeft({ home, last }: Route): boolean {
  return home.sockets.every((socket, i) => last[i] === 0 || home.queued[i] - socket.getSendQueueCount() >= last[i]);
}
