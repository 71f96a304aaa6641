/** Where packets go: the tenant's own table, next hops, wildcards, forwarding with keys, sites. */
import t from 'tap';
import { expectLedger, expectSent } from '../../support/expect.js';
import { echo, ethernet, gre, icmp, tcp, udp } from '../../support/frames.js';
import { bytes } from '../../support/bytes.js';
import { concat } from '../../support/captures.js';
import {
  BLUE_KEY, FAR, FAR6, GATEWAY_MAC, HOST_NAMES, HQ_KEY, LAB_KEY, RED_KEY, RED_POOL, SITE_PA, UPLINKS, atHost, atPeer, atVm, fromHost, fromSite, fromUplink, fromVm, makeWorld, vm,
} from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4', 'db');

t.test('design §4: forwarding to the physical network and back, under the tenant’s key, nothing rewritten but the hop', async t => {
  for (const host of HOST_NAMES) {
    for (const tenant of ['red', 'blue'] as const) {
      const lab = makeWorld();
      const a = vm(host, 'db', tenant);
      const key = tenant === 'red' ? RED_KEY : BLUE_KEY;
      for (const [own, far] of [[a.ca, '172.16.0.9'], [a.ca6, FAR6]]) {
        t.equal(fromVm(lab, a, tcp(own, 5000, far, 80, 16, 'out')), 'forwarded');
        expectSent(t, lab, [atPeer('core', tcp(own, 5000, far, 80, 16, 'out', { ttl: 63 }), key)], `${tenant} on ${host}, out`);
        t.equal(fromUplink(lab, 'core', tcp(far, 80, own, 5000, 16, 'back', { ttl: 9 }), key), 'forwarded');
        expectSent(t, lab, [atVm(a, tcp(far, 80, own, 5000, 16, 'back', { ttl: 8 }))], `${tenant} on ${host}, back`);
      }
      expectLedger(t, lab, { [tenant]: { forwarded: 4 } });
    }
  }
});

t.test('an uplink’s key is the tenant: another key is another tenant, none or an unknown one is nobody', async t => {
  const lab = makeWorld();
  const packet = udp('172.16.0.9', 1, A.ca, 2);
  t.equal(fromUplink(lab, 'core', packet, BLUE_KEY), 'forwarded');
  expectSent(t, lab, [atVm(vm('nv4', 'web', 'blue'), udp('172.16.0.9', 1, A.ca, 2, '', { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'core', packet, 0), 'gre_key_unknown', 'a key of 0 is a key');
  t.equal(fromUplink(lab, 'core', packet), 'pool_unknown', 'and no key is none');
  t.equal(fromUplink(lab, 'inet', packet, RED_KEY), 'gre_key_unknown', 'the right key at another uplink');
  expectSent(t, lab, []);
  expectLedger(t, lab, { blue: { forwarded: 1 }, '-': { gre_key_unknown: 2, pool_unknown: 1 } });
});

t.test('a tenant may forward without a key, on the uplink it does NAT on: pool addresses are NAT’s, the rest is forwarded', async t => {
  const lab = makeWorld((_config, red) => { red.forward = { uplink: 'inet' }; });
  t.equal(fromVm(lab, A, udp(A.ca, 1, '172.16.0.9', 2)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', udp(A.ca, 1, '172.16.0.9', 2, '', { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', udp('172.16.0.9', 2, A.ca, 1)), 'forwarded');
  expectSent(t, lab, [atVm(A, udp('172.16.0.9', 2, A.ca, 1, '', { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 2, '203.0.113.10', 5353)), 'forwarded', 'by a static mapping');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 2, '203.0.113.77', 1)), 'transit', 'in no subnet: a gateway is no transit');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 3, transit: 1 } });
});

