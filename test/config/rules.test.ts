import t from 'tap';
import { configOf, edited, problemsOf, type Edits } from './base.js';

/** One mistake: exactly one problem, at this path, with these words in its message or advice. */
type Case = readonly [name: string, edits: Edits, path: string, words: RegExp];

const GATEWAY: readonly Case[] = [
  ['a multicast address cannot be listened on', { 'gateway.listen': '224.0.0.5' }, 'gateway.listen', /a multicast address, where nothing can listen/],
  ['listen names an address twice', { 'gateway.listen': ['192.0.2.1', '192.0.2.1'] }, 'gateway.listen[1]', /already in line 4/],
  ['the address that means all cannot stand beside one of its family', { 'gateway.listen': ['0.0.0.0', '192.0.2.1'] }, 'gateway.listen[1]', /overlaps 0\.0\.0\.0/],
  ['uplinkListen repeats listen', { 'gateway.uplinkListen': ['192.0.2.1'] }, 'gateway.uplinkListen[0]', /already in listen, line 3/],
  ['uplinkListen is within listen', { 'gateway.listen': '0.0.0.0', 'gateway.uplinkListen': '192.0.2.1' }, 'gateway.uplinkListen', /overlaps 0\.0\.0\.0, listen, line 3/],
  ['GRE and VXLAN on one port', { 'gateway.grePort': 4789 }, 'gateway.vxlanPort', /the same port as grePort/],
  ['RFC 8200 §5: a gateway MTU that cannot carry IPv6 customers', { 'gateway.mtu': 1300 }, 'gateway.mtu', /at least 1330/],
  ['RFC 791 §3.1: a gateway MTU that cannot carry IPv4 customers', { 'gateway.mtu': 600, 'tenants[1]': undefined }, 'gateway.mtu', /at least 626/],
  ['a host MTU too small', { 'hosts[0].mtu': 1300 }, 'hosts[0].mtu', /at least 1330/],
  ['an uplink MTU too small', { 'uplinks[0].mtu': 500 }, 'uplinks[0].mtu', /at least 612/],
  ['a site MTU too small', { 'tenants[0].sites[0].mtu': 500 }, 'tenants[0].sites[0].mtu', /at least 612/],
  ['an MTU beyond IP', { 'gateway.mtu': 65536 }, 'gateway.mtu', /out of range/],
  ['a timer of zero', { 'gateway.timers': { udp: 0 } }, 'gateway.timers.udp', /out of range/],
  ['a negative timer', { 'gateway.timers': { icmp: -5 } }, 'gateway.timers.icmp', /out of range/],
  ['fragments held longer than their datagram is remembered', { 'gateway.timers': { fragment: 3, fragmentHold: 5 } }, 'gateway.timers.fragmentHold', /longer than timers.fragment, 3/],
  ['more sessions than fit', { 'gateway.limits': { sessions: 16777217 } }, 'gateway.limits.sessions', /out of range/],
  ['more records than the limit', { 'gateway.limits': { records: 6 } }, 'gateway.limits', /room for 6 records, but the file has 7 .*set limits\.records to 7 or more/],
  ['more records than have numbers', { 'gateway.limits': { records: 16777216 } }, 'gateway.limits.records', /out of range/],
  ['a receive mode nobody knows', { 'gateway.rss': { mode: 'reuseport' } }, 'gateway.rss.mode', /not "auto" or "dispatcher" or "kernel"/],
  ['a ring that is no power of two', { 'gateway.rss': { ringSlots: 1000 } }, 'gateway.rss.ringSlots', /not a power of two .*write 512 or 1024/],
  ['more workers than a dispatcher serves', { 'gateway.workers': 33, 'gateway.rss': { mode: 'dispatcher' } }, 'gateway.workers', /serves 32 at most .*write 32 or fewer/],
  ['a ring too small to take a burst', { 'gateway.rss': { ringSlots: 32 } }, 'gateway.rss.ringSlots', /out of range/],
  ['an RSS key too short', { 'gateway.rss': { key: '6d5a'.repeat(19) } }, 'gateway.rss.key', /76 hex digits where a key has 80 to 104/],
  ['an RSS key of half a byte more', { 'gateway.rss': { key: `${'6d5a'.repeat(20)}6` } }, 'gateway.rss.key', /81 hex digits/],
  ['an RSS key of zeros', { 'gateway.rss': { key: '00'.repeat(40) } }, 'gateway.rss.key', /under which every flow hashes alike/],
  ['an RSS key that is another word', { 'gateway.rss': { key: 'microsoft' } }, 'gateway.rss.key', /write "default", "symmetric"/],
  ['rebalancing in quotes', { 'gateway.rss': { rebalance: 'yes' } }, 'gateway.rss.rebalance', /a text where true or false belongs/],
  ['more tenants than the limit', { 'gateway.limits': { tenants: 1 } }, 'gateway.limits', /room for 1 tenants, but the file has 2/],
  ['workers is neither a number nor auto', { 'gateway.workers': 'many' }, 'gateway.workers', /write a number from 1 to 128/],
  ['metrics without a port', { 'gateway.metrics': '127.0.0.1' }, 'gateway.metrics', /an address without a port/],
  ['metrics on a multicast address', { 'gateway.metrics': '224.0.0.1:9464' }, 'gateway.metrics', /a multicast address/],
  ['a group MAC for the gateway', { 'gateway.mac': '01:00:5e:00:00:01' }, 'gateway.mac', /a group MAC/],
  ['a NAT log beside whoever calls', { 'gateway.natLog': { path: 'nat-log' } }, 'gateway.natLog.path', /not a path from \/ on .*write \/var\/log\/causeway\/nat/],
  ['a NAT log whose socket has no room for its path', { 'gateway.natLog': { path: `/${'x'.repeat(90)}` } }, 'gateway.natLog.path', /too long for a socket in it .*at most 90 bytes/],
  ['a NAT log that keeps nothing when a file is full', { 'gateway.natLog': { path: '/var/log/nat', files: 1 } }, 'gateway.natLog.files', /out of range/],
  ['a socket path of 108 bytes, two of them one letter', { 'gateway.admin': { socket: `/run/${'x'.repeat(101)}é` } }, 'gateway.admin.socket', /too long for a socket .*at most 107 bytes/],
  ['a log level nobody knows', { 'gateway.logLevel': 'warning' }, 'gateway.logLevel', /did you mean "warn"\?/],
];

