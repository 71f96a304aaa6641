import t from 'tap';
import { readConfig } from '../../config/index.js';
import { needRestart } from '../../daemon/control/reload.js';
import { stateSizes } from '../../daemon/tables.js';

const BASE = {
  gateway: { listen: ['192.0.2.1'], name: 'gw1', logLevel: 'info' } as Record<string, unknown>,
  hosts: [{ name: 'host-a', pa: '192.0.2.11', encap: 'nvgre' }] as Record<string, unknown>[],
  uplinks: [{ name: 'inet', pa: '192.0.2.20' }],
  tenants: [],
};

function read(change: (config: typeof BASE) => void) {
  const given = structuredClone(BASE);
  change(given);
  const { config, problems } = readConfig(JSON.stringify(given), 'test.jsonc');
  if (config === undefined) throw new Error(JSON.stringify(problems));
  return config;
}

const now = read(() => {});
const changes = [
  ['nothing', () => {}, []],
  ['name and log level', c => { c.gateway.name = 'gw2'; c.gateway.logLevel = 'debug'; }, []],
  ['timers and the MAC', c => { c.gateway.timers = { udp: 120 }; c.gateway.mac = '02:00:00:00:00:02'; }, []],
  ['another host', c => { c.hosts.push({ name: 'host-b', pa: '192.0.2.12', encap: 'vxlan' }); }, []],
  ['a lower MTU', c => { c.gateway.mtu = 1400; }, []],
  ['a listen address', c => { c.gateway.listen = ['192.0.2.1', '192.0.2.2']; }, ['gateway.listen']],
  ['a default written out', c => { c.gateway.grePort = 4754; c.gateway.listen = '192.0.2.1'; }, []],
  ['ports and metrics', c => { c.gateway.grePort = 5000; c.gateway.vxlanPort = 5001; c.gateway.metrics = null; }, ['gateway.grePort', 'gateway.vxlanPort', 'gateway.metrics']],
  ['how datagrams are spread', c => { c.gateway.rss = { mode: 'dispatcher' }; c.gateway.workers = 2; }, ['gateway.workers', 'gateway.rss']],
  ['limits and the admin socket', c => { c.gateway.limits = { sessions: 7 }; c.gateway.admin = { socket: '/tmp/x' }; }, ['gateway.admin', 'gateway.limits']],
  ['the NAT log', c => { c.gateway.natLog = { path: '/var/log/nat' }; }, ['gateway.natLog']],
  ['a host with a larger MTU than any before', c => { c.hosts[0].mtu = 9000; }, ['mtu']],
] as const satisfies readonly (readonly [string, (config: typeof BASE) => void, readonly string[]])[];
for (const [what, change, keys] of changes) {
  t.test(`reload: ${what} ${keys.length === 0 ? 'changes live' : `needs a restart: ${keys.join(', ')}`}`, async t => {
    t.same(needRestart(now.gateway, read(change), stateSizes(now)), keys);
  });
}

t.test('reload: an MTU may rise again to what it was at start', async t => {
  const large = read(c => { c.gateway.mtu = 9000; });
  t.same(needRestart(now.gateway, large, stateSizes(large)), []);
});
