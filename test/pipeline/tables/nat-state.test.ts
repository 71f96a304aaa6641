/** NatState under the rules of its header: who calls what with which lock is the stages' business, done here by hand. */
import t from 'tap';
import type { Timers } from '../../../pipeline/policy-rows.js';
import { countWords } from '../../../pipeline/tables/nat-counts.js';
import { makeNatMemory, natBytes, natLayout, type NatSizes } from '../../../pipeline/tables/nat-layout.js';
import { NatState, TAKEN } from '../../../pipeline/tables/nat-state.js';
import { Quiet, makeQuietMemory } from '../../../pipeline/tables/quiet.js';
import { natFaults } from '../../support/nat-invariants.js';
import { seeded } from '../../support/seeded.js';

const UDP = 17, TCP = 6;
const INSIDE = 0x0a000005, OUTSIDE = 0xcb007101, REMOTE = 0xc6336407;
const TIMERS: Timers = { udp: 100, tcpEstablished: 400, tcpTransitory: 50, tcpClosing: 50, icmp: 60, fragment: 30, fragmentHold: 2, portBlock: 120 };
const ESTABLISHED = 3, TRANS = 7;

/** `readers` 0: nobody else is there, so what is taken out is free at once. */
function make(sizes: Partial<NatSizes> = {}, readers = 0) {
  const all = { bindings: 8, sessions: 8, plain: 8, tenants: 4, subscribers: 4, portBlocks: 4, ...sizes };
  const memory = makeNatMemory(all, 7);
  const quiet = new Quiet(makeQuietMemory(readers));
  const view = (owner: number): NatState => new NatState(memory, all, quiet, owner);
  return { memory, sizes: all, quiet, view, nat: view(1), faults: (drained = false) => natFaults(memory, all, drained) };
}
function bind(nat: NatState, tenant = 1, protocol = UDP, insidePort = 5000, outsidePort = 40000, fixed = false): number {
  nat.lockInside(tenant, protocol, INSIDE, insidePort);
  const binding = nat.bind(tenant, protocol, INSIDE, insidePort, OUTSIDE, outsidePort, fixed, 1, 100);
  nat.locks.unlock();
  return binding;
}
function open(nat: NatState, binding: number, remotePort = 53, now = 100, state = 0): number {
  nat.lockInside(nat.tenantOf(binding), nat.protocolOf(binding), nat.inside(binding), nat.insidePort(binding));
  const session = nat.open(binding, REMOTE, remotePort, state, state === 0 || state === ESTABLISHED, 1, now);
  nat.locks.unlock();
  return session;
}
function close(nat: NatState, session: number): void {
  if (!nat.lockSession(session, true)) throw new Error(`session ${session} is gone`);
  nat.close(session);
  nat.locks.unlock();
}
function findInside(nat: NatState, tenant = 1, protocol = UDP, port = 5000, now = 100, after = -1): number {
  return nat.findInside(tenant, protocol, INSIDE, port, now, TIMERS, after);
}

t.test('two inside ends want one outside end, and the second comes between any two steps of the first: one has it', async t => {
  const wrong: string[] = [];
  let steps = 0;
  for (let k = 1; ; k++) {
    const { nat, view, faults } = make({}, 1);
    const first = view(2), original = Atomics.compareExchange;
    let other = -1;
    steps = 0;
    Object.assign(Atomics, { compareExchange: (words: Int32Array, at: number, was: number, is: number) => {
      if (++steps === k) {
        Object.assign(Atomics, { compareExchange: original });
        other = bind(nat, 2, UDP, 6000);
      }
      return original(words, at, was, is);
    } });
    let own: number;
    try {
      own = bind(first);
    } finally {
      Object.assign(Atomics, { compareExchange: original });
    }
    if (steps < k) break;
    if ((own < 0 ? own : TAKEN) !== TAKEN || (other < 0 ? other : TAKEN) !== TAKEN || own < 0 === other < 0) wrong.push(`step ${k}: ${own} and ${other}`);
    nat.unbind(own < 0 ? other : own);
    wrong.push(...faults().map(what => `step ${k}: ${what}`));
  }
  t.ok(steps > 1);
  t.same(wrong, []);
});

