/** Who has a port at this moment, from what is in force and, where there is a table of blocks, from that: without a log. */
import type { Answer, Question, Verdict } from './answers.js';
import { ipv4Text, isoTime } from './kinds.js';
import { holdingsOf, type PlanBody } from './plans.js';

/** The block around a port; times by the machine's clock. */
export interface BlockNow { readonly tenant: string; readonly rdid: string; readonly inside: number; readonly firstPort: number; readonly count: number; readonly since: number; readonly idleSince: number | null }

export interface Present {
  readonly plans: readonly PlanBody[];
  readonly generation: number | null;
  readonly config: string;
  /** Null where nobody can say: no daemon was asked. */
  readonly blockAt: ((address: number, port: number) => BlockNow | undefined) | null;
}

export function verdictNow({ plans, generation, config, blockAt }: Present, { address, port, protos }: Question): Verdict {
  const where = `${ipv4Text(address)}:${port}`;
  const answers: Answer[] = [], notes: string[] = [];
  const common = { until: null, sureUntil: null, certain: true }, source = { generation, config, source: null };
  const block = blockAt?.(address, port);
  let isOurs = false, isUnknown = false;
  for (const plan of plans) {
    for (const holding of holdingsOf(plan, address, port, protos)) {
      isOurs = true;
      const { tenant, rdid } = plan, { protos: own, line } = holding;
      switch (holding.kind) {
        case 'mapping':
        case 'share': {
          const [firstPort, count, insidePort] = holding.kind === 'share' ? [holding.firstPort, holding.count, null] : [port, 1, holding.insidePort];
          answers.push({ tenant, rdid, protos: own, inside: ipv4Text(holding.inside), insidePort, since: null, ...common, evidence: { kind: holding.kind, firstPort, count, line, ...source } });
          break;
        }
        case 'blocks':
          if (block !== undefined) break;
          isUnknown = blockAt === null;
          notes.push(`${where} is one of ${tenant}'s ports that go by blocks, and ${isUnknown ? 'only its daemon, or its log, knows who has which' : 'nobody has that block'}`);
          break;
        default:
          notes.push(`${where} is ${tenant}'s, and given to nobody`);
      }
    }
  }
  // It may be one of an earlier plan, whatever the plan says now.
  if (block !== undefined) {
    const { tenant, rdid, inside, firstPort, count, since, idleSince } = block;
    const line = plans.find(plan => plan.rdid === rdid)?.line ?? null;
    answers.push({ tenant, rdid, protos, inside: ipv4Text(inside), insidePort: null, since: isoTime(since), ...common, evidence: { kind: 'block', firstPort, count, line, ...source } });
    if (idleSince !== null) notes.push(`the block has had no binding since ${isoTime(idleSince)}, and stays with ${ipv4Text(inside)} for a while`);
  }
  if (!isOurs && block === undefined) notes.push(`no tenant has ${ipv4Text(address)} in its pool`);
  return { verdict: answers.length > 0 ? 'held' : isUnknown ? 'unknown' : 'nobody', answers, notes };
}
