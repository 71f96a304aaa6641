/**
 * Random histories over the real block table: blocks claimed, used up, given back and claimed by others, reloads, rotation, restarts,
 * crashes, full disks, clocks that are set. Then the log is asked about random ports and times, and the test knows the truth.
 */
import t from 'tap';
import { PortPlan } from '../../../pipeline/nat/blocks.js';
import { Locks, lockWords } from '../../../pipeline/tables/locks.js';
import { PortBlockTable, portBlockWords } from '../../../pipeline/tables/port-blocks.js';
import { Quiet, makeQuietMemory } from '../../../pipeline/tables/quiet.js';
import { SubscriberTable, subscriberWords } from '../../../pipeline/tables/subscribers.js';
import { ipv4Text } from '../../../daemon/nat-log/kinds.js';
import { MoodyDisk } from '../../support/moody-disk.js';
import { BLUE, inShort, ip, LogLab, RED, T0, type TenantPart } from '../../support/nat-log.js';
import { seeded } from '../../support/seeded.js';

const SECOND = 1000, MINUTE = 60 * SECOND, KEPT = 120 * SECOND;
const TENANTS = 4, SUBSCRIBERS = 64, BLOCKS = 32;
const UDP = 17;
const POOLS = [ip('203.0.113.10'), ip('203.0.113.20'), ip('203.0.113.21')];
/** Few blocks to an address, so that they change hands often. */
const SIZE = 16384;

function makeTables() {
  const words = { subscribers: subscriberWords(SUBSCRIBERS, TENANTS), blocks: portBlockWords(BLOCKS, TENANTS) };
  const memory = new SharedArrayBuffer((16 + words.subscribers + words.blocks) * 4), quiet = new Quiet(makeQuietMemory(0));
  const locks = new Locks(new Int32Array(memory, 0, lockWords(1)), 1);
  const subscribers = new SubscriberTable(new Int32Array(memory, 64, words.subscribers), SUBSCRIBERS, TENANTS, 5, locks, 0, quiet);
  const blocks = new PortBlockTable(new Int32Array(memory, 64 + words.subscribers * 4, words.blocks), BLOCKS, TENANTS, 5, subscribers, locks, 0, quiet);
  return {
    blocks,
    sweep(now: number): void {
      if (!locks.tryLock(0)) throw new Error('nobody else is here');
      for (let i = 0; i < blocks.used; i++) blocks.sweep(i, now, KEPT);
      for (let i = 0; i < subscribers.used; i++) subscribers.sweep(i, Math.floor(now / 1000));
      locks.unlock();
    },
  };
}

/** Somebody had bindings in a block; by the workers' clock, which never steps. */
interface Use { readonly tenant: string; readonly inside: number; readonly outside: number; readonly firstPort: number; readonly count: number; readonly from: number; to: number }
interface Window { readonly from: number; to: number }

