/** NAT44: out, back, static mappings, two tenants alike, limits and time. */
import t from 'tap';
import { UDP_CHECKSUM } from '../../../codecs/udp.js';
import { seededRandom } from '../../../pipeline/random.js';
import { expectLedger, expectSent } from '../../support/expect.js';
import { echo, echoReply, icmp, ip, ip4, patched, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import {
  BLUE_NAT_KEY, BLUE_POOL, FAR, FAR6, HOST_NAMES, NAT_PORT, RED_POOL, atPeer, atVm, fromUplink, fromVm, makeConfig, makeWorld, vm,
} from '../../support/world.js';

const SYN = 2, ACK = 16;
const A = vm('nv4'), B = vm('vx4');
const UDP_SUM_AT = 20 + UDP_CHECKSUM;

t.test('design §4: UDP from every host to the Internet and back', async t => {
  for (const host of HOST_NAMES) {
    for (const subnet of ['web', 'db'] as const) {
      const lab = makeWorld();
      const a = vm(host, subnet);
      t.equal(fromVm(lab, a, udp(a.ca, 5000, FAR, 53, 'query')), 'forwarded');
      expectSent(t, lab, [atPeer('inet', udp(RED_POOL, NAT_PORT, FAR, 53, 'query', { ttl: 63 }))], `${host} out`);
      t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT, 'answer', { ttl: 57 })), 'forwarded');
      expectSent(t, lab, [atVm(a, udp(FAR, 53, a.ca, 5000, 'answer', { ttl: 56 }))], `${host} back`);
      expectLedger(t, lab, { red: { forwarded: 2 } });
    }
  }
});

