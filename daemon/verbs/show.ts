/** `causeway show`: what a running daemon holds and has counted, asked over its admin socket. */
import { nearest } from '../../config/problems.js';
import type { ConnectionsAnswer, DropsAnswer, QueuesAnswer, RevokedAnswer, RulesAnswer, SessionsAnswer, TenantsAnswer } from '../control/admin.js';
import { getJson, Unreachable } from '../cli/admin-client.js';
import { defaultSockets, findSocket } from '../control/admin-socket.js';
import { readArgs, readNumber, type Values } from '../cli/args.js';
import { Exit, UsageError, type Io, type Verb } from '../cli/cli.js';
import { readConfigFile, renderProblems } from '../cli/config-file.js';
import { renderConnections, renderRevoked } from '../cli/flows.js';
import { renderQueues } from '../cli/queues.js';
import type { RuleStatus } from '../control/rules.js';
import type { SessionRow } from '../control/sessions.js';
import type { DropStatus, TenantStatus } from '../control/status.js';
import { renderBytes, renderSeconds, renderTable } from '../cli/table.js';

const FLAGS = {
  socket: { type: 'string' }, config: { type: 'string', short: 'c' }, json: { type: 'boolean' },
  tenant: { type: 'string' }, ca: { type: 'string' }, port: { type: 'string' }, limit: { type: 'string' },
} as const;
type Flag = keyof typeof FLAGS;

interface Noun {
  /** Flags that narrow it, beside those that say whom to ask. */
  readonly filters: readonly Flag[];
  render(answer: unknown, width: number): string;
}

const NOUNS: Readonly<Record<string, Noun>> = {
  tenants: { filters: ['tenant'], render: renderTenants },
  sessions: { filters: ['tenant', 'ca', 'port', 'limit'], render: renderSessions },
  connections: { filters: ['tenant', 'ca', 'port', 'limit'], render: (answer, width) => renderConnections(answer as ConnectionsAnswer, width) },
  revoked: { filters: ['tenant'], render: (answer, width) => renderRevoked(answer as RevokedAnswer, width) },
  drops: { filters: ['tenant'], render: renderDrops },
  rules: { filters: ['tenant'], render: renderRules },
  queues: { filters: [], render: (answer, width) => renderQueues(answer as QueuesAnswer, width) },
};
const FILTERS = ['tenant', 'ca', 'port', 'limit'] as const;

export const verb: Verb = {
  summary: 'tenants, flows, drops, rules and queues of a running daemon',
  help: `Usage: causeway show NOUN [filters] [--json] [-c CONFIG | --socket PATH]

Asks a running daemon over its admin socket. Nothing is changed, and no packet waits for the answer.

  tenants     packets of each tenant by fate (in = forwarded + dropped + consumed + held), datagrams out, bytes,
              sessions; "-" are packets that no tenant can be charged with
  sessions    NAT sessions: inside (CA), outside (pool), remote, TCP state, how long still and how long already
  connections what stateful rules remember, one for each VM's side of a flow: its end, the other's, who opened it, its
              state, how long still and how long already, and the rule that lets it pass
  revoked     live flows that reloads have ended because the new config forbids them, with the reason and the rule;
              the latest first, the last 1,000
  drops       packets dropped, by tenant and reason, with the reason's meaning; most first
  rules       access rules in the order in which they are asked, outbound ones first. A rule that measures has counted every
              packet that reached it, with its inner bytes; one that allows or denies those it was asked about, which are
              the first packets of flows and whatever else does not take the fast path
  queues      how datagrams are spread over workers: by the dispatcher, with its indirection table and rings, or by the
              kernel, with each worker's sockets

  --tenant NAME   that tenant's only
  --ca IP         sessions or connections of that inside address
  --port N        sessions or connections with that inside, outside or remote port
  --limit N       so many of them at most (1000)
  --json          the answer as it came
  --socket PATH   the daemon's admin socket; -c CONFIG takes it from the daemon's config. Without either:
                  $XDG_RUNTIME_DIR/causeway.sock, /run/causeway/causeway.sock, or causeway-UID.sock in the
                  directory for temporary files, the first that is there

Exit codes: 0 answered, 1 the daemon refused the question, 2 usage, 3 config invalid, 4 no daemon answers.

Examples:
  causeway show drops
  causeway show queues
  causeway show sessions --tenant red --ca 10.0.0.5
  causeway show tenants --json -c gateway.jsonc
`,
  main,
};

