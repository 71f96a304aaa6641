/** ACL entries on customer addresses: order, direction, fields, and that no walk goes round them. */
import t from 'tap';
import { expectLedger } from '../../support/expect.js';
import { echo, ethernet, ip, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { BLUE_KEY, FAR, FAR6, GATEWAY_MAC, HQ_KEY, NAT_PORT, RED_KEY, RED_POOL, fromHost, fromSite, fromUplink, fromVm, makeWorld, vm } from '../../support/world.js';

type Acl = Record<string, unknown>;
const A = vm('nv4'), B = vm('vx4', 'db'), BESIDE = vm('vx4');
const SYN = 2;

function withAcls(...acls: Acl[]): Lab {
  return makeWorld((_config, red) => { red.acls = acls; });
}

t.test('design §5: larger weight first, at equal weight deny before allow, then the order of the file; no match allows', async t => {
  const any = { direction: 'outbound' };
  const cases: [string, Acl[], string, string | null][] = [
    ['no entry', [], 'forwarded', null],
    ['one that does not match', [{ ...any, action: 'deny', protocol: 'tcp' }], 'forwarded', null],
    ['the heavier allow', [{ ...any, action: 'deny', weight: 1, name: 'd' }, { ...any, action: 'allow', weight: 2, name: 'a' }], 'forwarded', 'a'],
    ['the heavier deny', [{ ...any, action: 'allow', weight: 1, name: 'a' }, { ...any, action: 'deny', weight: 2, name: 'd' }], 'acl_denied', 'd'],
    ['equal weight', [{ ...any, action: 'allow', weight: 1, protocol: 'udp', name: 'a' }, { ...any, action: 'deny', weight: 1, name: 'd' }], 'acl_denied', 'd'],
    ['negative weight', [{ ...any, action: 'deny', weight: -5, name: 'd' }, { ...any, action: 'allow', name: 'a' }], 'forwarded', 'a'],
    ['the first of its like', [{ ...any, action: 'deny', protocol: 'udp', name: 'd1' }, { ...any, action: 'deny', name: 'd2' }], 'acl_denied', 'd1'],
    ['an allow in between', [{ ...any, action: 'deny', weight: 1, name: 'd' }, { ...any, action: 'allow', weight: 3, protocol: 'tcp', name: 'a1' }, { ...any, action: 'allow', weight: 2, protocol: 'udp', name: 'a2' }], 'forwarded', 'a2'],
  ];
  for (const [name, acls, wanted, decided] of cases) {
    const lab = withAcls(...acls);
    let rule: string | null = null;
    lab.gateway.observer = { settled: (p, _verdict, c) => { rule = p.rule < 0 ? null : c.policy.rules.names[p.rule]; } };
    t.equal(fromVm(lab, A, udp(A.ca, 1, B.ca, 2)), wanted, name);
    t.equal(rule, decided, `${name}: which one`);
    t.same(lab.imbalances(), []);
  }
});

t.test('wire-facts §9.7: local is the VM’s side: the source outbound, the destination inbound', async t => {
  const cases: [string, Acl, boolean][] = [
    ['outbound, local is the sender', { direction: 'outbound', local: A.ca }, true],
    ['outbound, local is not the receiver', { direction: 'outbound', local: B.ca }, false],
    ['outbound, remote is the receiver', { direction: 'outbound', remote: B.ca }, true],
    ['inbound, local is the receiver', { direction: 'inbound', local: B.ca }, true],
    ['inbound, local is not the sender', { direction: 'inbound', local: A.ca }, false],
    ['inbound, remote is the sender', { direction: 'inbound', remote: A.ca }, true],
    ['outbound ports', { direction: 'outbound', protocol: 'udp', localPort: 1000, remotePort: 2000 }, true],
    ['outbound ports, the other way round', { direction: 'outbound', protocol: 'udp', localPort: 2000 }, false],
    ['inbound ports', { direction: 'inbound', protocol: 'udp', localPort: 2000, remotePort: 1000 }, true],
    ['inbound ports, the other way round', { direction: 'inbound', protocol: 'udp', remotePort: 2000 }, false],
    ['the ends of a range', { direction: 'inbound', protocol: 'udp', localPort: '2000-2000', remotePort: '999-1000' }, true],
    ['beside a range', { direction: 'inbound', protocol: 'udp', localPort: '2001-65535' }, false],
    ['a prefix', { direction: 'inbound', remote: '10.0.0.0/28' }, true],
    ['beside a prefix', { direction: 'inbound', remote: '10.0.0.16/28' }, false],
    ['any IPv4', { direction: 'inbound', remote: '0.0.0.0/0' }, true],
    ['any IPv6 is not IPv4', { direction: 'inbound', remote: '::/0' }, false],
    ['another protocol', { direction: 'inbound', protocol: 'tcp' }, false],
    ['a protocol by number', { direction: 'inbound', protocol: 17 }, true],
  ];
  for (const [name, acl, denied] of cases) {
    const lab = withAcls({ ...acl, action: 'deny' });
    t.equal(fromVm(lab, A, udp(A.ca, 1000, B.ca, 2000)), denied ? 'acl_denied' : 'forwarded', name);
    expectLedger(t, lab, { red: denied ? { acl_denied: 1 } : { forwarded: 1 } });
  }
  const six = withAcls({ direction: 'inbound', action: 'deny', remote: '::/0' });
  t.equal(fromVm(six, A, udp(A.ca6, 1, B.ca6, 2)), 'acl_denied');
  t.equal(fromVm(six, A, udp(A.ca, 1, B.ca, 2)), 'forwarded');
  const both = withAcls({ direction: 'inbound', action: 'deny' });
  t.equal(fromVm(both, A, udp(A.ca6, 1, B.ca6, 2)), 'acl_denied', 'no address means both families');
});

t.test('protocols without ports: an entry with ports passes them by, one without takes them', async t => {
  const gre = ip(A.ca, B.ca, 47, new Uint8Array(8));
  t.equal(fromVm(withAcls({ direction: 'inbound', action: 'deny', protocol: 'tcp', localPort: '1-65535' }), A, gre), 'forwarded');
  t.equal(fromVm(withAcls({ direction: 'inbound', action: 'deny', protocol: 47 }), A, gre), 'acl_denied');
  t.equal(fromVm(withAcls({ direction: 'inbound', action: 'deny', protocol: 'icmp' }), A, echo(A.ca, B.ca, 1)), 'acl_denied');
  t.equal(fromVm(withAcls({ direction: 'inbound', action: 'deny', protocol: 'icmp' }), A, echo(A.ca6, B.ca6, 1)), 'forwarded', 'ICMPv6 is another protocol');
  t.equal(fromVm(withAcls({ direction: 'inbound', action: 'deny', protocol: 'icmpv6' }), A, echo(A.ca6, B.ca6, 1)), 'acl_denied');
});

/** Every walk with a VM at its end, as one packet of TCP to or from port 22. */
const WALKS: [name: string, send: (lab: Lab) => string][] = [
  ['to another subnet', lab => fromVm(lab, A, tcp(A.ca, 22, B.ca, 22, SYN))],
  ['to another subnet, IPv6', lab => fromVm(lab, A, tcp(A.ca6, 22, B.ca6, 22, SYN))],
  ['bridged', lab => fromHost(lab, 'nv4', A.vsid, ethernet(BESIDE.mac, A.mac, tcp(A.ca, 22, BESIDE.ca, 22, SYN)))],
  ['bridged, IPv6', lab => fromHost(lab, 'nv4', A.vsid, ethernet(BESIDE.mac, A.mac, tcp(A.ca6, 22, BESIDE.ca6, 22, SYN)))],
];
const OUT: typeof WALKS = [
  ['to the Internet', lab => fromVm(lab, A, tcp(A.ca, 22, FAR, 22, SYN))],
  ['to the physical network', lab => fromVm(lab, A, tcp(A.ca, 22, '172.16.0.9', 22, SYN))],
  ['to the physical network, IPv6', lab => fromVm(lab, A, tcp(A.ca6, 22, FAR6, 22, SYN))],
  ['to a site', lab => fromVm(lab, A, tcp(A.ca, 22, '192.168.50.9', 22, SYN))],
  ['to the gateway', lab => fromVm(lab, A, tcp(A.ca, 22, A.gateway, 22, SYN))],
];
const IN: typeof WALKS = [
  ['from the Internet, by a mapping', lab => fromUplink(lab, 'inet', tcp(FAR, 22, RED_POOL, 80, SYN))],
  ['from the physical network', lab => fromUplink(lab, 'core', tcp('172.16.0.9', 22, A.ca, 22, SYN), RED_KEY)],
  ['from the physical network, IPv6', lab => fromUplink(lab, 'core', tcp(FAR6, 22, A.ca6, 22, SYN), RED_KEY)],
  ['from a site', lab => fromSite(lab, HQ_KEY, tcp('192.168.50.9', 22, A.ca, 22, SYN))],
];

t.test('design §5: entries hold on every walk, each way: there is none that goes round them', async t => {
  const rule = (direction: string): Acl => ({ direction, action: 'deny', protocol: 'tcp', remotePort: 22 });
  for (const [name, send] of [...WALKS, ...OUT]) {
    const lab = withAcls(rule('outbound'));
    t.equal(send(lab), 'acl_denied', `${name}, denied on the way out of the VM`);
    t.equal(lab.take().length, 0);
    expectLedger(t, lab, { red: { acl_denied: 1 } });
    t.not(send(withAcls()), 'acl_denied', `${name}, without the entry`);
  }
  for (const [name, send] of [...WALKS, ...IN]) {
    const lab = withAcls(rule('inbound'));
    t.equal(send(lab), 'acl_denied', `${name}, denied on the way in to the VM`);
    t.equal(lab.take().length, 0);
    expectLedger(t, lab, { red: { acl_denied: 1 } });
    t.equal(send(withAcls()), 'forwarded', `${name}, without the entry`);
  }
});

t.test('design §5: NAT or not, an entry sees customer addresses and ports, never outside ones', async t => {
  const lab = withAcls({ direction: 'inbound', action: 'deny', protocol: 'tcp', local: A.ca, localPort: 8080 });
  t.equal(fromUplink(lab, 'inet', tcp(FAR, 9, RED_POOL, 80, SYN)), 'acl_denied', 'mapped to 8080');
  const other = withAcls({ direction: 'inbound', action: 'deny', protocol: 'tcp', localPort: 80 }, { direction: 'inbound', action: 'deny', protocol: 'udp', localPort: NAT_PORT });
  t.equal(fromUplink(other, 'inet', tcp(FAR, 9, RED_POOL, 80, SYN)), 'forwarded', '80 is the outside port');
  t.equal(fromVm(other, A, udp(A.ca, 5000, FAR, 53)), 'forwarded');
  t.equal(fromUplink(other, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT)), 'forwarded');
  expectLedger(t, other, { red: { forwarded: 3 } });
});

