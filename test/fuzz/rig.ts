/**
 * Two gateways in lockstep: the same datagrams at the same time, in buffers with different poison around them. Whoever
 * reads outside its packet will sooner or later say something else than its twin.
 */
import { TenantIds, compileConfig, stateSizes } from '../../daemon/tables.js';
import { readConfig } from '../../config/index.js';
import { Gateway, makeLoneState } from '../../pipeline/gateway.js';
import { imbalances, totals, type LedgerTotals } from '../../pipeline/ledger.js';
import type { PolicyData } from '../../pipeline/policy.js';
import { seededRandom } from '../../pipeline/random.js';
import type { Seeded } from '../support/seeded.js';
import { words } from '../support/frames.js';
import { NAT_PORT } from '../support/world.js';
import { fuzzConfig } from './corpus.js';

const GUARD = 96;
const ROOM = 1 << 17;
/** Ports follow on each other from NAT_PORT, most of the time, so that answers in the corpus have something to answer. */
const loadedDice = (seed: number) => {
  const honest = seededRandom(seed);
  return { next: () => { const n = honest.next(); return n % 8 === 0 ? n : NAT_PORT - 1024; } };
};

export interface Sent { readonly peer: string; readonly bytes: Uint8Array }

/** One of the two. */
class Twin {
  readonly gateway: Gateway;
  readonly sent: Sent[] = [];
  readonly faults: unknown[] = [];
  readonly #mem = new Uint8Array(ROOM);
  readonly #poison: number;
  /** Memory the outlet claims to keep, as it must look when it is looked at again. */
  readonly #kept: { mem: Uint8Array; at: number; end: number; copy: Uint8Array }[] = [];
  #sends = 0;

