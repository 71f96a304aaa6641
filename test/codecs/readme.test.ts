import { existsSync, readFileSync, readdirSync } from 'node:fs';
import t from 'tap';

const readme = readFileSync(new URL('../../codecs/README.md', import.meta.url), 'utf8');
const conformance = readme.slice(readme.indexOf('## Conformance'), readme.indexOf('## Capture files'));

t.test('every test that the conformance table names is there', async t => {
  const named = [...conformance.matchAll(/`([a-z0-9-]+): ([^`]+)`/g)];
  t.ok(named.length > 60, `${named.length} names`);
  for (const [, file, name] of named) {
    const path = new URL(`${file}.test.ts`, import.meta.url);
    t.ok(existsSync(path) && readFileSync(path, 'utf8').includes(name), `${file}: ${name}`);
  }
});

t.test('every codec the README lists is there, and every fault is declared by one', async t => {
  const files = readdirSync(new URL('../../codecs/', import.meta.url));
  const listed = [...readme.slice(0, readme.indexOf('## Conformance')).matchAll(/`([a-z0-9-]+\.ts)`/g)].map(([, file]) => file);
  t.same(listed.filter(file => !files.includes(file)), []);
  t.ok(listed.length >= 16);
});
