import { readFileSync } from 'node:fs';
import t from 'tap';
import { readConfig, renderProblem } from '../../config/index.js';

const NAME = 'thirty-mistakes.jsonc';
const text = readFileSync(new URL(NAME, import.meta.url), 'utf8');
const { config, problems } = readConfig(text, NAME);

/** What an operator sees, word for word. */
const EXPECTED: readonly string[] = [
  'thirty-mistakes.jsonc:4:13: gateway.name: not a name (gw one) - use letters, digits, . _ and -, at most 63, starting with a letter or a digit',
  'thirty-mistakes.jsonc:5:29: gateway.listen[1]: already in line 5 (192.0.2.1) - keep one',
  'thirty-mistakes.jsonc:6:18: gateway.vxlanPort: the same port as grePort (4754) - GRE and VXLAN need a port each: 4754 and 4789',
  'thirty-mistakes.jsonc:7:24: gateway.timers.udp: out of range (0) - write a whole number from 1 to 2147483 (seconds)',
  'thirty-mistakes.jsonc:8:5: gateway.wrokers: unknown key - did you mean "workers"?',
  'thirty-mistakes.jsonc:12:54: hosts[1].encap: Geneve is not spoken yet (geneve) - write "nvgre" or "vxlan"',
  'thirty-mistakes.jsonc:13:31: hosts[2].pa: host host-a, line 11, has this PA (192.0.2.11) - each peer needs its own: where they share an address, give every one its port',
  'thirty-mistakes.jsonc:14:31: hosts[3].pa: port 0 (192.0.2.14:0) - leave the port out when any source port counts',
  'thirty-mistakes.jsonc:17:50: uplinks[0].mtu: too small (400) - at least 612: the encapsulation, and the smallest packet that every link must carry',
  'thirty-mistakes.jsonc:18:29: uplinks[1].pa: not an IP address (192.0.2.300) - write 192.0.2.1 or 2001:db8::1',
  'thirty-mistakes.jsonc:23:15: tenants[0].rdid: not a GUID (6f1c…) - write 32 hex digits as 8-4-4-4-12, for example from uuidgen',
  'thirty-mistakes.jsonc:25:61: tenants[0].subnets[0].gateway: outside 10.0.0.0/24 (10.0.1.1) - write 10.0.0.1, or another host address of 10.0.0.0/24',
  'thirty-mistakes.jsonc:26:19: tenants[0].subnets[1].vsid: a reserved VSID (4000) - use 4096 to 16777214',
  'thirty-mistakes.jsonc:27:35: tenants[0].subnets[2].prefix: has bits set to the right of /24 (10.2.0.1/24) - write 10.2.0.0/24',
  'thirty-mistakes.jsonc:28:70: tenants[0].subnets[3].hosts[1]: no host has this name (host-x) - did you mean "host-a"?',
  'thirty-mistakes.jsonc:29:35: tenants[0].subnets[4].prefix: overlaps subnet vsid-5004 10.3.0.0/24, line 28 (10.3.0.128/25) - subnets of a tenant share no addresses',
  'thirty-mistakes.jsonc:33:36: tenants[0].records[1].mac: line 32 has this MAC on host-a (00:15:5d:00:00:05) - a MAC is on one host per VSID: correct the MAC or the host',
  'thirty-mistakes.jsonc:34:17: tenants[0].records[2].ca: line 32 has a record for this CA (10.0.0.5) - a CA belongs to one MAC on one host: keep one',
  'thirty-mistakes.jsonc:35:17: tenants[0].records[3].ca: in no subnet of tenant red (10.9.0.8) - add a subnet for it, or correct it',
  'thirty-mistakes.jsonc:36:65: tenants[0].records[4].host: no host has this name (hosta) - did you mean "host-a"?',
  'thirty-mistakes.jsonc:37:17: tenants[0].records[5].ca: the broadcast address of 10.0.0.0/24 (10.0.0.255) - no VM can have it: use an address between',
  'thirty-mistakes.jsonc:38:9: tenants[0].records[6].vsid: missing - a record of type wildcard has no CA to find its subnet by: add "vsid"',
  'thirty-mistakes.jsonc:42:46: tenants[0].routes[1].via: no site has this name (site:hp) - did you mean "hq"?',
  'thirty-mistakes.jsonc:43:45: tenants[0].routes[2].via: tenant red has no forward (forward) - add "forward": { "uplink": … } to the tenant',
  'thirty-mistakes.jsonc:44:43: tenants[0].routes[3].via: no record for this CA (ca:10.0.0.66) - add one to the records of tenant red: without it nobody knows the next hop’s MAC and host',
  'thirty-mistakes.jsonc:49:52: tenants[0].nat.mappings[0].external: not an address of the pool (203.0.113.11:80) - the pool: 203.0.113.10/32',
  'thirty-mistakes.jsonc:52:93: tenants[0].acls[0].localPort: a port, but the protocol has none (22) - ports need "protocol": "tcp" or "udp"',
  "thirty-mistakes.jsonc:57:29: tenants[1].subnets[0].vsid: tenant red's subnet, line 25, has this VSID (5001) - a VSID belongs to one subnet of one tenant",
  'thirty-mistakes.jsonc:59:26: tenants[1].nat.uplink: no uplink has this name (inte) - did you mean "inet"?',
  "thirty-mistakes.jsonc:65:43: tenants[2].nat.pool[0]: overlaps tenant red's pool 203.0.113.10/32, line 48 (203.0.113.8/30) - a pool address belongs to one tenant, once",
];

t.test('thirty different mistakes are thirty problems, each said as it should be', async t => {
  t.equal(config, undefined);
  t.same(problems.map(p => renderProblem(NAME, p)), EXPECTED);
  t.equal(EXPECTED.length, 30);
});

t.test('each problem is at the line of its mistake, and no mistake goes unseen', async t => {
  const marked = text.split('\n').flatMap((line, i) => (/\/\/ \d+$/.test(line) ? [i + 1] : []));
  t.same(problems.map(p => p.line), marked);
});
