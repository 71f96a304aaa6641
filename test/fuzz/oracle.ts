/** What must be true of every datagram that leaves, whatever came in: told from the config and the bytes alone. */
import { BLUE_KEY, BLUE_NAT_KEY, GATEWAY_MAC, HOSTS, HQ_KEY, LAB_KEY, RED_KEY, SITE_PA, UPLINKS, HOST_NAMES, type HostName, type TenantName } from '../support/world.js';
import { hex } from '../support/bytes.js';
import { reassemble4, words } from '../support/frames.js';
import { fuzzConfig } from './corpus.js';
import { innerAt, readIp, type Read } from './packet.js';
import type { Sent } from './rig.js';

const FORWARDED = -3;
const IPV4 = 0x0800, IPV6 = 0x86dd, ARP = 0x0806;
/** Largest inner packet to each peer of `fuzzConfig`. */
const MTU: Readonly<Record<string, number>> = { nv4: 1450, vx4: 1350, nv6: 1430, vx6: 1430, nvp: 1450, vxp: 1450, inet: 1468, core: 1464, hq: 1464, lab: 1464 };
const RED_VSIDS = [5001, 5002], BLUE_VSIDS = [6001, 6002];

function tenantOfVsid(vsid: number): TenantName | string {
  return RED_VSIDS.includes(vsid) ? 'red' : BLUE_VSIDS.includes(vsid) ? 'blue' : `VSID ${vsid}`;
}
function u32(mem: Uint8Array, at: number): number {
  return new DataView(mem.buffer, mem.byteOffset, mem.length).getUint32(at);
}
function bluesPool(address: string): boolean {
  return address === '203.0.113.20' || /^203\.0\.113\.(2[4-9]|3[01])$/.test(address);
}

/** CA to host, per tenant, from the same config text. */
const OWNERS: ReadonlyMap<string, string> = new Map(fuzzConfig(0).tenants.flatMap(tenant => tenant.records.filter(record => record['ca'] !== undefined)
  .map(record => [`${tenant.name} ${words(String(record['ca'])).join()}`, String(record['host'])] as const)));
const MACS: ReadonlySet<string> = new Set(fuzzConfig(0).tenants.flatMap(tenant => tenant.records.map(record => `${tenant.name} ${String(record['host'])} ${String(record['mac']).replace(/:/g, '')}`)));

/** Where a CA is reached: host, VSID and MAC of its record. */
const PLACES: ReadonlyMap<string, string> = new Map(fuzzConfig(0).tenants.flatMap(tenant => tenant.records.filter(record => record['ca'] !== undefined).map(record => {
  const isDb = /^(10\.0\.1\.|2001:db8:b:)/.test(String(record['ca']));
  return [`${tenant.name} ${words(String(record['ca'])).join()}`, `${String(record['host'])} ${tenant.subnets[isDb ? 1 : 0].vsid} ${String(record['mac']).replace(/:/g, '')}`] as const;
})));
const GATEWAY = GATEWAY_MAC.replace(/:/g, '');
/** The wildcard of red's db, and the next hop of its route: where everything goes that has no record. */
const ROUTER = 'vx4 5002 00155d0000fa';

/** A datagram on the wire: its tenant as the tunnel tells, and its inner packet. */
interface Wire { readonly tenant: string; readonly key: number; readonly l3: number; readonly etherType: number; readonly read: Read | string | null }

