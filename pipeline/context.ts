/** What a worker's stages share: the policy in force, the state, and where packets leave. */
import { GreView } from '../codecs/gre.js';
import { Ipv6View } from '../codecs/ipv6.js';
import { MeterCache } from './acl/meter-cache.js';
import { Question } from './acl/question.js';
import { Tallies } from './acl/tallies.js';
import { Tracked } from './acl/tracked.js';
import type { Ledger } from './ledger.js';
import type { Packet } from './packet.js';
import type { Policy } from './policy.js';
import type { Random } from './random.js';
import { Review } from './review.js';
import type { Connections } from './tables/connections.js';
import type { FragmentTable } from './tables/fragments.js';
import type { IpIds } from './tables/ip-ids.js';
import type { NatState } from './tables/nat-state.js';
import { QuotaNotes } from './tables/quota-notes.js';
import type { RateLimit } from './tables/rate-limit.js';
import type { Revoked } from './tables/revoked.js';
import { SpentPorts } from './tables/spent-ports.js';
import type { Traffic } from './tables/traffic.js';

/**
 * Where datagrams leave. `mem[at..end)` is the UDP payload, tunnel header first; `peer` numbers its destination in
 * the policy; `flowHash` picks the source port. Returns true when it keeps the memory for later (the kernel had no
 * room), so that the caller must not write there again. Never throws: what cannot be sent is the outlet's to count.
 */
export interface Outlet {
  send(mem: Uint8Array, at: number, end: number, peer: number, flowHash: number): boolean;
}

/** What a stage says: go on, one of these fates, or a drop `Reason` above 0. */
export const Fate = { next: 0, consumed: -1, held: -2, forwarded: -3 } as const;

/** A stage decides one thing about the packet in hand. It never throws; its name is its word in traces. */
export type Stage = (p: Packet, c: Context) => number;

/** Bytes kept free before a packet in the scratch slot: the longest tunnel header, 8 + 14, rounded up. */
export const HEADROOM = 64;
const SCRATCH_BYTES = HEADROOM + 65536;

/** How a packet leaves: to a host in a frame, to an uplink or site in GRE. */
export class Exit {
  peer = 0;
  /** Host: virtual subnet and MACs. */
  vsid = 0;
  dstHigh = 0;
  dstLow = 0;
  srcHigh = 0;
  srcLow = 0;
  /** Uplink and site: GRE key, -1 without. */
  key = -1;
}

export class Context {
  policy: Policy;
  /** Its row of every policy's tallies: the worker's number. */
  tallyRow: number;
  readonly nat: NatState;
  readonly fragments: FragmentTable;
  readonly connections: Connections;
  readonly revoked: Revoked;
  readonly ledger: Ledger;
  readonly random: Random;
  readonly outlet: Outlet;
  readonly icmpLimit: RateLimit;
  /** New NAT sessions by tenant; packets and bytes by tenant. */
  readonly newFlows: RateLimit;
  readonly traffic: Traffic;
  readonly ids: IpIds;
  readonly spentPorts = new SpentPorts();
  readonly quotaNotes: QuotaNotes;
  /** Views that codecs fill; good until the next packet. */
  readonly gre = new GreView();
  readonly ipv6 = new Ipv6View();
  readonly quoted = new Ipv6View();
  readonly exit = new Exit();
  readonly question = new Question();
  /** Of what an earlier policy allowed. */
  readonly review: Review;
  /** What `track` is to do, and the ends of what an ICMP error quotes. */
  readonly trackedOut = new Tracked();
  readonly trackedIn = new Tracked();
  readonly quotedEnds = new Tracked();
  /** Of the policy in force. */
  tallies: Tallies;
  readonly meters = new MeterCache();
  /** One slot with headroom, for packets that grow and those made here. */
  scratch: Uint8Array = Buffer.alloc(SCRATCH_BYTES);

  constructor(parts: { policy: Policy; worker: number; nat: NatState; fragments: FragmentTable; ledger: Ledger; random: Random; outlet: Outlet; icmpLimit: RateLimit; newFlows: RateLimit; traffic: Traffic; ids: IpIds; connections: Connections; revoked: Revoked }) {
    this.policy = parts.policy;
    this.tallyRow = parts.worker;
    this.tallies = new Tallies(parts.policy.data.tallies, parts.worker);
    this.nat = parts.nat;
    this.quotaNotes = new QuotaNotes(parts.nat.sizes.tenants);
    this.fragments = parts.fragments;
    this.ledger = parts.ledger;
    this.random = parts.random;
    this.outlet = parts.outlet;
    this.icmpLimit = parts.icmpLimit;
    this.newFlows = parts.newFlows;
    this.traffic = parts.traffic;
    this.ids = parts.ids;
    this.connections = parts.connections;
    this.revoked = parts.revoked;
    this.review = new Review(parts.nat, parts.connections, parts.revoked);
  }

  /** Go by another policy, from the next packet on. */
  adopt(policy: Policy): void {
    this.policy = policy;
    this.traffic.quotas = policy.quotas;
    this.tallies = new Tallies(policy.data.tallies, this.tallyRow);
  }

  /** The kernel keeps the scratch slot: leave it to it and the collector, and take another. */
  replaceScratch(): void {
    this.scratch = Buffer.alloc(SCRATCH_BYTES);
  }
}

/** Whole seconds of the packet's time; sessions and fragments count in these. */
export function seconds(p: Packet): number {
  return Math.floor(p.now / 1000);
}
