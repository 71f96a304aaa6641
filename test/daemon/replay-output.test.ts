import { spawnSync } from 'node:child_process';
import { existsSync, linkSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { GRE_UDP_PORT } from '../../codecs/gre-udp.js';
import { LinkType } from '../../codecs/link.js';
import { PcapWriter } from '../../codecs/pcap.js';
import { TcpFlag } from '../../codecs/tcp.js';
import { verb } from '../../daemon/verbs/replay.js';
import type { ReplayReport } from '../../daemon/offline/replay-report.js';
import { bytes, hex } from '../support/bytes.js';
import { callVerb } from '../support/call-verb.js';
import { concat, readAll } from '../support/captures.js';
import { cut4, ethernet, gre, nvgre, tcp } from '../support/frames.js';
import { CONFIGS, outer, RED_AND_BLUE } from '../support/replay-fixtures.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FIXTURES = `${ROOT}test/fixtures/replay/`;
const CONFIG = ROOT + RED_AND_BLUE;
const folder = mkdtempSync(join(tmpdir(), 'causeway-'));
t.teardown(() => rmSync(folder, { recursive: true }));
const temporary = (name: string): string => join(folder, name);

function comments(file: string): string[] {
  return readAll(readFileSync(file)).packets.map(({ name, options }) => `${name}: ${options.comments.join()}`);
}

t.test('the same capture, config and seed give the same bytes; another seed gives others', async t => {
  for (const [name, config] of Object.entries(CONFIGS)) {
    for (const kind of ['pcap', 'pcapng']) {
      const [first, second] = [temporary(`1.${kind}`), temporary(`2.${kind}`)];
      for (const file of [first, second]) t.equal((await callVerb(verb, FIXTURES + name, '-c', ROOT + config, '-w', file, '--seed', '7')).code, 0);
      t.equal(hex(readFileSync(first)), hex(readFileSync(second)), `${name} as ${kind}`);
    }
  }
  const other = temporary('3.pcap');
  await callVerb(verb, `${FIXTURES}walks.pcap`, '-c', CONFIG, '-w', other, '--seed', '8');
  await callVerb(verb, `${FIXTURES}walks.pcap`, '-c', CONFIG, '-w', temporary('1.pcap'), '--seed', '7');
  t.not(hex(readFileSync(other)), hex(readFileSync(temporary('1.pcap'))), 'NAT ports differ');
});

t.test('a comment says tenant, verdict and what was rewritten; an answer says which packet it is about', async t => {
  const out = temporary('comments.pcapng');
  await callVerb(verb, `${FIXTURES}walks.pcap`, '-c', CONFIG, '-w', out);
  const all = comments(out);
  t.equal(all.length, 19);
  t.equal(all[0], 'gateway: tenant red: ARP reply in answer to packet 1 of the input');
  t.match(all[1], /^gateway: tenant red: forwarded to uplink inet; source 10\.0\.0\.5:51000 -> 203\.0\.113\.10:\d+; TTL 64 -> 63; MSS at most 1410; packet 2 of the input$/);
  t.equal(all[3], 'gateway: tenant red: forwarded to host host-a in subnet red-web (VSID 5001); destination 203.0.113.10:80 -> 10.0.0.5:8080; TTL 64 -> 63; MSS at most 1410; packet 4 of the input');
  t.equal(all[8], 'gateway: tenant red: forwarded to uplink core with key 7001; TTL 64 -> 63; packet 9 of the input');
  t.match(all[15], /piece 2 of 3; packet 15 of the input$/);
  t.match(all[17], /packet 17 of the input$/, 'the first fragment');
  t.match(all[18], /packet 16 of the input$/, 'then the one that waited for it');
});

t.test('--all: each input with its verdict, then what came of it; the bytes of inputs as they came', async t => {
  const out = temporary('all.pcapng');
  await callVerb(verb, `${FIXTURES}drops.pcapng`, '-c', CONFIG, '-w', out, '--all');
  const inputs = readAll(readFileSync(`${FIXTURES}drops.pcapng`)).packets;
  const { packets } = readAll(readFileSync(out));
  const kept = packets.filter(({ name }) => name === 'input').sort((a, b) => Number(a.options.packetId) - Number(b.options.packetId));
  t.same(kept.map(({ data, originalLen, timeNs }) => ({ data, originalLen, timeNs })), inputs.map(({ data, originalLen, timeNs }) => ({ data, originalLen, timeNs })));
  const at = packets.findIndex(({ options }) => options.packetId === 9n);
  t.same(packets.slice(at, at + 2).map(({ name, options }) => [name, options.flags?.direction, options.packetId]), [['input', 'in', 9n], ['gateway', 'out', 9n]]);
  t.same(comments(out).slice(at, at + 2), [
    'input: tenant red: dropped, ttl_expired: TTL or hop limit reached zero here; UDP 10.0.0.5:4000 -> 198.51.100.9:33434; packet 9',
    'gateway: tenant red: ICMP time exceeded about packet 9 of the input, dropped, ttl_expired: TTL or hop limit reached zero here',
  ]);
  t.ok(comments(out).some(comment => /^input: tenant red: dropped, acl_denied: An ACL entry denies it \(no-ssh, .*red-and-blue\.jsonc:\d+\); TCP 10\.0\.0\.5:51000 -> 10\.0\.1\.7:22; packet 7$/.test(comment)));
});

t.test('--all: a fragment that waited appears once, with the verdict it got in the end', async t => {
  const from = (packet: Uint8Array): Uint8Array =>
    outer('192.0.2.11', 50001, '192.0.2.1', GRE_UDP_PORT, nvgre(5001, ethernet('02:00:00:00:00:01', '00:15:5d:00:01:05', packet)));
  const [denied, deniedLater] = cut4(tcp('10.0.0.5', 51000, '10.0.1.7', 22, TcpFlag.ack, 'x'.repeat(1000)), 800, 1);
  const [passed, passedLater] = cut4(tcp('10.0.0.5', 51000, '10.0.1.7', 80, TcpFlag.ack, 'x'.repeat(1000)), 800, 2);
  const [, orphan] = cut4(tcp('10.0.0.5', 51000, '10.0.1.7', 80, TcpFlag.ack, 'x'.repeat(1000)), 800, 3);
  const frames = [deniedLater, passedLater, orphan, denied, passed].map(from);
  writeFileSync(temporary('held.pcap'), capture(frames));
  const out = temporary('held.pcapng');
  t.equal((await callVerb(verb, temporary('held.pcap'), '-c', CONFIG, '-w', out, '--all')).code, 0);
  const { packets } = readAll(readFileSync(out));
  const inputs = packets.filter(({ name }) => name === 'input');
  t.same(inputs.map(({ options }) => options.packetId), [4n, 1n, 5n, 2n, 3n], 'each when it settled');
  for (const { data, options, timeNs } of inputs) {
    const number = Number(options.packetId);
    t.same([data, timeNs], [hex(frames[number - 1]), 1_700_000_000_000_000_000n + BigInt(number - 1)], `packet ${number} as it came`);
  }
  const [first, waited, passedFirst, firstOut, passedSecond, secondOut, last] = comments(out);
  t.match(first, /^input: tenant red: dropped, acl_denied: .*; packet 4$/);
  t.match(waited, /^input: tenant red: dropped, acl_denied: .*; packet 1$/);
  t.match(passedFirst, /^input: tenant red: forwarded to host host-b .*; packet 5$/);
  t.match(firstOut, /^gateway: tenant red: forwarded .*; packet 5 of the input$/);
  t.match(passedSecond, /^input: tenant red: forwarded to host host-b .*; packet 2$/);
  t.match(secondOut, /^gateway: tenant red: forwarded .*; packet 2 of the input$/);
  t.match(last, /^input: tenant red: dropped, fragment_orphan: .*10\.0\.0\.5 -> 10\.0\.1\.7.*; packet 3$/);
  t.equal(packets.length, 7);
});

t.test('--all keeps inputs of several link types apart, each on an interface of its own', async t => {
  const out = temporary('links.pcapng');
  await callVerb(verb, `${FIXTURES}links.pcapng`, '-c', CONFIG, '-w', out, '--all');
  const { packets } = readAll(readFileSync(out));
  const inputs = packets.filter(({ name }) => name.startsWith('input'));
  t.same(inputs.map(({ linkType }) => linkType), [1, 1, 1, 113, 276, 101, 228, 0, 108, 147]);
  t.equal(packets.length - inputs.length, 9);
});

t.test('NAT out and back: the answer to what a replay sent out finds its way in', async t => {
  const syn = outer('192.0.2.11', 50001, '192.0.2.1', GRE_UDP_PORT,
    nvgre(5001, ethernet('02:00:00:00:00:01', '00:15:5d:00:01:05', tcp('10.0.0.5', 51000, '198.51.100.9', 443, TcpFlag.syn, '', { mss: 1460 }))));
  const out = temporary('nat.pcapng');
  writeFileSync(temporary('syn.pcap'), capture([syn]));
  await callVerb(verb, temporary('syn.pcap'), '-c', CONFIG, '-w', out);
  const port = Number(/203\.0\.113\.10:(\d+)/.exec(comments(out)[0])?.[1]);
  const back = outer('192.0.2.20', 50001, '192.0.2.1', GRE_UDP_PORT, gre(tcp('198.51.100.9', 443, '203.0.113.10', port, TcpFlag.syn | TcpFlag.ack)));
  writeFileSync(temporary('both.pcap'), capture([syn, back]));
  const { out: text } = await callVerb(verb, temporary('both.pcap'), '-c', CONFIG, '-w', out, '--json');
  t.match(JSON.parse(text), { packets: { in: 2, forwarded: 2, out: 2 }, drops: {} });
  t.match(comments(out)[1], `destination 203.0.113.10:${port} -> 10.0.0.5:51000`);
});

function capture(frames: readonly Uint8Array[], times: readonly bigint[] = frames.map((_, i) => 1_700_000_000_000_000_000n + BigInt(i))): Uint8Array {
  const writer = new PcapWriter();
  return concat(writer.header(LinkType.ethernet), ...frames.map((frame, i) => writer.record(frame, 0, frame.length, times[i])));
}

t.test('time never runs backwards: output is stamped with the latest time seen', async t => {
  const { packets } = readAll(readFileSync(`${FIXTURES}offload.pcap`));
  const frame = bytes(packets[0].data);
  const second = 1_000_000_000n;
  writeFileSync(temporary('back.pcap'), capture([frame, frame, frame], [1000n * second, 400n * second, 1001n * second]));
  const { out: text } = await callVerb(verb, temporary('back.pcap'), '-c', CONFIG, '-w', temporary('back-out.pcap'), '--json');
  t.same(readAll(readFileSync(temporary('back-out.pcap'))).packets.map(({ timeNs }) => timeNs / second), [1000n, 1000n, 1001n]);
  t.match(JSON.parse(text), { first: '1970-01-01T00:16:40.000000000Z', last: '1970-01-01T00:16:41.000000000Z' });
});

t.test('a capture cut off: said with packet and byte, what comes before is replayed and written, exit 1', async t => {
  const whole = readFileSync(`${FIXTURES}walks.pcap`);
  const cut = temporary('cut.pcap'), out = temporary('cut-out.pcap');
  writeFileSync(cut, whole.subarray(0, whole.length - 10));
  const { code, out: text, err } = await callVerb(verb, cut, '-c', CONFIG, '-w', out, '--json');
  const report = JSON.parse(text) as ReplayReport;
  t.equal(code, 1);
  t.match(err, /cut\.pcap: packet 17, byte \d+: truncated: .*; the 16 before it were replayed\n$/);
  t.match(report, { packets: { in: 16, held: 0 }, drops: { fragment_orphan: 1 }, faults: [{ packet: 17, reason: 'truncated' }] });
  t.equal(readAll(readFileSync(out)).packets.length, report.packets.out);
});

t.test('what is no capture: said so, exit 1', async t => {
  writeFileSync(temporary('text.pcap'), 'not a capture');
  const { code, err } = await callVerb(verb, temporary('text.pcap'), '-c', CONFIG);
  t.equal(code, 1);
  t.match(err, /packet 1, byte 0: not_a_capture: file starts with 6e6f7420/);
});

const refusals = [
  ['a capture that is not there', ['/nowhere/in.pcap', '-c', CONFIG], 1, /cannot read \/nowhere\/in\.pcap: there is no such file/],
  ['a capture that is a folder', [ROOT, '-c', CONFIG], 1, /it is a directory/],
  ['a config that is not there', [`${FIXTURES}walks.pcap`, '-c', '/nowhere/c.jsonc'], 1, /cannot read \/nowhere\/c\.jsonc: there is no such file/],
  ['an output that cannot be written', [`${FIXTURES}walks.pcap`, '-c', CONFIG, '-w', '/nowhere/out.pcap'], 1, /cannot write \/nowhere\/out\.pcap: there is no such file or folder/],
  ['no config', [`${FIXTURES}walks.pcap`], 2, /-c/],
  ['no capture', ['-c', CONFIG], 2, /which capture/],
  ['two captures', ['a.pcap', 'b.pcap', '-c', CONFIG], 2, /b\.pcap/],
  ['an unknown flag', ['a.pcap', '-c', CONFIG, '--sede', '1'], 2, /did you mean --seed/],
  ['a seed that is no number', ['a.pcap', '-c', CONFIG, '--seed', 'x'], 2, /whole number from 0 to 4294967295/],
  ['an output of another kind', ['a.pcap', '-c', CONFIG, '-w', 'out.txt'], 2, /\.pcap or \.pcapng/],
  ['--all into a pcap', ['a.pcap', '-c', CONFIG, '-w', 'out.pcap', '--all'], 2, /pcapng/],
  ['--all without an output', ['a.pcap', '-c', CONFIG, '--all'], 2, /-w/],
] as const;
for (const [name, args, wanted, why] of refusals) {
  t.test(`refused: ${name}, exit ${wanted}`, async t => {
    const { code, out, err } = await callVerb(verb, ...args);
    t.equal(code, wanted);
    t.match(err, why);
    t.equal(out, '');
  });
}

t.test('an invalid config: all its problems, exit 3', async t => {
  writeFileSync(temporary('bad.jsonc'), '{ "gateway": { "listen": "192.0.2.300" }, "hosts": [{ "name": "a" }] }');
  const { code, err } = await callVerb(verb, `${FIXTURES}walks.pcap`, '-c', temporary('bad.jsonc'));
  t.equal(code, 3);
  t.match(err, /bad\.jsonc:1:\d+: gateway\.listen.*\n(.*\n)*.*bad\.jsonc: 3 problems\n/);
});

t.test('the output takes its name only when it is whole: what was there before stays until then', async t => {
  const out = temporary('whole.pcap');
  writeFileSync(out, 'before');
  symlinkSync(out, temporary('link.pcap'));
  t.equal((await callVerb(verb, '/nowhere/in.pcap', '-c', CONFIG, '-w', out)).code, 1);
  t.equal(readFileSync(out, 'utf8'), 'before');
  t.equal((await callVerb(verb, `${FIXTURES}offload.pcap`, '-c', CONFIG, '-w', temporary('link.pcap'))).code, 0);
  t.equal(readAll(readFileSync(out)).packets.length, 2, 'a link is followed, not replaced');
  t.same(readdirSync(folder).filter(name => name.endsWith('.part')), []);
});

t.test('-w onto the capture itself is refused, by whatever name, and the capture stays as it was', async t => {
  const file = temporary('same.pcap');
  const before = readFileSync(`${FIXTURES}offload.pcap`);
  writeFileSync(file, before);
  symlinkSync(file, temporary('same-link.pcapng'));
  linkSync(file, temporary('same-hard.pcap'));
  for (const [input, output] of [[file, file], [file, temporary('same-link.pcapng')], [temporary('same-link.pcapng'), file], [file, temporary('same-hard.pcap')]]) {
    const { code, out, err } = await callVerb(verb, input, '-c', CONFIG, '-w', output);
    t.equal(code, 2);
    t.match(err, `-w ${output} is the capture itself`);
    t.equal(out, '');
    t.equal(hex(readFileSync(file)), hex(before));
  }
});

t.test('-w: capitals in the extension mean the same', async t => {
  for (const [name, first] of [['capitals.PCAP', 'd4c3b2a1|4d3cb2a1'], ['capitals.PcapNG', '0a0d0d0a']]) {
    t.equal((await callVerb(verb, `${FIXTURES}offload.pcap`, '-c', CONFIG, '-w', temporary(name))).code, 0);
    t.match(hex(readFileSync(temporary(name)).subarray(0, 4)), new RegExp(`^(${first})$`), name);
  }
  t.equal((await callVerb(verb, `${FIXTURES}offload.pcap`, '-c', CONFIG, '-w', temporary('all.PCAP'), '--all')).code, 2);
});

t.test('a device is written to, not replaced', async t => {
  if (!existsSync('/dev/full')) {
    t.pass('there is no /dev/full here');
    return;
  }
  symlinkSync('/dev/full', temporary('full.pcap'));
  const { code, err } = await callVerb(verb, `${FIXTURES}walks.pcap`, '-c', CONFIG, '-w', temporary('full.pcap'));
  t.equal(code, 1);
  t.match(err, /cannot write .*full\.pcap: the disk is full/);
  t.ok(statSync('/dev/full').isCharacterDevice());
});

t.test('-w - writes pcapng to standard output and the summary to standard error', async t => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...process.execArgv, `${ROOT}daemon/main.ts`, 'replay', '-', '-c', CONFIG, '-w', '-'], { input: readFileSync(`${FIXTURES}walks.pcap`) });
  t.equal(status, 0);
  t.equal(readAll(stdout).packets.length, 19);
  t.match(stderr.toString(), /^stdin: 17 packets/);
  t.match(stderr.toString(), /ledger balances\n$/);
});
