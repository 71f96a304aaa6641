/** What the log does when the disk is full, slow, or somebody has been at its files; and whose the folder is. */
import { spawnSync } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { claimFolder } from '../../../daemon/control/nat-log-lock.js';
import { ipv4Text } from '../../../daemon/nat-log/kinds.js';
import { PortPlan } from '../../../pipeline/nat/blocks.js';
import { MoodyDisk } from '../../support/moody-disk.js';
import { BLUE, inShort, ip, LogLab, RED, T0 } from '../../support/nat-log.js';

const SECOND = 1000, MINUTE = 60 * SECOND;
const BLOCK = 40_000;
const plan = new PortPlan({ inside: [ip('10.0.0.0'), 64], outside: [ip('203.0.113.10'), 1], size: 256, assign: 'auto' });
const SHARE = plan.shareOf(ip('10.0.0.5'))?.firstPort ?? 0;

t.test('a full disk for a while: lines wait, none is lost, the sign of life stops, and nobody is told otherwise meanwhile', async t => {
  const disk = new MoodyDisk();
  const lab = new LogLab(t, { disk });
  await lab.start();
  await lab.pass(11 * SECOND);
  const alive = readFileSync(join(lab.folder, 'alive'), 'utf8');
  disk.failsWith = 'ENOSPC';
  lab.blocks.give(0, '10.0.0.7', BLOCK, lab.now);
  for (let i = 0; i < 700; i++) await lab.pass(100);
  t.match(lab.log.status, { failing: 'ENOSPC', lost: 0, waiting: 1 });
  t.equal(readFileSync(join(lab.folder, 'alive'), 'utf8'), alive);
  t.match(await lab.whois(`203.0.113.10:${BLOCK}`), { verdict: 'unknown', notes: [/^the log ends at /] });
  t.same(lab.said.filter(({ msg }) => msg.startsWith('NAT log cannot')).map(({ level }) => level), ['error', 'error'], 'at once and after a minute');
  t.ok(disk.writes < 80, 'tried again once a second');

  disk.failsWith = null;
  await lab.pass(SECOND);
  t.match(lab.log.status, { failing: null, lost: 0, waiting: 0 });
  t.match(lab.said.at(-1), { msg: 'NAT log goes on', fields: { lost: 0 } });
  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK}`, T0 + 12 * SECOND)), 'held, red 10.0.0.7 block');
});

t.test('what waited goes before what is in force is said again, so that no file begins with what comes after its lines', async t => {
  const disk = new MoodyDisk();
  const lab = new LogLab(t, { disk, maxBytes: 4096 });
  await lab.start();
  disk.failsWith = 'ENOSPC';
  for (let i = 0; i < 500; i++) { // more than is written in one go
    if (i === 490) lab.ahead = -MINUTE;
    lab.blocks.give(i, '10.0.0.7', 1024 + 64 * i, lab.now, { count: 64 });
    await lab.pass(SECOND);
  }
  disk.failsWith = null;
  await lab.pass(SECOND);
  await lab.pass(SECOND);
  t.same(lab.names(), ['nat-000001.jsonl', 'nat-000002.jsonl']);
  t.same(lab.lines('nat-000002.jsonl').map(({ type }) => type), ['continue', 'plan', ...new Array<string>(8).fill('held'), 'complete']);
  t.equal(lab.lines('nat-000001.jsonl').filter(({ type }) => type === 'allocate').length, 500);
});

t.test('a disk that is slow for too long: memory is bounded, what is lost is counted, and the log itself says how many lines are missing', async t => {
  const disk = new MoodyDisk();
  const lab = new LogLab(t, { disk });
  await lab.start(lab.configs.next(RED, BLUE));
  lab.blocks.give(0, '10.0.0.7', BLOCK, lab.now);
  lab.blocks.give(1, '10.0.0.8', BLOCK + 256, lab.now);
  await lab.pass(SECOND);
  disk.hold();
  // 120,000 lines of some 200 bytes, of which 4 MiB may wait.
  let given = 0;
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < 1000; i++) lab.blocks.set(2 + i, { tenant: 2, inside: given, outside: ip('203.0.113.20'), firstPort: 1024 + 64 * (i % 1000), count: 64, since: lab.now, until: 0 });
    given += 1000;
    lab.now += SECOND;
    lab.log.tick();
  }
  lab.blocks.idle(1, lab.now); // while it is lost nobody sees this go
  lab.now += 130 * SECOND;
  lab.log.tick();
  lab.blocks.set(1, undefined);
  lab.now += SECOND;
  lab.log.tick();
  const { lost, waiting } = lab.log.status;
  t.ok(lost > 70_000, `${lost} lost`);
  t.ok(waiting < 40_000, `${waiting} wait`);
  t.match(lab.said.at(-1), { level: 'error', msg: 'NAT log cannot keep up, lines are lost' });

  disk.release();
  await lab.written();
  await lab.pass(SECOND);
  t.match(lab.said.at(-1), { msg: 'NAT log goes on', fields: { lost } });
  const says = lab.linesOf('lost');
  t.match(says, [{ lines: lost }]);
  const happened = 2 + 1000 + 59 * 2000 + 1;
  t.equal(lab.linesOf('allocate').length + lab.linesOf('release').length + lost, happened, 'every line is there or counted');
  const from = says[0].since, to = says[0].time;

  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK}`, (from + to) / 2)), 'held, red 10.0.0.7 block', 'what was held before and after was held between');
  t.equal(inShort(await lab.whois(`203.0.113.10:${SHARE}`, (from + to) / 2)), 'held, red 10.0.0.5 share');
  const gone = await lab.whois(`203.0.113.10:${BLOCK + 256}`, (from + to) / 2);
  t.match(gone, { verdict: 'unknown', answers: [{ inside: '10.0.0.8', certain: false }], notes: [new RegExp(`^${lost} lines are missing, from `)] });
  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK + 256}`, from - 1)), 'held, red 10.0.0.8 block');
  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK + 256}`, to + 1)), 'nobody');
  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK + 512}`, (from + to) / 2)), 'unknown', 'somebody may have had it and lost it again');
  t.equal(inShort(await lab.whois(`203.0.113.20:${1024 + 64 * 999}`)), `held, blue ${ipv4Text(given - 1000)} block`, 'what was allocated in a lost line is said again');
});

t.test('a disk that takes a few bytes at a time, and fails between: no line is torn or comes twice', async t => {
  const disk = new MoodyDisk();
  disk.most = 7;
  const lab = new LogLab(t, { disk });
  await lab.start();
  for (let i = 0; i < 50; i++) {
    lab.blocks.give(i, '10.0.0.7', 1024 + 256 * i, lab.now);
    lab.now += SECOND;
    lab.log.tick();
    disk.failsWith = i % 3 === 0 ? 'EIO' : null;
    await lab.written();
  }
  disk.failsWith = null;
  await lab.pass(2 * SECOND);
  t.same(lab.linesOf('allocate').map(({ firstPort }) => firstPort), Array.from({ length: 50 }, (_, i) => 1024 + 256 * i));
});

for (const how of ['removed', 'moved away, as a tool that rotates logs does', 'removed with its folder'] as const) {
  t.test(`a file that is ${how}: another is begun with all that is in force, and the lines in it that nobody has seen are counted as lost`, async t => {
    const lab = new LogLab(t);
    await lab.start();
    lab.blocks.give(0, '10.0.0.7', BLOCK, lab.now);
    await lab.pass(11 * SECOND);
    lab.blocks.give(1, '10.0.0.8', BLOCK + 256, lab.now);
    await lab.pass(SECOND);
    const file = join(lab.folder, 'nat-000001.jsonl');
    if (how === 'removed') rmSync(file);
    else if (how === 'removed with its folder') rmSync(lab.folder, { recursive: true });
    else renameSync(file, `${file}.1`);
    for (let i = 0; i < 12; i++) await lab.pass(SECOND);
    t.same(lab.names(), ['nat-000002.jsonl']);
    t.match(lab.linesOf('lost'), [{ lines: 1 }]);
    t.match(lab.linesOf('continue'), [{ why: 'removed' }]);
    t.match(lab.log.status, { lost: 1, failing: null });
    t.match(lab.said.find(({ level }) => level === 'warn'), { msg: 'file of the NAT log is not there any more, beginning another', fields: { file: 'nat-000001.jsonl' } });
    t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK}`)), 'held, red 10.0.0.7 block');
    t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK + 256}`)), 'held, red 10.0.0.8 block');
    t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK + 512}`, T0 + 5 * SECOND)), 'unknown');
  });
}

