/** A config with one of everything, for tests that break one thing at a time. */
import { readConfig, renderProblem, type Config, type Problem } from '../../config/index.js';

type Value = string | number | boolean | null | Value[] | { [key: string]: Value };
/** Paths as problems print them, "tenants[0].records[1].ca", and the value to put there; undefined takes the key out. */
export type Edits = Readonly<Record<string, Value | undefined>>;

function base(): Value {
  return {
    gateway: { listen: '192.0.2.1' },
    hosts: [
      { name: 'host-a', pa: '192.0.2.11', encap: 'nvgre' },
      { name: 'host-b', pa: '192.0.2.12', encap: 'vxlan' },
    ],
    uplinks: [{ name: 'inet', pa: '192.0.2.20' }, { name: 'core', pa: '192.0.2.21' }],
    tenants: [
      {
        name: 'red', rdid: '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01',
        subnets: [
          { vsid: 5001, name: 'web', prefix: '10.0.0.0/24', gateway: '10.0.0.1', hosts: ['host-a', 'host-b'] },
          { vsid: 5002, name: 'db', prefix: '10.0.1.0/24', hosts: ['host-b'] },
        ],
        records: [
          { ca: '10.0.0.5', mac: '00:15:5d:00:01:05', host: 'host-a' },
          { ca: '10.0.0.6', mac: '00:15:5d:00:01:06', host: 'host-b' },
          { ca: '10.0.1.7', mac: '00:15:5d:00:01:07', host: 'host-b', vsid: 5002 },
          { type: 'wildcard', mac: '00:15:5d:00:01:fe', host: 'host-a', vsid: 5001 },
          { type: 'l2only', mac: '00:15:5d:00:01:08', host: 'host-a', vsid: 5001 },
        ],
        routes: [
          { prefix: '0.0.0.0/0', via: 'nat' },
          { prefix: '172.16.0.0/12', via: 'forward' },
          { prefix: '192.168.50.0/24', via: 'site:hq' },
          { prefix: '10.9.0.0/16', via: 'ca:10.0.0.6', metric: 5 },
        ],
        nat: {
          uplink: 'inet', pool: ['203.0.113.10', '203.0.113.12/30'],
          mappings: [{ proto: 'tcp', external: '203.0.113.10:80', internal: '10.0.0.5:8080' }],
        },
        forward: { uplink: 'core', key: 7001 },
        sites: [{ name: 'hq', pa: '198.51.100.31:4754', key: 9001, prefixes: ['192.168.50.0/24'] }],
        acls: [{ name: 'no-ssh', weight: 10, action: 'deny', direction: 'inbound', protocol: 'tcp', localPort: 22 }],
      },
      {
        name: 'blue', rdid: 'b10e5a1d-0c3f-4c8e-8d27-93f1e6a4c002',
        subnets: [{ vsid: 6001, prefix: '10.0.0.0/24', prefix6: '2001:db8:b::/64' }],
        records: [
          { ca: '10.0.0.5', mac: '00:15:5d:00:01:05', host: 'host-b' },
          { ca: '2001:db8:b::5', mac: '00:15:5d:00:01:05', host: 'host-b' },
        ],
        routes: [{ prefix: '0.0.0.0/0', via: 'nat' }, { prefix: '::/0', via: 'forward' }],
        nat: { uplink: 'inet', pool: ['203.0.113.20'] },
        forward: { uplink: 'core', key: 7002 },
      },
    ],
  };
}

/** The base config with edits, as text. */
export function edited(edits: Edits): string {
  const root = base();
  for (const [path, value] of Object.entries(edits)) {
    const steps = path.split(/[.[\]]+/).filter(step => step !== '');
    const last = steps.pop() ?? '';
    let at: Value = root;
    for (const step of steps) at = child(at, step, path);
    if (Array.isArray(at)) {
      if (value === undefined) at.splice(Number(last), 1);
      else at[Number(last)] = value;
    } else if (typeof at === 'object' && at !== null) {
      if (value === undefined) delete at[last];
      else at[last] = value;
    }
  }
  return JSON.stringify(root, null, 1);
}

function child(at: Value, step: string, path: string): Value {
  const next = Array.isArray(at) ? at[Number(step)] : typeof at === 'object' && at !== null ? at[step] : undefined;
  if (next === undefined) throw new Error(`the base config has no ${path}`);
  return next;
}

export function problemsOf(text: string): readonly Problem[] {
  return readConfig(text, 'test.jsonc').problems;
}

/** The config, which must be without problems. */
export function configOf(text: string): Config {
  const { config, problems } = readConfig(text, 'test.jsonc');
  if (config === undefined) throw new Error(problems.map(p => renderProblem('test.jsonc', p)).join('\n'));
  return config;
}