t.test('design §5: measure, deny, allow at equal weight, whatever they are written under; a subnet’s and a CA’s rules are about them alone', async t => {
  const lab = makeWorld((_config, red) => {
    const [web, db] = red.subnets as Record<string, unknown>[];
    web.acls = [{ name: 'web-out', action: 'deny', direction: 'outbound', protocol: 'udp', remotePort: 1 }, { name: 'web-in', action: 'deny', direction: 'inbound', protocol: 'udp', localPort: 2 }];
    db.acls = [{ name: 'db-in', action: 'deny', direction: 'inbound', protocol: 'udp', localPort: 3, weight: 1 }];
    const own = (red.records as Record<string, unknown>[]).find(record => record.ca === B.ca);
    if (own !== undefined) own.acls = [{ name: 'b-in', action: 'allow', direction: 'inbound', protocol: 'udp', localPort: 3, weight: 2 }];
    red.acls = [];
  });
  const C = vm('nv4', 'db');
  t.equal(fromVm(lab, A, udp(A.ca, 9, B.ca, 1)), 'acl_denied', 'the subnet of the sender');
  t.equal(fromVm(lab, A, udp(A.ca6, 9, B.ca6, 1)), 'acl_denied', 'in both families');
  t.equal(fromVm(lab, B, udp(B.ca, 9, A.ca, 1)), 'forwarded', 'not of another');
  t.equal(fromVm(lab, B, udp(B.ca, 9, A.ca, 2)), 'acl_denied', 'the subnet of the receiver');
  t.equal(fromVm(lab, A, udp(A.ca, 9, B.ca, 2)), 'forwarded');
  t.equal(fromVm(lab, A, udp(A.ca, 9, B.ca, 3)), 'forwarded', 'the CA’s own rule is heavier');
  t.equal(fromVm(lab, A, udp(A.ca, 9, C.ca, 3)), 'acl_denied', 'and is its own');
  t.equal(fromVm(lab, A, udp(A.ca6, 9, B.ca6, 3)), 'acl_denied', 'its other address is another record');
  expectLedger(t, lab, { red: { forwarded: 3, acl_denied: 5 } });
});