function readWire(bytes: Uint8Array, toHost: HostName | null, peer: string): Wire | string {
  if (toHost !== null) {
    const isVxlan = HOSTS[toHost].encap === 'vxlan';
    const head = hex(bytes, 0, 4);
    if (head !== (isVxlan ? '08000000' : '20006558')) return `${peer}: header ${head}`;
    if (isVxlan && bytes[7] !== 0) return `${peer}: reserved byte of VXLAN is ${bytes[7]}`;
    const etherType = bytes[20] << 8 | bytes[21];
    if ((bytes[14] & 1) !== 0) return `${peer}: frame from a group MAC`;
    return { tenant: tenantOfVsid(u32(bytes, 4) >>> 8), key: -1, l3: 22, etherType, read: etherType === ARP ? null : readIp(bytes, 22) };
  }
  const flags = bytes[0] << 8 | bytes[1];
  if (flags !== 0 && flags !== 0x2000) return `${peer}: GRE flags ${flags.toString(16)}`;
  const key = flags === 0 ? -1 : u32(bytes, 4);
  const l3 = flags === 0 ? 4 : 8;
  const read = readIp(bytes, l3);
  const source = typeof read === 'string' ? '' : read.source;
  const tenant = peer === 'core' ? (key === RED_KEY ? 'red' : key === BLUE_KEY ? 'blue' : `key ${key}`)
    : peer === 'hq' || peer === 'lab' ? (key === (peer === 'hq' ? HQ_KEY : LAB_KEY) ? 'red' : `key ${key}`)
    : key === -1 && source === '203.0.113.10' ? 'red' : key === BLUE_NAT_KEY && bluesPool(source) ? 'blue' : `source ${source}, key ${key}`;
  return { tenant, key, l3, etherType: bytes[2] << 8 | bytes[3], read };
}

function hostAt(pa: string): HostName | null {
  return HOST_NAMES.find(name => HOSTS[name].pa === pa) ?? null;
}

/** The tenant that a datagram from `pa` speaks for, as its tunnel header tells; '' where nobody could say. */
function claimOf(pa: string, datagram: Uint8Array): string {
  if (hostAt(pa) !== null) return datagram.length < 8 ? '' : tenantOfVsid(u32(datagram, 4) >>> 8);
  if (pa === SITE_PA) return 'red';
  const flags = datagram[0];
  const keyAt = 4 + (flags & 0x80 ? 4 : 0);
  const key = (flags & 0x20) !== 0 && datagram.length >= keyAt + 4 ? u32(datagram, keyAt) : -1;
  if (pa === UPLINKS.core) return key === RED_KEY ? 'red' : key === BLUE_KEY ? 'blue' : '';
  return key === BLUE_NAT_KEY ? 'blue' : key === -1 ? 'red' : '';
}

/** Everything wrong with what left for this datagram; [] is what a test wants. */
export function judge(pa: string, datagram: Uint8Array, carrier: number, verdict: number, sent: readonly Sent[]): string[] {
  const wrong: string[] = [];
  if (verdict === FORWARDED && sent.length === 0) wrong.push('forwarded, but nothing left');
  const host = hostAt(pa);
  const tenant = claimOf(pa, datagram);
  if (host === 'vx6' && sent.length > 0 && u32(datagram, 4) >>> 8 === 6002) wrong.push('vx6 may not speak for VSID 6002');
  const wires: Wire[] = [];
  for (const { peer, bytes } of sent) {
    const wire = readWire(bytes, peer in HOSTS ? peer as HostName : null, peer);
    if (typeof wire === 'string') { wrong.push(wire); continue; }
    wires.push(wire);
    if (wire.tenant !== tenant) wrong.push(`${peer}: came from tenant ${tenant}, leaves for ${wire.tenant}`);
    if (wire.read === null) continue;
    if (typeof wire.read === 'string') { wrong.push(`${peer}: ${wire.read}`); continue; }
    if (wire.etherType !== (wire.read.family === 4 ? IPV4 : IPV6)) wrong.push(`${peer}: EtherType ${wire.etherType.toString(16)} before IPv${wire.read.family}`);
    if (!wire.read.headerOk) wrong.push(`${peer}: IPv4 header checksum`);
    if (wire.l3 + wire.read.length !== bytes.length) wrong.push(`${peer}: ${bytes.length - wire.l3} bytes hold a packet of ${wire.read.length}`);
    if (wire.read.length > MTU[peer]) wrong.push(`${peer}: ${wire.read.length} bytes through an MTU of ${MTU[peer]}`);
    // What the gateway makes itself is right; what it carries is as right as it was (below).
    if (verdict !== FORWARDED && verdict > 0 && wire.read.transport === 'wrong') wrong.push(`${peer}: an answer with a wrong checksum`);
  }
  if (verdict === FORWARDED || (verdict < 0 && sent.length > 0)) wrong.push(...spoofs(host, tenant, datagram));
  if (verdict === FORWARDED) wrong.push(...transportKept(datagram, carrier, sent, wires), ...misplaced(host, tenant, datagram, sent, wires));
  return wrong;
}

