import { readFileSync } from 'node:fs';
import t from 'tap';
import { runBenches } from '../../bench/cli.js';
import { minimalNat } from '../../bench/pipeline/minimal-nat.js';
import { Ring } from '../../bench/pipeline/ring.js';
import { SMALLEST, makeRing, makeWorld, through } from '../../bench/pipeline/world.js';
import type { Result } from '../../bench/result.js';
import { SUITE } from '../../bench/suite.js';
import { checkIpv4, ipv4Dst, ipv4Src } from '../../codecs/ipv4.js';
import { udpChecksumOk4 } from '../../codecs/udp.js';

const FLOWS = 64;
const PARTS = { rules: 0, sessions: 2 * FLOWS };
const OUTER = { out: 22, in: 4 } as const; // NVGRE and Ethernet; GRE
const IPV4_LEN = 20;

/** One of each kind: `npm run bench -- --quick` runs all, and continuous integration does that. */
const SAMPLE = [
  'codecs/gre', 'pipeline/record/10', 'pipeline/rss/toeplitz-4', 'pipeline/ring/hand-over/64', 'pipeline/nat-out/1k/64', 'pipeline/nat-in/heap',
  'pipeline/first-packet', 'config/tables', 'scale/records/100/', 'scale/sessions/1k', 'replay/64', 'live/generator', 'live/dispatcher-thread/1',
];

t.test('benches run, one of every kind, and measure something', async t => {
  let out = '';
  const code = await runBenches(['--quick', '--json', ...SAMPLE], SUITE, { out: text => void (out += text), err: text => t.match(text, /^Not measured here, /), writeResults: () => t.fail('not asked for'), writeChart: () => t.fail('not asked for') });
  t.equal(code, 0);
  const results = JSON.parse(out) as Result[];
  const here = SUITE.filter(bench => bench.onRequest === undefined && (bench.missing?.() ?? null) === null && SAMPLE.some(name => bench.name.includes(name)));
  t.strictSame(results.map(({ name }) => name), here.map(({ name }) => name));
  for (const r of results) {
    t.ok(r.min >= 0 && r.min <= r.median && r.median <= r.max, `${r.name}: ${r.min} ≤ ${r.median} ≤ ${r.max} ${r.unit}`);
    t.equal(r.ratio === undefined, r.baseline === undefined, `${r.name}: a ratio where there is a baseline`);
  }
});

t.test('names are unique, and RESULTS.md has exactly these', async t => {
  const names = SUITE.map(({ name }) => name);
  t.equal(new Set(names).size, names.length);
  const written = readFileSync(new URL('../../bench/RESULTS.md', import.meta.url), 'utf8');
  const rows = [...written.matchAll(/^\| ([a-z]+\/\S+) \|/gm)].map(([, name]) => name);
  const section = /## Not measured here\n\n([^#]*)/.exec(written)?.[1] ?? '';
  const missing = new Set([...section.matchAll(/^- `(\S+)`:/gm)].map(([, name]) => name));
  t.strictSame(rows, SUITE.filter(({ name, onRequest }) => onRequest === undefined && !missing.has(name)).map(({ name }) => name));
});

t.test('flows differ, each tenant has its share, and answers come to what questions went out from', async t => {
  const world = makeWorld(PARTS);
  for (const walk of ['natOut', 'natIn'] as const) {
    const ring = makeRing(world, walk, FLOWS, SMALLEST);
    ring.restore();
    const ends = new Set(Array.from({ length: FLOWS }, (_, i) => ring.slots.toString('hex', ring.at(i), ring.at(i) + ring.len)));
    t.equal(ends.size, FLOWS, walk);
    const work = through(world, ring);
    t.doesNotThrow(() => work.run(0, FLOWS), 'all are forwarded');
  }
  t.equal(world.gateway.context.nat.sessionCount, FLOWS);
});

for (const direction of ['out', 'in'] as const) {
  t.test(`the minimal NAT really translates, ${direction}: checksums are right afterwards`, async t => {
    const ring = makeRing(makeWorld(PARTS), direction === 'out' ? 'natOut' : 'natIn', FLOWS, SMALLEST);
    const work = minimalNat(ring, direction === 'out');
    const address = direction === 'out' ? ipv4Src : ipv4Dst;
    const before = addresses(ring, direction, address);
    work.run(0, FLOWS);
    t.not(addresses(ring, direction, address), before);
    for (let i = 0; i < FLOWS; i++) {
      const l3 = ring.at(i) + OUTER[direction];
      if (checkIpv4(ring.slots, l3, ring.at(i) + ring.len) !== 0) t.fail(`slot ${i}: IPv4`);
      if (!udpChecksumOk4(ring.slots, l3 + IPV4_LEN, ipv4Src(ring.slots, l3), ipv4Dst(ring.slots, l3))) t.fail(`slot ${i}: UDP`);
    }
  });
}

function addresses(ring: Ring, direction: 'out' | 'in', read: (mem: Uint8Array, at: number) => number): string {
  return Array.from({ length: FLOWS }, (_, i) => read(ring.slots, ring.at(i) + OUTER[direction])).join();
}
