/** Loading a config in a thread of its own: what comes back, and what it costs others. */
import t, { type Test } from 'tap';
import { readdirSync, readFileSync } from 'node:fs';
import { readConfig } from '../../config/index.js';
import { loadInThread } from '../../daemon/control/loading.js';
import type { Loaded, LoadAnswer, LoadOrder, Running } from '../../daemon/loader/messages.js';
import { largeConfig } from '../../bench/config/large.js';
import { built, ConfigFolder, labConfig, openPeers, until, type LabConfig, type Peer } from './daemon.js';

const BELOW_NORMAL = 10;
/** Of /proc/PID/stat behind the name in brackets: state is the first, nice the 17th. */
const NICE = 16;

async function lab(t: Test) {
  const peers = await openPeers();
  t.teardown(() => { for (const peer of Object.values(peers) as Peer[]) peer.close(); });
  const config = labConfig(peers);
  const folder = new ConfigFolder(config);
  t.teardown(() => folder.remove());
  const ask = (order: Partial<LoadOrder> = {}): Promise<LoadAnswer> => loadInThread(built('loader.js'), [], { path: folder.file, generation: 1, seed: 1, running: null, ...order });
  return { config, folder, ask };
}

function loaded(answer: LoadAnswer): Loaded {
  if (answer.type !== 'loaded') throw new Error(JSON.stringify(answer));
  return answer;
}

t.test('a good config comes back as tables in shared memory, and as little else', async t => {
  const { config, folder, ask } = await lab(t);
  const { file, gateway, tenantCount, tenants, policy } = loaded(await ask({ generation: 7 }));
  t.match({ file, tenantCount, tenants, generation: policy.generation }, { file: folder.file, tenantCount: 1, tenants: { rdids: [config.tenants[0].rdid], names: ['red'] }, generation: 7 });
  t.same(gateway, readConfig(readFileSync(folder.file, 'utf8'), folder.file).config?.gateway);
  t.ok(policy.records.line.buffer instanceof SharedArrayBuffer);
});

t.test('a bad one comes back as every problem in it, as the reader has them', async t => {
  const { folder, ask } = await lab(t);
  const text = '{ "gateway": { "listen": "127.0.0.1", "lissen": 1 }, "hosts": 5 }';
  folder.write(text);
  t.same(await ask(), { type: 'problems', problems: readConfig(text, folder.file).problems });
});

t.test('tenants keep their numbers, new ones get the next, and one that comes back has its own', async t => {
  const { config, folder, ask } = await lab(t);
  const first = loaded(await ask());
  const blue = { ...config.tenants[0], name: 'blue', rdid: '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f02', subnets: [{ vsid: 5002, prefix: '10.0.0.0/24' }], nat: { uplink: 'inet', pool: ['203.0.113.20'] } };
  const load = async (tenants: LabConfig['tenants'], running: Running): Promise<Loaded> => {
    folder.write({ ...config, tenants });
    return loaded(await ask({ running }));
  };
  const second = await load([blue], first);
  t.same(second.tenants.names, ['red', 'blue']);
  const third = await load([blue, { ...config.tenants[0], name: 'crimson' }], second);
  t.same(third.tenants.names, ['crimson', 'blue']);
  t.same(third.policy.tenants.names.slice(0, 3), ['', 'crimson', 'blue']);
});

t.test('what only a restart can change is named before anything is compiled; a file that is not there is a sentence', async t => {
  const { config, folder, ask } = await lab(t);
  const running = loaded(await ask());
  config.gateway.limits.tenants = 9;
  folder.write(config);
  t.same(await ask({ running }), { type: 'restart', keys: ['gateway.limits'] });
  t.same(await ask({ path: '/no/such/file' }), { type: 'unreadable', message: 'cannot read /no/such/file: there is no such file' });
});

t.test('a loader that fails is told as it is', async t => {
  await t.rejects(loadInThread(new URL('data:text/javascript,throw new Error("broken")'), [], { path: '', generation: 1, seed: 1, running: null }), /broken/);
  await t.rejects(loadInThread(new URL('data:text/javascript,'), [], { path: '', generation: 1, seed: 1, running: null }), /without an answer/);
});

t.test('Linux: while something runs, its thread alone has a lower priority', async t => {
  if (process.platform !== 'linux') {
    t.pass('elsewhere priorities are the whole process\'s, and left alone');
    return;
  }
  const { folder, ask } = await lab(t);
  const running = loaded(await ask());
  folder.write(largeConfig(100, 100)); // it needs a while
  const niceness = (): number[] => readdirSync('/proc/self/task').map(id => {
    try {
      return Number(readFileSync(`/proc/self/task/${id}/stat`, 'latin1').replace(/^.*\) /, '').split(' ')[NICE]);
    } catch {
      return NaN; // it has just ended
    }
  });
  const before = Math.max(...niceness());
  let isOver = false;
  const answer = ask({ running }).finally(() => { isOver = true; });
  const seen = await until('a thread of low priority', () => isOver ? [] : niceness().some(nice => nice > before) ? niceness() : undefined);
  t.same(seen.filter(nice => nice > before), [before + BELOW_NORMAL]);
  t.match(await answer, { type: 'restart' });
});
