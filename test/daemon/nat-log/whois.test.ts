/** The verb: its words, its exit codes, and whom it asks where there is no log. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import t, { type Test } from 'tap';
import { openEndpoints } from '../../../daemon/control/endpoints.js';
import { verb } from '../../../daemon/verbs/whois.js';
import { PortPlan } from '../../../pipeline/nat/blocks.js';
import { callVerb } from '../../support/call-verb.js';
import { startControl } from '../control.js';
import { fromA, labConfig, type LabConfig, type Peers } from '../daemon.js';
import { ip, LogLab, RDID, T0 } from '../../support/nat-log.js';
import { udp } from '../../support/frames.js';

const POOL = '203.0.113.10';
const plan = new PortPlan({ inside: [ip('10.0.0.0'), 256], outside: [ip(POOL), 1], size: 256, assign: 'auto' });
const SHARE = plan.shareOf(ip('10.0.0.5'))?.firstPort ?? 0, BLOCK = plan.blockStart(3);
const whois = (...args: string[]) => callVerb(verb, ...args);

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'causeway-whois-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function configFile(t: Test, change: (config: LabConfig) => void = () => {}): string {
  const peers = { hostA: { port: 40001 }, hostB: { port: 40002 }, inet: { port: 40003 } } as unknown as Peers;
  const config = labConfig(peers);
  change(config);
  const file = join(folder(t), 'gw.jsonc');
  writeFileSync(file, JSON.stringify(config));
  return file;
}

const MISTAKES = [
  [[], /whois needs IP:PORT/], [['203.0.113.10'], /203\.0\.113\.10: no address with a port; write 203\.0\.113\.10:40123/], [['[2001:db8::1]:80'], /NAT is IPv4 only/], [['203.0.113.10:80', 'x'], /too many words/],
  [['203.0.113.10:80', '--proto', 'sctp'], /--proto sctp: not a protocol that NAT knows; write tcp, udp, icmp/], [['203.0.113.10:80', '--at', '2026-11-23T10:00:00'], /--at 2026-11-23T10:00:00: a time without a zone; say which/],
  [['203.0.113.10:80', '-c', 'x', '--log', 'y'], /-c, --log and --socket all say whom to ask/], [['203.0.113.10:80', '--when', 'x'], /no flag --when/],
] as const;
for (const [words, message] of MISTAKES) {
  t.test(`usage: whois ${words.join(' ')}`, async t => { t.match(await whois(...words), { code: 2, err: message, out: '' }); });
}

t.test('a log: held is 0, nobody and unknown are 5, a log that is not there is 1', async t => {
  const lab = new LogLab(t);
  await lab.start();
  await lab.pass(60_000);
  await lab.stop();
  const at = (ms: number): string => new Date(T0 - 60 * 86_400_000 + ms).toISOString();
  t.match(await whois('203.0.113.10:2000', '--log', lab.folder, '--at', at(0)), { code: 5, out: /^203\.0\.113\.10:2000 at 2026-09-24T12:00:00\.000Z: cannot know\n {2}note {6}the log begins at 2026-11-23T12:00:00\.000Z\n$/ });
  t.match(await whois('203.0.113.10:2000', '--log', join(lab.folder, 'none')), { code: 1, err: /none: there is no such file or folder\n$/ });
  t.match(await whois('203.0.113.10:2000', '--log', join(lab.folder, 'nat-000001.jsonl')), { code: 1, err: /part of the path is no directory\n$/ });
  const { code, out } = await whois('203.0.113.10:2000', '--log', lab.folder, '--at', String(T0 / 1000 + 5), '--json');
  t.equal(code, 0);
  t.match(JSON.parse(out), {
    question: { outside: '203.0.113.10:2000', protos: ['tcp', 'udp', 'icmp'], from: '2026-11-23T12:00:05.000Z' },
    verdict: 'held', ambiguous: false, answers: [{ tenant: 'red', rdid: RDID, evidence: { kind: 'share', source: 'nat-000001.jsonl:2' } }], notes: [],
  });
  t.match(await whois('203.0.113.10:100', '--log', lab.folder, '--at', String(T0 / 1000)), { code: 5, out: /: nobody\n {2}note {6}203\.0\.113\.10:100 is red's, and so low a port is given to nobody\n$/ });
});

t.test('-c names the log by its config; with problems in that it is 3', async t => {
  const lab = new LogLab(t);
  await lab.start();
  await lab.pass(1000);
  await lab.stop();
  const file = configFile(t, config => { Object.assign(config.gateway, { natLog: { path: lab.folder } }); });
  t.match(await whois('203.0.113.10:2000', '-c', file, '--at', String(T0 / 1000)), { code: 0, out: /evidence {2}its share/ });
  const broken = configFile(t, config => { config.gateway.workers = 'many' as 'auto'; });
  t.match(await whois('203.0.113.10:2000', '-c', broken), { code: 3, err: /gateway\.workers/ });
  t.match(await whois('203.0.113.10:2000', '-c', join(folder(t), 'none')), { code: 1 });
});

t.test('without a log and without a daemon: shares and mappings by the config alone, blocks and the past not', async t => {
  const file = configFile(t, config => {
    config.gateway.admin.socket = join(folder(t), 'nobody.sock');
    Object.assign(config.tenants[0].nat, { mappings: [{ proto: 'tcp', external: `${POOL}:443`, internal: '10.0.0.5:8443' }] });
  });
  const share = await whois(`${POOL}:${SHARE}`, '-c', file);
  t.equal(share.code, 0);
  t.match(share.out, /inside {4}10\.0\.0\.5\n {2}protocol {2}tcp, udp, icmp\n {2}evidence {2}its share by arithmetic, ports \d+ to \d+\n {2}config {4}.*gw\.jsonc:1\n {2}note {6}no daemon was asked/);
  t.match(await whois(`${POOL}:443`, '-c', file, '--proto', 'tcp'), { code: 0, out: /inside {4}10\.0\.0\.5:8443\n/ });
  t.match(await whois(`${POOL}:443`, '-c', file, '--proto', 'udp'), { code: 5, out: /: nobody\n.*given to nobody/ });
  t.match(await whois(`${POOL}:${BLOCK}`, '-c', file), { code: 5, out: /: cannot know\n.*only its daemon, or its log, knows who has which/ });
  t.match(await whois('198.51.100.1:5000', '-c', file), { code: 5, out: /no tenant has 198\.51\.100\.1 in its pool/ });
  t.match(await whois(`${POOL}:${SHARE}`, '-c', file, '--at', '2026-11-01T00:00:00Z'), { code: 5, out: /keeps no NAT log \(gateway\.natLog\), so nobody can say who had what in the past/ });
});

t.test('without a log the running daemon says who has which block now; nobody there is 4', async t => {
  const dir = folder(t), socket = join(dir, 'admin.sock');
  const { control, peers } = await startControl(t, {
    change: config => {
      config.gateway.admin.socket = socket;
      Object.assign(config.tenants[0].nat, { blocks: { assign: 'dynamic', size: 64 } });
    },
  });
  const endpoints = await openEndpoints(control);
  t.teardown(() => endpoints.close());
  await control.start();
  const gre = control.crew.bound.find(({ carrier }) => carrier === 0)?.port ?? 0;
  peers.hostA.send(fromA(udp('10.0.0.5', 5000, '198.51.100.7', 53, 'question')), gre);
  const port = (await peers.inet.take()).readUInt16BE(4 + 20);
  const found = await whois(`${POOL}:${port}`, '--socket', socket);
  t.match(found, { code: 0, out: /tenant {4}red, .*\n {2}inside {4}10\.0\.0\.5\n.*\n {2}since {5}20.*Z\n {2}until {5}still\n {2}evidence {2}its block, ports \d+ to \d+\n/ });
  t.match(await whois(`${POOL}:${port}`, '--socket', socket, '--at', '2026-11-01T00:00:00Z'), { code: 5, out: /the daemon of test\.jsonc keeps no NAT log/ });
  t.match(await whois(`${POOL}:${port < 40000 ? 65000 : 2000}`, '--socket', socket), { code: 5, out: /: nobody\n.*nobody has that block/ });
  t.match(await whois(`${POOL}:${port}`, '--socket', join(dir, 'none')), { code: 4, err: /no daemon answers on .*none: there is no such socket/ });
  t.equal((await (await import('../../../daemon/cli/admin-client.js')).getJson<{ verdict: string }>(socket, `/v1/whois?outside=${POOL}:${port}`)).verdict, 'held');
  await t.rejects((await import('../../../daemon/cli/admin-client.js')).getJson(socket, '/v1/whois?outside=x'), /no address with a port: write 203\.0\.113\.10:40123/);
});

t.test('help names every flag, the codes and the RFCs', async t => {
  for (const word of ['--at', '--proto', '-c CONFIG', '--log', '--socket', '--json', 'Exit codes: 0', 'RFC 6888 REQ-12', 'RFC 7422', 'RFC 6302']) t.ok(verb.help.includes(word), word);
  for (const line of verb.help.split('\n')) t.ok(line.length <= 125, line);
});
