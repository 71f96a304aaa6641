/** Several gateways over one shared state, and control: all in one thread, in whatever order a test wants. */
import { TenantIds, compileConfig, stateSizes } from '../../daemon/tables.js';
import { readConfig } from '../../config/index.js';
import { Gateway, Overseer, makeSharedState, type SharedState } from '../../pipeline/gateway.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { Policy, type PolicyData } from '../../pipeline/policy.js';
import { seededRandom, type Random } from '../../pipeline/random.js';
import { REASON_NAMES } from '../../pipeline/reasons.js';
import type { Datagram } from './datagrams.js';
import { words } from './frames.js';

const FATES: Record<string, string> = { '-1': 'consumed', '-2': 'held', '-3': 'forwarded' };

/** Policies of several generations of a config, which share tenants. */
export function compileAll(configs: readonly object[], seed = 1): { policies: PolicyData[]; sizes: ReturnType<typeof stateSizes> } {
  const valid = configs.map(config => {
    const read = readConfig(JSON.stringify(config), 'crew.jsonc');
    if (read.config === undefined) throw new Error(read.problems.map(problem => `${problem.path}: ${problem.message}`).join('\n'));
    return read.config;
  });
  const ids = new TenantIds(valid[0].gateway.limits.tenants);
  return { policies: valid.map((config, i) => compileConfig(config, ids, i + 1, seed)), sizes: stateSizes(valid[0]) };
}

/** Whatever `watched` says is built by it: for those that are to die. */
export class Crew {
  readonly state: SharedState;
  readonly gateways: readonly Gateway[];
  readonly overseer: Overseer;
  readonly sent: { worker: number; peer: string; bytes: Uint8Array }[] = [];
  now = 1_700_000_000_000;
  policy: Policy;

  constructor(parts: { policy: PolicyData; sizes: ReturnType<typeof stateSizes>; workers: number; random?: (worker: number) => Random; build?: (worker: number, make: () => Gateway) => Gateway }) {
    const { policy, sizes, workers, random = seededRandom, build = (_worker, make) => make() } = parts;
    this.state = makeSharedState(sizes, workers, 7);
    this.policy = new Policy(policy);
    this.overseer = new Overseer(this.state);
    this.gateways = Array.from({ length: workers }, (_, worker) => {
      const gateway = build(worker, () => new Gateway({
        state: this.state, worker, policy, random: random(worker),
        outlet: {
          send: (mem, at, end, peer) => {
            this.sent.push({ worker, peer: gateway.context.policy.peers.names[peer], bytes: Uint8Array.from(mem.subarray(at, end)) });
            return false;
          },
        },
      }));
      gateway.onFault = error => { throw error; };
      return gateway;
    });
  }

  /** Give a datagram to a worker; its fate or reason in its word. */
  send(worker: number, { pa, carrier, bytes }: Datagram): string {
    const gateway = this.gateways[worker];
    const [, address, port = '50000'] = /^(?:\[)?([0-9a-f.:]*?)\]?(?::(\d+))?$/.exec(pa.includes('.') || pa.startsWith('[') ? pa : `[${pa}]`) ?? [];
    const room = Uint8Array.from(bytes);
    gateway.now = this.now;
    const verdict = gateway.receive(room, 0, 0, room.length, gateway.context.policy.findSender(...words(address), Number(port)), Carrier[carrier], Side.both);
    return FATES[String(verdict)] ?? REASON_NAMES[verdict];
  }

  /** All workers that live go by another policy; control has not looked at the tables yet. */
  adopt(policy: PolicyData, workers = this.gateways.map((_, i) => i)): void {
    for (const worker of workers) this.gateways[worker].adopt(policy);
    this.policy = new Policy(policy);
  }

  /** Control looks at every session. */
  revoke(): void {
    for (let next = 0; next >= 0;) next = this.overseer.reaper.revoke(this.policy, next, 64);
  }

  /** So many steps of `seconds` pass for these workers and control; 8 seconds and more are a whole sweep. */
  wait(seconds: number, steps = 1, workers = this.gateways.map((_, i) => i)): void {
    for (let i = 0; i < steps; i++) {
      this.now += seconds * 1000;
      for (const worker of workers) this.gateways[worker].tick(this.now);
      this.overseer.reaper.tick(this.now, this.policy);
    }
  }
}
