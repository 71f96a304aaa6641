import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { readConfig, renderProblem } from '../../config/index.js';
import { configOf, edited, problemsOf } from './base.js';

const EXAMPLES = new URL('../../config/examples/', import.meta.url);

t.test('every example reads without a problem', async t => {
  const names = readdirSync(EXAMPLES).filter(name => name.endsWith('.jsonc'));
  t.same(names.sort(), ['dual-stack.jsonc', 'firewall.jsonc', 'lab-loopback.jsonc', 'linux-hosts.jsonc', 'minimal.jsonc', 'nat.jsonc', 'red-and-blue.jsonc']);
  for (const name of names) {
    const { problems } = readConfig(readFileSync(new URL(name, EXAMPLES), 'utf8'), name);
    t.same(problems.map(p => renderProblem(name, p)), [], name);
  }
});

t.test('the shape the design gives reads as it stands', async t => {
  const config = configOf(`{
  "gateway": { "name": "gw1", "listen": "192.0.2.1", "workers": "auto", "mtu": 1500 },
  "hosts":   [ { "name": "host-a", "pa": "192.0.2.11", "encap": "nvgre" },
               { "name": "host-b", "pa": "192.0.2.12", "encap": "vxlan" } ],
  "uplinks": [ { "name": "inet", "pa": "192.0.2.20" }, { "name": "core", "pa": "192.0.2.21" } ],
  "tenants": [ {
    "name": "red", "rdid": "{6F1C2A70-51D5-4F0E-9A53-2B1D4C7E8F01}",
    "subnets": [ { "vsid": 5001, "prefix": "10.0.0.0/24", "gateway": "10.0.0.1", "hosts": ["host-a", "host-b"] } ],
    "records": [ { "ca": "10.0.0.5", "mac": "00:15:5d:00:00:05", "host": "host-a" } ],
    "routes":  [ { "prefix": "0.0.0.0/0", "via": "nat" }, { "prefix": "192.168.50.0/24", "via": "site:hq" } ],
    "nat":     { "uplink": "inet", "pool": ["203.0.113.10"],
                 "mappings": [ { "proto": "tcp", "external": "203.0.113.10:80", "internal": "10.0.0.5:8080" } ] },
    "sites":   [ { "name": "hq", "pa": "198.51.100.31:4754", "key": 9001, "prefixes": ["192.168.50.0/24"] } ],
    "acls":    [ { "weight": 10, "action": "deny", "direction": "inbound", "protocol": "tcp", "localPort": 22 } ]
  } ]
}`);
  t.match(config.gateway, { line: 2, name: 'gw1', listen: [{ text: '192.0.2.1' }], workers: 'auto', mtu: 1500 });
  t.match(config.hosts, [{ line: 3, name: 'host-a', encap: 'nvgre', flowId: 'zero', mtu: 1500 }, { line: 4, pa: { text: '192.0.2.12', port: 0 }, encap: 'vxlan' }]);
  const [red] = config.tenants;
  t.match(red, { line: 6, name: 'red', rdid: '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01', forward: null });
  t.match(red.subnets, [{ line: 8, vsid: 5001, name: 'vsid-5001', prefixes: [{ prefix: { text: '10.0.0.0/24', bits: 120 }, gateway: { text: '10.0.0.1' } }], hosts: ['host-a', 'host-b'] }]);
  t.match(red.records, [{ line: 9, type: 'static', ca: { words: [0, 0, 0xffff, 0x0a000005] }, mac: { high: 0x0015, low: 0x5d000005 }, host: 'host-a', vsid: 5001 }]);
  t.match(red.routes, [{ metric: 0, via: { kind: 'nat' } }, { via: { kind: 'site', site: 'hq' } }]);
  t.match(red.nat, { uplink: 'inet', key: null, pool: [{ text: '203.0.113.10/32', bits: 128 }] });
  t.match(red.nat?.mappings, [{ line: 12, proto: 'tcp', external: { prefix: { text: '203.0.113.10/32' }, ports: { from: 80, to: 80 } }, internal: { prefix: { text: '10.0.0.5/32' }, ports: { from: 8080, to: 8080 } } }]);
  t.match(red.sites, [{ type: 'gre', pa: { port: 4754 }, key: 9001, mtu: 1500 }]);
  t.match(red.acls, [{ name: 'acl-1', protocol: 6, local: null, remote: null, localPort: { from: 22, to: 22 }, remotePort: null }]);
});

