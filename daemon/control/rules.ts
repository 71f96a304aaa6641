/** What rules have counted, over reloads too: by tenant and name, for as long as the rule is there. */
import { ruleTexts, type RuleText } from '../../pipeline/explain/rules.js';
import { sumTally } from '../../pipeline/acl/tallies.js';
import { Action, type PolicyData } from '../../pipeline/policy.js';

export interface RuleCount { readonly packets: number; readonly bytes: number }

/** A tenant's rule by name: no name has a space. */
function keyOf(tenant: number, name: string): string {
  return `${tenant} ${name}`;
}

export class RuleCounts {
  /** By policies that no worker goes by any more. */
  #before: ReadonlyMap<string, RuleCount> = new Map();
  /** The one in force, and while workers change over the one before, oldest first. */
  #policies: readonly PolicyData[];

  constructor(policy: PolicyData) {
    this.#policies = [policy];
  }

  /** Workers are about to go by `policy`. */
  add(policy: PolicyData): void {
    this.#policies = [...this.#policies, policy];
  }

  /** All of them do. What rules of the policies before have counted goes on in those of the same name. */
  settle(): void {
    const policy = this.#policies.at(-1);
    if (policy === undefined || this.#policies.length === 1) return;
    const sums = this.#sums(this.#policies.slice(0, -1));
    const kept = new Map<string, RuleCount>();
    eachRule(policy, (tenant, name) => {
      const count = sums.get(keyOf(tenant, name));
      if (count !== undefined) kept.set(keyOf(tenant, name), count);
    });
    this.#before = kept;
    this.#policies = [policy];
  }

  /** By tenant and name; see `countOf`. */
  sums(): ReadonlyMap<string, RuleCount> {
    return this.#sums(this.#policies);
  }

  #sums(policies: readonly PolicyData[]): ReadonlyMap<string, RuleCount> {
    const sums = new Map(this.#before);
    for (const policy of policies) {
      eachRule(policy, (tenant, name, tally) => {
        const key = keyOf(tenant, name), sum = sums.get(key) ?? { packets: 0, bytes: 0 }, { packets, bytes } = sumTally(policy.tallies, tally);
        sums.set(key, { packets: sum.packets + packets, bytes: sum.bytes + bytes });
      });
    }
    return sums;
  }
}

/** Every rule once, however many entries it has. */
function eachRule({ rules, tenants }: PolicyData, tell: (tenant: number, name: string, tally: number, entry: number) => void): void {
  tenants.names.forEach((_name, tenant) => {
    const told = new Set<number>();
    for (let entry = tenants.ruleFirst[tenant]; entry < tenants.meterEnd[tenant]; entry++) {
      const tally = rules.tally[entry];
      if (told.has(tally)) continue;
      told.add(tally);
      tell(tenant, rules.names[entry], tally, entry);
    }
  });
}

const NOTHING: RuleCount = { packets: 0, bytes: 0 };

/** Counts of rules that measure, tenants by number. */
export function measured(policy: PolicyData, counts: RuleCounts): { readonly tenant: number; readonly rule: string; readonly count: RuleCount }[] {
  const found: { tenant: number; rule: string; count: RuleCount }[] = [];
  let sums: ReadonlyMap<string, RuleCount> | null = null;
  eachRule(policy, (tenant, rule, _tally, entry) => {
    if (policy.rules.action[entry] !== Action.measure) return;
    sums ??= counts.sums();
    found.push({ tenant, rule, count: sums.get(keyOf(tenant, rule)) ?? NOTHING });
  });
  return found;
}

export type RuleStatus = Omit<RuleText, 'tally'> & RuleCount & { readonly tenant: string };

/** Rules of these tenants, in the order in which they are asked, outbound ones first. */
export function listRules(policy: PolicyData, counts: RuleCounts, tenants: readonly (readonly [id: number, name: string])[]): RuleStatus[] {
  const sums = counts.sums();
  return tenants.flatMap(([id, tenant]) => ruleTexts(policy, id).map(({ tally: _, ...text }) => ({ tenant, ...text, ...(sums.get(keyOf(id, text.name)) ?? NOTHING) })));
}
