/** run.sh does it all; this gives it a place in `npm test`, where a machine that cannot is not a failure. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

/** Exit code of `timeout --signal=KILL`. */
const KILLED = 137;
const SCRIPT = fileURLToPath(new URL('run.sh', import.meta.url));

/** The script's output and exit code; it limits its own time. */
async function run(part: string): Promise<{ lines: string[]; code: number | null }> {
  const child = spawn('bash', [SCRIPT, part], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => { text += more; });
  child.stderr.setEncoding('utf8').on('data', (more: string) => { text += more; });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { lines: text.trimEnd().split('\n'), code };
}

/** Every check of one part of the script is one of `t`'s. What takes half a minute runs when it is asked for: `npm run test:netns`. */
export async function runPart(t: Test, part: 'walks' | 'tcp' | 'policy'): Promise<void> {
  if (process.platform !== 'linux') {
    t.pass('network namespaces are Linux: nothing was tested');
    return;
  }
  if (part !== 'walks' && process.env['CAUSEWAY_NETNS'] === undefined) {
    t.pass('not asked for, nothing was tested: npm run test:netns does');
    return;
  }
  const { lines, code } = await run(part);
  const skipped = lines.find(line => line.startsWith('SKIP'));
  if (skipped !== undefined && code === 0) {
    t.pass(skipped);
    return;
  }
  for (const line of lines) {
    const [, not, what] = /^(not )?ok \d+ - (.*)$/.exec(line) ?? [];
    if (what !== undefined) t.ok(not === undefined, what);
    else if (line.startsWith('# ')) t.comment(line.slice(2));
  }
  if (code === KILLED) t.fail('run.sh took longer than it gives itself, and was killed');
  t.equal(code, 0, 'every check holds', code === 0 ? {} : { output: lines });
}
