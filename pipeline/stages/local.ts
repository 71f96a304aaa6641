/**
 * local: the gateway's own CA was asked. Echo is answered, fragment by fragment where it comes so; nothing else is.
 *   needs   family, l3, l4
 *   drops   gateway_no_service, icmp_checksum, icmpv6_checksum
 */
import { putU32, u32 } from '../../codecs/bytes.js';
import { IcmpType, checkIcmp, setIcmpType } from '../../codecs/icmp.js';
import { Icmpv6Type, checkIcmpv6, setIcmpv6Type } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { ipv4Dst, ipv4Src, setIpv4Dst, setIpv4Fragment, setIpv4Src, setIpv4Ttl } from '../../codecs/ipv4.js';
import { IPV6_DST, IPV6_SRC, setIpv6HopLimit } from '../../codecs/ipv6.js';
import { OWN_TTL, originate, toSender } from '../answer.js';
import { Fate, type Context } from '../context.js';
import { Fragment, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';

export function local(p: Packet, c: Context): number {
  if (p.family === 4 && p.protocol === IpProtocol.icmp) return echo4(p, c);
  if (p.family === 6 && p.protocol === IpProtocol.icmpv6) return echo6(p, c);
  return Reason.gateway_no_service;
}

function echo4(p: Packet, c: Context): number {
  const { mem, l3, l4, end } = p;
  if (p.icmpType !== IcmpType.echo) return Fate.consumed; // replies and errors end here
  if (p.fragment === Fragment.none) {
    const fault = checkIcmp(mem, l4, end);
    if (fault !== 0) return fault;
  }
  toSender(p, c);
  const from = ipv4Src(mem, l3);
  setIpv4Src(mem, l3, ipv4Dst(mem, l3));
  setIpv4Dst(mem, l3, from);
  setIpv4Ttl(mem, l3, OWN_TTL);
  if (p.fragment !== Fragment.later) setIcmpType(mem, l4, IcmpType.echoReply);
  const mtu = c.policy.innerMtu(p.peer, p.key >= 0);
  if (end - l3 > mtu) setIpv4Fragment(mem, l3, p.fragmentOffset, p.moreFragments, false); // ours now, so ours to cut
  originate(p, c, mem, p.start, l3, end, p.etherType, mtu);
  return Fate.consumed;
}

function echo6(p: Packet, c: Context): number {
  const { mem, l3, l4, end } = p;
  if (p.icmpType !== Icmpv6Type.echo) return Fate.consumed;
  if (p.fragment === Fragment.none) {
    const fault = checkIcmpv6(mem, l4, end, l3);
    if (fault !== 0) return fault;
  }
  p.mtu = c.policy.innerMtu(p.peer, p.key >= 0);
  if (end - l3 > p.mtu) return Reason.too_big;
  toSender(p, c);
  for (let word = 0; word < 16; word += 4) {
    const from = u32(mem, l3 + IPV6_SRC + word);
    putU32(mem, l3 + IPV6_SRC + word, u32(mem, l3 + IPV6_DST + word));
    putU32(mem, l3 + IPV6_DST + word, from);
  }
  setIpv6HopLimit(mem, l3, OWN_TTL);
  if (p.fragment !== Fragment.later) setIcmpv6Type(mem, l4, Icmpv6Type.echoReply);
  originate(p, c, mem, p.start, l3, end, p.etherType);
  return Fate.consumed;
}
