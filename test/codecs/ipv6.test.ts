import t from 'tap';
import { Fault } from '../../codecs/faults.js';
import {
  badIpv6Destination, badIpv6Source, ipv6HopLimit, ipv6NextHeader, ipv6PayloadLen, ipv6TrafficClass, Ipv6View,
  isIpv6LinkLocal, isIpv6Multicast, isIpv6Unspecified, parseIpv6, parseQuotedIpv6,
  setIpv6HopLimit, setIpv6PayloadLen, writeIpv6,
} from '../../codecs/ipv6.js';
import { bytes, hex } from '../support/bytes.js';
import { vector } from './vectors.js';

const view = new Ipv6View();
const A = '20010db8000100000000000000000005';
const B = '20010db8000200000000000000000007';

/** A packet whose first next header is `next`, with this payload, from A to B. */
function packet(next: string, payload: string): Uint8Array {
  const body = bytes(payload);
  const mem = bytes(`60000000 0000 ${next} 40 ${A} ${B} ${payload}`);
  setIpv6PayloadLen(mem, 0, body.length);
  return mem;
}

/** A destination options header of 8 bytes that is followed by `next`. */
const pad = (next: string): string => `${next} 00 01 04 00000000`;
const UDP = '1388 0007 0008 0000';

const accepted = [
  ['no extension header', '11', UDP, { protocol: 17, transportAt: 40, fragmentAt: -1 }],
  ['hop-by-hop, then UDP', '00', pad('11') + UDP, { protocol: 17, transportAt: 48, fragmentAt: -1 }],
  ['hop-by-hop, routing type 2, destination options, UDP', '00', pad('2b') + '3c 02 02 01 00000000' + B + pad('11') + UDP, { protocol: 17, transportAt: 80 }],
  ['RFC 4302 §2.2: AH counts in units of 4, less 2', '33', '06 04 0000 00000100 00000001 000102030405060708090a0b' + '00'.repeat(20), { protocol: 6, transportAt: 64 }],
  ['ESP is opaque from its first byte', '32', '00000100 00000001', { protocol: 50, transportAt: 40 }],
  ['no next header', '3c', pad('3b'), { protocol: 59, transportAt: 48 }],
  ['no next header, nothing at all', '3b', '', { protocol: 59, transportAt: 40 }],
  ['mobility, HIP and Shim6 are stepped over', '87', '8b 00 000000000000 8c 00 000000000000 3b 00 000000000000', { protocol: 59, transportAt: 64 }],
  ['a number nobody knows ends the walk', 'fd', '0000', { protocol: 0xfd, transportAt: 40 }],
  ['a first fragment: the walk goes on', '2c', '11 00 0001 abcdef01' + UDP, { protocol: 17, transportAt: 48, fragmentAt: 40, fragmentOffset: 0, moreFragments: true, fragmentId: 0xabcdef01 }],
  ['a first fragment with options behind', '2c', '3c 00 0001 abcdef01' + pad('11') + UDP, { protocol: 17, transportAt: 56, fragmentAt: 40 }],
  ['a later fragment: the walk stops, even before what looks like options', '2c', '3c 00 0018 abcdef01 ffff', { protocol: 60, transportAt: 48, fragmentAt: 40, fragmentOffset: 24, moreFragments: false }],
  ['the largest offset, and reserved bits ignored', '2c', '11 ff ffff 00000001', { protocol: 17, fragmentOffset: 65528, moreFragments: true, fragmentId: 1 }],
  ['RFC 6946: an atomic fragment', '2c', '11 00 0000 00000007' + UDP, { protocol: 17, transportAt: 48, fragmentAt: 40, fragmentOffset: 0, moreFragments: false, fragmentId: 7 }],
  ['eight headers', '3c', pad('3c').repeat(7) + pad('11') + UDP, { protocol: 17, transportAt: 104 }],
  ['256 bytes of them', '3c', `11 1f ${'00'.repeat(254)}` + UDP, { protocol: 17, transportAt: 296 }],
] as const;
for (const [name, next, payload, want] of accepted) {
  t.test(`RFC 8200 §4: ${name}`, async t => {
    const mem = packet(next, payload);
    t.equal(parseIpv6(mem, 0, mem.length, view), 0);
    t.match(view, want);
  });
}

const refused = [
  ['RFC 8200 §4.1: hop-by-hop behind another header', '3c', pad('00') + pad('11') + UDP, Fault.ipv6_extension_chain],
  ['RFC 8200 §4.1: hop-by-hop twice', '00', pad('00') + pad('11') + UDP, Fault.ipv6_extension_chain],
  ['a ninth header', '3c', pad('3c').repeat(8) + pad('11') + UDP, Fault.ipv6_extension_chain],
  ['264 bytes of them', '3c', `11 20 ${'00'.repeat(262)}` + UDP, Fault.ipv6_extension_chain],
  ['a fragment of a fragment', '2c', '2c 00 0001 00000001 11 00 0001 00000002' + UDP, Fault.ipv6_extension_chain],
  ['RFC 5095 §3: routing type 0', '2b', '11 00 00 00 00000000' + UDP, Fault.ipv6_routing_type0],
  ['RFC 5095 §3: routing type 0 behind options', '3c', pad('2b') + '11 02 00 01 00000000' + B + UDP, Fault.ipv6_routing_type0],
  ['RFC 7112 §5: a first fragment without the end of its chain', '2c', '3c 00 0001 abcdef01' + '11 01 01 04 00000000', Fault.ipv6_extension_truncated],
  ['an extension header that has no room', '3c', '11 00 01 04', Fault.ipv6_extension_truncated],
  ['a next header with nothing behind it', '3c', '', Fault.ipv6_extension_truncated],
  ['RFC 2675: a jumbogram', '00', '', Fault.ipv6_payload_length],
] as const;
for (const [name, next, payload, want] of refused) {
  t.test(`refused: ${name}`, async t => {
    const mem = packet(next, payload);
    t.equal(parseIpv6(mem, 0, mem.length, view), want);
  });
}

