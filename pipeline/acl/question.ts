/**
 * What an ACL is asked: a flow as the VM sees it. Local is the VM's side, the source outbound and the destination inbound.
 * A worker has one and fills it anew; all words are signed, for unsigned ones from 2^31 on are floating point to V8.
 */
import { macHigh, macLow } from '../../codecs/bytes.js';
import { Walk, type Packet } from '../packet.js';
import type { Policy } from '../policy.js';
import { ASKS_MACS } from './layout.js';

export class Question {
  family = 0;
  protocol = 0;
  /** The ports are real, TCP's or UDP's; those of later fragments are borrowed from the first. */
  hasPorts = false;
  localPort = 0;
  remotePort = 0;
  local0 = 0; local1 = 0; local2 = 0; local3 = 0;
  remote0 = 0; remote1 = 0; remote2 = 0; remote3 = 0;
  /** MAC of the VM's record, and the one that the VM sees on the other side; only where the tenant has entries that ask for them. */
  localMacHigh = 0;
  localMacLow = 0;
  remoteMacHigh = 0;
  remoteMacLow = 0;
}

/**
 * The sender is a VM. Its MAC is that of the record that proved it, whatever the frame says: a VM cannot pass for another
 * by changing its frame. The other side is whom the frame is addressed to.
 */
export function askOut(q: Question, p: Packet, { acl, records }: Policy): void {
  q.family = p.family;
  q.protocol = p.protocol;
  q.hasPorts = p.hasPorts;
  q.localPort = p.sport;
  q.remotePort = p.dport;
  q.local0 = p.src0 | 0; q.local1 = p.src1 | 0; q.local2 = p.src2 | 0; q.local3 = p.src3 | 0;
  q.remote0 = p.dst0 | 0; q.remote1 = p.dst1 | 0; q.remote2 = p.dst2 | 0; q.remote3 = p.dst3 | 0;
  if ((acl.asks[p.tenant] & ASKS_MACS) === 0) return; // which saves a first packet 30 ns
  q.localMacHigh = records.macHigh[p.sourceRecord];
  q.localMacLow = records.macLow[p.sourceRecord] | 0;
  q.remoteMacHigh = macHigh(p.mem, p.frameAt);
  q.remoteMacLow = macLow(p.mem, p.frameAt) | 0;
}

/** The receiver is a VM, or what a VM leads to. What is routed comes from the gateway's MAC, what is bridged from its sender's: again that of the record, not of the frame. */
export function askIn(q: Question, p: Packet, { acl, records, macHigh: ownHigh, macLow: ownLow }: Policy): void {
  q.family = p.family;
  q.protocol = p.protocol;
  q.hasPorts = p.hasPorts;
  q.localPort = p.dport;
  q.remotePort = p.sport;
  q.local0 = p.dst0 | 0; q.local1 = p.dst1 | 0; q.local2 = p.dst2 | 0; q.local3 = p.dst3 | 0;
  q.remote0 = p.src0 | 0; q.remote1 = p.src1 | 0; q.remote2 = p.src2 | 0; q.remote3 = p.src3 | 0;
  if ((acl.asks[p.tenant] & ASKS_MACS) === 0) return;
  const isBridged = p.next === Walk.toNeighbor;
  q.localMacHigh = records.macHigh[p.record];
  q.localMacLow = records.macLow[p.record] | 0;
  q.remoteMacHigh = isBridged ? records.macHigh[p.sourceRecord] : ownHigh;
  q.remoteMacLow = (isBridged ? records.macLow[p.sourceRecord] : ownLow) | 0;
}
