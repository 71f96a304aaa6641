/** Times by a clock that may be set: what lasts is a list of spans, all but the last of which a change of the clock has ended. */

/** From its first ms to the one before `to`; it is certain up to `sure`, and until when it was then cannot be known. */
export interface Span { from: number; to: number; sure: number }

export function open(from: number): Span {
  return { from, to: Infinity, sure: Infinity };
}

/** Whether some ms from `from` to `to`, both included, is in the span. */
export function meets(span: Pick<Span, 'from' | 'to'>, from: number, to: number): boolean {
  return span.from <= to && span.to > from;
}

/** What of `from` to `to`, both included, is in none of the spans; in order. */
export function uncovered(spans: readonly Pick<Span, 'from' | 'sure'>[], from: number, to: number): { readonly from: number; readonly to: number }[] {
  const holes: { from: number; to: number }[] = [];
  let next = from;
  for (const span of [...spans].sort((a, b) => a.from - b.from)) {
    if (span.sure <= next) continue;
    if (span.from > to) break;
    if (span.from > next) holes.push({ from: next, to: span.from - 1 });
    next = span.sure;
  }
  if (next <= to) holes.push({ from: next, to });
  return holes;
}

/** Something that lasts, or has lasted. */
export class Lasting {
  readonly spans: Span[];

  /** Since `since`; `from` on by the clock as it is, where that was set in between, and then it is not known when. */
  constructor(since: number, from = since) {
    this.spans = from === since ? [open(from)] : [{ from: since, to: since + 1, sure: since + 1 }, open(from)];
  }

  get last(): Span { return this.spans[this.spans.length - 1]; }
  get isOpen(): boolean { return this.last.to === Infinity; }

  /** It is over at `to`; it was there for certain until `sure`. */
  close(to: number, sure = to): void {
    if (!this.isOpen) return;
    this.last.to = Math.max(to, this.last.from);
    this.last.sure = Math.max(Math.min(sure, this.last.to), this.last.from);
  }

  /** The clock, at `was`, was set to `now`. */
  shift(was: number, now: number, sure = was): void {
    if (!this.isOpen) return;
    this.close(was, sure);
    this.spans.push(open(now));
  }
}
