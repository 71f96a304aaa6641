import { readFileSync, readdirSync } from 'node:fs';
import t from 'tap';
import { Fault, FAULTS, numbered } from '../../codecs/faults.js';

t.test('rows are numbered from 1 in order of writing, so that 0 can mean fine', async t => {
  t.same(Object.values(Fault), Object.keys(FAULTS).map((_, i) => i + 1));
  const row = { severity: 'policy', help: 'x', source: 'y' } as const;
  t.same(numbered({ first: row, second: row }), { first: 1, second: 2 });
});

t.test('every row says what happened and where the rule is written', async t => {
  for (const [name, row] of Object.entries(FAULTS)) {
    t.match(name, /^[a-z0-9]+(_[a-z0-9]+)+$/);
    t.match(row.severity, /^(malformed|unsupported|policy|capacity)$/, name);
    t.ok(row.help.length > 10 && !row.help.endsWith('.'), `${name} has help that fits in a sentence`);
    t.ok(row.source.length > 2, `${name} names its source`);
  }
});

/** Answers that the codecs give as a yes or no, and that the pipeline turns into these faults. */
const LEFT_TO_THE_PIPELINE = ['ip_source', 'ip_destination', 'gre_checksum'];

t.test('every fault is returned by a codec, save three, and none is left over', async t => {
  const folder = new URL('../../codecs/', import.meta.url);
  const sources = readdirSync(folder).filter(name => name.endsWith('.ts')).map(name => readFileSync(new URL(name, folder), 'utf8')).join('\n');
  const unused = Object.keys(FAULTS).filter(name => !new RegExp(`\\bFault\\.${name}\\b`).test(sources));
  t.same(unused, LEFT_TO_THE_PIPELINE);
});
