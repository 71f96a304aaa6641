/** Fragments of tenants' packets: all of a datagram take the first one's way, whatever the order they come in. */
import t from 'tap';
import { setIpv4Fragment } from '../../../codecs/ipv4.js';
import { expectLedger, expectSent } from '../../support/expect.js';
import { cut4, cut6, echo, ethernet, icmp, ip, patched, reassemble4, tcp, udp, withExtension, withOptions } from '../../support/frames.js';
import { hex } from '../../support/bytes.js';
import type { Lab } from '../../support/lab.js';
import { FAR, FAR6, RED_KEY, RED_POOL, atPeer, atVm, fromHost, fromUplink, fromVm, makeConfig, makeWorld, vm } from '../../support/world.js';

const LONG = 'abcdefgh'.repeat(12);
const A = vm('nv4', 'web'), B = vm('vx4', 'db');

/** The inner IPv4 packet of what left for an uplink without key. */
function inner(lab: Lab): Uint8Array[] {
  return lab.take().map(sent => sent.bytes.slice(4));
}
/** Every order of `n` things. */
function orders(n: number): number[][] {
  return n === 0 ? [[]] : orders(n - 1).flatMap(order => Array.from({ length: n }, (_, at) => [...order.slice(0, at), n - 1, ...order.slice(at)]));
}

t.test('RFC 4787 REQ-14: fragments of a UDP datagram through NAT in any order are one datagram with a right checksum outside', async t => {
  for (const order of orders(4)) {
    const lab = makeWorld();
    const pieces = cut4(udp(A.ca, 5000, FAR, 9999, LONG), 32);
    const fates = order.map(i => fromVm(lab, A, pieces[i]));
    const before = order.indexOf(0);
    t.same(fates, order.map((_, at) => at < before ? 'held' : 'forwarded'), order.join());
    const sent = inner(lab);
    const out = reassemble4(sent);
    const port = out === null ? 0 : out[20] << 8 | out[21];
    const wanted = udp(RED_POOL, port, FAR, 9999, LONG, { ttl: 63 });
    t.equal(hex(patched(out ?? new Uint8Array(20), 4, 0).subarray(20)), hex(wanted.subarray(20)), `${order.join()}: ports, checksum and data`);
    t.equal(sent.filter(piece => piece[4] === sent[0][4] && piece[5] === sent[0][5] && piece[8] === 63).length, 4, 'one id for all, each pays its hop');
    expectLedger(t, lab, { red: { forwarded: 4 } });
  }
});

t.test('what waited goes after the first fragment, oldest first', async t => {
  const lab = makeWorld();
  const pieces = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 32);
  for (const i of [2, 3, 1]) t.equal(fromVm(lab, A, pieces[i]), 'held');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { held: 3 } });
  t.equal(fromVm(lab, A, pieces[0]), 'forwarded');
  const routed = cut4(udp(A.ca, 5000, B.ca, 7, LONG, { ttl: 63 }), 32);
  expectSent(t, lab, [0, 2, 3, 1].map(i => atVm(B, routed[i])));
  expectLedger(t, lab, { red: { forwarded: 4 } });
});

t.test('fragments from the Internet follow their first to the inside host', async t => {
  for (const order of orders(3)) {
    const lab = makeWorld();
    const b = vm('vx4'); // 10.0.0.12:53 is mapped from :5353
    const pieces = cut4(udp(FAR, 4000, RED_POOL, 5353, LONG), 40);
    for (const i of order) fromUplink(lab, 'inet', pieces[i]);
    const whole = reassemble4(lab.take().map(sent => sent.bytes.slice(22)));
    t.same(whole === null ? null : patched(whole, 4, 0).subarray(20), udp(FAR, 4000, b.ca, 53, LONG).subarray(20), order.join());
    expectLedger(t, lab, { red: { forwarded: 3 } });
  }
});

t.test('ICMP echo in fragments goes through NAT under its new id; an ICMP error in fragments cannot be checked and does not', async t => {
  const lab = makeWorld();
  for (const piece of cut4(echo(A.ca, FAR, 77, LONG), 48)) t.equal(fromVm(lab, A, piece), 'forwarded');
  const out = reassemble4(inner(lab));
  const id = out === null ? 0 : out[24] << 8 | out[25];
  t.same(out?.subarray(20), echo(RED_POOL, FAR, id, LONG).subarray(20));
  t.equal(fromVm(lab, A, cut4(icmp(A.ca, FAR, 3, 3, 0, LONG), 48)[0]), 'nat_icmp_fragment');
  expectLedger(t, lab, { red: { forwarded: 3, nat_icmp_fragment: 1 } });
});

