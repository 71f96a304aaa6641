/**
 * Red and Blue with everything: hosts of every kind, all of them in every subnet of both tenants, whose networks are
 * alike down to the MACs. What a scenario wants different, it changes.
 *
 *   host   PA                   frames     red and blue, VM i on host i (0..5)
 *   nv4    192.0.2.11           NVGRE      subnet web, VSID 5001 / 6001: 10.0.0.11 + i, 2001:db8:a::11 + i
 *   vx4    192.0.2.12           VXLAN      subnet db,  VSID 5002 / 6002: 10.0.1.11 + i, 2001:db8:b::11 + i
 *   nv6    2001:db8:ffff::13    NVGRE
 *   vx6    2001:db8:ffff::14    VXLAN      uplinks inet (NAT; blue with a key) and core (forwarding, a key each)
 *   nvp    127.0.0.1:47011      NVGRE      sites of red: hq and lab, one PA, two keys
 *   vxp    127.0.0.1:47012      VXLAN
 */
import type { Random } from '../../pipeline/random.js';
import { ethernet, gre, nvgre, vxlan } from './frames.js';
import { Lab, type Sent } from './lab.js';

export const HOSTS = {
  nv4: { pa: '192.0.2.11', encap: 'nvgre' },
  vx4: { pa: '192.0.2.12', encap: 'vxlan' },
  nv6: { pa: '2001:db8:ffff::13', encap: 'nvgre' },
  vx6: { pa: '2001:db8:ffff::14', encap: 'vxlan' },
  nvp: { pa: '127.0.0.1:47011', encap: 'nvgre' },
  vxp: { pa: '127.0.0.1:47012', encap: 'vxlan' },
} as const;
export type HostName = keyof typeof HOSTS;
export const HOST_NAMES = Object.keys(HOSTS) as HostName[];

export const UPLINKS = { inet: '192.0.2.20', core: '192.0.2.21' } as const;
export type UplinkName = keyof typeof UPLINKS;
export const SITE_PA = '198.51.100.31';
export const HQ_KEY = 9001, LAB_KEY = 9002, RED_KEY = 7001, BLUE_KEY = 7002, BLUE_NAT_KEY = 8002;

export const GATEWAY_MAC = '02:00:00:00:00:01';
export const RED_POOL = '203.0.113.10', BLUE_POOL = '203.0.113.20';
export const FAR = '198.51.100.7', FAR6 = '2001:db8:1234::7';

export type TenantName = 'red' | 'blue';
export type SubnetName = 'web' | 'db';
const FIRST_VSID = { red: 5001, blue: 6001 } as const;
const SUBNETS = { web: { offset: 0, net: '10.0.0.', net6: '2001:db8:a::', mac: '00:15:5d:00:00:' }, db: { offset: 1, net: '10.0.1.', net6: '2001:db8:b::', mac: '00:15:5d:00:01:' } } as const;

/** A VM: where it is and how it is reached. */
export interface Vm { readonly tenant: TenantName; readonly vsid: number; readonly ca: string; readonly ca6: string; readonly mac: string; readonly host: HostName; readonly gateway: string; readonly gateway6: string }

export function vm(host: HostName, subnet: SubnetName = 'web', tenant: TenantName = 'red'): Vm {
  const { offset, net, net6, mac } = SUBNETS[subnet];
  const last = 11 + HOST_NAMES.indexOf(host);
  return { tenant, host, vsid: FIRST_VSID[tenant] + offset, ca: `${net}${last}`, ca6: `${net6}${last}`, mac: `${mac}${last}`, gateway: `${net}1`, gateway6: `${net6}1` };
}

