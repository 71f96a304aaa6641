/** What the daemon counted while the story went on: who sent what, what was dropped and why, and that it adds up. */
import { imbalances } from '../../pipeline/ledger.js';
import { Reason, reasonRow } from '../../pipeline/reasons.js';
import { renderQueues } from '../cli/queues.js';
import type { RunningDaemon } from './daemon.js';

const COLUMNS = ['in', 'forwarded', 'dropped', 'consumed', 'held', 'out', 'copies', 'originated'] as const;
const NAME_WIDTH = 9;

export async function renderSummary(daemon: RunningDaemon): Promise<{ text: string; balanced: boolean }> {
  const { tenants } = await daemon.tenants();
  const { packets } = await daemon.status();
  const queues = await daemon.queues();
  const wrong: string[] = [];
  const line = (name: string, cells: readonly (string | number)[]): string =>
    `  ${name.padEnd(NAME_WIDTH)}${cells.map((cell, i) => String(cell).padStart(COLUMNS[i].length + 3)).join('')}\n`;

  let text = '\n  What the gateway counted: in = forwarded + dropped + consumed + held, out = forwarded + copies + originated\n\n';
  text += line('', COLUMNS);
  const dropped: string[] = [];
  for (const tenant of tenants) {
    const drops = await daemon.drops(tenant.name);
    text += line(tenant.name, COLUMNS.map(column => tenant.packets[column]));
    wrong.push(...imbalances({ packets: tenant.packets, drops }).map(what => `${tenant.name}: ${what}`));
    for (const [reason, count] of Object.entries(drops)) {
      const help = reasonRow((Reason as Record<string, number>)[reason])?.help ?? '';
      dropped.push(`  ${tenant.name.padEnd(NAME_WIDTH)}${String(count).padStart(5)}  ${reason.padEnd(18)} ${help}\n`);
    }
  }
  text += line('together', COLUMNS.map(column => packets[column]));
  text += `\n  Dropped, and why ("-": no tenant could be charged)\n\n${dropped.join('')}`;
  text += `\n  How they were spread (causeway show queues)\n\n${renderQueues(queues).replace(/^(?=.)/gm, '  ')}`;
  for (const what of wrong) text += `  does not add up: ${what}\n`;
  return { text, balanced: wrong.length === 0 };
}
