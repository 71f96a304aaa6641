import t, { type Test } from 'tap';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readConfig } from '../../config/index.js';
import { compileConfig, TenantIds } from '../../daemon/tables.js';
import { Count, COUNTERS } from '../../daemon/worker/counters.js';
import { SocketOutlet } from '../../daemon/worker/outlet.js';
import { makeSocket } from '../../daemon/worker/sockets.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { seededRandom } from '../../pipeline/random.js';
import { labConfig, openPeers, until, type LabConfig, type Peer } from './daemon.js';

/** A far end that keeps what comes, and from which port. */
async function farEnd(t: Test, port = 0) {
  const got: { value: number; from: RemoteInfo }[] = [];
  const socket = createSocket('udp4');
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  socket.on('message', (datagram, from) => got.push({ value: datagram[0], from }));
  let open = true;
  const close = (): void => { if (open) socket.close(); open = false; };
  t.teardown(close);
  /** As many datagrams as that, a few at a time, so that none is lost. */
  const take = async (count: number, send: (count: number) => void): Promise<void> => {
    for (let i = 0; i < count; i += 50) {
      const before = got.length;
      send(50);
      await until('fifty more', () => got.length === before + 50 || undefined);
    }
  };
  return { got, take, close, port: socket.address().port };
}

interface Made { readonly socket: Socket; closed: boolean }

async function outlet(t: Test, options: { mostOwn?: number; patienceMs?: number; change?: (config: LabConfig) => void; tamper?: (socket: Socket, nth: number) => void } = {}) {
  const peers = await openPeers();
  const made: Made[] = [];
  const failures: string[] = [];
  const counters = new Float64Array(COUNTERS.length);
  const it = new SocketOutlet({
    listen: [{ side: Side.both, carrier: Carrier.gre, family: 4, address: '127.0.0.1', port: 0 }],
    bufferBytes: 262144, counters, random: seededRandom(process.pid), mostOwn: options.mostOwn, patienceMs: options.patienceMs ?? Infinity,
    makeSocket: family => {
      const socket = makeSocket(family);
      const entry: Made = { socket, closed: false };
      socket.on('close', () => { entry.closed = true; });
      options.tamper?.(socket, made.length);
      made.push(entry);
      return socket;
    },
    failed: (what, code) => failures.push(`${what} ${code}`),
  });
  let names: readonly string[] = [];
  let generation = 0;
  const adopt = (change: (config: LabConfig) => void): void => {
    const given = labConfig(peers);
    change(given);
    const { config, problems } = readConfig(JSON.stringify(given), 'test.jsonc');
    if (config === undefined) throw new Error(JSON.stringify(problems));
    const policy = compileConfig(config, new TenantIds(8), ++generation, 1);
    names = policy.peers.names;
    it.adopt(policy);
  };
  await it.open();
  adopt(options.change ?? (() => {}));
  let open = true;
  const close = (): void => { if (open) it.close(); open = false; };
  t.teardown(() => {
    close();
    for (const peer of Object.values(peers) as Peer[]) peer.close();
  });
  const send = (name: string, count = 1, value = 0, hash = 0): void => {
    for (let i = 0; i < count; i++) it.send(Uint8Array.of(value), 0, 1, names.indexOf(name), hash);
  };
  /** `count` datagrams within the second that ends at `now`. */
  const second = (now: number, traffic: Record<string, number>): void => {
    for (const [name, count] of Object.entries(traffic)) send(name, count);
    it.tick(now);
  };
  const connected = (count: number): Promise<true> => until(`${count} connected`, () => it.connected() === count || undefined);
  return { it, made, failures, counters, adopt, close, send, second, connected, firstRun: () => it.tick(1000) };
}

const inetAt = (port: number) => (config: LabConfig): void => { config.uplinks[0].pa = `127.0.0.1:${port}`; };