const PEERS: readonly Case[] = [
  ['two hosts of one name', { 'hosts[1].name': 'host-a', 'tenants[0].records[1].host': 'host-a', 'tenants[0].subnets[0].hosts': undefined, 'tenants[0].subnets[1].hosts': undefined, 'tenants[0].records[2].host': 'host-a', 'tenants[1].records[0].host': 'host-a', 'tenants[1].records[1].host': 'host-a' }, 'hosts[1].name', /line 6 has a host of this name/],
  ['two uplinks of one name', { 'uplinks[2]': { name: 'inet', pa: '192.0.2.22' } }, 'uplinks[2].name', /has an uplink of this name/],
  ['two hosts at one PA', { 'hosts[1].pa': '192.0.2.11' }, 'hosts[1].pa', /host host-a, line 6, has this PA/],
  ['an uplink at a host’s PA', { 'uplinks[0].pa': '192.0.2.11' }, 'uplinks[0].pa', /host host-a, line 6, has this PA/],
  ['a site at an uplink’s PA', { 'tenants[0].sites[0].pa': '192.0.2.21' }, 'tenants[0].sites[0].pa', /uplink core, line \d+, has this PA/],
  ['PAs that share an address, one without a port', { 'hosts[1].pa': '192.0.2.11:5000' }, 'hosts[0].pa', /shares its address with host host-b, line 11, but has no port/],
  ['two sites with one PA and one key', { 'tenants[0].sites[1]': { name: 'lab', pa: '198.51.100.31:4754', key: 9001, prefixes: ['192.168.60.0/24'] } }, 'tenants[0].sites[1].key', /tenant red's site hq, line \d+, has this PA and this key/],
  ['two sites with one PA and no key', { 'tenants[0].sites[0].key': undefined, 'tenants[0].sites[1]': { name: 'lab', pa: '198.51.100.31:4754', prefixes: ['192.168.60.0/24'] } }, 'tenants[0].sites[1].pa', /has this PA and this key/],
  ['a PA that the gateway listens on', { 'hosts[0].pa': '192.0.2.1' }, 'hosts[0].pa', /the gateway listens on this address itself/],
  ['a PA that is the gateway’s socket', { 'gateway.listen': ['127.0.0.1', '192.0.2.1'], 'hosts[0].pa': '127.0.0.1:4754' }, 'hosts[0].pa', /the gateway’s own socket/],
  ['a multicast PA', { 'hosts[0].pa': '239.1.1.1' }, 'hosts[0].pa', /a multicast address cannot be a PA/],
  ['a link-local PA, which needs an interface', { 'hosts[0].pa': 'fe80::1' }, 'hosts[0].pa', /a link-local address cannot be a PA/],
  ['port 0 in a PA', { 'hosts[0].pa': '192.0.2.11:0' }, 'hosts[0].pa', /port 0 .*leave the port out/],
  ['a port beyond 65535 in a PA', { 'hosts[0].pa': '192.0.2.11:65536' }, 'hosts[0].pa', /not a port/],
  ['an IPv6 PA where only IPv4 is listened on', { 'hosts[0].pa': '2001:db8::11' }, 'gateway.listen', /no IPv6 address, but host host-a, line 6, has an IPv6 PA/],
  ['a distant PA where only loopback is listened on', { 'gateway.listen': '127.0.0.1' }, 'gateway.listen', /only a loopback address, but host host-a/],
  ['FlowID for VXLAN', { 'hosts[1].flowId': 'hash' }, 'hosts[1].flowId', /VXLAN has no FlowID/],
  ['an encapsulation that is not spoken yet', { 'hosts[0].encap': 'geneve' }, 'hosts[0].encap', /not spoken yet/],
];

const TENANTS: readonly Case[] = [
  ['two tenants of one name', { 'tenants[1].name': 'red' }, 'tenants[1].name', /has a tenant of this name/],
  ['two tenants of one RDID, in other letters and braces', { 'tenants[1].rdid': '{6F1C2A70-51D5-4F0E-9A53-2B1D4C7E8F01}' }, 'tenants[1].rdid', /tenant red, line \d+, has this RDID/],
  ['an RDID with one brace', { 'tenants[1].rdid': '{6F1C2A70-51D5-4F0E-9A53-2B1D4C7E8F01' }, 'tenants[1].rdid', /not a GUID/],
  ['a VSID of another tenant', { 'tenants[1].subnets[0].vsid': 5001 }, 'tenants[1].subnets[0].vsid', /tenant red's subnet, line \d+, has this VSID/],
  ['a VSID twice in a tenant', { 'tenants[0].subnets[1].vsid': 5001, 'tenants[0].records[2].vsid': 5001 }, 'tenants[0].subnets[1].vsid', /another subnet, line \d+, has this VSID/],
  ['RFC 7637 §3.2: a VSID below 4096', { 'tenants[1].subnets[0].vsid': 4095 }, 'tenants[1].subnets[0].vsid', /a reserved VSID/],
  ['RFC 7637 §3.2: the vendors’ VSID', { 'tenants[1].subnets[0].vsid': 16777215 }, 'tenants[1].subnets[0].vsid', /a reserved VSID/],
  ['a VSID of 25 bits', { 'tenants[1].subnets[0].vsid': 16777216 }, 'tenants[1].subnets[0].vsid', /out of range/],
  ['a forward key of another tenant’s on the uplink', { 'tenants[1].forward.key': 7001 }, 'tenants[1].forward.key', /tenant red, line \d+, forwards to this uplink with this key too/],
  ['forwarding twice without a key', { 'tenants[0].forward.key': undefined, 'tenants[1].forward.key': undefined }, 'tenants[1].forward', /forwards to this uplink without a key too/],
  ['a NAT key that is another tenant’s forward key', { 'tenants[1].nat': { uplink: 'core', key: 7001, pool: ['203.0.113.20'] } }, 'tenants[1].nat.key', /tenant red, line \d+, forwards to this uplink with this key/],
  ['NAT without a key where another tenant forwards without one', { 'tenants[0].forward.key': undefined, 'tenants[1].nat.uplink': 'core' }, 'tenants[1].nat', /forwards to this uplink without a key/],
];

const SUBNETS: readonly Case[] = [
  ['overlapping subnets', { 'tenants[0].subnets[1].prefix': '10.0.0.0/16' }, 'tenants[0].subnets[1].prefix', /overlaps subnet web 10\.0\.0\.0\/24, line \d+/],
  ['the same subnet twice', { 'tenants[1].subnets[1]': { vsid: 6002, prefix: '10.0.0.0/24' } }, 'tenants[1].subnets[1].prefix', /overlaps subnet vsid-6001/],
  ['a subnet without a prefix', { 'tenants[0].subnets[2]': { vsid: 5003 } }, 'tenants[0].subnets[2].prefix', /missing/],
  ['an IPv6 prefix under the wrong key', { 'tenants[0].subnets[2]': { vsid: 5003, prefix: '2001:db8:c::/64' } }, 'tenants[0].subnets[2].prefix', /call the key "prefix6"/],
  ['an IPv4 prefix under the wrong key', { 'tenants[0].subnets[2]': { vsid: 5003, prefix6: '10.3.0.0/24' } }, 'tenants[0].subnets[2].prefix6', /call the key "prefix"/],
  ['a prefix with host bits', { 'tenants[0].subnets[1].prefix': '10.0.1.1/24' }, 'tenants[0].subnets[1].prefix', /has bits set to the right of \/24 .*write 10\.0\.1\.0\/24/],
  ['a mask where a length belongs', { 'tenants[0].subnets[1].prefix': '10.0.1.0/255.255.255.0' }, 'tenants[0].subnets[1].prefix', /write 10\.0\.1\.0\/24/],
  ['an address where a prefix belongs', { 'tenants[0].subnets[1].prefix': '10.0.1.0' }, 'tenants[0].subnets[1].prefix', /an address without a prefix length/],
  ['a subnet too wide', { 'tenants[0].subnets[2]': { vsid: 5003, prefix: '12.0.0.0/7' } }, 'tenants[0].subnets[2].prefix', /too wide/],
  ['a subnet of one address', { 'tenants[0].subnets[2]': { vsid: 5003, prefix: '10.3.0.1/32' } }, 'tenants[0].subnets[2].prefix', /no room/],
  ['a subnet of loopback addresses', { 'tenants[0].subnets[2]': { vsid: 5003, prefix: '127.0.0.0/24' } }, 'tenants[0].subnets[2].prefix', /starts with a loopback address/],
  ['a subnet of link-local addresses', { 'tenants[0].subnets[2]': { vsid: 5003, prefix6: 'fe80::/64' } }, 'tenants[0].subnets[2].prefix6', /starts with a link-local address/],
  ['a gateway outside its prefix', { 'tenants[0].subnets[0].gateway': '10.0.9.1' }, 'tenants[0].subnets[0].gateway', /outside 10\.0\.0\.0\/24/],
  ['a gateway inside another subnet', { 'tenants[0].subnets[0].gateway': '10.0.1.1' }, 'tenants[0].subnets[0].gateway', /but inside 10\.0\.1\.0\/24 of line \d+/],
  ['a gateway at the network address', { 'tenants[0].subnets[0].gateway': '10.0.0.0' }, 'tenants[0].subnets[0].gateway', /the network address of/],
  ['a gateway at the broadcast address', { 'tenants[0].subnets[0].gateway': '10.0.0.255' }, 'tenants[0].subnets[0].gateway', /the broadcast address of/],
  ['RFC 4291 §2.6.1: a gateway at the anycast address', { 'tenants[1].subnets[0].gateway6': '2001:db8:b::' }, 'tenants[1].subnets[0].gateway6', /anycast/],
  ['a gateway of the other family', { 'tenants[0].subnets[0].gateway': '2001:db8::1' }, 'tenants[0].subnets[0].gateway', /an IPv6 address/],
  ['a gateway without a prefix', { 'tenants[0].subnets[0].gateway6': '2001:db8::1' }, 'tenants[0].subnets[0].gateway6', /a gateway without a prefix/],
  ['a subnet host nobody knows', { 'tenants[0].subnets[1].hosts': ['host-c', 'host-b'] }, 'tenants[0].subnets[1].hosts[0]', /no host has this name .*did you mean "host-a"\?/],
  ['a subnet host twice', { 'tenants[0].subnets[1].hosts': ['host-b', 'host-b'] }, 'tenants[0].subnets[1].hosts[1]', /in this list already/],
  ['no host at all', { 'tenants[0].subnets[1].hosts': [] }, 'tenants[0].subnets[1].hosts', /an empty list/],
  ['two subnets of one name', { 'tenants[0].subnets[1].name': 'web' }, 'tenants[0].subnets[1].name', /has a subnet of this name/],
  ['a subnet named as another is by default', { 'tenants[0].subnets[0].name': 'vsid-5002', 'tenants[0].subnets[1].name': undefined }, 'tenants[0].subnets[1].name', /has a subnet of this name/],
];

const RECORDS: readonly Case[] = [
  ['a host nobody knows', { 'tenants[0].records[0].host': 'hots-a' }, 'tenants[0].records[0].host', /did you mean "host-a"\?/],
  ['a host not among the subnet’s', { 'tenants[0].records[2].host': 'host-a' }, 'tenants[0].records[2].host', /not among the hosts of db/],
  ['a CA in no subnet', { 'tenants[0].records[1].ca': '10.0.7.6', 'tenants[0].routes[3]': undefined }, 'tenants[0].records[1].ca', /in no subnet of tenant red .*its subnets: 10\.0\.0\.0\/24, 10\.0\.1\.0\/24/],
  ['a CA outside the VSID it names', { 'tenants[0].records[2].ca': '10.0.0.7' }, 'tenants[0].records[2].ca', /outside VSID 5002: it lies in 10\.0\.0\.0\/24, VSID 5001/],
  ['a CA outside every subnet, with a VSID', { 'tenants[0].records[2].ca': '10.0.7.7' }, 'tenants[0].records[2].ca', /outside 10\.0\.1\.0\/24 of db/],
  ['a VSID of another tenant’s', { 'tenants[0].records[2].vsid': 6001 }, 'tenants[0].records[2].vsid', /a VSID of tenant blue's/],
  ['a VSID nobody has', { 'tenants[0].records[2].vsid': 5009 }, 'tenants[0].records[2].vsid', /no subnet has this VSID .*tenant red has 5001, 5002/],
  ['the gateway’s CA', { 'tenants[0].records[0].ca': '10.0.0.1', 'tenants[0].nat.mappings': undefined }, 'tenants[0].records[0].ca', /the gateway’s own CA in web/],
  ['the broadcast address as CA', { 'tenants[0].records[2].ca': '10.0.1.255' }, 'tenants[0].records[2].ca', /the broadcast address of 10\.0\.1\.0\/24/],
  ['the network address as CA', { 'tenants[0].records[2].ca': '10.0.1.0' }, 'tenants[0].records[2].ca', /the network address of/],
  ['a loopback CA', { 'tenants[0].records[2].ca': '127.0.0.1', 'tenants[0].records[2].vsid': undefined }, 'tenants[0].records[2].ca', /a loopback address cannot be a CA/],
  ['a link-local CA', { 'tenants[1].records[1].ca': 'fe80::5' }, 'tenants[1].records[1].ca', /a link-local address cannot be a CA/],
  ['a multicast CA', { 'tenants[0].records[2].ca': '224.0.0.5' }, 'tenants[0].records[2].ca', /a multicast address cannot be a CA/],
  ['a CA twice', { 'tenants[0].records[1].ca': '10.0.0.5', 'tenants[0].routes[3]': undefined }, 'tenants[0].records[1].ca', /line \d+ has a record for this CA/],
  ['a whole record twice', { 'tenants[0].records[5]': { ca: '10.0.0.5', mac: '00:15:5d:00:01:05', host: 'host-b' } }, 'tenants[0].records[5].ca', /has a record for this CA/],
  ['a CA twice, written in two ways', { 'tenants[1].records[2]': { ca: '2001:DB8:B:0::5', mac: '00:15:5d:00:01:09', host: 'host-b' } }, 'tenants[1].records[2].ca', /has a record for this CA/],
  ['a MAC on two hosts of a VSID', { 'tenants[0].records[1].mac': '00-15-5D-00-01-05' }, 'tenants[0].records[1].mac', /line \d+ has this MAC on host-a/],
  ['the same l2only record twice', { 'tenants[0].records[5]': { type: 'l2only', mac: '00:15:5d:00:01:08', host: 'host-a', vsid: 5001 } }, 'tenants[0].records[5].mac', /says the same/],
  ['the gateway’s MAC', { 'tenants[0].records[0].mac': '020000000001' }, 'tenants[0].records[0].mac', /the gateway’s own MAC/],
  ['a group MAC', { 'tenants[0].records[0].mac': '01:15:5d:00:01:05' }, 'tenants[0].records[0].mac', /a group MAC/],
  ['the zero MAC', { 'tenants[0].records[0].mac': '00:00:00:00:00:00' }, 'tenants[0].records[0].mac', /all-zero MAC/],
  ['a MAC of five bytes', { 'tenants[0].records[0].mac': '00:15:5d:00:01' }, 'tenants[0].records[0].mac', /not a MAC address/],
  ['two wildcards in a VSID', { 'tenants[0].records[5]': { type: 'wildcard', mac: '00:15:5d:00:01:fd', host: 'host-b', vsid: 5001 } }, 'tenants[0].records[5].type', /is a wildcard of web already/],
  ['a wildcard without a VSID', { 'tenants[0].records[3].vsid': undefined }, 'tenants[0].records[3].vsid', /missing/],
  ['a wildcard with a CA', { 'tenants[0].records[3].ca': '10.0.0.9' }, 'tenants[0].records[3].ca', /a record of type wildcard has no CA/],
  ['a static record without a CA', { 'tenants[0].records[2].ca': undefined }, 'tenants[0].records[2].ca', /missing/],
  ['a dynamic record', { 'tenants[0].records[0].type': 'Dynamic' }, 'tenants[0].records[0].type', /learned by the gateway, not written here; learning comes later/],
];

const ROUTES: readonly Case[] = [
  ['a site that is not there', { 'tenants[0].routes[2].via': 'site:hp' }, 'tenants[0].routes[2].via', /no site has this name .*did you mean "hq"\?/],
  ['a site of another tenant', { 'tenants[1].routes[2]': { prefix: '192.168.50.0/24', via: 'site:hq' } }, 'tenants[1].routes[2].via', /there are no sites/],
  ['nat without nat', { 'tenants[1].nat': undefined }, 'tenants[1].routes[0].via', /tenant blue has no nat/],
  ['forward without forward', { 'tenants[1].forward': undefined }, 'tenants[1].routes[1].via', /tenant blue has no forward/],
  ['nat for IPv6', { 'tenants[1].routes[1].via': 'nat' }, 'tenants[1].routes[1].via', /NAT for an IPv6 prefix/],
  ['wider than the site', { 'tenants[0].routes[2].prefix': '192.168.0.0/16' }, 'tenants[0].routes[2].prefix', /not within the prefixes of site hq/],
  ['a next hop in no subnet', { 'tenants[0].routes[3].via': 'ca:10.4.0.6' }, 'tenants[0].routes[3].via', /in no subnet of tenant red/],
  ['a next hop without a record', { 'tenants[0].routes[3].via': 'ca:10.0.0.66' }, 'tenants[0].routes[3].via', /no record for this CA/],
  ['a next hop that is the gateway', { 'tenants[0].routes[3].via': 'ca:10.0.0.1' }, 'tenants[0].routes[3].via', /the gateway’s own CA/],
  ['a next hop of the other family', { 'tenants[1].routes[2]': { prefix: '10.9.0.0/16', via: 'ca:2001:db8:b::5' } }, 'tenants[1].routes[2].via', /an IPv6 next hop for an IPv4 prefix/],
  ['a next hop that is only an address', { 'tenants[0].routes[3].via': '10.0.0.6' }, 'tenants[0].routes[3].via', /write "ca:10\.0\.0\.6"/],
  ['a next hop nobody knows', { 'tenants[0].routes[3].via': 'internet' }, 'tenants[0].routes[3].via', /not a next hop/],
  ['a connected subnet', { 'tenants[0].routes[3].prefix': '10.0.1.0/24' }, 'tenants[0].routes[3].prefix', /subnet db, line \d+, is this prefix/],
  ['the same prefix and metric twice', { 'tenants[0].routes[4]': { prefix: '10.9.0.0/16', via: 'drop', metric: 5 } }, 'tenants[0].routes[4].prefix', /line \d+ has a route to this prefix with metric 5/],
  ['multicast', { 'tenants[0].routes[4]': { prefix: '224.0.0.0/4', via: 'nat' } }, 'tenants[0].routes[4].prefix', /multicast address, which is never routed/],
];

const NAT: readonly Case[] = [
  ['an uplink nobody knows', { 'tenants[0].nat.uplink': 'intet' }, 'tenants[0].nat.uplink', /did you mean "inet"\?/],
  ['a forward uplink nobody knows', { 'tenants[0].forward.uplink': 'physical' }, 'tenants[0].forward.uplink', /there are: inet, core/],
  ['blocks too small to be worth writing down', { 'tenants[0].nat.blocks': { size: 32 } }, 'tenants[0].nat.blocks.size', /out of range .*64 to 16384/],
  ['blocks for nobody, where all ports go by blocks', { 'tenants[0].nat.blocks': { assign: 'dynamic', perAddress: 0 } }, 'tenants[0].nat.blocks.perAddress', /no ports for anybody .*write 1 or more/],
  ['a pooling nobody knows', { 'tenants[0].nat.pooling': 'pair' }, 'tenants[0].nat.pooling', /did you mean "paired"\?/],
  ['a limit of nothing', { 'tenants[0].limits': { perAddress: { sessions: 0 } } }, 'tenants[0].limits.perAddress.sessions', /out of range/],
  ['a pool of another tenant’s', { 'tenants[1].nat.pool': ['203.0.113.0/28'] }, 'tenants[1].nat.pool[0]', /overlaps tenant red's pool 203\.0\.113\.1[02]\/3[02], line \d+/],
  ['a pool entry twice', { 'tenants[0].nat.pool': ['203.0.113.10', '203.0.113.8-203.0.113.11'] }, 'tenants[0].nat.pool[1]', /overlaps pool 203\.0\.113\.10\/32/],
  ['a pool in a subnet of the tenant', { 'tenants[1].nat.pool': ['10.0.0.77'] }, 'tenants[1].nat.pool[0]', /overlaps subnet vsid-6001 10\.0\.0\.0\/24/],
  ['an IPv6 pool', { 'tenants[1].nat.pool': ['2001:db8::/120'] }, 'tenants[1].nat.pool[0]', /an IPv6 pool/],
  ['a pool of half the Internet', { 'tenants[1].nat.pool': ['128.0.0.0/1'] }, 'tenants[1].nat.pool[0]', /more than 65536 addresses/],
  ['a range that runs backwards', { 'tenants[1].nat.pool': ['203.0.113.20-203.0.113.15'] }, 'tenants[1].nat.pool[0]', /write 203\.0\.113\.15-203\.0\.113\.20/],
  ['a loopback pool', { 'tenants[1].nat.pool': ['127.0.0.9'] }, 'tenants[1].nat.pool[0]', /a loopback address cannot be translated to/],
  ['a pool that holds a host’s PA', { 'tenants[1].nat.pool': ['203.0.113.20', '192.0.2.8/29'] }, 'tenants[1].nat.pool[1]', /holds 192\.0\.2\.11, the PA of host host-a, line 6 .*could send as that peer/],
  ['a pool that is an uplink’s PA', { 'tenants[1].nat.pool': ['192.0.2.20'] }, 'tenants[1].nat.pool[0]', /holds 192\.0\.2\.20, the PA of uplink inet, line \d+/],
  ['a range that ends at the PA of another tenant’s site, whatever its port', { 'tenants[1].nat.pool': ['198.51.100.29-198.51.100.31'] }, 'tenants[1].nat.pool[0]', /holds 198\.51\.100\.31, the PA of tenant red's site hq, line \d+/],
  ['a pool that holds a listen address', { 'tenants[1].nat.pool': ['192.0.2.0/30'] }, 'tenants[1].nat.pool[0]', /holds 192\.0\.2\.1, in gateway\.listen, line 3 .*could send as the gateway/],
  ['a pool that is an uplinkListen address', { 'gateway.uplinkListen': ['192.0.2.2', '192.0.2.3'], 'tenants[1].nat.pool': ['192.0.2.3'] }, 'tenants[1].nat.pool[0]', /holds 192\.0\.2\.3, in gateway\.uplinkListen, line \d+/],
  ['no pool', { 'tenants[1].nat.pool': [] }, 'tenants[1].nat.pool', /an empty list/],
  ['a mapping outside the pool', { 'tenants[0].nat.mappings[0].external': '203.0.113.99:80' }, 'tenants[0].nat.mappings[0].external', /not an address of the pool .*203\.0\.113\.10\/32, 203\.0\.113\.12\/30/],
  ['a mapping twice', { 'tenants[0].nat.mappings[1]': { proto: 'tcp', external: '203.0.113.10:80', internal: '10.0.0.6:80' } }, 'tenants[0].nat.mappings[1].external', /line \d+ maps this tcp port already/],
  ['a mapping to nobody', { 'tenants[0].nat.mappings[0].internal': '10.0.0.77:80' }, 'tenants[0].nat.mappings[0].internal', /no record for this CA/],
  ['a mapping to the gateway', { 'tenants[0].nat.mappings[0].internal': '10.0.0.1:80' }, 'tenants[0].nat.mappings[0].internal', /the gateway’s own CA/],
  ['a mapping to port 0', { 'tenants[0].nat.mappings[0].internal': '10.0.0.5:0' }, 'tenants[0].nat.mappings[0].internal', /port 0/],
  ['a mapping without a port', { 'tenants[0].nat.mappings[0].external': '203.0.113.10' }, 'tenants[0].nat.mappings[0].external', /an address without a port/],
  ['a mapping to IPv6', { 'tenants[1].nat.mappings': [{ proto: 'udp', external: '203.0.113.20:53', internal: '[2001:db8:b::5]:53' }] }, 'tenants[1].nat.mappings[0].internal', /NAT is IPv4 only/],
  ['mappings, but no route via nat', { 'tenants[0].routes[0].via': 'forward' }, 'tenants[0].nat.mappings', /answers have no way back .*add a route via nat/],
  ['ports without a protocol', { 'tenants[0].nat.mappings[0].proto': undefined }, 'tenants[0].nat.mappings[0].proto', /ports of no protocol .*for both, two mappings/],
  ['more ports outside than inside', { 'tenants[0].nat.mappings[0].external': '203.0.113.10:80-89' }, 'tenants[0].nat.mappings[0].internal', /1 ports for 10/],
  ['a port outside and an address inside', { 'tenants[0].nat.mappings[0].internal': '10.0.0.5' }, 'tenants[0].nat.mappings[0].internal', /an address without a port/],
  ['ranges of ports that overlap', { 'tenants[0].nat.mappings[1]': { proto: 'tcp', external: '203.0.113.10:70-80', internal: '10.0.0.6:70-80' } }, 'tenants[0].nat.mappings[1].external', /overlaps the mapping of line \d+/],
  ['an address as a whole, of which a port is mapped', { 'tenants[0].nat.mappings[1]': { external: '203.0.113.10', internal: '10.0.0.6' } }, 'tenants[0].nat.mappings[1].external', /overlaps the mapping of line \d+/],
  ['a prefix over a whole address', { 'tenants[0].nat.mappings[1]': { external: '203.0.113.12/30', internal: '10.0.0.4/30' }, 'tenants[0].nat.mappings[2]': { external: '203.0.113.13', internal: '10.0.1.7' } }, 'tenants[0].nat.mappings[2].external', /overlaps the mapping of line \d+/],
  ['an address inside that leaves by two', { 'tenants[0].nat.mappings[1]': { external: '203.0.113.12', internal: '10.0.1.7' }, 'tenants[0].nat.mappings[2]': { external: '203.0.113.13', internal: '10.0.1.7' } }, 'tenants[0].nat.mappings[2].internal', /line \d+ maps this address as a whole already/],
  ['prefixes of different length', { 'tenants[0].nat.mappings[1]': { external: '203.0.113.12/30', internal: '10.0.0.0/29' } }, 'tenants[0].nat.mappings[1].internal', /8 addresses for 4/],
  ['a prefix of one protocol', { 'tenants[0].nat.mappings[1]': { proto: 'tcp', external: '203.0.113.12/30', internal: '10.0.0.4/30' } }, 'tenants[0].nat.mappings[1].proto', /leave it out/],
  ['a prefix half in the pool', { 'tenants[0].nat.pool': ['203.0.113.10', '203.0.113.12/31'], 'tenants[0].nat.mappings[1]': { external: '203.0.113.12/30', internal: '10.0.0.4/30' } }, 'tenants[0].nat.mappings[1].external', /not all of it is in the pool/],
  ['a prefix in no subnet', { 'tenants[0].nat.mappings[1]': { external: '203.0.113.12/30', internal: '10.0.2.0/30' } }, 'tenants[0].nat.mappings[1].internal', /not within a subnet of tenant red .*its subnets: 10\.0\.0\.0\/24/],
  ['a prefix with a port', { 'tenants[0].nat.mappings[0].external': '203.0.113.10/32:80' }, 'tenants[0].nat.mappings[0].external', /not a prefix length/],
  ['a range of ports that runs backwards', { 'tenants[0].nat.mappings[0].external': '203.0.113.10:90-80' }, 'tenants[0].nat.mappings[0].external', /runs backwards/],
  ['a filtering nobody knows', { 'tenants[0].nat.filtering': 'symmetric' }, 'tenants[0].nat.filtering', /not "endpoint-independent"/],
  ['a mapping of ICMP', { 'tenants[0].nat.mappings[0].proto': 'icmp' }, 'tenants[0].nat.mappings[0].proto', /not "tcp" or "udp"/],
  ['a key of 33 bits', { 'tenants[0].forward.key': 4294967296 }, 'tenants[0].forward.key', /out of range/],
];

const SITES: readonly Case[] = [
  ['two sites of one name', { 'tenants[0].sites[1]': { name: 'hq', pa: '198.51.100.32', prefixes: ['192.168.60.0/24'] } }, 'tenants[0].sites[1].name', /has a site of this name/],
  ['a site prefix over a subnet', { 'tenants[0].sites[0].prefixes': ['192.168.50.0/24', '10.0.0.128/25'] }, 'tenants[0].sites[0].prefixes[1]', /overlaps subnet web 10\.0\.0\.0\/24/],
  ['site prefixes over each other', { 'tenants[0].sites[1]': { name: 'lab', pa: '198.51.100.32', prefixes: ['192.168.0.0/16'] } }, 'tenants[0].sites[1].prefixes[0]', /overlaps site hq 192\.168\.50\.0\/24/],
  ['a site prefix over the pool', { 'tenants[0].sites[0].prefixes': ['192.168.50.0/24', '203.0.113.12/30'] }, 'tenants[0].sites[0].prefixes[1]', /overlaps pool 203\.0\.113\.12/],
  ['a multicast site prefix', { 'tenants[0].sites[0].prefixes': ['192.168.50.0/24', '239.0.0.0/8'] }, 'tenants[0].sites[0].prefixes[1]', /never routed/],
  ['a map of IPv6', { 'tenants[0].sites[0].maps': [{ side: 'site', real: '2001:db8::/64', shown: '192.168.60.0/24' }] }, 'tenants[0].sites[0].maps[0].real', /maps are for IPv4/],
  ['a map of different lengths', { 'tenants[0].sites[0].maps': [{ side: 'tenant', real: '10.0.0.0/24', shown: '10.100.0.0/25' }] }, 'tenants[0].sites[0].maps[0].shown', /\/25 for a \/24 .*of the same length/],
  ['a map of what the tenant does not have', { 'tenants[0].sites[0].maps': [{ side: 'tenant', real: '10.7.0.0/24', shown: '10.100.0.0/24' }] }, 'tenants[0].sites[0].maps[0].real', /in no subnet of tenant red/],
  ['a map of what the site does not have', { 'tenants[0].sites[0].maps': [{ side: 'site', real: '192.168.51.0/24', shown: '10.100.0.0/24' }] }, 'tenants[0].sites[0].maps[0].real', /none of the site’s prefixes .*192\.168\.50\.0\/24/],
  ['two maps of one prefix', { 'tenants[0].sites[0].maps': [{ side: 'tenant', real: '10.0.0.0/24', shown: '10.100.0.0/24' }, { side: 'tenant', real: '10.0.0.0/25', shown: '10.101.0.0/25' }] }, 'tenants[0].sites[0].maps[1].real', /line \d+ shows some of it already/],
  ['two maps to one prefix', { 'tenants[0].sites[0].maps': [{ side: 'tenant', real: '10.0.0.0/24', shown: '10.100.0.0/24' }, { side: 'tenant', real: '10.0.1.0/24', shown: '10.100.0.0/24' }] }, 'tenants[0].sites[0].maps[1].shown', /line \d+ shows something as some of it already/],
  ['the tenant shown as what the site has', { 'tenants[0].sites[0].maps': [{ side: 'tenant', real: '10.0.0.0/24', shown: '192.168.50.0/24' }] }, 'tenants[0].sites[0].maps[0].shown', /the site has 192\.168\.50\.0\/24 itself/],
  ['a subnet shown as another', { 'tenants[0].sites[0].maps': [{ side: 'tenant', real: '10.0.0.0/24', shown: '10.0.1.0/24' }] }, 'tenants[0].sites[0].maps[0].shown', /overlaps subnet db 10\.0\.1\.0\/24, line \d+/],
  ['a site shown as a subnet', { 'tenants[0].sites[0].prefixes': ['192.168.50.0/24', '192.168.60.0/24'], 'tenants[0].sites[0].maps': [{ side: 'site', real: '192.168.60.0/24', shown: '10.0.1.0/24' }] }, 'tenants[0].sites[0].maps[0].shown', /overlaps subnet db 10\.0\.1\.0\/24/],
  ['a route to a site’s real addresses', { 'tenants[0].sites[0].maps': [{ side: 'site', real: '192.168.50.0/24', shown: '10.100.0.0/24' }] }, 'tenants[0].routes[2].prefix', /not within the prefixes of site hq.*10\.100\.0\.0\/24/],
  ['a site type that comes later', { 'tenants[0].sites[0].type': 'wireguard' }, 'tenants[0].sites[0].type', /WireGuard sites come later/],
];

const ACLS: readonly Case[] = [
  ['families that differ', { 'tenants[1].acls': [{ action: 'deny', direction: 'inbound', local: '10.0.0.5', remote: '2001:db8::/32' }] }, 'tenants[1].acls[0].remote', /an IPv6 prefix beside an IPv4 one/],
  ['icmp with IPv6', { 'tenants[1].acls': [{ action: 'deny', direction: 'inbound', protocol: 'icmp', remote: '2001:db8::/32' }] }, 'tenants[1].acls[0].protocol', /write "icmpv6"/],
  ['icmpv6 with IPv4', { 'tenants[1].acls': [{ action: 'deny', direction: 'inbound', protocol: 58, local: '10.0.0.0/24' }] }, 'tenants[1].acls[0].protocol', /write "icmp"/],
  ['a port without a protocol that has ports', { 'tenants[0].acls[0].protocol': 'icmp' }, 'tenants[0].acls[0].localPort', /ports need "protocol"/],
  ['a port for any protocol', { 'tenants[0].acls[0].protocol': undefined }, 'tenants[0].acls[0].localPort', /ports need "protocol"/],
  ['a range that runs backwards', { 'tenants[0].acls[0].localPort': '30-20' }, 'tenants[0].acls[0].localPort', /write "20-30"/],
  ['port 0', { 'tenants[0].acls[0].localPort': 0 }, 'tenants[0].acls[0].localPort', /port 0/],
  ['a protocol nobody knows', { 'tenants[0].acls[0].protocol': 'tpc' }, 'tenants[0].acls[0].protocol', /did you mean "tcp"\?/],
  ['a VM’s side where no VM is', { 'tenants[0].acls[0].local': '10.7.0.0/24' }, 'tenants[0].acls[0].local', /the rule never matches/],
  ['two rules of one name', { 'tenants[0].acls[1]': { name: 'no-ssh', action: 'deny', direction: 'outbound' } }, 'tenants[0].acls[1].name', /has a rule of this name/],
  ['two rules that contradict each other', { 'tenants[0].acls[1]': { weight: 10, action: 'allow', direction: 'inbound', protocol: 'tcp', localPort: 22 } }, 'tenants[0].acls[1]', /matches the same as the rule of line \d+/],
  ['an action nobody knows', { 'tenants[0].acls[0].action': 'drop' }, 'tenants[0].acls[0].action', /not "allow" or "deny" or "measure"/],
  ['a stateful rule that denies', { 'tenants[0].acls[0].stateful': true }, 'tenants[0].acls[0].stateful', /a stateful rule that denies .*or allow/],
  ['a stateful rule that measures', { 'tenants[0].acls[0].action': 'measure', 'tenants[0].acls[0].stateful': true }, 'tenants[0].acls[0].stateful', /that measures/],
  ['an idle timeout without state', { 'tenants[0].acls[0].idleTimeout': 60 }, 'tenants[0].acls[0].idleTimeout', /keeps no state .*"stateful": true/],
  ['an idle timeout of nothing', { 'tenants[0].acls[0].action': 'allow', 'tenants[0].acls[0].stateful': true, 'tenants[0].acls[0].idleTimeout': 0 }, 'tenants[0].acls[0].idleTimeout', /out of range/],
  ['two rules that measure the same', { 'tenants[0].acls[0].action': 'measure', 'tenants[0].acls[1]': { weight: 10, action: 'measure', direction: 'inbound', protocol: 'tcp', localPort: 22 } }, 'tenants[0].acls[1]', /matches the same .*keep one/],
  ['a local MAC that no record has', { 'tenants[0].acls[0].local': '00:15:5d:00:09:09' }, 'tenants[0].acls[0].local', /no record of tenant red has this MAC, so the rule never matches/],
  ['a group MAC', { 'tenants[0].acls[0].remote': '01:00:5e:00:00:01' }, 'tenants[0].acls[0].remote', /a group MAC/],
  ['neither address nor MAC', { 'tenants[0].acls[0].remote': '00:15:5d:00:09' }, 'tenants[0].acls[0].remote', /not an IPv6 address/],
  ['a rule of a subnet about what lies elsewhere', { 'tenants[0].subnets[0].acls': [{ action: 'deny', direction: 'inbound', local: '10.0.1.7' }] }, 'tenants[0].subnets[0].acls[0].local', /nothing of web, line \d+, so the rule never matches .*10\.0\.0\.0\/24/],
  ['a rule of a record about another', { 'tenants[0].records[0].acls': [{ action: 'deny', direction: 'inbound', local: '10.0.0.6' }] }, 'tenants[0].records[0].acls[0].local', /nothing of the record, line \d+, .*10\.0\.0\.5/],
  ['a rule of a subnet about a family it does not have', { 'tenants[0].subnets[0].acls': [{ action: 'deny', direction: 'inbound', remote: '2001:db8::/32' }] }, 'tenants[0].subnets[0].acls[0].remote', /IPv6, of which web, line \d+ has nothing/],
  ['a rule of a subnet about ICMPv6, which it does not have', { 'tenants[0].subnets[0].acls': [{ action: 'deny', direction: 'inbound', protocol: 'icmpv6' }] }, 'tenants[0].subnets[0].acls[0].protocol', /IPv6, of which web/],
  ['a rule of a record without a CA', { 'tenants[0].records[3]': { type: 'wildcard', vsid: 5001, mac: '00:15:5d:00:01:09', host: 'host-a', acls: [{ action: 'deny', direction: 'inbound' }] } }, 'tenants[0].records[3].acls[0]', /a record without a CA .*under the tenant/],
  ['a rule of a subnet that the tenant has already', { 'tenants[0].acls[1]': { action: 'deny', direction: 'outbound', protocol: 'icmp', local: '10.0.0.0/24' }, 'tenants[0].subnets[0].acls': [{ action: 'deny', direction: 'outbound', protocol: 'icmp' }] }, 'tenants[0].acls[1]', /matches the same as the rule of line \d+/],
  ['a rule that matches nothing, beside one that matches everything', { 'tenants[0].acls[1]': { action: 'deny', direction: 'inbound' }, 'tenants[0].subnets[0].acls': [{ action: 'deny', direction: 'inbound', local: '10.0.1.7' }] }, 'tenants[0].subnets[0].acls[0].local', /the rule never matches/],
  ['a rule that cannot be read, beside one like it', { 'tenants[0].acls[0].action': 'drop', 'tenants[0].acls[1]': { weight: 10, action: 'deny', direction: 'inbound', protocol: 'tcp', localPort: 22 } }, 'tenants[0].acls[0].action', /not "allow"/],
  ['two rules of one name, one of them a record’s', { 'tenants[0].records[0].acls': [{ name: 'no-ssh', action: 'deny', direction: 'outbound' }] }, 'tenants[0].acls[0].name', /line \d+ has a rule of this name/],
  ['a weight with a fraction', { 'tenants[0].acls[0].weight': 1.5 }, 'tenants[0].acls[0].weight', /not a whole number/],
];

const KEYS: readonly Case[] = [
  ['a key nobody knows, close to one', { 'tenants[0].subnet': [], 'tenants[0].subnets': undefined }, 'tenants[0].subnet', /unknown key .*did you mean "subnets"\?/],
  ['a key nobody knows, close to nothing', { 'gateway.turbo': true }, 'gateway.turbo', /unknown key .*known here: name, listen/],
  ['a required key that is missing', { 'hosts[0].encap': undefined }, 'hosts[0].encap', /missing .*add "encap": "nvgre"/],
  ['no gateway', { gateway: undefined }, 'gateway', /missing/],
  ['a number where a name belongs', { 'tenants[0].name': 7 }, 'tenants[0].name', /a number where a name belongs/],
  ['a number in quotes', { 'tenants[0].subnets[0].vsid': '5001' }, 'tenants[0].subnets[0].vsid', /a number in quotes .*write 5001/],
  ['an object where a list belongs', { 'tenants[1].records': { ca: '10.0.0.5' } }, 'tenants[1].records', /an object where a list belongs .*put it in \[ \]/],
  ['a text where an object belongs', { 'tenants[0].forward': 'core' }, 'tenants[0].forward', /a text where an object/],
  ['a name with a space', { 'tenants[0].name': 'red team' }, 'tenants[0].name', /not a name/],
  ['an address with leading zeros', { 'hosts[0].pa': '192.000.002.011' }, 'hosts[0].pa', /write 192\.0\.2\.11/],
  ['an address of three numbers', { 'hosts[0].pa': '192.0.2' }, 'hosts[0].pa', /not an IP address/],
  ['IPv4 written as IPv6', { 'hosts[0].pa': '::ffff:192.0.2.11' }, 'hosts[0].pa', /write 192\.0\.2\.11/],
  ['an address with a zone', { 'hosts[0].pa': 'fe80::1%eth0' }, 'hosts[0].pa', /an address with a zone/],
  ['an empty list of listeners', { 'gateway.listen': [] }, 'gateway.listen', /an empty list/],
];

t.test('the base config has no problems', async t => { t.same(problemsOf(edited({})), []); });

t.test('a site may be wider than the tenant\'s own subnets and pool: the Internet by way of headquarters', async t => {
  t.same(problemsOf(edited({ 'tenants[0].sites[0].prefixes': ['0.0.0.0/0'] })), []);
});

t.test('rules of subnets and records are rules of the tenant about them, in the order of the file', async t => {
  const { tenants: [{ acls }] } = configOf(edited({
    'tenants[0].subnets[1].prefix6': '2001:db8:2::/64', 'tenants[0].subnets[1].acls': [{ action: 'deny', direction: 'inbound' }, { action: 'allow', direction: 'inbound', local: '10.0.1.128/25', stateful: true }],
    'tenants[0].records[0].acls': [{ name: 'mine', action: 'measure', direction: 'outbound', local: '10.0.0.0/8' }, { action: 'deny', direction: 'outbound', local: '00-15-5D-00-01-05', remote: '00155d000109' }],
    'tenants[0].acls[1]': { action: 'allow', direction: 'outbound' },
  }));
  t.same(acls.map(({ name, scope, local, localMac, remoteMac, stateful, idleTimeout }) => [
    name, Object.values(scope).join(' '), local?.map(prefix => prefix.text).join() ?? null, localMac?.text ?? null, remoteMac?.text ?? null, stateful && idleTimeout,
  ]), [
    ['acl-db-1', 'subnet 5002', '10.0.1.0/24,2001:db8:2::/64', null, null, false],
    ['acl-db-2', 'subnet 5002', '10.0.1.128/25', null, null, 3600],
    ['mine', 'record 10.0.0.5', '10.0.0.5/32', null, null, false],
    ['acl-10.0.0.5-2', 'record 10.0.0.5', '10.0.0.5/32', '00:15:5d:00:01:05', '00:15:5d:00:01:09', false],
    ['no-ssh', 'tenant', null, null, null, false],
    ['acl-2', 'tenant', null, null, null, false],
  ]);
});

t.test('mappings of ports, ranges, addresses and prefixes stand beside each other', async t => {
  const { tenants: [{ nat }] } = configOf(edited({
    'tenants[0].nat.pool': ['203.0.113.10', '203.0.113.12/31', '203.0.113.14/31', '203.0.113.16'], 'tenants[0].nat.filtering': 'address-dependent',
    'tenants[0].nat.mappings[1]': { proto: 'udp', external: '203.0.113.10:79-90', internal: '10.0.0.6:9979-9990' },
    'tenants[0].nat.mappings[2]': { external: '203.0.113.12/30', internal: '10.0.0.4/30' }, // of two entries of the pool
    'tenants[0].nat.mappings[3]': { proto: 'tcp', external: '203.0.113.16', internal: '10.0.1.7' },
    'tenants[0].nat.mappings[4]': { proto: 'udp', external: '203.0.113.16', internal: '10.0.1.7' },
  }));
  t.equal(nat?.filtering, 'address-dependent');
  t.match(nat?.mappings.slice(1), [
    { proto: 'udp', external: { prefix: { bits: 128 }, ports: { from: 79, to: 90 } }, internal: { ports: { from: 9979, to: 9990 } } },
    { proto: null, external: { prefix: { text: '203.0.113.12/30' }, ports: null }, internal: { prefix: { text: '10.0.0.4/30' }, ports: null } },
    { proto: 'tcp' }, { proto: 'udp' },
  ]);
});

t.test('two sites and the tenant itself may have the same addresses, if each is shown as another', async t => {
  t.same(problemsOf(edited({
    'tenants[0].sites[0].prefixes': ['10.0.0.0/24'], 'tenants[0].routes[2].prefix': '10.102.0.0/24',
    'tenants[0].sites[0].maps': [{ side: 'tenant', real: '10.0.0.0/24', shown: '10.101.0.0/24' }, { side: 'site', real: '10.0.0.0/24', shown: '10.102.0.0/24' }],
    'tenants[0].sites[1]': { name: 'lab', pa: '198.51.100.32', prefixes: ['10.0.0.0/23'], maps: [{ side: 'tenant', real: '10.0.0.0/24', shown: '10.101.0.0/24' }, { side: 'site', real: '10.0.0.0/23', shown: '10.104.0.0/23' }] },
  })), []);
});

t.test('a socket path may have 107 bytes', async t => {
  t.same(problemsOf(edited({ 'gateway.admin': { socket: `/run/${'x'.repeat(102)}` } })), []);
});

t.test('an RSS key may be written as ethtool prints it, and is kept in one way', async t => {
  const { gateway } = configOf(edited({ 'gateway.rss': { key: Array(52).fill('6D').join(':') } }));
  t.equal(gateway.rss.key, '6d'.repeat(52));
});

t.test('a file may have as many records as the limit says', async t => {
  t.same(problemsOf(edited({ 'gateway.limits': { records: 7 } })), []);
});

t.test('a pool may lie between PAs of the same network, and beside a gateway that listens on all addresses', async t => {
  t.same(problemsOf(edited({ 'tenants[1].nat.pool': ['192.0.2.2-192.0.2.10', '192.0.2.13-192.0.2.19', '198.51.100.32'] })), []);
  t.same(problemsOf(edited({ 'gateway.listen': '0.0.0.0', 'tenants[1].nat.pool': ['192.0.2.1'] })), []);
});

const GROUPS = { gateway: GATEWAY, peers: PEERS, tenants: TENANTS, subnets: SUBNETS, records: RECORDS, routes: ROUTES, nat: NAT, sites: SITES, acls: ACLS, keys: KEYS };
for (const [group, cases] of Object.entries(GROUPS)) {
  t.test(`${group}: one mistake is one problem`, async t => {
    for (const [name, edits, path, words] of cases) {
      const problems = problemsOf(edited(edits));
      t.equal(problems.length, 1, `${name}: ${problems.map(p => `${p.path}: ${p.message}`).join(' | ')}`);
      const [problem] = problems;
      if (problem === undefined) continue;
      t.equal(problem.path, path, name);
      t.match(`${problem.message} - ${problem.advice}`.replace(/\n/g, ' '), words, name);
      t.ok(problem.line > 0 && problem.column > 0, name);
    }
  });
}