t.test('wire-facts §9.7: an ACL on ports judges every fragment by the first, in both orders', async t => {
  const deny = { action: 'deny', direction: 'inbound', protocol: 'udp', localPort: 7 };
  for (const order of orders(3)) {
    const lab = makeWorld((_config, red) => { red.acls.push(deny); });
    const bad = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 40), good = cut4(udp(A.ca, 5000, B.ca, 8, LONG), 40, 0x4321);
    for (const i of order) { fromVm(lab, A, bad[i]); fromVm(lab, A, good[i]); }
    t.equal(lab.take().length, 3, order.join());
    expectLedger(t, lab, { red: { acl_denied: 3, forwarded: 3 } });
  }
});

t.test('RFC 8200 §4.5: IPv6 fragments in any order, also when the first header they name is not the transport’s', async t => {
  const destinationOptions = Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0);
  for (const [name, packet] of [
    ['plain', udp(A.ca6, 5000, B.ca6, 7, LONG)],
    ['behind destination options', withExtension(udp(A.ca6, 5000, B.ca6, 7, LONG), 60, destinationOptions)],
  ] as const) {
    for (const order of orders(3)) {
      const lab = makeWorld((_config, red) => { red.acls.push({ action: 'deny', direction: 'inbound', protocol: 'udp', localPort: 9 }); });
      const pieces = cut6(packet, 48);
      for (const i of order) fromVm(lab, A, pieces[i]);
      const routed = pieces.map(piece => { const copy = piece.slice(); copy[7] = 63; return copy; });
      const first = order.indexOf(0);
      const left = [...order.slice(first, first + 1), ...order.slice(0, first), ...order.slice(first + 1)];
      expectSent(t, lab, left.map(i => atVm(B, routed[i])), `${name}, ${order.join()}`);
      expectLedger(t, lab, { red: { forwarded: 3 } });
    }
  }
});

t.test('an ACL on IPv6 ports is not passed by hiding the port behind destination options in a fragment', async t => {
  const packet = withExtension(udp(A.ca6, 5000, B.ca6, 7, LONG), 60, Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0));
  const lab = makeWorld((_config, red) => { red.acls.push({ action: 'deny', direction: 'inbound', protocol: 'udp', localPort: 7 }); });
  for (const piece of cut6(packet, 48)) t.equal(fromVm(lab, A, piece), 'acl_denied');
  expectLedger(t, lab, { red: { acl_denied: 3 } });
});

t.test('RFC 6946 §4: an atomic fragment is a whole packet and waits for nobody', async t => {
  const lab = makeWorld();
  const atomic = cut6(udp(A.ca6, 5000, B.ca6, 7, 'alone'), 1024)[0];
  t.equal(fromVm(lab, A, atomic), 'forwarded');
  const routed = atomic.slice();
  routed[7] = 63;
  expectSent(t, lab, [atVm(B, routed)]);
  t.equal(lab.gateway.context.fragments.count, 0);
  expectLedger(t, lab, { red: { forwarded: 1 } });
});

t.test('a fragment whose first never comes is given up after timers.fragmentHold, and charged to its tenant', async t => {
  const lab = makeWorld(config => { config.gateway.timers['fragmentHold'] = 2; });
  const [, second, third] = cut4(udp(A.ca, 5000, FAR, 7, LONG), 32);
  t.equal(fromVm(lab, A, second), 'held');
  lab.wait(1);
  t.equal(fromVm(lab, A, third), 'held');
  expectLedger(t, lab, { red: { held: 2 } });
  lab.wait(1);
  expectLedger(t, lab, { red: { fragment_orphan: 2 } });
  expectSent(t, lab, []);
});

t.test('a datagram is remembered for timers.fragment from its first, so a late fragment after that waits in vain', async t => {
  const lab = makeWorld(config => { config.gateway.timers['fragment'] = 30; });
  const [first, second, third] = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 32);
  t.equal(fromVm(lab, A, first), 'forwarded');
  lab.wait(29);
  t.equal(fromVm(lab, A, second), 'forwarded');
  lab.wait(1);
  t.equal(fromVm(lab, A, third), 'held');
  lab.wait(5);
  t.equal(lab.take().length, 2);
  expectLedger(t, lab, { red: { forwarded: 2, fragment_orphan: 1 } });
});

