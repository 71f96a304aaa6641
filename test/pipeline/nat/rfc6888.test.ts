/** RFC 6888, carrier-grade NAT: what the scenarios do not show already. pipeline/NAT.md has all of it, requirement by requirement. */
import t from 'tap';
import { expectLedger, expectSent } from '../../support/expect.js';
import { echo, tcp, udp } from '../../support/frames.js';
import { FAR, HQ_KEY, RED_KEY, atPeer, fromVm, makeWorld, vm } from '../../support/world.js';
import { openUdp, portLeft } from './nat-lab.js';

const A = vm('nv4'), B = vm('vx4');

t.test('REQ-6: destinations are taken out of translation by a route that leads past NAT', async t => {
  const lab = makeWorld();
  t.equal(fromVm(lab, A, udp(A.ca, 5000, '172.16.0.9', 53)), 'forwarded');
  expectSent(t, lab, [atPeer('core', udp(A.ca, 5000, '172.16.0.9', 53, '', { ttl: 63 }), RED_KEY)]);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, '192.168.50.9', 53)), 'forwarded');
  expectSent(t, lab, [atPeer('hq', udp(A.ca, 5000, '192.168.50.9', 53, '', { ttl: 63 }), HQ_KEY)]);
  const port = openUdp(lab, A);
  t.ok(port > 0);
  t.equal(lab.gateway.context.nat.bindingCount, 1, 'for what is translated alone');
  expectLedger(t, lab, { red: { forwarded: 3 } });
});

t.test('REQ-11: when something is lacking the packet is dropped, its sender told so, and nobody else’s mapping goes for it', async t => {
  const lab = makeWorld(config => { Object.assign(config.gateway.limits, { sessions: 4, bindings: 4 }); });
  const ports = [1, 2, 3, 4].map(sport => openUdp(lab, A, sport));
  t.equal(fromVm(lab, B, udp(B.ca, 9, FAR, 53)), 'nat_sessions_spent');
  const [refusal] = lab.take();
  t.same([refusal.peer, ...refusal.bytes.subarray(8 + 14 + 20, 8 + 14 + 22)], ['vx4', 3, 1], 'host unreachable');
  ports.forEach((port, i) => {
    t.equal(fromVm(lab, A, udp(A.ca, i + 1, FAR, 53)), 'forwarded');
    t.equal(portLeft(lab), port);
  });
  expectLedger(t, lab, { red: { forwarded: 8, nat_sessions_spent: 1, originated: 1 } });
});

t.test('REQ-2: one outside address for everything an inside one does: UDP, TCP and queries', async t => {
  const lab = makeWorld((_config, red) => { red.nat?.pool.push('203.0.113.64/28'); });
  const view = (bytes: Uint8Array): number => new DataView(bytes.buffer).getUint32(4 + 12);
  for (const a of [A, B, vm('nv6', 'db'), vm('vxp')]) {
    fromVm(lab, a, udp(a.ca, 1, FAR, 2));
    fromVm(lab, a, udp(a.ca, 3, '198.51.100.8', 2));
    fromVm(lab, a, tcp(a.ca, 1, FAR, 2, 2));
    fromVm(lab, a, echo(a.ca, FAR, 1));
    t.equal(new Set(lab.take().map(({ bytes }) => view(bytes))).size, 1, a.ca);
  }
  t.same(lab.imbalances(), []);
});
