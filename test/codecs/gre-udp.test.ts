import t from 'tap';
import { FLOW_PORT_MAX, FLOW_PORT_MIN, GRE_UDP_PORT, tunnelOverhead } from '../../codecs/gre-udp.js';
import { vector } from './vectors.js';

t.test('RFC 8086 §3.2: port 4754, flow entropy in 49152 to 65535', async t => {
  t.equal(GRE_UDP_PORT, 4754);
  t.same([FLOW_PORT_MIN, FLOW_PORT_MAX], [49152, 65535]);
});

const overheads = [
  ['gre', 32, 52], ['gre-key', 36, 56], ['nvgre', 50, 70], ['vxlan', 50, 70],
] as const;
for (const [encap, over4, over6] of overheads) {
  t.test(`${encap} costs ${over4} bytes over IPv4 and 20 more over IPv6`, async t => {
    t.equal(tunnelOverhead(4, encap), over4);
    t.equal(tunnelOverhead(6, encap), over6);
  });
}

const measured = [
  ['gre-plain', 4, 'gre', 31], ['nvgre-udp', 4, 'nvgre', 30], ['nvgre-udp-over-ipv6', 6, 'nvgre', 30], ['vxlan-udp-over-ipv6', 6, 'vxlan', 30],
] as const;
for (const [name, family, encap, innerLen] of measured) {
  t.test(`the overhead is what ${name} has before its inner IP header`, async t => {
    t.equal(vector(name).length - innerLen, tunnelOverhead(family, encap));
  });
}
