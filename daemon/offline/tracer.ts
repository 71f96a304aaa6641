/** One packet through a gateway in memory, with an ear at every stage. */
import type { CaptureRecord } from '../../codecs/capture.js';
import type { UnderlayView } from '../../codecs/underlay.js';
import type { Config, Words } from '../../config/types.js';
import { Fate, type Context, type Stage } from '../../pipeline/context.js';
import { datagramWords } from '../../pipeline/explain/datagram-words.js';
import { describe, ownerText, verdictText } from '../../pipeline/explain/describe.js';
import type { Packet } from '../../pipeline/packet.js';
import { Encap, PeerKind } from '../../pipeline/policy.js';
import { REASON_NAMES, reasonRow } from '../../pipeline/reasons.js';
import { tellStep, type TraceStep } from '../../pipeline/explain/trace-steps.js';
import { endpointText, lineText, paText, peerText, tenantText } from '../../pipeline/explain/words.js';
import { Offline, type Departure } from './offline.js';
import { datagramOf, type Trace } from './trace-report.js';

/** The packet we are after, where the record has no number of its own. */
const ONLY = 1;

export class Tracer {
  readonly #offline: Offline;
  /** Tag of the packet to tell about; 0 while others pass. */
  #wanted = 0;
  #steps: TraceStep[] = [];
  #departures: Departure[] = [];
  #trace: Trace | null = null;
  #released: string[] = [];
  #input = '';
  passed = 0;

  /** `nowMs` is the time for packets that bring none. */
  constructor(config: Config, seed: number, nowMs: number) {
    this.#offline = new Offline(config, seed, {
      step: (stage, p, verdict, c) => this.#step(stage, p, verdict, c),
      settled: (p, verdict, c) => this.#settled(p, verdict, c),
    }, departure => { if (this.#wanted !== 0) this.#departures.push(departure); });
    this.#offline.now = nowMs;
  }

  /** The peer of this name, as a sender; a site also by its tenant. */
  senderNamed(kind: keyof typeof PeerKind, name: string, tenant: string): number {
    const { policy } = this.#offline.gateway.context;
    const { peers, tenants } = policy;
    const peer = peers.names.findIndex((peerName, i) => peerName === name && peers.kind[i] === PeerKind[kind] && (kind !== 'site' || tenants.names[peers.tenant[i]] === tenant));
    const [a, b, c, d] = peers.pa.subarray(peer * 4, peer * 4 + 4);
    return policy.findSender(a, b, c, d, peers.port[peer]); // of sites that share a PA, the one that stands for all
  }

  /** Who sends from this PA, -1 for nobody. */
  senderAt([a, b, c, d]: Words, port: number): number {
    return this.#offline.gateway.context.policy.findSender(a, b, c, d, port);
  }

  speaksVxlan(peer: number): boolean {
    return peer >= 0 && this.#offline.gateway.context.policy.peers.encap[peer] === Encap.vxlan;
  }

  /** A UDP payload from a sender. */
  datagram(bytes: Uint8Array, sender: number, isVxlan: boolean, input: string): Trace {
    this.#expect(ONLY, input);
    this.#tellSender(sender, '');
    this.#offline.receiveDatagram(bytes, bytes.length, sender, isVxlan, ONLY);
    return this.#told();
  }

  /** A frame with all its outer headers. */
  frame(bytes: Uint8Array, linkType: number, input: string): Trace {
    this.#expect(ONLY, input);
    this.#offline.receiveFrame(bytes, bytes.length, linkType, ONLY);
    return this.#told();
  }

  /** A record of a capture. */
  record(record: CaptureRecord, input: string): Trace {
    this.#expect(record.number, input);
    this.#offline.receive(record);
    return this.#told();
  }

  /** Let a record go through untold, for the state that it leaves. */
  pass(record: CaptureRecord): void {
    this.#offline.receive(record);
    this.passed++;
  }

  #expect(tag: number, input: string): void {
    this.#wanted = tag;
    this.#input = input;
    this.#offline.onArrival = outer => this.#arrived(outer);
  }

  /** Throws what the pipeline threw, if it did: that is no verdict. */
  #told(): Trace {
    const fault = this.#offline.errors.find(({ tag }) => tag === this.#wanted);
    if (fault !== undefined) throw fault.error;
    if (this.#trace === null) throw new Error('the packet was never settled');
    return { ...this.#trace, released: this.#released };
  }

  #arrived(outer: UnderlayView): void {
    const { policy } = this.#offline.gateway.context;
    const from = endpointText(outer.src0, outer.src1, outer.src2, outer.src3, outer.srcPort);
    const to = endpointText(outer.dst0, outer.dst1, outer.dst2, outer.dst3, 0);
    const how = outer.isNative ? 'native GRE' : outer.isVxlan ? 'VXLAN port' : 'GRE port';
    this.#tellSender(policy.findSender(outer.src0, outer.src1, outer.src2, outer.src3, outer.srcPort), `${from} -> ${to}, ${how}: `);
  }

  #tellSender(peer: number, before: string): void {
    const { policy } = this.#offline.gateway.context;
    const { peers } = policy;
    if (peer < 0) {
      this.#steps.push({ stage: 'sender', text: `${before}no host, uplink or site has this PA`, config: '' });
      return;
    }
    const sharers = peers.names.filter((_, i) => peers.kind[i] === PeerKind.site && i !== peer && paText(policy, i) === paText(policy, peer));
    const who = sharers.length === 0 ? peerText(policy, peer) : `${peerText(policy, peer)}, or ${sharers.join(', ')} at the same PA`;
    this.#steps.push({ stage: 'sender', text: `${before}${who} (${paText(policy, peer)})`, config: lineText(policy, peers.line[peer]) });
  }

  #step(stage: Stage, p: Packet, verdict: number, c: Context): void {
    if (p.tag !== this.#wanted || p.resumed) return;
    this.#steps.push(...tellStep(stage, p, verdict, c));
  }

  #settled(p: Packet, verdict: number, c: Context): void {
    if (this.#wanted === 0) return;
    const { policy } = c;
    const departures = this.#departures.splice(0);
    if (p.resumed) {
      this.#released.push(`sets free packet ${p.tag}, which waited for it: ${describe(p, verdict, c)}`);
      return;
    }
    const row = verdict > 0 ? reasonRow(verdict) : undefined;
    const names: Readonly<Record<number, Trace['verdict']>> = { [Fate.forwarded]: 'forwarded', [Fate.consumed]: 'consumed', [Fate.held]: 'held' };
    this.#trace = {
      input: this.#input, tenant: tenantText(policy, p.tenant), steps: this.#steps,
      verdict: names[verdict] ?? 'dropped',
      text: row === undefined ? `${verdictText(p, verdict, c)}, ${ownerText(p, c)}` : `dropped at ${this.#lastStage()}, ${REASON_NAMES[verdict]}, ${ownerText(p, c)}`,
      drop: row === undefined ? null : { stage: this.#lastStage(), reason: REASON_NAMES[verdict], ...row },
      sends: departures.map(({ mem, payloadAt, peer, route }) =>
        datagramOf(route, peerText(policy, peer), datagramWords(mem, payloadAt, mem.length, policy.peers.encap[peer] === Encap.vxlan).layers)),
      released: [],
    };
  }

  /** Where the packet ended: with the sender when no stage had it, before that with the outer headers. */
  #lastStage(): string {
    return this.#steps.at(-1)?.stage ?? 'the outer headers';
  }
}
