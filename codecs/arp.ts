/**
 * ARP for IPv4 over Ethernet: RFC 826.
 *
 *   |   Hardware type, 1    |  Protocol type, 0800  |
 *   | HLEN, 6   | PLEN, 4   |        Operation      |
 *   |     Sender MAC, 6 bytes     |    Sender IP    |
 *   |     Target MAC, 6 bytes     |    Target IP    |
 */
import { macHigh, macLow, putMac, putU16, putU32, u16, u32 } from './bytes.js';
import { EtherType } from './ethernet.js';
import { Fault } from './faults.js';

const HARDWARE = 0; // u16
const PROTOCOL = 2; // u16
const LENGTHS = 4; // u8 hardware, u8 protocol; read as one word
const OPERATION = 6; // u16
export const ARP_SENDER_MAC = 8;
const SENDER_IP = 14; // u32
const TARGET_MAC = 18;
const TARGET_IP = 24; // u32
export const ARP_LEN = 28;

const HARDWARE_ETHERNET = 1;
const LENGTHS_ETHERNET_IPV4 = 0x0604;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

/** Check that `mem[at..end)` starts with an ARP request or reply for IPv4 over Ethernet. Returns 0 or a `Fault`. */
export function checkArp(mem: Uint8Array, at: number, end: number): number {
  if (end - at < ARP_LEN) return Fault.arp_truncated;
  if (u16(mem, at + HARDWARE) !== HARDWARE_ETHERNET) return Fault.arp_unsupported;
  if (u16(mem, at + PROTOCOL) !== EtherType.ipv4) return Fault.arp_unsupported;
  if (u16(mem, at + LENGTHS) !== LENGTHS_ETHERNET_IPV4) return Fault.arp_unsupported;
  const op = arpOp(mem, at);
  return op === ARP_REQUEST || op === ARP_REPLY ? 0 : Fault.arp_unsupported;
}

export function arpOp(mem: Uint8Array, at: number): number {
  return u16(mem, at + OPERATION);
}

export function arpSenderMacHigh(mem: Uint8Array, at: number): number {
  return macHigh(mem, at + ARP_SENDER_MAC);
}

export function arpSenderMacLow(mem: Uint8Array, at: number): number {
  return macLow(mem, at + ARP_SENDER_MAC);
}

/** 0 in a probe (RFC 5227 §2.1.1), which asks whether an address is free and must not be learned from. */
export function arpSenderIp(mem: Uint8Array, at: number): number {
  return u32(mem, at + SENDER_IP);
}

export function arpTargetMacHigh(mem: Uint8Array, at: number): number {
  return macHigh(mem, at + TARGET_MAC);
}

export function arpTargetMacLow(mem: Uint8Array, at: number): number {
  return macLow(mem, at + TARGET_MAC);
}

export function arpTargetIp(mem: Uint8Array, at: number): number {
  return u32(mem, at + TARGET_IP);
}

/** Write a whole message at `at`; returns its length, 28. */
export function writeArp(
  mem: Uint8Array, at: number, op: number,
  senderHigh: number, senderLow: number, senderIp: number,
  targetHigh: number, targetLow: number, targetIp: number,
): number {
  putU16(mem, at + HARDWARE, HARDWARE_ETHERNET);
  putU16(mem, at + PROTOCOL, EtherType.ipv4);
  putU16(mem, at + LENGTHS, LENGTHS_ETHERNET_IPV4);
  putU16(mem, at + OPERATION, op);
  putMac(mem, at + ARP_SENDER_MAC, senderHigh, senderLow);
  putU32(mem, at + SENDER_IP, senderIp);
  putMac(mem, at + TARGET_MAC, targetHigh, targetLow);
  putU32(mem, at + TARGET_IP, targetIp);
  return ARP_LEN;
}
