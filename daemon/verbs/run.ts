/** `causeway run`: the daemon, from its config to its exit code. */
import { availableParallelism } from 'node:os';
import { readArgs } from '../cli/args.js';
import { Exit, UsageError, type Io, type Verb } from '../cli/cli.js';
import { renderProblems, UnreadableFile } from '../cli/config-file.js';
import { Control, makeSeed } from '../control/control.js';
import { openEndpoints } from '../control/endpoints.js';
import { loadInThread } from '../control/loading.js';
import { makeLog, type Logger } from '../control/log.js';
import { chooseMode, thisMachine } from '../control/receive-mode.js';
import { ledgerTotals, socketWords } from '../control/status.js';
import type { Loaded } from '../loader/messages.js';

const FLAGS = { config: { type: 'string', short: 'c' } } as const;
const DRAIN_MS = 5000;
const scripts = { worker: new URL('./worker.js', import.meta.url), dispatcher: new URL('./dispatcher.js', import.meta.url), loader: new URL('./loader.js', import.meta.url) };

export const verb: Verb = {
  summary: 'the daemon; HUP reloads, TERM drains',
  help: `Usage: causeway run -c CONFIG

Runs the gateway in the foreground: sockets for GRE in UDP (4754) and VXLAN (4789), worker threads, /metrics and
/healthz over TCP, an admin socket for causeway show. Logs are JSON, a line each, on standard output; the line "ready"
says that all sockets are bound, and where.

  -c CONFIG   the config file; causeway run CONFIG is the same

Signals:
  HUP         read the config again. One with problems is refused, and so is one that changes what only a restart
              can (listen addresses, ports, workers, rss, limits, buffers, admin, metrics, natLog); the log says why, the old one stays.
  TERM, INT   take nothing in any more, send what waits (5 s at most), log the totals, exit 0. A second one ends at once.

Exit codes: 0 drained, 1 failed (a socket not to be had, workers that keep dying), 2 usage, 3 config invalid.

Examples:
  causeway run -c /etc/causeway/gateway.jsonc
  causeway run -c lab.jsonc | npx pino-pretty
`,
  main,
};

async function main(args: readonly string[], io: Io): Promise<number> {
  const { values, words } = readArgs(args, FLAGS, 1);
  const path = words[0] ?? values.config;
  if (path === undefined || (words[0] !== undefined && values.config !== undefined)) throw new UsageError('run takes one config: -c CONFIG');
  if (path === '-') throw new UsageError('run reads its config again on HUP, so it must be a file');
  const seed = makeSeed();
  const answer = await loadInThread(scripts.loader, process.execArgv, { path, generation: 1, seed, running: null });
  switch (answer.type) {
    case 'loaded': {
      const log = makeLog(answer.gateway.logLevel);
      const lost = new AbortController();
      return serve(start(answer, seed, log, () => lost.abort()), log, lost.signal);
    }
    case 'unreadable': throw new UnreadableFile(answer.message);
    case 'problems':
      io.err(renderProblems({ name: path, problems: answer.problems }));
      return Exit.config;
    case 'failed':
      io.err(`causeway: cannot use ${path}: ${answer.message}\n`);
      return Exit.failure;
    case 'restart':
      return Exit.failure; // cannot be: nothing runs yet
  }
}

/** Run until told to end, or `lost`. Does not know what was loaded: it lives as long as the daemon, and the first tables shall not. */
function serve(started: Promise<Running>, log: Logger, lost: AbortSignal): Promise<number> {
  return new Promise(resolve => {
    const give = (code: number): void => resolve(code);
    const broken = (error: unknown): void => {
      log.fatal({ error: error instanceof Error ? error.stack : String(error) }, 'fault in control');
      give(Exit.failure);
    };
    process.on('uncaughtException', broken);
    process.on('unhandledRejection', broken);

    lost.addEventListener('abort', () => give(Exit.failure));
    let ending = false;
    const end = (signal: string): void => {
      if (ending) {
        log.warn({ signal }, 'told twice, ending at once');
        give(Exit.failure);
        return;
      }
      ending = true;
      log.info({ signal }, 'draining');
      started.then(async ({ control, endpoints }) => {
        await control.drain(DRAIN_MS);
        await endpoints.close();
        const { packets, drops } = ledgerTotals(control);
        log.info({ packets, drops }, 'drained');
        give(Exit.ok);
      }).catch(broken);
    };
    process.on('SIGTERM', () => end('SIGTERM'));
    process.on('SIGINT', () => end('SIGINT'));
    process.on('SIGHUP', () => void started.then(({ control }) => control.reload(), () => {}));

    started.then(({ control }) => {
      sayBuffers(control);
      log.info({
        gateway: control.gateway.name, file: control.file, generation: control.generation, tenants: control.tenantCount,
        mode: control.receiveMode.mode, workers: control.crew.size, sockets: control.crew.bound.map(socketWords), ...control.endpoints, pid: process.pid,
      }, 'ready');
    }, (error: Error) => {
      log.fatal({ error: error.message }, 'cannot start');
      give(Exit.failure);
    });
  });
}

interface Running { readonly control: Control; readonly endpoints: { close(): Promise<void> } }

async function start(loaded: Loaded, seed: number, log: Logger, lost: () => void): Promise<Running> {
  const mode = await chooseMode(loaded.gateway, thisMachine(loaded.gateway, availableParallelism()));
  const control = new Control({ loaded, seed, mode, log, lost, scripts, execArgv: process.execArgv });
  const endpoints = await openEndpoints(control);
  try {
    await control.start();
  } catch (error) {
    await endpoints.close();
    throw error;
  }
  return { control, endpoints };
}

/** Linux grants no more than net.core.rmem_max without a word; then bursts are lost in the kernel. */
function sayBuffers({ gateway, crew, log }: Control): void {
  const granted = Math.min(...crew.bound.map(({ receiveBuffer }) => process.platform === 'linux' ? receiveBuffer / 2 : receiveBuffer));
  const asked = gateway.receiveBuffer;
  if (granted < asked) log.warn({ asked, granted, advice: process.platform === 'linux' ? 'raise net.core.rmem_max' : 'raise kern.ipc.maxsockbuf' }, 'receive buffer smaller than asked for');
}
