import t from 'tap';
import { Fault } from '../../codecs/faults.js';
import {
  checkIcmpv6, checkNd, checkNdAddresses, fillIcmpv6Checksum, findNdOption, icmpv6Type, Icmpv6Type, NaFlag, ND_TARGET,
  NdOption, writeNeighborAdvert, writeNeighborSolicit,
} from '../../codecs/icmpv6.js';
import { IPV6_DST, IPV6_SRC, writeIpv6 } from '../../codecs/ipv6.js';
import { bytes, hex } from '../support/bytes.js';
import { vector } from './vectors.js';

const TARGET = '20010db8000100000000000000000006';

t.test('RFC 4861 §4.3, §4.4: a solicitation and an advertisement are read', async t => {
  const solicit = vector('neighbor-solicit');
  t.equal(checkNd(solicit, 40, 72, 255), 0);
  t.equal(checkNdAddresses(solicit, 40, 72, 0), 0);
  t.equal(icmpv6Type(solicit, 40), Icmpv6Type.neighborSolicit);
  t.equal(hex(solicit, 40 + ND_TARGET, 40 + ND_TARGET + 16), TARGET);
  t.equal(findNdOption(solicit, 40, 72, NdOption.sourceLink), 64);
  t.equal(findNdOption(solicit, 40, 72, NdOption.targetLink), -1);

  const advert = vector('neighbor-advert');
  t.equal(checkNd(advert, 40, 72, 255), 0);
  t.equal(checkNdAddresses(advert, 40, 72, 0), 0);
  t.equal(findNdOption(advert, 40, 72, NdOption.targetLink), 64);
});

t.test('RFC 4861 §4.3: the solicitation we write is the vector, byte for byte, over dirty memory', async t => {
  const want = vector('neighbor-solicit');
  const mem = new Uint8Array(74).fill(0xa5);
  writeIpv6(mem, 1, 32, 58, 255, want, IPV6_SRC, want, IPV6_DST);
  t.equal(writeNeighborSolicit(mem, 41, bytes(TARGET), 0, 0x0015, 0x5d000001), 32);
  fillIcmpv6Checksum(mem, 41, 73, 1);
  t.equal(hex(mem), `a5${hex(want)}a5`);
});

t.test('RFC 4861 §4.4: so is the advertisement, with the target from the solicitation it overwrites', async t => {
  const want = vector('neighbor-advert');
  for (const shift of [0, 5, -5]) {
    const mem = new Uint8Array(120).fill(0xa5);
    mem.set(vector('neighbor-solicit'), 10);
    const at = 10 + shift;
    t.equal(writeNeighborAdvert(mem, at + 40, mem, 50 + ND_TARGET, NaFlag.router | NaFlag.override, 0x0015, 0x5d000002), 32);
    writeIpv6(mem, at, 32, 58, 255, want, IPV6_SRC, want, IPV6_DST);
    fillIcmpv6Checksum(mem, at + 40, at + 72, at);
    mem[at + 44] = 0x60; // the vector says solicited in place of router
    fillIcmpv6Checksum(mem, at + 40, at + 72, at);
    t.equal(hex(mem, at, at + 72), hex(want), `${shift} bytes further on`);
    t.equal(checkIcmpv6(mem, at + 40, at + 72, at), 0);
  }
});

t.test('RFC 4861 §4.4: the three flags', async t => {
  for (const [flag, want] of [[NaFlag.router, '80000000'], [NaFlag.solicited, '40000000'], [NaFlag.override, '20000000']] as const) {
    const mem = new Uint8Array(32).fill(0xa5);
    writeNeighborAdvert(mem, 0, bytes(TARGET), 0, flag, 0, 0);
    t.equal(hex(mem, 4, 8), want);
  }
});

