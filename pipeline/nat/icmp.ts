/**
 * ICMP errors through the NAT (RFC 5508 §4.2): the packet quoted inside tells the session, and is translated back to
 * what its sender knows. An error opens nothing, refreshes nothing and ends nothing (REQ-6, RFC 4787 REQ-12). One that is
 * hairpinned goes out and comes in again (REQ-7): the second time it quotes what the first has made of it.
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

/** Check the error and what it quotes; 0 with `quoteAt` and the quoted ends set, or a reason. */
function checkError(p: Packet): number {
  if (p.quoteAt >= 0) return 0;
  if (p.fragment !== Fragment.none) return Reason.nat_icmp_fragment;
  const { mem, l4, end } = p;
  const fault = checkIcmp(mem, l4, end);
  if (fault !== 0) return fault;
  const quote = l4 + ICMP_LEN;
  const quoteEnd = icmpQuoteEnd(mem, l4, end);
  if (checkQuotedIpv4(mem, quote, quoteEnd) !== 0 || !ipv4ChecksumOk(mem, quote)) return Reason.nat_icmp_quote;
  const transport = quote + ipv4HeaderLen(mem, quote);
  if (ipv4FragmentOffset(mem, quote) !== 0 || quoteEnd - transport < QUOTED_TRANSPORT) return Reason.nat_icmp_quote;
  p.quoteAt = quote;
  p.quoteSource = ipv4Src(mem, quote);
  p.quoteDestination = ipv4Dst(mem, quote);
  // A query's id stands for both ports.
  const isIcmp = ipv4Protocol(mem, quote) === IpProtocol.icmp;
  p.quoteSourcePort = isIcmp ? icmpId(mem, transport) : u16(mem, transport);
  p.quoteDestinationPort = isIcmp ? p.quoteSourcePort : u16(mem, transport + 2);
  return 0;
}

/** The remote port of a session: queries have none. */
function remotePort(protocol: number, port: number): number {
  return protocol === IpProtocol.icmp ? 0 : port;
}

/** An error from outside about a packet we sent: the quote's source is the outside address of a binding. */
export function icmpErrorIn(p: Packet, c: Context): number {
  const fault = checkError(p);
  if (fault !== 0) return fault;
  const { nat } = c;
  const { quoteSource: address, quoteSourcePort: port } = p;
  if (address !== p.dst3) return Reason.nat_icmp_quote;
  const protocol = ipv4Protocol(p.mem, p.quoteAt);
  const binding = nat.findOutside(protocol, address, port);
  if (binding < 0 || nat.tenantOf(binding) !== p.tenant) return Reason.nat_no_session;
  const inside = nat.inside(binding), insidePort = nat.insidePort(binding);
  nat.lockInside(p.tenant, protocol, inside, insidePort);
  p.session = findLiveSession(c, p.tenant, protocol, inside, insidePort, p.quoteDestination, remotePort(protocol, p.quoteDestinationPort), seconds(p));
  nat.locks.unlock();
  if (p.session < 0 || nat.sessionOutside(p.session) !== address || nat.sessionOutsidePort(p.session) !== port) return Reason.nat_no_session;
  p.natAddress = address;
  p.natPort = port;
  p.quoteSource = p.dst3 = inside;
  p.quoteSourcePort = insidePort;
  p.rewrites |= Rewrite.natIn;
  return deliver(p, c);
}

/** An error from inside about a packet we delivered: the quote's destination is the inside address of a binding. */
export function icmpErrorOut(p: Packet, c: Context): number {
  const fault = checkError(p);
  if (fault !== 0) return fault;
  const { nat, policy: { mapped } } = c;
  const protocol = ipv4Protocol(p.mem, p.quoteAt);
  const { quoteDestination: inside, quoteDestinationPort: insidePort, quoteSource: remote } = p;
  if (isQuery(p, protocol) && mapped.findInside(p.tenant, protocol, inside, insidePort) < 0) return Reason.nat_no_session; // none has come in
  if (remote !== p.dst3) return Reason.nat_icmp_quote;
  nat.lockInside(p.tenant, protocol, inside, insidePort);
  p.session = findLiveSession(c, p.tenant, protocol, inside, insidePort, remote, remotePort(protocol, p.quoteSourcePort), seconds(p));
  nat.locks.unlock();
  if (p.session < 0) return Reason.nat_no_session;
  p.quoteDestination = nat.sessionOutside(p.session);
  p.quoteDestinationPort = p.natPort = nat.sessionOutsidePort(p.session);
  // Who has an address of its own outside speaks from it (REQ-5: Basic NAT), everybody else from the session's.
  const own = mapped.findInside(p.tenant, IpProtocol.icmp, p.src3, 0);
  p.natAddress = own < 0 ? p.quoteDestination : mapped.external(own, p.src3);
  p.rewrites |= Rewrite.natOut;
  return Fate.next;
}

function isQuery(p: Packet, protocol: number): boolean {
  return protocol === IpProtocol.icmp && icmpType(p.mem, p.quoteAt + ipv4HeaderLen(p.mem, p.quoteAt)) === IcmpType.echo;
}
