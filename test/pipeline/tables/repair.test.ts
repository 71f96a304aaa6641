/**
 * A worker dies before each of its stores in turn, in the middle of everything that changes shared state, holding what it
 * holds. Then control repairs; and all that must be true is, nobody else's session is lost, the others go on as if the
 * packet had never come, and in the end not one record has leaked.
 */
import t from 'tap';
import { FragmentTable } from '../../../pipeline/tables/fragments.js';
import { crashAt, watch } from '../../support/crash-points.js';
import { Crew, compileAll } from '../../support/crew.js';
import { uplinkDatagram, vmDatagram, type Datagram } from '../../support/datagrams.js';
import { cut4, tcp, udp } from '../../support/frames.js';
import { natFaults } from '../../support/nat-invariants.js';
import { FAR, LOADED_DICE, NAT_PORT, RED_POOL, makeConfig, vm } from '../../support/world.js';

const A = vm('nv4'), DB = vm('vx4', 'db'), C = vm('nv6'), BLUE = vm('nv4', 'web', 'blue');
const SYN = 2, ACK = 16, FIN = 1, RST = 4;
const DEAD = 0, ALIVE = 1;
const MOVED = '198.51.100.8'; // reached by NAT in the first policy, by forwarding in the second

const { policies, sizes: { nat, ...others } } = compileAll([0, 1].map(variant => makeConfig((config, red, blue) => {
  Object.assign(config.gateway.limits, { tenants: 4, sessions: 12, bindings: 10, subscribers: 4, portBlocks: 3, connections: 16, fragments: 4, heldFragments: 6 });
  Object.assign(red, { limits: { perAddress: { sessions: 100 } } }); // so that they are counted
  blue.subnets.forEach((subnet, i) => { subnet.prefix = `10.0.${i}.0/27`; }); // so that there are shares
  Object.assign(red.nat ?? {}, { filtering: 'address-dependent' }); // so that sessions come with permissions
  if (variant === 1) red.routes.push({ prefix: `${MOVED}/32`, via: 'forward' });
})));
const sizes = { ...others, nat: { ...nat, plain: 32 } };

const fromA = (sport: number, to: string, dport: number, payload: string | Uint8Array = ''): Datagram => vmDatagram(A, udp(A.ca, sport, to, dport, payload));
const connection = (flags: number): Datagram => vmDatagram(A, tcp(A.ca, 6000, FAR, 443, flags));
const back = (packet: Uint8Array): Datagram => uplinkDatagram('inet', packet);
const PIECES = cut4(udp(A.ca, 9000, FAR, 53, 'x'.repeat(64)), 24, 1).map(piece => vmDatagram(A, piece));
const OTHERS = cut4(udp(A.ca, 9001, FAR, 53, 'y'.repeat(64)), 24, 2).map(piece => vmDatagram(A, piece));

/** A state with something of everything in it, made by the worker that lives. One session is over and not swept. */
function makeCrew(isWatched = true): Crew {
  const crew = new Crew({ policy: policies[0], sizes, workers: 2, random: () => LOADED_DICE, build: (worker, make) => (isWatched && worker === DEAD ? watch(make) : make()) });
  const send = (datagram: Datagram): string => crew.send(ALIVE, datagram);
  send(fromA(7000, FAR, 53)); // the one that will be over
  crew.now += 299_000;
  send(fromA(5000, FAR, 53));
  send(fromA(5000, FAR, 54));
  send(fromA(5002, MOVED, 53));
  send(connection(SYN));
  send(back(tcp(FAR, 443, RED_POOL, NAT_PORT, SYN | ACK)));
  send(back(udp(FAR, 999, RED_POOL, 5353)));
  send(vmDatagram(A, udp(A.ca, 1, DB.ca, 2)));
  crew.now += 2000;
  send(OTHERS[1]); // waits for its first
  send(OTHERS[2]);
  return crew;
}

