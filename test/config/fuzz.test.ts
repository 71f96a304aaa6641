import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { readConfig } from '../../config/index.js';

const FOLDER = new URL('../../config/examples/', import.meta.url);
const EXAMPLES = readdirSync(FOLDER).map(name => readFileSync(new URL(name, FOLDER), 'utf8'));
const SCRAPS = ['{', '}', '[', ']', '"', ',', ':', '//', '/*', '*/', '\n', '\\', '\\u12', 'null', 'true', '-1', '0', '1e9', '5001', '""', '"host-a"', '"10.0.0.0/24"', '"::/0"', '"name"', '{}', '[]', '\u0000', '\u00a0', '\ud800', 'é', '#', "'"];
const ROUNDS = 3000;

function makeRandom(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return n => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/** An example with a few things cut out, put in or moved. */
function damaged(seed: number): string {
  const random = makeRandom(seed);
  let text = EXAMPLES[random(EXAMPLES.length)];
  for (let n = random(4) + 1; n > 0; n--) {
    const at = random(text.length);
    const length = random(3) === 0 ? random(200) : random(6);
    const scrap = [SCRAPS[random(SCRAPS.length)], text.slice(random(text.length)).slice(0, random(40)), ''][random(3)];
    text = text.slice(0, at) + scrap + text.slice(at + (random(2) === 0 ? length : 0));
  }
  return text;
}

t.test('whatever the text, there is a config or there are problems, each at a place that is there', async t => {
  const first = Number(process.env.SEED ?? Date.now() % 1e9);
  t.comment(`seeds ${first} to ${first + ROUNDS - 1}; SEED=… repeats`);
  for (let seed = first; seed < first + ROUNDS; seed++) {
    const text = damaged(seed);
    try {
      const { config, problems } = readConfig(text, 'fuzz.jsonc');
      if ((config === undefined) !== problems.length > 0) t.fail(`seed ${seed}: neither or both`);
      const lines = text.split('\n');
      for (const p of problems) {
        const line = lines[p.line - 1];
        if (line === undefined || p.column < 1 || p.column > line.length + 1 || p.message === '' || p.advice === '') t.fail(`seed ${seed}: ${JSON.stringify(p)}`);
      }
    } catch (error) {
      t.fail(`seed ${seed}: ${String(error)}`);
    }
  }
  t.pass(`${ROUNDS} rounds`);
});