const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
for (let round = 0; round < ROUNDS; round++) {
  const random = seeded(process.env['SEED'] === undefined ? Date.now() % 1_000_000 + round * 7919 : undefined);
  t.test(`whatever happened, the log tells who had a port, or that it cannot know (SEED=${random.seed})`, async t => {
    const disk = new MoodyDisk();
    const lab = new LogLab(t, { maxBytes: 4096 + random.below(8192), files: 1000, disk, mostWaiting: [2000, 1 << 22][random.below(2)] });
    const tenants = (): TenantPart[] => [{ ...RED, assign: 'dynamic', prefix: ['10.0.0.0/26', '10.0.0.0/25'][random.below(2)] }, BLUE];
    const plans = [
      new PortPlan({ inside: [0, 1], outside: [POOLS[0], 1], size: SIZE, assign: 'dynamic' }), new PortPlan({ inside: [0, 1], outside: [POOLS[1], 2], size: SIZE, assign: 'dynamic' }),
    ];
    const uses: Use[] = [], open = new Map<number, Use>(), outages: Window[] = [];
    /** From when on, by the workers' clock, the machine's was how far ahead. */
    const clocks: { readonly from: number; readonly ahead: number }[] = [{ from: T0, ahead: 0 }];
    let tables = makeTables(), failing: Window | null = null, losing: Window | null = null, lost = 0;
    const begin = async (): Promise<void> => {
      tables = makeTables();
      lab.table = tables.blocks;
      lost = 0;
      await lab.start(lab.configs.next(...tenants()));
    };
    const end = (): void => {
      for (const use of open.values()) use.to = lab.now;
      open.clear();
    };
    const tick = async (ms: number): Promise<void> => {
      lab.now += ms;
      tables.sweep(lab.now);
      lab.log.tick();
      if (lab.log.status.lost > lost && losing === null) outages.push(losing = { from: lab.now - ms - MINUTE, to: Infinity });
      lost = lab.log.status.lost;
      await lab.written();
      if (losing !== null && lab.log.status.failing === null && lab.log.status.waiting === 0) {
        losing.to = lab.now + 1;
        losing = null;
      }
    };

    await begin();
    for (let step = 0; step < 400; step++) {
      const dice = random.below(100);
      if (dice < 45) {
        const tenant = random.below(2), inside = ip('10.0.0.1') + random.below(20), plan = plans[tenant];
        const outside = plan.outsideAt(random.below(plan.outsideCount));
        const block = tables.blocks.claim(tenant + 1, inside, plan, outside, UDP, 8, random.u32(), lab.now);
        if (block >= 0 && !open.has(block)) {
          const use = { tenant: ['red', 'blue'][tenant], inside, outside, firstPort: tables.blocks.firstPort(block), count: SIZE, from: lab.now, to: Infinity };
          uses.push(use);
          open.set(block, use);
        }
      } else if (dice < 75) {
        const [block, use] = [...open][random.below(Math.max(1, open.size))] ?? [];
        if (block !== undefined && use !== undefined) {
          while (tables.blocks.users(block) > 0) tables.blocks.disuse(block, UDP);
          use.to = lab.now;
          open.delete(block);
        }
      } else if (dice < 79) {
        lab.log.adopt(lab.configs.next(...tenants()));
        await tick(random.below(3000));
        lab.log.settled(step); // of no generation that there is, or of this one: who hands over two in a row settles the last
        lab.log.settled(lab.linesOf('config').at(-1)?.generation ?? 0);
      } else if (dice < 81 && lab.log.status.failing === null && lab.log.status.waiting === 0 && failing === null) {
        const window = { from: lab.now, to: 0 };
        // Who ends between two beats may have lived longer than anybody knows.
        const dies = random.below(2) === 0;
        if (dies) {
          window.from -= 11 * SECOND;
          await lab.die();
        } else {
          await lab.stop();
        }
        end();
        lab.now += random.below(10 * MINUTE);
        await begin();
        window.to = lab.now;
        outages.push(window);
      } else if (dice < 84) {
        const by = (random.below(2) === 0 ? -1 : 1) * random.below(20 * MINUTE);
        lab.ahead += by;
        await tick(0);
        clocks.push({ from: lab.now, ahead: lab.ahead });
      } else if (dice < 88) {
        if (failing === null) {
          failing = { from: lab.now, to: 0 };
          disk.failsWith = 'ENOSPC';
        } else {
          disk.failsWith = null;
          failing = null;
        }
      }
      await tick(random.below(2) === 0 ? random.below(SECOND) : random.below(MINUTE));
    }
    disk.failsWith = null;
    for (let i = 0; i < 15; i++) await tick(SECOND);
    const last = lab.now;
  
    const pieces = clocks.map(({ from, ahead }, i) => ({ from, ahead, to: clocks[i + 1]?.from ?? last + 1 }));
    const counts = { held: 0, nobody: 0, unknown: 0, several: 0 };
    for (let question = 0; question < 400; question++) {
      const outside = POOLS[random.below(3)], port = 1024 + random.below(65536 - 1024);
      const use = uses[random.below(uses.length)];
      // Most about times that matter.
      const [address, asked, moment] = random.below(4) === 0 || use === undefined ? [outside, port, T0 + random.below(last - T0)]
        : [use.outside, use.firstPort + random.below(use.count), Math.min(last, [use.from, use.to - 1, use.to, Math.floor((use.from + Math.min(use.to, last)) / 2)][random.below(4)])];
      const own = pieces.find(({ from, to }) => moment >= from && moment < to) ?? pieces[pieces.length - 1];
      const wall = moment + own.ahead;
      const moments = pieces.filter(({ from, to, ahead }) => wall - ahead >= from && wall - ahead < to).map(({ ahead }) => wall - ahead);
      const known = moments.filter(each => !outages.some(({ from, to }) => each >= from && each < to));
      const truth = known.flatMap(each => uses.filter(({ outside: o, firstPort, count, from, to }) => o === address && asked >= firstPort && asked < firstPort + count && each >= from && each < to));
      const names = [...new Set(truth.map(({ tenant, inside }) => `${tenant} ${ipv4Text(inside)}`))];
      const verdict = await lab.whois(`${ipv4Text(address)}:${asked}`, wall);
      const certain = [...new Set(verdict.answers.filter(answer => answer.certain).map(({ tenant, inside }) => `${tenant} ${inside}`))];
      const said = `${ipv4Text(address)}:${asked} at ${new Date(wall).toISOString()}: ${inShort(verdict)}, ${verdict.notes.join('; ')}; in truth ${names.join()}`;
      counts[verdict.verdict]++;
      if (certain.length > 1) counts.several++;
      if (verdict.verdict === 'unknown' && moments.length > 0 && known.length === moments.length) t.fail(`it should know: ${said}`);
      if (verdict.verdict === 'nobody' && names.length > 0) t.fail(`somebody had it: ${said}`);
      if (verdict.verdict === 'held' && !names.every(name => certain.includes(name))) t.fail(`somebody else had it: ${said}`);
      if (certain.length > moments.length + outages.length) t.fail(`more had it than there were times: ${said}`);
      if (certain.length > 1 && moments.length === 1 && known.length === 1) t.fail(`two had it at once: ${said}`);
    }
    t.ok(counts.held > 50 && counts.nobody > 5, JSON.stringify({ ...counts, lost: lab.linesOf('lost').length, files: lab.names().length, uses: uses.length }));
  });
}
