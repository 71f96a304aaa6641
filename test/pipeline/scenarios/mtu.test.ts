/** Tunnel MTUs: who is told, what is cut, and what a SYN may promise. */
import t from 'tap';
import { expectLedger, expectSent, withoutId } from '../../support/expect.js';
import { bytes } from '../../support/bytes.js';
import { cut4, cut6, echo, echoReply, ethernet, icmp, reassemble4, tcp, udp, withOptions } from '../../support/frames.js';
import {
  FAR, FAR6, GATEWAY_MAC, HOSTS, HQ_KEY, NAT_PORT, RED_KEY, RED_POOL, atHost, atPeer, atVm, fromHost, fromSite, fromUplink, fromVm, makeWorld, vm, type HostName, type Vm,
} from '../../support/world.js';

const SYN = 2, ACK = 16;
const A = vm('nv4'), B = vm('vx4', 'db');
/** Largest inner packet per way: wire-facts §1.7, underlay 1500. */
const TO_V4_HOST = 1450, TO_V6_HOST = 1430, TO_UPLINK = 1468, TO_KEYED = 1464;

/** A UDP packet of `size` bytes in all. */
function sized(from: string, sport: number, to: string, dport: number, size: number, options = {}): Uint8Array {
  const header = from.includes(':') ? 48 : 28;
  return udp(from, sport, to, dport, Uint8Array.from({ length: size - header }, (_, i) => i * 7), options);
}
const DF = { dontFragment: true };

t.test('RFC 1191 §4, RFC 8201 §3: what fits goes, one byte more is refused with the MTU that would do, on every way from a host', async t => {
  const ways = [
    [A, B.ca, TO_V4_HOST], [A, vm('vx6', 'db').ca, TO_V6_HOST], [A, FAR, TO_UPLINK], [A, '172.16.0.9', TO_KEYED], [A, '192.168.50.9', TO_KEYED],
    [A, B.ca6, TO_V4_HOST], [A, vm('nv6', 'db').ca6, TO_V6_HOST], [A, FAR6, TO_KEYED], [A, '2001:db8:50::9', TO_KEYED],
  ] as const;
  for (const [from, to, mtu] of ways) {
    const lab = makeWorld();
    const six = to.includes(':');
    const [own, gateway] = six ? [from.ca6, from.gateway6] : [from.ca, from.gateway];
    t.equal(fromVm(lab, from, sized(own, 1, to, 2, mtu, DF)), 'forwarded', `${mtu} bytes to ${to}`);
    t.equal(lab.take().length, 1);
    const big = sized(own, 1, to, 2, mtu + 1, DF);
    t.equal(fromVm(lab, from, big), 'too_big', `${mtu + 1} bytes to ${to}`);
    const error = six ? icmp(gateway, own, 2, 0, mtu, big.subarray(0, 1232)) : icmp(gateway, own, 3, 4, mtu, big.subarray(0, 548));
    expectSent(t, lab, [atHost(from.host, from.vsid, ethernet(from.mac, GATEWAY_MAC, error))], `to ${to}`);
    expectLedger(t, lab, { red: { forwarded: 1, too_big: 1, originated: 1 } });
  }
});

t.test('bridged frames are held to the MTU as well, and the gateway says so', async t => {
  const lab = makeWorld();
  const far = vm('vx6');
  const bridge = (packet: Uint8Array): string => fromHost(lab, 'nv4', A.vsid, ethernet(far.mac, A.mac, packet));
  for (const [own, to, gateway] of [[A.ca, far.ca, A.gateway], [A.ca6, far.ca6, A.gateway6]]) {
    const big = sized(own, 1, to, 2, TO_V6_HOST + 1, DF);
    t.equal(bridge(big), 'too_big');
    const error = own.includes(':') ? icmp(gateway, own, 2, 0, TO_V6_HOST, big.subarray(0, 1232)) : icmp(gateway, own, 3, 4, TO_V6_HOST, big.subarray(0, 548));
    expectSent(t, lab, [atHost('nv4', A.vsid, ethernet(A.mac, GATEWAY_MAC, error))]);
  }
  const loose = sized(A.ca, 1, far.ca, 2, TO_V6_HOST + 100);
  t.equal(bridge(loose), 'forwarded');
  const pieces = lab.take();
  t.equal(pieces.length, 2);
  t.same(reassemble4(pieces.map(sent => sent.bytes.slice(22))), loose, 'in two fragments');
  t.ok(pieces.every(({ bytes: sent }) => sent.subarray(8, 20).join() === ethernet(far.mac, A.mac, loose).subarray(0, 12).join()), 'MACs as they were');
  expectLedger(t, lab, { red: { too_big: 2, originated: 2, forwarded: 1, copies: 1 } });
});

