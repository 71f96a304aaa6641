/**
 * What must be true of NAT's shared memory whenever nobody is in the middle of something, found by reading every word of
 * it: lists, chains, counts, both records of every session. Knows the layout by heart, as nat-state.ts and flows.ts draw it.
 */
import { F_DO, F_DST, F_PORTS, F_SEEN, F_SRC, F_TO, FLOW_WORDS, Kind, isPlain } from '../../pipeline/tables/flows.js';
import { lockWords } from '../../pipeline/tables/locks.js';
import { natBytes, type NatSizes } from '../../pipeline/tables/nat-layout.js';
import { NatState } from '../../pipeline/tables/nat-state.js';
import { findPermit } from '../../pipeline/tables/permits.js';
import { Quiet, makeQuietMemory } from '../../pipeline/tables/quiet.js';
import { holderFaults } from './holder-invariants.js';
import { hashWords } from '../../pipeline/tables/word-map.js';

const HEADER = 16, STRIPES = 64, LOCK = 16, BINDING = 10;
const NEXT_INSIDE = 0, NEXT_OUTSIDE = 1, SESSIONS = 6;
const FREE = -1;

/** Everything wrong with it; [] is wanted. With `drained`, nothing may be left in it either. So many threads have `died` while others worked: each may have counted a plain flow too many. */
export function natFaults(memory: SharedArrayBuffer, sizes: NatSizes, drained = false, died = 0): string[] {
  const nat = new NatState(memory, sizes, new Quiet(makeQuietMemory(1)), 99);
  const words = new Int32Array(memory);
  const wrong: string[] = [];
  if (memory.byteLength !== natBytes(sizes)) wrong.push(`${memory.byteLength} bytes`);

  const buckets = 2 ** Math.max(Math.log2(STRIPES), Math.round(Math.log2(sizes.bindings)));
  const locks = HEADER, inside = locks + lockWords(2 * STRIPES + 1), outside = inside + buckets, bindings = outside + buckets + STRIPES * (sizes.tenants + 1) * 2;
  for (let i = locks; i < inside; i += LOCK) if (words[i] !== 0) wrong.push(`lock ${(i - locks) / LOCK} is held by ${words[i]}`);

  // Bindings: each is free, on its way to it, or live.
  const free = walk(words, 1, bindings, NEXT_INSIDE, sizes.bindings, 'the free list', wrong);
  const insideChains = new Map<number, number>(), outsideChains = new Map<number, number>();
  for (let i = 0; i < buckets; i++) {
    for (const binding of walk(words, inside + i, bindings, NEXT_INSIDE, sizes.bindings, `inside chain ${i}`, wrong)) note(insideChains, binding, i, 'inside', wrong);
    for (const binding of walk(words, outside + i, bindings, NEXT_OUTSIDE, sizes.bindings, `outside chain ${i}`, wrong)) note(outsideChains, binding, i, 'outside', wrong);
  }
  const live = new Set<number>(), ends = new Set<string>();
  const seed = words[0], isFree = new Set(free);
  for (let binding = 0; binding < sizes.bindings; binding++) {
    const sessions = words[bindings + binding * BINDING + SESSIONS];
    if ((sessions === FREE) !== isFree.has(binding)) wrong.push(`binding ${binding} says ${sessions} and is ${isFree.has(binding) ? '' : 'not '}on the free list`);
    if (sessions < 0) {
      if (insideChains.has(binding) || outsideChains.has(binding)) wrong.push(`binding ${binding} is nobody’s and in a chain`);
      continue;
    }
    live.add(binding);
    const tenant = nat.tenantOf(binding), protocol = nat.protocolOf(binding);
    const insideAt = hashWords(seed, tenant, protocol, nat.inside(binding) | 0, nat.insidePort(binding), 0) & buckets - 1;
    const outsideAt = hashWords(seed, protocol, nat.outside(binding) | 0, nat.outsidePort(binding), 0, 0) & buckets - 1;
    if (insideChains.get(binding) !== insideAt) wrong.push(`binding ${binding} is in inside chain ${insideChains.get(binding)}, not ${insideAt}`);
    if (outsideChains.get(binding) !== outsideAt) wrong.push(`binding ${binding} is in outside chain ${outsideChains.get(binding)}, not ${outsideAt}`);
    const end = `${protocol} ${nat.outside(binding)}:${nat.outsidePort(binding)}`;
    if (ends.has(end)) wrong.push(`two bindings have ${end}`);
    ends.add(end);
  }

  // Records: each is free and zero, on its way to it, a session's, or a plain flow's.
  const { flows } = nat;
  const tally = new Map<number, number>(), perTenant = new Map<number, number>(), backs = new Set<number>(), keys = new Set<string>();
  const permits = new Map<number, number>();
  let sessions = 0, plain = 0, natIn = 0;
  for (let at = 0; at < flows.end; at += FLOW_WORDS) {
    const kind = flows.kind(at);
    const f = flows.words.subarray(at, at + FLOW_WORDS);
    if (flows.words[at] === 0 && f.some(word => word !== 0)) wrong.push(`record ${at} is free and not zero`);
    if (kind === Kind.claimed) wrong.push(`record ${at} is claimed by ${f[0] >>> 8}`);
    if (kind === 0 || kind === Kind.dead || kind === Kind.claimed) continue;
    if (kind === Kind.natIn) {
      natIn++;
      continue;
    }
    if (kind === Kind.permit) {
      permits.set(at, f[F_SEEN]);
      continue;
    }
    if (!nat.isOpen(at)) {
      if (!isPlain(kind)) wrong.push(`record ${at} is of kind ${kind}`);
      plain++;
      continue;
    }
    sessions++;
    const key = f.subarray(0, 4).join();
    if (keys.has(key)) wrong.push(`two sessions have the key ${key}`);
    keys.add(key);
    const binding = nat.bindingOf(at);
    if (binding < 0) wrong.push(`session ${at} has no binding`);
    tally.set(binding, (tally.get(binding) ?? 0) + 1);
    perTenant.set(nat.sessionTenant(at), (perTenant.get(nat.sessionTenant(at)) ?? 0) + 1);
    const back = nat.findInbound(nat.sessionProtocol(at), nat.sessionOutside(at), nat.sessionOutsidePort(at), nat.remote(at), nat.remotePort(at));
    if (back < 0) wrong.push(`session ${at} has no inbound record`);
    else if (backs.has(back)) wrong.push(`two sessions have the inbound record ${back}`);
    else {
      const b = flows.words.subarray(back, back + FLOW_WORDS);
      if (b[F_TO] !== f[F_SRC] || b[F_DO] >>> 16 !== f[F_PORTS] >>> 16) wrong.push(`the inbound record of session ${at} leads to another inside end`);
      if ((b[F_DO] & 0xff80) !== (f[F_DO] & 0xff80)) wrong.push(`the two records of session ${at} have different states`);
      if (b[F_SRC] !== f[F_DST]) wrong.push(`the two records of session ${at} have different remote ends`);
      backs.add(back);
    }
  }
  for (const session of nat.sessions()) {
    if (!nat.isPermit(session)) continue;
    const at = findPermit(nat, nat.bindingOf(session), nat.remote(session));
    if (at < 0) wrong.push(`session ${session} has no permission`);
    permits.set(at, (permits.get(at) ?? 0) - 1);
  }
  permits.forEach((n, at) => { if (n !== 0) wrong.push(`the permission ${at} counts ${n} sessions too many`); });
  if (natIn !== backs.size) wrong.push(`${natIn} inbound records for ${backs.size} sessions`);
  for (const binding of live) {
    const says = words[bindings + binding * BINDING + SESSIONS];
    if (says !== (tally.get(binding) ?? 0)) wrong.push(`binding ${binding} says ${says} sessions and has ${tally.get(binding) ?? 0}`);
    if (says === 0) wrong.push(`binding ${binding} has no sessions and is there`);
  }
  if (nat.sessionCount !== sessions) wrong.push(`${nat.sessionCount} sessions counted, there are ${sessions}`);
  if (nat.bindingCount !== live.size) wrong.push(`${nat.bindingCount} bindings counted, there are ${live.size}`);
  if (Math.abs(flows.plainCount - plain) > died) wrong.push(`${flows.plainCount} plain flows counted, there are ${plain}`);
  for (let tenant = 0; tenant <= sizes.tenants; tenant++) {
    if (nat.sessionsOf(tenant) !== (perTenant.get(tenant) ?? 0)) wrong.push(`${nat.sessionsOf(tenant)} sessions of tenant ${tenant} counted, there are ${perTenant.get(tenant) ?? 0}`);
  }
  wrong.push(...holderFaults(memory, nat, sizes, new Map([...live].map(binding => [binding, tally.get(binding) ?? 0])), drained));
  if (drained && (free.length !== sizes.bindings || flows.words.subarray(0, flows.end).some(word => word !== 0))) {
    wrong.push(`not empty: ${sessions} sessions, ${plain} plain flows, ${natIn} inbound records, ${sizes.bindings - free.length} bindings`);
  }
  return wrong;
}

