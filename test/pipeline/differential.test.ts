/**
 * Fast and slow path, packet by packet, under seeded random traffic: flows of every kind that go on for long, with now and
 * then something out of the ordinary in them, and what only a cheat would send. The lab compares verdicts, bytes,
 * peers, flow hashes and every counter after each datagram.
 */
import t from 'tap';
import { bytes } from '../support/bytes.js';
import { connectionFaults } from '../support/connection-invariants.js';
import { hostDatagram, type Datagram } from '../support/datagrams.js';
import { countFast } from '../support/fast-count.js';
import { cut4, ethernet, gre, tcp, udp, withOptions } from '../support/frames.js';
import { Lab } from '../support/lab.js';
import { natFaults } from '../support/nat-invariants.js';
import { seeded, type Seeded } from '../support/seeded.js';
import { BLUE_KEY, BLUE_NAT_KEY, FAR, GATEWAY_MAC, HOSTS, HOST_NAMES, HQ_KEY, LAB_KEY, RED_KEY, RED_POOL, SITE_PA, UPLINKS, makeConfig, vm, type HostName } from '../support/world.js';

const DATAGRAMS = 30_000;
const SYN = 2, ACK = 16;
/** Sessions are swept whole at least this often, and all timers are multiples of it: so no session is over in one table and not yet in the other. */
const ERA = 10;

/** Small tables, every kind of route, ACLs on ports, hosts with FlowID and MTUs of their own; `variant` is what a reload brings. */
function config(variant: number) {
  return makeConfig((all, red, blue) => {
    Object.assign(all.gateway.limits, { tenants: 4, sessions: 40, bindings: 32, fragments: 12, heldFragments: 6 });
    Object.assign(all.gateway.timers, { udp: 300, tcpEstablished: 7440, tcpTransitory: 240, icmp: 60 });
    Object.assign(all.hosts[0], { flowId: 'hash' });
    Object.assign(all.hosts[1], { mtu: 1400 });
    red.records.push({ ca: '10.0.1.250', mac: '00:15:5d:00:00:fa', host: 'vx4' });
    red.routes.push({ prefix: '192.168.77.0/24', via: 'ca:10.0.1.250' });
    red.acls.push({ action: 'deny', direction: 'inbound', protocol: 'tcp', localPort: 23 }, { action: 'deny', direction: 'outbound', remote: '198.51.100.66' });
    red.acls.push({ name: 'out', action: 'measure', direction: 'outbound' }, { name: 'udp-in', action: 'measure', direction: 'inbound', protocol: 'udp', weight: 3 }, { name: 'port', action: 'measure', direction: 'outbound', protocol: 'udp', remotePort: 53, weight: -1 });
    red.nat?.mappings.push({ proto: 'udp', external: `${RED_POOL}:5354`, internal: '10.0.0.12:53' });
    // Blue's VMs keep state, others with each reload; two of them whatever comes.
    blue.acls.push({ action: 'allow', direction: 'outbound', stateful: true, idleTimeout: 40 + 30 * variant, local: `10.0.${variant}.0/24` }, { action: 'deny', direction: 'inbound', local: '10.0.0.0/29' });
    blue.acls.push({ action: 'deny', direction: 'inbound', protocol: 'tcp', weight: -2 }, { action: 'allow', direction: 'inbound', protocol: 'tcp', localPort: '5000-5001', stateful: true, idleTimeout: 90, weight: variant });
    if (variant === 0) return;
    if (blue.nat) blue.nat.pool = ['203.0.113.24/29'];
    red.acls.push({ weight: 9, action: 'deny', direction: 'outbound', protocol: 'udp', remotePort: 7 });
    red.acls.push({ name: 'in', action: 'measure', direction: 'inbound', weight: 8 });
    red.routes.push({ prefix: '198.51.100.8/32', via: 'forward' });
    Object.assign(all.hosts[2], { flowId: 'hash' });
    red.records = red.records.filter(record => record['ca'] !== vm('nvp').ca);
  });
}

/** A flow: who sends, and a packet of it with the given payload, flags and options. */
type Flow = (random: Seeded) => Datagram;

