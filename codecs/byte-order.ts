/**
 * Reads and writes in a byte order chosen at run time, for capture files: they carry the order of
 * the machine that wrote them. Headers on the wire have one order only; bytes.ts is for those.
 */
export function get16(mem: Uint8Array, at: number, little: boolean): number {
  return little ? mem[at] | (mem[at + 1] << 8) : (mem[at] << 8) | mem[at + 1];
}

/** Unsigned. */
export function get32(mem: Uint8Array, at: number, little: boolean): number {
  return little
    ? (mem[at] | (mem[at + 1] << 8) | (mem[at + 2] << 16) | (mem[at + 3] << 24)) >>> 0
    : ((mem[at] << 24) | (mem[at + 1] << 16) | (mem[at + 2] << 8) | mem[at + 3]) >>> 0;
}

/** Unsigned. A bigint, since a packet id or a nanosecond count does not fit a number. */
export function get64(mem: Uint8Array, at: number, little: boolean): bigint {
  const high = get32(mem, little ? at + 4 : at, little);
  const low = get32(mem, little ? at : at + 4, little);
  return (BigInt(high) << 32n) | BigInt(low);
}

export function put16(mem: Uint8Array, at: number, value: number, little: boolean): void {
  mem[little ? at : at + 1] = value;
  mem[little ? at + 1 : at] = value >>> 8;
}

export function put32(mem: Uint8Array, at: number, value: number, little: boolean): void {
  put16(mem, little ? at : at + 2, value, little);
  put16(mem, little ? at + 2 : at, value >>> 16, little);
}

export function put64(mem: Uint8Array, at: number, value: bigint, little: boolean): void {
  put32(mem, little ? at : at + 4, Number(value & 0xffffffffn), little);
  put32(mem, little ? at + 4 : at, Number((value >> 32n) & 0xffffffffn), little);
}
