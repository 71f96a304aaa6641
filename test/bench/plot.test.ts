import t from 'tap';
import { drawCharts } from '../../bench/plot/charts.js';
import { renderChart, type Chart } from '../../bench/plot/svg.js';
import { figure } from '../../bench/report.js';
import type { Result, Unit } from '../../bench/result.js';

function result(name: string, unit: Unit, median: number, baseline?: number): Result {
  return { name, unit, min: median, median, max: median, heap_bytes_per_op: null, ...(baseline === undefined ? {} : { baseline, ratio: median / baseline }) };
}

const WALKS = ['nat-out', 'nat-in', 'subnet', 'forward', 'site'], FLOWS = ['1k', '64k', '1M'];
const MODES = ['kernel/1', 'kernel/2', 'dispatcher/1', 'dispatcher/2'], QUANTILES = ['p50', 'p99', 'p99.9', 'max'];
const RESULTS: readonly Result[] = [
  ...WALKS.flatMap((walk, i) => FLOWS.map((flows, j) => result(`pipeline/${walk}/${flows}/64`, 'ns', 51.3 + 7 * i + 41 * j, 30.5 + j))),
  ...MODES.flatMap((mode, i) => ['most', 'ndr', 'pdr'].map((kind, j) => result(`live/${mode}/${kind}`, 'kpps', 201.3 + 10 * i + j, 260.1 + i))),
  ...MODES.flatMap((mode, i) => QUANTILES.map((q, j) => result(`live/${mode}/latency/${q}`, 'us', (101 + i) * 3 ** j, 90 * 3 ** j))),
];

/** Throws where tags do not close in order, attributes are not quoted, or text has a bare `&` or `<`. */
function checkXml(text: string): string[] {
  const open: string[] = [], seen: string[] = [];
  const rest = text.replace(/<(\/?)([a-zA-Z]+)((?:\s+[a-zA-Z0-9:-]+="[^"<]*")*)\s*(\/?)>/g, (_tag, closes: string, name: string, _attributes, isEmpty: string) => {
    seen.push(name);
    if (closes !== '') {
      if (open.pop() !== name) throw new Error(`</${name}> closes nothing`);
    } else if (isEmpty === '') open.push(name);
    return '';
  });
  if (open.length > 0) throw new Error(`<${open.join('><')}> stays open`);
  if (/[<>]|&(?!amp;|lt;|gt;|quot;)/.test(rest)) throw new Error('a bare < > or &');
  return seen;
}

const drawings = drawCharts(RESULTS);

t.test('there is a chart of cost, one of throughput and one of latency', async t => {
  t.strictSame(drawings.map(({ file }) => file), ['cost-by-flows.svg', 'throughput.svg', 'latency.svg']);
});

for (const { file, svg } of drawings) {
  t.test(`${file} is well-formed, scales, and says what its axes are and in which unit`, async t => {
    t.doesNotThrow(() => checkXml(svg));
    t.match(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" viewBox="0 0 \d+ \d+"/);
    t.match(svg, /ns a packet|1,000 packets a second|µs from/);
    t.match(svg, 'prefers-color-scheme:dark');
    t.notMatch(svg, 'NaN');
  });
}

t.test('every figure of the results is in its chart, once, and no other', async t => {
  const titles = drawings.flatMap(({ svg }) => [...svg.matchAll(/<title>[^<]*: ([\d.]+) (\w+)<\/title>/g)].map(([, value, unit]) => `${value} ${unit}`)).sort();
  const baselines = RESULTS.filter(({ name }) => /nat-out|most|kernel\/1\/latency/.test(name));
  const wanted = [...RESULTS.map(r => `${figure(r.median)} ${r.unit}`), ...baselines.map(r => `${figure(r.baseline ?? 0)} ${r.unit}`)].sort();
  t.strictSame(titles, wanted);
});

t.test('a larger figure is drawn higher, and twice the figure is twice as high on a linear axis', async t => {
  const { svg } = drawings[0];
  const heights = [...svg.matchAll(/cy="([\d.]+)" r="4"/g)].slice(0, 3).map(([, y]) => Number(y));
  t.ok(heights[0] > heights[1] && heights[1] > heights[2], heights.join());
  const chart: Chart = {
    title: 'a < b & "c"', xTitle: 'x', xNames: ['one', 'two'], yTitle: 'y', isLog: false, kind: 'bars',
    series: [{ name: 's', isBaseline: false, points: [{ x: 0, value: 100, title: '100' }, { x: 1, value: 200, title: '200' }] }],
  };
  const text = renderChart(chart);
  t.doesNotThrow(() => checkXml(text));
  const [small, large] = [...text.matchAll(/height="([\d.]+)"><title>/g)].map(([, height]) => Number(height));
  t.equal(large, 2 * small);
});

t.test('what was not measured is not drawn: a chart without figures is none, a mode without figures has no place', async t => {
  t.strictSame(drawCharts([]), []);
  const some = drawCharts(RESULTS.filter(({ name }) => !name.includes('kernel/2') && !name.startsWith('pipeline')));
  t.strictSame(some.map(({ file }) => file), ['throughput.svg', 'latency.svg']);
  for (const { svg } of some) t.notMatch(svg, 'kernel/2');
});
