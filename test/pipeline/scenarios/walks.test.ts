/** The walks between hosts: routed from subnet to subnet, bridged within one; every kind of host to every other. */
import t from 'tap';
import { expectLedger, expectSent } from '../../support/expect.js';
import { echo, ethernet, gre, nvgre, tcp, udp } from '../../support/frames.js';
import { GATEWAY_MAC, HOST_NAMES, HOSTS, atHost, atVm, fromHost, fromVm, makeWorld, vm } from '../../support/world.js';

const PAIRS = HOST_NAMES.flatMap(from => HOST_NAMES.map(to => [from, to] as const));

t.test('design §4: a packet to another subnet loses one hop, gets the record’s MACs and leaves under the destination’s VSID and encapsulation', async t => {
  for (const [from, to] of PAIRS) {
    const lab = makeWorld();
    const a = vm(from, 'web'), b = vm(to, 'db');
    t.equal(fromVm(lab, a, udp(a.ca, 5000, b.ca, 7, 'over')), 'forwarded', `${from} to ${to}, IPv4`);
    expectSent(t, lab, [atVm(b, udp(a.ca, 5000, b.ca, 7, 'over', { ttl: 63 }))], `${from} to ${to}, IPv4`);
    t.equal(fromVm(lab, a, tcp(a.ca6, 5000, b.ca6, 80, 16, 'six')), 'forwarded', `${from} to ${to}, IPv6`);
    expectSent(t, lab, [atVm(b, tcp(a.ca6, 5000, b.ca6, 80, 16, 'six', { ttl: 63 }))], `${from} to ${to}, IPv6`);
    expectLedger(t, lab, { red: { forwarded: 2 } });
  }
});

t.test('design §4: a frame for another MAC of the VSID is bridged: MACs, TTL and payload stay as they were', async t => {
  for (const [from, to] of PAIRS.filter(([from, to]) => from !== to)) {
    const lab = makeWorld();
    const a = vm(from), b = vm(to);
    for (const packet of [udp(a.ca, 5000, b.ca, 7, 'beside', { ttl: 1 }), echo(a.ca6, b.ca6, 9, 'x', { ttl: 1 })]) {
      const frame = ethernet(b.mac, a.mac, packet);
      t.equal(fromHost(lab, from, a.vsid, frame), 'forwarded', `${from} to ${to}`);
      expectSent(t, lab, [atHost(to, b.vsid, frame)], `${from} to ${to}`);
    }
    expectLedger(t, lab, { red: { forwarded: 2 } });
  }
});

t.test('a bridged frame never goes back to its own host, nor with the MAC of a VM elsewhere: bridges would learn it wrong', async t => {
  const lab = makeWorld((_config, red) => { red.records.push({ ca: '10.0.0.100', mac: '00:15:5d:00:00:99', host: 'nv4' }); });
  const a = vm('nv4'), b = vm('vx4'), c = vm('nv6');
  const packet = udp(a.ca, 1, b.ca, 2);
  t.equal(fromHost(lab, 'nv4', a.vsid, ethernet('00:15:5d:00:00:99', a.mac, packet)), 'mac_same_host', 'flooded by a bridge');
  t.equal(fromHost(lab, 'nv4', a.vsid, ethernet(b.mac, c.mac, packet)), 'spoofed_mac');
  expectSent(t, lab, []);
  t.equal(fromHost(lab, 'nv4', a.vsid, ethernet(b.mac, '00:15:5d:aa:aa:aa', packet)), 'forwarded', 'a MAC that no record knows, as of a host’s own router');
  t.equal(fromHost(lab, 'nv4', a.vsid, ethernet(b.mac, GATEWAY_MAC, packet)), 'forwarded', 'which may be the same as the gateway’s');
  t.equal(fromHost(lab, 'nv4', a.vsid, ethernet(GATEWAY_MAC, c.mac, packet)), 'forwarded', 'routed, the MAC is replaced');
  t.equal(lab.take().length, 3);
  expectLedger(t, lab, { red: { mac_same_host: 1, spoofed_mac: 1, forwarded: 3 } });
});

t.test('wire-facts §9.4: a Hyper-V host routes by itself and stamps any VSID of the routing domain; the source need not be of that subnet', async t => {
  const lab = makeWorld();
  const a = vm('nv4', 'web'), b = vm('vx4', 'db');
  // To the gateway's MAC under the destination's VSID, as by a wildcard record in that subnet.
  t.equal(fromHost(lab, 'nv4', b.vsid, ethernet(GATEWAY_MAC, a.mac, udp(a.ca, 1, b.ca, 2))), 'forwarded');
  expectSent(t, lab, [atVm(b, udp(a.ca, 1, b.ca, 2, '', { ttl: 63 }))]);
  // To the VM's own MAC there: delivered as it is, the host has routed it.
  const frame = ethernet(b.mac, GATEWAY_MAC.replace(/01$/, '99'), udp(a.ca, 1, b.ca, 2));
  t.equal(fromHost(lab, 'nv4', b.vsid, frame), 'forwarded');
  expectSent(t, lab, [atHost('vx4', b.vsid, frame)]);
  expectLedger(t, lab, { red: { forwarded: 2 } });
});

