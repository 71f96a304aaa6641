import t from 'tap';
import type { MappingRow } from '../../../pipeline/policy-rows.js';
import { freeRanges } from '../../../pipeline/nat/pool.js';
import { Mappings, MappingsBuilder, type MappingColumns } from '../../../pipeline/tables/mappings.js';
import { ip4 } from '../../support/frames.js';
import { seeded } from '../../support/seeded.js';

const ICMP = 1, TCP = 6, UDP = 17;

function build(rows: readonly (MappingRow & { readonly tenant: number })[]): Mappings {
  const builder = new MappingsBuilder(7, 4);
  rows.forEach((row, i) => builder.add(row.tenant, row, i));
  const column = (of: (row: MappingRow & { readonly tenant: number }) => number): Uint32Array => Uint32Array.from(rows, of);
  const columns: MappingColumns = {
    tenant: column(row => row.tenant), protocol: column(row => row.protocol ?? 0), external: column(row => row.external), internal: column(row => row.internal),
    addresses: column(row => 2 ** (32 - row.bits)), externalPort: column(row => row.externalPort), internalPort: column(row => row.internalPort), ports: column(row => row.ports), line: column(row => row.line),
  };
  return new Mappings(builder.build(), columns);
}

/** Slow and obvious: of all rows that hold the end, the narrowest; of those the first. */
function search(rows: readonly (MappingRow & { readonly tenant: number })[], isOutside: boolean, tenant: number, protocol: number, address: number, port: number): number {
  let best = -1, narrowest = -1;
  rows.forEach((row, i) => {
    const first = isOutside ? row.external : row.internal, firstPort = isOutside ? row.externalPort : row.internalPort;
    if (row.tenant !== tenant || address < first || address >= first + 2 ** (32 - row.bits)) return;
    if (row.protocol !== null && row.protocol !== protocol) return;
    if (row.ports !== 0 && (port < firstPort || port >= firstPort + row.ports)) return;
    const width = row.bits + (row.protocol !== null ? 16 : 0) + (row.ports !== 0 ? 17 : 0);
    if (width <= narrowest) return;
    narrowest = width;
    best = i;
  });
  return best;
}

t.test('ports, ranges, addresses and prefixes are found from either end, the narrowest first, as by a search through all', async t => {
  const random = seeded();
  const wrong: string[] = [];
  for (let round = 0; round < 60; round++) {
    const rows: (MappingRow & { tenant: number })[] = [];
    const pick = (): number => ip4('203.0.113.0') + random.below(16), port = (): number => 1 + random.below(300);
    for (let i = 0; i < 14; i++) {
      const tenant = 1 + random.below(2), kind = random.below(4), bits = kind === 0 ? 29 + random.below(3) : 32, align = 2 ** (32 - bits);
      const row = {
        tenant, line: i, bits, protocol: kind === 0 ? null : kind === 1 ? [null, TCP, UDP][random.below(3)] : [TCP, UDP][random.below(2)],
        external: Math.floor(pick() / align) * align, internal: Math.floor((pick() - ip4('203.0.113.0') + ip4('10.0.0.0')) / align) * align,
        externalPort: kind < 2 ? 0 : port(), internalPort: kind < 2 ? 0 : port(), ports: kind < 2 ? 0 : kind === 2 ? 1 : 2 + random.below(200),
      };
      // Outside no two meet, and inside no two ranges of ports: the config sees to the one, and of the other the blocks of ranges would tell.
      const meets = (isOutside: boolean): boolean => rows.some(other => {
        const a = isOutside ? row.external : row.internal, b = isOutside ? other.external : other.internal, ap = isOutside ? row.externalPort : row.internalPort, bp = isOutside ? other.externalPort : other.internalPort;
        return row.tenant === other.tenant && a < b + 2 ** (32 - other.bits) && b < a + 2 ** (32 - row.bits) && (isOutside || (row.ports > 0 && other.ports > 0))
          && (row.protocol === null || other.protocol === null || row.protocol === other.protocol) && (row.ports === 0 || other.ports === 0 || (ap < bp + other.ports && bp < ap + row.ports));
      });
      if (!meets(true) && !meets(false)) rows.push(row);
    }
    const mappings = build(rows);
    for (let i = 0; i < 400; i++) {
      const tenant = 1 + random.below(2), protocol = [ICMP, TCP, UDP][random.below(3)], last = random.below(16), at = random.below(700);
      const outside = mappings.findOutside(tenant, protocol, ip4('203.0.113.0') + last, at), inside = mappings.findInside(tenant, protocol, ip4('10.0.0.0') + last, at);
      if (outside !== search(rows, true, tenant, protocol, ip4('203.0.113.0') + last, at)) wrong.push(`round ${round}: outside ${protocol} .${last}:${at} is ${outside}`);
      if (inside !== search(rows, false, tenant, protocol, ip4('10.0.0.0') + last, at)) wrong.push(`round ${round}: inside ${protocol} .${last}:${at} is ${inside}`);
      if (outside < 0) continue;
      const back = [mappings.external(outside, mappings.internal(outside, ip4('203.0.113.0') + last)), mappings.externalPort(outside, mappings.internalPort(outside, at))];
      if (back.join() !== [ip4('203.0.113.0') + last, at].join()) wrong.push(`round ${round}: .${last}:${at} there and back is ${back.join(':')}`);
    }
  }
  t.same(wrong.slice(0, 5), [], `seed ${random.seed}`);
});

