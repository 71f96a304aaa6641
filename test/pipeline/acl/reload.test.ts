/** What a reload revokes: exactly the live flows that the new policy forbids, each listed once with its reason; the rest go on, by the new way. */
import t from 'tap';
import { expectSent } from '../../support/expect.js';
import { RevokedKind, WHY_WORDS } from '../../../pipeline/tables/revoked.js';
import { countFast } from '../../support/fast-count.js';
import { ethernet, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { FAR, FAR6, GATEWAY_MAC, HQ_KEY, RED_POOL, atHost, atPeer, atVm, fromHost, fromSite, fromUplink, fromVm, makeConfig, makeWorld, vm, type WorldChange } from '../../support/world.js';

const A = vm('nv4'), B = vm('vx4', 'db');
const SYN = 2, ACK = 16;
const KIND_NAMES = Object.fromEntries(Object.entries(RevokedKind).map(([name, kind]) => [kind, name]));

/** What was revoked since the last call, in words: kind, local end, remote end, why, rule. */
function revoked(lab: Lab): string[] {
  const { revoked: list, policy } = lab.gateway.context;
  for (const other of lab.gateways) if (other !== lab.gateway) other.context.revoked.take();
  const { notes, lost } = list.take();
  t.equal(lost, 0);
  return notes.map(({ kind, ends, why, rule, at }) => {
    t.equal(at, Math.floor(lab.now / 1000));
    const end = (words: readonly number[], port: number): string => `${words[0] === 0 && words[1] === 0 ? [24, 16, 8, 0].map(shift => words[3] >>> shift & 0xff).join('.') : words.map(word => (word >>> 0).toString(16)).join(':')}:${port}`;
    const names = `${end([ends.local0, ends.local1, ends.local2, ends.local3], ends.localPort)} ${end([ends.remote0, ends.remote1, ends.remote2, ends.remote3], ends.remotePort)}`;
    return `${KIND_NAMES[kind]} ${ends.protocol} ${names}: ${WHY_WORDS[why]}${rule < 0 ? '' : `, ${policy.rules.names[rule]}`}`;
  }).sort();
}

const deny = (rest: object): object => ({ action: 'deny', name: 'no', ...rest });
const stateful = (rest: object = {}): object => ({ action: 'allow', direction: 'outbound', stateful: true, weight: 10, name: 'out', ...rest });
const withAcls = (...acls: object[]): WorldChange => (_config, red) => { red.acls = acls as Record<string, unknown>[]; };

/** The outside port of A's inside one. */
function portOf(lab: Lab, port: number): number {
  const { nat } = lab.gateway.context;
  const session = [...nat.sessions()].find(at => nat.sessionInsidePort(at) === port);
  return session === undefined ? 0 : nat.sessionOutsidePort(session);
}

/** A flow of every kind, established. */
function withFlows(change?: WorldChange): Lab {
  const lab = makeWorld(change);
  const all = [
    fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, portOf(lab, 5000))),
    fromVm(lab, A, udp(A.ca, 5001, B.ca, 53)), fromVm(lab, B, udp(B.ca, 53, A.ca, 5001)),
    fromVm(lab, A, udp(A.ca, 5002, '192.168.50.9', 53)), fromSite(lab, HQ_KEY, udp('192.168.50.9', 53, A.ca, 5002)),
    fromVm(lab, A, udp(A.ca, 5003, '172.16.0.9', 53)),
    fromUplink(lab, 'inet', udp(FAR, 999, RED_POOL, 5353)), // to vx4, by a mapping
  ];
  t.same(all, all.map(() => 'forwarded'));
  lab.take();
  return lab;
}

t.test('the same config again revokes and lists nothing, with state and without', async t => {
  for (const change of [withAcls(), withAcls(stateful(), deny({ direction: 'inbound', local: A.ca }))]) {
    const lab = withFlows(change);
    const { connections } = lab.gateway.context, before = connections.count;
    t.equal(lab.reload(makeConfig(change)), 0);
    t.same(revoked(lab), []);
    t.equal(connections.count, before);
    t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, portOf(lab, 5000))), 'forwarded');
    t.equal(fromSite(lab, HQ_KEY, udp('192.168.50.9', 53, A.ca, 5002)), 'forwarded');
    t.same(lab.imbalances(), []);
  }
});

