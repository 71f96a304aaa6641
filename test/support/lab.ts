/**
 * A gateway in a box: the real pipeline under the real config reader, with the wire, the clock and the dice in the
 * test's hands. Every test that uses it can ask whether the ledger balances, and should.
 *
 * Beside it runs another without the fast path, unseen, and every step of the two is compared: so all scenarios are a
 * test, too, that both paths do the same.
 */
import { compileConfig, stateSizes, TenantIds } from '../../daemon/tables.js';
import { readConfig } from '../../config/index.js';
import { HEADROOM } from '../../pipeline/context.js';
import { Gateway, makeLoneState, type SharedState } from '../../pipeline/gateway.js';
import { imbalances, totals, type LedgerTotals } from '../../pipeline/ledger.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { Reason, REASON_NAMES, type ReasonName } from '../../pipeline/reasons.js';
import { seededRandom, type Random } from '../../pipeline/random.js';
import { words } from './frames.js';
import { SharedDice, SlowTwin, sentWords } from './slow-twin.js';

/** A datagram that left: to whom, and its bytes. */
export interface Sent { peer: string; bytes: Uint8Array }

const FATES: Record<string, string> = { '-1': 'consumed', '-2': 'held', '-3': 'forwarded' };

export class Lab {
  readonly state: SharedState;
  readonly gateway: Gateway;
  readonly sent: Sent[] = [];
  /** Exceptions that the pipeline caught; a test of anything else wants none. */
  readonly faults: unknown[] = [];
  /** Milliseconds since the epoch; tests move it. */
  now = 1_700_000_000_000;
  readonly #ids: TenantIds;
  readonly #twin: SlowTwin;
  #sentWords: string[] = [];
  #generation = 1;
  /** What really came and went, to hold the ledger to. */
  readonly #wire = { bytesIn: 0, out: 0, bytesOut: 0 };

  /** `config` is the text of a config file, or an object to be written as one. `random` are the dice for NAT ports. */
  constructor(config: string | object, seed = 1, random: Random = seededRandom(seed)) {
    const valid = mustRead(config);
    this.#ids = new TenantIds(valid.gateway.limits.tenants);
    this.state = makeLoneState(stateSizes(valid), seed);
    const policy = compileConfig(valid, this.#ids, this.#generation, seed), dice = new SharedDice(random);
    this.gateway = new Gateway({
      state: this.state, worker: 0, policy, random: dice,
      outlet: {
        send: (mem, at, end, peer, flowHash) => {
          this.#sentWords.push(sentWords(mem, at, end, peer, flowHash));
          this.#wire.out++;
          this.#wire.bytesOut += end - at;
          this.sent.push({ peer: this.gateway.context.policy.peers.names[peer], bytes: Uint8Array.from(mem.subarray(at, end)) });
          return false;
        },
      },
    });
    this.gateway.onFault = error => this.faults.push(error);
    this.#twin = new SlowTwin(this.gateway, this.state.ledgers[0], { sizes: this.state.sizes, seed, policy, dice });
  }

  /** Both, for a test that reaches into what they know. */
  get gateways(): readonly Gateway[] { return [this.gateway, this.#twin.gateway]; }

  /** A datagram from `pa` ("192.0.2.11" or "192.0.2.11:4711"); returns the fate, or the drop reason, in its word. */
  receive(pa: string, datagram: Uint8Array, carrier: 'gre' | 'vxlan' = 'gre', side: number = Side.both): string {
    const [, address, port] = /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(pa.includes(':') && !pa.includes('.') && !pa.startsWith('[') ? `[${pa}]` : pa) ?? [];
    const peer = this.gateway.context.policy.findSender(...words(address), Number(port ?? 50000));
    this.#wire.bytesIn += datagram.length;
    const turn = this.gateway.received & 1;
    const verdict = this.#both(`from ${pa}`, gateway => {
      const at = (gateway === this.gateway) === (turn === 0) ? 0 : HEADROOM; // one copies where the other does not
      const room = new Uint8Array(at + datagram.length); // the pipeline may write into what it is given
      room.set(datagram, at);
      gateway.now = this.now;
      return gateway.receive(room, 0, at, room.length, peer, Carrier[carrier], side);
    });
    return FATES[String(verdict)] ?? REASON_NAMES[verdict];
  }

  /** A datagram that ends before the pipeline. */
  refuse(reason: ReasonName, datagram: Uint8Array): void {
    this.#wire.bytesIn += datagram.length;
    this.#both(reason, gateway => { gateway.refuse(datagram, 0, datagram.length, Reason[reason], this.now); return 0; });
  }

  /** Take what was sent since the last call. */
  take(): Sent[] {
    return this.sent.splice(0);
  }

  /** Let time pass, and timers run. */
  wait(seconds: number): void {
    this.now += seconds * 1000;
    this.#both('tick', gateway => { gateway.tick(this.now); return 0; });
  }

  reload(config: string | object): number {
    const policy = compileConfig(mustRead(config), this.#ids, ++this.#generation, 1);
    return this.#both('reload', gateway => gateway.adopt(policy));
  }

  /** A step of both paths, which must come to the same. */
  #both(what: string, step: (gateway: Gateway) => number): number {
    const answer = step(this.gateway);
    this.#twin.follow(what, answer, step);
    this.#twin.compare(what, this.#sentWords);
    this.#sentWords = [];
    return answer;
  }

  /** Totals of one tenant, of `-`, or of all. */
  totals(tenant?: string): LedgerTotals {
    if (tenant === undefined) return totals([this.gateway.ledger]);
    const rows = tenant === '-' ? [0] : [...this.#ids.entries()].filter(([, name]) => name === tenant).map(([id]) => id);
    return totals([this.gateway.ledger], rows);
  }

  /** Names of all tenants there have been. */
  tenants(): string[] {
    return [...this.#ids.entries()].map(([, name]) => name);
  }

  /** Everything that does not add up, per tenant, in total and against the wire; a test wants []. */
  imbalances(): string[] {
    const all = this.totals();
    const found = imbalances(all);
    if (all.packets.in !== this.gateway.received) found.push(`received ${this.gateway.received} but in is ${all.packets.in}`);
    for (const name of ['bytesIn', 'out', 'bytesOut'] as const) {
      if (all.packets[name] !== this.#wire[name]) found.push(`the wire saw ${name} ${this.#wire[name]}, the ledger ${all.packets[name]}`);
    }
    found.push(...this.faults.map(fault => `exception: ${String(fault)}`));
    for (const [, name] of [[0, '-'] as const, ...this.#ids.entries()]) found.push(...imbalances(this.totals(name)).map(what => `${name}: ${what}`));
    return found;
  }
}

function mustRead(config: string | object) {
  const text = typeof config === 'string' ? config : JSON.stringify(config);
  const read = readConfig(text, 'lab.jsonc');
  if (read.config === undefined) throw new Error(read.problems.map(p => `${p.line}:${p.column} ${p.path}: ${p.message}`).join('\n'));
  return read.config;
}
