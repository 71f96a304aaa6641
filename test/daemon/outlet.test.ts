import t, { type Test } from 'tap';
import type { Socket } from 'node:dgram';
import { readConfig } from '../../config/index.js';
import { Count, COUNTERS } from '../../daemon/worker/counters.js';
import { SocketOutlet } from '../../daemon/worker/outlet.js';
import { makeSocket } from '../../daemon/worker/sockets.js';
import { compileConfig, TenantIds } from '../../daemon/tables.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { seededRandom } from '../../pipeline/random.js';
import { labConfig, openPeers, until, type LabConfig, type Peer } from './daemon.js';

async function outlet(t: Test, options: { make?: typeof makeSocket; mostOwn?: number; split?: boolean; change?: (config: LabConfig) => void } = {}) {
  const peers = await openPeers();
  const given = labConfig(peers);
  options.change?.(given);
  const { config, problems } = readConfig(JSON.stringify(given), 'test.jsonc');
  if (config === undefined) throw new Error(JSON.stringify(problems));
  const counters = new Float64Array(COUNTERS.length);
  const failures: string[] = [];
  const listen = (side: number, address: string) => ({ side, carrier: Carrier.gre, family: 4 as const, address, port: 0 });
  const it = new SocketOutlet({
    listen: options.split ? [listen(Side.hosts, '127.0.0.1'), listen(Side.uplinks, '127.0.0.1')] : [listen(Side.both, '127.0.0.1')],
    bufferBytes: 262144, counters, mostOwn: options.mostOwn, random: seededRandom(process.pid), makeSocket: options.make ?? makeSocket, failed: (what, code) => failures.push(`${what} ${code}`),
  });
  await it.open();
  const policy = compileConfig(config, new TenantIds(8), 1, 1);
  it.adopt(policy);
  let open = true;
  const close = (): void => { if (open) it.close(); open = false; };
  t.teardown(() => {
    close();
    for (const peer of Object.values(peers) as Peer[]) peer.close();
  });
  return { it, peers, counters, failures, close, peerOf: (name: string) => policy.peers.names.indexOf(name) };
}

/** Ports of those that are bound: a port that another program had costs a socket. */
function portsOf(sockets: readonly Socket[]): number[] {
  return sockets.flatMap(socket => {
    try {
      return socket.address().port;
    } catch {
      return [];
    }
  });
}

t.test('RFC 8086 §3.2.1: the flow picks one of eight source ports within 49152–65535, always the same', async t => {
  const made: Socket[] = [];
  const { it, peers, peerOf, failures } = await outlet(t, { make: family => { const socket = makeSocket(family); made.push(socket); return socket; } });
  const ports = portsOf(made);
  t.equal(new Set(ports).size, 8);
  t.ok(ports.every(port => port >= 49152), ports.join());
  t.same(failures, []);
  for (const hash of [0, 1, 7, 8, 0xffffffff]) {
    it.send(Uint8Array.of(0, 0, hash & 0xff, 0), 2, 3, peerOf('inet'), hash);
    t.equal((await peers.inet.take())[0], hash & 0xff, 'exactly the bytes from at to end');
  }
});

t.test('what the kernel refuses is counted under its code and told, and sending goes on', async t => {
  const { it, peers, counters, failures, peerOf } = await outlet(t);
  t.equal(it.send(new Uint8Array(65600), 0, 65600, peerOf('inet'), 0), false, 'nothing is kept');
  await until('the error', () => counters[Count.EMSGSIZE] === 1 || undefined);
  t.same(failures, ['send EMSGSIZE']);
  it.send(Uint8Array.of(1), 0, 1, peerOf('inet'), 0);
  t.equal((await peers.inet.take()).length, 1);
});

/** Sockets whose kernel takes nothing: every send stays in the queue. */
function stuck(family: 4 | 6): Socket {
  const socket = makeSocket(family);
  let waiting = 0;
  socket.send = () => { waiting++; };
  socket.getSendQueueCount = () => waiting;
  return socket;
}

t.test('the first datagram that the kernel has no room for keeps its memory, those behind it get their own', async t => {
  const { it, counters, peerOf } = await outlet(t, { make: stuck });
  const inet = peerOf('inet');
  const mem = new Uint8Array(100);
  t.equal(it.send(mem, 0, 100, inet, 0), true);
  for (let i = 1; i < 20; i++) if (it.send(mem, 0, 100, inet, 0)) t.fail(`datagram ${i} keeps the caller's memory`);
  t.equal(counters[Count.queued], 20);
  t.equal(it.send(mem, 0, 100, inet, 1), true, 'another flow has another socket');
  t.equal(it.pending(), 21);
});

t.test('of one destination no more than 64 datagrams wait in the shared sockets, so that there is room for others, of all together 1024 in each', async t => {
  const { it, counters, peerOf } = await outlet(t, { make: stuck, mostOwn: 0, change: config => {
    for (let i = 0; i < 20; i++) config.hosts.push({ name: `host-${i}`, pa: `127.0.1.${i + 1}:9`, encap: 'nvgre' });
  } });
  const send = (name: string, hash: number): boolean => {
    const before = counters[Count.queueFull];
    it.send(new Uint8Array(100), 0, 100, peerOf(name), hash);
    return counters[Count.queueFull] === before;
  };
  t.equal(Array.from({ length: 100 }, () => send('inet', 0)).filter(Boolean).length, 65, 'and the one that found nobody waiting');
  t.ok(send('host-a', 0), 'another destination by the same socket');
  t.ok(send('inet', 1), 'the same by a socket in which nobody waits');
  t.notOk(send('inet', 1));
  for (let i = 0; i < 20; i++) for (let n = 0; n < 64; n++) send(`host-${i}`, 0);
  t.equal(it.pending(), 1024 + 1);
});

