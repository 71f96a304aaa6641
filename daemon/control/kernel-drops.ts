/**
 * What the kernel threw away because a receive buffer was full. Linux says it per socket, in /proc/net/udp and udp6:
 *
 *   sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ref pointer drops
 *
 * Addresses are hex, each 32-bit word in the machine's own byte order; ports are hex as one reads them.
 */
import { readFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import type { Bound } from '../worker/messages.js';
import { addressWords } from '../worker/senders.js';

const LOCAL = 1;
const DROPS = 12;

/** Datagrams lost, for each of `sockets`; undefined where the system does not say. */
export async function kernelDrops(sockets: readonly Bound[]): Promise<(number | undefined)[]> {
  const [v4, v6] = await Promise.all(['/proc/net/udp', '/proc/net/udp6'].map(path => readFile(path, 'latin1').then(parseDrops, () => new Map<string, number>())));
  return sockets.map(({ family, address, port }) => (family === 4 ? v4 : v6).get(localName(address, family, port)));
}

/** Drops by local address, as the file spells it. Sockets that share an address are added up. */
export function parseDrops(text: string): Map<string, number> {
  const drops = new Map<string, number>();
  for (const line of text.split('\n').slice(1)) {
    const cells = line.trim().split(/\s+/);
    if (cells.length <= DROPS) continue;
    drops.set(cells[LOCAL], (drops.get(cells[LOCAL]) ?? 0) + Number(cells[DROPS]));
  }
  return drops;
}

function localName(address: string, family: 4 | 6, port: number): string {
  const words = addressWords(address) ?? [0, 0, 0, 0];
  return `${(family === 4 ? words.slice(3) : words).map(hexWord).join('')}:${hex(port, 4)}`;
}

function hexWord(word: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(word);
  return hex(endianness() === 'LE' ? bytes.readUInt32LE() : word, 8);
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}
