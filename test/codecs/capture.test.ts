import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { CaptureReader, CaptureRecord, MAX_CAPTURED_LEN, MAX_WARNINGS, readOptions, timeMs } from '../../codecs/capture.js';
import { PcapWriter } from '../../codecs/pcap.js';
import { bytes, hex } from '../support/bytes.js';
import { annotated, ARP, captureFixtures, concat, installed, mixed, publicCaptures, random32, readAll, T0 } from '../support/captures.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/', import.meta.url));
const RECORDED = `${FIXTURES}recorded/linux-6.1-fou.pcap`;
const fixtures = captureFixtures();

t.test('test/fixtures/captures holds what its script makes, no more and no less', async t => {
  const folder = `${FIXTURES}captures/`;
  if (process.env.CAUSEWAY_WRITE_FIXTURES === '1') {
    mkdirSync(folder, { recursive: true });
    for (const [name, file] of Object.entries(fixtures)) writeFileSync(folder + name, file);
  }
  t.same(readdirSync(folder).sort(), Object.keys(fixtures).sort());
  for (const [name, file] of Object.entries(fixtures)) t.equal(hex(readFileSync(folder + name)), hex(file), name);
});

/** Where a file may be cut without harm: after its header and after every record, or after every block. */
function boundaries(file: Uint8Array): number[] {
  const pcap = file[0] !== 0x0a;
  const view = new DataView(file.buffer, file.byteOffset);
  let little = file[0] === 0xd4 || file[0] === 0x4d;
  const cuts: number[] = pcap ? [24] : [];
  for (let at = pcap ? 24 : 0; at < file.length; cuts.push(at)) {
    if (!pcap && view.getUint32(at) === 0x0a0d0d0a) little = view.getUint32(at + 8, true) === 0x1a2b3c4d;
    at += pcap ? 16 + view.getUint32(at + 8, little) : view.getUint32(at + 4, little);
  }
  return cuts;
}

for (const [name, file] of Object.entries(fixtures)) {
  t.test(`${name}, cut after any byte: all whole packets, then 'truncated', or the end where the cut does not show`, async t => {
    const whole = readAll(file);
    t.equal(whole.status, 'end');
    const clean = boundaries(file);
    const wrong: string[] = [];
    for (let cut = 0; cut < file.length; cut++) {
      const { packets, status, fault } = readAll(file.slice(0, cut));
      const starts = [0, ...clean].filter(at => at <= cut);
      const said = status === 'end' ? 'end' : `${fault?.reason} ${fault?.packet} at ${fault?.offset}`;
      const want = clean.includes(cut) ? 'end' : `truncated ${packets.length + 1} at ${starts[starts.length - 1]}`;
      if (said !== want) wrong.push(`cut at ${cut}: ${said}, not ${want}`);
      const ends = packetEnds(file, whole.packets.map(packet => packet.data), clean).filter(end => end <= cut).length;
      if (packets.length !== ends) wrong.push(`cut at ${cut}: ${packets.length} packets, not ${ends}`);
    }
    t.same(wrong, []);
  });

  t.test(`${name} reads the same in chunks of 1, 7 and 4096 bytes as whole`, async t => {
    const whole = readAll(file);
    for (const chunkLen of [1, 7, 4096]) t.same(readAll(file, chunkLen), whole, `chunks of ${chunkLen}`);
  });
}

/** The ends of those blocks or records that hold the packets, found by searching for their bytes in order. */
function packetEnds(file: Uint8Array, packets: readonly string[], clean: readonly number[]): number[] {
  const buffer = Buffer.from(file);
  let from = 0;
  return packets.map(data => {
    const at = buffer.indexOf(Buffer.from(data, 'hex'), from);
    from = at + 1;
    return clean.find(end => end >= at + data.length / 2) ?? Infinity;
  });
}

const strangers = [
  ['nothing at all', '', 'truncated', 'a capture takes 4 bytes, 0 remain in the file'],
  ['half a magic', 'a1b2', 'truncated', 'a pcap header takes 24 bytes, 2 remain in the file'],
  ['a letter', '41', 'not_a_capture', /starts with 41, neither pcap nor pcapng/],
  ['text', '68656c6c6f20776f726c64', 'not_a_capture', /starts with 68656c6c,/],
  ['a compressed file', '1f8b0800000000000003', 'not_a_capture', /compressed with gzip/],
  ['the magic of a patched libpcap', 'a1b2cd34', 'not_a_capture', /starts with a1b2cd34/],
  ['a pcapng magic with nothing right behind it', '0a0d0d0a 1c000000 00000000', 'bad_block', /byte-order magic/],
] as const;
for (const [name, file, reason, what] of strangers) {
  t.test(`${name} is ${reason}, said in plain words`, async t => {
    t.match(readAll(bytes(file)).fault, { packet: 1, offset: 0, reason, what });
    t.same(readAll(bytes(file), 1).fault, readAll(bytes(file)).fault);
  });
}

