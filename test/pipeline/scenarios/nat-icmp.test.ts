/** ICMP errors about NAT sessions, in both directions: RFC 5508 §4. */
import t from 'tap';
import { bytes } from '../../support/bytes.js';
import { concat } from '../../support/captures.js';
import { expectLedger, expectSent } from '../../support/expect.js';
import { echo, echoReply, icmp, patched, tcp, udp, withOptions } from '../../support/frames.js';
import type { Lab } from '../../support/lab.js';
import { FAR, NAT_PORT, RED_POOL, atPeer, atVm, fromUplink, fromVm, makeWorld, vm } from '../../support/world.js';

const SYN = 2;
const A = vm('nv4'), B = vm('vx4');
const ROUTER = '198.51.100.254';
/** Type, code and rest of header of the errors a NAT must carry, and parameter problem. */
const ERRORS = [['port unreachable', 3, 3, 0], ['frag needed', 3, 4, 1400], ['host unreachable', 3, 1, 0], ['TTL exceeded', 11, 0, 0], ['parameter problem', 12, 0, 0x14000000]] as const;

/** A world with a UDP flow, a TCP connection and a ping from A, on ports NAT_PORT, NAT_PORT and id NAT_PORT. */
function withFlows(): Lab {
  const lab = makeWorld();
  fromVm(lab, A, udp(A.ca, 5000, FAR, 53, 'query'));
  fromVm(lab, A, tcp(A.ca, 5000, FAR, 443, SYN));
  fromVm(lab, A, echo(A.ca, FAR, 77));
  lab.take();
  return lab;
}

/** What A sent, as the Internet saw it and as A knows it. */
const FLOWS = [
  ['UDP', udp(RED_POOL, NAT_PORT, FAR, 53, 'query', { ttl: 3 }), udp(A.ca, 5000, FAR, 53, 'query', { ttl: 3 })],
  ['TCP', tcp(RED_POOL, NAT_PORT, FAR, 443, SYN, '', { ttl: 3 }), tcp(A.ca, 5000, FAR, 443, SYN, '', { ttl: 3 })],
  ['ICMP echo', echo(RED_POOL, FAR, NAT_PORT, 'abcdefgh', { ttl: 3 }), echo(A.ca, FAR, 77, 'abcdefgh', { ttl: 3 })],
] as const;

t.test('RFC 5508 REQ-4: errors from outside reach the inside host, quoting what it sent; type, code and MTU stay', async t => {
  for (const [name, type, code, rest] of ERRORS) {
    for (const [flow, outside, inside] of FLOWS) {
      const lab = withFlows();
      t.equal(fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, type, code, rest, outside)), 'forwarded', `${name} about ${flow}`);
      expectSent(t, lab, [atVm(A, icmp(ROUTER, A.ca, type, code, rest, inside, { ttl: 63 }))], `${name} about ${flow}`);
      expectLedger(t, lab, { red: { forwarded: 4 } });
    }
  }
});

t.test('RFC 792: a quote of no more than the header and 8 bytes is enough; what it lacks is not touched', async t => {
  for (const [flow, outside, inside] of FLOWS) {
    const lab = withFlows();
    t.equal(fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, 3, 3, 0, outside.subarray(0, 28))), 'forwarded', flow);
    expectSent(t, lab, [atVm(A, icmp(ROUTER, A.ca, 3, 3, 0, inside.subarray(0, 28), { ttl: 63 }))], flow);
    t.equal(fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, 3, 3, 0, outside.subarray(0, 27))), 'nat_icmp_quote', `${flow}, 27 bytes`);
    expectLedger(t, lab, { red: { forwarded: 4, nat_icmp_quote: 1 } });
  }
});

t.test('RFC 5508 REQ-3b: options in the quoted header are stepped over', async t => {
  const options = bytes('9404 0000 0101 0100');
  for (const [flow, outside, inside] of FLOWS) {
    const lab = withFlows();
    t.equal(fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, 11, 0, 0, withOptions(outside, options))), 'forwarded', flow);
    expectSent(t, lab, [atVm(A, icmp(ROUTER, A.ca, 11, 0, 0, withOptions(inside, options), { ttl: 63 }))], flow);
    expectLedger(t, lab, { red: { forwarded: 4 } });
  }
});

