/** Rules that measure: every packet that reaches them counts, once, whichever way through the pipeline it takes. */
import t from 'tap';
import { countFast } from '../../support/fast-count.js';
import { expectLedger } from '../../support/expect.js';
import { cut4, echo, ethernet, tcp, udp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { FAR, HQ_KEY, NAT_PORT, RED_KEY, RED_POOL, fromHost, fromSite, fromUplink, fromVm, makeConfig, makeWorld, vm } from '../../support/world.js';

type Acl = Record<string, unknown>;
const A = vm('nv4'), B = vm('vx4', 'db'), BESIDE = vm('vx4');
const SYN = 2, ACK = 16;

function withAcls(...acls: Acl[]): Lab {
  return makeWorld((_config, red) => { red.acls = acls; });
}
const measure = (name: string, acl: Acl = {}): Acl => ({ name, action: 'measure', direction: 'outbound', ...acl });

/** What a rule has counted: packets, bytes. */
function counted({ gateway }: Lab, name: string): readonly [number, number] {
  const { policy, tallies } = gateway.context;
  const { packets, bytes } = tallies.of(policy.rules.tally[policy.rules.names.indexOf(name)]);
  return [packets, bytes];
}

t.test('wire-facts §9.7: metering counts packets and inner bytes and goes on; what comes behind the deciding entry is not reached', async t => {
  const lab = withAcls(
    measure('all', { weight: 9 }), { name: 'no-dns', action: 'deny', direction: 'outbound', protocol: 'udp', remotePort: 53, weight: 5 },
    measure('behind', { weight: 1 }), measure('level', { weight: 5 }), measure('inbound', { direction: 'inbound' }),
  );
  const dns = udp(A.ca, 1000, B.ca, 53, 'question'), web = udp(A.ca, 1000, B.ca, 80, 'hello');
  t.equal(fromVm(lab, A, dns), 'acl_denied');
  t.same(counted(lab, 'all'), [1, dns.length]);
  t.same(counted(lab, 'level'), [1, dns.length], 'at equal weight measure comes before deny');
  t.same(counted(lab, 'behind'), [0, 0]);
  t.equal(fromVm(lab, A, web), 'forwarded');
  for (const name of ['all', 'level']) t.same(counted(lab, name), [2, dns.length + web.length], name);
  t.same(counted(lab, 'behind'), [1, web.length], 'no entry decided, so all are reached');
  t.same(counted(lab, 'inbound'), [1, web.length]);
  expectLedger(t, lab, { red: { forwarded: 1, acl_denied: 1 } });
});

t.test('every packet counts, also those of the fast path', async t => {
  const walks: readonly (readonly [name: string, out: number, inbound: number, send: (lab: Lab) => [string, number]])[] = [
    ['to another subnet', 1, 1, lab => [fromVm(lab, A, udp(A.ca, 1000, B.ca, 80, 'abc')), 31]],
    ['bridged', 1, 1, lab => [fromHost(lab, 'nv4', A.vsid, ethernet(BESIDE.mac, A.mac, udp(A.ca, 1000, BESIDE.ca, 80, 'abc'))), 31]],
    ['to the Internet', 1, 0, lab => [fromVm(lab, A, udp(A.ca, 1000, FAR, 80, 'abc')), 31]],
    ['to the physical network', 1, 0, lab => [fromVm(lab, A, udp(A.ca, 1000, '172.16.0.9', 80, 'abc')), 31]],
    ['to a site', 1, 0, lab => [fromVm(lab, A, udp(A.ca, 1000, '192.168.50.9', 80, 'abc')), 31]],
    ['from the physical network', 0, 1, lab => [fromUplink(lab, 'core', udp('172.16.0.9', 9, A.ca, 80, 'abc'), RED_KEY), 31]],
    ['from a site', 0, 1, lab => [fromSite(lab, HQ_KEY, udp('192.168.50.9', 9, A.ca, 80, 'abc')), 31]],
    ['ping', 1, 1, lab => [fromVm(lab, A, echo(A.ca, B.ca, 7)), 36]],
    ['IPv6', 1, 1, lab => [fromVm(lab, A, udp(A.ca6, 1000, B.ca6, 80, 'abc')), 51]],
  ];
  for (const [name, out, inbound, send] of walks) {
    const lab = withAcls(measure('out'), measure('in', { direction: 'inbound' }), measure('again', { weight: 3 }));
    let bytes = 0;
    countFast(lab.gateway);
    for (let i = 0; i < 5; i++) {
      const [verdict, len] = send(lab);
      t.equal(verdict, 'forwarded', name);
      bytes += len;
    }
    t.equal(countFast(lab.gateway), ['bridged', 'ping', 'IPv6'].includes(name) ? 0 : 4, `${name}: by the fast path, as far as there is one`);
    t.same(counted(lab, 'out'), [5 * out, bytes * out], `${name}, outbound`);
    t.same(counted(lab, 'again'), [5 * out, bytes * out], `${name}, outbound by two`);
    t.same(counted(lab, 'in'), [5 * inbound, bytes * inbound], `${name}, inbound`);
    expectLedger(t, lab, { red: { forwarded: 5 } });
  }
});

t.test('NAT both ways: by the inside address and port, and a binding that leads elsewhere by now is not taken for the one before', async t => {
  const lab = withAcls(measure('of-a', { direction: 'inbound', local: A.ca, protocol: 'udp', localPort: 5000 }), measure('of-b', { direction: 'inbound', local: B.ca }), measure('out', { local: A.ca, protocol: 'udp', localPort: 5000 }));
  const answer = (): string => fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT, 'answer'));
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53, 'ask')), 'forwarded');
  for (let i = 0; i < 3; i++) t.equal(answer(), 'forwarded');
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53, 'ask')), 'forwarded');
  t.same(counted(lab, 'of-a'), [3, 3 * 34]);
  t.same(counted(lab, 'out'), [2, 2 * 31]);
  lab.wait(3600);
  t.equal(fromVm(lab, B, udp(B.ca, 6000, FAR, 53, 'ask')), 'forwarded', 'gets the port that is free again');
  for (let i = 0; i < 3; i++) answer();
  t.same(counted(lab, 'of-a'), [3, 3 * 34]);
});

