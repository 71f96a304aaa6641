/** Bytes written as hex; white space and `|` are for the reader. */
export function bytes(hex: string): Uint8Array {
  const digits = hex.replace(/[\s|]/g, '');
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) throw new Error(`not hex: ${hex}`);
  return Uint8Array.from(digits.match(/../g) ?? [], pair => parseInt(pair, 16));
}

/** Hex of `mem[at..end)`. */
export function hex(mem: Uint8Array, at = 0, end = mem.length): string {
  return Buffer.from(mem.buffer, mem.byteOffset + at, end - at).toString('hex');
}
