import t from 'tap';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getJson, Unreachable } from '../../daemon/cli/admin-client.js';
import { chooseSocket, claimSocket, defaultSockets } from '../../daemon/control/admin-socket.js';
import { auditLedger } from '../../daemon/control/audit.js';
import { PacketClock, readClock, startClock } from '../../daemon/worker/clock.js';
import { closeServer, jsonAnswer, makeServer } from '../../daemon/control/http.js';
import { parseDrops } from '../../daemon/control/kernel-drops.js';
import type { Logger } from '../../daemon/control/log.js';
import { Repeats } from '../../daemon/worker/repeats.js';
import { renderBytes, renderSeconds, renderTable } from '../../daemon/cli/table.js';
import { Cell, Ledger, ledgerBytes } from '../../pipeline/ledger.js';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'causeway-small-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function server(): Server {
  const it = createServer((_asked, answered) => answered.end('{}'));
  t.teardown(() => closeServer(it));
  return it;
}

t.test('admin socket: left over it is taken over, answered it is refused, and a file is not touched', async t => {
  const dir = folder();
  const path = join(dir, 'admin.sock');
  const first = server();
  await claimSocket(first, path);
  t.equal(statSync(path).mode & 0o777, 0o600);
  await t.rejects(claimSocket(server(), path), /another daemon answers there; give this one its own, gateway\.admin\.socket/);
  t.same(await getJson(path, '/'), {});

  // What a killed daemon leaves: a socket that nobody listens on. Node removes its own on close, so another process makes it.
  const stale = join(dir, 'stale.sock');
  const { spawnSync } = await import('node:child_process');
  spawnSync(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`]);
  t.ok(existsSync(stale));
  await t.rejects(getJson(stale, '/'), new Unreachable(`no daemon answers on ${stale}: nobody listens on it`));
  await claimSocket(server(), stale);
  t.same(await getJson(stale, '/'), {});

  const file = join(dir, 'file');
  writeFileSync(file, 'precious');
  await t.rejects(claimSocket(server(), file), { message: `admin socket ${file}: something else is there` });
  await t.rejects(claimSocket(server(), join(dir, 'x'.repeat(200))), /longer than \d+ bytes/);
  await t.rejects(claimSocket(server(), join(dir, 'none', 'admin.sock')), /ENOENT|EACCES/);
});

t.test('admin socket: the user\'s run-time folder comes first, then the system\'s, then the temporary one', async t => {
  const before = process.env.XDG_RUNTIME_DIR;
  t.teardown(() => {
    if (before === undefined) delete process.env.XDG_RUNTIME_DIR;
    else process.env.XDG_RUNTIME_DIR = before;
  });
  const dir = folder();
  process.env.XDG_RUNTIME_DIR = dir;
  t.equal(chooseSocket(), join(dir, 'causeway.sock'));
  process.env.XDG_RUNTIME_DIR = join(dir, 'not-there');
  t.not(chooseSocket(), join(dir, 'not-there', 'causeway.sock'));
  delete process.env.XDG_RUNTIME_DIR;
  t.same(defaultSockets().map(path => path.replace(/\d+/, 'N')), ['/run/causeway/causeway.sock', join(tmpdir(), 'causeway-N.sock')]);
});

t.test('HTTP: GET only, known paths only, and a fault is a 500 with a log line', async t => {
  const lines: string[] = [];
  const log = { error: (_fields: unknown, message: string) => lines.push(message) } as unknown as Logger;
  const it = makeServer({ '/fine': query => jsonAnswer({ said: query.get('say') }), '/broken': () => { throw new Error('broken'); } }, log);
  t.teardown(() => closeServer(it));
  it.listen(0, '127.0.0.1');
  await once(it, 'listening');
  const { port } = it.address() as { port: number };
  const ask = async (path: string, method = 'GET') => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return [answer.status, method === 'HEAD' ? '' : await answer.json(), answer.headers.get('allow')];
  };
  t.same(await ask('/fine?say=hello'), [200, { said: 'hello' }, null]);
  t.same(await ask('/fine', 'DELETE'), [405, { error: 'GET only' }, 'GET']);
  t.same(await ask('/other'), [404, { error: 'nothing at /other', paths: ['/fine', '/broken'] }, null]);
  t.same(await ask('/constructor'), [404, { error: 'nothing at /constructor', paths: ['/fine', '/broken'] }, null]);
  t.same(await ask('/broken'), [500, { error: 'a fault in causeway; the log has it' }, null]);
  t.same(lines, ['fault in an answer']);

  const raw = connect(port, '127.0.0.1');
  raw.end('GET // HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  let answer = '';
  raw.on('data', (data: Buffer) => { answer += data.toString(); });
  await once(raw, 'close');
  t.match(answer, /^HTTP\/1\.1 400 /, 'a target that is no URL');
});

t.test('audit: a ledger that balances passes at once, one that is off is named by row, one that settles is forgiven', async t => {
  const ledger = new Ledger(new SharedArrayBuffer(ledgerBytes(3)));
  ledger.add(1, Cell.in, 2);
  ledger.add(1, Cell.forwarded, 2);
  ledger.add(1, Cell.out, 2);
  t.equal((await auditLedger([ledger], [0, 1, 2, 3])).size, 0);

  ledger.add(2, Cell.in, 1);
  t.same([...await auditLedger([ledger], [0, 1, 2, 3])], [[2, ['in 1 but forwarded + dropped + consumed + held = 0']]]);

  const settling = auditLedger([ledger], [0, 1, 2, 3]);
  ledger.add(2, Cell.consumed, 1);
  t.equal((await settling).size, 0);
  const other = new Ledger(new SharedArrayBuffer(ledgerBytes(3)));
  other.add(3, Cell.held, 1);
  ledger.add(3, Cell.in, 1);
  t.equal((await auditLedger([ledger, other], [3])).size, 0, 'a packet that one worker counts in and another holds');
});

t.test('/proc/net/udp: drops by local address, and sockets that share one are added up', async t => {
  const text = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             
  170: 0100007F:1292 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5211337 2 0000000000000000 17        
  171: 0100007F:1292 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5211338 2 0000000000000000 5         
  205: 00000000:12B5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5211339 2 0000000000000000 0         
`;
  t.same([...parseDrops(text)], [['0100007F:1292', 22], ['00000000:12B5', 0]]);
});

t.test('what repeats is told once and then once a minute with a count', async t => {
  const told: [string, unknown][] = [];
  const repeats = new Repeats((message, fields) => told.push([message, fields]));
  for (let i = 0; i < 5; i++) repeats.note('send failed', 'EPERM', 1000 + i, { code: 'EPERM', i });
  repeats.note('send failed', 'EINVAL', 1005, { code: 'EINVAL' });
  repeats.flush(60_999);
  t.same(told, [['send failed', { code: 'EPERM', i: 0, count: 1 }], ['send failed', { code: 'EINVAL', count: 1 }]]);
  repeats.flush(61_000);
  t.same(told.slice(2), [['send failed', { code: 'EPERM', i: 4, count: 4 }]]);
  repeats.flush(200_000);
  t.equal(told.length, 3, 'silence is not told');
  repeats.note('send failed', 'EPERM', 200_001, { code: 'EPERM' });
  t.equal(told.length, 4, 'after a quiet minute it is news again');
});

t.test('packets share looks at the clock: one in 32, and whenever a timer asks', async t => {
  let time = 1000;
  const told: number[] = [];
  const clock = new PacketClock(() => time, now => { told.push(now); });
  t.same(told, [1000], 'at once');
  time = 2000;
  for (let i = 0; i < 31; i++) clock.count();
  t.same(told, [1000]);
  clock.count();
  t.same(told, [1000, 2000], 'the 32nd looks');
  time = 3000;
  clock.look();
  clock.count();
  t.same(told, [1000, 2000, 3000], 'the timer, and 31 more to go');
});

t.test('one clock for all threads: the wall clock at the start, and never a step', async t => {
  const wall = Date.now();
  const clock = readClock(startClock());
  const first = clock();
  t.ok(Math.abs(first - wall) < 1000);
  const { now } = Date;
  Date.now = () => now() + 3_600_000;
  t.teardown(() => { Date.now = now; });
  t.ok(clock() - first < 1000, 'somebody set the clock forward by an hour');
});

t.test('tables: numbers to the right, the last column cut to the terminal', async t => {
  const rows = [{ name: 'red', n: 5, help: 'something long to say' }, { name: 'a-longer-name', n: 12345, help: 'short' }];
  const columns = [
    { title: 'tenant', cell: (r: typeof rows[0]) => r.name }, { title: 'n', right: true, cell: (r: typeof rows[0]) => r.n }, { title: 'meaning', cell: (r: typeof rows[0]) => r.help },
  ];
  t.equal(renderTable(columns, rows), 'tenant             n  meaning\nred                5  something long to say\na-longer-name  12345  short\n');
  t.equal(renderTable(columns, rows, 30), 'tenant             n  meaning\nred                5  somethi…\na-longer-name  12345  short\n');
  t.same([0, 999, 1000, 1536, 2.5e9].map(renderBytes), ['0 B', '999 B', '1.0 kB', '1.5 kB', '2.5 GB']);
  t.same([0, 59, 60, 3599, 3725, 90_000].map(renderSeconds), ['0s', '59s', '1m00s', '59m59s', '1h02m', '1d01h']);
});
