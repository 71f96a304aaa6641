/** A daemon to test: the built one as a process of its own, its peers as sockets here, everything on loopback and free ports. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { getJson } from '../../daemon/cli/admin-client.js';
import type { StatusAnswer } from '../../daemon/control/admin.js';
import { ethernet, nvgre } from '../support/frames.js';

const PATIENCE_MS = 10_000;

/** The build under test: dist/, or another folder that CAUSEWAY_DIST names. */
export function built(file: 'causeway.js' | 'worker.js' | 'dispatcher.js' | 'loader.js'): URL {
  const url = new URL(`${process.env.CAUSEWAY_DIST ?? '../../dist'}/${file}`, import.meta.url);
  if (!existsSync(url)) throw new Error(`${fileURLToPath(url)} is not there: run npm run build first`);
  return url;
}

export interface Line { readonly level: string; readonly msg: string; readonly [field: string]: unknown }
export interface Result { readonly code: number | null; readonly out: string; readonly err: string }

/** Run the command line to its end. */
export async function causeway(args: readonly string[], input = ''): Promise<Result> {
  const child = spawn(process.execPath, [fileURLToPath(built('causeway.js')), ...args]);
  let out = '', err = '';
  child.stdout.on('data', (data: Buffer) => { out += data.toString(); });
  child.stderr.on('data', (data: Buffer) => { err += data.toString(); });
  child.stdin.on('error', () => {}); // it may end without having read
  child.stdin.end(input);
  const [code] = await once(child, 'close') as [number | null];
  return { code, out, err };
}

/** Wait for `look` to find something, for as long as patience lasts. */
export async function until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
    await new Promise(resolve => setImmediate(resolve));
  }
}

export class Daemon {
  readonly lines: Line[] = [];
  readonly child: ChildProcess;
  readonly #config: ConfigFolder;
  readonly #waiting = new Set<() => void>();
  #err = '';

