import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { ReplayReport } from '../../daemon/offline/replay-report.js';
import { verb } from '../../daemon/verbs/replay.js';
import { hex } from '../support/bytes.js';
import { callVerb } from '../support/call-verb.js';
import { CONFIGS, replayFixtures } from '../support/replay-fixtures.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FOLDER = `${ROOT}test/fixtures/replay/`;

type Wanted = { forwarded?: number; consumed?: number; copies?: number; originated?: number; drops?: Record<string, number> };

/** Those that saw packets. */
function busy({ tenants }: ReplayReport): ReplayReport['tenants'] {
  return Object.fromEntries(Object.entries(tenants).filter(([, { packets }]) => Object.values(packets).some(n => n !== 0)));
}

/** Replay with --json; what came out, its sums checked by ourselves. */
async function replayed(capture: string, config: string): Promise<ReplayReport> {
  const { code, out, err } = await callVerb(verb, capture, '-c', config, '--json');
  if (code !== 0) throw new Error(`exit ${code}: ${err}`);
  return JSON.parse(out) as ReplayReport;
}

function filled({ forwarded = 0, consumed = 0, copies = 0, originated = 0, drops = {} }: Wanted) {
  const dropped = Object.values(drops).reduce((sum, n) => sum + n, 0);
  const packets = { in: forwarded + consumed + dropped, forwarded, dropped, consumed, held: 0, out: forwarded + copies + originated, copies, originated };
  return { packets, drops };
}

t.test('test/fixtures/replay holds what its script makes, no more and no less', async t => {
  const fixtures = replayFixtures();
  if (process.env.CAUSEWAY_WRITE_FIXTURES === '1') {
    mkdirSync(FOLDER, { recursive: true });
    for (const [name, file] of Object.entries(fixtures)) writeFileSync(FOLDER + name, file);
  }
  t.same(readdirSync(FOLDER).sort(), Object.keys(fixtures).sort());
  t.same(Object.keys(CONFIGS).sort(), Object.keys(fixtures).sort(), 'each has its config');
  for (const [name, file] of Object.entries(fixtures)) t.equal(hex(readFileSync(FOLDER + name)), hex(file), name);
});

/** Counted by hand from the comments in replay-fixtures.ts; `-` first, a tenant not named has seen nothing. */
const COUNTS: Readonly<Record<string, Readonly<Record<string, Wanted>>>> = {
  'walks.pcap': {
    red: { forwarded: 13, consumed: 2, copies: 2, originated: 2 },
    blue: { forwarded: 2 },
  },
  'drops.pcapng': {
    '-': {
      drops: {
        not_a_tunnel: 2, pa_unknown: 1, vsid_unknown: 1, not_for_gateway: 1, spoofed_source: 1, gre_key_unknown: 1, encap_mismatch: 1, frame_multicast: 1,
        outer_checksum: 1, outer_fragment: 1, nvgre_truncated: 1, ipv4_checksum: 1, ipv4_total_length: 1,
      },
    },
    red: { originated: 3, drops: { acl_denied: 1, no_record: 1, ttl_expired: 1, too_big: 1, nat_no_binding: 1, site_source: 1, fragment_orphan: 1 } },
  },
  'native-gre.pcap': {
    '-': { drops: { pa_unknown: 1 } },
    red: { forwarded: 2, consumed: 1, originated: 1 },
  },
  'offload.pcap': { red: { forwarded: 2 } },
  'links.pcapng': {
    '-': { drops: { link_unsupported: 1 } },
    red: { forwarded: 9 },
  },
  'outside-ipv6.pcap': { red: { forwarded: 6, consumed: 1, originated: 1, drops: { acl_denied: 1, route_drop: 1 } } },
};

for (const [name, tenants] of Object.entries(COUNTS)) {
  t.test(`${name}: every packet ends as written beside it, and the ledger balances`, async t => {
    const report = await replayed(FOLDER + name, ROOT + CONFIGS[name]);
    t.same(busy(report), Object.fromEntries(Object.entries(tenants).map(([tenant, wanted]) => [tenant, filled(wanted)])));
    const all = Object.values(tenants);
    const sum = (of: 'forwarded' | 'consumed' | 'copies' | 'originated'): number => all.reduce((n, wanted) => n + (wanted[of] ?? 0), 0);
    t.same({ packets: report.packets, drops: report.drops }, filled({
      forwarded: sum('forwarded'), consumed: sum('consumed'), copies: sum('copies'), originated: sum('originated'),
      drops: Object.assign({}, ...all.map(wanted => wanted.drops ?? {})),
    }));
    t.same(report.imbalances, []);
    t.same(report.faults, []);
    t.equal(report.unsendable, 0);
  });
}