t.test('RFC 2784, RFC 2890: an uplink may send checksums, sequence numbers and reserved bits; a wrong checksum or version is dropped', async t => {
  const lab = makeWorld();
  const packet = udp('172.16.0.9', 1, A.ca, 2);
  const routed = atVm(A, udp('172.16.0.9', 1, A.ca, 2, '', { ttl: 63 }));
  const send = (header: string): string => lab.receive(UPLINKS.core, concat(bytes(header), packet));
  t.equal(send('2000 0800 00001b59'), 'forwarded');
  t.equal(send('3000 0800 00001b59 00000001'), 'forwarded', 'a sequence number');
  t.equal(send('23f8 0800 00001b59'), 'forwarded', 'bits 6 to 12 are ignored');
  t.equal(send('a000 0800 1234 0000 00001b59'), 'gre_checksum');
  t.equal(send('2001 0800 00001b59'), 'gre_version');
  t.equal(send('6000 0800 00001b59'), 'gre_reserved');
  t.equal(send('2000 6558 00001b59'), 'gre_protocol', 'a frame');
  t.equal(lab.receive(UPLINKS.core, bytes('2000 0800 0000')), 'gre_truncated');
  t.equal(send('2000 86dd 00001b59'), 'ipv6_truncated', 'a short IPv4 packet announced as IPv6');
  expectSent(t, lab, [routed, routed, routed]);
  expectLedger(t, lab, { red: { forwarded: 3 }, '-': { gre_checksum: 1, gre_version: 1, gre_reserved: 1, gre_protocol: 1, gre_truncated: 1, ipv6_truncated: 1 } });
});

t.test('design §4: sites, two at one PA told apart by key, IPv4 and IPv6, out and back', async t => {
  const lab = makeWorld();
  for (const [site, key, own, far] of [['hq', HQ_KEY, A.ca, '192.168.50.9'], ['hq', HQ_KEY, A.ca6, '2001:db8:50::9'], ['lab', LAB_KEY, A.ca, '192.168.60.9']] as const) {
    t.equal(fromVm(lab, A, udp(own, 1, far, 2)), 'forwarded');
    expectSent(t, lab, [atPeer(site, udp(own, 1, far, 2, '', { ttl: 63 }), key)]);
    t.equal(fromSite(lab, key, udp(far, 2, own, 1)), 'forwarded');
    expectSent(t, lab, [atVm(A, udp(far, 2, own, 1, '', { ttl: 63 }))]);
  }
  const blue = vm('nv4', 'web', 'blue');
  t.equal(fromVm(lab, blue, udp(blue.ca, 1, '192.168.50.9', 2)), 'forwarded', 'blue has no such site: it is an Internet address');
  t.equal(lab.take()[0].peer, 'inet');
  expectLedger(t, lab, { red: { forwarded: 6 }, blue: { forwarded: 1 } });
});

t.test('from outside to outside there is no way: site to site, site to Internet, site to the physical network', async t => {
  const lab = makeWorld();
  t.equal(fromSite(lab, HQ_KEY, udp('192.168.50.9', 1, '192.168.60.9', 2)), 'transit');
  t.equal(fromSite(lab, HQ_KEY, udp('192.168.50.9', 1, FAR, 2)), 'transit');
  t.equal(fromUplink(lab, 'core', udp('172.16.0.9', 1, '192.168.50.9', 2), RED_KEY), 'transit');
  t.equal(fromSite(lab, HQ_KEY, udp('192.168.50.9', 1, '10.9.0.1', 2)), 'route_drop');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { transit: 3, route_drop: 1 } });
});

t.test('the longest prefix wins, then the lowest metric; "drop" drops without a word', async t => {
  const lab = makeWorld((_config, red) => {
    red.routes.push({ prefix: '198.51.100.0/24', via: 'forward' }, { prefix: '198.51.100.128/25', via: 'drop' }, { prefix: '198.51.100.200/32', via: 'nat' },
      { prefix: '100.64.0.0/10', via: 'drop', metric: 5 }, { prefix: '100.64.0.0/10', via: 'forward', metric: 1 });
  });
  const goes = (to: string): string => { const fate = fromVm(lab, A, udp(A.ca, 1, to, 2)); return lab.take()[0]?.peer ?? fate; };
  t.equal(goes('198.51.101.1'), 'inet');
  t.equal(goes('198.51.100.1'), 'core');
  t.equal(goes('198.51.100.129'), 'route_drop');
  t.equal(goes('198.51.100.200'), 'inet');
  t.equal(goes('100.64.1.1'), 'core');
  t.equal(goes('10.9.1.1'), 'route_drop');
  expectLedger(t, lab, { red: { forwarded: 4, route_drop: 2 } });
});

