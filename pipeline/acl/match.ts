/** Whether one entry matches: the whole truth, field by field. Whatever finds entries faster asks this in the end. */
import { ANY_PROTOCOL, NONE, type RuleColumns } from '../policy.js';
import type { Question } from './question.js';

export function matches(rules: RuleColumns, i: number, q: Question): boolean {
  if (rules.family[i] > q.family) return false;
  if (rules.protocol[i] !== q.protocol && rules.protocol[i] !== ANY_PROTOCOL) return false;
  if (rules.ports[i] !== 0 && !(q.hasPorts && q.localPort >= rules.localFrom[i] && q.localPort <= rules.localTo[i]
    && q.remotePort >= rules.remoteFrom[i] && q.remotePort <= rules.remoteTo[i])) return false;
  return within(rules.local, rules.localMask, i, q.local0, q.local1, q.local2, q.local3)
    && within(rules.remote, rules.remoteMask, i, q.remote0, q.remote1, q.remote2, q.remote3)
    && isMac(rules.localMacHigh, rules.localMacLow, i, q.localMacHigh, q.localMacLow)
    && isMac(rules.remoteMacHigh, rules.remoteMacLow, i, q.remoteMacHigh, q.remoteMacLow)
    && (rules.localSubnet[i] === NONE || rules.localSubnet[i] === q.localSubnet);
}

function within(prefixes: Uint32Array, masks: Uint32Array, i: number, a0: number, a1: number, a2: number, a3: number): boolean {
  const at = i * 4;
  return ((a3 & masks[at + 3]) ^ prefixes[at + 3]) === 0 && ((a2 & masks[at + 2]) ^ prefixes[at + 2]) === 0
    && ((a1 & masks[at + 1]) ^ prefixes[at + 1]) === 0 && ((a0 & masks[at]) ^ prefixes[at]) === 0;
}

function isMac(high: Uint32Array, low: Uint32Array, i: number, macHigh: number, macLow: number): boolean {
  return high[i] === NONE || (high[i] === macHigh && (low[i] ^ macLow) === 0);
}
