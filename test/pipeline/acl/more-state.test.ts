/** Stateful entries beyond the plain case: errors about connections, fragments, lives of half-open and closing ones, a full table, the fast path. */
import t from 'tap';
import { countFast } from '../../support/fast-count.js';
import { cut4, cut6, icmp, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { expectLedger } from '../../support/expect.js';
import { FAR, FAR6, HQ_KEY, RED_KEY, RED_POOL, fromSite, fromUplink, fromVm, makeWorld, vm, type WorldChange } from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4', 'db');
const FIN = 1, SYN = 2, RST = 4, ACK = 16;

function world(change?: WorldChange, out: object = {}): Lab {
  const lab = makeWorld((config, red, blue) => {
    red.acls = [A.ca, A.ca6].flatMap(local => [
      { direction: 'inbound', action: 'deny', local }, { direction: 'outbound', action: 'allow', stateful: true, idleTimeout: 1000, local, ...out },
    ]);
    change?.(config, red, blue);
  });
  countFast(lab.gateway);
  return lab;
}
const connections = (lab: Lab) => lab.gateway.context.connections;
const fast = (lab: Lab, send: () => string): string => {
  const before = countFast(lab.gateway), said = send();
  return said !== 'forwarded' ? said : countFast(lab.gateway) > before ? 'fast' : 'walks';
};
const outside = (lab: Lab): number => { const { nat } = lab.gateway.context, [session] = [...nat.sessions()]; return nat.sessionOutsidePort(session); };

t.test('RFC 792, RFC 4443: an error about a packet of a connection passes, from whoever on the way, both families; about anything else it does not', async t => {
  const ROUTER = '192.168.50.254', ROUTER6 = '2001:db8:50::fe';
  const lab = world();
  const sent = udp(A.ca, 5000, '192.168.50.9', 53, 'question'), sent6 = udp(A.ca6, 5000, '2001:db8:50::9', 53, 'question');
  const error = (about: Uint8Array, type = 3, from = ROUTER, to = A.ca): string => fromSite(lab, HQ_KEY, icmp(from, to, type, type === 3 ? 1 : 0, 0, about));
  const error6 = (about: Uint8Array, type = 1, to = A.ca6): string => fromSite(lab, HQ_KEY, icmp(ROUTER6, to, type, 0, 1280, about));
  t.same([error(sent), error6(sent6)], ['acl_denied', 'acl_denied'], 'before there is a connection');
  t.same([fromVm(lab, A, sent), fromVm(lab, A, sent6)], ['forwarded', 'forwarded']);
  t.same([3, 11, 12].map(type => error(sent, type)), ['forwarded', 'forwarded', 'forwarded']);
  t.same([1, 2, 3, 4].map(type => error6(sent6, type)), ['forwarded', 'forwarded', 'forwarded', 'forwarded']);
  t.equal(error(sent.slice(0, 28)), 'forwarded', 'eight bytes behind the header are enough');
  t.equal(error(sent.slice(0, 27)), 'acl_denied', 'seven are not');
  t.same([4, 5].map(type => error(sent, type)), ['acl_denied', 'acl_denied'], 'source quench and redirect are nobody’s business');
  t.equal(error(udp(A.ca, 5001, '192.168.50.9', 53)), 'acl_denied', 'another port');
  t.equal(error(udp('192.168.50.9', 53, A.ca, 5000)), 'acl_denied', 'a packet that went the other way');
  t.equal(error(udp('10.0.0.99', 5000, '192.168.50.9', 53)), 'acl_denied', 'not for whom the error is');
  t.equal(error6(udp(A.ca6, 5001, '2001:db8:50::9', 53)), 'acl_denied');
  lab.now += 1_000_000;
  t.same([error(sent), error6(sent6)], ['acl_denied', 'acl_denied'], 'errors have kept nothing alive');
  t.same(lab.imbalances(), []);
});

t.test('errors that the VM sends about what it received pass as well, and through NAT both ways', async t => {
  const lab = world((_config, red) => { red.acls.push({ direction: 'outbound', action: 'deny', protocol: 'icmp', local: A.ca, weight: 5 }); });
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53, 'question')), 'forwarded');
  const answer = udp(FAR, 53, A.ca, 5000, 'answer');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, outside(lab), 'answer')), 'forwarded');
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 3, 3, 0, answer)), 'forwarded');
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 3, 3, 0, udp(FAR, 54, A.ca, 5000))), 'acl_denied');
  const about = udp(RED_POOL, outside(lab), FAR, 53, 'question');
  t.equal(fromUplink(lab, 'inet', icmp('198.51.100.99', RED_POOL, 11, 0, 0, about)), 'forwarded');
  t.equal(fromUplink(lab, 'inet', icmp('198.51.100.99', RED_POOL, 11, 0, 0, udp(RED_POOL, outside(lab), FAR, 54))), 'nat_no_session');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4, acl_denied: 1, nat_no_session: 1 } });
});

