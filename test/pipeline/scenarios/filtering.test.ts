/** Who may send in by a binding (RFC 4787 §5, RFC 5382 §4.3): everybody, whoever was sent to, or whoever was sent to at that port. */
import t from 'tap';
import { FLOW_WORDS, Kind } from '../../../pipeline/tables/flows.js';
import { expectLedger, expectSent } from '../../support/expect.js';
import { echo, echoReply, icmp, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { natFaults } from '../../support/nat-invariants.js';
import { FAR, RED_POOL, atVm, fromUplink, fromVm, makeConfig, makeWorld, vm, type WorldChange } from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4');
const SYN = 2, ACK = 16;
const STRANGER = '198.51.100.99';

type Kind = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent';
const filters = (filtering: Kind): WorldChange => (_config, red) => { Object.assign(red.nat ?? {}, { filtering }); };

/** Source port, or ICMP id, of the one packet that left for the uplink. */
function portLeft(lab: Lab, isIcmp = false): number {
  const sent = lab.take();
  if (sent.length !== 1) throw new Error(`${sent.length} packets left`);
  return new DataView(sent[0].bytes.buffer).getUint16(4 + (isIcmp ? 24 : 20));
}

/** A sends from port 5000 to port 53 of FAR; its outside port. */
function opened(lab: Lab): number {
  fromVm(lab, A, udp(A.ca, 5000, FAR, 53));
  return portLeft(lab);
}

const WHO: readonly (readonly [Kind, readonly [string, string, string]])[] = [
  ['endpoint-independent', ['forwarded', 'forwarded', 'forwarded']],
  ['address-dependent', ['forwarded', 'forwarded', 'nat_filtered']],
  ['address-and-port-dependent', ['forwarded', 'nat_filtered', 'nat_filtered']],
];
for (const [kind, [same, otherPort, stranger]] of WHO) {
  t.test(`RFC 4787 §5: ${kind} filtering: who was sent to, his other ports, strangers`, async t => {
    const lab = makeWorld(filters(kind));
    const port = opened(lab);
    t.equal(fromUplink(lab, 'inet', udp(STRANGER, 53, RED_POOL, port)), stranger);
    t.equal(fromUplink(lab, 'inet', udp(FAR, 99, RED_POOL, port)), otherPort);
    t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, port)), same);
    t.equal(fromUplink(lab, 'inet', udp(STRANGER, 1, RED_POOL, 5353)), 'forwarded', 'a static mapping is open to all');
    const fates = [same, otherPort, stranger, 'forwarded', 'forwarded'];
    lab.take();
    const filtered = fates.filter(fate => fate === 'nat_filtered').length;
    t.equal(lab.gateway.context.nat.sessionCount, 5 - filtered - 1, 'what was filtered has opened nothing');
    expectLedger(t, lab, { red: { forwarded: 5 - filtered, nat_filtered: filtered } });
  });
}

t.test('RFC 4787 REQ-1, REQ-8: filtering changes no mapping: the outside port is the same for everybody', async t => {
  for (const [kind] of WHO) {
    const lab = makeWorld(filters(kind));
    const port = opened(lab);
    fromVm(lab, A, udp(A.ca, 5000, STRANGER, 1));
    t.equal(portLeft(lab), port, kind);
    t.equal(fromUplink(lab, 'inet', udp(STRANGER, 1, RED_POOL, port)), 'forwarded');
    expectSent(t, lab, [atVm(A, udp(STRANGER, 1, A.ca, 5000, '', { ttl: 63 }))]);
  }
});

t.test('RFC 7857 §6: what is filtered refreshes nothing; what comes in by permission has a session of its own, but permits nothing', async t => {
  const lab = makeWorld(filters('address-dependent'));
  const port = opened(lab);
  lab.wait(200);
  t.equal(fromUplink(lab, 'inet', udp(STRANGER, 53, RED_POOL, port)), 'nat_filtered');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 77, RED_POOL, port)), 'forwarded');
  lab.wait(99);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 78, RED_POOL, port)), 'forwarded');
  lab.wait(9);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 79, RED_POOL, port)), 'nat_filtered', 'A’s own session is over');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 78, RED_POOL, port)), 'forwarded', 'the others are not');
  lab.wait(300);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 78, RED_POOL, port)), 'nat_no_binding');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4, nat_filtered: 2, nat_no_binding: 1 } });
});

