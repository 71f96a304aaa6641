/**
 * frame: read the inner Ethernet header and tell ARP from IP.
 *   needs   frameAt..end is the frame
 *   leaves  etherType and l3; the next walk
 *   drops   ethernet_*, ethertype_unsupported
 */
import { ETHERNET_LEN, EtherType, checkEthernet, etherType } from '../../codecs/ethernet.js';
import { Fate, type Context } from '../context.js';
import { Walk, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';

export function frame(p: Packet, _c: Context): number {
  const fault = checkEthernet(p.mem, p.frameAt, p.end);
  if (fault !== 0) return fault;
  p.etherType = etherType(p.mem, p.frameAt);
  p.l3 = p.frameAt + ETHERNET_LEN;
  if (p.etherType === EtherType.arp) p.next = Walk.hostArp;
  else if (p.etherType === EtherType.ipv4 || p.etherType === EtherType.ipv6) p.next = Walk.hostIp;
  else return Reason.ethertype_unsupported;
  return Fate.next;
}
