import t from 'tap';
import { Fault } from '../../codecs/faults.js';
import { checkVxlan, VXLAN_PORT, vxlanVni, writeVxlan } from '../../codecs/vxlan.js';
import { bytes, hex } from '../support/bytes.js';
import { vector } from './vectors.js';

const FRAME = 'ffffffffffff 00155d000001 0806';

const headers = [
  ['VNI 5001', '08 000000 001389 00', 0],
  ['all reserved bits set, ignored', 'ff ffffff 001389 ff', 0],
  ['VNI 4096, the lowest', '08 000000 001000 00', 0],
  ['VNI FFFFFE, the highest', '08 000000 fffffe 00', 0],
  ['refused: no I bit', '00 000000 001389 00', Fault.vxlan_flags],
  ['refused: every bit but the I bit', 'f7 ffffff 001389 ff', Fault.vxlan_flags],
  ['refused: VNI 0', '08 000000 000000 00', Fault.vxlan_vni_reserved],
  ['refused: VNI 4095', '08 000000 000fff ff', Fault.vxlan_vni_reserved],
  ['refused: VNI FFFFFF', '08 000000 ffffff 00', Fault.vxlan_vni_reserved],
] as const;
for (const [name, header, want] of headers) {
  t.test(`RFC 7348 §5: ${name}`, async t => {
    const mem = bytes(`${header} ${FRAME}`);
    t.equal(checkVxlan(mem, 0, mem.length), want);
  });
}

t.test('every cut before the end of the inner Ethernet header is vxlan_truncated', async t => {
  const mem = bytes(`08 000000 001389 00 ${FRAME}`);
  for (let end = 0; end < 22; end++) t.equal(checkVxlan(mem, 0, end), Fault.vxlan_truncated, `${end} bytes`);
  t.equal(checkVxlan(mem, 0, 22), 0);
});

t.test('RFC 7348 §5: the vectors are read', async t => {
  for (const [name, at, vni] of [['vxlan-arp', 28, 5001], ['vxlan-udp-over-ipv6', 48, 0xfffffe]] as const) {
    const mem = vector(name);
    t.equal(checkVxlan(mem, at, mem.length), 0, name);
    t.equal(vxlanVni(mem, at), vni);
  }
  t.equal(VXLAN_PORT, 4789);
});

t.test('RFC 7348 §5: what we write reads back, reserved bits zero, over dirty memory', async t => {
  const mem = new Uint8Array(24).fill(0xa5);
  t.equal(writeVxlan(mem, 1, 0xfffffe), 8);
  t.equal(hex(mem, 0, 10), 'a508000000fffffe00a5');
  t.equal(checkVxlan(mem, 1, 24), 0);
  t.equal(vxlanVni(mem, 1), 0xfffffe);
});