t.test('an ACL that denies revokes what it denies, by the end that opened it, and nothing else', async t => {
  const cases: [string, object, string[]][] = [
    ['outbound to the Internet', { direction: 'outbound', remote: `${FAR}/32`, protocol: 'udp', remotePort: 53 }, [`session 17 ${A.ca}:5000 ${FAR}:53: an ACL entry denies it, no`]],
    ['inbound from the Internet: a session that the VM opened goes on', { direction: 'inbound', remote: `${FAR}/32`, protocol: 'udp', remotePort: 53 }, []],
    ['inbound by the mapping', { direction: 'inbound', remote: `${FAR}/32`, protocol: 'udp', remotePort: 999 }, [`session 17 10.0.0.12:53 ${FAR}:999: an ACL entry denies it, no`]],
    ['outbound of the mapped VM: a session that was opened from outside goes on', { direction: 'outbound', local: '10.0.0.12' }, []],
    ['out to the other subnet', { direction: 'outbound', local: A.ca, remote: B.ca }, [`flow 17 ${A.ca}:5001 ${B.ca}:53: an ACL entry denies it, no`]],
    ['in from the other subnet', { direction: 'inbound', local: B.ca }, [`flow 17 ${A.ca}:5001 ${B.ca}:53: an ACL entry denies it, no`]],
    ['in from the site', { direction: 'inbound', remote: '192.168.50.0/24' }, [`flow 17 192.168.50.9:53 ${A.ca}:5002: an ACL entry denies it, no`]],
    ['out to the physical network', { direction: 'outbound', remote: '172.16.0.0/12' }, [`flow 17 ${A.ca}:5003 172.16.0.9:53: an ACL entry denies it, no`]],
    ['TCP, of which there is none', { direction: 'outbound', protocol: 'tcp' }, []],
  ];
  for (const [name, rule, wanted] of cases) {
    const lab = withFlows();
    lab.reload(makeConfig(withAcls(deny(rule))));
    t.same(revoked(lab), wanted, name);
    t.same(lab.imbalances(), []);
  }
});

t.test('routes and records: what leads elsewhere goes on there, what leads nowhere is revoked', async t => {
  const cases: [string, WorldChange, string[]][] = [
    ['the site’s route is gone', (_config, red) => { red.routes = red.routes.filter(route => route['prefix'] !== '192.168.50.0/24'); }, [`flow 17 ${A.ca}:5002 192.168.50.9:53: no route that way any more`]],
    ['the site’s prefix is gone', (_config, red) => {
      red.sites[0]['prefixes'] = ['192.168.51.0/24', '2001:db8:50::/48'];
      red.routes = red.routes.filter(route => route['prefix'] !== '192.168.50.0/24');
    }, [`flow 17 192.168.50.9:53 ${A.ca}:5002: no route that way any more`, `flow 17 ${A.ca}:5002 192.168.50.9:53: no route that way any more`]],
    ['dropped', (_config, red) => { red.routes.push({ prefix: '172.16.0.0/24', via: 'drop' }); }, [`flow 17 ${A.ca}:5003 172.16.0.9:53: no route that way any more`]],
    ['the physical network, by a site', (_config, red) => {
      red.sites[1]['prefixes'] = ['192.168.60.0/24', '172.16.0.0/24'];
      red.routes.push({ prefix: '172.16.0.0/24', via: 'site:lab' });
    }, []],
    ['B is gone', (_config, red) => { red.records = red.records.filter(record => record['ca'] !== B.ca); }, [`flow 17 ${A.ca}:5001 ${B.ca}:53: nobody has the inside address any more`, `flow 17 ${B.ca}:53 ${A.ca}:5001: nobody has the inside address any more`]],
    ['B has moved', (_config, red) => { for (const record of red.records) if (record['mac'] === B.mac) record['host'] = 'nv4'; }, []],
    ['a pool address', (_config, red) => { if (red.nat) Object.assign(red.nat, { pool: ['203.0.113.11'], mappings: [] }); }, [
      `session 17 10.0.0.12:53 ${FAR}:999: outside address is not in the tenant's pool any more`, `session 17 ${A.ca}:5000 ${FAR}:53: outside address is not in the tenant's pool any more`,
    ]],
    ['a mapping', (_config, red) => { if (red.nat) red.nat.mappings = []; }, [`session 17 10.0.0.12:53 ${FAR}:999: static mappings changed`]],
  ];
  for (const [name, change, wanted] of cases) {
    const lab = withFlows();
    lab.reload(makeConfig(change));
    t.same(revoked(lab), wanted.sort(), name);
    t.same(lab.imbalances(), []);
  }
  const gone = withFlows();
  gone.reload(makeConfig(config => { config.tenants.splice(0, 1); }));
  t.ok(revoked(gone).every(line => line.endsWith('tenant is gone')));
});

