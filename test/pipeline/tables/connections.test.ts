/** Connections of stateful ACL entries: the table against a Map, its limit to the record, and whoever dies in the midst of it. */
import t from 'tap';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Connections, makeConnectionMemory, type ConnectionSizes, type Ends } from '../../../pipeline/tables/connections.js';
import { connectionFaults } from '../../support/connection-invariants.js';
import { crashAt, watch } from '../../support/crash-points.js';
import { seeded } from '../../support/seeded.js';
import type { ConnectionStormReport, ConnectionStormStart } from './connections-thread.js';

const random = seeded();
t.comment(`seed ${random.seed}`);

function table(sizes: ConnectionSizes, owner = 1) {
  const memory = makeConnectionMemory(sizes, random.u32());
  return { memory, connections: new Connections(memory, sizes, owner), faults: (count?: number) => connectionFaults(memory, sizes, count) };
}

/** One of so many flows; those with an odd number are IPv6. */
function ends(i: number): Ends {
  const six = (i & 1) === 1;
  return {
    protocol: [6, 17, 1][i % 3], localPort: 1000 + i % 7, remotePort: 2000 + (i >>> 3), adapter: 0,
    local0: six ? 0x20010db8 : 0, local1: 0, local2: six ? 1 : 0xffff, local3: 0x0a000000 | i % 50,
    remote0: six ? 0x20010db8 : 0, remote1: 0, remote2: six ? 2 : 0xffff, remote3: 0xc0a80000 | i % 11 | 0,
  };
}
const tenantOf = (i: number): number => 1 + i % 3;

t.test('random use against a Map: what was put in is found, with all it says, and nothing else; the limit is reached to the record', async t => {
  for (const limit of [1, 40, 500, 2000]) {
    const { connections, faults } = table({ connections: limit, tenants: 4 });
    const model = new Map<number, { state: number; rule: number }>();
    let refused = 0;
    for (let step = 0; step < 20_000; step++) {
      const i = random.below(limit * 2), state = 1 + random.below(11), rule = random.below(100_000);
      const at = connections.enter(tenantOf(i), i % 2, ends(i)), known = model.get(i);
      if ((at >= 0) !== (known !== undefined)) t.fail(`step ${step}: flow ${i} is ${at < 0 ? 'not ' : ''}there`);
      if (at >= 0 && known !== undefined) {
        if (connections.state(at) !== known.state || connections.rule(at) !== known.rule) t.fail(`step ${step}: flow ${i} says something else`);
        if (random.below(3) === 0) {
          connections.remove(at);
          model.delete(i);
        } else {
          connections.move(at, state);
          known.state = state;
        }
      } else {
        const added = connections.add(tenantOf(i), i % 2, ends(i), state, i % 4 === 0, i, rule, 60 + i, step);
        if (added < 0) refused++;
        else model.set(i, { state, rule });
        if ((added < 0) !== (model.size === limit && !model.has(i))) t.fail(`step ${step}: ${model.size} of ${limit}, and ${added < 0 ? 'no ' : ''}room`);
      }
      connections.leave();
      if (connections.count !== model.size) t.fail(`step ${step}: ${connections.count} counted, and there are ${model.size}`);
      if (step % 1000 === 0) t.same(faults(model.size), []);
    }
    t.ok(refused > 0, `limit ${limit}: ${refused} times full`);
    for (let tenant = 1; tenant <= 3; tenant++) t.equal(connections.countOf(tenant), [...model.keys()].filter(i => tenantOf(i) === tenant).length, `tenant ${tenant}`);
    const read = ends(0);
    for (const [i] of model) {
      const at = connections.enter(tenantOf(i), i % 2, ends(i));
      connections.read(at, read);
      t.same(read, ends(i));
      t.same([connections.tenantOf(at), connections.queryOf(at), connections.isOutbound(at), connections.generationOf(at), connections.idle(at)], [tenantOf(i), i % 2, i % 4 === 0, i & 0xff, 60 + i]);
      connections.remove(at);
      connections.leave();
      if (i > 60) break;
    }
  }
});

t.test('a key is all of its words: tenant, protocol, query, both addresses and both ports', async t => {
  const { connections } = table({ connections: 100, tenants: 4 });
  connections.enter(1, 2, ends(2));
  connections.add(1, 2, ends(2), 1, true, 1, 0, 60, 0);
  connections.leave();
  const find = (tenant: number, query: number, change: Partial<Ends>): number => {
    const at = connections.enter(tenant, query, { ...ends(2), ...change });
    connections.leave();
    return at;
  };
  t.ok(find(1, 2, {}) > 0);
  t.equal(find(2, 2, {}), -1, 'tenant');
  t.equal(find(1, 3, {}), -1, 'query');
  t.equal(find(1, 2, { protocol: 99 }), -1, 'protocol');
  for (const word of ['localPort', 'remotePort', 'local0', 'local1', 'local2', 'local3', 'remote0', 'remote1', 'remote2', 'remote3'] as const) t.equal(find(1, 2, { [word]: ends(2)[word] ^ 1 }), -1, word);
});

t.test('who must not wait does not: a part that another has is left alone', async t => {
  const sizes = { connections: 10, tenants: 1 };
  const { memory, connections } = table(sizes);
  const other = new Connections(memory, sizes, 2);
  connections.enter(1, 0, ends(2));
  const at = connections.add(1, 0, ends(2), 1, true, 1, 0, 60, 0);
  t.equal(other.tryEnter(1, 0, ends(2)), -2);
  t.equal(other.tryEnterAt(at), false);
  connections.leave();
  t.equal(other.tryEnter(1, 0, ends(2)), at);
  other.leave();
  t.equal(other.tryEnterAt(at), true);
  other.leave();
});

