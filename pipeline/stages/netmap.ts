/**
 * netmapIn, netmapOut: between a tenant and a site whose networks use the same addresses, each sees the other's as the config
 * says (sites[].maps). The tenant's rules and routes are about what the tenant sees, so from a site this comes before them and
 * towards one behind. Nothing is remembered. Bytes are `rewrite`'s.
 *   needs   tenant, addresses; out: toPeer
 *   leaves  mapSource, mapDestination, quoteAt and what is quoted, rewrites; in: addresses as the tenant sees them
 *   drops   netmap_hidden, outside_source, icmp_checksum, nat_icmp_*
 */
import { ICMP_LEN, checkIcmp, icmpQuoteEnd, isIcmpError } from '../../codecs/icmp.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { checkQuotedIpv4, ipv4ChecksumOk, ipv4Dst, ipv4Src } from '../../codecs/ipv4.js';
import { Fate, type Context } from '../context.js';
import { Fragment, Rewrite, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';
import { MapWay } from '../tables/netmaps.js';
import { fromOutside } from './claim.js';

/** From a site: its addresses become what the tenant sees, the tenant's what they really are. */
export function netmapIn(p: Packet, c: Context): number {
  if (!c.policy.netmaps.has(p.peer)) return Fate.next;
  if (p.family === 4) {
    const verdict = place(p, c, p.peer, MapWay.siteShown, MapWay.siteReal, MapWay.tenantReal, MapWay.tenantShown);
    if (verdict !== 0) return verdict;
    p.src3 = p.mapSource;
    p.dst3 = p.mapDestination;
  }
  return fromOutside(p, c);
}

/** To a site: the tenant's addresses become what the site sees, the site's what they really are. */
export function netmapOut(p: Packet, c: Context): number {
  if (p.family !== 4 || !c.policy.netmaps.has(p.toPeer)) return Fate.next;
  return place(p, c, p.toPeer, MapWay.tenantShown, MapWay.tenantReal, MapWay.siteReal, MapWay.siteShown);
}

/** Find both addresses their other form; `back` are the ways that must not have them where there is none, or answers would not find home. */
function place(p: Packet, { policy: { netmaps } }: Context, site: number, srcWay: number, srcBack: number, dstWay: number, dstBack: number): number {
  const src = netmaps.find(site, srcWay, p.src3), dst = netmaps.find(site, dstWay, p.dst3);
  if ((src < 0 && netmaps.find(site, srcBack, p.src3) >= 0) || (dst < 0 && netmaps.find(site, dstBack, p.dst3) >= 0)) return Reason.netmap_hidden;
  p.mapSource = src < 0 ? p.src3 : netmaps.apply(src, p.src3);
  p.mapDestination = dst < 0 ? p.dst3 : netmaps.apply(dst, p.dst3);
  p.rewrites |= Rewrite.maps;
  if (p.protocol !== IpProtocol.icmp || !isIcmpError(p.icmpType)) return 0;
  const verdict = findQuote(p);
  if (verdict !== 0) return verdict;
  // What is quoted went the other way.
  p.quoteSource = netmaps.translate(site, dstWay, ipv4Src(p.mem, p.quoteAt));
  p.quoteDestination = netmaps.translate(site, srcWay, ipv4Dst(p.mem, p.quoteAt));
  return 0;
}

/** The packet that an error quotes: `quoteAt`, or a reason. */
function findQuote(p: Packet): number {
  if (p.fragment !== Fragment.none) return Reason.nat_icmp_fragment;
  const { mem, l4, end } = p;
  const fault = checkIcmp(mem, l4, end);
  if (fault !== 0) return fault;
  const quote = l4 + ICMP_LEN;
  if (checkQuotedIpv4(mem, quote, icmpQuoteEnd(mem, l4, end)) !== 0 || !ipv4ChecksumOk(mem, quote)) return Reason.nat_icmp_quote;
  p.quoteAt = quote;
  return 0;
}
