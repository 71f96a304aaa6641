import { readFileSync } from 'node:fs';
import t from 'tap';
import { TcpFlag } from '../../codecs/tcp.js';
import type { Stage } from '../../pipeline/context.js';
import { datagramWords } from '../../pipeline/explain/datagram-words.js';
import { describe } from '../../pipeline/explain/describe.js';
import { WALKS } from '../../pipeline/graph.js';
import { tellStep, toldStages, type TraceStep } from '../../pipeline/explain/trace-steps.js';
import { bytes } from '../support/bytes.js';
import { echo, ethernet, gre, icmp, nvgre, tcp, udp, vxlan } from '../support/frames.js';
import { Lab } from '../support/lab.js';

const CONFIG = readFileSync(new URL('../fixtures/trace.jsonc', import.meta.url), 'utf8');
const GATEWAY = '02:00:00:00:00:01', RED_5 = '00:15:5d:00:01:05';

/** What `describe` says of a datagram, and the stages that spoke. */
function told(pa: string, datagram: Uint8Array, before: readonly (readonly [string, Uint8Array])[] = [], config = CONFIG): { comment: string; steps: TraceStep[] } {
  const lab = new Lab(config);
  for (const [from, earlier] of before) lab.receive(from, earlier);
  let comment = '';
  const steps: TraceStep[] = [];
  lab.gateway.observer = {
    step: (stage, p, verdict, c) => { steps.push(...tellStep(stage, p, verdict, c)); },
    settled: (p, verdict, c) => { comment = describe(p, verdict, c); },
  };
  lab.receive(pa, datagram, pa === '2001:db8:0:1::12' ? 'vxlan' : 'gre');
  return { comment, steps };
}
const fromRed5 = (packet: Uint8Array): Uint8Array => nvgre(5001, ethernet(GATEWAY, RED_5, packet));
const syn = fromRed5(tcp('10.0.0.5', 8080, '198.51.100.9', 443, TcpFlag.syn, '', { mss: 1460 }));

t.test('every stage of every walk has words, and no words are left over', async t => {
  const walked = new Set<Stage>(WALKS.flat());
  t.same([...walked].filter(stage => !toldStages().has(stage)).map(stage => stage.name), [], 'stages without words');
  t.same([...toldStages()].filter(stage => !walked.has(stage)).map(stage => stage.name), [], 'words without a stage');
});

const comments = [
  ['NAT out', '192.0.2.11', syn, 'tenant red: forwarded to uplink inet; source 10.0.0.5:8080 -> 203.0.113.10:80; TTL 64 -> 63; MSS at most 1410'],
  ['a spoof, with the tenant it claims', '192.0.2.11', nvgre(5001, ethernet(GATEWAY, RED_5, udp('10.0.0.6', 1, '10.0.0.1', 2))),
    'tenant -, claiming to be red: dropped, spoofed_source: Inner source has no lookup record at this sender; UDP 10.0.0.6:1 -> 10.0.0.1:2'],
  ['an ACL entry, by name and line', '192.0.2.11', fromRed5(tcp('10.0.0.5', 1, '198.51.100.9', 25, TcpFlag.syn)),
    'tenant red: dropped, acl_denied: An ACL entry denies it (no-smtp, lab.jsonc:48); TCP 10.0.0.5:1 -> 198.51.100.9:25'],
  ['an echo to the gateway', '192.0.2.11', fromRed5(echo('10.0.0.5', '10.0.0.1', 7)), 'tenant red: consumed by the gateway itself; ICMP echo request 10.0.0.5 -> 10.0.0.1'],
  ['a ping through NAT has an id for a port', '192.0.2.11', fromRed5(echo('10.0.0.5', '198.51.100.9', 7)), /^tenant red: forwarded to uplink inet; source 10\.0\.0\.5 id 7 -> 203\.0\.113\.10 id \d+; TTL 64 -> 63$/],
  ['a packet from nobody', '192.0.2.99', syn, 'tenant -: dropped, pa_unknown: Sender is no host, uplink or site'],
] as const;
for (const [name, pa, datagram, wanted] of comments) {
  t.test(`a comment tells ${name}`, async t => {
    if (typeof wanted === 'string') t.equal(told(pa, datagram).comment, wanted);
    else t.match(told(pa, datagram).comment, wanted);
  });
}