  private constructor(config: ConfigFolder) {
    this.#config = config;
    this.child = spawn(process.execPath, [fileURLToPath(built('causeway.js')), 'run', '-c', config.file], { stdio: ['ignore', 'pipe', 'pipe'] });
    createInterface(this.child.stdout!).on('line', line => {
      this.lines.push(JSON.parse(line) as Line);
      for (const wake of this.#waiting) wake();
    });
    this.child.stderr!.on('data', (data: Buffer) => { this.#err += data.toString(); });
  }

  /** Start one and wait until it is ready. */
  static async start(config: ConfigFolder): Promise<Daemon> {
    const daemon = new Daemon(config);
    await daemon.line('ready');
    return daemon;
  }

  /** The next line with this message that has not been asked for. */
  async line(msg: string, after = 0): Promise<Line> {
    const deadline = AbortSignal.timeout(PATIENCE_MS);
    for (;;) {
      const found = this.lines.slice(after).find(line => line.msg === msg);
      if (found !== undefined) return found;
      if (deadline.aborted || this.child.exitCode !== null) throw new Error(`no line "${msg}"; it ended with ${this.child.exitCode}\n${JSON.stringify(this.lines, null, 1)}\n${this.#err}`);
      await new Promise<void>(resolve => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          deadline.removeEventListener('abort', wake);
          this.child.off('close', wake);
          resolve();
        };
        this.#waiting.add(wake);
        deadline.addEventListener('abort', wake);
        this.child.once('close', wake);
      });
    }
  }

  /** Port of a receive socket. */
  port(carrier: 'gre' | 'vxlan', address = '127.0.0.1'): number {
    const { sockets } = this.lines.find(line => line.msg === 'ready') as unknown as { sockets: { carrier: string; address: string; port: number }[] };
    return sockets.find(socket => socket.carrier === carrier && socket.address === address)?.port ?? 0;
  }

  ask<T>(path: string): Promise<T> {
    return getJson<T>(this.#config.socket, path);
  }

  fetch(path: string, options: RequestInit = {}): Promise<Response> {
    const { metrics } = this.lines.find(line => line.msg === 'ready') as unknown as { metrics: { address: string; port: number } };
    return fetch(`http://${metrics.address}:${metrics.port}${path}`, options);
  }

  /** Every series of /metrics by its name and labels. */
  async metrics(): Promise<Map<string, number>> {
    const text = await (await this.fetch('/metrics')).text();
    return new Map(text.split('\n').filter(line => line !== '' && !line.startsWith('#')).map(line => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }));
  }

  /** When `n` datagrams in all have met their fate, or are fragments on hold. */
  received(n: number): Promise<StatusAnswer> {
    return until(`${n} datagrams counted`, async () => {
      const status = await this.ask<StatusAnswer>('/v1/status');
      return status.packets.in - status.receive.waiting >= n ? status : undefined;
    });
  }

  /** Send a signal and wait for the end; the exit code. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const ended = once(this.child, 'close') as Promise<[number | null]>;
    this.child.kill(signal);
    return (await ended)[0];
  }
}

/** A UDP endpoint of the underlay. */
export class Peer {
  readonly port: number;
  readonly #socket: Socket;
  readonly #got: Buffer[] = [];
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.port = (socket.address() as AddressInfo).port;
    socket.on('message', datagram => {
      this.#got.push(datagram);
      this.#wake();
    });
  }

  static async open(address = '127.0.0.1'): Promise<Peer> {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.bind(0, address);
    await once(socket, 'listening');
    return new Peer(socket);
  }

  send(datagram: Uint8Array, port: number, address = '127.0.0.1'): void {
    this.#socket.send(datagram, port, address);
  }

  /** The next datagram that came. */
  async take(): Promise<Buffer> {
    const deadline = Date.now() + PATIENCE_MS;
    while (this.#got.length === 0) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no datagram within ${PATIENCE_MS} ms`);
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>(resolve => {
        this.#wake = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
    return this.#got.shift()!;
  }

  get waiting(): number { return this.#got.length; }

  close(): void {
    this.#socket.close();
  }
}

export interface Peers { readonly hostA: Peer; readonly hostB: Peer; readonly inet: Peer }

export async function openPeers(): Promise<Peers> {
  return { hostA: await Peer.open(), hostB: await Peer.open(), inet: await Peer.open() };
}

/** A config that names them, with free ports for all else. Red's 10.0.0.5 is on host-a, 10.0.0.6 on host-b; 10.0.0.9 is where no send can go. */
export function labConfig({ hostA, hostB, inet }: Peers) {
  return {
    gateway: {
      name: 'under-test', listen: ['127.0.0.1'] as string[], workers: 'auto' as number | 'auto', grePort: 0, vxlanPort: 0, metrics: '127.0.0.1:0', logLevel: 'debug',
      admin: {} as { socket?: string }, limits: { tenants: 8, sessions: 1024, bindings: 1024, fragments: 16, heldFragments: 16 }, receiveBuffer: 262144, sendBuffer: 262144,
    },
    hosts: [
      { name: 'host-a', pa: `127.0.0.1:${hostA.port}`, encap: 'nvgre' },
      { name: 'host-b', pa: `127.0.0.1:${hostB.port}`, encap: 'vxlan' },
      { name: 'unreachable', pa: '127.255.255.255:9', encap: 'nvgre' },
    ],
    uplinks: [{ name: 'inet', pa: `127.0.0.1:${inet.port}` }],
    tenants: [{
      name: 'red', rdid: '6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01',
      subnets: [{ vsid: 5001, prefix: '10.0.0.0/24' }],
      records: [
        { ca: '10.0.0.5', mac: MAC_A, host: 'host-a' }, { ca: '10.0.0.6', mac: MAC_B, host: 'host-b' }, { ca: '10.0.0.9', mac: '00:15:5d:00:01:09', host: 'unreachable' },
      ],
      routes: [{ prefix: '0.0.0.0/0', via: 'nat' }],
      nat: { uplink: 'inet', pool: ['203.0.113.10'] },
    }],
  };
}
export type LabConfig = ReturnType<typeof labConfig>;

export const MAC_A = '00:15:5d:00:01:05', MAC_B = '00:15:5d:00:01:06', GATEWAY_MAC = '02:00:00:00:00:01';

/** A packet of Red's 10.0.0.5 as host-a puts it on the wire. */
export function fromA(packet: Uint8Array): Uint8Array {
  return nvgre(5001, ethernet(GATEWAY_MAC, MAC_A, packet));
}

/** A folder of its own for a config and an admin socket. */
export class ConfigFolder {
  readonly folder = mkdtempSync(join(tmpdir(), 'causeway-test-'));
  readonly file = join(this.folder, 'gateway.jsonc');
  readonly socket = join(this.folder, 'admin.sock');

  constructor(config: LabConfig) {
    this.write(config);
  }

  write(config: LabConfig | string): void {
    if (typeof config !== 'string') config.gateway.admin.socket = this.socket;
    writeFileSync(this.file, typeof config === 'string' ? config : JSON.stringify(config, null, 2));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
