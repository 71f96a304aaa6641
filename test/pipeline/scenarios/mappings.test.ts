/** Static mappings of more than one port: ranges, whole addresses, prefixes. */
import t from 'tap';
import { expectLedger, expectSent } from '../../support/expect.js';
import { cut4, echo, echoReply, icmp, reassemble4, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { FAR, RED_POOL, atPeer, atVm, fromUplink, fromVm, makeConfig, makeWorld, vm, type WorldChange } from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4'), C = vm('nv6');
const SYN = 2, ACK = 16;
/** A as a whole, B's ports 8000 to 8099 as 80 to 179, and 10.0.0.16 to .23 as .128 to .135. */
const ALL_OF_A = '203.0.113.11';
const MAPPED: WorldChange = (_config, red) => {
  red.nat?.pool.push(ALL_OF_A, '203.0.113.128/29');
  red.nat?.mappings.push(
    { external: ALL_OF_A, internal: A.ca }, { proto: 'tcp', external: `${RED_POOL}:80-179`, internal: `${B.ca}:8000-8099` }, { external: '203.0.113.128/29', internal: '10.0.0.16/29' },
  );
  if (red.nat) red.nat.mappings = red.nat.mappings.slice(2); // the world's own two
};

t.test('a range of ports: each keeps its distance, both ways; the ones beside it are not mapped', async t => {
  const lab = makeWorld(MAPPED);
  for (const [outside, inside] of [[80, 8000], [111, 8031], [179, 8099]]) {
    t.equal(fromUplink(lab, 'inet', tcp(FAR, 999, RED_POOL, outside, SYN)), 'forwarded');
    expectSent(t, lab, [atVm(B, tcp(FAR, 999, B.ca, inside, SYN, '', { ttl: 63 }))]);
    t.equal(fromVm(lab, B, tcp(B.ca, inside, FAR, 999, SYN | ACK)), 'forwarded');
    expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, outside, FAR, 999, SYN | ACK, '', { ttl: 63 }))]);
  }
  t.equal(fromVm(lab, B, tcp(B.ca, 8050, FAR, 999, SYN)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, 130, FAR, 999, SYN, '', { ttl: 63 }))], 'opened from inside, it leaves by its mapping');
  for (const port of [79, 180]) t.equal(fromUplink(lab, 'inet', tcp(FAR, 999, RED_POOL, port, SYN)), 'nat_no_binding');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 999, RED_POOL, 80)), 'nat_no_binding', 'another protocol');
  expectLedger(t, lab, { red: { forwarded: 7, nat_no_binding: 3 } });
});

t.test('RFC 3022 §2.1, Basic NAT: a whole address: every port of TCP and UDP, both ways, kept as it is', async t => {
  const lab = makeWorld(MAPPED);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, ALL_OF_A, 5353, 'in')), 'forwarded');
  expectSent(t, lab, [atVm(A, udp(FAR, 53, A.ca, 5353, 'in', { ttl: 63 }))]);
  t.equal(fromVm(lab, A, udp(A.ca, 5353, FAR, 53, 'back')), 'forwarded');
  expectSent(t, lab, [atPeer('inet', udp(ALL_OF_A, 5353, FAR, 53, 'back', { ttl: 63 }))]);
  t.equal(fromVm(lab, A, tcp(A.ca, 40000, FAR, 443, SYN)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', tcp(ALL_OF_A, 40000, FAR, 443, SYN, '', { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 443, ALL_OF_A, 40000, SYN | ACK)), 'forwarded');
  expectSent(t, lab, [atVm(A, tcp(FAR, 443, A.ca, 40000, SYN | ACK, '', { ttl: 63 }))]);
  for (let i = 0; i < 3; i++) {
    t.equal(fromVm(lab, A, tcp(A.ca, 40000, FAR, 443, ACK, 'data')), 'forwarded');
    expectSent(t, lab, [atPeer('inet', tcp(ALL_OF_A, 40000, FAR, 443, ACK, 'data', { ttl: 63 }))]);
  }
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 1, ALL_OF_A, 22, ACK)), 'nat_tcp_not_syn');
  expectLedger(t, lab, { red: { forwarded: 7, nat_tcp_not_syn: 1 } });
});

