/** What several checks say in the same words. */
import { useOf } from '../address.js';
import type { Node } from '../jsonc.js';
import type { Place, Reporter } from '../problems.js';
import type { Address, Prefix } from '../types.js';
import type { Named } from '../view.js';

/** Report every draft whose `key` somebody before it has taken. */
export function reportTwins<D extends { readonly at: Node; readonly line: number }, V extends string | number>(
  reporter: Reporter, drafts: Iterable<D>, key: string, valueOf: (draft: D) => V | null | undefined, message: (first: D) => string, advice: string,
): void {
  const first = new Map<V, D>();
  for (const draft of drafts) {
    const value = valueOf(draft);
    if (value === undefined || value === null) continue;
    const taken = first.get(value);
    if (taken === undefined) first.set(value, draft);
    else reporter.report(draft.at, key, message(taken), advice);
  }
}

/** Report a name that stands for nothing. Returns whether it stands for something, or nobody can tell. */
export function checkReference<T>(reporter: Reporter, node: Node, place: Place, noun: string, name: string | undefined, all: Named<T>): boolean {
  if (name === undefined || all.byName.has(name)) return true;
  if (!all.known) return false;
  const count = all.byName.size;
  const list = count === 0 ? `there are no ${noun}s` : count <= 5 ? `there are: ${[...all.byName.keys()].join(', ')}` : `add it to "${noun}s"`;
  reporter.report(node, place, `no ${noun} has this name`, reporter.suggest(name, all.byName.keys(), list));
  return false;
}

const NOUNS = {
  unspecified: 'an unspecified address', loopback: 'a loopback address', 'link-local': 'a link-local address',
  multicast: 'a multicast address', broadcast: 'the broadcast address', reserved: 'a reserved address',
} as const;

/** What is wrong with an address that nobody can own, or undefined. `lenient` lists what this place can live with. */
export function unusable(at: Address | Prefix, lenient: readonly ReturnType<typeof useOf>[] = []): string | undefined {
  const use = useOf(at);
  return use === 'usable' || lenient.includes(use) ? undefined : NOUNS[use];
}

export function isAllZero({ family, words }: Address): boolean {
  return words[3] === 0 && (family === 4 || (words[0] === 0 && words[1] === 0 && words[2] === 0));
}
