/**
 * Reads the log, a line at a time from the first to the last, with one question in mind. What it keeps is what bears on that
 * question: memory is bounded by who had the one port near that time, not by the log.
 *
 * Times are those of the lines. A clock that was set makes some times come twice and others never, so nothing here goes by
 * the order of times, only by that of lines.
 */
import { spanText, type Answer, type Evidence, type Proto, type Question, type Verdict } from './answers.js';
import { FORMAT, type Line, type LineOf, type PlanLine } from './format.js';
import { ipv4Text, isoTime } from './kinds.js';
import { holdingsOf, type Holding } from './plans.js';
import { Lasting, meets, uncovered } from './spans.js';

/** Somebody has the port, or it is known why nobody has by the plan alone. */
interface Fact {
  readonly tenant: string;
  readonly rdid: string;
  readonly protos: readonly Proto[];
  readonly lasting: Lasting;
  /** Null: nobody. */
  readonly inside: number | null;
  readonly insidePort: number | null;
  readonly kind: Holding['kind'] | 'block';
  readonly evidence: Evidence;
  /** Lines are missing, and it has not been seen since: from when to when it may have ended. */
  doubt: { readonly sure: number; readonly to: number } | null;
}

interface Tenant {
  generation: number;
  config: string | null;
  line: number | null;
  facts: Fact[];
}

/**
 * A time that the log cannot tell all about, and why; `isSure` where it is sure that nothing was to be told: then it matters only if the
 * log has nothing about that time by another setting of the clock either.
 */
interface Gap { readonly from: number; readonly to: number; readonly why: string; readonly isSure?: boolean }

/** A daemon says every ten seconds that all is written down. */
const LIVE_MS = 30_000;

type BlockLine = Pick<LineOf<'release'>, 'tenant' | 'rdid' | 'inside' | 'outside' | 'firstPort' | 'count' | 'since'> & { readonly from: number };

export class Witness {
  readonly #question: Question;
  readonly #tenants = new Map<string, Tenant>();
  readonly #blocks = new Map<string, Fact>();
  /** All that is not over. */
  readonly #live = new Set<Fact>();
  /** Those of it that a newer config says otherwise, until all workers go by that. */
  #replaced: { readonly by: number; readonly facts: readonly Fact[] }[] = [];
  /** Of what is over, that which touches the time in question. */
  readonly #over: Fact[] = [];
  readonly #covered: Lasting[] = [];
  readonly #gaps: Gap[] = [];
  readonly #notes = new Set<string>();
  #config: string | null = null;
  #isRunning = false;
  #latest = -Infinity;
  /** When the last one ended that said so. */
  #stopped = NaN;

  constructor(question: Question) {
    this.#question = question;
  }

  /** `where` is the file and the line's number in it. */
  take(line: Line, where: string): void {
    switch (line.type) {
      case 'start': this.#start(line); break;
      case 'continue': this.#continue(line); break;
      case 'config': this.#config = line.config; break;
      case 'plan': this.#plan(line, where); break;
      case 'held': for (const block of line.blocks) this.#hold({ ...line, ...block }, where); break;
      case 'complete': this.#complete(line); break;
      case 'gone': this.#gone(line); break;
      case 'settled': this.#settle(line.generation, line.time); break;
      case 'allocate': this.#hold({ ...line, since: line.time, from: line.time }, where); break;
      case 'release': this.#release(line, where); break;
      case 'lost': this.#miss(line.since, line.time, `${line.lines} lines are missing`); break;
      case 'clock': this.#shift(line); break;
      case 'stop': this.#stop(line.time); break;
    }
    this.#latest = line.type === 'clock' ? line.time : Math.max(this.#latest, line.time);
  }

  /** A line that is about others; `at` is its time. */
  pass(at: number | undefined): void {
    if (at !== undefined) this.#latest = Math.max(this.#latest, at);
  }

