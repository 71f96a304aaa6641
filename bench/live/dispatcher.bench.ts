/** The dispatcher thread alone: datagrams a second into rings that nobody lets fill up, beside a loop that only receives. */
import { startClock } from '../../daemon/worker/clock.js';
import { makeCounters } from '../../daemon/worker/counters.js';
import type { DispatcherStart, FromDispatcher } from '../../daemon/dispatcher/messages.js';
import { slotBytesFor } from '../../pipeline/gateway.js';
import { Indirection, makeIndirection } from '../../pipeline/indirection.js';
import { ledgerBytes } from '../../pipeline/ledger.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { makeRing } from '../../pipeline/ring.js';
import { MICROSOFT_KEY } from '../../pipeline/rss.js';
import type { Effort, Measured } from '../harness.js';
import type { Bench } from '../result.js';
import type { DrainData } from './drain.js';
import { Player, built } from './roles.js';
import { RECEIVE_BUFFER } from './sockets.js';
import { Generator, Loops, flooded, prime, type Counted } from './stage.js';
import { ADDRESS } from './traffic.js';

const SLOTS = 1024;
const MTU = 1500;
/** What is offered: more than either takes, and less than leaves the drains no processor. */
const OFFERED_PPS = 800_000;

/** The daemon's own script, between the sockets and `queues` rings. */
class Dispatcher implements Counted {
  readonly port: number;
  readonly #players: readonly Player[];
  readonly #table: Indirection;

  private constructor(players: readonly Player[], port: number, table: Indirection) {
    this.#players = players;
    this.port = port;
    this.#table = table;
  }

  static async open(queues: number): Promise<Dispatcher> {
    const rings = Array.from({ length: queues }, () => makeRing(SLOTS, slotBytesFor(MTU)));
    const indirection = makeIndirection(queues);
    const start: DispatcherStart = {
      listen: [{ side: Side.both, carrier: Carrier.gre, family: 4, address: ADDRESS, port: 0 }], rings, indirection,
      ledger: new SharedArrayBuffer(ledgerBytes(1)), counters: makeCounters(), key: MICROSOFT_KEY, rebalance: true,
      receiveBuffer: RECEIVE_BUFFER, clock: startClock(),
    };
    const drains = rings.map((_ring, queue) => new Player('drain', { rings, queue } satisfies DrainData));
    await Promise.all(drains.map(drain => drain.hear()));
    const dispatcher = new Player(built('dispatcher.js'), start);
    const said = await dispatcher.hear<FromDispatcher>();
    if (said.type !== 'ready') throw new Error(`the dispatcher is not ready: ${JSON.stringify(said)}`);
    return new Dispatcher([dispatcher, ...drains], said.bound[0].port, new Indirection(indirection));
  }

  count(): number {
    let sum = 0;
    for (let queue = 0; queue < this.#table.queues; queue++) sum += this.#table.queuePackets(queue);
    return sum;
  }

  async close(): Promise<void> {
    await Promise.all(this.#players.map(player => player.close()));
  }
}

async function measure(effort: Effort, queues: number): Promise<Measured> {
  const generator = await Generator.open();
  const loop = await Loops.open(1, 0);
  const dispatcher = await Dispatcher.open(queues);
  const kpps = async (ports: readonly number[], out: Counted): Promise<number> => {
    const path = { generator, from: 'anywhere', ports, out } as const;
    await prime(path);
    return await flooded(path, effort.trialMs, OFFERED_PPS) / 1000;
  };
  try {
    const samples: number[] = [], baseline: number[] = [];
    for (let round = 0; round < effort.rounds; round++) {
      baseline.push(await kpps(loop.ports, loop));
      samples.push(await kpps([dispatcher.port], dispatcher));
    }
    return { samples, heapBytesPerOp: null, baseline: { name: '1 bare receive loop', samples: baseline } };
  } finally {
    await Promise.all([dispatcher.close(), loop.close(), generator.close()]);
  }
}

export const dispatcherBenches: readonly Bench[] = [1, 2].map(queues => ({
  name: `live/dispatcher-thread/${queues}`, unit: 'kpps', target: { of: 'ratio', min: 0.85 },
  what: `the dispatcher thread: datagrams into ${queues} ring${queues > 1 ? 's' : ''} that ${queues > 1 ? 'are' : 'is'} emptied as workers do; baseline: a bare receive loop`,
  measure: effort => measure(effort, queues),
}));