t.test('by a site’s maps, and between two VMs by their outside ends: flows and errors about them', async t => {
  const shown = '10.101.0.11';
  const lab = world((_config, red) => { red.sites[0]['maps'] = [{ side: 'tenant', real: '10.0.0.0/24', shown: '10.101.0.0/24' }]; });
  const error = (about: Uint8Array): string => fromSite(lab, HQ_KEY, icmp('192.168.50.254', shown, 3, 1, 0, about));
  t.equal(error(udp(shown, 5000, '192.168.50.9', 53, 'question')), 'acl_denied');
  t.equal(fromVm(lab, A, udp(A.ca, 5000, '192.168.50.9', 53, 'question')), 'forwarded');
  t.equal(fromSite(lab, HQ_KEY, udp('192.168.50.9', 53, shown, 5000, 'answer')), 'forwarded');
  t.equal(error(udp(shown, 5000, '192.168.50.9', 53, 'question')), 'forwarded');
  t.equal(error(udp(shown, 5001, '192.168.50.9', 53, 'question')), 'acl_denied');
  lab.take();
  t.same(lab.imbalances(), []);

  const turned = world((_config, red) => { red.acls = red.acls.map(acl => ({ ...acl, local: acl['local'] === A.ca ? '10.0.0.0/24' : acl['local'] })); red.acls.push({ direction: 'inbound', action: 'allow', stateful: true, protocol: 'udp', localPort: 53, local: '10.0.0.12', weight: 5 }); });
  const other = vm('vx4');
  t.equal(fromVm(turned, A, udp(A.ca, 5000, RED_POOL, 5353, 'question')), 'forwarded', 'to the mapping of 10.0.0.12');
  const { nat } = turned.gateway.context, mine = [...nat.sessions()].find(at => nat.sessionInsidePort(at) === 5000) ?? 0, port = nat.sessionOutsidePort(mine);
  t.equal(connections(turned).count, 2, 'one a side');
  t.equal(fromVm(turned, other, udp(other.ca, 53, RED_POOL, port, 'answer')), 'forwarded');
  t.equal(fromVm(turned, other, udp(other.ca, 54, RED_POOL, port, 'uninvited')), 'acl_denied');
  t.equal(fromVm(turned, other, icmp(other.ca, RED_POOL, 3, 3, 0, udp(RED_POOL, port, other.ca, 53, 'question'))), 'forwarded', 'an error about the question');
  t.equal(fromVm(turned, A, icmp(A.ca, RED_POOL, 3, 3, 0, udp(RED_POOL, 5353, A.ca, 5000, 'answer'))), 'forwarded', 'and one about the answer');
  turned.take();
  t.same(turned.imbalances(), []);
});

