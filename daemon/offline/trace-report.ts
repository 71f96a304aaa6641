/** What a trace found: structured for programs, the same in words for people. */
import type { UnderlayRoute } from '../../codecs/underlay.js';
import type { TraceStep } from '../../pipeline/explain/trace-steps.js';
import { endpointText } from '../../pipeline/explain/words.js';

export interface TracedDatagram {
  /** PA and port, ours and theirs; the port of ours as a replay writes it, by the same hash that picks the daemon's socket. */
  readonly from: string;
  readonly to: string;
  readonly peer: string;
  /** One line a layer, tunnel header first. */
  readonly layers: readonly string[];
}

export interface Trace {
  /** What was sent in. */
  readonly input: string;
  /** Tenant that the ledger charges; `-` for nobody. */
  readonly tenant: string;
  /** Stages that decided something, in order; `config` is file:line, or empty. */
  readonly steps: readonly TraceStep[];
  readonly verdict: 'forwarded' | 'consumed' | 'held' | 'dropped';
  /** The verdict in words. */
  readonly text: string;
  /** Of a drop. */
  readonly drop: { readonly stage: string; readonly reason: string; readonly severity: string; readonly help: string; readonly source: string } | null;
  readonly sends: readonly TracedDatagram[];
  /** Fragments that waited for this packet, and what became of them. */
  readonly released: readonly string[];
}

export function datagramOf(route: UnderlayRoute, peer: string, layers: readonly string[]): TracedDatagram {
  return { from: endpointText(...route.src, route.srcPort), to: endpointText(...route.dst, route.dstPort), peer, layers };
}

const STAGE_WIDTH = 10;

export function renderTrace(trace: Trace): string {
  const lines = [trace.input, ''];
  const line = (stage: string, text: string): void => { lines.push(`  ${stage.padEnd(STAGE_WIDTH)}${text}`); };
  for (const { stage, text, config } of trace.steps) line(stage, config === '' ? text : `${text}  [${config}]`);
  if (trace.steps.length > 0) lines.push('');
  line('verdict', trace.text);
  if (trace.drop !== null) line('', `${trace.drop.help} (${trace.drop.source})`);
  for (const { from, to, peer, layers } of trace.sends) {
    lines.push('');
    line(trace.verdict === 'forwarded' ? 'sends' : 'answers', `UDP ${from} -> ${to}, ${peer}`);
    for (const layer of layers) line('', layer);
  }
  for (const text of trace.released) line('', text);
  return `${lines.join('\n')}\n`;
}