t.test('::/0 is the default route of IPv6 alone', async t => {
  const lab = makeWorld((_config, red) => { red.routes = [{ prefix: '::/0', via: 'forward' }]; red.nat = null; });
  t.equal(fromVm(lab, A, udp(A.ca, 1, FAR, 2)), 'no_route');
  t.equal(fromVm(lab, A, udp(A.ca6, 1, FAR6, 2)), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { no_route: 1, originated: 1, forwarded: 1 } });
});

t.test('without a route: network unreachable, no route; in a subnet without a record: host and address unreachable', async t => {
  const lab = makeWorld((_config, red) => { red.routes = []; red.nat = null; });
  const back = (packet: Uint8Array) => atHost('nv4', A.vsid, ethernet(A.mac, GATEWAY_MAC, packet));
  const cases = [
    [udp(A.ca, 1, FAR, 2), 'no_route', A.gateway, A.ca, 3, 0], [udp(A.ca6, 1, FAR6, 2), 'no_route', A.gateway6, A.ca6, 1, 0],
    [udp(A.ca, 1, '10.0.1.200', 2), 'no_record', A.gateway, A.ca, 3, 1], [udp(A.ca6, 1, '2001:db8:b::200', 2), 'no_record', A.gateway6, A.ca6, 1, 3],
  ] as const;
  for (const [packet, reason, from, to, type, code] of cases) {
    t.equal(fromVm(lab, A, packet), reason);
    expectSent(t, lab, [back(icmp(from, to, type, code, 0, packet))], reason);
  }
  expectLedger(t, lab, { red: { no_route: 2, no_record: 2, originated: 4 } });
});

t.test('a route via a CA goes to that VM’s host and MAC, whatever the destination; what lies behind it may answer through it alone', async t => {
  const mac = '00:15:5d:00:00:fa';
  const lab = makeWorld((_config, red) => {
    red.records.push({ ca: '10.0.1.250', mac, host: 'vx4' });
    red.routes.push({ prefix: '192.168.77.0/24', via: 'ca:10.0.1.250' });
  });
  t.equal(fromVm(lab, A, udp(A.ca, 1, '192.168.77.9', 2)), 'forwarded');
  const router = { ...B, mac };
  expectSent(t, lab, [atVm(router, udp(A.ca, 1, '192.168.77.9', 2, '', { ttl: 63 }))]);
  t.equal(fromVm(lab, router, udp('192.168.77.9', 2, A.ca, 1)), 'forwarded');
  expectSent(t, lab, [atVm(A, udp('192.168.77.9', 2, A.ca, 1, '', { ttl: 63 }))]);
  t.equal(fromVm(lab, B, udp('192.168.77.9', 2, A.ca, 1)), 'spoofed_source', 'another VM of that host');
  t.equal(fromVm(lab, { ...router, host: 'nv4' }, udp('192.168.77.9', 2, A.ca, 1)), 'spoofed_source', 'that MAC on another host');
  t.equal(fromVm(lab, { ...router, vsid: 5001 }, udp('192.168.77.9', 2, A.ca, 1)), 'forwarded', 'in another VSID of the domain, as from a host that routes');
  lab.take();
  for (const [source, whose] of [['192.168.78.9', 'nobody'], ['192.168.50.9', 'a site'], ['10.0.0.200', 'another subnet'], [RED_POOL, 'the pool'], [FAR, 'the Internet']] as const) {
    t.equal(fromVm(lab, router, udp(source, 2, A.ca, 1)), 'spoofed_source', `an address of ${whose}`);
  }
  t.equal(fromVm(lab, router, udp(A.ca, 2, B.ca, 1)), 'spoofed_source', 'a CA that has a record of its own');
  // From outside, too: a site reaches what is behind the router.
  t.equal(fromSite(lab, HQ_KEY, udp('192.168.50.9', 1, '192.168.77.9', 2)), 'forwarded');
  expectSent(t, lab, [atVm(router, udp('192.168.50.9', 1, '192.168.77.9', 2, '', { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 4 }, '-': { spoofed_source: 8 } });
});

t.test('HNV: a wildcard record takes what no other record of its VSID matches, from inside and outside', async t => {
  const mac = '00:15:5d:00:00:fb';
  const lab = makeWorld((_config, red) => { red.records.push({ type: 'wildcard', mac, host: 'nv6', vsid: 5002 }); });
  const router = { ...vm('nv6', 'db'), mac };
  t.equal(fromVm(lab, A, udp(A.ca, 1, '10.0.1.99', 2)), 'forwarded');
  t.equal(fromVm(lab, A, udp(A.ca6, 1, '2001:db8:b::99', 2)), 'forwarded');
  t.equal(fromUplink(lab, 'core', udp('172.16.0.9', 1, '10.0.1.98', 2), RED_KEY), 'forwarded');
  expectSent(t, lab, [
    atVm(router, udp(A.ca, 1, '10.0.1.99', 2, '', { ttl: 63 })), atVm(router, udp(A.ca6, 1, '2001:db8:b::99', 2, '', { ttl: 63 })),
    atVm(router, udp('172.16.0.9', 1, '10.0.1.98', 2, '', { ttl: 63 })),
  ]);
  t.equal(fromVm(lab, A, udp(A.ca, 1, B.ca, 2)), 'forwarded');
  expectSent(t, lab, [atVm(B, udp(A.ca, 1, B.ca, 2, '', { ttl: 63 }))], 'a record of its own comes first');
  t.equal(fromVm(lab, A, udp(A.ca, 1, '10.0.0.99', 2)), 'no_record', 'another VSID has no wildcard');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4, no_record: 1, originated: 1 } });
});

