/** A short run of the fuzzer, the same every time unless SEED says otherwise; `run.ts` (npm run fuzz) is the long one. */
import t from 'tap';
import { fuzz } from './fuzz.js';

const frames = Number(process.env['FUZZ_FRAMES'] ?? 20_000);
const seed = Number(process.env['SEED'] ?? 7637);

t.test(`${frames} spoilt frames, seed ${seed}: no exception, no read or write outside, nothing miscounted, nothing wrong sent`, async t => {
  const report = fuzz(frames, seed);
  t.ok(report.frames >= frames);
  t.comment(JSON.stringify(report.totals.packets));
  if (frames >= 20_000) t.ok(report.reasons > 50, `${report.reasons} different drop reasons met`);
});
