/**
 * fit: hold to the tunnel's MTU. The kernel would fragment an oversize datagram and report it sent, so the gateway
 * must notice itself: IPv4 without DF will be cut, all else is refused with the MTU that would do (RFC 4459 §3.2).
 * A SYN is made to announce segments that fit both ways.
 *   needs   peer, toPeer, toKey
 *   leaves  mtu, mss
 *   drops   too_big
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { ipv4DontFragment } from '../../codecs/ipv4.js';
import { TcpFlag, tcpFlags } from '../../codecs/tcp.js';
import { Fate, type Context } from '../context.js';
import { Fragment, Rewrite, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';

/** IP and TCP header without options: what MSS leaves out (RFC 6691 §2). */
const HEADERS_4 = 40;
const HEADERS_6 = 60;
/** No IPv6 link has less (RFC 8200 §5). */
const IPV6_MIN_MTU = 1280;

export function fit(p: Packet, c: Context): number {
  if (p.family === 0) return Fate.next; // ARP in passing
  const mtu = c.policy.innerMtu(p.toPeer, p.toKey >= 0);
  if (p.protocol === IpProtocol.tcp && p.fragment !== Fragment.later && (tcpFlags(p.mem, p.l4) & TcpFlag.syn) !== 0) {
    p.mss = Math.min(mtu, c.policy.innerMtu(p.peer, p.key >= 0)) - (p.family === 4 ? HEADERS_4 : HEADERS_6);
    p.rewrites |= Rewrite.mss;
  }
  if (p.end - p.l3 <= mtu) return Fate.next;
  p.mtu = p.family === 4 ? mtu : Math.max(mtu, IPV6_MIN_MTU);
  return p.family === 4 && !ipv4DontFragment(p.mem, p.l3) ? Fate.next : Reason.too_big;
}