t.test('RFC 5508 REQ-3d, RFC 4884 §5: padding and extensions behind the quote are carried and not looked at', async t => {
  const extension = bytes('2000 0000 0008 0101 0001 0203');
  for (const [flow, outside, inside] of FLOWS) {
    const lab = withFlows();
    const padded = (quote: Uint8Array): Uint8Array => concat(quote, new Uint8Array(128 - quote.length), extension);
    const length = 32 << 16; // byte 5, in words of 4
    t.equal(fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, 11, 0, length, padded(outside))), 'forwarded', flow);
    expectSent(t, lab, [atVm(A, icmp(ROUTER, A.ca, 11, 0, length, padded(inside), { ttl: 63 }))], flow);
    expectLedger(t, lab, { red: { forwarded: 4 } });
  }
});

t.test('RFC 5508 REQ-3: wrong checksums of the error and of the quoted header are dropped; the quoted transport’s is nobody’s business', async t => {
  const [, outside, inside] = FLOWS[0];
  const lab = withFlows();
  const good = icmp(ROUTER, RED_POOL, 3, 3, 0, outside);
  t.equal(fromUplink(lab, 'inet', patched(good, 22, 0x1234)), 'icmp_checksum');
  t.equal(fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, 3, 3, 0, patched(outside, 10, 0x1234))), 'nat_icmp_quote');
  t.equal(fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, 3, 3, 0, patched(outside, 26, 0))), 'forwarded', 'quoted UDP without a checksum');
  expectSent(t, lab, [atVm(A, icmp(ROUTER, A.ca, 3, 3, 0, patched(inside, 26, 0), { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, 3, 3, 0, patched(outside, 26, 0x1234))), 'forwarded', 'wrong, and it stays wrong');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 5, icmp_checksum: 1, nat_icmp_quote: 1 } });
});

t.test('Linux quotes a total length that is 8 short: only the version, header length and checksum count', async t => {
  const [, outside] = FLOWS[0];
  const lab = withFlows();
  const short = patched(outside, 2, outside.length - 8);
  const sum = (short[10] << 8 | short[11]) + 8;
  t.equal(fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, 3, 3, 0, patched(short, 10, sum & 0xffff))), 'forwarded');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 4 } });
});

t.test('RFC 5508 REQ-4: an error about no session of the addressee’s is dropped: other ports, other remote, other address, later fragments', async t => {
  const lab = withFlows();
  const about = (packet: Uint8Array): string => fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, 3, 3, 0, packet));
  t.equal(about(udp(RED_POOL, NAT_PORT + 1, FAR, 53)), 'nat_no_session', 'no binding');
  t.equal(about(udp(RED_POOL, NAT_PORT, FAR, 54)), 'nat_no_session', 'no session with that port');
  t.equal(about(udp(RED_POOL, NAT_PORT, '198.51.100.8', 53)), 'nat_no_session', 'nor with that address');
  t.equal(about(udp('203.0.113.99', NAT_PORT, FAR, 53)), 'nat_icmp_quote', 'an error goes to whom it quotes');
  t.equal(about(patched(FLOWS[0][1], 6, 0x0001)), 'nat_icmp_quote', 'header checksum is off now');
  const later = patched(patched(FLOWS[0][1], 6, 1), 10, (((FLOWS[0][1][10] << 8 | FLOWS[0][1][11]) + 0xffff - 1) % 0xffff));
  t.equal(about(later), 'nat_icmp_quote', 'a later fragment has no ports');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { forwarded: 3, nat_no_session: 3, nat_icmp_quote: 3 } });
});

t.test('RFC 5508 REQ-6, RFC 4787 REQ-12, RFC 5382 REQ-10: an error neither refreshes nor ends what it is about', async t => {
  const lab = withFlows();
  const about = (packet: Uint8Array): string => fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, 3, 3, 0, packet));
  lab.wait(59);
  t.same(FLOWS.map(([, outside]) => about(outside)), ['forwarded', 'forwarded', 'forwarded']);
  t.equal(fromUplink(lab, 'inet', udp(FAR, 53, RED_POOL, NAT_PORT)), 'forwarded', 'alive');
  lab.wait(1);
  t.equal(about(FLOWS[2][1]), 'nat_no_session', 'the ping is over on time');
  lab.wait(180);
  t.equal(about(FLOWS[1][1]), 'nat_no_session', 'so is the half-open connection');
  lab.take();
  expectLedger(t, lab, { red: { forwarded: 7, nat_no_session: 2 } });
});

