/**
 * Metrics, declared once: the README's table comes from here. Nothing is counted here: on scrape, every value is derived
 * from what workers count in shared memory, in one look, so that the ledger's equations hold within a scrape.
 */
import { Counter, Gauge, Registry } from 'prom-client';
import { totals, type LedgerTotals } from '../../pipeline/ledger.js';
import { UNLIMITED } from '../../pipeline/nat/port-policy.js';
import type { Control } from './control.js';
import { SEND_ERRORS, sumCounters, type SocketCounts } from '../worker/counters.js';
import { kernelDrops } from './kernel-drops.js';
import { queuesOf } from './queues.js';
import { measured } from './rules.js';
import { RECEIVE_MODES } from './receive-mode.js';
import { ailmentsOf, ledgerRows, socketWords } from './status.js';
import { VERSION } from '../version.js';

/** What a scrape sees. */
interface Scene {
  readonly control: Control;
  readonly tenants: readonly { readonly tenant: string; readonly row: number; readonly totals: LedgerTotals }[];
  readonly sends: SocketCounts;
  readonly lost: readonly (number | undefined)[];
  readonly imbalanced: boolean;
  readonly queues: ReturnType<typeof queuesOf>;
  readonly measured: readonly { readonly tenant: string; readonly rule: string; readonly packets: number; readonly bytes: number }[];
}
type Put = (value: number, labels?: Record<string, string>) => void;
interface Metric {
  readonly type: 'counter' | 'gauge';
  readonly labels: readonly string[];
  readonly help: string;
  read(scene: Scene, put: Put): void;
}

const QUOTAS = ['sessions', 'bindings', 'newFlows', 'packets', 'bytes'] as const;
const FATES = ['forwarded', 'dropped', 'consumed'] as const;

