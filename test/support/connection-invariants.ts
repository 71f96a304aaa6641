/** What must be true of the memory of ACL connections whenever nobody is in the midst of something, found by reading every word of it. Knows the layout by heart, as connections.ts draws it. */
import { Connections, type ConnectionSizes } from '../../pipeline/tables/connections.js';

const RECORD = 16, LINK = 0, WHO = 1, HOW = 11;
const HEADER = 16, LOCK = 16, PART = 16, COUNT = 1;

/** Everything wrong with it; [] is wanted. `count`: so many connections there must be. */
export function connectionFaults(memory: SharedArrayBuffer, sizes: ConnectionSizes, count?: number): string[] {
  const words = new Int32Array(memory), connections = new Connections(memory, sizes, 99);
  const wrong: string[] = [];
  const align = (n: number): number => Math.ceil(n / RECORD) * RECORD;
  const locks = HEADER + align(sizes.tenants + 1);
  const total = (connections.end - connections.first) / RECORD;
  let parts = 1;
  while (parts < 64 && parts * 2 <= sizes.connections / 256) parts *= 2;
  const records = total / parts, frees = locks + parts * LOCK, heads = frees + parts * PART, buckets = 2 ** Math.ceil(Math.log2(records));
  if (connections.first !== align(heads + parts * buckets)) wrong.push(`records begin at ${connections.first}`);
  for (let part = 0; part < parts; part++) if (words[locks + part * LOCK] !== 0) wrong.push(`lock ${part} is held by ${words[locks + part * LOCK]}`);

  const where = new Map<number, string>(), keys = new Set<string>(), perTenant = new Map<number, number>();
  const walk = (from: number, part: number, what: string): number[] => {
    const found: number[] = [];
    for (let at = words[from]; at !== 0; at = words[at + LINK]) {
      if (where.has(at)) {
        wrong.push(`record ${at} is in ${what} and in ${where.get(at)}`);
        break;
      }
      where.set(at, what);
      if (Math.floor((at - connections.first) / RECORD / records) !== part) wrong.push(`record ${at} is in ${what}, of another part`);
      found.push(at);
    }
    return found;
  };
  let open = 0;
  for (let part = 0; part < parts; part++) {
    for (const at of walk(frees + part * PART, part, `free list ${part}`)) if ((words[at + HOW] & 0xff) !== 0) wrong.push(`record ${at} is free and has a state`);
    for (let bucket = 0; bucket < buckets; bucket++) {
      for (const at of walk(heads + part * buckets + bucket, part, `chain ${part}/${bucket}`)) {
        open++;
        const key = words.subarray(at + WHO, at + HOW).join(), tenant = words[at + WHO] >>> 16;
        if ((words[at + HOW] & 0xff) === 0) wrong.push(`record ${at} is in a chain and has no state`);
        if (keys.has(key)) wrong.push(`two connections have the key ${key}`);
        keys.add(key);
        perTenant.set(tenant, (perTenant.get(tenant) ?? 0) + 1);
      }
    }
  }
  if (where.size !== total) wrong.push(`${total - where.size} records are nowhere`);
  if (words[COUNT] !== open) wrong.push(`${words[COUNT]} counted, and there are ${open}`);
  for (let tenant = 0; tenant <= sizes.tenants; tenant++) if (connections.countOf(tenant) !== (perTenant.get(tenant) ?? 0)) wrong.push(`${connections.countOf(tenant)} of tenant ${tenant} counted, and there are ${perTenant.get(tenant) ?? 0}`);
  if (count !== undefined && open !== count) wrong.push(`${open} connections, and there should be ${count}`);
  return wrong;
}
