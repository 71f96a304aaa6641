/** What tests of NAT's behaviour ask of a lab: the outside port of what has just left. */
import type { Lab } from '../../support/lab.js';
import { FAR, fromVm, type Vm } from '../../support/world.js';
import { udp } from '../../support/frames.js';

/** Behind a GRE header without a key, as towards red's uplink. */
export const INNER = 4;

/** The inner packets of all that left for red's uplink. */
export function packetsLeft(lab: Lab): Uint8Array[] {
  return lab.take().filter(({ peer }) => peer === 'inet').map(({ bytes }) => bytes.slice(INNER));
}

/** Source address, and source port or ICMP id, of the one packet that left for red's uplink. */
export function outsideLeft(lab: Lab): { readonly address: number; readonly port: number } {
  const packets = packetsLeft(lab);
  if (packets.length !== 1) throw new Error(`${packets.length} packets left`);
  const view = new DataView(packets[0].buffer);
  return { address: view.getUint32(12), port: view.getUint16(packets[0][9] === 1 ? 24 : 20) };
}

export function portLeft(lab: Lab): number {
  return outsideLeft(lab).port;
}

/** `from` sends UDP from `sport` to port 53 of FAR; its outside port. */
export function openUdp(lab: Lab, from: Vm, sport = 5000): number {
  fromVm(lab, from, udp(from.ca, sport, FAR, 53));
  return portLeft(lab);
}
