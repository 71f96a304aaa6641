import t from 'tap';
import { RuleCounts, listRules, measured } from '../../daemon/control/rules.js';
import { TenantIds, compileConfig } from '../../daemon/tables.js';
import { readConfig } from '../../config/index.js';
import { Tallies } from '../../pipeline/acl/tallies.js';
import type { PolicyData } from '../../pipeline/policy.js';

const MAC = '00:15:5d:00:00:05';
type Acl = Record<string, unknown>;

function makePolicy(ids: TenantIds, generation: number, red: Acl[], of: { subnet?: Acl[]; record?: Acl[]; blue?: Acl[] } = {}): PolicyData {
  const { config, problems } = readConfig(JSON.stringify({
    gateway: { listen: '192.0.2.1' },
    hosts: [{ name: 'host-a', pa: '192.0.2.11', encap: 'nvgre' }],
    tenants: [
      {
        name: 'red', rdid: '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01', acls: red,
        subnets: [{ vsid: 5001, name: 'web', prefix: '10.0.0.0/24', prefix6: '2001:db8:1::/64', acls: of.subnet ?? [] }],
        records: [{ ca: '10.0.0.5', mac: MAC, host: 'host-a', acls: of.record ?? [] }],
      },
      {
        name: 'blue', rdid: '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f02', acls: of.blue ?? [],
        subnets: [{ vsid: 6001, prefix: '10.0.0.0/24' }], records: [{ ca: '10.0.0.5', mac: MAC, host: 'host-a' }],
      },
    ],
  }, null, 1), 'test.jsonc');
  if (config === undefined) throw new Error(JSON.stringify(problems));
  return compileConfig(config, ids, generation, 1);
}

/** Of the policy's rule: worker `worker` has counted a packet of so many bytes. */
function count(policy: PolicyData, worker: number, name: string, bytes: number, tenant = 1): void {
  const { rules, tenants } = policy;
  for (let entry = tenants.ruleFirst[tenant]; entry < tenants.meterEnd[tenant]; entry++) {
    if (rules.names[entry] === name) return new Tallies(policy.tallies, worker).add(rules.tally[entry], bytes);
  }
  throw new Error(`no rule ${name}`);
}

t.test('rules are listed in the order in which they are asked, each once, in words', async t => {
  const ids = new TenantIds(4);
  const policy = makePolicy(ids, 1, [
    { name: 'd', action: 'deny', direction: 'outbound', weight: 5, protocol: 'udp', remotePort: 53, remote: '198.51.100.0/24' },
    { name: 'm', action: 'measure', direction: 'outbound', weight: 5 },
    { name: 'a', action: 'allow', direction: 'outbound', weight: -7, remote: '::/0', protocol: 50 },
    { name: 's', action: 'allow', direction: 'inbound', protocol: 'tcp', localPort: '80-90', stateful: true, idleTimeout: 60, remote: '2001:db8::1' },
    { name: 'mac', action: 'deny', direction: 'inbound', weight: 1, local: MAC, remote: '02-00-00-00-00-01' },
  ], {
    subnet: [{ action: 'deny', direction: 'outbound', weight: 6 }, { name: 'six', action: 'deny', direction: 'inbound', local: '2001:db8:1::5', protocol: 'icmpv6' }],
    record: [{ action: 'allow', direction: 'inbound', weight: 9, protocol: 'tcp', localPort: 22, remote: '198.51.100.9' }],
  });
  count(policy, 0, 'm', 100);
  count(policy, 3, 'm', 50);
  count(policy, 1, 's', 40);
  const rows = listRules(policy, new RuleCounts(policy), [[1, 'red'], [2, 'blue'], [0, '-']]);
  t.same(rows.map(({ line: _, tenant, ...row }) => [tenant, ...Object.values(row)]), [
    // tenant, name, direction, weight, action, idle, protocol, local, remote, packets, bytes
    ['red', 'acl-web-1', 'outbound', 6, 'deny', null, 'any', '10.0.0.0/24 or 2001:db8:1::/64 or link-local', 'any', 0, 0],
    ['red', 'm', 'outbound', 5, 'measure', null, 'any', 'any', 'any', 2, 150],
    ['red', 'd', 'outbound', 5, 'deny', null, 'UDP', 'any', '198.51.100.0/24 port 53', 0, 0],
    ['red', 'a', 'outbound', -7, 'allow', null, 'ESP', '::/0', '::/0', 0, 0],
    ['red', 'acl-10.0.0.5-1', 'inbound', 9, 'allow', null, 'TCP', '10.0.0.5 port 22', '198.51.100.9', 0, 0],
    ['red', 'mac', 'inbound', 1, 'deny', null, 'any', MAC, '02:00:00:00:00:01', 0, 0],
    ['red', 'six', 'inbound', 0, 'deny', null, 'ICMPv6', '2001:db8:1::5', 'any', 0, 0],
    ['red', 's', 'inbound', 0, 'allow', 60, 'TCP', 'any port 80-90', '2001:db8::1', 1, 40],
  ]);
  t.ok(rows.every(({ line }) => line > 10), 'each knows its line');
});

t.test('counts go on over reloads under tenant and name, and are gone with the rule', async t => {
  const ids = new TenantIds(4);
  const measure = (name: string): Acl => ({ name, action: 'measure', direction: 'outbound', weight: name.length });
  const first = makePolicy(ids, 1, [measure('one'), measure('three')], { blue: [measure('one')] });
  const counts = new RuleCounts(first);
  const of = (policy: PolicyData) => Object.fromEntries(measured(policy, counts).map(({ tenant, rule, count: { packets, bytes } }) => [`${tenant} ${rule}`, [packets, bytes]]));
  count(first, 0, 'one', 10);
  count(first, 1, 'three', 30);
  count(first, 1, 'one', 7, 2);
  t.same(of(first), { '1 one': [1, 10], '1 three': [1, 30], '2 one': [1, 7] });

  const second = makePolicy(ids, 2, [measure('three'), measure('four')], { blue: [measure('one')] });
  counts.add(second);
  count(first, 0, 'three', 30); // by a worker that has not changed over yet
  count(second, 1, 'three', 4);
  t.same(of(second), { '1 three': [3, 64], '1 four': [0, 0], '2 one': [1, 7] }, 'while workers change over');
  counts.settle();
  t.same(of(second), { '1 three': [3, 64], '1 four': [0, 0], '2 one': [1, 7] });

  const third = makePolicy(ids, 3, [measure('one'), measure('three')]);
  counts.add(third);
  counts.settle();
  counts.settle();
  count(third, 2, 'three', 1);
  t.same(of(third), { '1 one': [0, 0], '1 three': [4, 65] }, 'a rule that comes back begins anew');
  t.same(measured(makePolicy(ids, 4, []), counts), []);
});
