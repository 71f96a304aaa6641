/**
 * ICMP errors about a connection (RFC 5927 §4.1 has what can be checked of them): the packet that they quote, as it came or
 * went on this side, belongs to one that is live, and its sender is whom they are for. A VM sends them about what it received,
 * not about its neighbour's. They open, refresh and end nothing.
 */
import { u16, u32 } from '../../codecs/bytes.js';
import { ICMP_LEN, IcmpType, icmpId, icmpQuoteEnd, icmpType } from '../../codecs/icmp.js';
import { ICMPV6_LEN, Icmpv6Type, icmpv6QuoteEnd } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { checkQuotedIpv4, ipv4Dst, ipv4FragmentOffset, ipv4HeaderLen, ipv4Protocol, ipv4Src } from '../../codecs/ipv4.js';
import { IPV6_DST, IPV6_SRC, parseQuotedIpv6 } from '../../codecs/ipv6.js';
import { V4_MAPPED } from '../address.js';
import { seconds, type Context } from '../context.js';
import { isOlder } from '../nat/allowed.js';
import { Fragment, type Packet } from '../packet.js';
import { NO_QUERY, queryOf } from './query.js';
import { askAbout, isOver, reviewConnection } from './review.js';
import type { Tracked } from './tracked.js';

/** Transport bytes that every error quotes: ports, and for ICMP the id (RFC 792). */
const QUOTED_TRANSPORT = 8;

/** Whether the ICMP message `p` is such an error; `rule` is then the entry that opened its connection. */
export function isRelated(p: Packet, c: Context, isOutbound: boolean): boolean {
  if (p.fragment !== Fragment.none) return false;
  const { quotedEnds: ends, connections, policy, review } = c;
  if (!(p.family === 4 ? readQuote4(p, c, isOutbound) : readQuote6(p, c, isOutbound)) || (isOutbound && !isReceiver(p, c))) return false;
  const at = connections.enter(p.tenant, ends.query, ends);
  let isLive = at >= 0 && !isOver(connections, at, seconds(p), policy);
  if (isLive && isOlder(connections.generationOf(at), policy.generation)) {
    askAbout(review.question, policy, p.tenant, ends, ends.adapter === 0 ? -1 : isOutbound ? p.sourceRecord : p.record);
    isLive = reviewConnection(policy, connections, at, p.tenant, review.question) === 0; // what is forbidden is left to its own packets, or to control
  }
  if (isLive && connections.generationOf(at) === (policy.generation & 0xff)) p.rule = connections.rule(at);
  connections.leave();
  return isLive;
}

/** Whether the VM that sends `p` is the local end of what it quotes, or the router that leads there. */
function isReceiver(p: Packet, { policy, quotedEnds: { local0, local1, local2, local3 } }: Context): boolean {
  if (p.src3 === local3 >>> 0 && p.src2 === local2 >>> 0 && p.src1 === local1 >>> 0 && p.src0 === local0 >>> 0) return true;
  const { macHigh, macLow } = policy.records, to = policy.deliverTo(p.tenant, local0 >>> 0, local1 >>> 0, local2 >>> 0, local3 >>> 0);
  return to >= 0 && macHigh[to] === macHigh[p.sourceRecord] && macLow[to] === macLow[p.sourceRecord];
}

