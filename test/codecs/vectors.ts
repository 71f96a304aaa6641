import { readFileSync } from 'node:fs';
import { bytes } from '../support/bytes.js';

const lines = readFileSync(new URL('../vectors/packets.hex', import.meta.url), 'utf8').split('\n');
const packets = new Map(lines.filter(line => /^[a-z]/.test(line)).map(line => line.split(' ') as [string, string]));

export const vectorNames: readonly string[] = [...packets.keys()];

/** A fresh copy of one packet of test/vectors/packets.hex, so that a test may write into it. */
export function vector(name: string): Uint8Array {
  const found = packets.get(name);
  if (found === undefined) throw new Error(`no vector is called ${name}`);
  return bytes(found);
}