t.test('fragments follow their first: in and out of a connection, in order or not, both families', async t => {
  const long = 'x'.repeat(100);
  for (const [pieces, back] of [
    [cut4(udp(A.ca, 5000, '192.168.50.9', 53, long), 48), cut4(udp('192.168.50.9', 53, A.ca, 5000, long), 48, 7)],
    [cut6(udp(A.ca6, 5000, '2001:db8:50::9', 53, long), 48), cut6(udp('2001:db8:50::9', 53, A.ca6, 5000, long), 48, 7)],
  ]) {
    const lab = world();
    t.equal(fromSite(lab, HQ_KEY, back[1]), 'held');
    t.equal(fromSite(lab, HQ_KEY, back[0]), 'acl_denied', 'nobody asked');
    t.same(pieces.map(piece => fromVm(lab, A, piece)), pieces.map(() => 'forwarded'));
    t.equal(connections(lab).count, 1);
    lab.wait(40);
    t.same([back[2], back[0], back[1]].map(piece => fromSite(lab, HQ_KEY, piece)), ['held', 'forwarded', 'forwarded']);
    lab.wait(40);
    t.same(lab.imbalances(), []);
  }
  const tcpPieces = cut4(tcp(A.ca, 5000, '192.168.50.9', 80, ACK, long), 64);
  const lab = world();
  t.equal(fromVm(lab, A, tcpPieces[0]), 'acl_tcp_no_connection');
  fromVm(lab, A, tcp(A.ca, 5000, '192.168.50.9', 80, SYN)); fromSite(lab, HQ_KEY, tcp('192.168.50.9', 80, A.ca, 5000, SYN | ACK));
  const again = cut4(tcp(A.ca, 5000, '192.168.50.9', 80, ACK, long), 64, 99);
  t.same(again.map(piece => fromVm(lab, A, piece)), again.map(() => 'forwarded'));
  t.same(lab.imbalances(), []);
});

t.test('half-open and closing connections live shortly, whatever their entry’s idle timeout', async t => {
  const site = '192.168.50.9';
  const steps: Record<string, ['>' | '<', number][]> = {
    opening: [['>', SYN]],
    answered: [['>', SYN], ['<', SYN | ACK]],
    refused: [['>', SYN], ['<', RST | ACK]],
    reset: [['>', SYN], ['<', SYN | ACK], ['>', ACK], ['<', RST]],
    closed: [['>', SYN], ['<', SYN | ACK], ['>', ACK], ['<', FIN | ACK], ['>', FIN | ACK]],
    'half-closed': [['>', SYN], ['<', SYN | ACK], ['>', ACK], ['>', FIN | ACK]],
    established: [['>', SYN], ['<', SYN | ACK], ['>', ACK]],
  };
  for (const [name, segments] of Object.entries(steps)) {
    for (const [idle, life] of [[1000, { opening: 30, answered: 30, refused: 20, reset: 20, closed: 20 }], [10, {}]] as const) {
      const seconds = (life as Record<string, number>)[name] ?? idle;
      const lab = world(config => { Object.assign(config.gateway.timers, { tcpTransitory: 30, tcpClosing: 20 }); }, { idleTimeout: idle });
      for (const [to, flags] of segments) {
        t.equal(to === '>' ? fromVm(lab, A, tcp(A.ca, 5000, site, 80, flags)) : fromSite(lab, HQ_KEY, tcp(site, 80, A.ca, 5000, flags)), 'forwarded');
      }
      lab.now += (seconds - 1) * 1000;
      lab.gateways.forEach(gateway => gateway.tick(lab.now));
      const last = name === 'opening' ? SYN | ACK : name === 'refused' ? RST : ACK;
      const again = (): string => fromSite(lab, HQ_KEY, tcp(site, 80, A.ca, 5000, last));
      if (name === 'reset' || name === 'closed' || name === 'refused') {
        // What comes while it closes extends nothing.
        if (name !== 'reset') t.equal(again(), 'forwarded', `${name}, ${idle}: still there`);
        lab.now += 1000;
      } else {
        t.equal(again(), 'forwarded', `${name}, ${idle}: still there`);
        lab.now += name === 'opening' ? Math.min(idle, 30) * 1000 : seconds * 1000;
      }
      t.equal(again(), 'acl_denied', `${name}, ${idle}: gone`);
      lab.wait(10);
      t.equal(connections(lab).count, 0, 'and swept');
      t.same(lab.imbalances(), []);
    }
  }
});

t.test('a port pair used again begins anew, and by the entries of now', async t => {
  const lab = world(config => { config.gateway.limits['connections'] = 1; }, { idleTimeout: 50 }), site = '192.168.50.9';
  const out = (flags: number): string => fromVm(lab, A, tcp(A.ca, 5000, site, 80, flags)), back = (flags: number): string => fromSite(lab, HQ_KEY, tcp(site, 80, A.ca, 5000, flags));
  for (let round = 0; round < 3; round++) {
    t.same([out(SYN), back(SYN | ACK), out(ACK), out(FIN | ACK), back(FIN | ACK), out(ACK)], Array(6).fill('forwarded'));
    t.equal(back(SYN), 'acl_denied', 'not by who may not open');
    lab.now += 1000;
  }
  t.equal(connections(lab).count, 1);
  t.same(lab.imbalances(), []);
});