t.test('connections: the entry that opened them may change its name, its place and its timeout; when none would open them they go', async t => {
  const before = withAcls(stateful({ idleTimeout: 100 }), deny({ direction: 'inbound', local: A.ca, name: 'closed' }));
  const open = (): Lab => {
    const lab = makeWorld(before);
    fromVm(lab, A, tcp(A.ca, 7000, B.ca, 80, SYN)); fromVm(lab, B, tcp(B.ca, 80, A.ca, 7000, SYN | ACK)); fromVm(lab, A, tcp(A.ca, 7000, B.ca, 80, ACK));
    fromVm(lab, A, udp(A.ca6, 7001, FAR6, 53));
    t.equal(lab.gateway.context.connections.count, 2);
    lab.take();
    return lab;
  };
  const data = (lab: Lab): string => fromVm(lab, B, tcp(B.ca, 80, A.ca, 7000, ACK, 'x'));

  const renamed = open();
  renamed.reload(makeConfig(withAcls({ action: 'allow', direction: 'inbound', protocol: 'icmp' }, deny({ direction: 'inbound', local: A.ca, name: 'closed' }), stateful({ name: 'other', idleTimeout: 50, protocol: 'tcp' }), stateful({ protocol: 'udp', weight: 5 }))));
  t.same(revoked(renamed), []);
  t.equal(data(renamed), 'forwarded');
  renamed.now += 50_000;
  t.equal(data(renamed), 'acl_denied', 'the new timeout');

  const narrowed = open();
  narrowed.reload(makeConfig(withAcls(stateful({ protocol: 'udp' }), deny({ direction: 'inbound', local: A.ca, name: 'closed' }), deny({ direction: 'outbound', local: A.ca }))));
  t.same(revoked(narrowed).filter(line => line.startsWith('connection')), [`connection 6 ${A.ca}:7000 ${B.ca}:80: an ACL entry denies it, no`]);
  t.equal(narrowed.gateway.context.connections.count, 1);
  t.equal(data(narrowed), 'acl_denied');

  const stateless = open();
  stateless.reload(makeConfig(withAcls(deny({ direction: 'inbound', local: A.ca, name: 'closed' }))));
  t.ok(revoked(stateless).includes(`connection 6 ${A.ca}:7000 ${B.ca}:80: no stateful ACL entry allows it any more`));

  const opened = open();
  opened.reload(makeConfig());
  t.same(revoked(opened), [], 'nothing is forbidden any more, so nothing is revoked');
  t.equal(opened.gateway.context.connections.count, 0, 'though nothing is remembered either');
  t.equal(data(opened), 'forwarded');
  for (const lab of [renamed, narrowed, stateless, opened]) t.same(lab.imbalances(), []);
});

