/**
 * The captures of test/fixtures/replay, made here and nowhere else. `CONFIGS` says which config each is for; what
 * becomes of every packet stands beside it, and is counted in test/daemon/replay.test.ts.
 */
import { EtherType } from '../../codecs/ethernet.js';
import { GRE_UDP_PORT } from '../../codecs/gre-udp.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { LinkType } from '../../codecs/link.js';
import { PcapWriter } from '../../codecs/pcap.js';
import { PcapngWriter } from '../../codecs/pcapng.js';
import { TcpFlag } from '../../codecs/tcp.js';
import { writeArp, ARP_REQUEST } from '../../codecs/arp.js';
import { UNDERLAY_HEADROOM, writeUnderlay } from '../../codecs/underlay.js';
import { VXLAN_PORT } from '../../codecs/vxlan.js';
import { writeGreFull } from '../../codecs/gre.js';
import { bytes } from './bytes.js';
import { concat } from './captures.js';
import { cut4, echo, ethernet, gre, icmp, ip, ip4, ip6, mac, nvgre, tcp, udp, vxlan, words } from './frames.js';

export const RED_AND_BLUE = 'config/examples/red-and-blue.jsonc';
export const DUAL_STACK = 'config/examples/dual-stack.jsonc';

export const CONFIGS: Readonly<Record<string, string>> = {
  'walks.pcap': RED_AND_BLUE, 'drops.pcapng': RED_AND_BLUE, 'links.pcapng': RED_AND_BLUE, 'native-gre.pcap': RED_AND_BLUE, 'offload.pcap': RED_AND_BLUE,
  'outside-ipv6.pcap': DUAL_STACK,
};

const SECOND = 1_000_000_000n;
const START = 1_700_000_000n * SECOND;
const STEP = SECOND / 100n;
const GATEWAY_MAC = '02:00:00:00:00:01';

// ---- who is who in red-and-blue.jsonc

const GW = '192.0.2.1', HOST_A = '192.0.2.11', HOST_B = '192.0.2.12', INET = '192.0.2.20', CORE = '192.0.2.21', HQ = '198.51.100.31';
const RED_5 = '00:15:5d:00:01:05', RED_6 = '00:15:5d:00:01:06', RED_7 = '00:15:5d:00:01:07', BLUE_5 = '00:15:5d:00:02:05';
const SERVER = '198.51.100.9', CLIENT = '198.51.100.77', PHYSICAL = '172.16.9.9', OFFICE = '192.168.50.7';

/** An outer frame: Ethernet, IP, UDP. */
export function outer(from: string, sport: number, to: string, dport: number, payload: Uint8Array): Uint8Array {
  const mem = new Uint8Array(UNDERLAY_HEADROOM + payload.length);
  mem.set(payload, UNDERLAY_HEADROOM);
  const at = writeUnderlay(mem, UNDERLAY_HEADROOM, mem.length, {
    family: from.includes(':') ? 6 : 4, src: words(from), srcPort: sport, dst: words(to), dstPort: dport,
  });
  return mem.slice(at);
}

/** GRE straight in IPv4. */
function native(from: string, to: string, payload: Uint8Array): Uint8Array {
  return ethernet('02:00:00:00:ca:01', '02:00:00:00:ca:02', ip(from, to, IpProtocol.gre, payload));
}

const viaA = (vsid: number, frame: Uint8Array): Uint8Array => outer(HOST_A, 50001, GW, GRE_UDP_PORT, nvgre(vsid, frame));
const viaB = (vni: number, frame: Uint8Array): Uint8Array => outer(HOST_B, 50002, GW, VXLAN_PORT, vxlan(vni, frame));
const viaInet = (packet: Uint8Array): Uint8Array => outer(INET, 50003, GW, GRE_UDP_PORT, gre(packet));
const viaCore = (packet: Uint8Array, key: number): Uint8Array => outer(CORE, 50004, GW, GRE_UDP_PORT, gre(packet, key));
const viaHq = (packet: Uint8Array): Uint8Array => outer(HQ, 4754, GW, GRE_UDP_PORT, gre(packet, 9001));
/** A frame of red's 10.0.0.5 to the gateway. */
const fromRed5 = (packet: Uint8Array): Uint8Array => ethernet(GATEWAY_MAC, RED_5, packet);

function arpFrom(src: string, sender: string, target: string): Uint8Array {
  const message = new Uint8Array(28);
  writeArp(message, 0, ARP_REQUEST, ...mac(src), ip4(sender), 0, 0, ip4(target));
  return ethernet('ff:ff:ff:ff:ff:ff', src, message, EtherType.arp);
}