t.test('full tables drop under their own reasons: datagrams, slots, and no slots at all', async t => {
  const later = (id: number): Uint8Array => cut4(udp(A.ca, 5000, FAR, 7, LONG), 32, id)[1];
  const lab = makeWorld(config => { Object.assign(config.gateway.limits, { fragments: 3, heldFragments: 2 }); });
  const first = (id: number): Uint8Array => cut4(udp(A.ca, 5000, FAR, 7, LONG), 32, id)[0];
  t.same([1, 2, 3].map(id => fromVm(lab, A, later(id))), ['held', 'held', 'fragment_hold']);
  t.equal(fromVm(lab, A, first(4)), 'forwarded', 'what could not be held has taken no entry');
  t.equal(fromVm(lab, A, later(4)), 'forwarded');
  t.equal(fromVm(lab, A, first(5)), 'forwarded', 'a datagram that knows its first gives way to the next');
  t.same([later(4), later(5)].map(piece => fromVm(lab, A, piece)), ['fragment_hold', 'forwarded']);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 7, LONG)), 'forwarded', 'RFC 4787 REQ-14a: whole packets do not suffer');
  lab.wait(3);
  t.equal(fromVm(lab, A, later(6)), 'held', 'room again');
  lab.take();
  expectLedger(t, lab, { red: { held: 1, forwarded: 5, fragment_orphan: 2, fragment_hold: 2 } });

  const waiting = makeWorld(config => { config.gateway.limits['fragments'] = 2; });
  t.same([later(1), later(2), later(3), first(4)].map(piece => fromVm(waiting, A, piece)), ['held', 'held', 'fragment_table', 'fragment_table'], 'one that waits gives way to nobody');
  expectLedger(t, waiting, { red: { held: 2, fragment_table: 2 } });

  const none = makeWorld(config => { config.gateway.limits['heldFragments'] = 0; });
  t.equal(fromVm(none, A, later(1)), 'fragment_hold');
  expectLedger(t, none, { red: { fragment_hold: 1 } });
});

t.test('RFC 1858 §3, RFC 3128: a transport header in pieces is dropped', async t => {
  const lab = makeWorld();
  const segment = tcp(A.ca, 5000, B.ca, 80, 2, LONG, { mss: 1460 });
  t.equal(fromVm(lab, A, cut4(segment, 8)[0]), 'fragment_tiny', 'only the ports');
  t.equal(fromVm(lab, A, cut4(segment, 16)[0]), 'fragment_tiny', 'without the options');
  t.equal(fromVm(lab, A, cut4(segment, 8)[1]), 'fragment_tiny', 'flags that would overlap the first fragment’s');
  t.equal(fromVm(lab, A, cut4(segment, 24)[0]), 'forwarded', 'the whole header');
  t.equal(fromVm(lab, A, cut6(withExtension(udp(A.ca6, 5000, B.ca6, 7, LONG), 60, Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0)), 8)[0]), 'fragment_tiny', 'RFC 7112 §5: IPv6, chain without transport');
  lab.take();
  expectLedger(t, lab, { '-': { fragment_tiny: 4 }, red: { forwarded: 1 } });
});

t.test('RFC 5722 §3, RFC 1858 §4: what overlaps is dropped, and the rest of the datagram with it; IPv6 counts from the fragment header', async t => {
  const lab = makeWorld();
  const pieces = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 32), finer = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 24);
  t.equal(fromVm(lab, A, pieces[0]), 'forwarded');
  t.equal(fromVm(lab, A, finer[1]), 'fragment_overlap', 'the first');
  t.equal(fromVm(lab, A, pieces[1]), 'fragment_overlap', 'no more of it');
  const later = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 32, 2), shifted = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 40, 2);
  t.same([later[0], later[2], shifted[1], later[1]].map(piece => fromVm(lab, A, piece)), ['forwarded', 'forwarded', 'fragment_overlap', 'fragment_overlap'], 'one that comes later');
  const twice = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 32, 3);
  t.same([twice[0], twice[0], twice[2], twice[2], twice[1], twice[3]].map(piece => fromVm(lab, A, piece)),
    ['forwarded', 'fragment_overlap', 'forwarded', 'fragment_overlap', 'forwarded', 'forwarded'], 'RFC 8200 §4.5: a copy is dropped, and nothing else');

  const other = makeWorld();
  t.equal(fromVm(other, A, finer[1]), 'held');
  t.equal(fromVm(other, A, pieces[0]), 'forwarded');
  expectLedger(t, other, { red: { forwarded: 1, fragment_overlap: 1 } });

  const packet = withExtension(udp(A.ca6, 5000, B.ca6, 7, LONG), 60, Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0));
  t.equal(fromVm(lab, A, cut6(packet, 40)[0]), 'forwarded', '8 bytes of options and 32 of UDP');
  t.equal(fromVm(lab, A, cut6(packet, 32)[1]), 'fragment_overlap', 'begins within them');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 8, fragment_overlap: 7 } });
});

