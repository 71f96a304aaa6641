import t from 'tap';
import {
  checkEthernet, etherType, EtherType, EthernetView, isGroupMac, isTag, parseEthernet, writeEthernet,
} from '../../codecs/ethernet.js';
import { Fault } from '../../codecs/faults.js';
import { bytes, hex } from '../support/bytes.js';
import { vector } from './vectors.js';

const frames = [
  ['a unicast frame of 14 bytes, which nobody pads inside a tunnel', '00155d000002 00155d000001 0800', 0],
  ['a broadcast from one sender', 'ffffffffffff 00155d000001 0806', 0],
  ['an 802.3 length in place of the type', '0180c2000000 00155d000001 0026', 0],
  ['a locally administered source', '00155d000002 020000000001 86dd', 0],
  ['a source whose high half is zero', '00155d000002 000000000001 0800', 0],
  ['a group source', '00155d000002 01005e000001 0800', Fault.ethernet_source],
  ['a broadcast source', '00155d000002 ffffffffffff 0800', Fault.ethernet_source],
  ['an all-zero source', '00155d000002 000000000000 0800', Fault.ethernet_source],
  ['RFC 7637 §3.3: an inner 802.1Q tag', '00155d000002 00155d000001 8100', Fault.ethernet_tagged],
  ['RFC 7637 §3.3: an inner 802.1ad tag', '00155d000002 00155d000001 88a8', Fault.ethernet_tagged],
  ['RFC 7637 §3.3: an inner tag of older switches', '00155d000002 00155d000001 9100', Fault.ethernet_tagged],
  ['a tag and a bad source: the tag is named', '00155d000002 000000000000 8100', Fault.ethernet_tagged],
] as const;
for (const [name, frame, want] of frames) {
  t.test(name, async t => { t.equal(checkEthernet(bytes(frame), 0, 14), want); });
}

t.test('the group bit is the lowest of the first byte', async t => {
  t.equal(isGroupMac(0x0100), true);
  t.equal(isGroupMac(0x3333), true);
  t.equal(isGroupMac(0xfeff), false);
});

t.test('three types announce a tag', async t => {
  t.same([0x8100, 0x88a8, 0x9100].map(isTag), [true, true, true]);
  t.same([0x0800, 0x86dd, 0x6558, 0x8847].map(isTag), [false, false, false, false]);
});

const view = new EthernetView();
const MACS = '00155d000002 00155d000001';
const outer = [
  ['no tag', `${MACS} 0800`, { headerLen: 14, type: 0x0800, vlan: -1 }],
  ['one tag, priority bits left out of the id', `${MACS} 8100 f00a 86dd`, { headerLen: 18, type: 0x86dd, vlan: 0x00a }],
  ['a priority tag has VLAN 0, not none', `${MACS} 8100 e000 0800`, { headerLen: 18, type: 0x0800, vlan: 0 }],
  ['two tags: the outermost id counts', `${MACS} 88a8 0064 8100 000a 0800`, { headerLen: 22, type: 0x0800, vlan: 100 }],
  ['four tags', `${MACS} 9100 0001 9100 0002 8100 0003 8100 0004 0806`, { headerLen: 30, type: 0x0806, vlan: 1 }],
  ['a fifth tag is left as the type', `${MACS} 8100 0001 8100 0002 8100 0003 8100 0004 8100 0005 0806`, { headerLen: 30, type: 0x8100, vlan: 1 }],
] as const;
for (const [name, frame, want] of outer) {
  t.test(`an outer frame: ${name}`, async t => {
    const mem = bytes(frame);
    t.equal(parseEthernet(mem, 0, mem.length, view), 0);
    t.match(view, want);
  });
}

t.test('what we write reads back, over dirty memory', async t => {
  const mem = new Uint8Array(18).fill(0xa5);
  t.equal(writeEthernet(mem, 2, 0xffff, 0xffffffff, 0x0015, 0x5d000001, EtherType.arp), 14);
  t.equal(hex(mem), 'a5a5ffffffffffff00155d0000010806a5a5');
  t.equal(checkEthernet(mem, 2, 16), 0);
  t.equal(etherType(mem, 2), EtherType.arp);
});

t.test('the frames of the ARP and UDP vectors are sound', async t => {
  for (const name of ['arp-request', 'arp-reply', 'arp-gratuitous', 'arp-probe', 'frame-udp']) {
    const mem = vector(name);
    t.equal(checkEthernet(mem, 0, mem.length), 0, name);
  }
});
