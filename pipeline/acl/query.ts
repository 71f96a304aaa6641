/**
 * ICMP queries have no ports; their id stands for both. Which kind of query, and which end asks, are part of the key:
 * who may ask one way need not be asked the other way.
 *
 *   kind << 1 | 1 where the VM's side asks; 0 for other protocols
 */
import { IcmpType } from '../../codecs/icmp.js';
import { Icmpv6Type } from '../../codecs/icmpv6.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';

const ECHO = 1, TIMESTAMP = 2;
/** An ICMP message that is no query and answers none, errors above all. */
export const NO_QUERY = -1;

/** The key's part for a packet that leaves the VM (`isOutbound`) or comes to it; `NO_QUERY` for ICMP that has none. */
export function queryOf(protocol: number, icmpType: number, isOutbound: boolean): number {
  if (protocol === IpProtocol.icmp) {
    switch (icmpType) {
      case IcmpType.echo: return ECHO << 1 | Number(isOutbound);
      case IcmpType.echoReply: return ECHO << 1 | Number(!isOutbound);
      case IcmpType.timestamp: return TIMESTAMP << 1 | Number(isOutbound);
      case IcmpType.timestampReply: return TIMESTAMP << 1 | Number(!isOutbound);
      default: return NO_QUERY;
    }
  }
  if (protocol !== IpProtocol.icmpv6) return 0;
  return icmpType === Icmpv6Type.echo ? ECHO << 1 | Number(isOutbound) : icmpType === Icmpv6Type.echoReply ? ECHO << 1 | Number(!isOutbound) : NO_QUERY;
}

/** Whether the VM's side asks. Only for queries. */
export function isAsker(query: number): boolean {
  return (query & 1) === 1;
}
