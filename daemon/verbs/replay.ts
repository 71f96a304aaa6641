/** `causeway replay`: a capture through the real pipeline, offline. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { CaptureReader, CaptureRecord } from '../../codecs/capture.js';
import type { Config } from '../../config/index.js';
import { Fate, type Context } from '../../pipeline/context.js';
import { datagramWords } from '../../pipeline/explain/datagram-words.js';
import { describe, ownerText, reasonText, verdictText } from '../../pipeline/explain/describe.js';
import { flowText, tenantText } from '../../pipeline/explain/words.js';
import type { Packet } from '../../pipeline/packet.js';
import { Encap } from '../../pipeline/policy.js';
import { Reason } from '../../pipeline/reasons.js';
import { readArgs, readNumber, type Flags } from '../cli/args.js';
import { openSink, type CaptureSink } from '../offline/capture-sink.js';
import { Exit, UsageError, type Io, type Verb } from '../cli/cli.js';
import { fileErrorText, loadConfig } from '../cli/load-config.js';
import { Offline, type Departure } from '../offline/offline.js';
import { countsOf, renderReport, timeText, type Counts, type ReplayReport } from '../offline/replay-report.js';
import { pcapngScribe, pcapScribe, type Scribe } from '../offline/replay-scribe.js';

const HELP = `causeway replay IN -c CONFIG [-w OUT] [--all] [--json] [--seed N]

Send the packets of a capture through the gateway that CONFIG describes, without a network: the same pipeline as
in the daemon, its clock set by the capture. Prints what became of every packet.

  IN              pcap or pcapng, - for standard input. Its packets are GRE-in-UDP, VXLAN or native GRE (IP protocol
                  47), over IPv4 or IPv6, VLAN tags or none; anything else is dropped as not_a_tunnel.
  -c, --config F  the config
  -w, --write F   write what the gateway would send: F.pcap, or F.pcapng with a comment on each packet that says
                  tenant, verdict and what was rewritten. - is standard output, in pcapng; the summary then
                  goes to standard error.
      --all       in pcapng, also the input packets with their verdicts, each before what came of it; a fragment that
                  waits for its first one is written when that comes, or when time is up
      --json      the summary as one object
      --seed N    what randomness (NAT ports) starts from; 1 without it. Same input, config and seed: same bytes.

The gateway answers at the listen addresses of CONFIG, ports 0 standing for 4754 and 4789. Answers to hosts that speak
native GRE are written as GRE-in-UDP. After the last packet timers run on for a minute.

  causeway replay lab.pcap -c gateway.jsonc
  causeway replay lab.pcapng -c gateway.jsonc -w out.pcapng --all && wireshark out.pcapng

Exit code: 0, dropped packets or not; 1 when the capture is damaged or cut off (what comes before is replayed and
written), a file cannot be read or written, or the ledger does not balance; 2 usage; 3 invalid config.
`;

interface Options {
  readonly input: string;
  readonly config: string;
  readonly output: string | undefined;
  readonly all: boolean;
  readonly json: boolean;
  readonly seed: number;
}

export const verb: Verb = {
  summary: 'send the packets of a capture through the pipeline offline',
  help: HELP,
  async main(args, io) {
    const options = parse(args);
    const config = await loadConfig(options.config, io);
    if (typeof config === 'number') return config;
    return replay(options, config, io);
  },
};

const FLAGS = {
  config: { type: 'string', short: 'c' }, write: { type: 'string', short: 'w' },
  all: { type: 'boolean' }, json: { type: 'boolean' }, seed: { type: 'string' },
} as const satisfies Flags;

function parse(args: readonly string[]): Options {
  const { values, words } = readArgs(args, FLAGS, 1);
  if (words.length === 0) throw new UsageError('which capture? give its name');
  if (values.config === undefined) throw new UsageError('which config? give it with -c');
  if (values.config === '-' && words[0] === '-') throw new UsageError('capture and config cannot both come from standard input');
  const { write: output, all = false, json = false } = values;
  if (output !== undefined && output !== '-' && !/\.pcap(ng)?$/i.test(output)) throw new UsageError(`-w ${output}: name it .pcap or .pcapng, which says what to write`);
  if (all && output === undefined) throw new UsageError('--all adds to what -w writes: give -w OUT.pcapng');
  if (all && output !== undefined && isPcap(output)) throw new UsageError('--all needs comments and two interfaces, which only pcapng has: name the output .pcapng');
  return { input: words[0], config: values.config, output, all, json, seed: readNumber('seed', values.seed, 0, 0xffffffff, 1) };
}

/** pcap and not pcapng, which everything else is. */
function isPcap(output: string): boolean {
  return /\.pcap$/i.test(output);
}

