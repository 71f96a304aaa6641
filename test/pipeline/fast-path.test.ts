/** Which packets take the fast path, and which are left to the walks. That both do the same is the lab's business: it runs every packet by both. */
import t from 'tap';
import { recomputeIpv4Checksum } from '../../codecs/ipv4.js';
import { bytes } from '../support/bytes.js';
import { withoutId } from '../support/expect.js';
import { countFast } from '../support/fast-count.js';
import { cut4, echo, echoReply, ethernet, tcp, udp, withOptions } from '../support/frames.js';
import type { Lab } from '../support/lab.js';
import {
  BLUE_KEY, BLUE_NAT_KEY, BLUE_POOL, FAR, GATEWAY_MAC, HOST_NAMES, HQ_KEY, LAB_KEY, NAT_PORT, RED_KEY, RED_POOL, fromHost, fromSite, fromUplink, fromVm, makeConfig, makeWorld, vm,
  type WorldChange,
} from '../support/world.js';

const A = vm('nv4'), B = vm('vx4'), DB = vm('vx4', 'db');
const SYN = 2, ACK = 16, FIN = 1, RST = 4;

/** Send it; the path it took, and its fate unless that is `forwarded`. */
function path(lab: Lab, send: (lab: Lab) => string): string {
  const before = countFast(lab.gateway);
  const fate = send(lab);
  const took = countFast(lab.gateway) > before ? 'fast' : 'walks';
  return fate === 'forwarded' ? took : `${took}: ${fate}`;
}

/** What is sent once by the walks, and then by the fast path; `before` makes it possible at all. */
const WAYS: Record<string, { send: (lab: Lab) => string; before?: (lab: Lab) => void; change?: WorldChange; isCompiled?: boolean }> = {
  'UDP to the Internet': { send: lab => fromVm(lab, A, udp(A.ca, 5000, FAR, 53, 'query')) },
  'UDP to the Internet, from a VXLAN host of blue, whose uplink wants a key': { send: lab => fromVm(lab, vm('vx4', 'web', 'blue'), udp(B.ca, 5000, FAR, 53, 'query')) },
  'UDP from the Internet': { before: lab => { fromVm(lab, A, udp(A.ca, 5000, FAR, 53)); }, send: lab => fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT, 'answer')) },
  'UDP from the Internet by a key': {
    before: lab => { fromVm(lab, vm('vx4', 'web', 'blue'), udp(B.ca, 5000, FAR, 53)); }, send: lab => fromUplink(lab, 'inet', udp(FAR, 53, BLUE_POOL, NAT_PORT, 'answer'), BLUE_NAT_KEY),
  },
  'UDP from the Internet to a mapping': { send: lab => fromUplink(lab, 'inet', udp(FAR, 999, RED_POOL, 5353, 'query')) },
  'an established connection, outbound': {
    before: lab => { fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, SYN)); fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, NAT_PORT, SYN | ACK)); },
    send: lab => fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, ACK, 'data')), isCompiled: true, // by the SYN
  },
  'an established connection, inbound': {
    before: lab => { fromUplink(lab, 'inet', tcp(FAR, 999, RED_POOL, 80, SYN)); fromVm(lab, A, tcp(A.ca, 8080, FAR, 999, SYN | ACK)); },
    send: lab => fromUplink(lab, 'inet', tcp(FAR, 999, RED_POOL, 80, ACK, 'data')), isCompiled: true,
  },
  'between subnets, NVGRE to VXLAN': { send: lab => fromVm(lab, A, udp(A.ca, 1, DB.ca, 2, 'across')) },
  'between subnets, under the destination’s VSID': { send: lab => fromHost(lab, 'nv4', DB.vsid, ethernet(GATEWAY_MAC, A.mac, udp(A.ca, 1, DB.ca, 2, 'across'))) },
  'between subnets, with FlowID': { change: config => { Object.assign(config.hosts[2], { flowId: 'hash' }); }, send: lab => fromVm(lab, A, udp(A.ca, 1, vm('nv6', 'db').ca, 2, 'across')) },
  'a connection between subnets needs no state': { send: lab => fromVm(lab, A, tcp(A.ca, 1, DB.ca, 2, ACK, 'data')) },
  'to the physical network': { send: lab => fromVm(lab, A, udp(A.ca, 1, '172.16.0.9', 2, 'out')) },
  'from the physical network': { send: lab => fromUplink(lab, 'core', udp('172.16.0.9', 1, A.ca, 2, 'in'), RED_KEY) },
  'from the physical network to the other tenant': { send: lab => fromUplink(lab, 'core', udp('172.16.0.9', 1, A.ca, 2, 'in'), BLUE_KEY) },
  'to a site': { send: lab => fromVm(lab, A, udp(A.ca, 1, '192.168.50.9', 2, 'out')) },
  'from a site': { send: lab => fromSite(lab, HQ_KEY, udp('192.168.50.9', 1, A.ca, 2, 'in')) },
  'from the other site with the same PA': { send: lab => fromSite(lab, LAB_KEY, udp('192.168.60.9', 1, A.ca, 2, 'in')) },
};

