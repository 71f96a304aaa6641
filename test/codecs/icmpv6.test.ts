import t from 'tap';
import { Fault } from '../../codecs/faults.js';
import {
  checkIcmpv6, checkIcmpv6Len, fillIcmpv6Checksum, icmpv6Checksum, icmpv6Code, icmpv6Id, icmpv6QuoteEnd, icmpv6Seq,
  icmpv6Type, Icmpv6Type, isIcmpv6Error, setIcmpv6Type, writeIcmpv6Header,
} from '../../codecs/icmpv6.js';
import { writeIpv6 } from '../../codecs/ipv6.js';
import { bytes, hex } from '../support/bytes.js';
import { vector } from './vectors.js';

const GATEWAY = bytes('20010db8000100000000000000000001');
const HOST = bytes('20010db8000100000000000000000005');

t.test('RFC 4443 §2.3: the checksum covers the message and its pseudo-header', async t => {
  for (const name of ['icmpv6-too-big', 'icmpv6-hop-limit', 'neighbor-solicit', 'neighbor-advert']) {
    const mem = vector(name);
    t.equal(checkIcmpv6(mem, 40, mem.length, 0), 0, name);
    for (const at of [8, 24, 40, mem.length - 1]) {
      mem[at] ^= 1;
      t.equal(checkIcmpv6(mem, 40, mem.length, 0), Fault.icmpv6_checksum, `${name}, byte ${at} wrong`);
      t.equal(checkIcmpv6Len(mem, 40, mem.length), 0, 'a first fragment cannot tell');
      mem[at] ^= 1;
    }
  }
});

t.test('RFC 4443 §4.1: every field of an echo reads as it is written, over dirty memory', async t => {
  const mem = new Uint8Array(55).fill(0xa5);
  writeIpv6(mem, 1, 12, 58, 64, HOST, 0, GATEWAY, 0);
  t.equal(writeIcmpv6Header(mem, 41, Icmpv6Type.echo, 0, 0xfedc0007), 8);
  fillIcmpv6Checksum(mem, 41, 53, 1);
  t.equal(hex(mem, 49, 55), 'a5a5a5a5a5a5');
  t.equal(mem[0], 0xa5);
  t.equal(checkIcmpv6(mem, 41, 53, 1), 0);
  t.equal(icmpv6Type(mem, 41), 128);
  t.equal(icmpv6Code(mem, 41), 0);
  t.equal(icmpv6Id(mem, 41), 0xfedc);
  t.equal(icmpv6Seq(mem, 41), 7);
});

t.test('RFC 4443 §4.2: an echo becomes its reply by a new type and swapped addresses, and the checksum follows', async t => {
  const mem = new Uint8Array(53).fill(0xa5);
  writeIpv6(mem, 0, 13, 58, 64, HOST, 0, GATEWAY, 0);
  writeIcmpv6Header(mem, 40, Icmpv6Type.echo, 0, 0xfedc0007);
  fillIcmpv6Checksum(mem, 40, 53, 0);
  setIcmpv6Type(mem, 40, Icmpv6Type.echoReply);
  mem.set(GATEWAY, 8);
  mem.set(HOST, 24);
  t.equal(icmpv6Type(mem, 40), Icmpv6Type.echoReply);
  t.equal(checkIcmpv6(mem, 40, 53, 0), 0);
});

const errors = [
  ['RFC 4443 §3.2: a packet too big', 'icmpv6-too-big', Icmpv6Type.packetTooBig, 1400],
  ['RFC 4443 §3.3: a hop limit spent', 'icmpv6-hop-limit', Icmpv6Type.timeExceeded, 0],
] as const;
for (const [name, packet, type, rest] of errors) {
  t.test(`${name}: what we write is the vector, byte for byte`, async t => {
    const want = vector(packet);
    const mem = want.slice().fill(0xa5, 0, 48);
    writeIpv6(mem, 0, 56, 58, 64, GATEWAY, 0, HOST, 0);
    writeIcmpv6Header(mem, 40, type, 0, rest);
    fillIcmpv6Checksum(mem, 40, mem.length, 0);
    t.equal(hex(mem), hex(want));
    t.equal(icmpv6Checksum(mem, 40), (want[42] << 8) | want[43]);
  });
}

t.test('RFC 4443 §2.1: types below 128 are errors, known or not', async t => {
  t.same([0, 1, 4, 127].map(isIcmpv6Error), [true, true, true, true]);
  t.same([128, 129, 135, 255].map(isIcmpv6Error), [false, false, false, false]);
});

const quotes = [
  ['without a length it is all the rest', 1, 0, 200, 200],
  ['RFC 4884 §4.4: a length in units of 8 bytes', 1, 16, 200, 136],
  ['RFC 4884 §4.5: in a time exceeded as well', 3, 17, 200, 144],
  ['a length of exactly what is there', 1, 24, 200, 200],
  ['RFC 4884 §3: a length below 128 bytes is not believed', 1, 15, 200, 200],
  ['nor one past the end', 1, 25, 200, 200],
  ['a packet too big has an MTU there', 2, 16, 200, 200],
  ['a parameter problem has a pointer there', 4, 16, 200, 200],
] as const;
for (const [name, type, units, len, want] of quotes) {
  t.test(`where a quoted packet ends: ${name}`, async t => {
    const mem = new Uint8Array(len + 10);
    writeIcmpv6Header(mem, 5, type, 0, units << 24);
    t.equal(icmpv6QuoteEnd(mem, 5, 5 + len), 5 + want);
  });
}
