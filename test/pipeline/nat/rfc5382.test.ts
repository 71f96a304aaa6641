/** RFC 5382, NAT behaviour for TCP: what the scenarios do not show already. pipeline/NAT.md has all of it, requirement by requirement. */
import t from 'tap';
import { expectLedger, expectSent } from '../../support/expect.js';
import { icmp, tcp } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { FAR, HOST_NAMES, RED_POOL, atPeer, atVm, fromUplink, fromVm, makeWorld, vm } from '../../support/world.js';
import { outsideLeft, portLeft } from './nat-lab.js';

const A = vm('nv4');
const FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32;

/** A connects from port 5000 to port 443 of FAR; its outside port. */
function connect(lab: Lab): number {
  fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, SYN));
  const port = portLeft(lab);
  fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, port, SYN | ACK));
  lab.take();
  return port;
}

t.test('REQ-1: the outside port of a connection does not depend on where it goes', async t => {
  const lab = makeWorld();
  const ends = ['198.51.100.7', '198.51.100.8', '198.51.100.9'].map((far, i) => {
    t.equal(fromVm(lab, A, tcp(A.ca, 5000, far, 443 + i, SYN)), 'forwarded');
    const { address, port } = outsideLeft(lab);
    return `${address}:${port}`;
  });
  t.equal(new Set(ends).size, 1);
  t.same([lab.gateway.context.nat.bindingCount, lab.gateway.context.nat.sessionCount], [1, 3]);
  expectLedger(t, lab, { red: { forwarded: 3 } });
});

t.test('REQ-2: every valid sequence passes: SYN sent again, data with it, urgent data, a half-closed end that goes on sending, both closing at once', async t => {
  const lab = makeWorld();
  fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, SYN, 'data with the SYN'));
  const port = portLeft(lab);
  const out = (flags: number, data = ''): void => {
    t.equal(fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, flags, data)), 'forwarded');
    expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, port, FAR, 443, flags, data, { ttl: 63 }))]);
  };
  const back = (flags: number, data = ''): void => {
    t.equal(fromUplink(lab, 'inet', tcp(FAR, 443, RED_POOL, port, flags, data)), 'forwarded');
    expectSent(t, lab, [atVm(A, tcp(FAR, 443, A.ca, 5000, flags, data, { ttl: 63 }))]);
  };
  out(SYN, 'data with the SYN');
  back(SYN | ACK);
  back(SYN | ACK);
  out(ACK);
  out(ACK | PSH | URG, 'urgent');
  out(FIN | ACK, 'the last of mine');
  for (let i = 0; i < 5; i++) { back(ACK | PSH, `still sending ${i}`); out(ACK); }
  back(FIN | ACK);
  out(ACK);
  back(FIN | ACK);
  out(ACK);

  // Begun anew on the same ports, and closed by both at once.
  out(SYN);
  back(SYN | ACK);
  out(FIN | ACK);
  back(FIN | ACK);
  out(ACK);
  back(ACK);
  expectLedger(t, lab, { red: { forwarded: 27 } });
});

t.test('REQ-4: a SYN that nobody has asked for is never answered; a VM’s own SYN to the same end then opens, and theirs passes', async t => {
  const lab = makeWorld((_config, red) => { Object.assign(red.nat ?? {}, { filtering: 'address-and-port-dependent' }); });
  const port = connect(lab);
  t.equal(fromUplink(lab, 'inet', tcp('198.51.100.99', 9, RED_POOL, port, SYN)), 'nat_filtered');
  t.equal(fromUplink(lab, 'inet', tcp('198.51.100.99', 9, RED_POOL, port + 1, SYN)), 'nat_no_binding');
  for (let i = 0; i < 10; i++) {
    lab.wait(1);
    expectSent(t, lab, [], `after ${i + 1} s`);
  }
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, '198.51.100.99', 9, SYN)), 'forwarded');
  lab.take();
  t.equal(fromUplink(lab, 'inet', tcp('198.51.100.99', 9, RED_POOL, port, SYN)), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4, nat_filtered: 1, nat_no_binding: 1 } });
});

t.test('REQ-7: no outside port is two inside ends’, however many connect', async t => {
  const lab = makeWorld(config => { Object.assign(config.gateway.limits, { sessions: 2048, bindings: 2048 }); });
  const given = new Set<string>();
  for (let sport = 1; sport <= 100; sport++) {
    for (const host of HOST_NAMES) {
      const a = vm(host);
      t.equal(fromVm(lab, a, tcp(a.ca, sport, FAR, 443, SYN)), 'forwarded');
      const { address, port } = outsideLeft(lab);
      given.add(`${address}:${port}`);
    }
  }
  t.equal(given.size, 600);
  t.same(lab.imbalances(), []);
});

t.test('REQ-9, REQ-10: unreachables about a connection, of every code, reach the VM, and end nothing', async t => {
  const lab = makeWorld();
  const port = connect(lab);
  for (let code = 0; code <= 15; code++) {
    const sent = tcp(RED_POOL, port, FAR, 443, ACK, 'data', { ttl: 60 }), own = tcp(A.ca, 5000, FAR, 443, ACK, 'data', { ttl: 60 });
    t.equal(fromUplink(lab, 'inet', icmp('192.0.2.254', RED_POOL, 3, code, code === 4 ? 1400 : 0, sent)), 'forwarded');
    expectSent(t, lab, [atVm(A, icmp('192.0.2.254', A.ca, 3, code, code === 4 ? 1400 : 0, own, { ttl: 63 }))], `code ${code}`);
  }
  lab.wait(7400);
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, ACK, 'alive')), 'forwarded');
  expectSent(t, lab, [atPeer('inet', tcp(RED_POOL, port, FAR, 443, ACK, 'alive', { ttl: 63 }))]);
  t.equal(fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, RST)), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 20 } });
});
