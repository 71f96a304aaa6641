import t from 'tap';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readArgs, readNumber } from '../../daemon/cli/args.js';
import { UsageError } from '../../daemon/cli/cli.js';
import { dispatch } from '../../daemon/dispatch.js';
import { VERBS } from '../../daemon/verbs/index.js';
import { built, causeway, type Result } from './daemon.js';

const EXAMPLE = fileURLToPath(new URL('../../config/examples/minimal.jsonc', import.meta.url));

/** The same without a process of its own. */
async function called(...args: readonly string[]): Promise<Result> {
  let out = '', err = '';
  const code = await dispatch(args, { out: text => { out += text; }, err: text => { err += text; } });
  return { code, out, err };
}

t.test('without a verb, the overview on standard error and exit 2; asked for, on standard output and exit 0', async t => {
  const bare = await called();
  t.equal(bare.code, 2);
  t.equal(bare.out, '');
  for (const verb of Object.keys(VERBS)) t.match(bare.err, new RegExp(`^  ${verb} +\\S`, 'm'), verb);
  for (const word of ['help', '--help', '-h']) t.same(await called(word), { code: 0, out: bare.err, err: '' }, word);
});

t.test('every verb has help worth reading: usage and exit codes', async t => {
  for (const [word, load] of Object.entries(VERBS)) {
    const { verb } = await load();
    t.match(verb.help, new RegExp(`^.*causeway ${word}`), word);
    t.match(verb.help, /exit/i, `${word} says how it ends`);
    t.ok(verb.summary.length < 80, `${word} in a line`);
  }
  const check = await VERBS.check();
  t.equal((await called('check', '--help')).out, check.verb.help);
  t.equal((await called('help', 'check')).out, check.verb.help);
});

t.test('--version says which this is', async t => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  t.same(await causeway(['--version']), { code: 0, out: `causeway ${version}\n`, err: '' });
});

const slips = [
  [['chekc'], 'no verb chekc; did you mean check?'],
  [['frobnicate'], `no verb frobnicate; there are ${Object.keys(VERBS).join(', ')}`],
  [['help', 'runn'], 'no verb runn; did you mean run?'],
  [['check', EXAMPLE, '--jsno'], 'no flag --jsno; did you mean --json?'],
  [['check', EXAMPLE, '-x'], 'no flag -x'],
  [['check'], 'check takes one FILE'],
  [['check', EXAMPLE, EXAMPLE], `too many words: ${EXAMPLE}`],
  [['run'], 'run takes one config: -c CONFIG'],
  [['run', '-c'], '-c needs a value'],
  [['run', '-c', '-'], 'run reads its config again on HUP, so it must be a file'],
  [['show'], 'show what? tenants, sessions, connections, revoked, drops, rules, queues'],
  [['show', 'dorps'], 'nothing called dorps to show; did you mean drops?'],
  [['show', 'drops', '--ca', '10.0.0.5'], 'show drops has no filter --ca'],
  [['show', 'sessions', '--port', '70000'], '--port 70000: write a whole number from 0 to 65535'],
  [['show', 'drops', '--socket', 'a', '-c', 'b'], '--socket and --config both say whom to ask; give one'],
] as const;
for (const [args, says] of slips) {
  t.test(`usage, exit 2: causeway ${args.join(' ')}`.replaceAll(EXAMPLE, 'FILE'), async t => {
    const { code, out, err } = await called(...args);
    t.equal(code, 2);
    t.equal(out, '');
    t.equal(err.split('\n')[0], `causeway: ${says}`);
    t.match(err, /--help tells more/);
  });
}

t.test('check: a valid config is one line of counts and exit 0', async t => {
  t.same(await called('check', EXAMPLE), {
    code: 0, err: '', out: `${EXAMPLE}: valid: 1 tenant, 1 host, 1 uplink, 1 subnet, 1 record, 1 route, 0 sites, 0 mappings, 0 acls\n`,
  });
  const json = JSON.parse((await called('check', '--json', EXAMPLE)).out) as unknown;
  t.match(json, { file: EXAMPLE, problems: [], counts: { tenants: 1, records: 1 } });
});