/** Let datagrams lie in memory for many of them, as in a ring, whose bytes the fast path reads in another way; some with room before them, some without. */
function inSlots(lab: Lab): void {
  const slots = new Uint8Array(1 << 17), at = 4099;
  for (const gateway of lab.gateways) {
    const receive = gateway.receive.bind(gateway);
    gateway.receive = (mem, start, first, end, ...rest) => {
      slots.set(mem, at);
      return receive(slots, at + start, at + first, at + end, ...rest);
    };
  }
}

for (const [name, { send, before, change, isCompiled = false }] of Object.entries(WAYS)) for (const isRing of [false, true]) {
  t.test(`the first packet takes the walks, the next the fast path: ${name}${isRing ? ', in slots' : ''}`, async t => {
    const lab = makeWorld(change);
    if (isRing) inSlots(lab);
    before?.(lab);
    t.same([path(lab, send), path(lab, send), path(lab, send)], [isCompiled ? 'fast' : 'walks', 'fast', 'fast']);
    const [first, ...others] = lab.take().slice(-3).map(({ peer, bytes: sent }) => ({ peer, bytes: withoutId(peer, sent) }));
    for (const other of others) t.same(other, first);

    t.equal(lab.reload(makeConfig(change)), 0);
    t.same([path(lab, send), path(lab, send)], ['walks', 'fast'], 'compiled anew after a reload');
    t.same(lab.imbalances(), []);
  });
}

t.test('every pair of hosts, both overlays: an answer is fast as well', async t => {
  for (const from of HOST_NAMES) {
    for (const to of HOST_NAMES) {
      const lab = makeWorld();
      const a = vm(from), b = vm(to, 'db');
      t.same([1, 2].map(() => path(lab, () => fromVm(lab, a, udp(a.ca, 1, b.ca, 2, 'there')))), ['walks', 'fast'], `${from} to ${to}`);
      t.same([1, 2].map(() => path(lab, () => fromVm(lab, b, udp(b.ca, 2, a.ca, 1, 'back')))), ['walks', 'fast'], `${to} to ${from}`);
    }
  }
});

/** A packet with its header's checksum put right again. */
function header(packet: Uint8Array, change: (packet: Uint8Array) => void): Uint8Array {
  const copy = packet.slice();
  change(copy);
  recomputeIpv4Checksum(copy, 0);
  return copy;
}

t.test('what is out of the ordinary in a compiled flow is left to the walks', async t => {
  const to = { nat: FAR, subnet: DB.ca, forward: '172.16.0.9', site: '192.168.50.9' };
  for (const [name, remote] of Object.entries(to)) {
    const lab = makeWorld();
    const plain = udp(A.ca, 5000, remote, 53, 'a packet of some length');
    fromVm(lab, A, plain);
    const took = (packet: Uint8Array): string => path(lab, () => fromVm(lab, A, packet));
    t.equal(took(plain), 'fast', name);
    t.equal(took(udp(A.ca, 5000, remote, 53, '', { ttl: 2 })), 'fast', 'two hops left');
    t.equal(took(udp(A.ca, 5000, remote, 53, '', { ttl: 1 })), 'walks: ttl_expired');
    t.equal(took(withOptions(plain, bytes('94040000'))), 'walks');
    t.equal(took(cut4(plain, 16)[0]), 'walks', 'a first fragment');
    t.equal(took(cut4(plain, 16)[1]), 'walks', 'a later one');
    t.equal(took(udp(A.ca, 5000, remote, 53, new Uint8Array(1480), { dontFragment: true })), 'walks: too_big');
    t.equal(took(udp(A.ca, 5000, remote, 53, new Uint8Array(1480))), 'walks', 'to be cut');
    t.equal(took(header(plain, packet => { packet[0] = 0x44; })), 'walks: ipv4_header_length');
    t.equal(took(header(plain, packet => { packet[3]++; })), 'walks: ipv4_total_length');
    t.equal(took(Uint8Array.from([...plain.slice(0, 10), 1, 2, ...plain.slice(12)])), 'walks: ipv4_checksum');
    t.equal(took(header(plain, packet => { packet[25] = 200; })), 'walks: udp_length');
    t.equal(took(header(plain, packet => { packet[26] = packet[27] = 0; })), 'fast', 'no UDP checksum: RFC 768');
    t.equal(took(Uint8Array.from([...plain, 0, 0, 0, 0])), 'fast', 'padding is not carried on');
    t.same(lab.imbalances(), []);
  }
});

