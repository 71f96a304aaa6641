/** What control can say about the daemon, as plain objects: read from shared memory, never asked of a worker. */
import { Carrier, Side } from '../pipeline/packet.js';
import type { Listen } from './messages.js';

const SIDE_WORDS = { [Side.both]: 'both', [Side.hosts]: 'hosts', [Side.uplinks]: 'uplinks' } as const;

/** A socket in words. */
export function socketWords({ side, carrier, address, port }: Listen) {
  return { side: SIDE_WORDS[side as keyof typeof SIDE_WORDS], carrier: carrier === Carrier.gre ? 'gre' : 'vxlan', address, port };
}
