/**
 * The probe's way through a running daemon: a host that speaks NVGRE and one that speaks VXLAN, a VM on each, and an uplink
 * with the STUN server behind it, all of them UDP sockets on loopback. What comes out of a tunnel is read by the fuzzer's
 * reader, whose checksums must be right, and put together as an IP stack would.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readIp } from '../../fuzz/packet.js';
import type { StatusAnswer } from '../../../daemon/control/admin.js';
import { until, type Daemon } from '../../daemon/daemon.js';
import { cut4, ethernet, gre, nvgre, reassemble4, udp, vxlan } from '../frames.js';
import type { Arrival, Cut, Way } from './nat-probe.js';
import { endWords, serve, type End, type Server } from './stun.js';

const ADDRESS = '127.0.0.1';
const GATEWAY_MAC = '02:00:00:00:00:01';
const VSID = 5001;
/** Bytes of payload of a piece, a multiple of 8: fits a tunnel of 1500. */
const PIECE = 1400;
const UDP = 17;
/** Tunnel header and Ethernet; GRE to the uplink. */
const FRAME_AT = 8 + 14, GRE_AT = 4;
const VMS = [{ ca: '10.0.0.5', mac: '00:15:5d:00:01:05', host: 'host-a', encap: 'nvgre' }, { ca: '10.0.0.6', mac: '00:15:5d:00:01:06', host: 'host-b', encap: 'vxlan' }] as const;
export const POOL = ['203.0.113.10', '203.0.113.11'];

export class TunnelWay implements Way {
  readonly server: Server = { addresses: ['198.51.100.7', '198.51.100.8'], ports: [3478, 3479] };
  readonly inside: readonly string[] = VMS.map(({ ca }) => ca);
  readonly #hosts: readonly Socket[];
  readonly #uplink: Socket;
  readonly #arrived = new Map<string, Arrival[]>();
  /** Pieces of datagrams that are not whole yet, by source, destination and id. */
  readonly #pieces = new Map<string, Uint8Array[]>();
  #daemon: Daemon | undefined;
  #sent = 0;
  #received = 0;
  #id = 1;
  /** What came that no IP stack would take. */
  readonly refused: string[] = [];