function tenantConfig(name: TenantName) {
  const vms = HOST_NAMES.flatMap(host => (['web', 'db'] as const).map(subnet => vm(host, subnet, name)));
  const isRed = name === 'red';
  return {
    name,
    rdid: isRed ? '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01' : 'b10e5a1d-0c3f-4c8e-8d27-93f1e6a4c002',
    subnets: [
      { vsid: FIRST_VSID[name], name: 'web', prefix: '10.0.0.0/24', prefix6: '2001:db8:a::/64', hosts: undefined as string[] | undefined },
      { vsid: FIRST_VSID[name] + 1, name: 'db', prefix: '10.0.1.0/24', prefix6: '2001:db8:b::/64', hosts: undefined as string[] | undefined },
    ],
    records: vms.flatMap(({ ca, ca6, mac, host }) => [{ ca, mac, host }, { ca: ca6, mac, host }]) as Record<string, unknown>[],
    routes: [
      { prefix: '0.0.0.0/0', via: 'nat' },
      { prefix: '::/0', via: 'forward' },
      { prefix: '172.16.0.0/12', via: 'forward' },
      { prefix: '10.9.0.0/16', via: 'drop' },
      ...(isRed ? [
        { prefix: '192.168.50.0/24', via: 'site:hq' }, { prefix: '192.168.60.0/24', via: 'site:lab' }, { prefix: '2001:db8:50::/48', via: 'site:hq' },
      ] : []),
    ] as Record<string, unknown>[],
    nat: {
      uplink: 'inet', key: isRed ? null : BLUE_NAT_KEY, pool: [isRed ? RED_POOL : BLUE_POOL],
      mappings: (isRed ? [
        { proto: 'tcp', external: `${RED_POOL}:80`, internal: '10.0.0.11:8080' },
        { proto: 'udp', external: `${RED_POOL}:5353`, internal: '10.0.0.12:53' },
      ] : []) as Record<string, unknown>[],
    } as Record<string, unknown> & { pool: string[]; mappings: Record<string, unknown>[] } | null,
    forward: { uplink: 'core', key: isRed ? RED_KEY : BLUE_KEY } as Record<string, unknown> | null,
    sites: (isRed ? [
      { name: 'hq', pa: SITE_PA, key: HQ_KEY, prefixes: ['192.168.50.0/24', '2001:db8:50::/48'] },
      { name: 'lab', pa: SITE_PA, key: LAB_KEY, prefixes: ['192.168.60.0/24'] },
    ] : []) as Record<string, unknown>[],
    acls: [] as Record<string, unknown>[],
  };
}

function worldConfig() {
  return {
    gateway: {
      name: 'gw1', listen: ['192.0.2.1', '2001:db8:ffff::1'], mtu: 1500,
      limits: { tenants: 4, sessions: 64, bindings: 48, subscribers: 24, portBlocks: 24, fragments: 16, heldFragments: 8 } as Record<string, number>,
      timers: {} as Record<string, number>,
      icmpErrors: { perSecond: 100, burst: 50 },
    } as Record<string, unknown> & { limits: Record<string, number>; timers: Record<string, number> },
    hosts: HOST_NAMES.map(name => ({ name, ...HOSTS[name] })) as Record<string, unknown>[],
    uplinks: (Object.keys(UPLINKS) as UplinkName[]).map(name => ({ name, pa: UPLINKS[name] })) as Record<string, unknown>[],
    tenants: [tenantConfig('red'), tenantConfig('blue')],
  };
}
export type WorldConfig = ReturnType<typeof worldConfig>;

/** What a scenario wants different. */
export type WorldChange = (config: WorldConfig, red: WorldConfig['tenants'][number], blue: WorldConfig['tenants'][number]) => void;

/** The config as an object, after `change` has had its way with it. */
export function makeConfig(change?: WorldChange): WorldConfig {
  const config = worldConfig();
  change?.(config, config.tenants[0], config.tenants[1]);
  return config;
}

/** Dice under which NAT gives out external ports 40000, 40001, … in turn: it looks for a free one from there. */
export const NAT_PORT = 40000;
export const LOADED_DICE: Random = { next: () => NAT_PORT - 1024 };

/** A gateway under this config. */
export function makeWorld(change?: WorldChange, random: Random = LOADED_DICE): Lab {
  return new Lab(makeConfig(change), 1, random);
}

/** A frame as `host` sends it, in its own encapsulation; returns its fate. */
export function fromHost(lab: Lab, host: HostName, vsid: number, frame: Uint8Array): string {
  const { pa, encap } = HOSTS[host];
  return encap === 'vxlan' ? lab.receive(pa, vxlan(vsid, frame), 'vxlan') : lab.receive(pa, nvgre(vsid, frame));
}

/** A packet of a VM's to the gateway's MAC, under the VM's VSID: what a Linux host sends. */
export function fromVm(lab: Lab, from: Vm, packet: Uint8Array): string {
  return fromHost(lab, from.host, from.vsid, ethernet(GATEWAY_MAC, from.mac, packet));
}

export function fromUplink(lab: Lab, uplink: UplinkName, packet: Uint8Array, key = -1): string {
  return lab.receive(UPLINKS[uplink], gre(packet, key));
}

export function fromSite(lab: Lab, key: number, packet: Uint8Array): string {
  return lab.receive(SITE_PA, gre(packet, key));
}

/** What must arrive at a host: a frame in its encapsulation. */
export function atHost(host: HostName, vsid: number, frame: Uint8Array): Sent {
  return { peer: host, bytes: HOSTS[host].encap === 'vxlan' ? vxlan(vsid, frame) : nvgre(vsid, frame) };
}

/** What must arrive at a VM that was routed to: from the gateway's MAC. */
export function atVm(to: Vm, packet: Uint8Array): Sent {
  return atHost(to.host, to.vsid, ethernet(to.mac, GATEWAY_MAC, packet));
}

/** What must arrive at an uplink or site. */
export function atPeer(peer: UplinkName | 'hq' | 'lab', packet: Uint8Array, key = -1): Sent {
  return { peer, bytes: gre(packet, key) };
}
