/** What must be true of subscribers and port blocks, beside what `natFaults` says of bindings and sessions: charged for exactly what there is, found where they are looked for, no port in two blocks. */
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { COUNTS, IN_BLOCK, natLayout, type NatSizes } from '../../pipeline/tables/nat-layout.js';
import type { NatState } from '../../pipeline/tables/nat-state.js';
import { portBlockWords } from '../../pipeline/tables/port-blocks.js';
import { subscriberWords } from '../../pipeline/tables/subscribers.js';

const WORDS = 16;
const FREE = 1 << 31;
const S_NEXT = 0, S_LIFE = 3, S_ICMP = 4, K_OWN = 0, K_LIFE = 7, K_ICMP = 8;
const H_FREE = 0;
interface Charge { tcp: number; udp: number; icmp: number; fixed: number; sessions: number }
const NOTHING: Charge = { tcp: 0, udp: 0, icmp: 0, fixed: 0, sessions: 0 };

/** `sessions` are those of each live binding. With `drained`, nothing may be left. */
export function holderFaults(memory: SharedArrayBuffer, nat: NatState, sizes: NatSizes, sessions: ReadonlyMap<number, number>, drained: boolean): string[] {
  const wrong: string[] = [];
  const { subscribers, blocks } = nat;
  const at = natLayout(sizes);
  const subscriberWordsOf = new Int32Array(memory, at.subscribers * 4, subscriberWords(sizes.subscribers, sizes.tenants));
  const blockWords = new Int32Array(memory, at.portBlocks * 4, portBlockWords(sizes.portBlocks, sizes.tenants));
  const subscriberAt = (i: number): number => subscriberWordsOf.length - (sizes.subscribers - i) * WORDS, blockAt = (i: number): number => blockWords.length - (sizes.portBlocks - i) * WORDS;

  const own = new Map<number, Charge>(), used = new Map<number, Omit<Charge, 'fixed' | 'sessions'>>();
  const dynamic = new Map<number, number>();
  for (const [binding, n] of sessions) {
    const tenant = nat.tenantOf(binding), isFixed = nat.isStatic(binding), protocol = nat.protocolOf(binding), holder = nat.holder(binding);
    if (!isFixed) dynamic.set(tenant, (dynamic.get(tenant) ?? 0) + 1);
    if (holder === 0) continue;
    const block = (holder >> 2) - 1, subscriber = nat.subscriberOf(binding);
    if (!subscribers.isLive(subscriber) || subscribers.tenantOf(subscriber) !== tenant || subscribers.inside(subscriber) !== nat.inside(binding)) wrong.push(`binding ${binding} is charged to another’s subscriber ${subscriber}`);
    const name = protocol === IpProtocol.tcp ? 'tcp' : protocol === IpProtocol.udp ? 'udp' : 'icmp', charge = own.get(subscriber) ?? { ...NOTHING };
    own.set(subscriber, charge);
    if ((holder & COUNTS) !== 0) charge.sessions += n;
    if ((holder & IN_BLOCK) === 0) {
      charge[isFixed ? 'fixed' : name]++;
      continue;
    }
    const port = nat.outsidePort(binding) - blocks.firstPort(block);
    if (blocks.outside(block) !== nat.outside(binding) || port < 0 || port >= blocks.portCount(block)) wrong.push(`binding ${binding} is not in its block ${block}`);
    if (blocks.isIdle(block)) wrong.push(`block ${block} is idle, and binding ${binding} is in it`);
    const users = used.get(block) ?? { tcp: 0, udp: 0, icmp: 0 };
    used.set(block, users);
    users[name]++;
  }

  const perTenant = new Map<number, number>(), blocksOf = new Map<number, number>();
  let live = 0;
  for (let i = 0; i < subscribers.used; i++) {
    if (!subscribers.isLive(i)) continue;
    live++;
    const { tcp, udp, icmp, fixed, sessions: n } = own.get(i) ?? NOTHING, life = subscriberWordsOf[subscriberAt(i) + S_LIFE];
    const tenant = subscribers.tenantOf(i);
    perTenant.set(tenant, (perTenant.get(tenant) ?? 0) + 1);
    if (life !== (udp << 15 | tcp) || subscriberWordsOf[subscriberAt(i) + S_ICMP] !== icmp) wrong.push(`subscriber ${i} counts ${life & 0x7fff} ${life >>> 15} ${subscriberWordsOf[subscriberAt(i) + S_ICMP]}, and has ${tcp} ${udp} ${icmp}`);
    if (subscribers.fixed(i) !== fixed) wrong.push(`subscriber ${i} says ${subscribers.fixed(i)} bindings of mappings, and has ${fixed}`);
    if (subscribers.sessions(i) !== n) wrong.push(`subscriber ${i} counts ${subscribers.sessions(i)} sessions, and has ${n}`);
    if (subscribers.find(tenant, subscribers.inside(i)) !== i) wrong.push(`subscriber ${i} is not found`);
    let chain = 0;
    for (let link = subscribers.firstBlock(i); link !== 0 && chain <= sizes.portBlocks; link = blocks.next(link - 1)) {
      chain++;
      if (blocks.subscriber(link - 1) !== i) wrong.push(`block ${link - 1} is in the chain of subscriber ${i}, and of ${blocks.subscriber(link - 1)}`);
    }
    blocksOf.set(i, chain);
    if (subscribers.blockCount(i) !== chain) wrong.push(`subscriber ${i} counts ${subscribers.blockCount(i)} blocks, and has ${chain}`);
  }
  if (subscribers.count !== live) wrong.push(`${subscribers.count} subscribers counted, there are ${live}`);

  let held = 0;
  const heldBy = new Map<number, number>(), runs: { outside: number; from: number; to: number }[] = [];
  for (let i = 0; i < blocks.used; i++) {
    const life = blockWords[blockAt(i) + K_LIFE];
    if (life < 0) continue;
    held++;
    const { tcp, udp, icmp } = used.get(i) ?? NOTHING;
    if (life !== (udp << 15 | tcp) || blockWords[blockAt(i) + K_ICMP] !== icmp) wrong.push(`block ${i} counts ${life & 0x7fff} ${life >>> 15} ${blockWords[blockAt(i) + K_ICMP]}, and has ${tcp} ${udp} ${icmp}`);
    const subscriber = blocks.subscriber(i), outside = blocks.outside(i), from = blocks.firstPort(i), to = from + blocks.portCount(i);
    if (!subscribers.isLive(subscriber)) wrong.push(`block ${i} is nobody’s`);
    else heldBy.set(subscriber, (heldBy.get(subscriber) ?? 0) + 1);
    if (blocks.find(outside, from)?.inside !== subscribers.inside(subscriber)) wrong.push(`block ${i} is not found by its port`);
    for (const run of runs) if (run.outside === outside && from < run.to && run.from < to) wrong.push(`block ${i} overlaps another`);
    runs.push({ outside, from, to });
  }
  for (const [i, n] of blocksOf) if ((heldBy.get(i) ?? 0) !== n) wrong.push(`subscriber ${i} has ${heldBy.get(i) ?? 0} blocks, and ${n} in its chain`);
  if (blocks.count !== held) wrong.push(`${blocks.count} blocks counted, there are ${held}`);
  for (let tenant = 0; tenant <= sizes.tenants; tenant++) {
    if (nat.bindingsOf(tenant) !== (dynamic.get(tenant) ?? 0)) wrong.push(`${nat.bindingsOf(tenant)} bindings of tenant ${tenant} counted, there are ${dynamic.get(tenant) ?? 0}`);
    if (subscribers.countOf(tenant) !== (perTenant.get(tenant) ?? 0)) wrong.push(`${subscribers.countOf(tenant)} subscribers of tenant ${tenant} counted, there are ${perTenant.get(tenant) ?? 0}`);
  }
  wrong.push(...freeFaults('subscriber', subscriberWordsOf, subscribers.used, subscriberAt, S_NEXT, S_LIFE, drained));
  wrong.push(...freeFaults('block', blockWords, blocks.used, blockAt, K_OWN, K_LIFE, drained));
  return wrong;
}

/** The free list holds exactly the records that say so; drained, all that were ever used. */
function freeFaults(what: string, words: Int32Array, used: number, at: (i: number) => number, next: number, life: number, drained: boolean): string[] {
  const wrong: string[] = [], free = new Set<number>();
  for (let link = words[H_FREE]; link !== 0 && !free.has(link - 1); link = words[at(link - 1) + next]) free.add(link - 1);
  for (let i = 0; i < used; i++) {
    const isFree = words[at(i) + life] === FREE;
    if (isFree !== free.has(i)) wrong.push(`${what} ${i} is ${isFree ? 'not ' : ''}on the free list`);
    if (drained && !isFree) wrong.push(`${what} ${i} is left`);
  }
  return wrong;
}
