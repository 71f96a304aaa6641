import t from 'tap';
import { makeCapture, replay } from '../../bench/daemon/replay.bench.js';
import { quantile } from '../../bench/live/latency.bench.js';
import { Ring } from '../../bench/pipeline/ring.js';
import { putU32, u32 } from '../../codecs/bytes.js';

const LEN = 100, PEER = 3;

t.test('flows take the window in turn, each packet as it was filled in, whatever became of the last one there', async t => {
  const ring = new Ring(4096, LEN, PEER);
  for (let flow = 0; flow < ring.flows; flow++) ring.fill(flow, (mem, at) => putU32(mem, at, flow));
  t.equal(ring.size, 1024);
  for (let pass = 0; pass < 8; pass++) {
    ring.restore();
    for (let i = 0; i < ring.size; i++) {
      if (u32(ring.slots, ring.at(i)) !== pass * ring.size % ring.flows + i) t.fail(`pass ${pass}, slot ${i}`);
      ring.slots.fill(0xff, ring.at(i), ring.at(i) + 50); // headers are rewritten
    }
  }
});

t.test('a ring of few flows has a slot for each; flows that do not fill windows are refused', async t => {
  t.equal(new Ring(64, LEN, PEER).size, 64);
  t.throws(() => new Ring(1500, LEN, PEER), RangeError);
});

t.test('a capture of the replay bench is carried, every packet of it', async t => {
  t.equal(replay(makeCapture(300, 64)), 300);
});

const ranks = [
  ['the median is the lower of the middle two', [1, 2, 3, 4], 0.5, 2],
  ['99.9 % of ten are all ten',                 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.999, 10],
  ['all is the largest',                        [1, 2, 9], 1, 9],
  ['one value is every quantile',               [7], 0.5, 7],
] as const;
for (const [name, values, q, want] of ranks) {
  t.test(`quantile: ${name}`, async t => { t.equal(quantile(values, q), want); });
}
