/**
 * A gateway without sockets: the real pipeline between the records of a capture and the frames that it would send.
 * Time and randomness come from the capture and the seed, so that the same input gives the same bytes.
 */
import { timeMs, type CaptureRecord } from '../../codecs/capture.js';
import { GRE_UDP_PORT, FLOW_PORT_MIN } from '../../codecs/gre-udp.js';
import { LinkView, parseLink } from '../../codecs/link.js';
import { UNDERLAY_HEADROOM, UnderlayView, parseUnderlay, writeUnderlay, type UnderlayRoute } from '../../codecs/underlay.js';
import { VXLAN_PORT } from '../../codecs/vxlan.js';
import type { Address, Config, Words } from '../../config/types.js';
import { FRAGMENTS_PER_TICK, Gateway, makeLoneState, type Observer } from '../../pipeline/gateway.js';
import { imbalances, totals, type LedgerTotals } from '../../pipeline/ledger.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { Encap, PeerKind } from '../../pipeline/policy.js';
import { seededRandom } from '../../pipeline/random.js';
import { Reason } from '../../pipeline/reasons.js';
import { compileConfig, stateSizes, TenantIds } from '../tables.js';
import { TICK_MS } from '../worker/clock.js';

/** A frame the gateway would have sent, from `mem[at]` to the end of `mem`; its tunnel header is at `payloadAt`. */
export interface Departure {
  readonly mem: Uint8Array;
  readonly at: number;
  readonly payloadAt: number;
  readonly peer: number;
  readonly route: UnderlayRoute;
}

/** Sessions and fragments count seconds in 32 bits; so much below the end, no timer that is added overflows. */
const LATEST_MS = 0xf0000000 * 1000;
/** Ports above FLOW_PORT_MIN, as a mask. */
const FLOW_PORTS = 0x3fff;
/** Timers run on for so long after the last packet. */
const AFTER_SECONDS = 60;

export class Offline {
  readonly gateway: Gateway;
  readonly ids: TenantIds;
  /** Exceptions in the pipeline, and the tag of the packet that met each; there are none unless it has a bug. */
  readonly errors: { readonly tag: number; readonly error: unknown }[] = [];
  /** Told of every tunnel packet, before it is looked into. */
  onArrival: ((outer: UnderlayView) => void) | null = null;
  /** Datagrams too long for UDP, which no socket would have taken. */
  unsendable = 0;
  /** Milliseconds since the epoch: the latest time a record had. */
  now = 0;
  readonly #config: Config;
  readonly #onSend: (departure: Departure) => void;
  readonly #link = new LinkView();
  readonly #outer = new UnderlayView();
  readonly #grePort: number;
  readonly #vxlanPort: number;
  /** The record in hand, which the pipeline may write into. */
  #mem = new Uint8Array(65536);
  #tag = 0;
  #tickedAt = -Infinity;
  /** Where peers last spoke to us, by family: our address, where the config listens on all. */
  readonly #heardAt: Record<4 | 6, Words> = { 4: [0, 0, 0xffff, 0], 6: [0, 0, 0, 0] };