/** Every walk there is, both tenants, fragments both ways round. */
function walks(): Uint8Array[] {
  const [first, later] = cut4(udp('10.0.0.5', 52000, SERVER, 7777, new Uint8Array(1000).fill(7)), 800);
  return [
    viaA(5001, arpFrom(RED_5, '10.0.0.5', '10.0.0.1')),                                                        // 1 consumed, answered
    viaA(5001, fromRed5(tcp('10.0.0.5', 51000, SERVER, 443, TcpFlag.syn, '', { mss: 1460 }))),                 // 2 NAT
    viaA(6001, ethernet(GATEWAY_MAC, BLUE_5, tcp('10.0.0.5', 51000, SERVER, 443, TcpFlag.syn, '', { mss: 1460 }))), // 3 blue's NAT
    viaInet(tcp(CLIENT, 40000, '203.0.113.10', 80, TcpFlag.syn, '', { mss: 1460 })),                           // 4 mapping, inwards
    viaA(5001, fromRed5(tcp('10.0.0.5', 8080, CLIENT, 40000, TcpFlag.syn | TcpFlag.ack, '', { mss: 1400 }))),  // 5 and out
    viaA(5001, fromRed5(udp('10.0.0.5', 4000, '10.0.1.7', 4001, 'to the other subnet'))),                      // 6 NVGRE to VXLAN
    viaB(5002, ethernet(GATEWAY_MAC, RED_7, udp('10.0.1.7', 4001, '10.0.0.5', 4000, 'and back'))),             // 7 VXLAN to NVGRE
    viaB(5001, ethernet(RED_5, RED_6, echo('10.0.0.6', '10.0.0.5', 77))),                                      // 8 bridged
    viaA(5001, fromRed5(udp('10.0.0.5', 4000, PHYSICAL, 514, 'to the physical network'))),                     // 9 forwarded with key
    viaCore(udp(PHYSICAL, 514, '10.0.0.5', 4000, 'for red'), 7001),                                            // 10
    viaCore(udp(PHYSICAL, 514, '10.0.0.5', 4000, 'for blue'), 7002),                                           // 11 blue, by its key
    viaA(5001, fromRed5(udp('10.0.0.5', 4000, OFFICE, 9100, 'to the site'))),                                  // 12
    viaHq(udp(OFFICE, 9100, '10.0.0.5', 4000, 'from the site')),                                               // 13
    viaA(5001, fromRed5(echo('10.0.0.5', '10.0.0.1', 5))),                                                     // 14 consumed, answered
    viaB(5001, ethernet(GATEWAY_MAC, RED_6, udp('10.0.0.6', 4000, SERVER, 9, new Uint8Array(2972)))),          // 15 NAT, cut in 3
    viaA(5001, fromRed5(later)),                                                                               // 16 held, then NAT
    viaA(5001, fromRed5(first)),                                                                               // 17 NAT, and sets 16 free
  ];
}

/** One packet a drop reason. */
function drops(): Uint8Array[] {
  const plain = udp('10.0.0.5', 4000, SERVER, 7777, 'x');
  const whole = viaA(5001, fromRed5(plain));
  const badOuter = whole.slice();
  badOuter[14 + 20 + 6] ^= 0x55; // UDP checksum
  const badInner = viaA(6001, ethernet(GATEWAY_MAC, BLUE_5, plain));
  badInner[badInner.length - plain.length + 10] ^= 0x55; // inner IPv4 checksum
  const zeroed = badInner.subarray(14 + 20);
  zeroed[6] = zeroed[7] = 0; // without an outer UDP checksum, which would tell
  const [, later] = cut4(udp('10.0.0.5', 52001, SERVER, 7777, new Uint8Array(1000)), 800, 0x4321);
  return [
    outer('192.0.2.53', 53, '192.0.2.54', 40000, bytes('1234 8180 0001 0000 0000 0000')),                       // 1 not_a_tunnel
    arpFrom('02:00:00:00:99:01', '192.0.2.99', GW),                                                            // 2 not_a_tunnel
    outer('192.0.2.99', 50001, GW, GRE_UDP_PORT, nvgre(5001, fromRed5(plain))),                                // 3 pa_unknown
    viaA(9999, fromRed5(plain)),                                                                               // 4 vsid_unknown
    outer(HOST_A, 50001, '192.0.2.2', GRE_UDP_PORT, nvgre(5001, fromRed5(plain))),                             // 5 not_for_gateway
    viaA(5001, ethernet(GATEWAY_MAC, RED_6, udp('10.0.0.6', 4000, SERVER, 7777, 'x'))),                          // 6 spoofed_source
    viaA(5001, fromRed5(tcp('10.0.0.5', 51000, '10.0.1.7', 22, TcpFlag.syn))),                                 // 7 acl_denied
    viaA(5001, fromRed5(udp('10.0.0.5', 4000, '10.0.0.77', 7777))),                                              // 8 no_record, ICMP
    viaA(5001, fromRed5(udp('10.0.0.5', 4000, SERVER, 33434, '', { ttl: 1 }))),                                // 9 ttl_expired, ICMP
    viaA(5001, fromRed5(udp('10.0.0.5', 4000, SERVER, 7777, new Uint8Array(1452), { dontFragment: true }))),     // 10 too_big, ICMP
    viaInet(udp(CLIENT, 40000, '203.0.113.10', 4444)),                                                         // 11 nat_no_binding
    viaCore(udp(PHYSICAL, 514, '10.0.0.5', 4000), 7777),                                                       // 12 gre_key_unknown
    viaHq(udp('10.9.9.9', 9100, '10.0.0.5', 4000)),                                                            // 13 site_source
    outer(HOST_B, 50002, GW, GRE_UDP_PORT, nvgre(5001, ethernet(GATEWAY_MAC, RED_6, plain))),                  // 14 encap_mismatch
    viaA(5001, ethernet('01:00:5e:00:00:fb', RED_5, udp('10.0.0.5', 5353, '224.0.0.251', 5353, 'mdns'))),      // 15 frame_multicast
    viaA(5001, fromRed5(later)),                                                                               // 16 held, then fragment_orphan
    badOuter,                                                                                                  // 17 outer_checksum
    ethernet('02:00:00:00:ca:01', '02:00:00:00:ca:02', cut4(whole.subarray(14), 32)[0]),                       // 18 outer_fragment
    outer(HOST_A, 50001, GW, GRE_UDP_PORT, nvgre(5001, new Uint8Array(2))),                                    // 19 nvgre_truncated
    badInner,                                                                                                  // 20 ipv4_checksum
    whole,                                                                                                     // 21 cut to 60 bytes: ipv4_total_length
  ];
}

