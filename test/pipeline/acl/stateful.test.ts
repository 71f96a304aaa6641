/** Stateful entries: what opens a connection, what then passes ahead of all entries, for how long, and what makes no sense in it. */
import t from 'tap';
import { expectLedger } from '../../support/expect.js';
import { echo, echoReply, ethernet, ip, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { FAR, FAR6, HQ_KEY, RED_KEY, RED_POOL, fromHost, fromSite, fromUplink, fromVm, makeWorld, vm, type WorldChange } from '../../support/world.js';
import { countFast } from '../../support/fast-count.js';

const A = vm('nv4'), B = vm('vx4', 'db'), BESIDE = vm('vx4');
const FIN = 1, SYN = 2, RST = 4, ACK = 16;
type Acl = Record<string, unknown>;

/** Red's VMs may open, nobody may open to them. */
const DENY_IN: Acl = { direction: 'inbound', action: 'deny', name: 'closed' };
const OPEN_OUT: Acl = { direction: 'outbound', action: 'allow', stateful: true, idleTimeout: 100, name: 'out' };

function world(acls: Acl[], change?: WorldChange): Lab {
  const lab = makeWorld((config, red, blue) => {
    red.acls = acls;
    config.gateway.limits['connections'] = 32;
    change?.(config, red, blue);
  });
  countFast(lab.gateway);
  return lab;
}
/** Where A alone has such a policy, so that what happens happens on its side. */
const forA = (...acls: Acl[]): Acl[] => acls.map(acl => ({ ...acl, local: A.ca }));
const forA6 = (...acls: Acl[]): Acl[] => acls.map(acl => ({ ...acl, local: A.ca6 }));
const connections = (lab: Lab): number => lab.gateway.context.connections.count;

/** Every way between A and somebody else: how each end sends. NAT's other end answers to the outside port. */
interface Way { readonly name: string; readonly out: (lab: Lab, packet: Uint8Array) => string; readonly back: (lab: Lab, packet: Uint8Array) => string; readonly far: string; readonly near: string; /** As the far end sees it. */ readonly nearPort?: (lab: Lab) => number; readonly six?: true }
const WAYS: readonly Way[] = [
  { name: 'another subnet', far: B.ca, near: A.ca, out: (lab, packet) => fromVm(lab, A, packet), back: (lab, packet) => fromVm(lab, B, packet) },
  { name: 'another subnet, IPv6', six: true, far: B.ca6, near: A.ca6, out: (lab, packet) => fromVm(lab, A, packet), back: (lab, packet) => fromVm(lab, B, packet) },
  {
    name: 'the same subnet, bridged', far: BESIDE.ca, near: A.ca,
    out: (lab, packet) => fromHost(lab, 'nv4', A.vsid, ethernet(BESIDE.mac, A.mac, packet)), back: (lab, packet) => fromHost(lab, 'vx4', A.vsid, ethernet(A.mac, BESIDE.mac, packet)),
  },
  {
    name: 'the same subnet, bridged, IPv6', six: true, far: BESIDE.ca6, near: A.ca6,
    out: (lab, packet) => fromHost(lab, 'nv4', A.vsid, ethernet(BESIDE.mac, A.mac, packet)), back: (lab, packet) => fromHost(lab, 'vx4', A.vsid, ethernet(A.mac, BESIDE.mac, packet)),
  },
  { name: 'the Internet', far: FAR, near: RED_POOL, nearPort: outsidePort, out: (lab, packet) => fromVm(lab, A, packet), back: (lab, packet) => fromUplink(lab, 'inet', packet) },
  { name: 'the physical network', far: '172.16.0.9', near: A.ca, out: (lab, packet) => fromVm(lab, A, packet), back: (lab, packet) => fromUplink(lab, 'core', packet, RED_KEY) },
  { name: 'the physical network, IPv6', six: true, far: FAR6, near: A.ca6, out: (lab, packet) => fromVm(lab, A, packet), back: (lab, packet) => fromUplink(lab, 'core', packet, RED_KEY) },
  { name: 'a site', far: '192.168.50.9', near: A.ca, out: (lab, packet) => fromVm(lab, A, packet), back: (lab, packet) => fromSite(lab, HQ_KEY, packet) },
  { name: 'a site, IPv6', six: true, far: '2001:db8:50::9', near: A.ca6, out: (lab, packet) => fromVm(lab, A, packet), back: (lab, packet) => fromSite(lab, HQ_KEY, packet) },
];
/** The outside port or id of A's only session. */
function outsidePort(lab: Lab): number {
  const { nat } = lab.gateway.context, [session] = [...nat.sessions()];
  return session === undefined ? 40_000 : nat.sessionOutsidePort(session);
}
const nearPort = (lab: Lab, way: Way, own = 5000): number => way.nearPort?.(lab) ?? own;
const from = (way: Way): string => (way.six === true ? A.ca6 : A.ca);
const policy = (way: Way): Acl[] => (way.six === true ? forA6(DENY_IN, OPEN_OUT) : forA(DENY_IN, OPEN_OUT));
const segment = (lab: Lab, way: Way, flags: number, payload = ''): string => way.out(lab, tcp(from(way), 5000, way.far, 80, flags, payload));
const answer = (lab: Lab, way: Way, flags: number, payload = ''): string => way.back(lab, tcp(way.far, 80, way.near, nearPort(lab, way), flags, payload));

t.test('wire-facts §9.7: a match in its direction admits both directions of the flow, ahead of all entries, on every walk', async t => {
  for (const way of WAYS) {
    const lab = world(policy(way));
    const refused = way.name === 'the Internet' ? 'nat_no_binding' : 'acl_denied';
    t.equal(answer(lab, way, SYN), refused, `${way.name}: nobody opens from there`);
    const said = [
      segment(lab, way, SYN), answer(lab, way, SYN | ACK), segment(lab, way, ACK), segment(lab, way, ACK, 'question'), answer(lab, way, ACK, 'answer'),
      answer(lab, way, ACK, 'more'), segment(lab, way, FIN | ACK), answer(lab, way, ACK, 'half open'), answer(lab, way, FIN | ACK), segment(lab, way, ACK),
    ];
    t.same(said, said.map(() => 'forwarded'), way.name);
    t.equal(connections(lab), 1, way.name);
    lab.take();
    expectLedger(t, lab, { red: { forwarded: said.length, [refused]: 1 } });
    t.same(lab.faults, []);
  }
});

t.test('UDP: pseudo state, either direction keeps it alive, and idleTimeout ends it to the second, on the fast path too', async t => {
  for (const way of WAYS) {
    const lab = world(policy(way), config => { config.gateway.timers['udp'] = 1000; });
    const out = (): string => way.out(lab, udp(from(way), 5000, way.far, 53)), back = (): string => way.back(lab, udp(way.far, 53, way.near, nearPort(lab, way)));
    t.not(back(), 'forwarded', way.name);
    t.equal(out(), 'forwarded', way.name);
    for (let i = 0; i < 4; i++) {
      lab.now += 99_000;
      t.equal(back(), 'forwarded', `${way.name}: an answer after 99 seconds`);
      t.equal(back(), 'forwarded', `${way.name}: and another in the same second`);
    }
    lab.now += 99_000;
    t.equal(out(), 'forwarded');
    lab.now += 100_000;
    t.equal(back(), 'acl_denied', `${way.name}: 100 seconds without traffic`);
    t.equal(out(), 'forwarded', `${way.name}: opened anew`);
    t.equal(back(), 'forwarded');
    t.same(lab.imbalances(), [], way.name);
  }
});

t.test('established, nothing for idleTimeout: TCP is no connection any more, though NAT would still know it', async t => {
  for (const way of WAYS) {
    const lab = world(policy(way));
    segment(lab, way, SYN); answer(lab, way, SYN | ACK); segment(lab, way, ACK);
    for (let i = 0; i < 3; i++) {
      lab.now += 99_000;
      t.equal(i % 2 === 0 ? segment(lab, way, ACK, 'x') : answer(lab, way, ACK, 'x'), 'forwarded', `${way.name}: kept alive by either end`);
    }
    lab.now += 100_000;
    t.equal(answer(lab, way, ACK, 'x'), 'acl_denied', way.name);
    t.equal(segment(lab, way, ACK, 'x'), 'acl_tcp_no_connection', way.name);
    t.equal(segment(lab, way, SYN), 'forwarded', way.name);
    t.same(lab.imbalances(), [], way.name);
  }
});

t.test('ICMP queries: an answer to a question, and no question back', async t => {
  for (const way of WAYS) {
    const lab = world(policy(way)), far = way.far;
    const ask = (id: number): string => way.out(lab, echo(from(way), far, id)), id = (): number => nearPort(lab, way, 7);
    t.equal(ask(7), 'forwarded', way.name);
    t.equal(way.back(lab, echoReply(far, way.near, id())), 'forwarded', way.name);
    t.equal(way.back(lab, echo(far, way.near, id())), way.name === 'the Internet' ? 'nat_icmp' : 'acl_denied', `${way.name}: asked with the same id`);
    lab.now += 100_000;
    t.not(way.back(lab, echoReply(far, way.near, id())), 'forwarded', `${way.name}: too late`);
    t.same(lab.imbalances(), [], way.name);
  }
});

t.test('a protocol without ports has one connection between two ends', async t => {
  const lab = world(forA(DENY_IN, { ...OPEN_OUT, protocol: 47 }));
  const gre = (src: string, dst: string): Uint8Array => ip(src, dst, 47, new Uint8Array(8));
  t.equal(fromVm(lab, B, gre(B.ca, A.ca)), 'acl_denied');
  t.equal(fromVm(lab, A, gre(A.ca, B.ca)), 'forwarded');
  t.equal(fromVm(lab, B, gre(B.ca, A.ca)), 'forwarded');
  t.equal(fromVm(lab, B, udp(B.ca, 1, A.ca, 2)), 'acl_denied');
  expectLedger(t, lab, { red: { forwarded: 2, acl_denied: 2 } });
});

t.test('either end of a VM-to-VM flow has its own connection', async t => {
  const lab = world([DENY_IN, OPEN_OUT, { direction: 'inbound', action: 'allow', protocol: 'tcp', localPort: 80, local: B.ca, weight: 10, stateful: true, idleTimeout: 50 }, { direction: 'outbound', action: 'deny', local: B.ca, weight: 5 }]);
  const out = (flags: number): string => fromVm(lab, A, tcp(A.ca, 5000, B.ca, 80, flags)), back = (flags: number): string => fromVm(lab, B, tcp(B.ca, 80, A.ca, 5000, flags));
  t.same([out(SYN), back(SYN | ACK), out(ACK), back(ACK)], ['forwarded', 'forwarded', 'forwarded', 'forwarded']);
  t.equal(connections(lab), 2);
  lab.now += 50_000;
  t.equal(out(ACK), 'acl_tcp_no_connection', 'B’s is over, A’s is not');
  t.equal(back(ACK), 'acl_denied');
  t.same(lab.imbalances(), []);
});

t.test('RFC 9293 §3.10.7: flags that no state has, and segments that have no place in theirs, each under its reason', async t => {
  const open = (...steps: ['>' | '<', number][]) => steps;
  const HANDSHAKE = open(['>', SYN], ['<', SYN | ACK], ['>', ACK]);
  const cases: [string, ['>' | '<', number][], ['>' | '<', number, string?], string][] = [
    ['no flags', [], ['>', 0], 'acl_tcp_flags'],
    ['SYN and FIN', [], ['>', SYN | FIN], 'acl_tcp_flags'],
    ['SYN and RST', [], ['>', SYN | RST], 'acl_tcp_flags'],
    ['FIN without ACK', [], ['>', FIN], 'acl_tcp_flags'],
    ['FIN, PSH and URG', [], ['>', FIN | 8 | 32], 'acl_tcp_flags'],
    ['no flags, established', HANDSHAKE, ['<', 0], 'acl_tcp_flags'],
    ['PSH without ACK, established', HANDSHAKE, ['>', 8, 'x'], 'acl_tcp_flags'],
    ['ACK without a connection', [], ['>', ACK], 'acl_tcp_no_connection'],
    ['FIN without a connection', [], ['>', FIN | ACK], 'acl_tcp_no_connection'],
    ['RST without a connection', [], ['>', RST], 'acl_tcp_no_connection'],
    ['SYN and ACK that nobody asked for', [], ['>', SYN | ACK], 'acl_tcp_state'],
    ['data before the handshake', [['>', SYN]], ['>', ACK, 'data'], 'acl_tcp_state'],
    ['an answer with data and no SYN', [['>', SYN]], ['<', ACK, 'data'], 'acl_tcp_state'],
    ['a challenge ACK', [['>', SYN]], ['<', ACK], 'forwarded'],
    ['FIN before the handshake', [['>', SYN]], ['>', FIN | ACK], 'acl_tcp_state'],
    ['SYN and ACK of who opened', [['>', SYN]], ['>', SYN | ACK], 'acl_tcp_state'],
    ['RFC 7413: data with SYN', [], ['>', SYN, 'data'], 'forwarded'],
    ['RFC 7413: data of who answers, before the last ACK', [['>', SYN], ['<', SYN | ACK]], ['<', ACK, 'data'], 'forwarded'],
    ['a copy of the SYN', [['>', SYN], ['<', SYN | ACK]], ['>', SYN], 'forwarded'],
    ['a SYN the other way, established', HANDSHAKE, ['<', SYN], 'acl_tcp_state'],
    ['a copy of SYN and ACK, established', HANDSHAKE, ['<', SYN | ACK], 'forwarded'],
    ['SYN and ACK the other way, established', HANDSHAKE, ['>', SYN | ACK], 'acl_tcp_state'],
    ['refused, then data', [['>', SYN], ['<', RST | ACK]], ['>', ACK, 'data'], 'acl_tcp_state'],
    ['refused, then again', [['>', SYN], ['<', RST | ACK]], ['>', SYN], 'forwarded'],
    ['closed, the last ACK', [...HANDSHAKE, ['>', FIN | ACK], ['<', FIN | ACK]], ['>', ACK], 'forwarded'],
    ['closed, SYN and ACK', [...HANDSHAKE, ['>', FIN | ACK], ['<', FIN | ACK]], ['<', SYN | ACK], 'acl_tcp_state'],
    ['closed, reused by who may open', [...HANDSHAKE, ['>', FIN | ACK], ['<', FIN | ACK]], ['>', SYN], 'forwarded'],
    ['closed, reused by who may not', [...HANDSHAKE, ['>', FIN | ACK], ['<', FIN | ACK]], ['<', SYN], 'acl_denied'],
    ['half-closed, reused by who has closed', [...HANDSHAKE, ['>', FIN | ACK]], ['>', SYN], 'forwarded'],
    ['RFC 7857 §2.2: a RST that was forged', [...HANDSHAKE, ['<', RST]], ['>', ACK, 'data'], 'forwarded'],
    ['simultaneous open', [['>', SYN], ['<', SYN], ['>', SYN | ACK], ['<', SYN | ACK], ['>', ACK]], ['<', ACK, 'data'], 'forwarded'],
    ['simultaneous open, data at once', [['>', SYN], ['<', SYN]], ['<', ACK, 'data'], 'acl_tcp_state'],
    ['ECN, RFC 3168 §6.1.1', [], ['>', SYN | 64 | 128], 'forwarded'],
  ];
  for (const way of WAYS.filter(({ name }) => name.startsWith('another') || name.startsWith('a site'))) {
    for (const [name, before, [direction, flags, payload], wanted] of cases) {
      const lab = world(policy(way));
      const send = (to: '>' | '<', bits: number, data = ''): string => (to === '>' ? segment(lab, way, bits, data) : answer(lab, way, bits, data));
      t.same(before.map(([to, bits]) => send(to, bits)), before.map(() => 'forwarded'), `${way.name}, ${name}: what came before`);
      t.equal(send(direction, flags, payload), wanted, `${way.name}: ${name}`);
      lab.take();
      expectLedger(t, lab, { red: wanted === 'forwarded' ? { forwarded: before.length + 1 } : { forwarded: before.length, [wanted]: 1 } });
    }
  }
});
