/** Rows collected one by one, laid out as columns that threads can share: one word a cell, or four for an address. */
import { sharedFrom } from './memory.js';

export class ColumnsBuilder<Cell extends string, Address extends string> {
  readonly #cells: Record<Cell, number[]>;
  readonly #addresses: Record<Address, number[]>;
  #count = 0;

  constructor(cells: readonly Cell[], addresses: readonly Address[]) {
    this.#cells = Object.fromEntries(cells.map(name => [name, []])) as unknown as Record<Cell, number[]>;
    this.#addresses = Object.fromEntries(addresses.map(name => [name, []])) as unknown as Record<Address, number[]>;
  }

  get count(): number {
    return this.#count;
  }

  /** Returns the row's number. */
  add(cells: Record<Cell, number>, addresses: Record<Address, readonly [number, number, number, number]>): number {
    for (const name in this.#cells) this.#cells[name].push(cells[name]);
    for (const name in this.#addresses) this.#addresses[name].push(...addresses[name]);
    return this.#count++;
  }

  set(cell: Cell, row: number, value: number): void {
    this.#cells[cell][row] = value;
  }

  build(): Record<Cell | Address, Uint32Array> {
    const columns = {} as Record<Cell | Address, Uint32Array>;
    for (const name in this.#cells) columns[name] = sharedFrom(this.#cells[name]);
    for (const name in this.#addresses) columns[name] = sharedFrom(this.#addresses[name]);
    return columns;
  }
}
