import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { EtherType } from '../../codecs/ethernet.js';
import { LinkView, parseLink } from '../../codecs/link.js';
import { bytes } from '../support/bytes.js';
import { installed, publicCaptures, readAll } from '../support/captures.js';
import { dissectIp } from './dissect.js';

const LINUX = fileURLToPath(new URL('../fixtures/recorded/linux-6.1-fou.pcap', import.meta.url));

/** Each packet's layers, '' for one that is not IP. */
function layersOf(path: string): string[] {
  const link = new LinkView();
  return readAll(readFileSync(path)).packets.map(packet => {
    const mem = bytes(packet.data);
    const fault = parseLink(mem, 0, mem.length, packet.linkType, link);
    const isIp = link.etherType === EtherType.ipv4 || link.etherType === EtherType.ipv6;
    return fault === 0 && isIp && link.networkAt < mem.length ? dissectIp(mem, link.networkAt, mem.length) : '';
  });
}

t.test('what Linux 6.1 sends through FOU is read to the last layer, every checksum right', async t => {
  const counts: Record<string, number> = {};
  for (const layers of layersOf(LINUX)) counts[layers] = (counts[layers] ?? 0) + 1;
  t.same(counts, {
    // NVGRE with UDP checksums, without (VSID 5002), and behind the Destination Options of ip6gretap
    'ipv4 udp nvgre:5001 ethernet arp': 2,
    'ipv4 udp nvgre:5001 ethernet ipv4 icmp': 8,
    'ipv4 udp nvgre:5001 ethernet ipv4 fragment': 4,
    'ipv4 udp nvgre:5001 ethernet ipv4 tcp': 29,
    'ipv4 udp nvgre:5001 ethernet ipv6 icmpv6': 15,
    'ipv4 udp nvgre:5002 ethernet arp': 2,
    'ipv4 udp nvgre:5002 ethernet ipv4 icmp': 4,
    'ipv4 udp nvgre:5002 ethernet ipv6 icmpv6': 7,
    'ipv6 udp nvgre:5001 ethernet arp': 2,
    'ipv6 udp nvgre:5001 ethernet ipv4 icmp': 4,
    'ipv6 udp nvgre:5001 ethernet ipv6 icmpv6': 7,
    // plain GRE, and with key, checksum and sequence number
    'ipv4 udp gre ipv4 icmp': 4,
    'ipv4 udp gre ipv4 tcp': 29,
    'ipv4 udp gre ipv6 icmpv6': 2,
    'ipv4 udp gre:9001 ipv4 icmp': 4,
    'ipv4 udp gre:9001 ipv6 icmpv6': 3,
    // what the far side does not know, and its errors
    'ipv4 udp nvgre:5003 ethernet arp': 2,
    'ipv4 udp nvgre:5003 ethernet ipv6 icmpv6': 5,
    'ipv4 icmp': 9,
    'ipv6 icmpv6': 31, // the underlay's own Neighbor Discovery
  });
});

const PROTOCOLS = ['ip', 'udp', 'tcp', 'icmp', 'icmpv6'] as const;

/** For each packet, the checksum verdicts of another dissector: 0 wrong, 1 right, 2 cannot say, 3 none; outermost first. */
function secondOpinion(path: string): Record<(typeof PROTOCOLS)[number], string[]>[] {
  const settings = ['ip.check_checksum:TRUE', 'udp.check_checksum:TRUE', 'tcp.check_checksum:TRUE', 'ip.defragment:FALSE', 'ipv6.defragment:FALSE', 'tcp.desegment_tcp_streams:FALSE'];
  const { stdout } = spawnSync('tshark', [
    '-n', '-r', path, '-T', 'fields', ...settings.flatMap(setting => ['-o', setting]), ...PROTOCOLS.flatMap(name => ['-e', `${name}.checksum.status`]),
  ], { encoding: 'utf8', maxBuffer: 1 << 28 });
  return stdout.split('\n').slice(0, -1).map(line => {
    const [ip, udp, tcp, icmp, icmpv6] = line.split('\t').map(field => field.split(',').filter(status => status !== ''));
    return { ip, udp, tcp, icmp, icmpv6 };
  });
}

/** What our last word on a packet says of the other's verdicts, or '' when they agree. */
function disagreement(ours: string, theirs: ReturnType<typeof secondOpinion>[number]): string {
  const words = ours.split(' ');
  const last = words.at(-1) ?? '';
  if (last === 'ipv4_checksum' && words.length === 1 && theirs.ip[0] !== '0') return 'we alone find the IPv4 checksum wrong';
  if (words[0] === 'ipv4' && theirs.ip[0] !== '1') return 'we alone find the IPv4 header right';
  if (last === 'icmp_checksum' && theirs.icmp[0] !== '0') return 'we alone find the ICMP checksum wrong';
  if (last === 'icmpv6_checksum' && theirs.icmpv6[0] !== '0') return 'we alone find the ICMPv6 checksum wrong';
  if (last === 'icmp' && theirs.icmp[0] === '0') return 'we alone find the ICMP checksum right';
  if (last === 'icmpv6' && theirs.icmpv6[0] === '0') return 'we alone find the ICMPv6 checksum right';
  for (const name of ['udp', 'tcp'] as const) {
    if (last === 'bad-sum' && words.at(-2) === name && !theirs[name].includes('0')) return `we alone find the ${name} checksum wrong`;
    if (last === name && theirs[name].length > 0 && theirs[name][words.filter(word => word === name).length - 1] === '0') return `we alone find the ${name} checksum right`;
  }
  return '';
}

// Captures that test file formats hold packets that were never on a wire.
const captures = [LINUX, ...publicCaptures().filter(path => !path.includes('file-formats'))];

t.test('on captures from public test suites, another dissector finds the same checksums right and wrong', async t => {
  if (!installed('tshark')) {
    t.pass('tshark is not installed: nothing was compared');
    return;
  }
  if (captures.length === 1) t.comment('the public captures are not here: our own recording alone was compared');
  for (const path of captures) {
    const theirs = secondOpinion(path);
    const ours = layersOf(path);
    t.equal(theirs.length, ours.length, `${basename(path)}: as many packets`);
    const wrong = ours.map((layers, i) => [i + 1, layers, disagreement(layers, theirs[i])]).filter(([, , said]) => said !== '');
    t.same(wrong.slice(0, 5), [], basename(path));
  }
});
