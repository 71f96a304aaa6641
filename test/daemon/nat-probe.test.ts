/** RFC 5780: a probe that knows nothing of Causeway says what kind of NAT the running daemon is. First, whether the probe can tell. */
import t, { type Test } from 'tap';
import { bytes, hex } from '../support/bytes.js';
import { ModelNat, type ModelKind } from '../support/probe/model-nat.js';
import { probeNat, reportWords, type Dependence } from '../support/probe/nat-probe.js';
import { probeDaemon, type ProbedDaemon } from '../support/probe/probed-daemon.js';
import { readStun, serve, writeAnswer, writeRequest, type Server } from '../support/probe/stun.js';

const KINDS: readonly Dependence[] = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent'];
const SERVER: Server = { addresses: ['198.51.100.7', '198.51.100.8'], ports: [3478, 3479] };
const ID = '0102030405060708090a0b0c';

t.test('RFC 5769 §2.2: 192.0.2.1 port 32853 is a147 e112a643 on the wire', async t => {
  const end = { address: '192.0.2.1', port: 32853 };
  const answer = writeAnswer({ type: 'answer', id: ID, plain: end, mapped: end, origin: end, other: end, padding: 0 });
  t.equal(hex(answer), hex(bytes(`0101 0030 2112a442 ${ID} 0001 0008 00018055 c0000201 0020 0008 0001a147 e112a643 802b 0008 00018055 c0000201 802c 0008 00018055 c0000201`)));
  t.same(readStun(answer), { type: 'answer', id: ID, plain: end, mapped: end, origin: end, other: end, padding: 0 });
});

t.test('RFC 5780 §6.1: the answer comes from where the request says, and goes where it says', async t => {
  const from = { address: '203.0.113.10', port: 40000 }, to = { address: '198.51.100.7', port: 3479 };
  const ask = { type: 'request', id: ID, changeAddress: false, changePort: false, responsePort: 0, padding: 0 } as const;
  const answered = (change: object): unknown => {
    const { from: origin, to: target, answer } = serve(SERVER, from, to, writeRequest({ ...ask, ...change }))!;
    t.match(readStun(answer), { mapped: from, plain: from, origin, other: { address: '198.51.100.8', port: 3478 } });
    return [origin.address, origin.port, target.port];
  };
  t.same(answered({}), ['198.51.100.7', 3479, 40000]);
  t.same(answered({ changeAddress: true }), ['198.51.100.8', 3479, 40000]);
  t.same(answered({ changePort: true }), ['198.51.100.7', 3478, 40000]);
  t.same(answered({ changeAddress: true, changePort: true, responsePort: 5 }), ['198.51.100.8', 3478, 5]);
  t.equal(serve(SERVER, from, to, writeRequest({ ...ask, type: 'indication' })), null);
  t.equal(serve(SERVER, from, to, bytes('0001 0000 2112a442')), null, 'cut short');
});

const PLAIN: ModelKind = { mapping: 'endpoint-independent', filtering: 'endpoint-independent', hairpin: 'external source', port: 'next', overloads: false, lifetime: 30, refreshedBy: 'both', reassembles: true, meddles: false };

for (const mapping of KINDS) for (const filtering of KINDS) {
  t.test(`the probe tells ${mapping} mapping with ${filtering} filtering from all others`, async t => {
    t.match(await probeNat(new ModelNat({ ...PLAIN, mapping, filtering })), { translates: true, mapping, filtering, steady: true, overloaded: false });
  });
}