interface Step {
  /** What the dying worker is given, after `before`. */
  readonly datagram: Datagram;
  readonly before?: (crew: Crew) => void;
  /** What an unharmed worker says to the same afterwards, where that is not what it would have said in the first place. */
  readonly after?: RegExp;
  /** Sessions that are over by this, by inside port. */
  readonly over?: readonly number[];
}

/** A fragment that the dead one has noted is a copy when it comes again. */
const AGAIN = /forwarded|fragment_overlap/;

const STEPS: Record<string, Step> = {
  'a session and its binding': { datagram: fromA(5001, FAR, 53) },
  'the first session of an inside address, and its block': { datagram: vmDatagram(C, udp(C.ca, 1, FAR, 53)) },
  'the first session of an inside address, of its share': { datagram: vmDatagram(BLUE, udp(BLUE.ca, 1, FAR, 53)) },
  'an inside address too many': { datagram: vmDatagram(BLUE, udp(BLUE.ca, 1, FAR, 53)), before: crew => { crew.send(ALIVE, vmDatagram(C, udp(C.ca, 1, FAR, 53))); crew.send(ALIVE, vmDatagram(vm('vx6'), udp(vm('vx6').ca, 1, FAR, 53))); } },
  'a block that is taken up again': { datagram: vmDatagram(C, udp(C.ca, 1, FAR, 53)), before: crew => { crew.send(ALIVE, vmDatagram(C, udp(C.ca, 2, FAR, 53))); crew.wait(301, 2); } },
  'a session with somebody who has no permission yet': { datagram: fromA(5000, '198.51.100.77', 55) },
  'a session of a binding that is there': { datagram: fromA(5000, FAR, 55) },
  'a connection': { datagram: vmDatagram(A, tcp(A.ca, 6001, FAR, 443, SYN)) },
  'a session from outside, by a binding that is there': { datagram: back(udp(FAR, 1000, RED_POOL, 5353)) },
  'a session from outside, and its binding': { datagram: back(tcp(FAR, 1, RED_POOL, 80, SYN)) },
  'a packet of a session, by the walks': { datagram: back(udp(FAR, 53, RED_POOL, NAT_PORT + 1)) },
  'a packet of a session, by the fast path': { datagram: fromA(5000, FAR, 53), before: crew => { crew.now += 1000; } },
  'a FIN': { datagram: connection(FIN | ACK) },
  'a RST': { datagram: connection(RST) },
  'a session that is over, and begins anew': { datagram: fromA(7000, FAR, 53), over: [7000] },
  'a session too many': { datagram: fromA(5001, FAR, 53), before: crew => { for (let i = 0; i < 12; i++) crew.send(ALIVE, fromA(5000, FAR, 60 + i)); } },
  'a binding too many': { datagram: fromA(5001, FAR, 53), before: crew => { for (let i = 0; i < 10; i++) crew.send(ALIVE, fromA(5100 + i, FAR, 60)); } },
  'a flow without a session': { datagram: vmDatagram(A, udp(A.ca, 2, DB.ca, 2)) },
  'a flow to the physical network': { datagram: fromA(1, '172.16.0.9', 2) },
  'a flow that an earlier policy compiled': { datagram: vmDatagram(A, udp(A.ca, 1, DB.ca, 2)), before: crew => crew.adopt(policies[1]) },
  'a session that an earlier policy allowed, and this one too': { datagram: fromA(5000, FAR, 53), before: crew => crew.adopt(policies[1]) },
  'a session that this policy forbids': { datagram: back(udp(MOVED, 53, RED_POOL, NAT_PORT + 2)), before: crew => crew.adopt(policies[1]), over: [5002], after: /nat_no_way_back|nat_no_binding/ },
  'a first fragment': { datagram: PIECES[0], after: AGAIN },
  'a later fragment, which waits': { datagram: PIECES[1], after: /held|fragment_hold/ },
  'a second one that waits': { datagram: PIECES[2], before: crew => { crew.send(ALIVE, PIECES[1]); }, after: /held|fragment_hold/ },
  'a first fragment that sets others free': { datagram: OTHERS[0], after: AGAIN },
  'a fragment into a full table': {
    datagram: PIECES[0], after: AGAIN,
    before: crew => { for (let id = 10; id < 14; id++) crew.send(ALIVE, vmDatagram(A, cut4(udp(A.ca, 9000, FAR, 53, 'x'.repeat(64)), 24, id)[0])); },
  },
};

