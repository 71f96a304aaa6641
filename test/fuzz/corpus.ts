/** What the fuzzer starts from: a valid datagram of every kind, and those of recorded captures. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CaptureReader, CaptureRecord } from '../../codecs/capture.js';
import { LinkView, parseLink } from '../../codecs/link.js';
import { UnderlayView, parseUnderlay } from '../../codecs/underlay.js';
import { bytes } from '../support/bytes.js';
import { cut4, cut6, echo, echoReply, ethernet, gre, icmp, ip, nvgre, tcp, udp, vxlan, withExtension, withOptions } from '../support/frames.js';
import { arpReply, arpRequest, neighborAdvert, neighborSolicit } from '../support/neighbors.js';
import {
  BLUE_KEY, BLUE_NAT_KEY, BLUE_POOL, FAR, FAR6, GATEWAY_MAC, HOSTS, HQ_KEY, LAB_KEY, NAT_PORT, RED_KEY, RED_POOL, SITE_PA, UPLINKS, makeConfig, vm,
  type HostName, type UplinkName, type WorldConfig,
} from '../support/world.js';

/** A datagram from `pa`; carrier as in `Carrier`. */
export interface Seed { readonly pa: string; readonly carrier: number; readonly bytes: Uint8Array }

/** Small tables, so that they fill; every feature in use. `variant` 1 is what a reload brings. */
export function fuzzConfig(variant: number): WorldConfig {
  return makeConfig((config, red, blue) => {
    Object.assign(config.gateway.limits, { tenants: 4, sessions: 24, bindings: 16, fragments: 12, heldFragments: 6 });
    config.gateway['icmpErrors'] = { perSecond: 200, burst: 100 };
    Object.assign(config.hosts[0], { flowId: 'hash' });
    Object.assign(config.hosts[1], { mtu: 1400 });
    blue.subnets[1].hosts = ['nv4', 'vx4', 'nv6', 'nvp', 'vxp'];
    blue.records = blue.records.filter(record => record['host'] !== 'vx6' || !/^(10\.0\.1|2001:db8:b)/.test(String(record['ca'])));
    red.records.push({ type: 'wildcard', mac: '00:15:5d:00:00:fa', host: 'vx4', vsid: 5002 }, { ca: '10.0.1.250', mac: '00:15:5d:00:00:fa', host: 'vx4' }, { type: 'l2only', mac: '00:15:5d:00:00:fb', host: 'nv4', vsid: 5001 });
    red.routes.push({ prefix: '192.168.77.0/24', via: 'ca:10.0.1.250' });
    Object.assign(blue.nat ?? {}, { filtering: 'address-dependent' });
    red.nat?.mappings.push({ proto: 'udp', external: `${RED_POOL}:6000-6063`, internal: '10.0.0.13:7000-7063' });
    Object.assign(red.sites[1], { maps: [{ side: 'tenant', real: '10.0.1.0/24', shown: '10.201.1.0/24' }, { side: 'site', real: '192.168.60.0/24', shown: '192.168.61.0/24' }] });
    red.routes = red.routes.map(route => (route['via'] === 'site:lab' ? { ...route, prefix: '192.168.61.0/24' } : route));
    red.acls.push({ action: 'deny', direction: 'inbound', protocol: 'tcp', localPort: 23 }, { action: 'deny', direction: 'outbound', remote: '198.51.100.66' }, { weight: 5, action: 'allow', direction: 'inbound', protocol: 'udp', localPort: '1-1000' }, { weight: 2, action: 'measure', direction: 'outbound' }, { action: 'deny', direction: 'inbound', remote: '00:15:5d:66:66:66' });
    if (variant === 1) {
      if (blue.nat) blue.nat.pool = ['203.0.113.24/29'];
      red.acls.push({ weight: 9, action: 'deny', direction: 'inbound', protocol: 'udp', localPort: 7 });
      red.nat?.mappings.push({ proto: 'udp', external: `${RED_POOL}:${NAT_PORT}`, internal: '10.0.0.13:53' });
      config.tenants.reverse();
    }
  });
}

