/** `causeway check`: every problem of a config at once, and nothing started. */
import type { Config } from '../../config/index.js';
import { readArgs } from '../cli/args.js';
import { Exit, UsageError, type Io, type Verb } from '../cli/cli.js';
import { readConfigFile, renderProblems } from '../cli/config-file.js';

const FLAGS = { config: { type: 'string', short: 'c' }, json: { type: 'boolean' } } as const;

export const verb: Verb = {
  summary: 'every problem in a config, nothing started',
  help: `Usage: causeway check FILE [--json]

Reads a config and reports all that is wrong with it, each problem with file:line:column, the value and advice:
syntax, unknown keys, values out of range, and what contradicts itself (overlapping pools, a record outside its
subnet, a route to a site that is not there). Nothing is started and nothing is sent.

  FILE        the config; - reads standard input
  --json      one object: { file, problems: [{ line, column, path, message, advice, value }], counts }

Exit codes: 0 valid, 1 the file cannot be read, 2 usage, 3 it has problems.

Examples:
  causeway check gateway.jsonc
  causeway check gateway.jsonc && kill -HUP $(pidof causeway)
  generate-config | causeway check --json -
`,
  main,
};

async function main(args: readonly string[], io: Io): Promise<number> {
  const { values, words } = readArgs(args, FLAGS, 1);
  const path = words[0] ?? values.config;
  if (path === undefined || (words[0] !== undefined && values.config !== undefined)) throw new UsageError('check takes one FILE');
  const file = await readConfigFile(path);
  const counts = file.config === undefined ? undefined : countsOf(file.config);
  if (values.json) io.out(`${JSON.stringify({ file: file.name, problems: file.problems, ...(counts && { counts }) }, null, 2)}\n`);
  else if (counts === undefined) io.out(renderProblems(file));
  else io.out(`${file.name}: valid: ${Object.entries(counts).map(([what, n]) => `${n} ${n === 1 ? what.slice(0, -1) : what}`).join(', ')}\n`);
  return file.config === undefined ? Exit.config : Exit.ok;
}

function countsOf({ hosts, uplinks, tenants }: Config) {
  const count = (of: (tenant: Config['tenants'][number]) => readonly unknown[]): number => tenants.reduce((sum, tenant) => sum + of(tenant).length, 0);
  return {
    tenants: tenants.length, hosts: hosts.length, uplinks: uplinks.length,
    subnets: count(t => t.subnets), records: count(t => t.records), routes: count(t => t.routes),
    sites: count(t => t.sites), mappings: count(t => t.nat?.mappings ?? []), acls: count(t => t.acls),
  };
}
