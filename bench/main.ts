/**
 * `npm run bench`. Bundled to dist/bench.js, beside the daemon, so that what is measured is what runs. What the live
 * benches need in processes and threads of their own is this file again, told which part it plays.
 */
import { writeFileSync } from 'node:fs';
import { tuneCompiler } from '../daemon/worker/compiler.js';
import { runBenches } from './cli.js';
import { roleOf } from './live/roles.js';
import { SUITE } from './suite.js';

tuneCompiler(); // as in a worker
const role = roleOf(process.argv);
if (role !== undefined) {
  await role();
} else {
  process.exitCode = await runBenches(process.argv.slice(2), SUITE, {
    out: text => process.stdout.write(text),
    err: text => process.stderr.write(text),
    writeResults: text => writeFileSync(new URL('../bench/RESULTS.md', import.meta.url), text),
    writeChart: (file, svg) => writeFileSync(new URL(`../bench/${file}`, import.meta.url), svg),
  });
}
