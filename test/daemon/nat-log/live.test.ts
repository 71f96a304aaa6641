/** The daemon with two workers behind a dispatcher, NAT, and a log: then `whois` is asked who every packet was, then and now. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { StatusAnswer, WhoisAnswer } from '../../../daemon/control/admin.js';
import { PROTOS, type Proto, type Verdict } from '../../../daemon/nat-log/answers.js';
import { askLog, numbersIn } from '../../../daemon/nat-log/files.js';
import { echo, nvgre, ethernet, udp, vxlan } from '../../support/frames.js';
import { causeway, ConfigFolder, Daemon, GATEWAY_MAC, labConfig, MAC_A, MAC_B, openPeers, until, type LabConfig, type Peer, type Peers } from '../daemon.js';

const SERVER = '198.51.100.7', POOL = '203.0.113.10';
const A = '10.0.0.5', B = '10.0.0.6';
/** Of a GRE packet without key that holds an IPv4 packet. */
const SRC = 4 + 12, SPORT = 4 + 20, ECHO_ID = 4 + 20 + 4;

/** What went out of the gateway, under which port, and when: after the first time and before the second. */
interface Seen { readonly inside: string; readonly proto: Proto; readonly address: number; readonly port: number; readonly from: number; readonly to: number }

interface Changes { nat?: object; prefix?: string }

function configFor(peers: Peers, folder: string, { nat = {}, prefix = '10.0.0.0/24' }: Changes = {}): LabConfig {
  const config = labConfig(peers);
  Object.assign(config.gateway, { workers: 2, rss: { mode: 'dispatcher' }, natLog: { path: join(folder, 'log'), maxBytes: 4096, files: 100 } });
  Object.assign(config.gateway.limits, { bindings: 8192, sessions: 8192 });
  config.tenants[0].subnets[0].prefix = prefix;
  Object.assign(config.tenants[0].nat, nat);
  return config;
}

/** Flows of both VMs with inside ports from `first` on, one after the other, so that it is known which is which. */
async function flows(daemon: Daemon, { hostA, hostB, inet }: Peers, first: number, count: number): Promise<Seen[]> {
  const seen: Seen[] = [];
  for (let i = 0; i < count; i++) {
    const isA = i % 10 !== 9, inside = isA ? A : B, isPing = i % 7 === 3;
    const packet = isPing ? echo(inside, SERVER, first + i) : udp(inside, first + i, SERVER, 53, 'question');
    const frame = ethernet(GATEWAY_MAC, isA ? MAC_A : MAC_B, packet);
    const from = Date.now();
    if (isA) hostA.send(nvgre(5001, frame), daemon.port('gre'));
    else hostB.send(vxlan(5001, frame), daemon.port('vxlan'));
    const out = await inet.take();
    seen.push({ inside, proto: isPing ? 'icmp' : 'udp', address: out.readUInt32BE(SRC), port: out.readUInt16BE(isPing ? ECHO_ID : SPORT), from, to: Date.now() });
  }
  return seen;
}

/** Every one of them is found, at some ms of the time in which it was on its way; `now` too, if that is asked. */
async function ask(t: Test, folder: string, what: string, seen: readonly Seen[], isNow: boolean): Promise<void> {
  const whois = (question: Seen, from: number, to: number): Promise<Verdict> =>
    askLog(join(folder, 'log'), { address: question.address, port: question.port, protos: [question.proto], from, to }, Date.now());
  const wrong: string[] = [];
  for (const each of seen) {
    const then = await whois(each, each.from, each.to);
    if (then.verdict !== 'held' || !then.answers.some(({ inside, certain }) => inside === each.inside && certain)) wrong.push(`${JSON.stringify(each)}: ${JSON.stringify(then)}`);
    if (new Set(then.answers.map(({ inside }) => inside)).size !== 1) wrong.push(`${JSON.stringify(each)}: ${then.answers.length} answers`);
    if (!isNow) continue;
    const now = await whois(each, Date.now(), Date.now());
    if (now.verdict !== 'held' || now.answers[0].inside !== each.inside) wrong.push(`now ${JSON.stringify(each)}: ${JSON.stringify(now)}`);
  }
  t.same(wrong.slice(0, 3), [], `${what}: all ${seen.length}`);
}

/** Until the last block that was given out is in the log. */
async function written(daemon: Daemon, seen: readonly Seen[], folder: string): Promise<void> {
  const last = seen[seen.length - 1];
  await until('the log', async () => {
    const { natLog } = await daemon.ask<StatusAnswer>('/v1/status');
    const { verdict } = await askLog(join(folder, 'log'), { address: last.address, port: last.port, protos: PROTOS, from: last.to, to: last.to }, Date.now());
    return natLog?.waiting === 0 && verdict === 'held' || undefined;
  });
}

