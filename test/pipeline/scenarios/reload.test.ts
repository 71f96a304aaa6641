/** A new policy between two packets: what stays, what goes, and what keeps its number. */
import t from 'tap';
import { expectLedger, expectSent } from '../../support/expect.js';
import { cut4, echo, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import {
  BLUE_NAT_KEY, BLUE_POOL, FAR, NAT_PORT, RED_POOL, atPeer, atVm, fromSite, fromUplink, fromVm, makeConfig, makeWorld, vm,
} from '../../support/world.js';

const A = vm('nv4'), BLUE = vm('nv4', 'web', 'blue');
const SYN = 2;

/** A world with a UDP flow of red's and one of blue's, both on NAT_PORT. */
function withFlows(): Lab {
  const lab = makeWorld();
  fromVm(lab, A, udp(A.ca, 5000, FAR, 53));
  fromVm(lab, BLUE, udp(BLUE.ca, 5000, FAR, 53));
  lab.take();
  return lab;
}
const answerToRed = (lab: Lab): string => fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT));
const answerToBlue = (lab: Lab): string => fromUplink(lab, 'inet', udp(FAR, 53, BLUE_POOL, NAT_PORT), BLUE_NAT_KEY);

t.test('design §7: the same config again revokes nothing; sessions go on', async t => {
  const lab = withFlows();
  t.equal(lab.reload(makeConfig()), 0);
  t.equal(answerToRed(lab), 'forwarded');
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), 'forwarded');
  expectSent(t, lab, [atVm(A, udp(FAR, 53, A.ca, 5000, '', { ttl: 63 })), atPeer('inet', udp(RED_POOL, NAT_PORT, FAR, 53, '', { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 3 }, blue: { forwarded: 1 } });
});

t.test('design §7: an address that left the pool takes exactly its sessions along; the VM gets a new binding', async t => {
  const lab = withFlows();
  t.equal(lab.reload(makeConfig((_config, red) => { if (red.nat) { red.nat.pool = ['203.0.113.11']; red.nat.mappings = []; } })), 1);
  t.equal(lab.gateway.context.nat.sessionCount, 1);
  t.equal(answerToRed(lab), 'pool_unknown', 'nobody’s address now');
  t.equal(answerToBlue(lab), 'forwarded');
  lab.take();
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', udp('203.0.113.11', NAT_PORT, FAR, 53, '', { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 2 }, blue: { forwarded: 2 }, '-': { pool_unknown: 1 } });
});

t.test('a pool that grew, or was written in another order, keeps its sessions', async t => {
  const lab = withFlows();
  t.equal(lab.reload(makeConfig((_config, red) => { if (red.nat) red.nat.pool = ['203.0.113.64/28', RED_POOL]; })), 0);
  t.equal(answerToRed(lab), 'forwarded');
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), 'forwarded');
  lab.sent.shift();
  expectSent(t, lab, [atPeer('inet', udp(RED_POOL, NAT_PORT, FAR, 53, '', { ttl: 63 }))], 'the old binding, not the address it would be paired with now');
  t.same(lab.imbalances(), []);
});

t.test('pools that change hands: no session passes from one tenant to the other', async t => {
  const lab = withFlows();
  t.equal(lab.reload(makeConfig((_config, red, blue) => {
    if (red.nat) Object.assign(red.nat, { pool: [BLUE_POOL], mappings: [] });
    if (blue.nat) Object.assign(blue.nat, { pool: [RED_POOL] });
  })), 2);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, BLUE_POOL, NAT_PORT)), 'nat_no_binding');
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT), BLUE_NAT_KEY), 'nat_no_binding');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { forwarded: 1, nat_no_binding: 1 }, blue: { forwarded: 1, nat_no_binding: 1 } });
});

