/**
 * The declaration: every key there is, its kind, default, unit, help and example.
 *
 * Validation, defaults, schema.json and REFERENCE.md all come from here. To add a key, add a row, take it over in
 * build.ts (the types insist), and refresh the two files as README.md says.
 */
import { parseAddress, parsePrefix } from './address.js';
import { type Draft, type Kind, either, flag, list, oneOf, oneOrMore, optional, preset, required, sections, text, whole } from './kinds.js';
import { parseProtocol, PROTOCOL_WORDS } from './protocol.js';
import { GUID, MAC, NAME, parseEndpoint, parseGuid, parseListener, parseMac, parseMappingEnd, parseName, parsePoolEntry, parsePortRange, parseRssKey, parseRuleEnd, parseVia, RSS_KEY } from './scalars.js';
import { section } from './section.js';
import { Refusal } from './refusal.js';
import type { PortRange } from './types.js';

const V4 = '(?:[0-9]{1,3}\\.){3}[0-9]{1,3}';
const V6 = '[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*';

const name = text('name', 'a name', 'red', { pattern: NAME.source }, parseName);
const address = text('address', 'an IP address', '192.0.2.1', { pattern: `^(${V4}|${V6})$` }, parseAddress);
const prefix = text('prefix', 'an IP prefix', '10.0.0.0/24', { pattern: `^(${V4}|${V6})/[0-9]{1,3}$` }, parsePrefix);
const ruleEnd = text('ruleEnd', 'an IP address, a prefix or a MAC address', '10.0.0.5', { anyOf: [{ pattern: `^(${V4}|${V6})(/[0-9]{1,3})?$` }, { pattern: MAC.source }] }, parseRuleEnd);
const pa = text('pa', 'a PA: an IP address, optionally with a port', '192.0.2.11', { pattern: `^(${V4}(:[0-9]+)?|${V6}|\\[${V6}\\](:[0-9]+)?)$` }, parseEndpoint);
const listener = text('listener', 'an address and a port', '127.0.0.1:9464', { pattern: `^(${V4}|\\[${V6}\\]):[0-9]+$` }, parseListener);
const mappingEnd = text('mappingEnd', 'an IPv4 address with a port or ports, an IPv4 address, or an IPv4 prefix', '203.0.113.10:80', { pattern: `^(${V4}(:[0-9]+(-[0-9]+)?|/[0-9]{1,2})?|\\[${V6}\\]:[0-9]+)$` }, parseMappingEnd);
const mac = text('mac', 'a MAC address', '00:15:5d:00:00:05', { pattern: MAC.source }, parseMac);
const guid = text('guid', 'a GUID, with or without braces', '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01', { pattern: GUID.source }, parseGuid);
const via = text('via', 'a next hop', 'nat', { pattern: '^(nat|forward|drop|site:.+|ca:.+)$' }, parseVia);
const poolEntry = text('poolEntry', 'an IPv4 address, prefix or range', '203.0.113.10', { pattern: `^${V4}(/[0-9]{1,2}| *- *${V4})?$` }, parsePoolEntry);
/** What `sun_path` holds beside its closing zero on Linux. */
const LONGEST_SOCKET_PATH = 107;
const rssKey = text('rssKey', 'the key of the hash: "default", "symmetric", or 40 to 52 bytes in hex', 'symmetric', { pattern: RSS_KEY.source }, parseRssKey);
/** Beside its files the log's folder has a socket that says whose it is. */
const LONGEST_LOG_FOLDER = 90;
const logFolder = text<string>('logFolder', 'a folder, from / on', '/var/log/causeway/nat', { pattern: '^/', maxLength: LONGEST_LOG_FOLDER }, parseLogFolder);
const path = text<string>('path', 'a path', '/run/causeway/causeway.sock', { minLength: 1, maxLength: LONGEST_SOCKET_PATH }, parseSocketPath);
const schemaUrl = text<string>('schemaUrl', 'the name of a JSON Schema', './schema.json', {}, given => given);

