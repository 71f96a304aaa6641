/** Spreading packets over workers: the hash of a flow, and what it costs to hand a datagram to another thread. */
import { Carrier } from '../../pipeline/packet.js';
import { RingWriter, Written, makeRing } from '../../pipeline/ring.js';
import { MICROSOFT_KEY, RssHash, Toeplitz } from '../../pipeline/rss.js';
import { ethernetFrame, grePacket, nvgrePacket, udpPacket } from '../../daemon/cli/craft.js';
import { measureNs, type Effort, type Measured, type Work } from '../harness.js';
import type { DrainData } from '../live/drain.js';
import { Player } from '../live/roles.js';
import type { Bench } from '../result.js';

/** Flows, and datagrams a pass: 128 bytes each, so they lie in a near cache. */
const FLOWS = 1024;
const HASHES = FLOWS * 16;
const VSID = 5001;
const MAC = '02:00:00:00:00:01';

/** Datagrams as a socket gives them: each a Buffer of its own. */
function datagrams(make: (flow: number) => Uint8Array): Buffer[] {
  return Array.from({ length: FLOWS }, (_, flow) => {
    const bytes = make(flow);
    const own = Buffer.allocUnsafeSlow(bytes.length);
    own.set(bytes);
    return own;
  });
}

const inNvgre = (from: string, to: string, payload: number): Buffer[] =>
  datagrams(flow => nvgrePacket(VSID, ethernetFrame(MAC, MAC, udpPacket(from, 1024 + flow, to, 53, new Uint8Array(payload)))));
const V4 = ['10.0.0.5', '198.51.100.7'] as const, V6 = ['2001:db8:a::5', '2001:db8:1234::7'] as const;

/** The bare sum, of addresses and ports that lie in a row. */
function toeplitz(len: number): Work {
  const hash = new Toeplitz(MICROSOFT_KEY);
  const input = Uint8Array.from({ length: FLOWS * 4 + len }, (_, i) => i * 167);
  return {
    ops: HASHES,
    run(from, to) {
      let sum = 0;
      for (let i = from; i < to; i++) sum ^= hash.add(input, (i & (FLOWS - 1)) * 4, len, 0);
      return sum;
    },
  };
}

function ofDatagram(all: readonly Buffer[]): Work {
  const hash = new RssHash(MICROSOFT_KEY);
  return {
    ops: HASHES,
    run(from, to) {
      let sum = 0;
      for (let i = from; i < to; i++) {
        const datagram = all[i & (FLOWS - 1)];
        sum ^= hash.ofDatagram(datagram, 0, datagram.length, Carrier.gre);
      }
      return sum;
    },
  };
}

const SLOTS = 1024;
const LONGEST = 1500;
/** Many times what the ring holds, so that what is in it at the end of a pass does not matter. */
const HANDED = SLOTS * 64;

const nobody = new Int32Array(new SharedArrayBuffer(4));
/** Looks at a ring that stays full, some 20 µs, before who empties it may have the processor that we look with. */
const PATIENCE = 2000;
function leaveProcessor(): void {
  Atomics.wait(nobody, 0, 0, 0.02);
}

/** Datagrams that the dispatcher receives in one turn of its loop; then it wakes who sleeps. */
const TURN = 32;

/** Datagrams into a ring, as fast as another thread takes them out; a pass ends when it has had all of them. */
function handOver(ring: SharedArrayBuffer, all: readonly Buffer[]): Work {
  const writer = new RingWriter(ring);
  return {
    ops: HANDED,
    run(from, to) {
      let waits = 0;
      for (let i = from; i < to; i++) {
        while (writer.write(all[i & (FLOWS - 1)], 0, 0, 0xffff, 0x7f000001, 50000, Carrier.gre, 0, 0) === Written.full) if (++waits % PATIENCE === 0) leaveProcessor();
        if (i % TURN === TURN - 1) writer.wake();
      }
      writer.wake();
      while (writer.depth > 0) if (++waits % PATIENCE === 0) leaveProcessor();
      return waits;
    },
  };
}

/** What no ring can do without: the bytes copied into as many slots of shared memory. */
function copy(all: readonly Buffer[]): Work {
  const stride = LONGEST + 64;
  const slots = new Uint8Array(new SharedArrayBuffer(SLOTS * stride));
  return {
    ops: HANDED,
    run(from, to) {
      for (let i = from; i < to; i++) slots.set(all[i & (FLOWS - 1)], (i & (SLOTS - 1)) * stride);
      return slots[0];
    },
  };
}

async function measureHandOver(effort: Effort, payload: number): Promise<Measured> {
  const rings = [makeRing(SLOTS, LONGEST)];
  const drain = new Player('drain', { rings, queue: 0 } satisfies DrainData);
  try {
    await drain.hear();
    const all = inNvgre(...V4, payload);
    return measureNs(effort, handOver(rings[0], all), { name: 'the copy alone', work: copy(all) });
  } finally {
    await drain.close();
  }
}

export const rssBenches: readonly Bench[] = [
  { name: 'pipeline/rss/toeplitz-4', unit: 'ns', what: 'Toeplitz over IPv4 addresses and ports, 12 bytes', measure: effort => measureNs(effort, toeplitz(12)) },
  { name: 'pipeline/rss/toeplitz-6', unit: 'ns', what: 'Toeplitz over IPv6 addresses and ports, 36 bytes', measure: effort => measureNs(effort, toeplitz(36)) },
  {
    name: 'pipeline/rss/datagram-4', unit: 'ns', what: 'RssHash.ofDatagram: the flow of UDP in IPv4 in NVGRE; baseline: Toeplitz alone',
    measure: effort => measureNs(effort, ofDatagram(inNvgre(...V4, 36)), { name: 'Toeplitz, 12 bytes', work: toeplitz(12) }),
  },
  {
    name: 'pipeline/rss/datagram-6', unit: 'ns', what: 'the same of UDP in IPv6',
    measure: effort => measureNs(effort, ofDatagram(inNvgre(...V6, 16)), { name: 'Toeplitz, 36 bytes', work: toeplitz(36) }),
  },
  {
    name: 'pipeline/rss/datagram-gre', unit: 'ns', what: "the same of UDP in IPv4 in an uplink's GRE; baseline: Toeplitz alone",
    measure: effort => measureNs(effort, ofDatagram(datagrams(flow => grePacket(udpPacket(V4[1], 53, V4[0], 1024 + flow, new Uint8Array(36)), -1))), { name: 'Toeplitz, 12 bytes', work: toeplitz(12) }),
  },
  ...[64, 1400].map((inner): Bench => ({
    name: `pipeline/ring/hand-over/${inner}`, unit: 'ns', ...(inner === 64 ? { target: { of: 'median', max: 120 } } : {}),
    what: `a datagram with an inner packet of ${inner} bytes into a ring and out of it in another thread, loaded; baseline: the copy alone`,
    measure: effort => measureHandOver(effort, inner - 28),
  })),
];
