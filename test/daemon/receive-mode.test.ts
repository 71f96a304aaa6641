import t from 'tap';
import { chooseMode, RECEIVE_MODES, thisMachine, type Machine } from '../../daemon/control/receive-mode.js';
import { makeSharedSocket, whyNotShared } from '../../daemon/worker/reuse-port.js';
import { bindSocket } from '../../daemon/worker/sockets.js';
import { configOf, edited } from '../config/base.js';

type Asked = { readonly workers: number | 'auto'; readonly mode: 'auto' | 'dispatcher' | 'kernel'; readonly cores: number; readonly shares: boolean };

function choose({ workers, mode, cores, shares }: Asked) {
  const { gateway } = configOf(edited({ 'gateway.workers': workers, 'gateway.rss': { mode } }));
  const machine: Machine = { cores, whyNotShared: async () => (shares ? null : 'a test says so') };
  return chooseMode(gateway, machine);
}

const CASES = [
  ['auto takes the kernel where sockets can share a port: a worker a core', { workers: 'auto', mode: 'auto', cores: 4, shares: true }, ['kernel', 4, true]],
  ['auto takes the dispatcher where they cannot: a core is left to it', { workers: 'auto', mode: 'auto', cores: 4, shares: false }, ['dispatcher', 3, false]],
  ['auto on two cores without sharing: one worker would be left, and receives by itself', { workers: 'auto', mode: 'auto', cores: 2, shares: false }, ['kernel', 1, false]],
  ['auto on one core', { workers: 'auto', mode: 'auto', cores: 1, shares: true }, ['kernel', 1, false]],
  ['auto with one worker asked for', { workers: 1, mode: 'auto', cores: 8, shares: true }, ['kernel', 1, false]],
  ['auto with two asked for, sharing', { workers: 2, mode: 'auto', cores: 1, shares: true }, ['kernel', 2, true]],
  ['auto with two asked for, without', { workers: 2, mode: 'auto', cores: 1, shares: false }, ['dispatcher', 2, false]],
  ['dispatcher, though sockets could share', { workers: 'auto', mode: 'dispatcher', cores: 4, shares: true }, ['dispatcher', 3, false]],
  ['dispatcher on one core has a worker still', { workers: 'auto', mode: 'dispatcher', cores: 1, shares: true }, ['dispatcher', 1, false]],
  ['dispatcher with as many workers as asked for', { workers: 5, mode: 'dispatcher', cores: 2, shares: false }, ['dispatcher', 5, false]],
  ['kernel with one worker needs nobody to share with', { workers: 1, mode: 'kernel', cores: 4, shares: false }, ['kernel', 1, false]],
  ['kernel', { workers: 'auto', mode: 'kernel', cores: 4, shares: true }, ['kernel', 4, true]],
  ['more cores than workers can be', { workers: 'auto', mode: 'kernel', cores: 500, shares: true }, ['kernel', 128, true]],
] as const satisfies readonly (readonly [string, Asked, readonly [string, number, boolean]])[];
for (const [name, asked, [mode, workers, shared]] of CASES) {
  t.test(`receive mode: ${name}`, async t => {
    const chosen = await choose(asked);
    t.match(chosen, { mode, workers, shared });
    t.ok(RECEIVE_MODES.includes(chosen.mode) && chosen.reason.length > 0);
  });
}

t.test('receive mode: kernel asked for where it cannot be is refused in one sentence, with a way out', async t => {
  await t.rejects(choose({ workers: 2, mode: 'kernel', cores: 4, shares: false }),
    /^gateway\.rss\.mode "kernel" with 2 workers needs sockets that share a port \(reusePort\), which cannot be here: a test says so; set it to "dispatcher" or "auto", or gateway\.workers to 1$/);
});

t.test('whether sockets share a port is tried on this machine, and is what two workers would find', async t => {
  const obstacle = await whyNotShared(4, '127.0.0.1');
  const [first, second] = [makeSharedSocket(4), makeSharedSocket(4)];
  await bindSocket(first, '127.0.0.1', 0);
  const both = await bindSocket(second, '127.0.0.1', first.address().port).then(() => { second.close(); }, (error: Error) => error);
  first.close();
  t.equal(obstacle === null, both === undefined, `Node ${process.version}: ${obstacle ?? 'they do'}`);
  if (obstacle !== null) t.match(obstacle, /was refused \(EADDRINUSE\) under Node v|the system refuses it/);

  const { gateway } = configOf(edited({ 'gateway.listen': ['127.0.0.1', '::1'], hosts: [], uplinks: [], tenants: [] }));
  t.equal((await thisMachine(gateway, 2).whyNotShared()) === null, obstacle === null, 'the same for both families');
});

t.test('an address that this machine has not is its own error, not a lack of sharing, and names no port that nobody asked for', async t => {
  await t.rejects(whyNotShared(4, '192.0.2.1'), /^cannot bind 192\.0\.2\.1: this machine has no such address \(EADDRNOTAVAIL\)$/);
});
