/** The isolation guarantee: what a host may claim, tried in every combination, with two tenants alike in everything. */
import t from 'tap';
import { expectLedger, expectSent, type Expected } from '../../support/expect.js';
import { echo, ethernet, udp } from '../../support/frames.js';
import { arpRequest, neighborSolicit } from '../../support/neighbors.js';
import {
  BLUE_NAT_KEY, FAR, FAR6, GATEWAY_MAC, HOST_NAMES, RED_POOL, atPeer, fromHost, fromSite, fromUplink, fromVm, makeWorld, vm, type HostName, type SubnetName, type TenantName, type WorldConfig,
} from '../../support/world.js';

/** Red's VMs are on the first three hosts, blue's on the last three; red's db may be spoken for by nv4 alone. */
const HOMES: Record<TenantName, readonly HostName[]> = { red: ['nv4', 'vx4', 'nv6'], blue: ['vx6', 'nvp', 'vxp'] };
function apart(_config: WorldConfig, ...tenants: WorldConfig['tenants']): void {
  for (const tenant of tenants) {
    const homes = HOMES[tenant.name];
    tenant.records = tenant.records.filter(record => homes.includes(record['host'] as HostName));
  }
  tenants[0].subnets[1].hosts = ['nv4'];
  tenants[0].records = tenants[0].records.filter(record => record['host'] === 'nv4' || /^(10\.0\.0|2001:db8:a)/.test(String(record['ca'])));
}

const TENANTS: readonly TenantName[] = ['red', 'blue'];
const SUBNETS: readonly SubnetName[] = ['web', 'db'];

/** What the guarantee says, written down a second time: the VSID is the tenant's, the host may speak for it, the CA is recorded at that host. */
function verdict(sender: HostName, tenant: TenantName, subnet: SubnetName, owner: HostName, ownersSubnet: SubnetName): 'host_not_allowed' | 'spoofed_source' | 'own' {
  const mayWeb = HOMES[tenant].includes(sender);
  const may = tenant === 'red' && subnet === 'db' ? sender === 'nv4' : mayWeb;
  if (!may) return 'host_not_allowed';
  const recorded = owner === sender && HOMES[tenant].includes(owner) && (tenant === 'blue' || ownersSubnet === 'web' || owner === 'nv4');
  return recorded ? 'own' : 'spoofed_source';
}

t.test('design §4: every host, VSID and source, IPv4 and IPv6: a packet counts for a tenant only from the host that holds its source', async t => {
  const lab = makeWorld(apart);
  const counts: Record<string, Expected> = { red: {}, blue: {}, '-': {} };
  const count = (row: string, counter: keyof Expected): void => { counts[row][counter] = (counts[row][counter] ?? 0) + 1; };
  let combinations = 0;
  for (const sender of HOST_NAMES) for (const tenant of TENANTS) for (const subnet of SUBNETS) for (const owner of HOST_NAMES) for (const ownersSubnet of SUBNETS) {
    const vsid = vm(sender, subnet, tenant).vsid, source = vm(owner, ownersSubnet, tenant);
    const wanted = verdict(sender, tenant, subnet, owner, ownersSubnet);
    for (const packet of [echo(source.ca, '10.0.0.1', 1), echo(source.ca6, '2001:db8:a::1', 1)]) {
      const got = fromHost(lab, sender, vsid, ethernet(GATEWAY_MAC, source.mac, packet));
      const sent = lab.take();
      const ok = wanted === 'own' ? got === 'consumed' && sent.length === 1 && sent[0].peer === sender : got === wanted && sent.length === 0;
      if (!ok) t.fail(`${sender} in ${tenant}'s ${subnet} as ${source.ca}: ${got}, should be ${wanted}`);
      if (wanted === 'own') { count(tenant, 'consumed'); count(tenant, 'originated'); } else count('-', wanted);
      combinations++;
    }
  }
  t.equal(combinations, 6 * 2 * 2 * 6 * 2 * 2);
  expectLedger(t, lab, counts);
});

