/** graph.ts says in comments where each walk leads; the README shows it. Both are held to what packets do. */
import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { Fate, type Stage } from '../../pipeline/context.js';
import { WALKS } from '../../pipeline/graph.js';
import { Walk } from '../../pipeline/packet.js';
import { renderDrops } from '../../pipeline/reasons.js';
import { seeded } from '../support/seeded.js';
import { corpus } from '../fuzz/corpus.js';
import { Rig } from '../fuzz/rig.js';

const FOLDER = new URL('../../pipeline/', import.meta.url);
const REFRESH = 'refresh it with: UPDATE=1 npx tap run --disable-coverage test/pipeline/graph.test.ts';
const NAMES = Object.keys(Walk) as (keyof typeof Walk)[];

/** Walk, its stages, and the walks it leads to: as graph.ts is written. */
const written = [...readFileSync(new URL('graph.ts', FOLDER), 'utf8').matchAll(/^walks\[Walk\.(\w+)\] *= \[([^\]]+)\];(?: *\/\/ → (.*))?$/gm)]
  .map(([, walk, stages, next]) => ({ walk, stages: stages.split(', '), next: next === undefined ? [] : next.split(', ') }));

t.test('every walk has its line, and its stages are those', async t => {
  t.same(written.map(({ walk }) => walk), NAMES);
  for (const { walk, stages } of written) t.same(WALKS[Walk[walk as keyof typeof Walk]].map(stage => stage.name), stages, walk);
});

t.test('a walk leads where its comment says, and packets take every one of these ways', async t => {
  const rig = new Rig(1);
  const random = seeded(1);
  const taken = new Set<string>();
  let at = -1;
  rig.gateway.observer = {
    step: (stage: Stage, p, verdict) => {
      if (at < 0) at = WALKS.findIndex(stages => stages[0] === stage); // fromUplink and fromSite begin alike: the peer tells, below
      const stages = WALKS[at];
      if (verdict !== Fate.next || stages[stages.length - 1] !== stage) return;
      taken.add(`${NAMES[at]} → ${NAMES[p.next]}`);
      at = p.next;
    },
    settled: () => { at = -1; },
  };
  for (const { pa, bytes, carrier } of corpus()) {
    at = pa === '198.51.100.31' ? Walk.fromSite : -1;
    rig.receive(random, pa, bytes, bytes, carrier, 0);
  }
  t.same([...taken].sort(), written.flatMap(({ walk, next }) => next.map(to => `${walk} → ${to}`)).sort());
});

/** The picture in the README. */
function renderWalks(): string {
  const name = Math.max(...NAMES.map(walk => walk.length));
  const lines = written.map(({ walk, stages, next }) => `    ${walk.padEnd(name)}  ${stages.join(' · ')}${next.length === 0 ? '' : `  → ${next.join(', ')}`}\n`);
  return `${lines.slice(0, Walk.toGateway).join('')}\n${lines.slice(Walk.toGateway).join('')}`;
}

t.test('README.md shows these walks', async t => {
  const file = new URL('README.md', FOLDER);
  const text = readFileSync(file, 'utf8');
  const shown = /<!-- walks -->\n\n([\s\S]*?)\n<!-- \/walks -->/;
  if (process.env['UPDATE'] !== undefined) writeFileSync(file, text.replace(shown, () => `<!-- walks -->\n\n${renderWalks()}\n<!-- /walks -->`));
  t.equal(shown.exec(readFileSync(file, 'utf8'))?.[1], renderWalks(), REFRESH);
});

t.test('DROPS.md is what reasons.ts says, nothing missing and nothing left over', async t => {
  const file = new URL('DROPS.md', FOLDER);
  if (process.env['UPDATE'] !== undefined) writeFileSync(file, renderDrops());
  t.equal(readFileSync(file, 'utf8'), renderDrops(), REFRESH);
});
