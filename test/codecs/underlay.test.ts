import t from 'tap';
import { EtherType } from '../../codecs/ethernet.js';
import { Fault } from '../../codecs/faults.js';
import { UNDERLAY_HEADROOM, UnderlayView, parseUnderlay, writeUnderlay, type UnderlayAddress } from '../../codecs/underlay.js';
import { icmpPacket } from '../../daemon/cli/craft.js';
import { bytes, hex } from '../support/bytes.js';

// wire-facts: packets checked by an independent dissector, from their IP header.
/** NVGRE in UDP over IPv4 with a checksum: 192.0.2.10:49443 to 192.0.2.20:4754. */
const NVGRE4 = bytes('4500004e123440004011a44cc000020ac0000214 c1231292003ab4b3 2000655800138942 ffffffffffff00155d000001080600010800060400 0100155d0000010a0000050000000000000a000006');
/** The same tunnel over IPv6. */
const NVGRE6 = bytes('6000c123003c114020010db800000000000000000000001020010db8000000000000000000000020 c1231292003c1369 2000655800138942 00155d00000200155d0000010800 4500001e00014000401126c40a0000050a000006 13880007000a6fd76869');
/** VXLAN over IPv4 without a UDP checksum, VNI 5001. */
const VXLAN4 = bytes('4500004e123440004011a44cc000020ac0000214 c12912b5003a0000 0800000000138900 ffffffffffff00155d000001080600010800060400 0100155d0000010a0000050000000000000a000006');
/** GRE straight in IPv4, of four bytes: a header without options and nothing in it. */
const NATIVE = bytes('450000180000 4000 402f 0000 c000020a c0000214 00000800');
new DataView(NATIVE.buffer).setUint16(10, 0xb698);

const view = new UnderlayView();
const parse = (mem: Uint8Array, end = mem.length, grePort = 4754, vxlanPort = 4789): number =>
  parseUnderlay(mem, 0, end, mem[0] >>> 4 === 6 ? EtherType.ipv6 : EtherType.ipv4, grePort, vxlanPort, view);

function changed(mem: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = mem.slice();
  copy.set(values, at);
  return copy;
}

t.test('RFC 8086: GRE in UDP over IPv4, down to its GRE header', async t => {
  t.equal(parse(NVGRE4), 0);
  t.match(view, { at: 28, end: 78, isVxlan: false, isNative: false, srcPort: 49443, src0: 0, src1: 0, src2: 0xffff, src3: 0xc000020a, dst2: 0xffff, dst3: 0xc0000214 });
});

t.test('RFC 8086: GRE in UDP over IPv6', async t => {
  t.equal(parse(NVGRE6), 0);
  t.match(view, { at: 48, end: 100, isVxlan: false, srcPort: 49443, src0: 0x20010db8, src1: 0, src2: 0, src3: 0x10, dst0: 0x20010db8, dst3: 0x20 });
});

t.test('RFC 7348: VXLAN by its port, its checksum left out', async t => {
  t.equal(parse(VXLAN4), 0);
  t.match(view, { at: 28, end: 78, isVxlan: true, isNative: false, srcPort: 49449 });
});

t.test('RFC 2784: GRE straight in IPv4 has no ports', async t => {
  t.equal(parse(NATIVE), 0);
  t.match(view, { at: 20, end: 24, isVxlan: false, isNative: true, srcPort: 0 });
});

t.test('RFC 2473 §4.1.1: Destination Options before UDP, as Linux sends them, are stepped over', async t => {
  const mem = new Uint8Array([...NVGRE6.subarray(0, 40), ...bytes('1100 0401 0401 0100'), ...NVGRE6.subarray(40)]);
  mem[6] = 60;
  mem[5] += 8;
  t.equal(parse(mem), 0);
  t.match(view, { at: 56, end: 108, srcPort: 49443 });
});

t.test('padding behind the IP packet is no part of it', async t => {
  const padded = new Uint8Array(NVGRE4.length + 6);
  padded.set(NVGRE4);
  t.equal(parse(padded), 0);
  t.equal(view.end, 78);
});

