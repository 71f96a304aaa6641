import t from 'tap';
import { checkArp } from '../../codecs/arp.js';
import { checkEthernet, EthernetView, parseEthernet } from '../../codecs/ethernet.js';
import { Fault } from '../../codecs/faults.js';
import { greChecksumOk, GreView, parseGre } from '../../codecs/gre.js';
import { checkIcmp, checkIcmpLen, fillIcmpChecksum, icmpQuoteEnd } from '../../codecs/icmp.js';
import { checkIcmpv6Len, checkNd, findNdOption, icmpv6QuoteEnd } from '../../codecs/icmpv6.js';
import { checkIpv4, checkQuotedIpv4, ipv4ChecksumOk, recomputeIpv4Checksum, writeIpv4FragmentHeader } from '../../codecs/ipv4.js';
import { Ipv6View, parseIpv6, parseQuotedIpv6 } from '../../codecs/ipv6.js';
import { checkNvgre } from '../../codecs/nvgre.js';
import { checkTcp, clampMss, findMss, tcpChecksumOk4 } from '../../codecs/tcp.js';
import { checkUdp, checkUdpFragment, udpChecksumOk4 } from '../../codecs/udp.js';
import { checkVxlan } from '../../codecs/vxlan.js';
import { hex } from '../support/bytes.js';
import { dissectFrame, dissectIp } from './dissect.js';
import { seeded } from '../support/seeded.js';
import { vector, vectorNames } from './vectors.js';

const FAULTS = Object.keys(Fault).length;
const [ethernetView, greView, ipv6View] = [new EthernetView(), new GreView(), new Ipv6View()];
const scratch = new Uint8Array(64);

/** Checks a header and, if it passes, does everything else that trusts the check. Returns the fault. */
type Reader = (mem: Uint8Array, at: number, end: number) => number;
const readers: Readonly<Record<string, Reader>> = {
  checkEthernet,
  parseEthernet: (mem, at, end) => parseEthernet(mem, at, end, ethernetView),
  checkArp,
  checkIpv4: (mem, at, end) => {
    const fault = checkIpv4(mem, at, end);
    if (fault === 0) writeIpv4FragmentHeader(scratch, 0, mem, at);
    return fault;
  },
  checkQuotedIpv4: (mem, at, end) => {
    const fault = checkQuotedIpv4(mem, at, end);
    if (fault === 0) ipv4ChecksumOk(mem, at);
    return fault;
  },
  parseIpv6: (mem, at, end) => parseIpv6(mem, at, end, ipv6View),
  parseQuotedIpv6: (mem, at, end) => parseQuotedIpv6(mem, at, end, ipv6View),
  checkUdp: (mem, at, end) => {
    const fault = checkUdp(mem, at, end);
    if (fault === 0) udpChecksumOk4(mem, at, 0, 0);
    return fault;
  },
  checkUdpFragment,
  checkTcp: (mem, at, end) => {
    const fault = checkTcp(mem, at, end);
    if (fault !== 0) return fault;
    tcpChecksumOk4(mem, at, end, 0, 0);
    findMss(mem, at);
    clampMss(mem, at, 536);
    return 0;
  },
  checkIcmp,
  checkIcmpLen: (mem, at, end) => {
    const fault = checkIcmpLen(mem, at, end);
    return fault !== 0 || icmpQuoteEnd(mem, at, end) <= end ? fault : -1;
  },
  checkIcmpv6Len: (mem, at, end) => {
    const fault = checkIcmpv6Len(mem, at, end);
    return fault !== 0 || icmpv6QuoteEnd(mem, at, end) <= end ? fault : -1;
  },
  checkNd: (mem, at, end) => {
    const fault = checkNd(mem, at, end, 255);
    if (fault === 0) for (let type = 0; type < 16; type++) findNdOption(mem, at, end, type);
    return fault;
  },
  parseGre: (mem, at, end) => {
    const fault = parseGre(mem, at, end, greView);
    if (fault === 0) greChecksumOk(mem, at, end);
    return fault;
  },
  checkNvgre,
  checkVxlan,
};

/** Memory that throws when a byte outside `at..end` is touched. */
function fenced(mem: Uint8Array, at: number, end: number): Uint8Array {
  function guard(key: string | symbol): void {
    const index = typeof key === 'string' && /^-?\d+$/.test(key) ? Number(key) : at;
    if (index < at || index >= end) throw new RangeError(`byte ${index} is outside ${at}..${end}`);
  }
  return new Proxy(mem, {
    get: (target, key) => {
      guard(key);
      if (key !== 'subarray') return Reflect.get(target, key, target) as unknown;
      return (from: number, to: number) => {
        guard(String(from));
        guard(String(to - 1));
        return target.subarray(from, to);
      };
    },
    set: (target, key, value) => { guard(key); return Reflect.set(target, key, value, target); },
  });
}

