/** RFC 5508, NAT behaviour for ICMP: what the scenarios do not show already. pipeline/NAT.md has all of it, requirement by requirement. */
import t from 'tap';
import { expectLedger, expectSent } from '../../support/expect.js';
import { echo, echoReply, icmp, udp } from '../../support/frames.js';
import { FAR, RED_POOL, atVm, fromUplink, fromVm, makeWorld, vm } from '../../support/world.js';
import { openUdp, outsideLeft } from './nat-lab.js';

const A = vm('nv4'), B = vm('vx4');

t.test('REQ-1, REQ-1a: a query goes out and its answer comes in; its id outside is the same whomever is asked', async t => {
  const lab = makeWorld();
  const ids = ['198.51.100.7', '198.51.100.8', '198.51.100.9'].map(far => {
    t.equal(fromVm(lab, A, echo(A.ca, far, 7)), 'forwarded');
    return outsideLeft(lab).port;
  });
  t.equal(new Set(ids).size, 1);
  t.equal(fromUplink(lab, 'inet', echoReply('198.51.100.8', RED_POOL, ids[0])), 'forwarded');
  expectSent(t, lab, [atVm(A, echoReply('198.51.100.8', A.ca, 7, 'abcdefgh', { ttl: 63 }))]);
  t.equal(fromVm(lab, B, echo(B.ca, FAR, 7)), 'forwarded');
  t.not(outsideLeft(lab).port, ids[0], 'another VM with the same id');
  expectLedger(t, lab, { red: { forwarded: 5 } });
});

t.test('REQ-2a: the time of a query is the config’s', async t => {
  const lab = makeWorld(config => { config.gateway.timers['icmp'] = 90; });
  fromVm(lab, A, echo(A.ca, FAR, 7));
  const id = outsideLeft(lab).port;
  lab.wait(89);
  t.equal(fromUplink(lab, 'inet', echoReply(FAR, RED_POOL, id)), 'forwarded');
  lab.wait(90);
  t.equal(fromUplink(lab, 'inet', echoReply(FAR, RED_POOL, id)), 'nat_no_binding');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 2, nat_no_binding: 1 } });
});

t.test('REQ-6: an error about a query neither keeps it nor ends it', async t => {
  const lab = makeWorld();
  fromVm(lab, A, echo(A.ca, FAR, 7));
  const id = outsideLeft(lab).port;
  for (let i = 0; i < 3; i++) {
    lab.wait(15);
    t.equal(fromUplink(lab, 'inet', icmp('192.0.2.254', RED_POOL, 11, 0, 0, echo(RED_POOL, FAR, id))), 'forwarded');
  }
  t.equal(fromUplink(lab, 'inet', echoReply(FAR, RED_POOL, id)), 'forwarded', 'it is still there');
  lab.wait(45);
  t.equal(fromUplink(lab, 'inet', icmp('192.0.2.254', RED_POOL, 3, 1, 0, echo(RED_POOL, FAR, id))), 'forwarded');
  lab.wait(15);
  t.equal(fromUplink(lab, 'inet', echoReply(FAR, RED_POOL, id)), 'nat_no_binding', 'and over when its own time is up');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 6, nat_no_binding: 1 } });
});

t.test('REQ-10a, REQ-10b: unreachable, time exceeded and parameter problem are carried, echo and timestamp too', async t => {
  const lab = makeWorld();
  const port = openUdp(lab, A);
  for (const [type, code] of [[3, 0], [3, 13], [11, 0], [11, 1], [12, 0]]) {
    t.equal(fromUplink(lab, 'inet', icmp('192.0.2.254', RED_POOL, type, code, 0, udp(RED_POOL, port, FAR, 53))), 'forwarded');
    expectSent(t, lab, [atVm(A, icmp('192.0.2.254', A.ca, type, code, 0, udp(A.ca, 5000, FAR, 53), { ttl: 63 }))], `type ${type}, code ${code}`);
  }
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 13, 0, 7 << 16, new Uint8Array(12))), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 7 } });
});

t.test('REQ-10b, REQ-10c, REQ-11: redirects, source quench, router discovery, address masks and what nobody knows stay on their side', async t => {
  const lab = makeWorld();
  const port = openUdp(lab, A);
  const types = [4, 5, 9, 10, 15, 17, 18, 30, 40, 255];
  for (const type of types) {
    t.equal(fromUplink(lab, 'inet', icmp('192.0.2.254', RED_POOL, type, 0, 0, udp(RED_POOL, port, FAR, 53))), 'nat_icmp', `type ${type}, in`);
    t.equal(fromVm(lab, A, icmp(A.ca, FAR, type, 0, 0, udp(FAR, 53, A.ca, 5000))), 'nat_icmp', `type ${type}, out`);
  }
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { forwarded: 1, nat_icmp: 2 * types.length } });
});
