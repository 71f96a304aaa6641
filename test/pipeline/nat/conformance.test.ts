/** NAT.md against the RFCs' lists of requirements, and against the tests that it names. */
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';

const page = readFileSync(new URL('../../../pipeline/NAT.md', import.meta.url), 'utf8');
const TESTS = new URL('../../', import.meta.url);

/** Every requirement there is, by the title of its table. */
const REQUIREMENTS: Readonly<Record<string, readonly string[]>> = {
  'RFC 4787': ['1', '2', '3', '3a', '4', '5', '5a', '5b', '5c', '6', '6a', '7', '8', '9', '9a', '10', '10a', '11', '12', '12a', '12b', '13', '13a', '14', '14a'].map(name => `REQ-${name}`),
  'RFC 5382': ['1', '2', '2a', '3', '3a', '3b', '4', '4a', '5', '5a', '6', '7', '8', '8a', '9', '10'].map(name => `REQ-${name}`),
  'RFC 5508': ['1', '1a', '2', '2a', '3', '3a', '3b', '3c', '3d', '4', '5', '6', '7', '7a', '8', '9', '10a', '10b', '10c', '10d', '11'].map(name => `REQ-${name}`),
  'RFC 6888': ['1', '2', '3', '4', '4A', '4B', '4C', '5', '6', '7', '8', '9', '10', '11A', '11B', '11C', '11D', '12', '13', '14', '15'].map(name => `REQ-${name}`),
  'RFC 7857': ['2', '2.1', '2.2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12'].map(name => `§${name}`),
};
const LEVELS = ['MUST', 'MUST NOT', 'SHOULD', 'SHOULD NOT', 'RECOMMENDED', 'MAY'];

interface Row { readonly name: string; readonly level: string; readonly met: string; readonly tests: readonly (readonly [file: string, name: string])[] }

function rowsOf(title: string): Row[] {
  const section = page.split(/^## /m).find(part => part.startsWith(title)) ?? '';
  return section.split('\n').filter(line => /^\| (REQ-|§)/.test(line)).map(line => {
    const [requirement, level, met, shown] = line.split('|').slice(1).map(cell => cell.trim());
    const tests = [...shown.matchAll(/`([a-z0-9/-]+): ([^`]+)`/g)].map(([, file, name]) => [file, name] as const);
    return { name: requirement.split(' ')[0], level, met, tests };
  });
}

const rows = Object.keys(REQUIREMENTS).flatMap(title => rowsOf(title).map(row => ({ title, ...row })));

for (const [title, names] of Object.entries(REQUIREMENTS)) {
  t.test(`${title}: every requirement has its row, in order, and there is no other`, async t => {
    t.same([...new Set(rowsOf(title).map(({ name }) => name))], names);
  });
}

t.test('every row says at which level, and whether it is met: yes, partly, no, not yet or not applicable', async t => {
  for (const { title, name, level, met } of rows) {
    t.ok(LEVELS.includes(level), `${title} ${name}: ${level}`);
    t.match(met, /^(yes|partly|no\b|not yet|not applicable)/, `${title} ${name}`);
  }
});

t.test('no MUST is a bare no; PCP alone is not yet', async t => {
  const musts = rows.filter(({ level }) => level.startsWith('MUST'));
  t.ok(musts.length > 40, `${musts.length} of them`);
  t.same(musts.filter(({ met }) => /^(no\b(?!t)|partly)/.test(met)).map(({ title, name }) => `${title} ${name}`), []);
  t.same(rows.filter(({ met }) => met.startsWith('not yet')).map(({ title, name }) => `${title} ${name}`), ['RFC 6888 REQ-9']);
  t.same(rows.filter(({ met }) => met === 'no' || met === 'not applicable').filter(({ level }) => level !== 'MAY'), [], 'and every other no has its reason');
});

t.test('what is met is shown by a test, and every test that is named is there', async t => {
  for (const { title, name, met, tests } of rows) {
    if (/^(yes|partly)/.test(met)) t.ok(tests.length > 0, `${title} ${name} is shown by something`);
    for (const [file, begin] of tests) {
      const path = [`pipeline/${file}.test.ts`, `${file}.test.ts`].map(each => new URL(each, TESTS)).find(existsSync);
      t.ok(path !== undefined && readFileSync(path, 'utf8').replace(/\\'/g, "'").match(/t\.test\((['"`])(.*?)\1, /g)?.some(found => found.slice(8).startsWith(begin)), `${title} ${name}: ${file}: ${begin}`);
    }
  }
});