t.test('design §4: a TCP connection and an ICMP echo, out and back', async t => {
  const lab = makeWorld();
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, SYN, '', { seq: 7 })), 'forwarded');
  expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, NAT_PORT, FAR, 443, SYN, '', { seq: 7, ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, NAT_PORT, SYN | ACK, '', { ack: 8 })), 'forwarded');
  expectSent(t, lab, [atVm(A, tcp(FAR, 443, A.ca, 5000, SYN | ACK, '', { ack: 8, ttl: 63 }))]);
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, ACK, 'GET /')), 'forwarded');
  expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, NAT_PORT, FAR, 443, ACK, 'GET /', { ttl: 63 }))]);

  t.equal(fromVm(lab, A, echo(A.ca, FAR, 0)), 'forwarded', 'id 0 is as good as any');
  expectSent(t, lab, [atPeer('inet', echo(RED_POOL, FAR, NAT_PORT, 'abcdefgh', { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', echoReply(FAR, RED_POOL, NAT_PORT)), 'forwarded');
  expectSent(t, lab, [atVm(A, echoReply(FAR, A.ca, 0, 'abcdefgh', { ttl: 63 }))]);
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 13, 0, 77 << 16, new Uint8Array(12))), 'forwarded', 'a timestamp query has an id as well');
  expectSent(t, lab, [atPeer('inet', icmp(RED_POOL, FAR, 13, 0, (NAT_PORT + 1) << 16, new Uint8Array(12), { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', icmp(FAR, RED_POOL, 14, 0, (NAT_PORT + 1) << 16, new Uint8Array(12))), 'forwarded');
  expectSent(t, lab, [atVm(A, icmp(FAR, A.ca, 14, 0, 77 << 16, new Uint8Array(12), { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 7 } });
});

t.test('two tenants with the same inside address and port have bindings of their own; blue’s uplink wants its key', async t => {
  const lab = makeWorld();
  const blue = vm('nv4', 'web', 'blue');
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), 'forwarded');
  t.equal(fromVm(lab, blue, udp(blue.ca, 5000, FAR, 53)), 'forwarded');
  expectSent(t, lab, [
    atPeer('inet', udp(RED_POOL, NAT_PORT, FAR, 53, '', { ttl: 63 })),
    atPeer('inet', udp(BLUE_POOL, NAT_PORT, FAR, 53, '', { ttl: 63 }), BLUE_NAT_KEY),
  ]);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, BLUE_POOL, NAT_PORT, 'b'), BLUE_NAT_KEY), 'forwarded');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT, 'r')), 'forwarded');
  expectSent(t, lab, [atVm(blue, udp(FAR, 53, blue.ca, 5000, 'b', { ttl: 63 })), atVm(A, udp(FAR, 53, A.ca, 5000, 'r', { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 2 }, blue: { forwarded: 2 } });
});

t.test('RFC 4787 §4.1, §5: mapping and filtering do not depend on the remote end', async t => {
  const lab = makeWorld();
  for (const far of ['198.51.100.7', '198.51.100.8']) fromVm(lab, A, udp(A.ca, 5000, far, 53));
  expectSent(t, lab, ['198.51.100.7', '198.51.100.8'].map(far => atPeer('inet', udp(RED_POOL, NAT_PORT, far, 53, '', { ttl: 63 }))));
  t.equal(fromUplink(lab, 'inet', udp('198.51.100.99', 1234, RED_POOL, NAT_PORT)), 'forwarded', 'a stranger');
  expectSent(t, lab, [atVm(A, udp('198.51.100.99', 1234, A.ca, 5000, '', { ttl: 63 }))]);
  fromVm(lab, A, udp(A.ca, 5001, FAR, 53));
  expectSent(t, lab, [atPeer('inet', udp(RED_POOL, NAT_PORT + 1, FAR, 53, '', { ttl: 63 }))], 'another inside port');
  fromVm(lab, A, echo(A.ca, FAR, 5000));
  expectSent(t, lab, [atPeer('inet', echo(RED_POOL, FAR, NAT_PORT, 'abcdefgh', { ttl: 63 }))], 'ids are no ports');
  expectLedger(t, lab, { red: { forwarded: 5 } });
});

t.test('static mappings: from outside, from inside, and back from where they were asked', async t => {
  const lab = makeWorld();
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 999, RED_POOL, 80, SYN)), 'forwarded');
  expectSent(t, lab, [atVm(A, tcp(FAR, 999, A.ca, 8080, SYN, '', { ttl: 63 }))]);
  t.equal(fromVm(lab, A, tcp(A.ca, 8080, FAR, 999, SYN | ACK)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, 80, FAR, 999, SYN | ACK, '', { ttl: 63 }))]);
  t.equal(fromVm(lab, B, udp(B.ca, 53, FAR, 4000)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', udp(RED_POOL, 5353, FAR, 4000, '', { ttl: 63 }))], 'opened from inside, it leaves by its mapping');
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 999, RED_POOL, 80, ACK)), 'forwarded');
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 998, RED_POOL, 80, ACK)), 'nat_tcp_not_syn', 'no connection, and no SYN');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 998, RED_POOL, 80)), 'nat_no_binding', 'another protocol');
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 998, RED_POOL, 81, SYN)), 'nat_no_binding', 'another port');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4, nat_tcp_not_syn: 1, nat_no_binding: 2 } });
});

t.test('two mappings to one inside port: each client is answered from the port it asked', async t => {
  const lab = makeWorld((_config, red) => { red.nat?.mappings.push({ proto: 'tcp', external: `${RED_POOL}:81`, internal: '10.0.0.11:8080' }); });
  for (const [client, port] of [[1000, 80], [1001, 81], [1002, 80]]) t.equal(fromUplink(lab, 'inet', tcp(FAR, client, RED_POOL, port, SYN)), 'forwarded');
  lab.take();
  for (const [client, port] of [[1000, 80], [1001, 81], [1002, 80]]) {
    t.equal(fromVm(lab, A, tcp(A.ca, 8080, FAR, client, SYN | ACK)), 'forwarded');
    expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, port, FAR, client, SYN | ACK, '', { ttl: 63 }))], `client ${client}`);
  }
  expectLedger(t, lab, { red: { forwarded: 6 } });
});

