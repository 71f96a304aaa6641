/**
 * A gateway with something of everything, and packets for its walks: sixteen tenants with the same addresses, each
 * with VMs behind NVGRE and behind VXLAN, four pool addresses, a physical network and a site.
 */
import { u16, u32 } from '../../codecs/bytes.js';
import { ETHERNET_LEN, EtherType, writeEthernet } from '../../codecs/ethernet.js';
import { writeGre } from '../../codecs/gre.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { IPV4_MIN_LEN, IPV4_SRC, writeIpv4 } from '../../codecs/ipv4.js';
import { writeNvgre } from '../../codecs/nvgre.js';
import { UDP_LEN, fillUdpChecksum4, writeUdp } from '../../codecs/udp.js';
import { stateSizes } from '../../daemon/tables.js';
import { Gateway, makeLoneState } from '../../pipeline/gateway.js';
import { Fate } from '../../pipeline/context.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { seededRandom } from '../../pipeline/random.js';
import { load } from '../config/load.bench.js';
import type { Work } from '../harness.js';
import { shuffled } from '../shuffle.js';
import { ROOM, Ring } from './ring.js';

const TENANTS = 16;
const VMS = 64;
const FIRST_VM = 10;
const VSID = 5000;
/** Inner IP packet, bytes. */
const PACKET_LEN = 64;
const GRE_LEN = 4;
const REMOTE_PORT = 443;
const FIRST_PORT = 10_000;
const SEED = 11;
const SESSIONS = 1 << 17;
const MAC_HIGH = 0x0015;
const FRONT_MAC = 0x5d000000;
const GATEWAY_MAC_HIGH = 0x0200;
const GATEWAY_MAC_LOW = 1;

/** Where a walk goes: the destination of flow `i`. All come from NVGRE hosts; `natIn` are the answers to `natOut`. */
const DESTINATIONS = {
  natOut: (i: number) => 0xc6120000 + i % 65536, // 198.18.0.0/15, set aside for benches (RFC 2544)
  subnet: (i: number) => 0x0a000100 + FIRST_VM + vmOf(i), // behind VXLAN
  forward: (i: number) => 0xac100000 + i % 65536,
  site: (i: number) => 0xc0a83200 + 1 + i % 250,
} as const;

export const WALKS = ['natOut', 'natIn', 'subnet', 'forward', 'site'] as const;
export type WalkName = (typeof WALKS)[number];

function vmOf(flow: number): number {
  return Math.floor(flow / TENANTS) % VMS;
}
function portOf(flow: number): number {
  return FIRST_PORT + Math.floor(flow / (TENANTS * VMS));
}

function configOf(rules: number): string {
  return JSON.stringify({
    gateway: { listen: '192.0.2.1', mac: '02:00:00:00:00:01', limits: { tenants: TENANTS, sessions: SESSIONS, bindings: SESSIONS } },
    hosts: [{ name: 'front', pa: '192.0.2.11', encap: 'nvgre' }, { name: 'back', pa: '192.0.2.12', encap: 'vxlan' }],
    uplinks: [{ name: 'inet', pa: '192.0.2.20' }, { name: 'core', pa: '192.0.2.21' }],
    tenants: Array.from({ length: TENANTS }, (_, t) => ({
      name: `tenant-${t}`,
      rdid: `6f1c2a70-51d5-4f0e-9a53-${String(t).padStart(12, '0')}`,
      subnets: [{ vsid: VSID + 2 * t, prefix: '10.0.0.0/24' }, { vsid: VSID + 2 * t + 1, prefix: '10.0.1.0/24' }],
      records: Array.from({ length: VMS }, (_, vm) => [
        { ca: `10.0.0.${FIRST_VM + vm}`, mac: `00:15:5d:00:00:${vm.toString(16).padStart(2, '0')}`, host: 'front' },
        { ca: `10.0.1.${FIRST_VM + vm}`, mac: `00:15:5d:00:01:${vm.toString(16).padStart(2, '0')}`, host: 'back' },
      ]).flat(),
      routes: [{ prefix: '0.0.0.0/0', via: 'nat' }, { prefix: '172.16.0.0/12', via: 'forward' }, { prefix: '192.168.50.0/24', via: 'site:hq' }],
      nat: { uplink: 'inet', pool: [`203.0.113.${t * 4}/30`] },
      forward: { uplink: 'core', key: 7000 + t },
      sites: [{ name: 'hq', pa: '198.51.100.31:4754', key: 9000 + t, prefixes: ['192.168.50.0/24'] }],
      // None matches, and each is compared to its last field: the remote prefix is what differs.
      acls: Array.from({ length: rules }, (_, i) => ({
        weight: 10, action: 'deny', direction: i % 2 === 0 ? 'outbound' : 'inbound', protocol: 'udp',
        localPort: '1-65535', remote: `100.64.${i}.0/24`,
      })),
    })),
  });
}