function fromHost(host: HostName, vsid: number, frame: Uint8Array): Seed {
  const { pa, encap } = HOSTS[host];
  return encap === 'vxlan' ? { pa, carrier: 1, bytes: vxlan(vsid, frame) } : { pa, carrier: 0, bytes: nvgre(vsid, frame) };
}
function fromUplink(uplink: UplinkName, packet: Uint8Array, key = -1): Seed {
  return { pa: UPLINKS[uplink], carrier: 0, bytes: gre(packet, key) };
}
function fromSite(key: number, packet: Uint8Array): Seed {
  return { pa: SITE_PA, carrier: 0, bytes: gre(packet, key) };
}

const LONG = Uint8Array.from({ length: 1200 }, (_, i) => i);
const SYN = 2, ACK = 16;

/** Whole packets and fragments of a VM's, to the gateway's MAC and to a neighbour's. */
function ofVm(host: HostName, tenant: 'red' | 'blue'): Seed[] {
  const own = tenant === 'red' ? RED_POOL : BLUE_POOL; // its outside, which turns what is for it round
  const a = vm(host, 'web', tenant), b = vm('vx4', 'db', tenant), beside = vm(host === 'nv6' ? 'vx6' : 'nv6', 'web', tenant);
  const options = bytes('94040000 44080500 00000000'), extension = bytes('0000 0104 00000000');
  const quote = udp(FAR, 53, a.ca, 5000, 'answer');
  const packets = [
    udp(a.ca, 5000, FAR, 53, 'query'), udp(a.ca, 5001, b.ca, 7, 'across'), udp(a.ca6, 5000, b.ca6, 7, 'across'), udp(a.ca, 5002, FAR, 9, LONG), udp(a.ca6, 5002, FAR6, 9, LONG),
    tcp(a.ca, 5000, FAR, 443, SYN, '', { mss: 1460 }), tcp(a.ca, 5000, FAR, 443, ACK, 'data'), tcp(a.ca, 5000, FAR, 443, ACK | 1), tcp(a.ca, 5000, FAR, 443, 4),
    tcp(a.ca6, 5000, FAR6, 443, SYN, '', { mss: 1440 }), tcp(a.ca, 5000, b.ca, 23, SYN), tcp(a.ca, 8080, FAR, 999, SYN | ACK),
    echo(a.ca, FAR, 77), echo(a.ca, a.gateway, 1), echo(a.ca6, a.gateway6, 1), echo(a.ca, b.ca, 1, LONG), echo(a.ca6, b.ca6, 1),
    icmp(a.ca, FAR, 3, 3, 0, quote), icmp(a.ca, FAR, 3, 4, 1400, quote.subarray(0, 28)), icmp(a.ca6, FAR6, 1, 4, 0, udp(FAR6, 1, a.ca6, 2)),
    udp(a.ca, 1, '172.16.0.9', 2, 'forward'), udp(a.ca, 1, '192.168.50.9', 2, 'site'), udp(a.ca6, 1, '2001:db8:50::9', 2, 'site'), udp(a.ca, 1, '192.168.61.9', 2, 'mapped'), icmp(a.ca, '192.168.61.9', 3, 3, 0, udp('192.168.61.9', 2, a.ca, 1, 'mapped')), udp(a.ca, 1, '192.168.77.9', 2, 'behind'),
    udp(a.ca, 5000, own, 5353, 'hairpin'), tcp(a.ca, 5004, own, 80, SYN, '', { mss: 1460 }), udp(a.ca, 5000, own, NAT_PORT, 'hairpin'), icmp(a.ca, own, 3, 3, 0, udp(own, NAT_PORT, a.ca, 5000, 'hairpin')),
    udp(a.ca, 1, '10.9.1.1', 2), udp(a.ca, 1, '198.51.100.66', 2), udp(a.ca, 1, '10.0.1.99', 2), udp(a.ca, 1, a.gateway, 53), ip(a.ca, FAR, 47, bytes('00000800')),
    udp(a.ca, 33434, FAR, 33435, 'probe', { ttl: 1 }), udp(a.ca6, 33434, FAR6, 33435, 'probe', { ttl: 1 }), udp(a.ca, 1, b.ca, 2, LONG, { dontFragment: true }),
    withOptions(udp(a.ca, 5003, FAR, 53, 'optional'), options), withOptions(udp(a.ca, 5003, b.ca, 53, new Uint8Array(3000)), options), withExtension(udp(a.ca6, 1, b.ca6, 2, 'x'), 60, extension),
    ...cut4(udp(a.ca, 6000, FAR, 53, LONG), 400), ...cut4(echo(a.ca, FAR, 78, LONG), 800, 5), ...cut4(echo(a.ca, a.gateway, 2, LONG), 800, 6), ...cut6(udp(a.ca6, 6000, b.ca6, 7, LONG), 400),
    ...cut6(withExtension(tcp(a.ca6, 6001, b.ca6, 80, SYN, LONG), 60, extension), 600, 7),
  ];
  const to = { mac: beside.mac, address: beside.ca6 };
  const frames = [
    ...packets.map(packet => ethernet(GATEWAY_MAC, a.mac, packet)),
    ethernet(beside.mac, a.mac, udp(a.ca, 1, beside.ca, 2, 'beside')), ethernet(beside.mac, a.mac, tcp(a.ca6, 1, beside.ca6, 2, SYN, '', { mss: 9000 })), ethernet(beside.mac, a.mac, udp('fe80::1', 1, 'fe80::2', 2)),
    arpRequest(a.mac, a.ca, a.gateway), arpRequest(a.mac, a.ca, beside.ca), arpRequest(a.mac, '0.0.0.0', a.ca), arpReply(a.mac, a.ca, beside.mac, beside.ca),
    neighborSolicit(a.mac, a.ca6, a.gateway6), neighborSolicit(a.mac, '::', beside.ca6), neighborSolicit(a.mac, 'fe80::1', beside.ca6, to), neighborAdvert(a.mac, a.mac, a.ca6, to, 0x40),
    ethernet('33:33:00:00:00:01', a.mac, icmp('fe80::1', 'ff02::1', 134, 0, 0, new Uint8Array(8), { ttl: 255 })), ethernet('ff:ff:ff:ff:ff:ff', a.mac, udp('0.0.0.0', 68, '255.255.255.255', 67, new Uint8Array(240))),
  ];
  return frames.map(frame => fromHost(host, a.vsid, frame));
}

