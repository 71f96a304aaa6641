/**
 * Probe a daemon by hand:  node --import=./test/support/typescript.mjs test/support/probe/main.ts [KEY=VALUE …]
 * Each KEY=VALUE goes into tenants[].nat, as JSON where it is: filtering=address-dependent parity=true. Wants dist/, or
 * what CAUSEWAY_DIST names.
 */
import { probeDaemon } from './probed-daemon.js';
import { reportWords } from './nat-probe.js';

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const nat = Object.fromEntries(process.argv.slice(2).map(word => {
  const [key, ...rest] = word.split('=');
  return [key, valueOf(rest.join('='))];
}));
const { report, refused, ailments } = await probeDaemon({ nat, lifetime: 3 });
console.log(reportWords(report).join('\n'));
for (const line of [...refused, ...ailments]) console.log(`fault: ${line}`);