t.test('RFC 768: a UDP checksum of 0 stays 0, one that becomes 0 is sent as ffff, and a wrong one stays as wrong as it was', async t => {
  const lab = makeWorld();
  t.equal(fromVm(lab, A, patched(udp(A.ca, 5000, FAR, 53, 'x'), UDP_SUM_AT, 0)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', patched(udp(RED_POOL, NAT_PORT, FAR, 53, 'x', { ttl: 63 }), UDP_SUM_AT, 0))]);

  // A payload word that brings the outside checksum to arithmetic zero.
  const sum = udp(RED_POOL, NAT_PORT, FAR, 53, Uint8Array.of(0, 0));
  const word = sum.subarray(UDP_SUM_AT, UDP_SUM_AT + 2);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53, word)), 'forwarded');
  const [sent] = lab.take();
  t.same(sent.bytes.subarray(4 + UDP_SUM_AT, 4 + UDP_SUM_AT + 2), Uint8Array.of(0xff, 0xff));

  const good = udp(A.ca, 5000, FAR, 53, 'damaged');
  const damaged = good.slice();
  damaged[damaged.length - 1] ^= 0x20;
  t.equal(fromVm(lab, A, damaged), 'forwarded', 'NAT is not the judge of payloads');
  const after = udp(RED_POOL, NAT_PORT, FAR, 53, 'damaged', { ttl: 63 });
  after[after.length - 1] ^= 0x20;
  expectSent(t, lab, [atPeer('inet', after)], 'checksum of the undamaged packet: still wrong');

  const segment = patched(tcp(A.ca, 5000, FAR, 80, SYN), 36, 0x1234);
  t.equal(fromVm(lab, A, segment), 'forwarded');
  const [left] = lab.take();
  t.not(left.bytes[4 + 36] << 8 | left.bytes[4 + 37], tcp(RED_POOL, NAT_PORT, FAR, 80, SYN)[36] << 8 | tcp(RED_POOL, NAT_PORT, FAR, 80, SYN)[37]);
  expectLedger(t, lab, { red: { forwarded: 4 } });
});

t.test('what NAT does not carry: IPv6, other protocols, other ICMP, SYN-less TCP, queries from outside', async t => {
  const lab = makeWorld((_config, red) => { red.routes = [{ prefix: '0.0.0.0/0', via: 'nat' }]; });
  t.equal(fromVm(lab, A, udp(A.ca6, 1, FAR6, 2)), 'no_route', 'the config cannot route IPv6 to NAT');
  t.equal(fromVm(lab, A, ip(A.ca, FAR, 47, new Uint8Array(8))), 'nat_protocol');
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 5, 1, 0, new Uint8Array(28))), 'nat_icmp', 'a redirect');
  for (const flags of [ACK, SYN | ACK, 4, 1, 0, SYN | 1, SYN | 4]) t.equal(fromVm(lab, A, tcp(A.ca, 5000, FAR, 80, flags)), 'nat_tcp_not_syn', `flags ${flags}`);
  t.equal(fromUplink(lab, 'inet', echo(FAR, RED_POOL, 7)), 'nat_icmp', 'ping from outside');
  t.equal(fromUplink(lab, 'inet', ip(FAR, RED_POOL, 50, new Uint8Array(8))), 'nat_protocol');
  t.equal(fromUplink(lab, 'inet', echoReply(FAR, RED_POOL, 7)), 'nat_no_binding');
  t.equal(fromUplink(lab, 'inet', icmp(FAR, RED_POOL, 5, 1, 0, new Uint8Array(28))), 'nat_icmp');
  t.same(lab.take().map(sent => sent.peer), ['nv4', 'nv4', 'inet'], 'errors: no route, protocol unreachable inside and outside');
  t.same([lab.gateway.context.nat.bindingCount, lab.gateway.context.nat.sessionCount], [0, 0], 'nothing is remembered of them');
  expectLedger(t, lab, { red: { no_route: 1, nat_protocol: 2, nat_icmp: 3, nat_tcp_not_syn: 7, nat_no_binding: 1, originated: 3 } });
});

t.test('a pool address from the wrong uplink, or under the wrong key, is nobody’s', async t => {
  const lab = makeWorld();
  t.equal(fromUplink(lab, 'core', udp(FAR, 1, RED_POOL, 5353)), 'nat_wrong_uplink');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 1, RED_POOL, 5353), 5), 'nat_wrong_uplink', 'a key where red has none');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 1, BLUE_POOL, 1)), 'nat_wrong_uplink', 'no key where blue has one');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 1, '203.0.113.99', 1)), 'pool_unknown', 'in no pool');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 1, '203.0.113.99', 1), 5), 'gre_key_unknown', 'nor is the key known');
  expectSent(t, lab, []);
  expectLedger(t, lab, { '-': { nat_wrong_uplink: 3, pool_unknown: 1, gre_key_unknown: 1 } });
});