function fromOutside(): Seed[] {
  const a = vm('nv4'), b = vm('vx4', 'db');
  const sent = udp(RED_POOL, NAT_PORT, FAR, 53, 'query');
  const padded = new Uint8Array(128 + 12);
  padded.set(sent);
  return [
    fromUplink('inet', udp(FAR, 53, RED_POOL, NAT_PORT, 'answer')), fromUplink('inet', udp(FAR, 53, BLUE_POOL, NAT_PORT, 'answer'), BLUE_NAT_KEY), fromUplink('inet', tcp(FAR, 999, RED_POOL, 80, SYN, '', { mss: 1460 })),
    fromUplink('inet', tcp(FAR, 443, RED_POOL, NAT_PORT, SYN | ACK)), fromUplink('inet', tcp(FAR, 999, RED_POOL, 80, ACK, 'data')), fromUplink('inet', udp(FAR, 4000, RED_POOL, 5353, LONG)), fromUplink('inet', echoReply(FAR, RED_POOL, NAT_PORT)),
    fromUplink('inet', icmp('198.51.100.254', RED_POOL, 11, 0, 0, sent)), fromUplink('inet', icmp('198.51.100.254', RED_POOL, 3, 4, 1400, sent.subarray(0, 28))), fromUplink('inet', icmp('198.51.100.254', RED_POOL, 11, 0, 32 << 16, padded)),
    fromUplink('inet', icmp('198.51.100.254', RED_POOL, 3, 3, 0, withOptions(sent, bytes('94040000')))), fromUplink('inet', udp(FAR, 1, RED_POOL, 5353, LONG, { ttl: 1 })), fromUplink('inet', echo(FAR, RED_POOL, 1)),
    ...cut4(udp(FAR, 53, RED_POOL, NAT_PORT, LONG), 400).map(piece => fromUplink('inet', piece)), fromUplink('inet', udp(FAR, 1, '203.0.113.99', 1)),
    ...[[RED_KEY, 'red'], [BLUE_KEY, 'blue']].flatMap(([key]) => [
      fromUplink('core', udp('172.16.0.9', 1, b.ca, 2, 'in'), Number(key)), fromUplink('core', tcp(FAR6, 1, b.ca6, 80, SYN, '', { mss: 1460 }), Number(key)), fromUplink('core', echo('172.16.0.9', a.gateway, 1), Number(key)),
      fromUplink('core', udp('172.16.0.9', 1, b.ca, 2, new Uint8Array(1440)), Number(key)), ...cut6(udp(FAR6, 1, b.ca6, 2, LONG), 600).map(piece => fromUplink('core', piece, Number(key))),
    ]),
    fromSite(HQ_KEY, echo('192.168.50.9', b.gateway, 3)), fromSite(LAB_KEY, udp('192.168.60.9', 1, '10.201.1.12', 2, 'mapped')), fromSite(LAB_KEY, echo('192.168.60.9', '10.201.1.1', 3)),
    fromSite(LAB_KEY, icmp('192.168.60.9', '10.201.1.12', 3, 3, 0, udp('10.201.1.12', 2, '192.168.60.9', 1, 'mapped'))), ...cut4(udp('192.168.60.9', 1, '10.201.1.12', 2, LONG), 800, 9).map(piece => fromSite(LAB_KEY, piece)),
    fromUplink('inet', udp(FAR, 1, RED_POOL, 6011, 'range')), fromUplink('inet', udp(FAR, 2, BLUE_POOL, NAT_PORT, 'filtered?'), BLUE_NAT_KEY),
    fromSite(HQ_KEY, udp('192.168.50.9', 1, a.ca, 2, 'site')), fromSite(HQ_KEY, udp('2001:db8:50::9', 1, a.ca6, 2, 'site')), fromSite(LAB_KEY, echo('192.168.60.9', b.gateway, 3)), fromSite(LAB_KEY, udp('192.168.60.9', 1, '192.168.77.9', 2)),
    ...cut4(udp('192.168.50.9', 1, a.ca, 2, LONG), 800).map(piece => fromSite(HQ_KEY, piece)),
    // GRE with everything in its header.
    { pa: UPLINKS.core, carrier: 0, bytes: bytes(`3000 0800 00001b59 00000007 ${Buffer.from(udp('172.16.0.9', 1, b.ca, 2)).toString('hex')}`) },
    { pa: UPLINKS.inet, carrier: 0, bytes: bytes('80000800ac5b00004500001f000240004011068d0a000005c6336407c738270f000bd94e010203') },
  ];
}

