/**
 * How many packets and bytes a tenant may still have through the gateway at this moment: a bucket each, in shared memory
 * (rate-limit.ts). To ask and to take are two things, for the fast path takes nothing for a packet that it then leaves to the walks.
 */
import { UNLIMITED, type QuotaColumns } from '../nat/port-policy.js';
import { RateLimit } from './rate-limit.js';

export class Traffic {
  /** Of the policy in force. */
  quotas: QuotaColumns;
  /** Of the packets in hand, milliseconds. */
  now = 0;
  readonly #packets: RateLimit;
  readonly #bytes: RateLimit;

  constructor(packets: SharedArrayBuffer, bytes: SharedArrayBuffer, quotas: QuotaColumns) {
    this.#packets = new RateLimit(packets);
    this.#bytes = new RateLimit(bytes);
    this.quotas = quotas;
  }

  /** Whether the tenant may have one more packet of `len` bytes, IP header and all. One larger than a whole bucket takes that. */
  allows(tenant: number, len: number): boolean {
    const { quotas } = this, packets = quotas.packets[tenant], bytes = quotas.bytes[tenant], burst = quotas.byteBurst[tenant];
    return (packets === UNLIMITED || this.#packets.has(tenant, packets, packets, this.now)) && (bytes === UNLIMITED || this.#bytes.has(tenant, bytes, burst, this.now, Math.min(len, burst)));
  }

  /** It has it. */
  take(tenant: number, len: number): void {
    const { quotas } = this, packets = quotas.packets[tenant], bytes = quotas.bytes[tenant], burst = quotas.byteBurst[tenant];
    if (packets !== UNLIMITED) this.#packets.take(tenant, packets, packets, this.now);
    if (bytes !== UNLIMITED) this.#bytes.take(tenant, bytes, burst, this.now, Math.min(len, burst));
  }
}
