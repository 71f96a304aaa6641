import t from 'tap';
import { checkEthernet } from '../../codecs/ethernet.js';
import { Fault } from '../../codecs/faults.js';
import { GreView, parseGre } from '../../codecs/gre.js';
import { checkNvgre, isUsableVsid, nvgreFlowId, nvgreVsid, writeNvgre } from '../../codecs/nvgre.js';
import { bytes, hex } from '../support/bytes.js';
import { vector } from './vectors.js';

const FRAME = 'ffffffffffff 00155d000001 0806';

const headers = [
  ['VSID 5001, FlowID 42', '2000 6558 001389 42', 0],
  ['VSID 4096, the lowest', '2000 6558 001000 00', 0],
  ['VSID FFFFFE, the highest', '2000 6558 fffffe ff', 0],
  ['VSID 0', '2000 6558 000000 42', Fault.nvgre_vsid_reserved],
  ['VSID 4095', '2000 6558 000fff 42', Fault.nvgre_vsid_reserved],
  ['VSID FFFFFF', '2000 6558 ffffff 00', Fault.nvgre_vsid_vendor],
  ['no key', '0000 6558 001389 42', Fault.nvgre_flags],
  ['a checksum', 'a000 6558 cccc0000 00138942', Fault.nvgre_flags],
  ['a sequence number', '3000 6558 001389 42', Fault.nvgre_flags],
  ['a routing bit', '6000 6558 001389 42', Fault.nvgre_flags],
  ['a reserved bit that GRE would ignore', '2008 6558 001389 42', Fault.nvgre_flags],
  ['version 1', '2001 6558 001389 42', Fault.nvgre_flags],
  ['IPv4 inside: plain GRE with a key', '2000 0800 001389 42', Fault.nvgre_protocol],
  ['the wrong type and a reserved VSID: the type is named', '2000 0800 000000 00', Fault.nvgre_protocol],
] as const;
for (const [name, header, want] of headers) {
  t.test(`RFC 7637 §3.2: ${want === 0 ? '' : 'refused: '}${name}`, async t => {
    const mem = bytes(`${header} ${FRAME}`);
    t.equal(checkNvgre(mem, 0, mem.length), want);
  });
}

t.test('every flag word but 2000 is refused', async t => {
  const mem = bytes(`0000 6558 001389 42 ${FRAME}`);
  const passed: number[] = [];
  for (let flags = 0; flags < 0x10000; flags++) {
    mem[0] = flags >>> 8;
    mem[1] = flags;
    if (checkNvgre(mem, 0, mem.length) === 0) passed.push(flags);
  }
  t.same(passed, [0x2000]);
});

t.test('every cut before the end of the inner Ethernet header is nvgre_truncated', async t => {
  const mem = bytes(`2000 6558 001389 42 ${FRAME}`);
  for (let end = 0; end < 22; end++) t.equal(checkNvgre(mem, 0, end), Fault.nvgre_truncated, `${end} bytes`);
  t.equal(checkNvgre(mem, 0, 22), 0);
});

t.test('RFC 7637 §3.2: the vectors are read, and their frames are untagged', async t => {
  for (const [name, at] of [['nvgre-arp', 28], ['nvgre-udp', 28], ['nvgre-udp-over-ipv6', 48]] as const) {
    const mem = vector(name);
    t.equal(checkNvgre(mem, at, mem.length), 0, name);
    t.equal(nvgreVsid(mem, at), 5001);
    t.equal(nvgreFlowId(mem, at), 0x42);
    t.equal(checkEthernet(mem, at + 8, mem.length), 0);
    mem[at + 20] = 0x81;
    mem[at + 21] = 0x00;
    t.equal(checkEthernet(mem, at + 8, mem.length), Fault.ethernet_tagged, `${name}, tagged`);
  }
});

t.test('RFC 7637 §3.4: usable VSIDs are 1000 to FFFFFE', async t => {
  t.same([0, 0xfff, 0xffffff, 0x1000000, -1].map(isUsableVsid), [false, false, false, false, false]);
  t.same([0x1000, 5001, 0xfffffe].map(isUsableVsid), [true, true, true]);
});

t.test('RFC 7637 §3.2: what we write reads back, over dirty memory, as GRE too', async t => {
  const mem = new Uint8Array(24).fill(0xa5);
  t.equal(writeNvgre(mem, 1, 0xfffffe, 0xff), 8);
  t.equal(hex(mem, 0, 10), 'a520006558fffffeffa5');
  t.equal(checkNvgre(mem, 1, 24), 0);
  t.equal(nvgreVsid(mem, 1), 0xfffffe);
  t.equal(nvgreFlowId(mem, 1), 0xff);
  const gre = new GreView();
  t.equal(parseGre(mem, 1, 24, gre), 0);
  t.match(gre, { headerLen: 8, protocol: 0x6558, key: 0xfffffeff });
  writeNvgre(mem, 1, 5001, 0x42);
  t.equal(hex(mem, 1, 9), '2000655800138942');
});
