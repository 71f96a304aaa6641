/** How a tenant's external ports are given out: from a policy's tables to what the log says of it, and from that to who has a port. */
import type { MappingEnd } from '../../config/types.js';
import { PortPlan } from '../../pipeline/nat/blocks.js';
import type { PolicyData } from '../../pipeline/policy.js';
import type { KnownTenants } from '../tables.js';
import type { PlanLine } from './format.js';
import { ipv4Text, type MappingEntry } from './kinds.js';
import type { Proto } from './answers.js';

/** All of a plan line but since when, and by which config. */
export type PlanBody = Omit<PlanLine, 'type' | 'time' | 'generation' | 'since' | 'from'>;

const PROTOS: Readonly<Record<number, 'tcp' | 'udp'>> = { 6: 'tcp', 17: 'udp' };
const V4_BITS = 96;
/** What the arithmetic of blocks.ts goes by, and no config changes. */
const RESERVED = 1024, ORDER = 'inTurn';

/** The plan of every tenant with NAT, in the order of their numbers. */
export function plansOf({ tenants, ports, mappings }: Pick<PolicyData, 'tenants' | 'ports' | 'mappings'>, known: KnownTenants): PlanBody[] {
  const mapped = new Map<number, MappingEntry[]>();
  mappings.tenant.forEach((tenant, row) => {
    if (!mapped.has(tenant)) mapped.set(tenant, []);
    mapped.get(tenant)?.push(mappingOf(mappings, row));
  });
  return known.rdids.flatMap((rdid, i): PlanBody[] => {
    const id = i + 1, size = ports.blockSize[id] ?? 0;
    if (size === 0) return [];
    const inside = [...ports.ranges.subarray(ports.insideFirst[id], ports.outsideFirst[id])];
    const outside = [...ports.ranges.subarray(ports.outsideFirst[id], ports.end[id])];
    const assign = ports.isDynamic[id] === 1 ? 'dynamic' : 'auto';
    const { perOutside, share } = new PortPlan({ inside, outside, size, assign, order: ORDER, reserved: RESERVED });
    return [{
      tenant: known.names[i], rdid, line: tenants.natLine[id], inside, outside, assign, order: ORDER, reserved: RESERVED, perOutside, share, size,
      mappings: mapped.get(id) ?? [],
    }];
  });
}

function mappingOf({ protocol, external, internal, addresses, externalPort, internalPort, ports, line }: PolicyData['mappings'], row: number): MappingEntry {
  const end = (first: number, port: number): MappingEnd => {
    const bits = 32 - Math.log2(addresses[row]);
    return {
      prefix: { text: `${ipv4Text(first)}/${bits}`, family: 4, words: [0, 0, 0xffff, first], bits: V4_BITS + bits },
      ports: ports[row] === 0 ? null : { from: port, to: port + ports[row] - 1 },
    };
  };
  return { proto: PROTOS[protocol[row]] ?? null, external: end(external[row], externalPort[row]), internal: end(internal[row], internalPort[row]), line: line[row] };
}

/** Whose a port is by a plan alone; the protocols of one question may have several answers. */
export type Holding =
  | { readonly kind: 'mapping'; readonly protos: readonly Proto[]; readonly inside: number; readonly insidePort: number; readonly line: number }
  | { readonly kind: 'share'; readonly protos: readonly Proto[]; readonly inside: number; readonly firstPort: number; readonly count: number; readonly line: number }
  /** Nobody's by the plan, and why; with `blocks` somebody may have a block there. */
  | { readonly kind: 'blocks' | 'reserved' | 'spare' | 'foreign'; readonly protos: readonly Proto[]; readonly line: number };

/** Empty when the address is not the tenant's. */
export function holdingsOf(plan: PlanBody, outside: number, port: number, protos: readonly Proto[]): Holding[] {
  const found: Holding[] = [];
  let rest = protos;
  for (const { proto, external, internal, line } of mostSpecificFirst(plan.mappings.filter(({ external: end }) => isIn(end, outside, port)))) {
    const own = rest.filter(each => proto === null || proto === each);
    if (own.length === 0) continue;
    const inside = internal.prefix.words[3] + outside - external.prefix.words[3];
    found.push({ kind: 'mapping', protos: own, inside, insidePort: port + (internal.ports?.from ?? 0) - (external.ports?.from ?? 0), line });
    rest = rest.filter(each => !own.includes(each));
  }
  if (rest.length > 0 && contains(plan.outside, outside)) found.push(byArithmetic(plan, outside, port, rest));
  return found;
}

function byArithmetic(plan: PlanBody, outside: number, port: number, protos: readonly Proto[]): Holding {
  const { line } = plan;
  const arithmetic = new PortPlan(plan);
  // Written by a version that reckoned otherwise: better no answer than a wrong one.
  if (arithmetic.share !== plan.share || arithmetic.perOutside !== plan.perOutside) return { kind: 'foreign', protos, line };
  const holder = arithmetic.holderOf(outside, port);
  if (holder === undefined) return { kind: port < plan.reserved ? 'reserved' : 'spare', protos, line };
  if ('block' in holder) return { kind: 'blocks', protos, line };
  return { kind: 'share', protos, inside: holder.inside, firstPort: holder.firstPort, count: holder.count, line };
}

/** Ports before addresses, addresses before prefixes: as tables/mappings.ts finds them. */
function mostSpecificFirst(mappings: readonly MappingEntry[]): MappingEntry[] {
  const rank = ({ proto, external }: MappingEntry): number => (external.ports === null ? 0 : 2) * 128 + external.prefix.bits + (proto === null ? 0 : 1);
  return [...mappings].sort((a, b) => rank(b) - rank(a));
}

function isIn({ prefix, ports }: MappingEnd, address: number, port: number): boolean {
  const offset = address - prefix.words[3];
  return offset >= 0 && offset < 2 ** (128 - prefix.bits) && (ports === null || (port >= ports.from && port <= ports.to));
}

function contains(pairs: readonly number[], address: number): boolean {
  for (let i = 0; i < pairs.length; i += 2) if (address >= pairs[i] && address < pairs[i] + pairs[i + 1]) return true;
  return false;
}
