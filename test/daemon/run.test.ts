import t, { type Test } from 'tap';
import { existsSync, statSync } from 'node:fs';
import type { DropsAnswer, SessionsAnswer, StatusAnswer, TenantsAnswer } from '../../daemon/control/admin.js';
import { causeway, ConfigFolder, Daemon, fromA, labConfig, openPeers, Peer, type LabConfig, type Peers } from './daemon.js';
import { cut4, echo, gre, udp } from '../support/frames.js';

const SERVER = '198.51.100.7', POOL = '203.0.113.10', VM = '10.0.0.5';
/** Where things are in a GRE packet without key. */
const INNER = 4, SRC = INNER + 12, SPORT = INNER + 20;
const address = (mem: Buffer, at: number): string => mem.subarray(at, at + 4).join('.');

async function lab(t: Test, change: (config: LabConfig) => void = () => {}): Promise<{ daemon: Daemon; folder: ConfigFolder; config: LabConfig; peers: Peers }> {
  const peers = await openPeers();
  const config = labConfig(peers);
  change(config);
  const folder = new ConfigFolder(config);
  t.teardown(() => {
    for (const peer of Object.values(peers) as Peer[]) peer.close();
    folder.remove();
  });
  const daemon = await Daemon.start(folder);
  t.teardown(() => daemon.end('SIGKILL'));
  return { daemon, folder, config, peers };
}

/** A flow from Red's VM to the Internet and back; the outside port it was given. */
async function flow({ daemon, peers }: { daemon: Daemon; peers: Peers }, sport: number): Promise<number> {
  peers.hostA.send(fromA(udp(VM, sport, SERVER, 53, 'question')), daemon.port('gre'));
  const outside = (await peers.inet.take()).readUInt16BE(SPORT);
  peers.inet.send(gre(udp(SERVER, 53, POOL, outside, 'answer')), daemon.port('gre'));
  await peers.hostA.take();
  return outside;
}

