/** What the ring tests and their reader threads tell each other. */
export interface ReaderStart {
  readonly rings: readonly SharedArrayBuffer[];
  readonly queue: number;
  /** Number of the last datagram of each flow. */
  readonly seen: SharedArrayBuffer;
  /** What all readers of a test have done, for those that die before they can say: cells of `Tally`. */
  readonly tally: SharedArrayBuffer;
  /** One out of so many datagrams takes up to `slowUs`; 0: none. */
  readonly slowOneIn: number;
  readonly slowUs: number;
  readonly seed: number;
  readonly turnsEach: number;
  /** Ends its thread when this flow comes; -1: never. */
  readonly diesOf: number;
}
/** Repeats: a number that is not above the one before. */
export const Tally = { taken: 0, lost: 1, repeats: 2, cells: 3 } as const;
export interface ReaderReport { readonly queue: number; readonly taken: number; readonly disordered: readonly string[]; readonly lost: readonly string[] }
