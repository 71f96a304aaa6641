import t from 'tap';
import { parseJsonc, type Node } from '../../config/jsonc.js';
import { problemsOf } from './base.js';

/** A tree as the plain value it stands for. */
function plain(node: Node): unknown {
  if (node.kind === 'object') return Object.fromEntries(node.value.map(m => [m.key, plain(m.node)]));
  return node.kind === 'array' ? node.value.map(plain) : node.value;
}

function read(text: string): unknown {
  const { root, faults } = parseJsonc(text);
  if (faults.length > 0) throw new Error(`${text}: ${faults.map(f => f.message).join(', ')}`);
  return plain(root);
}

t.test('RFC 8259: what JSON is, reads as JSON.parse reads it', async t => {
  const texts = [
    '{}', '[]', ' [ 1 , 2 ] ', '"x"', 'null', 'true', '-0', '0', '10', '-1.5e+3', '1E2', '0.25', '123456789012345678901234567890',
    '{"a":{"b":[{"c":null},false,"d"]}}', '"\\u00e9\\n\\t\\"\\\\\\/\\b\\f\\r"', '"\\ud83d\\ude00"', '"é \u{1f600} \u2028"', '{"":1}', '[[[[[]]]]]', '{"a":1,"b":2}\r\n',
  ];
  for (const text of texts) t.same(read(text), JSON.parse(text));
});

t.test('comments and trailing commas are white space', async t => {
  t.same(read('// first\n{ /* a */ "a": 1, // one\n "b": [1, 2,], /**/ }// end'), { a: 1, b: [1, 2] });
  t.same(read('{"a":"// not /* a */ comment"}'), { a: '// not /* a */ comment' });
  t.same(read('{"a":1/* touching */,"b":2// too\n}'), { a: 1, b: 2 });
  t.same(read('\ufeff{"a":1}'), { a: 1 }, 'a byte order mark');
});

/** Text, whether its meaning is still plain, and line:column message for each fault. */
const FAULTS: readonly (readonly [text: string, lost: boolean, ...faults: string[]])[] = [
  ['{"a":1 "b":2}', false, '1:7 a comma is missing'],
  ['{"a":1\n "b":2\n "c":3}', false, '1:7 a comma is missing', '2:7 a comma is missing'],
  ['[1 2]', false, '1:3 a comma is missing'],
  ['{"a" 1}', false, '1:5 a colon is missing after the key'],
  ['{"a" = 1}', false, '1:6 = where : belongs'],
  ['{a:1}', false, '1:2 the key is not in double quotes'],
  ['{\'a\':1}', false, '1:2 the key is not in double quotes'],
  ['{"a":red}', false, '1:6 text without quotes'],
  ['{"a":\'red\'}', false, '1:6 text without quotes'],
  ['{"a":10.0.0.0/24}', false, '1:6 text without quotes'],
  ['{"a":00:15:5d:00:00:05}', false, '1:6 text without quotes'],
  ['{"a":True}', false, '1:6 True is not a word of JSON'],
  ['{"a":None}', false, '1:6 None is not a word of JSON'],
  ['{"a":0x10}', false, '1:6 not a number of JSON'],
  ['{"a":010}', false, '1:6 not a number of JSON'],
  ['{"a":+1}', false, '1:6 not a number of JSON'],
  ['{"a":1_000}', false, '1:6 not a number of JSON'],
  ['{"a":1e999}', false, '1:6 not a number of JSON'],
  ['{"a":1;"b":2}', false, '1:7 ; where a comma belongs'],
  ['{"a":1,,"b":2}', false, '1:8 a comma with nothing before it'],
  ['[,1]', false, '1:2 a comma with nothing before it'],
  ['{"a":}', false, '1:6 a value is missing'],
  ['{"a":,"b":1}', false, '1:6 a value is missing'],
  ['{"a"}', false, '1:2 the key "a" has no value'],
  ['{"a":1,"a":2}', false, '1:8 the key "a" is there twice'],
  ['{"a":1} # end', false, '1:9 # does not start a comment here'],
  ['{"a":\u00a01}', false, '1:6 a space that is not a plain space'],
  ['{"a":"\\x"}', false, '1:7 not an escape of JSON'],
  ['{"a":"\\u12"}', false, '1:7 not an escape of JSON'],
  ['{"a":"tab\there"}', false, '1:10 a control character inside a string'],
  ['{"a":1', true, '1:1 this { is never closed'],
  ['{"a":[1,2}', true, '1:10 the [ of line 1 is not closed before this }'],
  ['[{"a":1,{"b":2}]', true, '1:9 the { of line 1 is not closed before this {'],
  ['[{"a":1]', true, '1:8 the { of line 1 is not closed before this ]'],
  ['{"a":"red,\n"b":2}', true, '1:6 the string is not closed'],
  ['{"a":1}}', true, '1:8 something follows the end of the config'],
  ['"gateway": {}', true, '1:10 something follows the end of the config'],
  ['{"a":1 /* b', true, '1:8 the comment is never closed'],
  ['', true, '1:1 the file is empty'],
  ['// nothing\n', true, '1:1 the file is empty'],
  ['{:1}', true, '1:2 a key is missing'],
  ['{"a":"b":1}', true, '1:9 : is not expected here'],
];

