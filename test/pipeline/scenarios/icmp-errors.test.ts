/** ICMP errors of the gateway's own: to whom, from whom, how often, and about what never. */
import t from 'tap';
import { TcpFlag } from '../../../codecs/tcp.js';
import { expectLedger, expectSent } from '../../support/expect.js';
import { cut4, cut6, echo, ethernet, icmp, nvgre, patched, tcp, udp, withOptions } from '../../support/frames.js';
import { bytes } from '../../support/bytes.js';
import {
  FAR, FAR6, GATEWAY_MAC, HOST_NAMES, HOSTS, HQ_KEY, RED_KEY, RED_POOL, atHost, atPeer, fromSite, fromUplink, fromVm, makeWorld, vm,
} from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4', 'db');

t.test('RFC 1812 §5.3.1, RFC 8200 §3: a hop that runs out is answered from the gateway’s CA in the sender’s subnet, on every way out', async t => {
  for (const host of HOST_NAMES) {
    for (const subnet of ['web', 'db'] as const) {
      const lab = makeWorld();
      const a = vm(host, subnet);
      for (const [own, far, gateway, type] of [
        [a.ca, vm('nv4', subnet === 'web' ? 'db' : 'web').ca, a.gateway, 11], [a.ca, FAR, a.gateway, 11], [a.ca, '172.16.0.9', a.gateway, 11], [a.ca, '192.168.50.9', a.gateway, 11],
        [a.ca6, vm('nv4', subnet === 'web' ? 'db' : 'web').ca6, a.gateway6, 3], [a.ca6, FAR6, a.gateway6, 3], [a.ca6, '2001:db8:50::9', a.gateway6, 3],
      ] as const) {
        for (const ttl of [1, 0]) {
          const probe = udp(own, 33434, far, 33435, 'probe', { ttl });
          t.equal(fromVm(lab, a, probe), 'ttl_expired');
          expectSent(t, lab, [atHost(host, a.vsid, ethernet(a.mac, GATEWAY_MAC, icmp(gateway, own, type, 0, 0, probe)))], `${host}, to ${far}`);
        }
      }
      expectLedger(t, lab, { red: { ttl_expired: 14, originated: 14 } });
    }
  }
});

t.test('design §4: from outside, too: from the address that was asked for, or the gateway’s CA nearest to the destination', async t => {
  const lab = makeWorld();
  const cases = [
    ['inet', -1, udp(FAR, 1, RED_POOL, 5353, '', { ttl: 1 }), icmp(RED_POOL, FAR, 11, 0, 0, udp(FAR, 1, RED_POOL, 5353, '', { ttl: 1 }))],
    ['core', RED_KEY, udp('172.16.0.9', 1, B.ca, 2, '', { ttl: 1 }), icmp(B.gateway, '172.16.0.9', 11, 0, 0, udp('172.16.0.9', 1, B.ca, 2, '', { ttl: 1 }))],
    ['core', RED_KEY, udp(FAR6, 1, A.ca6, 2, '', { ttl: 1 }), icmp(A.gateway6, FAR6, 3, 0, 0, udp(FAR6, 1, A.ca6, 2, '', { ttl: 1 }))],
  ] as const;
  for (const [uplink, key, packet, error] of cases) {
    t.equal(fromUplink(lab, uplink, packet, key), 'ttl_expired');
    expectSent(t, lab, [atPeer(uplink, error, key)]);
  }
  const probe = udp('192.168.50.9', 1, B.ca, 2, '', { ttl: 1 });
  t.equal(fromSite(lab, HQ_KEY, probe), 'ttl_expired');
  expectSent(t, lab, [atPeer('hq', icmp(B.gateway, '192.168.50.9', 11, 0, 0, probe), HQ_KEY)]);
  expectLedger(t, lab, { red: { ttl_expired: 4, originated: 4 } });
});

