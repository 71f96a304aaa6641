/**
 * Flows that were there before the policy in force: a stateful entry that has just been written down finds them in the midst of
 * their connection. IPv4 with TCP or UDP; of others nobody remembers anything.
 */
import { seconds, type Context } from '../context.js';
import { isOlder } from '../nat/allowed.js';
import { letsPass } from '../nat/tcp-state.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { Walk, type Packet } from '../packet.js';
import { PeerKind } from '../policy.js';
import { F_LANE, Kind } from '../tables/flows.js';

/** Whether `p` belongs to a live flow of an earlier policy that nobody has looked at since. */
export function carriedOver(p: Packet, { nat, policy }: Context): boolean {
  if (p.family !== 4 || !p.hasPorts) return false;
  const { flows } = nat;
  const kind = policy.peers.kind[p.peer];
  let at: number;
  if (p.next === Walk.uplinkNat) {
    at = nat.findSession(p.tenant, p.protocol, p.dst3, p.dport, p.src3, p.sport);
  } else {
    const from = kind === PeerKind.host ? Kind.fromHost : kind === PeerKind.site ? Kind.fromSite : Kind.fromUplink;
    at = flows.findPlain(from, p.tenant, p.protocol, p.src3 | 0, p.dst3 | 0, p.sport << 16 | p.dport);
  }
  if (at < 0 || !isOlder(flows.words[at + F_LANE] >>> 24, policy.generation)) return false;
  if (!nat.isOpen(at)) return true;
  return !nat.isExpired(at, seconds(p), policy.timers) && (p.protocol !== IpProtocol.tcp || letsPass(nat.state(at)));
}
