/** What the demo shows, scene by scene. A scene sends real datagrams, looks at what comes out, and says what it saw. */
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, arpOp, arpSenderMacHigh, arpSenderMacLow, writeArp } from '../../codecs/arp.js';
import { u16 } from '../../codecs/bytes.js';
import { ETHERNET_LEN, EtherType, etherType } from '../../codecs/ethernet.js';
import { IcmpType, icmpCode, icmpSeq } from '../../codecs/icmp.js';
import { ipv4HeaderLen, ipv4Ttl } from '../../codecs/ipv4.js';
import { TcpFlag } from '../../codecs/tcp.js';
import { ethernetFrame, grePacket, icmpPacket, ipv4Word, macWords, tcpPacket, udpPacket } from '../cli/craft.js';
import { frameFor, heardBy, heardInGre, sendFrame, sendIp, type Player, type Vm } from './cast.js';
import { GATEWAY_MAC, INTERNET_SERVER, OFFICE_SERVER, PHYSICAL_SERVER } from './config.js';

export interface Cast {
  readonly hostA: Player;
  readonly hostB: Player;
  readonly inet: Player;
  readonly core: Player;
  readonly hq: Player;
  readonly red5: Vm;
  readonly red6: Vm;
  readonly red7: Vm;
  readonly blue5: Vm;
  readonly blue6: Vm;
}

/** What the story asks of the running daemon. */
export interface Daemon {
  /** Resolves when everything sent so far has met its fate. */
  settled(): Promise<void>;
  /** Drops so far, by reason, of one tenant (`-` where none is known). */
  drops(tenant: string): Promise<Readonly<Record<string, number>>>;
}

export interface Scene {
  readonly title: string;
  /** Resolves to what was seen; throws when the gateway did something else. */
  play(cast: Cast, daemon: Daemon): Promise<string>;
}

const BROADCAST = 'ff:ff:ff:ff:ff:ff';

function ensure(truth: boolean, otherwise: string): void {
  if (!truth) throw new Error(otherwise);
}

async function ping(vm: Vm, to: string, mac = GATEWAY_MAC): Promise<{ ttl: number }> {
  sendIp(vm, icmpPacket(vm.ca, to, IcmpType.echo, 0, 0x00070001, 'causeway'), mac);
  return vm.host.expect(datagram => {
    const heard = heardBy(vm, datagram);
    return heard?.from === to && heard.icmpType === IcmpType.echoReply ? { ttl: ipv4Ttl(heard.bytes, 0) } : null;
  }, `a reply from ${to} to ${vm.tenant}'s ${vm.ca}`);
}

/** Send UDP and return what the far end says it saw. */
async function askWhoAmI(vm: Vm, to: string, sport: number): Promise<string> {
  sendIp(vm, udpPacket(vm.ca, sport, to, 7, 'who am I?'), GATEWAY_MAC);
  return vm.host.expect(datagram => {
    const heard = heardBy(vm, datagram);
    return heard?.from === to && heard.dport === sport ? heard.text : null;
  }, `an answer from ${to} to ${vm.tenant}'s ${vm.ca}`);
}

async function dropGrew(daemon: Daemon, tenant: string, reason: string, act: () => void): Promise<void> {
  const before = (await daemon.drops(tenant))[reason] ?? 0;
  act();
  await daemon.settled();
  const after = (await daemon.drops(tenant))[reason] ?? 0;
  ensure(after === before + 1, `expected one more ${reason} under ${tenant}, saw ${after - before}`);
}

