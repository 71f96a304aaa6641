/** The running daemon, probed: started under a config of the probe's, asked, and ended. */
import { ConfigFolder, Daemon, type LabConfig } from '../../daemon/daemon.js';
import { probeNat, type NatReport } from './nat-probe.js';
import { TunnelWay } from './tunnel-way.js';

export interface ProbedDaemon {
  /** `tenants[].nat` beyond uplink and pool. */
  readonly nat?: Record<string, unknown>;
  readonly gateway?: Record<string, unknown>;
  readonly timers?: Record<string, number>;
  /** Ask for the lifetime of a mapping too, seconds; `timers.udp` is set so. */
  readonly lifetime?: number;
}

export interface Probed { readonly report: NatReport; /** What came out of a tunnel and was no sound packet. */ readonly refused: readonly string[]; readonly ailments: readonly string[]; readonly exitCode: number | null }

export async function probeDaemon({ nat = {}, gateway = {}, timers = {}, lifetime = 0 }: ProbedDaemon): Promise<Probed> {
  const way = await TunnelWay.open();
  const { peers } = way;
  Object.assign(peers.tenants[0].nat, nat);
  const config = {
    gateway: {
      name: 'probed', listen: '127.0.0.1', grePort: 0, vxlanPort: 0, metrics: '127.0.0.1:0', admin: {}, limits: { sessions: 1024, bindings: 1024, fragments: 64, heldFragments: 16 },
      ...gateway, timers: { ...lifetime > 0 ? { udp: lifetime } : {}, ...timers },
    },
    ...peers,
  };
  const folder = new ConfigFolder(config as unknown as LabConfig);
  let daemon: Daemon | undefined;
  try {
    daemon = await Daemon.start(folder);
    way.through(daemon);
    const report = await probeNat(way, { lifetime });
    const { ailments } = await daemon.ask<{ ailments: string[] }>('/v1/status');
    return { report, refused: way.refused, ailments, exitCode: await daemon.end('SIGTERM') };
  } finally {
    await daemon?.end('SIGKILL');
    folder.remove();
    way.close();
  }
}
