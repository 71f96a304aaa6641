import { spawnSync } from 'node:child_process';
import t from 'tap';
import { ARP_REPLY, writeArp } from '../../codecs/arp.js';
import { EtherType, writeEthernet } from '../../codecs/ethernet.js';
import { writeGreFull } from '../../codecs/gre.js';
import { GRE_UDP_PORT } from '../../codecs/gre-udp.js';
import { fillIcmpChecksum, IcmpType, setIcmpId, setIcmpType, writeIcmpHeader } from '../../codecs/icmp.js';
import { fillIcmpv6Checksum, Icmpv6Type, NaFlag, writeIcmpv6Header, writeNeighborAdvert, writeNeighborSolicit } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { setIpv4Dst, setIpv4Src, setIpv4Ttl, writeIpv4 } from '../../codecs/ipv4.js';
import { writeIpv6 } from '../../codecs/ipv6.js';
import { LinkType } from '../../codecs/link.js';
import { writeNvgre } from '../../codecs/nvgre.js';
import { PcapWriter } from '../../codecs/pcap.js';
import { clampMss, fillTcpChecksum4, fillTcpChecksum6, patchTcp32, setTcpDstPort, setTcpSrcPort, TcpFlag, writeTcp } from '../../codecs/tcp.js';
import { fillUdpChecksum4, fillUdpChecksum6, patchUdp32, setUdpSrcPort, writeUdp } from '../../codecs/udp.js';
import { VXLAN_PORT, writeVxlan } from '../../codecs/vxlan.js';
import { bytes } from '../support/bytes.js';
import { installed } from '../support/captures.js';
import { seeded, type Seeded } from '../support/seeded.js';

const A6 = bytes('20010db8000100000000000000000005');
const B6 = bytes('20010db8000200000000000000000007');

/** Writes a packet at `at`, ending at the end of `mem`; returns what a dissector calls its layers. */
type Writer = (random: Seeded, mem: Uint8Array, at: number) => string;

/** Any unicast address. */
function address(random: Seeded): number {
  return ((1 + random.below(126)) << 24) | random.below(0x1000000);
}

/** Each inner packet is first one flow, then translated by setters, so that what is judged is the patched checksum. */
const inner: readonly (readonly [string, number, Writer])[] = [
  ['udp4', EtherType.ipv4, (random, mem, at) => {
    const [src, dst, is] = [address(random), address(random), address(random)];
    const udp = at + writeIpv4(mem, at, mem.length - at, random.below(0x10000), true, 64, IpProtocol.udp, src, dst);
    writeUdp(mem, udp, 1024, 40001, mem.length - udp);
    fillUdpChecksum4(mem, udp, src, dst);
    setIpv4Src(mem, at, is);
    patchUdp32(mem, udp, src, is);
    setUdpSrcPort(mem, udp, 40000 + random.below(1000));
    setIpv4Ttl(mem, at, 63);
    return 'ip:udp';
  }],
  ['tcp4', EtherType.ipv4, (random, mem, at) => {
    const [src, dst, is] = [address(random), address(random), address(random)];
    const tcp = at + writeIpv4(mem, at, mem.length - at, random.below(0x10000), true, 64, IpProtocol.tcp, src, dst);
    writeTcp(mem, tcp, 1024, 40001, random.u32(), 0, TcpFlag.syn, 64240, 1460);
    fillTcpChecksum4(mem, tcp, mem.length, src, dst);
    setIpv4Dst(mem, at, is);
    patchTcp32(mem, tcp, dst, is);
    setTcpDstPort(mem, tcp, 40000 + random.below(1000));
    setTcpSrcPort(mem, tcp, 41000 + random.below(1000));
    clampMss(mem, tcp, 1000 + random.below(400));
    return 'ip:tcp';
  }],
  ['icmp', EtherType.ipv4, (random, mem, at) => {
    const icmp = at + writeIpv4(mem, at, mem.length - at, 0, true, 64, IpProtocol.icmp, address(random), address(random));
    writeIcmpHeader(mem, icmp, IcmpType.echo, 0, random.u32());
    fillIcmpChecksum(mem, icmp, mem.length);
    setIcmpId(mem, icmp, random.below(0x10000));
    setIcmpType(mem, icmp, IcmpType.echoReply);
    return 'ip:icmp';
  }],
  ['udp6', EtherType.ipv6, (random, mem, at) => {
    const udp = at + writeIpv6(mem, at, mem.length - at - 40, IpProtocol.udp, 64, A6, 0, B6, 0);
    writeUdp(mem, udp, 40000, 40001, mem.length - udp);
    fillUdpChecksum6(mem, udp, at);
    setUdpSrcPort(mem, udp, 40000 + random.below(1000));
    return 'ipv6:udp';
  }],
  ['tcp6', EtherType.ipv6, (random, mem, at) => {
    const tcp = at + writeIpv6(mem, at, mem.length - at - 40, IpProtocol.tcp, 64, A6, 0, B6, 0);
    writeTcp(mem, tcp, 40000, 40001, random.u32(), random.u32(), TcpFlag.psh | TcpFlag.ack, 512, 0);
    fillTcpChecksum6(mem, tcp, mem.length, at);
    return 'ipv6:tcp';
  }],
  ['icmpv6', EtherType.ipv6, (random, mem, at) => {
    const icmp = at + writeIpv6(mem, at, mem.length - at - 40, IpProtocol.icmpv6, 64, A6, 0, B6, 0);
    writeIcmpv6Header(mem, icmp, Icmpv6Type.echo, 0, random.u32());
    fillIcmpv6Checksum(mem, icmp, mem.length, at);
    return 'ipv6:icmpv6';
  }],
];

