/**
 * Everything a header can be refused for, declared once. The key of a row is also the drop reason,
 * the metric label and the word in a trace; the pipeline's table of reasons starts with these rows,
 * so a fault and its reason are the same number.
 */

/** malformed: the bytes contradict themselves; unsupported: legal, but not here; policy: we choose to; capacity: no room; internal: a mistake of ours. */
export type Severity = 'malformed' | 'unsupported' | 'policy' | 'capacity' | 'internal';
export type ReasonRow = { readonly severity: Severity; readonly help: string; readonly source: string };

export const FAULTS = {
  ethernet_truncated: { severity: 'malformed', help: 'Ethernet header runs past the datagram', source: 'IEEE 802.3 §3.1' },
  ethernet_source: { severity: 'malformed', help: 'Source MAC is a group address or all zero', source: 'IEEE 802.3 §3.2.3' },
  ethernet_tagged: { severity: 'policy', help: 'Inner frame carries a VLAN tag', source: 'RFC 7637 §3.3, RFC 7348 §6.1' },

  arp_truncated: { severity: 'malformed', help: 'ARP message runs past the frame', source: 'RFC 826' },
  arp_unsupported: { severity: 'unsupported', help: 'ARP that is not IPv4 over Ethernet, or neither request nor reply', source: 'RFC 826' },

  ipv4_truncated: { severity: 'malformed', help: 'IPv4 header runs past the frame', source: 'RFC 791 §3.1' },
  ipv4_version: { severity: 'malformed', help: 'Version field is not 4', source: 'RFC 1812 §5.2.2' },
  ipv4_header_length: { severity: 'malformed', help: 'IPv4 header length below 20 bytes', source: 'RFC 1812 §5.2.2' },
  ipv4_total_length: { severity: 'malformed', help: 'IPv4 total length below the header or past the frame', source: 'RFC 1812 §5.2.2' },
  ipv4_checksum: { severity: 'malformed', help: 'IPv4 header checksum is wrong', source: 'RFC 1812 §5.2.2' },
  ipv4_options: { severity: 'malformed', help: 'IPv4 option runs past the header or has a length below 2', source: 'RFC 791 §3.1' },
  ipv4_source_route: { severity: 'policy', help: 'IPv4 loose or strict source route', source: 'RFC 7126 §4.3, §4.4' },

  ipv6_truncated: { severity: 'malformed', help: 'IPv6 header runs past the frame', source: 'RFC 8200 §3' },
  ipv6_version: { severity: 'malformed', help: 'Version field is not 6', source: 'RFC 8200 §3' },
  ipv6_payload_length: { severity: 'malformed', help: 'IPv6 payload length past the frame, or a jumbogram', source: 'RFC 8200 §3, RFC 2675' },
  ipv6_extension_truncated: { severity: 'malformed', help: 'IPv6 extension header runs past the packet', source: 'RFC 8200 §4, RFC 7112 §5' },
  ipv6_extension_chain: { severity: 'policy', help: 'Over 8 IPv6 extension headers or 256 bytes of them, hop-by-hop not first, or two fragment headers', source: 'RFC 8200 §4.1, RFC 8504 §5.3' },
  ipv6_routing_type0: { severity: 'policy', help: 'IPv6 type 0 routing header', source: 'RFC 5095 §3' },

  ip_source: { severity: 'malformed', help: 'IP source address that no unicast sender can have', source: 'RFC 1812 §5.3.7, RFC 4291 §2.5' },
  ip_destination: { severity: 'malformed', help: 'IP destination address that must not be on a wire', source: 'RFC 1812 §5.3.7, RFC 4291 §2.5' },

  udp_truncated: { severity: 'malformed', help: 'UDP header runs past the packet', source: 'RFC 768' },
  udp_length: { severity: 'malformed', help: 'UDP length below 8 or past the packet', source: 'RFC 768' },
  tcp_truncated: { severity: 'malformed', help: 'TCP header runs past the packet', source: 'RFC 9293 §3.1' },
  tcp_data_offset: { severity: 'malformed', help: 'TCP data offset below 5', source: 'RFC 9293 §3.1' },
  icmp_truncated: { severity: 'malformed', help: 'ICMP header runs past the packet', source: 'RFC 792' },
  icmp_checksum: { severity: 'malformed', help: 'ICMP checksum is wrong', source: 'RFC 792, RFC 5508 §4.1' },
  icmpv6_truncated: { severity: 'malformed', help: 'ICMPv6 message is shorter than its type needs', source: 'RFC 4443 §2.1, RFC 4861 §4' },
  icmpv6_checksum: { severity: 'malformed', help: 'ICMPv6 checksum is wrong', source: 'RFC 4443 §2.3' },
  nd_malformed: { severity: 'malformed', help: 'Neighbor Discovery message that a node must discard', source: 'RFC 4861 §6.1, §7.1, §8.1, RFC 6980 §5' },

  gre_truncated: { severity: 'malformed', help: 'GRE header runs past the datagram', source: 'RFC 2784 §2.1' },
  gre_version: { severity: 'unsupported', help: 'GRE version other than 0', source: 'RFC 2784 §2.3.1' },
  gre_reserved: { severity: 'unsupported', help: 'GRE bit 1, 4 or 5 is set', source: 'RFC 2784 §2.3' },
  gre_checksum: { severity: 'malformed', help: 'GRE checksum is present and wrong', source: 'RFC 2784 §2.2' },
  nvgre_truncated: { severity: 'malformed', help: 'NVGRE header and inner Ethernet header run past the datagram', source: 'RFC 7637 §3.2' },
  nvgre_flags: { severity: 'malformed', help: 'NVGRE flags other than the key bit alone', source: 'RFC 7637 §3.2' },
  nvgre_protocol: { severity: 'malformed', help: 'NVGRE protocol type is not 6558', source: 'RFC 7637 §3.2' },
  nvgre_vsid_reserved: { severity: 'unsupported', help: 'VSID 0 to FFF', source: 'RFC 7637 §3.4' },
  nvgre_vsid_vendor: { severity: 'unsupported', help: 'VSID FFFFFF, kept for messages between endpoints of one vendor', source: 'RFC 7637 §3.4' },
  vxlan_truncated: { severity: 'malformed', help: 'VXLAN header and inner Ethernet header run past the datagram', source: 'RFC 7348 §5' },
  vxlan_flags: { severity: 'malformed', help: 'VXLAN without the I bit', source: 'RFC 7348 §5' },
  vxlan_vni_reserved: { severity: 'policy', help: 'VNI 0 to FFF or FFFFFF, which cannot also be a VSID', source: 'RFC 7637 §3.4' },

  link_truncated: { severity: 'malformed', help: 'Capture record is shorter than its link header', source: 'tcpdump.org/linktypes.html' },
  link_unsupported: { severity: 'unsupported', help: 'Capture link type is not one we read', source: 'tcpdump.org/linktypes.html' },
  not_a_tunnel: { severity: 'unsupported', help: 'Neither GRE-in-UDP, VXLAN nor GRE: not for this gateway', source: 'design: the wire' },
  underlay_error: { severity: 'policy', help: 'ICMP error of the underlay: a tunnel packet did not arrive', source: 'RFC 792, RFC 4443 §3' },
  outer_fragment: { severity: 'unsupported', help: 'Outer datagram is an IP fragment', source: 'RFC 7637 §4, RFC 7348 §4.3' },
  outer_checksum: { severity: 'malformed', help: 'Outer UDP checksum is wrong', source: 'RFC 8086 §6' },
} as const satisfies Record<string, ReasonRow>;

/** Number rows from 1 in order of writing; 0 always means "nothing wrong". */
export function numbered<K extends string>(rows: Record<K, ReasonRow>): { readonly [P in K]: number } {
  return Object.fromEntries(Object.keys(rows).map((key, i) => [key, i + 1])) as { [P in K]: number };
}

export const Fault = numbered(FAULTS);
