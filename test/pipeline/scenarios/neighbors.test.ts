/** ARP, Neighbor Discovery and ping of the gateway: what it says for itself, for others, and what it keeps quiet about. */
import t from 'tap';
import { NaFlag, fillIcmpv6Checksum } from '../../../codecs/icmpv6.js';
import { setIpv6PayloadLen } from '../../../codecs/ipv6.js';
import { expectLedger, expectSent } from '../../support/expect.js';
import { cut4, cut6, echo, echoReply, ethernet, icmp, ip, patched, reassemble4, tcp, udp, withOptions } from '../../support/frames.js';
import { bytes } from '../../support/bytes.js';
import { BROADCAST, arpReply, arpRequest, neighborAdvert, neighborSolicit, solicitedNode } from '../../support/neighbors.js';
import { FAR, GATEWAY_MAC, HOST_NAMES, RED_KEY, atHost, atPeer, fromHost, fromSite, fromUplink, fromVm, makeWorld, vm } from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4');

/** The same advertisement with one more target link-layer address. */
function withLink(frame: Uint8Array, link: string): Uint8Array {
  const longer = new Uint8Array(frame.length + 8);
  longer.set(frame);
  longer.set([2, 1, ...link.split(':').map(pair => parseInt(pair, 16))], frame.length);
  setIpv6PayloadLen(longer, 14, longer.length - 54);
  fillIcmpv6Checksum(longer, 54, longer.length, 14);
  return longer;
}

t.test('design §4: the gateway answers ARP for its own CA, from any kind of host', async t => {
  for (const host of HOST_NAMES) {
    const lab = makeWorld();
    const a = vm(host);
    t.equal(fromHost(lab, host, a.vsid, arpRequest(a.mac, a.ca, a.gateway)), 'consumed');
    expectSent(t, lab, [atHost(host, a.vsid, arpReply(GATEWAY_MAC, a.gateway, a.mac, a.ca))], host);
    t.equal(fromHost(lab, host, a.vsid, arpRequest(a.mac, a.ca, a.gateway, GATEWAY_MAC)), 'consumed', 'unicast, to see whether it is still there');
    expectSent(t, lab, [atHost(host, a.vsid, arpReply(GATEWAY_MAC, a.gateway, a.mac, a.ca))], host);
    expectLedger(t, lab, { red: { consumed: 2, originated: 2 } });
  }
});

t.test('design §4: and for a CA on another host of the VSID, with that record’s MAC', async t => {
  const lab = makeWorld();
  t.equal(fromHost(lab, 'nv4', A.vsid, arpRequest(A.mac, A.ca, B.ca)), 'consumed');
  expectSent(t, lab, [atHost('nv4', A.vsid, arpReply(B.mac, B.ca, A.mac, A.ca, GATEWAY_MAC))]);
  t.equal(fromHost(lab, 'nv4', A.vsid, neighborSolicit(A.mac, A.ca6, B.ca6)), 'consumed');
  expectSent(t, lab, [atHost('nv4', A.vsid, neighborAdvert(GATEWAY_MAC, B.mac, B.ca6, { mac: A.mac, address: A.ca6 }, NaFlag.solicited))]);
  expectLedger(t, lab, { red: { consumed: 2, originated: 2 } });
});

t.test('design §4: never for an address of the asking host’s own, another VSID’s, or nobody’s', async t => {
  const lab = makeWorld((_config, red) => { red.records.push({ ca: '10.0.0.100', mac: '00:15:5d:00:00:99', host: 'nv4' }); });
  const ask = (target: string): string => fromHost(lab, 'nv4', A.vsid, arpRequest(A.mac, A.ca, target));
  t.equal(ask(A.ca), 'neighbor_unanswered', 'gratuitous');
  t.equal(ask('10.0.0.100'), 'neighbor_unanswered', 'another VM of the same host');
  t.equal(ask(vm('vx4', 'db').ca), 'neighbor_unanswered', 'another VSID');
  t.equal(ask('10.0.1.1'), 'neighbor_unanswered', 'the gateway’s CA in another VSID');
  t.equal(ask('10.0.0.200'), 'neighbor_unanswered', 'nobody’s');
  for (const target of [A.ca6, vm('vx4', 'db').ca6, '2001:db8:b::1', '2001:db8:a::200', 'fe80::12']) {
    t.equal(fromHost(lab, 'nv4', A.vsid, neighborSolicit(A.mac, A.ca6, target)), 'neighbor_unanswered', target);
  }
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { neighbor_unanswered: 10 } });
});

