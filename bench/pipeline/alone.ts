/**
 * One walk in a thread of its own, to see what a part of the pipeline costs by leaving it out. Were both measured in one
 * thread, V8 would compile their common code for both kinds, and neither would be what runs in a gateway.
 */
import { parentPort } from 'node:worker_threads';
import { Player } from '../live/roles.js';
import { sampleNs, warmUp, type Effort, type Work } from '../harness.js';
import { forgetting, makeBusyWorld, makeRing, through, type WalkName } from './world.js';

export interface AloneData {
  readonly walk: WalkName;
  readonly flows: number;
  readonly len: number;
  readonly rules: number;
  /** Whether the ledger is kept. */
  readonly counts: boolean;
  /** Forget all sessions before each pass, so that every packet is a flow's first. */
  readonly isFirst: boolean;
  readonly effort: Effort;
}

const SESSIONS = 65_536;

/** Says `ready`, then one sample for each thing it is told. */
export async function playAlone(data: unknown): Promise<void> {
  const { effort, ...kind } = data as AloneData;
  const control = parentPort!;
  const work = makeWork(kind, effort);
  warmUp(effort, [work]);
  control.on('message', () => control.postMessage(sampleNs(work, effort.roundMs)));
  control.postMessage('ready');
}

function makeWork({ walk, flows, len, rules, counts, isFirst }: Omit<AloneData, 'effort'>, effort: Effort): Work {
  const world = makeBusyWorld(effort, { rules, sessions: SESSIONS }, counts ? () => {} : ({ gateway: { ledger } }) => {
    // Before anything has run, so that the compiler never sees another kind of ledger.
    Object.assign(ledger, { add() {}, drop() {}, forward() {} });
  });
  const work = through(world, makeRing(world, walk, flows, len));
  return isFirst ? forgetting(world, work) : work;
}

/** Nanoseconds a packet of each of `kinds`, by turns, each in its thread: its samples, a round each. */
export async function measureAlone(effort: Effort, kinds: readonly Omit<AloneData, 'effort'>[]): Promise<number[][]> {
  const players: Player[] = [];
  try {
    for (const data of kinds) {
      const player = new Player('alone', { ...data, effort } satisfies AloneData);
      players.push(player);
      await player.hear(); // one after the other: they would disturb each other
    }
    const samples: number[][] = kinds.map(() => []);
    for (let round = 0; round < effort.rounds; round++) for (const [i, player] of players.entries()) samples[i].push(await player.ask<number>('again'));
    return samples;
  } finally {
    await Promise.all(players.map(player => player.close()));
  }
}
