/** What replay writes, read by an independent dissector with all checksum validation on. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { verb } from '../../daemon/verbs/replay.js';
import { callVerb } from '../support/call-verb.js';
import { publicCaptures } from '../support/captures.js';
import { withVni } from '../support/changed-captures.js';
import { CONFIGS } from '../support/replay-fixtures.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FIXTURES = `${ROOT}test/fixtures/`;
const FOREIGN = `${FIXTURES}foreign.jsonc`;
const folder = mkdtempSync(join(tmpdir(), 'causeway-'));
t.teardown(() => rmSync(folder, { recursive: true }));

const hasTshark = spawnSync('tshark', ['--version']).status === 0;
const NOT_HERE = 'tshark is not installed: its verdict is not asked';
const STRICT = ['-d', 'udp.port==4754,gre', '-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE', '-o', 'tcp.check_checksum:TRUE'];
const BAD = ['_ws.malformed', ...['ip', 'udp', 'tcp', 'icmp', 'icmpv6', 'gre'].map(layer => `${layer}.checksum.status==0`)].join(' or ');

function tshark(file: string, ...args: string[]): string[] {
  const { status, stdout, stderr } = spawnSync('tshark', ['-r', file, ...STRICT, ...args], { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`tshark: ${stderr}`);
  return stdout.split('\n').filter(line => line !== '');
}

let runs = 0;
/** Replay, and say where the output is. */
async function output(capture: string, config: string, kind: 'pcap' | 'pcapng' = 'pcapng'): Promise<{ file: string; out: number }> {
  const file = join(folder, `${runs++}.${kind}`);
  const { out } = await callVerb(verb, capture, '-c', config, '-w', file, '--json');
  return { file, out: (JSON.parse(out) as { packets: { out: number } }).packets.out };
}

const OWN: readonly (readonly [name: string, config: string])[] = [
  ...Object.entries(CONFIGS).map(([name, config]) => [`replay/${name}`, ROOT + config] as const),
  ['recorded/linux-6.1-fou.pcap', `${FIXTURES}linux-fou.jsonc`],
  ['recorded/linux-vxlan-nat.pcap', `${FIXTURES}recorded/linux-vxlan-nat.jsonc`],
];
for (const [name, config] of OWN) {
  t.test(`${name}: what the gateway sends is clean under tshark, as pcap and as pcapng`, async t => {
    if (!hasTshark) {
      t.pass(NOT_HERE);
      return;
    }
    for (const kind of ['pcap', 'pcapng'] as const) {
      const { file, out } = await output(FIXTURES + name, config, kind);
      t.equal(tshark(file).length, out, `${out} packets in ${kind}`);
      t.same(tshark(file, '-Y', BAD), [], 'none malformed, none with a bad checksum');
    }
  });
}

/**
 * One packet each that tshark finds fault with. A gateway must not vouch for what was broken before it; and an ICMP
 * error quotes 548 bytes of a large packet (RFC 1812 §4.3.2.3), over which tshark sums as if they were all.
 */
const EXCUSED: Readonly<Record<string, string>> = {
  'packetnet-gre_ipv6.pcap': 'the inner UDP checksum came wrong',
  'bad-tcp.pcap': 'the inner TCP checksum came wrong, and went through NAT',
  'tcpdump-gso-ipv4-vxlan-ipv4.pcap': 'the quoted TCP segment is cut short',
  'http.pcap': 'the quoted TCP segment is cut short',
};

t.test('public captures: clean under tshark, but for what came wrong and what is cut short', async t => {
  const captures = publicCaptures();
  if (!hasTshark) {
    t.pass(NOT_HERE);
    return;
  }
  if (captures.length === 0) {
    t.pass('there are no public captures beside this project');
    return;
  }
  const changed = (name: string, was: number, is: number, as: string): string => {
    const copy = join(folder, as);
    writeFileSync(copy, withVni(readFileSync(captures.find(path => path.includes(name)) ?? ''), was, is));
    return copy;
  };
  const all = [...captures, changed('zeek-vxlan-encapsulated-http', 1, 4097, 'http.pcap'), changed('zeek-vxlan-inner-tcp-bad-checksum', 42, 4138, 'bad-tcp.pcap')];
  for (const capture of all) {
    const { file, out } = await output(capture, FOREIGN);
    if (out === 0) continue;
    const name = basename(capture);
    const bad = tshark(file, '-Y', BAD);
    t.equal(bad.length, name in EXCUSED ? 1 : 0, `${name}: ${out} sent${name in EXCUSED ? `; ${EXCUSED[name]}` : ''}`);
  }
});

