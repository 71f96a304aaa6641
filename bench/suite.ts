/** Every bench, in the order in which they run. */
import { checksumBenches } from './codecs/checksum.bench.js';
import { headerBenches } from './codecs/headers.bench.js';
import { loadBenches } from './config/load.bench.js';
import { replayBenches } from './daemon/replay.bench.js';
import { dispatcherBenches } from './live/dispatcher.bench.js';
import { latencyBenches } from './live/latency.bench.js';
import { ratesBenches } from './live/rates.bench.js';
import { scaleBenches } from './live/scale.bench.js';
import { lookupBenches } from './pipeline/lookup.bench.js';
import { rssBenches } from './pipeline/rss.bench.js';
import { rulesBenches } from './pipeline/rules.bench.js';
import { growthBenches } from './pipeline/scale.bench.js';
import { walkBenches } from './pipeline/walks.bench.js';
import type { Bench } from './result.js';

export const SUITE: readonly Bench[] = [
  ...checksumBenches, ...headerBenches, ...lookupBenches, ...rssBenches, ...walkBenches, ...rulesBenches, ...loadBenches, ...growthBenches, ...replayBenches,
  ...ratesBenches, ...dispatcherBenches, ...latencyBenches, ...scaleBenches,
];
