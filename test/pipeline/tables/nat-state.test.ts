import t from 'tap';
import { NatState, makeNatMemory, type NatSizes } from '../../../pipeline/tables/nat-state.js';
import { seeded } from '../../support/seeded.js';

const UDP = 17, TCP = 6;
const INSIDE = 0x0a000005, OUTSIDE = 0xcb007101, REMOTE = 0xc6336407;

function make(sizes: Partial<NatSizes> = {}): NatState {
  const all = { bindings: 8, sessions: 8, tenants: 4, ...sizes };
  return new NatState(makeNatMemory(all, 7), all);
}

t.test('RFC 4787 §4.1: one binding serves every remote end, and is found from both sides', async t => {
  const nat = make();
  const binding = nat.bind(1, UDP, INSIDE, 5000, OUTSIDE, 40000, false, 100);
  for (let i = 0; i < 3; i++) nat.open(binding, REMOTE + i, 53, 0, 400, 100);
  t.equal(nat.findInside(1, UDP, INSIDE, 5000, REMOTE, 53, 100), binding);
  t.equal(nat.findOutside(UDP, OUTSIDE, 40000, 100), binding);
  t.equal(nat.findInside(2, UDP, INSIDE, 5000, REMOTE, 53, 100), -1, 'another tenant');
  t.equal(nat.findInside(1, TCP, INSIDE, 5000, REMOTE, 53, 100), -1, 'another protocol');
  t.equal(nat.findOutside(TCP, OUTSIDE, 40000, 100), -1);
  t.same([nat.bindingCount, nat.sessionCount, nat.sessionsOf(1), nat.sessionsOf(2)], [1, 3, 3, 0]);
  t.equal(nat.remote(nat.findSession(binding, REMOTE + 1, 53, 100)), REMOTE + 1);
  t.equal(nat.findSession(binding, REMOTE + 1, 54, 100), -1);
});

t.test('a binding goes with its last session, at the second that session’s time is up', async t => {
  const nat = make();
  const binding = nat.bind(1, UDP, INSIDE, 5000, OUTSIDE, 40000, false, 100);
  nat.open(binding, REMOTE, 53, 0, 200, 100);
  const longer = nat.open(binding, REMOTE + 1, 53, 0, 300, 100);
  t.equal(nat.findInside(1, UDP, INSIDE, 5000, REMOTE, 53, 299), binding);
  t.equal(nat.findSession(binding, REMOTE, 53, 299), -1, 'the shorter one is over');
  t.equal(nat.sessionCount, 1);
  t.equal(nat.findSession(binding, REMOTE + 1, 53, 299), longer);
  t.equal(nat.findOutside(UDP, OUTSIDE, 40000, 300), -1);
  t.same([nat.bindingCount, nat.sessionCount, nat.sessionsOf(1)], [0, 0, 0]);
});

t.test('a live binding stays when its last session is found to be over, whatever order sessions were shortened and closed in', async t => {
  const nat = make();
  const binding = nat.bind(1, TCP, INSIDE, 5000, OUTSIDE, 40000, false, 100);
  const first = nat.open(binding, REMOTE, 80, 0, 7540, 100);
  const second = nat.open(binding, REMOTE + 1, 80, 0, 7540, 100);
  nat.touch(second, 7, 340); // a reset: 240 seconds from now on
  nat.close(first);
  // The binding's time must be the second session's by now: at 340 both are over, together.
  const found = nat.findInside(1, TCP, INSIDE, 5000, REMOTE, 80, 340);
  if (found >= 0) {
    nat.findSession(found, REMOTE + 1, 80, 340);
    t.ok(nat.hasSessions(found), 'a binding that was just found is not freed by the look for its session');
  }
  t.equal(found, -1);
  t.same([nat.bindingCount, nat.sessionCount], [0, 0]);
});

t.test('of several bindings of one inside, the one that knows the remote end answers it; a stranger is met by the latest', async t => {
  const nat = make();
  const ports = [80, 8080, 8000];
  const bindings = ports.map(port => nat.bind(1, TCP, INSIDE, 8080, OUTSIDE, port, true, 100));
  bindings.forEach((binding, i) => nat.open(binding, REMOTE + i, 999, 0, 200 + i * 100, 100));
  bindings.forEach((binding, i) => t.equal(nat.findInside(1, TCP, INSIDE, 8080, REMOTE + i, 999, 150), binding, `the client of port ${ports[i]}`));
  t.equal(nat.findInside(1, TCP, INSIDE, 8080, REMOTE + 9, 999, 150), bindings[2]);
  t.equal(nat.findInside(1, TCP, INSIDE, 8080, REMOTE, 999, 200), bindings[2], 'the first is over by now');
  t.equal(nat.bindingCount, 2);
});

