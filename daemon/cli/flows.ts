/** `show connections` and `show revoked` as tables. */
import type { ConnectionsAnswer, RevokedAnswer } from '../control/admin.js';
import type { ConnectionRow } from '../control/connections.js';
import type { RevokedRow } from '../control/revoked.js';
import type { End } from '../control/sessions.js';
import { renderSeconds, renderTable } from './table.js';

/** IPv6 addresses in brackets, or nobody could tell where the port begins. */
function endText({ address, port }: End): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function ruleText(rule: string | null, line: number | null): string {
  return rule === null ? '-' : `${rule}, line ${line}`;
}

export function renderConnections({ connections, matching }: ConnectionsAnswer, width: number): string {
  if (matching === 0) return 'no connections\n';
  const table = renderTable<ConnectionRow>([
    { title: 'tenant', cell: c => c.tenant },
    { title: 'proto', cell: c => c.proto },
    { title: 'local', cell: c => endText(c.local) },
    { title: 'remote', cell: c => endText(c.remote) },
    { title: 'opened by', cell: c => c.openedBy },
    { title: 'state', cell: c => c.state },
    { title: 'expires in', right: true, cell: c => renderSeconds(c.expiresInSeconds) },
    { title: 'age', right: true, cell: c => renderSeconds(c.ageSeconds) },
    { title: 'rule', cell: c => ruleText(c.rule, c.line) },
  ], connections, width);
  return matching > connections.length ? `${table}${connections.length} of ${matching} connections; --limit shows more\n` : table;
}

export function renderRevoked({ revoked, total }: RevokedAnswer, width: number): string {
  if (revoked.length === 0) return total === 0 ? 'nothing revoked since the start\n' : `nothing listed any more, of ${total} revoked since the start\n`;
  const table = renderTable<RevokedRow>([
    { title: 'at', cell: r => r.at },
    { title: 'config', right: true, cell: r => r.generation },
    { title: 'tenant', cell: r => r.tenant },
    { title: 'was', cell: r => r.kind },
    { title: 'proto', cell: r => r.proto },
    { title: 'local', cell: r => endText(r.local) },
    { title: 'remote', cell: r => endText(r.remote) },
    { title: 'outside', cell: r => (r.outside === null ? '-' : endText(r.outside)) },
    { title: 'reason', cell: r => r.reason },
    { title: 'rule', cell: r => ruleText(r.rule, r.line) },
  ], revoked, width);
  return total > revoked.length ? `${table}${revoked.length} of ${total} revoked since the start\n` : table;
}
