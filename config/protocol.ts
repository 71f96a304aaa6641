/** IP protocols an ACL may name (IANA protocol numbers). */
import { nounOf } from './kinds.js';
import type { Node } from './jsonc.js';
import { nearest, type Reporter } from './problems.js';

export const TCP = 6;
export const UDP = 17;
export const ICMP = 1;
export const ICMPV6 = 58;

const NUMBERS: ReadonlyMap<string, number | null> = new Map<string, number | null>([
  ['any', null], ['tcp', TCP], ['udp', UDP], ['icmp', ICMP], ['icmpv6', ICMPV6],
]);
export const PROTOCOL_WORDS: readonly string[] = [...NUMBERS.keys()];

export function parseProtocol(node: Node, reporter: Reporter): number | null | undefined {
  if (node.kind === 'string') {
    const known = NUMBERS.get(node.value);
    if (known !== undefined) return known;
    const near = nearest(node.value, PROTOCOL_WORDS);
    const other = /^\d+$/.test(node.value) ? `write ${Number(node.value)} without quotes` : `write one of ${PROTOCOL_WORDS.join(', ')}, or a number`;
    reporter.report(node, null, 'not a protocol', near === undefined ? other : `did you mean "${near}"?`);
  } else if (node.kind === 'number') {
    if (Number.isInteger(node.value) && node.value >= 0 && node.value <= 255) return node.value;
    reporter.report(node, null, 'not an IP protocol number', 'write a number from 0 to 255');
  } else if (node.kind !== 'bad') {
    reporter.report(node, null, `${nounOf(node)} where a protocol belongs`, 'write "tcp", "udp", "icmp", "icmpv6", "any" or a number');
  }
  return undefined;
}
