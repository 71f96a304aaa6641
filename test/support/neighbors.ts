/** ARP and Neighbor Discovery as VMs speak them, in whole frames. */
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, writeArp } from '../../codecs/arp.js';
import { EtherType } from '../../codecs/ethernet.js';
import { fillIcmpv6Checksum, writeNeighborAdvert, writeNeighborSolicit } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { IPV6_LEN } from '../../codecs/ipv6.js';
import { ethernet, ip, ip4, ip6, mac } from './frames.js';

export const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const NOBODY = '00:00:00:00:00:00';

function arp(dst: string, src: string, op: number, sender: readonly [string, string], target: readonly [string, string]): Uint8Array {
  const message = new Uint8Array(ARP_LEN);
  writeArp(message, 0, op, ...mac(sender[0]), ip4(sender[1]), ...mac(target[0]), ip4(target[1]));
  return ethernet(dst, src, message, EtherType.arp);
}

/** Who has `target`? From 0.0.0.0 it is a probe (RFC 5227), with sender and target alike an announcement. */
export function arpRequest(from: string, sender: string, target: string, to = BROADCAST): Uint8Array {
  return arp(to, from, ARP_REQUEST, [from, sender], [NOBODY, target]);
}

/** `sender` is at `from`, told to `to`; in a frame from `src` when that is another. */
export function arpReply(from: string, sender: string, to: string, target: string, src = from): Uint8Array {
  return arp(to, src, ARP_REPLY, [from, sender], [to, target]);
}

/** The group a solicitation for `target` goes to (RFC 4291 §2.7.1), and its MAC (RFC 2464 §7). */
export function solicitedNode(target: string): { address: string; mac: string } {
  const [a, b, c] = ip6(target).subarray(13);
  const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
  return { address: `ff02::1:ff${hex(a)}:${hex(b)}${hex(c)}`, mac: `33:33:ff:${hex(a)}:${hex(b)}:${hex(c)}` };
}

/** Who has `target`? From `::` it is duplicate-address detection and names no link address. `to` makes it unicast: MAC and address. */
export function neighborSolicit(from: string, sender: string, target: string, to?: { mac: string; address: string }, hopLimit = 255): Uint8Array {
  const group = to ?? solicitedNode(target);
  const whole = new Uint8Array(32);
  writeNeighborSolicit(whole, 0, ip6(target), 0, ...mac(from));
  const message = sender === '::' ? whole.subarray(0, 24) : whole;
  const packet = ip(sender, group.address, IpProtocol.icmpv6, message, { ttl: hopLimit });
  fillIcmpv6Checksum(packet, IPV6_LEN, packet.length, 0);
  return ethernet(group.mac, from, packet);
}

/** `target` is at `link`: an advertisement in a frame from `src`. `flags` are `NaFlag` bits. */
export function neighborAdvert(src: string, link: string, target: string, to: { mac: string; address: string }, flags: number, sender = target): Uint8Array {
  const message = new Uint8Array(32);
  writeNeighborAdvert(message, 0, ip6(target), 0, flags, ...mac(link));
  const packet = ip(sender, to.address, IpProtocol.icmpv6, message, { ttl: 255 });
  fillIcmpv6Checksum(packet, IPV6_LEN, packet.length, 0);
  return ethernet(to.mac, src, packet);
}