t.test('RFC 1812 §4.3.2.3, RFC 4443 §2.4: an error quotes as much as 576 and 1280 bytes hold, options included', async t => {
  const lab = makeWorld();
  const long = udp(A.ca, 1, FAR, 2, new Uint8Array(900), { ttl: 1 });
  t.equal(fromVm(lab, A, withOptions(long, bytes('01010100'))), 'ttl_expired');
  const six = udp(A.ca6, 1, FAR6, 2, new Uint8Array(1350), { ttl: 1 });
  t.equal(fromVm(lab, A, six), 'ttl_expired');
  const errors = [icmp(A.gateway, A.ca, 11, 0, 0, withOptions(long, bytes('01010100')).subarray(0, 548)), icmp(A.gateway6, A.ca6, 3, 0, 0, six.subarray(0, 1232))];
  t.same(errors.map(packet => packet.length), [576, 1280]);
  expectSent(t, lab, errors.map(packet => atHost('nv4', A.vsid, ethernet(A.mac, GATEWAY_MAC, packet))));
  expectLedger(t, lab, { red: { ttl_expired: 2, originated: 2 } });
});

t.test('RFC 1122 §3.2.2, RFC 4443 §2.4 (e): never about an ICMP error, a later fragment, or a redirect; about queries and first fragments it is', async t => {
  const lab = makeWorld();
  const quote = udp(A.ca, 1, FAR, 2);
  for (const type of [3, 4, 5, 11, 12]) t.equal(fromVm(lab, A, icmp(A.ca, '172.16.0.9', type, 0, 0, quote, { ttl: 1 })), 'ttl_expired', `ICMP type ${type}`);
  for (const type of [1, 2, 3, 4, 100, 127]) t.equal(fromVm(lab, A, icmp(A.ca6, FAR6, type, 0, 0, udp(A.ca6, 1, FAR6, 2), { ttl: 1 })), 'ttl_expired', `ICMPv6 type ${type}`);
  const [first, later] = cut4(udp(A.ca, 1, '172.16.0.9', 2, new Uint8Array(64), { ttl: 1 }), 40);
  const [first6, later6] = cut6(udp(A.ca6, 1, FAR6, 2, new Uint8Array(64), { ttl: 1 }), 40);
  for (const piece of [later, later6]) fromVm(lab, A, piece);
  expectSent(t, lab, []);
  for (const piece of [first, first6]) t.equal(fromVm(lab, A, piece), 'ttl_expired');
  for (const packet of [echo(A.ca, FAR, 1, '', { ttl: 1 }), icmp(A.ca, FAR, 0, 0, 0, '', { ttl: 1 }), echo(A.ca6, FAR6, 1, '', { ttl: 1 })]) t.equal(fromVm(lab, A, packet), 'ttl_expired');
  t.equal(lab.take().length, 5);
  expectLedger(t, lab, { red: { ttl_expired: 18, originated: 5 } });
});

t.test('an error is sent to whoever proved to be the sender, and to nobody for what was spoofed, denied or broken', async t => {
  const lab = makeWorld((_config, red) => { red.acls.push({ action: 'deny', direction: 'outbound', protocol: 'tcp', remotePort: 25 }); });
  t.equal(fromVm(lab, { ...A, host: 'vx4' }, udp(A.ca, 1, FAR, 2, '', { ttl: 1 })), 'spoofed_source');
  t.equal(fromVm(lab, A, tcp(A.ca, 1, FAR, 25, TcpFlag.syn, '', { ttl: 1 })), 'acl_denied');
  t.equal(fromVm(lab, A, patched(udp(A.ca, 1, FAR, 2, '', { ttl: 1 }), 10, 1)), 'ipv4_checksum');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 1, '203.0.113.99', 2, '', { ttl: 1 })), 'pool_unknown');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { acl_denied: 1 }, '-': { spoofed_source: 1, ipv4_checksum: 1, pool_unknown: 1 } });
});