t.test('RFC 5227, RFC 4862 §5.4: duplicate-address detection hears of a duplicate elsewhere, never of itself', async t => {
  const lab = makeWorld();
  t.equal(fromHost(lab, 'nv4', A.vsid, arpRequest(A.mac, '0.0.0.0', A.ca)), 'neighbor_unanswered');
  t.equal(fromHost(lab, 'nv4', A.vsid, neighborSolicit(A.mac, '::', A.ca6)), 'neighbor_unanswered');
  expectSent(t, lab, []);
  t.equal(fromHost(lab, 'nv4', A.vsid, arpRequest(A.mac, '0.0.0.0', B.ca)), 'consumed');
  expectSent(t, lab, [atHost('nv4', A.vsid, arpReply(B.mac, B.ca, A.mac, '0.0.0.0', GATEWAY_MAC))]);
  t.equal(fromHost(lab, 'nv4', A.vsid, arpRequest(A.mac, '0.0.0.0', A.gateway)), 'consumed');
  expectSent(t, lab, [atHost('nv4', A.vsid, arpReply(GATEWAY_MAC, A.gateway, A.mac, '0.0.0.0'))]);
  const allNodes = { mac: '33:33:00:00:00:01', address: 'ff02::1' };
  t.equal(fromHost(lab, 'nv4', A.vsid, neighborSolicit(A.mac, '::', B.ca6)), 'consumed');
  expectSent(t, lab, [atHost('nv4', A.vsid, neighborAdvert(GATEWAY_MAC, B.mac, B.ca6, allNodes, 0))], 'to all nodes, not solicited');
  t.equal(fromHost(lab, 'nv4', A.vsid, neighborSolicit(A.mac, '::', A.gateway6)), 'consumed');
  expectSent(t, lab, [atHost('nv4', A.vsid, neighborAdvert(GATEWAY_MAC, GATEWAY_MAC, A.gateway6, allNodes, NaFlag.router | NaFlag.override))]);
  expectLedger(t, lab, { red: { neighbor_unanswered: 2, consumed: 4, originated: 4 } });
});

t.test('RFC 4861 §7.2.4: the gateway advertises itself as a router, to global and link-local askers, group or unicast', async t => {
  for (const host of HOST_NAMES) {
    const lab = makeWorld();
    const a = vm(host);
    for (const sender of [a.ca6, 'fe80::215:5dff:fe00:11']) {
      for (const to of [undefined, { mac: GATEWAY_MAC, address: a.gateway6 }]) {
        t.equal(fromHost(lab, host, a.vsid, neighborSolicit(a.mac, sender, a.gateway6, to)), 'consumed');
        expectSent(t, lab, [atHost(host, a.vsid, neighborAdvert(GATEWAY_MAC, GATEWAY_MAC, a.gateway6, { mac: a.mac, address: sender }, NaFlag.router | NaFlag.solicited | NaFlag.override))], `${host}, ${sender}`);
      }
    }
    expectLedger(t, lab, { red: { consumed: 4, originated: 4 } });
  }
});

t.test('unicast ARP and ND between VMs are bridged like any frame', async t => {
  const lab = makeWorld();
  const to = { mac: B.mac, address: B.ca6 };
  for (const frame of [
    arpRequest(A.mac, A.ca, B.ca, B.mac), arpReply(A.mac, A.ca, B.mac, B.ca),
    neighborSolicit(A.mac, A.ca6, B.ca6, to), neighborAdvert(A.mac, A.mac, A.ca6, to, NaFlag.solicited),
    neighborSolicit(A.mac, 'fe80::1', 'fe80::2', { mac: B.mac, address: 'fe80::2' }),
  ]) {
    t.equal(fromHost(lab, 'nv4', A.vsid, frame), 'forwarded');
    expectSent(t, lab, [atHost('vx4', B.vsid, frame)]);
  }
  t.equal(fromHost(lab, 'nv4', A.vsid, arpRequest(A.mac, A.ca, B.ca, '00:15:5d:99:99:99')), 'mac_unknown');
  t.equal(fromHost(lab, 'nv4', A.vsid, neighborAdvert(A.mac, A.mac, A.ca6, { mac: '00:15:5d:99:99:99', address: B.ca6 }, 0)), 'mac_unknown');
  expectLedger(t, lab, { red: { forwarded: 5, mac_unknown: 2 } });
});

