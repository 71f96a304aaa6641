/**
 * decap: take the tunnel header off.
 *   needs   at..end is the UDP payload, peer is who sent it
 *   leaves  from a host: vsid and frameAt; from an uplink or site: key, l3 and etherType
 *   drops   gre_*, nvgre_*, vxlan_*, encap_mismatch, gre_protocol, gre_key_unknown
 */
import { EtherType } from '../../codecs/ethernet.js';
import { greChecksumOk, parseGre } from '../../codecs/gre.js';
import { NVGRE_LEN, checkNvgre, nvgreVsid } from '../../codecs/nvgre.js';
import { VXLAN_LEN, checkVxlan, vxlanVni } from '../../codecs/vxlan.js';
import { Fate, type Context } from '../context.js';
import { Carrier, type Packet } from '../packet.js';
import { Encap, PeerKind } from '../policy.js';
import { Reason } from '../reasons.js';

/** A host's frame, in NVGRE or VXLAN as the host is configured. */
export function decapOverlay(p: Packet, c: Context): number {
  const isVxlan = c.policy.peers.encap[p.peer] === Encap.vxlan;
  if (isVxlan !== (p.carrier === Carrier.vxlan)) return Reason.encap_mismatch;
  if (isVxlan) {
    const fault = checkVxlan(p.mem, p.at, p.end);
    if (fault !== 0) return fault;
    p.vsid = vxlanVni(p.mem, p.at);
    p.frameAt = p.at + VXLAN_LEN;
    return Fate.next;
  }
  const fault = checkNvgre(p.mem, p.at, p.end);
  if (fault !== 0) return fault;
  p.vsid = nvgreVsid(p.mem, p.at);
  p.frameAt = p.at + NVGRE_LEN;
  return Fate.next;
}

/** An uplink's or site's packet, in plain GRE. Sites that share a PA are told apart by their key. */
export function decapGre(p: Packet, c: Context): number {
  if (p.carrier === Carrier.vxlan) return Reason.encap_mismatch;
  const fault = parseGre(p.mem, p.at, p.end, c.gre);
  if (fault !== 0) return fault;
  if (!greChecksumOk(p.mem, p.at, p.end)) return Reason.gre_checksum;
  const { protocol, key, headerLen } = c.gre;
  if (protocol !== EtherType.ipv4 && protocol !== EtherType.ipv6) return Reason.gre_protocol;

  p.key = key;
  p.etherType = protocol;
  p.l3 = p.at + headerLen;
  if (c.policy.peers.kind[p.peer] === PeerKind.site) {
    const site = c.policy.greKeys.find(p.peer, key >= 0 ? 1 : 0, key >= 0 ? key : 0, 0, 0);
    if (site < 0) return Reason.gre_key_unknown;
    p.peer = site;
    p.tenant = p.claimed = c.policy.peers.tenant[site];
  }
  return Fate.next;
}