t.test('wire-facts §9.7: MACs as the VM sees them: its record’s own, and on the other side the gateway’s where it routes', async t => {
  const cases: readonly (readonly [string, Acl, readonly [routed: boolean, bridged: boolean]])[] = [
    ['outbound, local is the sender', { direction: 'outbound', local: A.mac }, [true, true]],
    ['outbound, local is another', { direction: 'outbound', local: B.mac }, [false, false]],
    ['outbound, remote is the gateway', { direction: 'outbound', remote: GATEWAY_MAC }, [true, false]],
    ['outbound, remote is the neighbor', { direction: 'outbound', remote: BESIDE.mac }, [false, true]],
    ['inbound, local is the receiver that is routed to', { direction: 'inbound', local: B.mac }, [true, false]],
    ['inbound, local is the receiver beside', { direction: 'inbound', local: BESIDE.mac }, [false, true]],
    ['inbound, remote is the gateway', { direction: 'inbound', remote: GATEWAY_MAC }, [true, false]],
    ['inbound, remote is the sender', { direction: 'inbound', remote: A.mac }, [false, true]],
    ['with an address', { direction: 'outbound', local: A.mac, remote: B.ca }, [true, false]],
    ['in capitals and with hyphens', { direction: 'outbound', local: A.mac.toUpperCase().replaceAll(':', '-') }, [true, true]],
  ];
  for (const [name, acl, [routed, bridged]] of cases) {
    const lab = withAcls({ ...acl, action: 'deny' });
    t.equal(fromVm(lab, A, udp(A.ca, 1, B.ca, 2)), routed ? 'acl_denied' : 'forwarded', `${name}, routed`);
    t.equal(fromHost(lab, 'nv4', A.vsid, ethernet(BESIDE.mac, A.mac, udp(A.ca, 1, BESIDE.ca, 2))), bridged ? 'acl_denied' : 'forwarded', `${name}, bridged`);
  }
  const inwards = withAcls({ direction: 'inbound', action: 'deny', local: A.mac, remote: GATEWAY_MAC });
  t.equal(fromUplink(inwards, 'core', udp('172.16.0.9', 1, A.ca, 2), RED_KEY), 'acl_denied', 'from outside it is the gateway, too');
  t.equal(fromUplink(inwards, 'core', udp('172.16.0.9', 1, BESIDE.ca, 2), RED_KEY), 'forwarded');
  t.equal(fromSite(inwards, HQ_KEY, udp('192.168.50.9', 1, A.ca, 2)), 'acl_denied');
  t.equal(fromVm(inwards, B, udp(B.ca6, 1, A.ca6, 2)), 'acl_denied', 'IPv6');
});

