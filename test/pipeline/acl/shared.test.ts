/** Connections between workers: one table, either direction at any of them; reloads that they meet before control does; deaths. */
import t from 'tap';
import { RevokedKind } from '../../../pipeline/tables/revoked.js';
import { connectionFaults } from '../../support/connection-invariants.js';
import { crashAt, watch } from '../../support/crash-points.js';
import { Crew, compileAll } from '../../support/crew.js';
import { siteDatagram, uplinkDatagram, vmDatagram, type Datagram } from '../../support/datagrams.js';
import { tcp, udp } from '../../support/frames.js';
import { natFaults } from '../../support/nat-invariants.js';
import { FAR, HQ_KEY, LOADED_DICE, RED_POOL, makeConfig, vm, type WorldChange } from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4', 'db');
const FIN = 1, SYN = 2, RST = 4, ACK = 16;
const SITE = '192.168.50.9';
const closed: WorldChange = (config, red) => {
  Object.assign(config.gateway.limits, { connections: 8, sessions: 12, bindings: 10, flows: 64, subscribers: 8, portBlocks: 8 });
  red.acls = [
    { direction: 'inbound', action: 'deny', local: A.ca }, { direction: 'outbound', action: 'allow', stateful: true, idleTimeout: 100, local: A.ca, name: 'out' },
    { direction: 'inbound', action: 'allow', protocol: 'tcp', localPort: 80, local: B.ca, stateful: true, weight: 1 },
  ];
};
const open: WorldChange = config => { Object.assign(config.gateway.limits, { connections: 8, sessions: 12, bindings: 10, flows: 64, subscribers: 8, portBlocks: 8 }); };
const shut: WorldChange = (config, red, blue) => {
  closed(config, red, blue);
  red.acls = [{ direction: 'inbound', action: 'deny', local: A.ca, name: 'in' }, { direction: 'outbound', action: 'deny', local: A.ca, name: 'shut' }];
};

function makeCrew(...changes: WorldChange[]) {
  const { policies, sizes } = compileAll(changes.map(change => makeConfig(change)));
  const crew = new Crew({ policy: policies[0], sizes, workers: 2, random: () => LOADED_DICE });
  const { connections, revoked, nat } = crew.overseer;
  return { crew, policies, connections, revoked, nat, faults: (count?: number) => [...connectionFaults(crew.state.connections, sizes.connections, count), ...natFaults(crew.state.nat, sizes.nat)] };
}
const out = (to: string, flags: number, port = 5000): Datagram => vmDatagram(A, tcp(A.ca, port, to, 80, flags));
const ask = (to: string, port = 5000): Datagram => vmDatagram(A, udp(A.ca, port, to, 53));
const fromB = (flags: number): Datagram => vmDatagram(B, tcp(B.ca, 80, A.ca, 5000, flags));
const fromSite = (flags: number): Datagram => siteDatagram(HQ_KEY, tcp(SITE, 80, A.ca, 5000, flags));

t.test('any worker knows any connection, and moves it', async t => {
  const { crew, connections, faults } = makeCrew(closed);
  t.same([crew.send(0, out(B.ca, SYN)), crew.send(1, fromB(SYN | ACK)), crew.send(0, out(B.ca, ACK)), crew.send(1, fromB(ACK))], Array(4).fill('forwarded'));
  t.equal(connections.count, 2, 'one for A, one for B');
  t.same([crew.send(1, out(B.ca, FIN | ACK)), crew.send(0, fromB(FIN | ACK)), crew.send(0, fromB(SYN | ACK))], ['forwarded', 'forwarded', 'acl_tcp_state']);
  t.same(faults(2), []);
});

t.test('the fast path of one worker and the walks of another: a connection that one has closed lets nothing pass at the other', async t => {
  const { crew } = makeCrew(closed);
  for (const [worker, datagram] of [[0, out(SITE, SYN)], [1, fromSite(SYN | ACK)], [0, out(SITE, ACK)], [1, fromSite(ACK)], [1, fromSite(ACK)], [0, out(SITE, ACK)]] as const) crew.send(worker, datagram);
  crew.send(0, out(SITE, FIN | ACK));
  crew.send(0, fromSite(FIN | ACK));
  t.equal(crew.send(1, out(SITE, SYN | ACK)), 'acl_tcp_state');
  crew.now += 240_000;
  t.equal(crew.send(1, fromSite(ACK)), 'acl_denied');
});