t.test('a packet goes from an NVGRE host to the Internet and its answer comes back, and everything that counts says so', async t => {
  const { daemon, folder, peers } = await lab(t, config => { config.gateway.workers = 1; });
  const port = daemon.port('gre');
  peers.hostA.send(fromA(udp(VM, 5000, SERVER, 53, 'question')), port);
  const out = await peers.inet.take();
  t.equal(address(out, SRC), POOL);
  t.equal(out.subarray(-8).toString(), 'question');

  const answer = udp(SERVER, 53, POOL, out.readUInt16BE(SPORT), 'answer');
  peers.inet.send(gre(answer), port);
  const back = await peers.hostA.take();
  t.equal(back.readUInt32BE(4) >>> 8, 5001, 'in its VSID');
  t.equal(back.readUInt16BE(8 + 14 + 20 + 2), 5000, 'to its port');
  t.equal(back.subarray(-6).toString(), 'answer');

  const stranger = await Peer.open();
  t.teardown(() => stranger.close());
  stranger.send(fromA(echo(VM, SERVER, 1)), port);
  await daemon.received(3);

  const metrics = await daemon.metrics();
  const sent = { in: 2, out: 2, bytesIn: 8 + 14 + 36 + 4 + 34, bytesOut: 4 + 36 + 8 + 14 + 34 };
  t.equal(metrics.get('causeway_packets_total{tenant="red",direction="in"}'), sent.in);
  t.equal(metrics.get('causeway_packets_total{tenant="red",direction="out"}'), sent.out);
  t.equal(metrics.get('causeway_bytes_total{tenant="red",direction="in"}'), sent.bytesIn);
  t.equal(metrics.get('causeway_bytes_total{tenant="red",direction="out"}'), sent.bytesOut);
  t.equal(metrics.get('causeway_packet_fates_total{tenant="red",fate="forwarded"}'), 2);
  t.equal(metrics.get('causeway_drops_total{tenant="-",reason="pa_unknown"}'), 1);
  t.equal([...metrics.keys()].filter(name => name.startsWith('causeway_drops_total')).length, 1, 'no drop that did not happen is named');
  t.equal(metrics.get('causeway_nat_sessions{tenant="red"}'), 1);
  t.equal(metrics.get('causeway_nat_bindings'), 1);
  t.equal(metrics.get('causeway_ledger_imbalance'), 0);
  t.equal(metrics.get('causeway_workers'), 1);
  if (process.platform === 'linux') t.equal(metrics.get('causeway_socket_receive_drops_total{carrier="gre",address="127.0.0.1"}'), 0);
  else t.pass('this system does not count what its sockets lose');

  const health = await daemon.fetch('/healthz');
  t.equal(health.status, 200);
  t.match(await health.json(), { status: 'ok', ailments: [], workers: { up: 1, size: 1 }, generation: 1 });
  t.equal((await daemon.fetch('/nowhere')).status, 404);
  t.equal((await daemon.fetch('/metrics', { method: 'POST' })).status, 405);

  const { sessions, matching } = await daemon.ask<SessionsAnswer>('/v1/sessions?tenant=red&ca=10.0.0.5&port=53');
  t.equal(matching, 1);
  t.match(sessions[0], { tenant: 'red', proto: 'udp', inside: { address: VM, port: 5000 }, outside: { address: POOL }, remote: { address: SERVER, port: 53 }, state: '-', mapped: false });
  t.equal((await daemon.ask<SessionsAnswer>('/v1/sessions?port=9')).matching, 0);
  t.match(await daemon.ask<DropsAnswer>('/v1/drops'), { drops: [{ tenant: '-', reason: 'pa_unknown', severity: 'policy', count: 1 }] });
  t.match((await daemon.ask<TenantsAnswer>('/v1/tenants')).tenants.map(({ name, packets }) => [name, packets.in]), [['-', 1], ['red', 2]]);
  await t.rejects(daemon.ask('/v1/tenants?tenant=rod'), { message: 'no tenant rod' });

  const tenants = await causeway(['show', 'tenants', '-c', folder.file]);
  t.equal(tenants.code, 0);
  t.match(tenants.out, /^tenant +in +forwarded +dropped +consumed +held +out +bytes in +bytes out +sessions\n- +1 +0 +1 .*\nred +2 +2 +0 +0 +0 +2 +96 B +96 B +1\n$/);
  const shown = await causeway(['show', 'sessions', '--socket', folder.socket, '--tenant', 'red']);
  t.match(shown.out, /red +udp +10\.0\.0\.5:5000 +203\.0\.113\.10:\d+ +198\.51\.100\.7:53 +- +(?:4m\d\d|5m00)s +\d+s\n/);
  t.match((await causeway(['show', 'drops', '--socket', folder.socket])).out, /- +pa_unknown +policy +1 +Sender is no host, uplink or site\n/);
  t.same(JSON.parse((await causeway(['show', 'drops', '--socket', folder.socket, '--json'])).out), await daemon.ask('/v1/drops'));
  t.match(await causeway(['show', 'drops', '--socket', folder.socket, '--tenant', 'rod']), { code: 1, err: 'causeway: no tenant rod\n' });

  t.equal(statSync(folder.socket).mode & 0o777, 0o600, 'the admin socket is its owner\'s');
  t.equal(await daemon.end('SIGTERM'), 0);
  const drained = await daemon.line('drained');
  t.match(drained, { packets: { in: 3, forwarded: 2, dropped: 1, out: 2 }, drops: { pa_unknown: 1 } });
  t.notOk(existsSync(folder.socket), 'the socket goes with the daemon');
  t.match(await causeway(['show', 'drops', '--socket', folder.socket]), { code: 4, err: `causeway: no daemon answers on ${folder.socket}: there is no such socket\n` });
});

