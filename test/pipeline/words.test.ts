import t from 'tap';
import { addressText, endpointText, icmpText, icmpv6Text, ipv4Text, macText, prefixText, protocolText } from '../../pipeline/explain/words.js';
import { words } from '../support/frames.js';

const addresses = [
  '0.0.0.0', '10.0.0.5', '255.255.255.255', '192.0.2.1',
  '::', '::1', '1::', '2001:db8::1', '2001:db8:0:1::1', 'fe80::ff:fe00:111', 'ff02::1:ff00:12', '1:2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:0',
  '2001:db8:a:b:c:d:e:f',
] as const;
for (const address of addresses) {
  t.test(`RFC 5952 §4: ${address} is written as it should be`, async t => { t.equal(addressText(...words(address)), address); });
}

const zeros = [
  ['a lone zero does not shrink (§4.2.2)', [0x20010db8, 0x00000001, 0x00010001, 0x00010001], '2001:db8:0:1:1:1:1:1'],
  ['the longest run shrinks (§4.2.3)', [0x20010000, 0x00000001, 0x00000000, 0x00000001], '2001:0:0:1::1'],
  ['of equal runs the first (§4.2.3)', [0x20010db8, 0x00000000, 0x00010000, 0x00000001], '2001:db8::1:0:0:1'],
  ['IPv4-compatible addresses are plain IPv6', [0, 0, 0, 0x0a000005], '::a00:5'],
] as const;
for (const [name, [a, b, c, d], wanted] of zeros) t.test(`RFC 5952: ${name}`, async t => { t.equal(addressText(a, b, c, d), wanted); });

t.test('RFC 5952 §6: an IPv6 address with a port has brackets', async t => {
  t.equal(endpointText(...words('2001:db8::1'), 4754), '[2001:db8::1]:4754');
  t.equal(endpointText(...words('192.0.2.1'), 4754), '192.0.2.1:4754');
  t.equal(endpointText(...words('192.0.2.1'), 0), '192.0.2.1', 'port 0 is none');
});

t.test('a prefix is masked, and its length counted in its own family', async t => {
  t.equal(prefixText(...words('10.0.0.5'), 120), '10.0.0.0/24');
  t.equal(prefixText(...words('198.51.100.9'), 96), '0.0.0.0/0');
  t.equal(prefixText(...words('10.0.0.5'), 128), '10.0.0.5/32');
  t.equal(prefixText(...words('2001:db8:a::5'), 64), '2001:db8:a::/64');
  t.equal(prefixText(...words('2001:db8:a::5'), 0), '::/0');
});

t.test('MACs, protocols and ICMP messages have words; what has none has its number', async t => {
  t.equal(macText(0x0015, 0x5d000005), '00:15:5d:00:00:05');
  t.equal(ipv4Text(0xffffffff), '255.255.255.255');
  t.same([6, 17, 1, 58, 89].map(protocolText), ['TCP', 'UDP', 'ICMP', 'ICMPv6', 'protocol 89']);
  t.same([icmpText(3, 4), icmpText(3, 13), icmpText(11, 0), icmpText(42, 0)], ['ICMP fragmentation needed', 'ICMP destination unreachable', 'ICMP time exceeded', 'ICMP type 42']);
  t.same([icmpv6Text(2), icmpv6Text(135), icmpv6Text(143)], ['ICMPv6 packet too big', 'ICMPv6 neighbor solicitation', 'ICMPv6 type 143']);
});