t.test('what waits in a queue holds as many bytes as it is long, and the bytes it had when it was sent', async t => {
  const waiting: Uint8Array[] = [];
  let gone = 0;
  const { it, peerOf } = await outlet(t, { make: family => {
    const socket = makeSocket(family);
    socket.send = ((datagram: Uint8Array) => { waiting.push(datagram); }) as Socket['send'];
    socket.getSendQueueCount = () => waiting.length - gone;
    return socket;
  } });
  const slot = new Uint8Array(65536);
  const kept = [1, 2, 3].map(value => {
    slot[10] = value;
    return it.send(slot, 10, 40, peerOf('inet'), 0);
  });
  t.same(kept, [true, false, false]);
  t.same(waiting.map(({ length, buffer }) => [length, buffer.byteLength]), [[30, 65536], [30, 30], [30, 30]]);
  t.same(waiting.slice(1).map(datagram => datagram[0]), [2, 3]);

  gone = 3;
  t.equal(it.send(slot, 10, 40, peerOf('inet'), 0), true, 'with the queue empty again, the next one goes from where it lies');
  t.equal(waiting[3].buffer, slot.buffer);
});

t.test('a datagram that fills its buffer is copied no less when others wait before it', async t => {
  const waiting: Uint8Array[] = [];
  const { it, peerOf } = await outlet(t, { make: family => {
    const socket = makeSocket(family);
    socket.send = ((datagram: Uint8Array) => { waiting.push(datagram); }) as Socket['send'];
    socket.getSendQueueCount = () => waiting.length;
    return socket;
  } });
  const datagram = Buffer.from([1, 2, 3]);
  t.equal(it.send(datagram, 0, 3, peerOf('inet'), 0), true);
  t.equal(it.send(datagram, 0, 3, peerOf('inet'), 0), false);
  datagram[0] = 9;
  t.same(waiting.map(([first]) => first), [9, 1]);
});

t.test('a slot in memory that threads share is sent as any other', async t => {
  const { it, peers, peerOf } = await outlet(t);
  const ring = new Uint8Array(new SharedArrayBuffer(4096), 2048);
  ring.set([7, 8, 9], 64);
  it.send(ring, 64, 67, peerOf('inet'), 0);
  t.same([...await peers.inet.take()], [7, 8, 9]);
});

t.test('hosts and uplinks with listen addresses of their own are sent to from sockets of their own', async t => {
  const made: { family: number; socket: Socket; sent: number }[] = [];
  const { it, peerOf } = await outlet(t, {
    split: true,
    make: family => {
      const entry = { family, socket: makeSocket(family), sent: 0 };
      entry.socket.send = () => { entry.sent++; };
      made.push(entry);
      return entry.socket;
    },
  });
  const ports = portsOf(made.map(({ socket }) => socket));
  t.equal(ports.length, 16);
  it.send(new Uint8Array(4), 0, 4, peerOf('host-a'), 3);
  it.send(new Uint8Array(4), 0, 4, peerOf('inet'), 3);
  t.same(made.filter(({ sent }) => sent > 0).map(({ socket }) => ports.indexOf(socket.address().port)), [3, 11]);
});

t.test('no free port for flow entropy: any other is taken, and told', async t => {
  let tries = 0;
  const { failures } = await outlet(t, {
    make: family => {
      const socket = makeSocket(family);
      const bind = socket.bind.bind(socket) as (options: { port: number }, done: () => void) => Socket;
      socket.bind = ((options: { port: number }, done: () => void) => {
        tries++;
        if (options.port === 0) return bind(options, done);
        process.nextTick(() => socket.emit('error', Object.assign(new Error('bind EADDRINUSE'), { code: 'EADDRINUSE' })));
        return socket;
      }) as Socket['bind'];
      return socket;
    },
  });
  t.equal(tries, 8 * 65);
  t.same(failures, Array.from({ length: 8 }, () => 'port EADDRINUSE'));
});

t.test('a peer of a family without a socket is counted, not sent to', async t => {
  const { it, counters, peerOf } = await outlet(t, { change: config => {
    config.gateway.listen.push('::1');
    config.uplinks[0].pa = '[::1]:9';
  } });
  t.equal(it.send(new Uint8Array(4), 0, 4, peerOf('inet'), 0), false);
  t.equal(counters[Count.noSocket], 1);
});

t.test('closed, it takes what it is given and sends nothing', async t => {
  const { it, counters, peerOf, close } = await outlet(t);
  close();
  t.equal(it.send(new Uint8Array(4), 0, 4, peerOf('inet'), 0), false);
  t.equal(counters[Count.noSocket], 1);
  t.equal(it.pending(), 0);
  t.doesNotThrow(() => it.tick(5000));
});

t.test('an address that this machine has not is refused without naming a port that nobody chose', async t => {
  const it = new SocketOutlet({
    listen: [{ side: Side.both, carrier: Carrier.gre, family: 4, address: '192.0.2.77', port: 4754 }],
    bufferBytes: 262144, counters: new Float64Array(COUNTERS.length), random: seededRandom(1), makeSocket, failed() {},
  });
  await t.rejects(it.open(), /^cannot bind 192\.0\.2\.77: this machine has no such address \(EADDRNOTAVAIL\)$/);
  it.close();
});
