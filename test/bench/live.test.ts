import t from 'tap';
import { gcPauseOf } from '../../bench/live/daemon.js';
import { FLOWS, HOSTS, TENANTS, datagramOf, gatewayConfig, hostOf, sequenceOf, stamp, stampOf } from '../../bench/live/traffic.js';
import { readConfig } from '../../config/index.js';
import { Offline } from '../../daemon/offline/offline.js';
import { Carrier, Side } from '../../pipeline/packet.js';

const PORTS = Array.from({ length: HOSTS }, (_, i) => 20_000 + i);
const UPLINK_PORT = 30_000;
const LOOPBACK = 0x7f000001;

t.test('the gateway lets every flow through, and what was stamped is read again on the other side', async t => {
  const { config, problems } = readConfig(JSON.stringify(gatewayConfig(PORTS, UPLINK_PORT, { limits: { sessions: FLOWS, bindings: FLOWS } })), 'live.json');
  t.strictSame(problems, []);
  const seen = new Set<number>();
  const offline = new Offline(config!, 1, null, ({ mem, payloadAt }) => {
    const out = Buffer.from(mem.slice(payloadAt));
    seen.add(sequenceOf(out));
    t.equal(stampOf(out), sequenceOf(out) + 0.5);
  });
  const { gateway } = offline;
  for (let f = 0; f < FLOWS; f++) {
    const datagram = datagramOf(f);
    stamp(datagram, f, f + 0.5);
    t.equal(sequenceOf(datagram), f);
    const peer = gateway.context.policy.findSender(0, 0, 0xffff, LOOPBACK, PORTS[hostOf(f)]);
    gateway.now = 1_700_000_000_000;
    gateway.receive(datagram, 0, 0, datagram.length, peer, Carrier.gre, Side.both);
  }
  t.equal(seen.size, FLOWS);
  t.ok(FLOWS / HOSTS >= TENANTS, 'every tenant has flows');
});

const gcLines = [
  ['Node 20', '[14344:0x7fc2c0000f00]      263 ms: Scavenge 6.1 (8.5) -> 4.1 (8.5) MB, 0.04 / 0.00 ms  (average mu = 1.000, current mu = 1.000) allocation failure; ', 0.04],
  ['Node 24', '[15001:0x7f12a4001000]       48 ms: Scavenge 6.4 (8.9) -> 4.3 (8.9) MB, pooled: 0.0 MB, 0.41 / 0.00 ms  (average mu = 1.000, current mu = 1.000) allocation failure; ', 0.41],
  ['a major one', '[15001:0x7f12a4001000]     1048 ms: Mark-Compact (reduce) 6.4 (8.9) -> 4.3 (8.9) MB, pooled: 0.0 MB, 3.20 / 0.00 ms  (+ 1.1 ms in 4 steps since start of marking, biggest step 0.5 ms, walltime since start of marking 5 ms) (average mu = 0.9) finalize incremental marking via task; GC in old space requested', 3.2],
  ['a line of the log', '{"level":"info","msg":"ready"}', undefined],
] as const;
for (const [name, line, ms] of gcLines) {
  t.test(`the pause in what V8 prints: ${name}`, async t => { t.equal(gcPauseOf(line), ms); });
}