t.test('static mappings: one taken out or led elsewhere ends its sessions, one that takes over a port in use ends that binding', async t => {
  const open = (): Lab => {
    const lab = makeWorld();
    t.equal(fromUplink(lab, 'inet', tcp(FAR, 9, RED_POOL, 80, SYN)), 'forwarded');
    fromVm(lab, A, udp(A.ca, 5000, FAR, 53));
    lab.take();
    return lab;
  };
  const gone = open();
  t.equal(gone.reload(makeConfig((_config, red) => { if (red.nat) red.nat.mappings = []; })), 1);
  t.equal(fromUplink(gone, 'inet', tcp(FAR, 9, RED_POOL, 80, 16)), 'nat_no_binding');
  t.equal(answerToRed(gone), 'forwarded');

  const moved = open();
  t.equal(moved.reload(makeConfig((_config, red) => { if (red.nat) red.nat.mappings[0]['internal'] = '10.0.0.12:8080'; })), 1);
  t.equal(fromUplink(moved, 'inet', tcp(FAR, 9, RED_POOL, 80, 16)), 'nat_tcp_not_syn');

  const taken = open();
  t.equal(taken.reload(makeConfig((_config, red) => { red.nat?.mappings.push({ proto: 'udp', external: `${RED_POOL}:${NAT_PORT}`, internal: '10.0.0.12:7' }); })), 1);
  t.equal(answerToRed(taken), 'forwarded');
  t.same(taken.take().map(sent => sent.peer), ['vx4'], 'to the VM of the mapping');
  for (const lab of [gone, moved, taken]) t.same(lab.imbalances(), []);
});

t.test('a tenant taken out loses its sessions, its hosts’ right to speak, and its VSIDs; the other does not notice', async t => {
  const lab = withFlows();
  t.equal(lab.reload(makeConfig(config => { config.tenants.splice(0, 1); })), 1);
  t.equal(lab.gateway.context.nat.sessionsOf(1), 0);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), 'vsid_unknown');
  t.equal(answerToRed(lab), 'pool_unknown');
  t.equal(fromSite(lab, 9001, echo('192.168.50.9', A.gateway, 1)), 'pa_unknown');
  t.equal(answerToBlue(lab), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 1 }, blue: { forwarded: 2 }, '-': { vsid_unknown: 1, pool_unknown: 1, pa_unknown: 1 } });
});

t.test('numbers are the routing domain’s for good: order in the file and names do not matter, and a tenant that comes back finds its own', async t => {
  const lab = withFlows();
  t.equal(lab.reload(makeConfig(config => { config.tenants.reverse(); })), 0, 'blue before red');
  t.equal(answerToRed(lab), 'forwarded');
  t.equal(answerToBlue(lab), 'forwarded');
  t.equal(lab.reload(makeConfig((_config, red) => { red.name = 'crimson' as 'red'; })), 0);
  t.equal(answerToRed(lab), 'forwarded');
  lab.take();
  expectLedger(t, lab, { crimson: { forwarded: 3 }, blue: { forwarded: 2 } });
  lab.reload(makeConfig(config => { config.tenants.splice(0, 1); }));
  lab.reload(makeConfig());
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4 }, blue: { forwarded: 2 } });
});

t.test('routes, records, ACLs and uplinks count from the next packet on', async t => {
  const lab = withFlows();
  t.equal(lab.reload(makeConfig((config, red) => {
    red.acls.push({ action: 'deny', direction: 'outbound', protocol: 'tcp' });
    red.routes.push({ prefix: '198.51.100.128/25', via: 'drop' });
    config.uplinks[0]['pa'] = '192.0.2.99';
  })), 0);
  t.equal(fromVm(lab, A, tcp(A.ca, 1, FAR, 80, SYN)), 'acl_denied');
  t.equal(fromVm(lab, A, udp(A.ca, 1, '198.51.100.200', 80)), 'route_drop');
  t.equal(answerToRed(lab), 'pa_unknown', 'the uplink has moved');
  expectLedger(t, lab, { red: { forwarded: 1, acl_denied: 1, route_drop: 1 }, blue: { forwarded: 1 }, '-': { pa_unknown: 1 } });
});