t.test('SYN, FIN and RST are always seen by the walks, and so is a connection that is not established', async t => {
  const lab = makeWorld();
  const out = (flags: number): string => path(lab, () => fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, flags)));
  const back = (flags: number): string => path(lab, () => fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, NAT_PORT, flags)));
  t.same([out(SYN), out(SYN), out(ACK)], ['walks', 'walks', 'walks'], 'in-init');
  t.same([back(SYN | ACK), back(ACK), out(ACK), back(ACK)], ['walks', 'fast', 'fast', 'fast'], 'established');
  t.same([out(SYN), out(ACK)], ['walks', 'fast'], 'a late SYN');
  t.same([out(FIN | ACK), out(ACK), back(ACK)], ['walks', 'fast', 'fast'], 'half closed');
  t.same([back(FIN | ACK), out(ACK), back(ACK)], ['walks', 'walks', 'walks'], 'closed');
  t.same([out(SYN), back(SYN | ACK), out(ACK), back(ACK)], ['walks', 'walks', 'fast', 'fast'], 'opened anew under the old one’s number');
  t.same([back(RST), back(ACK), back(ACK)], ['walks', 'walks', 'fast'], 'a forged reset, and data that shows it');
  t.same(lab.imbalances(), []);
});

t.test('ICMP is never compiled, nor what is bridged, for the gateway itself, or from behind a tenant’s router', async t => {
  const lab = makeWorld((_config, red) => {
    red.records.push({ ca: '10.0.1.250', mac: '00:15:5d:00:00:fa', host: 'vx4' });
    red.routes.push({ prefix: '192.168.77.0/24', via: 'ca:10.0.1.250' });
  });
  const router = { ...DB, mac: '00:15:5d:00:00:fa' };
  const sends: Record<string, () => string> = {
    'an echo through NAT': () => fromVm(lab, A, echo(A.ca, FAR, 7)),
    'its reply': () => fromUplink(lab, 'inet', echoReply(FAR, RED_POOL, NAT_PORT)),
    'bridged': () => fromHost(lab, 'nv4', A.vsid, ethernet(B.mac, A.mac, udp(A.ca, 1, B.ca, 2))),
    'an address behind a router': () => fromVm(lab, router, udp('192.168.77.9', 1, FAR, 2)),
  };
  for (const [name, send] of Object.entries(sends)) t.same([path(lab, send), path(lab, send)], ['walks', 'walks'], name);
  const towards = (): string => fromVm(lab, A, udp(A.ca, 1, '192.168.77.9', 2));
  t.same([path(lab, towards), path(lab, towards)], ['walks', 'fast'], 'towards it there is no such question');
  t.equal(path(lab, () => fromVm(lab, A, echo(A.ca, A.gateway, 7))), 'walks: consumed');
  t.same(lab.imbalances(), []);
});

