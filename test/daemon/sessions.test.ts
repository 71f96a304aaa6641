import t from 'tap';
import { listSessions } from '../../daemon/control/sessions.js';
import { TcpFlag } from '../../codecs/tcp.js';
import { Overseer } from '../../pipeline/gateway.js';
import { echo, ethernet, gre, ip4, nvgre, tcp, udp } from '../support/frames.js';
import { Lab } from '../support/lab.js';

const MAC = '00:15:5d:00:00:05', GATEWAY_MAC = '02:00:00:00:00:01';
const CONFIG = {
  gateway: { listen: '192.0.2.1', limits: { sessions: 64, bindings: 64 } },
  hosts: [{ name: 'host-a', pa: '192.0.2.11', encap: 'nvgre' }],
  uplinks: [{ name: 'inet', pa: '192.0.2.20' }],
  tenants: ['red', 'blue'].map((name, i) => ({
    name, rdid: `6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f0${i}`,
    subnets: [{ vsid: 5001 + i, prefix: '10.0.0.0/24' }],
    records: [{ ca: '10.0.0.5', mac: MAC, host: 'host-a' }],
    routes: [{ prefix: '0.0.0.0/0', via: 'nat' }],
    nat: { uplink: 'inet', pool: [`203.0.113.1${i}`], mappings: i === 0 ? [{ proto: 'udp', external: '203.0.113.10:53', internal: '10.0.0.5:5353' }] : [] },
  })),
};
const RED = 1, BLUE = 2;
const NAMES = ['-', 'red', 'blue'];

t.test('sessions are listed with names, ends, TCP state, age and what is left, whoever writes the table', async t => {
  const lab = new Lab(CONFIG);
  const from = (vsid: number, packet: Uint8Array): string => lab.receive('192.0.2.11', nvgre(vsid, ethernet(GATEWAY_MAC, MAC, packet)));
  from(5001, tcp('10.0.0.5', 40000, '198.51.100.7', 443, TcpFlag.syn));
  lab.wait(10);
  from(5002, echo('10.0.0.5', '198.51.100.7', 77));
  t.equal(lab.receive('192.0.2.20', gre(udp('198.51.100.9', 6000, '203.0.113.10', 53, 'question'))), 'forwarded');
  lab.wait(5);

  const { nat } = new Overseer(lab.state); // as control sees it: another view of the same memory
  const list = (filter: { tenant?: number; ca?: number; port?: number; limit?: number }) => listSessions(nat, lab.gateway.context.policy.timers, id => NAMES[id], { limit: 100, ...filter }, lab.now);
  const all = list({});
  t.equal(all.matching, 3);
  const of = (proto: string) => all.sessions.find(session => session.proto === proto);
  t.match(of('tcp'), {
    tenant: 'red', inside: { address: '10.0.0.5', port: 40000 }, outside: { address: '203.0.113.10' }, remote: { address: '198.51.100.7', port: 443 },
    state: 'in-init', mapped: false, ageSeconds: 15, expiresInSeconds: 225,
  });
  t.match(of('icmp'), { tenant: 'blue', inside: { port: 77 }, outside: { address: '203.0.113.11' }, state: '-', ageSeconds: 5, expiresInSeconds: 55 });
  t.match(of('udp'), { tenant: 'red', inside: { address: '10.0.0.5', port: 5353 }, outside: { address: '203.0.113.10', port: 53 }, remote: { address: '198.51.100.9', port: 6000 }, mapped: true });

  t.equal(list({ tenant: RED }).matching, 2);
  t.equal(list({ tenant: BLUE }).matching, 1);
  t.equal(list({ ca: ip4('10.0.0.5') }).matching, 3);
  t.equal(list({ ca: ip4('10.0.0.6') }).matching, 0);
  t.equal(list({ port: 443 }).matching, 1, 'a remote port');
  t.equal(list({ port: 53 }).matching, 1, 'an outside port');
  t.equal(list({ port: 40000 }).matching, 1, 'an inside port');
  const one = list({ limit: 1 });
  t.match([one.sessions.length, one.matching], [1, 3]);
  t.same(listSessions(nat, lab.gateway.context.policy.timers, id => NAMES[id], { limit: 100 }, lab.now + 3_600_000), { sessions: [], matching: 0 }, 'what has run out is not listed, reaped or not');
});
