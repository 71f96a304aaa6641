/** A worker without work: takes datagrams out of its ring as a worker does, and forgets them. */
import { parentPort } from 'node:worker_threads';
import { Intake } from '../../daemon/worker/intake.js';

export interface DrainData { readonly rings: readonly SharedArrayBuffer[]; readonly queue: number }

/** Says `ready`. */
export async function playDrain(data: unknown): Promise<void> {
  const { rings, queue } = data as DrainData;
  const intake = new Intake({ rings, queue, deliver() {}, lost() {} });
  intake.start();
  parentPort!.postMessage('ready');
  parentPort!.on('message', () => {}); // a ring that sleeps does not keep a thread
}
