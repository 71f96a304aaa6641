/** The rules of a tenant in words, in the order in which they are asked. */
import { ACTION_WORDS, macText, prefixText, protocolText } from './words.js';
import { ANY_PROTOCOL, NONE, type PolicyData, type RuleColumns } from '../policy.js';

export interface RuleText {
  readonly name: string;
  readonly line: number;
  readonly direction: 'outbound' | 'inbound';
  readonly weight: number;
  readonly action: string;
  /** Seconds without traffic that its state lives; null where it keeps none. */
  readonly idleTimeout: number | null;
  readonly protocol: string;
  readonly local: string;
  readonly remote: string;
  readonly tally: number;
}

export function ruleTexts({ rules, tenants }: PolicyData, tenant: number): RuleText[] {
  const entries = Array.from({ length: tenants.meterEnd[tenant] - tenants.ruleFirst[tenant] }, (_, i) => tenants.ruleFirst[tenant] + i);
  entries.sort((a, b) => rules.outbound[b] - rules.outbound[a] || rules.order[a] - rules.order[b]);
  const texts: RuleText[] = [];
  for (let i = 0; i < entries.length;) {
    // Entries of one rule differ in their local side only, and follow each other.
    let end = i + 1;
    while (end < entries.length && rules.tally[entries[end]] === rules.tally[entries[i]]) end++;
    texts.push(textOf(rules, entries.slice(i, end)));
    i = end;
  }
  return texts;
}

function textOf(rules: RuleColumns, entries: readonly number[]): RuleText {
  const [entry] = entries;
  // That of its scope’s link-local addresses comes last.
  const locals = [...new Set(entries.map(each => rules.localSubnet[each] === NONE ? addressText(rules.local, rules.localMask, rules.family, each) : 'link-local'))];
  return {
    name: rules.names[entry], line: rules.line[entry], direction: rules.outbound[entry] === 1 ? 'outbound' : 'inbound', weight: rules.weight[entry] | 0,
    action: ACTION_WORDS[rules.action[entry]], idleTimeout: rules.idle[entry] === 0 ? null : rules.idle[entry],
    protocol: rules.protocol[entry] === ANY_PROTOCOL ? 'any' : protocolText(rules.protocol[entry]),
    local: sideText(locals.join(' or '), rules.localMacHigh[entry], rules.localMacLow[entry], rules.localFrom[entry], rules.localTo[entry]),
    remote: sideText(addressText(rules.remote, rules.remoteMask, rules.family, entry), rules.remoteMacHigh[entry], rules.remoteMacLow[entry], rules.remoteFrom[entry], rules.remoteTo[entry]),
    tally: rules.tally[entry],
  };
}

/** `10.0.0.0/24 port 22`, `any`. */
function sideText(address: string, macHigh: number, macLow: number, from: number, to: number): string {
  const mac = macHigh === NONE ? '' : macText(macHigh, macLow);
  const who = mac === '' ? address : address === 'any' ? mac : `${address} with ${mac}`;
  return from === 0 && to === 0xffff ? who : `${who} port ${from === to ? from : `${from}-${to}`}`;
}

function addressText(prefixes: Uint32Array, masks: Uint32Array, families: Uint32Array, entry: number): string {
  const at = entry * 4, [a, b, c, d] = prefixes.subarray(at, at + 4);
  const bits = masks.subarray(at, at + 4).reduce((sum, mask) => sum + Math.clz32(~mask), 0); // ones lead
  if (bits === 0) return families[entry] === 6 ? '::/0' : 'any';
  return prefixText(a, b, c, d, bits).replace(/^([^:]+)\/32$|^(.*:.*)\/128$/, '$1$2');
}