t.test('RFC 4787 §4.1: one binding serves every remote end, and is found from both sides', async t => {
  const { nat, faults } = make();
  const binding = bind(nat);
  const sessions = [53, 54, 55].map(port => open(nat, binding, port));
  t.equal(findInside(nat), binding);
  t.equal(nat.findOutside(UDP, OUTSIDE, 40000), binding);
  t.equal(findInside(nat, 2), -1, 'another tenant');
  t.equal(findInside(nat, 1, TCP), -1, 'another protocol');
  t.equal(nat.findOutside(TCP, OUTSIDE, 40000), -1);
  t.same([nat.bindingCount, nat.sessionCount, nat.sessionsOf(1), nat.sessionsOf(2)], [1, 3, 3, 0]);
  t.equal(nat.findSession(1, UDP, INSIDE, 5000, REMOTE, 54), sessions[1]);
  t.equal(nat.findSession(1, UDP, INSIDE, 5000, REMOTE, 56), -1);
  t.equal(nat.findSession(2, UDP, INSIDE, 5000, REMOTE, 54), -1);
  t.not(nat.findInbound(UDP, OUTSIDE, 40000, REMOTE, 54), -1);
  t.same(faults(), []);
});

t.test('a session is two records that say all there is to know of it', async t => {
  const { nat, view, faults } = make();
  const session = open(nat, bind(nat, 3, TCP, 65535, 1024), 65534, 100, ESTABLISHED);
  const other = view(2);
  t.same([other.sessionTenant(session), other.sessionProtocol(session), other.sessionInside(session), other.sessionInsidePort(session), other.sessionOutside(session), other.sessionOutsidePort(session),
    other.remote(session), other.remotePort(session), other.state(session), other.sessionGeneration(session)], [3, TCP, INSIDE, 65535, OUTSIDE, 1024, REMOTE, 65534, ESTABLISHED, 1]);
  t.same([...other.sessions()], [session]);
  t.equal(other.bindingOf(session), other.findOutside(TCP, OUTSIDE, 1024));
  t.same([other.created(other.bindingOf(session)), other.isStatic(other.bindingOf(session)), other.generationOf(other.bindingOf(session))], [100, false, 1]);
  nat.move(session, TRANS, false);
  nat.allowSession(session, 0x1fe);
  nat.allow(nat.bindingOf(session), 0x1ff);
  t.same([other.state(session), other.sessionGeneration(session), other.generationOf(other.bindingOf(session))], [TRANS, 0xfe, 0xff]);
  t.same(faults(), []);
});

t.test('RFC 4787 §4.3: a session lives so long after the packet seen last, in either direction; a binding as long as its sessions', async t => {
  const { nat, faults } = make();
  const binding = bind(nat);
  const first = open(nat, binding, 53), second = open(nat, binding, 54);
  t.same([nat.expires(first, TIMERS), nat.isExpired(first, 199, TIMERS), nat.isExpired(first, 200, TIMERS)], [200, false, true]);
  nat.flows.words[nat.findInbound(UDP, OUTSIDE, 40000, REMOTE, 54) + 7] = 150; // as the fast path does it
  t.equal(nat.expires(second, TIMERS), 250);
  nat.touch(first, 170);
  t.same([nat.expires(first, TIMERS), nat.expires(second, TIMERS)], [270, 250]);
  close(nat, first);
  t.ok(nat.isLive(binding, 249, TIMERS));
  t.notOk(nat.isLive(binding, 250, TIMERS), 'its only session is over');
  t.equal(nat.findOutside(UDP, OUTSIDE, 40000), binding, 'not swept yet');
  t.ok(nat.settle(binding, 249, TIMERS));
  t.notOk(nat.settle(binding, 250, TIMERS));
  t.same([nat.findOutside(UDP, OUTSIDE, 40000), nat.bindingCount, nat.sessionCount, nat.sessionsOf(1)], [-1, 0, 0, 0]);
  t.notOk(nat.settle(binding, 250, TIMERS), 'it was gone already');
  t.same(faults(true), []);
});

t.test('RFC 5382 §5: a connection’s state says how long it may be idle', async t => {
  const { nat } = make();
  const session = open(nat, bind(nat, 1, TCP), 80, 100, ESTABLISHED);
  t.equal(nat.expires(session, TIMERS), 500);
  nat.move(session, TRANS, false);
  t.equal(nat.expires(session, TIMERS), 150);
});