const NS = `87 00 0000 00000000 ${TARGET}`;
const SOURCE_LINK = '0101 00155d000001';
const GROUP = 'ff020000000000000000000000000001';
const malformed = [
  ['§7.1.1: a code', `87 01 0000 00000000 ${TARGET}`, 255, Fault.nd_malformed],
  ['§7.1.1: a hop limit of 254', NS, 254, Fault.nd_malformed],
  ['§7.1.1: 23 bytes', NS.slice(0, -2), 255, Fault.icmpv6_truncated],
  ['§7.1.1: a group for a target', `87 00 0000 00000000 ${GROUP}`, 255, Fault.nd_malformed],
  ['§7.1.2: a group for a target of an advertisement', `88 00 0000 00000000 ${GROUP}`, 255, Fault.nd_malformed],
  ['§8.1: a redirect of 39 bytes', `89 00 0000 00000000 ${TARGET} ${TARGET.slice(2)}`, 255, Fault.icmpv6_truncated],
  ['§6.1.2: a router advertisement of 15 bytes', '86 00 0000 40000708 00000000 000000', 255, Fault.icmpv6_truncated],
  ['§4.6: an option of length 0', `${NS} 0100 00155d000001`, 255, Fault.nd_malformed],
  ['§4.6: an option of length 0 behind a good one', `${NS} ${SOURCE_LINK} 0e00 000000000000`, 255, Fault.nd_malformed],
  ['§4.6: an option past the end', `${NS} 0102 00155d000001`, 255, Fault.nd_malformed],
  ['§4.6: a byte of an option', `${NS} 01`, 255, Fault.nd_malformed],
  ['no options at all', NS, 255, 0],
  ['§4.6: options nobody knows', `${NS} 0e02 0000000000000000000000000000 ${SOURCE_LINK}`, 255, 0],
  ['a router solicitation', `85 00 0000 00000000 ${SOURCE_LINK}`, 255, 0],
  ['a router advertisement', `86 00 0000 40000708 00000000 00000000 ${SOURCE_LINK}`, 255, 0],
  ['a redirect', `89 00 0000 00000000 ${TARGET} ${TARGET} 0201 00155d000001`, 255, 0],
] as const;
for (const [name, message, hopLimit, want] of malformed) {
  t.test(`RFC 4861 ${name}`, async t => {
    const mem = bytes(message);
    t.equal(checkNd(mem, 0, mem.length, hopLimit), want);
  });
}

t.test('the option asked for is found behind others', async t => {
  const mem = bytes(`${NS} 0e02 0000000000000000000000000000 ${SOURCE_LINK}`);
  t.equal(findNdOption(mem, 0, mem.length, NdOption.sourceLink), 40);
});

const LINK_LOCAL = 'fe80000000000000000000000000 0001';
const GLOBAL = '20010db8000100000000000000000001';
const NOBODY = '00'.repeat(16);
const SOLICITED_NODE = 'ff0200000000000000000001ff000006';
const addresses = [
  ['§7.1.1: from nobody to the solicited-node group', NOBODY, SOLICITED_NODE, NS, 0],
  ['§7.1.1: from nobody to one host', NOBODY, TARGET, NS, Fault.nd_malformed],
  ['§7.1.1: from nobody to another group', NOBODY, GROUP, NS, Fault.nd_malformed],
  ['§7.1.1: from nobody, with a link address', NOBODY, SOLICITED_NODE, `${NS} ${SOURCE_LINK}`, Fault.nd_malformed],
  ['§7.1.1: from somebody, with a link address', GLOBAL, SOLICITED_NODE, `${NS} ${SOURCE_LINK}`, 0],
  ['§7.1.2: an advertisement to a group', GLOBAL, GROUP, `88 00 0000 20000000 ${TARGET}`, 0],
  ['§7.1.2: a solicited advertisement to a group', GLOBAL, GROUP, `88 00 0000 60000000 ${TARGET}`, Fault.nd_malformed],
  ['§7.1.2: a solicited advertisement to one host', GLOBAL, GLOBAL, `88 00 0000 60000000 ${TARGET}`, 0],
  ['§6.1.1: a router solicitation from nobody, with a link address', NOBODY, GROUP, `85 00 0000 00000000 ${SOURCE_LINK}`, Fault.nd_malformed],
  ['§6.1.1: a router solicitation from nobody', NOBODY, GROUP, '85 00 0000 00000000', 0],
  ['§6.1.2: a router advertisement from a link-local address', LINK_LOCAL, GROUP, '86 00 0000 40000708 00000000 00000000', 0],
  ['§6.1.2: a router advertisement from another', GLOBAL, GROUP, '86 00 0000 40000708 00000000 00000000', Fault.nd_malformed],
  ['§8.1: a redirect from a global address', GLOBAL, TARGET, `89 00 0000 00000000 ${TARGET} ${TARGET}`, Fault.nd_malformed],
] as const;
for (const [name, src, dst, message, want] of addresses) {
  t.test(`RFC 4861 ${name}`, async t => {
    const mem = bytes(`60000000 0000 3a ff ${src} ${dst} ${message}`);
    t.equal(checkNd(mem, 40, mem.length, 255), 0);
    t.equal(checkNdAddresses(mem, 40, mem.length, 0), want);
  });
}
