/**
 * encapFrame, encapGre: put the packet into its tunnel and hand it over.
 *   needs   toPeer, and record (a host) or toKey (an uplink, a site); the packet as it will be
 *   leaves  forwarded
 */
import { macHigh, macLow } from '../../codecs/bytes.js';
import { ETHERNET_DST, ETHERNET_SRC } from '../../codecs/ethernet.js';
import { Fate, type Context } from '../context.js';
import { Cell } from '../ledger.js';
import type { Packet } from '../packet.js';
import { transmit } from '../transmit.js';

/** Routed to a host: from the gateway's MAC to the record's, under the VSID of the record's subnet. */
export function encapFrame(p: Packet, c: Context): number {
  const { exit, policy } = c;
  const { records, subnets } = policy;
  exit.vsid = subnets.vsid[records.subnet[p.record]];
  exit.dstHigh = records.macHigh[p.record];
  exit.dstLow = records.macLow[p.record];
  exit.srcHigh = policy.macHigh;
  exit.srcLow = policy.macLow;
  return forward(p, c);
}

/** Bridged within the VSID: the frame keeps its MACs. */
export function encapBridged(p: Packet, c: Context): number {
  const { exit } = c;
  exit.vsid = p.vsid;
  exit.dstHigh = macHigh(p.mem, p.frameAt + ETHERNET_DST);
  exit.dstLow = macLow(p.mem, p.frameAt + ETHERNET_DST);
  exit.srcHigh = macHigh(p.mem, p.frameAt + ETHERNET_SRC);
  exit.srcLow = macLow(p.mem, p.frameAt + ETHERNET_SRC);
  return forward(p, c);
}

/** To an uplink or a site. */
export function encapGre(p: Packet, c: Context): number {
  c.exit.key = p.toKey;
  return forward(p, c);
}

function forward(p: Packet, c: Context): number {
  c.exit.peer = p.toPeer;
  const datagrams = transmit(c, c.exit, p.tenant, p.mem, p.start, p.l3, p.end, p.etherType, p.mtu, p.flowHash);
  c.ledger.add(p.tenant, Cell.copies, datagrams - 1);
  return Fate.forwarded;
}
