/** A thread that counts in shared memory, plainly, under two locks. */
import { workerData } from 'node:worker_threads';
import { Locks } from '../../../pipeline/tables/locks.js';

export interface CountingStart { readonly words: Int32Array; readonly counts: Int32Array; readonly holder: number; readonly times: number }

const { words, counts, holder, times } = workerData as CountingStart;
const locks = new Locks(words, holder);
for (let i = 0; i < times; i++) {
  locks.lock(i & 1);
  locks.lock(2 + (i & 1));
  counts[i & 1] = counts[i & 1] + 1;
  locks.unlock();
  locks.unlock();
}
