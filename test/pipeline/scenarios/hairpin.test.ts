/** Hairpinning: VMs of one tenant that talk by their outside addresses, each seen by the other as from outside. */
import t from 'tap';
import { expectLedger, expectSent } from '../../support/expect.js';
import { cut4, echo, echoReply, icmp, reassemble4, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { FAR, RED_POOL, atPeer, atVm, fromUplink, fromVm, makeWorld, vm, type WorldChange } from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4'), C = vm('nv6', 'db');
const SYN = 2, ACK = 16, RST = 4;
/** B's DNS server, which has a static mapping from :5353; A's web server has one from :80. */
const MAPPED_B = 5353;

/** Source port, or ICMP id, of the one packet that left; `at` is where the inner packet begins. */
function portLeft(lab: Lab, at: number, isIcmp = false): number {
  const sent = lab.take();
  if (sent.length !== 1) throw new Error(`${sent.length} packets left`);
  return new DataView(sent[0].bytes.buffer).getUint16(at + (isIcmp ? 24 : 20));
}
const TO_UPLINK = 4, TO_HOST = 22;

/** A and C have sent to the Internet; their outside ports. */
function both(lab: Lab): [number, number] {
  fromVm(lab, A, udp(A.ca, 5000, FAR, 53));
  const a = portLeft(lab, TO_UPLINK);
  fromVm(lab, C, udp(C.ca, 6000, FAR, 53));
  return [a, portLeft(lab, TO_UPLINK)];
}

t.test('RFC 4787 REQ-9, REQ-9a: two VMs by their outside ends: each sees the other’s outside address and port, one hop is paid', async t => {
  const lab = makeWorld();
  const [a, c] = both(lab);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, c, 'hello')), 'forwarded');
  expectSent(t, lab, [atVm(C, udp(RED_POOL, a, C.ca, 6000, 'hello', { ttl: 63 }))]);
  t.equal(fromVm(lab, C, udp(C.ca, 6000, RED_POOL, a, 'and you')), 'forwarded');
  expectSent(t, lab, [atVm(A, udp(RED_POOL, c, A.ca, 5000, 'and you', { ttl: 63 }))]);
  t.equal(lab.gateway.context.nat.sessionCount, 4, 'a session at either end');
  expectLedger(t, lab, { red: { forwarded: 4 } });
});

t.test('RFC 5382 REQ-8, REQ-8a: a connection to a static mapping of one’s own tenant, first to last', async t => {
  const lab = makeWorld();
  const C4 = vm('nvp', 'db');
  const syn = (): string => fromVm(lab, C4, tcp(C4.ca, 7000, RED_POOL, 80, SYN, '', { mss: 9000 }));
  t.equal(syn(), 'forwarded');
  const c = portLeft(lab, TO_HOST);
  t.equal(syn(), 'forwarded');
  expectSent(t, lab, [atVm(A, tcp(RED_POOL, c, A.ca, 8080, SYN, '', { mss: 1410, ttl: 63 }))], 'MSS made to fit');
  t.equal(fromVm(lab, A, tcp(A.ca, 8080, RED_POOL, c, SYN | ACK)), 'forwarded');
  expectSent(t, lab, [atVm(C4, tcp(RED_POOL, 80, C4.ca, 7000, SYN | ACK, '', { ttl: 63 }))]);
  for (let i = 0; i < 3; i++) {
    t.equal(fromVm(lab, C4, tcp(C4.ca, 7000, RED_POOL, 80, ACK, 'GET')), 'forwarded');
    expectSent(t, lab, [atVm(A, tcp(RED_POOL, c, A.ca, 8080, ACK, 'GET', { ttl: 63 }))]);
  }
  const { nat } = lab.gateway.context;
  t.same([...nat.sessions()].map(session => nat.state(session)), [3, 3], 'established at either end');
  t.equal(fromVm(lab, A, tcp(A.ca, 8080, RED_POOL, c, RST)), 'forwarded');
  t.same([...nat.sessions()].map(session => nat.state(session)), [7, 7], 'and reset at either end');
  lab.take();
  lab.wait(240);
  lab.wait(8);
  t.equal(nat.sessionCount, 0);
  expectLedger(t, lab, { red: { forwarded: 7 } });
});