t.test('defaults: what RFCs recommend, and what is derived from other values', async t => {
  const config = configOf(edited({ 'gateway.mtu': 9000, 'hosts[1].mtu': 1500 }));
  t.same({ ...config.gateway, listen: [] }, {
    line: 2, name: 'causeway', listen: [], uplinkListen: [], grePort: 4754, vxlanPort: 4789, mtu: 9000,
    mac: { text: '02:00:00:00:00:01', high: 0x0200, low: 1 }, workers: 'auto', rss: { mode: 'auto', key: 'default', rebalance: true, ringSlots: 1024 }, receiveBuffer: 4194304, sendBuffer: 4194304,
    admin: { socket: null }, metrics: { listen: { text: '127.0.0.1', family: 4, words: [0, 0, 0xffff, 0x7f000001] }, port: 9464 }, natLog: { path: null, maxBytes: 16777216, files: 10 }, logLevel: 'info',
    limits: { tenants: 1024, sessions: 65536, flows: 65536, bindings: 65536, subscribers: 65536, portBlocks: 65536, connections: 65536, records: 1048576, fragments: 4096, heldFragments: 1024 },
    timers: { udp: 300, tcpEstablished: 7440, tcpTransitory: 240, tcpClosing: 240, icmp: 60, fragment: 30, fragmentHold: 2, portBlock: 120 },
    icmpErrors: { perSecond: 100, burst: 50 },
  });
  t.same(config.hosts.map(h => h.mtu), [9000, 1500]);
  t.same(config.uplinks.map(u => u.mtu), [9000, 9000]);
  t.same(config.tenants[0].sites.map(s => s.mtu), [9000]);
});

t.test('HNV: the gateway’s CA is the lowest host address of each prefix, unless it is given', async t => {
  const config = configOf(edited({ 'tenants[0].subnets[0].gateway': '10.0.0.254' }));
  t.same(config.tenants.map(tenant => tenant.subnets.map(s => s.prefixes.map(p => p.gateway.text))), [[['10.0.0.254'], ['10.0.1.1']], [['10.0.0.1', '2001:db8:b::1']]]);
});

t.test('a record’s VSID follows from its CA, and l2only and wildcard records have no CA', async t => {
  const config = configOf(edited({ 'tenants[0].records[3].ca': '0.0.0.0', 'tenants[0].records[4].ca': '::' }));
  t.same(config.tenants[0].records.map(r => [r.type, r.ca?.text ?? null, r.vsid]), [
    ['static', '10.0.0.5', 5001], ['static', '10.0.0.6', 5001], ['static', '10.0.1.7', 5002], ['wildcard', null, 5001], ['l2only', null, 5001],
  ]);
});

t.test('metrics can be switched off, or take a free port', async t => {
  t.equal(configOf(edited({ 'gateway.metrics': null })).gateway.metrics, null);
  t.equal(configOf(edited({ 'gateway.metrics': false })).gateway.metrics, null);
  t.match(configOf(edited({ 'gateway.metrics': '[::1]:0' })).gateway.metrics, { listen: { text: '::1' }, port: 0 });
});

t.test('ports may be zero, and several addresses listened on', async t => {
  const { gateway } = configOf(edited({ 'gateway.grePort': 0, 'gateway.vxlanPort': 0, 'gateway.listen': ['192.0.2.1', '2001:db8::1'], 'gateway.uplinkListen': '198.51.100.1' }));
  t.match(gateway, { grePort: 0, vxlanPort: 0, listen: [{ family: 4 }, { family: 6 }], uplinkListen: [{ text: '198.51.100.1' }] });
});

