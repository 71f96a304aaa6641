/** The run: pick, spoil, send, judge; time and policies change under way. */
import type { LedgerTotals } from '../../pipeline/ledger.js';
import { REASON_NAMES } from '../../pipeline/reasons.js';
import { hex } from '../support/bytes.js';
import { seeded, type Seeded } from '../support/seeded.js';
import { HOST_NAMES, HOSTS, SITE_PA, UPLINKS } from '../support/world.js';
import { corpus, type Seed } from './corpus.js';
import { mutate } from './mutate.js';
import { judge } from './oracle.js';
import { Rig } from './rig.js';

const PAS = [...HOST_NAMES.map(name => HOSTS[name].pa), UPLINKS.inet, UPLINKS.core, SITE_PA, '192.0.2.99'];
const CHECK_EVERY = 5000;

export interface FuzzReport { readonly seed: number; readonly frames: number; readonly ms: number; readonly totals: LedgerTotals; readonly reasons: number }

/** Run `frames` frames; throws at the first thing wrong, with what is needed to see it again. `progress` is told now and then. */
export function fuzz(frames: number, seed: number, progress: (done: number) => void = () => {}): FuzzReport {
  const random = seeded(seed);
  const rig = new Rig(seed);
  const seeds = corpus();
  /** Answers to what left lately: they keep NAT, and both directions of a flow, alive. */
  const answers: Seed[] = [];
  const began = Date.now();
  let turn = 0;

  for (let frame = 0; frame < frames; frame++) {
    let pa = '', datagram: Uint8Array = new Uint8Array(0);
    try {
      passTime(rig, random);
      const source = answers.length > 0 && random.below(3) === 0 ? answers[random.below(answers.length)]
        : random.below(4) === 0 ? seeds[turn++ % seeds.length] : seeds[random.below(seeds.length)];
      const isSpoilt = random.below(5) !== 0;
      datagram = isSpoilt ? mutate(random, source.bytes, seeds[random.below(seeds.length)].bytes, source.carrier) : source.bytes;
      pa = random.below(16) === 0 ? PAS[random.below(PAS.length)] : source.pa;
      const carrier = random.below(64) === 0 ? 1 - source.carrier : source.carrier;
      const side = random.below(32) === 0 ? 1 + random.below(2) : 0;
      for (let copies = random.below(24) === 0 ? 3 : 1; copies > 0; copies--) {
        const { verdict, sent } = rig.receive(random, pa, datagram, source.bytes, carrier, side);
        const wrong = judge(pa, datagram, carrier, verdict, sent);
        if (wrong.length > 0) throw new Error(`${REASON_NAMES[verdict] ?? `fate ${verdict}`}: ${wrong.join('; ')}\n${sent.map(one => `  sent to ${one.peer} ${hex(one.bytes)}`).join('\n')}`);
        for (const { peer, bytes } of sent) {
          const answer = answerTo(peer, bytes);
          if (answer !== null) answers[random.below(64)] = answer;
        }
      }
      for (let hole = 0; hole < answers.length; hole++) answers[hole] ??= seeds[0];
      if (frame % CHECK_EVERY === 0) {
        progress(frame);
        const found = rig.imbalances();
        if (found.length > 0) throw new Error(found.join('; '));
      }
    } catch (error) {
      throw new Error(`seed ${seed}, frame ${frame}, from ${pa}: ${error instanceof Error ? error.stack : String(error)}\n  ${hex(datagram)}`);
    }
  }

  for (let i = 0; i < 100; i++) { rig.now += 1000; rig.tick(); }
  const totals = rig.totals();
  const found = [...rig.imbalances(), ...(totals.packets.held === 0 ? [] : [`${totals.packets.held} held at the end`])];
  if (found.length > 0) throw new Error(`seed ${seed}: ${found.join('; ')}`);
  return { seed, frames: rig.received, ms: Date.now() - began, totals, reasons: Object.keys(totals.drops).length };
}

/** Milliseconds mostly, sometimes minutes, sometimes backwards; reloads and ticks in between. */
function passTime(rig: Rig, random: Seeded): void {
  const dice = random.below(4096);
  rig.now += dice < 3 ? -random.below(10_000) : dice < 16 ? random.below(400_000) : random.below(20);
  if (dice % 16 === 0) rig.tick();
  if (dice === 100) rig.reload();
}

/** The same packet sent back by whoever got it: addresses and ports swapped, which no checksum notices. Null for ARP, ICMP and what is cut. */
function answerTo(peer: string, bytes: Uint8Array): Seed | null {
  const pa = peer in HOSTS ? HOSTS[peer as keyof typeof HOSTS].pa : peer in UPLINKS ? UPLINKS[peer as keyof typeof UPLINKS] : SITE_PA;
  const carrier = peer in HOSTS && HOSTS[peer as keyof typeof HOSTS].encap === 'vxlan' ? 1 : 0;
  const l3 = peer in HOSTS ? 22 : (bytes[0] & 0x20) !== 0 ? 8 : 4;
  const four = bytes[l3] >>> 4 === 4;
  const protocol = bytes[l3 + (four ? 9 : 6)];
  if (protocol !== 6 && protocol !== 17) return null;
  const out = bytes.slice();
  const swap = (a: number, b: number, len: number): void => {
    const first = out.slice(a, a + len);
    out.copyWithin(a, b, b + len);
    out.set(first, b);
  };
  if (peer in HOSTS) swap(8, 14, 6);
  swap(l3 + (four ? 12 : 8), l3 + (four ? 16 : 24), four ? 4 : 16);
  const l4 = l3 + (four ? (bytes[l3] & 15) * 4 : 40);
  if (l4 + 4 <= out.length) swap(l4, l4 + 2, 2);
  return { pa, carrier, bytes: out };
}