t.test('RFC 5508 REQ-5: errors from inside leave from the mapping’s address, quoting what the remote end sent', async t => {
  const cases = [
    ['UDP', udp(FAR, 53, A.ca, 5000, 'answer'), udp(FAR, 53, RED_POOL, NAT_PORT, 'answer')],
    ['TCP', tcp(FAR, 443, A.ca, 5000, SYN | 16), tcp(FAR, 443, RED_POOL, NAT_PORT, SYN | 16)],
    ['ICMP echo reply', echoReply(FAR, A.ca, 77), echoReply(FAR, RED_POOL, NAT_PORT)],
  ] as const;
  for (const [name, type, code, rest] of ERRORS) {
    for (const [flow, inside, outside] of cases) {
      const lab = withFlows();
      t.equal(fromVm(lab, A, icmp(A.ca, FAR, type, code, rest, inside)), 'forwarded', `${name} about ${flow}`);
      expectSent(t, lab, [atPeer('inet', icmp(RED_POOL, FAR, type, code, rest, outside, { ttl: 63 }))], `${name} about ${flow}`);
      t.equal(fromVm(lab, A, icmp(A.ca, FAR, type, code, rest, inside.subarray(0, 28))), 'forwarded', 'the least quote');
      expectSent(t, lab, [atPeer('inet', icmp(RED_POOL, FAR, type, code, rest, outside.subarray(0, 28), { ttl: 63 }))]);
      expectLedger(t, lab, { red: { forwarded: 5 } });
    }
  }
});

t.test('a router inside may speak of another host’s session; an error to somebody else than it quotes may not leave', async t => {
  const lab = withFlows();
  const quote = udp(FAR, 53, A.ca, 5000, 'answer');
  t.equal(fromVm(lab, B, icmp(B.ca, FAR, 11, 0, 0, quote)), 'forwarded');
  expectSent(t, lab, [atPeer('inet', icmp(RED_POOL, FAR, 11, 0, 0, udp(FAR, 53, RED_POOL, NAT_PORT, 'answer'), { ttl: 63 }))]);
  t.equal(fromVm(lab, B, icmp(B.ca, '198.51.100.8', 11, 0, 0, quote)), 'nat_icmp_quote');
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 3, 3, 0, udp(FAR, 53, A.ca, 5001))), 'nat_no_session');
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 3, 3, 0, echo(FAR, A.ca, 77))), 'nat_no_session', 'no ping comes in');
  expectSent(t, lab, []);
  expectLedger(t, lab, { red: { forwarded: 4, nat_icmp_quote: 1, nat_no_session: 2 } });
});

t.test('an error about a connection to a static mapping finds its way both ways', async t => {
  const lab = makeWorld();
  fromUplink(lab, 'inet', tcp(FAR, 999, RED_POOL, 80, SYN));
  lab.take();
  t.equal(fromVm(lab, A, icmp(A.ca, FAR, 3, 13, 0, tcp(FAR, 999, A.ca, 8080, SYN, '', { ttl: 63 }))), 'forwarded');
  expectSent(t, lab, [atPeer('inet', icmp(RED_POOL, FAR, 3, 13, 0, tcp(FAR, 999, RED_POOL, 80, SYN, '', { ttl: 63 }), { ttl: 63 }))]);
  t.equal(fromUplink(lab, 'inet', icmp(ROUTER, RED_POOL, 11, 0, 0, tcp(RED_POOL, 80, FAR, 999, SYN | 16))), 'forwarded');
  expectSent(t, lab, [atVm(A, icmp(ROUTER, A.ca, 11, 0, 0, tcp(A.ca, 8080, FAR, 999, SYN | 16), { ttl: 63 }))]);
  expectLedger(t, lab, { red: { forwarded: 3 } });
});
