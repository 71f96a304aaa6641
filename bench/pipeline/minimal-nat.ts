/**
 * The least that a NAT in JavaScript can do, as a baseline: fixed offsets, one table of 32-byte records with key and
 * action side by side, checksums patched by sums worked out beforehand, one counter. No tenant is told from another but
 * by its key, nothing is checked, nobody is kept out. What the pipeline costs beyond it is the price of being right.
 *
 *   word 0 source   1 destination   2 ports   3 VSID, -1 from outside   4 new address   5 new port   6 IP patch   7 UDP patch
 */
import { u16, u32, putU16, putU32 } from '../../codecs/bytes.js';
import { ETHERNET_LEN, EtherType, writeEthernet } from '../../codecs/ethernet.js';
import { writeGre } from '../../codecs/gre.js';
import { IPV4_DST, IPV4_MIN_LEN, IPV4_SRC } from '../../codecs/ipv4.js';
import { NVGRE_LEN, writeNvgre } from '../../codecs/nvgre.js';
import { hashWords } from '../../pipeline/tables/word-map.js';
import type { Work } from '../harness.js';
import type { Ring } from './ring.js';

const STRIDE = 8;
const GRE_LEN = 4;
const TTL = 8;
const IP_CHECKSUM = 10;
const UDP_CHECKSUM = IPV4_MIN_LEN + 6;
const OUTSIDE = -1;
/** One hop less is this much less in the word of TTL and protocol. */
const TTL_STEP = 0x0100;
/** Any address and port will do: what they are costs nothing. */
const NEW_ADDRESS = 0xcb007100;
const NEW_PORT = 40_000;
const VSID_OUT = 5000;

function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** What a one's-complement sum gains when `was` becomes `is`. */
function gain(was: number, is: number): number {
  return (~was & 0xffff) + (~(was >>> 16) & 0xffff) + (is & 0xffff) + (is >>> 16);
}

function patch(mem: Uint8Array, at: number, gained: number): void {
  putU16(mem, at, ~fold((~u16(mem, at) & 0xffff) + gained));
}

/** Translate the datagrams of `ring` to GRE (`out`) or, towards the host, to NVGRE. A record for each is put in first. */
export function minimalNat(ring: Ring, out: boolean): Work {
  let slots = 8;
  while (slots < ring.flows * 2) slots *= 2;
  const words = new Int32Array(slots * STRIDE);
  const mask = slots - 1;
  const mem = ring.slots;
  const counters = new Float64Array(2);
  const header = out ? NVGRE_LEN + ETHERNET_LEN : GRE_LEN;
  const field = out ? IPV4_SRC : IPV4_DST;
  const port = IPV4_MIN_LEN + (out ? 0 : 2);

  function find(src: number, dst: number, ports: number, vsid: number): number {
    for (let slot = hashWords(vsid, src, dst, ports, 0, 0) & mask; ; slot = slot + 1 & mask) {
      const at = slot * STRIDE;
      if (words[at] === src && words[at + 1] === dst && words[at + 2] === ports && words[at + 3] === vsid) return at;
      if (words[at + 4] === 0) return ~at;
    }
  }

  /** The record of the datagram at `at`, or the complement of where it would go. */
  function lookUp(at: number): number {
    const l3 = at + header;
    const vsid = out ? u32(mem, at + 4) >>> 8 : OUTSIDE;
    return find(u32(mem, l3 + IPV4_SRC) | 0, u32(mem, l3 + IPV4_DST) | 0, u32(mem, l3 + IPV4_MIN_LEN) | 0, vsid);
  }

  for (let flow = 0; flow < ring.flows; flow++) {
    const i = flow % ring.size;
    if (i === 0) ring.restore();
    const l3 = ring.at(i) + header;
    const free = ~lookUp(ring.at(i));
    if (free < 0) continue;
    const was = u32(mem, l3 + field);
    words[free] = u32(mem, l3 + IPV4_SRC);
    words[free + 1] = u32(mem, l3 + IPV4_DST);
    words[free + 2] = u32(mem, l3 + IPV4_MIN_LEN);
    words[free + 3] = out ? u32(mem, ring.at(i) + 4) >>> 8 : OUTSIDE;
    words[free + 4] = NEW_ADDRESS;
    words[free + 5] = NEW_PORT;
    words[free + 6] = gain(was, NEW_ADDRESS) + (~TTL_STEP & 0xffff);
    words[free + 7] = gain(was, NEW_ADDRESS) + gain(u16(mem, l3 + port), NEW_PORT);
  }

  return {
    ops: ring.size,
    restore: () => ring.restore(),
    run(from, to) {
      let seen = 0;
      for (let i = from; i < to; i++) {
        const at = ring.at(i);
        const found = lookUp(at);
        if (found < 0) throw new Error('the baseline knows its flows');
        const l3 = at + header;
        putU32(mem, l3 + field, words[found + 4]);
        putU16(mem, l3 + port, words[found + 5]);
        mem[l3 + TTL]--;
        patch(mem, l3 + IP_CHECKSUM, words[found + 6]);
        patch(mem, l3 + UDP_CHECKSUM, words[found + 7]);
        if (out) {
          seen += writeGre(mem, l3 - GRE_LEN, EtherType.ipv4, -1);
        } else {
          writeEthernet(mem, l3 - ETHERNET_LEN, 0x0015, 0x5d000001, 0x0200, 1, EtherType.ipv4);
          seen += writeNvgre(mem, l3 - ETHERNET_LEN - NVGRE_LEN, VSID_OUT, 0);
        }
        counters[0]++;
        counters[1] += at + ring.len - l3;
      }
      return seen + counters[0];
    },
  };
}
