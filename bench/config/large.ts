/** Configs of any size, as text: tenants that all use the same addresses, each with its own subnets, records, NAT and ACL. */

/** Records go round over so many hosts. */
const HOSTS = 64;
const SUBNET_RECORDS = 200;

/** `tenants` tenants with `records` lookup records each, in subnets of at most 200. */
export function largeConfig(tenants: number, records: number): string {
  return JSON.stringify(largeConfigObject(tenants, records), null, 1); // one value a line, as people write
}

/** The same as an object; `paOf` says where host `i` is. */
export function largeConfigObject(tenants: number, records: number, paOf = (i: number): string => `198.51.100.${i + 1}`): { gateway: object; hosts: object[]; uplinks: object[]; tenants: object[] } {
  return {
    gateway: { listen: '192.0.2.1', limits: { tenants } },
    hosts: Array.from({ length: HOSTS }, (_, i) => ({ name: `host-${i}`, pa: paOf(i), encap: i % 2 === 0 ? 'nvgre' : 'vxlan' })),
    uplinks: [{ name: 'inet', pa: '192.0.2.20' }, { name: 'core', pa: '192.0.2.21' }],
    tenants: Array.from({ length: tenants }, (_, i) => tenant(i, records)),
  };
}

function tenant(index: number, records: number): object {
  const subnets = Math.ceil(records / SUBNET_RECORDS);
  return {
    name: `tenant-${index}`,
    rdid: `6f1c2a70-51d5-4f0e-9a53-${index.toString(16).padStart(12, '0')}`,
    subnets: Array.from({ length: subnets }, (_, i) => ({ vsid: 0x1000 + index * subnets + i, prefix: `10.${i >> 8}.${i & 255}.0/24` })),
    records: Array.from({ length: records }, (_, i) => {
      const subnet = Math.floor(i / SUBNET_RECORDS);
      return {
        ca: `10.${subnet >> 8}.${subnet & 255}.${2 + i % SUBNET_RECORDS}`,
        mac: `00:15:5d:${[i >> 16, i >> 8, i].map(byte => (byte & 255).toString(16).padStart(2, '0')).join(':')}`,
        host: `host-${(index + i) % HOSTS}`,
      };
    }),
    routes: [{ prefix: '0.0.0.0/0', via: 'nat' }, { prefix: '172.16.0.0/12', via: 'forward' }],
    nat: { uplink: 'inet', pool: [`203.${index >> 8}.${index & 255}.0/30`] },
    forward: { uplink: 'core', key: 10_000 + index },
    acls: [
      { name: 'web', weight: 20, action: 'allow', direction: 'inbound', protocol: 'tcp', localPort: 443 },
      { name: 'no-ssh', weight: 10, action: 'deny', direction: 'inbound', protocol: 'tcp', localPort: 22 },
    ],
  };
}
