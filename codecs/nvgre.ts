/**
 * NVGRE header: RFC 7637 §3.2. A GRE header with a key and nothing else, before an untagged Ethernet frame.
 *
 *   |0|0|1|0|   Reserved0   | Ver |    Protocol Type, 6558      |
 *   |            Virtual Subnet ID (VSID)           |  FlowID   |
 */
import { putU32, u16, u32 } from './bytes.js';
import { ETHERNET_LEN, EtherType } from './ethernet.js';
import { Fault } from './faults.js';

const FLAGS = 0; // u16
const PROTOCOL = 2; // u16
const VSID = 4; // 24 bits
const FLOW_ID = 7; // u8
export const NVGRE_LEN = 8;

const KEY_ONLY = 0x2000; // K set, C and S clear, version 0
/** Flags, version and protocol: the same in every header. */
export const NVGRE_FIRST_WORD = 0x20006558;
const MIN_VSID = 0x001000; // below: reserved (RFC 7637 §3.4)
const MAX_VSID = 0xfffffe; // above: vendor-specific

/** Whether a tenant's subnet may have this id. */
export function isUsableVsid(vsid: number): boolean {
  return vsid >= MIN_VSID && vsid <= MAX_VSID;
}

/**
 * Check the header at `at`, and that an inner Ethernet header fits behind it before `end`. Returns 0 or a `Fault`.
 * Stricter than GRE: bits 6 to 12, which GRE ignores, must be clear as well, since nobody has a use for them here.
 */
export function checkNvgre(mem: Uint8Array, at: number, end: number): number {
  if (end - at < NVGRE_LEN + ETHERNET_LEN) return Fault.nvgre_truncated;
  if (u16(mem, at + FLAGS) !== KEY_ONLY) return Fault.nvgre_flags;
  if (u16(mem, at + PROTOCOL) !== EtherType.teb) return Fault.nvgre_protocol;
  const vsid = nvgreVsid(mem, at);
  if (vsid < MIN_VSID) return Fault.nvgre_vsid_reserved;
  return vsid > MAX_VSID ? Fault.nvgre_vsid_vendor : 0;
}

export function nvgreVsid(mem: Uint8Array, at: number): number {
  return u32(mem, at + VSID) >>> 8;
}

/** Entropy of the inner flow, 0 when the sender makes none. */
export function nvgreFlowId(mem: Uint8Array, at: number): number {
  return mem[at + FLOW_ID];
}

/** Write a header at `at`; returns its length, 8. */
export function writeNvgre(mem: Uint8Array, at: number, vsid: number, flowId: number): number {
  putU32(mem, at + FLAGS, NVGRE_FIRST_WORD);
  putU32(mem, at + VSID, (vsid << 8) | flowId);
  return NVGRE_LEN;
}
