/** Captures of other people, kept beside the project on some machines: each packet accounted for, none an exception. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { CaptureReader, CaptureRecord } from '../../codecs/capture.js';
import type { ReplayReport } from '../../daemon/offline/replay-report.js';
import { verb } from '../../daemon/verbs/replay.js';
import { callVerb } from '../support/call-verb.js';
import { publicCaptures } from '../support/captures.js';
import { withVni } from '../support/changed-captures.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FOREIGN = `${ROOT}test/fixtures/foreign.jsonc`;
const captures = publicCaptures();
const folder = mkdtempSync(join(tmpdir(), 'causeway-'));
t.teardown(() => rmSync(folder, { recursive: true }));

async function replayed(capture: string): Promise<{ code: number; report: ReplayReport }> {
  const { code, out } = await callVerb(verb, capture, '-c', FOREIGN, '-w', join(folder, 'out.pcapng'), '--all', '--json');
  return { code, report: JSON.parse(out) as ReplayReport };
}

function pathOf(name: string): string | undefined {
  return captures.find(path => basename(path).startsWith(name));
}

/** How many packets another pass of the reader alone finds. */
function packetsIn(file: Uint8Array): number {
  const reader = new CaptureReader();
  const record = new CaptureRecord();
  reader.push(file);
  reader.end();
  let count = 0;
  while (reader.next(record) === 'record') count++;
  return count;
}

t.test('every public capture replays without an exception, each packet accounted for', async t => {
  if (captures.length === 0) {
    t.pass('there are no public captures beside this project: nothing replayed here');
    return;
  }
  for (const capture of captures) {
    const { code, report } = await replayed(capture);
    const packets = packetsIn(readFileSync(capture));
    t.equal(code, report.faults.length === 0 ? 0 : 1, `${basename(capture)}: exit ${code}`);
    t.equal(report.packets.in, packets, `${basename(capture)}: all ${packets} packets are in`);
    t.equal(report.packets.held, 0, `${basename(capture)}: nothing stays held`);
    t.same(report.imbalances, [], `${basename(capture)}: the ledger balances`);
    t.notOk(report.drops.internal_error, `${basename(capture)}: no exception`);
    const written = readFileSync(join(folder, 'out.pcapng'));
    t.equal(packetsIn(written), packets + report.packets.out, `${basename(capture)}: the output holds every input and every packet sent`);
  }
});

type Expected = { forwarded?: number; originated?: number; drops?: Record<string, number> };

/**
 * Worked out with another reader: how many packets come from the senders that foreign.jsonc knows, in what. Every VNI
 * below 4096 is refused, so VXLAN captures that have one are replayed again with 4096 more.
 */
const OVERLAY: Readonly<Record<string, Expected>> = {
  'packetnet-gre_all_options': { forwarded: 5, drops: { pa_unknown: 5 } }, // C, K and S; the other direction is a stranger's
  'packetnet-gre_ipv6': { forwarded: 1 },
  'packetnet-gre_nvgre': { drops: { ipv4_checksum: 1 } }, // both headers have 0: the outer one is excused, the inner one not
  'zeek-gre-sample': { forwarded: 19, drops: { pa_unknown: 21 } },
  'tcpdump-gso-ipv4-vxlan-ipv4': { originated: 1, drops: { too_big: 1 } }, // 7042 bytes with don't-fragment
  'tcpdump-various_gre': { drops: { not_a_tunnel: 70, gre_protocol: 15, pa_unknown: 15 } },
  'tcpdump-pptp': { drops: { not_a_tunnel: 22, gre_version: 1 } },
  'tcpdump-geneve': { drops: { not_a_tunnel: 39 } },
  'tcpdump-erspan-type-ii-2': { drops: { gre_protocol: 8, pa_unknown: 8 } },
  'tcpdump-NHRP_registration': { drops: { pa_unknown: 4 } },
  'tcpdump-nsh-over-vxlan-gpe': { drops: { not_a_tunnel: 1 } },
  'tcpdump-vxlan': { drops: { vxlan_vni_reserved: 5, pa_unknown: 5 } },
  'suricata-vxlan-non-zero-reserved-fields': { drops: { vxlan_vni_reserved: 10 } },
  'suricata-decode-too-small': { drops: { udp_truncated: 4, gre_truncated: 1, not_a_tunnel: 2, pa_unknown: 1 } },
  'zeek-vxlan-encapsulated-http': { drops: { vxlan_vni_reserved: 12 } },
};

function expect(t: Test, name: string, { packets, drops }: ReplayReport, wanted: Expected): void {
  const { forwarded = 0, originated = 0 } = wanted;
  t.same(drops, wanted.drops ?? {}, `${name}: drops`);
  t.match(packets, { forwarded, originated, consumed: 0, copies: 0, out: forwarded + originated }, `${name}: packets`);
}

for (const [name, wanted] of Object.entries(OVERLAY)) {
  t.test(`${name}: as another reader counts it`, async t => {
    const capture = pathOf(name);
    if (capture === undefined) {
      t.pass('this capture is not here');
      return;
    }
    expect(t, name, (await replayed(capture)).report, wanted);
  });
}

t.test('an HTTP exchange in VXLAN, its VNI made a usable one: a mirror sent both directions from one PA, so the gateway has nothing to carry', async t => {
  const capture = pathOf('zeek-vxlan-encapsulated-http');
  if (capture === undefined) {
    t.pass('this capture is not here');
    return;
  }
  const copy = join(folder, 'http.pcap');
  writeFileSync(copy, withVni(readFileSync(capture), 1, 4097));
  expect(t, 'http', (await replayed(copy)).report, { drops: { mac_same_host: 12 } });
});

t.test('a wrong inner TCP checksum is no reason to drop, and NAT leaves it wrong by as much as it was', async t => {
  const capture = pathOf('zeek-vxlan-inner-tcp-bad-checksum');
  if (capture === undefined) {
    t.pass('this capture is not here');
    return;
  }
  const copy = join(folder, 'bad-tcp.pcap');
  writeFileSync(copy, withVni(readFileSync(capture), 42, 4138));
  expect(t, 'bad-tcp', (await replayed(copy)).report, { forwarded: 1 });
});