t.test('RFC 8086 §3.2.1: a busy destination gets eight connected sockets, also within 49152–65535 and on the listen address, and keeps them until it was idle for 30 s', async t => {
  const far = await farEnd(t);
  const { it, made, failures, second, connected, send, firstRun } = await outlet(t, { change: inetAt(far.port) });
  firstRun();
  await far.take(950, count => send('inet', count));
  second(2000, {});
  t.equal(made.length, 8, '950 a second are not worth it');
  await far.take(1000, count => send('inet', count));
  second(3000, {});
  await connected(1);
  t.equal(made.length, 16);
  const ports = made.slice(8).map(({ socket }) => socket.address().port);
  t.equal(new Set([...ports, ...made.slice(0, 8).map(({ socket }) => socket.address().port)]).size, 16);
  t.ok(ports.every(port => port >= 49152), ports.join());
  t.ok(made.slice(8).every(({ socket }) => socket.address().address === '127.0.0.1' && socket.remoteAddress().port === far.port));
  send('inet', 1, 77, 5);
  const { from } = await until('one through them', () => far.got.find(({ value }) => value === 77));
  t.equal(from.port, ports[5], 'and the flow picks among them');

  for (let now = 4000; now < 20_000; now += 1000) second(now, { inet: 100 });
  second(48_000, {});
  t.equal(it.connected(), 1);
  second(49_000, {});
  t.equal(it.connected(), 0);
  await until('their end', () => made.slice(8).every(({ closed }) => closed) || undefined);
  second(50_000, { inet: 5000 });
  second(78_000, { inet: 100_000 });
  t.equal(made.length, 16, 'not again within 30 s');
  second(79_000, { inet: 1000 });
  await connected(1);
  t.same(failures, []);
});

t.test('nothing is lost or overtaken when a flow moves to connected sockets and back', async t => {
  const far = await farEnd(t);
  const { send, second, connected, firstRun } = await outlet(t, { change: inetAt(far.port) });
  const arrived = (value: number): Promise<unknown> => until(`datagram ${value}`, () => far.got.some(entry => entry.value === value) || undefined);
  firstRun();
  await far.take(1000, count => send('inet', count));
  second(2000, {});
  send('inet', 1, 1);
  await connected(1);
  send('inet', 1, 2);
  second(40_000, {});
  await connected(0);
  send('inet', 1, 3);
  await arrived(3);
  const marked = far.got.filter(({ value }) => value > 0);
  t.same(marked.map(({ value }) => value), [1, 2, 3]);
  t.equal(marked[0].from.port, marked[2].from.port);
  t.not(marked[0].from.port, marked[1].from.port);
});

/** A kernel that takes what it is allowed to take, from shared sockets. */
class Kernel {
  readonly #queues: { value: number; done: ((error: Error | null) => void) | undefined }[][] = [];
  /** What left by shared sockets, by its first byte. */
  readonly left: number[] = [];
  isFull = false;

  readonly tamper = (socket: Socket, nth: number): void => {
    if (nth >= 8) return; // those of one destination take what comes
    const queue = this.#queues[nth] = [] as { value: number; done: ((error: Error | null) => void) | undefined }[];
    socket.send = ((mem: Uint8Array, ...args: unknown[]) => {
      const done = args.at(-1);
      if (!this.isFull && queue.length === 0) this.left.push(mem[0]);
      else queue.push({ value: mem[0], done: typeof done === 'function' ? done as (error: Error | null) => void : undefined });
    }) as Socket['send'];
    socket.getSendQueueCount = () => queue.length;
    socket.on('close', () => { for (const { done } of queue.splice(0)) done?.(Object.assign(new Error('send ECANCELED'), { code: 'ECANCELED' })); });
  };

  /** Take so many from socket `nth`. */
  take(nth: number, count: number): void {
    for (const { value, done } of this.#queues[nth].splice(0, count)) {
      this.left.push(value);
      done?.(null);
    }
  }
}

