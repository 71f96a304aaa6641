/** Tables for terminals, and numbers for people. */

export interface Column<Row> {
  readonly title: string;
  readonly right?: boolean;
  cell(row: Row): string | number;
}

/** Aligned columns with a line of titles. The last column is cut to `width` characters where it would go beyond. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width = Infinity): string {
  const lines = [columns.map(column => column.title), ...rows.map(row => columns.map(column => String(column.cell(row))))];
  const widths = columns.map((_, i) => lines.reduce((most, line) => Math.max(most, line[i].length), 0));
  return lines.map(line => {
    const cells = line.map((text, i) => columns[i].right ? text.padStart(widths[i]) : text.padEnd(widths[i]));
    return `${cut(cells.join('  ').trimEnd(), width)}\n`;
  }).join('');
}

function cut(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}

/** 1536 as 1.5 kB; decimal, as network people count. */
export function renderBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const power = Math.min(5, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** power).toFixed(1)} ${'kMGTP'[power - 1]}B`;
}

/** 3725 as 1h02m. */
export function renderSeconds(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number): string => String(n).padStart(2, '0');
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${two(Math.floor(s / 60) % 60)}m`;
  return `${Math.floor(s / 86400)}d${two(Math.floor(s / 3600) % 24)}h`;
}