/** A GRE key is 32 bits (RFC 2890 §2.1). */
const key = whole('', 0, 0xffffffff);
/** 24 bits (RFC 7637 §3.2); which of them are reserved is a question of meaning and answered with the others of that kind. */
const vsid = whole('', 0, 0xffffff);
const mtu = whole('bytes', 68, 65535);
/** 24 days, the longest a timer of Node can wait. */
const seconds = whole('seconds', 1, 2147483);
const buffer = whole('bytes', 4096, 1 << 30);

const ports: Kind<PortRange> = {
  id: 'ports',
  label: 'a port, or a range in quotes',
  json: { anyOf: [{ type: 'integer', minimum: 1, maximum: 65535 }, { type: 'string', pattern: '^[0-9]+( *- *[0-9]+)?$' }] },
  read: (node, reporter) => portText.read(node.kind === 'number' ? { ...node, kind: 'string', value: String(node.value) } : node, reporter),
};
const portText = text('portText', 'a port or a range of ports', '49152-49182', {}, parsePortRange);

/** Positions in a ring are masked, not divided. */
const ringSlots: Kind<number> = {
  label: 'a power of two, 64 to 65536',
  json: { enum: Array.from({ length: 11 }, (_, i) => 64 << i) },
  read(node, reporter) {
    const slots = slotCount.read(node, reporter);
    if (slots === undefined || (slots & (slots - 1)) === 0) return slots;
    reporter.report(node, null, 'not a power of two', `write ${2 ** Math.floor(Math.log2(slots))} or ${2 ** Math.ceil(Math.log2(slots))}`);
    return undefined;
  },
};
const slotCount = whole('slots', 64, 65536);

const protocol: Kind<number | null> = {
  id: 'protocol',
  label: `${PROTOCOL_WORDS.map(word => `"${word}"`).join(', ')} or an IP protocol number`,
  json: { anyOf: [{ enum: PROTOCOL_WORDS }, { type: 'integer', minimum: 0, maximum: 255 }] },
  read: parseProtocol,
};

const limits = section('limits', 'How much the gateway holds. All of it is allocated at start.', {
  tenants: preset(whole('tenants', 1, 65535), 1024, 'Routing domains that fit, counted since the start: one that went keeps its number.'),
  sessions: preset(whole('sessions', 1, 16777216), 65536, 'Flows tracked at once, all tenants together.', 1000000),
  flows: preset(whole('flows', 1, 16777216), 65536, 'Flows without NAT that the fast path knows at once, each direction one; packets of more are carried too, at the cost of a first packet.', 1000000),
  bindings: preset(whole('bindings', 1, 16777216), 65536, 'NAT bindings (inside address and port to outside address and port) at once.', 1000000),
  subscribers: preset(whole('inside addresses', 1, 16777216), 65536, 'Inside addresses with NAT state at once, all tenants together.', 100000),
  portBlocks: preset(whole('blocks', 1, 16777216), 65536, 'Blocks of external ports in use at once, all tenants together; see nat.blocks.', 100000),
  connections: preset(whole('connections', 1, 16777216), 65536, 'Connections that stateful rules remember at once, all tenants together, one for each VM’s side of a flow; a packet that would need another is dropped.', 1000000),
  records: preset(whole('records', 1, 4000000), 1048576, 'Lookup records of all tenants together; a file with more is refused.', 2000000),
  fragments: preset(whole('datagrams', 1, 1048576), 4096, 'Fragmented datagrams whose ports are remembered at once.'),
  heldFragments: preset(whole('fragments', 0, 65536), 1024, 'Slots for fragments that came before their first one; 0 drops those.'),
});

const timers = section('timers', 'How long idle state lives. Lower values than the RFCs allow are taken, because labs need them.', {
  udp: preset(seconds, 300, 'UDP binding without traffic. RFC 4787 REQ-5: at least 120, 300 recommended.'),
  tcpEstablished: preset(seconds, 7440, 'Established TCP connection without traffic. RFC 5382 REQ-5: at least 7440.'),
  tcpTransitory: preset(seconds, 240, 'TCP connection that opens. RFC 5382 REQ-5: at least 240.'),
  tcpClosing: preset(seconds, 240, 'TCP connection that both ends have closed, or that was reset. RFC 7857 §2.1, §2.2: 240.'),
  icmp: preset(seconds, 60, 'ICMP query without an answer. RFC 5508 REQ-2: at least 60.'),
  fragment: preset(seconds, 30, 'How long a fragmented datagram is remembered. RFC 1122 §3.3.2: 60 to 120 for a host that reassembles; a gateway needs less.'),
  fragmentHold: preset(seconds, 2, 'How long a fragment waits for its first one. At most timers.fragment.'),
  portBlock: preset(seconds, 120, 'How long a block of external ports that is no longer used stays with its inside address before another may have it. RFC 6888 §4 REQ-8: 120.'),
});