t.test('an answer of the gateway’s to a host that routes by itself goes out under the VSID of the source’s own record', async t => {
  const lab = makeWorld();
  const a = vm('nv4', 'web'), b = vm('nv4', 'db');
  t.equal(fromHost(lab, 'nv4', b.vsid, ethernet(GATEWAY_MAC, '00:15:5d:aa:aa:aa', echo(a.ca, b.gateway, 7))), 'consumed');
  const [reply] = lab.take();
  t.same(reply.bytes.subarray(0, 8), nvgre(a.vsid, new Uint8Array(0)), 'VSID of web');
  t.same(reply.bytes.subarray(8, 14), ethernet(a.mac, a.mac, new Uint8Array(1)).subarray(0, 6), 'MAC of the record');
  expectLedger(t, lab, { red: { consumed: 1, originated: 1 } });
});

t.test('a VM may reach another on its own host through the gateway, by routing', async t => {
  const lab = makeWorld();
  const a = vm('vx4', 'web'), b = vm('vx4', 'db');
  t.equal(fromVm(lab, a, udp(a.ca, 1, b.ca, 2)), 'forwarded');
  expectSent(t, lab, [atVm(b, udp(a.ca, 1, b.ca, 2, '', { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 1 } });
});

t.test('RFC 7637 §3.2: FlowID is zero unless the host asks for a hash, and a flow keeps its hash', async t => {
  const lab = makeWorld(config => { config.hosts[0]['flowId'] = 'hash'; });
  const b = vm('vx4', 'db'), a = vm('nv4', 'web');
  const flowId = (sport: number, payload = ''): number => {
    fromVm(lab, b, udp(b.ca, sport, a.ca, 7, payload));
    return lab.take()[0].bytes[7];
  };
  const ids = Array.from({ length: 32 }, (_, i) => flowId(1000 + i));
  t.ok(new Set(ids).size > 16, 'different flows differ');
  t.same(Array.from({ length: 32 }, (_, i) => flowId(1000 + i, 'again')), ids, 'the same flow does not');
  fromVm(lab, b, udp(b.ca, 1, vm('nv6', 'web').ca, 2));
  t.equal(lab.take()[0].bytes[7], 0, 'another NVGRE host, which did not ask');
  expectLedger(t, lab, { red: { forwarded: 65 } });
});

t.test('padding behind the IP packet is taken off: what leaves is as long as the total length says', async t => {
  const lab = makeWorld();
  const a = vm('nv4', 'web'), b = vm('vx4', 'db');
  const padded = new Uint8Array(46);
  padded.set(udp(a.ca, 1, b.ca, 2, 'short'));
  t.equal(fromVm(lab, a, padded), 'forwarded');
  expectSent(t, lab, [atVm(b, udp(a.ca, 1, b.ca, 2, 'short', { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 1 } });
});

t.test('a PA with a port counts only from that port; a PA without one counts from any', async t => {
  const lab = makeWorld();
  const a = vm('nvp'), b = vm('nv4');
  const frame = nvgre(a.vsid, ethernet(GATEWAY_MAC, a.mac, echo(a.ca, a.gateway, 1)));
  t.equal(lab.receive('127.0.0.1:47099', frame), 'pa_unknown');
  t.equal(lab.receive('127.0.0.1:47011', frame), 'consumed');
  const other = nvgre(b.vsid, ethernet(GATEWAY_MAC, b.mac, echo(b.ca, b.gateway, 1)));
  for (const port of [1, 32768, 60999, 65535]) t.equal(lab.receive(`${HOSTS.nv4.pa}:${port}`, other), 'consumed', `from port ${port}`);
  lab.take();
  expectLedger(t, lab, { '-': { pa_unknown: 1 }, red: { consumed: 5, originated: 5 } });
});

t.test('what is not for the pipeline ends there: unknown senders, the wrong carrier, the wrong side', async t => {
  const lab = makeWorld();
  const a = vm('nv4'), v = vm('vx4');
  const frame = ethernet(GATEWAY_MAC, a.mac, echo(a.ca, a.gateway, 1));
  t.equal(lab.receive('192.0.2.99', nvgre(a.vsid, frame)), 'pa_unknown');
  t.equal(lab.receive(HOSTS.nv4.pa, nvgre(a.vsid, frame), 'vxlan'), 'encap_mismatch', 'an NVGRE host speaks VXLAN');
  t.equal(lab.receive(HOSTS.vx4.pa, nvgre(v.vsid, frame), 'gre'), 'encap_mismatch', 'a VXLAN host speaks NVGRE');
  t.equal(lab.receive('192.0.2.20', gre(udp('198.51.100.7', 1, '203.0.113.10', 2)), 'vxlan'), 'encap_mismatch', 'an uplink speaks VXLAN');
  t.equal(lab.receive(HOSTS.nv4.pa, nvgre(a.vsid, frame), 'gre', 2), 'wrong_side', 'a host on the uplinks’ address');
  t.equal(lab.receive('192.0.2.20', gre(udp('198.51.100.7', 1, '203.0.113.10', 5353)), 'gre', 1), 'wrong_side', 'an uplink on the hosts’ address');
  t.equal(lab.receive(HOSTS.nv4.pa, nvgre(a.vsid, frame), 'gre', 1), 'consumed', 'a host on the hosts’ address');
  t.equal(lab.receive('192.0.2.20', gre(udp('198.51.100.7', 1, '203.0.113.10', 5353)), 'gre', 2), 'forwarded', 'an uplink on the uplinks’ address');
  lab.take();
  expectLedger(t, lab, { '-': { pa_unknown: 1, encap_mismatch: 3, wrong_side: 2 }, red: { consumed: 1, originated: 1, forwarded: 1 } });
});