t.test('fails closed: a full table refuses what needs state, lets through what has it or needs none, and takes new ones when old ones end', async t => {
  const lab = world(config => { config.gateway.limits['connections'] = 3; });
  const open = (port: number): string => fromVm(lab, A, udp(A.ca, port, B.ca, 53)), open6 = (port: number): string => fromVm(lab, A, udp(A.ca6, port, B.ca6, 53));
  t.same([open(1), open6(2), open(3)], ['forwarded', 'forwarded', 'forwarded']);
  t.same([open(4), open6(4), fromVm(lab, A, udp(A.ca, 5, FAR, 53))], ['acl_connections_spent', 'acl_connections_spent', 'acl_connections_spent']);
  t.equal(lab.gateway.context.nat.sessionCount, 0, 'and no session is opened for what is not sent');
  t.same([open(1), fromVm(lab, B, udp(B.ca6, 53, A.ca6, 2)), fromVm(lab, B, udp(B.ca, 1, vm('vx4').ca, 2))], ['forwarded', 'forwarded', 'forwarded']);
  lab.now += 1_000_000;
  lab.wait(9);
  t.equal(connections(lab).count, 0);
  t.equal(open(4), 'forwarded');
  lab.take();
  t.same(lab.imbalances(), []);
});

t.test('what is refused behind the ACL opens nothing and keeps nothing alive: TTL, MTU, no route, the other VM’s ACL', async t => {
  const lab = world((_config, red) => { red.acls.push({ direction: 'inbound', action: 'deny', local: B.ca, protocol: 'udp', localPort: 9 }); });
  t.equal(fromVm(lab, A, udp(A.ca, 1, B.ca, 53, '', { ttl: 1 })), 'ttl_expired');
  t.equal(fromVm(lab, A, udp(A.ca, 1, B.ca, 53, new Uint8Array(1500), { dontFragment: true })), 'too_big');
  t.equal(fromVm(lab, A, udp(A.ca, 1, '10.9.0.1', 53)), 'route_drop');
  t.equal(fromVm(lab, A, udp(A.ca, 1, B.ca, 9)), 'acl_denied');
  t.equal(fromVm(lab, A, udp(A.ca, 1, A.gateway, 53)), 'gateway_no_service');
  t.equal(connections(lab).count, 0);
  t.equal(fromVm(lab, A, udp(A.ca, 1, B.ca, 53)), 'forwarded');
  lab.now += 999_000;
  t.equal(fromVm(lab, B, udp(B.ca, 53, A.ca, 1, new Uint8Array(1500), { dontFragment: true })), 'too_big');
  lab.now += 1000;
  t.equal(fromVm(lab, B, udp(B.ca, 53, A.ca, 1)), 'acl_denied');
  t.same(lab.imbalances(), []);
});