const icmpErrors = section('icmpErrors', 'How many ICMP errors the gateway originates, per tenant (RFC 4443 §2.4 f asks for a limit).', {
  perSecond: preset(whole('errors per second', 0, 1000000), 100, 'Sustained rate; 0 sends none.'),
  burst: preset(whole('errors', 1, 1000000), 50, 'How many may go out at once after a silence.'),
});

const rss = section('rss', 'How datagrams are spread over workers.', {
  mode: preset(oneOf(['auto', 'dispatcher', 'kernel']), 'auto', 'In kernel mode every worker has sockets of its own, and the kernel spreads by outer addresses and ports; more than one worker can have that on Linux with Node 22.12 or later. In dispatcher mode one more thread receives, and spreads by inner flow as a network card does. auto: kernel where it works, otherwise dispatcher; a worker that is alone receives by itself.', 'dispatcher'),
  key: preset(rssKey, 'default', 'Key of the Toeplitz hash in dispatcher mode. default is Microsoft’s; with symmetric both directions of a flow hash alike, NAT aside.', 'symmetric'),
  rebalance: preset(flag, true, 'Whether the dispatcher moves flows from a worker that stays loaded to one that stays idle.'),
  ringSlots: preset(ringSlots, 1024, 'Datagrams that wait for a worker at most in dispatcher mode; more are dropped (ring_full). Each slot takes the underlay MTU, 2 KiB at least.', 4096),
});

const admin = section('admin', 'The admin API: HTTP on a unix socket, guarded by file permissions.', {
  socket: optional(path, 'Path of the socket. Without it the daemon picks one it may write.', '/run/causeway/causeway.sock'),
});

const natLog = section('natLog', 'A record of which inside address had which external ports when, for causeway whois (RFC 6888 REQ-12, RFC 6302, RFC 7422). Destinations are not in it.', {
  path: optional(logFolder, 'Folder for its files, made if it is not there; no two daemons may share one. Without it nothing is recorded.', '/var/log/causeway/nat'),
  maxBytes: preset(whole('bytes', 4096, 1099511627776), 16777216, 'Size at which a file is followed by another. One that begins with much that is still in force is allowed twice that.', 104857600),
  files: preset(whole('files', 2, 100000), 10, 'How many are kept; then the oldest goes.', 1000),
});

const gateway = section('gateway', 'The gateway itself: where it listens, how much it holds, how it is watched.', {
  name: preset(name, 'causeway', 'What it calls itself in logs and metrics.', 'gw1'),
  listen: required(oneOrMore(address), 'PA or PAs to receive on and to send from: for hosts, and for uplinks and sites unless uplinkListen says otherwise.', '192.0.2.1'),
  uplinkListen: preset(oneOrMoreOrNone(), [], 'PA or PAs for uplinks and sites, where those are reached over another network.', ['198.51.100.1']),
  grePort: preset(whole('', 0, 65535), 4754, 'UDP port for NVGRE and GRE (RFC 8086); 0 takes a free one and logs it.'),
  vxlanPort: preset(whole('', 0, 65535), 4789, 'UDP port for VXLAN (RFC 7348); 0 takes a free one and logs it.'),
  mtu: preset(mtu, 1500, 'Underlay IP MTU, the default for hosts, uplinks and sites. What customers get is less by the encapsulation: 50 over IPv4, 70 over IPv6.', 9000),
  mac: preset(mac, '02:00:00:00:00:01', 'The gateway’s own MAC, the same in every VSID.'),
  workers: preset(either(whole('threads', 1, 128), 'auto', 'auto' as const), 'auto', 'Threads that carry packets. auto: one a core, less one for the dispatcher where there is one.', 4),
  rss: preset(rss, {}, 'How datagrams are spread over workers.'),
  receiveBuffer: preset(buffer, 4194304, 'Socket receive buffer, bytes; the kernel may grant less, and doctor says so.'),
  sendBuffer: preset(buffer, 4194304, 'Socket send buffer, bytes.'),
  admin: preset(admin, {}, 'The admin API.'),
  metrics: preset(either(either(listener, null, null), false, null), '127.0.0.1:9464', 'Where /metrics and /healthz answer over TCP; null or false switches them off, port 0 takes a free one.', '127.0.0.1:9464'),
  natLog: preset(natLog, {}, 'Who had which external ports when.'),
  logLevel: preset(oneOf(['debug', 'info', 'warn', 'error']), 'info', 'The least severe log line written.'),
  limits: preset(limits, {}, 'Sizes.'),
  timers: preset(timers, {}, 'Idle times.'),
  icmpErrors: preset(icmpErrors, {}, 'Rate limit.'),
});