t.test('two that open the same at once make one connection; the second’s packet is judged by what the first has made', async t => {
  const { crew, connections, faults } = makeCrew(closed);
  const first = crew.gateways[0].context.connections;
  const { add } = first;
  let between = 0;
  const { leave } = first;
  first.leave = () => {
    leave.call(first);
    if (between++ === 0) t.equal(crew.send(1, out(SITE, SYN)), 'forwarded'); // behind its look, before its own connection
  };
  t.equal(crew.send(0, out(SITE, SYN)), 'forwarded');
  t.ok(between > 1);
  Object.assign(first, { add, leave });
  t.equal(connections.count, 1);
  t.same(faults(1), []);
});

t.test('a connection that goes between a packet’s look and its track is not made up for', async t => {
  const { crew, faults } = makeCrew(closed);
  for (const datagram of [out(SITE, SYN), fromSite(SYN | ACK), out(SITE, ACK)]) crew.send(0, datagram);
  const first = crew.gateways[0].context.connections;
  const { leave } = first;
  let between = 0;
  first.leave = () => {
    leave.call(first);
    if (between++ > 0) return;
    const { connections } = crew.gateways[1].context;
    for (let at = connections.first; at < connections.end; at += 16) if (connections.isOpen(at) && connections.tryEnterAt(at)) { connections.remove(at); connections.leave(); }
  };
  t.equal(crew.send(0, fromSite(ACK)), 'acl_tcp_no_connection');
  first.leave = leave;
  t.same(faults(0), []);
});

t.test('design §7: what a worker meets before control does is listed all the same, once, and what takes its place is kept', async t => {
  const { crew, policies, revoked, nat, connections, faults } = makeCrew(open, shut, closed);
  t.equal(crew.send(0, ask(FAR)), 'forwarded');
  t.equal(crew.send(0, vmDatagram(B, udp(B.ca, 5000, FAR, 53))), 'forwarded');
  crew.adopt(policies[1]);
  t.equal(crew.send(1, uplinkDatagram('inet', udp(FAR, 53, RED_POOL, nat.sessionOutsidePort([...nat.sessions()].find(at => nat.sessionInside(at) === 0x0a00000b) ?? 0)))), 'acl_denied');
  t.equal(crew.send(1, ask(FAR)), 'acl_denied');
  t.equal(nat.sessionCount, 2, 'its packets do not get so far; control will see to it');
  crew.revoke();
  const { notes } = revoked.take();
  t.same(notes.map(({ kind, ends, rule }) => [kind, ends.localPort, crew.policy.rules.names[rule]]), [[RevokedKind.session, 5000, 'shut']]);
  t.equal(nat.sessionCount, 1);

  crew.adopt(policies[2]);
  crew.revoke();
  t.equal(crew.send(0, ask(SITE)), 'forwarded');
  t.equal(connections.count, 1);
  crew.adopt({ ...policies[1], generation: 4 });
  t.equal(crew.send(1, ask(SITE)), 'acl_denied');
  t.equal(revoked.take().notes.length, 0, 'nobody asks for connections of a tenant that has no stateful entry left');
  crew.revoke();
  const left = revoked.take().notes.map(({ kind, why }) => [kind, why]);
  t.equal(left.filter(([kind]) => kind === RevokedKind.connection).length, 1);
  t.equal(left.filter(([kind]) => kind === RevokedKind.flow).length, 1, 'and the flow that it belonged to; control makes one of them');
  t.same(faults(0), []);
});

t.test('a worker that finds a connection forbidden takes it out and lists it', async t => {
  const other: WorldChange = (config, red, blue) => {
    closed(config, red, blue);
    red.acls[1]['remote'] = '192.0.2.0/24';
  };
  const { crew, policies, revoked, connections } = makeCrew(closed, other);
  t.equal(crew.send(0, ask(SITE)), 'forwarded');
  crew.adopt(policies[1]);
  t.equal(crew.send(1, siteDatagram(HQ_KEY, udp(SITE, 53, A.ca, 5000))), 'acl_denied');
  t.equal(connections.count, 0);
  t.equal(connections.revoked, 1);
  t.same(revoked.take().notes.map(({ kind, ends }) => [kind, ends.localPort, ends.remotePort]), [[RevokedKind.connection, 5000, 53]]);
  crew.revoke();
  t.equal(connections.revoked, 1, 'once');
});

t.test('a worker with an older policy for a moment goes by what the newer one has left', async t => {
  const { crew, policies, connections, faults } = makeCrew(closed, closed);
  for (const datagram of [out(SITE, SYN), fromSite(SYN | ACK), out(SITE, ACK)]) crew.send(0, datagram);
  crew.adopt(policies[1], [0]);
  t.equal(crew.send(0, fromSite(ACK)), 'forwarded');
  t.equal(crew.send(1, fromSite(ACK)), 'forwarded');
  t.equal(crew.send(1, out(SITE, ACK)), 'forwarded');
  crew.adopt(policies[1], [1]);
  crew.revoke();
  t.equal(connections.revoked, 0);
  t.same(faults(1), []);
});