t.test('a cut record says how much it wanted and how much there was', async t => {
  const file = concat(new PcapWriter().header(1), new PcapWriter().record(ARP, 0, 42, T0), new PcapWriter().record(ARP, 0, 42, T0));
  t.same(readAll(file.slice(0, -10)).fault,
    { packet: 2, offset: 82, reason: 'truncated', what: 'a record of 42 captured bytes takes 58 bytes, 48 remain in the file' });
});

t.test('the end and a fault are final, whatever is pushed after', async t => {
  const record = new CaptureRecord();
  const file = new PcapWriter().header(1);
  const ended = new CaptureReader();
  ended.push(file);
  t.equal(ended.next(record), 'more');
  ended.end();
  t.equal(ended.next(record), 'end');
  ended.push(new PcapWriter().record(ARP, 0, 42, T0));
  t.equal(ended.next(record), 'end');
  t.equal(ended.fault, null);

  const failed = new CaptureReader();
  failed.push(bytes('00000000'));
  t.equal(failed.next(record), 'fault');
  const { fault } = failed;
  failed.push(file);
  t.equal(failed.next(record), 'fault');
  t.equal(failed.fault, fault);
});

t.test('the format shows as soon as it is known', async t => {
  const record = new CaptureRecord();
  for (const [file, format] of [[mixed(), 'pcapng'], [fixtures['three-be-ns.pcap'], 'pcap']] as const) {
    const reader = new CaptureReader();
    t.equal(reader.format, '');
    reader.push(file);
    reader.next(record);
    t.equal(reader.format, format);
  }
});

t.test('records of a file given whole lie in that file: nothing is copied', async t => {
  const file = fixtures['three-le-ns.pcap'];
  const reader = new CaptureReader();
  const record = new CaptureRecord();
  reader.push(file);
  for (let i = 0; i < 3; i++) {
    t.equal(reader.next(record), 'record');
    t.equal(record.mem, file);
  }
});

t.test('a stream of a hundred megabytes is never held, however it is chunked', async t => {
  const writer = new PcapWriter();
  const data = new Uint8Array(1400).fill(0x5a);
  const run = concat(...Array.from({ length: 97 }, (_, i) => writer.record(data, 0, 1400 - i, T0)));
  const reader = new CaptureReader();
  const record = new CaptureRecord();
  reader.push(writer.header(1));
  let packets = 0;
  let most = 0;
  let given = 0;
  for (; given < 100 << 20; given += run.length) {
    for (let at = 0; at < run.length; at += 65_536) {
      reader.push(run.subarray(at, at + 65_536));
      while (reader.next(record) === 'record') {
        packets++;
        most = Math.max(most, record.mem.length);
      }
    }
  }
  t.equal(packets, (given / run.length) * 97);
  t.ok(most <= 4 * 65_536 || most === run.length, `${most} bytes at most`);
});

t.test('a file that is odd throughout does not fill memory with warnings', async t => {
  const odd = new PcapWriter().record(ARP, 0, 42, T0, 1);
  const { packets, warnings } = readAll(concat(new PcapWriter().header(1), ...Array.from({ length: 500 }, () => odd)));
  t.equal(packets.length, 500);
  t.equal(warnings.length, MAX_WARNINGS);
});

t.test('mutated files never throw, lead outside themselves or depend on how they are chunked', async t => {
  const seed = Number(process.env.SEED ?? 20_240_517);
  t.comment(`seed ${seed}`);
  const random = random32(seed);
  const originals = [...Object.values(fixtures), annotated(true), mixed()];
  const record = new CaptureRecord();
  const wrong: string[] = [];
  const fates = new Map<string, number>();
  for (let round = 0; round < 6000; round++) {
    const file = mutate(originals[random() % originals.length], random);
    // Between other bytes, so that a read outside would find something there.
    const room = concat(new Uint8Array(64).fill(random()), file, new Uint8Array(64).fill(random()));
    const reader = new CaptureReader();
    reader.push(room.subarray(64, 64 + file.length));
    reader.end();
    let status = reader.next(record);
    for (; status === 'record'; status = reader.next(record)) {
      const { at, end, mem, originalLen } = record;
      const inside = at <= end && end <= mem.length && mem.length === file.length && end - at <= MAX_CAPTURED_LEN && originalLen >= end - at;
      if (!inside || typeof record.timeNs !== 'bigint' || Number.isNaN(timeMs(record)) || readOptions(record).comments === undefined) {
        wrong.push(`round ${round}: packet ${record.number}`);
      }
    }
    if (status === 'more') wrong.push(`round ${round}: more, after the end`);
    const fate = reader.fault?.reason ?? status;
    fates.set(fate, (fates.get(fate) ?? 0) + 1);

    const whole = readAll(file);
    const chunked = readAll(file, 1 + (random() % 50));
    if (JSON.stringify(whole, plain) !== JSON.stringify(chunked, plain)) wrong.push(`round ${round}: chunks differ`);
    if (whole.fault?.what !== reader.fault?.what) wrong.push(`round ${round}: neighbours were read`);
  }
  t.same(wrong, []);
  for (const fate of ['end', 'truncated', 'not_a_capture', 'bad_block', 'bad_length', 'bad_interface']) t.ok(fates.has(fate), `${fate}: ${fates.get(fate)} times`);
});

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value;
}