t.test('a VM reaches its own outside end: self-hairpin', async t => {
  const lab = makeWorld();
  const [a] = both(lab);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, a, 'me')), 'forwarded');
  expectSent(t, lab, [atVm(A, udp(RED_POOL, a, A.ca, 5000, 'me', { ttl: 63 }))]);
  t.equal(fromVm(lab, A, udp(A.ca, 5001, RED_POOL, a, 'another port')), 'forwarded');
  t.not(portLeft(lab, TO_HOST), a);
  t.equal(fromVm(lab, A, tcp(A.ca, 8080, RED_POOL, 80, SYN)), 'forwarded', 'TCP with itself is a simultaneous open');
  expectSent(t, lab, [atVm(A, tcp(RED_POOL, 80, A.ca, 8080, SYN, '', { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 5 } });
});

t.test('what leads nowhere is dropped and opens nothing, at neither end', async t => {
  const lab = makeWorld();
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, 9)), 'nat_no_binding');
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, RED_POOL, 9, SYN)), 'nat_no_binding');
  t.equal(fromVm(lab, A, echo(A.ca, RED_POOL, 7)), 'nat_no_binding');
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, RED_POOL, 80, ACK)), 'nat_tcp_not_syn');
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, MAPPED_B, '', { ttl: 1 })), 'ttl_expired');
  t.same([lab.gateway.context.nat.bindingCount, lab.gateway.context.nat.sessionCount], [0, 0]);
  t.equal(lab.take().length, 1, 'the ICMP error about the TTL');
  expectLedger(t, lab, { red: { nat_no_binding: 3, nat_tcp_not_syn: 1, ttl_expired: 1, originated: 1 } });
});

t.test('the rules are asked as if it came from outside: the remote end is the pool address, never the CA', async t => {
  const lab = makeWorld((_config, red) => {
    red.acls.push({ action: 'deny', direction: 'inbound', remote: RED_POOL, localPort: 53, protocol: 'udp' }, { action: 'deny', direction: 'inbound', remote: '10.0.0.0/16' });
  });
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, MAPPED_B)), 'acl_denied', 'from the pool');
  t.equal(fromVm(lab, C, tcp(C.ca, 5000, RED_POOL, 80, SYN)), 'forwarded', 'a rule about CAs does not match');
  t.equal(lab.take().length, 1);
  expectLedger(t, lab, { red: { acl_denied: 1, forwarded: 1 } });
});

const FILTERS: WorldChange = (_config, red) => { Object.assign(red.nat ?? {}, { filtering: 'address-and-port-dependent' }); };

t.test('RFC 5128 §3.3: with filtering, two VMs behind one NAT punch their way: the first is filtered and opens the way for the second', async t => {
  const lab = makeWorld(FILTERS);
  const [a, c] = both(lab);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, c)), 'nat_filtered');
  t.equal(fromVm(lab, C, udp(C.ca, 6000, RED_POOL, a)), 'forwarded');
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, c)), 'forwarded');
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, MAPPED_B)), 'forwarded', 'a static mapping is open to all');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 5, nat_filtered: 1 } });
});

t.test('RFC 5508 REQ-7: ICMP errors about what was hairpinned go back the same way, outside and in what they quote', async t => {
  const lab = makeWorld();
  const [a, c] = both(lab);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, c, 'anybody?')), 'forwarded');
  lab.take();
  const seen = udp(RED_POOL, a, C.ca, 6000, 'anybody?', { ttl: 63 }), sent = udp(A.ca, 5000, RED_POOL, c, 'anybody?', { ttl: 63 });
  t.equal(fromVm(lab, C, icmp(C.ca, RED_POOL, 3, 3, 0, seen)), 'forwarded');
  expectSent(t, lab, [atVm(A, icmp(RED_POOL, A.ca, 3, 3, 0, sent, { ttl: 63 }))]);
  t.equal(fromVm(lab, C, icmp(C.ca, RED_POOL, 3, 3, 0, udp(RED_POOL, a + 7, C.ca, 6000))), 'nat_no_session', 'about nothing');
  t.equal(lab.gateway.context.nat.sessionCount, 4);
  expectLedger(t, lab, { red: { forwarded: 4, nat_no_session: 1 } });
});

