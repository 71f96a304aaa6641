/**
 * Real threads on one small state, as many as fit on no machine's cores, and control beside them that sweeps, reloads and
 * sees to those that are killed. What is asserted holds under every interleaving; afterwards the memory is read word by word.
 */
import t from 'tap';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Gateway, Overseer, makeSharedState, type SharedState } from '../../pipeline/gateway.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { Policy } from '../../pipeline/policy.js';
import { FLOW_WORDS } from '../../pipeline/tables/flows.js';
import { makeNatMemory } from '../../pipeline/tables/nat-layout.js';
import { NatState } from '../../pipeline/tables/nat-state.js';
import { Quiet, makeQuietMemory } from '../../pipeline/tables/quiet.js';
import { seededRandom } from '../../pipeline/random.js';
import { connectionFaults } from '../support/connection-invariants.js';
import { compileAll } from '../support/crew.js';
import { natFaults, insideEnds } from '../support/nat-invariants.js';
import { seeded } from '../support/seeded.js';
import type { StormReport, StormStart } from './hammer-storm-thread.js';
import { FIRSTS, FIRST_NOW, LIMITS, Word, firsts, hammerConfig, type HammerReport, type HammerStart } from './hammer-traffic.js';

const LOADER = fileURLToPath(new URL('../support/typescript.mjs', import.meta.url));
const WORKERS = 3;
const random = seeded();
t.comment(`seed ${random.seed}`);

class Hammer {
  readonly state: SharedState;
  readonly overseer: Overseer;
  readonly words = new SharedArrayBuffer(4 * (Word.adopted + WORKERS));
  readonly control = new Int32Array(this.words);
  readonly reports: HammerReport[] = [];
  readonly #threads: (Worker | null)[] = [];
  readonly #policies;
  readonly sizes;
  policy: Policy;

  constructor(readonly work: HammerStart['work'], generations: number, limits = LIMITS) {
    const { policies, sizes } = compileAll(Array.from({ length: generations }, (_, i) => hammerConfig(i % 2, limits)));
    this.#policies = policies;
    this.sizes = { ...sizes, nat: { ...sizes.nat, plain: 64 } };
    this.state = makeSharedState(this.sizes, WORKERS, random.u32());
    this.overseer = new Overseer(this.state);
    this.policy = new Policy(policies[0]);
  }

