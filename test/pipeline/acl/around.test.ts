/** Ways round the entries that a VM has tried: by the MAC in its frame, by an address that is everybody's, in another's name. And what must not be in their way. */
import t from 'tap';
import { RevokedKind, Why } from '../../../pipeline/tables/revoked.js';
import { expectLedger } from '../../support/expect.js';
import { ethernet, icmp, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { neighborAdvert, neighborSolicit } from '../../support/neighbors.js';
import { HQ_KEY, fromHost, fromSite, fromVm, makeConfig, makeWorld, vm, type Vm } from '../../support/world.js';

const A = vm('nv4'), BESIDE = vm('vx4'), B = vm('vx4', 'db');
const FIN = 1, SYN = 2, ACK = 16;
type Acl = Record<string, unknown>;
const withAcls = (...acls: Acl[]): Lab => makeWorld((_config, red) => { red.acls = acls; });
/** Bridged: to the other's own MAC. */
const beside = (lab: Lab, from: Vm, to: Vm, packet: Uint8Array, mac = from.mac): string => fromHost(lab, from.host, from.vsid, ethernet(to.mac, mac, packet));

t.test('inbound, too, a VM is told by the MAC of its record: one that nobody knows in its frames is no way round', async t => {
  for (const mac of [BESIDE.mac, '00:15:5d:77:77:77']) {
    const shut = withAcls({ direction: 'inbound', action: 'deny', remote: BESIDE.mac });
    t.equal(beside(shut, BESIDE, A, udp(BESIDE.ca, 1, A.ca, 2), mac), 'acl_denied', mac);
    const open = withAcls({ direction: 'inbound', action: 'deny', remote: mac === BESIDE.mac ? '00:15:5d:77:77:77' : B.mac });
    t.equal(beside(open, BESIDE, A, udp(BESIDE.ca, 1, A.ca, 2), mac), 'forwarded', mac);
  }
});

t.test('RFC 919 §7: the broadcast address of the subnet in a frame for one VM is no way round an entry about that VM', async t => {
  const lab = makeWorld((_config, red) => { for (const record of red.records) if (record['ca'] === A.ca) record['acls'] = [{ direction: 'inbound', action: 'deny' }]; });
  t.equal(beside(lab, BESIDE, A, udp(BESIDE.ca, 1, A.ca, 2)), 'acl_denied');
  t.equal(beside(lab, BESIDE, A, udp(BESIDE.ca, 1, '10.0.0.255', 2)), 'frame_multicast');
  t.equal(beside(lab, A, BESIDE, udp(A.ca, 1, BESIDE.ca, 2)), 'forwarded');
  t.equal(beside(lab, A, BESIDE, udp(A.ca, 1, '10.0.0.103', 2)), 'forwarded', 'which ends in ones as well, and is an address like others');
  expectLedger(t, lab, { red: { forwarded: 2, acl_denied: 1, frame_multicast: 1 } });
});

t.test('neighbours find each other whatever the entries say: ND passes as ARP does, and nothing that only looks like it', async t => {
  const lab = withAcls({ direction: 'inbound', action: 'deny' }, { direction: 'outbound', action: 'deny' }, { direction: 'outbound', action: 'allow', stateful: true, protocol: 'udp', weight: 1 });
  t.equal(fromHost(lab, 'vx4', A.vsid, neighborSolicit(BESIDE.mac, BESIDE.ca6, A.ca6, { mac: A.mac, address: A.ca6 })), 'forwarded');
  t.equal(fromHost(lab, 'nv4', A.vsid, neighborAdvert(A.mac, A.mac, A.ca6, { mac: BESIDE.mac, address: BESIDE.ca6 }, 0x60000000)), 'forwarded');
  t.equal(beside(lab, A, BESIDE, icmp(A.ca6, BESIDE.ca6, 135, 0, 0, new Uint8Array(16))), 'nd_malformed', 'a hop limit that is not 255');
  t.equal(beside(lab, A, BESIDE, icmp(A.ca6, BESIDE.ca6, 133, 0, 0, '', { ttl: 255 })), 'acl_denied', 'a question for routers');
  t.equal(beside(lab, A, BESIDE, icmp(A.ca6, BESIDE.ca6, 128, 0, 0)), 'acl_denied');
  t.equal(fromSite(lab, HQ_KEY, icmp('2001:db8:50::9', A.ca6, 135, 0, 0, new Uint8Array(16), { ttl: 255 })), 'acl_denied', 'from outside there are no neighbours');
  t.same(lab.imbalances(), []);
});

t.test('RFC 5927 §4: errors about a connection are its VM’s to send: not a neighbour’s, and those of a router for what is behind it', async t => {
  const lab = makeWorld((_config, red) => {
    red.acls = [
      { direction: 'outbound', action: 'allow', stateful: true, local: A.ca, weight: 5 }, { direction: 'inbound', action: 'deny', local: A.ca }, { direction: 'inbound', action: 'allow', stateful: true, weight: -1 },
      { direction: 'outbound', action: 'deny', protocol: 'icmp' }, { direction: 'outbound', action: 'allow', stateful: true, local: A.ca6, weight: 5 }, { direction: 'outbound', action: 'deny', protocol: 'icmpv6' },
    ];
    red.routes.push({ prefix: '10.7.0.0/24', via: `ca:${B.ca}` });
  });
  for (const [from, other, to, far] of [[A.ca, BESIDE.ca, B.ca, '10.7.0.9'], [A.ca6, BESIDE.ca6, B.ca6, '']]) {
    const sent = udp(from, 5000, to, 53, 'question'), [type, code] = from === A.ca ? [3, 3] : [1, 4];
    t.equal(fromVm(lab, A, sent), 'forwarded');
    t.equal(fromVm(lab, BESIDE, icmp(other, from, type, code, 0, sent)), 'acl_denied', 'a neighbour’s');
    t.equal(fromVm(lab, B, icmp(to, from, type, code, 0, sent)), 'forwarded', 'its own');
    if (far === '') continue;
    const behind = udp(from, 5000, far, 53, 'question');
    t.equal(fromVm(lab, A, behind), 'forwarded');
    t.equal(fromVm(lab, B, icmp(to, from, 3, 1, 0, behind)), 'forwarded', 'a router’s');
    t.equal(fromVm(lab, BESIDE, icmp(other, from, 3, 1, 0, behind)), 'acl_denied');
  }
  lab.take();
  t.same(lab.imbalances(), []);
});

t.test('a pair of ports that the other end uses again, where that needs no state, is not held to the connection before', async t => {
  const lab = withAcls(
    { direction: 'outbound', action: 'allow', stateful: true, local: A.ca, weight: 5 }, { direction: 'inbound', action: 'allow', local: A.ca, remote: B.ca, weight: 6 }, { direction: 'inbound', action: 'deny', local: A.ca },
  );
  const out = (flags: number): string => fromVm(lab, A, tcp(A.ca, 5000, B.ca, 80, flags)), back = (flags: number): string => fromVm(lab, B, tcp(B.ca, 80, A.ca, 5000, flags));
  t.same([out(SYN), back(SYN | ACK), out(ACK), out(FIN | ACK), back(FIN | ACK), out(ACK)], Array(6).fill('forwarded'));
  t.same([back(SYN), out(SYN | ACK), back(ACK), out(ACK), out(ACK)], Array(5).fill('forwarded'));
  t.equal(lab.gateway.context.connections.count, 0);
  t.same(lab.imbalances(), []);
});

t.test('a reload lists no connection that goes on: its entry needs no state any more, and another keeps state of what comes the other way', async t => {
  const rules = (state: object): Acl[] => [
    { direction: 'outbound', action: 'allow', local: A.ca, weight: 10, ...state }, { direction: 'inbound', action: 'allow', stateful: true, local: A.ca, weight: 10 }, { direction: 'inbound', action: 'deny', local: A.ca },
  ];
  const lab = withAcls(...rules({ stateful: true }));
  const out = (flags: number): string => fromVm(lab, A, tcp(A.ca, 5000, B.ca, 80, flags)), back = (flags: number): string => fromVm(lab, B, tcp(B.ca, 80, A.ca, 5000, flags));
  t.same([out(SYN), back(SYN | ACK), out(ACK)], Array(3).fill('forwarded'));
  lab.reload(makeConfig((_config, red) => { red.acls = rules({}); }));
  t.same(lab.gateway.context.revoked.take().notes, []);
  t.same([out(ACK), back(ACK), out(FIN | ACK), back(FIN | ACK)], Array(4).fill('forwarded'));
  t.same(lab.imbalances(), []);
});

const LINK_A = 'fe80::a', LINK_BESIDE = 'fe80::b';

t.test('RFC 4291 §2.5.6: link-local addresses have no record, and the rules of their subnet and of their VM hold for them all the same', async t => {
  const places: Record<string, (acls: Acl[]) => Lab> = {
    'of the subnet': acls => makeWorld((_config, red) => { Object.assign(red.subnets[0], { acls }); }),
    'of the IPv4 record': acls => makeWorld((_config, red) => { for (const record of red.records) if (record['ca'] === A.ca) record['acls'] = acls; }),
    'of the IPv6 record': acls => makeWorld((_config, red) => { for (const record of red.records) if (record['ca'] === A.ca6) record['acls'] = acls; }),
  };
  for (const [name, world] of Object.entries(places)) {
    const isSubnet = name === 'of the subnet';
    const out = world([{ direction: 'outbound', action: 'deny' }]);
    t.equal(beside(out, A, BESIDE, udp(LINK_A, 1, LINK_BESIDE, 2)), 'acl_denied', `${name}: out`);
    t.equal(beside(out, BESIDE, A, udp(LINK_BESIDE, 1, LINK_A, 2)), isSubnet ? 'acl_denied' : 'forwarded', `${name}: of another VM`);
    const other = vm('nv4', 'db'), far = vm('vx4', 'db');
    t.equal(beside(out, other, far, udp(LINK_A, 1, LINK_BESIDE, 2)), 'forwarded', `${name}: the same addresses in another subnet`);
    const into = world([{ direction: 'inbound', action: 'deny', protocol: 'udp', localPort: 2 }]);
    t.equal(beside(into, BESIDE, A, udp(LINK_BESIDE, 1, LINK_A, 2)), 'acl_denied', `${name}: in`);
    t.equal(beside(into, BESIDE, A, udp(LINK_BESIDE, 1, LINK_A, 3)), 'forwarded', `${name}: by another port`);
    t.equal(beside(into, BESIDE, A, udp(LINK_BESIDE, 1, 'fe80::cafe', 2)), 'acl_denied', `${name}: whatever the VM calls itself`);
    const narrow = name === 'of the IPv6 record' ? [{ local: A.ca6 }] : [{ protocol: 'icmp' }, { remote: '0.0.0.0/0' }, { local: isSubnet ? '10.0.0.0/25' : A.ca }];
    for (const acl of narrow) {
      const lab = world([{ direction: 'outbound', action: 'deny', ...acl }]);
      t.equal(beside(lab, A, BESIDE, udp(LINK_A, 1, LINK_BESIDE, 2)), 'forwarded', `${name}: ${JSON.stringify(acl)} is not about them`);
    }
    t.same([out, into].flatMap(lab => lab.imbalances()), []);
  }
});

t.test('state of a link-local address is its VM’s own: another that takes the address opens nothing for it, and a reload knows whose it is', async t => {
  const acls: Acl[] = [{ direction: 'inbound', action: 'deny' }, { direction: 'outbound', action: 'allow', stateful: true, idleTimeout: 100 }];
  const third = vm('nv6');
  const open = makeWorld(config => {
    for (const record of config.tenants[0].records) if (record['ca'] === A.ca6 || record['ca'] === third.ca6) record['acls'] = acls;
  });
  t.equal(beside(open, third, BESIDE, udp(LINK_A, 5000, LINK_BESIDE, 53)), 'forwarded', 'a third VM in the name of A');
  t.equal(beside(open, BESIDE, A, udp(LINK_BESIDE, 53, LINK_A, 5000)), 'acl_denied', 'which opens nothing at A');
  t.equal(beside(open, BESIDE, third, udp(LINK_BESIDE, 53, LINK_A, 5000)), 'forwarded', 'only at itself');
  t.equal(beside(open, A, BESIDE, udp(LINK_A, 5000, LINK_BESIDE, 53, 'question')), 'forwarded');
  t.equal(beside(open, BESIDE, A, udp(LINK_BESIDE, 53, LINK_A, 5000)), 'forwarded', 'A itself does');
  t.equal(beside(open, BESIDE, A, icmp(LINK_BESIDE, LINK_A, 1, 4, 0, udp(LINK_A, 5000, LINK_BESIDE, 53, 'question'))), 'forwarded', 'errors about it pass');
  t.equal(beside(open, BESIDE, A, icmp(LINK_BESIDE, LINK_A, 1, 4, 0, udp(LINK_A, 5001, LINK_BESIDE, 53, 'question'))), 'acl_denied');
  t.equal(open.gateway.context.connections.count, 2);

  const again = makeConfig(config => { for (const record of config.tenants[0].records) if (record['ca'] === A.ca6) record['acls'] = acls; });
  open.reload(again);
  t.same(open.gateway.context.revoked.take().notes, []);
  t.equal(beside(open, BESIDE, A, udp(LINK_BESIDE, 53, LINK_A, 5000)), 'forwarded', 'allowed still');
  open.reload(makeConfig(config => { for (const record of config.tenants[0].records) if (record['ca'] === A.ca6) record['acls'] = [{ direction: 'inbound', action: 'deny' }, { direction: 'outbound', action: 'deny' }]; }));
  const [note] = open.gateway.context.revoked.take().notes;
  t.match(note.ends, { local0: 0xfe800000 | 0, local1: 0, local3: 10 }, 'listed under its own address');
  t.equal(beside(open, BESIDE, A, udp(LINK_BESIDE, 53, LINK_A, 5000)), 'acl_denied', 'forbidden now');
  t.equal(open.gateway.context.connections.count, 0);
  t.same(open.imbalances(), []);
});

t.test('a CA that another VM gets has none of the connections of the one before, in either family', async t => {
  const C = vm('nv6'), acls = [C.ca, C.ca6].flatMap((local): Acl[] => [{ direction: 'inbound', action: 'deny', local }, { direction: 'outbound', action: 'allow', stateful: true, local }]);
  const lab = withAcls(...acls);
  const without = makeConfig((_config, red) => { red.acls = acls; red.records = red.records.filter(record => record['mac'] !== C.mac); });
  for (const [near, far] of [[C.ca, B.ca], [C.ca6, B.ca6]]) t.equal(fromVm(lab, C, udp(near, 5000, far, 53)), 'forwarded');
  t.equal(beside(lab, C, A, udp(LINK_BESIDE, 5000, LINK_A, 53)), 'forwarded', 'of which entries about a CA say nothing');
  lab.reload(without);
  t.same(lab.gateway.context.revoked.take().notes.filter(({ kind }) => kind === RevokedKind.connection).map(({ why }) => why), [Why.record, Why.record]);
  lab.reload(makeConfig((_config, red) => { red.acls = acls; }));
  for (const [near, far] of [[C.ca, B.ca], [C.ca6, B.ca6]]) t.equal(fromVm(lab, B, udp(far, 53, near, 5000)), 'acl_denied');
  t.equal(lab.gateway.context.connections.count, 0);
  t.same(lab.imbalances(), []);
});
