import t from 'tap';
import { readConfig, renderProblem } from '../../config/index.js';

function hex(n: number): string {
  return n.toString(16).padStart(2, '0');
}

/** A config as large as the design's budget names: tenants alike but for their numbers. */
function large(tenants: number, recordsEach: number, host: (i: number) => string): string {
  const one = (i: number): object => ({
    name: `t${i}`, rdid: `6f1c2a70-51d5-4f0e-9a53-${i.toString(16).padStart(12, '0')}`,
    subnets: [{ vsid: 5000 + i, prefix: '10.0.0.0/16' }],
    records: Array.from({ length: recordsEach }, (_, r) => (
      { ca: `10.0.${Math.floor(r / 200)}.${(r % 200) + 5}`, mac: `00:15:${hex(i >> 8)}:${hex(i & 255)}:${hex(r >> 8)}:${hex(r & 255)}`, host: host(i + r), vsid: 5000 + i }
    )),
    routes: [{ prefix: '0.0.0.0/0', via: 'nat' }],
    nat: { uplink: 'inet', pool: [`203.${i >> 8}.${i & 255}.10`] },
    acls: [{ weight: 10, action: 'deny', direction: 'inbound', protocol: 'tcp', localPort: 22 }],
  });
  return JSON.stringify({
    gateway: { listen: '192.0.2.1', limits: { tenants } },
    hosts: Array.from({ length: 500 }, (_, i) => ({ name: `host-${i}`, pa: `172.16.${i >> 8}.${i & 255}`, encap: i % 2 === 0 ? 'nvgre' : 'vxlan' })),
    uplinks: [{ name: 'inet', pa: '192.0.2.20' }],
    tenants: Array.from({ length: tenants }, (_, i) => one(i)),
  }, null, 1);
}

/** CPU seconds, so that a busy machine does not fail the test. */
function cpuSeconds(work: () => void): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}

t.test('1,000 tenants with 100,000 records read within the 2 s that reading and compiling have together', async t => {
  const text = large(1000, 100, i => `host-${i % 500}`);
  let records = 0;
  const seconds = cpuSeconds(() => {
    const { config, problems } = readConfig(text, 'large.jsonc');
    t.same(problems.slice(0, 3).map(p => renderProblem('large.jsonc', p)), []);
    records = config?.tenants.reduce((sum, tenant) => sum + tenant.records.length, 0) ?? 0;
  });
  t.equal(records, 100000);
  t.ok(seconds < 2, `${(text.length / 1e6).toFixed(1)} MB in ${seconds.toFixed(2)} s of CPU`);
});

t.test('one tenant with all of the records is no slower than many', async t => {
  const text = large(1, 20000, i => `host-${i % 500}`);
  const seconds = cpuSeconds(() => { t.same(readConfig(text, 'large.jsonc').problems, []); });
  t.ok(seconds < 1, `${seconds.toFixed(2)} s of CPU`);
});

t.test('100,000 problems are found in good time too', async t => {
  const text = large(1000, 100, i => `hots-${i % 500}`);
  let found = 0;
  const seconds = cpuSeconds(() => { found = readConfig(text, 'large.jsonc').problems.length; });
  t.equal(found, 100000);
  t.ok(seconds < 4, `${seconds.toFixed(2)} s of CPU`);
});