t.test('as long as datagrams of its own wait in the sockets that it leaves, a destination stays where it is; those of others do not matter', async t => {
  const kernel = new Kernel();
  const { it, made, send, second, connected, firstRun } = await outlet(t, { tamper: kernel.tamper });
  firstRun();
  second(1500, { inet: 2000 });
  kernel.isFull = true;
  send('host-a', 1, 1, 3);
  send('inet', 2, 2, 3);
  send('host-a', 5, 3, 3);
  second(2500, { });
  await until('its sockets', () => made.length === 16 && made.every(({ socket }) => socket.listenerCount('error') > 0) || undefined);
  second(3500, {});
  t.equal(it.connected(), 0);
  kernel.take(3, 2);
  second(4500, {});
  t.equal(it.connected(), 0);
  kernel.take(3, 1);
  second(5500, {});
  await connected(1);
  t.equal(it.pending(), 5);
});

t.test('a destination that is slower than what comes for it gets sockets of its own at once, whatever its rate; nothing is overtaken, and others have the shared ones to themselves', async t => {
  const far = await farEnd(t);
  const kernel = new Kernel();
  const { it, made, counters, send, connected, firstRun } = await outlet(t, { change: inetAt(far.port), tamper: kernel.tamper });
  firstRun();
  kernel.isFull = true;
  send('inet', 1, 1, 2);
  send('inet', 15, 2, 2);
  t.equal(made.length, 8);
  send('inet', 1, 3, 2);
  await until('its sockets', () => made.length === 16 && made.every(({ socket }) => socket.listenerCount('error') > 0) || undefined);
  await new Promise(resolve => setImmediate(resolve));
  t.equal(it.connected(), 0);
  send('inet', 1, 9, 5);
  t.equal(counters[Count.queueFull], 1, 'by no shared socket any more');
  kernel.take(2, 16);
  send('inet', 1, 9, 2);
  t.equal(counters[Count.queueFull], 2);
  kernel.take(2, 1);
  send('inet', 1, 4, 2);
  await connected(1);
  t.match(await until('the next', () => far.got[0]), { value: 4 });
  t.same(kernel.left, [1, ...Array.from({ length: 15 }, () => 2), 3]);
  kernel.isFull = false;
  send('host-a', 1, 5, 2);
  t.equal(kernel.left.at(-1), 5);
  t.equal(counters[Count.queueFull], 2);
});

t.test('slow, and with errors on its path: its own sockets are not connected, so that errors do not send it back', async t => {
  const far = await farEnd(t);
  const kernel = new Kernel();
  const { it, made, counters, send, second, connected, firstRun } = await outlet(t, { change: inetAt(far.port), tamper: kernel.tamper });
  firstRun();
  second(2000, { inet: 1000 });
  await connected(1);
  far.close();
  await until('news of the refusal', () => {
    send('inet');
    return counters[Count.ECONNREFUSED] > 0 || undefined;
  });
  t.equal(it.connected(), 0);
  kernel.isFull = true;
  send('inet', 17, 1);
  await until('other sockets', () => made.length === 24 && made.every(({ closed, socket }) => closed || socket.listenerCount('error') > 0) || undefined);
  await new Promise(resolve => setImmediate(resolve));
  kernel.take(0, 17);
  const again = await farEnd(t, far.port);
  send('inet', 1, 7);
  await until('one through them', () => again.got.length > 0 || undefined);
  t.equal(kernel.left.filter(value => value === 7).length, 0);
  t.equal(it.connected(), 0);
});

t.test('a shared socket in which a datagram waits longer than 200 ms is given up for another, with what waits in it, and serves others again', async t => {
  const far = await farEnd(t);
  const kernel = new Kernel();
  const { it, made, counters, failures, send } = await outlet(t, { change: inetAt(far.port), patienceMs: 200, mostOwn: 0, tamper: kernel.tamper });
  it.tick(1000);
  kernel.isFull = true;
  send('host-a', 3, 1, 6);
  send('inet', 1, 2, 6);
  send('host-a', 1, 1, 3);
  it.tick(1200);
  kernel.take(3, 1);
  send('host-a', 1, 1, 3);
  it.tick(1399);
  t.equal(made.length, 8, 'not sooner');
  it.tick(1400);
  await until('the end of one', () => made[6].closed || undefined);
  t.same(made.map(({ closed }) => closed), [false, false, false, false, false, false, true, false, false], 'and not the one from which something has left');
  t.equal(counters[Count.queueFull], 4, 'counted as not sent');
  t.same([counters[Count.other], failures], [0, []], 'and not as errors');
  t.equal(it.pending(), 1);
  send('inet', 1, 7, 6);
  t.match(await until('the next', () => far.got[0]), { value: 7, from: { port: made[8].socket.address().port } });
  t.ok(made[8].socket.address().port >= 49152);
});

