/** `npm run bench`. Bundled to dist/bench.js, beside the daemon, so that what is measured is what runs. */
import { writeFileSync } from 'node:fs';
import { runBenches } from './cli.js';
import { SUITE } from './suite.js';

process.exitCode = runBenches(process.argv.slice(2), SUITE, {
  out: text => process.stdout.write(text),
  err: text => process.stderr.write(text),
  writeResults: text => writeFileSync(new URL('../bench/RESULTS.md', import.meta.url), text),
});
