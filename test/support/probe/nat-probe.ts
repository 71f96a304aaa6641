/**
 * What kind of NAT is this? The client's side of NAT behaviour discovery (RFC 5780), with what RFC 4787 adds that can be seen
 * from outside: it sends binding requests, and reasons from the answers alone. It knows neither Causeway nor its tunnels; the
 * `Way` it is given leads to the server through whatever stands between.
 */
import { randomBytes } from 'node:crypto';
import { endWords, readStun, sameEnd, writeRequest, type Answer, type End, type Request, type Server } from './stun.js';

export type Dependence = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent';
/** How hosts behind the NAT see each other through it: not at all, by the sender's external end (RFC 4787 REQ-9a), or by its internal one. */
export type Hairpin = 'none' | 'external source' | 'internal source';
/** How a datagram too long for the path goes: as it is, or cut, in order or the last piece first. */
export type Cut = 'whole' | 'in order' | 'last first';

export interface Arrival { readonly from: End; readonly payload: Uint8Array }

/** Inside hosts, and a way to the server and back. */
export interface Way {
  readonly server: Server;
  /** Addresses behind the NAT. */
  readonly inside: readonly string[];
  send(from: End, to: End, payload: Uint8Array, cut?: Cut): void;
  /** Until `isEnough`, or until nothing more is under way: what has not come then was refused. */
  settle(isEnough: () => boolean): Promise<void>;
  /** What has come for an inside end, all of it so far. */
  arrivals(at: End): readonly Arrival[];
  wait(ms: number): Promise<void>;
  /** Milliseconds, by the clock that `wait` goes by. */
  now(): number;
}

export interface NatReport {
  readonly translates: boolean;
  readonly mapping: Dependence;
  readonly filtering: Dependence;
  /** Both were found once more at the end, when many mappings were in use (RFC 4787 REQ-11). */
  readonly steady: boolean;
  readonly hairpinning: { readonly ports: Hairpin; readonly hosts: Hairpin; readonly itself: Hairpin };
  /** Of `asked` mappings, how many have the inside port, its parity, the port after the one before; and whether a port below 1024 stays below. */
  readonly ports: { readonly asked: number; readonly preserved: number; readonly parity: number; readonly next: number; readonly low: boolean };
  /** Every inside host is behind one external address. */
  readonly paired: boolean;
  readonly externals: readonly string[];
  /** Two inside ends were seen behind one external end. */
  readonly overloaded: boolean;
  readonly fragments: { readonly inOrder: boolean; readonly lastFirst: boolean };
  /** Something on the way changed an address within the payload. */
  readonly meddles: boolean;
  readonly lifetime: Lifetime | null;
}

/** Of an idle mapping, in seconds: it lived so long at least, and was gone after so many at most. */
export interface Lifetime { readonly lived: number; readonly gone: number; readonly outboundRefreshes: boolean; readonly inboundRefreshes: boolean }

const FIRST_PORT = 20_000;
const PORTS_ASKED = 48;
const LOW_PORT = 555;
/** More than any path here carries whole. */
const PADDING = 2000;
const TRIES = 5;
const SECOND = 1000;
/** Between two packets of a flow that keeps a mapping alive, as a part of its lifetime. */
const REFRESH = 1 / 5;

class Probe {
  readonly #way: Way;
  readonly #primary: End;
  /** External ends seen, and who was behind them. */
  readonly seen = new Map<string, string>();
  isOverloaded = false;
  isMeddledWith = false;
  #port = FIRST_PORT;

  constructor(way: Way) {
    this.#way = way;
    this.#primary = { address: way.server.addresses[0], port: way.server.ports[0] };
  }

