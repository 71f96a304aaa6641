/** How datagrams are spread over workers, in words and a picture: for `show queues`, and at the end of the demo. */
import type { QueuesAnswer } from '../control/admin.js';
import type { QueueStatus } from '../control/queues.js';
import { renderTable } from './table.js';

/** Entries in a line of the picture, and in a group of it. */
const LINE = 32;
const GROUP = 8;
/** A digit for each queue; there are not more (pipeline/ring.ts). */
const DIGITS = 36;

export function renderQueues({ mode, workers, reason, key, rebalance, moves, imbalance, recent, queues, table }: QueuesAnswer, width = Infinity): string {
  const times = recent.imbalance ?? imbalance;
  const before = recent.imbalance === null || imbalance === null ? ' since the start' : ` (${imbalance.toFixed(2)} since the start)`;
  const spread = times === null ? '' : `, the busiest has ${times.toFixed(2)} times the mean${before}`;
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const head = `${mode} mode, ${workers} ${workers === 1 ? 'worker' : 'workers'}${spread}: ${reason}\n`;
  const columns = [
    { title: 'queue', right: true, cell: (q: QueueStatus) => q.queue },
    { title: 'worker', cell: (q: QueueStatus) => (q.up ? 'up' : 'down') },
    { title: 'packets', right: true, cell: (q: QueueStatus) => q.packets },
    { title: 'share', right: true, cell: (q: QueueStatus) => percent(q.share) },
    { title: 'per second', right: true, cell: (q: QueueStatus) => (recent.seconds === 0 ? 0 : Math.round(q.recentPackets / recent.seconds)) },
    { title: 'share now', right: true, cell: (q: QueueStatus) => percent(q.recentShare) },
  ];
  if (table === null) {
    const sockets = ({ sockets: own }: QueueStatus): string => (own ?? []).map(({ carrier, address, port }) => `${carrier} ${address}${address.includes(':') ? ' port ' : ':'}${port}`).join(', ');
    return head + renderTable<QueueStatus>([...columns, { title: 'sockets of its own', cell: sockets }], queues, width);
  }
  const rings = renderTable<QueueStatus>([
    ...columns,
    { title: 'entries', right: true, cell: q => q.entries ?? 0 },
    { title: 'waiting', right: true, cell: q => q.waiting ?? 0 },
    { title: 'slots', right: true, cell: q => q.slots ?? 0 },
    { title: 'ring full', right: true, cell: q => q.ringFull ?? 0 },
  ], queues, width);
  return `${head}${rings}\nindirection table: which queue an entry leads to, by the low bits of the hash\n${renderEntries(table)}`
    + `key ${key}, ${moves === 1 ? '1 entry' : `${moves} entries`} moved so far, rebalancing ${rebalance === true ? 'on' : 'off'}\n`;
}

/** Every entry a digit, `a` for queue 10 and so on; a line begins with the number of its first entry. */
function renderEntries(table: readonly number[]): string {
  const digits = table.map(queue => queue.toString(DIGITS)).join('');
  let text = '';
  for (let first = 0; first < digits.length; first += LINE) {
    const groups = digits.slice(first, first + LINE).match(new RegExp(`.{1,${GROUP}}`, 'g')) ?? [];
    text += `${String(first).padStart(5)}  ${groups.join(' ')}\n`;
  }
  return text;
}
