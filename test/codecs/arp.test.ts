import t from 'tap';
import {
  ARP_REPLY, ARP_REQUEST, arpOp, arpSenderIp, arpSenderMacHigh, arpSenderMacLow,
  arpTargetIp, arpTargetMacHigh, arpTargetMacLow, checkArp, writeArp,
} from '../../codecs/arp.js';
import { Fault } from '../../codecs/faults.js';
import { bytes, hex } from '../support/bytes.js';
import { vector } from './vectors.js';

const A = 0x0a000005;
const B = 0x0a000006;

/** op, sender MAC high and low, sender IP, target MAC high and low, target IP. */
type Message = readonly [number, number, number, number, number, number, number];

function read(mem: Uint8Array, at: number): Message {
  return [
    arpOp(mem, at),
    arpSenderMacHigh(mem, at), arpSenderMacLow(mem, at), arpSenderIp(mem, at),
    arpTargetMacHigh(mem, at), arpTargetMacLow(mem, at), arpTargetIp(mem, at),
  ];
}

const messages: readonly (readonly [string, string, Message])[] = [
  ['a request', 'arp-request', [ARP_REQUEST, 0x0015, 0x5d000001, A, 0, 0, B]],
  ['a reply', 'arp-reply', [ARP_REPLY, 0x0015, 0x5d000002, B, 0x0015, 0x5d000001, A]],
  ['a gratuitous announcement has one address on both sides', 'arp-gratuitous', [ARP_REQUEST, 0x0015, 0x5d000002, B, 0, 0, B]],
  ['a probe, RFC 5227 §2.1.1, has sender address 0', 'arp-probe', [ARP_REQUEST, 0x0015, 0x5d000002, 0, 0, 0, B]],
];
for (const [name, packet, want] of messages) {
  t.test(`RFC 826: ${name}`, async t => {
    const mem = vector(packet);
    t.equal(checkArp(mem, 14, mem.length), 0);
    t.same(read(mem, 14), want);

    const written = new Uint8Array(30).fill(0xa5);
    t.equal(writeArp(written, 1, ...want), 28);
    t.equal(hex(written), `a5${hex(mem, 14)}a5`, 'written, it is the same bytes, over dirty memory');
  });
}

const others = [
  ['hardware type 6, IEEE 802', '0006 0800 06 04 0001'],
  ['protocol type IPv6', '0001 86dd 06 04 0001'],
  ['hardware addresses of 8 bytes', '0001 0800 08 04 0001'],
  ['protocol addresses of 16 bytes', '0001 0800 06 10 0001'],
  ['operation 0', '0001 0800 06 04 0000'],
  ['operation 3, RARP', '0001 0800 06 04 0003'],
] as const;
for (const [name, start] of others) {
  t.test(`RFC 826: refused: ${name}`, async t => {
    const mem = new Uint8Array(28);
    mem.set(bytes(start));
    t.equal(checkArp(mem, 0, 28), Fault.arp_unsupported);
  });
}