/** Outer packets: a name, whether the payload is a frame, bytes before the payload, how to write them once it is there. */
const tunnels: readonly (readonly [string, boolean, 4 | 6, number, (random: Seeded, mem: Uint8Array) => void])[] = [
  ['gre', false, 4, 4, (_, mem) => { writeGreFull(mem, 28, mem.length, typeAt(mem, 32), -1, -1, false); }],
  ['gre', false, 6, 8, (random, mem) => { writeGreFull(mem, 48, mem.length, typeAt(mem, 56), random.u32(), -1, false); }],
  ['gre', false, 4, 16, (random, mem) => { writeGreFull(mem, 28, mem.length, typeAt(mem, 44), random.u32(), random.u32(), true); }],
  ['gre', true, 4, 8, (random, mem) => { writeNvgre(mem, 28, 0x1000 + random.below(0xffefff), random.below(256)); }],
  ['gre', true, 6, 8, (random, mem) => { writeNvgre(mem, 48, 0x1000 + random.below(0xffefff), random.below(256)); }],
  ['vxlan', true, 4, 8, (random, mem) => { writeVxlan(mem, 28, 0x1000 + random.below(0xffefff)); }],
  ['vxlan', true, 6, 8, (random, mem) => { writeVxlan(mem, 48, 0x1000 + random.below(0xffefff)); }],
];

function typeAt(mem: Uint8Array, at: number): number {
  return mem[at] >>> 4 === 6 ? EtherType.ipv6 : EtherType.ipv4;
}

/** One packet in one tunnel, over dirty memory, and the layers it should have. */
function build(random: Seeded, [encap, framed, family, encapLen, write]: (typeof tunnels)[number], [, type, writeInner]: (typeof inner)[number]): { mem: Uint8Array; layers: string } {
  const udp = family === 4 ? 20 : 40;
  const payload = udp + 8 + encapLen;
  const mem = random.fill(new Uint8Array(payload + (framed ? 14 : 0) + 64 + random.below(200)));
  const innerLayers = writeInner(random, mem, payload + (framed ? 14 : 0));
  if (framed) writeEthernet(mem, payload, 0x0200, 1, 0x0015, 0x5d000001, type);
  write(random, mem);
  writeUdp(mem, udp, 49152 + random.below(16384), encap === 'gre' ? GRE_UDP_PORT : VXLAN_PORT, mem.length - udp);
  if (family === 4) {
    writeIpv4(mem, 0, mem.length, 0, true, 64, IpProtocol.udp, 0xc000020a, 0xc0000214);
    fillUdpChecksum4(mem, udp, 0xc000020a, 0xc0000214);
  } else {
    writeIpv6(mem, 0, mem.length - 40, IpProtocol.udp, 64, A6, 0, B6, 0);
    fillUdpChecksum6(mem, udp, 0);
  }
  return { mem, layers: `raw:${family === 4 ? 'ip' : 'ipv6'}:udp:${encap}:${framed ? 'eth:ethertype:' : ''}${innerLayers}` };
}