  constructor(config: Config, seed: number, observer: Observer | null, onSend: (departure: Departure) => void) {
    this.#config = config;
    this.#onSend = onSend;
    this.#grePort = config.gateway.grePort || GRE_UDP_PORT; // port 0, any free one, has no meaning in a file
    this.#vxlanPort = config.gateway.vxlanPort || VXLAN_PORT;
    this.ids = new TenantIds(config.gateway.limits.tenants);
    this.gateway = new Gateway({
      state: makeLoneState(stateSizes(config), seed), worker: 0,
      policy: compileConfig(config, this.ids, 1, seed), random: seededRandom(seed),
      outlet: { send: (mem, at, end, peer, flowHash) => this.#send(mem, at, end, peer, flowHash) },
    });
    this.gateway.observer = observer;
    this.gateway.onFault = error => { this.errors.push({ tag: this.#tag, error }); };
  }

  /** Let the gateway receive a record. Its bytes stay as they are. Returns the packet's fate or drop reason. */
  receive(record: CaptureRecord): number {
    const at = timeMs(record);
    if (at >= 0) this.#advance(Math.min(at, LATEST_MS));
    const len = record.end - record.at;
    if (len > this.#mem.length) this.#mem = new Uint8Array(len);
    this.#mem.set(record.mem.subarray(record.at, record.end));
    return this.receiveFrame(this.#mem, len, record.linkType, record.number);
  }

  /** As `receive`, for the frame `mem[0..end)`, which the pipeline may write into. */
  receiveFrame(mem: Uint8Array, end: number, linkType: number, tag: number): number {
    this.#tag = tag;
    const outer = this.#outer;
    let reason = parseLink(mem, 0, end, linkType, this.#link);
    if (reason === 0) reason = parseUnderlay(mem, this.#link.networkAt, end, this.#link.etherType, this.#grePort, this.#vxlanPort, outer);
    if (reason === 0) this.onArrival?.(outer);
    const side = reason === 0 ? this.#sideOf(outer) : -1;
    if (reason === 0 && side < 0) reason = Reason.not_for_gateway;
    if (reason !== 0) {
      this.gateway.now = this.now;
      this.gateway.refuse(mem, 0, end, reason, tag);
      return reason;
    }
    this.#heardAt[isV4(outer.dst0, outer.dst1, outer.dst2) ? 4 : 6] = [outer.dst0, outer.dst1, outer.dst2, outer.dst3];
    const peer = this.gateway.context.policy.findSender(outer.src0, outer.src1, outer.src2, outer.src3, outer.srcPort);
    const carrier = outer.isVxlan ? Carrier.vxlan : Carrier.gre;
    this.gateway.now = this.now;
    return this.gateway.receive(mem, 0, outer.at, outer.end, peer, carrier, side, tag);
  }

  /** A UDP payload, `mem[0..end)`, from `peer` (-1: nobody we know), as if it had come to the right one of our addresses. */
  receiveDatagram(mem: Uint8Array, end: number, peer: number, isVxlan: boolean, tag: number): number {
    this.#tag = tag;
    this.gateway.now = this.now;
    return this.gateway.receive(mem, 0, 0, end, peer, isVxlan ? Carrier.vxlan : Carrier.gre, Side.both, tag);
  }

  /** Let timers run on for a minute, or for as long as a fragment may be held, so that nothing waits any more. */
  finish(): void {
    for (let second = 0; second < AFTER_SECONDS; second++) this.#advance(this.now + 1000);
    if (this.totals().packets.held > 0) this.#advance(this.now + this.#config.gateway.timers.fragmentHold * 1000);
  }

  totals(): LedgerTotals {
    return totals([this.gateway.ledger]);
  }

  /** By name, `-` for nobody. */
  tenantTotals(): Map<string, LedgerTotals> {
    const found = new Map([['-', totals([this.gateway.ledger], [0])]]);
    for (const [id, name] of this.ids.entries()) found.set(name, totals([this.gateway.ledger], [id]));
    return found;
  }

  /** Everything that does not add up, in words. */
  imbalances(): string[] {
    const all = this.totals();
    const found = imbalances(all);
    if (all.packets.in !== this.gateway.received) found.push(`${this.gateway.received} packets received but ${all.packets.in} counted as in`);
    for (const [name, t] of this.tenantTotals()) found.push(...imbalances(t).map(what => `tenant ${name}: ${what}`));
    return found;
  }

  /** Time goes on, never back, and timers run as they would have run in a daemon. */
  #advance(to: number): void {
    if (to > this.now) this.now = to;
    const gap = this.now - this.#tickedAt;
    if (gap < TICK_MS) return;
    this.#tickedAt = this.now;
    // In a pause a daemon ticks many times, each of which looks at some of the fragments: look at all.
    const ticks = gap < 1000 ? 1 : Math.ceil(this.#config.gateway.limits.fragments / FRAGMENTS_PER_TICK);
    for (let i = 0; i < ticks; i++) this.gateway.tick(this.now);
  }

  /** Which of our addresses the packet came to, as a `Side`; -1 for none. */
  #sideOf({ dst0, dst1, dst2, dst3 }: UnderlayView): number {
    const { listen, uplinkListen } = this.#config.gateway;
    const isOurs = ({ family, words }: Address): boolean =>
      isAny(words) ? (family === 4) === isV4(dst0, dst1, dst2) : words[0] === dst0 && words[1] === dst1 && words[2] === dst2 && words[3] === dst3;
    if (uplinkListen.length === 0) return listen.some(isOurs) ? Side.both : -1;
    if (listen.some(isOurs)) return Side.hosts;
    return uplinkListen.some(isOurs) ? Side.uplinks : -1;
  }

  /** Put the outer headers around what the pipeline sends. */
  #send(mem: Uint8Array, at: number, end: number, peer: number, flowHash: number): boolean {
    const { peers } = this.gateway.context.policy;
    const family = peers.family[peer] === 4 ? 4 : 6;
    const frame = new Uint8Array(UNDERLAY_HEADROOM + end - at);
    frame.set(mem.subarray(at, end), UNDERLAY_HEADROOM);
    const [a, b, c, d] = peers.pa.subarray(peer * 4, peer * 4 + 4);
    const route: UnderlayRoute = {
      family, src: this.#ownAddress(family, peers.kind[peer] === PeerKind.host), dst: [a, b, c, d],
      srcPort: FLOW_PORT_MIN | (flowHash & FLOW_PORTS), // RFC 8086 §3.1: the source port names the flow
      dstPort: peers.port[peer] || (peers.encap[peer] === Encap.vxlan ? VXLAN_PORT : GRE_UDP_PORT),
    };
    const frameAt = writeUnderlay(frame, UNDERLAY_HEADROOM, frame.length, route);
    if (frameAt < 0) this.unsendable++;
    else this.#onSend({ mem: frame, at: frameAt, payloadAt: UNDERLAY_HEADROOM, peer, route });
    return false;
  }

  /** The PA we speak from: the first that the config gives for this side and family. */
  #ownAddress(family: 4 | 6, toHost: boolean): Words {
    const { listen, uplinkListen } = this.#config.gateway;
    const own = (toHost || uplinkListen.length === 0 ? listen : uplinkListen).find(address => address.family === family);
    return own === undefined || isAny(own.words) ? this.#heardAt[family] : own.words;
  }
}

function isV4(a: number, b: number, c: number): boolean {
  return a === 0 && b === 0 && c === 0xffff;
}

/** 0.0.0.0 or ::, every address of the machine. */
function isAny(words: Words): boolean {
  return words[0] === 0 && words[1] === 0 && words[3] === 0 && (words[2] === 0 || words[2] === 0xffff);
}
