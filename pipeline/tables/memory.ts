/** `cells` unsigned 32-bit numbers that threads can share, filled with `value`. */
export function shared32(cells: number, value = 0): Uint32Array {
  const array = new Uint32Array(new SharedArrayBuffer(Math.max(1, cells) * 4));
  return value === 0 ? array : array.fill(value);
}

/** The same numbers, shared. */
export function sharedFrom(values: readonly number[]): Uint32Array {
  const array = shared32(values.length);
  array.set(values);
  return array;
}
