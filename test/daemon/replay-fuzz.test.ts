/** Damaged captures through the whole of replay: no exception, each packet accounted for, and the output can be read. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { verb } from '../../daemon/verbs/replay.js';
import type { ReplayReport } from '../../daemon/offline/replay-report.js';
import { seededRandom } from '../../pipeline/random.js';
import { callVerb } from '../support/call-verb.js';
import { readAll } from '../support/captures.js';
import { CONFIGS } from '../support/replay-fixtures.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SEED = Number(process.env.SEED ?? 1);
const COPIES = Number(process.env.COPIES ?? 25);
const folder = mkdtempSync(join(tmpdir(), 'causeway-'));
t.teardown(() => rmSync(folder, { recursive: true }));

for (const [name, config] of Object.entries(CONFIGS)) {
  t.test(`${name}, ${COPIES} damaged copies (SEED=${SEED})`, async t => {
    const whole = readFileSync(`${ROOT}test/fixtures/replay/${name}`);
    const random = seededRandom(SEED);
    const [capture, output] = [join(folder, 'in'), join(folder, 'out.pcapng')];
    for (let copy = 1; copy <= COPIES; copy++) {
      const damaged = whole.subarray(0, random.next() % 4 === 0 ? random.next() % whole.length : whole.length).slice();
      for (let flips = random.next() % 12; flips > 0 && damaged.length > 0; flips--) damaged[random.next() % damaged.length] = random.next();
      writeFileSync(capture, damaged);
      const { code, out, err } = await callVerb(verb, capture, '-c', ROOT + config, '-w', output, '--all', '--json');
      const report = JSON.parse(out) as ReplayReport;
      const expected = readAll(damaged);
      const written = readAll(readFileSync(output));
      const sound = code === (expected.fault === null ? 0 : 1) && report.packets.in === expected.packets.length && report.packets.held === 0
        && report.imbalances.length === 0 && report.drops.internal_error === undefined
        && written.fault === null && written.packets.length === report.packets.in + report.packets.out - report.unsendable;
      if (!sound) return t.fail(`copy ${copy}: exit ${code}, ${err}${out}`);
    }
    return t.pass('each packet accounted for');
  });
}