/** Whether both names lead to one file. Devices and pipes may be both. */
async function isOneFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map(path => stat(path, { bigint: true }).catch(() => null)));
  return a !== null && b !== null && a.isFile() && a.dev === b.dev && a.ino === b.ino;
}

async function replay(options: Options, config: Config, io: Io): Promise<number> {
  const { output } = options;
  if (output !== undefined && await isOneFile(options.input, output)) throw new UsageError(`-w ${output} is the capture itself: name another file`);
  let sink: CaptureSink | null = null;
  try {
    if (output !== undefined) sink = await openSink(output);
  } catch (error) {
    io.err(`cannot write ${fileErrorText(error, output ?? '')}\n`);
    return Exit.failure;
  }
  const scribe = output === undefined ? null : isPcap(output) ? pcapScribe() : pcapngScribe(options.all);
  const run = new ReplayRun(config, options.seed, scribe);
  try {
    const input = options.input === '-' ? process.stdin : createReadStream(options.input, { highWaterMark: 1 << 18 });
    for await (const chunk of input) {
      run.push(chunk as Buffer);
      if (sink !== null && scribe !== null) await write(sink, scribe);
      if (run.isBroken) break; // nothing behind a fault is read, and a device need not end
    }
    run.end();
    if (sink !== null && scribe !== null) await write(sink, scribe);
    await sink?.commit();
  } catch (error) {
    await sink?.abort().catch(() => {});
    if (error instanceof WriteError) io.err(`cannot write ${fileErrorText(error.cause, output ?? '')}\n`);
    else if ((error as NodeJS.ErrnoException).code !== undefined) io.err(`cannot read ${fileErrorText(error, options.input)}\n`);
    else throw error;
    return Exit.failure;
  }
  return report(run, options, io);
}

class WriteError extends Error {}

async function write(sink: CaptureSink, scribe: Scribe): Promise<void> {
  try {
    await sink.write(scribe.take());
  } catch (error) {
    throw new WriteError('write', { cause: error });
  }
}

