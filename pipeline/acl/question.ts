/**
 * What an ACL is asked: a flow as the VM sees it. Local is the VM's side, the source outbound and the destination inbound.
 * A worker has one and fills it anew; all words are signed, for unsigned ones from 2^31 on are floating point to V8.
 */
import { macHigh, macLow } from '../../codecs/bytes.js';
import { Walk, type Packet } from '../packet.js';
import type { Policy } from '../policy.js';
import { ASKS_ADAPTERS } from './layout.js';

export class Question {
  family = 0;
  protocol = 0;
  /** The ports are real, TCP's or UDP's; those of later fragments are borrowed from the first. */
  hasPorts = false;
  localPort = 0;
  remotePort = 0;
  local0 = 0; local1 = 0; local2 = 0; local3 = 0;
  remote0 = 0; remote1 = 0; remote2 = 0; remote3 = 0;
  /** Whose link-local address it is on the VM's side (`adapterOf`); 0 for every other address. */
  adapter = 0;
  /** Subnet and MAC of the VM's record, and the MAC that the VM sees on the other side; only where the tenant has entries that ask for them. */
  localSubnet = -1;
  localMacHigh = 0;
  localMacLow = 0;
  remoteMacHigh = 0;
  remoteMacLow = 0;
}

/**
 * The sender is a VM. Its MAC is that of the record that proved it, whatever the frame says: a VM cannot pass for another
 * by changing its frame. The other side is whom the frame is addressed to.
 */
export function askOut(q: Question, p: Packet, policy: Policy): void {
  const { acl, records } = policy;
  q.family = p.family;
  q.protocol = p.protocol;
  q.hasPorts = p.hasPorts;
  q.localPort = p.sport;
  q.remotePort = p.dport;
  q.local0 = p.src0 | 0; q.local1 = p.src1 | 0; q.local2 = p.src2 | 0; q.local3 = p.src3 | 0;
  q.remote0 = p.dst0 | 0; q.remote1 = p.dst1 | 0; q.remote2 = p.dst2 | 0; q.remote3 = p.dst3 | 0;
  q.adapter = isLinkLocal(q.local0) ? adapterOf(policy, p.sourceRecord) : 0;
  if ((acl.asks[p.tenant] & ASKS_ADAPTERS) === 0) return; // which saves a first packet 30 ns
  q.localSubnet = records.subnet[p.sourceRecord];
  q.localMacHigh = records.macHigh[p.sourceRecord];
  q.localMacLow = records.macLow[p.sourceRecord] | 0;
  q.remoteMacHigh = macHigh(p.mem, p.frameAt);
  q.remoteMacLow = macLow(p.mem, p.frameAt) | 0;
}

/** The receiver is a VM, or what a VM leads to. What is routed comes from the gateway's MAC, what is bridged from its sender's: again that of the record, not of the frame. */
export function askIn(q: Question, p: Packet, policy: Policy): void {
  const { acl, records, macHigh: ownHigh, macLow: ownLow } = policy;
  q.family = p.family;
  q.protocol = p.protocol;
  q.hasPorts = p.hasPorts;
  q.localPort = p.dport;
  q.remotePort = p.sport;
  q.local0 = p.dst0 | 0; q.local1 = p.dst1 | 0; q.local2 = p.dst2 | 0; q.local3 = p.dst3 | 0;
  q.remote0 = p.src0 | 0; q.remote1 = p.src1 | 0; q.remote2 = p.src2 | 0; q.remote3 = p.src3 | 0;
  q.adapter = isLinkLocal(q.local0) ? adapterOf(policy, p.record) : 0;
  if ((acl.asks[p.tenant] & ASKS_ADAPTERS) === 0) return;
  q.localSubnet = records.subnet[p.record];
  const isBridged = p.next === Walk.toNeighbor;
  q.localMacHigh = records.macHigh[p.record];
  q.localMacLow = records.macLow[p.record] | 0;
  q.remoteMacHigh = isBridged ? records.macHigh[p.sourceRecord] : ownHigh;
  q.remoteMacLow = (isBridged ? records.macLow[p.sourceRecord] : ownLow) | 0;
}

/** fe80::/10: an address of which there may be many, one a subnet, and which any VM may take (RFC 4291 §2.5.6). */
export function isLinkLocal(word0: number): boolean {
  return word0 >>> 22 === 0x3fa;
}

/** A word that tells a record's adapter from others of its tenant, the same over reloads: of its MAC, which its VM cannot choose, and its VSID. */
export function adapterOf({ records, subnets }: Policy, record: number): number {
  return (records.macLow[record] ^ Math.imul(subnets.vsid[records.subnet[record]], 0x9e3779b1)) | 1;
}
