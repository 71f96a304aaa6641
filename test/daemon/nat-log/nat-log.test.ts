/** The log as control writes it and as whois reads it back, over real files and clocks of our own. */
import { rmSync, appendFileSync, readFileSync, statSync, writeFileSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PortPlan } from '../../../pipeline/nat/blocks.js';
import { BLUE, inShort, ip, LogLab, RDID, RED, T0 } from '../../support/nat-log.js';

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE;
/** What the arithmetic of RFC 7422 says of red's share: an inside address by a port, and its ports. */
const plan = new PortPlan({ inside: [ip('10.0.0.0'), 64], outside: [ip('203.0.113.10'), 1], size: 256, assign: 'auto' });
const share = plan.shareOf(ip('10.0.0.5'));
const SHARE = share?.firstPort ?? 0;
/** A port that goes by blocks. */
const BLOCK = plan.blockStart(7);

t.test('RFC 7422: a share is found by arithmetic, from the start of the daemon on, and no packet has to be seen for it', async t => {
  const lab = new LogLab(t);
  await lab.start();
  await lab.pass(MINUTE);
  const found = await lab.whois(`203.0.113.10:${SHARE}`);
  t.match(found, {
    verdict: 'held', notes: [],
    answers: [{
      tenant: 'red', rdid: RDID, protos: ['tcp', 'udp', 'icmp'], inside: '10.0.0.5', insidePort: null, since: '2026-11-23T12:00:00.000Z', until: null, sureUntil: null, certain: true,
      evidence: { kind: 'share', firstPort: SHARE, count: plan.share, generation: 1, config: '/etc/causeway/gw.jsonc', source: 'nat-000001.jsonl:2' },
    }],
  });
  t.equal(inShort(await lab.whois(`203.0.113.10:${SHARE + plan.share - 1}`)), 'held, red 10.0.0.5 share');
  t.equal(inShort(await lab.whois(`203.0.113.10:${SHARE + plan.share}`)), 'held, red 10.0.0.6 share');
});