t.test('the ports are the caller\'s: the well-known ones mean nothing to who listens elsewhere', async t => {
  t.equal(parse(NVGRE4, NVGRE4.length, 14754), Fault.not_a_tunnel);
  t.equal(parse(changed(NVGRE4, 22, 0x39, 0xa2), NVGRE4.length, 14754), Fault.outer_checksum, 'its own port, but the checksum covers it');
  t.equal(parse(changed(VXLAN4, 22, 0x39, 0xa2), VXLAN4.length, 4754, 14754), 0);
  t.equal(view.isVxlan, true);
});

t.test('an ICMP error of the underlay about a tunnel packet is told from other ICMP, its quote read leniently', async t => {
  const quote = NVGRE4.slice(0, 28);
  quote[3] -= 8; // Linux with FOU: the total length 8 short, and so the header's checksum wrong
  const about = (quoted: Uint8Array): number => parse(icmpPacket('192.0.2.20', '192.0.2.10', 3, 3, 0, quoted));
  t.equal(about(quote), Fault.underlay_error);
  t.equal(about(NATIVE), Fault.underlay_error);
  t.equal(about(VXLAN4.slice(0, 28)), Fault.underlay_error);
  t.equal(about(changed(quote, 22, 0, 53)), Fault.not_a_tunnel, 'about another port');
  for (let end = 0; end < 28; end++) t.equal(about(quote.slice(0, end)), Fault.not_a_tunnel, `${end} bytes quoted`);
  t.equal(parse(icmpPacket('192.0.2.20', '192.0.2.10', 8, 0, 0, quote)), Fault.not_a_tunnel, 'an echo that carries the same bytes');
  t.equal(parse(icmpPacket('2001:db8::20', '2001:db8::10', 1, 4, 0, NVGRE6)), Fault.underlay_error);
});

const refusals = [
  ['no IP at all', () => parseUnderlay(NVGRE4, 0, NVGRE4.length, EtherType.arp, 4754, 4789, view), Fault.not_a_tunnel],
  ['UDP to another port', () => parse(changed(VXLAN4, 22, 0, 53)), Fault.not_a_tunnel],
  ['TCP', () => parse(sealed(changed(VXLAN4, 9, 6))), Fault.not_a_tunnel],
  ['a wrong UDP checksum over IPv4', () => parse(changed(NVGRE4, 77, 7)), Fault.outer_checksum],
  ['a wrong UDP checksum over IPv6', () => parse(changed(NVGRE6, 99, 7)), Fault.outer_checksum],
  ['a wrong IPv4 header checksum', () => parse(changed(NVGRE4, 8, 63)), Fault.ipv4_checksum],
  ['an IPv4 header checksum of 0 under options', () => parse(changed(NVGRE4, 0, 0x46, 0, 0, 0x4e, 0x12, 0x34, 0x40, 0, 0x40, 0x11, 0, 0)), Fault.ipv4_checksum],
  ['a first fragment', () => parse(sealed(changed(NVGRE4, 6, 0x20, 0))), Fault.outer_fragment],
  ['a later fragment', () => parse(sealed(changed(NVGRE4, 6, 0, 8))), Fault.outer_fragment],
  ['a UDP length past the packet', () => parse(changed(VXLAN4, 24, 0, 0x3b)), Fault.udp_length],
  ['another IP version', () => parseUnderlay(NVGRE6, 0, NVGRE6.length, EtherType.ipv4, 4754, 4789, view), Fault.ipv4_version],
] as const;
for (const [name, run, fault] of refusals) t.test(`refused: ${name}`, async t => { t.equal(run(), fault); });

/** With the IPv4 header checksum made right again. */
function sealed(mem: Uint8Array): Uint8Array {
  mem[10] = mem[11] = 0;
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += mem[at] << 8 | mem[at + 1];
  sum = (sum & 0xffff) + (sum >>> 16);
  return changed(mem, 10, ~sum >>> 8 & 0xff, ~sum & 0xff);
}

