import t from 'tap';
import { buildAcl, cutUp } from '../../../pipeline/acl/build.js';
import { Classifier } from '../../../pipeline/acl/classifier.js';
import { List } from '../../../pipeline/acl/layout.js';
import { seeded } from '../../support/seeded.js';
import { FLAVOURS, makeQuestion, makeRules, obvious } from './random-rules.js';

const dice = seeded();
const TENANT = 1;

/** Tenant 1 has all entries: some outbound, the others inbound, and some of both measure. */
function bounds(count: number) {
  const [a, b, c] = [dice.below(count + 1), dice.below(count + 1), dice.below(count + 1)].sort((x, y) => x - y);
  return {
    names: ['', 'red'], ruleFirst: Uint32Array.of(0, 0), ruleInbound: Uint32Array.of(0, a), ruleEnd: Uint32Array.of(0, b), meterInbound: Uint32Array.of(0, c), meterEnd: Uint32Array.of(0, count),
  };
}

for (const flavour of FLAVOURS) {
  t.test(`every entry that matches is found, in order: ${flavour.name} (SEED=${dice.seed})`, async t => {
    let matched = 0;
    // Short lists with tables too, long ones whose rows have summaries of several words, and one in which not every value is cut at.
    for (const [lists, count, questions, scanned] of [[30, 20, 60, 0], [20, 20, 60, 100], [6, 300, 200, 0], [2, 3000, 300, 48]] as const) {
      for (let list = 0; list < lists; list++) {
        const slices = bounds(count);
        const rules = makeRules(dice, flavour, count, slices.ruleInbound[TENANT]);
        const classifier = new Classifier(rules, buildAcl(rules, slices, scanned));
        const ends = [0, slices.ruleInbound[TENANT], slices.ruleEnd[TENANT], slices.meterInbound[TENANT], count];
        for (let i = 0; i < questions; i++) {
          const q = makeQuestion(dice, flavour);
          const of = dice.below(4);
          const want = obvious(rules, ends[of], ends[of + 1], q), got: number[] = [];
          for (let entry = classifier.first(TENANT, of, q); entry >= 0; entry = classifier.next(TENANT, of, q, entry)) got.push(entry);
          matched += want.length;
          if (got.join() !== want.join()) {
            t.fail(`of ${ends[of + 1] - ends[of]} entries ${want.slice(0, 5).join()} match, found were ${got.slice(0, 5).join()}`);
            return;
          }
        }
      }
    }
    t.ok(matched > 50, `${matched} matches`);
  });
}

t.test('a tenant without entries, and one that is not there, match nothing', async t => {
  const rules = makeRules(dice, FLAVOURS[0], 0, 0);
  const classifier = new Classifier(rules, buildAcl(rules, bounds(0)));
  for (const tenant of [0, TENANT]) for (const list of Object.values(List)) {
    t.ok(classifier.isEmpty(tenant, list));
    t.equal(classifier.first(tenant, list, makeQuestion(dice, FLAVOURS[0])), -1);
  }
});

t.test('an axis is cut at no more places than it may be, and never more than its share of ends lies between two', async t => {
  for (const segments of [2, 5, 64, 1024]) {
    for (const spread of [10, 1000, 0x10000]) {
      const intervals = Array.from({ length: 2000 }, () => {
        const from = dice.below(spread);
        return [from, from + 1 + dice.below(spread)] as const;
      });
      const cuts = cutUp(intervals, segments, { words: 1 });
      t.ok(cuts.length < segments, `${cuts.length} cuts for ${segments} segments`);
      const ends = intervals.flat().filter(end => end > 0);
      const most = ends.length / (segments - 1);
      for (let i = 0; i <= cuts.length; i++) {
        const within = ends.filter(end => (i === 0 || end > cuts[i - 1]) && (i === cuts.length || end < cuts[i])).length;
        if (within > most) t.fail(`${within} ends between two of ${cuts.length} cuts`);
      }
    }
  }
});