t.test('check: all problems of a config at once, on standard input too, and exit 3', async t => {
  const broken = '{\n  "gateway": { "listen": "192.0.2.300" },\n  "hosts": [{ "name": "a b" }]\n}';
  const { code, out, err } = await causeway(['check', '-'], broken);
  t.equal(code, 3);
  t.equal(err, '');
  const lines = out.trimEnd().split('\n');
  t.match(lines[0], /^stdin:2:26: gateway\.listen: not an IP address \(192\.0\.2\.300\) - /);
  t.ok(lines.length > 3, out);
  t.equal(lines.at(-1), `stdin: ${lines.length - 1} problems`);
  const json = await causeway(['check', '--json', '-'], broken);
  t.equal(json.code, 3);
  const { problems } = JSON.parse(json.out) as { problems: { line: number; path: string; advice: string }[] };
  t.equal(problems.length, lines.length - 1);
  t.match(problems[0], { line: 2, column: 26, path: 'gateway.listen' });
});

t.test('a file that cannot be read is a plain sentence and exit 1', async t => {
  t.same(await called('check', '/no/such/file'), { code: 1, out: '', err: 'causeway: cannot read /no/such/file: there is no such file\n' });
  t.match(await causeway(['run', '-c', '/']), { code: 1, err: 'causeway: cannot read /: it is a directory\n' });
});

t.test('a file without an end is refused at 64 MiB, and a capture at its first fault', async t => {
  if (!existsSync('/dev/zero')) {
    t.pass('there is no /dev/zero here');
    return;
  }
  t.same(await called('check', '/dev/zero'), { code: 1, out: '', err: 'causeway: cannot read /dev/zero: it is longer than 64 MiB, which no config is\n' });
  t.match(await causeway(['run', '-c', '/dev/zero']), { code: 1, err: /longer than 64 MiB/ });
  t.match(await called('replay', '/dev/zero', '-c', EXAMPLE), { code: 1, err: /^\/dev\/zero: packet 1, byte 0: not_a_capture/ });
  t.match(await called('trace', '--capture', '/dev/zero', '--packet', '1', '-c', EXAMPLE), { code: 1, err: /^\/dev\/zero has no packet 1: 0 could be read; it cannot be read on from there: / });
});

t.test('show: nobody there is exit 4 and says where it looked', async t => {
  t.same(await called('show', 'drops', '--socket', '/no/such.sock'), { code: 4, out: '', err: 'causeway: no daemon answers on /no/such.sock: there is no such socket\n' });
  const { code, err } = await called('show', 'drops', '-c', '/no/such/file');
  t.equal(code, 1);
  t.match(err, /cannot read/);
});

t.test('a reader that goes away early is no crash', async t => {
  const { status, stderr } = spawnSync('sh', ['-c', `"$0" "$1" --help | true; echo done`, process.execPath, fileURLToPath(built('causeway.js'))], { encoding: 'utf8' });
  t.equal(status, 0);
  t.equal(stderr, '');
});

t.test('an unexpected fault is exit 1 with a stack to report', async t => {
  let err = '';
  const code = await dispatch(['--version'], { out: () => { throw new Error('paper jam'); }, err: text => { err += text; } });
  t.equal(code, 1);
  t.match(err, /^causeway: this is a fault in causeway, please report it: Error: paper jam\n +at /);
});

t.test('flags: values either way, short names, -- ends them', async t => {
  const flags = { config: { type: 'string', short: 'c' }, json: { type: 'boolean' }, tag: { type: 'string', multiple: true } } as const;
  t.match(readArgs(['-c', 'a', '--json', 'word'], flags, 1), { values: { config: 'a', json: true }, words: ['word'] });
  t.match(readArgs(['--config=a', '--tag', 'x', '--tag=y'], flags), { values: { config: 'a', tag: ['x', 'y'] }, words: [] });
  t.same(readArgs(['--', '--json'], flags, 1).words, ['--json']);
  t.throws(() => readArgs(['--json=yes'], flags), new UsageError('--json takes no value'));
  t.throws(() => readArgs(['--constructor'], flags), { message: 'no flag --constructor' });
  t.equal(readNumber('limit', undefined, 1, 9, 5), 5);
  for (const text of ['0', '10', '1.5', '-1', '', 'x', '1e0']) t.throws(() => readNumber('limit', text, 1, 9, 5), { message: `--limit ${text}: write a whole number from 1 to 9` }, text);
});