t.test('RFC 5508 REQ-7b: queries are hairpinned between addresses that are mapped as a whole, and to one from any', async t => {
  const lab = makeWorld((_config, red) => {
    red.nat?.pool.push('203.0.113.11', '203.0.113.12');
    red.nat?.mappings.push({ external: '203.0.113.11', internal: B.ca }, { external: '203.0.113.12', internal: C.ca });
  });
  t.equal(fromVm(lab, B, echo(B.ca, '203.0.113.12', 7)), 'forwarded');
  expectSent(t, lab, [atVm(C, echo('203.0.113.11', C.ca, 7, 'abcdefgh', { ttl: 63 }))]);
  t.equal(fromVm(lab, C, echoReply(C.ca, '203.0.113.11', 7)), 'forwarded');
  expectSent(t, lab, [atVm(B, echoReply('203.0.113.12', B.ca, 7, 'abcdefgh', { ttl: 63 }))]);
  t.equal(fromVm(lab, A, echo(A.ca, '203.0.113.12', 9)), 'forwarded', 'A shares its address, so its id changes');
  const id = portLeft(lab, TO_HOST, true);
  t.equal(fromVm(lab, C, echoReply(C.ca, RED_POOL, id)), 'forwarded');
  expectSent(t, lab, [atVm(A, echoReply('203.0.113.12', A.ca, 9, 'abcdefgh', { ttl: 63 }))]);
  t.equal(fromVm(lab, C, echoReply(C.ca, RED_POOL, id + 5)), 'nat_no_binding', 'a reply that nobody asked for');
  expectLedger(t, lab, { red: { forwarded: 4, nat_no_binding: 1 } });
});

t.test('fragments are hairpinned in any order, and cut where they do not fit', async t => {
  for (const order of [[0, 1, 2], [2, 0, 1]]) {
    const lab = makeWorld();
    const [a, c] = both(lab);
    const pieces = cut4(udp(A.ca, 5000, RED_POOL, c, 'abcdefgh'.repeat(12)), 40);
    for (const i of order) fromVm(lab, A, pieces[i]);
    const whole = reassemble4(lab.take().map(sent => sent.bytes.slice(22)));
    t.same(whole?.subarray(20), udp(RED_POOL, a, C.ca, 6000, 'abcdefgh'.repeat(12)).subarray(20), order.join());
    expectLedger(t, lab, { red: { forwarded: 5 } });
  }
  const lab = makeWorld();
  const [a, c] = both(lab);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, c, new Uint8Array(1440))), 'forwarded');
  const pieces = lab.take().map(sent => sent.bytes.slice(22));
  t.equal(pieces.length, 2, 'C’s host is reached over IPv6');
  t.same(reassemble4(pieces)?.subarray(20), udp(RED_POOL, a, C.ca, 6000, new Uint8Array(1440)).subarray(20));
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, c, new Uint8Array(1440), { dontFragment: true })), 'too_big');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 3, copies: 1, too_big: 1, originated: 1 } });
});

t.test('a packet from the uplink that claims the tenant’s own pool as its source was not sent by the tenant', async t => {
  const lab = makeWorld();
  const [a, c] = both(lab);
  fromVm(lab, A, udp(A.ca, 5000, RED_POOL, c));
  lab.take();
  t.equal(fromUplink(lab, 'inet', udp('203.0.113.11', 1, RED_POOL, MAPPED_B)), 'forwarded', 'an address that is not red’s');
  const two = makeWorld((_config, red) => { red.nat?.pool.push('203.0.113.11'); });
  t.equal(fromUplink(two, 'inet', udp('203.0.113.11', 1, RED_POOL, MAPPED_B)), 'outside_source');
  t.equal(fromUplink(lab, 'inet', udp(RED_POOL, a, RED_POOL, c)), 'ip_source', 'nor may source and destination be alike');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4 }, '-': { ip_source: 1 } });
  expectLedger(t, two, { red: { outside_source: 1 } });
});

t.test('another tenant’s pool address is an Internet destination: the uplink carries it there and the other way', async t => {
  const lab = makeWorld();
  t.equal(fromVm(lab, A, udp(A.ca, 5000, '203.0.113.20', 9)), 'forwarded');
  const a = portLeft(lab, TO_UPLINK);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, '203.0.113.20', 9)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', udp(RED_POOL, a, '203.0.113.20', 9, '', { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', udp('203.0.113.20', 40000, RED_POOL, MAPPED_B, 'hello')), 'forwarded');
  expectSent(t, lab, [atVm(B, udp('203.0.113.20', 40000, B.ca, 53, 'hello', { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 3 } });
});

t.test('a session that was hairpinned outlives a reload that keeps its ends, and not one that takes one of them', async t => {
  const lab = makeWorld();
  const [a, c] = both(lab);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, c)), 'forwarded');
  lab.take();
  lab.wait(200);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, RED_POOL, c)), 'forwarded');
  lab.wait(299);
  t.equal(fromVm(lab, C, udp(C.ca, 6000, RED_POOL, a)), 'forwarded', 'what comes in by it keeps it alive');
  lab.wait(300);
  t.equal(fromVm(lab, C, udp(C.ca, 6000, RED_POOL, a)), 'nat_no_binding', 'and then its time is up, at both ends');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 5, nat_no_binding: 1 } });
});