/** Fill `quotedEnds` from an ICMP error; false when it is none, or cannot be read. */
function readQuote4(p: Packet, c: Context, isOutbound: boolean): boolean {
  const { mem, l4, icmpType: type } = p;
  if (type !== IcmpType.unreachable && type !== IcmpType.timeExceeded && type !== IcmpType.parameterProblem) return false;
  const quote = l4 + ICMP_LEN, end = icmpQuoteEnd(mem, l4, p.end);
  if (checkQuotedIpv4(mem, quote, end) !== 0 || ipv4FragmentOffset(mem, quote) !== 0) return false;
  const protocol = ipv4Protocol(mem, quote), transport = quote + ipv4HeaderLen(mem, quote);
  if (end - transport < QUOTED_TRANSPORT) return false;
  const ends = c.quotedEnds, quotedType = protocol === IpProtocol.icmp ? icmpType(mem, transport) : -1;
  // Where NAT or a site's map has been at it already, what it quotes is known as this side sees it.
  const isTurned = p.quoteAt >= 0, src = isTurned ? p.quoteSource : ipv4Src(mem, quote), dst = isTurned ? p.quoteDestination : ipv4Dst(mem, quote);
  if (src >>> 0 !== p.dst3 >>> 0) return false;
  ends.adapter = ends.local0 = ends.local1 = ends.remote0 = ends.remote1 = 0;
  ends.local2 = ends.remote2 = V4_MAPPED;
  ends.local3 = (isOutbound ? dst : src) | 0;
  ends.remote3 = (isOutbound ? src : dst) | 0;
  if (!isTurned || p.session < 0) return setPorts(ends, mem, transport, protocol, quotedType, isOutbound);
  const port = p.quoteSourcePort;
  return setRest(ends, protocol, quotedType, isOutbound, port, quotedType >= 0 ? port : p.quoteDestinationPort);
}

function readQuote6(p: Packet, c: Context, isOutbound: boolean): boolean {
  const { mem, l4, icmpType: type } = p;
  if (type < Icmpv6Type.unreachable || type > Icmpv6Type.parameterProblem) return false;
  const quote = l4 + ICMPV6_LEN, end = icmpv6QuoteEnd(mem, l4, p.end), view = c.quoted;
  if (parseQuotedIpv6(mem, quote, end, view) !== 0 || view.fragmentOffset !== 0 || end - view.transportAt < QUOTED_TRANSPORT) return false;
  const src = quote + IPV6_SRC, dst = quote + IPV6_DST;
  if (u32(mem, src) !== p.dst0 || u32(mem, src + 4) !== p.dst1 || u32(mem, src + 8) !== p.dst2 || u32(mem, src + 12) !== p.dst3) return false;
  const local = isOutbound ? dst : src, remote = isOutbound ? src : dst, ends = c.quotedEnds;
  ends.adapter = c.question.adapter; // of whom the error is from, or for
  ends.local0 = u32(mem, local) | 0; ends.local1 = u32(mem, local + 4) | 0; ends.local2 = u32(mem, local + 8) | 0; ends.local3 = u32(mem, local + 12) | 0;
  ends.remote0 = u32(mem, remote) | 0; ends.remote1 = u32(mem, remote + 4) | 0; ends.remote2 = u32(mem, remote + 8) | 0; ends.remote3 = u32(mem, remote + 12) | 0;
  const quotedType = view.protocol === IpProtocol.icmpv6 ? mem[view.transportAt] : -1;
  return setPorts(ends, mem, view.transportAt, view.protocol, quotedType, isOutbound);
}

/** Ports of the quoted packet, which went the other way; a query's id for both. */
function setPorts(ends: Tracked, mem: Uint8Array, transport: number, protocol: number, quotedType: number, isOutbound: boolean): boolean {
  if (quotedType >= 0) return setRest(ends, protocol, quotedType, isOutbound, icmpId(mem, transport), icmpId(mem, transport));
  const hasPorts = protocol === IpProtocol.tcp || protocol === IpProtocol.udp;
  const source = hasPorts ? u16(mem, transport) : 0, destination = hasPorts ? u16(mem, transport + 2) : 0;
  return isOutbound ? setRest(ends, protocol, quotedType, isOutbound, destination, source) : setRest(ends, protocol, quotedType, isOutbound, source, destination);
}

function setRest(ends: Tracked, protocol: number, quotedType: number, isOutbound: boolean, localPort: number, remotePort: number): boolean {
  ends.protocol = protocol;
  ends.localPort = localPort;
  ends.remotePort = remotePort;
  ends.query = queryOf(protocol, quotedType, !isOutbound);
  return ends.query !== NO_QUERY;
}