t.test('the fast path: established flows take it, but for the first packet of each second; while a connection opens or closes none does', async t => {
  const ways: [string, (lab: Lab, packet: Uint8Array) => string, (lab: Lab, packet: Uint8Array) => string, string, (lab: Lab) => [string, number]][] = [
    ['another subnet', (lab, packet) => fromVm(lab, A, packet), (lab, packet) => fromVm(lab, B, packet), B.ca, () => [A.ca, 5000]],
    ['the Internet', (lab, packet) => fromVm(lab, A, packet), (lab, packet) => fromUplink(lab, 'inet', packet), FAR, lab => [RED_POOL, outside(lab)]],
    ['a site', (lab, packet) => fromVm(lab, A, packet), (lab, packet) => fromSite(lab, HQ_KEY, packet), '192.168.50.9', () => [A.ca, 5000]],
    ['the physical network', (lab, packet) => fromVm(lab, A, packet), (lab, packet) => fromUplink(lab, 'core', packet, RED_KEY), '172.16.0.9', () => [A.ca, 5000]],
  ];
  for (const [name, send, sendBack, far, near] of ways) {
    const lab = world();
    const out = (flags: number): string => fast(lab, () => send(lab, tcp(A.ca, 5000, far, 80, flags))), back = (flags: number): string => fast(lab, () => sendBack(lab, tcp(far, 80, ...near(lab), flags)));
    t.same([out(SYN), back(SYN | ACK), out(ACK)], ['walks', 'walks', 'walks'], name);
    t.same([back(ACK), back(ACK), out(ACK), out(ACK)].slice(1), ['fast', 'fast', 'fast'], `${name}: established`);
    for (let i = 0; i < 3; i++) {
      lab.now += 1000;
      t.equal(out(ACK), 'walks', `${name}: a new second`);
      t.same([out(ACK), out(ACK)], ['fast', 'fast'], name);
    }
    t.equal(out(0), 'acl_tcp_flags', `${name}: no flags`);
    back(ACK);
    t.equal(out(FIN | ACK), 'walks', name);
    t.equal(back(ACK), 'fast', `${name}: half-closed`);
    t.equal(back(FIN | ACK), 'walks', name);
    t.same([out(ACK), out(ACK), back(ACK)], ['walks', 'walks', 'walks'], `${name}: closed`);
    t.same(lab.imbalances(), []);

    const other = world();
    const again = (flags: number, to = true): string => fast(other, () => (to ? send(other, tcp(A.ca, 5000, far, 80, flags)) : sendBack(other, tcp(far, 80, ...near(other), flags))));
    again(SYN); again(SYN | ACK, false); again(ACK); again(ACK, false);
    t.same([again(ACK), again(ACK, false)], ['fast', 'fast']);
    t.equal(again(RST | ACK, false), 'walks');
    t.equal(again(ACK), 'walks', `${name}: after a RST nothing goes by itself`);
    again(ACK, false);
    t.same([again(ACK), again(ACK, false)], ['fast', 'fast'], `${name}: unless it goes on`);
    t.same(other.imbalances(), []);
  }
});

t.test('answers that were compiled before there was a connection keep it alive all the same', async t => {
  const lab = makeWorld((_config, red) => { red.acls = [{ direction: 'outbound', action: 'allow', stateful: true, idleTimeout: 30, local: A.ca }]; });
  const back = (flags: number): string => fromVm(lab, B, tcp(B.ca, 80, A.ca, 5000, flags)), out = (flags: number): string => fromVm(lab, A, tcp(A.ca, 5000, B.ca, 80, flags));
  t.same([back(ACK), out(SYN), back(SYN | ACK), out(ACK)], ['forwarded', 'forwarded', 'forwarded', 'forwarded']);
  for (let i = 0; i < 4; i++) {
    lab.now += 20_000;
    t.equal(back(ACK), 'forwarded');
    lab.gateways.forEach(gateway => gateway.tick(lab.now));
    t.equal(connections(lab).count, 1);
  }
  lab.wait(40);
  t.equal(connections(lab).count, 0);
  t.same(lab.imbalances(), []);
});

t.test('flows of tenants without stateful entries are not tracked', async t => {
  const lab = makeWorld((_config, red) => { red.acls = [{ direction: 'inbound', action: 'allow', protocol: 'udp' }]; });
  countFast(lab.gateway);
  const send = (): string => fast(lab, () => fromVm(lab, A, udp(A.ca, 5000, B.ca, 53)));
  t.equal(send(), 'walks');
  lab.now += 30_000;
  t.equal(send(), 'fast', 'half a minute later');
  t.equal(connections(lab).count, 0);
});

t.test('IPv6 to the physical network, its own connection beside that of IPv4', async t => {
  const lab = world();
  t.same([fromVm(lab, A, udp(A.ca6, 5000, FAR6, 53)), fromUplink(lab, 'core', udp(FAR6, 53, A.ca6, 5000), RED_KEY)], ['forwarded', 'forwarded']);
  t.same([fromVm(lab, A, udp(A.ca, 5000, '172.16.0.9', 53)), fromUplink(lab, 'core', udp('172.16.0.9', 53, A.ca, 5000), RED_KEY)], ['forwarded', 'forwarded']);
  t.equal(connections(lab).count, 2);
});
