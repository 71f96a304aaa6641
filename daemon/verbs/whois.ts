/** `causeway whois`: which tenant and inside address had an external port, now or then. */
import { resolve as absolute } from 'node:path';
import { Refusal, type Config } from '../../config/index.js';
import { getJson, Unreachable } from '../cli/admin-client.js';
import { readArgs } from '../cli/args.js';
import { Exit, UsageError, type Io, type Verb } from '../cli/cli.js';
import { fileErrorText, loadConfig } from '../cli/load-config.js';
import type { StatusAnswer, WhoisAnswer } from '../control/admin.js';
import { defaultSockets, findSocket } from '../control/admin-socket.js';
import { parseOutside, parseProtos, spanText, type Answer, type Evidence, type Question, type Verdict } from '../nat-log/answers.js';
import { askLog } from '../nat-log/files.js';
import { ipv4Text } from '../nat-log/kinds.js';
import { verdictNow } from '../nat-log/now.js';
import { plansOf } from '../nat-log/plans.js';
import { parseMoment } from '../nat-log/when.js';
import { compileConfig, TenantIds } from '../tables.js';

const FLAGS = {
  at: { type: 'string' }, proto: { type: 'string' }, config: { type: 'string', short: 'c' }, log: { type: 'string' }, socket: { type: 'string' }, json: { type: 'boolean' },
} as const;

export const verb: Verb = {
  summary: 'which tenant and inside address had an external port, now or then',
  help: `Usage: causeway whois IP:PORT [--at TIME] [--proto tcp|udp|icmp] [-c CONFIG | --log FOLDER | --socket PATH] [--json]

Says who had an external address and port of NAT: tenant, inside address, since when, until when, and by which evidence: a
static mapping, a share of the ports that follows from the config by arithmetic (RFC 7422), or a block of ports that the
NAT log has seen given out (RFC 6888 REQ-12). For ICMP the port is the query's id. Destinations are not recorded, so a
complaint must name the source port and the time (RFC 6302).

  --at TIME      when: 2026-11-23T00:41:07Z, 2026-11-23T01:41:07.250+01:00, or unix seconds. A time without a zone is
                 refused. Without fractions the whole second is meant, without seconds the whole minute. Without --at: now
  --proto NAME   tcp, udp or icmp; without it, all three
  -c CONFIG      the config of the daemon, whose gateway.natLog says where the log is
  --log FOLDER   the log itself, also a copy of it (daemon/NAT-LOG.md); no config and no daemon is needed
  --socket PATH  the daemon's admin socket; it says where its log is. This is the default, where causeway show looks
  --json         one object: { question, verdict: "held" | "nobody" | "unknown", ambiguous, answers, notes }

Where no log is kept, -c CONFIG and --socket answer for now alone: shares and mappings from the config, blocks from the
running daemon. Several answers mean that the time, or the protocol, leaves more than one. A time that the log does not
cover (before it begins, while no daemon ran, where lines were lost) is not guessed at: it says why it cannot know.

Exit codes: 0 somebody had it, 1 the log cannot be read, 2 usage, 3 config invalid, 4 no daemon answers, 5 nobody had it or
it cannot be known.

Examples:
  causeway whois 203.0.113.10:40123
  causeway whois 203.0.113.10:40123 --at 2026-11-23T00:41:07Z --proto tcp -c /etc/causeway/gateway.jsonc
  causeway whois 203.0.113.10:40123 --at 1795394467 --log /var/log/causeway/nat --json
`,
  main,
};

async function main(args: readonly string[], io: Io): Promise<number> {
  const { values, words } = readArgs(args, FLAGS, 1);
  if (words[0] === undefined) throw new UsageError('whois needs IP:PORT, for instance 203.0.113.10:40123');
  const outside = parseOutside(words[0]), protos = parseProtos(values.proto);
  if (outside instanceof Refusal) throw new UsageError(`${words[0]}: ${outside.message}; ${outside.advice}`);
  if (protos instanceof Refusal) throw new UsageError(`--proto ${values.proto}: ${protos.message}; ${protos.advice}`);
  const now = Date.now();
  const moment = values.at === undefined ? { from: now, to: now } : parseMoment(values.at);
  if (moment instanceof Refusal) throw new UsageError(`--at ${values.at}: ${moment.message}; ${moment.advice}`);
  if ([values.config, values.log, values.socket].filter(each => each !== undefined).length > 1) throw new UsageError('-c, --log and --socket all say whom to ask; give one');

  // Of a second that is not over, what has been of it.
  const question: Question = { ...outside, protos, from: moment.from, to: Math.min(moment.to, Math.max(now, moment.from)) };
  const isPast = values.at !== undefined;
  try {
    const verdict = await ask(question, isPast, now, values, io);
    if (typeof verdict === 'number') return verdict;
    io.out(values.json ? renderJson(question, verdict) : renderText(question, verdict));
    return verdict.verdict === 'held' ? Exit.ok : Exit.denied;
  } catch (error) {
    if (error instanceof Unreachable) {
      io.err(`causeway: ${error.message}\n`);
      return Exit.unreachable;
    }
    throw error;
  }
}

interface Where { readonly config?: string; readonly log?: string; readonly socket?: string }

