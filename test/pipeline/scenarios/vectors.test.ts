/**
 * Packets whose bytes were worked out elsewhere and checked by another dissector, through the whole pipeline: what NAT,
 * fragments, ICMP errors and the MSS clamp make of 10.0.0.5, which is 203.0.113.1 outside.
 */
import t from 'tap';
import { setIpv4Id } from '../../../codecs/ipv4.js';
import { bytes, hex } from '../../support/bytes.js';
import { expectLedger } from '../../support/expect.js';
import { ethernet, gre, nvgre } from '../../support/frames.js';
import { Lab } from '../../support/lab.js';
import { GATEWAY_MAC } from '../../support/world.js';

const MAC = '00:15:5d:00:00:01', OTHER_MAC = '00:15:5d:00:00:02';
const GRE_LEN = 4, FRAME_LEN = 22;

function lab(naturalPort = 40000, hostMtu = 1500): Lab {
  return new Lab({
    gateway: { listen: '192.0.2.20' },
    hosts: [{ name: 'a', pa: '192.0.2.10', encap: 'nvgre' }, { name: 'b', pa: '192.0.2.11', encap: 'nvgre', mtu: hostMtu }],
    uplinks: [{ name: 'inet', pa: '192.0.2.30' }],
    tenants: [{
      name: 'red', rdid: '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01',
      subnets: [{ vsid: 5001, prefix: '10.0.0.0/24', prefix6: '2001:db8:1::/64' }],
      records: [{ ca: '10.0.0.5', mac: MAC, host: 'a' }, { ca: '2001:db8:1::5', mac: MAC, host: 'a' }, { ca: '10.0.0.6', mac: OTHER_MAC, host: 'b' }, { ca: '2001:db8:1::6', mac: OTHER_MAC, host: 'b' }],
      nat: { uplink: 'inet', pool: ['203.0.113.1'], blocks: { assign: 'dynamic' } },
      forward: { uplink: 'inet', key: 1 },
      routes: [{ prefix: '0.0.0.0/0', via: 'nat' }, { prefix: '::/0', via: 'forward' }],
    }],
  }, 1, { next: () => naturalPort - 1024 });
}

/** `packet` from the VM to `dst`; the inner packets that leave, in hex. */
function out(gateway: Lab, packet: Uint8Array, headerLen = GRE_LEN, dst = GATEWAY_MAC): string[] {
  gateway.receive('192.0.2.10', nvgre(5001, ethernet(dst, MAC, packet)));
  return gateway.take().map(sent => hex(sent.bytes, headerLen));
}
function back(gateway: Lab, packet: Uint8Array): string[] {
  gateway.receive('192.0.2.30', gre(packet));
  return gateway.take().map(sent => hex(sent.bytes, FRAME_LEN));
}

const UDP_BEFORE = '45000020004240004011064c0a000005c6336407c738270f000c58c841424344';
const UDP_AFTER = '45000020004240003f11d54ecb007101c63364079c40270f000c51c341424344';

t.test('wire-facts §3.1, RFC 4787: a UDP datagram out', async t => {
  const gateway = lab();
  t.same(out(gateway, bytes(UDP_BEFORE)), [UDP_AFTER]);
  expectLedger(t, gateway, { red: { forwarded: 1 } });
});

t.test('wire-facts §3.1, RFC 5508: an ICMP echo out, under another id', async t => {
  const gateway = lab(40001);
  t.same(out(gateway, bytes('4500002000064000400106980a000005c6336407080021041234000161626364')), ['45000020000640003f01d59acb007101c6336407080096f69c41000161626364']);
  expectLedger(t, gateway, { red: { forwarded: 1 } });
});

const F1 = '4500002c000820004011267a0a000005c6336407c738270f0028ec15000102030405060708090a0b0c0d0e0f';
const F2 = '45000024000800034011467f0a000005c6336407101112131415161718191a1b1c1d1e1f';
const F1_AFTER = '4500002c000820003f11f57ccb007101c63364079c40270f0028e510000102030405060708090a0b0c0d0e0f';
const F2_AFTER = '45000024000800033f111582cb007101c6336407101112131415161718191a1b1c1d1e1f';
/** The sheet keeps the ID 8; here NAT gives another (RFC 7857 §10). */
function withItsId(packet: string): string {
  const copy = bytes(packet);
  setIpv4Id(copy, 0, 8);
  return hex(copy);
}