t.test('addresses and ports keep their distance; what has no ports keeps them', async t => {
  const row = { line: 1, bits: 32, external: ip4('203.0.113.10'), internal: ip4('10.0.0.5') };
  const mappings = build([
    { tenant: 1, ...row, protocol: TCP, externalPort: 8000, internalPort: 80, ports: 100 },
    { tenant: 1, line: 2, protocol: null, bits: 29, external: ip4('203.0.113.16'), internal: ip4('10.0.0.8'), externalPort: 0, internalPort: 0, ports: 0 },
  ]);
  const range = mappings.findOutside(1, TCP, ip4('203.0.113.10'), 8099), prefix = mappings.findOutside(1, ICMP, ip4('203.0.113.23'), 0);
  t.same([mappings.internal(range, ip4('203.0.113.10')), mappings.internalPort(range, 8099)], [ip4('10.0.0.5'), 179]);
  t.same([mappings.internal(prefix, ip4('203.0.113.23')), mappings.internalPort(prefix, 54321)], [ip4('10.0.0.15'), 54321]);
  t.same([mappings.findOutside(1, TCP, ip4('203.0.113.10'), 8100), mappings.findOutside(1, UDP, ip4('203.0.113.10'), 8000), mappings.findOutside(2, TCP, ip4('203.0.113.10'), 8000)], [-1, -1, -1]);
});

t.test('what is mapped as a whole is given to nobody else: the pool in its order, less those addresses', async t => {
  const prefix = (text: string, bits: number): { words: [number, number, number, number]; bits: number } => ({ words: [0, 0, 0xffff, ip4(text)], bits: 96 + bits });
  const whole = (text: string, bits: number): MappingRow => ({ line: 1, protocol: null, bits, external: ip4(text), internal: 0, externalPort: 0, internalPort: 0, ports: 0 });
  const ranges = freeRanges([prefix('203.0.113.64', 28), prefix('203.0.113.10', 32)], [whole('203.0.113.68', 30), whole('203.0.113.64', 32), whole('203.0.113.79', 32), { ...whole('203.0.113.70', 32), ports: 1 }]);
  t.same(ranges, [[ip4('203.0.113.65'), 3], [ip4('203.0.113.72'), 7], [ip4('203.0.113.10'), 1]]);
  t.same(freeRanges([prefix('203.0.113.10', 32)], [whole('203.0.113.8', 29)]), []);
});