/** Hyper-V's way: GRE as IP protocol 47. */
function nativeGre(): Uint8Array[] {
  const packet = tcp(CLIENT, 40001, '203.0.113.10', 80, TcpFlag.syn, '', { mss: 1460 });
  const options = new Uint8Array(16 + packet.length);
  options.set(packet, 12);
  writeGreFull(options, 0, 12 + packet.length, EtherType.ipv4, -1, 7, true); // checksum and sequence number
  return [
    native(HOST_A, GW, nvgre(5001, arpFrom(RED_5, '10.0.0.5', '10.0.0.1'))),                                   // 1 consumed; the answer in UDP
    native(HOST_A, GW, nvgre(5001, fromRed5(udp('10.0.0.5', 4000, SERVER, 7777, 'query')))),                     // 2 NAT
    native(INET, GW, options.subarray(0, 12 + packet.length)),                                                 // 3 mapping
    native(HQ, GW, gre(udp(OFFICE, 1, '10.0.0.5', 2), 9001)),                                                  // 4 pa_unknown: its PA has a port
  ];
}

/** As seen on the sending host, before its network card has done the checksums. */
function offload(): Uint8Array[] {
  const partial = viaA(5001, fromRed5(udp('10.0.0.5', 4000, '10.0.1.7', 4001, 'partial')));
  const ipAt = 14, udpAt = 34;
  const view = new DataView(partial.buffer);
  const word = (at: number): number => view.getUint16(at);
  let sum = IpProtocol.udp + word(udpAt + 4);
  for (let at = ipAt + 12; at < ipAt + 20; at += 2) sum += word(at);
  view.setUint16(udpAt + 6, (sum & 0xffff) + (sum >>> 16)); // the pseudo-header alone, not complemented
  const blank = viaA(5001, fromRed5(udp('10.0.0.5', 4000, '10.0.1.7', 4001, 'no IPv4 checksum')));
  blank[ipAt + 10] = blank[ipAt + 11] = 0;
  return [partial, blank];
}

/** One packet behind every link header. */
function links(): { linkType: number; frame: Uint8Array }[] {
  const frame = viaA(5001, fromRed5(udp('10.0.0.5', 4000, '10.0.1.7', 4001, 'link')));
  const macs = frame.subarray(0, 12), packet = frame.subarray(14);
  return [
    { linkType: LinkType.ethernet, frame },
    { linkType: LinkType.ethernet, frame: concat(macs, bytes('8100 0064 0800'), packet) },
    { linkType: LinkType.ethernet, frame: concat(macs, bytes('88a8 0064 8100 0065 0800'), packet) },
    { linkType: LinkType.linuxSll, frame: concat(bytes('0000 0001 0006 00155d000001 0000 0800'), packet) },
    { linkType: LinkType.linuxSll2, frame: concat(bytes('0800 0000 00000003 0001 00 06 00155d000001 0000'), packet) },
    { linkType: LinkType.raw, frame: packet },
    { linkType: LinkType.ipv4, frame: packet },
    { linkType: LinkType.null, frame: concat(bytes('02000000'), packet) },
    { linkType: LinkType.loop, frame: concat(bytes('00000002'), packet) },
    { linkType: 147, frame: packet },                                                                          // link_unsupported
  ];
}