/**
 * Counted with another reader. Of the 173 packets 40 are outside any tunnel (`not udp.dstport==4754`), 9 of them the
 * underlay's ICMP errors about tunnel packets (`icmp.type==3`), each quoting a header that Linux has shortened. Of the 133 in one, 42 are plain GRE (`gre.proto != 0x6558`), which a host may not send; 13 are NVGRE over
 * IPv6, from PAs that have no record; 7 are of VSID 5003. Left are 71, of which 14 are IPv6 multicast that is no
 * solicitation (MLD, router solicitation) and 2 duplicate-address probes for link-local addresses, which nobody answers.
 * 2 ARP requests and 1 neighbor solicitation for the other host are answered in its place; all others are bridged.
 */
t.test('recorded Linux hosts with FOU: the gateway between them carries and answers exactly what it should', async t => {
  const report = await replayed(`${ROOT}test/fixtures/recorded/linux-6.1-fou.pcap`, `${ROOT}test/fixtures/linux-fou.jsonc`);
  const beforeTenant = { not_a_tunnel: 31, underlay_error: 9, nvgre_flags: 42, host_not_allowed: 13, vsid_unknown: 7, frame_multicast: 14 };
  t.same(busy(report), {
    '-': filled({ drops: beforeTenant }),
    'one': filled({ forwarded: 47, consumed: 2, originated: 2, drops: { neighbor_unanswered: 1 } }),
    'two': filled({ forwarded: 5, consumed: 1, originated: 1, drops: { neighbor_unanswered: 1 } }),
  });
  t.same({ packets: report.packets, drops: report.drops }, filled({ forwarded: 52, consumed: 3, originated: 3, drops: { ...beforeTenant, neighbor_unanswered: 2 } }));
});

/**
 * Counted with another reader. 30 packets are what the gateway sent that day. 18 are IPv6 multicast that is no
 * solicitation, 3 duplicate-address probes. 3 ARP requests and 3 pings to the gateway are answered. Carried are 6 pings
 * between the hosts, 3 out through NAT, and 7 + 5 TCP segments whose port a mapping keeps; the 3 echo replies ask for
 * the ids of that day's NAT.
 */
t.test('recorded Linux VXLAN hosts behind a running gateway: the same again, offline', async t => {
  const report = await replayed(`${ROOT}test/fixtures/recorded/linux-vxlan-nat.pcap`, `${ROOT}test/fixtures/recorded/linux-vxlan-nat.jsonc`);
  t.same(busy(report), {
    '-': filled({ drops: { not_for_gateway: 30, frame_multicast: 18 } }),
    'red': filled({ forwarded: 21, consumed: 6, originated: 6, drops: { neighbor_unanswered: 2, nat_no_binding: 3 } }),
    'blue': filled({ drops: { neighbor_unanswered: 1 } }),
  });
});

t.test('--json has the promised shape, times with nanoseconds included', async t => {
  const report = await replayed(`${FOLDER}walks.pcap`, ROOT + CONFIGS['walks.pcap']);
  t.same(Object.keys(report).sort(), ['drops', 'faults', 'file', 'first', 'imbalances', 'last', 'packets', 'tenants', 'unsendable', 'warnings']);
  t.same(Object.keys(report.packets), ['in', 'forwarded', 'dropped', 'consumed', 'held', 'out', 'copies', 'originated']);
  t.equal(report.file, `${FOLDER}walks.pcap`);
  t.equal(report.first, '2023-11-14T22:13:20.000000000Z');
  t.equal(report.last, '2023-11-14T22:13:20.160000000Z');
});

t.test('--json names every tenant of the config, also one that saw no packet', async t => {
  const report = await replayed(`${FOLDER}native-gre.pcap`, ROOT + CONFIGS['native-gre.pcap']);
  t.same(Object.keys(report.tenants), ['-', 'red', 'blue']);
  t.same(report.tenants['blue'], filled({}));
});

t.test('the summary for people says the same in words', async t => {
  const { code, out, err } = await callVerb(verb, `${FOLDER}native-gre.pcap`, '-c', ROOT + CONFIGS['native-gre.pcap']);
  t.equal(code, 0);
  t.equal(err, '');
  t.equal(out.replaceAll(FOLDER, ''), `\
native-gre.pcap: 4 packets, 2023-11-14T22:13:20.000000000Z to 2023-11-14T22:13:20.030000000Z
  in   4 = 2 forwarded + 1 dropped + 1 consumed + 0 held
  out  3 = 2 forwarded + 0 copies + 1 originated

drops
        1  pa_unknown  Sender is no host, uplink or site (config hosts[].pa, uplinks[].pa, tenants[].sites[].pa)

tenant  in  forwarded  dropped  consumed  held  out  copies  originated
-        1          0        1         0     0    0       0           0
red      3          2        0         1     0    3       0           1

ledger balances
`);
});
