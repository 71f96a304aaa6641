/** The README's first command, as a user would call it: the built program, real sockets, its own exit code. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { STORY } from '../../daemon/demo/story.js';
import { built } from './daemon.js';

const PROGRAM = fileURLToPath(built('causeway.js'));

t.test('demo plays every scene, the ledger balances, and it ends by itself with 0', async t => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [PROGRAM, 'demo'], { timeout: 30_000 });
  t.equal(stderr, '');
  for (const scene of STORY) t.match(stdout, `✓ ${scene.title}\n`, scene.title);
  t.match(stdout, `${STORY.length} of ${STORY.length} scenes went well, the ledger balances, the daemon drained and exited 0`);
  t.match(stdout, /dispatcher mode, 2 workers, the busiest has [\d.]+ times the mean/);
  t.match(stdout, /^ +0  01010101 01010101/m, 'the indirection table is shown');
  for (const reason of ['spoofed_source', 'route_drop', 'gre_key_unknown', 'acl_denied', 'ttl_expired', 'too_big']) t.match(stdout, reason);
});

t.test('demo refuses words it does not know', async t => {
  const refused = promisify(execFile)(process.execPath, [PROGRAM, 'demo', '--vpn'], { timeout: 30_000 });
  await t.rejects(refused, { code: 2 });
});