t.test('RFC 791 §3.2: a fragment past 65,535 bytes, or one of odd length with others to follow, can be part of nothing', async t => {
  const lab = makeWorld();
  const last = ip(A.ca, FAR, 17, new Uint8Array(40));
  setIpv4Fragment(last, 0, 65528, false, false);
  t.equal(fromVm(lab, A, last), 'fragment_bounds', 'ping of death');
  const six = cut6(udp(A.ca6, 5000, FAR6, 7, LONG), 64);
  t.equal(fromVm(lab, A, patched(six[1], 42, 0xfff8)), 'fragment_bounds', 'RFC 8200 §4.5');
  const odd = six[0].slice(0, six[0].length - 3);
  new DataView(odd.buffer).setUint16(4, odd.length - 40);
  t.equal(fromVm(lab, A, odd), 'fragment_bounds', 'no multiple of 8, and not the last');
  expectLedger(t, lab, { '-': { fragment_bounds: 3 } });
});

t.test('RFC 6980 §5: Neighbor Discovery in fragments is dropped, so that a router advertisement cannot hide in them', async t => {
  const lab = makeWorld();
  const advert = icmp('fe80::1', A.ca6, 134, 0, 0x40000708, new Uint8Array(64), { ttl: 255 });
  const [first, second] = cut6(advert, 48);
  const b = vm('vx4');
  const bridge = (piece: Uint8Array): string => fromHost(lab, 'vx4', b.vsid, ethernet(A.mac, b.mac, piece));
  t.equal(bridge(first), 'nd_malformed');
  t.equal(bridge(second), 'held');
  lab.wait(3);
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { nd_malformed: 1, fragment_orphan: 1 } });
});

t.test('RFC 6864 §4: a second first fragment under the same id overlaps; behind a complete datagram it begins another, whose ports count', async t => {
  const lab = makeWorld((_config, red) => { red.acls.push({ action: 'deny', direction: 'inbound', protocol: 'udp', localPort: 9 }); });
  const old = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 64), fresh = cut4(udp(A.ca, 5000, B.ca, 9, LONG), 64);
  t.same([old[0], fresh[0], old[1], fresh[0], fresh[1]].map(piece => fromVm(lab, A, piece)), ['forwarded', 'fragment_overlap', 'forwarded', 'acl_denied', 'acl_denied']);
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 2, fragment_overlap: 1, acl_denied: 2 } });
});

t.test('the last fragment says where the datagram ends: nothing lies behind, and no other last says otherwise', async t => {
  const lab = makeWorld();
  const pieces = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 32), longer = cut4(udp(A.ca, 5000, B.ca, 7, `${LONG}${LONG}`), 32);
  t.same([pieces[0], pieces[3], longer[3], longer[4], pieces[1]].map(piece => fromVm(lab, A, piece)), ['forwarded', 'forwarded', 'fragment_bounds', 'fragment_bounds', 'forwarded']);
  const early = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 32, 2), late = cut4(udp(A.ca, 5000, B.ca, 7, `${LONG}${LONG}`), 32, 2);
  t.same([late[0], late[5], early[3]].map(piece => fromVm(lab, A, piece)), ['forwarded', 'forwarded', 'fragment_bounds'], 'it ends before what has come');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 5, fragment_bounds: 3 } });
});

t.test('RFC 791 §3.2: with the header of the first fragment the datagram may not be longer than 65,535 bytes, and no fragment is empty', async t => {
  const lab = makeWorld();
  const first = withOptions(cut4(udp(A.ca, 5000, B.ca, 7, LONG), 32)[0], Uint8Array.of(7, 39, 4, ...new Uint8Array(37))); // 60 bytes of header, record route
  const last = ip(A.ca, B.ca, 17, new Uint8Array(8), { id: 0x1234 });
  setIpv4Fragment(last, 0, 65480, false, false);
  t.equal(fromVm(lab, A, first), 'forwarded');
  t.equal(fromVm(lab, A, last), 'fragment_bounds', '65,488 and 60 are too many');
  const empty = ip(A.ca, B.ca, 47, new Uint8Array(0), { id: 9 });
  setIpv4Fragment(empty, 0, 0, true, false);
  t.equal(fromVm(lab, A, empty), 'fragment_bounds');
  t.equal(lab.take().length, 1);
  expectLedger(t, lab, { red: { forwarded: 1, fragment_bounds: 2 } });
});