t.test('RFC 5508 §3, Basic NAT: queries come in and go out under their own id, and only their answers go the other way', async t => {
  const lab = makeWorld(MAPPED);
  t.equal(fromUplink(lab, 'inet', echo(FAR, ALL_OF_A, 7)), 'forwarded');
  expectSent(t, lab, [atVm(A, echo(FAR, A.ca, 7, 'abcdefgh', { ttl: 63 }))]);
  t.equal(fromVm(lab, A, echoReply(A.ca, FAR, 7)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', echoReply(ALL_OF_A, FAR, 7, 'abcdefgh', { ttl: 63 }))]);
  t.equal(fromVm(lab, A, echo(A.ca, FAR, 9)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', echo(ALL_OF_A, FAR, 9, 'abcdefgh', { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', echoReply(FAR, ALL_OF_A, 9)), 'forwarded');
  expectSent(t, lab, [atVm(A, echoReply(FAR, A.ca, 9, 'abcdefgh', { ttl: 63 }))]);
  t.equal(fromVm(lab, A, echoReply(A.ca, FAR, 10)), 'nat_no_session', 'nobody has asked');
  t.equal(fromUplink(lab, 'inet', echoReply(FAR, ALL_OF_A, 10)), 'nat_no_session');
  t.equal(fromUplink(lab, 'inet', echo(FAR, RED_POOL, 7)), 'nat_icmp', 'an address that many share');
  t.equal(fromVm(lab, B, echoReply(B.ca, FAR, 7)), 'nat_icmp', 'of a VM that shares one');
  t.equal(lab.gateway.context.nat.sessionCount, 2);
  expectLedger(t, lab, { red: { forwarded: 4, nat_no_session: 2, nat_icmp: 2 } });
});

t.test('RFC 5508 REQ-5: whoever is mapped as a whole speaks of errors from his own address, about queries too', async t => {
  const lab = makeWorld(MAPPED);
  fromUplink(lab, 'inet', udp(FAR, 53, ALL_OF_A, 5353, 'in'));
  fromUplink(lab, 'inet', echo(FAR, ALL_OF_A, 7));
  lab.take();
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 3, 3, 0, udp(FAR, 53, A.ca, 5353, 'in', { ttl: 63 }))), 'forwarded');
  expectSent(t, lab, [atPeer('inet', icmp(ALL_OF_A, FAR, 3, 3, 0, udp(FAR, 53, ALL_OF_A, 5353, 'in', { ttl: 63 }), { ttl: 63 }))]);
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 3, 1, 0, echo(FAR, A.ca, 7, 'abcdefgh', { ttl: 63 }))), 'forwarded');
  expectSent(t, lab, [atPeer('inet', icmp(ALL_OF_A, FAR, 3, 1, 0, echo(FAR, ALL_OF_A, 7, 'abcdefgh', { ttl: 63 }), { ttl: 63 }))]);
  // A router, mapped as a whole, about what was for B by a port.
  fromUplink(lab, 'inet', tcp(FAR, 1, RED_POOL, 80, SYN));
  lab.take();
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 3, 1, 0, tcp(FAR, 1, B.ca, 8000, SYN, '', { ttl: 63 }))), 'forwarded');
  expectSent(t, lab, [atPeer('inet', icmp(ALL_OF_A, FAR, 3, 1, 0, tcp(FAR, 1, RED_POOL, 80, SYN, '', { ttl: 63 }), { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 6 } });
});

t.test('a prefix: each of its addresses is the one at the same place, if there is somebody', async t => {
  const lab = makeWorld(MAPPED);
  const there = vm('vxp'); // 10.0.0.16
  t.equal(there.ca, '10.0.0.16');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 1, '203.0.113.128', 2)), 'forwarded');
  expectSent(t, lab, [atVm(there, udp(FAR, 1, there.ca, 2, '', { ttl: 63 }))]);
  t.equal(fromVm(lab, there, udp(there.ca, 3, FAR, 4)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', udp('203.0.113.128', 3, FAR, 4, '', { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 1, '203.0.113.132', 2)), 'no_record', 'nobody has 10.0.0.20');
  t.equal(lab.take().length, 1, 'which the sender is told');
  expectLedger(t, lab, { red: { forwarded: 2, no_record: 1, originated: 1 } });
});

t.test('whole addresses are given to nobody: others of the tenant share what is left of the pool', async t => {
  const lab = makeWorld(MAPPED);
  for (const a of [B, C, vm('nvp'), vm('vx6', 'db'), vm('nv6', 'db')]) {
    for (let port = 1; port < 6; port++) t.equal(fromVm(lab, a, udp(a.ca, port, FAR, 53)), 'forwarded');
  }
  const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset);
  t.same(new Set(lab.take().map(({ bytes }) => view(bytes).getUint32(4 + 12) & 0xff)), new Set([10]));
  t.equal(lab.imbalances().length, 0);
});

t.test('fragments to and from a whole address, whichever comes first', async t => {
  for (const order of [[0, 1, 2], [1, 2, 0]]) {
    const lab = makeWorld(MAPPED);
    const pieces = cut4(udp(FAR, 53, ALL_OF_A, 5353, 'abcdefgh'.repeat(12)), 40);
    for (const i of order) fromUplink(lab, 'inet', pieces[i]);
    t.same(reassemble4(lab.take().map(sent => sent.bytes.slice(22)))?.subarray(20), udp(FAR, 53, A.ca, 5353, 'abcdefgh'.repeat(12)).subarray(20), order.join());
    expectLedger(t, lab, { red: { forwarded: 3 } });
  }
});

function openAll(lab: Lab): void {
  fromUplink(lab, 'inet', udp(FAR, 53, ALL_OF_A, 5353));
  fromUplink(lab, 'inet', tcp(FAR, 1, RED_POOL, 90, SYN));
  fromUplink(lab, 'inet', udp(FAR, 1, '203.0.113.128', 2));
  lab.take();
}

t.test('a reload ends the sessions of mappings that are gone or lead elsewhere, and keeps the others', async t => {
  const lab = makeWorld(MAPPED);
  openAll(lab);
  t.equal(lab.gateway.context.nat.sessionCount, 3);
  t.equal(lab.reload(makeConfig(MAPPED)), 0);
  const moved: WorldChange = (config, red, blue) => {
    MAPPED(config, red, blue);
    if (red.nat) red.nat.mappings[1]['internal'] = `${B.ca}:8001-8100`; // each port one on
  };
  t.equal(lab.reload(makeConfig(moved)), 1, 'the range');
  const without: WorldChange = (config, red, blue) => {
    moved(config, red, blue);
    red.nat?.mappings.splice(2);
  };
  t.equal(lab.reload(makeConfig(without)), 1, 'the prefix');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, ALL_OF_A, 5353)), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4 } });
});
