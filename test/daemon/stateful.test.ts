/** Stateful rules in a running daemon: what is remembered is shown, what a reload ends is listed, once, in the log too. */
import t from 'tap';
import { listConnections } from '../../daemon/control/connections.js';
import type { Logger } from '../../daemon/control/log.js';
import { RevokedFlows } from '../../daemon/control/revoked.js';
import { Overseer } from '../../pipeline/gateway.js';
import { Policy } from '../../pipeline/policy.js';
import { Revoked, RevokedKind, Why, makeRevokedMemory } from '../../pipeline/tables/revoked.js';
import type { ConnectionsAnswer, RevokedAnswer } from '../../daemon/control/admin.js';
import { gre, tcp, udp, words } from '../support/frames.js';
import { fromVm, makeWorld, vm } from '../support/world.js';
import { ConfigFolder, Daemon, causeway, fromA, labConfig, openPeers } from './daemon.js';

const A = vm('nv4'), B = vm('vx4', 'db');
const SYN = 2, ACK = 16;

t.test('connections are listed with their rule and its line, both families, whoever writes the table', async t => {
  const lab = makeWorld((_config, red) => {
    red.acls = [{ direction: 'outbound', action: 'allow', stateful: true, idleTimeout: 100, name: 'out' }, { direction: 'inbound', action: 'allow', protocol: 'tcp', localPort: 80, local: B.ca, stateful: true, idleTimeout: 50, name: 'web' }];
  });
  fromVm(lab, A, tcp(A.ca, 5000, B.ca, 80, SYN));
  lab.now += 10_000;
  fromVm(lab, B, tcp(B.ca, 80, A.ca, 5000, SYN | ACK));
  fromVm(lab, A, udp(A.ca6, 5001, B.ca6, 53));
  lab.now += 5000;
  const { policy } = lab.gateway.context;
  const list = (filter: object = {}) => listConnections(new Overseer(lab.state).connections, policy, id => ['-', 'red', 'blue'][id], { limit: 100, ...filter }, lab.now);
  const of = (proto: string, local: string) => list().connections.find(one => one.proto === proto && one.local.address === local);
  t.equal(list().matching, 3);
  t.match(of('tcp', A.ca), { tenant: 'red', local: { port: 5000 }, remote: { address: B.ca, port: 80 }, openedBy: 'local', state: 'answered', rule: 'out', ageSeconds: 15, expiresInSeconds: 95 });
  t.match(of('tcp', B.ca), { local: { port: 80 }, remote: { address: A.ca, port: 5000 }, openedBy: 'remote', state: 'answered', rule: 'web', ageSeconds: 15, expiresInSeconds: 45 });
  t.match(of('udp', A.ca6), { remote: { address: B.ca6, port: 53 }, state: 'one-way', ageSeconds: 5, expiresInSeconds: 95 });
  t.equal(list({ tenant: 2 }).matching, 0);
  t.equal(list({ ca: words(A.ca6) }).matching, 1);
  t.equal(list({ ca: words(A.ca) }).matching, 1);
  t.equal(list({ port: 80 }).matching, 2);
  t.match([list({ limit: 1 }).connections.length, list({ limit: 1 }).matching], [1, 3]);
  lab.now += 60_000;
  t.same(list().connections.map(one => one.local.address).sort(), [A.ca6, A.ca].sort(), 'B’s time is up, reaped or not');
  const other = new Policy({ ...policy.data, generation: 2 });
  t.equal(listConnections(new Overseer(lab.state).connections, other, String, { limit: 1 }, lab.now).connections[0].rule, null, 'of an earlier policy');
});

function noted() {
  const memory = makeRevokedMemory(), said: Record<string, unknown>[] = [];
  const log = { info: (fields: Record<string, unknown>) => { said.push(fields); } } as unknown as Logger;
  const lab = makeWorld((_config, red) => { red.acls = [{ direction: 'outbound', action: 'deny', name: 'no' }]; });
  const writer = new Revoked(memory), flows = new RevokedFlows(new Revoked(memory), log), policy = lab.gateway.context.policy.data;
  const ends = (port: number, swapped = false) => {
    const both = { protocol: 17, localPort: port, remotePort: 53, adapter: 0, local0: 0, local1: 0, local2: 0xffff, local3: 0x0a000005, remote0: 0, remote1: 0, remote2: 0xffff, remote3: 0x08080808 };
    return swapped ? { ...both, localPort: 53, remotePort: port, local3: both.remote3, remote3: both.local3 } : both;
  };
  return { writer, policy, said, ends, take: () => flows.take(policy, id => ['-', 'red'][id]), list: (tenant?: number) => flows.list(tenant), memory };
}

t.test('what was revoked is listed once a conversation, the latest first, with rule and line; a tenant sees its own', async t => {
  const { writer, policy, said, ends, take, list } = noted();
  writer.note(RevokedKind.session, 1, ends(5000), Why.acl, policy.generation, 0, 1_700_000_000, 0xcb00710a, 40_000);
  writer.note(RevokedKind.connection, 1, ends(5000), Why.acl, policy.generation, 0, 1_700_000_000);
  writer.note(RevokedKind.flow, 1, ends(5000, true), Why.route, policy.generation, -1, 1_700_000_001);
  writer.note(RevokedKind.flow, 1, ends(5001), Why.route, policy.generation, -1, 1_700_000_001);
  t.equal(take(), 2);
  t.equal(take(), 0);
  t.match(list(), { total: 2, revoked: [
    { kind: 'flow', local: { address: '10.0.0.5', port: 5001 }, remote: { address: '8.8.8.8', port: 53 }, outside: null, reason: 'no route that way any more', rule: null, line: null, tenant: 'red', proto: 'udp' },
    { kind: 'session', at: '2023-11-14T22:13:20.000Z', local: { port: 5000 }, outside: { address: '203.0.113.10', port: 40_000 }, reason: 'an ACL entry denies it', rule: 'no', line: policy.rules.line[0] },
  ] });
  t.same(said, list().revoked.slice().reverse());
  t.equal(list(2).revoked.length, 0);
  writer.note(RevokedKind.flow, 1, ends(5000), Why.route, policy.generation + 1, 0, 1_700_000_009);
  take();
  t.match(list().revoked[0], { rule: null }, 'of a policy that is not this one');
  t.equal(list().total, 3, 'another reload, another time');
});

