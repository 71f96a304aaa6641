/**
 * Whole texts: each file of traces/ starts with a call and holds all that it prints, its exit code last. To make them
 * anew after a change, run with CAUSEWAY_WRITE_FIXTURES=1 and read the difference.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { verb } from '../../daemon/verbs/trace.js';
import type { Trace } from '../../daemon/offline/trace-report.js';
import { hex } from '../support/bytes.js';
import { callVerb, type Called } from '../support/call-verb.js';
import { readAll } from '../support/captures.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FIXTURES = `${ROOT}test/fixtures/`;
const CONFIG = `${FIXTURES}trace.jsonc`;
const FOLDER = fileURLToPath(new URL('./traces/', import.meta.url));

function trace(...args: string[]): Promise<Called> {
  return callVerb(verb, '-c', CONFIG, ...args);
}

for (const name of readdirSync(FOLDER)) {
  t.test(`${name.replace('.txt', '').replaceAll('-', ' ')}: the whole text`, async t => {
    const wanted = readFileSync(FOLDER + name, 'utf8');
    const call = wanted.slice(0, wanted.indexOf('\n'));
    const { code, out, err } = await trace(...call.replace('$ causeway trace ', '').replace('FIXTURES/', FIXTURES).split(' '));
    const text = `${call}\n${(out + err).replaceAll(FIXTURES, '')}exit ${code}\n`;
    if (process.env.CAUSEWAY_WRITE_FIXTURES === '1') writeFileSync(FOLDER + name, text);
    t.equal(text, wanted);
  });
}

const FLOW = ['--tenant', 'red', '--from', '10.0.0.5', '--to', '198.51.100.9'];

t.test('--json: the same in structure, with the reason of a drop', async t => {
  const { code, out } = await trace('--tenant', 'red', '--from', '10.0.0.5', '--to', '10.0.1.7', '--tcp', '22', '--json');
  const found = JSON.parse(out) as Trace;
  t.equal(code, 5);
  t.same(Object.keys(found), ['input', 'tenant', 'steps', 'verdict', 'text', 'drop', 'sends', 'released']);
  t.match(found, { tenant: 'red', verdict: 'dropped', drop: { stage: 'acl', reason: 'acl_denied', severity: 'policy', help: /./, source: /./ }, sends: [] });
  t.same(found.steps.at(-1), { stage: 'acl', text: 'inbound entry no-ssh: deny', config: `${CONFIG}:47` });
});

t.test('a packet of a capture meets the state that those before it left', async t => {
  // Packet 16 of walks.pcap is a later fragment; packet 17 its first, which sets it free.
  const red = `${ROOT}config/examples/red-and-blue.jsonc`;
  const held = await callVerb(verb, '-c', red, '--capture', `${FIXTURES}replay/walks.pcap`, '--packet', '16');
  t.equal(held.code, 0);
  t.match(held.out, /verdict +held until the first fragment of its datagram comes, tenant red\n/);
  const first = await callVerb(verb, '-c', red, '--capture', `${FIXTURES}replay/walks.pcap`, '--packet', '17', '--json');
  t.match(JSON.parse(first.out), { verdict: 'forwarded', released: [/^sets free packet 16, which waited for it: tenant red: forwarded to uplink inet; source 10\.0\.0\.5 -> 203\.0\.113\.10/] });
});

t.test('a frame in hex is what a capture would hold; a UDP payload needs its sender', async t => {
  const { data } = readAll(readFileSync(`${FIXTURES}replay/walks.pcap`)).packets[5];
  const red = `${ROOT}config/examples/red-and-blue.jsonc`;
  const frame = await callVerb(verb, '-c', red, '--hex', data, '--json');
  const payload = await callVerb(verb, '-c', red, '--hex', data.slice(2 * 42), '--pa', '192.0.2.11', '--json');
  const [a, b] = [JSON.parse(frame.out) as Trace, JSON.parse(payload.out) as Trace];
  t.equal(a.verdict, 'forwarded');
  t.same(a.steps.slice(1), b.steps.slice(1));
  t.same(a.sends, b.sends);
  const other = await callVerb(verb, '-c', red, '--hex', data.slice(2 * 42), '--pa', '192.0.2.11', '--carrier', 'vxlan', '--json');
  t.match(JSON.parse(other.out), { drop: { reason: 'encap_mismatch' } });
  const spaced = await callVerb(verb, '-c', red, '--hex', `0x${data.replace(/../g, '$&:')}`, '--json');
  t.equal(spaced.out, frame.out, 'colons do not count');
});

t.test('the same call prints the same; another seed may choose another NAT port', async t => {
  const [one, two, other] = [await trace(...FLOW, '--udp', '53'), await trace(...FLOW, '--udp', '53'), await trace(...FLOW, '--udp', '53', '--seed', '2')];
  t.equal(one.out, two.out);
  t.not(one.out, other.out);
});

t.test('--flags, --size and --df shape the packet', async t => {
  const { out } = await trace('--tenant', 'red', '--from', '10.0.0.5', '--to', '10.0.1.7', '--tcp', '80', '--flags', 'fin,ack', '--size', '100', '--df', '--json');
  const { sends } = JSON.parse(out) as Trace;
  t.match(sends[0].layers, ['VXLAN, VNI 5002', /Ethernet/, "IPv4 10.0.0.5 -> 10.0.1.7, TTL 63, 100 bytes, don't fragment", 'TCP 50000 -> 80 FIN+ACK']);
});

const refusals = [
  ['nothing named', [], /which packet/],
  ['two ways at once', [...FLOW, '--icmp', '--hex', '00'], /--tenant and --hex name the packet in two ways/],
  ['no protocol', FLOW, /one of --tcp PORT, --udp PORT and --icmp/],
  ['two protocols', [...FLOW, '--icmp', '--udp', '9'], /one of/],
  ['no destination', ['--tenant', 'red', '--from', '10.0.0.5', '--icmp'], /needs --to/],
  ['an unknown tenant', ['--tenant', 'rad', '--from', '10.0.0.5', '--to', '10.0.0.6', '--icmp'], /no such tenant, did you mean red\?/],
  ['an unknown host', [...FLOW, '--icmp', '--host', 'nobody'], /no such host; there are host-a, host-b/],
  ['a CA without a record', ['--tenant', 'red', '--from', '10.0.0.9', '--to', '10.0.0.5', '--icmp'], /no record of tenant red has the CA 10\.0\.0\.9; .*--host/],
  ["the gateway's own CA", ['--tenant', 'red', '--from', '10.0.0.1', '--to', '10.0.0.5', '--icmp'], /the gateway's own CA in web/],
  ['outside, and no way in', ['--tenant', 'blue', '--from', '198.51.100.9', '--to', '10.0.0.5', '--icmp'], /it has no NAT and no forwarding/],
  ['two families', ['--tenant', 'red', '--from', '10.0.0.5', '--to', '2001:db8::1', '--icmp'], /different families/],
  ['no address', ['--tenant', 'red', '--from', '10.0.0.500', '--to', '10.0.0.5', '--icmp'], /--from 10\.0\.0\.500: not an IP address/],
  ['a size below the headers', [...FLOW, '--udp', '53', '--size', '20'], /headers alone take 28 bytes/],
  ['flags of no TCP', [...FLOW, '--udp', '53', '--flags', 'syn'], /--tcp/],
  ['an unknown flag of TCP', [...FLOW, '--tcp', '53', '--flags', 'sin'], /sin is none of fin, syn, rst, psh, ack, urg/],
  ['a port that is none', [...FLOW, '--tcp', '0'], /whole number from 1 to 65535/],
  ['odd hex', ['--hex', 'abc'], /even number of hex digits/],
  ['a carrier that is none', ['--hex', 'ab', '--pa', '192.0.2.11', '--carrier', 'geneve'], /gre or vxlan/],
  ['a carrier for a frame', ['--hex', 'ab', '--carrier', 'gre'], /goes with --pa/],
  ['a capture without a number', ['--capture', 'x.pcap'], /--packet N/],
  ['a number without a capture', ['--packet', '1'], /--capture/],
] as const;
for (const [name, args, why] of refusals) {
  t.test(`refused as usage: ${name}`, async t => {
    const { code, out, err } = await trace(...args);
    t.equal(code, 2);
    t.equal(out, '');
    t.match(err, why);
  });
}

t.test('captures that are not there, or have no such packet: said so, exit 1', async t => {
  const gone = await trace('--capture', '/nowhere/x.pcap', '--packet', '1');
  t.same([gone.code, gone.err], [1, 'cannot read /nowhere/x.pcap: there is no such file or folder\n']);
  const few = await trace('--capture', `${FIXTURES}replay/offload.pcap`, '--packet', '3');
  t.equal(few.code, 1);
  t.match(few.err, /offload\.pcap has no packet 3: 2 could be read\n$/);
});

t.test('a trace says of any bytes what becomes of them', async t => {
  for (const bytes of [new Uint8Array(1), new Uint8Array(14), new Uint8Array(200)]) {
    const { code, out } = await trace('--hex', hex(bytes));
    t.equal(code, 5);
    t.match(out, /verdict +dropped at the outer headers, (link_truncated|not_a_tunnel), tenant -\n/);
  }
});
