/**
 * The sessions in the shared table, as an operator wants them listed. Read while workers write: a session that changes
 * hands during the look is left out, not misreported.
 */
import { formatAddress } from '../../config/index.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
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
export function listSessions(nat: NatState, nameOf: (tenant: number) => string, filter: SessionFilter, now: number): SessionList {
  const sessions: SessionRow[] = [];
  const seconds = Math.floor(now / 1000);
  let matching = 0;
  for (let session = 0; session < nat.sizes.sessions; session++) {
    const binding = nat.bindingOf(session);
    if (!nat.isOpen(session) || nat.expires(session) <= seconds) continue;
    const tenant = nat.tenantOf(binding);
    const inside = nat.inside(binding), insidePort = nat.insidePort(binding), outsidePort = nat.outsidePort(binding), remotePort = nat.remotePort(session);
    if (filter.tenant !== undefined && filter.tenant !== tenant) continue;
    if (filter.ca !== undefined && filter.ca !== inside) continue;
    if (filter.port !== undefined && filter.port !== insidePort && filter.port !== outsidePort && filter.port !== remotePort) continue;
    const protocol = nat.protocolOf(binding);
    const row: SessionRow = {
      tenant: nameOf(tenant), proto: PROTOCOLS[protocol] ?? String(protocol),
      inside: end(inside, insidePort), outside: end(nat.outside(binding), outsidePort), remote: end(nat.remote(session), remotePort),
      state: protocol === IpProtocol.tcp ? TCP_STATE_NAMES[nat.state(session)] ?? '-' : '-',
      mapped: nat.isStatic(binding),
      ageSeconds: seconds - nat.created(session), expiresInSeconds: nat.expires(session) - seconds,
    };
    if (!nat.isOpen(session) || nat.bindingOf(session) !== binding) continue; // closed meanwhile: the row may be of two sessions
    matching++;
    if (sessions.length < filter.limit) sessions.push(row);
  }
  return { sessions, matching };
}

function end(address: number, port: number): End {
  return { address: formatAddress([0, 0, 0xffff, address]), port };
}