async function main(args: readonly string[], io: Io): Promise<number> {
  const { values, words } = readArgs(args, FLAGS, 1);
  const name = words[0];
  if (name === undefined) throw new UsageError(`show what? ${Object.keys(NOUNS).join(', ')}`);
  if (!Object.hasOwn(NOUNS, name)) {
    const near = nearest(name, Object.keys(NOUNS));
    throw new UsageError(`nothing called ${name} to show; ${near === undefined ? `there are ${Object.keys(NOUNS).join(', ')}` : `did you mean ${near}?`}`);
  }
  const noun = NOUNS[name];
  const query = queryOf(name, noun, values);
  if (values.socket !== undefined && values.config !== undefined) throw new UsageError('--socket and --config both say whom to ask; give one');

  let socket = values.socket;
  if (values.config !== undefined) {
    const file = await readConfigFile(values.config);
    if (file.config === undefined) {
      io.err(renderProblems(file));
      return Exit.config;
    }
    socket = file.config.gateway.admin.socket ?? undefined;
  }
  socket ??= findSocket();
  if (socket === undefined) {
    io.err(`causeway: no daemon: no socket at ${defaultSockets().join(', ')}; --socket or -c says where else\n`);
    return Exit.unreachable;
  }
  try {
    const answer = await getJson<unknown>(socket, `/v1/${name}${query}`);
    io.out(values.json ? `${JSON.stringify(answer, null, 2)}\n` : noun.render(answer, process.stdout.columns ?? Infinity));
    return Exit.ok;
  } catch (error) {
    io.err(`causeway: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof Unreachable ? Exit.unreachable : Exit.failure;
  }
}

function queryOf(name: string, noun: Noun, values: Values<typeof FLAGS>): string {
  readNumber('port', values.port, 0, 65535, undefined);
  readNumber('limit', values.limit, 1, 1_000_000, undefined);
  const query = new URLSearchParams();
  for (const filter of FILTERS) {
    const value = values[filter];
    if (value === undefined) continue;
    if (!noun.filters.includes(filter)) throw new UsageError(`show ${name} has no filter --${filter}`);
    query.set(filter, value);
  }
  return query.size === 0 ? '' : `?${query.toString()}`;
}

function renderTenants(answer: unknown, width: number): string {
  const { tenants } = answer as TenantsAnswer;
  const count = (title: keyof TenantStatus['packets']) => ({ title, right: true, cell: (t: TenantStatus) => t.packets[title] });
  return renderTable<TenantStatus>([
    { title: 'tenant', cell: t => t.name },
    count('in'), count('forwarded'), count('dropped'), count('consumed'), count('held'), count('out'),
    { title: 'bytes in', right: true, cell: t => renderBytes(t.packets.bytesIn) },
    { title: 'bytes out', right: true, cell: t => renderBytes(t.packets.bytesOut) },
    { title: 'sessions', right: true, cell: t => t.sessions },
  ], tenants, width);
}

function renderSessions(answer: unknown, width: number): string {
  const { sessions, matching } = answer as SessionsAnswer;
  if (matching === 0) return 'no sessions\n';
  const end = ({ address, port }: SessionRow['inside']): string => `${address}:${port}`;
  const table = renderTable<SessionRow>([
    { title: 'tenant', cell: s => s.tenant },
    { title: 'proto', cell: s => s.proto },
    { title: 'inside', cell: s => end(s.inside) },
    { title: 'outside', cell: s => `${end(s.outside)}${s.mapped ? ' (mapping)' : ''}` },
    { title: 'remote', cell: s => end(s.remote) },
    { title: 'state', cell: s => s.state },
    { title: 'expires in', right: true, cell: s => renderSeconds(s.expiresInSeconds) },
    { title: 'age', right: true, cell: s => renderSeconds(s.ageSeconds) },
  ], sessions, width);
  return matching > sessions.length ? `${table}${sessions.length} of ${matching} sessions; --limit shows more\n` : table;
}

function renderRules(answer: unknown, width: number): string {
  const { rules } = answer as RulesAnswer;
  if (rules.length === 0) return 'no rules, which allows everything\n';
  return renderTable<RuleStatus>([
    { title: 'tenant', cell: r => r.tenant },
    { title: 'direction', cell: r => r.direction },
    { title: 'weight', right: true, cell: r => r.weight },
    { title: 'rule', cell: r => r.name },
    { title: 'action', cell: r => r.idleTimeout === null ? r.action : `${r.action}, stateful ${renderSeconds(r.idleTimeout)}` },
    { title: 'protocol', cell: r => r.protocol },
    { title: 'local', cell: r => r.local },
    { title: 'remote', cell: r => r.remote },
    { title: 'packets', right: true, cell: r => r.packets },
    { title: 'bytes', right: true, cell: r => renderBytes(r.bytes) },
    { title: 'line', right: true, cell: r => r.line },
  ], rules, width);
}

function renderDrops(answer: unknown, width: number): string {
  const { drops } = answer as DropsAnswer;
  if (drops.length === 0) return 'nothing dropped\n';
  return renderTable<DropStatus>([
    { title: 'tenant', cell: d => d.tenant },
    { title: 'reason', cell: d => d.reason },
    { title: 'severity', cell: d => d.severity },
    { title: 'packets', right: true, cell: d => d.count },
    { title: 'meaning', cell: d => d.help },
  ], drops, width);
}
