/**
 * Static mappings, found by either end: a port, ports, a whole address or a prefix, whichever is longest.
 *
 * A tenant is a scope of one longest-prefix table, an end is an address and then protocol and port:
 *
 *   address:32 | protocol:16 | port:16 | 0 | 0
 *
 * So a prefix has its own length, an address 32 bits, all ports of a protocol 48 and one port 64; a range of ports is the
 * few aligned blocks that make it up. Tenants without mappings have no lengths, and pay a few loads.
 */
import type { MappingRow } from '../policy-rows.js';
import { Lpm, LpmBuilder, type LpmData } from './lpm.js';

const PROTOCOL_BITS = 48, PORT_BITS = 64;
const PROTOCOLS = 16;
const ALL_PORTS = 65536;

export interface MappingColumns {
  readonly tenant: Uint32Array;
  /** 0: TCP, UDP and ICMP queries. */
  readonly protocol: Uint32Array;
  readonly external: Uint32Array;
  readonly internal: Uint32Array;
  /** Addresses: 1 or a power of two. */
  readonly addresses: Uint32Array;
  readonly externalPort: Uint32Array;
  readonly internalPort: Uint32Array;
  /** Ports; 0: all of them, kept as they are. */
  readonly ports: Uint32Array;
  readonly line: Uint32Array;
}

export interface MappingsData {
  readonly inside: LpmData;
  readonly outside: LpmData;
}

export class Mappings {
  readonly #columns: MappingColumns;
  readonly #inside: Lpm;
  readonly #outside: Lpm;

  constructor(data: MappingsData, columns: MappingColumns) {
    this.#columns = columns;
    this.#inside = new Lpm(data.inside);
    this.#outside = new Lpm(data.outside);
  }

  /** The mapping that this outside end is promised to, or -1. */
  findOutside(tenant: number, protocol: number, address: number, port: number): number {
    return this.#outside.find(tenant, address >>> 0, (protocol << 16 | port) >>> 0, 0, 0);
  }

  /** The mapping that this inside end leaves by, or -1. */
  findInside(tenant: number, protocol: number, address: number, port: number): number {
    return this.#inside.find(tenant, address >>> 0, (protocol << 16 | port) >>> 0, 0, 0);
  }

  // The other end of a mapping: addresses and ports keep their distance.

  internal(mapping: number, external: number): number {
    const { internal, external: first } = this.#columns;
    return (internal[mapping] + (external - first[mapping])) >>> 0;
  }

  internalPort(mapping: number, externalPort: number): number {
    const { internalPort, externalPort: first } = this.#columns;
    return internalPort[mapping] + externalPort - first[mapping];
  }

  external(mapping: number, internal: number): number {
    const { internal: first, external } = this.#columns;
    return (external[mapping] + (internal - first[mapping])) >>> 0;
  }

  externalPort(mapping: number, internalPort: number): number {
    const { internalPort: first, externalPort } = this.#columns;
    return externalPort[mapping] + internalPort - first[mapping];
  }
}

export class MappingsBuilder {
  readonly #inside: LpmBuilder;
  readonly #outside: LpmBuilder;

  /** Tenants are 0 .. `tenants` - 1. */
  constructor(seed: number, tenants: number) {
    this.#inside = new LpmBuilder(seed, tenants);
    this.#outside = new LpmBuilder(seed, tenants);
  }

  /** Of inside ends that are mapped twice, the first counts. */
  add(tenant: number, row: MappingRow, mapping: number): void {
    put(this.#outside, tenant, row, row.external, row.externalPort, mapping);
    put(this.#inside, tenant, row, row.internal, row.internalPort, mapping);
  }

  build(): MappingsData {
    return { inside: this.#inside.build(), outside: this.#outside.build() };
  }
}

function put(lpm: LpmBuilder, tenant: number, { protocol, bits, ports }: MappingRow, address: number, port: number, mapping: number): void {
  const upper = (protocol ?? 0) << PROTOCOLS;
  if (ports === 0) lpm.add(tenant, [address, upper, 0, 0], protocol === null ? bits : PROTOCOL_BITS, mapping);
  for (let from = port, end = port + ports; from < end;) {
    let size = 1;
    while (size < ALL_PORTS && from % (size * 2) === 0 && from + size * 2 <= end) size *= 2;
    lpm.add(tenant, [address, (upper | from) >>> 0, 0, 0], PORT_BITS - Math.log2(size), mapping);
    from += size;
  }
}