function makeFlow(random: Seeded): Flow {
  const pick = <T>(from: readonly T[]): T => from[random.below(from.length)];
  const isTcp = random.below(2) === 0, sport = 5000 + random.below(3), dport = pick([53, 7, 443, 23]);
  let flags = SYN;
  const packet = (from: string, to: string, own = sport, other = dport) => (dice: Seeded): Uint8Array => {
    const options = { ttl: dice.below(16) === 0 ? 1 + dice.below(2) : 64, dontFragment: dice.below(2) === 0 };
    const payload = new Uint8Array(dice.below(8) === 0 ? 1300 + dice.below(180) : dice.below(64)).fill(dice.below(256));
    const whole = isTcp ? tcp(from, own, to, other, flags, payload, options) : udp(from, own, to, other, payload, options);
    flags = dice.below(12) === 0 ? pick([SYN, SYN | ACK, ACK | 1, 4, 0]) : ACK;
    if (!isTcp && dice.below(16) === 0) whole[26] = whole[27] = 0; // no checksum
    if (dice.below(64) === 0) return withOptions(whole, bytes('94040000'));
    if (dice.below(64) === 0) return pick(cut4(whole, 24, dice.below(4)));
    if (dice.below(64) === 0) return Uint8Array.from([...whole, 0, 0, 0]);
    if (dice.below(64) === 0) whole[dice.below(whole.length)] ^= 1 << dice.below(8);
    return whole;
  };
  const tenant = pick(['red', 'blue'] as const), a = vm(pick(HOST_NAMES), pick(['web', 'db'] as const), tenant), b = vm(pick(HOST_NAMES), pick(['web', 'db'] as const), tenant);
  const fromVm = (make: (dice: Seeded) => Uint8Array): Flow => dice => {
    const vsid = dice.below(24) === 0 ? pick([5001, 5002, 6001, 6002, 7777]) : a.vsid;
    const host = dice.below(24) === 0 ? pick(HOST_NAMES) : a.host; // an impostor
    const to = dice.below(32) === 0 ? b.mac : GATEWAY_MAC, from = dice.below(32) === 0 ? b.mac : a.mac;
    return hostDatagram(host, vsid, ethernet(to, from, make(dice)));
  };
  const outside = (pa: string, key: number, make: (dice: Seeded) => Uint8Array): Flow => dice => ({
    pa: dice.below(24) === 0 ? pick([UPLINKS.inet, UPLINKS.core, SITE_PA]) : pa, carrier: 'gre',
    bytes: gre(make(dice), dice.below(24) === 0 ? pick([-1, RED_KEY, BLUE_KEY, BLUE_NAT_KEY, HQ_KEY, LAB_KEY]) : key),
  });
  switch (random.below(8)) {
    case 0: case 1: case 2: return fromVm(packet(a.ca, pick([FAR, '198.51.100.8', '198.51.100.9', '198.51.100.66'])));
    case 3: return fromVm(packet(a.ca, b.ca));
    case 4: return fromVm(packet(a.ca, pick(['172.16.0.9', '192.168.50.9', '192.168.60.9', '192.168.77.9', '10.9.1.1'])));
    case 5: return outside(UPLINKS.core, tenant === 'red' ? RED_KEY : BLUE_KEY, packet('172.16.0.9', a.ca));
    case 6: return pick([outside(SITE_PA, HQ_KEY, packet('192.168.50.9', a.ca)), outside(SITE_PA, LAB_KEY, packet('192.168.60.9', a.ca))]);
    default: return outside(UPLINKS.inet, -1, packet(pick([FAR, '198.51.100.8']), RED_POOL, dport, isTcp ? 80 : pick([5353, 5354])));
  }
}

