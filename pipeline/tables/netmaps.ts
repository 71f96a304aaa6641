/**
 * NETMAP: at a site, what addresses of one side are shown to the other side as. IPv4, one for one, prefix by prefix.
 *
 * Two sides and two ways are four scopes a site in one longest-prefix table; most sites have no maps, and cost a load.
 */
import { V4_BITS, V4_MAPPED } from '../address.js';
import type { SiteMapRow } from '../policy-rows.js';
import { Lpm, LpmBuilder, type LpmData } from './lpm.js';
import { sharedFrom } from './memory.js';

/** Whose address, and which way it is to go. */
export const MapWay = { tenantShown: 0, tenantReal: 1, siteShown: 2, siteReal: 3 } as const;
const WAYS = 4;
/** A map is two entries: prefix it goes to, mask of the part that stays, line. */
const ENTRY_WORDS = 3;

export interface NetmapData {
  /** By peer: how many maps. */
  readonly counts: Uint32Array;
  readonly lpm: LpmData;
  readonly entries: Uint32Array;
}

export class Netmaps {
  readonly #counts: Uint32Array;
  readonly #lpm: Lpm;
  readonly #entries: Uint32Array;

  constructor({ counts, lpm, entries }: NetmapData) {
    this.#counts = counts;
    this.#lpm = new Lpm(lpm);
    this.#entries = entries;
  }

  /** Whether the site maps anything. */
  has(site: number): boolean {
    return this.#counts[site] > 0;
  }

  /** The map that changes this address that way, or -1. */
  find(site: number, way: number, address: number): number {
    return this.#lpm.find(site * WAYS + way, 0, 0, V4_MAPPED, address);
  }

  /** What a map that was found makes of the address. */
  apply(map: number, address: number): number {
    const at = map * ENTRY_WORDS;
    return (this.#entries[at] | address & this.#entries[at + 1]) >>> 0;
  }

  /** The address as it is that way; itself where no map has it. */
  translate(site: number, way: number, address: number): number {
    const map = this.find(site, way, address);
    return map < 0 ? address : this.apply(map, address);
  }

  lineOf(map: number): number {
    return this.#entries[map * ENTRY_WORDS + 2];
  }
}

export class NetmapBuilder {
  readonly #lpm: LpmBuilder;
  readonly #counts: Uint32Array;
  readonly #entries: number[] = [];

  constructor(seed: number, peers: number) {
    this.#lpm = new LpmBuilder(seed, peers * WAYS);
    this.#counts = new Uint32Array(new SharedArrayBuffer(Math.max(1, peers) * 4));
  }

  add(site: number, { side, real, shown, bits, line }: SiteMapRow): void {
    this.#counts[site]++;
    this.#put(site * WAYS + (side === 'tenant' ? MapWay.tenantShown : MapWay.siteShown), real, shown, bits, line);
    this.#put(site * WAYS + (side === 'tenant' ? MapWay.tenantReal : MapWay.siteReal), shown, real, bits, line);
  }

  #put(scope: number, from: number, to: number, bits: number, line: number): void {
    this.#lpm.add(scope, [0, 0, V4_MAPPED, from], V4_BITS + bits, this.#entries.length / ENTRY_WORDS);
    this.#entries.push(to, bits === 0 ? 0xffffffff : 2 ** (32 - bits) - 1, line);
  }

  build(): NetmapData {
    return { counts: this.#counts, lpm: this.#lpm.build(), entries: sharedFrom(this.#entries) };
  }
}