t.test('design §4: a compiled flow serves its sender alone', async t => {
  const remotes = [FAR, DB.ca, '172.16.0.9', '192.168.50.9'];
  for (const remote of remotes) {
    const lab = makeWorld();
    const packet = udp(A.ca, 5000, remote, 53);
    fromVm(lab, A, packet);
    t.equal(path(lab, () => fromVm(lab, A, packet)), 'fast', remote);
    const frame = ethernet(GATEWAY_MAC, A.mac, packet);
    t.equal(path(lab, () => fromHost(lab, 'vx4', A.vsid, frame)), 'walks: spoofed_source', 'another host of the tenant');
    t.equal(path(lab, () => fromHost(lab, 'nv6', A.vsid, frame)), 'walks: spoofed_source', 'with the same overlay');
    t.equal(path(lab, () => fromHost(lab, 'nv4', 7777, frame)), 'walks: vsid_unknown');
    t.equal(path(lab, () => fromHost(lab, 'nv4', 6001, frame)).split(':')[0], 'walks', 'under blue’s VSID it is blue’s');
    t.equal(path(lab, () => fromHost(lab, 'nv4', A.vsid, ethernet(B.mac, A.mac, packet))).split(':')[0], 'walks', 'to another MAC');
    t.equal(path(lab, () => fromVm(lab, A, packet)), 'fast', 'and it goes on');
    t.same(lab.imbalances(), []);
  }
});

t.test('from outside, a compiled flow is its uplink’s or site’s own, under its own key', async t => {
  const lab = makeWorld();
  fromVm(lab, A, udp(A.ca, 5000, FAR, 53));
  const answer = udp(FAR, 53, RED_POOL, NAT_PORT);
  const inside = udp('172.16.0.9', 1, A.ca, 2), site = udp('192.168.50.9', 1, A.ca, 2);
  for (const send of [() => fromUplink(lab, 'inet', answer), () => fromUplink(lab, 'core', inside, RED_KEY), () => fromSite(lab, HQ_KEY, site)]) {
    t.same([path(lab, send), path(lab, send)], ['walks', 'fast']);
  }
  t.equal(path(lab, () => fromUplink(lab, 'core', answer)), 'walks: nat_wrong_uplink');
  t.equal(path(lab, () => fromUplink(lab, 'inet', answer, BLUE_NAT_KEY)), 'walks: nat_wrong_uplink');
  t.equal(path(lab, () => fromUplink(lab, 'core', inside, BLUE_KEY)), 'walks', 'blue’s');
  t.equal(path(lab, () => fromUplink(lab, 'core', inside, 1)), 'walks: gre_key_unknown');
  t.equal(path(lab, () => fromUplink(lab, 'core', inside)), 'walks: pool_unknown');
  t.equal(path(lab, () => fromUplink(lab, 'inet', inside, RED_KEY)).split(':')[0], 'walks');
  t.equal(path(lab, () => fromSite(lab, LAB_KEY, site)), 'walks: site_source', 'the other site behind the same PA');
  t.equal(path(lab, () => fromSite(lab, 1, site)), 'walks: gre_key_unknown');
  t.same(lab.imbalances(), []);
});

t.test('RFC 4787 REQ-5: a session whose time is up is over for the fast path too, swept or not', async t => {
  const lab = makeWorld();
  const out = (): string => fromVm(lab, A, udp(A.ca, 5000, FAR, 53));
  const back = (): string => fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT));
  t.same([path(lab, out), path(lab, out), path(lab, back), path(lab, back)], ['walks', 'fast', 'walks', 'fast']);
  lab.now += 299_000;
  t.equal(path(lab, out), 'fast');
  lab.now += 299_000;
  t.equal(lab.gateway.context.nat.sessionCount, 1);
  t.match(path(lab, back), /^(fast|walks)$/, 'kept alive from inside');
  t.equal(path(lab, back), 'fast', 'whichever way it went, the next is fast');
  lab.now += 300_000;
  t.equal(path(lab, back), 'walks: nat_no_binding');
  t.equal(path(lab, out), 'walks', 'a new one');
  t.same(lab.imbalances(), []);
});

t.test('with `isFast` off all take the walks; with an observer too', async t => {
  const lab = makeWorld();
  const send = (): string => fromVm(lab, A, udp(A.ca, 5000, FAR, 53));
  lab.gateway.isFast = false;
  t.same([path(lab, send), path(lab, send)], ['walks', 'walks']);
  lab.gateway.isFast = true;
  t.equal(path(lab, send), 'fast', 'it was compiled all the same');
  lab.gateway.observer = {};
  t.equal(path(lab, send), 'walks');
  lab.gateway.observer = null;
  t.equal(path(lab, send), 'fast');
});
