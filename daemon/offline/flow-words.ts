/**
 * From words about a flow to the datagram that its sender would send: `--tenant red --from 10.0.0.5 --to 198.51.100.9
 * --tcp 443`. Who sends, and how, is read off the config.
 */
import { IcmpType } from '../../codecs/icmp.js';
import { Icmpv6Type } from '../../codecs/icmpv6.js';
import { TcpFlag } from '../../codecs/tcp.js';
import { parseAddress, Refusal, type Address, type Config, type Host, type LookupRecord, type Prefix, type Subnet, type Tenant } from '../../config/index.js';
import { nearest } from '../../config/problems.js';
import { maskWord } from '../../pipeline/tables/lpm.js';
import { UsageError } from '../cli/cli.js';
import { ethernetFrame, grePacket, icmpPacket, nvgrePacket, tcpPacket, udpPacket, vxlanPacket } from '../cli/craft.js';

export interface FlowWords {
  readonly tenant: string;
  readonly from: string;
  readonly to: string;
  readonly protocol: 'tcp' | 'udp' | 'icmp';
  /** Destination port; of no meaning for ICMP. */
  readonly port: number;
  /** Source port, or ICMP id. */
  readonly sport: number;
  readonly ttl: number;
  /** Bytes of IP packet; 0 for the smallest. */
  readonly size: number;
  readonly dontFragment: boolean;
  readonly flags: number;
  /** Host that sends, whatever the records say; '' for the one they name. */
  readonly host: string;
}

/** A datagram ready to be received. */
export interface Crafted {
  readonly bytes: Uint8Array;
  readonly isVxlan: boolean;
  /** Kind and name of the sender, which together are unique; sites also need the tenant. */
  readonly kind: 'host' | 'uplink' | 'site';
  readonly sender: string;
  /** The flow in a line. */
  readonly text: string;
}

/** Where the MAC of a VM without a record comes from: nobody's, locally administered. */
const STRANGER_MAC = '02:00:00:00:ca:fe';
/** What Ethernet's 1500 bytes leave for TCP. */
const MSS_4 = 1460, MSS_6 = 1440;

/** Build it; throws a `UsageError` that says which word does not fit the config. */
export function craftFlow(words: FlowWords, config: Config): Crafted {
  const tenant = named(config.tenants, words.tenant, '--tenant', 'tenant');
  const from = address('--from', words.from);
  const to = address('--to', words.to);
  if (from.family !== to.family) throw new UsageError(`--from ${from.text} and --to ${to.text} are of different families`);
  const packet = craftPacket(words, from.text, to.text);
  const record = tenant.records.find(({ ca }) => ca !== null && ca.text === from.text);
  const title = (sender: string): string => `${words.protocol === 'icmp' ? 'ICMP echo' : words.protocol.toUpperCase()} ${ends(words, from, to)} of tenant ${tenant.name}, sent by ${sender}`;

  if (words.host !== '' || record !== undefined) {
    const host = named(config.hosts, words.host === '' ? record?.host ?? '' : words.host, '--host', 'host');
    return { ...fromHost(host, tenant, record, from, to, packet, config), kind: 'host', sender: host.name, text: title(`host ${host.name}`) };
  }
  const site = siteOf(tenant, from);
  if (site !== undefined) return { bytes: grePacket(packet, site.key ?? -1), isVxlan: false, kind: 'site', sender: site.name, text: title(`site ${site.name}`) };
  mustBeOutside(tenant, from);
  const { nat, forward } = tenant;
  if (nat !== null && nat.pool.some(prefix => holds(prefix, to))) {
    return { bytes: grePacket(packet, nat.key ?? -1), isVxlan: false, kind: 'uplink', sender: nat.uplink, text: title(`uplink ${nat.uplink}`) };
  }
  if (forward !== null) {
    return { bytes: grePacket(packet, forward.key ?? -1), isVxlan: false, kind: 'uplink', sender: forward.uplink, text: title(`uplink ${forward.uplink}`) };
  }
  const ways = nat === null ? 'it has no NAT and no forwarding' : `--to is not in its NAT pool (${nat.pool.map(prefix => prefix.text).join(', ')}), and it has no forwarding`;
  throw new UsageError(`--from ${from.text} is no CA of tenant ${tenant.name} and in none of its sites; as an address outside it cannot get in: ${ways}`);
}

