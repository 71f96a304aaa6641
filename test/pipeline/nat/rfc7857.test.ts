/** RFC 7857, updates to the NAT requirements: what the scenarios do not show already. pipeline/NAT.md has all of it, section by section. */
import t from 'tap';
import { ipv4HeaderLen, ipv4Id, ipv4MoreFragments } from '../../../codecs/ipv4.js';
import { countFast } from '../../support/fast-count.js';
import { expectLedger, expectSent } from '../../support/expect.js';
import { cut4, echo, icmp, reassemble4, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { FAR, RED_POOL, atPeer, atVm, fromUplink, fromVm, makeWorld, vm } from '../../support/world.js';
import { openUdp, packetsLeft, portLeft } from './nat-lab.js';

const A = vm('nv4'), B = vm('vx4');
const SYN = 2, RST = 4, ACK = 16;

function connect(lab: Lab): number {
  fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, SYN));
  const port = portLeft(lab);
  fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, port, SYN | ACK));
  lab.take();
  return port;
}

t.test('§2.2: a reset is translated, and the session stays for 240 s; a packet in that time keeps it, silence ends it', async t => {
  const lab = makeWorld();
  const port = connect(lab);
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, port, RST)), 'forwarded');
  expectSent(t, lab, [atVm(A, tcp(FAR, 443, A.ca, 5000, RST, '', { ttl: 63 }))]);
  lab.wait(239);
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, ACK, 'it was forged')), 'forwarded');
  expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, port, FAR, 443, ACK, 'it was forged', { ttl: 63 }))]);
  lab.wait(7000);
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, port, ACK)), 'forwarded', 'established again');
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, RST)), 'forwarded');
  lab.take();
  lab.wait(240);
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, port, ACK)), 'nat_no_binding');
  expectLedger(t, lab, { red: { forwarded: 6, nat_no_binding: 1 } });
});

t.test('§2.1: opening and closing connections have times of their own', async t => {
  const lab = makeWorld(config => { Object.assign(config.gateway.timers, { tcpTransitory: 200, tcpClosing: 30 }); });
  fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, SYN));
  const port = portLeft(lab);
  fromVm(lab, A, tcp(A.ca, 5001, FAR, 443, SYN));
  const other = portLeft(lab);
  lab.wait(199);
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, port, SYN | ACK)), 'forwarded');
  lab.wait(1);
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, other, SYN | ACK)), 'nat_no_binding', 'a second too late');
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, RST)), 'forwarded');
  lab.wait(30);
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, port, ACK)), 'nat_no_binding');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4, nat_no_binding: 2 } });
});

t.test('§5: TCP, UDP and queries from one inside port have bindings of their own', async t => {
  const lab = makeWorld();
  fromVm(lab, A, udp(A.ca, 5000, FAR, 53));
  fromVm(lab, A, tcp(A.ca, 5000, FAR, 53, SYN));
  fromVm(lab, A, echo(A.ca, FAR, 5000));
  lab.take();
  t.equal(lab.gateway.context.nat.bindingCount, 3);
  const { nat } = lab.gateway.context;
  const udpPort = [...nat.sessions()].filter(session => nat.sessionProtocol(session) === 17).map(session => nat.sessionOutsidePort(session))[0];
  lab.wait(61);
  lab.wait(8);
  t.equal(nat.bindingCount, 2, '§11: a query’s goes with its last session');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, udpPort)), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4 } });
});

t.test('§7: errors and resets that go out in answer to what comes in keep nothing alive', async t => {
  const lab = makeWorld();
  const port = openUdp(lab, A);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, port)), 'forwarded');
  lab.wait(200);
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 3, 3, 0, udp(FAR, 53, A.ca, 5000, '', { ttl: 63 }))), 'forwarded');
  lab.wait(100);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, port)), 'nat_no_binding', 'an ICMP error');

  t.equal(fromUplink(lab, 'inet', tcp(FAR, 9, RED_POOL, 80, SYN)), 'forwarded');
  lab.wait(200);
  t.equal(fromVm(lab, A, tcp(A.ca, 8080, FAR, 9, RST | ACK)), 'forwarded', 'A refuses');
  t.equal(lab.gateway.context.nat.sessionCount, 1);
  lab.wait(40);
  lab.wait(8);
  t.equal(lab.gateway.context.nat.sessionCount, 0, '240 s after the SYN, not after the reset');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 5, nat_no_binding: 1 } });
});