t.test('a neighbor may speak for its own address and MAC alone: ARP and ND are not carried with another’s', async t => {
  const lab = makeWorld();
  const B_TARGET = { mac: B.mac, address: B.ca6 };
  const said = (frame: Uint8Array): string => fromHost(lab, 'nv4', A.vsid, frame);
  t.equal(said(neighborAdvert(A.mac, A.mac, A.gateway6, B_TARGET, NaFlag.override, A.ca6)), 'spoofed_source', 'the gateway’s address');
  t.equal(said(neighborAdvert(A.mac, A.mac, vm('nv6').ca6, B_TARGET, NaFlag.override, A.ca6)), 'spoofed_source', 'another VM’s');
  t.equal(said(neighborAdvert(A.mac, '00:15:5d:00:00:99', A.ca6, B_TARGET, NaFlag.override)), 'spoofed_source', 'its own, at another MAC');
  t.equal(said(withLink(neighborAdvert(A.mac, A.mac, A.ca6, B_TARGET, NaFlag.override), GATEWAY_MAC)), 'spoofed_source', 'a second MAC behind its own');
  t.equal(said(neighborAdvert(A.mac, A.mac, A.ca6, B_TARGET, NaFlag.override)), 'forwarded', 'its own');
  t.equal(said(ethernet(B.mac, A.mac, arpReply(GATEWAY_MAC, A.ca, B.mac, B.ca).subarray(14), 0x0806)), 'spoofed_source', 'ARP with the gateway’s MAC inside');
  t.equal(said(arpReply(A.mac, A.ca, B.mac, B.ca)), 'forwarded');
  t.equal(lab.take().length, 2);
  expectLedger(t, lab, { '-': { spoofed_source: 1 }, red: { spoofed_source: 4, forwarded: 2 } }); // ND has passed the guard by its own source
});

t.test('ARP and ND are answered under the VSID in which was asked', async t => {
  const lab = makeWorld();
  const other = vm('nv4', 'db');
  t.equal(fromHost(lab, 'nv4', A.vsid, arpRequest(other.mac, other.ca, A.gateway)), 'consumed', 'asked in web by a CA of db');
  expectSent(t, lab, [atHost('nv4', A.vsid, arpReply(GATEWAY_MAC, A.gateway, other.mac, other.ca))]);
});

t.test('nothing is learned yet: announcements end here, by name', async t => {
  const lab = makeWorld();
  t.equal(fromHost(lab, 'nv4', A.vsid, arpReply(A.mac, A.ca, GATEWAY_MAC, A.gateway)), 'consumed', 'told to the gateway');
  t.equal(fromHost(lab, 'nv4', A.vsid, arpReply(A.mac, A.ca, BROADCAST, A.ca)), 'neighbor_unanswered', 'told to all');
  t.equal(fromHost(lab, 'nv4', A.vsid, neighborAdvert(A.mac, A.mac, A.ca6, { mac: GATEWAY_MAC, address: A.gateway6 }, NaFlag.solicited)), 'consumed');
  t.equal(fromHost(lab, 'nv4', A.vsid, neighborAdvert(A.mac, A.mac, A.ca6, { mac: '33:33:00:00:00:01', address: 'ff02::1' }, NaFlag.override)), 'frame_multicast');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { consumed: 2, neighbor_unanswered: 1 }, '-': { frame_multicast: 1 } });
});

t.test('RFC 6105 §1: a tenant host that plays router is not believed, nor carried; router solicitations are consumed', async t => {
  const lab = makeWorld();
  const advert = icmp('fe80::1', A.ca6, 134, 0, 0x40000708, new Uint8Array(8), { ttl: 255 });
  const redirect = icmp('fe80::1', A.ca6, 137, 0, 0, new Uint8Array(32), { ttl: 255 });
  t.equal(fromHost(lab, 'vx4', B.vsid, ethernet(A.mac, B.mac, advert)), 'nd_router');
  t.equal(fromHost(lab, 'vx4', B.vsid, ethernet(A.mac, B.mac, redirect)), 'nd_router');
  t.equal(fromHost(lab, 'vx4', B.vsid, ethernet('33:33:00:00:00:01', B.mac, icmp('fe80::1', 'ff02::1', 134, 0, 0x40000708, new Uint8Array(8), { ttl: 255 }))), 'frame_multicast');
  t.equal(fromHost(lab, 'vx4', B.vsid, ethernet(GATEWAY_MAC, B.mac, icmp(B.ca6, B.gateway6, 133, 0, 0, '', { ttl: 255 }))), 'consumed');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { nd_router: 2, consumed: 1 }, '-': { frame_multicast: 1 } });
});