/** IPv6 within and without; who is who is in dual-stack.jsonc. */
function outsideIpv6(): Uint8Array[] {
  const GW6 = '2001:db8:0:1::1', B = '2001:db8:0:1::12', CORE6 = '2001:db8:0:1::21', HQ6 = '2001:db8:0:2::31';
  const a5 = '2001:db8:a::5', b6 = '2001:db8:b::6';
  const fromA = (packet: Uint8Array): Uint8Array => viaA(5001, fromRed5(packet));
  const fromB = (packet: Uint8Array): Uint8Array => outer(B, 50002, GW6, VXLAN_PORT, vxlan(5002, ethernet(GATEWAY_MAC, RED_6, packet)));
  const noChecksum = fromB(udp(b6, 4000, a5, 4001, 'no outer checksum'));
  noChecksum[14 + 40 + 6] = noChecksum[14 + 40 + 7] = 0;
  // A solicitation for the gateway's own CA, with the asker's MAC as an option (RFC 4861 §4.3).
  const solicited = '2001:db8:b::ffff';
  const solicitation = icmp(b6, 'ff02::1:ff00:ffff', 135, 0, 0, concat(ip6(solicited), bytes('0101 00155d000106')), { ttl: 255 });
  return [
    fromB(udp(b6, 4000, a5, 4001, 'VXLAN over IPv6 to NVGRE over IPv4')),                                      // 1
    fromA(udp(a5, 4001, '2001:db8:ffff::1', 7777, 'to the physical network')),                                   // 2
    withDestinationOptions(outer(CORE6, 50004, GW6, GRE_UDP_PORT, gre(udp('2001:db8:ffff::1', 7777, a5, 4001, 'and back'), 7001))), // 3
    outer(HQ6, 4754, GW6, GRE_UDP_PORT, gre(udp('2001:db8:50::9', 9100, b6, 4000, 'from the site'), 9001)),    // 4
    fromA(udp('10.0.0.5', 4000, SERVER, 7777, 'IPv4 goes out by NAT')),                                          // 5
    outer(B, 50002, GW6, VXLAN_PORT, vxlan(5002, ethernet('33:33:ff:00:ff:ff', RED_6, solicitation))),         // 6 consumed, answered
    noChecksum,                                                                                                // 7 forwarded all the same
    fromA(tcp(a5, 51000, b6, 80, TcpFlag.syn, '', { mss: 1440 })),                                             // 8 acl_denied
    fromB(echo(b6, 'fd00::1', 9)),                                                                             // 9 route_drop
  ];
}

/** The tunnel encapsulation limit that Linux puts before UDP (RFC 2473 §4.1.1). */
function withDestinationOptions(frame: Uint8Array): Uint8Array {
  const at = 14 + 40;
  const longer = concat(frame.subarray(0, at), bytes('11 00 04 01 04 01 01 00'), frame.subarray(at));
  longer[14 + 6] = IpProtocol.destinationOptions;
  new DataView(longer.buffer).setUint16(14 + 4, longer.length - at);
  return longer;
}

function pcap(frames: readonly Uint8Array[]): Uint8Array {
  const writer = new PcapWriter();
  return concat(writer.header(LinkType.ethernet), ...frames.map((frame, i) => writer.record(frame, 0, frame.length, START + STEP * BigInt(i))));
}

/** An interface for each link type; the record numbered `cut` keeps its first 60 bytes only. */
function pcapng(records: readonly { linkType: number; frame: Uint8Array }[], cut = 0): Uint8Array {
  const writer = new PcapngWriter();
  const linkTypes = [...new Set(records.map(({ linkType }) => linkType))];
  return concat(
    writer.sectionHeader({ userAppl: 'replay-fixtures' }),
    ...linkTypes.map(linkType => writer.interface({ name: `link${linkType}`, linkType })),
    ...records.map(({ linkType, frame }, i) => writer.enhancedPacket({
      interfaceId: linkTypes.indexOf(linkType), timeNs: START + STEP * BigInt(i), mem: frame, at: 0, end: i + 1 === cut ? 60 : frame.length, originalLen: frame.length,
    })),
  );
}

/** Every file of test/fixtures/replay, by name. */
export function replayFixtures(): Record<string, Uint8Array> {
  return {
    'walks.pcap': pcap(walks()),
    'drops.pcapng': pcapng(drops().map(frame => ({ linkType: LinkType.ethernet, frame })), 21),
    'native-gre.pcap': pcap(nativeGre()),
    'offload.pcap': pcap(offload()),
    'links.pcapng': pcapng(links()),
    'outside-ipv6.pcap': pcap(outsideIpv6()),
  };
}
