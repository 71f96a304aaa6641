/** What every live bench needs: a generator, baselines, sinks, and trials between them. */
import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { parseDrops } from '../../daemon/control/kernel-drops.js';
import { makeEarCells } from './ear.js';
import type { Run, ToGenerator } from './generator.js';
import type { LoopData } from './loop.js';
import { Player } from './roles.js';
import { KERNEL_COUNTS } from './sink.js';
import type { Trial } from './search.js';

const LOOK_MS = 4;
/** Nothing came for so long, though a processor may have been lent to somebody else: nothing will. */
const QUIET_MS = 150;
const PRIMING_PPS = 20_000;
const PRIMING_MS = 100;
const PRIMINGS = 8;

export function after(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

/** Reads what came out; the caller decides when it is all. */
export interface Counted { count(): number }

/** How much has come out when that is `expected`, or when nothing more comes. */
export async function settled(counted: Counted, expected = Infinity): Promise<number> {
  let last = counted.count();
  for (let since = performance.now(); last < expected && performance.now() - since < QUIET_MS;) {
    await after(LOOK_MS);
    const now = counted.count();
    if (now !== last) since = performance.now();
    last = now;
  }
  return last;
}

export class Generator {
  readonly ports: readonly number[];
  readonly #player: Player;

  private constructor(player: Player, ports: readonly number[]) {
    this.#player = player;
    this.ports = ports;
  }

  static async open(): Promise<Generator> {
    const player = new Player('generator', {});
    return new Generator(player, await player.hear<number[]>());
  }

  /** Send to `ports` from now on; the gateway must see `hosts`, of which there is one set. */
  async aim(ports: readonly number[], from: 'hosts' | 'anywhere'): Promise<void> {
    await this.#ask({ type: 'aim', ports, asHosts: from === 'hosts' });
  }

  /** Send for `ms` milliseconds, at `pps` packets per second or as fast as it goes. */
  run(pps: number, ms: number, stamped = false): Promise<Run> {
    return this.#ask({ type: 'run', pps, ms, stamped });
  }

  /** One packet of each of `flows` flows. */
  open(pps: number, flows: number): Promise<Run> {
    return this.#ask({ type: 'open', pps, flows });
  }

  close(): Promise<void> {
    return this.#player.close();
  }

  #ask<T>(message: ToGenerator): Promise<T> {
    return this.#player.ask<T>(message);
  }
}

/** Counts what is sent to `port`. */
export class Sink implements Counted {
  readonly port: number;
  readonly #player: Player;
  readonly #received: Float64Array;
  readonly #name: string;

  private constructor(player: Player, port: number, received: Float64Array) {
    this.#player = player;
    this.port = port;
    this.#received = received;
    this.#name = `${endianness() === 'LE' ? '0100007F' : '7F000001'}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  }

  static async open(): Promise<Sink> {
    const received = new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT);
    const player = new Player('sink', received);
    return new Sink(player, await player.hear<number>(), new Float64Array(received));
  }

  /** All so far; where the kernel counts, all since its buffer was full. */
  count(): number {
    return KERNEL_COUNTS ? parseDrops(readFileSync('/proc/net/udp', 'latin1')).get(this.#name) ?? 0 : this.#received[0];
  }

  close(): Promise<void> {
    return this.#player.close();
  }
}

/** A sink that knows how long each packet was on its way. */
export class Ear implements Counted {
  readonly port: number;
  readonly #player: Player;
  readonly #cells: Float64Array;

  private constructor(player: Player, port: number, cells: Float64Array) {
    this.#player = player;
    this.port = port;
    this.#cells = cells;
  }

  /** With room for `packets` packets between two times of `forget`. */
  static async open(packets: number): Promise<Ear> {
    const cells = makeEarCells(packets);
    const player = new Player('ear', { cells });
    return new Ear(player, await player.hear<number>(), new Float64Array(cells));
  }

  async forget(): Promise<void> {
    await this.#player.ask<string>('forget');
  }

  count(): number {
    return this.#cells[0];
  }

  /** Microseconds of what came, ascending. */
  latencies(): Float64Array {
    return this.#cells.slice(1).filter(us => us > 0).sort();
  }

  close(): Promise<void> {
    return this.#player.close();
  }
}

/** Bare loops, as many as asked for. */
export class Loops {
  readonly ports: readonly number[];
  readonly #players: readonly Player[];
  readonly #counts: readonly SharedArrayBuffer[];

  private constructor(players: readonly Player[], ports: readonly number[], counts: readonly SharedArrayBuffer[]) {
    this.#players = players;
    this.ports = ports;
    this.#counts = counts;
  }

  /** They send on to `sendTo`, or with 0 only receive. One port for all where sockets can share one, otherwise one each. */
  static async open(count: number, sendTo: number): Promise<Loops> {
    const shares = count > 1 && canSharePorts();
    const players: Player[] = [];
    const ports = new Set<number>();
    const counts: SharedArrayBuffer[] = [];
    for (let i = 0; i < count; i++) {
      counts.push(new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT));
      const player = new Player('loop', { port: shares ? [...ports][0] ?? 0 : 0, shares, sendTo, count: counts[i] } satisfies LoopData);
      players.push(player);
      ports.add(await player.hear<number>());
    }
    return new Loops(players, [...ports], counts);
  }

  /** What loops that only receive have received. */
  count(): number {
    return this.#counts.reduce((sum, memory) => sum + new Float64Array(memory)[0], 0);
  }

  async close(): Promise<void> {
    await Promise.all(this.#players.map(player => player.close()));
  }
}

/** Whether several sockets can listen on one port, each with its share: Linux, and Node from 22.12 on. */
export function canSharePorts(): boolean {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return process.platform === 'linux' && (major > 22 || (major === 22 && minor >= 12));
}

/** Between the generator and what counts lies the subject, on `ports`. */
export interface Path { readonly generator: Generator; readonly from: 'hosts' | 'anywhere'; readonly ports: readonly number[]; readonly out: Counted }

/** Aim at the subject and see that it lets packets through: as many come out as go in, once the machine lets them. */
export async function prime({ generator, from, ports, out }: Path): Promise<void> {
  await generator.aim(ports, from);
  await generator.run(PRIMING_PPS, PRIMING_MS); // fills the sink, opens sessions, shows the code to the compiler
  const found: string[] = [];
  for (let i = 0; i < PRIMINGS; i++) {
    const before = await settled(out);
    const { sent } = await generator.run(PRIMING_PPS, PRIMING_MS);
    const came = await settled(out, before + sent) - before;
    if (came === sent) return;
    found.push(`${came} of ${sent}`);
  }
  throw new Error(`not all packets come through at ${PRIMING_PPS} a second: ${found.join(', ')}`);
}

/** One trial: offer `pps` for `ms`, wait until all is out. */
export async function trial({ generator, out }: Path, pps: number, ms: number): Promise<Trial> {
  const before = out.count();
  const run = await generator.run(pps, ms);
  const came = await settled(out, before + run.sent) - before;
  return { pps: run.sent / run.ms * 1000, loss: Math.max(0, 1 - came / run.sent) };
}

/** Packets per second that come out while `offered` go in, or as many as the generator can send. */
export async function flooded({ generator, out }: Path, ms: number, offered = Infinity): Promise<number> {
  const run = generator.run(offered, ms);
  await after(ms * 0.2); // until buffers are full
  const began = performance.now();
  const before = out.count();
  await after(ms * 0.7);
  const pps = (out.count() - before) / (performance.now() - began) * 1000;
  await run;
  await settled(out);
  return pps;
}
