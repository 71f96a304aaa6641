/** From the text of a config to tables, or to every reason why not. */
import { readConfig } from '../../config/index.js';
import { needRestart } from '../control/reload.js';
import { compileConfig, stateSizes, TenantIds } from '../tables.js';
import type { LoadAnswer, LoadOrder } from './messages.js';

export function load(text: string, { path, generation, seed, running }: LoadOrder): LoadAnswer {
  const { config, problems } = readConfig(text, path);
  if (config === undefined) return { type: 'problems', problems };
  const keys = running === null ? [] : needRestart(running.gateway, config, running.sizes);
  if (keys.length > 0) return { type: 'restart', keys };

  const ids = new TenantIds((running?.gateway ?? config.gateway).limits.tenants, running?.tenants);
  try {
    const policy = compileConfig(config, ids, generation, seed);
    const { file, gateway, tenants } = config;
    return { type: 'loaded', file, gateway, tenantCount: tenants.length, sizes: stateSizes(config), tenants: ids.known(), policy };
  } catch (error) {
    return { type: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}
