/**
 * The sessions in the shared table, as an operator wants them listed. Read while workers write: a session that changes
 * hands during the look is left out, not misreported.
 */
import { formatAddress } from '../../config/index.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import type { Timers } from '../../pipeline/policy-rows.js';
import type { NatState } from '../../pipeline/tables/nat-state.js';
import { TCP_STATE_NAMES } from '../../pipeline/nat/tcp-state.js';

/** An address and a port, or for ICMP the query's id. */
export interface End { readonly address: string; readonly port: number }

export interface SessionRow {
  readonly tenant: string;
  readonly proto: string;
  /** The CA. */
  readonly inside: End;
  /** Of the NAT pool. */
  readonly outside: End;
  readonly remote: End;
  /** TCP's; `-` for protocols without. */
  readonly state: string;
  /** The binding is a static mapping's. */
  readonly mapped: boolean;
  /** Since its binding was made. */
  readonly ageSeconds: number;
  readonly expiresInSeconds: number;
}

export interface SessionFilter {
  /** Tenant number. */
  readonly tenant?: number | undefined;
  /** Inside address, IPv4 as a number. */
  readonly ca?: number | undefined;
  /** Inside, outside or remote port. */
  readonly port?: number | undefined;
  readonly limit: number;
}

export interface SessionList {
  readonly sessions: readonly SessionRow[];
  /** How many there are, shown or not. */
  readonly matching: number;
}

const PROTOCOLS: Record<number, string> = { [IpProtocol.tcp]: 'tcp', [IpProtocol.udp]: 'udp', [IpProtocol.icmp]: 'icmp' };

/** Sessions that match, up to the limit, and how many match in all. `now` in ms. */
export function listSessions(nat: NatState, timers: Timers, nameOf: (tenant: number) => string, filter: SessionFilter, now: number): SessionList {
  const sessions: SessionRow[] = [];
  const seconds = Math.floor(now / 1000);
  let matching = 0;
  for (const session of nat.sessions()) {
    const binding = nat.bindingOf(session);
    const expires = nat.expires(session, timers);
    if (binding < 0 || expires <= seconds) continue;
    const tenant = nat.sessionTenant(session);
    const inside = nat.sessionInside(session), insidePort = nat.sessionInsidePort(session);
    const outsidePort = nat.sessionOutsidePort(session), remotePort = nat.remotePort(session);
    if (filter.tenant !== undefined && filter.tenant !== tenant) continue;
    if (filter.ca !== undefined && filter.ca !== inside) continue;
    if (filter.port !== undefined && filter.port !== insidePort && filter.port !== outsidePort && filter.port !== remotePort) continue;
    const protocol = nat.sessionProtocol(session);
    const row: SessionRow = {
      tenant: nameOf(tenant), proto: PROTOCOLS[protocol] ?? String(protocol),
      inside: end(inside, insidePort), outside: end(nat.sessionOutside(session), outsidePort), remote: end(nat.remote(session), remotePort),
      state: protocol === IpProtocol.tcp ? TCP_STATE_NAMES[nat.state(session)] ?? '-' : '-',
      mapped: nat.isStatic(binding),
      ageSeconds: seconds - nat.created(binding), expiresInSeconds: expires - seconds,
    };
    if (!nat.isOpen(session) || nat.sessionInside(session) !== inside || nat.remotePort(session) !== remotePort) continue; // closed meanwhile: the row may be of two sessions
    matching++;
    if (sessions.length < filter.limit) sessions.push(row);
  }
  return { sessions, matching };
}

function end(address: number, port: number): End {
  return { address: formatAddress([0, 0, 0xffff, address]), port };
}