const NAT = '203.0.113.10', SERVER = '198.51.100.9', CLIENT = '198.51.100.77';
/** Tunnel, then outer and inner addresses of what walks.pcap makes the gateway send; VSIDs are keys shifted by FlowID's byte. */
const WALKS = [
  ['nvgre 5001', '192.0.2.11', 'arp 10.0.0.1 10.0.0.5'],
  ['gre', '192.0.2.20', `${NAT} ${SERVER}`],
  ['gre', '192.0.2.20', `203.0.113.20 ${SERVER}`],
  ['nvgre 5001', '192.0.2.11', `${CLIENT} 10.0.0.5`],
  ['gre', '192.0.2.20', `${NAT} ${CLIENT}`],
  ['vxlan 5002', '192.0.2.12', '10.0.0.5 10.0.1.7'],
  ['nvgre 5001', '192.0.2.11', '10.0.1.7 10.0.0.5'],
  ['nvgre 5001', '192.0.2.11', '10.0.0.6 10.0.0.5'],
  ['gre 7001', '192.0.2.21', '10.0.0.5 172.16.9.9'],
  ['nvgre 5001', '192.0.2.11', '172.16.9.9 10.0.0.5'],
  ['nvgre 6001', '192.0.2.11', '172.16.9.9 10.0.0.5'],
  ['gre 9001', '198.51.100.31', '10.0.0.5 192.168.50.7'],
  ['nvgre 5001', '192.0.2.11', '192.168.50.7 10.0.0.5'],
  ['nvgre 5001', '192.0.2.11', '10.0.0.1 10.0.0.5'],
  ...Array.from({ length: 5 }, () => ['gre', '192.0.2.20', `${NAT} ${SERVER}`]), // three pieces, two fragments
];

t.test('tshark finds the right VSID or VNI and the right addresses, outside and inside, on every walk', async t => {
  if (!hasTshark) {
    t.pass(NOT_HERE);
    return;
  }
  const { file } = await output(`${FIXTURES}replay/walks.pcap`, ROOT + CONFIGS['walks.pcap']);
  const fields = ['gre.key', 'gre.proto', 'vxlan.vni', 'ip.src', 'ip.dst', 'arp.src.proto_ipv4', 'arp.dst.proto_ipv4'];
  const seen = tshark(file, '-o', 'ip.defragment:FALSE', '-T', 'fields', ...fields.flatMap(field => ['-e', field])).map(line => {
    const [key = '', proto, vni = '', src = '', dst = '', arpFrom = '', arpTo = ''] = line.split('\t');
    const tunnel = vni !== '' ? `vxlan ${vni}` : proto === '0x6558' ? `nvgre ${Number(key) >>> 8}` : key === '' ? 'gre' : `gre ${Number(key)}`;
    const [outerSrc, innerSrc] = src.split(','), [outerDst, innerDst] = dst.split(',');
    t.equal(outerSrc, '192.0.2.1');
    return [tunnel, outerDst, arpFrom !== '' ? `arp ${arpFrom} ${arpTo}` : `${innerSrc} ${innerDst}`];
  });
  t.same(seen, WALKS);
});

t.test('tshark reads the comments, directions and packet ids of the pcapng', async t => {
  if (!hasTshark) {
    t.pass(NOT_HERE);
    return;
  }
  const { file } = await output(`${FIXTURES}replay/native-gre.pcap`, ROOT + CONFIGS['native-gre.pcap']);
  const lines = tshark(file, '-T', 'fields', '-e', 'frame.interface_name', '-e', 'frame.packet_flags_direction', '-e', 'frame.packet_id', '-e', 'frame.comment');
  t.equal(lines.length, 3);
  t.match(lines[0], /^gateway\t0x00000002\t(0x0*)?1\ttenant red: ARP reply in answer to packet 1 of the input$/);
});