t.test('from outside: the error quotes the packet as the outside knows it, and comes from the address it asked for', async t => {
  const lab = makeWorld();
  fromVm(lab, A, udp(A.ca, 5000, FAR, 53));
  lab.take();
  const fromNet = sized(FAR, 53, RED_POOL, NAT_PORT, TO_V4_HOST + 1, DF);
  t.equal(fromUplink(lab, 'inet', fromNet), 'too_big');
  expectSent(t, lab, [atPeer('inet', icmp(RED_POOL, FAR, 3, 4, TO_V4_HOST, fromNet.subarray(0, 548)))]);
  for (const [far, own, gateway] of [['172.16.0.9', B.ca, B.gateway], [FAR6, B.ca6, B.gateway6]]) {
    const big = sized(far, 1, own, 2, TO_V4_HOST + 1, DF);
    t.equal(fromUplink(lab, 'core', big, RED_KEY), 'too_big');
    const error = far.includes(':') ? icmp(gateway, far, 2, 0, TO_V4_HOST, big.subarray(0, 1232)) : icmp(gateway, far, 3, 4, TO_V4_HOST, big.subarray(0, 548));
    expectSent(t, lab, [atPeer('core', error, RED_KEY)]);
  }
  const sent = sized('192.168.50.9', 1, B.ca, 2, TO_V4_HOST + 1, DF);
  t.equal(fromSite(lab, HQ_KEY, sent), 'too_big');
  expectSent(t, lab, [atPeer('hq', icmp(B.gateway, '192.168.50.9', 3, 4, TO_V4_HOST, sent.subarray(0, 548)), HQ_KEY)]);
  expectLedger(t, lab, { red: { forwarded: 1, too_big: 4, originated: 4 } });
});

t.test('RFC 4787 REQ-13a: without DF the packet is cut, in order, and put together again it is the same, on every way', async t => {
  const headerLen = (peer: string): number => peer in HOSTS ? 22 : peer === 'inet' ? 4 : 8;
  for (const [from, to, mtu, ttl] of [[A, B.ca, TO_V4_HOST, 63], [A, vm('nv6', 'db').ca, TO_V6_HOST, 63], [A, '172.16.0.9', TO_KEYED, 63], [A, '192.168.60.9', TO_KEYED, 63]] as const) {
    for (const size of [mtu + 1, 3000, 9000, 65_000]) {
      const lab = makeWorld();
      t.equal(fromVm(lab, from, sized(from.ca, 1, to, 2, size, { id: 0x77 })), 'forwarded', `${size} bytes to ${to}`);
      const sent = lab.take();
      const pieces = sent.map(({ peer, bytes: datagram }) => datagram.slice(headerLen(peer)));
      t.ok(pieces.every(piece => piece.length <= mtu), 'each fits');
      t.ok(pieces.slice(0, -1).every(piece => (piece.length - 20) % 8 === 0 && piece.length > mtu - 8), 'and is as long as it can be');
      t.same(reassemble4(pieces), sized(from.ca, 1, to, 2, size, { id: 0x77, ttl }), 'the same packet');
      expectLedger(t, lab, { red: { forwarded: 1, copies: sent.length - 1 } });
    }
  }
});

t.test('the same through NAT, out and in, checksum and all', async t => {
  const lab = makeWorld();
  t.equal(fromVm(lab, A, sized(A.ca, 5000, FAR, 53, 4000, { id: 5 })), 'forwarded');
  t.same(reassemble4(lab.take().map(({ peer, bytes: sent }) => withoutId(peer, sent).slice(4))), sized(RED_POOL, NAT_PORT, FAR, 53, 4000, { id: 0, ttl: 63 }));
  t.equal(fromUplink(lab, 'inet', sized(FAR, 53, RED_POOL, NAT_PORT, 4000, { id: 6 })), 'forwarded');
  t.same(reassemble4(lab.take().map(sent => sent.bytes.slice(22))), sized(FAR, 53, A.ca, 5000, 4000, { id: 6, ttl: 63 }));
  expectLedger(t, lab, { red: { forwarded: 2, copies: 4 } });
});

