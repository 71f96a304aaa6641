/** NETMAP: red's web and the site hq are both 10.0.0.0/24. The site knows web as 10.101.0.0/24, red knows the site as 10.102.0.0/24. */
import t from 'tap';
import { expectLedger, expectSent } from '../../support/expect.js';
import { cut4, echo, echoReply, icmp, patched, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { HQ_KEY, atPeer, atVm, fromSite, fromVm, makeWorld, vm, type WorldChange } from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4', 'db');
/** The VM A as the site knows it; the site's 10.0.0.9 as red knows it, and as it is. */
const SHOWN_A = '10.101.0.11', SHOWN_9 = '10.102.0.9', REAL_9 = '10.0.0.9';
const SYN = 2, ACK = 16;

const MAPS: WorldChange = (_config, red) => {
  Object.assign(red.sites[0], {
    prefixes: ['10.0.0.0/24', '192.168.51.0/24', '2001:db8:50::/48'],
    maps: [{ side: 'tenant', real: '10.0.0.0/24', shown: '10.101.0.0/24' }, { side: 'site', real: '10.0.0.0/24', shown: '10.102.0.0/24' }],
  });
  red.routes.push({ prefix: '10.102.0.0/24', via: 'site:hq' }, { prefix: '192.168.51.0/24', via: 'site:hq' });
  red.routes = red.routes.filter(route => route['prefix'] !== '192.168.50.0/24');
};

function makeMapped(change: WorldChange = () => {}): Lab {
  return makeWorld((config, red, blue) => { MAPS(config, red, blue); change(config, red, blue); });
}

t.test('two hosts with one address talk: each sees the other by its shown address, checksums right, one hop paid', async t => {
  const lab = makeMapped();
  const twin = '10.0.0.11', shownTwin = '10.102.0.11'; // at the site, the address of A itself
  t.equal(fromVm(lab, A, udp(A.ca, 5000, shownTwin, 53, 'query')), 'forwarded');
  expectSent(t, lab, [atPeer('hq', udp(SHOWN_A, 5000, twin, 53, 'query', { ttl: 63 }), HQ_KEY)]);
  t.equal(fromSite(lab, HQ_KEY, udp(twin, 53, SHOWN_A, 5000, 'answer')), 'forwarded');
  expectSent(t, lab, [atVm(A, udp(shownTwin, 53, A.ca, 5000, 'answer', { ttl: 63 }))]);

  t.equal(fromVm(lab, A, tcp(A.ca, 5000, SHOWN_9, 80, SYN, '', { mss: 1200 })), 'forwarded');
  expectSent(t, lab, [atPeer('hq', tcp(SHOWN_A, 5000, REAL_9, 80, SYN, '', { mss: 1200, ttl: 63 }), HQ_KEY)]);
  t.equal(fromSite(lab, HQ_KEY, tcp(REAL_9, 80, SHOWN_A, 5000, SYN | ACK)), 'forwarded');
  expectSent(t, lab, [atVm(A, tcp(SHOWN_9, 80, A.ca, 5000, SYN | ACK, '', { ttl: 63 }))]);
  t.equal(fromVm(lab, A, echo(A.ca, SHOWN_9, 7)), 'forwarded');
  expectSent(t, lab, [atPeer('hq', echo(SHOWN_A, REAL_9, 7, 'abcdefgh', { ttl: 63 }), HQ_KEY)]);
  t.equal(fromSite(lab, HQ_KEY, echoReply(REAL_9, SHOWN_A, 7)), 'forwarded');
  expectSent(t, lab, [atVm(A, echoReply(SHOWN_9, A.ca, 7, 'abcdefgh', { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 6 } });
});

t.test('RFC 768: a UDP checksum of 0 stays 0; the packet that comes again is no cheaper and no different', async t => {
  const lab = makeMapped();
  for (let i = 0; i < 3; i++) {
    t.equal(fromVm(lab, A, patched(udp(A.ca, 5000, SHOWN_9, 53, 'x'), 26, 0)), 'forwarded');
    expectSent(t, lab, [atPeer('hq', patched(udp(SHOWN_A, 5000, REAL_9, 53, 'x', { ttl: 63 }), 26, 0), HQ_KEY)]);
    t.equal(fromSite(lab, HQ_KEY, udp(REAL_9, 53, SHOWN_A, 5000, 'y')), 'forwarded');
    expectSent(t, lab, [atVm(A, udp(SHOWN_9, 53, A.ca, 5000, 'y', { ttl: 63 }))]);
  }
  expectLedger(t, lab, { red: { forwarded: 6 } });
});

t.test('what no map names goes as it is: another subnet of the tenant, another prefix of the site, IPv6', async t => {
  const lab = makeMapped();
  t.equal(fromVm(lab, B, udp(B.ca, 1, SHOWN_9, 2)), 'forwarded');
  expectSent(t, lab, [atPeer('hq', udp(B.ca, 1, REAL_9, 2, '', { ttl: 63 }), HQ_KEY)], 'subnet db has no map');
  t.equal(fromVm(lab, A, udp(A.ca, 1, '192.168.51.3', 2)), 'forwarded');
  expectSent(t, lab, [atPeer('hq', udp(SHOWN_A, 1, '192.168.51.3', 2, '', { ttl: 63 }), HQ_KEY)], 'a prefix without a map');
  t.equal(fromSite(lab, HQ_KEY, udp('192.168.51.3', 2, B.ca, 1)), 'forwarded');
  expectSent(t, lab, [atVm(B, udp('192.168.51.3', 2, B.ca, 1, '', { ttl: 63 }))]);
  t.equal(fromSite(lab, HQ_KEY, udp('2001:db8:50::9', 1, A.ca6, 2)), 'forwarded');
  expectSent(t, lab, [atVm(A, udp('2001:db8:50::9', 1, A.ca6, 2, '', { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 4 } });
});

t.test('rules and routes are about what the tenant sees; the site’s prefixes about what it has', async t => {
  const lab = makeMapped((_config, red) => {
    red.acls.push({ action: 'deny', direction: 'inbound', remote: '10.102.0.66' }, { action: 'deny', direction: 'outbound', remote: '10.102.0.67' });
  });
  t.equal(fromSite(lab, HQ_KEY, udp('10.0.0.66', 1, SHOWN_A, 2)), 'acl_denied');
  t.equal(fromVm(lab, A, udp(A.ca, 1, '10.102.0.67', 2)), 'acl_denied');
  t.equal(fromSite(lab, HQ_KEY, udp('10.102.0.9', 1, SHOWN_A, 2)), 'site_source', 'the shown address is nobody’s at the site');
  t.equal(fromSite(lab, HQ_KEY, udp('10.0.1.9', 1, SHOWN_A, 2)), 'site_source');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { acl_denied: 2, site_source: 2 } });
});

t.test('an address that goes by another on this way is not carried by its own: no answer would find home', async t => {
  const lab = makeMapped((_config, red) => {
    // A site as wide as everything, of which one prefix is shown as another.
    Object.assign(red.sites[0], {
      prefixes: ['0.0.0.0/0', '2001:db8:50::/48'],
      maps: [{ side: 'tenant', real: '10.0.0.0/24', shown: '10.101.0.0/24' }, { side: 'site', real: '10.40.0.0/24', shown: '10.102.0.0/24' }],
    });
    red.sites.pop();
    red.routes = [...red.routes.filter(({ via }) => via !== 'site:lab'), { prefix: '10.0.0.0/8', via: 'site:hq' }];
  });
  t.equal(fromVm(lab, A, udp(A.ca, 1, '10.40.0.9', 2)), 'netmap_hidden', 'red knows it as 10.102.0.9');
  t.equal(fromSite(lab, HQ_KEY, udp('10.41.0.9', 1, A.ca, 2)), 'netmap_hidden', 'the site knows A as 10.101.0.11');
  t.equal(fromSite(lab, HQ_KEY, udp('10.102.0.9', 1, SHOWN_A, 2)), 'netmap_hidden', 'to red this would be 10.40.0.9');
  t.equal(fromVm(lab, A, udp(A.ca, 1, SHOWN_9, 2)), 'forwarded');
  t.equal(fromSite(lab, HQ_KEY, udp('10.0.0.9', 1, SHOWN_A, 2)), 'outside_source', 'an address of red’s own subnet, which is not shown as another');
  t.equal(lab.take().length, 1);
  expectLedger(t, lab, { red: { netmap_hidden: 3, forwarded: 1, outside_source: 1 } });
});

t.test('RFC 5508 §4.2, here without state: an ICMP error quotes the packet as its receiver sent it, both ways', async t => {
  const lab = makeMapped();
  // From the site, about A's packet as the site saw it.
  const sent = udp(SHOWN_A, 5000, REAL_9, 53, 'query', { ttl: 63 }), own = udp(A.ca, 5000, SHOWN_9, 53, 'query', { ttl: 63 });
  t.equal(fromSite(lab, HQ_KEY, icmp(REAL_9, SHOWN_A, 3, 3, 0, sent)), 'forwarded');
  expectSent(t, lab, [atVm(A, icmp(SHOWN_9, A.ca, 3, 3, 0, own, { ttl: 63 }))]);
  // From A, about the site's packet as A saw it: a TCP segment of which only the ports are quoted.
  const seen = tcp(SHOWN_9, 80, A.ca, 5000, SYN, '', { ttl: 63 }).subarray(0, 28), theirs = tcp(REAL_9, 80, SHOWN_A, 5000, SYN, '', { ttl: 63 }).subarray(0, 28);
  t.equal(fromVm(lab, A, icmp(A.ca, SHOWN_9, 3, 1, 0, seen)), 'forwarded');
  expectSent(t, lab, [atPeer('hq', icmp(SHOWN_A, REAL_9, 3, 1, 0, theirs, { ttl: 63 }), HQ_KEY)]);
  // What cannot be checked or read is not changed, and not carried.
  t.equal(fromSite(lab, HQ_KEY, patched(icmp(REAL_9, SHOWN_A, 3, 3, 0, sent), 22, 1)), 'icmp_checksum');
  t.equal(fromSite(lab, HQ_KEY, icmp(REAL_9, SHOWN_A, 3, 3, 0, new Uint8Array(28))), 'nat_icmp_quote');
  t.equal(fromSite(lab, HQ_KEY, cut4(icmp(REAL_9, SHOWN_A, 3, 3, 0, sent), 24)[0]), 'nat_icmp_fragment');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { forwarded: 2, icmp_checksum: 1, nat_icmp_quote: 1, nat_icmp_fragment: 1 } });
});

t.test('fragments in any order, by addresses alone behind the first', async t => {
  for (const order of [[0, 1, 2], [2, 1, 0]]) {
    const lab = makeMapped();
    const out = cut4(udp(A.ca, 5000, SHOWN_9, 7, 'abcdefgh'.repeat(12)), 40), routed = cut4(udp(SHOWN_A, 5000, REAL_9, 7, 'abcdefgh'.repeat(12), { ttl: 63 }), 40);
    for (const i of order) fromVm(lab, A, out[i]);
    expectSent(t, lab, (order[0] === 0 ? [0, 1, 2] : [0, 2, 1]).map(i => atPeer('hq', routed[i], HQ_KEY)), order.join());
    const back = cut4(udp(REAL_9, 7, SHOWN_A, 5000, 'abcdefgh'.repeat(12)), 40), inside = cut4(udp(SHOWN_9, 7, A.ca, 5000, 'abcdefgh'.repeat(12), { ttl: 63 }), 40);
    for (const i of order) fromSite(lab, HQ_KEY, back[i]);
    expectSent(t, lab, (order[0] === 0 ? [0, 1, 2] : [0, 2, 1]).map(i => atVm(A, inside[i])), order.join());
    expectLedger(t, lab, { red: { forwarded: 6 } });
  }
});

t.test('the gateway itself is reached, and speaks, by what it is shown as', async t => {
  const lab = makeMapped();
  t.equal(fromSite(lab, HQ_KEY, echo(REAL_9, '10.101.0.1', 3)), 'consumed');
  expectSent(t, lab, [atPeer('hq', echoReply('10.101.0.1', REAL_9, 3, 'abcdefgh'), HQ_KEY)]);
  const probe = udp(REAL_9, 1, SHOWN_A, 2, '', { ttl: 1 });
  t.equal(fromSite(lab, HQ_KEY, probe), 'ttl_expired');
  expectSent(t, lab, [atPeer('hq', icmp('10.101.0.1', REAL_9, 11, 0, 0, probe, { id: 0 }), HQ_KEY)]);
  expectLedger(t, lab, { red: { consumed: 1, ttl_expired: 1, originated: 2 } });
});
