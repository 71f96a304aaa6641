/**
 * Which external ports an inside address has, by arithmetic (RFC 7422): every worker, every restart and whoever asks years
 * later come to the same, so only configs have to be kept to tell who had a port. On each outside address:
 *
 *   0      1024                                                              65536
 *   |reserved| share 0 | share 1 | … | share C-1 | … | block 2 | block 1 | block 0 |
 *
 * An inside address has one share, of P ports, and no packet has to be seen for that. Blocks are given to whoever needs
 * more, and who has which is written down (tables/port-blocks.ts). They are counted from the top, so that
 * a block is the same block wherever the shares end.
 */
/** Well-known ports are given to nobody. */
export const FIRST_PORT = 1024;
const PORTS_END = 65536;
/** Shares smaller than this help nobody: then all ports go by blocks. */
const LEAST_SHARE = 64;

/**
 * How inside addresses are laid over outside ones. `sequential`: those that follow each other share an address (RFC 7422 §2.2).
 * `inTurn`: they are dealt out, one to each, for VMs sit next to each other at the beginning of their subnet.
 */
export type PlanOrder = 'sequential' | 'inTurn';

export interface PlanParts {
  /** IPv4 addresses in pairs: the first, and how many. */
  readonly inside: ArrayLike<number>;
  readonly outside: ArrayLike<number>;
  /** Ports of a block. */
  readonly size: number;
  /** `auto`: half of the ports are shares, where they are large enough. `dynamic`: none. */
  readonly assign: 'auto' | 'dynamic';
  readonly order?: PlanOrder;
  /** Ports below this are given to nobody. */
  readonly reserved?: number;
  /** D of RFC 7422: as many shares are left for blocks on each address; as many as there are shares, unless it says so. */
  readonly dynamicShares?: number;
}

/** A run of ports of an outside address. */
export interface PortRun { readonly outside: number; readonly firstPort: number; readonly count: number }
/** Whose an external port is: one inside address's by arithmetic, or of whoever has block `block`. */
export type PortHolder = (PortRun & { readonly inside: number }) | (PortRun & { readonly block: number });

export class PortPlan {
  readonly insideCount: number;
  readonly outsideCount: number;
  /** C: inside addresses on each outside one. */
  readonly perOutside: number;
  /** P: ports of a share, 0 where there are none. */
  readonly share: number;
  /** Ports of a block. */
  readonly size: number;
  /** What `locate` found: good until it is asked again. */
  outside = 0;
  firstPort = 0;
  readonly #inside: ArrayLike<number>;
  readonly #outside: ArrayLike<number>;
  readonly #inTurn: boolean;
  readonly #reserved: number;

  constructor({ inside, outside, size, assign, order = 'inTurn', reserved = FIRST_PORT, dynamicShares }: PlanParts) {
    this.#inside = inside;
    this.#outside = outside;
    this.#inTurn = order === 'inTurn';
    this.#reserved = reserved;
    this.insideCount = countOf(inside);
    this.outsideCount = countOf(outside);
    this.size = size;
    this.perOutside = this.outsideCount === 0 ? 0 : Math.ceil(this.insideCount / this.outsideCount);
    const shares = this.perOutside + (dynamicShares ?? this.perOutside);
    const ports = assign === 'dynamic' || shares === 0 ? 0 : Math.floor((PORTS_END - reserved) / shares);
    this.share = dynamicShares === undefined && ports < LEAST_SHARE ? 0 : ports;
  }

