/** RFC 4787, NAT behaviour for UDP: what the scenarios do not show already. pipeline/NAT.md has all of it, requirement by requirement. */
import t from 'tap';
import { readConfig } from '../../../config/index.js';
import { cut4, reassemble4, tcp, udp } from '../../support/frames.js';
import { expectLedger, expectSent } from '../../support/expect.js';
import { FAR, HOST_NAMES, RED_POOL, atPeer, atVm, fromUplink, fromVm, makeConfig, makeWorld, vm } from '../../support/world.js';
import { openUdp, outsideLeft, packetsLeft } from './nat-lab.js';

const A = vm('nv4'), B = vm('vx4');

t.test('REQ-3: no outside port is given to two, however many ask', async t => {
  const lab = makeWorld(config => { Object.assign(config.gateway.limits, { sessions: 8192, bindings: 8192 }); });
  const given = new Map<string, string>();
  for (let port = 1; port <= 250; port++) {
    for (const host of HOST_NAMES) {
      for (const a of [vm(host), vm(host, 'db')]) {
        t.equal(fromVm(lab, a, udp(a.ca, port, FAR, 53)), 'forwarded');
        const { address, port: outside } = outsideLeft(lab);
        const end = `${address}:${outside}`;
        if (given.has(end)) t.fail(`${end} is ${given.get(end)}’s and ${a.ca}:${port}’s`);
        given.set(end, `${a.ca}:${port}`);
      }
    }
  }
  t.equal(given.size, 3000);
  t.same(lab.imbalances(), []);
});

t.test('REQ-5b: the time of a binding is the config’s', async t => {
  const lab = makeWorld(config => { config.gateway.timers['udp'] = 120; });
  const port = openUdp(lab, A);
  lab.wait(119);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, port)), 'forwarded');
  lab.wait(120);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, port)), 'nat_no_binding');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 2, nat_no_binding: 1 } });
});

t.test('REQ-7: addresses outside are what the config says, and a config whose pool lies in a subnet is refused', async t => {
  const { problems } = readConfig(JSON.stringify(makeConfig((_config, red) => { red.nat?.pool.push('10.0.0.0/28'); })), 'conflict.jsonc');
  t.match(problems, [{ message: /overlaps subnet web/ }]);
  t.equal(problems.length, 1);
});

t.test('REQ-10: no payload is ever changed: addresses and ports that SIP or FTP name are the application’s', async t => {
  const lab = makeWorld();
  const sip = `INVITE sip:a@${FAR} SIP/2.0\r\nVia: SIP/2.0/UDP ${A.ca}:5060\r\nContact: <sip:a@${A.ca}:5060>\r\n\r\nc=IN IP4 ${A.ca}\r\nm=audio 49170 RTP/AVP 0`;
  t.equal(fromVm(lab, A, udp(A.ca, 5060, FAR, 5060, sip)), 'forwarded');
  t.equal(Buffer.from(packetsLeft(lab)[0]).subarray(28).toString('latin1'), sip);
  fromVm(lab, A, tcp(A.ca, 40000, FAR, 21, 2));
  fromUplink(lab, 'inet', tcp(FAR, 21, RED_POOL, outsideLeft(lab).port, 18));
  lab.take();
  t.equal(fromVm(lab, A, tcp(A.ca, 40000, FAR, 21, 24, 'PORT 10,0,0,11,7,138\r\n')), 'forwarded');
  t.equal(Buffer.from(packetsLeft(lab)[0]).subarray(40).toString('latin1'), 'PORT 10,0,0,11,7,138\r\n');
  t.same(lab.imbalances(), []);
});

t.test('REQ-11: full tables, time and other tenants change neither mapping nor filtering: what there is no room for is refused', async t => {
  const lab = makeWorld(config => { Object.assign(config.gateway.limits, { sessions: 12, bindings: 12 }); });
  const port = openUdp(lab, A);
  for (let i = 0; i < 30; i++) fromVm(lab, B, udp(B.ca, 1000 + i, FAR, 53));
  lab.take();
  t.equal(fromVm(lab, A, udp(A.ca, 5000, '198.51.100.8', 1)), 'nat_sessions_spent', 'no other port in its place');
  lab.take();
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', udp(RED_POOL, port, FAR, 53, '', { ttl: 63 }))], 'the old one, as it was');
  t.equal(fromUplink(lab, 'inet', udp('198.51.100.99', 9, RED_POOL, port)), 'nat_sessions_spent', 'a stranger would be let in, if there were room');
  lab.take();
  lab.wait(250);
  t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), 'forwarded');
  lab.wait(60);
  lab.take();
  t.equal(fromVm(lab, A, udp(A.ca, 5000, '198.51.100.8', 1)), 'forwarded', 'the others have gone');
  expectSent(t, lab, [atPeer('inet', udp(RED_POOL, port, '198.51.100.8', 1, '', { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', udp('198.51.100.99', 9, RED_POOL, port)), 'forwarded');
  expectSent(t, lab, [atVm(A, udp('198.51.100.99', 9, A.ca, 5000, '', { ttl: 63 }))]);
  t.same(lab.imbalances(), []);
});

t.test('REQ-14a: a flood of pieces whose first never comes harms neither whole packets nor another tenant’s pieces', async t => {
  const lab = makeWorld(config => { Object.assign(config.gateway.limits, { fragments: 64, heldFragments: 64, sessions: 512, bindings: 512 }); });
  const blue = vm('nv4', 'web', 'blue');
  const flood = (id: number): void => {
    fromVm(lab, A, cut4(udp(A.ca, 5000, FAR, 53, 'x'.repeat(64)), 32, id)[1]);
    fromUplink(lab, 'inet', cut4(udp(FAR, 53, RED_POOL, 5353, 'x'.repeat(64)), 32, id)[1]);
  };
  for (let id = 1; id <= 200; id++) flood(id);
  lab.take();
  for (let i = 0; i < 20; i++) {
    flood(1000 + i);
    t.equal(fromVm(lab, A, udp(A.ca, 5000 + i, FAR, 53, 'whole')), 'forwarded', 'the flooder’s own whole packets');
    t.equal(fromVm(lab, blue, udp(blue.ca, 5000 + i, FAR, 53, 'whole')), 'forwarded');
    lab.take();
    const pieces = cut4(udp(blue.ca, 7000, FAR, 53, `${i} `.repeat(40)), 32, 500 + i);
    for (const at of [2, 0, 1, ...pieces.keys()].filter((at, n, all) => all.indexOf(at) === n)) fromVm(lab, blue, pieces[at]);
    const whole = reassemble4(lab.take().map(({ bytes }) => bytes.slice(8)));
    t.equal(Buffer.from(whole?.subarray(28) ?? []).toString(), `${i} `.repeat(40), `datagram ${i} of blue’s, out of order`);
  }
  t.same(lab.totals('blue').drops, {});
  t.same(lab.imbalances(), []);
});

t.test('REQ-6: what a VM sends keeps its binding, first packet or hundredth, by the walks or the fast path', async t => {
  const lab = makeWorld();
  const port = openUdp(lab, A);
  for (let i = 0; i < 8; i++) {
    lab.wait(290);
    t.equal(fromVm(lab, A, udp(A.ca, 5000, FAR, 53)), 'forwarded');
    expectSent(t, lab, [atPeer('inet', udp(RED_POOL, port, FAR, 53, '', { ttl: 63 }))]);
  }
  expectLedger(t, lab, { red: { forwarded: 9 } });
});
