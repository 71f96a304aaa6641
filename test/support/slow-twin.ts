/**
 * A gateway without its fast path, beside one that has it: given the same datagrams at the same time, with the same dice,
 * the two must say, send and count the same. Whoever runs the two asks after every step.
 */
import { Gateway, makeLoneState, type StateSizes } from '../../pipeline/gateway.js';
import type { Outlet } from '../../pipeline/context.js';
import { LEDGER_COLUMNS, LEDGER_STRIDE } from '../../pipeline/ledger.js';
import { Action, type PolicyData } from '../../pipeline/policy.js';
import { REASON_NAMES } from '../../pipeline/reasons.js';
import type { Random } from '../../pipeline/random.js';
import { hex } from './bytes.js';

/** What an outlet was given, all of it, in words that can be compared. */
export function sentWords(mem: Uint8Array, at: number, end: number, peer: number, flowHash: number): string {
  return `to peer ${peer} with flow hash ${flowHash}: ${hex(mem.subarray(at, end))}`;
}

/** Dice whose throws are kept for another gateway, which must throw as often. */
export class SharedDice implements Random {
  readonly #random: Random;
  readonly #thrown: number[] = [];
  readonly again: Random = { next: () => this.#thrown.shift() ?? fail('the slow path throws dice where the fast one has not') };

  constructor(random: Random) {
    this.#random = random;
  }

  next(): number {
    const n = this.#random.next();
    this.#thrown.push(n);
    return n;
  }

  /** Throws of the one that the other has not made. */
  get left(): number { return this.#thrown.length; }
}

export class SlowTwin {
  readonly gateway: Gateway;
  readonly #fast: Gateway;
  readonly #dice: SharedDice;
  readonly #send: Outlet['send'];
  readonly #ledgers: readonly [Float64Array, Float64Array];
  #sent: string[] = [];

  /** `fast` is the twin with the fast path, which has just been made from the same parts and `dice`. */
  constructor(fast: Gateway, fastLedger: SharedArrayBuffer, parts: { sizes: StateSizes; seed: number; policy: PolicyData; dice: SharedDice }) {
    this.#fast = fast;
    this.#dice = parts.dice;
    this.#send = fast.context.outlet.send;
    const state = makeLoneState(parts.sizes, parts.seed);
    this.#ledgers = [new Float64Array(fastLedger), new Float64Array(state.ledgers[0])];
    this.gateway = new Gateway({
      state, worker: 0, policy: parts.policy, random: parts.dice.again,
      outlet: {
        send: (mem, at, end, peer, flowHash) => {
          if (fast.context.outlet.send !== this.#send) return fast.context.outlet.send(mem, at, end, peer, flowHash); // a test has put one of its own there
          this.#sent.push(sentWords(mem, at, end, peer, flowHash));
          return false;
        },
      },
    });
    this.gateway.isFast = false;
    this.gateway.context.tallyRow = 1; // the policy is the same, and so are the cells
    this.gateway.context.adopt(this.gateway.context.policy);
  }

  /** The same for this one, and both answers alike. */
  follow(what: string, answer: number, again: (gateway: Gateway) => number): void {
    const own = again(this.gateway);
    if (own !== answer) fail(`${what}: fast says ${answer}, slow ${own}`);
  }

  /** What both have sent and counted is the same; `sent` is what the fast one did since the last look. */
  compare(what: string, sent: readonly string[]): void {
    const own = this.#sent;
    this.#sent = [];
    if (sent.length !== own.length) fail(`${what}: fast sent ${sent.length} datagrams, slow ${own.length}`);
    sent.forEach((words, i) => { if (words !== own[i]) fail(`${what}:\n  fast sent ${words}\n  slow sent ${own[i]}`); });
    const [fast, slow] = this.#ledgers;
    for (let i = 0; i < fast.length; i++) {
      const column = i % LEDGER_STRIDE;
      if (fast[i] !== slow[i]) fail(`${what}: tenant ${Math.floor(i / LEDGER_STRIDE)} has ${LEDGER_COLUMNS[column] ?? REASON_NAMES[column - LEDGER_COLUMNS.length]} ${fast[i]} by the fast path, ${slow[i]} by the slow`);
    }
    const { rules } = this.gateway.context.policy;
    rules.action.forEach((action, entry) => {
      if (action !== Action.measure || rules.names[entry] === undefined) return;
      const [fast, slow] = [this.#fast, this.gateway].map(gateway => gateway.context.tallies.of(rules.tally[entry]));
      if (fast.packets !== slow.packets || fast.bytes !== slow.bytes) {
        fail(`${what}: rule ${rules.names[entry]} measured ${fast.packets} packets, ${fast.bytes} bytes by the fast path, ${slow.packets} and ${slow.bytes} by the slow`);
      }
    });
    if (this.#dice.left > 0) fail(`${what}: the fast path threw dice ${this.#dice.left} times more than the slow`);
    const [known, other] = [this.#fast.context.connections.count, this.gateway.context.connections.count];
    if (known !== other) fail(`${what}: ${known} connections by the fast path, ${other} by the slow`);
    const [a, b] = [this.#fast.context.nat, this.gateway.context.nat];
    if (a.sessionCount !== b.sessionCount || a.bindingCount !== b.bindingCount) {
      fail(`${what}: ${a.sessionCount} sessions and ${a.bindingCount} bindings by the fast path, ${b.sessionCount} and ${b.bindingCount} by the slow`);
    }
  }
}

function fail(what: string): never {
  throw new Error(`the paths differ: ${what}`);
}