  /** Lines, or files, that should be here are not, or cannot be read; `next` is the time of the first line after them. */
  missing(next: number, why: string): void {
    if (this.#isRunning) this.#miss(Math.min(this.#latest, next), next, why);
  }

  note(what: string): void {
    this.#notes.add(what);
  }

  /** There are no more lines. `alive`: when the daemon said last that all was written down; null when it did not. */
  finish(alive: number | null, now: number): Verdict {
    const { from, to } = this.#question;
    const last = Math.max(this.#latest, alive ?? -Infinity);
    const isLive = this.#isRunning && alive !== null && Math.abs(now - alive) < LIVE_MS;
    const end = !this.#isRunning ? this.#stopped - 1 : isLive ? Math.max(now, last) : last;
    for (const covered of this.#covered) covered.close(end + 1);
    if (!isLive) for (const fact of this.#live) fact.doubt ??= { sure: end + 1, to: Infinity };

    // What still holds does so until now, not beyond: a clock that was set back has been there before.
    const limit = isLive ? end + 1 : Infinity;
    const facts = [...this.#over, ...this.#live].filter(({ lasting }) => lasting.spans.some(span => meets({ from: span.from, to: span.to === Infinity ? limit : span.to }, from, to)));
    const answers = facts.filter(({ inside }) => inside !== null).map(fact => this.#answer(fact, limit)).sort((a, b) => Number(b.certain) - Number(a.certain));
    const why = this.#whyNot(end);
    if (answers.some(({ certain }) => certain)) return { verdict: 'held', answers, notes: [...why, ...this.#notes] };
    if (why.length > 0) return { verdict: 'unknown', answers, notes: [...why, ...this.#notes] };
    if (answers.length > 0) return { verdict: 'unknown', answers, notes: [...this.#notes] };
    const isForeign = facts.some(({ kind }) => kind === 'foreign');
    return { verdict: isForeign ? 'unknown' : 'nobody', answers, notes: [...this.#whyNobody(facts), ...this.#notes] };
  }

  // Lines

  #start({ time, format, config, seen }: LineOf<'start'>): void {
    this.#checkFormat(format);
    if (this.#isRunning) {
      const sure = Math.max(seen ?? -Infinity, this.#latest) + 1;
      this.#endAll(Math.max(time, sure), sure);
      if (time > sure) this.#gaps.push({ from: sure, to: time, why: `the daemon ended without a word after ${isoTime(sure - 1)}, and the next one began at ${isoTime(time)}` });
    } else if (time > this.#stopped) {
      this.#gaps.push({ from: this.#stopped, to: time, isSure: true, why: `no daemon ran from ${isoTime(this.#stopped)} to ${isoTime(time)}` });
    }
    this.#begin(time, config);
  }

  #continue({ time, format, config }: LineOf<'continue'>): void {
    this.#checkFormat(format);
    if (this.#isRunning) this.#config = config;
    else this.#begin(time, config);
  }

  #begin(time: number, config: string): void {
    this.#isRunning = true;
    this.#config = config;
    this.#latest = time;
    this.#covered.push(new Lasting(time));
  }

  #checkFormat(format: number): void {
    if (format > FORMAT) this.note(`the log is of format ${format}, and this Causeway knows ${FORMAT}: a newer one may know better`);
  }

  #plan(line: PlanLine, where: string): void {
    const { address, port, protos } = this.#question;
    const before = this.#tenants.get(line.rdid);
    const facts = holdingsOf(line, address, port, protos).map(holding => this.#factOf(line, holding, where));
    if (before === undefined) {
      if (facts.length === 0) return;
      for (const fact of facts) this.#live.add(fact);
      this.#tenants.set(line.rdid, { generation: line.generation, config: this.#config, line: line.line, facts });
      return;
    }
    // What it says as the one before did goes on; the rest ends when all workers go by the new one.
    const same = (a: Fact, b: Fact): boolean => a.tenant === b.tenant && a.kind === b.kind && a.inside === b.inside && a.insidePort === b.insidePort
      && a.evidence.firstPort === b.evidence.firstPort && a.evidence.count === b.evidence.count && a.protos.join() === b.protos.join();
    const kept = facts.map(fact => before.facts.find(old => this.#live.has(old) && same(old, fact)) ?? fact);
    for (const fact of kept) {
      fact.doubt = null;
      this.#live.add(fact);
    }
    this.#replace(line.generation, before.facts.filter(old => !kept.includes(old) && this.#live.has(old)));
    this.#tenants.set(line.rdid, { generation: line.generation, config: this.#config, line: line.line, facts: kept });
  }

  #factOf({ tenant, rdid, since, from, generation }: PlanLine, holding: Holding, where: string): Fact {
    const { kind, protos, line } = holding;
    const { port } = this.#question;
    const evidence = {
      firstPort: kind === 'share' ? holding.firstPort : port, count: kind === 'share' ? holding.count : 1,
      generation, config: this.#config, line, source: where,
    };
    return {
      tenant, rdid, protos, kind, lasting: new Lasting(since, from), doubt: null,
      inside: 'inside' in holding ? holding.inside : null, insidePort: kind === 'mapping' ? holding.insidePort : null,
      evidence: { ...evidence, kind: kind === 'mapping' ? 'mapping' : 'share' },
    };
  }

  #gone({ rdid, generation }: LineOf<'gone'>): void {
    const tenant = this.#tenants.get(rdid);
    if (tenant === undefined) return;
    this.#replace(generation, tenant.facts);
    this.#tenants.delete(rdid);
  }

  #replace(by: number, facts: readonly Fact[]): void {
    if (facts.length > 0) this.#replaced.push({ by, facts });
  }

  #settle(generation: number, time: number): void {
    const [done, left] = [this.#replaced.filter(({ by }) => by <= generation), this.#replaced.filter(({ by }) => by > generation)];
    this.#replaced = left;
    for (const { facts } of done) for (const fact of facts) this.#end(fact, time);
  }

  #hold(block: BlockLine, where: string): void {
    if (!this.#isAsked(block)) return;
    const key = keyOf(block.firstPort, block.since);
    const known = this.#blocks.get(key) ?? this.#blockFact(block, where);
    known.doubt = null;
    this.#blocks.set(key, known);
    this.#live.add(known);
  }

  #blockFact({ tenant, rdid, inside, firstPort, count, since, from }: BlockLine, where: string): Fact {
    const plan = this.#tenants.get(rdid);
    return {
      tenant, rdid, inside, insidePort: null, kind: 'block', protos: this.#question.protos, lasting: new Lasting(since, from), doubt: null,
      evidence: { kind: 'block', firstPort, count, generation: plan?.generation ?? null, config: plan?.config ?? null, line: plan?.line ?? null, source: where },
    };
  }

  #release(line: LineOf<'release'>, where: string): void {
    if (!this.#isAsked(line)) return;
    const key = keyOf(line.firstPort, line.since);
    const known = this.#blocks.get(key);
    const fact = known ?? this.#blockFact({ ...line, from: line.since }, where);
    this.#blocks.delete(key);
    if (known === undefined && line.time < line.since) {
      // The clock was set back meanwhile, and the log no longer says from when to when: both ends are known, what lies between is not.
      fact.lasting.close(Infinity, line.since + 1);
      fact.lasting.spans.push({ from: -Infinity, to: line.time, sure: -Infinity });
    } else {
      fact.doubt = null;
    }
    this.#end(fact, line.time);
  }

  #isAsked({ outside, firstPort, count }: Pick<BlockLine, 'outside' | 'firstPort' | 'count'>): boolean {
    const { address, port } = this.#question;
    return outside === address && port >= firstPort && port < firstPort + count;
  }

  /** What was known at `since` may have ended by `time`, and others may have begun. */
  #miss(since: number, time: number, why: string): void {
    const from = Math.min(since, time);
    this.#gaps.push({ from, to: time, why: `${why}, from ${isoTime(from)} to ${isoTime(time)}` });
    for (const fact of this.#live) fact.doubt = { sure: fact.doubt?.sure ?? from, to: time };
  }

  /** All that is in force has been said again: what is still in doubt is over, but for what workers may still go by. */
  #complete({ generation, settled, time }: LineOf<'complete'>): void {
    const replaced = new Set(this.#replaced.flatMap(({ facts }) => facts));
    for (const fact of this.#live) {
      if (fact.doubt !== null && (settled || !replaced.has(fact))) this.#end(fact, fact.doubt.to, fact.doubt.sure);
    }
    if (settled) this.#settle(generation, time);
  }

  #shift({ was, time }: LineOf<'clock'>): void {
    for (const fact of this.#live) {
      fact.lasting.shift(was, time, fact.doubt?.sure);
      if (fact.doubt !== null) fact.doubt = { sure: time, to: Math.max(time, fact.doubt.to + time - was) };
    }
    for (const covered of this.#covered) covered.shift(was, time);
    if (time > was) this.#gaps.push({ from: was, to: time, isSure: true, why: `the clock was set forward from ${isoTime(was)} to ${isoTime(time)}` });
    else if (meets({ from: time, to: was }, this.#question.from, this.#question.to)) this.note(`the clock was set back from ${isoTime(was)} to ${isoTime(time)}: the time between came twice`);
  }

  #stop(time: number): void {
    this.#endAll(time, time);
    this.#stopped = time;
  }

  #endAll(to: number, sure: number): void {
    for (const fact of this.#live) this.#end(fact, to, sure);
    for (const covered of this.#covered) covered.close(sure);
    this.#tenants.clear();
    this.#blocks.clear();
    this.#replaced = [];
    this.#isRunning = false;
  }

  /** It is over; it is kept if the question is about a time that it touches. */
  #end(fact: Fact, to: number, sure = to): void {
    const { from, to: last } = this.#question;
    const { lasting, doubt } = fact;
    lasting.close(doubt === null ? to : Math.max(to, doubt.to), Math.min(sure, doubt?.sure ?? sure));
    fact.doubt = null;
    this.#live.delete(fact);
    if (fact.kind === 'block') this.#blocks.delete(keyOf(fact.evidence.firstPort, lasting.spans[0].from));
    if (lasting.spans.some(span => meets(span, from, last))) this.#over.push(fact);
  }

  // Answers

  #answer({ tenant, rdid, protos, lasting, inside, insidePort, evidence, doubt }: Fact, limit: number): Answer {
    const { from, to } = this.#question;
    const sure = Math.min(lasting.last.sure, doubt?.sure ?? Infinity), until = lasting.last.to;
    const isCertain = lasting.spans.some(span => meets({ from: span.from, to: span !== lasting.last ? span.sure : until === Infinity ? Math.min(limit, sure) : sure }, from, to));
    return {
      tenant, rdid, protos, inside: ipv4Text(inside ?? 0), insidePort,
      since: isoTime(lasting.spans[0].from), until: until === Infinity ? null : isoTime(until), sureUntil: sure === until || !Number.isFinite(sure) ? null : isoTime(sure), certain: isCertain, evidence,
    };
  }

  /** Why it cannot be said that there was nobody, or nobody else. Empty when it can. */
  #whyNot(end: number): string[] {
    const { from, to } = this.#question;
    const spans = this.#covered.flatMap(covered => covered.spans);
    const begin = spans[0]?.from;
    if (begin === undefined) return ['the log is empty'];
    const holes = uncovered(spans, from, to);
    const gaps = this.#gaps.filter(gap => gap.from <= to && gap.to > from && (gap.isSure !== true || holes.some(hole => meets(gap, hole.from, hole.to))));
    const unexplained = uncovered([...spans, ...gaps.map(gap => ({ ...gap, sure: gap.to }))], from, to);
    return [...gaps.map(({ why }) => why), ...unexplained.map(hole => {
      if (hole.to < begin) return `the log begins at ${isoTime(begin)}`;
      if (hole.from > end) return this.#isRunning ? `the log ends at ${isoTime(end)}, and no daemon goes on with it` : `the daemon ended at ${isoTime(this.#stopped)}, and none has begun since`;
      return `the log has nothing about ${spanText(hole.from, hole.to)}`;
    })];
  }

  #whyNobody(facts: readonly Fact[]): string[] {
    const { address, port } = this.#question;
    const where = `${ipv4Text(address)}:${port}`;
    if (facts.length === 0) return [`no tenant had ${ipv4Text(address)} in its pool`];
    return [...new Set(facts.map(({ kind, tenant }) => NOBODY[kind]?.(where, tenant) ?? `${where} is ${tenant}'s`))];
  }
}

const NOBODY: Readonly<Record<string, (where: string, tenant: string) => string>> = {
  blocks: (where, tenant) => `${where} is one of ${tenant}'s ports that go by blocks, and nobody had that block`,
  reserved: (where, tenant) => `${where} is ${tenant}'s, and so low a port is given to nobody`,
  spare: (where, tenant) => `${where} is ${tenant}'s, and in nobody's share`,
  foreign: (where, tenant) => `${where} is ${tenant}'s, but the log was written by a Causeway that shares ports out in another way: ask one of that version`,
};

function keyOf(firstPort: number, since: number): string {
  return `${firstPort} ${since}`;
}
