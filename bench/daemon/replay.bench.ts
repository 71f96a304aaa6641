/** A large capture through the real pipeline, as `causeway replay` sends it without -w: read, decapsulated, carried, encapsulated. */
import { CaptureReader, CaptureRecord } from '../../codecs/capture.js';
import { FLOW_PORT_MIN, GRE_UDP_PORT } from '../../codecs/gre-udp.js';
import { LinkType } from '../../codecs/link.js';
import { PcapWriter } from '../../codecs/pcap.js';
import { UNDERLAY_HEADROOM, writeUnderlay, type UnderlayRoute } from '../../codecs/underlay.js';
import { Offline } from '../../daemon/offline/offline.js';
import { readConfig } from '../../config/index.js';
import { once, type Effort, type Measured } from '../harness.js';
import { QUESTION_HEADERS, SMALLEST, WORLD_PA, configOf, writeQuestion } from '../pipeline/world.js';
import type { Bench } from '../result.js';

const PACKETS = 262_144;
const FLOWS = 4096;
const LENGTHS = [SMALLEST, 1400] as const;
const CHUNK = 1 << 18; // as replay reads files
const SEED = 1;
const NS_BETWEEN = 1000n;
const BYTES_PER_MB = 1e6;

/** A capture of `packets` packets of a few thousand flows, with outer Ethernet, IP and UDP. */
export function makeCapture(packets: number, len: number): Buffer {
  const writer = new PcapWriter();
  const mem = new Uint8Array(UNDERLAY_HEADROOM + QUESTION_HEADERS + len);
  const frames = Array.from({ length: Math.min(packets, FLOWS) }, (_, flow) => {
    writeQuestion(mem, UNDERLAY_HEADROOM, flow, len);
    const route: UnderlayRoute = { family: 4, src: WORLD_PA.host, dst: WORLD_PA.gateway, srcPort: FLOW_PORT_MIN + flow, dstPort: GRE_UDP_PORT };
    return mem.slice(writeUnderlay(mem, UNDERLAY_HEADROOM, mem.length, route));
  });
  const records = Array.from({ length: packets }, (_, i) => writer.record(frames[i % frames.length], 0, frames[0].length, BigInt(i) * NS_BETWEEN));
  return Buffer.concat([writer.header(LinkType.ethernet), ...records]);
}

/** Carry it; returns how many packets there were, each of which must have gone on. */
export function replay(capture: Buffer): number {
  const { config } = readConfig(configOf({ rules: 0, sessions: FLOWS }), 'replay.json');
  if (config === undefined) throw new Error('the config is not valid');
  let sent = 0;
  const offline = new Offline(config, SEED, null, () => { sent++; });
  const read = readAll(capture, record => offline.receive(record));
  if (sent !== read) throw new Error(`of ${read} packets ${sent} went on`);
  return read;
}

function readAll(capture: Buffer, each: (record: CaptureRecord) => void): number {
  const reader = new CaptureReader();
  const record = new CaptureRecord();
  let read = 0;
  for (let at = 0; at <= capture.length; at += CHUNK) {
    if (at < capture.length) reader.push(capture.subarray(at, at + CHUNK));
    else reader.end();
    for (; reader.next(record) === 'record'; read++) each(record);
  }
  return read;
}

interface Times { readonly bytes: number; readonly packets: number; readonly replayMs: number[]; readonly readMs: number[] }

async function measure(effort: Effort, len: number): Promise<Times> {
  const capture = makeCapture(PACKETS * effort.part, len);
  const times: Times = { bytes: capture.length, packets: PACKETS * effort.part, replayMs: [], readMs: [] };
  const timed = (work: () => number): number => {
    const began = performance.now();
    if (work() !== times.packets) throw new Error('not all packets were read');
    return performance.now() - began;
  };
  replay(capture);
  for (let round = 0; round < effort.slowRounds; round++) {
    times.readMs.push(timed(() => readAll(capture, () => {})));
    times.replayMs.push(timed(() => replay(capture)));
  }
  return times;
}

export const replayBenches: readonly Bench[] = LENGTHS.flatMap(len => {
  const times = once(effort => measure(effort, len));
  const per = (samples: readonly number[], amount: number): number[] => samples.map(ms => amount / ms);
  const rate = async (effort: Effort, amount: (times: Times) => number): Promise<Measured> => {
    const all = await times(effort);
    return { samples: per(all.replayMs, amount(all)), heapBytesPerOp: null, baseline: { name: 'reading it', samples: per(all.readMs, amount(all)) } };
  };
  const what = `a capture of ${PACKETS} packets, ${len} bytes within the tunnel, NVGRE → NAT → GRE`;
  return [
    { name: `replay/${len}/packets`, unit: 'kpps', what: `${what}: packets a millisecond; baseline: reading them`, measure: effort => rate(effort, all => all.packets) },
    { name: `replay/${len}/bytes`, unit: 'MB/s', what: `${what}: bytes of the file; baseline: reading them`, measure: effort => rate(effort, all => all.bytes / BYTES_PER_MB * 1000) },
  ] satisfies Bench[];
});