t.test('RFC 4443 §2.4 (f): errors are rate-limited per tenant: a burst, then so many a second; the drops are counted all the same', async t => {
  const lab = makeWorld(config => { config.gateway['icmpErrors'] = { perSecond: 10, burst: 3 }; });
  const probe = (from: typeof A): string => fromVm(lab, from, udp(from.ca, 1, FAR, 2, '', { ttl: 1 }));
  for (let i = 0; i < 8; i++) t.equal(probe(A), 'ttl_expired');
  t.equal(lab.take().length, 3, 'the burst');
  t.equal(probe(vm('nv4', 'web', 'blue')), 'ttl_expired');
  t.equal(lab.take().length, 1, 'another tenant');
  lab.wait(0.1);
  for (let i = 0; i < 3; i++) probe(A);
  t.equal(lab.take().length, 1, 'a tenth of a second later');
  lab.wait(60);
  for (let i = 0; i < 8; i++) probe(A);
  t.equal(lab.take().length, 3, 'the burst again');
  t.equal(fromVm(lab, A, echo(A.ca, A.gateway, 1)), 'consumed', 'replies are no errors');
  expectLedger(t, lab, { red: { ttl_expired: 19, originated: 8, consumed: 1 }, blue: { ttl_expired: 1, originated: 1 } });
});

t.test('icmpErrors.perSecond 0 sends none', async t => {
  const lab = makeWorld(config => { config.gateway['icmpErrors'] = { perSecond: 0, burst: 3 }; });
  t.equal(fromVm(lab, A, udp(A.ca, 1, FAR, 2, '', { ttl: 1 })), 'ttl_expired');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { ttl_expired: 1 } });
});

t.test('a subnet without a gateway CA of the family speaks through another subnet’s', async t => {
  const lab = makeWorld((_config, red) => {
    const { prefix6: _gone, ...web } = red.subnets[0];
    red.subnets[0] = web as typeof red.subnets[0];
    red.records = red.records.filter(record => !String(record['ca']).startsWith('2001:db8:a:'));
    red.records.push({ ca: '2001:db8:b::fe', mac: A.mac, host: 'nv4' });
    red.routes.push({ prefix: '2001:db8:77::/64', via: 'ca:2001:db8:b::fe' });
  });
  const probe = udp('2001:db8:77::1', 1, FAR6, 2, '', { ttl: 1 });
  t.equal(fromVm(lab, A, probe), 'ttl_expired', 'from a network behind a router of the other subnet');
  expectSent(t, lab, [atHost('nv4', 5002, ethernet(A.mac, GATEWAY_MAC, icmp('2001:db8:b::1', '2001:db8:77::1', 3, 0, 0, probe)))]);

  const none = makeWorld((_config, red) => {
    red.subnets = red.subnets.map(({ prefix6: _gone, ...subnet }) => subnet) as typeof red.subnets;
    red.records = red.records.filter(record => !String(record['ca']).includes(':'));
  });
  t.equal(fromVm(none, A, probe), 'spoofed_source', 'without an IPv6 subnet nobody has an IPv6 address');
  expectSent(t, none, []);
  expectLedger(t, none, { '-': { spoofed_source: 1 } });
  expectLedger(t, lab, { red: { ttl_expired: 1, originated: 1 } });
});

t.test('traceroute sees the gateway and then the far side: the reply to a probe with one hop more is the Internet’s', async t => {
  const lab = makeWorld();
  const probe = (ttl: number): Uint8Array => udp(A.ca, 40000, FAR, 33434, '', { ttl });
  t.equal(lab.receive(HOSTS.nv4.pa, nvgre(A.vsid, ethernet(GATEWAY_MAC, A.mac, probe(1)))), 'ttl_expired');
  t.equal(fromVm(lab, A, probe(2)), 'forwarded');
  lab.take();
  t.equal(fromUplink(lab, 'inet', icmp('198.51.100.254', RED_POOL, 11, 0, 0, udp(RED_POOL, 40000, FAR, 33434, '', { ttl: 1 }))), 'forwarded');
  expectSent(t, lab, [atHost('nv4', A.vsid, ethernet(A.mac, GATEWAY_MAC, icmp('198.51.100.254', A.ca, 11, 0, 0, probe(1), { ttl: 63 })))]);
  expectLedger(t, lab, { red: { ttl_expired: 1, originated: 1, forwarded: 2 } });
});