t.test('wire-facts §2.6: two fragments out, in order', async t => {
  const gateway = lab();
  t.same([...out(gateway, bytes(F1)), ...out(gateway, bytes(F2))].map(withItsId), [F1_AFTER, F2_AFTER]);
  expectLedger(t, gateway, { red: { forwarded: 2 } });
});

t.test('wire-facts §2.6: and the second before the first', async t => {
  const gateway = lab();
  t.same([out(gateway, bytes(F2)), out(gateway, bytes(F1)).map(withItsId)], [[], [F1_AFTER, F2_AFTER]]);
  expectLedger(t, gateway, { red: { forwarded: 2 } });
});

t.test('wire-facts §2.9, RFC 5508 REQ-4: port unreachable about that datagram comes in, quoting what its sender knows', async t => {
  const gateway = lab();
  out(gateway, bytes(UDP_BEFORE));
  t.same(back(gateway, bytes('4500003c0099000039011aecc6336407cb007101030363570000000045000020004240003711dd4ecb007101c63364079c40270f000c51c341424344')),
    ['4500003c0099000038014de9c63364070a0000050303315a00000000450000200042400037110f4c0a000005c6336407c738270f000c58c841424344']);
  expectLedger(t, gateway, { red: { forwarded: 2 } });
});

t.test('wire-facts §2.8, RFC 792: time exceeded about a probe of TTL 1, from the gateway’s CA', async t => {
  const gateway = lab();
  t.same(out(gateway, bytes('4500001c000740000111458b0a000005c6336407c738829a000881cb'), FRAME_LEN),
    ['4500003800000000400166c00a0000010a0000050b002959000000004500001c000740000111458b0a000005c6336407c738829a000881cb']);
  expectLedger(t, gateway, { red: { ttl_expired: 1, originated: 1 } });
});

t.test('wire-facts §2.8, RFC 4443 §3.3: hop limit exceeded', async t => {
  const gateway = lab();
  const probe = '600000000008110120010db800010000000000000000000520010db8000200000000000000000007c738829a00085a8a';
  t.same(out(gateway, bytes(probe), FRAME_LEN),
    [`6000000000383a4020010db800010000000000000000000120010db80001000000000000000000050300302300000000${probe}`]);
  expectLedger(t, gateway, { red: { ttl_expired: 1, originated: 1 } });
});

t.test('wire-facts §2.7: MSS 1460 becomes 1360 on a path of 1400; the bridged segment is else as it was', async t => {
  const gateway = lab(40000, 1450);
  t.same(out(gateway, bytes('4500003000034000400606860a000005c63364071388005001020304000000007002faf03c110000020405b401010402'), FRAME_LEN, OTHER_MAC),
    ['4500003000034000400606860a000005c63364071388005001020304000000007002faf03c7500000204055001010402']);
  expectLedger(t, gateway, { red: { forwarded: 1 } });
});

t.test('wire-facts §2.1: ARP request A1 is answered as A2 says', async t => {
  const gateway = lab();
  t.equal(gateway.receive('192.0.2.10', nvgre(5001, bytes('ffffffffffff00155d0000010806000108000604000100155d0000010a0000050000000000000a000006'))), 'consumed');
  // The frame comes from the gateway, which answers for 10.0.0.6; the message is the one 10.0.0.6 would send.
  t.same(gateway.take().map(sent => hex(sent.bytes, 8)), ['00155d000001' + '020000000001' + '0806' + '000108000604000200155d0000020a00000600155d0000010a000005']);
  expectLedger(t, gateway, { red: { consumed: 1, originated: 1 } });
});

t.test('wire-facts §2.8: the neighbor solicitation there is answered as its advertisement says, but for the override flag: a proxy sets none (RFC 4861 §7.2.8)', async t => {
  const gateway = lab();
  const solicitation = '6000000000203afffe8000000000000002155dfffe000001ff0200000000000000000001ff0000068700922b0000000020010db8000100000000000000000006010100155d000001';
  t.equal(gateway.receive('192.0.2.10', nvgre(5001, ethernet('33:33:ff:00:00:06', MAC, bytes(solicitation)))), 'consumed');
  t.same(gateway.take().map(sent => hex(sent.bytes, FRAME_LEN)),
    ['6000000000203aff20010db8000100000000000000000006fe8000000000000002155dfffe000001' + '8800' + '2075' + '40000000' + '20010db8000100000000000000000006020100155d000002']);
  expectLedger(t, gateway, { red: { consumed: 1, originated: 1 } });
});