t.test('nobody may be the gateway, a CA without a record, or the neighbour’s link-local self', async t => {
  const lab = makeWorld();
  const a = vm('nv4'), b = vm('vx4');
  const as = (source: string, mac = a.mac): string => fromHost(lab, 'nv4', a.vsid, ethernet(GATEWAY_MAC, mac, source.includes(':') ? echo(source, '2001:db8:a::1', 1) : echo(source, '198.51.100.8', 1)));
  t.equal(as('10.0.0.1'), 'spoofed_source', 'the gateway');
  t.equal(as('10.0.1.1'), 'spoofed_source', 'the gateway in db');
  t.equal(as('2001:db8:a::1'), 'ip_source', 'the gateway, to itself');
  t.equal(as('10.0.0.200'), 'spoofed_source', 'in the subnet, no record');
  t.equal(as(FAR), 'spoofed_source', 'an Internet address');
  t.equal(as(RED_POOL), 'spoofed_source', 'its own outside address');
  t.equal(as('192.168.50.5'), 'spoofed_source', 'a site’s');
  t.equal(as('172.16.0.5'), 'spoofed_source', 'the physical network’s');
  t.equal(as(FAR6), 'spoofed_source');
  t.equal(as('fe80::1', b.mac), 'spoofed_source', 'link-local with the MAC of a VM elsewhere');
  t.equal(as('fe80::1', '00:15:5d:99:99:99'), 'spoofed_source', 'and with nobody’s');
  t.equal(as('fe80::1'), 'consumed', 'and with its own');
  t.equal(as('::'), 'ip_source', 'unspecified is for duplicate-address detection alone');
  lab.take();
  expectLedger(t, lab, { '-': { spoofed_source: 10, ip_source: 2 }, red: { consumed: 1, originated: 1 } });
});

t.test('ARP and ND are held to the same: nobody asks in another’s name', async t => {
  const lab = makeWorld(apart);
  const a = vm('nv4'), b = vm('vx4');
  t.equal(fromHost(lab, 'nv4', a.vsid, arpRequest(a.mac, b.ca, '10.0.0.1')), 'spoofed_source', 'the name of a VM elsewhere');
  t.equal(fromHost(lab, 'nv4', a.vsid, arpRequest(a.mac, '10.0.0.1', b.ca)), 'spoofed_source', 'the gateway’s name');
  t.equal(fromHost(lab, 'nv4', a.vsid, arpRequest(b.mac, '0.0.0.0', '10.0.0.1')), 'spoofed_source', 'a probe with a MAC from elsewhere');
  t.equal(fromHost(lab, 'nv4', a.vsid, neighborSolicit(a.mac, b.ca6, '2001:db8:a::1')), 'spoofed_source');
  t.equal(fromHost(lab, 'nv4', a.vsid, neighborSolicit(b.mac, '::', '2001:db8:a::1')), 'spoofed_source');
  t.equal(fromHost(lab, 'vx6', a.vsid, arpRequest(a.mac, a.ca, '10.0.0.1')), 'host_not_allowed', 'a host of blue’s in red’s VSID');
  t.equal(fromHost(lab, 'vx6', vm('vx6', 'web', 'blue').vsid, arpRequest(a.mac, a.ca, '10.0.0.1')), 'spoofed_source', 'red’s CA in blue’s VSID');
  expectSent(t, lab, []);
  expectLedger(t, lab, { '-': { spoofed_source: 6, host_not_allowed: 1 } });
});

t.test('a VSID of nobody’s, and one of somebody else’s', async t => {
  const lab = makeWorld(apart);
  const a = vm('nv4');
  const frame = ethernet(GATEWAY_MAC, a.mac, udp(a.ca, 1, FAR, 2));
  t.equal(fromHost(lab, 'nv4', 7777, frame), 'vsid_unknown');
  t.equal(fromHost(lab, 'nv4', 6001, frame), 'host_not_allowed', 'blue’s');
  t.equal(fromHost(lab, 'nv4', 4095, frame), 'nvgre_vsid_reserved');
  t.equal(fromHost(lab, 'nv4', 0xffffff, frame), 'nvgre_vsid_vendor');
  t.equal(fromHost(lab, 'vx4', 7777, frame), 'vsid_unknown');
  t.equal(fromHost(lab, 'vx4', 1, frame), 'vxlan_vni_reserved');
  expectSent(t, lab, []);
  expectLedger(t, lab, { '-': { vsid_unknown: 2, host_not_allowed: 1, nvgre_vsid_reserved: 1, nvgre_vsid_vendor: 1, vxlan_vni_reserved: 1 } });
});