t.test('RFC 6888 REQ-12, REQ-14: a block is two lines, with tenant, inside address, external address, ports and ms of UTC; no destination', async t => {
  const lab = new LogLab(t);
  await lab.start();
  lab.blocks.give(0, '10.0.0.7', BLOCK, T0 + 5001);
  await lab.pass(5100);
  lab.blocks.idle(0, T0 + HOUR);
  await lab.pass(HOUR);
  lab.blocks.set(0, undefined);
  await lab.pass(2 * MINUTE);
  const [allocate, release] = lab.text().split('\n').slice(-3);
  t.equal(allocate, `{"time":"2026-11-23T12:00:05.001Z","type":"allocate","tenant":"red","rdid":"${RDID}","inside":"10.0.0.7","outside":"203.0.113.10","firstPort":${BLOCK},"count":256}`);
  t.equal(release, `{"time":"2026-11-23T13:00:00.000Z","type":"release","tenant":"red","rdid":"${RDID}","inside":"10.0.0.7","outside":"203.0.113.10","firstPort":${BLOCK},"count":256,"since":"2026-11-23T12:00:05.001Z"}`);

  const at = (ms: number): Promise<string> => lab.whois(`203.0.113.10:${BLOCK + 255}`, T0 + ms).then(inShort);
  t.equal(await at(5000), 'nobody');
  t.equal(await at(5001), 'held, red 10.0.0.7 block');
  t.equal(await at(HOUR - 1), 'held, red 10.0.0.7 block');
  t.equal(await at(HOUR), 'nobody', 'the end is not part of it');
  t.match(await lab.whois(`203.0.113.10:${BLOCK}`, T0 + HOUR), { notes: [`203.0.113.10:${BLOCK} is one of red's ports that go by blocks, and nobody had that block`] });
  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK + 256}`, T0 + MINUTE)), 'nobody', 'the block beside it');
});

t.test('a block that is idle for a while and taken up again is one time, and no lines are written for that', async t => {
  const lab = new LogLab(t);
  await lab.start();
  lab.blocks.give(0, '10.0.0.7', BLOCK, T0 + 1000);
  await lab.pass(MINUTE);
  for (let i = 0; i < 10; i++) {
    lab.blocks.idle(0, lab.now);
    await lab.pass(MINUTE);
    lab.blocks.give(0, '10.0.0.7', BLOCK, lab.now);
    await lab.pass(MINUTE);
  }
  t.equal(lab.linesOf('allocate').length, 1);
  t.equal(lab.linesOf('release').length, 0);
  t.match(await lab.whois(`203.0.113.10:${BLOCK}`, T0 + 5 * MINUTE), { verdict: 'held', answers: [{ since: '2026-11-23T12:00:01.000Z', until: null }] });
});

t.test('a record that has another owner at the next look is a release and an allocation', async t => {
  const lab = new LogLab(t);
  await lab.start();
  lab.blocks.give(0, '10.0.0.7', BLOCK, T0 + 1000);
  await lab.pass(2000);
  lab.blocks.idle(0, T0 + 3000);
  await lab.pass(2000);
  lab.blocks.give(0, '10.0.0.8', BLOCK, T0 + 200_000);
  await lab.pass(200_000);
  const at = (ms: number): Promise<string> => lab.whois(`203.0.113.10:${BLOCK}`, T0 + ms).then(inShort);
  t.equal(await at(2999), 'held, red 10.0.0.7 block');
  t.equal(await at(100_000), 'nobody');
  t.equal(await at(200_000), 'held, red 10.0.0.8 block');
});

t.test('static mappings: one port of one protocol, ranges, whole addresses and prefixes say the inside port too; other protocols of that port have their share', async t => {
  const lab = new LogLab(t);
  await lab.start(lab.configs.next({
    ...RED, pool: ['203.0.113.10', '203.0.113.16/28'], mappings: [
      { proto: 'tcp', external: `203.0.113.10:${SHARE}`, internal: '10.0.0.5:8080' }, { proto: 'udp', external: '203.0.113.10:500-509', internal: '10.0.0.5:1500-1509' },
      { external: '203.0.113.17', internal: '10.0.0.5' }, { external: '203.0.113.24/29', internal: '10.0.0.8/29' },
    ],
  }));
  await lab.pass(MINUTE);
  const who = (outside: string, ...protos: ('tcp' | 'udp' | 'icmp')[]): Promise<string> => lab.whois(outside, lab.now, protos.length > 0 ? protos : undefined).then(inShort);
  t.equal(await who(`203.0.113.10:${SHARE}`, 'tcp'), 'held, red 10.0.0.5:8080 mapping');
  t.match(await who(`203.0.113.10:${SHARE}`, 'udp'), /^held, red 10\.0\.0\.\d+ share$/);
  t.match(await who(`203.0.113.10:${SHARE}`), /^held, red 10\.0\.0\.5:8080 mapping, red 10\.0\.0\.\d+ share$/, 'without a protocol both');
  t.equal(await who('203.0.113.10:503', 'udp'), 'held, red 10.0.0.5:1503 mapping');
  t.equal(await who('203.0.113.10:503', 'tcp'), 'nobody');
  t.equal(await who('203.0.113.17:7'), 'held, red 10.0.0.5:7 mapping');
  t.equal(await who('203.0.113.27:65535', 'icmp'), 'held, red 10.0.0.11:65535 mapping');
  const { evidence } = (await lab.whois('203.0.113.17:7')).answers[0];
  t.match(evidence, { kind: 'mapping', firstPort: 7, count: 1 });
  t.match(lab.configs.text.split('\n').slice((evidence.line ?? 0) - 1, (evidence.line ?? 0) + 1), [/^ *\{$/, /"external": "203\.0\.113\.17"/], 'the line of the mapping');
});

t.test('a reload that changes the plan: until all workers go by it both are possible, then only the new one; what stays the same goes on', async t => {
  const lab = new LogLab(t);
  const log = await lab.start();
  await lab.pass(MINUTE);
  log.adopt(lab.configs.next({ ...RED, prefix: '10.0.0.0/27' }));
  await lab.pass(3000);
  log.settled(2);
  await lab.pass(MINUTE);
  const at = (ms: number): Promise<string> => lab.whois(`203.0.113.10:${SHARE}`, T0 + ms).then(inShort);
  t.equal(await at(MINUTE - 1), 'held, red 10.0.0.5 share');
  t.match(await at(MINUTE), /^held, red 10\.0\.0\.5 share, red 10\.0\.0\.2 share$/, 'while workers change over');
  t.match(await at(MINUTE + 2999), /^held, red 10\.0\.0\.5 share, red 10\.0\.0\.2 share$/);
  t.equal(await at(MINUTE + 3000), 'held, red 10.0.0.2 share');
  t.match((await lab.whois(`203.0.113.10:${SHARE}`)).answers[0], { since: '2026-11-23T12:01:00.000Z', evidence: { generation: 2 } });

  log.adopt(lab.configs.next({ ...RED, prefix: '10.0.0.0/27', mappings: [{ proto: 'tcp', external: '203.0.113.10:80', internal: '10.0.0.5:80' }] }));
  log.settled(3);
  await lab.pass(MINUTE);
  t.match((await lab.whois(`203.0.113.10:${SHARE}`)).answers, [{ since: '2026-11-23T12:01:00.000Z', inside: '10.0.0.2' }], 'the share is what it was');
  t.equal(inShort(await lab.whois('203.0.113.10:80')), 'held, red 10.0.0.5:80 mapping');
});

t.test('a reload writes tenants that changed or went, and no others; lines of the config that moved are no change', async t => {
  const lab = new LogLab(t);
  const log = await lab.start(lab.configs.next(RED, BLUE));
  const before = lab.lines().length;
  log.adopt(lab.configs.next(BLUE, RED));
  log.settled(2);
  await lab.pass(100);
  t.same(lab.lines().slice(before).map(({ type }) => type), ['config', 'settled']);
  log.adopt(lab.configs.next({ ...BLUE, pool: ['203.0.113.20'] }));
  log.settled(3);
  await lab.pass(100);
  t.same(lab.lines().slice(before + 2).map(({ type }) => type), ['config', 'plan', 'gone', 'settled']);
  t.match(lab.linesOf('config')[1], { generation: 3, plans: 1, gone: 1 });
  t.equal(inShort(await lab.whois(`203.0.113.10:${SHARE}`)), 'nobody');
  t.match(await lab.whois(`203.0.113.10:${SHARE}`), { notes: ['no tenant had 203.0.113.10 in its pool'] });
  t.equal(inShort(await lab.whois(`203.0.113.10:${SHARE}`, T0 + 50)), 'held, red 10.0.0.5 share');
  t.equal(inShort(await lab.whois('203.0.113.21:40000')), 'nobody');
});

t.test('a tenant with another name is the same routing domain, by the name that it had then', async t => {
  const lab = new LogLab(t);
  const log = await lab.start();
  await lab.pass(MINUTE);
  log.adopt(lab.configs.next({ ...RED, name: 'crimson' }));
  log.settled(2);
  await lab.pass(MINUTE);
  t.equal(inShort(await lab.whois(`203.0.113.10:${SHARE}`, T0)), 'held, red 10.0.0.5 share');
  t.match(await lab.whois(`203.0.113.10:${SHARE}`), { answers: [{ tenant: 'crimson', rdid: RDID }] });
});

t.test('a restart: what was given out ended with the daemon, the time between is not guessed at, and the log goes on in its file', async t => {
  const lab = new LogLab(t);
  await lab.start();
  lab.blocks.give(0, '10.0.0.7', BLOCK, T0 + 1000);
  await lab.pass(MINUTE);
  await lab.stop();
  t.notOk(existsSync(join(lab.folder, 'alive')), 'it ended as it should');
  lab.now += MINUTE;
  const gone = await lab.whois(`203.0.113.10:${BLOCK}`);
  t.match(gone, { verdict: 'unknown', notes: ['the daemon ended at 2026-11-23T12:01:00.000Z, and none has begun since'] });

  await lab.start(lab.configs.next(RED));
  await lab.pass(MINUTE);
  t.same(lab.names(), ['nat-000001.jsonl']);
  t.match(lab.linesOf('start')[1], { before: 'stop', seen: null });
  const at = (ms: number) => lab.whois(`203.0.113.10:${BLOCK}`, T0 + ms);
  t.match(await at(30_000), { verdict: 'held', answers: [{ inside: '10.0.0.7', until: '2026-11-23T12:01:00.000Z', sureUntil: null }] });
  t.match(await at(90_000), { verdict: 'unknown', answers: [], notes: ['no daemon ran from 2026-11-23T12:01:00.000Z to 2026-11-23T12:02:00.000Z'] });
  t.equal(inShort(await at(2 * MINUTE)), 'nobody');
});

t.test('a crash: the next start says so, and what was open was certain for as long as the last sign of life', async t => {
  const lab = new LogLab(t);
  await lab.start();
  lab.blocks.give(0, '10.0.0.7', BLOCK, T0 + 1000);
  for (let i = 0; i < 30; i++) await lab.pass(SECOND);
  await lab.die();
  const alive = Date.parse(readFileSync(join(lab.folder, 'alive'), 'utf8').trim());
  t.ok(alive > T0 + 19_000 && alive <= T0 + 30_000);
  lab.now = T0 + HOUR;
  const after = await lab.whois(`203.0.113.10:${BLOCK}`);
  t.match(after, { verdict: 'unknown', answers: [{ inside: '10.0.0.7', until: null, sureUntil: new Date(alive + 1).toISOString(), certain: false }], notes: [/^the log ends at .*, and no daemon goes on with it$/] });

  await lab.start(lab.configs.next(RED));
  await lab.pass(MINUTE);
  t.match(lab.linesOf('start')[1], { before: 'crash', seen: alive });
  const at = (ms: number) => lab.whois(`203.0.113.10:${BLOCK}`, T0 + ms);
  t.equal(inShort(await at(alive - T0)), 'held, red 10.0.0.7 block');
  t.match(await at(30 * MINUTE), { verdict: 'unknown', answers: [{ inside: '10.0.0.7', certain: false, until: '2026-11-23T13:00:00.000Z' }], notes: [/^the daemon ended without a word after /] });
  t.equal(inShort(await at(HOUR)), 'nobody');
  t.equal(inShort(await lab.whois(`203.0.113.10:${SHARE}`, T0 + 30 * MINUTE)), 'unknown, red 10.0.0.5 share?', 'a share is no better: no daemon may have run');
});

const TORN = `{"time":"2026-11-23T12:00:11.000Z","type":"allocate","tenant":"red","rdid":"${RDID}","inside":"10.0.0.7","outside":"203.0.113.10","firstPort":`;
for (const length of [1, 30, 60, 100, TORN.length]) {
  t.test(`a last line that a crash has torn after ${length} bytes is passed over with a word, and the log goes on behind it`, async t => {
    const lab = new LogLab(t);
    await lab.start();
    await lab.pass(11_000);
    await lab.die();
    appendFileSync(join(lab.folder, 'nat-000001.jsonl'), TORN.slice(0, length));
    const found = await lab.whois(`203.0.113.10:${SHARE}`, T0 + 5000);
    t.match(found, { verdict: 'held', notes: ['nat-000001.jsonl:4 has no end, torn or being written, and is passed over'] });
    lab.now += MINUTE;
    await lab.start(lab.configs.next(RED));
    await lab.pass(MINUTE);
    const again = await lab.whois(`203.0.113.10:${SHARE}`, T0 + 5000);
    t.match(again, { verdict: 'held', notes: ['nat-000001.jsonl:4 cannot be read, and is passed over'] });
    t.equal(inShort(await lab.whois(`203.0.113.10:${SHARE}`)), 'held, red 10.0.0.5 share');
    t.equal(lab.text().split('\n')[3], TORN.slice(0, length));
  });
}

t.test('a line that was damaged later: what it may have said is not known, the rest is', async t => {
  const lab = new LogLab(t);
  await lab.start();
  lab.blocks.give(0, '10.0.0.7', BLOCK, T0 + 1000);
  await lab.pass(MINUTE);
  lab.blocks.idle(0, T0 + MINUTE);
  await lab.pass(5 * MINUTE);
  lab.blocks.set(0, undefined);
  lab.blocks.give(1, '10.0.0.9', BLOCK + 256, lab.now);
  await lab.pass(MINUTE);
  const file = join(lab.folder, 'nat-000001.jsonl');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"type":"release","tenant":"red"', '"type":"release","tenant":17'));
  const found = await lab.whois(`203.0.113.10:${BLOCK}`, T0 + 30_000);
  t.equal(found.answers[0].inside, '10.0.0.7');
  t.match(found.notes.join(), /cannot be read/);
});

t.test('rotation: each file begins with all that is in force, so the oldest may go and nothing is forgotten that still holds', async t => {
  const lab = new LogLab(t, { maxBytes: 4096, files: 3 });
  await lab.start(lab.configs.next(RED, BLUE));
  lab.blocks.give(0, '10.0.0.7', BLOCK, T0 + 1000);
  await lab.pass(2000);
  for (let i = 1; i <= 60; i++) {
    lab.blocks.give(1, `10.0.0.${i}`, BLOCK + 256, lab.now, { tenant: 2, outside: '203.0.113.20' });
    await lab.pass(1000);
    lab.blocks.idle(1, lab.now);
    await lab.pass(130_000);
    lab.blocks.set(1, undefined);
    await lab.pass(1000);
  }
  const names = lab.names();
  t.equal(names.length, 3);
  t.ok(Number(/\d+/.exec(names[0])?.[0]) > 2, `the oldest are gone: ${names.join()}`);
  for (const name of names) {
    t.ok(statSync(join(lab.folder, name)).size < 2 * 4096, name);
    t.equal(lab.lines(name)[0].type, 'continue');
  }
  t.match(await lab.whois(`203.0.113.10:${BLOCK}`), { verdict: 'held', answers: [{ inside: '10.0.0.7', since: '2026-11-23T12:00:01.000Z' }] });
  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK}`, T0 + MINUTE)), 'held, red 10.0.0.7 block', 'what still holds is known from its beginning');
  t.equal(inShort(await lab.whois(`203.0.113.10:${SHARE}`, T0 + MINUTE)), 'held, red 10.0.0.5 share');
  const before = await lab.whois(`203.0.113.20:${BLOCK + 256}`, T0 + 3000);
  t.match(before, { verdict: 'unknown', answers: [], notes: [/^the log begins at 2026-11-23T/] });
  t.match(await lab.whois(`203.0.113.10:${BLOCK}`, T0 - 1), { verdict: 'unknown', notes: [/^the log begins at /] });
});