for (const [text, lost, ...want] of FAULTS) {
  t.test(`${JSON.stringify(text)} has ${want.length === 1 ? 'one fault' : `${want.length} faults`}`, async t => {
    const parsed = parseJsonc(text);
    const got = parsed.faults.map(f => {
      const before = text.slice(0, f.at).split('\n');
      return `${before.length}:${before[before.length - 1].length + 1} ${f.message}`;
    });
    t.same(got, want);
    t.equal(parsed.lost, lost);
  });
}

t.test('several syntax errors in one file are several problems, with their lines, and the meaning is checked too', async t => {
  const text = `{
  "gateway": { listen: "192.0.2.1" }
  "hosts": [
    { "name": "host-a", "pa": 192.0.2.11, "encap": "nvgre" };
    { "name": "host-b", "pa": "192.0.2.12", "encap": "vxlann" }
  ],,
}`;
  const got = problemsOf(text).map(p => `${p.line}:${p.column} ${p.path} ${p.message}`);
  t.same(got, [
    '2:16 gateway.listen the key is not in double quotes',
    '2:37 gateway a comma is missing',
    '4:31 hosts[0].pa text without quotes',
    '4:61 hosts[0] ; where a comma belongs',
    '5:54 hosts[1].encap not "nvgre" or "vxlan"',
    '6:5  a comma with nothing before it',
  ]);
});

t.test('where the parser has to guess, only the syntax is reported', async t => {
  const problems = problemsOf('{ "gateway": { "listen": "192.0.2.1 },\n "hosts": 7 }');
  t.same(problems.map(p => p.message), ['the string is not closed', 'this { is never closed'].slice(0, problems.length));
  t.equal(problems[0]?.line, 1);
});

t.test('a file of brackets does not exhaust the stack, and one of nonsense does not exhaust the reader', async t => {
  t.same(problemsOf('['.repeat(100000)).map(p => p.message), ['nested deeper than 64 levels']);
  t.equal(problemsOf('{a b '.repeat(10) + '? '.repeat(10000)).length <= 100, true);
  t.equal(problemsOf(',;:'.repeat(100000)).length <= 100, true);
});

t.test('an object with thousands of keys finds its twins in good time', async t => {
  const keys = Array.from({ length: 20000 }, (_, i) => `"k${i}": 1`);
  const { faults } = parseJsonc(`{${[...keys, '"k19999": 2', '"k3": 2'].join(', ')}}`);
  t.same(faults.map(f => f.message), ['the key "k19999" is there twice', 'the key "k3" is there twice']);
});