t.test('the same packet from the same address in both tenants goes each its own way, and answers do not cross', async t => {
  const lab = makeWorld();
  for (const tenant of TENANTS) {
    for (const host of HOST_NAMES) {
      const a = vm(host, 'web', tenant), b = vm('vx4', 'db', tenant);
      t.equal(fromVm(lab, a, udp(a.ca, 1, b.ca, 2, tenant)), 'forwarded');
      const [{ peer, bytes }] = lab.take();
      t.same([peer, bytes[4] << 16 | bytes[5] << 8 | bytes[6]], ['vx4', b.vsid], `${tenant} on ${host} stays in its own VSIDs`);
    }
  }
  const a = vm('nv4'), blue = vm('nv4', 'web', 'blue');
  fromVm(lab, blue, udp(blue.ca, 5000, FAR, 53));
  expectSent(t, lab, [atPeer('inet', udp('203.0.113.20', 40000, FAR, 53, '', { ttl: 63 }), BLUE_NAT_KEY)]);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, 40000)), 'nat_no_binding', 'blue’s port at red’s address');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, '203.0.113.20', 40000)), 'nat_wrong_uplink', 'blue’s, without blue’s key');
  t.equal(fromUplink(lab, 'core', udp('172.16.0.1', 1, a.ca, 2), 7003), 'gre_key_unknown');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { forwarded: 6, nat_no_binding: 1 }, blue: { forwarded: 7 }, '-': { nat_wrong_uplink: 1, gre_key_unknown: 1 } });
});

t.test('a MAC of another VSID, or of the other tenant, is reached by nobody', async t => {
  const lab = makeWorld(apart);
  const a = vm('nv4'), stranger = vm('vxp', 'web', 'blue'), inDb = vm('nv4', 'db');
  const to = (mac: string): string => fromHost(lab, 'nv4', a.vsid, ethernet(mac, a.mac, udp(a.ca, 1, '10.0.0.250', 2)));
  t.equal(to(stranger.mac), 'mac_unknown', 'blue’s');
  t.equal(to(inDb.mac), 'mac_unknown', 'red’s, in another VSID');
  t.equal(to('00:15:5d:99:99:99'), 'mac_unknown');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { mac_unknown: 3 } });
});

t.test('outside networks cannot speak with inside addresses: uplinks, and sites beyond their prefixes', async t => {
  const lab = makeWorld();
  const a = vm('nv4');
  t.equal(fromUplink(lab, 'inet', udp('10.0.0.12', 1, RED_POOL, 5353)), 'outside_source');
  t.equal(fromUplink(lab, 'core', udp('10.0.1.12', 1, a.ca, 2), 7001), 'outside_source');
  t.equal(fromUplink(lab, 'core', udp('2001:db8:a::12', 1, a.ca6, 2), 7001), 'outside_source');
  t.equal(fromSite(lab, 9001, udp('10.0.0.12', 1, a.ca, 2)), 'site_source');
  t.equal(fromSite(lab, 9001, udp('192.168.60.1', 1, a.ca, 2)), 'site_source', 'the other site’s prefix');
  t.equal(fromSite(lab, 9002, udp('192.168.50.1', 1, a.ca, 2)), 'site_source');
  t.equal(fromSite(lab, 9003, udp('192.168.50.1', 1, a.ca, 2)), 'gre_key_unknown');
  t.equal(fromSite(lab, -1, udp('192.168.50.1', 1, a.ca, 2)), 'gre_key_unknown', 'no key at all');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { outside_source: 3, site_source: 3 }, '-': { gre_key_unknown: 2 } });
});
