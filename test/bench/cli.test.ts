import t from 'tap';
import { runBenches } from '../../bench/cli.js';
import type { Bench } from '../../bench/result.js';

const MEASURED = { samples: [2, 1, 4], heapBytesPerOp: 0, baseline: { name: 'least', samples: [1, 1, 1] } };
const SUITE: readonly Bench[] = [
  { name: 'codecs/gre', unit: 'ns', what: 'a header', measure: () => ({ ...MEASURED, baseline: null }) },
  { name: 'pipeline/record/100k', unit: 'ns', what: 'a look-up', target: { of: 'ratio', max: 5 }, measure: () => MEASURED },
];

async function run(...argv: string[]): Promise<{ code: number; out: string; err: string; written: string }> {
  const said = { out: '', err: '', written: '' };
  const code = await runBenches(argv, SUITE, {
    out: text => void (said.out += text), err: text => void (said.err += text), writeResults: text => void (said.written += text), writeChart: file => void (said.written += file),
  });
  return { code, ...said };
}

t.test('the table has a head with machine and Node version, and a line a bench', async t => {
  const { code, out, written } = await run();
  const lines = out.trimEnd().split('\n');
  t.equal(code, 0);
  t.equal(lines.length, 2 + SUITE.length);
  t.match(lines[0], `CPUs`);
  t.match(lines[0], `Node ${process.version}`);
  t.match(lines[1], /^name +unit +min +median +max +heap B\/op +baseline +ratio +target +met$/);
  t.equal(written, '');
});

t.test('--json prints nothing but an array of objects; what a bench has not got is left out', async t => {
  const { out } = await run('--json');
  const [gre, record] = JSON.parse(out) as [object, object];
  t.strictSame(Object.keys(gre), ['name', 'unit', 'min', 'median', 'max', 'heap_bytes_per_op', 'machine', 'node']);
  t.match(record, {
    name: 'pipeline/record/100k', unit: 'ns', min: 1, median: 2, max: 4, heap_bytes_per_op: 0, baseline: 1, baseline_name: 'least', ratio: 2,
    target: 5, target_of: 'ratio', met: true, machine: String, node: process.version,
  });
});

t.test('what this machine cannot measure is left out, named with its reason, and told in RESULTS.md', async t => {
  const suite: readonly Bench[] = [...SUITE, { name: 'live/kernel/2/ndr', unit: 'kpps', what: 'a rate', missing: () => 'Node is too old', measure: () => t.fail('not to be measured') as never }];
  let out = '', err = '', written = '';
  const io = { out: (text: string) => void (out += text), err: (text: string) => void (err += text), writeResults: (text: string) => void (written += text), writeChart: () => t.fail('not asked for') };
  t.equal(await runBenches(['--json'], suite, io), 0);
  t.equal((JSON.parse(out) as unknown[]).length, SUITE.length);
  t.equal(err, 'Not measured here, Node is too old: live/kernel/2/ndr\n');
  await runBenches(['--write'], suite, io);
  t.match(written, '## Not measured here\n\n- `live/kernel/2/ndr`: Node is too old\n');
});

t.test('what is only for the asking runs when a name asks for it, and is listed', async t => {
  const suite: readonly Bench[] = [...SUITE, { ...SUITE[0], name: 'scale/sessions/4M', onRequest: '4M' }];
  const names = async (...argv: string[]): Promise<string[]> => {
    let out = '';
    await runBenches(argv, suite, { out: text => void (out += text), err: text => t.fail(text), writeResults: () => t.fail(), writeChart: () => t.fail() });
    return argv.includes('--json') ? (JSON.parse(out) as { name: string }[]).map(({ name }) => name) : out.trimEnd().split('\n').map(line => line.split(' ')[0]);
  };
  t.strictSame(await names('--json'), SUITE.map(({ name }) => name));
  t.strictSame(await names('--json', '/'), SUITE.map(({ name }) => name));
  t.strictSame(await names('--json', 'sessions/4M'), ['scale/sessions/4M']);
  t.equal((await names('--list')).length, suite.length);
});

t.test('a name picks every bench that has it in its own; several pick more', async t => {
  t.match((await run('--list', 'record')).out, /^pipeline\/record\/100k +a look-up\n$/);
  t.equal((await run('--list', 'record', 'gre')).out.split('\n').length, 3);
});

t.test('--write hands over the text of RESULTS.md and still prints the table', async t => {
  const { out, written } = await run('--write');
  t.match(written, '| pipeline/record/100k |');
  t.match(out, 'pipeline/record/100k');
});

const mistakes = [
  ['an unknown flag',              ['--jsn'],            '--jsn'],
  ['a name that no bench has',     ['vxlan'],            'no bench has vxlan in its name'],
  ['--write with rough figures',   ['--write', '--quick'], '--write wants all figures'],
  ['--write with some figures',    ['--write', 'gre'],   '--write wants all figures'],
] as const;
for (const [name, argv, message] of mistakes) {
  t.test(`${name} is refused with 2 and the usage, and nothing runs`, async t => {
    const { code, out, err, written } = await run(...argv);
    t.equal(code, 2);
    t.match(err, message);
    t.match(err, '--quick');
    t.equal(out + written, '');
  });
}

t.test('--help is the usage, and no mistake', async t => {
  const { code, out, err } = await run('--help');
  t.equal(code, 0);
  t.match(out, '--list');
  t.equal(err, '');
});
