/**
 * Two tenants flood the running daemon over real sockets; a third does not lose one packet while the receive loop keeps up,
 * and when it cannot, what the kernel dropped is told. The senders hold themselves back: never more is under way than a
 * socket's buffer holds, so what is lost is the gateway's doing.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import type { StatusAnswer, TenantsAnswer, DropsAnswer } from '../../daemon/control/admin.js';
import { gre, udp } from '../support/frames.js';
import { FLOODERS, FLOODS, FLOOD_LOSSES, POOLS, SERVER, SERVER_PORT, floodConfig, floodDatagram, floodFromOutside, numberOf, numbered } from '../support/flood.js';
import { seeded } from '../support/seeded.js';
import { ConfigFolder, Daemon, until, type LabConfig } from './daemon.js';

const ADDRESS = '127.0.0.1';
const ROUNDS = 120;
/** Datagrams of a round: an eighth of what the smallest receive buffer that Linux grants by default would hold. */
const FLOOD_PER_ROUND = 40, GREEN_PER_ROUND = 8;
const FLOWS = 8, FRESH_EVERY = 10;
const QUOTA = { sessions: 200, bindings: 200, newFlowsPerSecond: 100, perAddress: { sessions: 150, bindings: 150, newFlowsPerSecond: 80 } };
/** Room for the flooders' quotas and for Green, and for nothing more. */
const SESSIONS = 2 * QUOTA.sessions + 8 + ROUNDS;
/** More than a receive buffer of so many bytes holds. */
const BUFFER_BYTES = 65536, OVERFLOW = 3000;

async function open(t: Test): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, ADDRESS);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return socket;
}

async function stage(t: Test) {
  const host = await open(t), inet = await open(t);
  const heard: Record<'host' | 'inet', string[]> = { host: [], inet: [] };
  let sent = 0, received = 0;
  const folder = new ConfigFolder(floodConfig({
    host: `${ADDRESS}:${host.address().port}`, inet: `${ADDRESS}:${inet.address().port}`, quotas: QUOTA,
    gateway: {
      listen: ADDRESS, grePort: 0, vxlanPort: 0, metrics: '127.0.0.1:0', admin: {}, receiveBuffer: BUFFER_BYTES,
      limits: { tenants: 4, sessions: SESSIONS, bindings: SESSIONS, flows: 1024, fragments: 256, heldFragments: 128 },
    },
  }) as unknown as LabConfig);
  t.teardown(() => folder.remove());
  const daemon = await Daemon.start(folder);
  t.teardown(() => daemon.end('SIGKILL'));
  const port = daemon.port('gre');
  const put = (socket: Socket, datagram: Uint8Array, done?: () => void): void => {
    sent++;
    socket.send(datagram, port, ADDRESS, done);
  };
  host.on('message', datagram => {
    received++;
    const number = numberOf(datagram);
    if (number !== undefined) heard.host.push(number);
  });
  inet.on('message', datagram => {
    received++;
    const number = numberOf(datagram);
    if (number === undefined) return;
    heard.inet.push(number);
    put(inet, gre(udp(SERVER, SERVER_PORT, POOLS.green, datagram.readUInt16BE(4 + 20), number))); // and back
  });
  /** When all that was sent has met its fate, and all that the gateway sent has come. */
  const settle = (): Promise<StatusAnswer> => until('all datagrams counted', async () => {
    const status = await daemon.ask<StatusAnswer>('/v1/status');
    return status.packets.in - status.receive.waiting === sent && status.packets.out === received ? status : undefined;
  });
  return { daemon, host, inet, heard, put, settle, sent: () => sent };
}