t.test('RFC 4291 §2.5.6: link-local addresses are bridged and never routed, in or out', async t => {
  const lab = makeWorld();
  const near = udp('fe80::1', 1, FAR6, 2), far = udp(A.ca6, 1, 'fe80::2', 2);
  const back = (to: string, packet: Uint8Array) => atHost('nv4', A.vsid, ethernet(A.mac, GATEWAY_MAC, icmp(A.gateway6, to, 1, 2, 0, packet)));
  t.equal(fromVm(lab, A, near), 'link_local');
  t.equal(fromVm(lab, A, far), 'link_local');
  expectSent(t, lab, [back('fe80::1', near), back(A.ca6, far)], 'RFC 4443 §3.1: beyond scope of source address');
  t.equal(fromUplink(lab, 'core', udp('fe80::1', 1, A.ca6, 2), RED_KEY), 'link_local');
  lab.take();
  const b = vm('vx4');
  const frame = ethernet(b.mac, A.mac, udp('fe80::1', 1, 'fe80::2', 2));
  t.equal(fromHost(lab, 'nv4', A.vsid, frame), 'forwarded');
  expectSent(t, lab, [atHost('vx4', b.vsid, frame)]);
  expectLedger(t, lab, { red: { link_local: 3, originated: 3, forwarded: 1 } });
});

t.test('a site or uplink with an IPv6 PA, and PAs that need their port', async t => {
  const lab = makeWorld((config, red) => {
    config.uplinks[1] = { name: 'core', pa: '[2001:db8:ffff::21]:6000' };
    red.sites = [{ name: 'hq', pa: `${SITE_PA}:4754`, prefixes: ['192.168.50.0/24', '2001:db8:50::/48'] }];
    red.routes = red.routes.filter(route => route['via'] !== 'site:lab');
  });
  t.equal(fromVm(lab, A, udp(A.ca, 1, '172.16.0.9', 2)), 'forwarded');
  expectSent(t, lab, [atPeer('core', udp(A.ca, 1, '172.16.0.9', 2, '', { ttl: 63 }), RED_KEY)]);
  const answer = gre(udp('172.16.0.9', 2, A.ca, 1), RED_KEY);
  t.equal(lab.receive('[2001:db8:ffff::21]:6000', answer), 'forwarded');
  t.equal(lab.receive('[2001:db8:ffff::21]:6001', answer), 'pa_unknown');
  t.equal(lab.receive(`${SITE_PA}:4754`, gre(echo('192.168.50.9', A.gateway, 1))), 'consumed', 'a site without a key');
  t.equal(lab.receive(`${SITE_PA}:4755`, gre(echo('192.168.50.9', A.gateway, 1))), 'pa_unknown');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 2, consumed: 1, originated: 1 }, '-': { pa_unknown: 2 } });
});