t.test('entries that become stateful under traffic cut nothing: live flows get their connections, NAT or not, whichever end speaks first', async t => {
  const closed = withAcls(stateful(), deny({ direction: 'inbound', local: A.ca, name: 'closed' }));
  for (const first of ['A', 'the other end'] as const) {
    const lab = withFlows();
    for (const [far, port] of [[B.ca, 7000], [FAR, 7001], ['192.168.50.9', 7002]] as const) fromVm(lab, A, tcp(A.ca, port, far, 80, SYN));
    const back = (flags: number): string[] => [
      fromVm(lab, B, tcp(B.ca, 80, A.ca, 7000, flags)), fromUplink(lab, 'inet', tcp(FAR, 80, RED_POOL, portOf(lab, 7001), flags)), fromSite(lab, HQ_KEY, tcp('192.168.50.9', 80, A.ca, 7002, flags)),
    ];
    const on = (): string[] => [B.ca, FAR, '192.168.50.9'].map((far, i) => fromVm(lab, A, tcp(A.ca, 7000 + i, far, 80, ACK, 'x')));
    const udpOn = (): string[] => [
      fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, portOf(lab, 5000))), fromVm(lab, B, udp(B.ca, 53, A.ca, 5001)), fromSite(lab, HQ_KEY, udp('192.168.50.9', 53, A.ca, 5002)),
    ];
    back(SYN | ACK); on();
    lab.reload(makeConfig(closed));
    t.same(revoked(lab), []);
    const said = first === 'A' ? [...on(), ...back(ACK)] : [...back(ACK), ...on()];
    t.same(said, said.map(() => 'forwarded'), `${first} first`);
    t.same(udpOn(), ['forwarded', 'forwarded', 'forwarded']);
    t.equal(fromVm(lab, B, tcp(B.ca, 80, A.ca, 7009, SYN)), 'acl_denied');
    t.equal(fromVm(lab, A, tcp(A.ca, 7009, B.ca, 80, ACK)), 'acl_tcp_no_connection', 'what was not there before is not taken for it');
    t.same(lab.imbalances(), []);
  }
});

t.test('design §7: a kept flow goes the new way with its next packet: another host, another encapsulation, a smaller MTU; on the fast path as before', async t => {
  for (const acls of [withAcls(), withAcls(stateful(), deny({ direction: 'inbound', local: A.ca }))]) {
    const lab = makeWorld(acls);
    countFast(lab.gateway);
    const moved: WorldChange = (config, red, blue) => {
      acls(config, red, blue);
      for (const record of red.records) if (record['ca'] === B.ca || record['ca'] === B.ca6) record['host'] = 'nvp';
    };
    const out = (payload = 'x'): string => fromVm(lab, A, udp(A.ca, 5000, B.ca, 53, payload));
    const twice = (): void => { for (let i = 0; i < 3; i++) t.equal(out(), 'forwarded'); };
    twice();
    t.same(lab.take(), Array(3).fill(atVm(B, udp(A.ca, 5000, B.ca, 53, 'x', { ttl: 63 }))));
    lab.reload(makeConfig(moved));
    twice();
    t.same(lab.take(), Array(3).fill(atHost('nvp', B.vsid, ethernet(B.mac, GATEWAY_MAC, udp(A.ca, 5000, B.ca, 53, 'x', { ttl: 63 })))), 'to the other host, in its encapsulation');
    t.equal(fromHost(lab, 'nvp', B.vsid, ethernet(GATEWAY_MAC, B.mac, udp(B.ca, 53, A.ca, 5000))), 'forwarded', 'and back from there');
    t.equal(fromVm(lab, B, udp(B.ca, 53, A.ca, 5000)), 'spoofed_source', 'no longer from where it was');
    lab.take();
    const small: WorldChange = (config, red, blue) => {
      moved(config, red, blue);
      for (const host of config.hosts) if (host['name'] === 'nvp') Object.assign(host, { mtu: 1400 });
    };
    lab.reload(makeConfig(small));
    t.equal(out('y'.repeat(1340)), 'forwarded');
    t.equal(lab.take().length, 2, 'cut for the smaller MTU');
    twice();
    lab.take();
    t.ok(countFast(lab.gateway) >= 4, `${countFast(lab.gateway)} by the fast path`);
    t.same(revoked(lab), []);
    t.same(lab.imbalances(), []);
  }
  const nat = withFlows();
  nat.reload(makeConfig((_config, red) => { for (const record of red.records) if (record['ca'] === A.ca || record['ca'] === A.ca6) record['host'] = 'vxp'; }));
  t.equal(fromUplink(nat, 'inet', udp(FAR, 53, RED_POOL, portOf(nat, 5000))), 'forwarded');
  t.same(nat.take(), [atHost('vxp', A.vsid, ethernet(A.mac, GATEWAY_MAC, udp(FAR, 53, A.ca, 5000, '', { ttl: 63 })))]);
  t.equal(fromHost(nat, 'vxp', A.vsid, ethernet(GATEWAY_MAC, A.mac, udp(A.ca, 5000, FAR, 53))), 'forwarded');
  expectSent(t, nat, [atPeer('inet', udp(RED_POOL, portOf(nat, 5000), FAR, 53, '', { ttl: 63 }))], 'the same binding');
  t.same(revoked(nat), []);
});
