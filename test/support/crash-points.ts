/**
 * A thread that dies in the middle of what it does: every store it makes to shared 32-bit words, plain or atomic, is counted,
 * and it gets no further than the one before the k-th. Or one that others come between: its reads are counted, and before
 * those that a test names something happens. Product code knows nothing of it; the views that are made
 * while `watch` builds are proxies, and `Atomics` looks behind them.
 */
const targets = new WeakMap<object, Int32Array | Uint32Array>();

export class Crash extends Error {}

/** Stores left until the watched thread dies; counts on below that. */
let left = Infinity;
let stores = 0;

/** Reads that the watched thread has made; and what happens before each, while somebody wants it to. */
let reads = 0;
let meanwhile: ((read: number) => void) | null = null;

function look(): void {
  reads++;
  const others = meanwhile;
  if (others === null) return;
  meanwhile = null; // what others read is not this thread's
  others(reads);
  meanwhile = others;
}

function step(): void {
  stores++;
  if (--left < 0) throw new Crash('died here'); // and makes no store ever after, also not while the exception is handled
}

function watched<T extends Int32Array | Uint32Array>(target: T): T {
  const proxy = new Proxy(target, {
    get: (_, name) => {
      if (name === 'fill') {
        return (value: number, from = 0, to = target.length) => {
          for (let i = from; i < to; i++) {
            step();
            target[i] = value;
          }
        };
      }
      if (meanwhile !== null && typeof name === 'string' && name >= '0' && name < ':') look();
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
    set: (_, name, value) => {
      step();
      return Reflect.set(target, name, value, target);
    },
  });
  targets.set(proxy, target);
  return proxy;
}

type Operation = (array: Int32Array | Uint32Array, ...rest: number[]) => unknown;
const STORES = ['store', 'compareExchange', 'exchange', 'add', 'sub', 'and', 'or', 'xor'] as const;
for (const name of [...STORES, 'load', 'wait', 'notify'] as const) {
  const original = Atomics[name] as unknown as Operation;
  const isStore = (STORES as readonly string[]).includes(name);
  Object.assign(Atomics, {
    [name]: (array: Int32Array | Uint32Array, ...rest: number[]) => {
      const target = targets.get(array);
      if (target !== undefined && isStore) step();
      if (target !== undefined && meanwhile !== null) look();
      return original(target ?? array, ...rest);
    },
  });
}

/** Build something whose views of shared memory are watched. */
export function watch<T>(build: () => T): T {
  const { Int32Array: Signed, Uint32Array: Unsigned } = globalThis;
  const instead = (Real: typeof Int32Array | typeof Uint32Array) => new Proxy(Real, {
    construct: (target, args) => {
      const view = Reflect.construct(target, args) as Int32Array;
      return args[0] instanceof SharedArrayBuffer ? watched(view) : view;
    },
  });
  Object.assign(globalThis, { Int32Array: instead(Signed), Uint32Array: instead(Unsigned) });
  try {
    return build();
  } finally {
    Object.assign(globalThis, { Int32Array: Signed, Uint32Array: Unsigned });
  }
}

/** Run `work` on something watched, which dies before its `k`-th store, 1 and up. Says whether it did, and how many stores it got to. */
export function crashAt(k: number, work: () => void): { crashed: boolean; stores: number } {
  left = k - 1;
  stores = 0;
  try {
    work();
    return { crashed: false, stores };
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
    return { crashed: true, stores };
  } finally {
    left = Infinity;
  }
}

/** Run `work` on something watched; before each of its reads, 1 and up, `others` is told its number. Says how many reads there were. */
export function betweenReads(others: (read: number) => void, work: () => void): number {
  reads = 0;
  meanwhile = others;
  try {
    work();
    return reads;
  } finally {
    meanwhile = null;
  }
}
