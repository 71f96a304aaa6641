/** What an earlier policy allowed, asked again: by control for all there is, by a worker for what a packet meets before that. */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { isMapped } from '../address.js';
import { Action, type Policy } from '../policy.js';
import type { Connections, Ends } from '../tables/connections.js';
import { Why } from '../tables/revoked.js';
import { classify } from './classify.js';
import type { Question } from './question.js';
import { connectionLifetime } from './state.js';

/** What a policy says of a flow that is open: how it goes on. */
export const Stay = { stateless: -1, forbidden: -2 } as const;

/** Whether the time of the connection at `at` is up. */
export function isOver(connections: Connections, at: number, now: number, { timers }: Policy): boolean {
  return (now - connections.seen(at) | 0) >= connectionLifetime(connections.state(at), connections.idle(at), timers);
}

/** Ask about a flow of which there is no packet, only its ends. Its subnet and MACs are those of the records: what is routed has the gateway's on its other side. `adapter` is a record of whoever has a link-local local address. */
export function askAbout(q: Question, policy: Policy, tenant: number, ends: Ends, adapter = -1): void {
  const { records } = policy;
  q.protocol = ends.protocol;
  q.localPort = ends.localPort;
  q.remotePort = ends.remotePort;
  q.hasPorts = ends.protocol === IpProtocol.tcp || ends.protocol === IpProtocol.udp;
  q.local0 = ends.local0; q.local1 = ends.local1; q.local2 = ends.local2; q.local3 = ends.local3;
  q.remote0 = ends.remote0; q.remote1 = ends.remote1; q.remote2 = ends.remote2; q.remote3 = ends.remote3;
  q.family = isMapped(q.local0, q.local1, q.local2) ? 4 : 6;
  const local = adapter >= 0 ? adapter : recordOf(policy, tenant, q.local0, q.local1, q.local2, q.local3), remote = recordOf(policy, tenant, q.remote0, q.remote1, q.remote2, q.remote3);
  q.adapter = ends.adapter;
  q.localSubnet = local < 0 ? -1 : records.subnet[local];
  q.localMacHigh = local < 0 ? 0 : records.macHigh[local];
  q.localMacLow = local < 0 ? 0 : records.macLow[local] | 0;
  const isBeside = local >= 0 && remote >= 0 && records.subnet[local] === records.subnet[remote];
  q.remoteMacHigh = isBeside ? records.macHigh[remote] : policy.macHigh;
  q.remoteMacLow = (isBeside ? records.macLow[remote] : policy.macLow) | 0;
}

function recordOf(policy: Policy, tenant: number, a: number, b: number, c: number, d: number): number {
  return policy.findRecord(tenant, a >>> 0, b >>> 0, c >>> 0, d >>> 0);
}

/** The entry that decides about a flow opened this way: `Stay.forbidden` for one that denies, `Stay.stateless` where it needs no state, else the stateful entry. */
export function openedBy(policy: Policy, tenant: number, isOutbound: boolean, q: Question): number {
  const rule = classify(policy, tenant, isOutbound, q);
  if (rule < 0) return Stay.stateless;
  if (policy.rules.action[rule] === Action.deny) return Stay.forbidden;
  return policy.rules.idle[rule] === 0 ? Stay.stateless : rule;
}

/**
 * Whether `policy` would open the connection at `at`, of which `q` asks: 0, and it is noted; else why not. Where nothing
 * denies it either way it needs no state any more, and goes without a word: -1.
 */
export function reviewConnection(policy: Policy, connections: Connections, at: number, tenant: number, q: Question): number {
  const isOutbound = connections.isOutbound(at);
  const rule = openedBy(policy, tenant, isOutbound, q);
  if (rule >= 0) {
    connections.allow(at, policy.generation, rule, policy.rules.idle[rule]);
    return 0;
  }
  if (rule === Stay.forbidden) return Why.acl;
  return openedBy(policy, tenant, !isOutbound, q) === Stay.forbidden ? Why.state : -1;
}

/** The entry that denies a flow, for the list of what was revoked; -1 where none does. */
export function denierOf(policy: Policy, tenant: number, isOutbound: boolean, q: Question): number {
  const rule = classify(policy, tenant, isOutbound, q);
  return rule >= 0 && policy.rules.action[rule] === Action.deny ? rule : -1;
}
