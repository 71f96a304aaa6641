/**
 * The connections that stateful rules remember, as an operator wants them listed. Read while workers write: one that changes
 * hands during the look is left out, not misreported.
 */
import { formatAddress } from '../../config/index.js';
import { CONNECTION_STATE_NAMES, connectionLifetime } from '../../pipeline/acl/state.js';
import type { Policy } from '../../pipeline/policy.js';
import { CONNECTION_WORDS, type Connections, type Ends } from '../../pipeline/tables/connections.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import type { End } from './sessions.js';

export interface ConnectionRow {
  readonly tenant: string;
  readonly proto: string;
  /** The VM's end; for ICMP queries both ports are the id. */
  readonly local: End;
  readonly remote: End;
  readonly openedBy: 'local' | 'remote';
  readonly state: string;
  /** The rule that lets it pass, and its line; null for a moment after a reload. */
  readonly rule: string | null;
  readonly line: number | null;
  readonly ageSeconds: number;
  readonly expiresInSeconds: number;
}

export interface ConnectionFilter {
  /** Tenant number. */
  readonly tenant?: number | undefined;
  /** Local address, four words. */
  readonly ca?: readonly number[] | undefined;
  /** Either port. */
  readonly port?: number | undefined;
  readonly limit: number;
}

export interface ConnectionList {
  readonly connections: readonly ConnectionRow[];
  /** How many there are, shown or not. */
  readonly matching: number;
}

const PROTOCOLS: Record<number, string> = { [IpProtocol.tcp]: 'tcp', [IpProtocol.udp]: 'udp', [IpProtocol.icmp]: 'icmp', [IpProtocol.icmpv6]: 'icmpv6' };

export function protocolWord(protocol: number): string {
  return PROTOCOLS[protocol] ?? String(protocol);
}

export function localEnd(ends: Ends): End {
  return { address: formatAddress([ends.local0 >>> 0, ends.local1 >>> 0, ends.local2 >>> 0, ends.local3 >>> 0]), port: ends.localPort };
}

export function remoteEnd(ends: Ends): End {
  return { address: formatAddress([ends.remote0 >>> 0, ends.remote1 >>> 0, ends.remote2 >>> 0, ends.remote3 >>> 0]), port: ends.remotePort };
}

export function noEnds(): Ends {
  return { protocol: 0, localPort: 0, remotePort: 0, adapter: 0, local0: 0, local1: 0, local2: 0, local3: 0, remote0: 0, remote1: 0, remote2: 0, remote3: 0 };
}

/** Connections that match, up to the limit, and how many match in all. `now` in ms. */
export function listConnections(connections: Connections, policy: Policy, nameOf: (tenant: number) => string, filter: ConnectionFilter, now: number): ConnectionList {
  const rows: ConnectionRow[] = [];
  const seconds = Math.floor(now / 1000), ends = noEnds(), again = noEnds();
  let matching = 0;
  for (let at = connections.first; at < connections.end; at += CONNECTION_WORDS) {
    if (!connections.isOpen(at)) continue;
    connections.read(at, ends);
    const tenant = connections.tenantOf(at), state = connections.state(at), rule = connections.rule(at);
    const left = connectionLifetime(state, connections.idle(at), policy.timers) - (seconds - connections.seen(at) | 0);
    if (left <= 0 || (filter.tenant !== undefined && filter.tenant !== tenant)) continue;
    if (filter.ca !== undefined && [ends.local0, ends.local1, ends.local2, ends.local3].some((word, i) => word >>> 0 !== filter.ca?.[i])) continue;
    if (filter.port !== undefined && filter.port !== ends.localPort && filter.port !== ends.remotePort) continue;
    const isNamed = connections.generationOf(at) === (policy.generation & 0xff) && rule < policy.rules.names.length;
    const row: ConnectionRow = {
      tenant: nameOf(tenant), proto: protocolWord(ends.protocol), local: localEnd(ends), remote: remoteEnd(ends),
      openedBy: connections.isOutbound(at) ? 'local' : 'remote', state: CONNECTION_STATE_NAMES[state] ?? '-',
      rule: isNamed ? policy.rules.names[rule] : null, line: isNamed ? policy.rules.line[rule] : null,
      ageSeconds: seconds - connections.created(at), expiresInSeconds: left,
    };
    connections.read(at, again);
    if (!connections.isOpen(at) || Object.keys(ends).some(key => ends[key as keyof Ends] !== again[key as keyof Ends])) continue;
    matching++;
    if (rows.length < filter.limit) rows.push(row);
  }
  return { connections: rows, matching };
}
