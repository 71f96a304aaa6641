/** The words after a verb: flags, values and what stands alone. Node's parser splits them, we say what is wrong with them. */
import { parseArgs } from 'node:util';
import { nearest } from '../../config/problems.js';
import { UsageError } from './cli.js';

export interface Flag { readonly type: 'string' | 'boolean'; readonly short?: string; readonly multiple?: boolean }
export type Flags = Readonly<Record<string, Flag>>;
type ValueOf<F extends Flag> = F['type'] extends 'boolean' ? boolean : F extends { readonly multiple: true } ? string[] : string;
export type Values<F extends Flags> = { [K in keyof F]?: ValueOf<F[K]> };

/**
 * Read `args` by `flags`; at most `most` words may stand alone. Throws a `UsageError` that names the word it stumbled
 * over. `--name=value` and `--name value` are the same; `--` ends the flags.
 */
export function readArgs<F extends Flags>(args: readonly string[], flags: F, most = 0): { values: Values<F>; words: string[] } {
  const { values, positionals, tokens } = parseArgs({ args: [...args], options: flags as Record<string, Flag>, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const flag = Object.hasOwn(flags, token.name) ? flags[token.name] : undefined;
    if (flag === undefined) {
      const near = nearest(token.name, Object.keys(flags));
      throw new UsageError(`no flag ${token.rawName}${near === undefined ? '' : `; did you mean --${near}?`}`);
    }
    if (flag.type === 'string' && token.value === undefined) throw new UsageError(`${token.rawName} needs a value`);
    if (flag.type === 'boolean' && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`);
  }
  if (positionals.length > most) throw new UsageError(`too many words: ${positionals.slice(most).join(' ')}`);
  return { values: values as Values<F>, words: positionals };
}

/** A flag's whole number between two bounds, or `otherwise` when the flag is not there. */
export function readNumber<T>(name: string, text: string | undefined, from: number, to: number, otherwise: T): number | T {
  if (text === undefined) return otherwise;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (!(value >= from && value <= to)) throw new UsageError(`--${name} ${text}: write a whole number from ${from} to ${to}`);
  return value;
}
