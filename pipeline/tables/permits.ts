/**
 * Permissions: whom the inside end of a binding has sent to, where a tenant filters by address (RFC 4787 §5). One is a record of the flow
 * table, found by protocol, outside end and remote address:
 *
 *   word 1 remote address   word 2 outside address   word 3 outside port   word 5 binding + 1   word 6 when that was made
 *
 * It is good for as long as the very binding it was made for, of which it tells index and age: so nobody has to take it out when the
 * binding goes, and a worker that dies leaves nothing that counts. The reaper removes what is good for nothing any more.
 * Written under the inside lock of the binding, read without.
 */
import { F_DO, F_DST, F_LANE, F_PORTS, F_TO, Kind, flowKey } from './flows.js';
import type { NatState } from './nat-state.js';

/** Readers take a record with a zero for one that is being written: this word is of no use here, and never zero. */
const FILLED = 1;

/** Let anybody at `remote` send in by `binding`, whose inside lock is held; false when there is no room for another permission. */
export function permit(nat: NatState, binding: number, remote: number, now: number): boolean {
  const { flows } = nat;
  const at = find(nat, binding, remote);
  if (at >= 0) {
    // There is one already, of this binding or of one that is gone; between the two stores it is nobody's.
    flows.words[at + F_TO] = binding + 1;
    flows.words[at + F_DO] = nat.created(binding);
    return true;
  }
  const protocol = nat.protocolOf(binding), outside = nat.outside(binding) | 0, outsidePort = nat.outsidePort(binding);
  const hash = flows.hash(protocol, remote | 0, outside, outsidePort);
  return flows.addPlain(flowKey(0, protocol, Kind.permit), remote | 0, outside, outsidePort, hash, FILLED, binding + 1, nat.created(binding), now);
}

/** Whether the inside end of `binding` has sent to `remote` since the binding was made. */
export function isPermitted(nat: NatState, binding: number, remote: number): boolean {
  const at = find(nat, binding, remote);
  return at >= 0 && isFor(nat, at, binding);
}

/** Whether the permission at `at` is still good for something. */
export function isPermitLive(nat: NatState, at: number): boolean {
  const f = nat.flows.words;
  const binding = nat.findOutside(f[at] >>> 8 & 0xff, f[at + F_DST] >>> 0, f[at + F_PORTS]);
  return binding >= 0 && isFor(nat, at, binding);
}

function isFor(nat: NatState, at: number, binding: number): boolean {
  const f = nat.flows.words;
  return f[at + F_LANE] !== 0 && f[at + F_TO] === binding + 1 && f[at + F_DO] >>> 0 === nat.created(binding);
}

function find(nat: NatState, binding: number, remote: number): number {
  const { flows } = nat;
  const protocol = nat.protocolOf(binding), outside = nat.outside(binding) | 0, outsidePort = nat.outsidePort(binding);
  return flows.find(flowKey(0, protocol, Kind.permit), remote | 0, outside, outsidePort, flows.hash(protocol, remote | 0, outside, outsidePort));
}
