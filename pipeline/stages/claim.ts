/**
 * claim: whose is a packet from outside? An uplink's by NAT pool or by key, a site's by its own tenant; and it must
 * come from where it says. A site with maps speaks by its own addresses, and `netmapIn` goes on with those that the tenant knows.
 *   needs   peer, key, addresses
 *   leaves  tenant; the next walk
 *   drops   pool_unknown, gre_key_unknown, nat_wrong_uplink, outside_source, site_source
 */
import { Fate, type Context } from '../context.js';
import { Walk, type Packet } from '../packet.js';
import { Reason } from '../reasons.js';

export function claimUplink(p: Packet, c: Context): number {
  const { policy } = c;
  const { tenants } = policy;
  const keyed = p.key >= 0;
  const owner = p.family === 4 ? policy.findPoolOwner(p.dst3) : -1;
  if (owner >= 0 && tenants.natUplink[owner] === p.peer && (tenants.natKeyed[owner] === 1 ? tenants.natKey[owner] : -1) === p.key) {
    p.tenant = p.claimed = owner;
    p.next = Walk.uplinkNat;
    if (policy.isOwnPool(owner, p.src3 | 0)) return Reason.outside_source; // what the tenant sends to its own never leaves (hairpin.ts)
  } else {
    const tenant = policy.greKeys.find(p.peer, keyed ? 1 : 0, keyed ? p.key : 0, 0, 0);
    if (tenant < 0) return owner >= 0 ? Reason.nat_wrong_uplink : keyed ? Reason.gre_key_unknown : Reason.pool_unknown;
    p.tenant = p.claimed = tenant;
    p.next = Walk.uplinkForward;
  }
  return fromOutside(p, c);
}

export function claimSite(p: Packet, c: Context): number {
  if (c.policy.sitePrefixes.find(p.peer, p.src0, p.src1, p.src2, p.src3) < 0) return Reason.site_source;
  return c.policy.netmaps.has(p.peer) ? Fate.next : fromOutside(p, c);
}

/** Nobody outside has an address of the tenant's own subnets. */
export function fromOutside(p: Packet, c: Context): number {
  return c.policy.connected.find(p.tenant, p.src0, p.src1, p.src2, p.src3) >= 0 ? Reason.outside_source : Fate.next;
}