t.test('RFC 4861 §7.1: solicitations that a node must discard get no answer', async t => {
  const lab = makeWorld();
  const send = (frame: Uint8Array): string => fromHost(lab, 'nv4', A.vsid, frame);
  t.equal(send(neighborSolicit(A.mac, A.ca6, A.gateway6, undefined, 254)), 'nd_malformed', 'a router has touched it');
  t.equal(send(neighborSolicit(A.mac, A.ca6, 'ff02::1')), 'nd_malformed', 'a group as target');
  t.equal(send(neighborSolicit(A.mac, '::', A.gateway6, { mac: GATEWAY_MAC, address: A.gateway6 })), 'nd_malformed', 'detection of a duplicate by unicast');
  t.equal(send(patched(neighborSolicit(A.mac, A.ca6, A.gateway6), 14 + 40 + 2, 0x1234)), 'icmpv6_checksum');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { nd_malformed: 3, icmpv6_checksum: 1 } });
});

t.test('broadcast and multicast are not carried: DHCP, mDNS, MLD, a group MAC around a unicast address', async t => {
  const lab = makeWorld();
  const send = (dst: string, packet: Uint8Array): string => fromHost(lab, 'nv4', A.vsid, ethernet(dst, A.mac, packet));
  t.equal(send(BROADCAST, udp('0.0.0.0', 68, '255.255.255.255', 67, new Uint8Array(240))), 'frame_multicast');
  t.equal(send('01:00:5e:00:00:fb', udp(A.ca, 5353, '224.0.0.251', 5353)), 'frame_multicast');
  t.equal(send(BROADCAST, udp(A.ca, 1, B.ca, 2)), 'frame_multicast');
  t.equal(send(GATEWAY_MAC, udp(A.ca, 1, '255.255.255.255', 2)), 'frame_multicast');
  t.equal(send('33:33:00:00:00:16', icmp('fe80::1', 'ff02::16', 143, 0, 0, new Uint8Array(20))), 'frame_multicast');
  t.equal(send(GATEWAY_MAC, udp(A.ca6, 1, 'ff02::1', 2)), 'frame_multicast');
  t.equal(send(solicitedNode(B.ca6).mac, udp(A.ca6, 1, B.ca6, 2)), 'frame_multicast');
  expectSent(t, lab, []);
  expectLedger(t, lab, { '-': { frame_multicast: 7 } });
});

t.test('RFC 919 §7, RFC 2644: a subnet’s broadcast address is not delivered to, from inside or outside, and never answered', async t => {
  const lab = makeWorld((_config, red) => { red.records.push({ type: 'wildcard', mac: '00:15:5d:00:00:99', host: 'vx4', vsid: 5002 }); });
  t.equal(fromVm(lab, A, udp(A.ca, 1, '10.0.0.255', 2)), 'frame_multicast');
  t.equal(fromVm(lab, A, udp(A.ca, 1, '10.0.1.255', 2)), 'frame_multicast', 'a wildcard record does not hold it');
  t.equal(fromUplink(lab, 'core', udp('172.16.0.9', 1, '10.0.1.255', 2), RED_KEY), 'frame_multicast');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { frame_multicast: 3 } });
});

t.test('design §4: ping of the gateway, in every family, from every kind of host, in its own subnet and the next', async t => {
  for (const host of HOST_NAMES) {
    const lab = makeWorld();
    const a = vm(host);
    for (const [from, to] of [[a.ca, a.gateway], [a.ca, '10.0.1.1'], [a.ca6, a.gateway6], [a.ca6, '2001:db8:b::1']]) {
      t.equal(fromVm(lab, a, echo(from, to, 7, 'ping', { ttl: 1 })), 'consumed');
      expectSent(t, lab, [atHost(host, a.vsid, ethernet(a.mac, GATEWAY_MAC, echoReply(to, from, 7, 'ping')))], `${host} to ${to}`);
    }
    expectLedger(t, lab, { red: { consumed: 4, originated: 4 } });
  }
});

t.test('ping of the gateway from the physical network and from a site', async t => {
  const lab = makeWorld();
  t.equal(fromUplink(lab, 'core', echo('172.16.0.9', A.gateway, 7), RED_KEY), 'consumed');
  expectSent(t, lab, [atPeer('core', echoReply(A.gateway, '172.16.0.9', 7), RED_KEY)]);
  t.equal(fromSite(lab, 9001, echo('2001:db8:50::9', A.gateway6, 7)), 'consumed');
  expectSent(t, lab, [atPeer('hq', echoReply(A.gateway6, '2001:db8:50::9', 7), 9001)]);
  t.equal(fromSite(lab, 9002, echo('192.168.60.9', '10.0.1.1', 7)), 'consumed');
  expectSent(t, lab, [atPeer('lab', echoReply('10.0.1.1', '192.168.60.9', 7), 9002)]);
  expectLedger(t, lab, { red: { consumed: 3, originated: 3 } });
});