/** Sessions by both of their ends; what must survive. */
function sessions({ overseer: { nat } }: Crew): Map<string, number> {
  return new Map([...nat.sessions()].map(at => [
    `${nat.sessionTenant(at)} ${nat.sessionProtocol(at)} ${nat.sessionInside(at)}:${nat.sessionInsidePort(at)} ${nat.sessionOutside(at)}:${nat.sessionOutsidePort(at)} ${nat.remote(at)}:${nat.remotePort(at)}`,
    nat.sessionInsidePort(at),
  ]));
}

/**
 * What is wrong after a death before the `k`-th store; null when it got to the end alive. With `isBusy` another worker gets in
 * between the freeing of locks and the repair.
 */
function die(step: Step, k: number, isBusy: boolean): string[] | null {
  const crew = makeCrew();
  step.before?.(crew);
  const untouched = sessions(crew);
  if (!crashAt(k, () => crew.send(DEAD, step.datagram)).crashed) return null;

  const wrong: string[] = [];
  if (isBusy) {
    crew.overseer.nat.locks.freeAllOf(DEAD + 1);
    if (!new FragmentTable(crew.state.fragments, sizes.fragments, 77).locks.tryLock(0)) return []; // nobody does: that lock is taken over
    new FragmentTable(crew.state.fragments, sizes.fragments, 77).locks.freeAllOf(77);
    crew.send(ALIVE, step.datagram);
  }
  if (!crew.overseer.repairAfter(DEAD)) wrong.push('a lock is still held');
  wrong.push(...natFaults(crew.state.nat, sizes.nat));
  const kept = sessions(crew);
  for (const [session, port] of untouched) if (!kept.has(session) && !(step.over ?? []).includes(port)) wrong.push(`lost ${session}`);

  // The others go on: with this very packet, then with every other session, then until nothing is left.
  const expected = wantedFate(step), fate = crew.send(ALIVE, step.datagram);
  if (isBusy) return wrong.concat(natFaults(crew.state.nat, sizes.nat), drained(crew));
  if (step.after === undefined ? fate !== expected : !step.after.test(fate)) wrong.push(`the next worker says ${fate}, and should ${expected}`);
  return wrong.concat(natFaults(crew.state.nat, sizes.nat), drained(crew));
}

/** What is left when all timers have run out. */
function drained(crew: Crew): string[] {
  crew.wait(10_000, 6, [ALIVE]);
  return [...natFaults(crew.state.nat, sizes.nat, true), ...fragmentFaults(crew)].map(what => `at the end: ${what}`);
}

/** What a worker says when nobody has died. */
function wantedFate(step: Step): string {
  const crew = makeCrew(false);
  step.before?.(crew);
  return crew.send(ALIVE, step.datagram);
}

/** After all timers: the fragment table is empty, and every entry and slot of it can be had. */
function fragmentFaults(crew: Crew): string[] {
  const table = new FragmentTable(crew.state.fragments, sizes.fragments, 77);
  const wrong: string[] = [];
  if (table.count !== 0) wrong.push(`${table.count} datagrams of fragments are left`);
  const entries = Array.from({ length: sizes.fragments.datagrams }, (_, id) => table.add(1, 0, 0, 0, 0, 1, 0, 0, 0, 2, id, 100));
  if (new Set(entries).size !== entries.length || entries.includes(-1)) wrong.push(`entries leaked: ${entries.join()}`);
  for (let slot = 0; slot < sizes.fragments.slots; slot++) {
    if (!table.hold(entries[0], slot % sizes.fragments.holders, new Uint8Array(8), 0, 8, 0, 0, 0, 0, 0)) wrong.push(`slot ${slot} leaked`);
  }
  return wrong;
}

