/** `causeway trace`: one packet, explained stage by stage. */
import { createReadStream } from 'node:fs';
import { CaptureReader, CaptureRecord } from '../../codecs/capture.js';
import { LinkType } from '../../codecs/link.js';
import { TcpFlag } from '../../codecs/tcp.js';
import { parseEndpoint, Refusal, type Config } from '../../config/index.js';
import { readArgs, readNumber, type Flags } from '../cli/args.js';
import { Exit, UsageError, type Io, type Verb } from '../cli/cli.js';
import { craftFlow, type FlowWords } from '../offline/flow-words.js';
import { fileErrorText, loadConfig } from '../cli/load-config.js';
import { renderTrace, type Trace } from '../offline/trace-report.js';
import { Tracer } from '../offline/tracer.js';

const HELP = `causeway trace -c CONFIG --tenant NAME --from IP --to IP --tcp PORT | --udp PORT | --icmp
causeway trace -c CONFIG --hex HEX [--pa PA] [--carrier gre|vxlan]
causeway trace -c CONFIG --capture FILE --packet N

Send one packet through the gateway that CONFIG describes, in memory, and say what each stage of the pipeline decided
and which line of the config made it so; then what leaves, or why nothing does.

A flow, in words:
  --tenant NAME   whose packet
  --from IP       a CA: its host sends the frame, in the host's encapsulation, to the gateway or to a neighbor's MAC.
                  An address of a site: the site sends. Any other: the NAT uplink when --to is in the tenant's pool,
                  else the forwarding uplink.
  --to IP         where to
  --tcp PORT, --udp PORT, --icmp
                  the destination port, or an ICMP echo request
  --sport N       source port, or ICMP id; 50000 without it
  --flags F,F     of TCP: syn, ack, fin, rst, psh; syn without it
  --ttl N         64 without it
  --size N        bytes of IP packet, headers included
  --df            don't fragment
  --host NAME     the host that sends, whatever the records say: a spoof, if they say otherwise
A packet, in bytes:
  --hex HEX       an Ethernet frame with all outer headers; with --pa just the UDP payload
  --pa PA         who sent the payload: 192.0.2.11 or 127.0.0.1:47011
  --carrier C     gre or vxlan; without it, what the sender is configured for
  --capture FILE, --packet N
                  packet N of a capture; those before it are replayed first, so that sessions are as they were
  --seed N        what randomness (NAT ports) starts from; 1 without it
  --json          the same as one object

  causeway trace -c gateway.jsonc --tenant red --from 10.0.0.5 --to 198.51.100.9 --tcp 443
  causeway trace -c gateway.jsonc --tenant red --from 10.0.0.9 --to 10.0.0.6 --icmp --host host-b

Exit code: 0 forwarded, answered or held; 5 dropped; 1 a file cannot be read; 2 usage; 3 invalid config.
`;

const FLAGS = {
  config: { type: 'string', short: 'c' }, json: { type: 'boolean' }, seed: { type: 'string' },
  tenant: { type: 'string' }, from: { type: 'string' }, to: { type: 'string' }, tcp: { type: 'string' }, udp: { type: 'string' }, icmp: { type: 'boolean' },
  sport: { type: 'string' }, flags: { type: 'string' }, ttl: { type: 'string' }, size: { type: 'string' }, df: { type: 'boolean' }, host: { type: 'string' },
  hex: { type: 'string' }, pa: { type: 'string' }, carrier: { type: 'string' },
  capture: { type: 'string' }, packet: { type: 'string' },
} as const satisfies Flags;
type Flag = keyof typeof FLAGS;
type Values = ReturnType<typeof readArgs<typeof FLAGS>>['values'];

/** The three ways to name a packet, and the flags that belong to each; the first of a row makes it that way. */
const WAYS = {
  flow: ['tenant', 'from', 'to', 'tcp', 'udp', 'icmp', 'sport', 'flags', 'ttl', 'size', 'df', 'host'],
  hex: ['hex', 'pa', 'carrier'],
  capture: ['capture', 'packet'],
} as const satisfies Record<string, readonly Flag[]>;

const DEFAULT_SPORT = 50000;
const MAX_IP_LEN = 65535;
/** When a packet without a time of its own is sent in: any time will do, but always the same. */
const TRACE_TIME_MS = 1_700_000_000_000;

export const verb: Verb = {
  summary: 'explain one packet stage by stage, with the config lines that decide',
  help: HELP,
  async main(args, io) {
    const { values } = readArgs(args, FLAGS);
    if (values.config === undefined) throw new UsageError('which config? give it with -c');
    const way = wayOf(values);
    const seed = readNumber('seed', values.seed, 0, 0xffffffff, 1);
    const prepare = { flow: () => readFlow(values), hex: () => readHex(values), capture: () => readCapture(values) }[way]();
    const config = await loadConfig(values.config, io);
    if (typeof config === 'number') return config;
    const trace = await prepare(config, seed, io);
    if (typeof trace === 'number') return trace;
    io.out(values.json === true ? `${JSON.stringify(trace, null, 2)}\n` : renderTrace(trace));
    return trace.verdict === 'dropped' ? Exit.denied : Exit.ok;
  },
};

/** From a config to the trace, or to an exit code where something else went wrong and was said. */
type Prepared = (config: Config, seed: number, io: Io) => Promise<Trace | number> | Trace;