t.test('closed while it gives a socket up, the outlet leaves none open', async t => {
  const kernel = new Kernel();
  const { it, made, send, close } = await outlet(t, { patienceMs: 200, tamper: kernel.tamper });
  kernel.isFull = true;
  send('inet', 1, 1, 0);
  send('inet', 1, 1, 1);
  it.tick(1000);
  it.tick(1200);
  close();
  t.ok(await until('the end of all', () => made.length > 8 && made.every(({ closed }) => closed) || undefined));
});

t.test('when no more sockets are to be had, a slow destination takes those of one that has nothing waiting, and stays in the shared ones until then', async t => {
  const kernel = new Kernel();
  const { made, send, second, connected, firstRun } = await outlet(t, { mostOwn: 1, tamper: kernel.tamper });
  firstRun();
  second(2000, { 'host-a': 5000 });
  await connected(1);
  kernel.isFull = true;
  send('inet', 20);
  for (let now = 3000; now < 32_000; now += 1000) second(now, { 'host-a': 5000 });
  t.equal(made.length, 16, 'ports change no more than once in 30 s');
  second(32_000, { 'host-a': 5000 });
  await until('the others', () => made.length === 24 || undefined);
  await until('the end of the first', () => made.slice(8, 16).every(({ closed }) => closed) || undefined);
});

t.test('a peer that refuses is counted, goes back to the shared sockets, and is served by them when it is there again', async t => {
  const far = await farEnd(t);
  const { it, made, counters, failures, send, second, connected, firstRun } = await outlet(t, { change: inetAt(far.port) });
  firstRun();
  second(2000, { inet: 1000 });
  await connected(1);
  far.close();
  await until('news of the refusal', () => {
    send('inet');
    return counters[Count.ECONNREFUSED] > 0 || undefined;
  });
  t.equal(it.connected(), 0, 'at once');
  t.ok(failures.includes('send ECONNREFUSED'), failures.join());
  t.equal(counters[Count.other], 0);

  const again = await farEnd(t, far.port);
  send('inet', 1, 9);
  await until('one that the refusals do not cost', () => again.got.length > 0 || undefined);
  second(20_000, { inet: 100_000 });
  second(61_000, { inet: 100_000 });
  t.equal(made.length, 16, 'no second try for a minute');
  second(62_000, { inet: 2000 });
  await connected(1);
});

t.test('when no more sockets are to be had, twice the traffic takes them over, and less does not', async t => {
  const { it, made, second, connected, firstRun } = await outlet(t, { mostOwn: 1 });
  firstRun();
  second(2000, { 'host-a': 1500, inet: 1000 });
  await connected(1);
  for (let now = 3000; now < 33_000; now += 1000) second(now, { 'host-a': 1000, inet: 1900 });
  t.equal(made.length, 16);
  second(33_000, { 'host-a': 1000, inet: 2000 });
  await until('the others', () => made.length === 24 || undefined);
  await connected(1);
  await until('the end of the first', () => made.slice(8, 16).every(({ closed }) => closed) || undefined);
  t.equal(it.pending(), 0);
});