t.test('a file whose head alone is long is allowed twice that, so that files do not follow each other without end', async t => {
  const lab = new LogLab(t, { maxBytes: 4096, files: 3 });
  await lab.start(lab.configs.next({ ...BLUE, rdid: RDID }));
  for (let i = 0; i < 200; i++) lab.blocks.give(i, `10.0.0.${i}`, 1024 + 256 * i, lab.now, { outside: '203.0.113.20' });
  for (let i = 0; i < 20; i++) await lab.pass(1000);
  const count = lab.names().length;
  t.ok(count <= 2, `${count} files`);
  t.equal(lab.linesOf('held').reduce((sum, { blocks }) => sum + blocks.length, 0) > 0, true);
  t.equal(inShort(await lab.whois(`203.0.113.20:${1024 + 256 * 150 + 3}`)), 'held, blue 10.0.0.150 block');
});

t.test('the clock is set back: times come twice, and whoever asks for one gets both answers', async t => {
  const lab = new LogLab(t);
  await lab.start();
  lab.blocks.give(0, '10.0.0.7', BLOCK, lab.now + 1000);
  await lab.pass(10 * MINUTE);
  lab.blocks.idle(0, lab.now);
  await lab.pass(3 * MINUTE);
  lab.blocks.set(0, undefined);
  await lab.pass(MINUTE);
  lab.ahead = -HOUR; // it is 12:14, and becomes 11:14
  await lab.pass(MINUTE);
  t.match(lab.linesOf('clock'), [{ was: T0 + 15 * MINUTE, time: T0 + 15 * MINUTE - HOUR }]);
  t.match(lab.said.find(({ msg }) => msg === 'clock was set'), { fields: { byMs: -HOUR } });
  await lab.pass(47 * MINUTE); // 12:02 again
  lab.blocks.give(0, '10.0.0.8', BLOCK, lab.now);
  await lab.pass(20 * MINUTE);
  const at = (ms: number) => lab.whois(`203.0.113.10:${BLOCK}`, T0 + ms);
  t.equal(inShort(await at(5 * MINUTE)), 'held, red 10.0.0.7 block, red 10.0.0.8 block');
  t.match((await at(5 * MINUTE)).notes, [/^the clock was set back from 2026-11-23T12:15:00.000Z to 2026-11-23T11:15:00.000Z: the time between came twice$/]);
  t.equal(inShort(await at(-30 * MINUTE)), 'nobody');
  t.equal(inShort(await at(21 * MINUTE)), 'held, red 10.0.0.8 block');
  t.equal(inShort(await lab.whois(`203.0.113.10:${SHARE}`, T0 - 20 * MINUTE)), 'held, red 10.0.0.5 share', 'a share went on under the new clock');
});