t.test('control does not wait for a dead worker’s lock on a connection: revoking stops there, and goes on after the repair', async t => {
  const { crew, policies, connections, revoked, faults } = makeCrew(closed, shut);
  crew.send(0, ask(SITE));
  crew.adopt(policies[1], [1]);
  const dead = crew.gateways[0].context.connections;
  for (let at = dead.first; at < dead.end; at += 16) if (dead.isOpen(at)) t.ok(dead.tryEnterAt(at)); // and dies
  const { reaper } = crew.overseer;
  let at = reaper.revoke(crew.policy, 0, Infinity);
  t.not(at, -1);
  t.equal(reaper.revoke(crew.policy, at, Infinity), at);
  t.ok(crew.overseer.repairAfter(0));
  at = reaper.revoke(crew.policy, at, Infinity);
  t.equal(at, -1);
  t.equal(connections.count, 0);
  t.ok(revoked.take().notes.some(({ kind }) => kind === RevokedKind.connection));
  t.same(faults(0), []);
});

const SETUP = [out(B.ca, SYN), fromB(SYN | ACK), out(B.ca, ACK), ask(SITE, 6000), ask(FAR, 6001)];
const STEPS: Record<string, { readonly datagram: Datagram; readonly before?: readonly Datagram[]; readonly after?: RegExp }> = {
  'a new connection on both sides': { datagram: out(B.ca, SYN, 5001) },
  'a new one through NAT': { datagram: ask(FAR, 6002) },
  'a new one to a site': { datagram: ask(SITE, 6002) },
  'a packet in another second': { datagram: fromB(ACK) },
  'the answer that makes it both ways': { datagram: siteDatagram(HQ_KEY, udp(SITE, 53, A.ca, 6000)) },
  'a FIN': { datagram: out(B.ca, FIN | ACK) },
  'a RST': { datagram: fromB(RST) },
  'a pair used again': { datagram: out(B.ca, SYN), before: [out(B.ca, FIN | ACK), fromB(FIN | ACK)] },
  'one too many': { datagram: out(B.ca, SYN, 5009), before: [5, 6, 7, 8].map(port => ask(SITE, 7000 + port)), after: /acl_connections_spent/ },
};

for (const [name, { datagram, before = [], after }] of Object.entries(STEPS)) {
  t.test(`a worker that dies before any store of it harms nobody: ${name}`, async t => {
    const { policies, sizes } = compileAll([makeConfig(closed)]);
    const make = (isWatched: boolean): Crew => {
      const crew = new Crew({ policy: policies[0], sizes, workers: 2, random: () => LOADED_DICE, build: (worker, build) => (isWatched && worker === 0 ? watch(build) : build()) });
      for (const first of [...SETUP, ...before]) t.equal(crew.send(1, first), 'forwarded');
      crew.now += 1000;
      return crew;
    };
    const known = ({ overseer: { connections } }: Crew): string[] => {
      const found: string[] = [], ends = { protocol: 0, localPort: 0, remotePort: 0, adapter: 0, local0: 0, local1: 0, local2: 0, local3: 0, remote0: 0, remote1: 0, remote2: 0, remote3: 0 };
      for (let at = connections.first; at < connections.end; at += 16) {
        if (!connections.isOpen(at)) continue;
        connections.read(at, ends);
        found.push(Object.values(ends).join());
      }
      return found;
    };
    const wanted = make(false).send(1, datagram);
    const wrong: string[] = [];
    let k = 1;
    for (; ; k++) {
      const crew = make(true), untouched = known(crew);
      if (!crashAt(k, () => crew.send(0, datagram)).crashed) break;
      if (!crew.overseer.repairAfter(0)) wrong.push(`store ${k}: a lock is still held`);
      const faults = (): string[] => [...connectionFaults(crew.state.connections, sizes.connections), ...natFaults(crew.state.nat, sizes.nat)];
      wrong.push(...faults().map(what => `store ${k}: ${what}`));
      const kept = new Set(known(crew));
      for (const one of untouched) if (!kept.has(one)) wrong.push(`store ${k}: lost ${one}`);
      const said = crew.send(1, datagram);
      if (after === undefined ? said !== wanted : !after.test(said)) wrong.push(`store ${k}: the next worker says ${said}, and should ${wanted}`);
      wrong.push(...faults().map(what => `store ${k}, then: ${what}`));
      crew.wait(4000, 4, [1]);
      wrong.push(...connectionFaults(crew.state.connections, sizes.connections, 0).map(what => `store ${k}, at the end: ${what}`));
    }
    t.same(wrong, []);
    t.ok(k > 2, `${k - 1} stores`);
  });
}
