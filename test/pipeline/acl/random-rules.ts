/** Random entries and questions for classifiers, and the obvious way to answer them. */
import { Question } from '../../../pipeline/acl/question.js';
import { ANY_PROTOCOL, NONE, type RuleColumns } from '../../../pipeline/policy.js';
import { withSieve } from '../../../pipeline/compile.js';
import { maskWord } from '../../../pipeline/tables/lpm.js';
import type { Seeded } from '../../support/seeded.js';

type Dice = Pick<Seeded, 'below'>;

type Words = readonly number[];

/** What a kind of list is made of. */
export interface Flavour {
  readonly name: string;
  address(dice: Dice): Words;
  bits(dice: Dice): number;
  /** A range of ports, or null for all packets. */
  ports(dice: Dice): readonly [number, number] | null;
}

const V4 = (address: number): Words => [0, 0, 0xffff, address >>> 0];
const one = <T>(dice: Dice, of: readonly T[]): T => of[dice.below(of.length)];
const range = (dice: Dice, most: number): [number, number] => {
  const from = dice.below(most), to = Math.min(0xffff, from + dice.below(most));
  return [from, to];
};

export const FLAVOURS: readonly Flavour[] = [
  {
    name: 'few addresses, near each other and on both sides of 2^31',
    address: dice => one(dice, [V4(0x0a000000 + dice.below(4)), V4(0xc0000200 + dice.below(4)), [0xfe800000, 0, dice.below(2) * 0x80000000, 0xfffffffd + dice.below(3)]]),
    bits: dice => one(dice, [0, 0, 10, 65, 96, 127, 128]),
    ports: dice => one(dice, [null, range(dice, 8)]),
  },
  {
    name: 'every prefix length, nested at one address',
    address: dice => one(dice, [V4(0x0a010203), V4(0x0a010203 ^ 1 << dice.below(32)), [0x20010db8, 0, 0, 1], [0x20010db8, 0, 0, 1 << dice.below(32) >>> 0]]),
    bits: dice => dice.below(129),
    ports: () => null,
  },
  {
    name: 'ranges of ports across each other at one address',
    address: () => V4(0x0a000005),
    bits: dice => one(dice, [0, 128, 128, 128]),
    ports: dice => range(dice, 0x8000),
  },
  {
    name: 'narrow ranges over every boundary of a power of two',
    address: () => V4(0x0a000005),
    bits: () => 128,
    ports: dice => { const middle = 1 << dice.below(16); return [middle - 1 - dice.below(3), Math.min(0xffff, middle + dice.below(3))]; },
  },
  {
    name: 'hosts, each in one entry',
    address: dice => V4(0x0a000000 + dice.below(0x10000)),
    bits: () => 128,
    ports: dice => one(dice, [null, [80, 80], [443, 443], [1024, 0xffff]] as const),
  },
  {
    name: 'prefixes all over the Internet, of both families',
    address: dice => one(dice, [V4(dice.below(0x100000000)), [0x20010000 + dice.below(0x10000), dice.below(0x100000000), dice.below(0x100000000), dice.below(0x100000000)]]),
    bits: dice => one(dice, [0, 32, 48, 64, 96 + dice.below(33), 128]),
    ports: dice => one(dice, [null, null, [53, 53], range(dice, 0x10000)]),
  },
];

/** Few MACs, so that much matches. */
const MACS: readonly (readonly [number, number])[] = [[0x0015, 0x5d000105], [0x0015, 0x5d000106], [0x0016, 0x5d000105], [0x0200, 0xffffffff]];
const PROTOCOLS = [1, 6, 17, 47, 58] as const;