t.test('every cut of a packet is refused, and none reads past the cut', async t => {
  for (const whole of [NVGRE4, NVGRE6, VXLAN4, NATIVE]) {
    for (let end = 1; end < whole.length; end++) { // the first byte tells the family
      const fault = parse(whole.slice(0, end), end);
      t.ok(fault > 0, `${end} of ${whole.length} bytes`);
      t.equal(parse(whole, end), fault, 'the same verdict with bytes behind the cut');
    }
  }
});

t.test('offload on the sending host: a UDP checksum of the pseudo-header alone passes, over IPv4 and IPv6', async t => {
  // c000 + 020a + c000 + 0214 + 11 + 3a, and 2001 + 0db8 + 10 twice over, + 11 + 3c
  t.equal(parse(changed(NVGRE4, 26, 0x84, 0x6a)), 0);
  t.equal(parse(changed(NVGRE6, 46, 0x5b, 0xef)), 0);
  t.equal(parse(changed(NVGRE4, 26, 0x84, 0x6b)), Fault.outer_checksum, 'any other wrong value does not');
});

t.test('offload on the sending host: an IPv4 header checksum of 0 passes', async t => {
  t.equal(parse(changed(NVGRE4, 10, 0, 0)), 0);
});

t.test('RFC 6935 §5: no UDP checksum passes over IPv6 too', async t => {
  t.equal(parse(changed(NVGRE6, 46, 0, 0)), 0);
});

const V4: UnderlayAddress = [0, 0, 0xffff, 0xc000020a];
const TO4: UnderlayAddress = [0, 0, 0xffff, 0xc0000214];

t.test('RFC 768, 791: what is written over IPv4 is the vector but for id and TTL, over dirty memory', async t => {
  const mem = new Uint8Array(UNDERLAY_HEADROOM + 50).fill(0xa5);
  mem.set(NVGRE4.subarray(28), UNDERLAY_HEADROOM);
  const at = writeUnderlay(mem, UNDERLAY_HEADROOM, mem.length, { family: 4, src: V4, srcPort: 49443, dst: TO4, dstPort: 4754 });
  t.equal(at, UNDERLAY_HEADROOM - 42);
  t.equal(hex(mem, at, at + 14), '02000000ca02' + '02000000ca01' + '0800');
  t.equal(hex(mem, at + 14), hex(sealed(changed(NVGRE4, 4, 0, 0))), "id 0, don't fragment, TTL 64, the same UDP checksum");
});

t.test('RFC 8200: what is written over IPv6 is the vector but for the flow label, over dirty memory', async t => {
  const mem = new Uint8Array(UNDERLAY_HEADROOM + 52).fill(0xa5);
  mem.set(NVGRE6.subarray(48), UNDERLAY_HEADROOM);
  const at = writeUnderlay(mem, UNDERLAY_HEADROOM, mem.length, {
    family: 6, src: [0x20010db8, 0, 0, 0x10], srcPort: 49443, dst: [0x20010db8, 0, 0, 0x20], dstPort: 4754,
  });
  t.equal(at, 0);
  t.equal(hex(mem, 0, 14), '02000000ca02' + '02000000ca01' + '86dd');
  t.equal(hex(mem, 14), hex(changed(NVGRE6, 0, 0x60, 0, 0, 0)));
});

t.test('a payload longer than UDP can carry is refused, and nothing is written', async t => {
  for (const [family, most] of [[4, 65507], [6, 65527]] as const) {
    const mem = new Uint8Array(UNDERLAY_HEADROOM + most + 1);
    const route = { family, src: V4, srcPort: 1, dst: TO4, dstPort: 2 };
    t.equal(writeUnderlay(mem, UNDERLAY_HEADROOM, mem.length, route), -1);
    t.ok(mem.every(byte => byte === 0));
    t.ok(writeUnderlay(mem, UNDERLAY_HEADROOM, mem.length - 1, route) >= 0);
  }
});
