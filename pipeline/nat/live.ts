/** Sessions as a packet may use them. */
import type { Context } from '../context.js';
import { isOlder } from './allowed.js';

/**
 * The session between these ends, or -1. One whose time is up, or that the policy in force would not open, is closed
 * here: the reaper has not come by yet. Needs the inside lock.
 */
export function findLiveSession(
  { nat, policy, review }: Context, tenant: number, protocol: number, inside: number, insidePort: number, remote: number, remotePort: number, now: number,
): number {
  const session = nat.findSession(tenant, protocol, inside, insidePort, remote, remotePort);
  if (session < 0) return -1;
  if (nat.isExpired(session, now, policy.timers)) {
    nat.close(session);
    return -1;
  }
  // The same generation, or one that another worker has taken over already.
  if (!isOlder(nat.sessionGeneration(session), policy.generation)) return session;
  const why = review.whyNotSession(policy, session, now, true);
  if (why === 0) {
    nat.allowSession(session, policy.generation);
    return session;
  }
  review.revokeSession(policy, session, why, now, true);
  return -1;
}
