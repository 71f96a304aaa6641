/** Order without pattern, the same at every run. */
import { seededRandom, type Random } from '../pipeline/random.js';

/** 0 .. `n` - 1 in an order of no use to a prefetcher (Fisher and Yates). */
export function shuffled(n: number, random: Random = seededRandom(n)): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const other = random.next() % (i + 1);
    [order[i], order[other]] = [order[other], order[i]];
  }
  return order;
}