t.test('what looks like a mistake and is none', async t => {
  const fine = {
    'one VM with several CAs on one host': { 'tenants[0].records[5]': { ca: '10.0.0.50', mac: '00:15:5d:00:01:05', host: 'host-a' } },
    'a VM with an l2only record beside its CA': { 'tenants[0].records[4].mac': '00:15:5d:00:01:05' },
    'the same MAC in another VSID on another host': { 'tenants[0].records[2].mac': '00:15:5d:00:01:05' },
    'peers at one address, each with its port': { 'hosts[0].pa': '192.0.2.30:5000', 'hosts[1].pa': '192.0.2.30:5001', 'uplinks[0].pa': '192.0.2.30:5002', 'tenants[0].sites[0].pa': '192.0.2.30:5003' },
    'sites at one PA with different keys': { 'tenants[0].sites[1]': { name: 'lab', pa: '198.51.100.31:4754', key: 9002, prefixes: ['192.168.60.0/24'] } },
    'equal prefixes with different metrics': { 'tenants[0].routes[4]': { prefix: '10.9.0.0/16', via: 'drop', metric: 6 } },
    'a route inside a subnet': { 'tenants[0].routes[4]': { prefix: '10.0.0.128/25', via: 'ca:10.0.0.6' } },
    'a /31 whose ends are hosts (RFC 3021)': { 'tenants[0].subnets[2]': { vsid: 5003, prefix: '10.3.0.0/31' }, 'tenants[0].records[5]': { ca: '10.3.0.1', mac: '00:15:5d:00:01:09', host: 'host-a' } },
    'two tenants translating through one uplink without keys': { 'tenants[1].nat.key': null },
    'a tenant whose nat and forward share an uplink and a key': { 'tenants[0].nat.uplink': 'core', 'tenants[0].nat.key': 7001 },
    'a private pool, as labs and carriers use': { 'tenants[1].nat.pool': ['100.64.0.0/24'] },
    'keys of 0 and of 32 bits': { 'tenants[0].forward.key': 0, 'tenants[1].forward.key': 4294967295 },
    'nulls where a key may be left out': { 'hosts[0].mtu': null, 'tenants[0].sites[0].key': null, 'tenants[0].acls[0].name': null },
    'no tenants at all': { tenants: [] },
    'an editor’s $schema': { $schema: './schema.json' },
  };
  for (const [name, edits] of Object.entries(fine)) t.same(problemsOf(edited(edits)).map(p => `${p.path}: ${p.message}`), [], name);
});

t.test('a mistake in one thing does not echo from those that refer to it', async t => {
  const echoes = {
    'a host whose name is not readable': { 'hosts[0].name': 5 },
    'a host that is not an object': { 'hosts[0]': 'host-a' },
    'hosts that are not a list': { hosts: 'host-a' },
    'a subnet whose prefix is not readable': { 'tenants[0].subnets[0].prefix': '10.0.0.0.0/24' },
    'a record whose CA is not readable': { 'tenants[0].records[1].ca': '10.0.0.x' },
    'a site whose name is not readable': { 'tenants[0].sites[0].name': null },
    'nat that is not an object': { 'tenants[0].nat': true },
    'a pool entry that is not readable': { 'tenants[0].nat.pool[0]': 'all of them' },
    'a misspelt key that others need': { 'tenants[0].recrods': [], 'tenants[0].records': undefined },
    'a gateway that is not readable': { gateway: [] },
    'an RDID twice': { 'tenants[1].rdid': '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01' },
  };
  for (const [name, edits] of Object.entries(echoes)) t.equal(problemsOf(edited(edits)).length, 1, `${name}: ${problemsOf(edited(edits)).map(p => `${p.path}: ${p.message}`).join(' | ')}`);
});

t.test('a valid config is frozen through and through', async t => {
  const loose: string[] = [];
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return;
    if (!Object.isFrozen(value)) loose.push(path);
    for (const [key, each] of Object.entries(value)) walk(each, `${path}.${key}`);
  };
  walk(configOf(edited({ 'gateway.uplinkListen': ['198.51.100.1'] })), 'config');
  t.same(loose, []);
});

t.test('a problem renders as file:line:column: path: message (value) - advice', async t => {
  const [problem] = problemsOf('{ "gateway": { "listen": "192.0.2.1", "mtu": 10 } }');
  t.equal(renderProblem('gw.jsonc', problem), 'gw.jsonc:1:46: gateway.mtu: out of range (10) - write a whole number from 68 to 65535 (bytes)');
  const [empty] = problemsOf('');
  t.equal(renderProblem('gw.jsonc', empty), 'gw.jsonc:1:1: the file is empty - start from one of the examples');
});

t.test('lines count the same whatever ends them', async t => {
  const text = '{\n "gateway": { "listen": "192.0.2.1" },\n "hosts": 7\n}';
  for (const end of ['\n', '\r\n']) t.match(problemsOf(text.replaceAll('\n', end)), [{ line: 3, column: 11 }]);
});
