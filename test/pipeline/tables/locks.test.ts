import t from 'tap';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import { Locks, lockWords } from '../../../pipeline/tables/locks.js';
import type { CountingStart } from './locks-thread.js';

const LOADER = fileURLToPath(new URL('../../support/typescript.mjs', import.meta.url));

function make(count = 4) {
  const words = new Int32Array(new SharedArrayBuffer(lockWords(count) * 4));
  return { words, of: (holder: number): Locks => new Locks(words, holder), held: () => Array.from({ length: count }, (_, i) => words[i * lockWords(1)]) };
}

t.test('a lock names its holder, and nobody else gets it', async t => {
  const { of, held } = make();
  const [a, b] = [of(1), of(2)];
  a.lock(2);
  t.same(held(), [0, 0, 1, 0]);
  t.notOk(b.tryLock(2));
  t.notOk(a.tryLock(2), 'nor the holder a second time');
  a.unlock();
  t.ok(b.tryLock(2));
  t.same(held(), [0, 0, 2, 0]);
});

t.test('two at most are held, and let go of in the order of a stack', async t => {
  const { of, held } = make();
  const a = of(1);
  a.lock(3);
  a.lock(0);
  t.throws(() => a.lock(1), /two locks/);
  a.unlock();
  t.same([held()[3], held()[0]], [1, 0]);
  a.unlock();
  t.equal(held()[3], 0);
});

t.test('after an exception all is let go of; without one that does no harm', async t => {
  const { of, held } = make();
  const a = of(1);
  a.unlockAll();
  a.lock(1);
  a.lock(2);
  a.unlockAll();
  t.same(held(), [0, 0, 0, 0]);
  a.lock(1);
  a.lock(2);
  t.same(held(), [0, 1, 1, 0], 'as if nothing had been');
});

t.test('control frees the locks of who is dead, and of nobody else', async t => {
  const { of, held } = make();
  const [dead, alive] = [of(7), of(8)];
  dead.lock(0);
  dead.lock(3);
  alive.lock(1);
  t.equal(of(9).freeAllOf(7), 2);
  t.same(held(), [0, 8, 0, 0]);
});

t.test('`withAll` holds all of them, lets go also after an exception, and gives up where one does not come free', async t => {
  const { of, held } = make();
  const control = of(9);
  t.ok(control.withAll(3, () => t.same(held(), [9, 9, 9, 0])));
  t.same(held(), [0, 0, 0, 0]);
  t.throws(() => control.withAll(4, () => { throw new Error('in between'); }), /in between/);
  t.same(held(), [0, 0, 0, 0]);
  of(7).lock(2);
  t.notOk(control.withAll(4, () => t.fail('it must not run')));
  t.same(held(), [0, 0, 7, 0], 'and holds nothing then');
  t.ok(control.withAll(4, () => t.same(held(), [9, 9, 9, 9]), 7), 'what the dead left is taken over');
  t.same(held(), [0, 0, 0, 0]);
});

t.test('threads that count under two locks lose no count', async t => {
  const { words } = make();
  const counts = new Int32Array(new SharedArrayBuffer(8));
  const TIMES = 30_000;
  const threads = [1, 2, 3].map(holder => {
    const workerData: CountingStart = { words, counts, holder, times: TIMES };
    return new Worker(new URL('./locks-thread.ts', import.meta.url), { workerData, execArgv: [`--import=${LOADER}`] });
  });
  await Promise.all(threads.map(thread => once(thread, 'exit')));
  t.same([...counts], [TIMES * 1.5, TIMES * 1.5]);
  t.same([...words].filter(word => word !== 0), []);
});