t.test('RFC 791 §3.1: options with the copied flag are in every fragment, the others in the first alone', async t => {
  const lab = makeWorld();
  const options = bytes('94040000 44080500 00000000'); // router alert (copied), timestamp (not)
  const packet = withOptions(sized(A.ca, 1, B.ca, 2, 4000, { ttl: 64 }), options);
  t.equal(fromVm(lab, A, packet), 'forwarded');
  const pieces = lab.take().map(sent => sent.bytes.slice(22));
  t.same(pieces.map(piece => (piece[0] & 15) * 4), [32, 24, 24]);
  t.same(pieces.map(piece => [...piece.subarray(20, 24)]), [[0x94, 4, 0, 0], [0x94, 4, 0, 0], [0x94, 4, 0, 0]]);
  t.ok(pieces.every(piece => piece.length <= TO_V4_HOST));
  t.same(reassemble4(pieces), withOptions(sized(A.ca, 1, B.ca, 2, 4000, { ttl: 63 }), options));
  expectLedger(t, lab, { red: { forwarded: 1, copies: 2 } });
});

t.test('fragments too big for the tunnel are cut again: offsets and flags still make the datagram', async t => {
  const lab = makeWorld((config, red) => {
    config.hosts[1]['mtu'] = 626 + 50; // inner 626, a length that is no multiple of 8
    red.subnets = red.subnets.map(({ prefix6: _v6, ...subnet }) => subnet) as typeof red.subnets; // no IPv6, which needs 1280
    config.tenants[1].subnets = config.tenants[1].subnets.map(({ prefix6: _v6, ...subnet }) => subnet) as typeof red.subnets;
    for (const tenant of config.tenants) {
      tenant.records = tenant.records.filter(record => !String(record['ca']).includes(':'));
      tenant.routes = tenant.routes.filter(route => !String(route['prefix']).includes(':'));
    }
  });
  const pieces = cut4(sized(A.ca, 1, B.ca, 2, 5000), 1208);
  for (const piece of pieces) t.equal(fromVm(lab, A, piece), 'forwarded');
  const sent = lab.take().map(datagram => datagram.bytes.slice(22));
  t.ok(sent.every(piece => piece.length <= 626 && (piece[4] << 8 | piece[5]) === 0x1234));
  const whole = reassemble4(sent);
  const routed = reassemble4(cut4(sized(A.ca, 1, B.ca, 2, 5000, { ttl: 63 }), 1208));
  t.same(whole, routed);
  expectLedger(t, lab, { red: { forwarded: pieces.length, copies: sent.length - pieces.length } });
});

t.test('a fragment with DF is refused like any packet, and only the first is answered; IPv6 fragments likewise', async t => {
  const lab = makeWorld();
  const far = vm('vx6', 'db');
  const [first, later] = cut4(sized(A.ca, 1, far.ca, 2, 4000), 1432).map(piece => {
    const copy = piece.slice();
    copy[6] |= 0x40;
    const sum = (copy[10] << 8 | copy[11]) - 0x4000;
    new DataView(copy.buffer).setUint16(10, sum < 0 ? sum - 1 : sum);
    return copy;
  });
  t.equal(fromVm(lab, A, first), 'too_big');
  t.equal(fromVm(lab, A, later), 'too_big');
  t.equal(lab.take().length, 1);
  const six = cut6(sized(A.ca6, 1, far.ca6, 2, 4000), 1400);
  t.equal(fromVm(lab, A, six[0]), 'too_big', '1448 bytes');
  t.equal(fromVm(lab, A, six[1]), 'too_big');
  t.equal(lab.take().length, 1);
  expectLedger(t, lab, { red: { too_big: 4, originated: 2 } });
});

t.test('an echo to the gateway that is too big for the way back: cut for IPv4, whatever its DF; packet too big for IPv6', async t => {
  const lab = makeWorld();
  const long = 'abcdefgh'.repeat(250);
  const v6 = vm('nv6');
  t.equal(fromVm(lab, v6, echo(v6.ca, v6.gateway, 7, long, DF)), 'consumed');
  const pieces = lab.take().map(sent => sent.bytes.slice(22));
  t.ok(pieces.every(piece => piece.length <= TO_V6_HOST && (piece[6] & 0x40) === 0));
  t.same(reassemble4(pieces), echoReply(v6.gateway, v6.ca, 7, long));
  const big = echo(v6.ca6, v6.gateway6, 7, long);
  t.equal(fromVm(lab, v6, big), 'too_big');
  expectSent(t, lab, [atHost('nv6', v6.vsid, ethernet(v6.mac, GATEWAY_MAC, icmp(v6.gateway6, v6.ca6, 2, 0, TO_V6_HOST, big.subarray(0, 1232))))]);
  expectLedger(t, lab, { red: { consumed: 1, originated: 3, too_big: 1 } });
});

