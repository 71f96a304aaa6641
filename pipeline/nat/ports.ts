/** Which outside address and port an inside one gets. */
import type { Context } from '../context.js';
import type { Packet } from '../packet.js';
import { TAKEN } from '../tables/nat-state.js';
import { hashWords } from '../tables/word-map.js';

const FIRST_PORT = 1024;
const PORTS = 65536 - FIRST_PORT;
/** Ports looked at for every new binding; with one free in so many, one is found. */
const PROBES = 2048;
/** An inside address keeps one outside address: all hash alike, whatever the generation (RFC 4787 §4.1, pooling "paired"). */
const PAIRING_SEED = 0x6c8e9cf5;

/**
 * Bind the packet's inside end, whose lock is held and whose chain is `chain`, to a free port: as `NatState.bind`, `TAKEN` when
 * its outside address has none left. The port is looked for from a random place on, so that the next one is hard to guess (RFC 6056 §3.3.1).
 */
export function bindToPool(p: Packet, c: Context, chain: number, now: number): number {
  const { ports, mappingsOutside, generation } = c.policy;
  const { tenant, protocol, sport } = p, inside = p.src3 | 0;
  const plan = ports.planOf(tenant);
  if (plan.outsideCount === 0) return TAKEN;
  const address = plan.outsideAt(hashWords(PAIRING_SEED, inside, 0, 0, 0, 0) % plan.outsideCount) | 0;
  const start = (c.random.next() >>> 0) % PORTS; // said again for V8, which would divide floating point
  for (let i = 0; i < PORTS; i++) {
    if (i === PROBES) {
      // Hardly a port left: the long way round, milliseconds, is gone once a second and not once a packet.
      if (c.spentPorts.has(protocol, address >>> 0, now)) return TAKEN;
      c.spentPorts.note(protocol, address >>> 0, now);
    }
    const port = FIRST_PORT + (start + i) % PORTS;
    if (mappingsOutside.find(protocol, address >>> 0, port, 0, 0) >= 0) continue;
    const binding = c.nat.bind(tenant, protocol, inside, sport, address, port, false, generation, now, chain);
    if (binding !== TAKEN) return binding;
  }
  return TAKEN;
}