t.test('the clock is set forward: a time that never was is not guessed at', async t => {
  const lab = new LogLab(t);
  await lab.start();
  lab.blocks.give(0, '10.0.0.7', BLOCK, lab.now + 1000);
  await lab.pass(MINUTE);
  lab.ahead = HOUR;
  await lab.pass(MINUTE);
  const at = (ms: number) => lab.whois(`203.0.113.10:${BLOCK}`, T0 + ms).then(inShort);
  t.equal(await at(30_000), 'held, red 10.0.0.7 block');
  t.equal(await at(30 * MINUTE), 'unknown');
  t.equal(await at(HOUR + 2 * MINUTE), 'held, red 10.0.0.7 block');
  await lab.pass(MINUTE);
  t.equal(lab.linesOf('clock').length, 1, 'said once');
});

t.test('the clock is slewed: no line, and times follow it', async t => {
  const lab = new LogLab(t);
  await lab.start();
  for (let i = 0; i < 100; i++) {
    lab.ahead += 50;
    await lab.pass(1000);
  }
  lab.blocks.give(0, '10.0.0.7', BLOCK, lab.now);
  await lab.pass(0);
  t.equal(lab.linesOf('clock').length, 0);
  t.equal(lab.linesOf('allocate')[0].time, T0 + 105_000);
});

