/** `cells` unsigned 32-bit numbers that threads can share, filled with `value`. */
export function shared32(cells: number, value = 0): Uint32Array {
  const array = new Uint32Array(new SharedArrayBuffer(Math.max(1, cells) * 4));
  return value === 0 ? array : array.fill(value);
}

/** The same numbers, shared, as signed words. */
export function sharedSigned(values: ArrayLike<number>): Int32Array {
  const array = new Int32Array(new SharedArrayBuffer(Math.max(1, values.length) * 4));
  array.set(values);
  return array;
}

/** The same numbers, shared. */
export function sharedFrom(values: readonly number[]): Uint32Array {
  const array = shared32(values.length);
  array.set(values);
  return array;
}
