import t from 'tap';
import { ENTRIES, Indirection, makeIndirection } from '../../pipeline/indirection.js';
import { Balancer, evacuate, queueLoads, rebalance, type Move } from '../../pipeline/rebalance.js';
import { seeded, type Seeded } from '../support/seeded.js';

const table = (queues: number): number[] => Array.from({ length: ENTRIES }, (_, i) => i % queues);
const all = (queues: number): boolean[] => new Array<boolean>(queues).fill(true);
const moved = (before: readonly number[], moves: readonly Move[]): number[] => {
  const after = [...before];
  for (const { entry, to } of moves) after[entry] = to;
  return after;
};
/** Loads as traffic has them: many mice, a few elephants, and entries without any. */
function drawLoad(random: Seeded): number[] {
  return Array.from({ length: ENTRIES }, () => {
    const kind = random.below(10);
    return kind === 0 ? random.below(100_000) : kind < 3 ? 0 : random.below(2000);
  });
}

t.test('a new table says i mod queues, and counts what goes where', async t => {
  const memory = makeIndirection(3);
  const one = new Indirection(memory), two = new Indirection(memory);
  t.same(Array.from({ length: ENTRIES }, (_, entry) => two.queueOf(entry)), table(3));
  one.count(4, 1, false);
  one.count(4, 1, true);
  one.move(4, 2);
  t.equal(two.queues, 3);
  t.equal(two.queueOf(4), 2);
  t.same([two.entryPackets(4), two.queuePackets(1), two.queueDrops(1), two.queuePackets(2), two.moves], [2, 1, 1, 0, 1]);
});

t.test('one move mends what one move can: the entry nearest to half the difference', async t => {
  const load = new Array<number>(ENTRIES).fill(0);
  load[0] = 500; load[2] = 300; load[4] = 200; load[1] = 400; // 1000 on queue 0, 400 on queue 1
  t.same(rebalance(load, table(2), all(2)), [{ entry: 2, from: 0, to: 1 }]);
});

t.test('an elephant alone on its queue stays, and so does one that would only swap the roles', async t => {
  const load = new Array<number>(ENTRIES).fill(0);
  load[0] = 10_000;
  t.same(rebalance(load, table(2), all(2)), []);
  load[1] = 3000;
  t.same(rebalance(load, table(2), all(2)), []);
  load[2] = 1500;
  t.same(rebalance(load, table(2), all(2)), [{ entry: 2, from: 0, to: 1 }], 'its company goes');
});

t.test('random loads: moves name what is there, nothing gets worse, a second look finds nothing, and they are few', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  for (let round = 0; round < 2000; round++) {
    const queues = 2 + random.below(7);
    const alive = all(queues).map((_, queue) => queue < 2 || random.below(5) > 0);
    const load = drawLoad(random);
    const start = moved(table(queues), evacuate(load, table(queues), alive)).map(queue => random.below(4) === 0 ? 0 : queue);
    const moves = rebalance(load, start, alive);
    const after = moved(start, moves);
    const living = (sums: number[]): number[] => sums.filter((_, queue) => alive[queue]);
    const before = living(queueLoads(load, start, queues)), now = living(queueLoads(load, after, queues));
    const wrong = moves.some(({ entry, from, to }) => from === to || !alive[to] || start[entry] !== from)
      || Math.max(...now) > Math.max(...before) || Math.min(...now) < Math.min(...before)
      || rebalance(load, after, alive).length > 0
      || moves.length > ENTRIES / 2;
    if (wrong) t.fail(`round ${round}: ${JSON.stringify({ load, start, alive, moves, before, now })}`);
    if (moves.length !== new Set(moves.map(({ entry }) => entry)).size) t.fail(`round ${round}: entries go to and fro`);
  }
  t.pass('2,000 tables');
});

t.test('the entries of a dead queue go to the living, the heaviest to the least loaded; with nobody left they stay', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  for (let round = 0; round < 500; round++) {
    const queues = 2 + random.below(7), dead = random.below(queues);
    const alive = all(queues).map((_, queue) => queue !== dead);
    const load = drawLoad(random);
    const moves = evacuate(load, table(queues), alive);
    const sums = queueLoads(load, moved(table(queues), moves), queues);
    t.same(moves.map(({ entry }) => entry).sort((a, b) => a - b), table(queues).flatMap((queue, entry) => queue === dead ? [entry] : []));
    if (sums[dead] !== 0) t.fail('something is left');
  }
  const idle = evacuate(new Array<number>(ENTRIES).fill(0), table(4), [true, false, true, true]);
  t.same([0, 2, 3].map(queue => idle.filter(({ to }) => to === queue).length).sort(), [10, 11, 11], 'without load, evenly');
  t.same(evacuate(drawLoad(random), table(2), [false, false]), []);
  t.same(evacuate(drawLoad(random), table(2), all(2)), []);
});

/** Run intervals of `loads` and apply what comes of it; returns the number of moves of each interval. */
function run(queues: number, intervals: number, loads: (i: number) => ArrayLike<number>): { moves: number[]; table: number[] } {
  const balancer = new Balancer(ENTRIES);
  let now = table(queues);
  const moves = Array.from({ length: intervals }, (_, i) => {
    const made = balancer.after(loads(i), now, all(queues));
    now = moved(now, made);
    return made.length;
  });
  return { moves, table: now };
}

t.test('it acts in the third uneven interval, and on steady load never again', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  for (let round = 0; round < 200; round++) {
    const queues = 2 + random.below(3);
    const base = Array.from({ length: ENTRIES }, (_, i) => (i % queues === 0 ? 3000 : 300) + random.below(200));
    const { moves, table: after } = run(queues, 20, () => base.map(load => load * (0.95 + random.below(1000) / 10_000)));
    if (moves[0] + moves[1] !== 0 || moves[2] === 0 || moves.slice(3).some(n => n > 0)) t.fail(`round ${round}: moves ${moves.join()}`);
    const sums = queueLoads(base, after, queues);
    if (Math.max(...sums) > 1.25 * Math.min(...sums)) t.fail(`round ${round}: loads ${sums.join()}`);
  }
  t.pass('200 runs');
});

t.test('idle queues are left alone, and so is a load that changes places every second', async t => {
  const few = new Array<number>(ENTRIES).fill(0);
  few[0] = 400; few[2] = 500;
  t.same(run(2, 10, () => few).moves, new Array(10).fill(0));
  const busy = (queue: number): number[] => Array.from({ length: ENTRIES }, (_, i) => i % 2 === queue ? 1000 : 10);
  t.same(run(2, 12, i => busy(i % 2)).moves, new Array(12).fill(0));
  t.not(run(2, 12, () => busy(1)).moves[2], 0, 'while one that stays is not');
  t.same(run(1, 5, () => busy(0)).moves, new Array(5).fill(0), 'a single queue');
});
