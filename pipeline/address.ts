/**
 * An address is four unsigned words everywhere in the pipeline, IPv4 v4-mapped: 0, 0, `V4_MAPPED`, address
 * (RFC 4291 §2.5.5.2). So prefix lengths count on 128 bits, and IPv4's begin at `V4_BITS`.
 */
export const V4_MAPPED = 0xffff;
export const V4_BITS = 96;

/** Whether the first three words are those of an IPv4 address. */
export function isMapped(a: number, b: number, c: number): boolean {
  return a === 0 && b === 0 && c === V4_MAPPED;
}