t.test('full tables refuse, and what is freed is used again', async t => {
  const nat = make({ bindings: 2, sessions: 3 });
  const a = nat.bind(1, UDP, INSIDE, 1, OUTSIDE, 1, false, 0);
  const b = nat.bind(2, UDP, INSIDE, 1, OUTSIDE, 2, false, 0);
  t.equal(nat.bind(3, UDP, INSIDE, 1, OUTSIDE, 3, false, 0), -1);
  nat.open(a, REMOTE, 1, 0, 100, 0);
  const session = nat.open(b, REMOTE, 1, 0, 100, 0);
  nat.open(b, REMOTE, 2, 0, 100, 0);
  t.equal(nat.open(b, REMOTE, 3, 0, 100, 0), -1);
  nat.close(session);
  t.equal(nat.open(a, REMOTE, 3, 0, 100, 0), session);
  t.equal(nat.sessionsOf(1), 2);
  t.equal(nat.revoke(binding => nat.tenantOf(binding) === 2), 2, 'every session of red’s');
  t.same([nat.bindingCount, nat.sessionCount, nat.sessionsOf(1), nat.sessionsOf(2)], [1, 1, 0, 1]);
});

/** What NatState promises, the slow and obvious way. */
class Model {
  readonly bindings = new Map<number, { inside: string; outside: string; tenant: number; sessions: Map<number, { remote: string; expires: number }> }>();
  liveUntil(binding: number): number {
    return Math.max(...[...this.bindings.get(binding)?.sessions.values() ?? []].map(session => session.expires));
  }
  /** The table has closed what it found to be over; follow. */
  forget(nat: NatState, now: number): string[] {
    const wrong: string[] = [];
    for (const [id, binding] of this.bindings) {
      for (const [session, { expires }] of binding.sessions) {
        if (nat.isOpen(session) && nat.bindingOf(session) === id) continue;
        if (expires > now) wrong.push(`session ${session} of binding ${id} went ${expires - now} seconds early`);
        binding.sessions.delete(session);
      }
      if (binding.sessions.size === 0) this.bindings.delete(id);
    }
    return wrong;
  }
}