/** The flow that answers what left for an uplink or host: ends swapped, which no checksum notices. */
function answerTo(peer: string, sent: Uint8Array): Flow | null {
  const isHost = peer in HOSTS;
  const l3 = isHost ? 22 : (sent[0] & 0x20) !== 0 ? 8 : 4;
  if (sent[l3] !== 0x45 || (sent[l3 + 9] !== 6 && sent[l3 + 9] !== 17) || (sent[l3 + 6] & 0x3f) !== 0 || sent[l3 + 7] !== 0) return null;
  const out = Uint8Array.from(sent);
  const swap = (at: number, other: number, len: number): void => {
    const kept = out.slice(at, at + len);
    out.copyWithin(at, other, other + len);
    out.set(kept, other);
  };
  if (isHost) swap(8, 14, 6);
  swap(l3 + 12, l3 + 16, 4);
  swap(l3 + 20, l3 + 22, 2);
  const isVxlan = isHost && HOSTS[peer as HostName].encap === 'vxlan';
  const pa = isHost ? HOSTS[peer as HostName].pa : peer in UPLINKS ? UPLINKS[peer as keyof typeof UPLINKS] : SITE_PA;
  const flags = (sent[l3 + 9] === 6 && (sent[l3 + 33] & SYN) !== 0) ? SYN | ACK : -1;
  if (flags >= 0) { // the answer to a SYN, its checksum patched by what it differs (RFC 1624)
    const sum = 0xffff - (out[l3 + 36] << 8 | out[l3 + 37]) + 0xffff - out[l3 + 33] + flags;
    const folded = (sum & 0xffff) + (sum >>> 16);
    const check = 0xffff - ((folded & 0xffff) + (folded >>> 16) & 0xffff);
    out[l3 + 33] = flags;
    out[l3 + 36] = check >>> 8;
    out[l3 + 37] = check & 0xff;
  }
  return () => ({ pa, carrier: isVxlan ? 'vxlan' : 'gre', bytes: out });
}

t.test('both paths do the same with seeded random traffic, and most of it is fast', async t => {
  const random = seeded(process.env['SEED'] === undefined ? 24_601 : Number(process.env['SEED']));
  const lab = new Lab(config(0), random.seed);
  countFast(lab.gateway);
  const flows: Flow[] = Array.from({ length: 48 }, () => makeFlow(random));
  let reloads = 0, revoked = 0, variant = 0;
  const fates: Record<string, number> = {};
  for (let i = 0; i < DATAGRAMS; i++) {
    const { pa, carrier, bytes: datagram } = flows[random.below(flows.length)](random);
    const fate = lab.receive(pa, datagram, carrier);
    fates[fate] = (fates[fate] ?? 0) + 1;
    for (const sent of lab.take()) {
      const answer = random.below(4) === 0 ? answerTo(sent.peer, sent.bytes) : null;
      if (answer !== null) flows[random.below(flows.length)] = answer;
    }
    if (random.below(40) === 0) flows[random.below(flows.length)] = makeFlow(random);
    if (random.below(300) === 0) lab.wait(ERA * (random.below(8) === 0 ? random.below(800) : 1 + random.below(8)));
    if (random.below(2500) === 0) {
      revoked += lab.reload(config(variant = 1 - variant));
      reloads++;
    }
  }
  t.same(lab.imbalances(), [], `seed ${random.seed}`);
  const { nat, connections } = lab.state.sizes;
  t.same(connectionFaults(lab.state.connections, connections), []);
  t.same(natFaults(lab.state.nat, nat), []);
  const fast = countFast(lab.gateway);
  t.comment(`seed ${random.seed}: ${fast} of ${DATAGRAMS} fast, ${reloads} reloads that revoked ${revoked} sessions; ${JSON.stringify(fates)}`);
  t.ok(fast > DATAGRAMS / 4, `${fast} packets took the fast path`);
  t.ok(fast < (fates['forwarded'] ?? 0), 'and some the walks');
  t.ok(Object.keys(fates).length > 15, 'many fates were met');
  t.ok(reloads > 3 && revoked > 0);
  t.ok((fates['acl_tcp_no_connection'] ?? 0) > 0 && (fates['acl_tcp_state'] ?? 0) > 0, 'connections among them');

  lab.wait(10_000);
  for (let i = 0; i < 4; i++) lab.wait(130); // blocks of ports stay with their subscribers for 120
  t.same(natFaults(lab.state.nat, nat, true), [], 'nothing is left when all timers have run out');
  t.same(connectionFaults(lab.state.connections, connections, 0), []);
  t.equal(lab.totals().packets.held, 0);
});
