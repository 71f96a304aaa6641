/** What only several workers can bring about, one interleaving at a time. */
import t from 'tap';
import { Crew, compileAll } from '../../support/crew.js';
import { uplinkDatagram, vmDatagram, type Datagram } from '../../support/datagrams.js';
import { tcp, udp } from '../../support/frames.js';
import { insideEnds, natFaults } from '../../support/nat-invariants.js';
import { FAR, LOADED_DICE, NAT_PORT, RED_POOL, makeConfig, vm, type WorldChange } from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4');
const SYN = 2;
const UDP = 17;

function makeCrew(...changes: WorldChange[]) {
  const { policies, sizes } = compileAll([makeConfig(), ...changes.map(change => makeConfig(change))]);
  const crew = new Crew({ policy: policies[0], sizes, workers: 2, random: () => LOADED_DICE });
  return { crew, policies, nat: crew.overseer.nat, faults: () => natFaults(crew.state.nat, sizes.nat) };
}
const out = (from: typeof A, port: number, remotePort = 53): Datagram => vmDatagram(from, udp(from.ca, port, FAR, remotePort));
const back = (port: number, remotePort = 53): Datagram => uplinkDatagram('inet', udp(FAR, remotePort, RED_POOL, port));
const lastSource = (crew: Crew): number => { const bytes = crew.sent[crew.sent.length - 1].bytes; return bytes[24] << 8 | bytes[25]; };

t.test('either worker carries either direction, and both know one session', async t => {
  const { crew, nat, faults } = makeCrew();
  t.equal(crew.send(0, out(A, 5000)), 'forwarded');
  t.equal(crew.send(1, back(NAT_PORT)), 'forwarded');
  t.equal(crew.send(1, out(A, 5000)), 'forwarded');
  t.equal(crew.send(1, out(A, 5000, 54)), 'forwarded');
  t.equal(lastSource(crew), NAT_PORT, 'RFC 4787 REQ-1: whichever worker opens it');
  t.same([nat.sessionCount, nat.bindingCount], [2, 1]);
  t.same(faults(), []);
});

t.test('two workers that find the same port free get two', async t => {
  const { crew, nat, faults } = makeCrew();
  const { nat: first } = crew.gateways[0].context;
  const { bind } = first;
  let came = false;
  first.bind = (...args) => {
    if (!came) {
      came = true;
      t.equal(crew.send(1, out(A, 6000)), 'forwarded'); // between its look and its binding; of another inside end, whose lock is free
    }
    return bind.apply(first, args);
  };
  t.equal(crew.send(0, out(A, 5000)), 'forwarded');
  t.same(crew.sent.map(({ bytes }) => bytes[24] << 8 | bytes[25]).sort(), [NAT_PORT, NAT_PORT + 1]);
  t.same([nat.sessionCount, nat.bindingCount], [2, 2]);
  t.same(faults(), []);
});

t.test('a packet from outside whose outside end changes hands under way goes to nobody', async t => {
  const { crew, nat, faults } = makeCrew();
  crew.send(1, out(A, 5000));
  const { nat: first } = crew.gateways[0].context;
  const { lockInside } = first;
  first.lockInside = (...args) => {
    const { nat: second } = crew.gateways[1].context;
    const [session] = nat.sessions();
    if (nat.sessionInsidePort(session) === args[3]) { // it ends, and another inside end gets its port
      second.lockSession(session, true);
      second.close(session);
      second.locks.unlock();
      t.equal(crew.send(1, out(A, 6000)), 'forwarded');
      t.equal(lastSource(crew), NAT_PORT);
    }
    return lockInside.apply(first, args);
  };
  const sent = crew.sent.length;
  t.equal(crew.send(0, back(NAT_PORT, 99)), 'nat_no_binding');
  t.equal(crew.sent.length, sent + 1, 'the other’s packet and no more');
  t.same(faults(), []);
  t.equal(crew.send(0, back(NAT_PORT, 99)), 'forwarded', 'the next one is the other’s');
});

t.test('a binding that a new policy forbids keeps its outside end until control has closed its sessions; nobody joins it, and nobody gets its port', async t => {
  // The port is promised to another inside end.
  const { crew, policies, nat, faults } = makeCrew((_config, red) => { red.nat?.mappings.push({ proto: 'udp', external: `${RED_POOL}:${NAT_PORT}`, internal: `${B.ca}:6000` }); });
  for (const remotePort of [53, 54, 55]) crew.send(0, out(A, 5000, remotePort));
  crew.adopt(policies[1]);
  t.equal(crew.send(1, out(A, 5000, 56)), 'forwarded', 'a new session gets a new binding');
  t.equal(lastSource(crew), NAT_PORT + 1);
  t.same(faults(), [], 'and the old ones still have theirs');
  t.equal(crew.send(1, back(NAT_PORT, 99)), 'nat_no_binding', 'until it is free');
  t.equal(crew.send(1, out(B, 6000)), 'nat_ports_spent');
  t.equal(crew.send(1, out(A, 5000, 53)), 'forwarded', 'an old flow begins anew');
  t.equal(lastSource(crew), NAT_PORT + 1);
  t.same(faults(), []);
  crew.revoke();
  t.equal(nat.revoked, 3);
  t.equal(crew.send(1, back(NAT_PORT, 99)), 'forwarded');
  t.equal(crew.send(1, out(B, 6000)), 'forwarded');
  t.equal(lastSource(crew), NAT_PORT);
  t.same([...insideEnds(nat)].filter(([, ends]) => ends.size > 1), []);
  t.same(faults(), []);
});

t.test('a dynamic binding that becomes a mapping, the same on both sides, is made anew, and counts its own sessions only', async t => {
  const { crew, policies, nat, faults } = makeCrew((_config, red) => { red.nat?.mappings.push({ proto: 'udp', external: `${RED_POOL}:${NAT_PORT}`, internal: `${A.ca}:5000` }); });
  for (const remotePort of [53, 54]) crew.send(0, out(A, 5000, remotePort));
  crew.adopt(policies[1]);
  t.equal(crew.send(0, out(A, 5000, 55)), 'nat_ports_spent', 'its port is still the old one’s');
  t.same(faults(), []);
  crew.revoke();
  t.equal(crew.send(0, out(A, 5000, 55)), 'forwarded');
  t.ok(nat.isStatic(nat.findOutside(UDP, nat.sessionOutside([...nat.sessions()][0]), NAT_PORT)));
  t.equal(nat.sessionCount, 1);
  t.same(faults(), []);
});

t.test('workers that go by different policies for a moment do each as theirs says, and leave the state whole', async t => {
  const { crew, policies, faults } = makeCrew((_config, red) => { if (red.nat) Object.assign(red.nat, { pool: ['203.0.113.11'], mappings: [] }); });
  crew.send(0, out(A, 5000));
  crew.adopt(policies[1], [1]);
  t.equal(crew.send(0, out(A, 5000)), 'forwarded', 'by the old one');
  t.equal(crew.send(1, out(A, 5000)), 'forwarded', 'by the new one');
  t.equal(crew.send(0, back(NAT_PORT)), 'nat_no_binding', 'the old session is gone');
  t.same(faults(), []);
  t.equal(crew.send(0, vmDatagram(A, tcp(A.ca, 6000, FAR, 80, SYN))), 'forwarded');
  crew.adopt(policies[1]);
  crew.revoke();
  t.same(faults(), []);
});
