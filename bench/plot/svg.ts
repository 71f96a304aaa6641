/** Charts as SVG text, by hand: axes with units, lines or bars, a legend. Legible on light and on dark ground, without one of their own. */

export interface Point { readonly x: number; readonly value: number; /** What a reader who points at it is told. */ readonly title: string }
export interface Series { readonly name: string; readonly points: readonly Point[]; /** A thing to compare with: drawn in grey, dashed. */ readonly isBaseline: boolean }

export interface Chart {
  readonly title: string;
  /** What the horizontal axis shows, and the names of its positions 0, 1, 2 … */
  readonly xTitle: string;
  readonly xNames: readonly string[];
  readonly yTitle: string;
  /** Whether each step up the vertical axis is ten times the last. */
  readonly isLog: boolean;
  readonly kind: 'lines' | 'bars';
  readonly series: readonly Series[];
}

const WIDTH = 760;
const HEIGHT = 420;
const PLOT = { left: 70, right: 560, top: 50, bottom: 350 } as const;
const LEGEND_X = PLOT.right + 24;
const LEGEND_STEP = 22;
const TICK_LEN = 5;
const BARS_PART = 0.8;
const LINEAR_TICKS = 5;
/** Steps that people count in. */
const NICE = [1, 2, 2.5, 5, 10] as const;

/** Told apart on white and on black, and by those who confuse red and green (after Okabe and Ito). */
const COLOURS = ['#0085c7', '#d96b00', '#00936b', '#c4579a', '#8a6fd1'] as const;

const STYLE = 'text{font:13px system-ui,sans-serif;fill:#444c56}.title{font-size:16px;font-weight:600}.axis{stroke:#768390;fill:none}.grid{stroke:#768390;stroke-opacity:.25}'
  + '.baseline{stroke:#768390;fill:#768390}@media(prefers-color-scheme:dark){text{fill:#adbac7}}';

export function renderChart(chart: Chart): string {
  const { xNames, series, kind } = chart;
  const scale = makeScale(chart);
  const xOf = (x: number): number => PLOT.left + (PLOT.right - PLOT.left) * (x + 0.5) / xNames.length;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escape(chart.title)}">`,
    `<style>${STYLE}</style>`,
    text(PLOT.left, 28, chart.title, 'start', 'title'),
    ...scale.ticks.flatMap(value => {
      const y = round(scale.yOf(value));
      return [`<line class="grid" x1="${PLOT.left}" x2="${PLOT.right}" y1="${y}" y2="${y}"/>`, text(PLOT.left - TICK_LEN - 3, y + 4, tick(value), 'end')];
    }),
    `<path class="axis" d="M${PLOT.left} ${PLOT.top}V${PLOT.bottom}H${PLOT.right}"/>`,
    ...xNames.map((name, x) => text(xOf(x), PLOT.bottom + 20, name, 'middle')),
    text((PLOT.left + PLOT.right) / 2, PLOT.bottom + 46, chart.xTitle, 'middle'),
    `<text transform="translate(18 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)" text-anchor="middle">${escape(chart.yTitle)}</text>`,
    ...series.flatMap((one, i) => [
      ...(kind === 'lines' ? line(one, i, series, xOf, scale.yOf) : bars(one, i, series, xOf, scale.yOf, xNames.length)),
      ...legend(one, i, series),
    ]),
    '</svg>\n',
  ].join('\n');
}

/** Where a value lies, and which values are named at the axis. */
function makeScale({ isLog, series }: Chart): { yOf(value: number): number; ticks: number[] } {
  const values = series.flatMap(({ points }) => points.map(({ value }) => value)).filter(value => value > 0);
  const most = Math.max(1, ...values);
  const height = PLOT.bottom - PLOT.top;
  if (isLog) {
    const first = Math.floor(Math.log10(Math.min(most, ...values)));
    const last = Math.max(first + 1, Math.ceil(Math.log10(most)));
    return {
      yOf: value => PLOT.bottom - height * (Math.log10(Math.max(value, 10 ** first)) - first) / (last - first),
      ticks: Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i)),
    };
  }
  const rough = most / LINEAR_TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * (NICE.find(nice => nice * power >= rough) ?? 10);
  const count = Math.ceil(most / step);
  return { yOf: value => PLOT.bottom - height * value / (count * step), ticks: Array.from({ length: count + 1 }, (_, i) => i * step) };
}

/** Baselines have no colour of their own. */
function look(one: Series, series: readonly Series[]): string {
  if (one.isBaseline) return 'class="baseline"';
  const colour = COLOURS[series.filter(({ isBaseline }) => !isBaseline).indexOf(one) % COLOURS.length];
  return `stroke="${colour}" fill="${colour}"`;
}

function line(one: Series, _i: number, series: readonly Series[], xOf: (x: number) => number, yOf: (value: number) => number): string[] {
  const places = one.points.map(({ x, value }) => `${round(xOf(x))} ${round(yOf(value))}`);
  return [
    `<g ${look(one, series)}><path d="M${places.join('L')}" style="fill:none" stroke-width="2"${one.isBaseline ? ' stroke-dasharray="5 4"' : ''}/>`,
    ...one.points.map(({ x, value, title }) => `<circle cx="${round(xOf(x))}" cy="${round(yOf(value))}" r="4"><title>${escape(title)}</title></circle>`),
    '</g>',
  ];
}

function bars(one: Series, i: number, series: readonly Series[], xOf: (x: number) => number, yOf: (value: number) => number, groups: number): string[] {
  const width = (PLOT.right - PLOT.left) / groups * BARS_PART / series.length;
  return one.points.flatMap(({ x, value, title }) => {
    const left = xOf(x) + (i - series.length / 2) * width, top = yOf(value);
    return [
      `<rect ${look(one, series)} x="${round(left)}" y="${round(top)}" width="${round(width - 2)}" height="${round(PLOT.bottom - top)}"><title>${escape(title)}</title></rect>`,
      text(left + width / 2 - 1, top - 5, tick(value), 'middle'),
    ];
  });
}

function legend(one: Series, i: number, series: readonly Series[]): string[] {
  const y = PLOT.top + 10 + i * LEGEND_STEP;
  return [`<circle ${look(one, series)} cx="${LEGEND_X}" cy="${y}" r="5"/>`, text(LEGEND_X + 12, y + 4, one.name, 'start')];
}

function text(x: number, y: number, words: string, anchor: 'start' | 'middle' | 'end', style = ''): string {
  return `<text${style === '' ? '' : ` class="${style}"`} x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escape(words)}</text>`;
}

/** A figure as short as it can be said. */
function tick(value: number): string {
  return value >= 1000 ? `${round(value / 1000)}k` : String(value >= 100 ? Math.round(value) : round(value));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

export function escape(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
