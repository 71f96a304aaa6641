/** Who has an external port now: `/v1/whois`. */
import { resolve as absolute } from 'node:path';
import { Refusal } from '../../config/index.js';
import { parseOutside, parseProtos, type Verdict } from '../nat-log/answers.js';
import { verdictNow, type BlockNow } from '../nat-log/now.js';
import { plansOf } from '../nat-log/plans.js';
import { readClock } from '../worker/clock.js';
import type { Control } from './control.js';
import { BadQuestion } from './status.js';

export function whoisOf(control: Control, query: URLSearchParams): Verdict {
  const { policy, ids, nat, generation } = control;
  const outside = parseOutside(query.get('outside') ?? ''), protos = parseProtos(query.get('proto'));
  for (const part of [outside, protos]) if (part instanceof Refusal) throw new BadQuestion(`${part.message}: ${part.advice}`);
  const now = Date.now(), offset = now - readClock(control.clock)(); // workers' times never step, the machine's may
  const known = ids.known();
  return verdictNow({
    plans: plansOf(policy, known), generation, config: absolute(control.file),
    blockAt(address, port): BlockNow | undefined {
      const block = nat.blocks.find(address, port);
      if (block === undefined) return undefined;
      const { tenant, inside, firstPort, count, since, until } = block;
      return {
        tenant: ids.nameOf(tenant), rdid: known.rdids[tenant - 1] ?? '-', inside, firstPort, count,
        since: Math.floor(since + offset), idleSince: until > since ? Math.floor(until + offset) : null,
      };
    },
  }, { ...outside as { address: number; port: number }, protos: protos as Exclude<typeof protos, Refusal<never>>, from: now, to: now });
}
