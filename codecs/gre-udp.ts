/**
 * GRE in UDP (RFC 8086), and what each tunnel costs.
 *
 *   | IP, 20 or 40 | UDP, 8: flow entropy to 4754 | GRE, 4 to 16 | payload
 *
 * The tunnel has no return direction at the UDP level: each side sends to port 4754 from a port that
 * names the flow, so that routers spread flows and keep each in order.
 */
import { ETHERNET_LEN } from './ethernet.js';
import { GRE_MIN_LEN } from './gre.js';
import { IPV4_MIN_LEN } from './ipv4.js';
import { IPV6_LEN } from './ipv6.js';
import { NVGRE_LEN } from './nvgre.js';
import { UDP_LEN } from './udp.js';
import { VXLAN_LEN } from './vxlan.js';

export const GRE_UDP_PORT = 4754;

/** Source ports that carry flow entropy (RFC 8086 §3.2.1): what we send from. Peers may use others; Linux does. */
export const FLOW_PORT_MIN = 49152;
export const FLOW_PORT_MAX = 65535;

export type Encap = 'nvgre' | 'vxlan' | 'gre' | 'gre-key';

const ENCAP_LEN: Readonly<Record<Encap, number>> = {
  'nvgre': NVGRE_LEN + ETHERNET_LEN,
  'vxlan': VXLAN_LEN + ETHERNET_LEN,
  'gre': GRE_MIN_LEN,
  'gre-key': GRE_MIN_LEN + 4,
};

/** Bytes from the outer IP header, without options, up to the inner IP header. Underlay MTU less this is the inner MTU. */
export function tunnelOverhead(outerFamily: 4 | 6, encap: Encap): number {
  return (outerFamily === 4 ? IPV4_MIN_LEN : IPV6_LEN) + UDP_LEN + ENCAP_LEN[encap];
}