  get now(): number { return (FIRST_NOW + Atomics.load(this.control, Word.seconds)) * 1000; }
  get running(): number { return this.#threads.filter(thread => thread !== null).length; }

  async start(worker: number): Promise<void> {
    const start: HammerStart = { state: this.state, worker, policies: this.#policies, words: this.words, seed: random.u32(), work: this.work };
    const thread = new Worker(new URL('./hammer-thread.ts', import.meta.url), { workerData: start, execArgv: [`--import=${LOADER}`] });
    this.#threads[worker] = thread;
    await once(thread, 'message');
    thread.on('message', (report: HammerReport) => {
      this.reports.push(report);
      this.#threads[worker] = null;
    });
  }

  go(): void {
    Atomics.store(this.control, Word.go, 1);
    Atomics.notify(this.control, Word.go);
  }

  /** Another policy; all threads that run have it when this is over. */
  async adopt(generation: number): Promise<void> {
    Atomics.store(this.control, Word.policy, generation);
    this.policy = new Policy(this.#policies[generation]);
    while (this.#threads.some((thread, worker) => thread !== null && Atomics.load(this.control, Word.adopted + worker) !== generation)) await this.turn();
  }

  /** Control's part, once, and then others' turn. */
  async turn(): Promise<void> {
    this.overseer.reaper.tick(this.now, this.policy);
    await new Promise(resolve => setImmediate(resolve));
  }

  async revoke(): Promise<void> {
    for (let from = 0; from >= 0; await this.turn()) from = this.overseer.reaper.revoke(this.policy, from, 256);
  }

  /** A thread dies wherever it is, and another takes its place. */
  async kill(worker: number): Promise<void> {
    await this.#threads[worker]?.terminate();
    this.#threads[worker] = null;
    if (!this.overseer.repairAfter(worker)) throw new Error('a lock is held by who is not dead');
    Atomics.store(this.control, Word.adopted + worker, 0);
    await this.start(worker);
  }

  /** Time passes, and nobody sends: until nothing is left. */
  drain(): void {
    const last = new Gateway({ state: this.state, worker: 0, policy: this.#policies[0], random: seededRandom(1), outlet: { send: () => false } });
    for (let i = 0; i < 6; i++) {
      Atomics.add(this.control, Word.seconds, 10_000);
      last.tick(this.now);
      this.overseer.reaper.tick(this.now, this.policy);
    }
    last.leave();
  }
}

t.test('RFC 4787 §4.1: threads that open the same flows at once make one session each, and one binding for each inside end', async t => {
  const hammer = new Hammer('firsts', 1, { ...LIMITS, sessions: FIRSTS.sessions, bindings: FIRSTS.bindings });
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => hammer.start(worker)));
  hammer.go();
  while (hammer.running > 0) await hammer.turn();
  const { nat } = hammer.overseer;
  for (const { fates, wrong, worker, packets } of hammer.reports) {
    t.same(wrong, [], `what worker ${worker} sent`);
    t.same(fates, { forwarded: packets }, 'the tables hold exactly that many');
  }
  t.same([nat.sessionCount, nat.bindingCount], [FIRSTS.sessions, FIRSTS.bindings]);
  const ends = new Map<string, Set<string>>();
  for (const { outside } of hammer.reports) for (const [name, own] of Object.entries(outside)) own.forEach(end => ends.set(name, (ends.get(name) ?? new Set()).add(end)));
  t.equal(ends.size, FIRSTS.bindings);
  t.same([...ends].filter(([, outside]) => outside.size !== 1), [], 'whichever thread sent it, it left from one outside end');
  t.equal(new Set([...ends].map(([name, [end]]) => `${name.split(' ')[1]} ${end}`)).size, FIRSTS.bindings, 'and from no other’s');
  t.same(natFaults(hammer.state.nat, hammer.sizes.nat), []);
});

t.test('threads that bind, open, close and read the same few entries as fast as they can, while control frees what they take out', async t => {
  const sizes = { bindings: 600, sessions: 1500, plain: 4, tenants: 2, subscribers: 4, portBlocks: 4 };
  const memory = makeNatMemory(sizes, random.u32()), quietMemory = makeQuietMemory(WORKERS), go = new Int32Array(new SharedArrayBuffer(4));
  const quiet = new Quiet(quietMemory);
  const nat = new NatState(memory, sizes, quiet, WORKERS + 1);
  const reports: StormReport[] = [];
  for (let worker = 0; worker < WORKERS; worker++) {
    const workerData: StormStart = { nat: memory, quiet: quietMemory, sizes, worker, seed: random.u32(), rounds: 120_000, go };
    const thread = new Worker(new URL('./hammer-storm-thread.ts', import.meta.url), { workerData, execArgv: [`--import=${LOADER}`] });
    await once(thread, 'message');
    thread.on('message', (report: StormReport) => reports.push(report));
  }
  Atomics.store(go, 0, 1);
  Atomics.notify(go, 0);
  const sweep = (): void => {
    quiet.advance();
    for (let binding = 0; binding < sizes.bindings; binding++) nat.recycleBinding(binding);
    for (let at = 0; at < nat.flows.end; at += FLOW_WORDS) nat.flows.recycle(at);
  };
  while (reports.length < WORKERS) {
    for (let i = 0; i < 20; i++) sweep();
    await new Promise(resolve => setImmediate(resolve));
  }
  t.same(reports.flatMap(({ wrong }) => wrong), []);
  t.same(natFaults(memory, sizes), []);
  t.same([...insideEnds(nat)].filter(([, ends]) => ends.size !== 1), []);
  t.comment(JSON.stringify(reports.map(({ wrong: _, ...did }) => did)));
  for (const { binds, opens, closes, refused } of reports) t.ok(binds > 1000 && opens > 1000 && closes > 1000 && refused > 100);
  for (const session of [...nat.sessions()]) {
    nat.lockSession(session, true);
    nat.close(session);
    nat.locks.unlock();
  }
  for (let i = 0; i < 3; i++) sweep();
  t.same(natFaults(memory, sizes, true), []);
});

t.test('threads that open, answer, close and forget, under reloads, full tables, a clock that runs, and deaths: every invariant holds, and nothing leaks', async t => {
  const GENERATIONS = 12, KILLS = 4, TURNS_EACH = 250;
  const hammer = new Hammer('chaos', GENERATIONS);
  const dice = seeded(random.u32());
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => hammer.start(worker)));
  hammer.go();
  let died = 0;
  for (let generation = 1; generation < GENERATIONS; generation++) {
    for (let i = 0; i < TURNS_EACH; i++) {
      if (dice.below(12) === 0) Atomics.add(hammer.control, Word.seconds, dice.below(30));
      await hammer.turn();
    }
    if (generation % 3 === 0 && died < KILLS) {
      await hammer.kill(dice.below(WORKERS));
      died++;
    }
    await hammer.adopt(generation);
    await hammer.revoke();
  }
  Atomics.store(hammer.control, Word.stop, 1);
  while (hammer.running > 0) await hammer.turn();

  const { nat } = hammer.overseer;
  const packets = hammer.reports.reduce((sum, one) => sum + one.packets, 0);
  t.same(hammer.reports.flatMap(({ wrong }) => wrong), [], 'every packet that left was one of those that may');
  for (const { worker, packets: own, ledgerIn } of hammer.reports) t.equal(ledgerIn, own, `worker ${worker} counted all of its packets`);
  t.same(natFaults(hammer.state.nat, hammer.sizes.nat, false, died), []);
  t.same(connectionFaults(hammer.state.connections, hammer.sizes.connections), []);
  t.ok(hammer.overseer.connections.revoked > 0, `${hammer.overseer.connections.revoked} connections were revoked`);
  t.ok(nat.revoked > 0, `${nat.revoked} sessions were revoked`);
  await hammer.revoke();
  const twice = [...insideEnds(nat)].filter(([, ends]) => ends.size > 1);
  t.same(twice.filter(([, ends]) => [...ends].some(end => Number(end.split(':')[1]) > 39_000)), [], 'no inside end has two outside ones, static mappings aside');
  const fates: Record<string, number> = {};
  for (const one of hammer.reports) for (const [fate, n] of Object.entries(one.fates)) fates[fate] = (fates[fate] ?? 0) + n;
  t.comment(`${packets} packets, ${hammer.reports.reduce((sum, one) => sum + one.fast, 0)} of them fast, ${nat.revoked} sessions revoked, ${died} threads killed; ${JSON.stringify(fates)}`);
  for (const fate of ['forwarded', 'nat_no_binding', 'nat_tcp_not_syn', 'spoofed_source', 'held']) t.ok((fates[fate] ?? 0) > 0, fate);
  t.ok((fates['nat_bindings_spent'] ?? 0) + (fates['nat_sessions_spent'] ?? 0) > 0, 'the tables were full');

  hammer.drain();
  t.same(natFaults(hammer.state.nat, hammer.sizes.nat, true, died), [], 'nothing is left when all timers have run out');
  t.same(connectionFaults(hammer.state.connections, hammer.sizes.connections, 0), []);

  // And all of it can be used again.
  const last = new Gateway({ state: hammer.state, worker: 0, policy: compileAll([hammerConfig(0)]).policies[0], random: seededRandom(1), outlet: { send: () => false } });
  last.now = hammer.now + 100_000; // buckets of new flows are full again
  for (const { pa, carrier, bytes } of firsts()) {
    const mem = Uint8Array.from(bytes);
    last.receive(mem, 0, 0, mem.length, last.context.policy.findSender(0, 0, 0xffff, pa, 50_000), Carrier[carrier], Side.both);
  }
  t.equal(nat.sessionCount, LIMITS.sessions, 'to the last session');
  t.same(natFaults(hammer.state.nat, hammer.sizes.nat, false, died), []);
});