/** ARP and Neighbor Discovery, which only ever travel in frames. */
function neighbors(): { mem: Uint8Array; layers: string }[] {
  const arp = new Uint8Array(36 + 14 + 28);
  writeEthernet(arp, 36, 0x0015, 0x5d000001, 0x0200, 1, EtherType.arp);
  writeArp(arp, 50, ARP_REPLY, 0x0200, 1, 0x0a000001, 0x0015, 0x5d000001, 0x0a000005);
  const frames = [{ mem: arp, layers: 'raw:ip:udp:vxlan:eth:ethertype:arp' }];
  for (const isAdvert of [true, false]) {
    const mem = new Uint8Array(36 + 14 + 72);
    writeEthernet(mem, 36, 0x0015, 0x5d000001, 0x0200, 1, EtherType.ipv6);
    writeIpv6(mem, 50, 32, IpProtocol.icmpv6, 255, A6, 0, B6, 0);
    if (isAdvert) writeNeighborAdvert(mem, 90, A6, 0, NaFlag.router | NaFlag.solicited | NaFlag.override, 0x0200, 1);
    else writeNeighborSolicit(mem, 90, B6, 0, 0x0200, 1);
    fillIcmpv6Checksum(mem, 90, 122, 50);
    frames.push({ mem, layers: 'raw:ip:udp:vxlan:eth:ethertype:ipv6:icmpv6' });
  }
  for (const { mem } of frames) {
    writeVxlan(mem, 28, 5001);
    writeUdp(mem, 20, 49152, VXLAN_PORT, mem.length - 20);
    writeIpv4(mem, 0, mem.length, 0, true, 64, IpProtocol.udp, 0xc000020a, 0xc0000214);
    fillUdpChecksum4(mem, 20, 0xc000020a, 0xc0000214);
  }
  return frames;
}

const STATUS = ['ip', 'udp', 'tcp', 'icmp', 'icmpv6', 'gre'] as const;

t.test('an independent dissector sees the layers we wrote, every checksum good, and nothing malformed', async t => {
  if (!installed('tshark')) {
    t.pass('tshark is not installed: nothing was compared');
    return;
  }
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const packets = neighbors();
  for (let round = 0; round < 8; round++) for (const tunnel of tunnels) for (const packet of inner) packets.push(build(random, tunnel, packet));

  const writer = new PcapWriter();
  const file = Buffer.concat([writer.header(LinkType.raw), ...packets.map(({ mem }) => writer.record(mem, 0, mem.length, 0n))]);
  const fields = ['frame.protocols', '_ws.malformed', ...STATUS.map(protocol => `${protocol}.checksum.status`)];
  const verify = ['ip', 'udp', 'tcp'].flatMap(protocol => ['-o', `${protocol}.check_checksum:TRUE`]);
  const folder = t.testdir({ 'written.pcap': file });
  const { stdout } = spawnSync(
    'tshark', ['-n', '-r', `${folder}/written.pcap`, '-T', 'fields', ...verify, ...fields.flatMap(field => ['-e', field])], { encoding: 'utf8' },
  );

  const lines = stdout.split('\n').slice(0, -1);
  t.equal(lines.length, packets.length);
  const wrong: string[] = [];
  for (const [i, line] of lines.entries()) {
    const [layers, malformed, ...statuses] = line.split('\t');
    const want = packets[i].layers;
    // An ICMPv6 layer has no name for its checksum in old versions; one status for each other layer that has one.
    const sums = statuses.join(',').split(',').filter(status => status !== '');
    const wanted = want.split(':').filter(layer => (STATUS as readonly string[]).includes(layer) && layer !== 'gre').length;
    const seen = layers.split(':').filter(layer => layer !== 'data').join(':');
    // Behind our last layer it guesses at the random payload, and may find its guess malformed: that is not ours.
    if (!seen.startsWith(want) || (malformed !== '' && seen === want) || sums.length < wanted || sums.some(status => status !== '1')) {
      wrong.push(`${want}: ${line} ${Buffer.from(packets[i].mem).toString('hex')}`);
    }
  }
  t.same(wrong.slice(0, 3), []);
});