t.test('another tenant’s pool address is an Internet destination: it goes to the uplink', async t => {
  const lab = makeWorld();
  t.equal(fromVm(lab, A, udp(A.ca, 5000, BLUE_POOL, 9)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', udp(RED_POOL, NAT_PORT, BLUE_POOL, 9, '', { ttl: 63 }))]);
  // The uplink brings blue's to red: RFC 4787 REQ-9a, the other side sees the external source.
  t.equal(fromUplink(lab, 'inet', udp(BLUE_POOL, NAT_PORT, RED_POOL, 5353, 'hello')), 'forwarded');
  expectSent(t, lab, [atVm(B, udp(BLUE_POOL, NAT_PORT, B.ca, 53, 'hello', { ttl: 63 }))]);
  // Red's own never comes from there: hairpin.test.ts.
  t.equal(fromUplink(lab, 'inet', udp(RED_POOL, NAT_PORT, RED_POOL, 5353, 'hairpin')), 'ip_source');
  expectLedger(t, lab, { red: { forwarded: 2 }, '-': { ip_source: 1 } });
});

t.test('RFC 4787 §4.1: an inside address keeps one address of the pool, and the pool is used all over', async t => {
  const lab = makeWorld((config, red) => {
    if (red.nat) red.nat.pool = ['203.0.113.10', '203.0.113.64/28', '203.0.113.100-203.0.113.102'];
    Object.assign(config.gateway.limits, { sessions: 4096, bindings: 4096 });
  });
  const pairs = new Map<string, Set<number>>();
  for (let port = 1; port < 9; port++) {
    for (const host of HOST_NAMES) {
      for (const subnet of ['web', 'db'] as const) {
        const a = vm(host, subnet);
        fromVm(lab, a, udp(a.ca, port, FAR, 53));
        const out = lab.take()[0].bytes;
        const outside = new DataView(out.buffer).getUint32(4 + 12);
        pairs.set(a.ca, (pairs.get(a.ca) ?? new Set()).add(outside));
      }
    }
  }
  t.ok([...pairs.values()].every(set => set.size === 1), 'paired');
  const used = new Set([...pairs.values()].flatMap(set => [...set]));
  t.ok(used.size >= 6, `12 hosts use ${used.size} of 20 addresses`);
  t.ok([...used].every(address => address === ip4('203.0.113.10') || (address >= ip4('203.0.113.64') && address <= ip4('203.0.113.79')) || (address >= ip4('203.0.113.100') && address <= ip4('203.0.113.102'))));
  t.same(lab.imbalances(), []);
});

t.test('RFC 6056 §3.3.1: with honest dice, consecutive flows get ports that do not follow on each other, of one block; 1024 and up', async t => {
  const lab = makeWorld(undefined, seededRandom(1));
  const ports = Array.from({ length: 30 }, (_, i) => {
    fromVm(lab, A, udp(A.ca, 1000 + i, FAR, 53));
    const out = lab.take()[0].bytes;
    return out[24] << 8 | out[25];
  });
  t.equal(new Set(ports).size, 30);
  t.ok(ports.every(port => port >= 1024));
  t.equal(new Set(ports.map(port => port >> 8)).size, 1);
  t.ok(ports.filter((port, i) => i > 0 && Math.abs(port - ports[i - 1]) < 3).length < 5);
  t.same(lab.imbalances(), []);
});

/** Take every port of `pool` but `free`, through the table itself. */
function spendPorts(lab: Lab, pool: string, free: readonly number[]): void {
  const now = Math.floor(lab.now / 1000);
  for (const { context: { nat, policy } } of lab.gateways) {
    for (let port = 1024; port < 65536; port++) {
      if (free.includes(port)) continue;
      const binding = nat.bind(1, 17, ip4('10.0.0.200'), port, ip4(pool), port, false, policy.generation, now);
      nat.open(binding, ip4(FAR), 1, 0, true, policy.generation, now);
    }
  }
}

t.test('RFC 6888 REQ-11: the last ports of the pool are found; then new flows are refused, old ones go on, and freed ports come back', async t => {
  const lab = makeWorld((config, red) => { Object.assign(config.gateway.limits, { sessions: 70_000, bindings: 70_000 }); Object.assign(red.nat ?? {}, { blocks: { size: 16_384 } }); });
  spendPorts(lab, RED_POOL, [50_000, 60_000]); // both in the block that the dice say, 49152 to 65535, one on either side of the port
  const flow = (port: number): string => fromVm(lab, A, udp(A.ca, port, FAR, 53));
  t.equal(flow(1), 'forwarded');
  t.equal(flow(2), 'nat_ports_spent', 'hardly a port left: the long way round is gone once a second, not for every packet');
  lab.wait(1);
  t.equal(flow(2), 'forwarded');
  lab.wait(1);
  t.equal(flow(3), 'nat_ports_spent');
  const [first, refused, second] = lab.take();
  t.same([first, second].map(sent => sent.bytes[24] << 8 | sent.bytes[25]), [60_000, 50_000], 'from the place the dice say, and round');
  t.same(refused.bytes.subarray(8, 14), atVm(A, new Uint8Array(1)).bytes.subarray(8, 14));
  t.same([...refused.bytes.subarray(22 + 20, 22 + 22)], [3, 1], 'host unreachable to the VM');
  t.equal(flow(1), 'forwarded', 'an old flow');
  for (const { context: { nat } } of lab.gateways) nat.close(nat.findSession(1, 17, ip4('10.0.0.200'), 58_000, ip4(FAR), 1));
  t.equal(flow(4), 'nat_ports_spent');
  lab.wait(1);
  t.equal(flow(4), 'forwarded');
  t.equal(fromVm(lab, A, tcp(A.ca, 3, FAR, 80, SYN)), 'forwarded', 'TCP ports are others');
  lab.wait(301);
  lab.wait(8);
  t.equal(flow(3), 'forwarded', 'after the others have timed out');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 6, nat_ports_spent: 3, originated: 3 } });
});