const hosts = section('hosts', 'A hypervisor or other machine that may speak for VSIDs.', {
  name: required(name, 'How records and subnets refer to it.', 'host-a'),
  pa: required(pa, 'Its provider address. With a port only that source port counts and packets go there; without, any source port counts and packets go to the well-known port.', '192.0.2.11'),
  encap: required(oneOf(['nvgre', 'vxlan'], { geneve: 'Geneve is not spoken yet', gre: 'hosts speak Ethernet, which needs NVGRE or VXLAN' }), 'How it encapsulates. Hosts of one subnet may differ.', 'nvgre'),
  flowId: preset(oneOf(['zero', 'hash']), 'zero', 'What NVGRE’s FlowID byte carries. A Linux gretap peer receives nothing unless it is zero.', 'hash'),
  mtu: optional(mtu, 'Underlay IP MTU towards it; without it, gateway.mtu.', 9000),
});

const uplinks = section('uplinks', 'A machine on the far side: an Internet router or a physical network’s, speaking GRE in UDP.', {
  name: required(name, 'How tenants refer to it.', 'inet'),
  pa: required(pa, 'Its provider address, as for hosts.', '192.0.2.20'),
  mtu: optional(mtu, 'Underlay IP MTU towards it; without it, gateway.mtu.', 1500),
});

const acls = section('acls', 'An access rule between a VM and the rest. Under a tenant it is about all of its VMs, under a subnet or a record about those only, by their link-local addresses too; all rules of a tenant are asked in one order: larger weight first, the first that allows or denies decides, without a match packets pass. ARP and Neighbor Discovery among VMs are not asked about.', {
  name: optional(name, 'What to call it in output; without it, "acl-", under a subnet or record its name or CA, and its place in the list, counted from 1.', 'no-ssh'),
  weight: preset(whole('', -2147483648, 2147483647), 0, 'Rules of larger weight are asked first; among equals measure, deny, allow, then the order of the file.', 10),
  action: required(oneOf(['allow', 'deny', 'measure']), 'What happens on a match. measure counts packets and bytes and goes on with the next rule.', 'deny'),
  direction: required(oneOf(['inbound', 'outbound']), 'As the VM sees it: inbound is towards it.', 'inbound'),
  protocol: preset(protocol, 'any', 'IP protocol.', 'tcp'),
  local: preset(either(ruleEnd, 'any', null), 'any', 'Addresses on the VM’s side, or the MAC of its record.', '10.0.0.5'),
  remote: preset(either(ruleEnd, 'any', null), 'any', 'Addresses on the other side, or the MAC of the record there: the gateway’s where packets are routed.', '198.51.100.0/24'),
  localPort: optional(ports, 'Port or ports on the VM’s side; tcp and udp only.', 22),
  remotePort: optional(ports, 'Port or ports on the other side; tcp and udp only.', '49152-49182'),
  stateful: preset(flag, false, 'Whether a packet that it allows lets the rest of its flow pass, both ways, ahead of all rules. With allow only.'),
  idleTimeout: preset(seconds, 3600, 'How long that lasts without traffic; while TCP opens or closes no longer than timers.tcpTransitory and timers.tcpClosing. With stateful only.'),
});