/** The bindings of a chain. */
function walk(words: Int32Array, head: number, bindings: number, next: number, most: number, what: string, wrong: string[]): number[] {
  const found: number[] = [];
  for (let link = words[head]; link !== 0; link = words[bindings + (link - 1) * BINDING + next]) {
    found.push(link - 1);
    if (found.length > most) {
      wrong.push(`${what} has no end`);
      break;
    }
  }
  return found;
}

function note(chains: Map<number, number>, binding: number, bucket: number, side: string, wrong: string[]): void {
  if (chains.has(binding)) wrong.push(`binding ${binding} is in ${side} chains twice`);
  chains.set(binding, bucket);
}

/** Bindings of one inside end, as `tenant protocol address port`; mapping is endpoint-independent when none has two (RFC 4787 §4.1), static ones aside. */
export function insideEnds(nat: NatState): Map<string, Set<string>> {
  const ends = new Map<string, Set<string>>();
  for (const session of nat.sessions()) {
    const inside = `${nat.sessionTenant(session)} ${nat.sessionProtocol(session)} ${nat.sessionInside(session)}:${nat.sessionInsidePort(session)}`;
    const outside = ends.get(inside) ?? new Set();
    ends.set(inside, outside.add(`${nat.sessionOutside(session)}:${nat.sessionOutsidePort(session)}`));
  }
  return ends;
}