t.test('full tables fail closed: a flow that gets no binding or session is not sent, and costs the other table nothing', async t => {
  for (const [limits, reason] of [[{ bindings: 2, sessions: 9 }, 'nat_bindings_spent'], [{ bindings: 9, sessions: 2 }, 'nat_sessions_spent']] as const) {
    const lab = makeWorld(config => { Object.assign(config.gateway.limits, limits); });
    const flow = (port: number): string => fromVm(lab, A, udp(A.ca, port, FAR, 53));
    t.same([flow(1), flow(2), flow(3)], ['forwarded', 'forwarded', reason]);
    t.equal(fromUplink(lab, 'inet', tcp(FAR, 1, RED_POOL, 80, SYN)), reason, 'from outside too');
    t.same([lab.gateway.context.nat.bindingCount, lab.gateway.context.nat.sessionCount], [2, 2]);
    t.same(lab.take().map(sent => sent.peer), ['inet', 'inet', 'nv4', 'inet'], 'two datagrams, two ICMP errors');
    expectLedger(t, lab, { red: { forwarded: 2, [reason]: 2, originated: 2 } });
  }
});

t.test('RFC 4787 REQ-5, REQ-6; RFC 5508 REQ-2: idle bindings go when their time is up, traffic either way keeps them', async t => {
  const lab = makeWorld();
  const alive = (): string => fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT));
  fromVm(lab, A, udp(A.ca, 5000, FAR, 53));
  lab.wait(299);
  t.equal(alive(), 'forwarded');
  lab.wait(299);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), 'forwarded');
  lab.wait(299);
  t.equal(alive(), 'forwarded');
  lab.wait(300);
  t.equal(alive(), 'nat_no_binding');
  fromVm(lab, A, echo(A.ca, FAR, 9));
  lab.wait(59);
  t.equal(fromUplink(lab, 'inet', echoReply(FAR, RED_POOL, NAT_PORT)), 'forwarded');
  lab.wait(60);
  t.equal(fromUplink(lab, 'inet', echoReply(FAR, RED_POOL, NAT_PORT)), 'nat_no_binding');
  lab.wait(8);
  t.same([lab.gateway.context.nat.bindingCount, lab.gateway.context.nat.sessionCount], [0, 0], 'swept, without anybody asking');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 6, nat_no_binding: 2 } });
});