for (const [name, step] of Object.entries(STEPS)) {
  t.test(`a worker that dies before any store of it harms nobody: ${name}`, async t => {
    const wrong: string[] = [];
    let k = 1;
    for (let found = die(step, k, false); found !== null; found = die(step, ++k, false)) {
      wrong.push(...found.map(what => `store ${k}: ${what}`), ...(die(step, k, true) ?? []).map(what => `store ${k}, and another came between: ${what}`));
    }
    t.same(wrong, []);
    t.ok(k > 1, `${k - 1} stores`);
  });
}

t.test('a worker that dies while it gives up what it held harms nobody', async t => {
  const wrong: string[] = [];
  let k = 1;
  for (; ; k++) {
    const crew = makeCrew();
    crew.now += 3000;
    if (!crashAt(k, () => crew.gateways[DEAD].tick(crew.now)).crashed) break;
    crew.overseer.repairAfter(DEAD);
    crew.wait(10_000, 6, [ALIVE]);
    wrong.push(...fragmentFaults(crew).map(what => `store ${k}: ${what}`));
  }
  t.same(wrong, []);
  t.ok(k > 5, `${k - 1} stores`);
});

t.test('what waits for its first fragment survives the death of another worker, and comes after it', async t => {
  const crew = makeCrew();
  t.ok(crashAt(6, () => crew.send(DEAD, PIECES[1])).crashed);
  t.ok(crew.overseer.repairAfter(DEAD));
  crew.sent.length = 0;
  t.equal(crew.send(ALIVE, OTHERS[0]), 'forwarded');
  t.equal(crew.sent.length, 3);
});

t.test('two workers that die together: whoever is repaired first says that it is not over, and the second repair does the rest', async t => {
  const crew = new Crew({ policy: policies[0], sizes, workers: 3, random: () => LOADED_DICE, build: (worker, make) => (worker < 2 ? watch(make) : make()) });
  // Each dies with a lock: after the store that takes it and the two that count a session.
  for (const worker of [0, 1]) t.ok(crashAt(12, () => crew.send(worker, fromA(5001 + worker, FAR, 53))).crashed);
  t.equal(natFaults(crew.state.nat, sizes.nat).filter(what => what.startsWith('lock')).length >= 2, true);
  t.equal(crew.overseer.repairAfter(0), false);
  t.equal(crew.overseer.repairAfter(1), true);
  t.same(natFaults(crew.state.nat, sizes.nat), []);
  t.equal(crew.send(2, fromA(5001, FAR, 53)), 'forwarded');
  t.equal(crew.send(2, fromA(5002, FAR, 53)), 'forwarded');
});

t.test('control does not wait for a dead worker’s lock: revoking stops there, and goes on after the repair', async t => {
  const crew = makeCrew();
  crew.adopt(policies[1], [ALIVE]);
  const { nat, reaper } = crew.overseer;
  const [locked] = [...nat.sessions()].filter(at => nat.sessionInsidePort(at) === 5002);
  t.ok(crew.gateways[DEAD].context.nat.lockSession(locked, true)); // and dies
  const at = reaper.revoke(crew.policy, 0, Infinity);
  t.not(at, -1);
  t.equal(reaper.revoke(crew.policy, at, Infinity), at, 'no further, however often it is asked');
  t.ok(crew.overseer.repairAfter(DEAD));
  t.equal(reaper.revoke(crew.policy, at, Infinity), -1);
  t.equal(nat.revoked, 1);
  t.same(natFaults(crew.state.nat, sizes.nat), []);
});
