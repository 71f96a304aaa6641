/** Memory that V8 does not count. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Collect this thread's garbage now: some milliseconds. Tables of a policy are shared memory, which goes with the last thread's
 * last view of it and which V8 does not count: a thread whose own heap hardly grows would keep the tables of every reload.
 */
export function collect(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