  /** An inside end that has not been used. */
  fresh(host = 0): End {
    return { address: this.#way.inside[host], port: this.#port++ };
  }

  /** A binding request and its answer at `at`, where the asker is unless something else was asked for. */
  async ask(from: End, { to = this.#primary, at = from, cut = 'whole', ...change }: { to?: End; at?: End; cut?: Cut } & Partial<Request> = {}): Promise<Answer | undefined> {
    const id = this.say('request', from, to, cut, change);
    const find = (): Answer | undefined => this.#way.arrivals(at).map(({ payload }) => readStun(payload)).find((message): message is Answer => message?.type === 'answer' && message.id === id);
    await this.#way.settle(() => find() !== undefined);
    const answer = find();
    if (answer === undefined) return undefined;
    const mapped = endWords(answer.mapped), who = endWords(from);
    if ((this.seen.get(mapped) ?? who) !== who) this.isOverloaded = true;
    this.seen.set(mapped, who);
    if (!sameEnd(answer.plain, answer.mapped)) this.isMeddledWith = true;
    return answer;
  }

  /** The answer that must come, or there is nothing to reason from. */
  async must(from: End, change: Parameters<Probe['ask']>[1] = {}): Promise<Answer> {
    const answer = await this.ask(from, change);
    if (answer === undefined) throw new Error(`no answer to a binding request from ${endWords(from)}`);
    return answer;
  }

  say(type: Request['type'], from: End, to: End = this.#primary, cut: Cut = 'whole', change: Partial<Request> = {}): string {
    const id = randomBytes(12).toString('hex');
    this.#way.send(from, to, writeRequest({ type, changeAddress: false, changePort: false, responsePort: 0, padding: 0, ...change, id }), cut);
    return id;
  }

  /** RFC 5780 §4.3: does the mapping of one inside end depend on whom it speaks to? */
  async mapping(): Promise<{ translates: boolean; mapping: Dependence }> {
    const me = this.fresh();
    const first = await this.must(me);
    const second = await this.must(me, { to: { address: first.other.address, port: this.#primary.port } });
    const third = await this.must(me, { to: first.other });
    const mapping = sameEnd(first.mapped, second.mapped) ? 'endpoint-independent' : sameEnd(second.mapped, third.mapped) ? 'address-dependent' : 'address-and-port-dependent';
    return { translates: !sameEnd(first.mapped, me), mapping };
  }

  /** RFC 5780 §4.4: who may speak to an inside end that has spoken to the primary alone? From an end of its own, for the mapping tests have opened more. */
  async filtering(): Promise<Dependence> {
    const me = this.fresh();
    await this.must(me);
    if (await this.ask(me, { changeAddress: true, changePort: true }) !== undefined) return 'endpoint-independent';
    return await this.ask(me, { changePort: true }) !== undefined ? 'address-dependent' : 'address-and-port-dependent';
  }

  /** RFC 5780 §3.4: two inside ends speak to each other's external one, twice, so that filtering has both opened; then see what came. */
  async hairpin(one: End, other: End): Promise<Hairpin> {
    const ends = [one, other], mapped = [(await this.must(one)).mapped, (await this.must(other)).mapped];
    let said: string[] = [];
    for (let round = 0; round < 2; round++) {
      said = [];
      for (const i of [0, 1]) {
        said[i] = this.say('indication', ends[i], mapped[1 - i]);
        await this.#way.settle(() => this.#heard(ends[1 - i], said[i]) !== undefined);
      }
    }
    const heard = [0, 1].map(i => this.#heard(ends[1 - i], said[i]));
    if (heard.some(from => from === undefined)) return 'none';
    return heard.every((from, i) => sameEnd(from!, mapped[i])) ? 'external source' : 'internal source';
  }

  #heard(at: End, id: string): End | undefined {
    return this.#way.arrivals(at).find(({ payload }) => readStun(payload)?.id === id)?.from;
  }

  async ports(): Promise<NatReport['ports'] & { paired: boolean }> {
    const mappings: [End, End][] = [];
    for (let i = 0; i < PORTS_ASKED; i++) {
      const me = this.fresh();
      mappings.push([me, (await this.must(me)).mapped]);
      await this.must({ ...me, address: this.#way.inside[this.#way.inside.length - 1] }); // whose mapping must be another
    }
    const low = (await this.must({ address: this.#way.inside[0], port: LOW_PORT })).mapped.port < 1024;
    const count = (holds: (inside: number, outside: number, i: number) => boolean): number => mappings.filter(([inside, outside], i) => holds(inside.port, outside.port, i)).length;
    return {
      asked: PORTS_ASKED, low, paired: new Set(mappings.map(([, { address }]) => address)).size === 1,
      preserved: count((inside, outside) => inside === outside),
      parity: count((inside, outside) => (inside & 1) === (outside & 1)),
      next: count((_inside, outside, i) => i > 0 && outside === mappings[i - 1][1].port + 1),
    };
  }

  /** Another end than `at` asks the server to answer to `mapped`, where `at` was seen: does it come? */
  async #reaches(at: End, mapped: End): Promise<boolean> {
    return await this.ask(this.fresh(), { at, responsePort: mapped.port }) !== undefined;
  }

  /**
   * RFC 5780 §4.6, of a mapping that should live `seconds`: is it there before that time is over, gone after, and do packets of
   * either direction keep it? What took so long that it proves nothing is done again.
   */
  async lifetime(seconds: number): Promise<Lifetime> {
    const way = this.#way;
    const short = (seconds - 1) * SECOND, long = (seconds + 1) * SECOND; // clocks of whole seconds may take one away

    const lives = async (): Promise<number> => {
      for (let tries = 0; tries < TRIES; tries++) {
        const me = this.fresh();
        const { mapped } = await this.must(me);
        const since = way.now();
        await way.wait(short / 2);
        const idle = way.now() - since;
        const isThere = await this.#reaches(me, mapped);
        if (isThere) return idle / SECOND;
        if (way.now() - since < short) return 0;
      }
      return 0;
    };
    const dies = async (): Promise<number> => {
      const me = this.fresh();
      const since = way.now();
      const { mapped } = await this.must(me);
      await way.wait(long);
      return await this.#reaches(me, mapped) ? Infinity : (way.now() - since) / SECOND;
    };
    const isKeptBy = async (packet: (me: End, mapped: End) => Promise<void>): Promise<boolean> => {
      for (let tries = 0; tries < TRIES; tries++) {
        const me = this.fresh();
        const { mapped } = await this.must(me);
        let widest = 0, last = way.now();
        for (const since = last; last - since < long;) {
          await way.wait(short * REFRESH);
          await packet(me, mapped);
          const now = way.now();
          widest = Math.max(widest, now - last);
          last = now;
        }
        if (await this.#reaches(me, mapped)) return true;
        if (Math.max(widest, way.now() - last) < short) return false;
      }
      return false;
    };

    const [lived, gone, outboundRefreshes, inboundRefreshes] = await Promise.all([
      lives(), dies(),
      isKeptBy(async me => { this.say('indication', me); }),
      isKeptBy(async (me, mapped) => { await this.#reaches(me, mapped); }),
    ]);
    return { lived, gone, outboundRefreshes, inboundRefreshes };
  }
}

/** Ask everything there is to ask; with `lifetime`, in seconds, also how long a mapping lives that should live so long. Takes little more than twice that time. */
export async function probeNat(way: Way, { lifetime = 0 } = {}): Promise<NatReport> {
  const probe = new Probe(way);
  const { translates, mapping } = await probe.mapping();
  const filtering = await probe.filtering();
  const hairpinning = { ports: await probe.hairpin(probe.fresh(), probe.fresh()), hosts: await probe.hairpin(probe.fresh(0), probe.fresh(way.inside.length - 1)), itself: await hairpinToItself(probe) };
  const { paired, ...ports } = await probe.ports();
  const pad = async (cut: Cut): Promise<boolean> => (await probe.ask(probe.fresh(), { padding: PADDING, cut }))?.padding === PADDING;
  const fragments = { inOrder: await pad('in order'), lastFirst: await pad('last first') };
  const steady = (await probe.mapping()).mapping === mapping && await probe.filtering() === filtering;
  const { isOverloaded: overloaded } = probe, externals = [...new Set([...probe.seen.keys()].map(end => end.split(':')[0]))]; // before mappings have time to die
  return {
    translates, mapping, filtering, steady, hairpinning, ports, paired, externals, overloaded, fragments,
    lifetime: lifetime > 0 ? await probe.lifetime(lifetime) : null, meddles: probe.isMeddledWith,
  };
}

async function hairpinToItself(probe: Probe): Promise<Hairpin> {
  const me = probe.fresh();
  return probe.hairpin(me, me);
}

const DEPENDENCE_WORDS: Record<Dependence, string> = { 'endpoint-independent': 'Endpoint-Independent', 'address-dependent': 'Address-Dependent', 'address-and-port-dependent': 'Address and Port-Dependent' };

/** The name of old (RFC 3489 §5), which says less. */
function oldName({ translates, mapping, filtering }: NatReport): string {
  if (!translates) return filtering === 'endpoint-independent' ? 'no NAT' : 'no NAT, a firewall';
  if (mapping !== 'endpoint-independent') return 'symmetric';
  return { 'endpoint-independent': 'full cone', 'address-dependent': 'restricted cone', 'address-and-port-dependent': 'port restricted cone' }[filtering];
}

/** The report, a line a finding. */
export function reportWords(report: NatReport): string[] {
  const { mapping, filtering, hairpinning, ports, fragments, lifetime } = report;
  const yes = (holds: boolean): string => holds ? 'yes' : 'no';
  return [
    `${DEPENDENCE_WORDS[mapping]} Mapping, ${DEPENDENCE_WORDS[filtering]} Filtering (${oldName(report)})${report.steady ? '' : ', but not always'}`,
    `hairpinning: between ports ${hairpinning.ports}, between hosts ${hairpinning.hosts}, to itself ${hairpinning.itself}`,
    `ports: ${ports.preserved} of ${ports.asked} preserved, ${ports.parity} of the same parity, ${ports.next} next to the one before; low ones stay low: ${yes(ports.low)}`,
    `pooling: ${report.paired ? 'paired' : 'arbitrary'}; external addresses ${report.externals.join(' ')}; overloaded: ${yes(report.overloaded)}`,
    `fragments: in order ${yes(fragments.inOrder)}, last first ${yes(fragments.lastFirst)}; payload changed: ${yes(report.meddles)}`,
    lifetime === null ? 'lifetime: not asked' : `lifetime: alive after ${lifetime.lived.toFixed(1)} s idle, gone after ${lifetime.gone.toFixed(1)} s; outbound packets refresh: ${yes(lifetime.outboundRefreshes)}, inbound: ${yes(lifetime.inboundRefreshes)}`,
  ];
}