export const STORY: readonly Scene[] = [
  {
    title: 'ARP finds the gateway in every subnet',
    async play({ red5, blue6 }) {
      for (const vm of [red5, blue6]) {
        const arp = new Uint8Array(ARP_LEN);
        writeArp(arp, 0, ARP_REQUEST, ...macWords(vm.mac), ipv4Word(vm.ca), 0, 0, ipv4Word('10.0.0.1'));
        sendFrame(vm, ethernetFrame(BROADCAST, vm.mac, arp, EtherType.arp));
        const sender = await vm.host.expect(datagram => {
          const frame = frameFor(vm, datagram);
          if (frame === null || etherType(frame, 0) !== EtherType.arp || arpOp(frame, ETHERNET_LEN) !== ARP_REPLY) return null;
          return [arpSenderMacHigh(frame, ETHERNET_LEN), arpSenderMacLow(frame, ETHERNET_LEN)].join();
        }, 'an ARP reply');
        ensure(sender === macWords(GATEWAY_MAC).join(), 'another MAC answered for 10.0.0.1');
      }
      return `10.0.0.1 is at ${GATEWAY_MAC}, for Red over NVGRE and for Blue over VXLAN`;
    },
  },
  {
    title: 'The gateway answers ping',
    async play({ red5, blue5 }) {
      await ping(red5, '10.0.0.1');
      await ping(blue5, '10.0.0.1');
      return 'both tenants ping 10.0.0.1, each its own';
    },
  },
  {
    title: 'Red reaches the Internet through its own address',
    async play({ red5 }) {
      const answer = await askWhoAmI(red5, INTERNET_SERVER, 40000);
      ensure(answer.startsWith('inet saw 203.0.113.10:'), answer);
      return `10.0.0.5 asked ${INTERNET_SERVER}: "${answer}"`;
    },
  },
  {
    title: 'Blue, with the very same inside address, through another',
    async play({ blue5 }) {
      const answer = await askWhoAmI(blue5, INTERNET_SERVER, 40000);
      ensure(answer.startsWith('inet saw 203.0.113.20:'), answer);
      await ping(blue5, INTERNET_SERVER);
      return `10.0.0.5 asked ${INTERNET_SERVER}: "${answer}"; ping works too`;
    },
  },
  {
    title: 'A static mapping lets the Internet in, to Red alone',
    async play({ inet, red5 }) {
      inet.send(grePacket(udpPacket(INTERNET_SERVER, 5000, '203.0.113.10', 53, 'a question')));
      await red5.host.expect(datagram => {
        const heard = heardBy(red5, datagram);
        return heard?.text === 'a question' && heard.dport === 5353 ? heard : null;
      }, 'the question at 10.0.0.5:5353');
      return "203.0.113.10:53 arrived at Red's 10.0.0.5:5353";
    },
  },
  {
    title: "Red's VMs talk: one NVGRE host, one VXLAN host",
    async play({ red5, red6, red7 }) {
      sendIp(red5, udpPacket(red5.ca, 1, red6.ca, 2, 'bridged'), red6.mac);
      const bridged = await red6.host.expect(datagram => {
        const heard = heardBy(red6, datagram);
        return heard?.text === 'bridged' ? ipv4Ttl(heard.bytes, 0) : null;
      }, 'the bridged packet');
      sendIp(red5, udpPacket(red5.ca, 1, red7.ca, 2, 'routed'), GATEWAY_MAC);
      const routed = await red7.host.expect(datagram => {
        const heard = heardBy(red7, datagram);
        return heard?.text === 'routed' ? ipv4Ttl(heard.bytes, 0) : null;
      }, 'the routed packet');
      ensure(bridged === 64 && routed === 63, `TTL ${bridged} bridged, ${routed} routed`);
      return 'same subnet bridged (TTL 64), other subnet routed (TTL 63)';
    },
  },
  {
    title: 'Red and Blue never meet',
    async play({ red5, red6, blue6, hostA, hostB }, daemon) {
      // Both tenants have 10.0.0.6 on host-b; only the VSID tells them apart.
      sendIp(red5, udpPacket(red5.ca, 1, red6.ca, 2, 'for red only'), GATEWAY_MAC);
      await red6.host.expect(datagram => heardBy(red6, datagram)?.text === 'for red only' ? true : null, "Red's packet");
      await daemon.settled();
      const strays = [...hostA.leftovers(), ...hostB.leftovers()].filter(datagram => heardBy(blue6, datagram) !== null);
      ensure(strays.length === 0, 'Blue heard a packet of Red');
      // Red's host speaks for Blue's VSID with an address that is only Red's.
      await dropGrew(daemon, '-', 'spoofed_source', () => sendIp({ ...red5, vsid: blue6.vsid, ca: '10.0.0.7' }, udpPacket('10.0.0.7', 1, '10.0.0.6', 2, 'hello Blue'), GATEWAY_MAC));
      return "10.0.0.6 is both Red's and Blue's; only Red's heard it";
    },
  },
  {
    title: 'A spoofed frame is dropped, and named',
    async play({ red6 }, daemon) {
      await dropGrew(daemon, '-', 'spoofed_source', () => sendIp(red6, udpPacket('10.0.0.5', 1, INTERNET_SERVER, 2, 'I am .5, honest'), GATEWAY_MAC));
      return 'host-b claimed 10.0.0.5, whose record is on host-a: spoofed_source';
    },
  },
  {
    title: 'Red reaches its office, and the office Red',
    async play({ red5, red6, hq }) {
      const answer = await askWhoAmI(red5, OFFICE_SERVER, 41000);
      ensure(answer === 'hq saw 10.0.0.5:41000', answer);
      hq.send(grePacket(udpPacket(OFFICE_SERVER, 3, red6.ca, 4, 'from the office'), 9001));
      await red6.host.expect(datagram => heardBy(red6, datagram)?.text === 'from the office' ? true : null, 'the packet from the office');
      return `${OFFICE_SERVER} over GRE key 9001, no NAT: "${answer}"`;
    },
  },
  {
    title: 'Blue cannot',
    async play({ blue5, hq }, daemon) {
      const before = hq.received;
      await dropGrew(daemon, 'blue', 'route_drop', () => sendIp(blue5, udpPacket(blue5.ca, 1, OFFICE_SERVER, 2, 'let me in'), GATEWAY_MAC));
      ensure(hq.received === before, 'the office heard Blue');
      await dropGrew(daemon, '-', 'gre_key_unknown', () => hq.send(grePacket(udpPacket(OFFICE_SERVER, 1, blue5.ca, 2, 'psst'), 6001)));
      return 'Blue has no such site (route_drop); the office has no such key (gre_key_unknown)';
    },
  },
  {
    title: 'Red reaches the physical network, keyed',
    async play({ red5, core }) {
      const answer = await askWhoAmI(red5, PHYSICAL_SERVER, 42000);
      ensure(answer === 'core saw 10.0.0.5:42000', answer);
      const key = await core.expect(datagram => heardInGre(datagram)?.key ?? null, 'the forwarded packet');
      ensure(key === 7001, `key ${key}`);
      return `${PHYSICAL_SERVER} by way of core, GRE key 7001, addresses as they are`;
    },
  },
  {
    title: "Red's ACL keeps SSH out",
    async play({ red5, red6 }, daemon) {
      await dropGrew(daemon, 'red', 'acl_denied', () => sendIp(red5, tcpPacket(red5.ca, 1, red6.ca, 22, TcpFlag.syn), red6.mac));
      return 'entry no-ssh denied 10.0.0.5 → 10.0.0.6:22, in the same subnet too';
    },
  },
  {
    title: 'Traceroute sees the gateway',
    async play({ red5 }, daemon) {
      await dropGrew(daemon, 'red', 'ttl_expired', () => sendIp(red5, udpPacket(red5.ca, 33434, INTERNET_SERVER, 33434, 'hop 1?', { ttl: 1 }), GATEWAY_MAC));
      const from = await red5.host.expect(datagram => {
        const heard = heardBy(red5, datagram);
        return heard?.icmpType === IcmpType.timeExceeded ? heard.from : null;
      }, 'time exceeded');
      ensure(from === '10.0.0.1', `time exceeded from ${from}`);
      return `TTL 1: ICMP time exceeded from ${from}, never from a PA`;
    },
  },
  {
    title: 'Too big for the tunnel: the sender is told',
    async play({ red5, inet }) {
      sendIp(red5, udpPacket(red5.ca, 1, INTERNET_SERVER, 2, new Uint8Array(1472), { dontFragment: true }), GATEWAY_MAC);
      const mtu = await red5.host.expect(datagram => {
        const heard = heardBy(red5, datagram);
        if (heard?.icmpType !== IcmpType.unreachable) return null;
        const at = ipv4HeaderLen(heard.bytes, 0);
        return icmpCode(heard.bytes, at) === 4 ? icmpSeq(heard.bytes, at) : null;
      }, 'fragmentation needed');
      ensure(mtu === 1468, `MTU ${mtu}`);
      const segment = await mssOnTheWay(red5, inet);
      return `1500 bytes with DF: fragmentation needed, MTU ${mtu}; a SYN's MSS 1460 left as ${segment}`;
    },
  },
];

/** Open a TCP connection as far as the SYN, and say which MSS the Internet gets to see. */
async function mssOnTheWay(vm: Vm, inet: Player): Promise<number> {
  sendIp(vm, tcpPacket(vm.ca, 43000, INTERNET_SERVER, 80, TcpFlag.syn, '', { mss: 1460 }), GATEWAY_MAC);
  return inet.expect(datagram => {
    const heard = heardInGre(datagram);
    if (heard?.protocol !== 6) return null;
    return u16(heard.bytes, ipv4HeaderLen(heard.bytes, 0) + 22);
  }, 'the SYN');
}
