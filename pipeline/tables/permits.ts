/**
 * Permissions: whom the inside end of a binding has sent to, where a tenant filters by address (RFC 4787 §5). One is a record of the flow
 * table, found by protocol, outside end and remote address:
 *
 *   word 1 remote address   word 2 outside address   word 3 outside port   word 5 binding + 1   word 6 when that was made   word 7 sessions
 *
 * It lasts as long as sessions that the inside end has opened to that address, each of which says that it is counted (`PERMITS`); and
 * it is good for the very binding it was made for only, of which it tells number and age. So there are never more of them than
 * sessions. Written under the inside lock of the binding, read without.
 */
import { F_DO, F_LANE, F_SEEN, F_TO, FLOW_WORDS, Kind, flowKey } from './flows.js';
import type { NatState } from './nat-state.js';

/** Readers take a record with a zero for one that is being written: this word is of no use here, and never zero. */
const FILLED = 1;

/** Count a session of `binding` with somebody at `remote`, which is about to be opened; false when there is no room for the permission. */
export function permit(nat: NatState, binding: number, remote: number): boolean {
  const { flows } = nat, { words } = flows;
  const known = findPermit(nat, binding, remote);
  if (known >= 0) {
    const isOwn = isFor(nat, known, binding);
    words[known + F_SEEN] = isOwn ? words[known + F_SEEN] + 1 : 1;
    // What a worker that died has left of another binding: between these two it is nobody's.
    words[known + F_TO] = binding + 1;
    words[known + F_DO] = nat.created(binding);
    return true;
  }
  const protocol = nat.protocolOf(binding), outside = nat.outside(binding) | 0, outsidePort = nat.outsidePort(binding);
  const at = flows.claim(flows.hash(protocol, remote | 0, outside, outsidePort));
  if (at >= 0) flows.publish(at, flowKey(0, protocol, Kind.permit), remote | 0, outside, outsidePort, FILLED, binding + 1, nat.created(binding), 1);
  return at >= 0;
}

/** A session that `permit` has counted is over, or was not opened. */
export function withdraw(nat: NatState, binding: number, remote: number): void {
  const { flows } = nat;
  const at = findPermit(nat, binding, remote);
  if (at >= 0 && isFor(nat, at, binding) && --flows.words[at + F_SEEN] <= 0) flows.remove(at);
}

/** Whether the inside end of `binding` has a session that it has opened with somebody at `remote`. */
export function isPermitted(nat: NatState, binding: number, remote: number): boolean {
  const at = findPermit(nat, binding, remote);
  return at >= 0 && isFor(nat, at, binding);
}

/** After a worker has died: count anew, while everybody who could open or close a session waits. */
export function recountPermits(nat: NatState): void {
  const { flows } = nat, { words } = flows;
  let found = 0;
  for (let at = 0; at < flows.end; at += FLOW_WORDS) {
    if (flows.kind(at) !== Kind.permit) continue;
    words[at + F_SEEN] = 0;
    found++;
  }
  if (found === 0) return;
  for (let at = 0; at < flows.end; at += FLOW_WORDS) {
    if (!nat.isOpen(at) || !nat.isPermit(at)) continue;
    const permitted = findPermit(nat, nat.bindingOf(at), nat.remote(at));
    if (permitted >= 0) words[permitted + F_SEEN]++;
  }
  for (let at = 0; at < flows.end; at += FLOW_WORDS) if (flows.kind(at) === Kind.permit && words[at + F_SEEN] === 0) flows.remove(at);
}

function isFor(nat: NatState, at: number, binding: number): boolean {
  const f = nat.flows.words;
  return f[at + F_LANE] !== 0 && f[at + F_TO] === binding + 1 && f[at + F_DO] >>> 0 === nat.created(binding);
}

/** The record of the permission for `remote` at the outside end of `binding`, whosever it is, or -1. */
export function findPermit(nat: NatState, binding: number, remote: number): number {
  if (binding < 0) return -1;
  const { flows } = nat;
  const protocol = nat.protocolOf(binding), outside = nat.outside(binding) | 0, outsidePort = nat.outsidePort(binding);
  return flows.find(flowKey(0, protocol, Kind.permit), remote | 0, outside, outsidePort, flows.hash(protocol, remote | 0, outside, outsidePort));
}
