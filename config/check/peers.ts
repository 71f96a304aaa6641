/** Who speaks from where: the PAs of hosts, uplinks and sites, and whether the gateway can reach them. */
import { useOf } from '../address.js';
import type { Node } from '../jsonc.js';
import type { Endpoint } from '../types.js';
import { titled, type View } from '../view.js';
import { reportTwins, unusable } from './common.js';

export interface Peer {
  readonly kind: 'host' | 'uplink' | 'site';
  readonly title: string;
  readonly name: string | undefined;
  readonly at: Node;
  readonly line: number;
  readonly pa: Endpoint;
  /** Sites only. */
  readonly key: number | null | undefined;
}

export function checkPeers(view: View): void {
  const { draft, reporter } = view;
  reportTwins(reporter, draft.hosts ?? [], 'name', h => h.name, first => `line ${first.line} has a host of this name`,
    'give each host a name of its own');
  reportTwins(reporter, draft.uplinks ?? [], 'name', u => u.name, first => `line ${first.line} has an uplink of this name`,
    'give each uplink a name of its own');
  for (const host of draft.hosts ?? []) {
    if (host.encap === 'vxlan' && host.flowId === 'hash') reporter.report(host.at, 'flowId', 'VXLAN has no FlowID',
      'leave it out: with VXLAN the UDP source port carries the hash');
  }

  const peers = peersOf(view);
  const byAddress = new Map<string, Peer[]>();
  for (const peer of peers) {
    const wrong = unusable(peer.pa.address, ['loopback']);
    if (wrong !== undefined) reporter.report(peer.at, 'pa', `${wrong} cannot be a PA`, 'write the address the other side sends from');
    const { text } = peer.pa.address;
    const there = byAddress.get(text);
    if (there === undefined) byAddress.set(text, [peer]);
    else there.push(peer);
  }

  for (const group of byAddress.values()) {
    checkOwn(view, group);
    if (group.length > 1) checkSharers(view, group);
  }
  checkReach(view, peers);
}

export function peersOf({ draft, tenants }: View): Peer[] {
  const peers: Peer[] = [];
  for (const kind of ['host', 'uplink'] as const) {
    for (const d of draft[`${kind}s`] ?? []) {
      if (d.pa !== undefined) peers.push({ kind, title: titled(kind, d), name: d.name, at: d.at, line: d.line, pa: d.pa, key: null });
    }
  }
  for (const tenant of tenants) {
    for (const d of tenant.draft.sites ?? []) {
      if (d.pa === undefined) continue;
      peers.push({ kind: 'site', title: `${tenant.title}'s ${titled('site', d)}`, name: d.name, at: d.at, line: d.line, pa: d.pa, key: d.key });
    }
  }
  return peers;
}

/** A peer may share an address of the gateway's only from another port. */
function checkOwn({ draft, reporter }: View, group: readonly Peer[]): void {
  const gateway = draft.gateway;
  const own = [...(gateway?.listen ?? []), ...(gateway?.uplinkListen ?? [])].some(address => address?.text === group[0].pa.address.text);
  if (!own) return;
  for (const { at, pa } of group) {
    if (pa.port === 0) reporter.report(at, 'pa', 'the gateway listens on this address itself',
      'add the port the other side sends from, or correct the address');
    else if (pa.port === gateway?.grePort || pa.port === gateway?.vxlanPort) reporter.report(at, 'pa', 'the gateway’s own socket',
      'write the port the other side sends from');
  }
}

/** Peers at one address: told apart by port, and sites at one PA by key. Hosts and uplinks come first in the group. */
function checkSharers({ reporter }: View, group: readonly Peer[]): void {
  const owners = new Map<number, Peer>();
  const sites = new Map<string, Peer>();
  const blamed = new Set<Peer>();
  for (const peer of group) {
    const owner = owners.get(peer.pa.port);
    const site = peer.kind === 'site' ? sites.get(`${peer.pa.port} ${peer.key}`) : undefined;
    if (owner !== undefined) {
      blamed.add(peer);
      // The same name too: the whole line is there twice, and the name has been reported.
      if (owner.name !== peer.name || owner.kind !== peer.kind) {
        reporter.report(peer.at, 'pa', `${owner.title}, line ${owner.line}, has this PA`,
          'each peer needs its own: where they share an address, give every one its port');
      }
    } else if (site !== undefined && peer.key !== undefined) {
      blamed.add(peer);
      reporter.report(peer.at, peer.key === null ? 'pa' : 'key', `${site.title}, line ${site.line}, has this PA and this key`,
        'sites that share a PA need different keys');
    } else if (peer.kind === 'site') sites.set(`${peer.pa.port} ${peer.key}`, peer);
    else owners.set(peer.pa.port, peer);
  }

  const ported = group.find(peer => peer.pa.port !== 0);
  if (ported === undefined) return;
  for (const peer of group) {
    if (peer.pa.port === 0 && !blamed.has(peer)) {
      reporter.report(peer.at, 'pa', `shares its address with ${ported.title}, line ${ported.line}, but has no port`,
        'PAs that share an address must all carry ports');
    }
  }
}

/** A peer of a family, or a network, that the gateway does not listen on would never be heard. */
function checkReach({ draft, reporter }: View, peers: readonly Peer[]): void {
  const gateway = draft.gateway;
  if (gateway?.listen === undefined || gateway.uplinkListen === undefined) return;
  for (const side of ['listen', 'uplinkListen'] as const) {
    const mine = gateway[side] ?? [];
    if (mine.length === 0 || mine.includes(undefined)) continue;
    const heard = peers.filter(peer => (peer.kind === 'host' || gateway.uplinkListen?.length === 0 ? 'listen' : 'uplinkListen') === side);
    for (const family of [4, 6] as const) {
      const ofFamily = mine.filter(address => address?.family === family);
      const stranger = heard.find(peer => peer.pa.address.family === family && unusable(peer.pa.address, ['loopback']) === undefined);
      if (stranger !== undefined && ofFamily.length === 0) {
        reporter.report(gateway.at, side, `no IPv${family} address, but ${stranger.title}, line ${stranger.line}, has an IPv${family} PA`,
          `add an IPv${family} address to ${side}`);
        continue;
      }
      if (ofFamily.length === 0 || !ofFamily.every(address => address !== undefined && useOf(address) === 'loopback')) continue;
      const distant = heard.find(peer => peer.pa.address.family === family && unusable(peer.pa.address) === undefined);
      if (distant !== undefined) {
        reporter.report(gateway.at, side, `only a loopback address, but ${distant.title}, line ${distant.line}, is at ${distant.pa.text}`,
          'listen on an address that it can reach');
      }
    }
  }
}
