/**
 * What the live gateway sent to a kernel's VXLAN devices and TCP, the pipeline sends again when it is given what the
 * live one received. The recording is run.sh's opening scene, `run.sh --record FILE`.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { LinkView, parseLink } from '../../codecs/link.js';
import { UnderlayView, parseUnderlay } from '../../codecs/underlay.js';
import { bytes, hex } from '../support/bytes.js';
import { readAll } from '../support/captures.js';
import { ip4 } from '../support/frames.js';
import { Lab } from '../support/lab.js';

const RECORDED = new URL('../fixtures/recorded/linux-vxlan-nat', import.meta.url).href;
const GATEWAY = ip4('192.0.2.1');
const PEERS = new Map(Object.entries({ 'host-a': '192.0.2.11', 'host-b': '192.0.2.12', inet: '192.0.2.20' }).map(([name, pa]) => [ip4(pa), { name, pa }]));

/** Ping through NAT has another id outside in every run; inner IPv4 is 4 bytes in for GRE, 22 for VXLAN. */
function isEchoThroughNat(name: string, datagram: string): boolean {
  const ip = datagram.slice(name === 'inet' ? 8 : 44);
  return ip.slice(18, 20) === '01' && (name === 'inet' || ip.slice(24, 32) === hex(bytes('c6336407'))); // 198.51.100.7
}

t.test('a recorded kernel VXLAN host gets the same bytes again: ARP, ping, and HTTP through a static mapping', async t => {
  const lab = new Lab(readFileSync(new URL(`${RECORDED}.jsonc`), 'utf8'));
  const live: string[] = [], again: string[] = [];
  const fates: Record<string, number> = {};
  const link = new LinkView(), outer = new UnderlayView();

  const { packets } = readAll(readFileSync(new URL(`${RECORDED}.pcap`)));
  for (const packet of packets) {
    const mem = bytes(packet.data);
    t.equal(parseLink(mem, 0, mem.length, packet.linkType, link), 0);
    t.equal(parseUnderlay(mem, link.networkAt, mem.length, link.etherType, 4754, 4789, outer), 0);
    const peer = PEERS.get(outer.src3 === GATEWAY ? outer.dst3 : outer.src3) ?? { name: 'core', pa: '192.0.2.21' };
    if (outer.src3 === GATEWAY) {
      live.push(`${peer.name} ${hex(mem, outer.at, outer.end)}`);
      continue;
    }
    lab.now = packet.timeMs;
    const fate = lab.receive(`${peer.pa}:${outer.srcPort}`, mem.slice(outer.at, outer.end), outer.isVxlan ? 'vxlan' : 'gre');
    fates[fate] = (fates[fate] ?? 0) + 1;
    again.push(...lab.take().map(sent => `${sent.peer} ${hex(sent.bytes)}`));
  }

  const same = (sent: string[]) => sent.filter(line => !isEchoThroughNat(...(line.split(' ') as [string, string])));
  t.same(same(again), same(live));
  t.equal(live.length - same(live).length, 6, 'three pings through NAT went out and came back that day');
  t.equal(live.length, 30);
  t.same(fates, {
    forwarded: 21, // 3 + 3 pings between VMs, 3 to the Internet, 12 segments of HTTP
    consumed: 6, // 3 ARP requests, 3 pings to the gateway
    nat_no_binding: 3, // the Internet's answers to those pings, which ask for the id of that day
    frame_multicast: 18, // 13 multicast listener reports, 5 router solicitations
    neighbor_unanswered: 3, // duplicate-address detection
  });
  t.same(lab.imbalances(), []);
});