export const METRICS = {
  causeway_packets_total: {
    type: 'counter', labels: ['tenant', 'direction'], help: 'Datagrams received (in) and sent (out)',
    read: ({ tenants }, put) => tenants.forEach(({ tenant, totals: { packets } }) => { put(packets.in, { tenant, direction: 'in' }); put(packets.out, { tenant, direction: 'out' }); }),
  },
  causeway_bytes_total: {
    type: 'counter', labels: ['tenant', 'direction'], help: 'UDP payload of those: tunnel header and inner packet',
    read: ({ tenants }, put) => tenants.forEach(({ tenant, totals: { packets } }) => { put(packets.bytesIn, { tenant, direction: 'in' }); put(packets.bytesOut, { tenant, direction: 'out' }); }),
  },
  causeway_packet_fates_total: {
    type: 'counter', labels: ['tenant', 'fate'], help: 'What became of received packets: forwarded, dropped, or consumed by the gateway itself',
    read: ({ tenants }, put) => tenants.forEach(({ tenant, totals: { packets } }) => FATES.forEach(fate => put(packets[fate], { tenant, fate }))),
  },
  causeway_held_packets: {
    type: 'gauge', labels: ['tenant'], help: 'Packets waiting now: fragments that came before their first one. Rings count apart, causeway_ring_depth',
    read: ({ tenants }, put) => tenants.forEach(({ tenant, totals: { packets } }) => put(packets.held, { tenant })),
  },
  causeway_copies_total: {
    type: 'counter', labels: ['tenant'], help: 'Datagrams sent beyond one for each forwarded packet: fragments',
    read: ({ tenants }, put) => tenants.forEach(({ tenant, totals: { packets } }) => put(packets.copies, { tenant })),
  },
  causeway_originated_total: {
    type: 'counter', labels: ['tenant'], help: 'Datagrams the gateway itself made: ARP, ND and echo replies, ICMP errors',
    read: ({ tenants }, put) => tenants.forEach(({ tenant, totals: { packets } }) => put(packets.originated, { tenant })),
  },
  causeway_drops_total: {
    type: 'counter', labels: ['tenant', 'reason'], help: 'Packets dropped, by reason (pipeline/DROPS.md); only what happened',
    read: ({ tenants }, put) => tenants.forEach(({ tenant, totals: { drops } }) => Object.entries(drops).forEach(([reason, n]) => put(n, { tenant, reason }))),
  },
  causeway_rule_packets_total: {
    type: 'counter', labels: ['tenant', 'rule'], help: 'Packets that reached a rule whose action is measure, and matched it',
    read: ({ measured }, put) => measured.forEach(({ tenant, rule, packets }) => put(packets, { tenant, rule })),
  },
  causeway_rule_bytes_total: {
    type: 'counter', labels: ['tenant', 'rule'], help: 'Bytes of those, inner IP packets',
    read: ({ measured }, put) => measured.forEach(({ tenant, rule, bytes }) => put(bytes, { tenant, rule })),
  },
  causeway_ledger_imbalance: {
    type: 'gauge', labels: [], help: '1 when in differs from forwarded + dropped + consumed + held, or out from forwarded + copies + originated: a fault in the gateway',
    read: ({ imbalanced }, put) => put(imbalanced ? 1 : 0),
  },
  causeway_nat_sessions: {
    type: 'gauge', labels: ['tenant'], help: 'NAT sessions open now',
    read: ({ tenants, control }, put) => tenants.forEach(({ tenant, row }) => { if (row !== 0) put(control.nat.sessionsOf(row), { tenant }); }),
  },
  causeway_nat_sessions_limit: { type: 'gauge', labels: [], help: 'Sessions that fit, all tenants together', read: ({ control }, put) => put(control.nat.sizes.sessions) },
  causeway_nat_bindings: { type: 'gauge', labels: [], help: 'NAT bindings in use now', read: ({ control }, put) => put(control.nat.bindingCount) },
  causeway_nat_bindings_limit: { type: 'gauge', labels: [], help: 'Bindings that fit', read: ({ control }, put) => put(control.nat.sizes.bindings) },
  causeway_nat_tenant_bindings: {
    type: 'gauge', labels: ['tenant'], help: 'NAT bindings of a tenant now, those of static mappings not counted',
    read: ({ tenants, control }, put) => tenants.forEach(({ tenant, row }) => { if (row !== 0) put(control.nat.bindingsOf(row), { tenant }); }),
  },
  causeway_nat_subscribers: {
    type: 'gauge', labels: ['tenant'], help: 'Inside addresses with NAT state now',
    read: ({ tenants, control }, put) => tenants.forEach(({ tenant, row }) => { if (row !== 0) put(control.nat.subscribers.countOf(row), { tenant }); }),
  },
  causeway_nat_subscribers_limit: { type: 'gauge', labels: [], help: 'Inside addresses that fit, all tenants together', read: ({ control }, put) => put(control.nat.sizes.subscribers) },
  causeway_nat_port_blocks: {
    type: 'gauge', labels: ['tenant'], help: 'Port blocks that inside addresses hold now, those of the last two minutes included',
    read: ({ tenants, control }, put) => tenants.forEach(({ tenant, row }) => { if (row !== 0) put(control.nat.blocks.countOf(row), { tenant }); }),
  },
  causeway_nat_port_blocks_pool: {
    type: 'gauge', labels: ['tenant'], help: 'Port blocks that the tenant\'s pool has beside shares',
    read: ({ tenants, control }, put) => tenants.forEach(({ tenant, row }) => { if (row !== 0) put(control.view.ports.planOf(row).blocks, { tenant }); }),
  },
  causeway_nat_port_blocks_limit: { type: 'gauge', labels: [], help: 'Port blocks that fit, all tenants together', read: ({ control }, put) => put(control.nat.sizes.portBlocks) },
  causeway_quota: {
    type: 'gauge', labels: ['tenant', 'what'], help: 'What tenants[].limits of the config allows; absent without a limit',
    read: ({ tenants, control: { view: { quotas } } }, put) => tenants.forEach(({ tenant, row }) => {
      for (const what of QUOTAS) if (quotas[what][row] !== UNLIMITED) put(quotas[what][row], { tenant, what });
    }),
  },
  causeway_acl_connections: {
    type: 'gauge', labels: ['tenant'], help: 'Connections that stateful rules remember now, one for each VM\'s side of a flow',
    read: ({ tenants, control }, put) => tenants.forEach(({ tenant, row }) => { if (row !== 0) put(control.overseer.connections.countOf(row), { tenant }); }),
  },
  causeway_acl_connections_limit: { type: 'gauge', labels: [], help: 'Connections that fit, all tenants together', read: ({ control }, put) => put(control.overseer.connections.sizes.connections) },
  causeway_revoked_total: {
    type: 'counter', labels: ['kind'], help: 'What reloads have ended because the new config forbids it: NAT sessions, connections of stateful rules, flows without state each way',
    read: ({ control: { overseer: { nat, connections, reaper } } }, put) => { put(nat.revoked, { kind: 'session' }); put(connections.revoked, { kind: 'connection' }); put(reaper.revokedFlows, { kind: 'flow' }); },
  },
  causeway_nat_log_lines_total: { type: 'counter', labels: [], help: 'Lines written to the NAT log; absent without one', read: ({ control: { natLog } }, put) => { if (natLog !== null) put(natLog.status.lines); } },
  causeway_nat_log_lines_lost_total: {
    type: 'counter', labels: [], help: 'Lines that the NAT log lost because the disk was full or slow, or a file was removed; the log says so too',
    read: ({ control: { natLog } }, put) => { if (natLog !== null) put(natLog.status.lost); },
  },
  causeway_flows: { type: 'gauge', labels: [], help: 'Flows without NAT that the fast path knows now', read: ({ control }, put) => put(control.nat.flows.plainCount) },
  causeway_flows_limit: { type: 'gauge', labels: [], help: 'Such flows that fit; packets of others take the long way, and none is dropped for it', read: ({ control }, put) => put(control.nat.flows.sizes.plain) },
  causeway_receive_mode: { type: 'gauge', labels: ['mode'], help: '1 for the mode in use: kernel or dispatcher', read: ({ queues }, put) => RECEIVE_MODES.forEach(mode => put(mode === queues.mode ? 1 : 0, { mode })) },
  causeway_queue_packets_total: {
    type: 'counter', labels: ['queue'], help: 'Datagrams for each worker: put into its ring, or in kernel mode come to its sockets',
    read: ({ queues }, put) => queues.queues.forEach(({ queue, packets }) => put(packets, { queue: String(queue) })),
  },
  causeway_queue_moves_total: { type: 'counter', labels: [], help: 'Entries of the indirection table that were given another queue; dispatcher mode', read: ({ queues }, put) => { if (queues.moves !== null) put(queues.moves); } },
  causeway_ring_depth: {
    type: 'gauge', labels: ['queue'], help: 'Datagrams that wait in a worker\'s ring now, and are not in causeway_packets_total yet; dispatcher mode',
    read: ({ queues }, put) => queues.queues.forEach(({ queue, waiting }) => { if (waiting !== null) put(waiting, { queue: String(queue) }); }),
  },
  causeway_ring_drops_total: {
    type: 'counter', labels: ['queue'], help: 'Datagrams that found a worker\'s ring full, drops of reason ring_full; dispatcher mode',
    read: ({ queues }, put) => queues.queues.forEach(({ queue, ringFull }) => { if (ringFull !== null) put(ringFull, { queue: String(queue) }); }),
  },
  causeway_socket_receive_drops_total: {
    type: 'counter', labels: ['carrier', 'address'], help: 'Datagrams the kernel dropped because the receive buffer was full; absent where the system does not say',
    read: ({ control, lost }, put) => control.crew.bound.forEach((bound, i) => {
      const { carrier, address } = socketWords(bound);
      const n = lost[i];
      if (n !== undefined) put(n, { carrier, address });
    }),
  },
  causeway_socket_errors_total: { type: 'counter', labels: [], help: 'Errors of receive sockets, which are opened again', read: ({ sends }, put) => put(sends.receiveErrors) },
  causeway_send_errors_total: {
    type: 'counter', labels: ['code'], help: 'Sends that failed, after the packet was counted as forwarded',
    read: ({ sends }, put) => SEND_ERRORS.forEach(code => put(sends[code], { code })),
  },
  causeway_send_queued_total: { type: 'counter', labels: [], help: 'Sends that had to wait for room in the kernel', read: ({ sends }, put) => put(sends.queued) },
  causeway_send_queue_full_total: { type: 'counter', labels: [], help: 'Datagrams not sent because too many waited already', read: ({ sends }, put) => put(sends.queueFull) },
  causeway_send_unreachable_total: { type: 'counter', labels: [], help: 'Datagrams to a peer of an address family that the gateway does not listen on', read: ({ sends }, put) => put(sends.noSocket) },
  causeway_faults_total: { type: 'counter', labels: [], help: 'Exceptions in the pipeline, each of which cost one packet; the log has them', read: ({ sends }, put) => put(sends.faults) },
  causeway_workers: { type: 'gauge', labels: [], help: 'Workers that carry packets now', read: ({ control }, put) => put(control.crew.up) },
  causeway_worker_restarts_total: { type: 'counter', labels: [], help: 'Workers, and dispatchers, that died and were replaced', read: ({ control }, put) => put(control.crew.restarts) },
  causeway_config_generation: { type: 'gauge', labels: [], help: 'Config in force: 1 at start, one more with each reload', read: ({ control }, put) => put(control.generation) },
  causeway_config_loaded_timestamp_seconds: { type: 'gauge', labels: [], help: 'When it was taken over', read: ({ control }, put) => put(control.loadedAt / 1000) },
  causeway_config_reload_failures_total: { type: 'counter', labels: [], help: 'Configs refused', read: ({ control }, put) => put(control.reloadFailures) },
  causeway_build_info: { type: 'gauge', labels: ['version', 'node'], help: 'Always 1', read: (_scene, put) => put(1, { version: VERSION, node: process.version }) },
  causeway_process_start_time_seconds: { type: 'gauge', labels: [], help: 'When the daemon started', read: ({ control }, put) => put(control.startedAt / 1000) },
  causeway_process_resident_memory_bytes: { type: 'gauge', labels: [], help: 'Resident memory', read: (_scene, put) => put(process.memoryUsage.rss()) },
  causeway_process_cpu_seconds_total: {
    type: 'counter', labels: [], help: 'Processor time, user and system, all threads',
    read: (_scene, put) => { const { user, system } = process.cpuUsage(); put((user + system) / 1e6); },
  },
} as const satisfies Record<string, Metric>;

