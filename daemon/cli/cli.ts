/** What every verb of the command line has in common. */

/** Exit codes; scripts rely on them. */
export const Exit = { ok: 0, failure: 1, usage: 2, config: 3, unreachable: 4, denied: 5 } as const;

/** The call's words are off: printed with a pointer to --help, exit code 2. */
export class UsageError extends Error {}

/** Where a verb prints. Tests pass their own. */
export interface Io {
  /** To standard output, as it is. */
  out(text: string): void;
  /** To standard error, as it is. */
  err(text: string): void;
}

export interface Verb {
  /** One line for `causeway --help`. */
  readonly summary: string;
  /** All of `causeway VERB --help`, with examples. */
  readonly help: string;
  /** Do it; `args` are the words after the verb. Resolves to the exit code; never exits by itself. */
  main(args: readonly string[], io: Io): Promise<number>;
}