t.test('a worker that dies before any store of it: others find tables that they can use, and a repair puts the rest right', async t => {
  const sizes = { connections: 6, tenants: 4 };
  const WORK: Record<string, (connections: Connections) => void> = {
    'a new one': c => { if (c.enter(1, 0, ends(50)) < 0) c.add(1, 0, ends(50), 1, true, 1, 0, 60, 0); c.leave(); },
    'one that goes': c => { const at = c.enter(tenantOf(1), 0, ends(1)); if (at >= 0) c.remove(at); c.leave(); },
    'one that moves': c => { const at = c.enter(tenantOf(1), 0, ends(1)); if (at >= 0) { c.move(at, 5); c.touch(at, 9); } c.leave(); },
    'one that begins anew': c => { const at = c.enter(tenantOf(1), 0, ends(1)); if (at >= 0) c.begin(at, 1, false, 2, 7, 30, 9); c.leave(); },
    'one that another policy allows': c => { const at = c.enter(tenantOf(1), 0, ends(1)); if (at >= 0) c.allow(at, 3, 8, 40); c.leave(); },
  };
  const fill = (c: Connections): void => {
    for (let i = 0; i < 4; i++) {
      c.enter(tenantOf(i), 0, ends(i));
      c.add(tenantOf(i), 0, ends(i), 4, true, 1, 0, 60, 0);
      c.leave();
    }
  };
  for (const [name, work] of Object.entries(WORK)) {
    let k = 1;
    for (; ; k++) {
      const memory = makeConnectionMemory(sizes, 5);
      const dying = watch(() => new Connections(memory, sizes, 1)), living = new Connections(memory, sizes, 2), control = new Connections(memory, sizes, 3);
      fill(living);
      if (!crashAt(k, () => work(dying)).crashed) break;
      // Somebody comes between the freeing of locks and the repair, as when the repair has to be tried twice.
      const between = new Connections(memory, sizes, 1);
      between.locks.freeAllOf(1);
      for (const other of Object.values(WORK)) other(living);
      t.equal(control.repair(1), true);
      t.same(connectionFaults(memory, sizes), [], `${name}, store ${k}`);
      const left = [0, 2, 3].filter(i => { const at = living.enter(tenantOf(i), 0, ends(i)); living.leave(); return at >= 0; });
      t.same(left, [0, 2, 3], `${name}, store ${k}: nobody else’s is lost`);
      for (let at = control.first; at < control.end; at += 16) if (control.isOpen(at) && control.tryEnterAt(at)) { control.remove(at); control.leave(); }
      t.same(connectionFaults(memory, sizes, 0), [], `${name}, store ${k}: empty`);
      for (let i = 0; i < 6; i++) {
        living.enter(1, 0, ends(100 + i));
        t.ok(living.add(1, 0, ends(100 + i), 1, true, 1, 0, 60, 0) > 0, 'and all of it can be used again');
        living.leave();
      }
    }
    t.ok(k > 2, `${name}: ${k - 1} stores`);
  }
});

t.test('two that die together: the first repair says that it is not over, and the second does the rest', async t => {
  const sizes = { connections: 4000, tenants: 4 };
  const { memory } = table(sizes);
  const [first, second] = [1, 2].map(owner => new Connections(memory, sizes, owner)), control = new Connections(memory, sizes, 3);
  first.enter(1, 0, ends(1));
  let i = 2;
  while (second.tryEnter(1, 0, ends(i)) === -2) i++;
  t.equal(control.repair(1), false);
  t.equal(control.repair(2), true);
  t.same(connectionFaults(memory, sizes, 0), []);
});

t.test('threads that open, find, move and end the same few as fast as they can, one of them killed: every list and count is right', async t => {
  const WORKERS = 3, LOADER = fileURLToPath(new URL('../../support/typescript.mjs', import.meta.url));
  const sizes = { connections: 300, tenants: 3 };
  const memory = makeConnectionMemory(sizes, random.u32()), go = new Int32Array(new SharedArrayBuffer(4)), control = new Connections(memory, sizes, WORKERS + 2);
  const reports: ConnectionStormReport[] = [], threads: Worker[] = [];
  for (let worker = 0; worker <= WORKERS; worker++) {
    const workerData: ConnectionStormStart = { memory, sizes, worker, seed: random.u32(), rounds: worker === WORKERS ? 1e9 : 150_000, go };
    const thread = new Worker(new URL('./connections-thread.ts', import.meta.url), { workerData, execArgv: [`--import=${LOADER}`] });
    await once(thread, 'message');
    thread.on('message', (report: ConnectionStormReport) => reports.push(report));
    threads.push(thread);
  }
  Atomics.store(go, 0, 1);
  Atomics.notify(go, 0);
  while (reports.length < WORKERS - 1) await new Promise(resolve => setImmediate(resolve));
  await threads[WORKERS].terminate();
  let repairs = 1;
  while (!control.repair(WORKERS + 1)) repairs++; // a lock that somebody who lives has, and no processor
  while (reports.length < WORKERS) await new Promise(resolve => setImmediate(resolve));
  t.same(reports.flatMap(({ wrong }) => wrong), []);
  t.same(connectionFaults(memory, sizes), []);
  t.comment(`${JSON.stringify(reports.map(({ wrong: _, ...did }) => did))}, repaired after ${repairs}`);
  for (const { adds, removes, refused } of reports) t.ok(adds > 1000 && removes > 1000 && refused > 100);
});
