/**
 * Shared sockets in which datagrams wait for too long are given up for new ones, with what waits in them. Somebody's path
 * takes next to nothing, and has filled the kernel's buffer of the socket; until it has room again, which may be never,
 * nothing would leave by it for anybody. Given up rather than overtaken, so that flows stay in order.
 */
import type { Bundle } from './bundle.js';

/** How long a datagram may wait: so long at least, and twice that at most. */
export const PATIENCE_MS = 200;

export interface UnblockParts {
  readonly patienceMs: number;
  replace(bundle: Bundle, i: number): Promise<void>;
  failed(error: unknown): void;
}

export class Unblock {
  readonly #parts: UnblockParts;
  /** By bundle and socket: of `queued`, how many there were at the last look. */
  readonly #seen = new Map<Bundle, number[]>();
  readonly #replacing = new Set<number[]>();
  #lookedAt = 0;

  constructor(parts: UnblockParts) {
    this.#parts = parts;
  }

  /** `now` in ms. */
  tick(now: number, bundles: readonly Bundle[]): void {
    const elapsed = now - this.#lookedAt;
    if (elapsed >= 0 && elapsed < this.#parts.patienceMs) return;
    this.#lookedAt = now;
    for (const bundle of bundles) void this.#look(bundle);
  }

  /** Replace, one after the other, those in which what had come by the last look has not left. */
  async #look(bundle: Bundle): Promise<void> {
    const seen = this.#seen.get(bundle) ?? bundle.queued.map(() => 0);
    if (this.#replacing.has(seen)) return;
    this.#seen.set(bundle, seen);
    const stuck = bundle.sockets.flatMap((socket, i) => seen[i] > 0 && bundle.queued[i] - socket.getSendQueueCount() < seen[i] ? [i] : []);
    bundle.queued.forEach((queued, i) => { seen[i] = queued; });
    if (stuck.length === 0) return;
    this.#replacing.add(seen);
    try {
      for (const i of stuck) await this.#parts.replace(bundle, i);
    } catch (error) {
      this.#parts.failed(error);
    } finally {
      this.#replacing.delete(seen);
    }
  }
}
