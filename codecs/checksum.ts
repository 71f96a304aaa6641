/**
 * The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
 *
 * A sum is one's-complement and folded to 16 bits. A message that carries its own checksum is sound
 * when its sum is ffff. Both 0000 and ffff stand for zero, so a sum is compared, never tested for truth.
 */

/**
 * Sum of the big-endian words of `mem[at..end)`, an odd last byte padded with zero, on top of `seed`.
 * 0..ffff. For up to 64 KiB, more than any packet: beyond 128 KiB the accumulators would no longer fold right.
 */
export function sum16(mem: Uint8Array, at: number, end: number, seed = 0): number {
  // Even and odd bytes are added apart: a shift per call instead of one per word (RFC 1071 §2, deferred carries).
  let high = 0;
  let low = seed;
  let i = at;
  for (const last = end - 8; i <= last; i += 8) {
    high += mem[i] + mem[i + 2] + mem[i + 4] + mem[i + 6];
    low += mem[i + 1] + mem[i + 3] + mem[i + 5] + mem[i + 7];
  }
  for (; i + 1 < end; i += 2) {
    high += mem[i];
    low += mem[i + 1];
  }
  if (i < end) high += mem[i];
  return foldSum(high * 256 + low);
}

/** The value for a checksum field: the complement of the sum, the field itself being zero or left out. */
export function checksum(mem: Uint8Array, at: number, end: number, seed = 0): number {
  return ~sum16(mem, at, end, seed) & 0xffff;
}

/** One's-complement addition of two 16-bit sums. */
export function addSum(a: number, b: number): number {
  const sum = a + b;
  return (sum & 0xffff) + (sum >>> 16);
}

/**
 * The checksum `hc` after one aligned word went from `was` to `is`: RFC 1624 equation 3, ~(~HC + ~m + m').
 * An unchanged word leaves 0000 alone, provided that carries come back round, twice if need be (errata 4782 and 5864);
 * RFC 1141's form makes it ffff.
 * A wrong checksum stays wrong, which is wanted: a gateway must not vouch for a packet that was damaged before it.
 */
export function patchChecksum(hc: number, was: number, is: number): number {
  return ~foldSum((~hc & 0xffff) + (~was & 0xffff) + is) & 0xffff;
}

/** As `patchChecksum`, for two words at once: an address or a sequence number at an even offset. */
export function patchChecksum32(hc: number, was: number, is: number): number {
  const sum = (~hc & 0xffff) + (~was & 0xffff) + (~(was >>> 16) & 0xffff) + (is & 0xffff) + (is >>> 16);
  return ~foldSum(sum) & 0xffff;
}

/** Sum of the IPv4 pseudo-header (RFC 768, RFC 9293 §3.1); `len` is header and payload of the upper layer. */
export function pseudoSum4(src: number, dst: number, protocol: number, len: number): number {
  return foldSum((src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + protocol + len);
}

/** Sum of the IPv6 pseudo-header (RFC 8200 §8.1), its addresses read from the IPv6 header at `ipAt`. */
export function pseudoSum6(mem: Uint8Array, ipAt: number, protocol: number, len: number): number {
  return sum16(mem, ipAt + 8, ipAt + 40, (len >>> 16) + (len & 0xffff) + protocol);
}

/** Bring carries of a sum below 2^32 back round. Twice, because the first round can carry once more. */
export function foldSum(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}
