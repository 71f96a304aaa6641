/** Which figures are drawn: charts out of results, each only when all that it shows was measured. */
import { figure } from '../report.js';
import type { Result } from '../result.js';
import { renderChart, type Chart, type Series } from './svg.js';

export interface Drawing { readonly file: string; readonly what: string; readonly svg: string }

/** Every chart that `results` have something for. */
export function drawCharts(results: readonly Result[]): Drawing[] {
  const byName = new Map(results.map(result => [result.name, result]));
  return [costByFlows(byName), throughput(byName), latency(byName)]
    .filter(({ chart }) => chart.series.length > 0)
    .map(({ file, chart }) => ({ file, what: chart.title, svg: renderChart(chart) }));
}

type Results = ReadonlyMap<string, Result>;
interface Plan { readonly file: string; readonly chart: Chart }

/** A line or a row of bars: at position `x` the median, or the baseline's, of the result `names[x]`. Those not measured are left out. */
function seriesOf(results: Results, name: string, names: readonly string[], xNames: readonly string[], isBaseline = false): Series[] {
  const points = names.flatMap((key, x) => {
    const result = results.get(key);
    const value = isBaseline ? result?.baseline : result?.median;
    return result === undefined || value === undefined ? [] : [{ x, value, title: `${name}, ${xNames[x]}: ${figure(value)} ${result.unit}` }];
  });
  return points.length === 0 ? [] : [{ name, points, isBaseline }];
}

function costByFlows(results: Results): Plan {
  const flows = ['1k', '64k', '1M'];
  const namesOf = (walk: string): string[] => flows.map(count => `pipeline/${walk}/${count}/64`);
  return {
    file: 'cost-by-flows.svg',
    chart: {
      title: 'Cost of a packet by number of flows', xTitle: 'flows', xNames: flows, yTitle: 'ns a packet of 64 bytes, in memory', isLog: true, kind: 'lines',
      series: [
        ...['nat-out', 'nat-in', 'subnet', 'forward', 'site'].flatMap(walk => seriesOf(results, walk, namesOf(walk), flows)),
        ...seriesOf(results, 'minimal NAT', namesOf('nat-out'), flows, true),
      ],
    },
  };
}

const MODES = ['kernel/1', 'kernel/2', 'dispatcher/1', 'dispatcher/2'] as const;

function throughput(results: Results): Plan {
  const measured = MODES.filter(mode => results.has(`live/${mode}/most`));
  const namesOf = (kind: string): string[] => measured.map(mode => `live/${mode}/${kind}`);
  return {
    file: 'throughput.svg',
    chart: {
      title: 'Throughput over loopback by mode and workers', xTitle: 'receive mode / workers', xNames: measured, yTitle: '1,000 packets a second', isLog: false, kind: 'bars',
      series: [
        ...seriesOf(results, 'at most', namesOf('most'), measured), ...seriesOf(results, '0.5 % lost', namesOf('pdr'), measured),
        ...seriesOf(results, 'none lost', namesOf('ndr'), measured), ...seriesOf(results, 'bare loops', namesOf('most'), measured, true),
      ],
    },
  };
}

function latency(results: Results): Plan {
  const quantiles = ['p50', 'p99', 'p99.9', 'max'];
  const namesOf = (mode: string): string[] => quantiles.map(q => `live/${mode}/latency/${q}`);
  return {
    file: 'latency.svg',
    chart: {
      title: 'Latency at half of the loss-free rate', xTitle: 'percentile', xNames: quantiles, yTitle: 'µs from send to read', isLog: true, kind: 'lines',
      series: [...MODES.flatMap(mode => seriesOf(results, mode, namesOf(mode), quantiles)), ...seriesOf(results, '1 bare loop', namesOf('kernel/1'), quantiles, true)],
    },
  };
}