t.test('RFC 8200 §3: refused: another version, a payload past the frame', async t => {
  const mem = packet('11', UDP);
  t.equal(parseIpv6(mem, 0, mem.length - 1, view), Fault.ipv6_payload_length);
  mem[0] = 0x40;
  t.equal(parseIpv6(mem, 0, mem.length, view), Fault.ipv6_version);
});

t.test('link padding behind the payload is fine, and not walked into', async t => {
  const mem = packet('3c', '3c 00 01 04 00000000' + UDP);
  setIpv6PayloadLen(mem, 0, 8); // now what follows the first options header is padding
  t.equal(parseIpv6(mem, 0, mem.length, view), Fault.ipv6_extension_truncated);
  mem[40] = 59;
  t.equal(parseIpv6(mem, 0, mem.length, view), 0);
});

t.test('a view forgets the packet before', async t => {
  const fragment = vector('fragment6-last');
  t.equal(parseIpv6(fragment, 0, fragment.length, view), 0);
  t.match(view, { fragmentAt: 40, fragmentOffset: 24, moreFragments: false, fragmentId: 0xabcdef01, protocol: 17, transportAt: 48 });
  const plain = packet('11', UDP);
  t.equal(parseIpv6(plain, 0, plain.length, view), 0);
  t.match(view, { fragmentAt: -1, fragmentOffset: 0, moreFragments: false, fragmentId: 0 });
});

t.test('RFC 4443 §2.4: a quoted packet is cut short, and may still show its transport', async t => {
  const mem = vector('icmpv6-too-big').slice(48); // 40 and 8 bytes of a packet of 1,500
  t.equal(parseIpv6(mem, 0, mem.length, view), Fault.ipv6_payload_length);
  t.equal(parseQuotedIpv6(mem, 0, mem.length, view), 0);
  t.match(view, { protocol: 17, transportAt: 40 });
  t.equal(parseQuotedIpv6(mem, 0, 39, view), Fault.ipv6_truncated);
});

t.test('positions count from the start of memory, not of the header', async t => {
  const inner = packet('2c', '11 00 0001 abcdef01' + UDP);
  const mem = new Uint8Array(100).fill(0xa5);
  mem.set(inner, 30);
  t.equal(parseIpv6(mem, 30, 30 + inner.length, view), 0);
  t.match(view, { transportAt: 78, fragmentAt: 70 });
});

t.test('fields read as written, and setters change theirs alone', async t => {
  const mem = bytes(`6b9c0123 05b4 11 40 ${A} ${B}`);
  t.equal(ipv6TrafficClass(mem, 0), 0xb9);
  t.equal(ipv6PayloadLen(mem, 0), 1460);
  t.equal(ipv6NextHeader(mem, 0), 17);
  t.equal(ipv6HopLimit(mem, 0), 64);
  setIpv6HopLimit(mem, 0, 63);
  setIpv6PayloadLen(mem, 0, 0x1234);
  t.equal(hex(mem), `6b9c01231234113f${A}${B}`);
});

t.test('what we write reads back, over dirty memory, with addresses from the same array', async t => {
  const mem = new Uint8Array(80).fill(0xa5);
  mem.set(bytes(A), 48);
  mem.set(bytes(B), 64);
  t.equal(writeIpv6(mem, 4, 4, 59, 64, mem, 48, mem, 64), 40);
  t.equal(hex(mem, 0, 48), `a5a5a5a56000000000043b40${A}${B}a5a5a5a5`);
  t.equal(parseIpv6(mem, 4, 48, view), 0);
  t.equal(view.protocol, 59);
});

const addresses = [
  // address, bad source, bad destination, multicast, link-local, unspecified
  ['00000000000000000000000000000000', true, true, false, false, true],
  ['00000000000000000000000000000001', true, true, false, false, false],
  ['00000000000000000000000000000002', true, false, false, false, false],
  ['0000000000000000000000000a000005', true, false, false, false, false], // IPv4-compatible
  ['00000000000000000000ffff0a000005', true, true, false, false, false], // IPv4-mapped
  ['0000000000000000000000010a000005', false, false, false, false, false],
  ['0064ff9b00000000000000000a000005', false, false, false, false, false], // RFC 6052
  ['000000000000000100000000 00000001', false, false, false, false, false],
  [A, false, false, false, false, false],
  ['fd000000000000000000000000000001', false, false, false, false, false],
  ['fe7fffffffffffffffffffffffffffff', false, false, false, false, false],
  ['fe800000000000000000000000000001', false, false, false, true, false],
  ['febfffffffffffffffffffffffffffff', false, false, false, true, false],
  ['fec00000000000000000000000000001', false, false, false, false, false],
  ['ff020000000000000000000000000001', true, false, true, false, false],
] as const;
t.test('RFC 4291 §2.5, §2.7: addresses that no packet may come from or go to', async t => {
  for (const [addr, badSource, badDestination, multicast, linkLocal, unspecified] of addresses) {
    const mem = bytes(`a5 ${addr} a5`);
    t.equal(badIpv6Source(mem, 1), badSource, `${addr} as source`);
    t.equal(badIpv6Destination(mem, 1), badDestination, `${addr} as destination`);
    t.equal(isIpv6Multicast(mem, 1), multicast, `${addr} as group`);
    t.equal(isIpv6LinkLocal(mem, 1), linkLocal, `${addr} as link-local`);
    t.equal(isIpv6Unspecified(mem, 1), unspecified, `${addr} as unspecified`);
  }
});