const syn = (from: string, to: string, mss: number, options = {}): Uint8Array => tcp(from, 5000, to, 80, SYN, '', { mss, ...options });

t.test('RFC 6691 §2: the MSS of a SYN is held to the smaller of both ways, out and back, in every family', async t => {
  const pairs: [HostName, HostName, number][] = [['nv4', 'vx4', 1450], ['nv4', 'vx6', 1430], ['nv6', 'vx4', 1430], ['nvp', 'vxp', 1450], ['nv6', 'vx6', 1430]];
  for (const [from, to, mtu] of pairs) {
    const lab = makeWorld();
    const a = vm(from), b = vm(to, 'db');
    const through = (own: Vm, there: Vm, six: boolean, mss: number, flags = SYN) => {
      const [x, y] = six ? [own.ca6, there.ca6] : [own.ca, there.ca];
      fromVm(lab, own, tcp(x, 5000, y, 80, flags, '', { mss }));
      return { sent: lab.take(), wanted: (value: number) => [atVm(there, tcp(x, 5000, y, 80, flags, '', { mss: value, ttl: 63 }))] };
    };
    for (const [own, there] of [[a, b], [vm(from, 'db'), vm(to)]]) {
      for (const flags of [SYN, SYN | ACK]) {
        const four = through(own, there, false, 1460, flags), six = through(own, there, true, 1460, flags), low = through(own, there, false, 536, flags);
        t.same(four.sent, four.wanted(mtu - 40), `${from} to ${to}, IPv4`);
        t.same(six.sent, six.wanted(mtu - 60), `${from} to ${to}, IPv6`);
        t.same(low.sent, low.wanted(536), 'never raised');
      }
    }
    expectLedger(t, lab, { red: { forwarded: 12 } });
  }
});

t.test('wire-facts §1.7: the MSS towards uplinks and sites, and through NAT both ways; segments without SYN or option are left alone', async t => {
  const lab = makeWorld();
  fromVm(lab, A, syn(A.ca, FAR, 1460));
  expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, NAT_PORT, FAR, 80, SYN, '', { mss: 1410, ttl: 63 }))], 'the host’s side is the smaller');
  fromUplink(lab, 'inet', tcp(FAR, 80, RED_POOL, NAT_PORT, SYN | ACK, '', { mss: 1460 }));
  expectSent(t, lab, [atVm(A, tcp(FAR, 80, A.ca, 5000, SYN | ACK, '', { mss: 1410, ttl: 63 }))]);
  fromVm(lab, A, syn(A.ca, '172.16.0.9', 1460));
  expectSent(t, lab, [atPeer('core', syn(A.ca, '172.16.0.9', 1410, { ttl: 63 }), RED_KEY)]);
  fromUplink(lab, 'core', syn(FAR6, A.ca6, 1440), RED_KEY);
  expectSent(t, lab, [atVm(A, syn(FAR6, A.ca6, 1390, { ttl: 63 }))]);
  fromVm(lab, A, tcp(A.ca, 5001, FAR, 80, SYN));
  expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, NAT_PORT + 1, FAR, 80, SYN, '', { ttl: 63 }))], 'no option');
  fromVm(lab, A, tcp(A.ca, 5000, FAR, 80, ACK, '', { mss: 1460 }));
  expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, NAT_PORT, FAR, 80, ACK, '', { mss: 1460, ttl: 63 }))], 'no SYN');
  expectLedger(t, lab, { red: { forwarded: 6 } });

  const narrow = makeWorld(config => { config.uplinks[0]['mtu'] = 1300; });
  fromVm(narrow, A, syn(A.ca, FAR, 1460));
  expectSent(t, narrow, [atPeer('inet', tcp(RED_POOL, NAT_PORT, FAR, 80, SYN, '', { mss: 1300 - 32 - 40, ttl: 63 }))]);
  expectLedger(t, narrow, { red: { forwarded: 1 } });
});
