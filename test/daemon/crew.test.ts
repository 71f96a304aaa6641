import t from 'tap';
import { ailmentsOf, ledgerTotals, sessionsOf } from '../../daemon/control/status.js';
import { Watch } from '../../daemon/control/watch.js';
import { Count, makeCounters } from '../../daemon/worker/counters.js';
import { startControl } from './control.js';
import { built, fromA, until } from './daemon.js';
import { gre, udp } from '../support/frames.js';

const VM = '10.0.0.5', SERVER = '198.51.100.7', POOL = '203.0.113.10';
const SPORT = 4 + 20;

t.test('a worker that dies is replaced on the same ports, and its sessions, bindings and counts live on', async t => {
  const { control: it, peers, said } = await startControl(t);
  await it.start();
  const [{ port }] = it.crew.bound;
  peers.hostA.send(fromA(udp(VM, 5000, SERVER, 53, 'question')), port);
  const outside = (await peers.inet.take()).readUInt16BE(SPORT);
  await until('one packet counted', () => ledgerTotals(it).packets.forwarded === 1 || undefined);

  await it.crew.threads[0].terminate();
  t.match(await ailmentsOf(it), ['1 of 1 workers down']);
  await until('a new worker', () => said.find(({ msg }) => msg === 'worker replaced'));
  t.same(said.map(({ msg }) => msg), ['receive mode', 'worker died, its state is kept', 'worker replaced']);
  t.same(await ailmentsOf(it), []);
  t.equal(it.crew.restarts, 1);
  t.equal(it.crew.bound[0].port, port);

  // Inbound finds the binding that the worker before made.
  peers.inet.send(gre(udp(SERVER, 53, POOL, outside, 'answer')), port);
  t.equal((await peers.hostA.take()).subarray(-6).toString(), 'answer');
  await until('both counted', () => ledgerTotals(it).packets.forwarded === 2 || undefined);
  t.equal(sessionsOf(it, new URLSearchParams()).matching, 1);
});

t.test('policies handed over at the same time are all answered, and so is one that a worker dies over', async t => {
  const { control: it } = await startControl(t);
  await it.start();
  const policy = { ...it.policy, generation: 2 };
  await Promise.all([it.crew.adopt(policy), it.crew.adopt(policy)]);
  const last = it.crew.adopt(policy);
  void it.crew.threads[0].terminate();
  await t.resolves(last);
});

t.test('workers that keep dying are given up on', async t => {
  const { control: it, said, isLost } = await startControl(t);
  await it.start();
  for (let death = 1; death <= 5; death++) {
    await it.crew.threads[0].terminate();
    await until(`death ${death} dealt with`, () => (isLost() || it.crew.restarts === death) || undefined);
  }
  t.ok(isLost());
  t.equal(it.crew.restarts, 4);
  t.match(said.filter(({ level }) => level === 'fatal'), [{ msg: 'workers keep dying', fields: { deaths: 5, withinSeconds: 60 } }]);
});

t.test('a worker that cannot even start is told as it is', async t => {
  const { control: it } = await startControl(t, { worker: new URL('./no-such-worker.js', import.meta.url) });
  await t.rejects(it.start(), /no-such-worker/);
});

t.test('draining ends the workers, and nothing is replaced', async t => {
  const { control: it, said } = await startControl(t);
  await it.start();
  await it.drain(1000);
  t.equal(it.crew.up, 0);
  t.match(await ailmentsOf(it), ['draining', '1 of 1 workers down']);
  t.match(said, [{ level: 'info', msg: 'receive mode', fields: { mode: 'kernel', workers: 1 } }]);
});

/** The built worker, which hangs when it hears of it. */
function hanging(channel: string): URL {
  const script = `
    const channel = new BroadcastChannel('${channel}');
    channel.onmessage = () => { for (;;); };
    channel.unref();
    await import('${built('worker.js').href}');`;
  return new URL(`data:text/javascript,${encodeURIComponent(script)}`);
}

t.test('a worker that hangs is ended and replaced, and a config that it was to take over is in force then', async t => {
  const channel = new BroadcastChannel('causeway test: hang');
  t.teardown(() => channel.close());
  const { control: it, said } = await startControl(t, { worker: hanging(channel.name) });
  await it.start();
  channel.postMessage('hang');
  await it.crew.adopt({ ...it.policy, generation: 2 }); // answered by its death
  await until('a new worker', () => said.find(({ msg }) => msg === 'worker replaced'));
  const told = said.filter(({ msg }) => msg !== 'workers have not taken the new config over yet').map(({ level, msg }) => `${level} ${msg}`);
  t.same(told, ['info receive mode', 'error worker is stuck, ending it', 'error worker died, its state is kept', 'warn worker replaced']);
  t.same(await ailmentsOf(it), []);
});

t.test('stuck is who does not beat for five looks: the longest first, each once, and others have two looks more', async t => {
  const counters = [0, 1, 2].map(makeCounters);
  const watch = new Watch(counters);
  let now = 0;
  const up = [true, true, true];
  const look = (...beating: number[]): number => {
    now += 1000;
    for (const thread of beating) new Float64Array(counters[thread])[Count.beat] = now + thread;
    return watch.look(thread => up[thread]);
  };
  for (let i = 0; i < 20; i++) t.equal(look(0, 1, 2), -1);
  t.equal(look(1, 2), -1);
  t.same([1, 2, 3, 4].map(() => look(2)), [-1, -1, -1, 0], 'the first has missed five');
  t.same([1, 2, 3].map(() => look(2)), [-1, 1, -1], 'the second may have waited for it');
  t.same([1, 2, 3, 4, 5, 6, 7].map(() => look(2)), Array.from({ length: 7 }, () => -1), 'each once');
  t.equal(look(0, 1, 2), -1);
  t.same([1, 2, 3, 4, 5].map(() => look(1, 2)), [-1, -1, -1, -1, 0], 'its successor too');
  up[1] = false;
  t.same([1, 2, 3, 4, 5, 6].map(() => look(0, 2)), Array.from({ length: 6 }, () => -1), 'who is down is not stuck');
});
