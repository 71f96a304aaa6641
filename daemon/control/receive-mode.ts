/** How datagrams get to workers, and how many workers there are: decided once, at start, and told in the log. */
import type { Gateway } from '../../config/index.js';
import { MAX_RINGS } from '../../pipeline/ring.js';
import { whyNotShared } from '../worker/reuse-port.js';

/** kernel: workers have sockets of their own. dispatcher: one thread receives and fills their rings. */
export const RECEIVE_MODES = ['kernel', 'dispatcher'] as const;

export interface ReceiveMode {
  readonly mode: (typeof RECEIVE_MODES)[number];
  readonly workers: number;
  /** Workers share addresses and ports. One that is alone needs nobody's leave. */
  readonly shared: boolean;
  /** Why so, for the log. */
  readonly reason: string;
}

/** What the decision depends on beside the config. */
export interface Machine {
  readonly cores: number;
  /** Null when several sockets can have the addresses to listen on, otherwise why not. */
  whyNotShared(): Promise<string | null>;
}

/** gateway.workers goes no further. */
const MOST_WORKERS = 128;

/** Rejects with a sentence when the config asks for what this machine cannot do. */
export async function chooseMode({ workers: asked, rss }: Pick<Gateway, 'workers' | 'rss'>, machine: Machine): Promise<ReceiveMode> {
  const cores = Math.min(MOST_WORKERS, Math.max(1, machine.cores));
  const spread = asked === 'auto' ? Math.min(MAX_RINGS, Math.max(1, cores - 1)) : asked;
  if (rss.mode === 'dispatcher') return spread > MAX_RINGS ? tooMany(spread) : { mode: 'dispatcher', workers: spread, shared: false, reason: 'gateway.rss.mode asks for it' };

  const each = asked === 'auto' ? cores : asked;
  const wanted = rss.mode === 'kernel' ? 'gateway.rss.mode asks for it' : '';
  if (each === 1) {
    return { mode: 'kernel', workers: 1, shared: false, reason: wanted || (asked === 1 ? 'gateway.workers is 1, and one worker receives by itself' : 'one core, and one worker receives by itself') };
  }
  const obstacle = await machine.whyNotShared();
  if (obstacle === null) return { mode: 'kernel', workers: each, shared: true, reason: wanted || 'the kernel can spread datagrams over sockets that share a port (reusePort)' };
  if (rss.mode === 'kernel') {
    throw new Error(`gateway.rss.mode "kernel" with ${each} workers needs sockets that share a port (reusePort), which cannot be here: ${obstacle}; set it to "dispatcher" or "auto", or gateway.workers to 1`);
  }
  if (spread === 1) return { mode: 'kernel', workers: 1, shared: false, reason: `${cores} cores leave one worker, which receives by itself; no reusePort: ${obstacle}` };
  if (spread > MAX_RINGS) return tooMany(spread);
  return { mode: 'dispatcher', workers: spread, shared: false, reason: `no reusePort: ${obstacle}` };
}

function tooMany(workers: number): never {
  throw new Error(`gateway.workers: a dispatcher serves ${MAX_RINGS} workers at most, not ${workers}`);
}

/** This machine, as far as `gateway` listens on it. */
export function thisMachine({ listen, uplinkListen }: Pick<Gateway, 'listen' | 'uplinkListen'>, cores: number): Machine {
  return {
    cores,
    async whyNotShared() {
      const addresses = [...listen, ...uplinkListen];
      // One of each family: the option is the family's, not the address'.
      for (const { family, text } of addresses.filter((address, i) => addresses.findIndex(other => other.family === address.family) === i)) {
        const obstacle = await whyNotShared(family, text);
        if (obstacle !== null) return obstacle;
      }
      return null;
    },
  };
}
