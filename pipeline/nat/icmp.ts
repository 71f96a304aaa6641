/**
 * ICMP errors through the NAT (RFC 5508 §4.2): the packet quoted inside tells the session, and is translated back to
 * what its sender knows. An error opens nothing, refreshes nothing and ends nothing (REQ-6, RFC 4787 REQ-12).
 */
import { u16 } from '../../codecs/bytes.js';
import { ICMP_LEN, IcmpType, checkIcmp, icmpId, icmpQuoteEnd, icmpType } from '../../codecs/icmp.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { checkQuotedIpv4, ipv4ChecksumOk, ipv4Dst, ipv4FragmentOffset, ipv4HeaderLen, ipv4Protocol, ipv4Src } from '../../codecs/ipv4.js';
import { Fate, seconds, type Context } from '../context.js';
import { Fragment, Rewrite, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';
import { findLiveSession } from './live.js';
import { deliver } from '../stages/route.js';

/** Transport bytes that every error quotes: ports, and for ICMP the id (RFC 792). */
const QUOTED_TRANSPORT = 8;

/** Check the error and what it quotes; 0 with `quoteAt` set, or a reason. */
function checkError(p: Packet): number {
  if (p.fragment !== Fragment.none) return Reason.nat_icmp_fragment;
  const { mem, l4, end } = p;
  const fault = checkIcmp(mem, l4, end);
  if (fault !== 0) return fault;
  const quote = l4 + ICMP_LEN;
  const quoteEnd = icmpQuoteEnd(mem, l4, end);
  if (checkQuotedIpv4(mem, quote, quoteEnd) !== 0 || !ipv4ChecksumOk(mem, quote)) return Reason.nat_icmp_quote;
  if (ipv4FragmentOffset(mem, quote) !== 0 || quoteEnd - quote - ipv4HeaderLen(mem, quote) < QUOTED_TRANSPORT) return Reason.nat_icmp_quote;
  p.quoteAt = quote;
  return 0;
}

/** Port of the quoted packet at `offset` (0 source, 2 destination); a query's id for both. */
function quotedPort(p: Packet, offset: number): number {
  const transport = p.quoteAt + ipv4HeaderLen(p.mem, p.quoteAt);
  return ipv4Protocol(p.mem, p.quoteAt) === IpProtocol.icmp ? icmpId(p.mem, transport) : u16(p.mem, transport + offset);
}

function remotePort(p: Packet, port: number): number {
  return ipv4Protocol(p.mem, p.quoteAt) === IpProtocol.icmp ? 0 : port;
}

/** An error from outside about a packet we sent: the quote's source is the outside address of a binding. */
export function icmpErrorIn(p: Packet, c: Context): number {
  const fault = checkError(p);
  if (fault !== 0) return fault;
  const { mem, quoteAt } = p;
  const { nat } = c;
  const address = ipv4Src(mem, quoteAt);
  const port = quotedPort(p, 0);
  if (address !== p.dst3) return Reason.nat_icmp_quote;
  const protocol = ipv4Protocol(mem, quoteAt);
  const binding = nat.findOutside(protocol, address, port);
  if (binding < 0 || nat.tenantOf(binding) !== p.tenant) return Reason.nat_no_session;
  const inside = nat.inside(binding), insidePort = nat.insidePort(binding);
  nat.lockInside(p.tenant, protocol, inside, insidePort);
  p.session = findLiveSession(c, p.tenant, protocol, inside, insidePort, ipv4Dst(mem, quoteAt), remotePort(p, quotedPort(p, 2)), seconds(p));
  nat.locks.unlock();
  if (p.session < 0 || nat.sessionOutside(p.session) !== address || nat.sessionOutsidePort(p.session) !== port) return Reason.nat_no_session;
  p.natAddress = address;
  p.natPort = port;
  p.dst3 = inside;
  p.rewrites |= Rewrite.natIn;
  return deliver(p, c);
}

/** An error from inside about a packet we delivered: the quote's destination is the inside address of a binding. */
export function icmpErrorOut(p: Packet, c: Context): number {
  const fault = checkError(p);
  if (fault !== 0) return fault;
  const { mem, quoteAt } = p;
  const { nat } = c;
  const protocol = ipv4Protocol(mem, quoteAt);
  const transport = quoteAt + ipv4HeaderLen(mem, quoteAt);
  if (protocol === IpProtocol.icmp && icmpType(mem, transport) === IcmpType.echo) return Reason.nat_no_session; // no query comes in
  const remote = ipv4Src(mem, quoteAt);
  const port = remotePort(p, quotedPort(p, 0));
  if (remote !== p.dst3) return Reason.nat_icmp_quote;
  const inside = ipv4Dst(mem, quoteAt), insidePort = quotedPort(p, 2);
  nat.lockInside(p.tenant, protocol, inside, insidePort);
  p.session = findLiveSession(c, p.tenant, protocol, inside, insidePort, remote, port, seconds(p));
  nat.locks.unlock();
  if (p.session < 0) return Reason.nat_no_session;
  p.natAddress = nat.sessionOutside(p.session);
  p.natPort = nat.sessionOutsidePort(p.session);
  p.rewrites |= Rewrite.natOut;
  return Fate.next;
}
