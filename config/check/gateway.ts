/** The gateway's own section: listening addresses, ports, sizes, times. */
import type { Node } from '../jsonc.js';
import { nodeOfItem } from '../problems.js';
import type { GatewayDraft } from '../schema.js';
import type { Address } from '../types.js';
import type { TenantView, View } from '../view.js';
import { isAllZero, unusable } from './common.js';

/** A bit of a word for each in a ring's header, and a quarter of the indirection table's entries. */
const MOST_BEHIND_DISPATCHER = 32;

export function checkGateway({ draft, reporter }: View): void {
  const gateway = draft.gateway;
  if (gateway === undefined) return;
  const { report } = reporter;

  const listen = usableListeners(gateway, 'listen');
  const uplinkListen = usableListeners(gateway, 'uplinkListen');
  checkListeners('listen', listen, []);
  checkListeners('uplinkListen', uplinkListen, listen);

  if (gateway.grePort !== undefined && gateway.grePort !== 0 && gateway.grePort === gateway.vxlanPort) {
    report(gateway.at, 'vxlanPort', 'the same port as grePort', 'GRE and VXLAN need a port each: 4754 and 4789');
  }
  const { timers, limits, workers, rss } = gateway;
  if (rss?.mode === 'dispatcher' && typeof workers === 'number' && workers > MOST_BEHIND_DISPATCHER) {
    report(gateway.at, 'workers', `too many for a dispatcher, which serves ${MOST_BEHIND_DISPATCHER} at most`,
      `write ${MOST_BEHIND_DISPATCHER} or fewer, "auto", or rss.mode "kernel"`);
  }
  if (timers?.fragmentHold !== undefined && timers.fragment !== undefined && timers.fragmentHold > timers.fragment) {
    report(timers.at, 'fragmentHold', `longer than timers.fragment, ${timers.fragment} seconds`,
      'a fragment cannot wait longer than its datagram is remembered');
  }
  const tenants = draft.tenants?.length ?? 0;
  if (limits?.tenants !== undefined && tenants > limits.tenants) {
    report(gateway.at, 'limits', `room for ${limits.tenants} tenants, but the file has ${tenants}`,
      `set limits.tenants to ${tenants} or more`);
  }
  const records = (draft.tenants ?? []).reduce((sum, tenant) => sum + (tenant.records?.length ?? 0), 0);
  if (limits?.records !== undefined && records > limits.records) {
    report(gateway.at, 'limits', `room for ${limits.records} records, but the file has ${records}`,
      `set limits.records to ${records} or more`);
  }
  if (gateway.metrics) {
    const wrong = unusable(gateway.metrics.listen, ['loopback', 'unspecified']);
    if (wrong !== undefined) report(gateway.at, 'metrics', `${wrong}, where nothing can listen`, 'write "127.0.0.1:9464"');
  }

  function usableListeners({ at }: GatewayDraft, key: 'listen' | 'uplinkListen'): Listener[] {
    return (gateway?.[key] ?? []).flatMap((address, index) => {
      if (address === undefined) return [];
      const wrong = isAllZero(address) ? undefined : unusable(address, ['loopback']);
      if (wrong === undefined) return [{ address, index, line: reporter.lineOf(nodeOfItem(at, key, index).start) }];
      report(at, [key, index], `${wrong}, where nothing can listen`,
        address.family === 6 ? 'write an address of this machine' : 'write an address of this machine, or 0.0.0.0 for all');
      return [];
    });
  }

  function checkListeners(key: 'listen' | 'uplinkListen', own: readonly Listener[], others: readonly Listener[]): void {
    const before = [...others];
    for (const { address, index, line } of own) {
      const clash = before.find(({ address: b }) => b.text === address.text || (b.family === address.family && isAllZero(b) !== isAllZero(address)));
      if (clash !== undefined && gateway !== undefined) {
        const where = `${others.includes(clash) ? 'listen, ' : ''}line ${clash.line}`;
        if (clash.address.text === address.text) report(gateway.at, [key, index], `already in ${where}`,
          key === 'uplinkListen' ? 'leave uplinkListen out to share listen' : 'keep one');
        else report(gateway.at, [key, index], `overlaps ${clash.address.text}, ${where}`,
          'list every address, or only the one that means all');
      }
      before.push({ address, index, line });
    }
  }
}

interface Listener { readonly address: Address; readonly index: number; readonly line: number }

/** Below these a tunnel would break what IP promises its users: RFC 791 §3.1 (every host takes 576), RFC 8200 §5 (every link takes 1280). */
const LEAST_INNER = { 4: 576, 6: 1280 } as const;

interface Underlay {
  readonly title: string;
  readonly at: Node;
  readonly mtu: number | null | undefined;
  readonly needs: number;
}

/** An MTU must leave room for the smallest packet that every link has to carry. */
export function checkMtus({ draft, reporter, tenants }: View): void {
  const hasV6 = (view: TenantView): boolean => view.parts.some(part => part.prefix.family === 6);
  const anyV6 = tenants.some(hasV6);
  const forwardsV6 = new Set(tenants.filter(hasV6).map(view => view.draft.forward?.uplink));

  // Overhead up to the inner IP header: outer IP and UDP, then GRE with a key, and for hosts an Ethernet header too.
  const least = (v6Inside: boolean, outer: 4 | 6 | undefined, afterUdp: number): number => (
    LEAST_INNER[v6Inside ? 6 : 4] + (outer === 6 ? 48 : 28) + afterUdp
  );
  const underlays: Underlay[] = [
    ...(draft.hosts ?? []).map(h => ({ title: `host ${h.name}`, at: h.at, mtu: h.mtu, needs: least(anyV6, h.pa?.address.family, 22) })),
    ...(draft.uplinks ?? []).map(u => ({ title: `uplink ${u.name}`, at: u.at, mtu: u.mtu, needs: least(forwardsV6.has(u.name), u.pa?.address.family, 8) })),
    ...tenants.flatMap(t => (t.draft.sites ?? []).map(s => ({
      title: `${t.title}'s site ${s.name}`, at: s.at, mtu: s.mtu, needs: least(s.prefixes?.some(p => p?.family === 6) ?? false, s.pa?.address.family, 8),
    }))),
  ];

  let most = { title: 'any host', needs: least(anyV6, 4, 22) };
  for (const { title, at, mtu, needs } of underlays) {
    if (mtu === null && needs > most.needs) most = { title, needs };
    if (typeof mtu === 'number' && mtu < needs) reporter.report(at, 'mtu', 'too small',
      `at least ${needs}: the encapsulation, and the smallest packet that every link must carry`);
  }
  const mtu = draft.gateway?.mtu;
  if (draft.gateway !== undefined && mtu !== undefined && mtu < most.needs) {
    reporter.report(draft.gateway.at, 'mtu', `too small for ${most.title}`,
      `at least ${most.needs}: the encapsulation, and the smallest packet that every link must carry`);
  }
}
