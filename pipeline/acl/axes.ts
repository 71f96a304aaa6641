/** The fields of an entry as axes: which values of each it can match. Control's part; off the packet path. */
import { isMapped } from '../address.js';
import { ANY_PROTOCOL, NONE, type RuleColumns } from '../policy.js';
import { Axis, BIAS } from './layout.js';

/** A number where it has one word or two, as a MAC, for they are many times faster; a bigint where it has four. */
export type Value = number | bigint;
/** Values from the first up to the second, which is left out; `null` is all of them, `undefined` none. */
export type Interval = readonly [from: Value, to: Value] | null | undefined;

/** A range of values that a packet's field can be in: those of IPv4 or of IPv6, with ports or without. */
export interface Range {
  /** Words of a value. */
  readonly words: number;
  intervalOf(rules: RuleColumns, i: number): Interval;
}

export interface AxisPlan {
  readonly kind: number;
  readonly ranges: readonly Range[];
  /** Whether entry `i` asks for this field at all. */
  asks(rules: RuleColumns, i: number): boolean;
}

const V4_WORD = 3;
type AddressKey = 'local' | 'remote';

function addressAxis(kind: number, key: AddressKey): AxisPlan {
  const maskKey = `${key}Mask` as const;
  const isAny = ({ [maskKey]: mask }: RuleColumns, i: number): boolean => mask[i * 4] === 0; // a mask begins with ones
  const isV4 = ({ [key]: prefix, [maskKey]: mask }: RuleColumns, i: number): boolean => mask[i * 4 + 2] === NONE && isMapped(prefix[i * 4], prefix[i * 4 + 1], prefix[i * 4 + 2]);
  return {
    kind,
    asks: (rules, i) => !isAny(rules, i) || rules.family[i] === 6,
    ranges: [
      {
        words: 1,
        intervalOf(rules, i) {
          if (rules.family[i] === 6) return undefined;
          if (isAny(rules, i)) return null;
          if (!isV4(rules, i)) return undefined;
          const from = rules[key][i * 4 + V4_WORD];
          return [from, from + (~rules[maskKey][i * 4 + V4_WORD] >>> 0) + 1];
        },
      },
      {
        words: 4,
        intervalOf(rules, i) {
          if (isAny(rules, i)) return null;
          if (isV4(rules, i)) return undefined;
          const from = wide(rules[key], i), size = (1n << 128n) - wide(rules[maskKey], i);
          return [from, from + size];
        },
      },
    ],
  };
}

function portAxis(kind: number, from: 'localFrom' | 'remoteFrom', to: 'localTo' | 'remoteTo'): AxisPlan {
  const asks = (rules: RuleColumns, i: number): boolean => rules.ports[i] === 1;
  return {
    kind, asks,
    ranges: [
      { words: 1, intervalOf: (rules, i) => asks(rules, i) ? [rules[from][i], rules[to][i] + 1] : null },
      { words: 0, intervalOf: (rules, i) => asks(rules, i) ? undefined : null },
    ],
  };
}

function macAxis(kind: number, high: 'localMacHigh' | 'remoteMacHigh', low: 'localMacLow' | 'remoteMacLow'): AxisPlan {
  const asks = (rules: RuleColumns, i: number): boolean => rules[high][i] !== NONE;
  return { kind, asks, ranges: [{ words: 2, intervalOf: (rules, i) => asks(rules, i) ? point(rules[high][i] * 2 ** 32 + rules[low][i]) : null }] };
}

const asksProtocol = (rules: RuleColumns, i: number): boolean => rules.protocol[i] !== ANY_PROTOCOL;
const asksSubnet = (rules: RuleColumns, i: number): boolean => rules.localSubnet[i] !== NONE;

export const AXIS_PLANS: readonly AxisPlan[] = [
  addressAxis(Axis.local, 'local'),
  addressAxis(Axis.remote, 'remote'),
  portAxis(Axis.localPort, 'localFrom', 'localTo'),
  portAxis(Axis.remotePort, 'remoteFrom', 'remoteTo'),
  { kind: Axis.protocol, asks: asksProtocol, ranges: [{ words: 1, intervalOf: (rules, i) => asksProtocol(rules, i) ? point(rules.protocol[i]) : null }] },
  macAxis(Axis.localMac, 'localMacHigh', 'localMacLow'),
  macAxis(Axis.remoteMac, 'remoteMacHigh', 'remoteMacLow'),
  { kind: Axis.localSubnet, asks: asksSubnet, ranges: [{ words: 1, intervalOf: (rules, i) => asksSubnet(rules, i) ? point(rules.localSubnet[i]) : null }] },
];

/** The words of a value, most significant first, biased. */
export function cutWords(value: Value, words: number): number[] {
  if (typeof value === 'number') return words === 1 ? [value ^ BIAS] : [value / 2 ** 32 ^ BIAS, value ^ BIAS];
  return Array.from({ length: words }, (_, i) => Number(BigInt.asIntN(32, value >> BigInt(32 * (words - 1 - i)))) ^ BIAS);
}

function point(value: number): Interval {
  return [value, value + 1];
}

function wide(columns: Uint32Array, i: number): bigint {
  let value = 0n;
  for (let word = 0; word < 4; word++) value = value << 32n | BigInt(columns[i * 4 + word]);
  return value;
}
