/**
 * After a worker has died in the midst of a change: put right what only a walk over all of it can see. Every store of
 * nat-state.ts leaves tables that others can use, so what is wrong is at worst something that nobody finds any more: a
 * claim, a session with one record, a binding in one chain or without sessions, a count.
 */
import { F_DO, F_DST, F_PORTS, F_SRC, F_TO, FLOW_WORDS, Kind, OP_FAST, isPlain } from './flows.js';
import { B_NEXT_INSIDE, B_SESSIONS, BINDING_WORDS, COUNTS, FREE, H_FREE, H_SESSIONS, IN_BLOCK, STRIPES, natLayout } from './nat-layout.js';
import type { NatState } from './nat-state.js';
import { recountPermits } from './permits.js';

/**
 * Repair `memory`, of which `nat` is control's view, after `owner`. Everybody else's changes wait meanwhile, half a second with a
 * million sessions; packets of flows that are compiled do not. False when somebody else holds a lock for long, who may have
 * died as well: then what only `owner` could undo is undone, and the rest is to be tried again.
 */
export function repairNat(nat: NatState, memory: SharedArrayBuffer, owner: number): boolean {
  const { flows, locks } = nat;
  locks.freeAllOf(owner);
  for (let at = 0; at < flows.end; at += FLOW_WORDS) if (flows.isClaimedBy(at, owner)) flows.unclaim(at);
  return locks.withAll(STRIPES, () => repair(nat, memory));
}

function repair(nat: NatState, memory: SharedArrayBuffer): void {
  const { flows, sizes } = nat;
  const layout = natLayout(sizes);
  const w = new Int32Array(memory, 0, layout.flows), f = flows.words;
  const tally = new Int32Array(sizes.bindings);
  const plainBefore = flows.plainCount;
  let sessions = 0, inbound = 0, plain = 0;
  for (let at = 0; at < flows.end; at += FLOW_WORDS) {
    const kind = flows.kind(at);
    if (nat.isOpen(at)) {
      const binding = nat.bindingOf(at), back = nat.inboundOf(at);
      if (binding >= 0 && back >= 0) {
        // The other record may not know the state yet.
        if (((f[at + F_DO] ^ f[back + F_DO]) & (0xff00 | OP_FAST)) !== 0) nat.move(at, nat.state(at), (f[at + F_DO] & OP_FAST) !== 0);
        tally[binding]++;
        sessions++;
      } else {
        if (back >= 0) flows.remove(back);
        flows.remove(at);
      }
    } else if (kind === Kind.natIn) {
      inbound++;
    } else if (isPlain(kind) || kind === Kind.claimed) { // sessions are claimed under locks that are all held here
      plain++;
    }
  }
  if (inbound !== sessions) removeHalves(nat);

  const free = freeBindings(w, layout.bindings, sizes.bindings);
  for (let binding = 0; binding < tally.length; binding++) {
    const at = layout.bindings + binding * BINDING_WORDS + B_SESSIONS;
    if (w[at] === FREE && free[binding] === 0) nat.giveBack(binding);
    if (w[at] < 0) continue;
    w[at] = tally[binding];
    if (tally[binding] === 0) nat.unbind(binding);
  }
  Atomics.store(w, H_SESSIONS, sessions);
  recount(nat, tally);
  recountPermits(nat);
  flows.recountPlain(plainBefore, plain);
}

/** Count anew what bindings, each with so many sessions, are charged to. */
function recount(nat: NatState, sessions: Int32Array): void {
  const { counts, subscribers, blocks } = nat;
  counts.clear();
  subscribers.rebuild();
  blocks.rebuild();
  sessions.forEach((n, binding) => {
    if (n === 0) return;
    const tenant = nat.tenantOf(binding), isFixed = nat.isStatic(binding), holder = nat.holder(binding);
    counts.addBinding(0, tenant, isFixed, 1); // to any stripe: only their sum says anything
    counts.addSession(0, tenant, n);
    if (holder === 0) return;
    const subscriber = nat.subscriberOf(binding);
    if ((holder & IN_BLOCK) !== 0) blocks.recount((holder >> 2) - 1, nat.protocolOf(binding));
    else if (isFixed) subscribers.recountFixed(subscriber);
    else subscribers.recountBinding(subscriber, nat.protocolOf(binding));
    if ((holder & COUNTS) !== 0) subscribers.addSession(subscriber, n);
  });
}

/** Take out inbound records of sessions that are not there, or have another one. */
function removeHalves(nat: NatState): void {
  const { flows } = nat;
  const f = flows.words;
  for (let at = 0; at < flows.end; at += FLOW_WORDS) {
    if (flows.kind(at) !== Kind.natIn) continue;
    const protocol = f[at] >>> 8 & 0xff, remotePort = f[at + F_PORTS] >>> 16;
    const binding = nat.findOutside(protocol, f[at + F_DST], f[at + F_PORTS] & 0xffff);
    const session = binding < 0 ? -1 : nat.findSession(nat.tenantOf(binding), protocol, f[at + F_TO], f[at + F_DO] >>> 16, f[at + F_SRC], remotePort);
    if (session < 0 || nat.inboundOf(session) !== at) flows.remove(at); // or somebody has opened it since, or by another binding
  }
}

/** 1 for every binding on the free list. */
function freeBindings(w: Int32Array, bindings: number, count: number): Uint8Array {
  const free = new Uint8Array(count);
  for (let link = Atomics.load(w, H_FREE); link !== 0; link = w[bindings + (link - 1) * BINDING_WORDS + B_NEXT_INSIDE]) free[link - 1] = 1;
  return free;
}