t.test('files in the middle that are gone: what they said is not known, what the next one says is', async t => {
  const lab = new LogLab(t, { maxBytes: 4096, files: 100 });
  await lab.start();
  lab.blocks.give(0, '10.0.0.7', BLOCK, lab.now);
  for (let i = 1; lab.log.status.file < 'nat-000005.jsonl'; i++) {
    lab.blocks.give(1, `10.0.0.${i % 60}`, BLOCK + 256, lab.now);
    await lab.pass(SECOND);
  }
  const before = lab.lines('nat-000002.jsonl').at(-1)?.time ?? 0, after = lab.lines('nat-000004.jsonl')[0].time;
  rmSync(join(lab.folder, 'nat-000003.jsonl'));
  const found = await lab.whois(`203.0.113.10:${BLOCK + 256}`, (before + after) / 2);
  t.match(found, { verdict: 'unknown', notes: [/^files of the log are missing, from /] });
  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK}`, (before + after) / 2)), 'held, red 10.0.0.7 block');
  t.match(inShort(await lab.whois(`203.0.113.10:${BLOCK + 256}`, after + 100)), /^held, red 10\.0\.0\.\d+ block$/);
});

t.test('an end while lines are being lost: how many, and that it ended, are the last lines', async t => {
  const disk = new MoodyDisk();
  const lab = new LogLab(t, { disk, mostWaiting: 2000 });
  await lab.start();
  disk.failsWith = 'ENOSPC';
  for (let i = 0; i < 40; i++) {
    lab.blocks.give(i, '10.0.0.7', BLOCK + 256 * i, lab.now);
    await lab.pass(SECOND);
  }
  const { lost } = lab.log.status;
  t.ok(lost > 20);
  disk.failsWith = null;
  await lab.stop();
  t.match(lab.lines().slice(-2), [{ type: 'lost', lines: lost }, { type: 'stop' }]);
  lab.now += MINUTE;
  await lab.start(lab.configs.next(RED));
  await lab.pass(SECOND);
  t.match(lab.linesOf('start')[1], { before: 'stop' });
  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK}`, T0 + 2 * SECOND)), 'held, red 10.0.0.7 block');
  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK + 256 * 39}`, T0 + 40 * SECOND)), 'unknown', 'in a line that was lost');
});

t.test('a disk that stays full at the end: no stop line, an error in the log, and the next start takes it for a crash', async t => {
  const disk = new MoodyDisk();
  const lab = new LogLab(t, { disk });
  await lab.start();
  await lab.pass(11 * SECOND);
  disk.failsWith = 'ENOSPC';
  await lab.stop();
  t.match(lab.said.at(-1), { level: 'error', msg: 'NAT log ends without its last lines', fields: { waiting: 1, error: 'ENOSPC' } });
  disk.failsWith = null;
  lab.now += MINUTE;
  await lab.start(lab.configs.next(RED));
  await lab.pass(SECOND);
  t.match(lab.linesOf('start')[1], { before: 'crash', seen: T0 + 11 * SECOND });
});

t.test('a disk that hangs at the end does not hold up the daemon for longer than it was given', async t => {
  const disk = new MoodyDisk();
  const lab = new LogLab(t, { disk });
  await lab.start();
  disk.hold();
  lab.blocks.give(0, '10.0.0.7', BLOCK, lab.now);
  lab.now += SECOND;
  lab.log.tick();
  await lab.log.close(20);
  t.match(lab.said.at(-1), { msg: 'NAT log ends without its last lines' });
  disk.release();
});

t.test('a folder that cannot be had is an error at start, with the folder in it', async t => {
  const lab = new LogLab(t);
  mkdirSync(join(lab.folder, '..'), { recursive: true });
  writeFileSync(lab.folder, 'precious');
  await t.rejects(lab.start(), { message: new RegExp(`^NAT log ${lab.folder}: EEXIST`) });
  t.equal(readFileSync(lab.folder, 'utf8'), 'precious');
});

t.test('two daemons cannot share a folder: the second is refused for as long as the first lives, however that ends', async t => {
  const lab = new LogLab(t);
  await lab.start();
  await t.rejects(claimFolder(lab.folder), { message: 'another daemon writes there (lock-1 answers); give this one a folder of its own' });
  await lab.stop();
  const lock = await claimFolder(lab.folder);
  await new Promise(resolve => lock.close(resolve));

  // Killed, it leaves its socket behind: in another process, for Node removes its own.
  const path = join(lab.folder, 'lock-7');
  spawnSync(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`]);
  t.ok(existsSync(path));
  const next = await claimFolder(lab.folder);
  t.same(readdirSync(lab.folder).filter(name => name.startsWith('lock')), ['lock-8']);
  await new Promise(resolve => next.close(resolve));
});

t.test('of many that begin at once over what a dead one left, one has the folder', async t => {
  const lab = new LogLab(t);
  await lab.start();
  await lab.stop();
  const dead = join(lab.folder, 'dead');
  spawnSync(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(dead)}, () => process.kill(process.pid, 'SIGKILL'))`]);
  for (let round = 0; round < 50; round++) {
    linkSync(dead, join(lab.folder, 'lock-1'));
    const claims = await Promise.allSettled(Array.from({ length: 5 }, () => claimFolder(lab.folder)));
    const won = claims.flatMap(claim => claim.status === 'fulfilled' ? [claim.value] : []);
    t.equal(won.length, 1);
    for (const server of won) await new Promise(resolve => server.close(resolve));
  }
});