t.test('a VM cannot pass for another by the MAC in its frames, not by the fast path either', async t => {
  const lab = withAcls({ direction: 'outbound', action: 'deny', local: A.mac });
  const frame = (mac: string): string => fromHost(lab, 'nv4', A.vsid, ethernet(GATEWAY_MAC, mac, udp(A.ca, 1, B.ca, 2)));
  for (const mac of [A.mac, '00:15:5d:0f:0f:0f', A.mac]) t.equal(frame(mac), 'acl_denied');
  const open = withAcls({ direction: 'outbound', action: 'deny', local: BESIDE.mac });
  for (let i = 0; i < 3; i++) t.equal(fromHost(open, 'nv4', A.vsid, ethernet(GATEWAY_MAC, i === 1 ? BESIDE.mac : A.mac, udp(A.ca, 1, B.ca, 2))), 'forwarded');
});

t.test('entries are one tenant’s own', async t => {
  const lab = withAcls({ direction: 'inbound', action: 'deny' }, { direction: 'outbound', action: 'deny' });
  const blue = vm('nv4', 'web', 'blue'), there = vm('vx4', 'db', 'blue');
  t.equal(fromVm(lab, A, udp(A.ca, 1, B.ca, 2)), 'acl_denied');
  t.equal(fromVm(lab, blue, udp(blue.ca, 1, there.ca, 2)), 'forwarded');
  t.equal(fromUplink(lab, 'core', udp('172.16.0.9', 1, blue.ca, 2), BLUE_KEY), 'forwarded');
  expectLedger(t, lab, { red: { acl_denied: 1 }, blue: { forwarded: 2 } });
});
