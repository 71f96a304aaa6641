/** From words to an exit code: finds the verb, runs it, and says what is wrong with the words when it cannot. */
import { nearest } from '../config/problems.js';
import { Exit, UsageError, type Io } from './cli/cli.js';
import { UnreadableFile } from './cli/config-file.js';
import { VERBS } from './verbs/index.js';
import { VERSION } from './version.js';

/** Run `args`. Never rejects: what a verb throws is printed, and becomes an exit code too. */
export async function dispatch(args: readonly string[], io: Io): Promise<number> {
  try {
    return await run(args, io);
  } catch (error) {
    return failed(error, args, io);
  }
}

async function run(args: readonly string[], io: Io): Promise<number> {
  const [word, ...rest] = args;
  if (word === undefined) {
    io.err(await overview());
    return Exit.usage;
  }
  if (word === '--version' || word === '-V') {
    io.out(`causeway ${VERSION}\n`);
    return Exit.ok;
  }
  if (word === 'help' || word === '--help' || word === '-h') return help(rest[0], io);
  if (!Object.hasOwn(VERBS, word)) throw new UsageError(unknownVerb(word));
  if (rest.includes('--help') || rest.includes('-h')) return help(word, io);
  const { verb } = await VERBS[word]();
  return verb.main(rest, io);
}

async function help(word: string | undefined, io: Io): Promise<number> {
  if (word === undefined) {
    io.out(await overview());
    return Exit.ok;
  }
  if (!Object.hasOwn(VERBS, word)) throw new UsageError(unknownVerb(word));
  const { verb } = await VERBS[word]();
  io.out(verb.help.endsWith('\n') ? verb.help : `${verb.help}\n`);
  return Exit.ok;
}

async function overview(): Promise<string> {
  const rows = await Promise.all(Object.entries(VERBS).map(async ([word, load]) => `  ${word.padEnd(8)} ${(await load()).verb.summary}\n`));
  return `Usage: causeway VERB [flags]

A multi-tenant network-virtualization gateway: NVGRE, VXLAN and GRE over UDP, NAT, forwarding and sites.

${rows.join('')}
causeway VERB --help tells more; causeway --version says which this is.
Exit codes: 0 fine or allowed, 1 failed, 2 usage, 3 config invalid, 4 daemon unreachable, 5 verdict deny.
`;
}

function unknownVerb(word: string): string {
  const near = nearest(word, Object.keys(VERBS));
  return `no verb ${word}; ${near === undefined ? `there are ${Object.keys(VERBS).join(', ')}` : `did you mean ${near}?`}`;
}

function failed(error: unknown, args: readonly string[], io: Io): number {
  if (error instanceof UsageError) {
    const verb = Object.hasOwn(VERBS, args[0] ?? '') ? `${args[0]} ` : '';
    io.err(`causeway: ${error.message}\ncauseway ${verb}--help tells more.\n`);
    return Exit.usage;
  }
  if (error instanceof UnreadableFile) io.err(`causeway: ${error.message}\n`);
  else io.err(`causeway: this is a fault in causeway, please report it: ${error instanceof Error ? error.stack : String(error)}\n`);
  return Exit.failure;
}