const subnets = section('subnets', 'A virtual subnet: one VSID, one broadcast domain, an IPv4 prefix, an IPv6 prefix or both.', {
  vsid: required(vsid, 'Virtual subnet id, 4096 to 16777214; no two subnets of a file share one.', 5001),
  name: optional(name, 'What to call it in output; without it, "vsid-" and the VSID.', 'red-web'),
  prefix: optional(prefix, 'IPv4 prefix of its CAs.', '10.0.0.0/24'),
  gateway: optional(address, 'The gateway’s own CA in it; without it, the lowest host address.', '10.0.0.1'),
  prefix6: optional(prefix, 'IPv6 prefix of its CAs.', '2001:db8:1::/64'),
  gateway6: optional(address, 'The gateway’s own IPv6 CA in it; without it, the lowest host address.', '2001:db8:1::1'),
  hosts: optional(list(name, 1), 'Hosts that may speak for this VSID; without it, every host with a record of this tenant.', ['host-a', 'host-b']),
  acls: preset(sections(acls), [], 'Access rules about this subnet.'),
});

const records = section('records', 'A lookup record: which MAC and which host stand behind a CA.', {
  type: preset(oneOf(['static', 'l2only', 'wildcard'], {
    dynamic: 'dynamic records are learned by the gateway, not written here; learning comes later', gatewaywildcard: 'HNV’s GatewayWildcard is called wildcard here',
  }), 'static', 'static: this CA is there. l2only: a MAC whose CA is not known yet. wildcard: whatever no other record of its subnet matches.', 'wildcard'),
  ca: optional(address, 'Customer address; static records need one, the others have none.', '10.0.0.5'),
  mac: required(mac, 'MAC of the VM’s adapter.', '00:15:5d:00:00:05'),
  host: required(name, 'The host the VM runs on.', 'host-a'),
  vsid: optional(vsid, 'Its VSID; may be left out when the CA lies in a subnet of the tenant.', 5001),
  acls: preset(sections(acls), [], 'Access rules about this CA.'),
});

const routes = section('routes', 'A customer route. The longest prefix wins, then the lowest metric; connected subnets need none.', {
  prefix: required(prefix, 'Destinations.', '0.0.0.0/0'),
  via: required(via, '"nat" and "forward" lead to the tenant’s uplinks, "site:NAME" into a site, "ca:ADDRESS" to a VM that routes, "drop" nowhere.', 'nat'),
  metric: preset(whole('', 0, 0xffffffff), 0, 'Lowest wins among equal prefixes.', 10),
});

const mappings = section('mappings', 'A static mapping: who sends to the external end reaches the internal one, whatever nat.filtering says, and what comes from the internal one leaves by the external. One port, as many ports on both sides, a whole address (all ports, and ICMP), or a prefix.', {
  proto: optional(oneOf(['tcp', 'udp']), 'Protocol. Ports need it; without it a whole address or prefix maps TCP, UDP and ICMP queries.', 'tcp'),
  external: required(mappingEnd, 'Address or prefix of the pool, with ports or without. A whole address or prefix here is given to nobody else.', '203.0.113.10:80'),
  internal: required(mappingEnd, 'CA with a record, with as many ports; or a prefix of the same length in a subnet. Ports and addresses keep their distance.', '10.0.0.5:8080'),
});

const blocks = section('blocks', 'Blocks of external ports. An inside address gets them one after the other when its share is used up, and keeps each for as long as it is used (RFC 7422, RFC 6888 REQ-14).', {
  size: preset(whole('ports', 64, 16384), 256, 'Ports of a block.', 512),
  assign: preset(oneOf(['auto', 'dynamic']), 'auto', 'With auto half of the pool’s ports are shared out evenly among all addresses of the subnets, by arithmetic, and the other half are blocks; where a share would have fewer than 64 ports, all are blocks. A change of subnets or pool moves shares, and ends the sessions of those that moved. With dynamic all are blocks.', 'dynamic'),
  perAddress: optional(whole('blocks', 0, 65535), 'Blocks that one inside address may have at most, besides its share.', 16),
});

