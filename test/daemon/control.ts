/** A control of our own in this process, over real threads. */
import type { Test } from 'tap';
import { Control } from '../../daemon/control/control.js';
import type { Logger } from '../../daemon/control/log.js';
import { load } from '../../daemon/loader/load.js';
import type { ReceiveMode } from '../../daemon/control/receive-mode.js';
import { built, labConfig, openPeers, type LabConfig, type Peer } from './daemon.js';

export interface Said { readonly level: string; readonly msg: string; readonly fields: Record<string, unknown> }

const SEED = 1;

export const ALONE: ReceiveMode = { mode: 'kernel', workers: 1, shared: false, reason: 'a test' };
export const dispatched = (workers: number): ReceiveMode => ({ mode: 'dispatcher', workers, shared: false, reason: 'a test' });

export async function startControl(t: Test, { mode = ALONE, worker = built('worker.js'), change = () => {} }: {
  mode?: ReceiveMode; worker?: URL; change?: (config: LabConfig) => void;
} = {}) {
  const peers = await openPeers();
  t.teardown(() => { for (const peer of Object.values(peers) as Peer[]) peer.close(); });
  const lab = labConfig(peers);
  change(lab);
  const loaded = load(JSON.stringify(lab), { path: 'test.jsonc', generation: 1, seed: SEED, running: null });
  if (loaded.type !== 'loaded') throw new Error('the config of this test has problems');
  const said: Said[] = [];
  const say = (level: string) => (fields: Record<string, unknown>, msg: string): void => { said.push({ level, msg, fields }); };
  const log = Object.fromEntries(['info', 'warn', 'error', 'fatal'].map(level => [level, say(level)])) as unknown as Logger;
  let isLost = false;
  // Not the flags of the test runner, whose loader is not for worker threads.
  const control = new Control({ loaded, seed: SEED, mode, log, scripts: { worker, dispatcher: built('dispatcher.js'), loader: built('loader.js') }, execArgv: [], lost: () => { isLost = true; } });
  t.teardown(() => control.crew.end());
  return { control, peers, said, isLost: () => isLost };
}
