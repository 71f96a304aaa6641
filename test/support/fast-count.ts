/** How many packets took the fast path: it alone counts them by `Ledger.forward`. Without it a test of two paths could be one of the same path twice. */
import type { Gateway } from '../../pipeline/gateway.js';

const counts = new WeakMap<Gateway, { fast: number }>();

/** Packets that took the fast path since the first call. */
export function countFast(gateway: Gateway): number {
  const known = counts.get(gateway);
  if (known !== undefined) return known.fast;
  const count = { fast: 0 };
  counts.set(gateway, count);
  const { ledger } = gateway;
  const forward = ledger.forward.bind(ledger);
  ledger.forward = (tenant, bytesIn, bytesOut) => {
    count.fast++;
    forward(tenant, bytesIn, bytesOut);
  };
  return 0;
}
