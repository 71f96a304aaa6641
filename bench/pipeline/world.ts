/**
 * A gateway with something of everything, and packets for its walks: sixteen tenants with the same addresses, each
 * with VMs behind NVGRE and behind VXLAN, four pool addresses, a physical network and a site.
 */
import { u16, u32 } from '../../codecs/bytes.js';
import { ETHERNET_LEN, EtherType, writeEthernet } from '../../codecs/ethernet.js';
import { writeGre } from '../../codecs/gre.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { IPV4_MIN_LEN, IPV4_SRC, writeIpv4 } from '../../codecs/ipv4.js';
import { NVGRE_LEN, writeNvgre } from '../../codecs/nvgre.js';
import { fillUdpChecksum4, writeUdp } from '../../codecs/udp.js';
import { stateSizes } from '../../daemon/tables.js';
import { Gateway, makeLoneState } from '../../pipeline/gateway.js';
import { Fate } from '../../pipeline/context.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { seededRandom } from '../../pipeline/random.js';
import { load } from '../config/load.bench.js';
import { warmUp, type Effort, type Work } from '../harness.js';
import { shuffled } from '../shuffle.js';
import { ROOM, Ring } from './ring.js';

const TENANTS = 16;
/** Sessions that 64 pool addresses are to carry; more have 256. */
const MOST_ON_64 = 1 << 20;
const VMS = 64;
/** What four million sessions take. */
const PORT_BLOCKS = 16_384;
const FIRST_VM = 10;
const VSID = 5000;
const GRE_LEN = 4;
const KEYED_GRE_LEN = 8;
const REMOTE_PORT = 443;
/** Inner bytes of the smallest packets. */
export const SMALLEST = 64;
const BUSY_FLOWS = 1024;
/** Longer than any flow lives that these benches open: NAT's over UDP five minutes. */
const IDLE_TICKS = 32;
const IDLE_TICK_MS = 10_000;
const FIRST_PORT = 10_000;
const SEED = 11;
const FIRST_KEY = 7000;
const MAC_HIGH = 0x0015;
const FRONT_MAC = 0x5d000000;
const GATEWAY_MAC_HIGH = 0x0200;
const GATEWAY_MAC_LOW = 1;

/** Of the gateway and of those who send to it, as words. */
export const WORLD_PA = {
  gateway: [0, 0, 0xffff, 0xc0000201], host: [0, 0, 0xffff, 0xc000020b], inet: [0, 0, 0xffff, 0xc0000214], core: [0, 0, 0xffff, 0xc0000215],
} as const;

/** Where a walk goes: the destination of flow `i`. All come from NVGRE hosts; `natIn` and `forwardIn` are the answers to `natOut` and `forward`. */
const DESTINATIONS = {
  natOut: (i: number) => 0xc6120000 + i % 65536, // 198.18.0.0/15, set aside for benches (RFC 2544)
  subnet: (i: number) => 0x0a000100 + FIRST_VM + vmOf(i), // behind VXLAN
  forward: (i: number) => 0xac100000 + i % 65536,
  site: (i: number) => 0xc0a83200 + 1 + i % 250,
} as const;

export const WALKS = ['natOut', 'natIn', 'subnet', 'forward', 'site'] as const;
export type WalkName = (typeof WALKS)[number] | 'forwardIn';

/** What a world is made for. */
export interface WorldParts {
  /** ACL rules of each tenant, 16,384 at most. */
  readonly rules: number;
  /** Sessions that fit. */
  readonly sessions: number;
  /** Flows without a session that fit; as many as sessions, unless it says so. */
  readonly flows?: number;
}

function vmOf(flow: number): number {
  return Math.floor(flow / TENANTS) % VMS;
}
function portOf(flow: number): number {
  return FIRST_PORT + Math.floor(flow / (TENANTS * VMS));
}