/** Everything above as Prometheus text, on demand. */
export function makeMetrics(control: Control): { readonly contentType: string; scrape(): Promise<string> } {
  const registry = new Registry();
  const metrics = Object.entries<Metric>(METRICS).map(([name, { type, labels, help, read }]) => {
    const own = { name, help, labelNames: [...labels], registers: [registry] };
    return { read, series: type === 'counter' ? new Counter(own) : new Gauge(own) };
  });
  return {
    contentType: registry.contentType,
    async scrape() {
      const [lost, ailments] = await Promise.all([kernelDrops(control.crew.bound), ailmentsOf(control)]);
      const scene: Scene = {
        control, lost, queues: queuesOf(control), sends: sumCounters(control.counters), imbalanced: ailments.some(what => what.startsWith('ledger')),
        measured: measured(control.policy, control.ruleCounts).map(({ tenant, rule, count }) => ({ tenant: control.ids.nameOf(tenant), rule, ...count })),
        tenants: ledgerRows(control).map(([row, tenant]) => ({ row, tenant, totals: totals(control.ledgers, [row]) })),
      };
      for (const { read, series } of metrics) {
        series.reset();
        read(scene, (value, labels) => series.inc(labels ?? {}, value));
      }
      return registry.metrics();
    },
  };
}

/** The README's table; a test holds the two together. */
export function renderMetrics(): string {
  const rows = Object.entries<Metric>(METRICS).map(([name, { type, labels, help }]) => `| \`${name}\` | ${type} | ${labels.join(', ')} | ${help} |\n`);
  return `| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n${rows.join('')}`;
}
