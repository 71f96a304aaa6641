/**
 * Every way a packet can be dropped, declared once. A key is the metric label, the word in a trace, the row of
 * DROPS.md and the name in tests, so one search finds everything.
 */
import { FAULTS, numbered, type ReasonRow } from '../codecs/faults.js';

export const REASONS = {
  ...FAULTS, // first, so that a codec's fault and its drop reason are the same number

  // what arrived, before any tenant is known
  not_for_gateway:  { severity: 'policy',      help: 'Outer destination is no listen address of the gateway', source: 'config gateway.listen' },
  pa_unknown:       { severity: 'policy',      help: 'Sender is no host, uplink or site', source: 'config hosts[].pa, uplinks[].pa, tenants[].sites[].pa' },
  wrong_side:       { severity: 'policy',      help: 'Host traffic on the uplink address, or uplink traffic on the host address', source: 'config gateway.uplinkListen' },
  encap_mismatch:   { severity: 'policy',      help: 'Sender is configured for the other encapsulation', source: 'config hosts[].encap' },
  gre_protocol:     { severity: 'unsupported', help: 'GRE payload is neither IPv4 nor IPv6', source: 'RFC 2784 §2.4' },
  pool_unknown:     { severity: 'policy',      help: 'No key, and the destination is in no NAT pool', source: 'config nat.pool, forward.key' },
  gre_key_unknown:  { severity: 'policy',      help: 'No tenant or site has this GRE key at this sender', source: 'config forward.key, nat.key, sites[].key' },

  // whose it is: the isolation guarantee
  vsid_unknown:     { severity: 'policy', help: 'No tenant owns this VSID', source: 'config subnets[].vsid' },
  host_not_allowed: { severity: 'policy', help: 'Sender may not speak for this VSID', source: 'config subnets[].hosts' },
  spoofed_source:   { severity: 'policy', help: 'Inner source has no lookup record at this sender', source: 'config records[]' },
  spoofed_mac:      { severity: 'policy', help: 'Bridged frame whose source MAC has a lookup record on another host', source: 'config records[].mac' },
  site_source:      { severity: 'policy', help: "Inner source lies outside the site's prefixes", source: 'config sites[].prefixes' },
  outside_source:   { severity: 'policy', help: "Packet from outside claims a source within the tenant's own subnets", source: 'RFC 2827; config subnets[].prefix' },

  // frames
  ethertype_unsupported: { severity: 'unsupported', help: 'Inner frame is neither IPv4, IPv6 nor ARP', source: 'HNV: other frames are not carried' },
  frame_multicast:       { severity: 'unsupported', help: 'Broadcast and multicast are not carried (DHCP included)', source: 'README: what does not work yet' },
  mac_unknown:           { severity: 'policy',      help: 'No lookup record has this destination MAC in the VSID', source: 'config records[].mac' },
  mac_same_host:         { severity: 'policy',      help: 'Destination MAC is on the sending host itself, which delivers it without a gateway', source: 'IEEE 802.1Q §8.6: never back where it came from' },
  nd_router:             { severity: 'policy',      help: 'Router advertisement or redirect from a tenant host', source: 'RFC 6105 §1' },
  neighbor_unanswered:   { severity: 'policy',      help: 'ARP or ND for an address no other host of the VSID holds', source: 'RFC 826, RFC 4861 §7.2.3' },

  // fragments of inner packets
  fragment_tiny:    { severity: 'malformed', help: 'First fragment ends within the transport header, or a TCP fragment at offset 8', source: 'RFC 1858 §3, RFC 3128' },
  fragment_bounds:  { severity: 'malformed', help: 'Fragment is empty, reaches past 65,535 bytes or the end of its datagram, or others follow and its length is no multiple of 8', source: 'RFC 791 §3.2, RFC 8200 §4.5' },
  fragment_overlap: { severity: 'malformed', help: 'Fragment says again what another of its datagram has said, or one of them did before', source: 'RFC 5722 §3, RFC 1858 §4' },
  fragment_gaps:    { severity: 'capacity',  help: 'More holes in a datagram than are kept track of', source: 'RFC 4787 §11 REQ-14a' },
  fragment_orphan:  { severity: 'malformed', help: 'First fragment did not come in time', source: 'RFC 6146 §3.5.1; config timers.fragmentHold' },
  fragment_table:   { severity: 'capacity',  help: 'Too many fragmented datagrams at once', source: 'config limits.fragments' },
  fragment_hold:    { severity: 'capacity',  help: 'No slot to hold a fragment that came before its first', source: 'config limits.heldFragments' },

  // where it goes
  acl_denied:         { severity: 'policy',      help: 'An ACL entry denies it', source: 'config acls[]' },
  acl_tcp_flags:      { severity: 'policy',      help: 'TCP flags that no state of a connection has: none, SYN with FIN, data without ACK, …', source: 'RFC 9293 §3.10.7; config acls[].stateful' },
  acl_tcp_no_connection: { severity: 'policy',   help: 'A stateful entry allows it, and there is no connection that this TCP segment could belong to', source: 'config acls[].stateful, acls[].idleTimeout' },
  acl_tcp_state:      { severity: 'policy',      help: 'TCP segment that makes no sense in the state of its connection: SYN and ACK that nobody asked for, data before the handshake', source: 'RFC 9293 §3.10.7; config acls[].stateful' },
  acl_tenant_connections: { severity: 'policy', help: 'Tenant has as many connections of stateful entries as its limits allow', source: 'config tenants[].limits.sessions' },
  acl_connections_spent: { severity: 'capacity', help: 'Table of connections is full: a packet that needs state and gets none is not sent', source: 'config gateway.limits.connections' },
  no_route:           { severity: 'policy',      help: 'Tenant has no route to the destination', source: 'config routes[]' },
  route_drop:         { severity: 'policy',      help: 'Route says drop', source: 'config routes[].via' },
  no_record:          { severity: 'policy',      help: 'Destination is in a subnet but has no lookup record', source: 'config records[]' },
  link_local:         { severity: 'policy',      help: 'Link-local addresses stay on their subnet', source: 'RFC 4291 §2.5.6' },
  transit:            { severity: 'policy',      help: 'From outside to outside: a gateway joins them only to subnets', source: 'design: packet walks' },
  netmap_hidden:      { severity: 'policy',      help: 'Between tenant and site, by an address that the other side knows by another', source: 'config sites[].maps' },
  ttl_expired:        { severity: 'policy',      help: 'TTL or hop limit reached zero here', source: 'RFC 1812 §5.3.1, RFC 8200 §3' },
  too_big:            { severity: 'policy',      help: 'Larger than the tunnel MTU and must not be fragmented', source: 'RFC 1191 §4, RFC 8201 §3' },
  gateway_no_service: { severity: 'policy',      help: 'Sent to the gateway itself, which answers only echo, ARP and ND', source: 'RFC 1122 §3.2.2.1' },

  // NAT
  nat_ipv6:           { severity: 'unsupported', help: 'NAT is IPv4 only', source: 'design: packet walks' },
  nat_protocol:       { severity: 'unsupported', help: 'NAT carries TCP, UDP and ICMP queries only', source: 'RFC 4787 §3' },
  nat_icmp:           { severity: 'unsupported', help: 'ICMP type that NAT does not carry in this direction', source: 'RFC 5508 §7' },
  nat_icmp_fragment:  { severity: 'unsupported', help: 'ICMP error in fragments: what it quotes cannot be checked', source: 'RFC 5508 §4' },
  nat_icmp_quote:     { severity: 'malformed',   help: 'ICMP error whose quoted packet cannot be read', source: 'RFC 5508 §4.2 REQ-3' },
  nat_no_binding:     { severity: 'policy',      help: 'No binding or mapping for this external address and port', source: 'RFC 4787 §5' },
  nat_filtered:       { severity: 'policy',      help: 'From somebody that the inside end has not sent to, where the tenant wants that', source: 'RFC 4787 §5; config nat.filtering' },
  nat_no_session:     { severity: 'policy',      help: 'ICMP error about a session that does not exist, or reply to a query that nobody has asked', source: 'RFC 5508 §4.2 REQ-4' },
  nat_tcp_not_syn:    { severity: 'policy',      help: 'TCP segment without a session, and no SYN that could open one', source: 'RFC 7857 §2' },
  nat_session_taken:  { severity: 'policy',      help: 'The same two ends have a session by another mapping: inside, the two could not be told apart', source: 'RFC 6146 §3.5.2' },
  nat_no_way_back:    { severity: 'policy',      help: 'From an address that the tenant does not reach by NAT: no answer could come back this way', source: 'RFC 3704 §2.3; config routes[]' },
  nat_wrong_uplink:   { severity: 'policy',      help: "Packet for a pool address from another uplink or key than the tenant's", source: 'config nat.uplink, nat.key' },
  nat_ports_spent:    { severity: 'capacity',    help: 'No free port, or hardly one, and no free port block', source: 'config nat.pool; RFC 6888 §4 REQ-11' },
  nat_bindings_spent: { severity: 'capacity',    help: 'Binding table is full', source: 'config limits.bindings' },
  nat_subscribers_spent: { severity: 'capacity', help: 'No room for one more inside address with NAT state', source: 'config limits.subscribers' },
  nat_blocks_spent:   { severity: 'capacity',    help: 'Table of port blocks is full', source: 'config limits.portBlocks' },
  nat_sessions_spent: { severity: 'capacity',    help: 'Session table is full', source: 'config limits.sessions' },

  // what a tenant may use at most
  nat_tenant_sessions:   { severity: 'policy', help: 'Tenant has as many NAT sessions as it may', source: 'config tenants[].limits.sessions' },
  nat_tenant_bindings:   { severity: 'policy', help: 'Tenant has as many NAT bindings as it may', source: 'config tenants[].limits.bindings' },
  nat_tenant_new_flows:  { severity: 'policy', help: 'Tenant opens NAT sessions faster than it may', source: 'config tenants[].limits.newFlowsPerSecond' },
  nat_address_sessions:  { severity: 'policy', help: 'Inside address has as many NAT sessions as it may', source: 'config limits.perAddress.sessions' },
  nat_address_bindings:  { severity: 'policy', help: 'Inside address has as many NAT bindings as it may', source: 'RFC 6888 §3 REQ-4; config limits.perAddress.bindings' },
  nat_address_new_flows: { severity: 'policy', help: 'Inside address opens NAT sessions faster than it may', source: 'RFC 6888 §3 REQ-4; config limits.perAddress.newFlowsPerSecond' },
  nat_address_blocks:    { severity: 'policy', help: 'Inside address has used up all port blocks it may have', source: 'config nat.blocks.perAddress' },
  rate_limited:          { severity: 'policy', help: 'Tenant sends and receives more packets or bytes a second than it may', source: 'config tenants[].limits.packetsPerSecond, bytesPerSecond' },

  // between the threads
  ring_full:         { severity: 'capacity', help: "The worker's ring has no free slot", source: 'config gateway.workers, rss.ringSlots' },
  datagram_too_long: { severity: 'capacity', help: 'Longer than a slot of the ring, which holds what fits the MTU', source: 'config gateway.mtu' },
  worker_died:       { severity: 'internal', help: 'In the hands of a worker that died; the log has it', source: '-' },

  internal_error: { severity: 'internal', help: 'A fault in this program; the log has it. Please report it', source: '-' },
} as const satisfies Record<string, ReasonRow>;

export type ReasonName = keyof typeof REASONS;
export const Reason = numbered(REASONS);

/** Name by number; cell 0 is the packet that lived. */
export const REASON_NAMES: readonly string[] = ['none', ...Object.keys(REASONS)];
export const REASON_COUNT = REASON_NAMES.length;

/** The declaration of reason `code`; undefined for 0. */
export function reasonRow(code: number): ReasonRow | undefined {
  return (REASONS as Record<string, ReasonRow>)[REASON_NAMES[code] ?? ''];
}

/** The text of DROPS.md; a test holds the file to it. */
export function renderDrops(): string {
  const rows = Object.entries<ReasonRow>(REASONS).map(([key, r]) => `| \`${key}\` | ${r.severity} | ${r.help} | ${r.source} |\n`);
  return '# Drop reasons\n\nGenerated from `reasons.ts`; a dropped packet has exactly one.\n\n'
    + '| reason | severity | meaning | source |\n| --- | --- | --- | --- |\n' + rows.join('');
}