/** What was sent last, and how much so far. */
interface Sent { mem: Uint8Array; at: number; end: number; count: number }

export interface World {
  readonly gateway: Gateway;
  readonly sent: Sent;
  /** Milliseconds since the epoch. */
  now: number;
}

/** A gateway whose tenants have `rules` ACL rules each. */
export function makeWorld(rules: number): World {
  const { config, policy } = load(configOf(rules));
  const sent: Sent = { mem: new Uint8Array(0), at: 0, end: 0, count: 0 };
  const gateway = new Gateway({
    state: makeLoneState(stateSizes(config), SEED), worker: 0, policy, random: seededRandom(SEED),
    outlet: {
      send(mem, at, end) {
        sent.mem = mem;
        sent.at = at;
        sent.end = end;
        sent.count++;
        return false;
      },
    },
  });
  return { gateway, sent, now: 1_700_000_000_000 };
}

/** One packet of each of `flows` flows, in random order. For `natIn` the flows are opened from inside first. */
export function makeRing(world: World, walk: WalkName, flows: number): Ring {
  const order = shuffled(flows);
  return walk === 'natIn' ? answers(world, order) : questions(world, DESTINATIONS[walk], order);
}

function questions({ gateway }: World, destinationOf: (flow: number) => number, order: Uint32Array): Ring {
  const ring = new Ring(order.length);
  const host = gateway.context.policy.findSender(0, 0, 0xffff, 0xc000020b, 0);
  order.forEach((flow, slot) => ring.fill(slot, host, (mem, at) => {
    const vm = vmOf(flow);
    const l3 = at + writeNvgre(mem, at, VSID + 2 * (flow % TENANTS), 0) + ETHERNET_LEN;
    writeEthernet(mem, l3 - ETHERNET_LEN, GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW, MAC_HIGH, FRONT_MAC + vm, EtherType.ipv4);
    return writeUdpPacket(mem, l3, 0x0a000000 + FIRST_VM + vm, portOf(flow), destinationOf(flow), REMOTE_PORT) - at;
  }));
  return ring;
}

/** What the Internet answers: the ends of the translated packet, turned round. */
function answers(world: World, order: Uint32Array): Ring {
  const { gateway, sent } = world;
  const asked = questions(world, DESTINATIONS.natOut, order);
  const ring = new Ring(order.length);
  const uplink = gateway.context.policy.findSender(0, 0, 0xffff, 0xc0000214, 0);
  asked.restore();
  order.forEach((flow, slot) => {
    receive(gateway, asked, slot, 0, world.now);
    const l3 = sent.at + GRE_LEN;
    const outside = u32(sent.mem, l3 + IPV4_SRC);
    const outsidePort = u16(sent.mem, l3 + IPV4_MIN_LEN);
    ring.fill(slot, uplink, (mem, at) => {
      const inner = at + writeGre(mem, at, EtherType.ipv4, -1);
      return writeUdpPacket(mem, inner, DESTINATIONS.natOut(flow), REMOTE_PORT, outside, outsidePort) - at;
    });
  });
  return ring;
}

/** Returns where the packet ends. */
function writeUdpPacket(mem: Uint8Array, l3: number, src: number, sport: number, dst: number, dport: number): number {
  const l4 = l3 + writeIpv4(mem, l3, PACKET_LEN, 0, false, 64, IpProtocol.udp, src, dst);
  writeUdp(mem, l4, sport, dport, PACKET_LEN - IPV4_MIN_LEN);
  mem.fill(0x5a, l4 + UDP_LEN, l3 + PACKET_LEN);
  fillUdpChecksum4(mem, l4, src, dst);
  return l3 + PACKET_LEN;
}

function receive(gateway: Gateway, ring: Ring, slot: number, headroom: number, now: number): void {
  const at = ring.at(slot);
  const verdict = gateway.receive(ring.slots, at - headroom, at, ring.ends[slot], ring.peers[slot], Carrier.gre, Side.both, now);
  if (verdict !== Fate.forwarded) throw new Error(`slot ${slot} was not forwarded: ${verdict}`);
}

/**
 * The whole pipeline over a ring, once a pass. Without `headroom` packets come as Node hands out datagrams, nothing
 * before their first byte; with it, as from a slot. The clock goes on as if a million packets came a second.
 */
export function through(world: World, ring: Ring, headroom: 0 | typeof ROOM = 0): Work {
  return {
    ops: ring.count,
    restore() {
      ring.restore();
      world.now += ring.count / 1000;
    },
    run(from, to) {
      const { gateway, now } = world;
      for (let slot = from; slot < to; slot++) receive(gateway, ring, slot, headroom, now);
      return world.sent.count;
    },
  };
}