t.test('the list is bounded: a thousand are kept, a hundred logged, all are counted; a writer that died midway loses its own note alone', async t => {
  const { writer, policy, said, ends, take, list, memory } = noted();
  for (let i = 0; i < 1500; i++) writer.note(RevokedKind.flow, 1, ends(i), Why.route, policy.generation, -1, 1_700_000_000);
  take();
  t.match([list().total, list().revoked.length, said.length, list().revoked[0].local.port], [1500, 1000, 100, 1499]);
  for (let i = 0; i < 5000; i++) writer.note(RevokedKind.flow, 1, ends(10_000 + i), Why.route, policy.generation, -1, 1_700_000_000);
  take();
  t.match([list().total, list().revoked.length, list().revoked[0].local.port], [6500, 1000, 14_999]);
  Atomics.add(new Int32Array(memory), 0, 1); // taken, and never written
  writer.note(RevokedKind.flow, 1, ends(20_000), Why.route, policy.generation, -1, 1_700_000_000);
  t.equal(take(), 0, 'it may still be written');
  let looks = 1;
  while (take() === 0) if (++looks > 100) break;
  t.equal(list().revoked[0].local.port, 20_000);
  t.ok(looks > 5 && looks < 100, `${looks} looks`);
});

t.test('a running daemon: state by stateful rules, shown and counted; a reload that forbids it says what it ended, and `show revoked` lists it', async t => {
  const peers = await openPeers();
  const lab = labConfig(peers) as ReturnType<typeof labConfig> & { tenants: { acls?: object[] }[] };
  lab.tenants[0].acls = [{ direction: 'inbound', action: 'deny' }, { direction: 'outbound', action: 'allow', stateful: true, name: 'out', idleTimeout: 60 }];
  const config = new ConfigFolder(lab), daemon = await Daemon.start(config);
  t.teardown(async () => { await daemon.end('SIGKILL'); for (const peer of Object.values(peers)) peer.close(); config.remove(); });
  const { hostA, inet } = peers, port = daemon.port('gre');

  hostA.send(fromA(udp('10.0.0.5', 5000, '198.51.100.7', 53, 'question')), port);
  const sent = await inet.take();
  inet.send(gre(udp('198.51.100.7', 53, '203.0.113.10', sent[24] << 8 | sent[25], 'answer')), port);
  await hostA.take();
  inet.send(gre(udp('198.51.100.8', 53, '203.0.113.10', sent[24] << 8 | sent[25], 'uninvited')), port);
  await daemon.received(3);
  t.match(await daemon.ask<ConnectionsAnswer>('/v1/connections'), { matching: 1, connections: [{ tenant: 'red', proto: 'udp', local: { address: '10.0.0.5', port: 5000 }, remote: { address: '198.51.100.7', port: 53 }, state: 'both-ways', rule: 'out' }] });
  const shown = await causeway(['show', 'connections', '--ca', '10.0.0.5', '--socket', config.socket]);
  t.match(shown.out, /^tenant +proto +local.*\nred +udp +10\.0\.0\.5:5000 +198\.51\.100\.7:53 +local +both-ways.* out, line \d+\n$/);
  let metrics = await daemon.metrics();
  t.equal(metrics.get('causeway_acl_connections{tenant="red"}'), 1);
  t.ok((metrics.get('causeway_acl_connections_limit') ?? 0) > 0);
  t.equal(metrics.get('causeway_drops_total{tenant="red",reason="acl_denied"}'), 1);
  t.equal((await causeway(['show', 'revoked', '--socket', config.socket])).out, 'nothing revoked since the start\n');

  lab.tenants[0].acls = [{ direction: 'inbound', action: 'deny' }, { direction: 'outbound', action: 'deny', name: 'shut' }];
  config.write(lab);
  daemon.child.kill('SIGHUP');
  t.match(await daemon.line('config reloaded'), { generation: 2, revokedSessions: 1, revokedConnections: 1, revokedFlows: 0 });
  const lines = daemon.lines.filter(line => line.msg === 'flow revoked');
  t.match(lines, [{ tenant: 'red', kind: 'session', proto: 'udp', local: { address: '10.0.0.5', port: 5000 }, reason: 'an ACL entry denies it', rule: 'shut' }]);
  t.equal(lines.length, 1);
  const { revoked, total } = await daemon.ask<RevokedAnswer>('/v1/revoked?tenant=red');
  t.match([total, revoked.length, revoked[0].rule], [1, 1, 'shut']);
  t.match((await causeway(['show', 'revoked', '--socket', config.socket])).out, /\n\S+Z +2 +red +session +udp +10\.0\.0\.5:5000 +198\.51\.100\.7:53 +203\.0\.113\.10:\d+ +an ACL entry denies it +shut, line \d+\n$/);
  metrics = await daemon.metrics();
  t.equal(metrics.get('causeway_acl_connections{tenant="red"}'), 0);
  t.match(['session', 'connection', 'flow'].map(kind => metrics.get(`causeway_revoked_total{kind="${kind}"}`)), [1, 1, 0]);
  t.equal(await daemon.end(), 0);
});
