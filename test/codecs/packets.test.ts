import t from 'tap';
import { EtherType, writeEthernet } from '../../codecs/ethernet.js';
import { GRE_UDP_PORT } from '../../codecs/gre-udp.js';
import { writeIpv4 } from '../../codecs/ipv4.js';
import { IPV6_DST, IPV6_SRC, writeIpv6 } from '../../codecs/ipv6.js';
import { writeNvgre } from '../../codecs/nvgre.js';
import { fillUdpChecksum4, fillUdpChecksum6, writeUdp } from '../../codecs/udp.js';
import { VXLAN_PORT, writeVxlan } from '../../codecs/vxlan.js';
import { hex } from '../support/bytes.js';
import { dissectFrame, dissectIp } from './dissect.js';
import { vector, vectorNames } from './vectors.js';

/** Every vector, and what it is when each layer is checked with its checksums. */
const LAYERS: Readonly<Record<string, string>> = {
  'arp-request': 'ethernet arp',
  'arp-reply': 'ethernet arp',
  'arp-gratuitous': 'ethernet arp',
  'arp-probe': 'ethernet arp',
  'frame-udp': 'ethernet ipv4 udp',
  'nvgre-arp': 'ipv4 udp nvgre:5001 ethernet arp',
  'nvgre-udp': 'ipv4 udp nvgre:5001 ethernet ipv4 udp',
  'nvgre-udp-over-ipv6': 'ipv6 udp nvgre:5001 ethernet ipv4 udp',
  'gre-plain': 'ipv4 udp gre ipv4 udp',
  'gre-checksum': 'ipv4 udp gre ipv4 udp',
  'gre-key-sequence': 'ipv4 udp gre:3405691582 ipv4 udp',
  'gre-all-options': 'ipv4 udp gre:3405691582 ipv4 udp',
  'gre-ipv6-payload': 'ipv4 udp gre ipv6 udp',
  'vxlan-arp': 'ipv4 udp vxlan:5001 ethernet arp',
  'vxlan-udp-over-ipv6': 'ipv6 udp vxlan:16777214 ethernet ipv4 udp',
  'nat-udp-inside': 'ipv4 udp',
  'nat-udp-outside': 'ipv4 udp',
  'nat-echo-inside': 'ipv4 icmp',
  'nat-echo-outside': 'ipv4 icmp',
  'fragment-first': 'ipv4 udp cut',
  'fragment-last': 'ipv4 fragment',
  'fragment-first-outside': 'ipv4 udp cut',
  'fragment-last-outside': 'ipv4 fragment',
  'fragment6-first': 'ipv6 udp cut',
  'fragment6-last': 'ipv6 fragment',
  'syn-mss-1460': 'ipv4 tcp',
  'syn-mss-1360': 'ipv4 tcp',
  'icmp-frag-needed': 'ipv4 icmp',
  'icmpv6-too-big': 'ipv6 icmpv6',
  'icmp-time-exceeded': 'ipv4 icmp',
  'icmpv6-hop-limit': 'ipv6 icmpv6',
  'neighbor-solicit': 'ipv6 icmpv6',
  'neighbor-advert': 'ipv6 icmpv6',
  'icmp-error-outside': 'ipv4 icmp',
  'icmp-error-inside': 'ipv4 icmp',
};

t.test('every vector is listed, and no other', async t => {
  t.same(Object.keys(LAYERS), vectorNames);
});

for (const [name, want] of Object.entries(LAYERS)) {
  t.test(`${name} is accepted layer by layer: ${want}`, async t => {
    const mem = vector(name);
    t.equal(want.startsWith('ethernet') ? dissectFrame(mem, 0, mem.length) : dissectIp(mem, 0, mem.length), want);
  });
}

const A = 0xc000020a;
const B = 0xc0000214;
/** Writes 00:15:5d:00:00:01 to `dst` before an inner packet. */
function frame(mem: Uint8Array, at: number, dstHigh: number, dstLow: number, type: number): number {
  return writeEthernet(mem, at, dstHigh, dstLow, 0x0015, 0x5d000001, type);
}

t.test('RFC 7637 in RFC 8086: an NVGRE packet written from outside in is the vector, byte for byte', async t => {
  const want = vector('nvgre-arp');
  const mem = new Uint8Array(want.length).fill(0xa5);
  let at = writeIpv4(mem, 0, want.length, 0x1234, true, 64, 17, A, B);
  const udp = at;
  at += writeUdp(mem, at, 49443, GRE_UDP_PORT, want.length - at);
  at += writeNvgre(mem, at, 5001, 0x42);
  at += frame(mem, at, 0xffff, 0xffffffff, EtherType.arp);
  mem.set(want.subarray(at), at);
  fillUdpChecksum4(mem, udp, A, B);
  t.equal(hex(mem), hex(want));
});

t.test('RFC 7637 in RFC 8086 over IPv6: so is this one, save the flow label, which we send as 0', async t => {
  const want = vector('nvgre-udp-over-ipv6');
  const mem = new Uint8Array(want.length).fill(0xa5);
  let at = writeIpv6(mem, 0, want.length - 40, 17, 64, want, IPV6_SRC, want, IPV6_DST);
  at += writeUdp(mem, at, 49443, GRE_UDP_PORT, want.length - at);
  at += writeNvgre(mem, at, 5001, 0x42);
  at += frame(mem, at, 0x0015, 0x5d000002, EtherType.ipv4);
  mem.set(want.subarray(at), at);
  fillUdpChecksum6(mem, 40, 0);
  t.equal(hex(mem, 4), hex(want, 4));
  t.equal(hex(mem, 0, 4), '60000000');
});

t.test('RFC 7348: a VXLAN packet without checksum and one over IPv6 are the vectors, byte for byte', async t => {
  const want4 = vector('vxlan-arp');
  const mem4 = want4.slice().fill(0xa5, 0, 50);
  writeIpv4(mem4, 0, 78, 0x1234, true, 64, 17, A, B);
  writeUdp(mem4, 20, 49449, VXLAN_PORT, 58);
  writeVxlan(mem4, 28, 5001);
  frame(mem4, 36, 0xffff, 0xffffffff, EtherType.arp);
  t.equal(hex(mem4), hex(want4));

  const want6 = vector('vxlan-udp-over-ipv6');
  const mem6 = want6.slice().fill(0xa5, 40, 70);
  writeIpv6(mem6, 0, 60, 17, 64, want6, IPV6_SRC, want6, IPV6_DST);
  writeUdp(mem6, 40, 49452, VXLAN_PORT, 60);
  writeVxlan(mem6, 48, 0xfffffe);
  frame(mem6, 56, 0x0015, 0x5d000002, EtherType.ipv4);
  fillUdpChecksum6(mem6, 40, 0);
  t.equal(hex(mem6), hex(want6));
});