t.test('a reload keeps the sockets of a destination that stays, whatever its number, and closes those of one that goes', async t => {
  const far = await farEnd(t);
  const { it, made, adopt, send, second, connected, firstRun } = await outlet(t, { change: inetAt(far.port) });
  firstRun();
  await far.take(1000, count => send('inet', count));
  second(2000, { 'host-a': 1000 });
  await connected(2);
  const before = made.slice(8).map(({ socket }) => socket).filter(socket => socket.remoteAddress().port === far.port).map(socket => socket.address().port);
  adopt(config => {
    inetAt(far.port)(config);
    config.hosts.shift();
    config.tenants[0].records.shift();
  });
  t.equal(it.connected(), 1);
  await until('the end of the others', () => made.filter(({ closed }) => closed).length === 8 || undefined);
  send('inet', 1, 5, 2);
  t.equal((await until('one through them', () => far.got.find(({ value }) => value === 5))).from.port, before[2]);
});

t.test('what still waits for a destination that goes keeps its sockets open until it has left', async t => {
  let waiting = 0;
  const { it, made, adopt, second, connected, firstRun } = await outlet(t, { tamper: (socket, nth) => { if (nth === 9) socket.getSendQueueCount = () => waiting; } });
  firstRun();
  second(2000, { inet: 1000 });
  await connected(1);
  waiting = 2;
  adopt(config => { config.uplinks[0].pa = '127.0.0.1:9'; });
  t.equal(it.pending(), 2);
  second(3000, {});
  t.equal(it.pending(), 2);
  waiting = 0;
  second(4000, {});
  t.equal(it.pending(), 0);
  await until('their end', () => made.slice(8, 16).every(({ closed }) => closed) || undefined);
});

t.test('a destination that cannot be connected to stays with the shared sockets, which is told, and not tried again for a minute', async t => {
  const { it, made, failures, counters, second, firstRun } = await outlet(t);
  firstRun();
  second(2000, { unreachable: 1000 });
  await until('the failure', () => failures.includes('socket EACCES') || undefined);
  const tries = made.length;
  t.equal(tries, 9, 'the first socket says enough');
  t.ok(counters[Count.EACCES] > 0, 'sends through the shared ones are counted as ever');
  second(30_000, { unreachable: 100_000 });
  second(61_000, { unreachable: 100_000 });
  t.equal(made.length, tries);
  t.equal(it.connected(), 0);
  await until('its end', () => made[8].closed || undefined);
});

t.test('closed while sockets are being opened, or while a destination goes, it leaves none open', async t => {
  for (const end of ['close', 'go'] as const) {
    const { made, adopt, close, second, firstRun } = await outlet(t);
    firstRun();
    second(2000, { inet: 1000 });
    if (end === 'close') close();
    else adopt(config => { config.uplinks[0].pa = '127.0.0.1:9'; });
    await until('their end', () => made.length === 16 && made.slice(8).every(({ closed }) => closed) || undefined);
    close();
    await until('the end of all', () => made.every(({ closed }) => closed) || undefined);
  }
});

t.test('without a tick, all share', async t => {
  const { it, made, send } = await outlet(t);
  send('inet', 5000);
  t.equal(made.length, 8);
  t.equal(it.connected(), 0);
});

t.test('the first 64 sends to a destination in a second ask how they fared, then one in 32; after an error the next 1024 do', async t => {
  const told: ((error: Error | null) => void)[] = [];
  let sends = 0;
  const { counters, send, second, firstRun } = await outlet(t, { tamper: socket => {
    socket.send = ((...args: unknown[]) => {
      sends++;
      const last = args.at(-1);
      if (typeof last === 'function') told.push(last as (error: Error | null) => void);
    }) as Socket['send'];
  } });
  const asked = (count: number): number => {
    told.length = 0;
    send('inet', count);
    return told.length;
  };
  t.equal(asked(64), 64);
  t.equal(asked(320), 10);
  firstRun();
  t.equal(asked(64), 64);
  t.equal(asked(320), 10);
  second(2000, {});
  t.equal(asked(50), 50);
  told[0](null);
  told[1](Object.assign(new Error('send EPERM'), { code: 'EPERM' }));
  t.equal(counters[Count.EPERM], 1);
  t.equal(asked(1024), 1024);
  t.equal(asked(320), 10);
  t.equal(sends, 64 + 320 + 64 + 320 + 50 + 1024 + 320);
});