t.test('`findInside` closes a binding whose only session is over, and says of several the latest; `after` goes on from there', async t => {
  const { nat, faults } = make();
  const ports = [80, 8080, 8000];
  const bindings = ports.map(port => bind(nat, 1, UDP, 5000, port, true));
  bindings.forEach((binding, i) => open(nat, binding, 999 + i, 100 + i * 50));
  t.equal(findInside(nat), bindings[2]);
  t.equal(findInside(nat, 1, UDP, 5000, 100, bindings[2]), bindings[1]);
  t.equal(findInside(nat, 1, UDP, 5000, 100, bindings[0]), -1);
  t.equal(findInside(nat, 1, UDP, 5000, 250, bindings[2]), -1, 'the two others are over by now');
  t.equal(nat.bindingCount, 1);
  t.equal(findInside(nat, 1, UDP, 5000, 300), -1);
  t.same(faults(true), []);
});

t.test('a binding with several sessions is not over by any one of them', async t => {
  const { nat } = make();
  const binding = bind(nat);
  open(nat, binding, 53, 190);
  open(nat, binding, 54, 100); // the latest, and the first to be over
  t.ok(nat.isLive(binding, 200, TIMERS));
  t.equal(findInside(nat, 1, UDP, 5000, 200), binding);
});

t.test('what is counted beside a lock is counted there by its holder, who takes back from where he has added', async t => {
  for (const readers of [0, 1]) {
    const { nat, memory, sizes } = make({ bindings: 32, sessions: 32 }, readers);
    const { perTenant } = natLayout(sizes);
    const counts = new Int32Array(memory, perTenant * 4, countWords(sizes.tenants));
    const sessions = Array.from({ length: 32 }, (_, i) => open(nat, bind(nat, 1 + i % 3, i % 2 === 0 ? UDP : TCP, 5000 + i, 40000 + i)));
    t.equal(counts.reduce((sum, n) => sum + n), 64, 'of every stripe and tenant: bindings and sessions');
    sessions.forEach(session => close(nat, session));
    t.notOk(counts.some(n => n !== 0), 'of another’s stripe it would be a number that two write at once');
  }
});

t.test('an outside end belongs to one binding', async t => {
  const { nat, faults } = make();
  const binding = bind(nat);
  t.equal(bind(nat, 2), TAKEN);
  t.equal(bind(nat), TAKEN);
  t.not(bind(nat, 2, TCP), TAKEN, 'of one protocol');
  open(nat, binding);
  open(nat, nat.findOutside(TCP, OUTSIDE, 40000));
  t.same(faults(), []);
});

t.test('full tables refuse, and what is freed is used again', async t => {
  const { nat, faults } = make({ bindings: 2, sessions: 3 });
  const a = bind(nat, 1, UDP, 1, 1), b = bind(nat, 2, UDP, 1, 2);
  t.equal(bind(nat, 3, UDP, 1, 3), -1);
  open(nat, a, 1);
  const session = open(nat, b, 1);
  open(nat, b, 2);
  t.equal(open(nat, b, 3), -1);
  t.same([nat.sessionCount, nat.sessionsOf(1), nat.sessionsOf(2)], [3, 1, 2], 'a refusal counts nothing');
  t.same(faults(), []);
  close(nat, session);
  t.not(open(nat, a, 3), -1);
  t.equal(nat.sessionsOf(1), 2);
  t.same(faults(), []);
});

t.test('what others may still be reading is used again only after all have passed a quiet point, twice', async t => {
  const { nat, quiet, view, sizes, faults } = make({ bindings: 1, sessions: 1, plain: 0 }, 2);
  quiet.pass(0);
  quiet.pass(1);
  const session = open(nat, bind(nat));
  const reader = view(2);
  close(nat, session);
  t.same([nat.bindingCount, nat.sessionCount], [0, 0]);
  t.equal(reader.sessionOutside(session), OUTSIDE, 'who stands on it still sees what it was');
  const sweep = (): void => {
    quiet.advance();
    for (let binding = 0; binding < sizes.bindings; binding++) nat.recycleBinding(binding);
    for (let at = 0; at < nat.flows.end; at += 8) nat.flows.recycle(at);
  };
  for (let i = 0; i < 5; i++) sweep();
  t.equal(bind(nat), -1, 'the reader has not passed');
  quiet.pass(0);
  quiet.pass(1);
  sweep();
  t.equal(bind(nat), -1, 'both have, once');
  quiet.pass(0);
  sweep();
  t.equal(bind(nat), -1, 'one of them has twice, the other not');
  quiet.pass(1);
  sweep();
  t.same(faults(true), []);
  const binding = bind(nat);
  t.equal(binding, 0);
  t.not(open(nat, binding), -1);
  t.same(faults(), []);
});

