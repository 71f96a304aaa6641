/**
 * guard: the isolation guarantee. A frame counts for a tenant only when its inner source belongs to the very host
 * that sent it, by a record of the tenant's routing domain; which of the domain's VSIDs it carries does not matter
 * (a host that routes by itself stamps the destination's).
 *   needs   claimed, addresses, peer
 *   leaves  tenant, sourceRecord
 *   drops   spoofed_source
 */
import { macHigh, macLow } from '../../codecs/bytes.js';
import { ETHERNET_SRC } from '../../codecs/ethernet.js';
import { IPV6_SRC, isIpv6LinkLocal, isIpv6Unspecified } from '../../codecs/ipv6.js';
import { Fate, type Context } from '../context.js';
import type { Packet } from '../packet.js';
import { RecordKind } from '../policy.js';
import { Reason } from '../reasons.js';

export function guard(p: Packet, c: Context): number {
  const source = p.family === 6 && hasNoAddress(p) ? ownedMac(p, c) : ownedAddress(p, c, p.src0, p.src1, p.src2, p.src3);
  if (source < 0) return Reason.spoofed_source;
  p.sourceRecord = source;
  p.tenant = p.claimed;
  return Fate.next;
}

/** Link-local, or none yet while it asks whether its address is free: then the MAC must be the sender's. */
function hasNoAddress(p: Packet): boolean {
  return isIpv6LinkLocal(p.mem, p.l3 + IPV6_SRC) || isIpv6Unspecified(p.mem, p.l3 + IPV6_SRC);
}

/** The record of the frame's source MAC in this VSID at this sender, or -1. */
export function ownedMac(p: Packet, c: Context): number {
  const { records } = c.policy;
  const source = p.frameAt + ETHERNET_SRC;
  const record = c.policy.findMac(p.subnet, macHigh(p.mem, source), macLow(p.mem, source));
  return record >= 0 && records.peer[record] === p.peer ? record : -1;
}

/**
 * The record by which this address belongs to the sender, or -1: its own; or, for an address that nobody has a record
 * of, that of the tenant's router which the tenant's own route for the address leads to (a next hop, or the wildcard of
 * the subnet), whose MAC the frame must carry. So a router speaks for what is behind it, and for nothing else.
 */
export function ownedAddress(p: Packet, c: Context, a0: number, a1: number, a2: number, a3: number): number {
  const { policy } = c;
  const { records } = policy;
  const own = policy.findRecord(p.claimed, a0, a1, a2, a3);
  if (own >= 0) return records.kind[own] === RecordKind.static && records.peer[own] === p.peer ? own : -1;
  const router = policy.deliverTo(p.claimed, a0, a1, a2, a3);
  if (router < 0 || records.peer[router] !== p.peer) return -1;
  const source = p.frameAt + ETHERNET_SRC;
  const isRouter = macHigh(p.mem, source) === records.macHigh[router] && macLow(p.mem, source) === records.macLow[router];
  return isRouter ? router : -1;
}
