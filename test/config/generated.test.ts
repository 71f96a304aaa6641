import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { renderJsonSchema, renderReference, type Config } from '../../config/index.js';
import { parseJsonc, type Node } from '../../config/jsonc.js';
import type { Kind, SectionShape } from '../../config/kinds.js';
import { makeReporter } from '../../config/problems.js';
import { CONFIG } from '../../config/schema.js';
import { nodeOf } from '../../config/section.js';
import { configOf, edited, type Edits } from './base.js';
import { violations } from './json-schema.js';

const FOLDER = new URL('../../config/', import.meta.url);
const REFRESH = 'refresh it with: UPDATE=1 npx tap run --disable-coverage test/config/generated.test.ts';

for (const [name, render] of [['schema.json', renderJsonSchema], ['REFERENCE.md', renderReference]] as const) {
  t.test(`config/${name} is what the declaration says, nothing missing and nothing left over`, async t => {
    const file = new URL(name, FOLDER);
    if (process.env.UPDATE !== undefined) writeFileSync(file, render());
    t.equal(readFileSync(file, 'utf8'), render(), REFRESH);
  });
}

function sections(kind: Kind<unknown>, found = new Map<string, SectionShape>()): Map<string, SectionShape> {
  if (kind.section !== undefined) found.set(kind.section.id, kind.section);
  for (const part of kind.parts ?? []) sections(part, found);
  return found;
}

t.test('every field has help, and an example or a default that its own kind accepts', async t => {
  for (const { id, fields } of sections(CONFIG).values()) {
    for (const [key, field] of Object.entries(fields)) {
      t.match(field.help, /^[^a-z].*\.$|^(static|gre): .*\.$/, `${id}.${key} is explained in sentences`);
      const sample = field.example ?? field.preset;
      t.not(sample, undefined, `${id}.${key} has a sample`);
      const node = nodeOf(sample ?? null);
      const reporter = makeReporter('', node);
      // A section's example shows only what matters, so keys may be missing from it, but none may be wrong.
      if (field.kind.section === undefined) field.kind.read(node, reporter);
      t.same(reporter.problems, [], `${id}.${key}`);
    }
  }
});

/** Declared keys and Config keys differ only here, and for a reason. */
const RESHAPED: Readonly<Record<string, { readonly gone: readonly string[]; readonly made: readonly string[] }>> = {
  config: { gone: ['$schema'], made: ['file'] },
  subnets: { gone: ['prefix', 'gateway', 'prefix6', 'gateway6', 'acls'], made: ['prefixes'] }, // one list for both families; all rules are the tenant's
  records: { gone: ['acls'], made: [] },
  acls: { gone: [], made: ['scope', 'linkLocal', 'localMac', 'remoteMac'] },
};

/** Sections of Config that nobody needs the line of. */
const LINELESS = ['config', 'admin', 'natLog', 'rss', 'limits', 'timers', 'icmpErrors', 'blocks', 'quotas', 'perAddress'];

t.test('Config has every declared key, and no other', async t => {
  const config: Config = configOf(edited({ 'tenants[0].sites[0].maps': [{ side: 'tenant', real: '10.0.0.0/24', shown: '10.100.0.0/24' }] }));
  const [red] = config.tenants;
  const values: Readonly<Record<string, object | null>> = {
    config, gateway: config.gateway, admin: config.gateway.admin, natLog: config.gateway.natLog, limits: config.gateway.limits, rss: config.gateway.rss, timers: config.gateway.timers, icmpErrors: config.gateway.icmpErrors,
    hosts: config.hosts[0], uplinks: config.uplinks[0], tenants: red, subnets: red.subnets[0], records: red.records[0], routes: red.routes[0],
    nat: red.nat, mappings: red.nat?.mappings[0] ?? null, forward: red.forward, sites: red.sites[0], maps: red.sites[0].maps[0], acls: red.acls[0],
    blocks: red.nat?.blocks ?? null, quotas: red.limits, perAddress: red.limits.perAddress,
  };
  const declared = sections(CONFIG);
  t.same([...declared.keys()].sort(), Object.keys(values).sort(), 'every section is looked at');
  for (const [id, { fields }] of declared) {
    const { gone, made } = RESHAPED[id] ?? { gone: [], made: [] };
    const want = [...Object.keys(fields).filter(key => !gone.includes(key)), ...made, ...(LINELESS.includes(id) ? [] : ['line'])];
    t.same(Object.keys(values[id] ?? {}).sort(), want.sort(), id);
  }
});

function plain(node: Node): unknown {
  if (node.kind === 'object') return Object.fromEntries(node.value.map(m => [m.key, plain(m.node)]));
  return node.kind === 'array' ? node.value.map(plain) : node.value;
}

const schema: Readonly<Record<string, unknown>> = JSON.parse(renderJsonSchema());

t.test('JSON Schema: every example conforms to the published schema', async t => {
  const folder = new URL('examples/', FOLDER);
  for (const name of readdirSync(folder)) {
    const { root } = parseJsonc(readFileSync(new URL(name, folder), 'utf8'));
    t.same(violations(plain(root), schema), [], name);
  }
  t.same(violations(JSON.parse(edited({})), schema), []);
});

t.test('JSON Schema: what has the wrong shape does not conform', async t => {
  const cases: readonly (readonly [Edits, string])[] = [
    [{ 'gateway.turbo': true }, '.gateway.turbo'], [{ 'gateway.listen': undefined }, '.gateway.listen'], [{ 'gateway.mtu': '1500' }, '.gateway.mtu'],
    [{ 'hosts[0].encap': 'geneve' }, '.hosts[0].encap'], [{ 'tenants[0].rdid': '6f1c…' }, '.tenants[0].rdid'], [{ 'tenants[0].subnets[0].vsid': 16777216 }, '.tenants[0].subnets[0].vsid'],
    [{ 'tenants[0].records[0].mac': '00:15' }, '.tenants[0].records[0].mac'], [{ 'tenants[0].routes[0].via': 'internet' }, '.tenants[0].routes[0].via'],
    [{ 'tenants[0].nat.pool': [] }, '.tenants[0].nat'], [{ 'tenants[0].acls[0].localPort': true }, '.tenants[0].acls[0].localPort'],
  ];
  for (const [edits, path] of cases) t.match(violations(JSON.parse(edited(edits)), schema)[0] ?? 'nothing', path, path);
});