/** Tunnel payloads of every capture under test/fixtures, as if two of our peers had sent them. */
function recorded(): Seed[] {
  const root = fileURLToPath(new URL('../fixtures/', import.meta.url));
  const seeds: Seed[] = [];
  for (const name of (readdirSync(root, { recursive: true }) as string[]).filter(file => /\.(pcap|pcapng)$/.test(file)).sort()) {
    const reader = new CaptureReader();
    const record = new CaptureRecord();
    const link = new LinkView();
    const outer = new UnderlayView();
    reader.push(new Uint8Array(readFileSync(join(root, name))));
    reader.end();
    while (reader.next(record) === 'record' && seeds.length < 400) {
      const { mem, at, end } = record;
      if (parseLink(mem, at, end, record.linkType, link) !== 0) continue;
      if (parseUnderlay(mem, link.networkAt, end, link.etherType, 4754, 4789, outer) !== 0) continue;
      const payload = mem.slice(outer.at, outer.end);
      const pa = outer.isVxlan ? HOSTS.vx4.pa : payload[2] === 0x65 ? HOSTS.nv4.pa : UPLINKS.inet;
      seeds.push({ pa, carrier: outer.isVxlan ? 1 : 0, bytes: payload });
    }
  }
  return seeds;
}

/** All of them, in an order that fits: what VMs send first, what answers it later. */
export function corpus(): Seed[] {
  return [...ofVm('nv4', 'red'), ...ofVm('vx4', 'blue'), ...ofVm('nv6', 'red'), ...ofVm('vxp', 'red'), ...ofVm('nvp', 'blue'), ...fromOutside(), ...recorded()];
}
