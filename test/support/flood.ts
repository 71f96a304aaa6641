/**
 * Three tenants of the same addresses on one host, two of whom flood: what a third must not notice. Red and Blue have
 * quotas; Green has none, and what it sends is numbered.
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import type { ReasonName } from '../../pipeline/reasons.js';
import type { Seeded } from './seeded.js';
import { cut4, echo, ethernet, gre, nvgre, tcp, udp } from './frames.js';

export const FLOODERS = ['red', 'blue'] as const;
export const TENANTS = [...FLOODERS, 'green'] as const;
export type FloodTenant = (typeof TENANTS)[number];

const GATEWAY_MAC = '02:00:00:00:00:01';
export const WEB = '10.0.0.5', DB = '10.0.1.7';
const MACS = { [WEB]: '00:15:5d:00:00:05', [DB]: '00:15:5d:00:01:07' };
export const POOLS: Record<FloodTenant, string> = { red: '203.0.113.10', blue: '203.0.113.20', green: '203.0.113.30' };
const SYN = 2;
/** Where numbered packets go, and where floods go: a server each. */
export const SERVER = '198.51.100.7';
const ANYWHERE = '198.51.100.66';
export const SERVER_PORT = 443;

const vsidOf = (tenant: FloodTenant, ca: string): number => 5001 + 1000 * TENANTS.indexOf(tenant) + (ca === DB ? 1 : 0);

/** `quotas` are the flooders'; `acls` and `nat` are everybody's. */
export function floodConfig({ host, inet, gateway, quotas, acls = [], nat = {} }: { host: string; inet: string; gateway: object; quotas: object; acls?: readonly object[]; nat?: object }) {
  return {
    gateway: { listen: '192.0.2.1', ...gateway },
    hosts: [{ name: 'host', pa: host, encap: 'nvgre' }],
    uplinks: [{ name: 'inet', pa: inet }],
    tenants: TENANTS.map((name, i) => ({
      name, rdid: `6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f0${i}`,
      subnets: [{ vsid: vsidOf(name, WEB), name: 'web', prefix: '10.0.0.0/24' }, { vsid: vsidOf(name, DB), name: 'db', prefix: '10.0.1.0/24' }],
      records: [WEB, DB].map(ca => ({ ca, mac: MACS[ca as keyof typeof MACS], host: 'host' })),
      routes: [{ prefix: '0.0.0.0/0', via: 'nat' }],
      nat: { uplink: 'inet', pool: [POOLS[name]], ...nat },
      limits: name === 'green' ? {} : quotas,
      acls,
    })),
  };
}

/** A packet of a tenant's VM, as the host sends it. */
export function fromVm(tenant: FloodTenant, packet: Uint8Array, ca = WEB): Uint8Array {
  return nvgre(vsidOf(tenant, ca), ethernet(GATEWAY_MAC, MACS[ca as keyof typeof MACS], packet));
}

/** Number `n` of a flow to the Internet, or to the other subnet. */
export function numbered(tenant: FloodTenant, sport: number, n: number, to = SERVER): Uint8Array {
  return fromVm(tenant, udp(WEB, sport, to, SERVER_PORT, `${tenant} ${n}`));
}

export const FLOODS = ['udp', 'syn', 'ping', 'spray', 'inside', 'pieces'] as const;
export type Flood = (typeof FLOODS)[number];

/** A datagram that wants state: a new flow, by NAT from new ports or from one to everybody, or inside; or a piece of a datagram whose first never comes. */
export function floodDatagram(tenant: FloodTenant, flood: Flood, random: Seeded): Uint8Array {
  const port = 1024 + random.below(60_000), far = 1 + random.below(60_000);
  switch (flood) {
    case 'udp': return fromVm(tenant, udp(WEB, port, ANYWHERE, far));
    case 'syn': return fromVm(tenant, tcp(WEB, port, ANYWHERE, far, SYN));
    case 'ping': return fromVm(tenant, echo(WEB, ANYWHERE, port));
    case 'spray': return fromVm(tenant, udp(WEB, 500, `100.64.${random.below(256)}.${random.below(256)}`, 53));
    case 'inside': return fromVm(tenant, udp(WEB, port, DB, far));
    case 'pieces': return fromVm(tenant, cut4(udp(WEB, port, ANYWHERE, far, new Uint8Array(64)), 32, random.below(65_536))[1]);
  }
}

/** The Internet floods a tenant's external address: with what nobody asked for, or with pieces of it. */
export function floodFromOutside(tenant: FloodTenant, random: Seeded, inPieces = false): Uint8Array {
  const packet = udp(ANYWHERE, 1 + random.below(60_000), POOLS[tenant], 1024 + random.below(60_000), inPieces ? new Uint8Array(64) : '');
  return gre(inPieces ? cut4(packet, 32, random.below(65_536))[1] : packet);
}

/** What was numbered, of a datagram that left: "green 17", or undefined. An ICMP error that quotes it is not it. */
export function numberOf(datagram: Uint8Array): string | undefined {
  const ipAt = datagram[2] === 0x65 ? 8 + 14 : 4;
  if (datagram[ipAt + 9] !== IpProtocol.udp) return undefined;
  return /(?:red|blue|green) \d+$/.exec(Buffer.from(datagram).toString('latin1'))?.[0];
}

/** What may stop a flood: quotas, and what never had a way. Not the gateway's own room, which is everybody's. */
export const FLOOD_LOSSES: ReadonlySet<string> = new Set<ReasonName>([
  'nat_tenant_sessions', 'acl_tenant_connections', 'nat_tenant_bindings', 'nat_tenant_new_flows', 'nat_address_sessions', 'nat_address_bindings', 'nat_address_new_flows',
  'nat_no_binding', 'nat_filtered', 'fragment_orphan', 'fragment_hold',
]);
