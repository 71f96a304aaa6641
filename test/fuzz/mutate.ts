/** Ways to spoil a datagram. All of them are driven by one seeded generator, so a seed brings a run back. */
import type { Seeded } from '../support/seeded.js';
import { innerAt, mend } from './packet.js';

const BYTES = [0, 1, 2, 4, 6, 8, 17, 20, 41, 43, 44, 47, 58, 59, 60, 64, 127, 128, 255];
const WORDS = [0, 1, 4, 7, 8, 20, 40, 0x1fff, 0x2000, 0x3fff, 0x4000, 0x4500, 0x6000, 0x7fff, 0x8000, 0xfff8, 0xffff, 0x0800, 0x0806, 0x86dd, 0x8100, 1450, 1500];
const LONGEST = 9600;

/** Up to four mutations of `frame`, which stays as it is; often its lengths and checksums are put right afterwards, so that the damage gets deep. */
export function mutate(random: Seeded, frame: Uint8Array, other: Uint8Array, carrier: number): Uint8Array {
  let out: Uint8Array = frame.slice();
  for (let n = 1 + random.below(3); n > 0; n--) out = once(random, out, other, carrier);
  const wish = random.below(8);
  if (wish >= 2) mend(out, innerAt(out, carrier), wish >= 3, wish >= 4);
  return out.length > LONGEST ? out.slice(0, LONGEST) : out;
}

function once(random: Seeded, out: Uint8Array, other: Uint8Array, carrier: number): Uint8Array {
  const at = random.below(out.length + 1);
  const len = random.below(Math.min(64, out.length - at) + 1);
  switch (random.below(18)) {
    case 0:
      for (let bits = 1 + random.below(8); bits > 0 && out.length > 0; bits--) out[random.below(out.length)] ^= 1 << random.below(8);
      return out;
    case 1:
      if (out.length > 0) out[random.below(out.length)] = BYTES[random.below(BYTES.length)];
      return out;
    case 2: {
      const word = WORDS[random.below(WORDS.length)];
      if (at + 1 < out.length) { out[at] = word >>> 8; out[at + 1] = word; }
      return out;
    }
    case 3:
      return out.slice(0, at);
    case 4: {
      const longer = new Uint8Array(out.length + (random.below(8) === 0 ? random.below(3000) : random.below(64)));
      if (random.below(2) === 0) random.fill(longer);
      longer.set(out);
      return longer;
    }
    case 5: // the head of one, the tail of another
      return joined(out.subarray(0, at), other.subarray(random.below(other.length + 1)));
    case 6:
      return joined(out.subarray(0, at), out.subarray(at + len));
    case 7:
      return joined(out.subarray(0, at), other.subarray(random.below(other.length + 1)).subarray(0, len), out.subarray(at));
    case 8: // a piece of itself, elsewhere
      out.copyWithin(random.below(out.length + 1), at, at + len);
      return out;
    default:
      return inField(random, out, innerAt(out, carrier));
  }
}

/** Change a field that matters, where it is if the headers are as usual. */
function inField(random: Seeded, out: Uint8Array, l3: number): Uint8Array {
  const byte = (at: number, value: number): void => { if (at >= 0 && at < out.length) out[at] = value; };
  const four = (out[l3] >>> 4) === 4;
  const l4 = four ? l3 + (out[l3] & 15) * 4 : l3 + 40;
  switch (random.below(14)) {
    case 0: byte(l3 + (four ? 8 : 7), random.below(4)); break; // TTL
    case 1: byte(l3 + (four ? 9 : 6), BYTES[random.below(BYTES.length)]); break; // protocol
    case 2: byte(l3 + 6, random.below(256)); if (four) byte(l3 + 7, random.below(8)); break; // flags and offset
    case 3: byte(l3, (out[l3] & 0xf0) | (5 + random.below(11))); break; // header length
    case 4: byte(l3 + (four ? 15 : 23), random.below(32)); break; // source, last byte
    case 5: byte(l3 + (four ? 19 : 39), random.below(32)); break; // destination
    case 6: byte(l4 + 13, random.below(64)); break; // TCP flags
    case 7: byte(l4, BYTES[random.below(BYTES.length)]); break; // ICMP type, or a port
    case 8: byte(l4 + 5, random.below(64)); break; // RFC 4884 length
    case 9: byte(l4 + random.below(28), random.below(256)); break;
    case 10: byte(random.below(22), random.below(256)); break; // tunnel and Ethernet header
    case 11: { // VSID
      const vsid = [5001, 5002, 6001, 6002, 5003][random.below(5)];
      byte(4, 0); byte(5, vsid >>> 8); byte(6, vsid & 0xff);
      break;
    }
    case 12: byte(l4 + 12, random.below(16) << 4); break; // TCP data offset
    default: byte(l4 + 8 + random.below(40), random.below(256)); // quoted packet, payload
  }
  return out;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => { out.set(part, at); return at + part.length; }, 0);
  return out;
}