t.test('uplinks on an address of their own: packets go and come there', async t => {
  const uplink = await Peer.open('::1').catch(() => undefined);
  if (uplink === undefined) {
    t.pass('this machine has no IPv6');
    return;
  }
  t.teardown(() => uplink.close());
  const { daemon, peers } = await lab(t, config => {
    Object.assign(config.gateway, { uplinkListen: '::1' });
    config.uplinks[0].pa = `[::1]:${uplink.port}`;
  });
  peers.hostA.send(fromA(udp(VM, 5000, SERVER, 53, 'question')), daemon.port('gre'));
  const out = await uplink.take();
  t.equal(address(out, SRC), POOL);
  uplink.send(gre(udp(SERVER, 53, POOL, out.readUInt16BE(SPORT), 'answer')), daemon.port('gre', '::1'), '::1');
  t.equal((await peers.hostA.take()).subarray(-6).toString(), 'answer');
  t.notOk(daemon.lines.find(line => line.msg === 'ready' && JSON.stringify(line).includes('"uplinks","carrier":"vxlan"')), 'no VXLAN socket there');
  t.match((await daemon.received(2)).packets, { in: 2, forwarded: 2, out: 2 });
});

t.test('an echo to the gateway is consumed and answered, over IPv6 outside too', async t => {
  const host = await Peer.open('::1').catch(() => undefined);
  if (host === undefined) {
    t.pass('this machine has no IPv6');
    return;
  }
  t.teardown(() => host.close());
  const { daemon } = await lab(t, config => {
    config.gateway.listen.push('::1');
    config.hosts[0].pa = `[::1]:${host.port}`;
  });
  host.send(fromA(echo(VM, '10.0.0.1', 7)), daemon.port('gre', '::1'), '::1');
  const reply = await host.take();
  t.equal(address(reply, 8 + 14 + 12), '10.0.0.1');
  t.match((await daemon.received(1)).packets, { in: 1, consumed: 1, out: 1, originated: 1 });
});

t.test('HUP: a good config takes over and sessions it forbids are closed, a bad one is refused, and so is one that needs a restart', async t => {
  const { daemon, folder, config, peers } = await lab(t);
  await flow({ daemon, peers }, 5000);

  folder.write('{ "gateway": { "listen": "127.0.0.1", "lissen": 1 } }');
  daemon.child.kill('SIGHUP');
  const refused = await daemon.line('config refused, the old one stays in force');
  t.match(refused, { level: 'error', generation: 1 });
  t.match((refused.problems as string[]).join('\n'), /gateway\.jsonc:1:39: gateway\.lissen: .*listen/);

  folder.write({ ...config, gateway: { ...config.gateway, grePort: 4754, metrics: '127.0.0.1:9', limits: { ...config.gateway.limits, sessions: 7 } } });
  let seen = daemon.lines.length;
  daemon.child.kill('SIGHUP');
  t.match(await daemon.line('config refused, the old one stays in force', seen), { keys: ['gateway.grePort', 'gateway.metrics', 'gateway.limits'], generation: 1 });

  const outside = await flow({ daemon, peers }, 5001);
  t.ok(outside > 0, 'packets flow on under the old one');

  config.gateway.name = 'renamed';
  config.tenants[0].nat.pool = ['203.0.113.11'];
  folder.write(config);
  seen = daemon.lines.length;
  daemon.child.kill('SIGHUP');
  t.match(await daemon.line('config reloaded', seen), { generation: 2, revokedSessions: 2, tenants: 1 });
  peers.hostA.send(fromA(udp(VM, 5000, SERVER, 53, 'question')), daemon.port('gre'));
  t.equal(address(await peers.inet.take(), SRC), '203.0.113.11');
  const status = await daemon.ask<StatusAnswer>('/v1/status');
  t.match(status, { gateway: 'renamed', config: { generation: 2, reloadFailures: 2 }, ailments: [] });
  t.equal((await daemon.metrics()).get('causeway_config_reload_failures_total'), 2);

  folder.remove();
  seen = daemon.lines.length;
  daemon.child.kill('SIGHUP');
  t.match(await daemon.line('config refused, the old one stays in force', seen), { error: /there is no such file/ });
  t.equal(await daemon.end('SIGINT'), 0);
});