function ends(words: FlowWords, from: Address, to: Address): string {
  if (words.protocol === 'icmp') return `${from.text} -> ${to.text}`;
  const end = ({ family, text }: Address, port: number): string => (family === 4 ? `${text}:${port}` : `[${text}]:${port}`);
  return `${end(from, words.sport)} -> ${end(to, words.port)}`;
}

function craftPacket(words: FlowWords, from: string, to: string): Uint8Array {
  const options = { ttl: words.ttl, dontFragment: words.dontFragment };
  const isV6 = from.includes(':');
  const build = (payload: Uint8Array): Uint8Array => {
    switch (words.protocol) {
      case 'udp': return udpPacket(from, words.sport, to, words.port, payload, options);
      case 'icmp': return icmpPacket(from, to, isV6 ? Icmpv6Type.echo : IcmpType.echo, 0, (words.sport << 16 | 1) >>> 0, payload, options);
      default: {
        const mss = (words.flags & TcpFlag.syn) === 0 ? {} : { mss: isV6 ? MSS_6 : MSS_4 };
        return tcpPacket(from, words.sport, to, words.port, words.flags, payload, { ...options, ...mss });
      }
    }
  };
  const least = build(new Uint8Array(0)).length;
  if (words.size === 0) return build(new Uint8Array(0));
  if (words.size < least) throw new UsageError(`--size ${words.size}: the headers alone take ${least} bytes`);
  return build(new Uint8Array(words.size - least));
}

/**
 * A VM's frame. To a CA of its own subnet it goes to the MAC that ARP would have told, to all others to the gateway's.
 * Without a record for the source, it takes the VSID of the subnet the source lies in, else the tenant's first.
 */
function fromHost(
  host: Host, tenant: Tenant, record: LookupRecord | undefined, from: Address, to: Address, packet: Uint8Array, config: Config,
): { bytes: Uint8Array; isVxlan: boolean } {
  const subnet = record === undefined ? subnetOf(tenant, from) ?? tenant.subnets[0] : tenant.subnets.find(({ vsid }) => vsid === record.vsid);
  if (subnet === undefined) throw new UsageError(`tenant ${tenant.name} has no subnet to send in`);
  const neighbor = tenant.records.find(({ ca, vsid }) => ca !== null && ca.text === to.text && vsid === subnet.vsid);
  const frame = ethernetFrame((neighbor?.mac ?? config.gateway.mac).text, record?.mac.text ?? STRANGER_MAC, packet);
  const isVxlan = host.encap === 'vxlan';
  return { bytes: isVxlan ? vxlanPacket(subnet.vsid, frame) : nvgrePacket(subnet.vsid, frame), isVxlan };
}

/** An address of a tenant's own subnets that no record has cannot come from outside, and from which host is for the user to say. */
function mustBeOutside(tenant: Tenant, from: Address): void {
  const subnet = subnetOf(tenant, from);
  if (subnet === undefined) return;
  if (subnet.prefixes.some(({ gateway }) => gateway.text === from.text)) throw new UsageError(`--from ${from.text} is the gateway's own CA in ${subnet.name}`);
  throw new UsageError(`no record of tenant ${tenant.name} has the CA ${from.text}; to see a host spoof it, name one with --host`);
}

function subnetOf(tenant: Tenant, address: Address): Subnet | undefined {
  return tenant.subnets.find(({ prefixes }) => prefixes.some(({ prefix }) => holds(prefix, address)));
}

function siteOf(tenant: Tenant, address: Address) {
  return tenant.sites.find(({ prefixes }) => prefixes.some(prefix => holds(prefix, address)));
}

function holds(prefix: Prefix, address: Address): boolean {
  return prefix.family === address.family && prefix.words.every((word, i) => ((word ^ address.words[i]) & maskWord(prefix.bits, i)) === 0);
}

function address(flag: string, text: string): Address {
  const parsed = parseAddress(text);
  if (parsed instanceof Refusal) throw new UsageError(`${flag} ${text}: ${parsed.message}; ${parsed.advice}`);
  return parsed;
}

function named<T extends { readonly name: string }>(things: readonly T[], name: string, flag: string, what: string): T {
  const found = things.find(thing => thing.name === name);
  if (found !== undefined) return found;
  const names = things.map(thing => thing.name);
  const near = nearest(name, names);
  throw new UsageError(`${flag} ${name}: there is no such ${what}${near === undefined ? names.length === 0 ? '' : `; there are ${names.slice(0, 10).join(', ')}` : `, did you mean ${near}?`}`);
}