/** Fragments by the id they left under. */
function byId(packets: readonly Uint8Array[]): Map<number, Uint8Array[]> {
  const found = new Map<number, Uint8Array[]>();
  for (const packet of packets) found.set(ipv4Id(packet, 0), [...found.get(ipv4Id(packet, 0)) ?? [], packet]);
  return found;
}

t.test('§10: two VMs cut datagrams to one server under one id: outside they have two, and nothing is put together wrongly', async t => {
  const lab = makeWorld();
  const ofA = cut4(udp(A.ca, 5000, FAR, 53, 'a'.repeat(90)), 40, 77), ofB = cut4(udp(B.ca, 5000, FAR, 53, 'b'.repeat(90)), 40, 77);
  for (const [from, piece] of [[A, ofA[0]], [B, ofB[2]], [A, ofA[2]], [B, ofB[0]], [B, ofB[1]], [A, ofA[1]]] as const) fromVm(lab, from, piece);
  const datagrams = [...byId(packetsLeft(lab)).values()];
  t.same(datagrams.map(pieces => pieces.length), [3, 3]);
  t.same(datagrams.map(pieces => Buffer.from(reassemble4(pieces)?.subarray(28) ?? []).toString()).sort(), ['a'.repeat(90), 'b'.repeat(90)]);
  expectLedger(t, lab, { red: { forwarded: 6 } });
});

t.test('§10: what the gateway cuts itself has one id for all its pieces, and the next packet another', async t => {
  const lab = makeWorld();
  for (let i = 0; i < 4; i++) t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53, `${i}`.repeat(2000), { id: 5 })), 'forwarded');
  const datagrams = [...byId(packetsLeft(lab)).values()];
  t.same(datagrams.map(pieces => [pieces.length, ipv4MoreFragments(pieces[0], 0)]), [[2, true], [2, true], [2, true], [2, true]]);
  datagrams.forEach((pieces, i) => t.equal(Buffer.from(reassemble4(pieces)?.subarray(28) ?? []).toString(), `${i}`.repeat(2000)));
  expectLedger(t, lab, { red: { forwarded: 4, copies: 4 } });
});

t.test('§10, RFC 6864 §4: packets that may be cut further on get ids that differ, by the walks and the fast path; those that may not keep theirs', async t => {
  const lab = makeWorld();
  countFast(lab.gateway);
  const ids: number[] = [];
  for (let i = 0; i < 300; i++) {
    t.equal(fromVm(lab, [A, B][i & 1], udp([A, B][i & 1].ca, 5000, FAR, 53, 'x', { id: 9 })), 'forwarded');
    ids.push(...packetsLeft(lab).map(packet => ipv4Id(packet, 0)));
  }
  t.equal(new Set(ids).size, 300);
  t.ok(countFast(lab.gateway) > 290, 'nearly all by the fast path');
  for (let i = 0; i < 3; i++) {
    t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53, 'x', { id: 9, dontFragment: true })), 'forwarded');
    t.same(packetsLeft(lab).map(packet => ipv4Id(packet, 0)), [9]);
  }
  t.same(lab.imbalances(), []);
});

t.test('§10: a hairpinned packet leaves by NAT, too; what comes in keeps the id of its sender', async t => {
  const lab = makeWorld();
  const port = openUdp(lab, A);
  const toA = (from: typeof B): Uint8Array => { fromVm(lab, from, udp(from.ca, 5000, RED_POOL, port, 'x', { id: 9 })); return lab.take()[0].bytes.slice(22); };
  const [first, second] = [toA(B), toA(vm('nv6'))];
  t.equal(ipv4HeaderLen(first, 0), 20);
  t.not(ipv4Id(first, 0), ipv4Id(second, 0));
  fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, port, 'x', { id: 9 }));
  t.equal(ipv4Id(lab.take()[0].bytes, 22), 9);
  t.same(lab.imbalances(), []);
});
