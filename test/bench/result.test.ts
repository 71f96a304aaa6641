import t from 'tap';
import { median } from '../../bench/harness.js';
import { makeTable, renderResults } from '../../bench/report.js';
import { summarise } from '../../bench/result.js';

const BENCH = { name: 'codecs/gre', unit: 'ns' } as const;

t.test('the median of an even number of samples lies between the middle two, whatever their order', async t => {
  t.equal(median([9, 1, 5]), 5);
  t.equal(median([10, 2, 1, 9]), 5.5);
});

t.test('a bench without baseline and target has neither, nor ratio and met', async t => {
  t.strictSame(summarise(BENCH, { samples: [3, 1, 2], heapBytesPerOp: 0, baseline: null }), {
    name: 'codecs/gre', unit: 'ns', min: 1, median: 2, max: 3, heap_bytes_per_op: 0,
  });
});

t.test('the ratio is taken within each round, so that a slow round of both changes nothing', async t => {
  const result = summarise(BENCH, { samples: [20, 400, 22], heapBytesPerOp: 16, baseline: { name: 'least', samples: [10, 200, 11] } });
  t.equal(result.ratio, 2);
  t.match(result, { median: 22, baseline: 11, baseline_name: 'least', heap_bytes_per_op: 16 });
  t.notOk('met' in result);
});

const targets = [
  ['a ratio on its target meets it',                 { of: 'ratio', max: 2 },   true],
  ['a ratio above its target does not',              { of: 'ratio', max: 1.9 }, false],
  ['a median is not excused by a good ratio',        { of: 'median', max: 19 }, false],
  ['a median below its target meets it',             { of: 'median', max: 21 }, true],
  ['a ratio that must be more and is',               { of: 'ratio', min: 1.9 }, true],
  ['a ratio that must be more and is not',           { of: 'ratio', min: 2.1 }, false],
  ['a median on the least it may be meets it',       { of: 'median', min: 20 }, true],
] as const;
for (const [name, target, met] of targets) {
  t.test(name, async t => {
    const result = summarise({ ...BENCH, target }, { samples: [20], heapBytesPerOp: null, baseline: { name: 'least', samples: [10] } });
    const isMost = 'max' in target;
    t.match(result, { target: isMost ? target.max : target.min, target_of: target.of, target_is: isMost ? 'most' : 'least', met });
  });
}

t.test('a target on the ratio of a bench that has no baseline is not met', async t => {
  t.equal(summarise({ ...BENCH, target: { of: 'ratio', max: 5 } }, { samples: [1], heapBytesPerOp: null, baseline: null }).met, false);
});

const MEASURED = summarise({ ...BENCH, target: { of: 'ratio', max: 5 } }, { samples: [1234.5, 56.78, 9.876], heapBytesPerOp: 15.96, baseline: { name: 'least', samples: [100, 10, 1] } });

t.test('a row stands under its head and gives three digits that count', async t => {
  const table = makeTable(['codecs/gre', 'a/much/longer/name']);
  const row = table.row(MEASURED);
  t.strictSame(row.split(/ {2,}/), ['codecs/gre', 'ns', '9.88', '56.8', '1235', '16.0', '10.0', '9.88×', '≤ 5×', 'NO']);
  for (const [word, figure] of [['median', '56.8'], ['ratio', '9.88×'], ['met', 'NO']] as const) {
    t.equal(row.lastIndexOf(figure) + figure.length, table.head.indexOf(word) + word.length, `${word} ends where its figure does`);
  }
});

t.test('RESULTS.md names the machine, and says of every line what it measures', async t => {
  const text = renderResults([MEASURED], { machine: 'A Computer, 2 CPUs', node: 'v20.0.0' }, new Map([['codecs/gre', 'a header']]));
  t.match(text, 'A Computer, 2 CPUs · Node v20.0.0');
  t.match(text, '| codecs/gre | ns | 9.88 | 56.8 | 1235 |');
  t.match(text, '- `codecs/gre`: a header');
});
