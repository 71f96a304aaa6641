/**
 * NAT pools against the underlay. The gateway knows a tenant by the PA that speaks, so NAT must not give a tenant's packet a
 * source that is somebody's PA, and none for a PA may be taken for a tenant's. (What a tenant forwards keeps its CA, which
 * the physical network has to filter.)
 */
import { findLongest, makeIndex } from '../prefix-index.js';
import { nodeOfItem } from '../problems.js';
import type { NatDraft } from '../schema.js';
import type { Address } from '../types.js';
import type { View } from '../view.js';
import { isAllZero } from './common.js';
import { peersOf } from './peers.js';

/** One entry of a pool, which may be several prefixes. */
interface Entry { readonly nat: NatDraft; readonly index: number }

export function checkPools(view: View): void {
  const entries = view.tenants.flatMap(({ draft: { nat } }) => (nat?.pool ?? []).flatMap((prefixes, index) => {
    const owner: Entry = { nat: nat as NatDraft, index };
    return (prefixes ?? []).map(prefix => ({ prefix, owner }));
  }));
  if (entries.length === 0) return;
  const pools = makeIndex(entries);
  const blamed = new Set<Entry>();
  for (const { address, title, why } of partiesOf(view)) {
    const entry = findLongest(pools, address)?.owner;
    if (entry === undefined || blamed.has(entry)) continue;
    blamed.add(entry);
    view.reporter.report(entry.nat.at, ['pool', entry.index], `holds ${address.text}, ${title}`, why);
  }
}

interface Party { readonly address: Address; readonly title: string; readonly why: string }

const OF_PEER = 'a tenant could send as that peer, and tenants are told apart by PA: use addresses that nobody on the underlay has';
const OF_GATEWAY = 'a tenant could send as the gateway: use addresses that nobody on the underlay has';

function* partiesOf(view: View): Generator<Party> {
  for (const { pa, title, line } of peersOf(view)) yield { address: pa.address, title: `the PA of ${title}, line ${line}`, why: OF_PEER };
  const { draft: { gateway }, reporter } = view;
  if (gateway === undefined) return;
  for (const key of ['listen', 'uplinkListen'] as const) {
    for (const [i, address] of (gateway[key] ?? []).entries()) {
      if (address === undefined || isAllZero(address)) continue; // all addresses of the machine: which those are, the file does not say
      yield { address, title: `in gateway.${key}, line ${reporter.lineOf(nodeOfItem(gateway.at, key, i).start)}`, why: OF_GATEWAY };
    }
  }
}
