/**
 * rewrite: change the bytes, now that everything is decided. Checksums are patched, never recomputed, so that what
 * came broken leaves broken (RFC 1624, RFC 4787 §8); only an ICMP error that was verified is summed anew.
 *   needs   rewrites and what they name
 *   leaves  the inner packet as it will be sent
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { fillIcmpChecksum, setIcmpId } from '../../codecs/icmp.js';
import { ipv4DontFragment, ipv4Dst, ipv4HeaderLen, ipv4Protocol, ipv4Src, ipv4Ttl, setIpv4Dst, setIpv4Id, setIpv4Src, setIpv4Ttl } from '../../codecs/ipv4.js';
import { ipv6HopLimit, setIpv6HopLimit } from '../../codecs/ipv6.js';
import { TCP_CHECKSUM, TCP_DST_PORT, TCP_SRC_PORT, clampMss, patchTcp32, setTcpDstPort, setTcpSrcPort } from '../../codecs/tcp.js';
import { putU16 } from '../../codecs/bytes.js';
import { patchUdp32, setUdpDstPort, setUdpSrcPort } from '../../codecs/udp.js';
import { Fate, type Context } from '../context.js';
import { applyMaps } from '../nat/netmap.js';
import { Fragment, Rewrite, type Packet } from '../packet.js';

/** A hairpin: both ends change, and the source is the one outside. */
const BOTH = Rewrite.natOut | Rewrite.natIn;

export function rewrite(p: Packet, c: Context): number {
  const { mem, l3, l4, rewrites } = p;
  if ((rewrites & Rewrite.ttl) !== 0) {
    if (p.family === 4) setIpv4Ttl(mem, l3, ipv4Ttl(mem, l3) - 1);
    else setIpv6HopLimit(mem, l3, ipv6HopLimit(mem, l3) - 1);
  }
  if ((rewrites & Rewrite.mss) !== 0 && !clampMss(mem, l4, p.mss)) p.rewrites &= ~Rewrite.mss; // it was small enough
  if ((rewrites & Rewrite.natOut) !== 0) renew(p, c);
  if ((rewrites & Rewrite.maps) !== 0) {
    applyMaps(p);
  } else if (p.quoteAt >= 0) {
    rewriteError(p);
  } else if ((rewrites & BOTH) !== 0) {
    const isBoth = (rewrites & BOTH) === BOTH, hasTransport = p.fragment !== Fragment.later;
    if ((rewrites & Rewrite.natOut) !== 0) setEnd(mem, l3, p.end, true, isBoth ? p.src3 : p.natAddress, isBoth ? p.sport : p.natPort, hasTransport);
    if ((rewrites & Rewrite.natIn) !== 0) setEnd(mem, l3, p.end, false, p.dst3, p.dport, hasTransport);
  }
  return Fate.next;
}

/**
 * A new ID for what leaves by NAT, if it is in pieces or somebody further on may cut it (RFC 7857 §10, RFC 6864 §5.3.1): before this gateway
 * does, so that pieces of ours have it, and for all fragments of a datagram the same.
 */
function renew(p: Packet, c: Context): void {
  const src = (p.rewrites & BOTH) === BOTH ? p.src3 : p.natAddress;
  if (p.fragment === Fragment.none) {
    if (!ipv4DontFragment(p.mem, p.l3)) setIpv4Id(p.mem, p.l3, c.ids.next(src | 0, p.dst3 | 0, p.protocol));
    return;
  }
  const { fragments, ids } = c;
  fragments.locks.lock(0);
  let id = fragments.newId(p.datagram, p.fragmentId);
  if (id < 0) {
    id = ids.next(src | 0, p.dst3 | 0, p.protocol);
    fragments.setNewId(p.datagram, p.fragmentId, id);
  }
  fragments.locks.unlock();
  setIpv4Id(p.mem, p.l3, id);
}

/** An ICMP error: its own address outside, and the quoted packet the other way round. */
function rewriteError(p: Packet): void {
  const { mem, l3, l4, end, quoteAt, rewrites } = p;
  if ((rewrites & Rewrite.natIn) !== 0) {
    setEnd(mem, quoteAt, end, true, p.quoteSource, p.quoteSourcePort, true);
    setIpv4Dst(mem, l3, p.dst3);
  }
  if ((rewrites & Rewrite.natOut) !== 0) {
    setEnd(mem, quoteAt, end, false, p.quoteDestination, p.quoteDestinationPort, true);
    setIpv4Src(mem, l3, (rewrites & BOTH) === BOTH ? p.src3 : p.natAddress);
  }
  fillIcmpChecksum(mem, l4, end);
}

/**
 * Source or destination address and port of the IPv4 packet at `ip`, which may be a quote cut off anywhere behind 8
 * transport bytes.
 */
function setEnd(mem: Uint8Array, ip: number, end: number, isSource: boolean, address: number, port: number, hasTransport: boolean): void {
  const was = isSource ? ipv4Src(mem, ip) : ipv4Dst(mem, ip);
  const transport = ip + ipv4HeaderLen(mem, ip);
  if (isSource) setIpv4Src(mem, ip, address);
  else setIpv4Dst(mem, ip, address);
  if (!hasTransport) return;
  switch (ipv4Protocol(mem, ip)) {
    case IpProtocol.tcp:
      if (transport + TCP_CHECKSUM + 2 > end) return putU16(mem, transport + (isSource ? TCP_SRC_PORT : TCP_DST_PORT), port);
      patchTcp32(mem, transport, was, address);
      return isSource ? setTcpSrcPort(mem, transport, port) : setTcpDstPort(mem, transport, port);
    case IpProtocol.udp:
      patchUdp32(mem, transport, was, address);
      return isSource ? setUdpSrcPort(mem, transport, port) : setUdpDstPort(mem, transport, port);
    case IpProtocol.icmp:
      return setIcmpId(mem, transport, port);
  }
}
