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
  let isUnknown = false, isAnybodys = false;
  const common = { until: null, sureUntil: null, certain: true };
  for (const plan of plans) {
    for (const holding of holdingsOf(plan, address, port, protos)) {
      isAnybodys = true;
      const { tenant, rdid } = plan, own = { tenant, rdid, protos: holding.protos };
      const evidence = { generation, config, line: holding.line, source: null };
      if (holding.kind === 'mapping') {
        answers.push({ ...own, ...common, inside: ipv4Text(holding.inside), insidePort: holding.insidePort, since: null, evidence: { kind: 'mapping', firstPort: port, count: 1, ...evidence } });
      } else if (holding.kind === 'share') {
        answers.push({ ...own, ...common, inside: ipv4Text(holding.inside), insidePort: null, since: null, evidence: { kind: 'share', firstPort: holding.firstPort, count: holding.count, ...evidence } });
      } else if (holding.kind === 'blocks' && blockAt === null) {
        isUnknown = true;
        notes.push(`${where} is one of ${tenant}'s ports that go by blocks, and only its daemon, or its log, knows who has which`);
      } else if (holding.kind === 'blocks') {
        notes.push(`${where} is one of ${tenant}'s ports that go by blocks`);
      } else {
        notes.push(`${where} is ${tenant}'s, and given to nobody`);
      }
    }
  }
  // One of an earlier plan may still be somebody's, whatever the plan says now.
  const block = blockAt?.(address, port);
  if (block !== undefined) {
    const { tenant, rdid, inside, firstPort, count, since, idleSince } = block;
    const line = plans.find(plan => plan.rdid === rdid)?.line ?? null;
    answers.push({
      tenant, rdid, protos, inside: ipv4Text(inside), insidePort: null, ...common, since: isoTime(since),
      evidence: { kind: 'block', firstPort, count, generation, config, line, source: null },
    });
    if (idleSince !== null) notes.push(`the block has had no binding since ${isoTime(idleSince)}, and stays with ${ipv4Text(inside)} for a while`);
  }
  if (!isAnybodys && block === undefined) notes.push(`no tenant has ${ipv4Text(address)} in its pool`);
  if (answers.length > 0) return { verdict: 'held', answers, notes: isUnknown || block !== undefined ? notes.filter(note => !note.endsWith('go by blocks')) : notes };
  return { verdict: isUnknown ? 'unknown' : 'nobody', answers, notes };
}
