/**
 * Who plays in the demo: VMs on two hosts, an Internet server, a physical router and an office, each a UDP socket that
 * builds and reads real tunnel packets. The far ends answer by themselves; the VMs do what the story tells them.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { u16 } from '../../codecs/bytes.js';
import { ETHERNET_LEN } from '../../codecs/ethernet.js';
import { GreView, parseGre } from '../../codecs/gre.js';
import { IcmpType, icmpType } from '../../codecs/icmp.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { checkIpv4, ipv4Dst, ipv4HeaderLen, ipv4Protocol, ipv4Src } from '../../codecs/ipv4.js';
import { checkNvgre, NVGRE_LEN, nvgreVsid } from '../../codecs/nvgre.js';
import { UDP_LEN, udpDstPort, udpSrcPort } from '../../codecs/udp.js';
import { checkVxlan, VXLAN_LEN, vxlanVni } from '../../codecs/vxlan.js';
import { formatAddress } from '../../config/index.js';
import { ethernetFrame, grePacket, icmpPacket, nvgrePacket, udpPacket, vxlanPacket } from '../cli/craft.js';

/** How long anybody waits for a packet on loopback before calling it lost. */
const PATIENCE_MS = 2000;

/** A bound UDP socket with an inbox that can be waited on. */
export class Player {
  readonly name: string;
  readonly socket: Socket = createSocket('udp4');
  readonly #inbox: Uint8Array[] = [];
  #arrival: (() => void) | null = null;
  /** Answers by itself when set: what to send back, or null. */
  respond: ((datagram: Uint8Array) => Uint8Array | null) | null = null;
  received = 0;
  sent = 0;
  /** The gateway's port for this player's kind of tunnel. */
  #gatewayPort = 0;

  constructor(name: string) {
    this.name = name;
    this.socket.on('message', datagram => {
      this.received++;
      const answer = this.respond?.(datagram) ?? null;
      if (answer !== null) this.send(answer);
      this.#inbox.push(datagram);
      this.#arrival?.();
    });
  }

  async bind(): Promise<number> {
    this.socket.bind(0, '127.0.0.1');
    await once(this.socket, 'listening');
    return (this.socket.address() as AddressInfo).port;
  }

  /** Where the gateway listens for this player. */
  speakTo(port: number): void {
    this.#gatewayPort = port;
  }

  send(datagram: Uint8Array): void {
    this.sent++;
    this.socket.send(datagram, this.#gatewayPort, '127.0.0.1');
  }

  /** The first datagram, already here or yet to come, that `wanted` makes something of; it is taken out. Throws when none comes. */
  async expect<T>(wanted: (datagram: Uint8Array) => T | null, what: string): Promise<T> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      for (let i = 0; i < this.#inbox.length; i++) {
        const found = wanted(this.#inbox[i]);
        if (found === null) continue;
        this.#inbox.splice(i, 1);
        return found;
      }
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`${this.name} did not see ${what} within ${PATIENCE_MS} ms`);
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left);
        this.#arrival = () => { clearTimeout(timer); resolve(); };
      });
      this.#arrival = null;
    }
  }

  /** Datagrams here that nobody has taken. */
  leftovers(): readonly Uint8Array[] {
    return this.#inbox;
  }

  close(): void {
    this.socket.close();
  }
}

/** A VM: where it lives and who it says it is. */
export interface Vm {
  readonly tenant: string;
  readonly vsid: number;
  readonly ca: string;
  readonly mac: string;
  readonly host: Player;
  readonly encap: 'nvgre' | 'vxlan';
}

/** Put a frame on the VM's subnet. */
export function sendFrame(vm: Vm, frame: Uint8Array): void {
  vm.host.send(vm.encap === 'nvgre' ? nvgrePacket(vm.vsid, frame) : vxlanPacket(vm.vsid, frame));
}

/** Send an IP packet to the gateway's MAC, as a VM does for everything beyond its subnet, or to `mac`. */
export function sendIp(vm: Vm, packet: Uint8Array, mac: string): void {
  sendFrame(vm, ethernetFrame(mac, vm.mac, packet));
}

/** The frame in a datagram to this VM's host, if it is of this VM's subnet and to its MAC; else null. */
export function frameFor(vm: Vm, datagram: Uint8Array): Uint8Array | null {
  const isNvgre = vm.encap === 'nvgre';
  const fault = isNvgre ? checkNvgre(datagram, 0, datagram.length) : checkVxlan(datagram, 0, datagram.length);
  if (fault !== 0 || (isNvgre ? nvgreVsid(datagram, 0) : vxlanVni(datagram, 0)) !== vm.vsid) return null;
  const frame = datagram.subarray(isNvgre ? NVGRE_LEN : VXLAN_LEN);
  const to = Buffer.from(frame.buffer, frame.byteOffset, 6).toString('hex').match(/../g)?.join(':');
  return to === vm.mac ? frame : null;
}

/** An IPv4 packet taken apart, enough for the story. */
export interface Heard {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly sport: number;
  readonly dport: number;
  readonly icmpType: number;
  readonly text: string;
  readonly bytes: Uint8Array;
}

export function readIpv4(packet: Uint8Array): Heard | null {
  if (checkIpv4(packet, 0, packet.length) !== 0) return null;
  const at = ipv4HeaderLen(packet, 0);
  const protocol = ipv4Protocol(packet, 0);
  const isUdp = protocol === IpProtocol.udp;
  return {
    from: formatAddress([0, 0, 0xffff, ipv4Src(packet, 0)]), to: formatAddress([0, 0, 0xffff, ipv4Dst(packet, 0)]), protocol,
    sport: isUdp ? udpSrcPort(packet, at) : 0, dport: isUdp ? udpDstPort(packet, at) : 0,
    icmpType: protocol === IpProtocol.icmp ? icmpType(packet, at) : -1,
    text: Buffer.from(packet.buffer, packet.byteOffset + at + UDP_LEN, packet.length - at - UDP_LEN).toString(), bytes: packet,
  };
}

/** The IPv4 packet delivered to this VM, or null. */
export function heardBy(vm: Vm, datagram: Uint8Array): Heard | null {
  const frame = frameFor(vm, datagram);
  return frame === null || u16(frame, 12) !== 0x0800 ? null : readIpv4(frame.subarray(ETHERNET_LEN));
}

const view = new GreView();

/** The IPv4 packet and key in a plain GRE datagram, or null. */
export function heardInGre(datagram: Uint8Array): (Heard & { key: number }) | null {
  if (parseGre(datagram, 0, datagram.length, view) !== 0) return null;
  const { key } = view;
  const heard = readIpv4(datagram.subarray(view.headerLen));
  return heard === null ? null : { ...heard, key };
}

/** A server behind GRE: echoes pings, and tells UDP senders what it saw of them. Only for `address`. */
export function serverBehindGre(name: string, address: string): (datagram: Uint8Array) => Uint8Array | null {
  return datagram => {
    const heard = heardInGre(datagram);
    if (heard === null || heard.to !== address) return null;
    if (heard.protocol === IpProtocol.udp) {
      return grePacket(udpPacket(heard.to, heard.dport, heard.from, heard.sport, `${name} saw ${heard.from}:${heard.sport}`), heard.key);
    }
    if (heard.icmpType !== IcmpType.echo) return null;
    const at = ipv4HeaderLen(heard.bytes, 0);
    const rest = (u16(heard.bytes, at + 4) << 16 | u16(heard.bytes, at + 6)) >>> 0;
    return grePacket(icmpPacket(heard.to, heard.from, IcmpType.echoReply, 0, rest, heard.bytes.subarray(at + 8)), heard.key);
  };
}
