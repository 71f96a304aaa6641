/**
 * Which outside address and port an inside end gets: of its address's share first, then of the port blocks it has, then of a
 * new one, all on the one outside address that it keeps to (RFC 4787 §4.1 and RFC 6888 REQ-2, pooling "paired"). Nothing is ever
 * taken from somebody else (RFC 4787 REQ-3), and ports of static mappings are given to nobody.
 */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import type { Context } from '../context.js';
import type { Packet } from '../packet.js';
import type { Policy } from '../policy.js';
import { Reason } from '../reasons.js';
import { IN_BLOCK, holderOf } from '../tables/nat-layout.js';
import { TAKEN, type NatState } from '../tables/nat-state.js';
import { NO_HOLDER, NO_MORE, NO_RECORD } from '../tables/port-blocks.js';
import { NO_PORT } from '../tables/subscribers.js';
import { hashWords } from '../tables/word-map.js';
import type { PortPlan } from './blocks.js';
import { UNLIMITED } from './port-policy.js';

/** Ports looked at for every new binding; with one free in so many, one is found. */
const PROBES = 2048;
/** Outside addresses asked for a block, where an inside one has none to keep to or may have more than one. */
const ADDRESSES = 16;
/** Where the search for an outside address begins: for an inside one always at the same. */
const PAIRING_SEED = 0x6c8e9cf5;
/** In place of a protocol, in the notes of what is spent: the blocks of an address. */
const NO_BLOCKS = 256;
/** Parity kept (RFC 4787 REQ-4): every second port. */
const EVERY = 1, EVERY_SECOND = 2;

/**
 * Bind the packet's inside end, whose lock is held and whose chain is `chain`, to a free port. Returns the binding, or below 0 a
 * drop reason. The port is looked for from a random place on, so that the next one is hard to guess (RFC 6056 §3.3.1).
 */
export function bindToPool(p: Packet, c: Context, chain: number, now: number): number {
  const { columns } = c.policy.ports, plan = c.policy.ports.planOf(p.tenant);
  const hasParity = columns.keepsParity[p.tenant] === 1 && p.protocol !== IpProtocol.icmp;
  let binding = bindOwn(p, c, plan, hasParity ? EVERY_SECOND : EVERY, chain, now);
  if (binding !== TAKEN) return orReason(binding);
  const refusal = bindNew(p, c, plan, hasParity ? EVERY_SECOND : EVERY, chain, now);
  if (refusal >= 0 || refusal === -Reason.nat_bindings_spent || !hasParity) return refusal;
  binding = bindOwn(p, c, plan, EVERY, chain, now); // the other half, rather than none
  return binding === TAKEN ? refusal : orReason(binding);
}

/** Bind an inside end to the outside end that a mapping promises it; as `bindToPool`. */
export function bindFixed(p: Packet, c: Context, inside: number, insidePort: number, outside: number, outsidePort: number, chain: number, now: number): number {
  const { nat, policy } = c;
  const subscriber = nat.subscribers.holdFixed(p.tenant, inside, now);
  if (subscriber < 0) return -Reason.nat_subscribers_spent;
  const holder = holderOf(subscriber, false, policy.quotas.addressSessions[p.tenant] !== UNLIMITED);
  const binding = nat.bind(p.tenant, p.protocol, inside, insidePort, outside, outsidePort, true, policy.generation, now, chain, holder);
  if (binding >= 0) return binding;
  nat.subscribers.releaseFixed(subscriber);
  return orReason(binding);
}

/**
 * Whether `policy` lets a binding that is no static mapping's keep its port: it is in the share of its inside address, or in one of its
 * blocks, in the part of the outside address that goes by blocks. Then arithmetic and the block table still say whose it is.
 */
export function isOwnPort(policy: Policy, nat: NatState, binding: number): boolean {
  const plan = policy.ports.planOf(nat.tenantOf(binding)), holder = nat.holder(binding), port = nat.outsidePort(binding);
  if ((holder & IN_BLOCK) !== 0 && plan.isDynamic(nat.outside(binding), nat.blocks.firstPort((holder >> 2) - 1))) return true;
  const share = plan.locate(nat.inside(binding));
  return share !== 0 && plan.outside === nat.outside(binding) && port >= plan.firstPort && port < plan.firstPort + share;
}

/** What `NatState.bind` said, a binding or why not, with the reason in place of the latter. */
function orReason(binding: number): number {
  return binding >= 0 ? binding : binding === TAKEN ? -Reason.nat_ports_spent : -Reason.nat_bindings_spent;
}