const nat = section('nat', 'NAT44 towards an uplink (RFC 4787, RFC 5382, RFC 5508).', {
  uplink: required(name, 'The uplink that carries the translated packets.', 'inet'),
  key: optional(key, 'GRE key towards the uplink; without it, no key field.', 7001),
  pooling: preset(oneOf(['paired', 'any']), 'paired', 'Whether an inside address keeps to one external address, for all protocols (RFC 6888 REQ-2). With any it gets ports of another when that one has none left.', 'any'),
  parity: preset(flag, false, 'Whether an even inside port gets an even external one, and an odd one an odd one, as long as there are such (RFC 4787 REQ-4, RFC 7857 §8). TCP and UDP.', true),
  blocks: preset(blocks, {}, 'Who gets which ports.'),
  pool: required(list(poolEntry, 1), 'External addresses: addresses, prefixes, or ranges. They are this tenant’s alone.', ['203.0.113.10']),
  filtering: preset(oneOf(['endpoint-independent', 'address-dependent', 'address-and-port-dependent']), 'endpoint-independent', 'Who may send in by a binding (RFC 4787 §5): anybody; whom the inside end has sent to since the binding was made, from any port; or only from that very port. What a mapping opens is open to all.', 'address-dependent'),
  mappings: preset(sections(mappings), [], 'Static mappings.'),
});

const forward = section('forward', 'Forwarding to a physical network, without translation.', {
  uplink: required(name, 'The uplink that carries the packets.', 'core'),
  key: optional(key, 'GRE key that tells this tenant from others on the uplink, as a VLAN would.', 7001),
});

const maps = section('maps', 'NETMAP: joins two networks that use the same addresses. One side’s real addresses are shown to the other side as others, one for one; nothing is remembered. The tenant’s routes and rules name what the tenant sees.', {
  side: required(oneOf(['tenant', 'site']), 'Whose addresses they are.', 'tenant'),
  real: required(prefix, 'What that side itself uses. IPv4.', '10.0.0.0/24'),
  shown: required(prefix, 'What the other side sees: as long a prefix, that neither side uses otherwise.', '10.100.0.0/24'),
});

const sites = section('sites', 'A tenant’s remote network behind a tunnel.', {
  name: required(name, 'How routes refer to it.', 'hq'),
  type: preset(oneOf(['gre'], { ipsec: 'IPsec sites come later', ike: 'IPsec sites come later', wireguard: 'WireGuard sites come later' }), 'gre', 'gre: GRE in UDP (RFC 8086), neither encrypted nor authenticated.'),
  pa: required(pa, 'Provider address of the far end, as for hosts.', '198.51.100.31:4754'),
  key: optional(key, 'GRE key; sites that share a PA need different ones.', 9001),
  prefixes: required(list(prefix, 1), 'The site’s networks, by its own addresses. Only sources in them are let in.', ['192.168.50.0/24']),
  maps: preset(sections(maps), [], 'Where addresses overlap: what is shown as what.'),
  mtu: optional(mtu, 'Underlay IP MTU towards it; without it, gateway.mtu.', 1400),
});

const perAddress = section('perAddress', 'Limits of each inside address.', {
  sessions: optional(whole('sessions', 1, 16777216), 'NAT sessions at once.', 4000),
  bindings: optional(whole('bindings', 1, 16777216), 'NAT bindings at once, static mappings not counted (RFC 6888 REQ-4).', 2000),
  newFlowsPerSecond: optional(whole('sessions a second', 1, 16777216), 'New NAT sessions; a second’s worth at once (RFC 6888 REQ-4 C).', 200),
});

