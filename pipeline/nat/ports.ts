/** Which outside address and port an inside one gets. */
import type { Context } from '../context.js';
import type { Packet } from '../packet.js';
import { hashWords } from '../tables/word-map.js';

const FIRST_PORT = 1024;
const PORTS = 65536 - FIRST_PORT;
/** Ports looked at for every new binding; with one free in so many, one is found. */
const PROBES = 2048;
/** An inside address keeps one outside address: all hash alike, whatever the generation (RFC 4787 §4.1, pooling "paired"). */
const PAIRING_SEED = 0x6c8e9cf5;

/**
 * Choose natAddress and natPort for the packet's inside end; false when its address has no port left.
 * The port is looked for from a random place on, so that the next one is hard to guess (RFC 6056 §3.3.1).
 */
export function allocatePort(p: Packet, c: Context, now: number): boolean {
  const { tenants, mappingsOutside } = c.policy;
  const total = tenants.poolTotal[p.tenant];
  if (total === 0) return false;
  let left = hashWords(PAIRING_SEED, p.src3, 0, 0, 0, 0) % total;
  let range = tenants.poolFirst[p.tenant];
  while (left >= tenants.poolRanges[range + 1]) {
    left -= tenants.poolRanges[range + 1];
    range += 2;
  }
  const address = tenants.poolRanges[range] + left;
  const start = c.random.next() % PORTS;
  for (let i = 0; i < PORTS; i++) {
    if (i === PROBES) {
      // Hardly a port left: the long way round, milliseconds, is gone once a second and not once a packet.
      if (c.spentPorts.has(p.protocol, address, now)) return false;
      c.spentPorts.note(p.protocol, address, now);
    }
    const port = FIRST_PORT + (start + i) % PORTS;
    if (mappingsOutside.find(p.protocol, address, port, 0, 0) >= 0 || c.nat.findOutside(p.protocol, address, port) >= 0) continue;
    p.natAddress = address;
    p.natPort = port;
    return true;
  }
  return false;
}