t.test('whatever is bound, opened, touched, closed and reaped in whatever order: lists, counts and uniqueness hold', async t => {
  const random = seeded();
  const sizes = { bindings: 24, sessions: 48, tenants: 3 };
  const nat = make(sizes);
  const model = new Model();
  const pick = <T>(from: readonly T[]): T | undefined => from[random.below(from.length)];
  const wrong: string[] = [];
  let now = 1000;

  const openSession = (binding: number): void => {
    const remote = REMOTE + random.below(6), port = random.below(3);
    const name = `${remote}:${port}`;
    const known = [...model.bindings.get(binding)?.sessions ?? []].find(([, session]) => session.remote === name);
    const found = nat.findSession(binding, remote, port, now);
    const isLive = known !== undefined && known[1].expires > now;
    if (isLive !== (found >= 0) || (isLive && found !== known[0])) wrong.push(`findSession says ${found}, the model ${known?.[0]}`);
    wrong.push(...model.forget(nat, now));
    if (found >= 0) return;
    const expires = now + 1 + random.below(200);
    const session = nat.open(binding, remote, port, 0, expires, now);
    if ((session < 0) !== (nat.sessionCount === sizes.sessions && session < 0)) wrong.push('open refused with room left');
    if (session < 0) {
      if (!nat.hasSessions(binding)) nat.unbind(binding);
      return;
    }
    const owner = model.bindings.get(binding);
    if (owner === undefined) {
      const inside = `${nat.tenantOf(binding)} ${nat.protocolOf(binding)} ${nat.inside(binding)}:${nat.insidePort(binding)}`;
      const outside = `${nat.protocolOf(binding)} ${nat.outside(binding)}:${nat.outsidePort(binding)}`;
      for (const other of model.bindings.values()) if (other.outside === outside) wrong.push(`two bindings have ${outside}`);
      model.bindings.set(binding, { inside, outside, tenant: nat.tenantOf(binding), sessions: new Map([[session, { remote: name, expires }]]) });
    } else {
      owner.sessions.set(session, { remote: name, expires });
    }
  };

  for (let step = 0; step < 20_000 && wrong.length === 0; step++) {
    const tenant = 1 + random.below(3), protocol = random.below(2) === 0 ? UDP : TCP, port = random.below(8);
    switch (random.below(8)) {
      case 0: case 1: case 2: { // a packet from inside: find or bind, then find or open
        let binding = nat.findInside(tenant, protocol, INSIDE, port, REMOTE, 0, now);
        wrong.push(...model.forget(nat, now));
        if (binding < 0) {
          const outsidePort = random.below(40);
          if (nat.findOutside(protocol, OUTSIDE, outsidePort, now) >= 0) break;
          wrong.push(...model.forget(nat, now));
          binding = nat.bind(tenant, protocol, INSIDE, port, OUTSIDE, outsidePort, random.below(4) === 0, now);
          if (binding < 0) {
            if (nat.bindingCount !== sizes.bindings) wrong.push('bind refused with room left');
            break;
          }
        }
        openSession(binding);
        break;
      }
      case 3: { // a packet from outside
        const outsidePort = random.below(40);
        const binding = nat.findOutside(protocol, OUTSIDE, outsidePort, now);
        wrong.push(...model.forget(nat, now));
        if (binding >= 0) openSession(binding);
        break;
      }
      case 4: { // a session's clock, forward or back
        const owner = pick([...model.bindings.values()]);
        const chosen = pick([...owner?.sessions ?? []]);
        if (chosen === undefined || chosen[1].expires <= now) break;
        chosen[1].expires = now + 1 + random.below(200);
        nat.touch(chosen[0], random.below(8), chosen[1].expires);
        break;
      }
      case 5: {
        const owner = pick([...model.bindings.entries()]);
        const chosen = pick([...owner?.[1].sessions.keys() ?? []]);
        if (owner === undefined || chosen === undefined) break;
        nat.close(chosen);
        owner[1].sessions.delete(chosen);
        if (owner[1].sessions.size === 0) model.bindings.delete(owner[0]);
        break;
      }
      case 6:
        nat.reap(now, random.below(30));
        wrong.push(...model.forget(nat, now));
        break;
      default:
        now += random.below(20);
    }

    // What must hold after every step.
    const sessions = [...model.bindings.values()].reduce((sum, binding) => sum + binding.sessions.size, 0);
    if (nat.bindingCount !== model.bindings.size) wrong.push(`${nat.bindingCount} bindings, the model has ${model.bindings.size}`);
    if (nat.sessionCount !== sessions) wrong.push(`${nat.sessionCount} sessions, the model has ${sessions}`);
    for (const id of [1, 2, 3]) {
      const own = [...model.bindings.values()].filter(binding => binding.tenant === id).reduce((sum, binding) => sum + binding.sessions.size, 0);
      if (nat.sessionsOf(id) !== own) wrong.push(`${nat.sessionsOf(id)} sessions of tenant ${id}, the model has ${own}`);
    }
    for (const [id, binding] of model.bindings) {
      if (model.liveUntil(id) <= now) continue; // over but not yet reaped: may be found or not
      if (nat.findOutside(nat.protocolOf(id), nat.outside(id), nat.outsidePort(id), now) !== id) wrong.push(`binding ${id}, ${binding.outside}, is not found from outside`);
      if (nat.findInside(nat.tenantOf(id), nat.protocolOf(id), nat.inside(id), nat.insidePort(id), REMOTE, 0, now) !== id) wrong.push(`binding ${id}, ${binding.inside}, is not found from inside`);
    }
  }
  t.same(wrong, [], `seed ${random.seed}`);

  nat.reap(now + 1000, sizes.sessions);
  t.same([nat.bindingCount, nat.sessionCount], [0, 0], 'everything goes in the end');
  const again = Array.from({ length: sizes.bindings }, (_, i) => nat.bind(1, UDP, INSIDE, i, OUTSIDE, i, false, 0));
  t.equal(new Set(again).size, sizes.bindings, 'every binding is on the free list once');
  t.equal(nat.bind(1, UDP, INSIDE, 99, OUTSIDE, 99, false, 0), -1);
  const opened = Array.from({ length: sizes.sessions }, (_, i) => nat.open(again[i % sizes.bindings], REMOTE, i, 0, 100, 0));
  t.equal(new Set(opened).size, sizes.sessions, 'every session too');
  t.equal(nat.open(again[0], REMOTE, 999, 0, 100, 0), -1);
});
