/**
 * The bytes of a packet between a tenant and a site that shows its addresses as others, or is shown the tenant's: its own two
 * addresses, and in an ICMP error those of the packet it quotes, whose source is this one's destination's side.
 */
import { fillIcmpChecksum } from '../../codecs/icmp.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { ipv4Dst, ipv4FragmentOffset, ipv4HeaderLen, ipv4Protocol, ipv4Src, setIpv4Dst, setIpv4Src } from '../../codecs/ipv4.js';
import { TCP_CHECKSUM, patchTcp32 } from '../../codecs/tcp.js';
import { UDP_LEN, patchUdp32 } from '../../codecs/udp.js';
import type { Packet } from '../packet.js';

/** Put in what `netmapIn` or `netmapOut` have decided. */
export function applyMaps(p: Packet): void {
  const { mem, l3, l4, end, quoteAt } = p;
  if (quoteAt >= 0) {
    setAddresses(mem, quoteAt, end, p.quoteSource, p.quoteDestination);
    fillIcmpChecksum(mem, l4, end); // of a message that was verified
  }
  setAddresses(mem, l3, end, p.mapSource, p.mapDestination);
}

/** Both addresses of the IPv4 packet at `ip`, and what covers them; it may be a fragment, or a quote that is cut off. */
function setAddresses(mem: Uint8Array, ip: number, end: number, src: number, dst: number): void {
  const oldSrc = ipv4Src(mem, ip), oldDst = ipv4Dst(mem, ip);
  setIpv4Src(mem, ip, src);
  setIpv4Dst(mem, ip, dst);
  if (ipv4FragmentOffset(mem, ip) !== 0) return;
  const transport = ip + ipv4HeaderLen(mem, ip);
  switch (ipv4Protocol(mem, ip)) {
    case IpProtocol.tcp:
      if (transport + TCP_CHECKSUM + 2 > end) return;
      patchTcp32(mem, transport, oldSrc, src);
      patchTcp32(mem, transport, oldDst, dst);
      return;
    case IpProtocol.udp:
      if (transport + UDP_LEN > end) return;
      patchUdp32(mem, transport, oldSrc, src);
      patchUdp32(mem, transport, oldDst, dst);
      return;
  }
}