t.test('a session is locked by whoever closes it, and by one at a time', async t => {
  const { nat, view } = make({}, 2);
  const session = open(nat, bind(nat));
  const other = view(2);
  t.ok(other.lockSession(session, false));
  t.notOk(nat.lockSession(session, false), 'taken');
  other.close(session);
  other.locks.unlock();
  t.notOk(nat.lockSession(session, true), 'gone');
  t.ok(nat.locks.tryLock(0), 'and nothing is held');
});

t.test('a plain flow under a session’s key gives way to it', async t => {
  const { nat, faults } = make();
  const hash = nat.flows.hash(1 << 8 | UDP, INSIDE, REMOTE | 0, 5000 << 16 | 53);
  t.ok(nat.flows.addPlain(1 << 16 | UDP << 8 | 1, INSIDE, REMOTE | 0, 5000 << 16 | 53, hash, 0, 1, 0x83, 100));
  t.equal(nat.flows.plainCount, 1);
  t.equal(nat.findSession(1, UDP, INSIDE, 5000, REMOTE, 53), -1);
  t.equal(nat.flows.plainCount, 0);
  const session = open(nat, bind(nat));
  t.equal(nat.findSession(1, UDP, INSIDE, 5000, REMOTE, 53), session);
  t.same(faults(), []);
});

t.test('design §9: at most 128 bytes a session, binding and empty room included', async t => {
  const sizes = { bindings: 1_000_000, sessions: 1_000_000, plain: 0, tenants: 1000, subscribers: 16_384, portBlocks: 16_384 };
  t.ok(natBytes(sizes) / sizes.sessions <= 128, `${(natBytes(sizes) / sizes.sessions).toFixed(1)} bytes`);
});

type Known = { session: number; seen: number; tcp: boolean; state: number };