/** Change up to four bytes, and sometimes cut, repeat or drop a piece. */
function mutate(file: Uint8Array, random: () => number): Uint8Array {
  let out: Uint8Array = file.slice();
  for (let i = random() % 5; i > 0; i--) out[random() % out.length] = [0, 1, 0x7f, 0xff, random()][random() % 5];
  const from = random() % out.length;
  const to = from + (random() % (out.length - from));
  switch (random() % 6) {
    case 0: out = out.slice(0, to); break;
    case 1: out = concat(out.subarray(0, from), out.subarray(to)); break;
    case 2: out = concat(out.subarray(0, to), out.subarray(from)); break;
  }
  return out;
}

/** Time, lengths, section and interface of each packet: what we and tshark must agree on. */
function tshark(path: string): string[] {
  const fields = ['frame.time_epoch', 'frame.len', 'frame.cap_len', 'frame.section_number', 'frame.interface_id'];
  const { stdout } = spawnSync('tshark', ['-n', '-r', path, '-T', 'fields', ...fields.flatMap(field => ['-e', field])],
    { encoding: 'utf8', maxBuffer: 1 << 26 });
  // It lists custom blocks as frames, though not as packets: they have neither time nor interface.
  return stdout.split('\n').filter(line => line !== '' && !/^\t.*\t$/.test(line));
}

function ours(path: string): string[] {
  const file = readFileSync(path);
  const pcapng = file[0] === 0x0a;
  return readAll(file).packets.map(({ section, interfaceId, timeNs, originalLen, data }) => {
    const time = timeNs < 0n ? '' : `${timeNs / 1_000_000_000n}.${String(timeNs % 1_000_000_000n).padStart(9, '0')}`;
    return [time, originalLen, data.length / 2, pcapng ? section : '', pcapng ? interfaceId : ''].join('\t');
  });
}

t.test('Wireshark reads the same times, lengths, sections and interfaces from our fixtures and from public files of odd formats', async t => {
  if (!installed('tshark')) {
    t.pass('tshark is not installed here: not compared');
    return;
  }
  const made = [...Object.keys(fixtures).map(name => `${FIXTURES}captures/${name}`), RECORDED];
  const others = publicCaptures().filter(path => path.includes('file-formats') && !path.includes('invalid_nano')); // tshark prints 1.1000000000 there
  if (others.length === 0) t.comment('no public captures here: only our own are compared');
  for (const path of [...made, ...others]) t.same(ours(path), tshark(path), basename(path));
});

t.test('every public capture is read to its end, and capinfos counts as many packets in it', async t => {
  const paths = publicCaptures();
  if (paths.length === 0) {
    t.pass('no public captures here: nothing read');
    return;
  }
  const counts = new Map(paths.map(path => [path, readAll(readFileSync(path))] as const));
  for (const [path, { status, fault }] of counts) {
    if (basename(path) === 'gopacket-le-test901.pcapng') t.match(fault, { reason: 'bad_block', what: /version 2.0/ }, 'one has a section of a version that is not there yet');
    else t.equal(status, 'end', basename(path));
  }
  if (!installed('capinfos')) {
    t.comment('capinfos is not installed here: counts are not compared');
    return;
  }
  const { stdout } = spawnSync('capinfos', ['-TMmc', '-r', ...paths], { encoding: 'utf8' });
  const theirs = stdout.trim().split('\n').map(line => line.replaceAll('"', ''));
  // It prints no line for a file that it gave up, and gives up where we do.
  t.same(theirs, [...counts].filter(([, { fault }]) => fault === null).map(([path, { packets }]) => `${path},${packets.length}`));
});

t.test('our recording of Linux FOU has the 173 packets that were recorded', async t => {
  const { packets, status, warnings } = readAll(readFileSync(RECORDED), 4096);
  t.equal(status, 'end');
  t.same(warnings, []);
  t.equal(packets.length, 173);
  t.ok(packets.every(({ linkType, data, originalLen }) => linkType === 1 && data.length / 2 === originalLen));
});

t.test('every test that the README names for capture files is there', async t => {
  const readme = readFileSync(new URL('../../codecs/README.md', import.meta.url), 'utf8');
  const named = [...readme.slice(readme.indexOf('## Capture files')).matchAll(/`(pcap|pcapng|capture|link): ([^`]+)`/g)];
  t.ok(named.length > 30, `${named.length} names`);
  for (const [, file, name] of named) t.ok(readFileSync(new URL(`${file}.test.ts`, import.meta.url), 'utf8').includes(name), `${file}: ${name}`);
});
