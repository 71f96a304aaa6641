/** RFC 7422: who has which external port, by arithmetic alone. */
import t from 'tap';
import { PortPlan, type PlanParts } from '../../../pipeline/nat/blocks.js';
import { seeded } from '../../support/seeded.js';

const ip = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
/** RFC 7422 §2.2 with D = 0. */
const RFC: PlanParts = { inside: [ip('10.0.0.0'), 1024], outside: [ip('203.0.113.0'), 4], size: 256, assign: 'auto', order: 'sequential', dynamicShares: 0 };

t.test('RFC 7422 §2.2: 1,024 inside addresses on 4 outside ones: the 261st has ports 2284 to 2535 of the second', async t => {
  const plan = new PortPlan(RFC);
  t.same([plan.perOutside, plan.share], [256, 252]);
  t.same(plan.shareOf(ip('10.0.1.5')), { outside: ip('203.0.113.1'), firstPort: 2284, count: 252 });
  t.equal(2284 + 252 - 1, 2535);
  for (const port of [2284, 2400, 2535]) t.same(plan.holderOf(ip('203.0.113.1'), port), { outside: ip('203.0.113.1'), firstPort: 2284, count: 252, inside: ip('10.0.1.5') });
  for (const port of [2283, 2536]) t.not((plan.holderOf(ip('203.0.113.1'), port) as { inside: number }).inside, ip('10.0.1.5'));
});

for (const [ratio, ports] of [[16, 4032], [64, 1008], [256, 252], [1024, 63]] as const) {
  t.test(`RFC 7422 §2.2: ${ratio} inside addresses on one outside address have ${ports} ports each`, async t => {
    t.equal(new PortPlan({ ...RFC, inside: [0, ratio], outside: [1, 1] }).share, ports);
  });
}

t.test('half of the ports are shares and half are blocks, unless shares would be smaller than 64 ports', async t => {
  const plan = (inside: number, assign: 'auto' | 'dynamic' = 'auto') => new PortPlan({ inside: [ip('10.0.0.0'), inside], outside: [ip('203.0.113.9'), 1], size: 256, assign });
  t.same([plan(256).share, plan(256).blocks], [126, 126]);
  t.same([plan(504).share, plan(504).blocks], [64, 126]);
  t.same([plan(505).share, plan(505).blocks], [0, 252]);
  t.same([plan(1).share, plan(1).blocks], [32256, 126]);
  t.same([plan(16, 'dynamic').share, plan(16, 'dynamic').blocks], [0, 252]);
  t.equal(plan(505).shareOf(ip('10.0.0.1')), undefined);
});

t.test('neighbours are dealt over the pool: a subnet’s first VMs do not all share its first address', async t => {
  const plan = new PortPlan({ inside: [ip('10.0.0.0'), 256, ip('10.9.0.0'), 256], outside: [ip('203.0.113.10'), 1, ip('198.51.100.0'), 3], size: 256, assign: 'auto' });
  t.same([plan.perOutside, plan.share], [128, 252]);
  t.same([4, 5, 6, 7, 8].map(i => plan.shareOf(ip('10.0.0.0') + i)), [
    { outside: ip('203.0.113.10'), firstPort: 1024 + 252, count: 252 }, { outside: ip('198.51.100.0'), firstPort: 1024 + 252, count: 252 },
    { outside: ip('198.51.100.1'), firstPort: 1024 + 252, count: 252 }, { outside: ip('198.51.100.2'), firstPort: 1024 + 252, count: 252 },
    { outside: ip('203.0.113.10'), firstPort: 1024 + 504, count: 252 },
  ]);
  t.same(plan.shareOf(ip('10.9.0.255')), { outside: ip('198.51.100.2'), firstPort: 1024 + 127 * 252, count: 252 });
  t.equal(plan.shareOf(ip('10.1.0.0')), undefined, 'an address behind a VM has none');
});

t.test('an outside address without shares is all blocks; without a pool there is nothing', async t => {
  const wide = new PortPlan({ inside: [ip('10.0.0.0'), 2], outside: [ip('203.0.113.0'), 4], size: 512, assign: 'auto' });
  t.same([wide.share, wide.blocksAt(0), wide.blocksAt(1), wide.blocksAt(2), wide.blocks], [32256, 63, 63, 126, 378]);
  t.ok(wide.isDynamic(ip('203.0.113.2'), 1024));
  t.notOk(wide.isDynamic(ip('203.0.113.1'), 33279));
  t.ok(wide.isDynamic(ip('203.0.113.1'), 33280));
  t.notOk(wide.isDynamic(ip('203.0.113.4'), 40000));
  const none = new PortPlan({ inside: [1, 5], outside: [], size: 256, assign: 'auto' });
  t.same([none.share, none.blocks, none.shareOf(1), none.holderOf(1, 2000)], [0, 0, undefined, undefined]);
});

t.test('for every port of random pools there is one holder at most, and shares lead there and back', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  for (let round = 0; round < 60; round++) {
    const pairs = (from: number, most: number): number[] => Array.from({ length: 1 + random.below(3) }, (_, i) => [from + i * 1000, 1 + random.below(most)]).flat();
    const parts: PlanParts = {
      inside: pairs(ip('10.0.0.0'), 300), outside: pairs(ip('203.0.113.0'), 3), size: [64, 100, 256, 4096][random.below(4)], assign: random.below(8) === 0 ? 'dynamic' : 'auto',
      order: random.below(2) === 0 ? 'sequential' : 'inTurn', ...random.below(4) === 0 ? { dynamicShares: random.below(4), reserved: 2048 } : {},
    };
    const plan = new PortPlan(parts);
    let shares = 0, blocks = 0;
    for (let o = 0; o < plan.outsideCount; o++) {
      const outside = plan.outsideAt(o);
      if (plan.indexOfOutside(outside) !== o) t.fail(`outside address ${o}`);
      blocks += plan.blocksAt(o);
      for (let port = 0; port < 65536;) {
        const holder = plan.holderOf(outside, port);
        if (holder === undefined) {
          port++;
          continue;
        }
        if (holder.firstPort !== port || port < (parts.reserved ?? 1024)) t.fail(`holder of ${port} begins at ${holder.firstPort}: ${JSON.stringify(parts)}`);
        if ('inside' in holder) {
          shares++;
          const own = plan.shareOf(holder.inside);
          if (own?.outside !== outside || own.firstPort !== port || own.count !== holder.count) t.fail(`the share of ${holder.inside}`);
        } else if (plan.blockStart(holder.block) !== port || !plan.isDynamic(outside, port)) {
          t.fail(`block ${holder.block} begins at ${port}`);
        }
        const last = plan.holderOf(outside, port + holder.count - 1);
        if (last?.firstPort !== port) t.fail(`a run of ${holder.count} at ${port} does not end there`);
        port += holder.count;
      }
    }
    t.equal(shares, plan.share === 0 ? 0 : plan.insideCount, 'every inside address has a share');
    t.equal(blocks, plan.blocks);
  }
});