/** Random bytes whose first few are sometimes made plausible, so that checks get past their first line. */
function plausible(random: ReturnType<typeof seeded>, mem: Uint8Array, at: number, end: number): void {
  const first = [0x45, 0x46, 0x4f, 0x60, 0x00, 0x08, 0x20, 0xb0, 0x80, 0x87, 0x88][random.below(13)];
  if (first === undefined || at >= end) return;
  mem[at] = first;
  if (first >>> 4 === 4 && end - at >= 60) {
    mem[at + 2] = 0;
    mem[at + 3] = 60;
    for (let i = at + 20; i < at + 60; i++) if (random.below(3) === 0) mem[i] = random.below(9);
    recomputeIpv4Checksum(mem, at);
  }
  if (first === 0x60 && end - at >= 46) {
    mem[at + 4] = 0;
    mem[at + 5] = end - at - 40;
    for (let i = at + 6; i < end; i += 8) mem[i] = [0, 43, 44, 51, 60, 135, 17, 58][random.below(8)];
    for (let i = at + 41; i < end; i += 8) mem[i] = random.below(3);
  }
  if (first === 0x00 && end - at >= 28) mem.set([0, 1, 8, 0, 6, 4, 0, 1 + random.below(3)], at); // ARP
  if (first === 0x08 && end - at >= 8) fillIcmpChecksum(mem, at, end);
  if (first === 0x20 && end - at > 3) mem.set([0x20, 0, 0x65, 0x58], at);
  if (first === 0x87 && end - at >= 24) { // a neighbor solicitation with options of 8 bytes
    mem[at + 1] = 0;
    mem[at + 8] = 0x20;
    for (let i = at + 25; i < end; i += 8) mem[i] = 1;
  }
  if (first > 0x70 && end - at > 12) mem[at + 12] = 0x50 + 16 * random.below(11);
}

t.test('random bytes make no reader throw, touch what lies outside, or return what is no fault', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const wrong: string[] = [];
  const passed = new Set<string>();
  for (let round = 0; round < 4000; round++) {
    const mem = random.fill(new Uint8Array(160));
    const at = random.below(16);
    const end = at + random.below(130);
    plausible(random, mem, at, end);
    for (const [name, read] of Object.entries(readers)) {
      try {
        const fault = read(fenced(mem.slice(), at, end), at, end);
        if (!(fault >= 0 && fault <= FAULTS)) wrong.push(`${name} returns ${fault}: ${hex(mem, at, end)}`);
        if (fault === 0) passed.add(name);
      } catch (error) {
        wrong.push(`${name}, ${String(error)}: ${hex(mem, at, end)}`);
      }
    }
  }
  t.same(wrong.slice(0, 10), []);
  t.same([...passed].sort(), Object.keys(readers).sort(), 'and each has passed something');
});

t.test('a verdict does not depend on what lies behind the end', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const wrong: string[] = [];
  for (let round = 0; round < 20_000; round++) {
    const mem = random.fill(new Uint8Array(160));
    const at = random.below(16);
    const end = at + random.below(130);
    plausible(random, mem, at, end);
    const other = mem.slice();
    random.fill(other.subarray(end));
    for (const [name, read] of Object.entries(readers)) {
      if (read(mem.slice(), at, end) !== read(other.slice(), at, end)) wrong.push(`${name}: ${hex(mem, at, end)}`);
    }
  }
  t.same(wrong.slice(0, 10), []);
});

t.test('vectors with flipped bits and cut tails are read without throwing or touching what lies outside', async t => {
  const random = seeded();
  t.comment(`seed ${random.seed}`);
  const wrong: string[] = [];
  const verdicts = new Set<string>();
  for (let round = 0; round < 300; round++) {
    for (const name of vectorNames) {
      const mem = vector(name);
      for (let flips = random.below(4); flips > 0; flips--) mem[random.below(mem.length)] ^= 1 << random.below(8);
      if (name.startsWith('gre') || name.startsWith('nvgre') || name.startsWith('vxlan')) mem[mem[0] >>> 4 === 6 ? 46 : 26] = 0; // no outer checksum, so that more gets past it
      const end = mem.length - (random.below(3) === 0 ? random.below(mem.length + 1) : 0);
      const dissect = name.startsWith('arp') || name.startsWith('frame') ? dissectFrame : dissectIp;
      try {
        // A first nibble is read to tell the families apart, so there must be one.
        if (end > 0) verdicts.add(dissect(fenced(mem, 0, end), 0, end).split(' ').at(-1) ?? '');
      } catch (error) {
        wrong.push(`${name}, ${String(error)}: ${hex(mem, 0, end)}`);
      }
    }
  }
  t.same(wrong.slice(0, 10), []);
  t.ok(verdicts.size > 20, `${verdicts.size} different verdicts`);
});