function wayOf(values: Values): keyof typeof WAYS {
  const given = (Object.keys(WAYS) as (keyof typeof WAYS)[]).filter(way => WAYS[way].some(flag => values[flag] !== undefined));
  if (given.length === 0) throw new UsageError('which packet? give --tenant, --from and --to, or --hex, or --capture');
  const [way, other] = given;
  if (other !== undefined) {
    const flag = (name: keyof typeof WAYS): string => `--${WAYS[name].find(f => values[f] !== undefined)}`;
    throw new UsageError(`${flag(way)} and ${flag(other)} name the packet in two ways: give one`);
  }
  return way;
}

function readFlow(values: Values): Prepared {
  const { tenant, from, to, tcp, udp, icmp } = values;
  for (const [flag, value] of [['tenant', tenant], ['from', from], ['to', to]]) if (value === undefined) throw new UsageError(`a flow needs --${flag}`);
  if ([tcp, udp, icmp].filter(given => given !== undefined).length !== 1) throw new UsageError('a flow needs one of --tcp PORT, --udp PORT and --icmp');
  if (values.flags !== undefined && tcp === undefined) throw new UsageError('--flags are TCP\'s: give --tcp PORT');
  const words: FlowWords = {
    tenant: tenant ?? '', from: from ?? '', to: to ?? '', host: values.host ?? '',
    protocol: tcp !== undefined ? 'tcp' : udp !== undefined ? 'udp' : 'icmp',
    port: readNumber('tcp', tcp, 1, 65535, readNumber('udp', udp, 1, 65535, 0)),
    sport: readNumber('sport', values.sport, 0, 65535, DEFAULT_SPORT),
    ttl: readNumber('ttl', values.ttl, 0, 255, 64),
    size: readNumber('size', values.size, 1, MAX_IP_LEN, 0),
    dontFragment: values.df ?? false,
    flags: tcpFlagsOf(values.flags ?? 'syn'),
  };
  return (config, seed) => {
    const crafted = craftFlow(words, config);
    const tracer = new Tracer(config, seed, TRACE_TIME_MS);
    return tracer.datagram(crafted.bytes, tracer.senderNamed(crafted.kind, crafted.sender, words.tenant), crafted.isVxlan, crafted.text);
  };
}

function tcpFlagsOf(text: string): number {
  let flags = 0;
  for (const name of text.toLowerCase().split(/[,+]/).filter(word => word !== '' && word !== 'none')) {
    if (!Object.hasOwn(TcpFlag, name)) throw new UsageError(`--flags ${text}: ${name} is none of ${Object.keys(TcpFlag).join(', ')}`);
    flags |= TcpFlag[name as keyof typeof TcpFlag];
  }
  return flags;
}

function readHex(values: Values): Prepared {
  const { hex, pa, carrier } = values;
  if (hex === undefined) throw new UsageError('--pa and --carrier go with --hex');
  const digits = hex.replace(/^0x|[\s:]/g, '');
  if (!/^([0-9a-f]{2})+$/i.test(digits)) throw new UsageError('--hex: write an even number of hex digits; blanks and colons do not count');
  if (carrier !== undefined && carrier !== 'gre' && carrier !== 'vxlan') throw new UsageError(`--carrier ${carrier}: gre or vxlan`);
  if (carrier !== undefined && pa === undefined) throw new UsageError('--carrier goes with --pa; a whole frame says by its port what it carries');
  const bytes = new Uint8Array(Buffer.from(digits, 'hex'));
  const from = pa === undefined ? undefined : parseEndpoint(pa);
  if (from instanceof Refusal) throw new UsageError(`--pa ${pa}: ${from.message}; ${from.advice}`);
  return (config, seed) => {
    const tracer = new Tracer(config, seed, TRACE_TIME_MS);
    if (from === undefined) return tracer.frame(bytes, LinkType.ethernet, `frame of ${bytes.length} bytes`);
    const sender = tracer.senderAt(from.address.words, from.port);
    const isVxlan = carrier === undefined ? tracer.speaksVxlan(sender) : carrier === 'vxlan';
    return tracer.datagram(bytes, sender, isVxlan, `UDP payload of ${bytes.length} bytes from ${from.text}`);
  };
}

function readCapture(values: Values): Prepared {
  const { capture, packet } = values;
  if (capture === undefined) throw new UsageError('--packet goes with --capture FILE');
  const wanted = readNumber('packet', packet, 1, Number.MAX_SAFE_INTEGER, 0);
  if (wanted === 0) throw new UsageError('which packet of the capture? give --packet N');
  return async (config, seed, io) => {
    const tracer = new Tracer(config, seed, 0);
    const reader = new CaptureReader();
    const record = new CaptureRecord();
    try {
      for await (const chunk of createReadStream(capture)) {
        reader.push(chunk as Buffer);
        while (reader.next(record) === 'record') {
          if (record.number === wanted) return tracer.record(record, `packet ${wanted} of ${capture}`);
          tracer.pass(record);
        }
        if (reader.fault !== null) break; // nothing behind a fault is read, and a device need not end
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      io.err(`cannot read ${fileErrorText(error, capture)}\n`);
      return Exit.failure;
    }
    reader.end();
    reader.next(record);
    const why = reader.fault === null ? '' : `; it cannot be read on from there: ${reader.fault.what}`;
    io.err(`${capture} has no packet ${wanted}: ${tracer.passed} could be read${why}\n`);
    return Exit.failure;
  };
}