/** A port of the share, or of the blocks that the inside address has: as `NatState.bind`, `TAKEN` when there is none. */
function bindOwn(p: Packet, c: Context, plan: PortPlan, step: number, chain: number, now: number): number {
  const { subscribers, blocks } = c.nat;
  const { tenant, protocol } = p, inside = p.src3 | 0, counts = c.policy.quotas.addressSessions[tenant] !== UNLIMITED;
  const share = plan.locate(p.src3 >>> 0);
  const own = share === 0 ? NO_PORT : subscribers.hold(tenant, inside, protocol, share, now);
  if (own >= 0) {
    const binding = bindIn(p, c, plan.outside | 0, plan.firstPort, share, step, holderOf(own, false, counts), chain, now);
    if (binding >= 0) return binding;
    subscribers.release(own, protocol);
    if (binding !== TAKEN) return binding;
  }
  const subscriber = own >= 0 ? own : subscribers.find(tenant, inside);
  if (subscriber < 0) return TAKEN;

  const paired = share !== 0 ? plan.outside : subscribers.paired(subscriber), keeps = c.policy.ports.columns.isUnpaired[tenant] === 0;
  for (let link = subscribers.firstBlock(subscriber); link !== 0; link = blocks.next(link - 1)) {
    const block = link - 1, outside = blocks.outside(block), firstPort = blocks.firstPort(block);
    if ((keeps && outside !== paired) || !blocks.use(block, protocol)) continue;
    if (plan.isDynamic(outside, firstPort)) { // by this policy too
      const binding = bindIn(p, c, outside | 0, firstPort, blocks.portCount(block), step, holderOf(block, true, counts), chain, now);
      if (binding >= 0) {
        if (blocks.isIdle(block)) blocks.takeUp(block, p.now);
        return binding;
      }
      if (binding !== TAKEN) {
        blocks.disuse(block, protocol);
        return binding;
      }
    }
    blocks.disuse(block, protocol);
  }
  return TAKEN;
}

/** A port of a new block. Addresses without one are asked again in a second: to look for what is not there costs, and a tenant could have that done for each of its packets. */
function bindNew(p: Packet, c: Context, plan: PortPlan, step: number, chain: number, now: number): number {
  const { subscribers, blocks } = c.nat, { columns } = c.policy.ports;
  const { tenant, protocol } = p, inside = p.src3 | 0, counts = c.policy.quotas.addressSessions[tenant] !== UNLIMITED;
  if (plan.outsideCount === 0) return -Reason.nat_ports_spent;
  const subscriber = subscribers.find(tenant, inside);
  const own = plan.locate(p.src3 >>> 0) !== 0 ? plan.indexOfOutside(plan.outside) : subscriber < 0 ? -1 : plan.indexOfOutside(subscribers.paired(subscriber));
  const first = own >= 0 ? own : hashWords(PAIRING_SEED, inside, 0, 0, 0, 0) % plan.outsideCount;
  const tries = own >= 0 && columns.isUnpaired[tenant] === 0 ? 1 : Math.min(ADDRESSES, plan.outsideCount);
  for (let i = 0; i < tries; i++) {
    const outside = plan.outsideAt((first + i) % plan.outsideCount);
    if (c.spentPorts.has(NO_BLOCKS, outside, now)) continue;
    const block = blocks.claim(tenant, inside, plan, outside, protocol, columns.mostBlocks[tenant], c.random.next() >>> 0, p.now);
    if (block === NO_MORE) return -Reason.nat_address_blocks;
    if (block === NO_RECORD) return -Reason.nat_blocks_spent;
    if (block === NO_HOLDER) return -Reason.nat_subscribers_spent;
    if (block < 0) {
      c.spentPorts.note(NO_BLOCKS, outside, now);
      continue;
    }
    if (own < 0) subscribers.pair(blocks.subscriber(block), outside);
    const binding = bindIn(p, c, outside | 0, blocks.firstPort(block), blocks.portCount(block), step, holderOf(block, true, counts), chain, now);
    if (binding >= 0) return binding;
    blocks.disuse(block, protocol);
    if (binding !== TAKEN) return orReason(binding);
  }
  return -Reason.nat_ports_spent;
}

/** A port of this run: as `NatState.bind`, `TAKEN` when there is none. */
function bindIn(p: Packet, c: Context, outside: number, firstPort: number, count: number, step: number, holder: number, chain: number, now: number): number {
  const { nat, policy: { mapped, generation } } = c;
  const { tenant, protocol, sport } = p, inside = p.src3 | 0;
  const from = step === EVERY ? firstPort : firstPort + ((firstPort ^ sport) & 1), ports = step === EVERY ? count : firstPort + count - from + 1 >> 1;
  let place = (c.random.next() >>> 0) % ports; // said again for V8, which would divide floating point
  for (let i = 0; i < ports; i++) {
    if (i === PROBES) {
      // Hardly a port left: the long way round is gone once a second and not once a packet.
      if (c.spentPorts.has(protocol, outside + firstPort, now)) return TAKEN;
      c.spentPorts.note(protocol, outside + firstPort, now);
    }
    const port = from + place * step;
    place = place + 1 === ports ? 0 : place + 1;
    if (mapped.findOutside(tenant, protocol, outside, port) >= 0) continue;
    const binding = nat.bind(tenant, protocol, inside, sport, outside, port, false, generation, now, chain, holder);
    if (binding !== TAKEN) return binding;
  }
  return TAKEN;
}
