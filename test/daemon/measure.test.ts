import t from 'tap';
import type { RulesAnswer } from '../../daemon/control/admin.js';
import { causeway, ConfigFolder, Daemon, fromA, labConfig, openPeers, type Peer } from './daemon.js';
import { udp } from '../support/frames.js';

const SERVER = '198.51.100.7', VM = '10.0.0.5';
const PACKETS = 5, LEN = 20 + 8 + 3;

t.test('a running daemon measures every packet of a flow, over a reload, and says so in metrics and in show rules', async t => {
  const peers = await openPeers();
  const config = labConfig(peers);
  const [red] = config.tenants as Record<string, unknown>[];
  const dns = { name: 'dns', action: 'measure', direction: 'outbound', protocol: 'udp', remotePort: 53, weight: 20 };
  red.acls = [{ name: 'allow-dns', action: 'allow', direction: 'outbound', protocol: 'udp', remotePort: 53 }, dns];
  const folder = new ConfigFolder(config);
  t.teardown(() => {
    for (const peer of Object.values(peers) as Peer[]) peer.close();
    folder.remove();
  });
  const daemon = await Daemon.start(folder);
  t.teardown(() => daemon.end('SIGKILL'));
  const send = async (): Promise<void> => {
    for (let i = 0; i < PACKETS; i++) {
      peers.hostA.send(fromA(udp(VM, 5000, SERVER, 53, 'abc')), daemon.port('gre'));
      await peers.inet.take();
    }
  };

  await send();
  const { rules } = await daemon.ask<RulesAnswer>('/v1/rules?tenant=red');
  t.match(rules, [
    { tenant: 'red', name: 'dns', action: 'measure', weight: 20, remote: 'any port 53', packets: PACKETS, bytes: PACKETS * LEN },
    { name: 'allow-dns', action: 'allow', packets: 1, bytes: LEN },
  ], 'the first packet alone asked the entry that allows');
  const before = await daemon.metrics();
  t.equal(before.get('causeway_rule_packets_total{tenant="red",rule="dns"}'), PACKETS);
  t.equal(before.get('causeway_rule_bytes_total{tenant="red",rule="dns"}'), PACKETS * LEN);
  t.equal([...before.keys()].filter(name => name.startsWith('causeway_rule_packets_total')).length, 1, 'of rules that measure only');

  red.acls = [dns];
  folder.write(config);
  daemon.child.kill('SIGHUP');
  await daemon.line('config reloaded');
  await send();
  const after = await daemon.metrics();
  t.equal(after.get('causeway_rule_packets_total{tenant="red",rule="dns"}'), 2 * PACKETS);
  const shown = await causeway(['show', 'rules', '--socket', folder.socket, '--tenant', 'red']);
  t.match(shown.out, /^tenant +direction +weight +rule +action +protocol +local +remote +packets +bytes +line\nred +outbound +20 +dns +measure +UDP +any +any port 53 +10 +310 B +\d+\n$/);
  t.equal(await daemon.end('SIGTERM'), 0);
});
