/**
 * VXLAN header: RFC 7348 §5, before an untagged Ethernet frame.
 *
 *   |R|R|R|R|I|R|R|R|            Reserved           |
 *   |       VXLAN Network Identifier (VNI)  | Rsvd  |
 */
import { putU32, u32 } from './bytes.js';
import { ETHERNET_LEN } from './ethernet.js';
import { Fault } from './faults.js';
import { isUsableVsid } from './nvgre.js';

const FLAGS = 0; // u8, then three reserved bytes
const VNI = 4; // 24 bits, then a reserved byte
export const VXLAN_LEN = 8;
export const VXLAN_PORT = 4789;

export const VXLAN_VALID = 0x08; // the I bit

/**
 * Check the header at `at`, and that an inner Ethernet header fits behind it before `end`. Returns 0 or a `Fault`.
 * Reserved bits are ignored, as RFC 7348 asks. A VNI names the same subnet as the VSID of that number, so it keeps to the VSID's range.
 */
export function checkVxlan(mem: Uint8Array, at: number, end: number): number {
  if (end - at < VXLAN_LEN + ETHERNET_LEN) return Fault.vxlan_truncated;
  if ((mem[at + FLAGS] & VXLAN_VALID) === 0) return Fault.vxlan_flags;
  return isUsableVsid(vxlanVni(mem, at)) ? 0 : Fault.vxlan_vni_reserved;
}

export function vxlanVni(mem: Uint8Array, at: number): number {
  return u32(mem, at + VNI) >>> 8;
}

/** Write a header at `at`; returns its length, 8. */
export function writeVxlan(mem: Uint8Array, at: number, vni: number): number {
  putU32(mem, at + FLAGS, VXLAN_VALID << 24);
  putU32(mem, at + VNI, vni << 8);
  return VXLAN_LEN;
}
