import t from 'tap';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { claimPorts } from '../../daemon/control/port-claim.js';
import type { Listen } from '../../daemon/worker/messages.js';
import { makeSharedSocket, whyNotShared } from '../../daemon/worker/reuse-port.js';
import { bindSocket } from '../../daemon/worker/sockets.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { causeway, ConfigFolder, Daemon, labConfig, openPeers, until, type Peer } from './daemon.js';

const at = (port: number): Listen => ({ side: Side.both, carrier: Carrier.gre, family: 4, address: '127.0.0.1', port });

t.test('a port that another program shares is not free, though sockets that share could join it', async t => {
  const other = makeSharedSocket(4);
  await bindSocket(other, '127.0.0.1', 0);
  const { port } = other.address();
  await t.rejects(claimPorts([at(0), at(port)]), new RegExp(`cannot bind 127\\.0\\.0\\.1 port ${port}: another program has it`));
  other.close();
  const claim = await claimPorts([at(port)]);
  claim.release();
});

t.test('what is claimed can be bound, and not claimed again until it is released', async t => {
  if (process.platform !== 'linux') {
    t.pass('not to be tested here: only Linux has names that vanish with their process, and kernel mode');
    return;
  }
  const claim = await claimPorts([at(0), { ...at(0), carrier: Carrier.vxlan }]);
  const ports = claim.listen.map(({ port }) => port);
  t.ok(ports.every(port => port > 0), 'ports in place of 0');
  t.not(ports[0], ports[1]);
  t.match(claim.listen, [{ carrier: Carrier.gre }, { carrier: Carrier.vxlan }]);

  const sentence = new RegExp(`^cannot bind 127\\.0\\.0\\.1 port ${ports[1]}: another causeway is there, or is just about to be \\(EADDRINUSE\\)$`);
  const free = await claimPorts([at(0)]);
  await t.rejects(claimPorts([...free.listen.map(listen => ({ ...listen, address: '127.0.0.2' })), at(ports[1])]), sentence, 'before a worker is there');
  free.release();
  await claimPorts(free.listen.map(listen => ({ ...listen, address: '127.0.0.2' }))).then(again => again.release(), () => t.fail('what a refused claim had is free again'));
  const worker = makeSharedSocket(4);
  await t.resolves(bindSocket(worker, '127.0.0.1', ports[1]));
  worker.close();
  await t.rejects(claimPorts([at(ports[1])]), sentence, 'and when one has died');

  claim.release();
  (await claimPorts([at(ports[1])])).release();
});

t.test('of several claims at once one gets the port, and a program that has the TCP port of the number does not matter', async t => {
  const tcp = createServer();
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  t.teardown(() => tcp.close());
  const { port } = tcp.address() as AddressInfo;
  const claims = await Promise.allSettled(Array.from({ length: 4 }, () => claimPorts([at(port)])));
  const got = claims.filter(claim => claim.status === 'fulfilled');
  t.equal(got.length, 1, JSON.stringify(claims));
  for (const { value } of got) value.release();
});

t.test('kernel mode: of daemons that start at the same moment on the same ports exactly one runs', async t => {
  const obstacle = await whyNotShared(4, '127.0.0.1');
  if (obstacle !== null) {
    t.pass(`not to be tested here: ${obstacle}`);
    return;
  }
  const peers = await openPeers();
  t.teardown(() => { for (const peer of Object.values(peers) as Peer[]) peer.close(); });
  const claim = await claimPorts([at(0), at(0)]);
  claim.release();
  const [grePort, vxlanPort] = claim.listen.map(({ port }) => port);
  const folders = [0, 1].map(() => {
    const config = labConfig(peers);
    Object.assign(config.gateway, { workers: 2, rss: { mode: 'kernel' }, grePort, vxlanPort });
    return new ConfigFolder(config);
  });
  t.teardown(() => { for (const folder of folders) folder.remove(); });
  const daemons = await Promise.allSettled(folders.map(folder => Daemon.start(folder)));
  const up = daemons.filter(daemon => daemon.status === 'fulfilled');
  const refused = daemons.filter(daemon => daemon.status === 'rejected');
  for (const { value } of up) t.teardown(() => value.end('SIGKILL'));
  t.equal(up.length, 1);
  t.match((refused[0]?.reason as Error).message, /cannot bind 127\.0\.0\.1 port \d+: another (?:program|causeway)/);

  // And one that comes later, when only the port that was open in the config is known.
  const late = labConfig(peers);
  Object.assign(late.gateway, { workers: 2, rss: { mode: 'kernel' }, grePort: up[0].value.port('gre') });
  const folder = new ConfigFolder(late);
  t.teardown(() => folder.remove());
  const { code, out } = await causeway(['run', folder.file]);
  t.equal(code, 1);
  t.match(out, /cannot bind/);
  await until('its end', async () => await up[0].value.end() === 0 || undefined);
});