t.test('issue 4: two tenants flood new flows at the running daemon: the third loses no packet, out or back, and what the flooders lose bears their names', async t => {
  const { daemon, host, inet, heard, put, settle, sent } = await stage(t);
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const wanted: string[] = [], given = { red: 0, blue: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < FLOOD_PER_ROUND; i++) {
      const tenant = FLOODERS[i % FLOODERS.length];
      given[tenant]++;
      if (i % 10 < 8) put(host, floodDatagram(tenant, FLOODS[random.below(FLOODS.length)], random));
      else put(inet, floodFromOutside(tenant, random));
      if (i % (FLOOD_PER_ROUND / GREEN_PER_ROUND) > 0) continue;
      const n = wanted.length;
      wanted.push(`green ${n}`);
      put(host, numbered('green', round % FRESH_EVERY === 0 && i === 0 ? 10_000 + round : 2000 + n % FLOWS, n));
    }
    await settle();
  }
  await until('Green’s answers', () => heard.inet.length === wanted.length && heard.host.length === wanted.length ? true : undefined).catch(() => {}); // or the next lines tell
  const status = await settle();
  t.same([heard.inet.length, heard.host.length], [wanted.length, wanted.length], 'every packet of Green’s went out, and every answer came back');
  t.same([[...heard.inet].sort(), [...heard.host].sort()], [[...wanted].sort(), [...wanted].sort()], 'each once');

  const { tenants } = await daemon.ask<TenantsAnswer>('/v1/tenants');
  const { drops } = await daemon.ask<DropsAnswer>('/v1/drops');
  const of = (name: string) => tenants.find(tenant => tenant.name === name)!.packets;
  t.match(of('green'), { in: 2 * wanted.length, forwarded: 2 * wanted.length, dropped: 0 });
  for (const tenant of FLOODERS) {
    const lost = drops.filter(drop => drop.tenant === tenant);
    t.comment(`${tenant}: ${given[tenant]} sent, ${of(tenant).forwarded} forwarded, lost ${lost.map(({ reason, count }) => `${reason} ${count}`).join(', ')}`);
    t.equal(of(tenant).in, given[tenant]);
    t.equal(lost.reduce((sum, { count }) => sum + count, 0), of(tenant).dropped, `${tenant}’s losses are ${tenant}’s, each with its reason`);
    t.same(lost.map(({ reason }) => reason).filter(reason => !FLOOD_LOSSES.has(reason)), [], 'and of its own making');
    t.ok(of(tenant).dropped > given[tenant] / 4);
  }
  t.equal(status.packets.in, sent());
  t.same(status.ailments, []);
  if (process.platform === 'linux') t.equal(await kernelDrops(daemon), 0, 'the receive loop kept up: the kernel dropped nothing');
});

t.test('beyond what the receive loop can take the kernel drops, whose it is nobody can tell, and the metric says how many', async t => {
  if (process.platform !== 'linux') {
    t.pass('this system does not count what its sockets lose');
    return;
  }
  const { daemon, host, put, settle, sent } = await stage(t);
  put(host, numbered('green', 2000, 0));
  await settle();
  // Stopped, it takes nothing: then so much is too much, on any machine.
  daemon.child.kill('SIGSTOP');
  await Promise.all(Array.from({ length: OVERFLOW }, (_, n) => new Promise<void>(done => { put(host, numbered('green', 2000, n + 1), done); })));
  daemon.child.kill('SIGCONT');
  const { packets, lost } = await until('all datagrams counted, by the gateway or by the kernel', async () => {
    const lost = await kernelDrops(daemon);
    const { packets, receive } = await daemon.ask<StatusAnswer>('/v1/status');
    return packets.in - receive.waiting + lost === sent() ? { packets, lost } : undefined;
  });
  t.comment(`${sent()} sent, ${packets.in} received, ${lost} dropped by the kernel`);
  t.ok(lost > 0);
  t.equal(packets.in, packets.forwarded + packets.dropped + packets.consumed + packets.held);
});

async function kernelDrops(daemon: Daemon): Promise<number> {
  return [...await daemon.metrics()].filter(([name]) => name.startsWith('causeway_socket_receive_drops_total')).reduce((sum, [, n]) => sum + n, 0);
}