t.test('RFC 1122 §3.2.2.6: echo comes back with its options, in fragments if it came in fragments, whole if it was whole', async t => {
  const lab = makeWorld();
  const timestamps = bytes('4408 0500 00000000');
  t.equal(fromVm(lab, A, withOptions(echo(A.ca, A.gateway, 7), timestamps)), 'consumed');
  expectSent(t, lab, [atHost('nv4', A.vsid, ethernet(A.mac, GATEWAY_MAC, withOptions(echoReply(A.gateway, A.ca, 7), timestamps)))]);

  const long = 'abcdefgh'.repeat(300);
  for (const piece of cut4(echo(A.ca, A.gateway, 7, long), 1400)) t.equal(fromVm(lab, A, piece), 'consumed');
  const pieces = lab.take();
  t.same(reassemble4(pieces.map(sent => sent.bytes.slice(22)))?.subarray(20), echoReply(A.gateway, A.ca, 7, long).subarray(20));

  for (const piece of cut6(echo(A.ca6, A.gateway6, 7, long), 1400)) t.equal(fromVm(lab, A, piece), 'consumed');
  expectSent(t, lab, cut6(echoReply(A.gateway6, A.ca6, 7, long), 1400).map(piece => atHost('nv4', A.vsid, ethernet(A.mac, GATEWAY_MAC, piece))));
  expectLedger(t, lab, { red: { consumed: 5, originated: 5 } });
});

t.test('an echo with a damaged checksum is not vouched for; all-zero echoes get a checksum that says so', async t => {
  const lab = makeWorld();
  t.equal(fromVm(lab, A, patched(echo(A.ca, A.gateway, 7), 22, 0x1234)), 'icmp_checksum');
  t.equal(fromVm(lab, A, patched(echo(A.ca6, A.gateway6, 7), 42, 0x1234)), 'icmpv6_checksum');
  expectSent(t, lab, []);
  t.equal(fromVm(lab, A, icmp(A.ca, A.gateway, 8, 0, 0, new Uint8Array(8))), 'consumed');
  expectSent(t, lab, [atHost('nv4', A.vsid, ethernet(A.mac, GATEWAY_MAC, icmp(A.gateway, A.ca, 0, 0, 0, new Uint8Array(8))))]);
  expectLedger(t, lab, { red: { icmp_checksum: 1, icmpv6_checksum: 1, consumed: 1, originated: 1 } });
});

t.test('RFC 1122 §3.2.2.1: the gateway serves nothing else: port, protocol and next header unreachable; what is said to it ends there', async t => {
  const lab = makeWorld();
  const back = (packet: Uint8Array) => atHost('nv4', A.vsid, ethernet(A.mac, GATEWAY_MAC, packet));
  const ssh = tcp(A.ca, 5000, A.gateway, 22, 2), dns = udp(A.ca6, 5000, A.gateway6, 53);
  t.equal(fromVm(lab, A, ssh), 'gateway_no_service');
  t.equal(fromVm(lab, A, dns), 'gateway_no_service');
  expectSent(t, lab, [back(icmp(A.gateway, A.ca, 3, 3, 0, ssh)), back(icmp(A.gateway6, A.ca6, 1, 4, 0, dns))]);
  const four = ip(A.ca, A.gateway, 47, new Uint8Array(8)), six = ip(A.ca6, A.gateway6, 47, new Uint8Array(8));
  t.equal(fromVm(lab, A, four), 'gateway_no_service');
  t.equal(fromVm(lab, A, six), 'gateway_no_service');
  expectSent(t, lab, [back(icmp(A.gateway, A.ca, 3, 2, 0, four)), back(icmp(A.gateway6, A.ca6, 4, 1, 6, six))], 'RFC 4443 §3.4: the pointer is at the next header');
  t.equal(fromVm(lab, A, echoReply(A.ca, A.gateway, 7)), 'consumed');
  t.equal(fromVm(lab, A, icmp(A.ca6, A.gateway6, 1, 0, 0, dns)), 'consumed', 'an error');
  expectSent(t, lab, []);
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, FAR, 22, 2)), 'forwarded', 'elsewhere than the gateway');
  lab.take();
  expectLedger(t, lab, { red: { gateway_no_service: 4, originated: 4, consumed: 2, forwarded: 1 } });
});
