/** What became of a packet, in one line: the comment beside it in a capture. */
import { ipv4Ttl } from '../../codecs/ipv4.js';
import { ipv6HopLimit } from '../../codecs/ipv6.js';
import { Fate, type Context } from '../context.js';
import { Fragment, Rewrite, type Packet } from '../packet.js';
import { Action, PeerKind } from '../policy.js';
import { REASON_NAMES, reasonRow } from '../reasons.js';
import { endpointText, flowText, ipv4Text, lineText, peerText, subnetText, tenantText } from './words.js';

/** Whose packet and what became of it: `tenant red: forwarded to uplink inet; source 10.0.0.5:51000 -> 203.0.113.10:4711`. */
export function describe(p: Packet, verdict: number, c: Context): string {
  const parts = [`${ownerText(p, c)}: ${verdictText(p, verdict, c)}`];
  if (verdict === Fate.forwarded) parts.push(...rewriteTexts(p));
  else if (p.family !== 0) parts.push(flowText(p));
  return parts.join('; ');
}

/** The tenant that the ledger charges; where the tunnel names one and nothing proves it, that too. */
export function ownerText(p: Packet, c: Context): string {
  const claim = p.tenant === 0 && p.claimed !== 0 ? `, claiming to be ${tenantText(c.policy, p.claimed)}` : '';
  return `tenant ${tenantText(c.policy, p.tenant)}${claim}`;
}

/** A fate, or a drop reason with its meaning. */
export function verdictText(p: Packet, verdict: number, c: Context): string {
  switch (verdict) {
    case Fate.forwarded: return `forwarded to ${exitText(p, c)}`;
    case Fate.consumed: return 'consumed by the gateway itself';
    case Fate.held: return 'held until the first fragment of its datagram comes';
    default: return `dropped, ${reasonText(verdict)}${ruleText(p, c)}`;
  }
}

/** `spoofed_source: Inner source has no lookup record at this sender`. */
export function reasonText(reason: number): string {
  return `${REASON_NAMES[reason]}: ${reasonRow(reason)?.help ?? 'unknown'}`;
}

function ruleText(p: Packet, c: Context): string {
  const { rules } = c.policy;
  return p.rule < 0 || rules.action[p.rule] !== Action.deny ? '' : ` (${rules.names[p.rule]}, ${lineText(c.policy, rules.line[p.rule])})`;
}

/** Where a forwarded packet went: peer, and the virtual subnet or key there. */
function exitText(p: Packet, c: Context): string {
  const { policy } = c;
  const peer = peerText(policy, p.toPeer);
  if (policy.peers.kind[p.toPeer] === PeerKind.host) return `${peer} in ${subnetText(policy, p.record < 0 ? p.subnet : policy.records.subnet[p.record])}`;
  return p.toKey < 0 ? peer : `${peer} with key ${p.toKey}`;
}

/** What a forwarded packet looks like that it did not before. */
export function rewriteTexts(p: Packet): string[] {
  const texts: string[] = [];
  const inside = (address: number, port: number): string => natEnd(p, address, port);
  const quoted = p.quoteAt >= 0 ? ', and in the packet it quotes' : '';
  if ((p.rewrites & Rewrite.natOut) !== 0 && (p.rewrites & Rewrite.natIn) !== 0) {
    texts.push(`source becomes ${p.quoteAt >= 0 ? ipv4Text(p.src3) : inside(p.src3, p.sport)}`);
  } else if ((p.rewrites & Rewrite.natOut) !== 0) {
    texts.push(p.quoteAt >= 0
      ? `source ${ipv4Text(p.src3)} -> ${ipv4Text(p.natAddress)}${quoted}`
      : `source ${inside(p.src3, p.sport)} -> ${inside(p.natAddress, p.natPort)}`);
  }
  if ((p.rewrites & Rewrite.natIn) !== 0) {
    texts.push(p.quoteAt >= 0
      ? `destination ${ipv4Text(p.natAddress)} -> ${ipv4Text(p.dst3)}${quoted}`
      : `destination ${inside(p.natAddress, p.natPort)} -> ${inside(p.dst3, p.dport)}`);
  }
  if ((p.rewrites & Rewrite.maps) !== 0) {
    const isOut = p.frameAt >= 0;
    if (isOut && p.mapSource !== p.src3) texts.push(`source ${ipv4Text(p.src3)} -> ${ipv4Text(p.mapSource)}${quoted}`);
    if (isOut && p.mapDestination !== p.dst3) texts.push(`destination ${ipv4Text(p.dst3)} -> ${ipv4Text(p.mapDestination)}${quoted}`);
    if (!isOut) texts.push(`to the tenant it is ${ipv4Text(p.mapSource)} -> ${ipv4Text(p.mapDestination)}${quoted}`);
  }
  if ((p.rewrites & Rewrite.ttl) !== 0) {
    const left = p.family === 4 ? ipv4Ttl(p.mem, p.l3) : ipv6HopLimit(p.mem, p.l3);
    texts.push(`${p.family === 4 ? 'TTL' : 'hop limit'} ${left + 1} -> ${left}`);
  }
  if ((p.rewrites & Rewrite.mss) !== 0) texts.push(`MSS at most ${p.mss}`);
  if (p.mtu > 0) texts.push(`cut to fit ${p.mtu} bytes`);
  return texts;
}

/** An end of a flow as NAT sees it: ICMP queries have an id where others have a port. */
function natEnd(p: Packet, address: number, port: number): string {
  if (p.icmpType >= 0) return `${ipv4Text(address)} id ${port}`;
  return p.fragment === Fragment.later ? ipv4Text(address) : endpointText(0, 0, 0xffff, address, port);
}