  constructor(policy: PolicyData, sizes: ReturnType<typeof stateSizes>, seed: number, poison: number) {
    this.#poison = poison;
    this.gateway = new Gateway({
      state: makeLoneState(sizes, seed), worker: 0, policy, random: loadedDice(seed),
      outlet: {
        send: (mem, at, end, peer) => {
          this.sent.push({ peer: this.gateway.context.policy.peers.names[peer], bytes: Uint8Array.from(mem.subarray(at, end)) });
          if (mem === this.#mem || ++this.#sends % 16 !== 0) return false;
          this.#kept.push({ mem, at, end, copy: Uint8Array.from(mem.subarray(at, end)) });
          return true;
        },
      },
    });
    this.gateway.onFault = error => this.faults.push(error);
  }

  /** Returns the verdict, or what the gateway did to memory that is not its own. */
  receive(datagram: Uint8Array, behind: Uint8Array, at: number, start: number, pa: readonly number[], port: number, carrier: number, side: number, now: number): number | string {
    this.gateway.now = now;
    const mem = this.#mem;
    const end = at + datagram.length;
    mem.fill(this.#poison, at - GUARD, at);
    mem.set(datagram, at);
    mem.fill(this.#poison, end, end + GUARD);
    if (this.#poison === 0) mem.set(behind, end);
    const peer = this.gateway.context.policy.findSender(pa[0], pa[1], pa[2], pa[3], port);
    const verdict = this.gateway.receive(mem, start, at, end, peer, carrier, side);
    for (let i = at - GUARD; i < start; i++) if (mem[i] !== this.#poison) return `wrote before its headroom, at ${i - start}`;
    for (let i = end; i < end + GUARD; i++) if (mem[i] !== (this.#poison === 0 ? behind[i - end] ?? 0 : this.#poison)) return `wrote behind its end, at ${i - end}`;
    return verdict;
  }

  /** Whether what was kept for the kernel is as it was. */
  keptIsWhole(): boolean {
    return this.#kept.splice(0).every(({ mem, at, end, copy }) => Buffer.compare(mem.subarray(at, end), copy) === 0);
  }

  totals(): LedgerTotals {
    return totals([this.gateway.ledger]);
  }
}

export class Rig {
  readonly policies: readonly PolicyData[];
  readonly #twins: readonly [Twin, Twin];
  now = 1_700_000_000_000;
  received = 0;
  #variant = 0;

  constructor(seed: number) {
    const configs = [0, 1].map(variant => {
      const { config, problems } = readConfig(JSON.stringify(fuzzConfig(variant)), 'fuzz.jsonc');
      if (config === undefined) throw new Error(problems.map(problem => `${problem.path}: ${problem.message}`).join('\n'));
      return config;
    });
    const ids = new TenantIds(configs[0].gateway.limits.tenants);
    this.policies = configs.map((config, i) => compileConfig(config, ids, i + 1, seed));
    const sizes = stateSizes(configs[0]);
    this.#twins = [new Twin(this.policies[0], sizes, seed, 0x00), new Twin(this.policies[0], sizes, seed, 0xff)];
  }

  get gateway(): Gateway { return this.#twins[0].gateway; }

  /**
   * Give a datagram to both; throws when they differ, when either misbehaves, and tells what was sent. `original` is what
   * the datagram was made from: of one that was cut, the first twin finds the missing end behind it, the second does not.
   */
  receive(random: Seeded, pa: string, datagram: Uint8Array, original: Uint8Array, carrier: number, side: number): { verdict: number; sent: readonly Sent[] } {
    const [, host = pa, port = '50000'] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.test(pa) ? [pa, pa.replace(/:\d+$/, ''), pa.replace(/.*:/, '')] : [pa, pa, '50000'];
    const at = GUARD + 64 + random.below(8);
    const start = at - [0, 0, random.below(64)][random.below(3)];
    const [a, b] = this.#twins;
    this.received++;
    const verdicts = [a, b].map(twin => twin.receive(datagram, original.subarray(datagram.length, datagram.length + GUARD), at, start, words(host), Number(port), carrier, side, this.now));
    const [first, second] = [a.sent.splice(0), b.sent.splice(0)];
    if (typeof verdicts[0] === 'string' || verdicts[0] !== verdicts[1]) throw new Error(`the twins say ${verdicts.join(' and ')}`);
    this.#noFaults();
    if (first.length !== second.length) throw new Error(`the twins sent ${first.length} and ${second.length} datagrams`);
    first.forEach(({ peer, bytes }, i) => {
      if (peer !== second[i].peer || Buffer.compare(bytes, second[i].bytes) !== 0) throw new Error(`the twins sent different bytes to ${peer} and ${second[i].peer}`);
    });
    return { verdict: verdicts[0], sent: first };
  }

  tick(): void {
    for (const twin of this.#twins) twin.gateway.tick(this.now);
    this.#noFaults();
  }

  /** The other config, with everything that goes with a reload. */
  reload(): void {
    this.#variant = 1 - this.#variant;
    const gone = this.#twins.map(twin => twin.gateway.adopt(this.policies[this.#variant]));
    if (gone[0] !== gone[1]) throw new Error(`the twins revoked ${gone.join(' and ')} sessions`);
  }

  /** Everything that does not add up. */
  imbalances(): string[] {
    return this.#twins.flatMap(twin => {
      const all = twin.totals();
      const rows = Array.from({ length: twin.gateway.ledger.rows }, (_, row) => row);
      return [
        ...imbalances(all), ...rows.flatMap(row => imbalances(totals([twin.gateway.ledger], [row])).map(what => `row ${row}: ${what}`)),
        ...(all.packets.in === this.received ? [] : [`received ${this.received}, but in is ${all.packets.in}`]),
        ...(all.packets.held >= 0 ? [] : [`${all.packets.held} held`]),
        ...(twin.keptIsWhole() ? [] : ['memory that the outlet kept was written to']),
        ...(JSON.stringify(all) === JSON.stringify(this.#twins[0].totals()) ? [] : ['the twins count differently']),
      ];
    });
  }

  totals(): LedgerTotals { return this.#twins[0].totals(); }

  #noFaults(): void {
    for (const twin of this.#twins) for (const fault of twin.faults) throw fault instanceof Error ? fault : new Error(String(fault));
  }
}