t.test('a trace names the rules that measured, beside the one that decided or without', async t => {
  const config = CONFIG.replace('"acls": [', `"acls": [
        { "name": "all", "weight": 30, "action": "measure", "direction": "outbound" }, { "name": "mail", "weight": 10, "action": "measure", "direction": "outbound", "remotePort": 25, "protocol": "tcp" },
        { "name": "to-22", "weight": 10, "action": "measure", "direction": "inbound", "localPort": 22, "protocol": "tcp" },`);
  const acl = (packet: Uint8Array): string[] => told('192.0.2.11', fromRed5(packet), [], config).steps.filter(({ stage }) => stage === 'acl').map(({ text }) => text);
  t.same(acl(tcp('10.0.0.5', 1, '198.51.100.9', 25, TcpFlag.syn)), ['outbound entry no-smtp: deny; measured by all, mail']);
  t.same(acl(tcp('10.0.0.5', 1, '10.0.1.7', 22, TcpFlag.syn)), ['outbound: no entry matches, which allows; measured by all', 'inbound entry no-ssh: deny; measured by to-22']);
});

t.test('an ICMP error through NAT: comment and trace say that the quoted packet is translated too', async t => {
  const lab = new Lab(CONFIG);
  lab.receive('192.0.2.11', syn);
  const quoted = lab.take()[0].bytes.slice(4); // behind its GRE header
  const error = gre(icmp('198.51.100.1', '203.0.113.10', 11, 0, 0, quoted));
  const { comment, steps } = told('198.51.100.20', error, [['192.0.2.11', syn]]);
  t.equal(comment, 'tenant red: forwarded to host host-a in subnet web (VSID 5001); destination 203.0.113.10 -> 10.0.0.5, and in the packet it quotes; TTL 64 -> 63');
  t.match(steps.find(({ stage }) => stage === 'nat'), { text: 'error about a session; destination 203.0.113.10 -> 10.0.0.5, and in the packet it quotes', config: 'lab.jsonc:35' });
});

const datagrams = [
  ['NVGRE with a FlowID', nvgre(5001, ethernet(GATEWAY, RED_5, udp('10.0.0.5', 1, '10.0.0.6', 2)), 0x42), false,
    ['NVGRE, VSID 5001, FlowID 66', `Ethernet ${RED_5} -> ${GATEWAY}`, 'IPv4 10.0.0.5 -> 10.0.0.6, TTL 64, 28 bytes', 'UDP 1 -> 2']],
  ['VXLAN', vxlan(5001, ethernet(GATEWAY, RED_5, echo('2001:db8::5', '2001:db8::6', 9))), true,
    ['VXLAN, VNI 5001', `Ethernet ${RED_5} -> ${GATEWAY}`, 'IPv6 2001:db8::5 -> 2001:db8::6, hop limit 64, 56 bytes', 'ICMPv6 echo request, id 9, sequence 1']],
  ['GRE with a key', gre(tcp('10.0.0.5', 1, '10.0.0.6', 2, TcpFlag.syn | TcpFlag.ack, '', { mss: 1200 }), 7001), false,
    ['GRE, key 7001', 'IPv4 10.0.0.5 -> 10.0.0.6, TTL 64, 44 bytes', 'TCP 1 -> 2 SYN+ACK, MSS 1200']],
  ['an ICMPv6 error', gre(icmp('2001:db8::1', '2001:db8::5', 2, 0, 1400, udp('2001:db8::5', 1, '2001:db8::6', 2))), false,
    ['GRE without a key', 'IPv6 2001:db8::1 -> 2001:db8::5, hop limit 64, 96 bytes', 'ICMPv6 packet too big, MTU 1400',
      'about IPv6 2001:db8::5 -> 2001:db8::6, hop limit 64, 48 bytes', 'UDP 1 -> 2']],
  ['an ARP reply', nvgre(5001, bytes('00155d000105 020000000001 0806 0001080006040002 020000000001 0a000001 00155d000105 0a000005')), false,
    ['NVGRE, VSID 5001', `Ethernet ${GATEWAY} -> ${RED_5}`, `ARP reply: 10.0.0.1 is at ${GATEWAY}`]],
  ['a protocol without ports', gre(bytes('4500 0014 0000 0000 40 59 0000 0a000005 0a000006')), false,
    ['GRE without a key', 'IPv4 10.0.0.5 -> 10.0.0.6, TTL 64, 20 bytes', 'protocol 89']],
] as const;
for (const [name, datagram, isVxlan, layers] of datagrams) {
  t.test(`layer by layer in words: ${name}`, async t => { t.same(datagramWords(datagram, 0, datagram.length, isVxlan).layers, layers); });
}

t.test('a datagram cut anywhere still has words, and no exception', async t => {
  for (const [, datagram, isVxlan] of datagrams) {
    for (let end = 0; end < datagram.length; end++) t.ok(datagramWords(datagram.slice(0, end), 0, end, isVxlan).layers.length > 0);
  }
});