const quotas = section('quotas', 'What a tenant may use at most. Without a key there is no limit but the gateway’s.', {
  sessions: optional(whole('sessions', 1, 16777216), 'NAT sessions at once, and as many connections of stateful rules.', 100000),
  bindings: optional(whole('bindings', 1, 16777216), 'NAT bindings at once, static mappings not counted.', 50000),
  newFlowsPerSecond: optional(whole('sessions a second', 1, 16777216), 'New NAT sessions; a second’s worth at once.', 5000),
  packetsPerSecond: optional(whole('packets a second', 1, 4294967294), 'IP packets from and to its VMs through the gateway, both directions together; a second’s worth at once.', 100000),
  bytesPerSecond: optional(whole('bytes a second', 1, 4294967294), 'Bytes of those, IP headers included; a second’s worth at once, but one packet of the underlay’s MTU at least.', 125000000),
  perAddress: preset(perAddress, {}, 'Limits of each inside address.'),
});

const tenants = section('tenants', 'A tenant: one routing domain, whose addresses may be those of any other tenant too.', {
  name: required(name, 'What to call it everywhere.', 'red'),
  rdid: required(guid, 'Routing domain id.', '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01'),
  subnets: preset(sections(subnets), [], 'Virtual subnets.'),
  records: preset(sections(records), [], 'Lookup records.'),
  routes: preset(sections(routes), [], 'Customer routes.'),
  nat: optional(nat, 'Translation to the Internet.', { uplink: 'inet', pool: ['203.0.113.10'] }),
  forward: optional(forward, 'Forwarding to a physical network.', { uplink: 'core', key: 7001 }),
  sites: preset(sections(sites), [], 'Remote networks.'),
  limits: preset(quotas, {}, 'What it may use at most.'),
  acls: preset(sections(acls), [], 'Access rules.'),
});

export const CONFIG = section('config', 'A Causeway config: JSON with comments and trailing commas.', {
  $schema: optional(schemaUrl, 'For editors; not read.', './schema.json'),
  gateway: required(gateway, 'The gateway itself.', { listen: '192.0.2.1' }),
  hosts: preset(sections(hosts), [], 'Hosts.'),
  uplinks: preset(sections(uplinks), [], 'Uplinks.'),
  tenants: preset(sections(tenants), [], 'Tenants.'),
});

function parseSocketPath(given: string): string | Refusal<string> {
  if (given === '') return new Refusal('an empty path', 'leave the key out, or write null');
  if (Buffer.byteLength(given) > LONGEST_SOCKET_PATH) return new Refusal('too long for a socket', `use a path of at most ${LONGEST_SOCKET_PATH} bytes`);
  return given;
}

function parseLogFolder(given: string): string | Refusal<string> {
  if (!given.startsWith('/')) return new Refusal('not a path from / on', 'write /var/log/causeway/nat: who asks later does so from another folder');
  if (given.includes('\0')) return new Refusal('a path with a zero byte', 'write /var/log/causeway/nat');
  if (Buffer.byteLength(given) > LONGEST_LOG_FOLDER) return new Refusal('too long for a socket in it', `use a path of at most ${LONGEST_LOG_FOLDER} bytes`);
  return given;
}

function oneOrMoreOrNone(): Kind<readonly (ReturnType<typeof address.read>)[]> {
  const some = oneOrMore(address);
  return {
    ...some,
    json: { anyOf: [{ type: 'array', maxItems: 0 }, some.json] },
    read: (node, reporter) => (node.kind === 'array' && node.value.length === 0 ? [] : some.read(node, reporter)),
  };
}

type DraftOf<S> = S extends { read(...args: never): infer D } ? D : never;
export type ConfigDraft = DraftOf<typeof CONFIG>;
export type GatewayDraft = DraftOf<typeof gateway>;
export type HostDraft = DraftOf<typeof hosts>;
export type UplinkDraft = DraftOf<typeof uplinks>;
export type TenantDraft = DraftOf<typeof tenants>;
export type SubnetDraft = DraftOf<typeof subnets>;
export type RecordDraft = DraftOf<typeof records>;
export type RouteDraft = DraftOf<typeof routes>;
export type NatDraft = DraftOf<typeof nat>;
export type MappingDraft = DraftOf<typeof mappings>;
export type ForwardDraft = DraftOf<typeof forward>;
export type SiteMapDraft = DraftOf<typeof maps>;
export type SiteDraft = DraftOf<typeof sites>;
export type AclDraft = DraftOf<typeof acls>;
export type { Draft };