function report(run: ReplayRun, options: Options, io: Io): number {
  const name = options.input === '-' ? 'stdin' : options.input;
  const summary = run.report(name);
  const print = options.output === '-' ? (text: string) => io.err(text) : (text: string) => io.out(text);
  print(options.json ? `${JSON.stringify(summary, null, 2)}\n` : renderReport(summary));
  for (const { packet, offset, what } of summary.warnings) io.err(`${name}: packet ${packet}, byte ${offset}: ${what}\n`);
  for (const { packet, offset, reason, what } of summary.faults) {
    io.err(`${name}: packet ${packet}, byte ${offset}: ${reason}: ${what}; the ${packet - 1} before it were replayed\n`);
  }
  for (const { tag, error } of run.offline.errors) io.err(`${name}: packet ${tag}: a fault in causeway, please report it: ${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
  const sound = summary.faults.length === 0 && summary.imbalances.length === 0 && run.offline.errors.length === 0;
  return sound ? Exit.ok : Exit.failure;
}

/** One replay: chunks of a capture in, pieces of output to the scribe. */
class ReplayRun {
  readonly offline: Offline;
  readonly #reader = new CaptureReader();
  readonly #record = new CaptureRecord();
  /** What the packet in hand has sent, until its verdict is known. */
  #departures: Departure[] = [];
  #firstNs = -1n;
  /** Of the record in hand, or of the last one that had a time. */
  #recordNs = 0n;
  #nowNs = -1n;
  /** Inputs that wait for their verdict, by number: as many at most as the gateway has slots. */
  readonly #held = new Map<number, HeldInput>();

  constructor(config: Config, seed: number, scribe: Scribe | null) {
    const observer = scribe === null ? null : {
      settled: (p: Packet, verdict: number, c: Context) => this.#settled(scribe, p, verdict, c),
      expired: (tag: number, tenant: number) => this.#expired(scribe, tag, tenant),
    };
    this.offline = new Offline(config, seed, observer, departure => {
      if (scribe !== null) this.#departures.push(departure);
    });
  }

  /** The capture cannot be read on. */
  get isBroken(): boolean {
    return this.#reader.fault !== null;
  }

  push(chunk: Uint8Array): void {
    this.#reader.push(chunk);
    this.#drain();
  }

  /** The capture is at its end: read the rest, and let timers run on. */
  end(): void {
    this.#reader.end();
    this.#drain();
    this.offline.finish();
  }

  #drain(): void {
    const record = this.#record;
    while (this.#reader.next(record) === 'record') {
      const { timeNs } = record;
      if (timeNs >= 0n) {
        this.#recordNs = timeNs;
        if (this.#firstNs < 0n) this.#firstNs = timeNs;
        if (timeNs > this.#nowNs) this.#nowNs = timeNs;
      }
      this.offline.receive(record);
    }
  }

  /** A packet's fate is known: the one in hand, or one that waited for it. */
  #settled(scribe: Scribe, p: Packet, verdict: number, c: Context): void {
    const departures = this.#departures;
    if (scribe.wantsInputs) this.#keepInput(scribe, p, verdict, c);
    if (departures.length === 0) return;
    this.#departures = [];
    departures.forEach((departure, i) => {
      scribe.output(departure, p.tag, this.#nowNs, scribe.wantsComments ? comment(departure, i, departures.length, p, verdict, c) : '');
    });
  }

  #keepInput(scribe: Scribe, p: Packet, verdict: number, c: Context): void {
    if (verdict === Fate.held) {
      if (!p.resumed) this.#held.set(p.tag, { record: copyOf(this.#record), timeNs: this.#recordNs, flow: flowText(p) });
      return;
    }
    const { record, timeNs } = this.#held.get(p.tag) ?? { record: this.#record, timeNs: this.#recordNs };
    this.#held.delete(p.tag);
    scribe.input(record, timeNs, `${describe(p, verdict, c)}; packet ${p.tag}`);
  }

  /** Its first fragment never came. */
  #expired(scribe: Scribe, tag: number, tenant: number): void {
    const held = this.#held.get(tag);
    if (held === undefined) return;
    this.#held.delete(tag);
    const owner = tenantText(this.offline.gateway.context.policy, tenant);
    scribe.input(held.record, held.timeNs, `tenant ${owner}: dropped, ${reasonText(Reason.fragment_orphan)}; ${held.flow}; packet ${tag}`);
  }

  report(file: string): ReplayReport {
    const { offline } = this;
    const tenants: Record<string, Counts> = {};
    for (const [name, totals] of offline.tenantTotals()) tenants[name] = countsOf(totals);
    const { fault, warnings } = this.#reader;
    return {
      file, ...countsOf(offline.totals()),
      first: this.#firstNs < 0n ? null : timeText(this.#firstNs), last: this.#nowNs < 0n ? null : timeText(this.#nowNs),
      tenants, faults: fault === null ? [] : [fault], warnings, unsendable: offline.unsendable, imbalances: offline.imbalances(),
    };
  }
}

interface HeldInput { readonly record: CaptureRecord; readonly timeNs: bigint; readonly flow: string }

/** The record with bytes of its own: the reader's hold only until its next call. */
function copyOf(record: CaptureRecord): CaptureRecord {
  const mem = record.mem.slice(record.at, record.end);
  return Object.assign(new CaptureRecord(), record, { mem, at: 0, end: mem.length });
}

/** What the frame is, whose, and on account of which packet. */
function comment({ mem, payloadAt, peer }: Departure, i: number, count: number, p: Packet, verdict: number, c: Context): string {
  if (verdict === Fate.forwarded) {
    const piece = count > 1 ? `; piece ${i + 1} of ${count}` : '';
    return `${describe(p, verdict, c)}${piece}; packet ${p.tag} of the input`;
  }
  const { headline } = datagramWords(mem, payloadAt, mem.length, c.policy.peers.encap[peer] === Encap.vxlan);
  const about = verdict > 0 ? `about packet ${p.tag} of the input, ${verdictText(p, verdict, c)}` : `in answer to packet ${p.tag} of the input`;
  return `${ownerText(p, c)}: ${headline} ${about}`;
}
