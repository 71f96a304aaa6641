/** The live benches' packets: tenants with the same addresses, a VM of each behind every port the generator sends from. */
import { putU32, u32 } from '../../codecs/bytes.js';
import { ETHERNET_LEN, EtherType, writeEthernet } from '../../codecs/ethernet.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { IPV4_MIN_LEN, writeIpv4 } from '../../codecs/ipv4.js';
import { NVGRE_LEN, writeNvgre } from '../../codecs/nvgre.js';
import { UDP_LEN, writeUdp } from '../../codecs/udp.js';

export const ADDRESS = '127.0.0.1';
/** Ports the generator sends from, each a host with a PA of its own: outer flows for the kernel to spread. */
export const HOSTS = 64;
export const TENANTS = 4;
/** Inner flows, each NVGRE → NAT → GRE. */
export const FLOWS = 1024;
/** Inner IP packet, bytes. */
const PACKET_LEN = 64;
/** Outer and inner headers of what the generator sends, and of what comes out again. */
const PAYLOAD_IN = NVGRE_LEN + ETHERNET_LEN + IPV4_MIN_LEN + UDP_LEN;
const GRE_LEN = 4;
const PAYLOAD_OUT = GRE_LEN + IPV4_MIN_LEN + UDP_LEN;

/** 64 in all: room for a million flows. */
const POOL_ADDRESSES = 16;
const FIRST_VSID = 0xf00000;
const FIRST_CA = 0x0a00000a;
const FIRST_SERVER = 0xc6120000; // 198.18.0.0/15, set aside for benches (RFC 2544)
const SERVER_PORT = 443;
const FIRST_PORT = 10_000;
const MAC_HIGH = 0x0015;
const MAC_LOW = 0x5d000000;

/** Host of flow `f`, which is also the socket it leaves by. */
export function hostOf(f: number): number {
  return f % HOSTS;
}

/** The config of a gateway between the generator's `hostPorts` and an uplink on `uplinkPort`. */
export function gatewayConfig(hostPorts: readonly number[], uplinkPort: number, gateway: object): object {
  return {
    gateway: { listen: ADDRESS, grePort: 0, vxlanPort: 0, metrics: false, logLevel: 'info', ...gateway },
    hosts: hostPorts.map((port, i) => ({ name: `peer-${i}`, pa: `${ADDRESS}:${port}`, encap: 'nvgre' })),
    uplinks: [{ name: 'inet', pa: `${ADDRESS}:${uplinkPort}` }],
    tenants: Array.from({ length: TENANTS }, (_, t) => ({
      name: `live-${t}`, rdid: `6f1c2a70-51d5-4f0e-9a54-${String(t).padStart(12, '0')}`,
      subnets: [{ vsid: FIRST_VSID + t, prefix: '10.0.0.0/24' }],
      records: hostPorts.map((_port, i) => ({ ca: `10.0.0.${10 + i}`, mac: `00:15:5d:00:00:${i.toString(16).padStart(2, '0')}`, host: `peer-${i}` })),
      routes: [{ prefix: '0.0.0.0/0', via: 'nat' }],
      nat: { uplink: 'inet', pool: [`192.0.2.${t * POOL_ADDRESSES}/28`] },
    })),
  };
}

/** A datagram of flow `f`, of which there are ten millions. The inner UDP checksum is left out, as RFC 768 allows, so that the payload can be written anew. */
export function datagramOf(f: number): Buffer {
  const host = hostOf(f);
  const src = FIRST_CA + host, dst = FIRST_SERVER + (f & 0xffff);
  const mem = Buffer.alloc(NVGRE_LEN + ETHERNET_LEN + PACKET_LEN);
  const frame = writeNvgre(mem, 0, FIRST_VSID + Math.floor(f / HOSTS) % TENANTS, 0);
  const l3 = frame + ETHERNET_LEN;
  writeEthernet(mem, frame, 0x0200, 1, MAC_HIGH, MAC_LOW + host, EtherType.ipv4);
  const l4 = l3 + writeIpv4(mem, l3, PACKET_LEN, 0, false, 64, IpProtocol.udp, src, dst);
  writeUdp(mem, l4, FIRST_PORT + Math.floor(f / (HOSTS * TENANTS)), SERVER_PORT, PACKET_LEN - IPV4_MIN_LEN);
  return mem;
}

/** Number a datagram, and say when it leaves: microseconds of a clock that all threads read. */
export function stamp(datagram: Buffer, sequence: number, us: number): void {
  putU32(datagram, PAYLOAD_IN, sequence);
  datagram.writeDoubleBE(us, PAYLOAD_IN + 4);
}

/** The same fields of what came out: a GRE packet, or what `stamp` wrote into if it was only sent on. */
export function sequenceOf(datagram: Buffer): number {
  return u32(datagram, payloadOf(datagram));
}
export function stampOf(datagram: Buffer): number {
  return datagram.readDoubleBE(payloadOf(datagram) + 4);
}

function payloadOf(datagram: Buffer): number {
  return datagram.length === NVGRE_LEN + ETHERNET_LEN + PACKET_LEN ? PAYLOAD_IN : PAYLOAD_OUT;
}

/** Microseconds since some moment, the same in every thread and process. Allocates nothing when called. */
export function makeClock(): () => number {
  const offset = Number(process.hrtime.bigint()) / 1e3 - performance.now() * 1e3;
  return () => offset + performance.now() * 1e3;
}