t.test('the probe sees hairpinning, ports, lifetime, fragments and meddling as they are', async t => {
  const { lifetime } = await probeNat(new ModelNat(PLAIN), { lifetime: 30 });
  t.match(lifetime, { outboundRefreshes: true, inboundRefreshes: true });
  t.ok(lifetime !== null && lifetime.lived > 10 && lifetime.lived < 30 && lifetime.gone > 30 && lifetime.gone < 40, JSON.stringify(lifetime));
  t.match(await probeNat(new ModelNat({ ...PLAIN, refreshedBy: 'outbound' }), { lifetime: 30 }), { lifetime: { outboundRefreshes: true, inboundRefreshes: false } });
  t.match(await probeNat(new ModelNat({ ...PLAIN, lifetime: 5 }), { lifetime: 30 }), { lifetime: { lived: 0 } }, 'one that lives too short');
  t.match(await probeNat(new ModelNat({ ...PLAIN, lifetime: 1e9 }), { lifetime: 30 }), { lifetime: { gone: Infinity } }, 'and one that never dies');
  for (const hairpin of ['none', 'external source', 'internal source'] as const) {
    for (const filtering of KINDS) t.match(await probeNat(new ModelNat({ ...PLAIN, filtering, hairpin })), { hairpinning: { ports: hairpin, hosts: hairpin, itself: hairpin } }, `${hairpin}, ${filtering}`);
  }
  t.match(await probeNat(new ModelNat({ ...PLAIN, port: 'same' })), { ports: { asked: 48, preserved: 48, parity: 48, low: true } });
  t.match(await probeNat(new ModelNat({ ...PLAIN, port: 'parity' })), { ports: { preserved: 0, parity: 48, low: false } });
  t.match(await probeNat(new ModelNat({ ...PLAIN, port: 'same', overloads: true })), { overloaded: true });
  t.match(await probeNat(new ModelNat({ ...PLAIN, mapping: 'address-dependent' })), { ports: { next: 0 } }, 'the other host’s mappings lie between');
  t.match(await probeNat(new ModelNat({ ...PLAIN, reassembles: false })), { fragments: { inOrder: true, lastFirst: false } });
  t.match(await probeNat(new ModelNat({ ...PLAIN, meddles: true })), { meddles: true });
  t.match(reportWords(await probeNat(new ModelNat({ ...PLAIN, filtering: 'address-dependent' })))[0], /^Endpoint-Independent Mapping, Address-Dependent Filtering \(restricted cone\)$/);
});

/** timers.udp in the live tests, seconds. */
const LIFETIME = 3;

/** What must be so of every kind of filtering; the words of the report go into the output. */
async function probed(t: Test, filtering: Dependence, wanted: object, setting: ProbedDaemon): Promise<void> {
  const { report, refused, ailments, exitCode } = await probeDaemon({ ...setting, lifetime: LIFETIME });
  for (const line of reportWords(report)) t.comment(line);
  const { lifetime, ...rest } = report;
  const { ports, hosts, itself } = report.hairpinning;
  t.match(rest, { translates: true, mapping: 'endpoint-independent', filtering, steady: true, paired: true, overloaded: false, fragments: { inOrder: true, lastFirst: true }, meddles: false, ...wanted });
  t.same([ports, hosts, itself], Array(3).fill('external source'), 'RFC 4787 REQ-9a: hairpins, with the external source');
  t.ok(report.ports.preserved <= 4 && report.ports.next <= 4, 'RFC 6056: ports are hard to guess');
  t.match(lifetime, { outboundRefreshes: true, inboundRefreshes: true });
  t.ok(lifetime !== null && lifetime.lived > 0 && lifetime.lived < LIFETIME && lifetime.gone >= LIFETIME && lifetime.gone < Infinity, `alive after ${lifetime?.lived} s, gone after ${lifetime?.gone} s`);
  t.same([refused, ailments, exitCode], [[], [], 0]);
}

t.test('RFC 4787 REQ-1, 2, 3, 5, 6, 8, 9, 11, 14: the running daemon as it comes has endpoint-independent mapping and filtering, under one worker and several', async t => {
  await Promise.all([1, 2].map(workers => probed(t, 'endpoint-independent', {}, { gateway: { workers } })));
});

t.test('RFC 4787 REQ-4, 8: and the filtering that the config asks for, with mapping as it was; port parity where asked', async t => {
  await Promise.all([
    probed(t, 'address-dependent', {}, { nat: { filtering: 'address-dependent' } }),
    probed(t, 'address-and-port-dependent', { ports: { parity: 48 } }, { nat: { filtering: 'address-and-port-dependent', parity: true } }),
  ]);
});