t.test('a tenant whose NAT went keeps nothing', async t => {
  const lab = withFlows();
  t.equal(lab.reload(makeConfig((_config, red) => { red.nat = null; red.routes = red.routes.filter(route => route['via'] !== 'nat'); })), 1);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), 'no_route');
  t.equal(lab.take().length, 1);
  expectLedger(t, lab, { red: { forwarded: 1, no_route: 1, originated: 1 }, blue: { forwarded: 1 } });
});

t.test('design §7: what the new policy would not open is revoked: no way there by NAT, or no record inside', async t => {
  const rerouted = withFlows();
  t.equal(rerouted.reload(makeConfig((_config, red) => { red.routes.push({ prefix: `${FAR}/32`, via: 'drop' }); })), 1);
  t.equal(answerToRed(rerouted), 'nat_no_binding', 'nobody outside can keep it alive');
  t.equal(answerToBlue(rerouted), 'forwarded');
  const elsewhere = withFlows();
  t.equal(elsewhere.reload(makeConfig((_config, red) => { red.routes.push({ prefix: '203.0.113.128/25', via: 'drop' }); })), 0, 'a route that the flow does not take');
  t.equal(answerToRed(elsewhere), 'forwarded');
  const gone = withFlows();
  t.equal(gone.reload(makeConfig((_config, red) => { red.records = red.records.filter(record => record['ca'] !== A.ca); if (red.nat) red.nat.mappings = []; })), 1);
  for (const lab of [rerouted, elsewhere, gone]) t.same(lab.imbalances(), []);
});

t.test('a reload gives up fragments on hold, and remembers those that know their first', async t => {
  const pieces = (id: number): Uint8Array[] => cut4(udp(A.ca, 5000, FAR, 53, 'x'.repeat(100)), 48, id);
  const lab = makeWorld();
  t.equal(fromVm(lab, A, pieces(1)[0]), 'forwarded');
  t.equal(fromVm(lab, A, pieces(2)[1]), 'held');
  t.equal(lab.reload(makeConfig()), 0);
  t.equal(fromVm(lab, A, pieces(1)[1]), 'forwarded');
  t.equal(fromVm(lab, A, pieces(2)[1]), 'held', 'and what comes now is held anew');
  lab.take();
  lab.wait(3);
  expectLedger(t, lab, { red: { forwarded: 2, fragment_orphan: 2 } });
});

t.test('design §7: revoked with the subnet inside, with the next hop it lay behind, or for a mapping it should leave by', async t => {
  const noSubnet = withFlows();
  t.equal(noSubnet.reload(makeConfig((_config, red) => {
    red.subnets = red.subnets.filter(subnet => subnet['vsid'] !== A.vsid);
    red.records = red.records.filter(record => !String(record['ca']).startsWith('10.0.0.') && !String(record['ca']).startsWith('2001:db8:a:'));
    if (red.nat) red.nat.mappings = [];
  })), 1);

  const behind = (config: Parameters<typeof makeConfig>[0] = undefined) => makeConfig((all, red, blue) => {
    red.routes.push({ prefix: '172.31.0.0/16', via: `ca:${A.ca}` });
    config?.(all, red, blue);
  });
  const noHop = makeWorld();
  noHop.reload(behind());
  t.equal(fromVm(noHop, A, udp('172.31.0.5', 5000, FAR, 53)), 'forwarded');
  t.equal(noHop.reload(behind()), 0);
  t.equal(noHop.reload(makeConfig()), 1);

  const mapped = withFlows();
  t.equal(mapped.reload(makeConfig((_config, red) => { red.nat?.mappings.push({ proto: 'udp', external: `${RED_POOL}:7000`, internal: `${A.ca}:5000` }); })), 1);
  mapped.take();
  t.equal(fromVm(mapped, A, udp(A.ca, 5000, FAR, 53)), 'forwarded');
  expectSent(t, mapped, [atPeer('inet', udp(RED_POOL, 7000, FAR, 53, '', { ttl: 63 }))], 'by its mapping now');
  for (const lab of [noSubnet, noHop, mapped]) t.same(lab.imbalances(), []);
});
