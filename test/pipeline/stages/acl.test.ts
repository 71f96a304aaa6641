import t from 'tap';
import { aclIn, aclOut } from '../../../pipeline/stages/acl.js';
import type { Context } from '../../../pipeline/context.js';
import { Fate } from '../../../pipeline/context.js';
import { Packet } from '../../../pipeline/packet.js';
import { makeSieve } from '../../../pipeline/compile.js';
import { Question } from '../../../pipeline/acl/question.js';
import { ANY_PROTOCOL, Action, NONE, type RuleColumns } from '../../../pipeline/policy.js';
import { Reason } from '../../../pipeline/reasons.js';
import { maskWord } from '../../../pipeline/tables/lpm.js';
import { seeded } from '../../support/seeded.js';

const RULES = 20;
const PACKETS = 100;
const dice = seeded();

/** Few addresses, near each other and on both sides of 2^31, so that much matches and much just misses. */
function address(): number[] {
  return dice.below(2) === 0
    ? [0, 0, 0xffff, [0x0a000000, 0xc0000200][dice.below(2)] + dice.below(4)]
    : [0xfe800000, 0, dice.below(2) * 0x80000000, 0xfffffffd + dice.below(3)];
}

function someRules(): RuleColumns {
  const column = (words = 1): Uint32Array => new Uint32Array(RULES * words);
  const rules = {
    names: [], outbound: column(), action: column(), idle: column(), order: column(),
    localMacHigh: column().fill(NONE), localMacLow: column(), remoteMacHigh: column().fill(NONE), remoteMacLow: column(), family: column(), protocol: column(), ports: column(), local: column(4), localMask: column(4),
    remote: column(4), remoteMask: column(4), localFrom: column(), localTo: column(), remoteFrom: column(), remoteTo: column(), line: column(),
  };
  const outbound = dice.below(RULES + 1);
  for (let i = 0; i < RULES; i++) {
    rules.outbound[i] = i < outbound ? 1 : 0; // as the compiler sorts them
    rules.action[i] = dice.below(2);
    rules.family[i] = [0, 0, 6][dice.below(3)];
    rules.protocol[i] = [ANY_PROTOCOL, 6, 17][dice.below(3)];
    rules.ports[i] = dice.below(2);
    for (const [from, to] of [[rules.localFrom, rules.localTo], [rules.remoteFrom, rules.remoteTo]]) {
      from[i] = dice.below(4);
      to[i] = from[i] + dice.below(4);
    }
    for (const [prefix, mask] of [[rules.local, rules.localMask], [rules.remote, rules.remoteMask]]) {
      const bits = [0, 0, 10, 65, 96, 127, 128][dice.below(7)];
      address().forEach((word, w) => {
        mask[i * 4 + w] = maskWord(bits, w);
        prefix[i * 4 + w] = word & maskWord(bits, w);
      });
    }
  }
  return { ...rules, sieve: makeSieve(rules) };
}

function somePacket(): Packet {
  const p = new Packet();
  p.family = [4, 6][dice.below(2)];
  [p.src0, p.src1, p.src2, p.src3] = address();
  [p.dst0, p.dst1, p.dst2, p.dst3] = address();
  p.protocol = [1, 6, 17][dice.below(3)];
  p.hasPorts = p.protocol !== 1;
  p.sport = dice.below(8);
  p.dport = dice.below(8);
  return p;
}

/** The first rule of this direction that matches, or -1: a rule at a time, an address as one number. */
function obvious(rules: RuleColumns, p: Packet, outbound: boolean): number {
  const wide = (words: ArrayLike<number>, at = 0): bigint => [0, 1, 2, 3].reduce((n, w) => n << 32n | BigInt(words[at + w] >>> 0), 0n);
  const source = wide([p.src0, p.src1, p.src2, p.src3]);
  const destination = wide([p.dst0, p.dst1, p.dst2, p.dst3]);
  const [local, remote] = outbound ? [source, destination] : [destination, source];
  const [localPort, remotePort] = outbound ? [p.sport, p.dport] : [p.dport, p.sport];
  const inRange = (port: number, from: number, to: number): boolean => p.hasPorts && from <= port && port <= to;
  return Array.from(rules.outbound).findIndex((direction, i) => direction === (outbound ? 1 : 0)
    && (rules.family[i] === 0 || rules.family[i] === p.family)
    && (rules.protocol[i] === ANY_PROTOCOL || rules.protocol[i] === p.protocol)
    && (local & wide(rules.localMask, i * 4)) === wide(rules.local, i * 4)
    && (remote & wide(rules.remoteMask, i * 4)) === wide(rules.remote, i * 4)
    && (rules.ports[i] === 0 || inRange(localPort, rules.localFrom[i], rules.localTo[i]) && inRange(remotePort, rules.remoteFrom[i], rules.remoteTo[i])));
}

t.test(`random rules decide as read one by one (SEED=${dice.seed})`, async t => {
  let matched = 0;
  for (let list = 0; list < 50; list++) {
    const rules = someRules();
    const inbound = Array.from(rules.outbound).filter(outbound => outbound === 1).length;
    const c = { question: new Question(), policy: { macHigh: 0, macLow: 0, records: { macHigh: [], macLow: [] }, rules, tenants: { ruleFirst: [0], ruleInbound: [inbound], ruleEnd: [RULES] } } } as unknown as Context;
    for (let i = 0; i < PACKETS; i++) {
      for (const [stage, outbound] of [[aclOut, true], [aclIn, false]] as const) {
        const p = somePacket();
        const want = obvious(rules, p, outbound);
        const verdict = stage(p, c);
        if (want >= 0) matched++;
        if (p.rule !== want || verdict !== (want >= 0 && rules.action[want] === Action.deny ? Reason.acl_denied : Fate.next)) {
          t.fail(`list ${list}, packet ${i}, ${stage.name}: rule ${p.rule}, verdict ${verdict}, but rule ${want} should decide`);
        }
      }
    }
  }
  t.ok(matched > 100, `${matched} packets met a rule`);
});
