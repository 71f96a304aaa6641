/** A thread of the storm on connections: opens, finds, moves and ends the same few as all others, as fast as it can. */
import { parentPort, workerData } from 'node:worker_threads';
import { Connections, type ConnectionSizes, type Ends } from '../../../pipeline/tables/connections.js';
import { seeded } from '../../support/seeded.js';

export interface ConnectionStormStart { readonly memory: SharedArrayBuffer; readonly sizes: ConnectionSizes; readonly worker: number; readonly seed: number; readonly rounds: number; readonly go: Int32Array }
export interface ConnectionStormReport { readonly adds: number; readonly removes: number; readonly refused: number; readonly wrong: readonly string[] }

/** Flow `i` of so many. Its rule says which it is, for whoever finds it. */
export function stormEnds(i: number): Ends {
  return { protocol: 6, localPort: i, remotePort: 80, adapter: 0, local0: 0, local1: 0, local2: 0xffff, local3: 0x0a000000 | i, remote0: 0, remote1: 0, remote2: 0xffff, remote3: 7 };
}

if (parentPort !== null && workerData !== null) {
  const { memory, sizes, worker, seed, rounds, go } = workerData as ConnectionStormStart;
  const connections = new Connections(memory, sizes, worker + 1), random = seeded(seed), wrong: string[] = [];
  let adds = 0, removes = 0, refused = 0;
  parentPort.postMessage('ready');
  Atomics.wait(go, 0, 0);
  for (let round = 0; round < rounds; round++) {
    const i = random.below(2 * sizes.connections), tenant = 1 + i % sizes.tenants;
    const at = connections.enter(tenant, 0, stormEnds(i));
    if (at >= 0) {
      if (connections.rule(at) !== i || connections.tenantOf(at) !== tenant) wrong.push(`flow ${i} says ${connections.rule(at)}`);
      if (random.below(2) === 0) {
        connections.remove(at);
        removes++;
      } else {
        connections.move(at, 1 + random.below(11));
        connections.touch(at, round);
      }
    } else if (connections.add(tenant, 0, stormEnds(i), 1, true, 1, i, 60, round) < 0) {
      refused++;
    } else {
      adds++;
    }
    connections.leave();
  }
  parentPort.postMessage({ adds, removes, refused, wrong: wrong.slice(0, 10) } satisfies ConnectionStormReport);
}