t.test('a send that fails costs that datagram and is counted, and the next one goes out', async t => {
  const { daemon, peers } = await lab(t, config => { config.gateway.workers = 1; });
  // The host of 10.0.0.9 is at the loopback's broadcast address, which a socket may not send to unasked.
  for (let i = 0; i < 3; i++) peers.hostA.send(fromA(udp(VM, 5000 + i, '10.0.0.9', 9)), daemon.port('gre'));
  const line = await daemon.line('send failed');
  t.match(line, { level: 'warn', worker: 0, count: 1 });
  await flow({ daemon, peers }, 6000);
  const metrics = await daemon.metrics();
  t.equal(metrics.get('causeway_packet_fates_total{tenant="red",fate="forwarded"}'), 5, 'handed to the socket is forwarded');
  const errors = [...metrics].filter(([name]) => name.startsWith('causeway_send_errors_total')).reduce((sum, [, n]) => sum + n, 0);
  t.equal(errors, 3);
  t.equal(daemon.lines.filter(({ msg }) => msg === 'send failed').length, 1, 'told once, not for every packet');
  t.match(await (await daemon.fetch('/healthz')).json(), { status: 'ok', ailments: [] });
});

t.test('a socket that is not to be had is a plain sentence and exit 1, and leaves no admin socket behind', async t => {
  const { daemon, folder, config } = await lab(t);
  const { code, out } = await causeway(['run', '-c', folder.file]);
  t.equal(code, 1);
  t.match(out, /"msg":"cannot start"/);
  t.match(out, /another daemon answers there; give this one its own, gateway\.admin\.socket/);

  const second = new ConfigFolder(config);
  t.teardown(() => second.remove());
  config.gateway.grePort = daemon.port('gre');
  second.write(config);
  const taken = await causeway(['run', second.file]);
  t.equal(taken.code, 1);
  t.match(taken.out, new RegExp(`cannot bind 127.0.0.1 port ${config.gateway.grePort}: another program has it`));
  t.notOk(existsSync(second.socket));
  t.equal((await daemon.fetch('/healthz')).status, 200, 'the first one is not disturbed');
});

t.test('TERM: a fragment still on hold has its fate before the totals are told', async t => {
  const { daemon, peers } = await lab(t);
  const [, later] = cut4(udp(VM, 5000, SERVER, 53, new Uint8Array(1000)), 800);
  peers.hostA.send(fromA(later), daemon.port('gre'));
  t.match((await daemon.received(1)).packets, { in: 1, held: 1 });
  t.equal(await daemon.end('SIGTERM'), 0);
  t.match(await daemon.line('drained'), { packets: { in: 1, dropped: 1, held: 0, out: 0 }, drops: { fragment_orphan: 1 } });
});

t.test('a second TERM while draining ends at once, exit 1', async t => {
  const { daemon } = await lab(t);
  // Stopped meanwhile, so that both are there when it looks.
  daemon.child.kill('SIGSTOP');
  daemon.child.kill('SIGTERM');
  daemon.child.kill('SIGINT');
  t.equal(await daemon.end('SIGCONT'), 1);
  await daemon.line('told twice, ending at once');
});

t.test('a config with problems does not start: all of them, exit 3', async t => {
  const folder = new ConfigFolder(labConfig(await dummyPeers(t)));
  t.teardown(() => folder.remove());
  folder.write('{ "gateway": {}, "hosts": 5 }');
  const { code, out, err } = await causeway(['run', '-c', folder.file]);
  t.equal(code, 3);
  t.equal(out, '');
  t.match(err, /gateway\.listen/);
  t.match(err, /hosts/);
  t.match(err, /problems\n$/);
});

async function dummyPeers(t: Test): Promise<Peers> {
  const peers = await openPeers();
  t.teardown(() => { for (const peer of Object.values(peers) as Peer[]) peer.close(); });
  return peers;
}
