/**
 * From a draft without problems to the Config that everyone else sees: defaults that depend on other values, the two
 * prefixes of a subnet in one list, every record in its VSID, and all of it frozen.
 */
import type { Node } from './jsonc.js';
import { coversLinkLocal, localsOf, macIn, prefixIn, type RuleView } from './rule-scope.js';
import type { GatewayDraft, SubnetDraft } from './schema.js';
import type { Acl, Address, Config, Endpoint, Gateway, LookupRecord, Mac, MappingEnd, Nat, Prefix, Quotas, Subnet, Tenant, Via } from './types.js';
import { subnetName, type SubnetPart, type TenantView, type View } from './view.js';

/** What is whole as it is: parsed and frozen by its kind. */
type Leaf = string | number | boolean | null | Address | Prefix | Endpoint | Mac | MappingEnd | Via | Node;

/** A type without the undefined that means "reported": there are no problems, so there is none. */
type Whole<T> = T extends Leaf ? T
  : T extends readonly (infer I)[] ? readonly Whole<Exclude<I, undefined>>[]
  : { readonly [K in keyof T]: Whole<Exclude<T[K], undefined>> };

/** The one place that trusts validation: called only when no problem was reported. */
function whole<T>(draft: T): Whole<Exclude<T, undefined>> {
  return draft as Whole<Exclude<T, undefined>>;
}

const freeze = Object.freeze;

/** Frozen in place: the arrays and records made here are nobody else's yet. */
function mapFrozen<T, U>(list: readonly T[], make: (item: T, index: number) => U): readonly U[] {
  return freeze(list.map((item, i) => freeze(make(item, i))));
}

export function buildConfig(file: string, view: View): Config {
  const draft = whole(view.draft);
  const gateway = buildGateway(draft.gateway);
  const { mtu } = gateway;
  return freeze({
    file,
    gateway,
    hosts: mapFrozen(draft.hosts, h => ({ line: h.line, name: h.name, pa: h.pa, encap: h.encap, flowId: h.flowId, mtu: h.mtu ?? mtu })),
    uplinks: mapFrozen(draft.uplinks, u => ({ line: u.line, name: u.name, pa: u.pa, mtu: u.mtu ?? mtu })),
    tenants: mapFrozen(view.tenants, tenant => buildTenant(tenant, mtu)),
  });
}

function buildGateway(g: Whole<GatewayDraft>): Gateway {
  const { udp, tcpEstablished, tcpTransitory, tcpClosing, icmp, fragment, fragmentHold, portBlock } = g.timers;
  const { tenants, sessions, flows, bindings, subscribers, portBlocks, connections, records, fragments, heldFragments } = g.limits;
  const { mode, key, rebalance, ringSlots } = g.rss;
  const { perSecond, burst } = g.icmpErrors;
  return freeze({
    line: g.line,
    name: g.name,
    listen: freeze([...g.listen]),
    uplinkListen: freeze([...g.uplinkListen]),
    grePort: g.grePort,
    vxlanPort: g.vxlanPort,
    mtu: g.mtu,
    mac: g.mac,
    workers: g.workers,
    rss: freeze({ mode, key, rebalance, ringSlots }),
    receiveBuffer: g.receiveBuffer,
    sendBuffer: g.sendBuffer,
    admin: freeze({ socket: g.admin.socket }),
    metrics: g.metrics,
    natLog: freeze({ path: g.natLog.path, maxBytes: g.natLog.maxBytes, files: g.natLog.files }),
    logLevel: g.logLevel,
    limits: freeze({ tenants, sessions, flows, bindings, subscribers, portBlocks, connections, records, fragments, heldFragments }),
    timers: freeze({ udp, tcpEstablished, tcpTransitory, tcpClosing, icmp, fragment, fragmentHold, portBlock }),
    icmpErrors: freeze({ perSecond, burst }),
  });
}

function buildTenant(view: TenantView, mtu: number): Tenant {
  const t = whole(view.draft);
  return {
    line: t.line,
    name: t.name,
    rdid: t.rdid,
    subnets: mapFrozen(view.draft.subnets ?? [], subnet => buildSubnet(subnet, view.partsOf.get(subnet) ?? [])),
    records: mapFrozen(t.records, (r, i): LookupRecord => ({
      line: r.line, type: r.type, ca: r.type === 'static' ? r.ca : null, mac: r.mac, host: r.host, vsid: r.vsid ?? view.placed[i]?.subnet.vsid ?? 0,
    })),
    routes: mapFrozen(t.routes, r => ({ line: r.line, prefix: r.prefix, metric: r.metric, via: r.via })),
    nat: t.nat === null ? null : buildNat(t.nat),
    forward: t.forward === null ? null : freeze({ line: t.forward.line, uplink: t.forward.uplink, key: t.forward.key }),
    sites: mapFrozen(t.sites, s => (
      { line: s.line, name: s.name, type: s.type, pa: s.pa, key: s.key, prefixes: freeze([...s.prefixes]), maps: mapFrozen(s.maps, m => ({ line: m.line, side: m.side, real: m.real, shown: m.shown })), mtu: s.mtu ?? mtu }
    )),
    limits: buildQuotas(t.limits),
    acls: mapFrozen(view.rules, buildAcl),
  };
}

function buildSubnet(draft: SubnetDraft, parts: readonly SubnetPart[]): Subnet {
  const s = whole(draft);
  return {
    line: s.line,
    vsid: s.vsid,
    name: subnetName(draft) ?? '',
    prefixes: mapFrozen(parts, ({ prefix, gateway }) => ({ prefix, gateway: whole(gateway) })),
    hosts: s.hosts === null ? null : freeze([...s.hosts]),
  };
}

function buildQuotas(limits: Whole<TenantView['draft']>['limits']): Quotas {
  const { sessions, bindings, newFlowsPerSecond, packetsPerSecond, bytesPerSecond, perAddress } = limits;
  return freeze({
    sessions, bindings, newFlowsPerSecond, packetsPerSecond, bytesPerSecond,
    perAddress: freeze({ sessions: perAddress.sessions, bindings: perAddress.bindings, newFlowsPerSecond: perAddress.newFlowsPerSecond }),
  });
}

function buildNat(nat: Exclude<Whole<TenantView['draft']>['nat'], null>): Nat {
  return freeze({
    line: nat.line,
    uplink: nat.uplink,
    key: nat.key,
    pool: freeze(nat.pool.flat()),
    filtering: nat.filtering,
    pooling: nat.pooling,
    parity: nat.parity,
    blocks: freeze({ size: nat.blocks.size, assign: nat.blocks.assign, perAddress: nat.blocks.perAddress }),
    mappings: mapFrozen(nat.mappings, m => ({ line: m.line, proto: m.proto, external: m.external, internal: m.internal })),
  });
}

function buildAcl(rule: RuleView): Acl {
  const { line, weight, action, direction, protocol, local, remote, localPort, remotePort, stateful, idleTimeout } = whole(rule.draft);
  const locals = localsOf(rule);
  return {
    line, name: rule.name ?? '', scope: freeze(rule.scope), weight, action, direction, protocol,
    local: locals === null ? null : freeze([...locals]), linkLocal: coversLinkLocal(rule), localMac: macIn(local), remote: prefixIn(remote), remoteMac: macIn(remote),
    localPort, remotePort, stateful, idleTimeout,
  };
}