t.test('RFC 7857 §6: what the ACL refuses from outside opens no session and refreshes none', async t => {
  const lab = makeWorld((_config, red) => { red.acls.push({ action: 'deny', direction: 'inbound', protocol: 'udp', remote: '198.51.100.66' }, { action: 'deny', direction: 'inbound', protocol: 'tcp', localPort: 8080 }); });
  const { nat } = lab.gateway.context;
  fromVm(lab, A, udp(A.ca, 5000, '198.51.100.66', 53));
  lab.wait(200);
  t.equal(fromUplink(lab, 'inet', udp('198.51.100.66', 53, RED_POOL, NAT_PORT)), 'acl_denied');
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 1, RED_POOL, 80, SYN)), 'acl_denied', 'a static mapping');
  t.same([nat.bindingCount, nat.sessionCount], [1, 1]);
  lab.wait(100);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT)), 'nat_no_binding', 'the refused packet kept nothing alive');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 1, acl_denied: 2, nat_no_binding: 1 } });
});

t.test('RFC 5382 REQ-5: idle times of a connection as it opens, lives and closes', async t => {
  const lab = makeWorld();
  const out = (flags: number): string => fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, flags));
  const back = (flags: number): string => fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, NAT_PORT, flags));
  const RST = 4, FIN = 1;
  out(SYN);
  lab.wait(239);
  t.equal(back(SYN | ACK), 'forwarded', 'half open for just under four minutes');
  lab.wait(7439);
  t.equal(out(ACK), 'forwarded', 'established for just over two hours');
  t.equal(out(FIN | ACK), 'forwarded');
  lab.wait(7439);
  t.equal(back(ACK), 'forwarded', 'half closed');
  t.equal(back(FIN | ACK), 'forwarded');
  lab.wait(239);
  t.equal(out(ACK), 'forwarded', 'the last ACK');
  lab.wait(1);
  t.equal(out(ACK), 'nat_tcp_not_syn', 'it extended nothing');

  t.equal(out(SYN), 'forwarded', 'the same ports again');
  t.equal(back(SYN), 'forwarded', 'simultaneous open');
  t.equal(out(RST), 'forwarded');
  lab.wait(239);
  t.equal(back(ACK), 'forwarded', 'RFC 7857 §2.2: data after a reset shows that it was forged');
  lab.wait(7439);
  t.equal(out(ACK), 'forwarded');
  t.equal(back(RST), 'forwarded');
  lab.wait(240);
  t.equal(back(ACK), 'nat_no_binding');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 13, nat_tcp_not_syn: 1, nat_no_binding: 1 } });
});

t.test('RFC 5382 REQ-2a: a connection from outside to a mapping, and one opened from both ends at once', async t => {
  const lab = makeWorld();
  const { nat } = lab.gateway.context;
  const state = (): number => nat.state([...nat.sessions()][0]);
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 999, RED_POOL, 80, SYN)), 'forwarded');
  t.equal(state(), 2, 'out-init');
  t.equal(fromVm(lab, A, tcp(A.ca, 8080, FAR, 999, SYN)), 'forwarded');
  t.equal(state(), 3, 'established');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 2 } });
});

t.test('what is too big for the uplink costs no binding', async t => {
  const lab = makeWorld();
  const big = udp(A.ca, 5000, FAR, 53, new Uint8Array(1450), { dontFragment: true });
  t.equal(fromVm(lab, A, big), 'too_big');
  t.equal(lab.gateway.context.nat.bindingCount, 0);
  t.equal(lab.take().length, 1);
  expectLedger(t, lab, { red: { too_big: 1, originated: 1 } });
});

t.test('a VM’s address that lost its record loses its sessions', async t => {
  const lab = makeWorld();
  const other = vm('nv6');
  fromVm(lab, other, udp(other.ca, 5000, FAR, 53));
  lab.take();
  lab.reload(makeConfig((_config, red) => { red.records = red.records.filter(record => record['ca'] !== other.ca); }));
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT)), 'nat_no_binding');
  t.equal(fromVm(lab, other, udp(other.ca, 5000, FAR, 53)), 'spoofed_source');
  t.same(lab.take(), []);
  expectLedger(t, lab, { red: { forwarded: 1, nat_no_binding: 1 }, '-': { spoofed_source: 1 } });
});
