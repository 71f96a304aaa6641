/**
 * Chains through records in shared memory: a head word, and in each record the word that leads on. A link is a record's number + 1, 0
 * ends a chain. `first` is the word of record 0 that leads on; those of others follow, `apart` words from each other.
 */

/** A link off a free list, 0 when it is empty. Nobody may put back what was taken from it while somebody is at this (quiet.ts), so heads are never mistaken. */
export function takeFree(words: Int32Array, head: number, first: number, apart: number): number {
  for (let link = Atomics.load(words, head); link !== 0;) {
    const found = Atomics.compareExchange(words, head, link, words[first + (link - 1) * apart]);
    if (found === link) return link;
    link = found;
  }
  return 0;
}

/** Put a record, which is nobody's, onto a free list. */
export function putFree(words: Int32Array, head: number, first: number, apart: number, link: number): void {
  for (let next = Atomics.load(words, head); ;) {
    words[first + (link - 1) * apart] = next;
    const found = Atomics.compareExchange(words, head, next, link);
    if (found === next) return;
    next = found;
  }
}

/** Take a record out of a chain, if it is there, while others may be adding to it at its head. It still leads on. */
export function unlink(words: Int32Array, head: number, first: number, apart: number, link: number): void {
  const after = words[first + (link - 1) * apart];
  if (Atomics.compareExchange(words, head, link, after) === link) return;
  for (let from = head; words[from] !== 0; from = first + (words[from] - 1) * apart) {
    if (words[from] !== link) continue;
    Atomics.store(words, from, after);
    return;
  }
}
