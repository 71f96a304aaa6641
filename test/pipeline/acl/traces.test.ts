/**
 * Random segments, good and absurd, with the clock running, through the whole pipeline by both paths, against a model that is
 * a table one can read: what may come next of whom, and where that leads. Plain tables and no code shared with acl/state.ts.
 */
import t from 'tap';
import { countFast } from '../../support/fast-count.js';
import { tcp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { HQ_KEY, fromSite, fromVm, makeWorld, vm } from '../../support/world.js';
import { seeded } from '../../support/seeded.js';

const random = seeded();
t.comment(`seed ${random.seed}`);
const A = vm('nv4'), B = vm('vx4', 'db');
const TRANSITORY = 12, CLOSING = 7, IDLE_OUT = 30, IDLE_IN = 9;

type State = 'syn' | 'syns' | 'synack' | 'open' | 'fin1' | 'fin2' | 'fins' | 'rst' | 'no';
/** What a segment is: S SYN, A SYN and ACK, F FIN, R RST, D data, . a plain ACK, ? nonsense; upper part of the opener, lower of who answers. `!` begins anew, - has no place. */
const NEXT: Record<State, [opener: Record<string, string>, answerer: Record<string, string>]> = {
  syn:    [{ S: 'syn', A: '-', F: '-', D: '-', '.': '-', R: 'no' },         { S: 'syns', A: 'synack', F: '-', D: '-', '.': 'syn', R: 'no' }],
  syns:   [{ S: 'syns', A: 'synack', F: '-', D: '-', '.': '-', R: 'no' },   { S: 'syns', A: 'synack', F: '-', D: '-', '.': 'syns', R: 'no' }],
  synack: [{ S: 'synack', A: 'synack', F: 'fin1', D: 'open', '.': 'open', R: 'no' }, { S: '-', A: 'synack', F: 'fin2', D: 'synack', '.': 'synack', R: 'no' }],
  open:   [{ S: 'open', A: '-', F: 'fin1', D: 'open', '.': 'open', R: 'rst' }, { S: '-', A: 'open', F: 'fin2', D: 'open', '.': 'open', R: 'rst' }],
  fin1:   [{ S: '!', A: '-', F: 'fin1', D: 'fin1', '.': 'fin1', R: 'rst' }, { S: '-', A: 'fin1', F: 'fins', D: 'fin1', '.': 'fin1', R: 'rst' }],
  fin2:   [{ S: '-', A: '-', F: 'fins', D: 'fin2', '.': 'fin2', R: 'rst' }, { S: '!', A: 'fin2', F: 'fin2', D: 'fin2', '.': 'fin2', R: 'rst' }],
  fins:   [{ S: '!', A: '-', F: 'fins', D: 'fins', '.': 'fins', R: 'fins' }, { S: '!', A: '-', F: 'fins', D: 'fins', '.': 'fins', R: 'fins' }],
  rst:    [{ S: '!', A: '-', F: 'fin1', D: 'open', '.': 'open', R: 'rst' }, { S: '!', A: '-', F: 'fin2', D: 'open', '.': 'open', R: 'rst' }],
  no:     [{ S: '!', A: '-', F: '-', D: '-', '.': '-', R: 'no' },           { S: '!', A: '-', F: '-', D: '-', '.': '-', R: 'no' }],
};
const FLAGS: Record<string, number[]> = { S: [2, 2 | 64 | 128], A: [18], F: [17, 17 | 8], R: [4, 20], D: [16, 24], '.': [16], '?': [0, 3, 6, 7, 1, 8, 41, 5, 21, 19, 32] };

/** One side's connections of one flow: none, or one. `mayIn`: an entry lets the far end open, too. */
class Model {
  state: State | '' = '';
  fromVm = true;
  idle = 0;
  seen = 0;
  readonly #mayIn: boolean;
  constructor(mayIn: boolean) { this.#mayIn = mayIn; }

  /** What the gateway must say. */
  judge(kind: string, isOut: boolean, now: number): string {
    if (this.state !== '' && now - this.seen >= this.#life()) this.state = '';
    if (this.state === '') return this.#open(kind, isOut, now);
    if (kind === '?') return 'acl_tcp_flags';
    const next = NEXT[this.state][isOut === this.fromVm ? 0 : 1][kind];
    if (next === '-') return 'acl_tcp_state';
    if (next === '!') return this.#open(kind, isOut, now);
    const isOver = (state: string): boolean => state === 'fins' || state === 'rst' || state === 'no';
    if (next !== this.state || !isOver(next)) this.seen = now;
    this.state = next as State;
    return 'forwarded';
  }

  #open(kind: string, isOut: boolean, now: number): string {
    if (!isOut && !this.#mayIn) return 'acl_denied';
    if (kind === '?') return 'acl_tcp_flags';
    if (kind === 'A') return 'acl_tcp_state';
    if (kind !== 'S') return 'acl_tcp_no_connection';
    Object.assign(this, { state: 'syn', fromVm: isOut, seen: now, idle: isOut ? IDLE_OUT : IDLE_IN });
    return 'forwarded';
  }

  #life(): number {
    if (this.state === 'syn' || this.state === 'syns' || this.state === 'synack') return Math.min(this.idle, TRANSITORY);
    return this.state === 'fins' || this.state === 'rst' || this.state === 'no' ? Math.min(this.idle, CLOSING) : this.idle;
  }
}

/** Where A alone has entries. */
function world(): Lab {
  const both = (rule: object): object[] => [A.ca, A.ca6].map(local => ({ local, ...rule }));
  return makeWorld((config, red) => {
    Object.assign(config.gateway.timers, { tcpTransitory: TRANSITORY, tcpClosing: CLOSING });
    config.gateway.limits['connections'] = 100;
    red.acls = [
      ...both({ direction: 'outbound', action: 'allow', protocol: 'tcp', stateful: true, idleTimeout: IDLE_OUT, weight: 5 }),
      ...both({ direction: 'inbound', action: 'allow', protocol: 'tcp', localPort: 5001, stateful: true, idleTimeout: IDLE_IN, weight: 5 }),
      ...both({ direction: 'inbound', action: 'deny' }), ...both({ direction: 'outbound', action: 'deny' }),
    ] as Record<string, unknown>[];
  });
}

const FARS: [string, string, string, (lab: Lab, packet: Uint8Array) => string][] = [
  ['another subnet', A.ca, B.ca, (lab, packet) => fromVm(lab, B, packet)],
  ['another subnet, IPv6', A.ca6, B.ca6, (lab, packet) => fromVm(lab, B, packet)],
  ['a site', A.ca, '192.168.50.9', (lab, packet) => fromSite(lab, HQ_KEY, packet)],
];

t.test('a hundred thousand random segments: each is let through or refused as the table says, by both paths', async t => {
  const lab = world();
  countFast(lab.gateway);
  const flows = FARS.flatMap(([name, near, far, back]) => [5000, 5001, 5001].map((port, i) => ({ name: `${name}, port ${port}`, near, far, back, port, dport: 80 + i, model: new Model(port === 5001) })));
  const wrong: string[] = [], tally: Record<string, number> = {};
  for (let step = 0; step < 100_000 && wrong.length < 5; step++) {
    const flow = flows[random.below(flows.length)], { model } = flow;
    const before = model.state;
    // Mostly what moves it on, so that it comes to something.
    const likely = before === '' ? 'S' : before === 'syn' ? 'A.SA' : before === 'synack' ? '.D' : before === 'open' ? 'DDDDDDDDD.....F' : before === 'fin1' || before === 'fin2' ? 'F.D' : 'SARFD.';
    const kinds = random.below(6) === 0 ? 'SAFRD.?' : likely, kind = kinds[random.below(kinds.length)];
    const isOut = before === 'syn' && kind === 'A' ? !model.fromVm : before === '' && random.below(4) > 0 ? true : random.below(2) === 0;
    const choices = FLAGS[kind], flags = choices[random.below(choices.length)];
    const packet = isOut ? tcp(flow.near, flow.port, flow.far, flow.dport, flags, kind === 'D' ? 'data' : '') : tcp(flow.far, flow.dport, flow.near, flow.port, flags, kind === 'D' ? 'data' : '');
    const said = isOut ? fromVm(lab, A, packet) : flow.back(lab, packet);
    const wanted = model.judge(kind, isOut, Math.floor(lab.now / 1000));
    if (said !== wanted) wrong.push(`step ${step}, ${flow.name}: ${kind} ${isOut ? 'out' : 'in'} in ${before || 'none'} (now ${model.state || 'none'}): ${said}, and should be ${wanted}`);
    tally[wanted] = (tally[wanted] ?? 0) + 1;
    lab.sent.length = 0;
    const pause = random.below(40);
    if (pause < 4) lab.now += random.below(3) * 500;
    else if (pause === 4) lab.now += random.below(32) * 1000;
    if (pause > 37) lab.wait(0);
  }
  t.same(wrong, []);
  t.same(lab.imbalances(), []);
  t.comment(`${JSON.stringify(tally)}, ${countFast(lab.gateway)} by the fast path`);
  for (const name of ['forwarded', 'acl_denied', 'acl_tcp_flags', 'acl_tcp_state', 'acl_tcp_no_connection']) t.ok((tally[name] ?? 0) > 300, name);
  t.ok(countFast(lab.gateway) > 3000, 'the fast path was in it');
  lab.now += 100_000;
  lab.wait(10);
  t.equal(lab.gateway.context.connections.count, 0);
});
