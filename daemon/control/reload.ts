/** What a new config may change under a running daemon, and what it may not. */
import type { Config, Gateway } from '../../config/index.js';
import type { StateSizes } from '../../pipeline/gateway.js';
import { stateSizes } from '../tables.js';

/** Sockets, memory and threads are set up once. */
const AT_START = ['listen', 'uplinkListen', 'grePort', 'vxlanPort', 'workers', 'rss', 'receiveBuffer', 'sendBuffer', 'admin', 'metrics', 'natLog', 'limits'] as const satisfies readonly (keyof Gateway)[];

/** Keys that differ and cannot be changed without a restart; empty when `next` may take over from a config with `gateway`, over state of these sizes. */
export function needRestart(gateway: Gateway, next: Config, sizes: StateSizes): string[] {
  const keys = AT_START.filter(key => JSON.stringify(gateway[key]) !== JSON.stringify(next.gateway[key])).map(key => `gateway.${key}`);
  // The slots in which fragments wait were made for the largest MTU of the first config.
  if (stateSizes(next).fragments.slotBytes > sizes.fragments.slotBytes) keys.push('mtu');
  return keys;
}
