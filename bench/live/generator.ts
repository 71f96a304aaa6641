/** The generator: a thread that sends at a given rate from many ports, and does nothing else meanwhile. */
import type { Socket } from 'node:dgram';
import { parentPort } from 'node:worker_threads';
import { connect, openSocket } from './sockets.js';
import { FLOWS, HOSTS, datagramOf, hostOf, makeClock, stamp } from './traffic.js';

/**
 * `ports`: where to send from now on; several take turns, host by host. `asHosts`: from the ports that were said, which
 * can be aimed once only: Linux gives a socket's port away when it is disconnected. `pps`: packets per second, or Infinity.
 * `stamped`: each packet bears its number, from 0, and its time. `open`: one packet of each of so many flows.
 */
export type ToGenerator =
  | { readonly type: 'aim'; readonly ports: readonly number[]; readonly asHosts: boolean }
  | { readonly type: 'run'; readonly pps: number; readonly ms: number; readonly stamped: boolean }
  | { readonly type: 'open'; readonly pps: number; readonly flows: number };
/** How many left, and how long that took. */
export interface Run { readonly sent: number; readonly ms: number }

/** Packets between two looks at the clock when there is no rate to keep. */
const BURST = 64;
/** Between two bursts when there is one; what the system makes of it is a little more. */
const NAP_MS = 0.05;

/** Says the ports it sends from, then obeys. */
export async function playGenerator(): Promise<void> {
  const control = parentPort!;
  const hosts = await openSockets();
  /** Sockets by what they are aimed at. */
  const aimed = new Map<string, Socket[]>();
  let sockets: Socket[] = [];
  const datagrams = Array.from({ length: FLOWS }, (_, f) => datagramOf(f));
  const clock = makeClock();
  const nap = new Int32Array(new SharedArrayBuffer(4));
  let sequence = 0;

  function run({ pps, ms, stamped }: { pps: number; ms: number; stamped: boolean }): Run {
    if (stamped) sequence = 0;
    const isPaced = Number.isFinite(pps);
    const total = isPaced ? Math.round(pps * ms / 1000) : Infinity;
    const began = performance.now();
    let sent = 0, elapsed = 0;
    while (sent < total && (isPaced || elapsed < ms)) {
      // Behind its time it catches up, as a peer's bursts would; only never beyond the total.
      const due = isPaced ? Math.min(total, Math.floor(elapsed * pps / 1000) + 1) : sent + BURST;
      for (; sent < due; sent++) {
        const f = sequence % FLOWS;
        if (stamped) stamp(datagrams[f], sequence, clock());
        sequence = sequence + 1 >>> 0;
        sockets[hostOf(f)].send(datagrams[f]);
      }
      if (isPaced) Atomics.wait(nap, 0, 0, NAP_MS);
      elapsed = performance.now() - began;
    }
    return { sent, ms: performance.now() - began };
  }

  function open({ pps, flows }: { pps: number; flows: number }): Run {
    const began = performance.now();
    for (let f = 0; f < flows;) {
      const due = Math.min(flows, Math.floor((performance.now() - began) * pps / 1000) + 1);
      for (; f < due; f++) sockets[hostOf(f)].send(datagramOf(f));
      Atomics.wait(nap, 0, 0, NAP_MS);
    }
    return { sent: flows, ms: performance.now() - began };
  }

  control.on('message', (message: ToGenerator) => {
    if (message.type !== 'aim') {
      control.postMessage(message.type === 'run' ? run(message) : open(message));
      return;
    }
    void aim(message.ports, message.asHosts).then(() => control.postMessage('aimed'));
  });

  async function aim(ports: readonly number[], asHosts: boolean): Promise<void> {
    const key = ports.join();
    const known = aimed.get(key);
    sockets = known ?? (asHosts ? hosts : await openSockets());
    if (known !== undefined) return;
    aimed.set(key, sockets);
    await Promise.all(sockets.map((socket, i) => connect(socket, ports[i % ports.length])));
  }
  control.postMessage(hosts.map(socket => socket.address().port));
}

function openSockets(): Promise<Socket[]> {
  return Promise.all(Array.from({ length: HOSTS }, openSocket));
}
