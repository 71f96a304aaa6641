/** Datagrams of the world's hosts, uplinks and sites, for those that hand them to gateways of their own. */
import { ethernet, gre, nvgre, vxlan } from './frames.js';
import { GATEWAY_MAC, HOSTS, SITE_PA, UPLINKS, type HostName, type UplinkName, type Vm } from './world.js';

export interface Datagram { readonly pa: string; readonly carrier: 'gre' | 'vxlan'; readonly bytes: Uint8Array }

export function hostDatagram(host: HostName, vsid: number, frame: Uint8Array): Datagram {
  const { pa, encap } = HOSTS[host];
  return encap === 'vxlan' ? { pa, carrier: 'vxlan', bytes: vxlan(vsid, frame) } : { pa, carrier: 'gre', bytes: nvgre(vsid, frame) };
}

/** A packet of a VM's to the gateway's MAC. */
export function vmDatagram(from: Vm, packet: Uint8Array): Datagram {
  return hostDatagram(from.host, from.vsid, ethernet(GATEWAY_MAC, from.mac, packet));
}

export function uplinkDatagram(uplink: UplinkName, packet: Uint8Array, key = -1): Datagram {
  return { pa: UPLINKS[uplink], carrier: 'gre', bytes: gre(packet, key) };
}

export function siteDatagram(key: number, packet: Uint8Array): Datagram {
  return { pa: SITE_PA, carrier: 'gre', bytes: gre(packet, key) };
}
