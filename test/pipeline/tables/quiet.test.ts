import t from 'tap';
import { Quiet, makeQuietMemory } from '../../../pipeline/tables/quiet.js';
import { seeded } from '../../support/seeded.js';

function make(readers: number, epoch = 1) {
  const memory = makeQuietMemory(readers);
  new Int32Array(memory)[0] = epoch;
  return { memory, quiet: new Quiet(memory) };
}

t.test('with nobody else there, nothing has to wait', async t => {
  t.ok(make(0).quiet.isAlone);
  t.notOk(make(1).quiet.isAlone, 'control and one worker are two');
});

t.test('the epoch goes on when all readers have seen it, and not before', async t => {
  const { quiet } = make(2);
  quiet.pass(0);
  quiet.pass(1);
  quiet.advance();
  t.equal(quiet.epoch, 2);
  quiet.pass(0);
  quiet.advance();
  t.equal(quiet.epoch, 2, 'reader 1 lags');
  quiet.pass(1);
  quiet.advance();
  t.equal(quiet.epoch, 3);
});

t.test('Fraser §5.2.3: what was taken out in epoch e is free when all have seen e + 2', async t => {
  const { quiet } = make(2);
  quiet.pass(0);
  quiet.pass(1);
  const then = quiet.epoch;
  quiet.advance();
  quiet.pass(0);
  quiet.pass(1);
  t.notOk(quiet.isOver(then), 'e + 1 may have been seen before it became unreachable');
  quiet.advance();
  quiet.pass(0);
  t.notOk(quiet.isOver(then), 'reader 1 has not');
  quiet.pass(1);
  t.ok(quiet.isOver(then));
  t.notOk(quiet.isOver(quiet.epoch), 'what is taken out now is not');
});

t.test('a reader that is not there keeps nobody waiting; one that comes back does', async t => {
  const { quiet } = make(2);
  quiet.pass(0);
  const then = quiet.epoch;
  for (let i = 0; i < 2; i++) {
    quiet.advance();
    quiet.pass(0);
  }
  t.ok(quiet.isOver(then), 'reader 1 has never been');
  quiet.pass(1);
  const later = quiet.epoch;
  for (let i = 0; i < 5; i++) {
    quiet.advance();
    quiet.pass(0);
  }
  t.notOk(quiet.isOver(later));
  quiet.leave(1);
  for (let i = 0; i < 2; i++) {
    quiet.advance();
    quiet.pass(0);
  }
  t.ok(quiet.isOver(later));
});

t.test('with no reader left two epochs are enough', async t => {
  const { quiet } = make(1);
  const then = quiet.epoch;
  quiet.advance();
  t.notOk(quiet.isOver(then));
  quiet.advance();
  t.ok(quiet.isOver(then));
});

t.test('epochs come round: 0 is left out, for it says that a reader is not there', async t => {
  const LAST = 2 ** 24 - 1;
  const { quiet } = make(1, LAST);
  quiet.pass(0);
  const then = quiet.epoch;
  quiet.advance();
  t.equal(quiet.epoch, 1);
  quiet.pass(0);
  quiet.advance();
  quiet.pass(0);
  t.equal(quiet.epoch, 2);
  t.ok(quiet.isOver(then));
  t.notOk(quiet.isOver(1));
  quiet.advance();
  quiet.pass(0);
  t.ok(quiet.isOver(1));
});

t.test('whoever passes, leaves and comes in whatever order: nothing is over while a reader may be standing on it', async t => {
  const random = seeded();
  const READERS = 4;
  const { quiet } = make(READERS, 2 ** 24 - 200);
  /** What each reader could see when it last said that it holds nothing; null while it is away. */
  const readers: (Set<number> | null)[] = Array.from({ length: READERS }, () => null);
  let visible = new Set<number>();
  const gone = new Map<number, number>(); // item: the epoch it was taken out in
  const wrong: string[] = [];
  let next = 0, freed = 0;
  for (let step = 0; step < 20_000; step++) {
    const i = random.below(READERS);
    switch (random.below(8)) {
      case 0: case 1: case 2: // between packets: it holds nothing, and sees what there is from now on
        quiet.pass(i);
        readers[i] = new Set(visible);
        break;
      case 3:
        if (random.below(8) !== 0) break;
        quiet.leave(i);
        readers[i] = null;
        break;
      case 4:
        visible = new Set(visible).add(next++);
        for (const held of readers) held?.add(next - 1);
        break;
      case 5: { // whoever takes out is in a packet of its own
        const [item] = visible;
        if (item === undefined || readers[i] === null) break;
        visible.delete(item);
        gone.set(item, quiet.epoch);
        break;
      }
      case 6:
        quiet.advance();
        break;
      default:
        for (const [item, then] of gone) {
          if (!quiet.isOver(then)) continue;
          if (readers.some(held => held?.has(item))) wrong.push(`item ${item} of epoch ${then} is over at ${quiet.epoch} while a reader holds it`);
          gone.delete(item);
          freed++;
        }
    }
  }
  t.same(wrong, [], `seed ${random.seed}`);
  t.ok(freed > 100, `${freed} were freed`);
});
