/** The verbs and where each lives. A verb is loaded when it is called, so that `check` does not pay for `run`. */
import type { Verb } from '../cli/cli.js';

export const VERBS: Readonly<Record<string, () => Promise<{ verb: Verb }>>> = {
  run: () => import('./run.js'),
  check: () => import('./check.js'),
  replay: () => import('./replay.js'),
  show: () => import('./show.js'),
  whois: () => import('./whois.js'),
  trace: () => import('./trace.js'),
  demo: () => import('./demo.js'),
};