t.test('a second, or a minute, in which a port changed hands has two answers', async t => {
  const lab = new LogLab(t);
  await lab.start();
  lab.blocks.give(0, '10.0.0.7', BLOCK, T0 + 1000);
  await lab.pass(2000);
  lab.blocks.idle(0, T0 + 9500);
  await lab.pass(8000);
  lab.blocks.give(0, '10.0.0.8', BLOCK, T0 + 129_700);
  await lab.pass(130_000);
  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK}`, [T0 + 9000, T0 + 9999])), 'held, red 10.0.0.7 block');
  t.equal(inShort(await lab.whois(`203.0.113.10:${BLOCK}`, [T0, T0 + 200_000])), 'held, red 10.0.0.7 block, red 10.0.0.8 block');
});

t.test('files are 0640, the folder is 0750, and beside the log there is only the lock and the sign of life', async t => {
  const before = process.umask(0o022);
  t.teardown(() => process.umask(before));
  const lab = new LogLab(t);
  await lab.start();
  await lab.pass(11_000);
  t.equal(statSync(lab.folder).mode & 0o777, 0o750);
  t.equal(statSync(join(lab.folder, 'nat-000001.jsonl')).mode & 0o777, 0o640);
  t.same(readdirSync(lab.folder).sort(), ['alive', 'lock-1', 'nat-000001.jsonl']);
  await lab.stop();
  t.same(readdirSync(lab.folder), ['nat-000001.jsonl']);
});

t.test('a folder without a log, and one that is not there', async t => {
  const lab = new LogLab(t);
  await lab.start();
  await lab.stop();
  rmSync(join(lab.folder, 'nat-000001.jsonl'));
  t.match(await lab.whois('203.0.113.10:5000'), { verdict: 'unknown', notes: [`there is no NAT log in ${lab.folder}`] });
  rmSync(lab.folder, { recursive: true });
  await t.rejects(lab.whois('203.0.113.10:5000'), { code: 'ENOENT' });
});