export function makeRules(dice: Dice, flavour: Flavour, count: number, outbound: number): RuleColumns {
  const column = (words = 1): Uint32Array => new Uint32Array(count * words);
  const rules = {
    names: Array.from({ length: count }, (_, i) => `r${i}`), outbound: column(), action: column(), idle: column(), order: column(), tally: column(), weight: column(), family: column(), protocol: column(),
    ports: column(), local: column(4), localMask: column(4), remote: column(4), remoteMask: column(4), line: column(),
    localSubnet: column().fill(NONE), localMacHigh: column().fill(NONE), localMacLow: column(), remoteMacHigh: column().fill(NONE), remoteMacLow: column(),
    localFrom: column(), localTo: column(), remoteFrom: column(), remoteTo: column(),
  };
  const withMacs = dice.below(3) === 0;
  for (let i = 0; i < count; i++) {
    rules.outbound[i] = i < outbound ? 1 : 0;
    rules.action[i] = dice.below(2);
    rules.protocol[i] = dice.below(3) === 0 ? ANY_PROTOCOL : one(dice, PROTOCOLS);
    const near = flavour.ports(dice), far = flavour.ports(dice);
    const [localFrom, localTo] = near ?? [0, 0xffff], [remoteFrom, remoteTo] = far ?? [0, 0xffff];
    rules.ports[i] = near !== null || far !== null ? 1 : 0;
    rules.localFrom[i] = localFrom; rules.localTo[i] = localTo;
    rules.remoteFrom[i] = remoteFrom; rules.remoteTo[i] = remoteTo;
    let isShort = false;
    for (const [prefix, mask] of [[rules.local, rules.localMask], [rules.remote, rules.remoteMask]]) {
      const bits = dice.below(4) === 0 ? -1 : flavour.bits(dice); // -1: none said
      isShort ||= bits >= 0 && bits < 96;
      flavour.address(dice).forEach((word, w) => {
        mask[i * 4 + w] = maskWord(bits, w);
        prefix[i * 4 + w] = word & maskWord(bits, w);
      });
    }
    rules.family[i] = isShort ? 6 : 0;
    if (!withMacs) continue;
    if (dice.below(6) === 0) rules.localSubnet[i] = dice.below(3);
    if (dice.below(2) === 0) [rules.localMacHigh[i], rules.localMacLow[i]] = one(dice, MACS);
    if (dice.below(4) === 0) [rules.remoteMacHigh[i], rules.remoteMacLow[i]] = one(dice, MACS);
  }
  return withSieve(rules);
}

export function makeQuestion(dice: Dice, flavour: Flavour): Question {
  const q = new Question();
  let local = flavour.address(dice), remote = flavour.address(dice);
  for (let i = 0; isMapped(local) !== isMapped(remote); i++) (i % 2 === 0 ? remote = flavour.address(dice) : local = flavour.address(dice));
  q.family = isMapped(local) ? 4 : 6;
  [q.local0, q.local1, q.local2, q.local3] = local.map(word => word | 0);
  [q.remote0, q.remote1, q.remote2, q.remote3] = remote.map(word => word | 0);
  q.protocol = one(dice, PROTOCOLS);
  q.hasPorts = (q.protocol === 6 || q.protocol === 17) && dice.below(8) !== 0; // a lone later fragment has none
  q.localPort = (flavour.ports(dice) ?? [dice.below(0x10000)])[0];
  q.remotePort = (flavour.ports(dice) ?? [0, dice.below(0x10000)])[1];
  const near = one(dice, MACS), far = one(dice, MACS);
  q.localSubnet = dice.below(3);
  q.localMacHigh = near[0]; q.localMacLow = near[1] | 0;
  q.remoteMacHigh = far[0]; q.remoteMacLow = far[1] | 0;
  return q;
}

function isMapped([a, b, c]: Words): boolean {
  return a === 0 && b === 0 && c === 0xffff;
}

/** All entries from `first` up to `end` that match: one at a time, an address as one number. */
export function obvious(rules: RuleColumns, first: number, end: number, q: Question): number[] {
  const wide = (words: ArrayLike<number>, at = 0): bigint => [0, 1, 2, 3].reduce((n, w) => n << 32n | BigInt(words[at + w] >>> 0), 0n);
  const local = wide([q.local0, q.local1, q.local2, q.local3]), remote = wide([q.remote0, q.remote1, q.remote2, q.remote3]);
  const found: number[] = [];
  for (let i = first; i < end; i++) {
    const isIt = (rules.family[i] === 0 || rules.family[i] === q.family)
      && (rules.protocol[i] === ANY_PROTOCOL || rules.protocol[i] === q.protocol)
      && (local & wide(rules.localMask, i * 4)) === wide(rules.local, i * 4)
      && (remote & wide(rules.remoteMask, i * 4)) === wide(rules.remote, i * 4)
      && (rules.ports[i] === 0 || (q.hasPorts && rules.localFrom[i] <= q.localPort && q.localPort <= rules.localTo[i] && rules.remoteFrom[i] <= q.remotePort && q.remotePort <= rules.remoteTo[i]))
      && (rules.localSubnet[i] === NONE || rules.localSubnet[i] === q.localSubnet)
      && (rules.localMacHigh[i] === NONE || (rules.localMacHigh[i] === q.localMacHigh && rules.localMacLow[i] === q.localMacLow >>> 0))
      && (rules.remoteMacHigh[i] === NONE || (rules.remoteMacHigh[i] === q.remoteMacHigh && rules.remoteMacLow[i] === q.remoteMacLow >>> 0));
    if (isIt) found.push(i);
  }
  return found;
}