/** Records of permissions in the flow table. */
function permits(lab: Lab): number {
  const { flows } = lab.gateway.context.nat;
  let count = 0;
  for (let at = 0; at < flows.end; at += FLOW_WORDS) if (flows.kind(at) === Kind.permit) count++;
  return count;
}

t.test('a permission lasts as long as the inside end has a session with somebody at the address; one record for all of them', async t => {
  const lab = makeWorld(filters('address-dependent'));
  const port = opened(lab);
  lab.wait(200);
  fromVm(lab, A, udp(A.ca, 5000, FAR, 54));
  fromVm(lab, A, udp(A.ca, 5000, STRANGER, 1));
  lab.take();
  t.equal(permits(lab), 2, 'one an address, not one a session');
  lab.wait(100);
  lab.wait(9);
  t.equal(permits(lab), 2);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 99, RED_POOL, port)), 'forwarded', 'by the second session');
  t.same(natFaults(lab.state.nat, lab.state.sizes.nat), []);
  lab.take();
  lab.wait(301);
  lab.wait(9);
  t.equal(permits(lab), 0);
  fromVm(lab, A, udp(A.ca, 5000, STRANGER, 1));
  const again = portLeft(lab);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, again)), 'nat_filtered', 'A has sent to FAR in another life');
  expectLedger(t, lab, { red: { forwarded: 5, nat_filtered: 1 } });
});

t.test('permissions have room of their own: flows without NAT take none of it, nor sessions more than theirs', async t => {
  const lab = makeWorld((config, red, blue) => { filters('address-dependent')(config, red, blue); Object.assign(config.gateway.limits, { flows: 4, sessions: 40 }); });
  const db = vm('vx4', 'db');
  for (let i = 0; i < 12; i++) t.equal(fromVm(lab, A, udp(A.ca, 1, db.ca, i + 1)), 'forwarded');
  for (let i = 0; i < 40; i++) t.equal(fromVm(lab, A, udp(A.ca, 5000, `198.51.100.${i + 1}`, 1)), 'forwarded');
  t.equal(permits(lab), 40);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, '198.51.100.99', 1)), 'nat_sessions_spent');
  t.same(natFaults(lab.state.nat, lab.state.sizes.nat), [], 'a session that was not opened has left no permission');
  lab.take();
  t.same(lab.imbalances(), []);
});

t.test('RFC 5382 REQ-2a: a simultaneous open passes a filter, whoever’s SYN is first', async t => {
  const lab = makeWorld(filters('address-and-port-dependent'));
  fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, SYN));
  const port = portLeft(lab);
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, port, SYN)), 'forwarded', 'theirs comes second');
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, SYN | ACK)), 'forwarded');
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, port, ACK, 'data')), 'forwarded');

  // They know A's outside port from another connection of its, and are faster.
  t.equal(fromUplink(lab, 'inet', tcp(STRANGER, 9, RED_POOL, port, SYN)), 'nat_filtered');
  lab.take();
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, STRANGER, 9, SYN)), 'forwarded');
  t.equal(portLeft(lab), port);
  t.equal(fromUplink(lab, 'inet', tcp(STRANGER, 9, RED_POOL, port, SYN)), 'forwarded', 'the SYN that is sent again');
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, STRANGER, 9, SYN | ACK)), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 7, nat_filtered: 1 } });
});

