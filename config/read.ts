/** Text in, a frozen Config or every problem out. */
import { buildConfig } from './build.js';
import { checkAcls } from './check/acls.js';
import { checkGateway, checkMtus } from './check/gateway.js';
import { checkNat } from './check/nat.js';
import { checkOverlaps } from './check/overlaps.js';
import { checkPeers } from './check/peers.js';
import { checkPools } from './check/pools.js';
import { checkRecords } from './check/records.js';
import { checkRoutes } from './check/routes.js';
import { checkSites } from './check/sites.js';
import { checkSubnets } from './check/subnets.js';
import { checkTenants } from './check/tenants.js';
import { parseJsonc } from './jsonc.js';
import { makeReporter } from './problems.js';
import { CONFIG } from './schema.js';
import type { Problem, ReadResult } from './types.js';
import { makeView } from './view.js';

const CHECKS = [
  checkGateway, checkMtus, checkPeers, checkTenants, checkSubnets, checkRecords, checkRoutes, checkNat, checkPools, checkSites, checkAcls, checkOverlaps,
] as const;

/**
 * Read a config. `file` is only a name, for messages. Never throws on account of the text, however broken.
 * Problems come in the order of the file.
 */
export function readConfig(text: string, file: string): ReadResult {
  const { root, faults, lost } = parseJsonc(text);
  const reporter = makeReporter(text, root);
  for (const fault of faults) reporter.reportAt(fault.at, fault.message, fault.advice, fault.value);
  if (lost) return failed(reporter.problems); // the meaning of what follows would be a guess

  const view = makeView(CONFIG.read(root, reporter), reporter);
  for (const check of CHECKS) check(view);
  if (reporter.problems.length > 0) return failed(reporter.problems);
  return { config: buildConfig(file, view), problems: [] };
}

function failed(problems: Problem[]): ReadResult {
  return { config: undefined, problems: problems.sort((a, b) => a.line - b.line || a.column - b.column) };
}