t.test('whois finds every flow of a daemon with two workers, now and in the past, over a reload that changes the plan, rotation, a restart and a crash', async t => {
  const peers = await openPeers();
  const folder = new ConfigFolder(configFor(peers, '/tmp'));
  folder.write(configFor(peers, folder.folder));
  t.teardown(() => {
    for (const peer of Object.values(peers) as Peer[]) peer.close();
    folder.remove();
  });
  let daemon = await Daemon.start(folder);
  t.teardown(() => daemon.end('SIGKILL'));
  t.match(await daemon.line('NAT log'), { level: 'info', path: join(folder.folder, 'log'), file: 'nat-000001.jsonl', before: 'nothing' });
  t.match(await daemon.line('receive mode'), { mode: 'dispatcher', workers: 2 });

  // A's share has 126 ports: the rest are blocks.
  const first = await flows(daemon, peers, 1000, 200);
  await written(daemon, first, folder.folder);
  await ask(t, folder.folder, 'shares and blocks', first, true);

  const status = await daemon.ask<StatusAnswer>('/v1/status');
  t.match(status.natLog, { lost: 0, failing: null });
  const metrics = await daemon.metrics();
  t.ok((metrics.get('causeway_nat_log_lines_total') ?? 0) >= 4);
  t.equal(metrics.get('causeway_nat_log_lines_lost_total'), 0);
  const { answers } = await daemon.ask<WhoisAnswer>(`/v1/whois?outside=${POOL}:${first[0].port}&proto=udp`);
  t.match(answers, [{ tenant: 'red', inside: A, protos: ['udp'], evidence: { kind: 'share', generation: 1, config: folder.file } }], 'the daemon itself says the same');

  // All blocks, and small ones: nobody's share is what it was.
  folder.write(configFor(peers, folder.folder, { nat: { blocks: { assign: 'dynamic', size: 64 } } }));
  daemon.child.kill('SIGHUP');
  await daemon.line('config reloaded');
  const second = await flows(daemon, peers, 3000, 150);
  await written(daemon, second, folder.folder);
  await ask(t, folder.folder, 'before the reload', first, false);
  await ask(t, folder.folder, 'after the reload', second, true);
  const block = await daemon.ask<WhoisAnswer>(`/v1/whois?outside=${POOL}:${second[0].port}`);
  t.match(block.answers, [{ inside: A, until: null, evidence: { kind: 'block' } }]);

  // Plans long enough for files to follow each other.
  const mappings = Array.from({ length: 40 }, (_, i) => ({ proto: 'tcp', external: `${POOL}:${100 + i}`, internal: `${A}:${100 + i}` }));
  for (let i = 0; numbersIn(readdirSync(join(folder.folder, 'log'))).length < 3; i++) {
    folder.write(configFor(peers, folder.folder, { nat: { blocks: { assign: 'dynamic', size: 64 }, mappings: mappings.slice(i % 2) } }));
    const lines = daemon.lines.length;
    daemon.child.kill('SIGHUP');
    await daemon.line('config reloaded', lines);
  }
  await ask(t, folder.folder, 'behind a rotation', [...first.slice(-50), ...second.slice(0, 50)], false);
  await ask(t, folder.folder, 'in force over a rotation', second.slice(0, 50), true);

  t.equal(await daemon.end(), 0);
  const ended = Date.now();
  daemon = await Daemon.start(folder);
  t.match(await daemon.line('NAT log'), { before: 'stop' });
  const third = await flows(daemon, peers, 5000, 40);
  await written(daemon, third, folder.folder);
  await ask(t, folder.folder, 'before a restart', [...first.slice(0, 50), ...second.slice(-50)], false);
  await ask(t, folder.folder, 'after it', third, true);

  await daemon.end('SIGKILL');
  const gone = await askLog(join(folder.folder, 'log'), { address: third[0].address, port: third[0].port, protos: PROTOS, from: Date.now() + 60_000, to: Date.now() + 60_000 }, Date.now() + 60_000);
  t.match(gone, { verdict: 'unknown', notes: [/no daemon goes on with it/] });
  daemon = await Daemon.start(folder);
  t.match(await daemon.line('NAT log'), { before: 'crash' });
  const fourth = await flows(daemon, peers, 7000, 40);
  await written(daemon, fourth, folder.folder);
  await ask(t, folder.folder, 'before a crash', [...second.slice(100)], false);
  await ask(t, folder.folder, 'after it', fourth, true);

  const [cli] = [await causeway(['whois', `${POOL}:${first[0].port}`, '--at', new Date(first[0].to).toISOString(), '--proto', 'udp', '-c', folder.file])];
  t.equal(cli.code, 0, cli.err);
  t.match(cli.out, new RegExp(`tenant    red, rdid 6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01\n  inside    ${A}\n`));
  const between = await causeway(['whois', `${POOL}:${second[0].port}`, '--at', String(ended / 1000), '--socket', folder.socket, '--json']);
  t.equal(between.code, between.out.includes('"held"') ? 0 : 5);
  t.equal(await daemon.end(), 0);
});

t.test('a second daemon on the same folder is refused, and the first goes on', async t => {
  const peers = await openPeers(), others = await openPeers();
  const folder = new ConfigFolder(configFor(peers, '/tmp')), other = new ConfigFolder(configFor(others, '/tmp'));
  t.teardown(() => {
    for (const peer of [...Object.values(peers), ...Object.values(others)] as Peer[]) peer.close();
    folder.remove();
    other.remove();
  });
  folder.write(configFor(peers, folder.folder));
  other.write(configFor(others, folder.folder));
  const daemon = await Daemon.start(folder);
  t.teardown(() => daemon.end('SIGKILL'));
  const { code, out } = await causeway(['run', '-c', other.file]);
  t.equal(code, 1);
  t.match(out, /"level":"fatal".*NAT log .*: another daemon writes there \(lock-1 answers\); give this one a folder of its own.*"msg":"cannot start"/);
  t.match(await daemon.ask<StatusAnswer>('/v1/status'), { natLog: { failing: null } });
});