t.test('SYN and FIN, fragments in and out of order: each packet once', async t => {
  const lab = withAcls(measure('out'), measure('in', { direction: 'inbound', protocol: 'udp', localPort: 80 }), measure('tcp', { protocol: 'tcp', remotePort: 80 }));
  const segments = [tcp(A.ca, 1000, B.ca, 80, SYN), tcp(A.ca, 1000, B.ca, 80, ACK, 'x'), tcp(A.ca, 1000, B.ca, 80, ACK, 'yy'), tcp(A.ca, 1000, B.ca, 80, ACK | 1)];
  for (const segment of segments) t.equal(fromVm(lab, A, segment), 'forwarded');
  t.same(counted(lab, 'tcp'), [4, segments.reduce((sum, segment) => sum + segment.length, 0)]);
  const pieces = cut4(udp(A.ca, 1000, B.ca, 80, new Uint8Array(600)), 256);
  t.same(pieces.map(piece => fromVm(lab, A, piece)), ['forwarded', 'forwarded', 'forwarded']);
  const late = cut4(udp(A.ca, 1000, B.ca, 80, new Uint8Array(600)), 256, 77);
  t.same([late[1], late[2], late[0]].map(piece => fromVm(lab, A, piece)), ['held', 'held', 'forwarded']);
  const bytes = [...pieces, ...late].reduce((sum, piece) => sum + piece.length, 0);
  t.same(counted(lab, 'in'), [6, bytes]);
  expectLedger(t, lab, { red: { forwarded: 10 } });
});

t.test('more rules than the fast path has room for, none of which is lost', async t => {
  for (const n of [8, 9, 40]) {
    const lab = withAcls(...Array.from({ length: n }, (_, i) => measure(`m${i}`, { weight: i })));
    for (let i = 0; i < 4; i++) t.equal(fromVm(lab, A, udp(A.ca, 1000, FAR, 80, 'abc')), 'forwarded');
    for (let i = 0; i < n; i++) t.same(counted(lab, `m${i}`), [4, 4 * 31]);
  }
});

t.test('after a reload flows are measured by the new rules', async t => {
  let acls = [measure('first')];
  const config = (): object => makeConfig((_config, red) => { red.acls = acls; });
  const lab = makeWorld((_config, red) => { red.acls = acls; });
  const send = (): string => fromVm(lab, A, udp(A.ca, 1000, FAR, 80, 'abc'));
  for (let i = 0; i < 3; i++) send();
  t.same(counted(lab, 'first'), [3, 93]);
  acls = [measure('second', { weight: 2 }), measure('third')];
  lab.reload(config());
  for (let i = 0; i < 3; i++) send();
  for (const name of ['second', 'third']) t.same(counted(lab, name), [3, 93]);
  acls = [];
  lab.reload(config());
  for (let i = 0; i < 3; i++) t.equal(send(), 'forwarded');
  expectLedger(t, lab, { red: { forwarded: 9 } });
});

t.test('entries that decide count what they were asked about', async t => {
  const lab = withAcls({ name: 'dns', action: 'allow', direction: 'outbound', protocol: 'udp', remotePort: 53 }, { name: 'rest', action: 'deny', direction: 'outbound', weight: -1 });
  fromVm(lab, A, udp(A.ca, 1000, FAR, 53, 'abc'));
  for (let i = 0; i < 3; i++) t.equal(fromVm(lab, A, udp(A.ca, 1000, FAR, 80, 'abc')), 'acl_denied');
  t.same(counted(lab, 'rest'), [3, 93]);
  t.same(counted(lab, 'dns'), [1, 31]);
});
