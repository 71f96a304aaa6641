import t from 'tap';
import { checkArp } from '../../codecs/arp.js';
import { checkEthernet, EthernetView, parseEthernet } from '../../codecs/ethernet.js';
import { Fault } from '../../codecs/faults.js';
import { GreView, parseGre } from '../../codecs/gre.js';
import { checkIcmp, checkIcmpLen } from '../../codecs/icmp.js';
import { checkIcmpv6, checkIcmpv6Len, checkNd } from '../../codecs/icmpv6.js';
import { checkIpv4, checkQuotedIpv4, recomputeIpv4Checksum } from '../../codecs/ipv4.js';
import { Ipv6View, parseIpv6, parseQuotedIpv6 } from '../../codecs/ipv6.js';
import { checkNvgre } from '../../codecs/nvgre.js';
import { checkTcp } from '../../codecs/tcp.js';
import { checkUdp, checkUdpFragment } from '../../codecs/udp.js';
import { checkVxlan } from '../../codecs/vxlan.js';
import { bytes } from '../support/bytes.js';
import { vector } from './vectors.js';

const ipv4Options = bytes('4800 0020 00000000 40110000 0a000005 c6336407 9404 0000 01010101 00000000');
recomputeIpv4Checksum(ipv4Options, 0);
const ipv4Plain = bytes('45000014 00000000 40110000 0a000005 0a000006');
recomputeIpv4Checksum(ipv4Plain, 0);
const ipv6 = bytes(`60000000 0010 3c 40 ${'20'.repeat(32)} 3a00010400000000 8000000000000000`);
const [ethernetView, greView, ipv6View] = [new EthernetView(), new GreView(), new Ipv6View()];

type Check = (mem: Uint8Array, at: number, end: number) => number;

// A header, where it ends, what checks it, what every shorter cut is called.
const headers: readonly (readonly [string, Uint8Array, number, Check, number])[] = [
  ['Ethernet, inner', vector('arp-request'), 14, checkEthernet, Fault.ethernet_truncated],
  ['Ethernet, outer', vector('arp-request'), 14, (m, a, e) => parseEthernet(m, a, e, ethernetView), Fault.ethernet_truncated],
  ['Ethernet with two tags', bytes('00155d000002 00155d000001 88a8 0064 8100 000a 0800'), 22, (m, a, e) => parseEthernet(m, a, e, ethernetView), Fault.ethernet_truncated],
  ['ARP', vector('arp-request').slice(14), 28, checkArp, Fault.arp_truncated],
  ['IPv4', ipv4Plain, 20, checkIpv4, Fault.ipv4_truncated],
  ['IPv4 with options', ipv4Options, 32, checkIpv4, Fault.ipv4_truncated],
  ['IPv4, quoted', ipv4Options, 32, checkQuotedIpv4, Fault.ipv4_truncated],
  ['IPv6, fixed header', bytes(`60000000 0000 3b 40 ${'20'.repeat(32)}`), 40, (m, a, e) => parseIpv6(m, a, e, ipv6View), Fault.ipv6_truncated],
  ['IPv6, quoted', bytes(`60000000 ffff 3b 40 ${'20'.repeat(32)}`), 40, (m, a, e) => parseQuotedIpv6(m, a, e, ipv6View), Fault.ipv6_truncated],
  ['UDP', vector('nat-udp-inside').slice(20), 8, checkUdpFragment, Fault.udp_truncated],
  ['UDP, whole', bytes('1388 0007 0008 0000'), 8, checkUdp, Fault.udp_truncated],
  ['TCP', bytes('1388 0050 00000001 00000000 5002 faf0 0000 0000'), 20, checkTcp, Fault.tcp_truncated],
  ['TCP with options', vector('syn-mss-1460').slice(20), 28, checkTcp, Fault.tcp_truncated],
  ['ICMP', bytes('0800 f7fe 0001 0000'), 8, checkIcmp, Fault.icmp_truncated],
  ['ICMP, length alone', bytes('0800 f7fe 0001 0000'), 8, checkIcmpLen, Fault.icmp_truncated],
  ['ICMPv6, length alone', bytes('8000 0000 0001 0000'), 8, checkIcmpv6Len, Fault.icmpv6_truncated],
  ['Neighbor solicitation', vector('neighbor-solicit').slice(40, 64), 24, (m, a, e) => checkNd(m, a, e, 255), Fault.icmpv6_truncated],
  ['GRE', vector('gre-plain').slice(28), 4, (m, a, e) => parseGre(m, a, e, greView), Fault.gre_truncated],
  ['GRE with all options', vector('gre-all-options').slice(28), 16, (m, a, e) => parseGre(m, a, e, greView), Fault.gre_truncated],
  ['NVGRE', vector('nvgre-arp').slice(28), 22, checkNvgre, Fault.nvgre_truncated],
  ['VXLAN', vector('vxlan-arp').slice(28), 22, checkVxlan, Fault.vxlan_truncated],
];

for (const [name, header, len, check, fault] of headers) {
  t.test(`${name}: every cut below ${len} bytes is its truncation, and ${len} are enough`, async t => {
    // The bytes stay in memory behind the cut, so a check that read on would find a good header.
    const mem = new Uint8Array(header.length + 7);
    mem.set(header, 7);
    for (let end = 0; end < len; end++) t.equal(check(mem, 7, 7 + end), fault, `${end} bytes`);
    t.equal(check(mem, 7, 7 + len), 0);
  });
}

t.test('an IPv4 packet cut behind its header is ipv4_total_length', async t => {
  const mem = vector('nat-udp-inside');
  for (let end = 20; end < mem.length; end++) t.equal(checkIpv4(mem, 0, end), Fault.ipv4_total_length, `${end} bytes`);
});

t.test('an IPv6 packet cut behind its fixed header is ipv6_payload_length; quoted, it is cut where it is cut', async t => {
  for (let end = 40; end < ipv6.length; end++) {
    t.equal(parseIpv6(ipv6, 0, end, ipv6View), Fault.ipv6_payload_length, `${end} bytes`);
    t.equal(parseQuotedIpv6(ipv6, 0, end, ipv6View), end < 48 ? Fault.ipv6_extension_truncated : 0, `${end} bytes, quoted`);
  }
});

t.test('a UDP datagram cut behind its header is udp_length', async t => {
  const mem = vector('nat-udp-inside');
  for (let end = 28; end < mem.length; end++) t.equal(checkUdp(mem, 20, end), Fault.udp_length, `${end} bytes`);
});

t.test('an ICMP message cut behind its header has a wrong checksum', async t => {
  const icmp = vector('icmp-frag-needed');
  for (let end = 28; end < icmp.length; end++) t.equal(checkIcmp(icmp, 20, end), Fault.icmp_checksum, `${end} bytes`);
  const icmpv6 = vector('icmpv6-too-big');
  for (let end = 40; end < icmpv6.length; end++) {
    t.equal(checkIcmpv6(icmpv6, 40, end, 0), end < 48 ? Fault.icmpv6_truncated : Fault.icmpv6_checksum, `${end} bytes of ICMPv6`);
  }
});