/** The verdict, or an exit code after it was said why there is none. */
async function ask(question: Question, isPast: boolean, now: number, { config: path, log, socket: given }: Where, io: Io): Promise<Verdict | number> {
  if (log !== undefined) return askFolder(log, question, now, io);
  let config: Config | undefined;
  if (path !== undefined) {
    const loaded = await loadConfig(path, io);
    if (typeof loaded === 'number') return loaded;
    config = loaded;
    if (config.gateway.natLog.path !== null) return askFolder(config.gateway.natLog.path, question, now, io);
    if (isPast) return without(`${path} keeps no NAT log (gateway.natLog)`);
  }
  const socket = given ?? (config === undefined ? findSocket() : config.gateway.admin.socket ?? findSocket());
  if (socket === undefined && config === undefined) throw new Unreachable(`no daemon: no socket at ${defaultSockets().join(', ')}; -c, --log or --socket says where else`);
  if (socket !== undefined) {
    try {
      return await askDaemon(socket, question, isPast, now, io);
    } catch (error) {
      if (config === undefined || !(error instanceof Unreachable)) throw error;
    }
  }
  return config === undefined ? Exit.unreachable : askConfig(config, path ?? '', question);
}

function without(why: string): Verdict {
  return { verdict: 'unknown', answers: [], notes: [`${why}, so nobody can say who had what in the past`] };
}

async function askFolder(folder: string, question: Question, now: number, io: Io): Promise<Verdict | number> {
  try {
    return await askLog(folder, question, now);
  } catch (error) {
    io.err(`causeway: ${fileErrorText(error, folder)}\n`);
    return Exit.failure;
  }
}

async function askDaemon(socket: string, question: Question, isPast: boolean, now: number, io: Io): Promise<Verdict | number> {
  const { natLog, config } = await getJson<StatusAnswer>(socket, '/v1/status');
  if (natLog !== null) return askFolder(natLog.path, question, now, io);
  if (isPast) return without(`the daemon of ${config.file} keeps no NAT log (gateway.natLog)`);
  const query = new URLSearchParams({ outside: `${ipv4Text(question.address)}:${question.port}`, ...(question.protos.length === 1 ? { proto: question.protos[0] } : {}) });
  return getJson<WhoisAnswer>(socket, `/v1/whois?${query.toString()}`);
}

/** By arithmetic alone, as if the config were in force. */
function askConfig(config: Config, path: string, question: Question): Verdict {
  const ids = new TenantIds(config.gateway.limits.tenants);
  const policy = compileConfig(config, ids, 1, 0);
  const verdict = verdictNow({ plans: plansOf(policy, ids.known()), generation: null, config: absolute(path), blockAt: null }, question);
  return { ...verdict, notes: [...verdict.notes, 'no daemon was asked: this is by the config alone, as if it were in force'] };
}

/** More than one inside address may be meant. */
function isAmbiguous({ answers }: Verdict): boolean {
  return new Set(answers.map(({ rdid, inside }) => `${rdid} ${inside}`)).size > 1;
}

function renderJson({ address, port, protos, from, to }: Question, verdict: Verdict): string {
  const question = { outside: `${ipv4Text(address)}:${port}`, protos, from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  return `${JSON.stringify({ question, verdict: verdict.verdict, ambiguous: isAmbiguous(verdict), answers: verdict.answers, notes: verdict.notes }, null, 2)}\n`;
}

function renderText({ address, port, from, to }: Question, verdict: Verdict): string {
  const { answers, notes } = verdict;
  const said = { held: '', nobody: ': nobody', unknown: ': cannot know' }[verdict.verdict];
  const head = `${ipv4Text(address)}:${port} at ${spanText(from, to)}${said}\n`;
  const many = isAmbiguous(verdict) ? `${answers.length} answers: the question leaves more than one\n` : '';
  return head + many + answers.map(renderAnswer).join('\n') + notes.map(note => `  note      ${note}\n`).join('');
}

function renderAnswer({ tenant, rdid, protos, inside, insidePort, since, until, sureUntil, certain, evidence }: Answer): string {
  const lines = [
    ['tenant', `${tenant}, rdid ${rdid}`],
    ['inside', `${insidePort === null ? inside : `${inside}:${insidePort}`}${certain ? '' : ', perhaps'}`],
    ['protocol', protos.join(', ')],
    ...(since === null ? [] : [['since', since]]),
    ...(until === null && sureUntil === null && since === null ? [] : [['until', untilText(until, sureUntil)]]),
    ['evidence', evidenceText(evidence)],
    ...(evidence.config === null || evidence.line === null ? [] : [['config', `${evidence.config}:${evidence.line}${evidence.generation === null ? '' : `, generation ${evidence.generation}`}`]]),
  ];
  return lines.map(([title, text]) => `  ${title.padEnd(8)}  ${text}\n`).join('');
}

function untilText(until: string | null, sureUntil: string | null): string {
  if (sureUntil === null) return until ?? 'still';
  return until === null ? `not known; for certain ${sureUntil}` : `some time between ${sureUntil} and ${until}`;
}

function evidenceText({ kind, firstPort, count, source }: Evidence): string {
  const ports = count === 1 ? `port ${firstPort}` : `ports ${firstPort} to ${firstPort + count - 1}`;
  const what = { mapping: `static mapping of ${ports}`, share: `its share by arithmetic, ${ports}`, block: `its block, ${ports}` }[kind];
  return source === null ? what : `${what}; ${source}`;
}
