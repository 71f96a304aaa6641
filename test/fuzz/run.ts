/**
 * The long run: npm run fuzz -- [FRAMES] [SEED]
 * A million frames without further arguments. Prints the seed first, so that what goes wrong can be seen again.
 */
import { fuzz } from './fuzz.js';

const frames = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000);

console.log(`seed ${seed}, ${frames} frames`);
const report = fuzz(frames, seed, done => { if (done % 100_000 === 0 && done > 0) console.log(`  ${done}`); });
console.log(`${report.frames} frames through two gateways in ${(report.ms / 1000).toFixed(1)} s: no exception, no difference, nothing miscounted`);
console.log(report.totals.packets);
console.log(Object.fromEntries(Object.entries(report.totals.drops).sort(([, a], [, b]) => b - a)));
