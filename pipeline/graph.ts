/** The order of the stages, as data: what each kind of packet goes through. A walk ends in a fate or names the next. */
import type { Stage } from './context.js';
import { Walk } from './packet.js';
import { aclIn, aclOut } from './stages/acl.js';
import { admit } from './stages/admit.js';
import { claimSite, claimUplink } from './stages/claim.js';
import { decapGre, decapOverlay } from './stages/decap.js';
import { encapBridged, encapFrame, encapGre } from './stages/encap.js';
import { fit } from './stages/fit.js';
import { fragments } from './stages/fragments.js';
import { frame } from './stages/frame.js';
import { guard } from './stages/guard.js';
import { hairpin, turn } from './stages/hairpin.js';
import { inner } from './stages/inner.js';
import { local } from './stages/local.js';
import { natIn, natOut, natTrack } from './stages/nat.js';
import { arp, neighbor } from './stages/neighbor.js';
import { police } from './stages/police.js';
import { netmapIn, netmapOut } from './stages/netmap.js';
import { rewrite } from './stages/rewrite.js';
import { route, routeInside } from './stages/route.js';
import { track } from './stages/track.js';
import { ttl } from './stages/ttl.js';

/** Indexed by `Walk`. */
export const WALKS: readonly (readonly Stage[])[] = [];
const walks = WALKS as (readonly Stage[])[];

// in
walks[Walk.fromHost]      = [decapOverlay, admit, frame];                              // → hostArp, hostIp
walks[Walk.hostArp]       = [arp];                                                     // → toNeighbor
walks[Walk.hostIp]        = [inner, guard, neighbor, police, fragments, aclOut, route]; // → toGateway, toNeighbor, toSubnet, toNat, toHairpin, toTunnel
walks[Walk.fromUplink]    = [decapGre, inner, claimUplink, police];                    // → uplinkNat, uplinkForward
walks[Walk.uplinkNat]     = [fragments, ttl, natIn, aclIn, fit, natTrack, track, rewrite, encapFrame];
walks[Walk.uplinkForward] = [fragments, routeInside];                                  // → toGateway, toSubnet
walks[Walk.fromSite]      = [decapGre, inner, claimSite, police, netmapIn, fragments, routeInside]; // → toGateway, toSubnet

// out
walks[Walk.toGateway]     = [local];
walks[Walk.toNeighbor]    = [aclIn, fit, track, rewrite, encapBridged];
walks[Walk.toSubnet]      = [ttl, aclIn, fit, track, rewrite, encapFrame];
walks[Walk.toNat]         = [ttl, fit, natOut, track, rewrite, encapGre];
walks[Walk.toHairpin]     = [ttl, hairpin, natOut, turn, natIn, aclIn, fit, natTrack, track, rewrite, encapFrame];
walks[Walk.toTunnel]      = [ttl, fit, track, netmapOut, rewrite, encapGre];
