/** Where randomness comes from is the caller's business: the daemon seeds from the system, a replay from its `--seed`. */
export interface Random {
  /** An unsigned 32-bit number. */
  next(): number;
}

/** sfc32 (Doty-Humphrey's small fast counter generator): 128 bits of state, the same stream for the same seed everywhere. Not for keys. */
export function seededRandom(seed: number): Random {
  let a = seed >>> 0, b = 0x9e3779b9, c = 0x243f6a88, counter = 1;
  const next = (): number => {
    const out = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + out | 0;
    return out >>> 0;
  };
  for (let i = 0; i < 15; i++) next(); // as its author advises: mix the seed through the whole state
  return { next };
}