t.test('fragments of two tenants, or of two directions, with the same addresses and id never meet', async t => {
  const lab = makeWorld();
  const blue = vm('nv4', 'web', 'blue');
  const pieces = cut4(udp(A.ca, 5000, FAR, 7, LONG), 64);
  t.equal(fromVm(lab, A, pieces[1]), 'held');
  t.equal(fromVm(lab, blue, pieces[0]), 'forwarded', 'blue’s first sets none of red’s free');
  t.equal(lab.take().length, 1);
  t.equal(fromUplink(lab, 'core', pieces[0], RED_KEY), 'outside_source');
  expectLedger(t, lab, { red: { held: 1, outside_source: 1 }, blue: { forwarded: 1 } });
});

t.test('a spoofed first fragment sets nothing free', async t => {
  const lab = makeWorld();
  const pieces = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 64);
  t.equal(fromVm(lab, A, pieces[1]), 'held');
  t.equal(fromVm(lab, { ...A, host: 'vx4' }, pieces[0]), 'spoofed_source');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { held: 1 }, '-': { spoofed_source: 1 } });
});

t.test('design §4: forwarding and sites carry fragments as they are, hop paid, key added', async t => {
  const lab = makeWorld();
  const pieces = cut4(udp(A.ca, 5000, '172.16.0.9', 7, LONG), 40), routed = cut4(udp(A.ca, 5000, '172.16.0.9', 7, LONG, { ttl: 63 }), 40);
  for (const piece of pieces) t.equal(fromVm(lab, A, piece), 'forwarded');
  expectSent(t, lab, routed.map(piece => atPeer('core', piece, RED_KEY)));
  expectLedger(t, lab, { red: { forwarded: 3 } });
});

t.test('all fragments of a datagram get one FlowID, the first too', async t => {
  const lab = makeWorld(config => { config.hosts[0]['flowId'] = 'hash'; });
  const flowIds = new Set<number>();
  for (let id = 1; id < 5; id++) {
    for (const pieces of [cut4(udp(B.ca, 5000 + id, A.ca, 7, LONG), 40, id), cut6(withExtension(udp(B.ca6, 5000 + id, A.ca6, 7, LONG), 60, Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0)), 40, id)]) {
      for (const piece of pieces) fromVm(lab, B, piece);
      const ids = new Set(lab.take().map(sent => sent.bytes[7]));
      t.equal(ids.size, 1, `datagram ${id}`);
      ids.forEach(flowId => flowIds.add(flowId));
    }
  }
  t.equal(flowIds.size, 2, 'ports do not count: one for each family');
  t.equal(lab.imbalances().length, 0);
});

t.test('a reload gives up what is held: its senders have been numbered anew', async t => {
  const lab = makeWorld();
  const pieces = cut4(udp(A.ca, 5000, B.ca, 7, LONG), 64);
  t.equal(fromVm(lab, A, pieces[1]), 'held');
  lab.reload(makeConfig());
  t.equal(fromVm(lab, A, pieces[0]), 'forwarded');
  t.equal(lab.take().length, 1);
  expectLedger(t, lab, { red: { forwarded: 1, fragment_orphan: 1 } });
});

t.test('RFC 4787 REQ-14a: what strangers send to nobody’s port leaves no trace, and what they make wait is not the tenant’s share', async t => {
  const lab = makeWorld(config => { Object.assign(config.gateway.limits, { fragments: 256, heldFragments: 64 }); });
  const toRed = (dport: number, id: number): Uint8Array[] => cut4(udp(FAR, 9, RED_POOL, dport, LONG), 32, id);
  t.equal(fromUplink(lab, 'inet', toRed(9999, 1)[0]), 'nat_no_binding');
  t.equal(lab.gateway.context.fragments.count, 0);
  for (let id = 2; id < 34; id++) t.equal(fromUplink(lab, 'inet', toRed(9999, id)[1]), 'held');
  t.equal(fromUplink(lab, 'inet', toRed(9999, 34)[1]), 'fragment_hold', 'as many as are free');
  t.equal(fromVm(lab, A, cut4(udp(A.ca, 5000, FAR, 7, LONG), 32, 1)[1]), 'held', 'the tenant’s own');
  lab.wait(3);
  t.same(lab.imbalances(), []);
});