t.test('RFC 5382 REQ-4: a SYN that is filtered is dropped without a word', async t => {
  const lab = makeWorld(filters('address-dependent'));
  const port = opened(lab);
  fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, SYN));
  const tcpPort = portLeft(lab);
  t.equal(fromUplink(lab, 'inet', tcp(STRANGER, 9, RED_POOL, tcpPort, SYN)), 'nat_filtered');
  t.equal(fromUplink(lab, 'inet', udp(STRANGER, 9, RED_POOL, port)), 'nat_filtered');
  t.equal(fromUplink(lab, 'inet', udp(STRANGER, 9, RED_POOL, port, new Uint8Array(1460), { dontFragment: true })), 'nat_filtered', 'too big for the host, which would be told to others');
  lab.wait(7);
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { forwarded: 2, nat_filtered: 3 } });
});

t.test('RFC 4787 REQ-12a: ICMP errors pass from wherever, about a session that is there; replies to queries are filtered by address', async t => {
  const lab = makeWorld(filters('address-and-port-dependent'));
  const port = opened(lab);
  t.equal(fromUplink(lab, 'inet', icmp('192.0.2.254', RED_POOL, 11, 0, 0, udp(RED_POOL, port, FAR, 53))), 'forwarded', 'a router on the way');
  t.equal(fromUplink(lab, 'inet', icmp('192.0.2.254', RED_POOL, 11, 0, 0, udp(RED_POOL, port, STRANGER, 53))), 'nat_no_session');
  lab.take();
  fromVm(lab, A, echo(A.ca, FAR, 7));
  const id = portLeft(lab, true);
  t.equal(fromUplink(lab, 'inet', echoReply(STRANGER, RED_POOL, id)), 'nat_filtered');
  t.equal(fromUplink(lab, 'inet', echoReply(FAR, RED_POOL, id)), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4, nat_no_session: 1, nat_filtered: 1 } });
});

t.test('a tenant’s filtering is its own; a reload that changes it ends what the outside has opened and could not open any more', async t => {
  const lab = makeWorld(filters('address-and-port-dependent'));
  const blue = vm('nv4', 'web', 'blue');
  fromVm(lab, blue, udp(blue.ca, 5000, FAR, 53));
  const theirs = new DataView(lab.take()[0].bytes.buffer).getUint16(8 + 20);
  t.equal(fromUplink(lab, 'inet', udp(STRANGER, 1, '203.0.113.20', theirs), 8002), 'forwarded');
  const port = opened(makeOpen(lab));
  t.equal(fromUplink(lab, 'inet', udp(STRANGER, 1, RED_POOL, port)), 'forwarded', 'open to all by now');
  t.equal(fromUplink(lab, 'inet', udp(STRANGER, 1, RED_POOL, 5353)), 'forwarded', 'and a mapping is, then as now');
  t.equal(lab.reload(makeConfig(filters('address-and-port-dependent'))), 1);
  t.equal(fromUplink(lab, 'inet', udp(STRANGER, 1, RED_POOL, port)), 'nat_filtered');
  t.equal(fromUplink(lab, 'inet', udp(STRANGER, 1, RED_POOL, 5353)), 'forwarded');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, port)), 'forwarded', 'what A opened goes on');
  lab.take();
  t.same(lab.imbalances(), []);
});

function makeOpen(lab: Lab): Lab {
  lab.take();
  lab.reload(makeConfig());
  return lab;
}

t.test('filtering holds on the fast path: a flow that a stranger cannot open is none', async t => {
  const lab = makeWorld(filters('address-dependent'));
  const port = opened(lab);
  for (let i = 0; i < 5; i++) {
    t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53, `${i}`)), 'forwarded');
    t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, port, `${i}`)), 'forwarded');
    t.equal(fromUplink(lab, 'inet', udp(FAR, 9, RED_POOL, port, `${i}`)), 'forwarded', 'another port of his');
    t.equal(fromUplink(lab, 'inet', udp(STRANGER, 53, RED_POOL, port)), 'nat_filtered');
  }
  lab.take();
  t.equal(fromVm(lab, B, udp(B.ca, 53, STRANGER, 5, 'by a mapping')), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 17, nat_filtered: 5 } });
});