/** A packet that was carried, or answered, belongs to the host that sent it. */
function spoofs(host: HostName | null, tenant: string, datagram: Uint8Array): string[] {
  const etherType = datagram[20] << 8 | datagram[21];
  if (host === null || etherType === ARP) return [];
  const at = etherType === IPV4 ? 22 + 12 : 22 + 8;
  const source = etherType === IPV4 ? [0, 0, 0xffff, u32(datagram, at)] : [0, 4, 8, 12].map(word => u32(datagram, at + word));
  const owner = OWNERS.get(`${tenant} ${source.join()}`);
  if (owner === host) return [];
  const mac = hex(datagram, 14, 20);
  const ownMac = MACS.has(`${tenant} ${host} ${mac}`);
  const noAddress = (source[0] & 0xffc00000) >>> 0 === 0xfe800000 || source.every(word => word === 0);
  if (owner === undefined && ownMac && (noAddress || mac === '00155d0000fa')) return [];
  return [`${host} spoke as ${source.map(word => word.toString(16)).join()} of ${tenant}, which is at ${owner ?? 'nobody'}`];
}

/** A routed packet goes where its destination's record says; a bridged frame as it came. */
function misplaced(host: HostName | null, tenant: string, datagram: Uint8Array, sent: readonly Sent[], wires: readonly Wire[]): string[] {
  return sent.flatMap(({ peer, bytes }, i) => {
    const wire = wires[i];
    if (!(peer in HOSTS) || wire === undefined) return [];
    const isBridged = host !== null && hex(datagram, 8, 14) !== GATEWAY;
    if (isBridged) return hex(bytes, 8, 22) === hex(datagram, 8, 22) && u32(bytes, 4) >>> 8 === u32(datagram, 4) >>> 8 ? [] : [`${peer}: a bridged frame has changed`];
    const destination = wire.etherType === IPV4 ? [0, 0, 0xffff, u32(bytes, 22 + 16)] : [0, 4, 8, 12].map(word => u32(bytes, 22 + 24 + word));
    const place = PLACES.get(`${tenant} ${destination.join()}`) ?? ROUTER;
    const found = `${peer} ${u32(bytes, 4) >>> 8} ${hex(bytes, 8, 14)}`;
    return found === place && hex(bytes, 14, 20) === GATEWAY ? [] : [`a packet for ${place} went to ${found}`];
  });
}

/** The transport checksum leaves as it came: right, wrong or none. Only for a packet that came whole. */
function transportKept(datagram: Uint8Array, carrier: number, sent: readonly Sent[], wires: readonly Wire[]): string[] {
  if (wires.length !== sent.length || wires.some(wire => wire.read === null)) return [];
  const before = readIp(datagram, innerAt(datagram, carrier));
  if (typeof before === 'string') return [`forwarded what cannot be read: ${before}`];
  if (before.isFragment || before.transport === 'unknown') return [];
  const packets = sent.map(({ bytes }, i) => bytes.slice(wires[i].l3));
  const whole = packets.length === 1 ? packets[0] : reassemble4(packets);
  if (whole === null) return ['the fragments do not make a packet'];
  const after = readIp(whole);
  if (typeof after === 'string') return [`the packet that left: ${after}`];
  return after.transport === before.transport ? [] : [`transport checksum was ${before.transport} and is ${after.transport}`];
}
