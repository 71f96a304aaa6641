import { readFileSync } from 'node:fs';
import t from 'tap';
import { CaptureReader, CaptureRecord } from '../../codecs/capture.js';
import { EthernetView, parseEthernet } from '../../codecs/ethernet.js';
import { Fault } from '../../codecs/faults.js';
import { LinkType, LinkView, parseLink } from '../../codecs/link.js';
import { bytes } from '../support/bytes.js';
import { publicCaptures, random32 } from '../support/captures.js';

const view = new LinkView();
const MACS = 'ffffffffffff 00155d000001';

// Link type, header, EtherType and VLAN id found; the network header follows the header at once.
const headers = [
  ['Ethernet with IPv4', 1, `${MACS} 0800`, 0x0800, -1],
  ['Ethernet with ARP', 1, `${MACS} 0806`, 0x0806, -1],
  ['Ethernet with an 802.3 length', 1, `${MACS} 0026`, 0x0026, -1],
  ['IEEE 802.1Q §9: one tag, priority and drop bits not part of the id', 1, `${MACS} 8100 f064 86dd`, 0x86dd, 100],
  ['IEEE 802.1ad: two tags, the outer one counts', 1, `${MACS} 88a8 0064 8100 00c8 0800`, 0x0800, 100],
  ['four tags, an old one among them', 1, `${MACS} 9100 0001 88a8 0002 8100 0003 8100 0004 0800`, 0x0800, 1],
  ['NULL, IPv4, little endian', 0, '02000000', 0x0800, -1],
  ['NULL, IPv4, big endian', 0, '00000002', 0x0800, -1],
  ['NULL, IPv6 of OpenBSD', 0, '18000000', 0x86dd, -1],
  ['NULL, IPv6 of FreeBSD', 0, '1c000000', 0x86dd, -1],
  ['NULL, IPv6 of macOS', 0, '1e000000', 0x86dd, -1],
  ['NULL, IPv6 of macOS, big endian', 0, '0000001e', 0x86dd, -1],
  ['NULL, IPv6 of Linux', 0, '0a000000', 0x86dd, -1],
  ['NULL, IPv6 of Windows', 0, '17000000', 0x86dd, -1],
  ['NULL, AppleTalk: read, and nothing we know', 0, '10000000', 0, -1],
  ['LOOP, IPv4', 108, '00000002', 0x0800, -1],
  ['LOOP, IPv6', 108, '00000018', 0x86dd, -1],
  ['LOOP in the wrong order is a family nobody has', 108, '02000000', 0, -1],
  ['raw IPv4 by link type, whatever the version says', 228, '', 0x0800, -1],
  ['raw IPv6 by link type', 229, '', 0x86dd, -1],
  ['Linux SLL', 113, '00000001000600155d00000100000800', 0x0800, -1],
  ['Linux SLL with a tag', 113, '00000001000600155d00000100008100 0007 86dd', 0x86dd, 7],
  ['Linux SLL2', 276, '08000000000000030001000600155d0000010000', 0x0800, -1],
  ['Linux SLL2 with a tag', 276, '81000000000000030001000600155d0000010000 0007 0806', 0x0806, 7],
] as const;

for (const [name, linkType, header, etherType, vlan] of headers) {
  t.test(name, async t => {
    const head = bytes(header);
    const mem = new Uint8Array(head.length + 8).fill(0x45);
    mem.set(head, 4);
    t.equal(parseLink(mem, 4, mem.length, linkType, view), 0);
    t.match(view, { networkAt: 4 + head.length, etherType, vlan });
    t.equal(parseLink(mem, 4, 4 + head.length, linkType, view), 0, 'nothing need follow the header');
  });

  t.test(`${name}: every cut of the header is link_truncated`, async t => {
    const mem = bytes(header);
    for (let end = 0; end < mem.length; end++) t.equal(parseLink(mem, 0, end, linkType, view), Fault.link_truncated, `${end} bytes`);
  });
}

t.test('RAW goes by the version nibble, under each of its three numbers', async t => {
  for (const linkType of [LinkType.raw, LinkType.bsdRaw, LinkType.openbsdRaw]) {
    for (const [first, etherType] of [['45', 0x0800], ['60', 0x86dd], ['00', 0], ['ff', 0]] as const) {
      t.equal(parseLink(bytes(first), 0, 1, linkType, view), 0);
      t.match(view, { networkAt: 0, etherType, vlan: -1 });
    }
    t.equal(parseLink(bytes('45'), 0, 0, linkType, view), Fault.link_truncated);
  }
});

t.test('a tag behind four tags is left for the caller to refuse', async t => {
  t.equal(parseLink(bytes(`${MACS} ${'8100 0001'.repeat(5)} 0800`), 0, 34, LinkType.ethernet, view), 0);
  t.match(view, { networkAt: 30, etherType: 0x8100, vlan: 1 });
});

t.test('a VLAN id does not outlive its packet', async t => {
  parseLink(bytes(`${MACS} 8100 0064 0800`), 0, 18, LinkType.ethernet, view);
  parseLink(bytes(`${MACS} 0800`), 0, 14, LinkType.ethernet, view);
  t.equal(view.vlan, -1);
});

t.test('link types that we do not read are link_unsupported: IEEE 802.11, USB, none at all', async t => {
  for (const linkType of [105, 127, 189, 65535, -1]) t.equal(parseLink(new Uint8Array(64), 0, 64, linkType, view), Fault.link_unsupported);
});

t.test('parseLink and parseEthernet agree on every Ethernet frame', async t => {
  const seed = 7348;
  t.comment(`seed ${seed}`);
  const random = random32(seed);
  const ethernet = new EthernetView();
  const types = [0x81, 0x00, 0x88, 0xa8, 0x91, 0x00, 0x08, 0x00];
  const mem = new Uint8Array(40);
  let disagreements = 0;
  for (let round = 0; round < 10_000; round++) {
    for (let at = 12; at < mem.length; at += 2) {
      const pick = (random() % 4) * 2;
      mem[at] = types[pick];
      mem[at + 1] = types[pick + 1];
    }
    const end = random() % mem.length;
    const cut = parseEthernet(mem, 0, end, ethernet) !== 0;
    const fault = parseLink(mem, 0, end, LinkType.ethernet, view);
    const same = cut ? fault === Fault.link_truncated
      : fault === 0 && view.networkAt === ethernet.headerLen && view.etherType === ethernet.type && view.vlan === ethernet.vlan;
    if (!same) disagreements++;
  }
  t.equal(disagreements, 0);
});

t.test('the link headers of public captures end where an IP header starts', async t => {
  const paths = publicCaptures().filter(path => /LinuxCooked|LINKTYPE|linktype_null|ipopts|quickplay|http_ipv6|nano/.test(path));
  if (paths.length === 0) {
    t.pass('no public captures here: nothing read');
    return;
  }
  const record = new CaptureRecord();
  for (const path of paths) {
    const reader = new CaptureReader();
    reader.push(readFileSync(path));
    reader.end();
    while (reader.next(record) === 'record') {
      const fault = parseLink(record.mem, record.at, record.end, record.linkType, view);
      const version = view.etherType === 0x0800 ? 4 : view.etherType === 0x86dd ? 6 : -1;
      if (fault !== 0 || (version > 0 && record.mem[view.networkAt] >>> 4 !== version)) t.fail(`${path}: packet ${record.number}`);
    }
    t.pass(path);
  }
});