  private constructor(hosts: readonly Socket[], uplink: Socket) {
    this.#hosts = hosts;
    this.#uplink = uplink;
    hosts.forEach(socket => socket.on('message', datagram => this.#take(datagram, FRAME_AT, (from, to, payload) => this.#arrive(from, to, payload))));
    uplink.on('message', datagram => this.#take(datagram, GRE_AT, (from, to, payload) => this.#serve(from, to, payload)));
  }

  static async open(): Promise<TunnelWay> {
    return new TunnelWay([await open(), await open()], await open());
  }

  /** What a config needs to know of it. */
  get peers() {
    return {
      hosts: VMS.map(({ host, encap }, i) => ({ name: host, pa: `${ADDRESS}:${this.#hosts[i].address().port}`, encap })),
      uplinks: [{ name: 'inet', pa: `${ADDRESS}:${this.#uplink.address().port}` }],
      tenants: [{
        name: 'red', rdid: '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01', subnets: [{ vsid: VSID, prefix: '10.0.0.0/24' }],
        records: VMS.map(({ ca, mac, host }) => ({ ca, mac, host })), routes: [{ prefix: '0.0.0.0/0', via: 'nat' }],
        nat: { uplink: 'inet', pool: POOL },
      }],
    };
  }

  /** The daemon that runs under such a config. */
  through(daemon: Daemon): void {
    this.#daemon = daemon;
  }

  send(from: End, to: End, payload: Uint8Array, cut: Cut = 'whole'): void {
    const i = this.inside.indexOf(from.address);
    const { mac, encap } = VMS[i];
    for (const packet of this.#cut(udp(from.address, from.port, to.address, to.port, payload), cut)) {
      const frame = ethernet(GATEWAY_MAC, mac, packet);
      this.#put(this.#hosts[i], encap === 'nvgre' ? nvgre(VSID, frame) : vxlan(VSID, frame), encap === 'nvgre' ? 'gre' : 'vxlan');
    }
  }

  #serve(from: End, to: End, payload: Uint8Array): void {
    const answered = serve(this.server, from, to, payload);
    if (answered === null) return;
    const packet = udp(answered.from.address, answered.from.port, answered.to.address, answered.to.port, answered.answer);
    for (const piece of this.#cut(packet, packet.length > PIECE ? 'in order' : 'whole')) this.#put(this.#uplink, gre(piece), 'gre');
  }

  #cut(packet: Uint8Array, cut: Cut): Uint8Array[] {
    if (cut === 'whole') return [packet];
    const pieces = cut4(packet, PIECE, this.#id++);
    return cut === 'in order' ? pieces : pieces.reverse();
  }

  #put(socket: Socket, datagram: Uint8Array, carrier: 'gre' | 'vxlan'): void {
    this.#sent++;
    socket.send(datagram, this.#daemon!.port(carrier), ADDRESS);
  }

  /** A datagram out of a tunnel: whole UDP goes on to `then`, a piece waits for the others, all else is only counted. */
  #take(datagram: Buffer, at: number, then: (from: End, to: End, payload: Uint8Array) => void): void {
    this.#received++;
    const read = readIp(datagram, at);
    if (typeof read === 'string' || !read.headerOk || read.transport === 'wrong') {
      this.refused.push(`${typeof read === 'string' ? read : 'a wrong checksum'}: ${datagram.toString('hex')}`);
      return;
    }
    let packet: Uint8Array = datagram.subarray(at, at + read.length);
    if (read.isFragment) {
      const key = Buffer.concat([packet.subarray(4, 6), packet.subarray(12, 20)]).toString('hex');
      const pieces = [...this.#pieces.get(key) ?? [], Uint8Array.from(packet)];
      const whole = reassemble4(pieces);
      if (whole === null) {
        this.#pieces.set(key, pieces);
        return;
      }
      this.#pieces.delete(key);
      packet = whole;
      const again = readIp(packet);
      if (typeof again === 'string' || again.transport !== 'right') {
        this.refused.push(`a reassembled datagram of ${packet.length} bytes`);
        return;
      }
    }
    if (read.protocol !== UDP) return;
    const view = new DataView(packet.buffer, packet.byteOffset), l4 = (packet[0] & 15) * 4;
    const end = (address: number, port: number): End => ({ address: packet.subarray(address, address + 4).join('.'), port: view.getUint16(l4 + port) });
    then(end(12, 0), end(16, 2), packet.slice(l4 + 8));
  }

  #arrive(from: End, to: End, payload: Uint8Array): void {
    this.#arrived.set(endWords(to), [...this.#arrived.get(endWords(to)) ?? [], { from, payload }]);
  }

  arrivals(at: End): readonly Arrival[] {
    return this.#arrived.get(endWords(at)) ?? [];
  }

  /**
   * Quiet is when every datagram sent to the daemon has met its fate, and every one that it sent has come: what comes is
   * dealt with at once, so nothing more will be sent. What is held will still have its fate.
   */
  async settle(isEnough: () => boolean): Promise<void> {
    let seen: unknown;
    await until('quiet', async () => {
      if (isEnough()) return true;
      const { packets, receive } = await this.#daemon!.ask<StatusAnswer>('/v1/status');
      seen = packets;
      const fates = packets.forwarded + packets.dropped + packets.consumed;
      const isQuiet = receive.waiting === 0 && packets.held === 0 && packets.in === this.#sent && fates === this.#sent && packets.out === packets.forwarded + packets.copies + packets.originated && packets.out === this.#received;
      return isQuiet ? true : undefined;
    }).catch((error: Error) => { throw new Error(`${error.message}: sent ${this.#sent}, received ${this.#received}, ${JSON.stringify(seen)}`); });
  }

  wait(ms: number): Promise<void> {
    return new Promise(resolve => setTimeout(resolve, ms));
  }

  now(): number { return performance.now(); }

  close(): void {
    for (const socket of [...this.#hosts, this.#uplink]) socket.close();
  }
}

async function open(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, ADDRESS);
  await once(socket, 'listening');
  return socket;
}