export function configOf({ rules, sessions, flows = sessions }: WorldParts): string {
  return JSON.stringify({
    gateway: { listen: '192.0.2.1', mac: '02:00:00:00:00:01', limits: { tenants: TENANTS, sessions, flows, bindings: sessions, subscribers: 2 * TENANTS * VMS, portBlocks: PORT_BLOCKS } },
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
      nat: { uplink: 'inet', pool: [sessions <= MOST_ON_64 ? `203.0.113.${t * 4}/30` : `203.0.113.${t * 16}/28`] },
      forward: { uplink: 'core', key: FIRST_KEY + t },
      sites: [{ name: 'hq', pa: '198.51.100.31:4754', key: 9000 + t, prefixes: ['192.168.50.0/24'] }],
      // None matches, and each is compared to its last field: the remote prefix is what differs.
      acls: Array.from({ length: rules }, (_, i) => ({
        weight: 10, action: 'deny', direction: i % 2 === 0 ? 'outbound' : 'inbound', protocol: 'udp',
        localPort: '1-65535', remote: `100.${64 + (i >> 8)}.${i & 255}.0/24`,
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

export function makeWorld(parts: WorldParts): World {
  const { config, policy } = load(configOf(parts));
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

/** One packet of `len` bytes within the tunnel of each of `flows` flows, in random order. For `natIn` the flows are opened from inside first. */
export function makeRing(world: World, walk: WalkName, flows: number, len: number): Ring {
  const order = shuffled(flows);
  if (walk === 'natIn') return answers(world, order, len);
  return walk === 'forwardIn' ? physicalAnswers(world, order, len) : questions(world, DESTINATIONS[walk], order, len);
}

function questions({ gateway }: World, destinationOf: (flow: number) => number, order: Uint32Array, len: number): Ring {
  const ring = new Ring(order.length, QUESTION_HEADERS + len, gateway.context.policy.findSender(...WORLD_PA.host, 0));
  order.forEach((flow, i) => ring.fill(i, (mem, at) => writeQuestion(mem, at, flow, len, destinationOf(flow))));
  return ring;
}

/** Bytes before the inner packet of a question. */
export const QUESTION_HEADERS = NVGRE_LEN + ETHERNET_LEN;

/** The datagram that a host sends for flow `flow`, to the Internet unless `destination` says otherwise. */
export function writeQuestion(mem: Uint8Array, at: number, flow: number, len: number, destination: number = DESTINATIONS.natOut(flow)): void {
  const vm = vmOf(flow);
  const l3 = at + writeNvgre(mem, at, VSID + 2 * (flow % TENANTS), 0) + ETHERNET_LEN;
  writeEthernet(mem, l3 - ETHERNET_LEN, GATEWAY_MAC_HIGH, GATEWAY_MAC_LOW, MAC_HIGH, FRONT_MAC + vm, EtherType.ipv4);
  writeUdpPacket(mem, l3, len, 0x0a000000 + FIRST_VM + vm, portOf(flow), destination, REMOTE_PORT);
}

/** What the Internet answers: the ends of the translated packet, turned round. */
function answers(world: World, order: Uint32Array, len: number): Ring {
  const { gateway, sent } = world;
  const asked = questions(world, DESTINATIONS.natOut, order, SMALLEST);
  gateway.now = world.now;
  const ring = new Ring(order.length, GRE_LEN + len, gateway.context.policy.findSender(...WORLD_PA.inet, 0));
  order.forEach((flow, i) => {
    const slot = i % asked.size;
    if (slot === 0) asked.restore();
    receive(gateway, asked, slot, 0);
    const l3 = sent.at + GRE_LEN;
    const outside = u32(sent.mem, l3 + IPV4_SRC);
    const outsidePort = u16(sent.mem, l3 + IPV4_MIN_LEN);
    ring.fill(i, (mem, at) => {
      const inner = at + writeGre(mem, at, EtherType.ipv4, -1);
      writeUdpPacket(mem, inner, len, DESTINATIONS.natOut(flow), REMOTE_PORT, outside, outsidePort);
    });
  });
  return ring;
}

/** What the physical network answers to `forward`: the same two ends, in GRE with the tenant's key. */
function physicalAnswers({ gateway }: World, order: Uint32Array, len: number): Ring {
  const ring = new Ring(order.length, KEYED_GRE_LEN + len, gateway.context.policy.findSender(...WORLD_PA.core, 0));
  order.forEach((flow, i) => ring.fill(i, (mem, at) => {
    const inner = at + writeGre(mem, at, EtherType.ipv4, FIRST_KEY + flow % TENANTS);
    writeUdpPacket(mem, inner, len, DESTINATIONS.forward(flow), REMOTE_PORT, 0x0a000000 + FIRST_VM + vmOf(flow), portOf(flow));
  }));
  return ring;
}

/** A UDP packet of `len` bytes; its payload is zeros. */
function writeUdpPacket(mem: Uint8Array, l3: number, len: number, src: number, sport: number, dst: number, dport: number): void {
  const l4 = l3 + writeIpv4(mem, l3, len, 0, false, 64, IpProtocol.udp, src, dst);
  writeUdp(mem, l4, sport, dport, len - IPV4_MIN_LEN);
  fillUdpChecksum4(mem, l4, src, dst);
}

function receive(gateway: Gateway, ring: Ring, slot: number, headroom: number): void {
  const at = ring.at(slot);
  const verdict = gateway.receive(ring.slots, at - headroom, at, at + ring.len, ring.peer, Carrier.gre, Side.both);
  if (verdict !== Fate.forwarded) throw new Error(`slot ${slot} was not forwarded: ${verdict}`);
}

/** The same work with every flow a new one. */
export function forgetting({ gateway: { context: { nat } } }: World, work: Work): Work {
  return {
    ...work,
    restore() {
      for (const session of nat.sessions()) nat.close(session);
      work.restore?.();
    },
  };
}

/**
 * The whole pipeline over a ring, a window a pass. Without `headroom` packets come as Node hands out datagrams, nothing
 * before their first byte; with it, as from a slot. The clock goes on as if a million packets came a second.
 */
export function through(world: World, ring: Ring, headroom: 0 | typeof ROOM = 0): Work {
  return {
    ops: ring.size,
    restore() {
      ring.restore();
      world.now += ring.size / 1000;
    },
    run(from, to) {
      const { gateway } = world;
      gateway.now = world.now;
      for (let slot = from; slot < to; slot++) receive(gateway, ring, slot, headroom);
      return world.sent.count;
    },
  };
}

/** Every flow of `ring` has been seen. */
export function openAll(world: World, ring: Ring): void {
  const work = through(world, ring);
  for (let seen = 0; seen < ring.flows; seen += ring.size) {
    work.restore?.();
    work.run(0, ring.size);
  }
}

/** Let so much time go by without packets that all flows are forgotten, NAT sessions too: beside a million of them others would find no room. */
export function idle(world: World): void {
  for (let i = 0; i < IDLE_TICKS; i++) {
    world.now += IDLE_TICK_MS;
    world.gateway.tick(world.now);
  }
}

/**
 * A world that all walks have gone through, a thousand flows of each: a gateway has all of them in use, and its code is
 * compiled for all. `change` sees it before anything has run.
 */
export function makeBusyWorld(effort: Effort, parts: WorldParts, change: (world: World) => void = () => {}): World {
  const world = makeWorld(parts);
  change(world);
  warmUp(effort, WALKS.flatMap(walk => {
    const ring = makeRing(world, walk, BUSY_FLOWS, SMALLEST);
    return [through(world, ring), through(world, ring, ROOM)];
  }));
  return world;
}