  /** Find the share of an inside address: how many ports it has, 0 without one; `outside` and `firstPort` say where. */
  locate(inside: number): number {
    if (this.share === 0) return 0;
    const i = indexIn(this.#inside, inside);
    if (i < 0) return 0;
    const by = this.#inTurn ? this.outsideCount : this.perOutside;
    const row = Math.floor(i / by), column = i - row * by;
    this.outside = addressAt(this.#outside, this.#inTurn ? column : row);
    this.firstPort = this.#reserved + (this.#inTurn ? row : column) * this.share;
    return this.share;
  }

  /** The same for people. */
  shareOf(inside: number): PortRun | undefined {
    const count = this.locate(inside);
    return count === 0 ? undefined : { outside: this.outside, firstPort: this.firstPort, count };
  }

  /** Whose port this is; undefined when it is nobody's: no address of the pool, a reserved port, a share without an inside address, a remainder. */
  holderOf(outside: number, port: number): PortHolder | undefined {
    const o = indexIn(this.#outside, outside);
    if (o < 0 || port < this.#reserved || port >= PORTS_END) return undefined;
    const block = this.blockOf(port);
    if (block < this.blocksAt(o)) return { outside, firstPort: this.blockStart(block), count: this.size, block };
    if (port >= this.#firstDynamic(o) || this.share === 0) return undefined;
    const slot = Math.floor((port - this.#reserved) / this.share);
    const i = this.#inTurn ? slot * this.outsideCount + o : o * this.perOutside + slot;
    if (i >= this.insideCount) return undefined;
    return { outside, firstPort: this.#reserved + slot * this.share, count: this.share, inside: addressAt(this.#inside, i) };
  }

  /** Which outside address this is, counted from 0; -1 for none. */
  indexOfOutside(address: number): number {
    return indexIn(this.#outside, address);
  }

  /** The outside address number `index`. */
  outsideAt(index: number): number {
    return addressAt(this.#outside, index);
  }

  /** Blocks of outside address number `index`. */
  blocksAt(index: number): number {
    return Math.floor((PORTS_END - this.#firstDynamic(index)) / this.size);
  }

  /** Blocks of all outside addresses. */
  get blocks(): number {
    const withShares = this.#withShares;
    const some = withShares === 0 ? 0 : withShares * this.blocksAt(0);
    return withShares === this.outsideCount ? some : some + (this.outsideCount - withShares) * this.blocksAt(this.outsideCount - 1);
  }

  /** First port of block number `block`. */
  blockStart(block: number): number {
    return PORTS_END - (block + 1) * this.size;
  }

  /** The block that a port would be in. */
  blockOf(port: number): number {
    return Math.floor((PORTS_END - 1 - port) / this.size);
  }

  /** Whether a run of ports that begins here is all in the part of its address that goes by blocks; it may be a block of another plan. */
  isDynamic(outside: number, firstPort: number): boolean {
    const o = indexIn(this.#outside, outside);
    return o >= 0 && firstPort >= this.#firstDynamic(o);
  }

  /** Outside addresses that have shares: the first ones. */
  get #withShares(): number {
    if (this.share === 0) return 0;
    return this.#inTurn ? Math.min(this.insideCount, this.outsideCount) : Math.ceil(this.insideCount / this.perOutside);
  }

  /** An address with one share leaves room for as many as any, so that one inside address more moves no block. */
  #firstDynamic(index: number): number {
    return index < this.#withShares ? this.#reserved + this.perOutside * this.share : this.#reserved;
  }
}

function countOf(pairs: ArrayLike<number>): number {
  let count = 0;
  for (let i = 1; i < pairs.length; i += 2) count += pairs[i];
  return count;
}

/** The place of an address among these, counted from 0 over all pairs; -1 for none. */
function indexIn(pairs: ArrayLike<number>, address: number): number {
  let before = 0;
  for (let i = 0; i < pairs.length; i += 2) {
    const offset = address - pairs[i];
    if (offset >= 0 && offset < pairs[i + 1]) return before + offset;
    before += pairs[i + 1];
  }
  return -1;
}

function addressAt(pairs: ArrayLike<number>, index: number): number {
  let left = index;
  for (let i = 0; i < pairs.length; i += 2) {
    if (left < pairs[i + 1]) return pairs[i] + left;
    left -= pairs[i + 1];
  }
  return -1;
}