for (const readers of [0, 2]) {
  t.test(`whatever is bound, opened, touched, moved and closed in whatever order, ${readers === 0 ? 'alone' : 'by two threads in turn'}: it agrees with a plain map, and every invariant holds`, async t => {
    const random = seeded();
    const { memory, sizes, quiet, view } = make({ bindings: 24, sessions: 48, plain: 16, tenants: 3 }, readers);
    const views = readers === 0 ? [view(1)] : [view(1), view(2)];
    /** By tenant, protocol and inside port: the outside port and the sessions by remote port. */
    const model = new Map<string, { outsidePort: number; latest: number; sessions: Map<number, Known> }>();
    const wrong: string[] = [];
    let now = 1000;
    const total = (): number => [...model.values()].reduce((sum, one) => sum + one.sessions.size, 0);
    const lifetime = (one: Known): number => (one.tcp ? (one.state === ESTABLISHED ? TIMERS.tcpEstablished : TIMERS.tcpTransitory) : TIMERS.udp);

    for (let step = 0; step < 6000 && wrong.length === 0; step++) {
      const nat = views[random.below(views.length)];
      const tenant = 1 + random.below(3), protocol = random.below(2) === 0 ? UDP : TCP, port = random.below(8), remotePort = random.below(4);
      const name = `${tenant} ${protocol} ${port}`;
      const row = model.get(name), known = row?.sessions.get(remotePort);
      nat.lockInside(tenant, protocol, INSIDE, port);
      const found = nat.findSession(tenant, protocol, INSIDE, port, REMOTE, remotePort);
      if (found !== (known?.session ?? -1)) wrong.push(`findSession says ${found}, the model ${known?.session}`);
      switch (random.below(5)) {
        case 0: case 1: { // a packet from inside
          if (known !== undefined) break;
          let binding = nat.findInside(tenant, protocol, INSIDE, port, now, TIMERS);
          const [only] = row?.sessions.values() ?? [];
          if (row?.sessions.size === 1 && only.session === row.latest && only.seen + lifetime(only) <= now) {
            if (binding >= 0) wrong.push(`${name} was over`);
            model.delete(name);
          } else if ((binding >= 0) !== (row !== undefined)) wrong.push(`findInside says ${binding} of ${name}`);
          let outsidePort = model.get(name)?.outsidePort ?? -1;
          if (binding < 0) {
            outsidePort = random.below(40);
            const isTaken = [...model].some(([other, { outsidePort: theirs }]) => other.split(' ')[1] === String(protocol) && theirs === outsidePort);
            binding = nat.bind(tenant, protocol, INSIDE, port, OUTSIDE, outsidePort, false, 1, now);
            if ((binding === TAKEN) !== isTaken) wrong.push(`bind says ${binding}, and the port is ${isTaken ? 'taken' : 'free'}`);
            if (binding === -1 && readers === 0 && model.size < sizes.bindings) wrong.push('bind refused with room left');
            if (binding < 0) break;
          }
          const session = nat.open(binding, REMOTE, remotePort, protocol === TCP ? ESTABLISHED : 0, true, 1, now);
          if (session < 0) {
            if (total() < sizes.sessions && readers === 0) wrong.push('open refused with room left');
            if (!model.has(name)) nat.unbind(binding);
            break;
          }
          const owner = model.get(name) ?? { outsidePort, latest: session, sessions: new Map<number, Known>() };
          owner.latest = session;
          model.set(name, owner);
          owner.sessions.set(remotePort, { session, seen: now, tcp: protocol === TCP, state: ESTABLISHED });
          break;
        }
        case 2:
          if (known === undefined) break;
          nat.touch(known.session, now);
          known.seen = now;
          if (known.tcp) nat.move(known.session, known.state = random.below(2) === 0 ? ESTABLISHED : TRANS, known.state === ESTABLISHED);
          break;
        case 3:
          if (known === undefined) break;
          nat.close(known.session);
          row?.sessions.delete(remotePort);
          if (row?.sessions.size === 0) model.delete(name);
          break;
        default:
          now += random.below(10);
      }
      nat.locks.unlock();
      for (let i = 0; i < readers; i++) if (random.below(3) === 0) quiet.pass(i);
      if (readers > 0 && random.below(3) === 0) quiet.advance();
      for (let binding = random.below(sizes.bindings), i = 0; i < 8 && binding < sizes.bindings; i++) nat.recycleBinding(binding++);
      for (let i = 0, at = random.below(nat.flows.end / 8) * 8; i < 16 && at < nat.flows.end; i++, at += 8) nat.flows.recycle(at);

      for (const one of model.values()) {
        for (const { session, seen, ...rest } of one.sessions.values()) {
          if (nat.expires(session, TIMERS) !== seen + lifetime({ session, seen, ...rest })) wrong.push(`session ${session} expires at ${nat.expires(session, TIMERS)}`);
        }
      }
      if (nat.sessionCount !== total() || nat.bindingCount !== model.size) wrong.push(`${nat.sessionCount} sessions and ${nat.bindingCount} bindings, the model has ${total()} and ${model.size}`);
      if (step % 50 === 0) wrong.push(...natFaults(memory, sizes));
    }
    t.same(wrong, [], `seed ${random.seed}`);

    const [nat] = views;
    for (const { sessions } of model.values()) for (const { session } of sessions.values()) close(nat, session);
    for (let i = 0; i < 4; i++) {
      for (let reader = 0; reader < readers; reader++) quiet.pass(reader);
      quiet.advance();
      for (let binding = 0; binding < sizes.bindings; binding++) nat.recycleBinding(binding);
      for (let at = 0; at < nat.flows.end; at += 8) nat.flows.recycle(at);
    }
    t.same(natFaults(memory, sizes, true), [], 'everything goes in the end');
    const again = Array.from({ length: sizes.bindings }, (_, i) => bind(nat, 1, UDP, i, i));
    t.equal(new Set(again).size, sizes.bindings, 'every binding is on the free list once');
    t.equal(bind(nat, 1, UDP, 99, 99), -1);
    const opened = Array.from({ length: sizes.sessions }, (_, i) => open(nat, again[i % sizes.bindings], i));
    t.equal(new Set(opened).size, sizes.sessions, 'every record too');
    t.equal(open(nat, again[0], 999), -1);
    t.same(natFaults(memory, sizes), []);
  });
}
