/** A thread of the hammer: a gateway over the shared state, which gives itself packets and looks at everything that it sends. */
import { parentPort, workerData } from 'node:worker_threads';
import { ipv4ChecksumOk, ipv4Dst, ipv4Protocol, ipv4Src } from '../../codecs/ipv4.js';
import { tcpChecksumOk4 } from '../../codecs/tcp.js';
import { udpChecksumOk4 } from '../../codecs/udp.js';
import { Gateway } from '../../pipeline/gateway.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { seededRandom } from '../../pipeline/random.js';
import { REASON_NAMES } from '../../pipeline/reasons.js';
import { countFast } from '../support/fast-count.js';
import { seeded } from '../support/seeded.js';
import { HOST_NAMES } from '../support/world.js';
import { FIRST_NOW, Word, addresses, chaos, firsts, type HammerReport, type HammerStart, type Identity, type Template } from './hammer-traffic.js';

const start = workerData as HammerStart;
const words = new Int32Array(start.words);
const random = seeded(start.seed);
const wrong: string[] = [];
const outside = new Map<string, Set<string>>();
let policy = 0;

const { next } = seededRandom(start.seed + 1000);
const gateway = new Gateway({
  state: start.state, worker: start.worker, policy: start.policies[0],
  random: { next: () => (next() % 8 === 0 ? next() : 38_999 - 1024 + next() % 24) }, // so that threads want the same ports
  outlet: {
    send: (mem, at, end, peer) => {
      look(mem, at, end, gateway.context.policy.peers.names[peer]);
      return false;
    },
  },
});
gateway.onFault = error => wrong.push(error instanceof Error ? String(error.stack) : String(error));
countFast(gateway);

/** Whether what leaves is what its payload says it is. */
function look(mem: Uint8Array, at: number, end: number, peer: string): void {
  const host = HOST_NAMES.indexOf(peer as (typeof HOST_NAMES)[number]);
  const l3 = host >= 0 ? at + 22 : (mem[at] & 0x20) !== 0 ? at + 8 : at + 4;
  const protocol = ipv4Protocol(mem, l3);
  if (mem[l3] !== 0x45 || (protocol !== 17 && protocol !== 6)) return; // ICMP errors of the gateway
  const src = ipv4Src(mem, l3), dst = ipv4Dst(mem, l3), l4 = l3 + 20;
  if ((mem[l3 + 6] & 0x3f) !== 0 || mem[l3 + 7] !== 0) return; // a fragment
  const isWhole = ipv4ChecksumOk(mem, l3) && (protocol === 17 ? udpChecksumOk4(mem, l4, src, dst) : tcpChecksumOk4(mem, l4, end, src, dst));
  const sport = mem[l4] << 8 | mem[l4 + 1], dport = mem[l4 + 2] << 8 | mem[l4 + 3];
  const said = identityAt(mem, l4 + (protocol === 17 ? 8 : 20));
  const fail = (what: string): void => { if (wrong.length < 20) wrong.push(`${what}: to ${peer}, ${protocol} ${src.toString(16)}:${sport} to ${dst.toString(16)}:${dport}, ${JSON.stringify(said)}`); };
  if (!isWhole) fail('checksum');
  const { pools, inside } = addresses;
  if (host < 0) {
    if (said.way === 'plain') return;
    if (said.way !== 'out') return fail('out of nowhere');
    const isForwarded = peer === 'core' && said.tenant === 0 && dst === addresses.moved; // by every other policy
    if (isForwarded ? src !== said.inside || sport !== said.insidePort : peer !== 'inet' || !pools[said.tenant].includes(src)) fail('outside address of another');
    if (dst !== said.remote || dport !== said.remotePort) fail('remote end');
    if (isForwarded) return;
    const name = `${said.tenant} ${protocol} ${said.inside.toString(16)}:${said.insidePort}`;
    const ends = outside.get(name) ?? new Set();
    outside.set(name, ends.add(`${src.toString(16)}:${sport}`));
    return;
  }
  const tenant = mem[at + 4] << 16 | mem[at + 5] << 8 | mem[at + 6];
  if ((tenant >= 6000 ? 1 : 0) !== said.tenant) fail('VSID of another tenant');
  if (inside.get(dst) !== host) fail('host that the address is not on');
  if (mem[l3 - 14 + 5] !== macOf(dst)) fail('MAC of another');
  if (said.way === 'in' && (src !== said.remote || sport !== said.remotePort)) fail('remote end');
  if (said.way === 'plain' && dst !== said.remote) fail('destination');
  if (said.way === 'out') fail('came back');
}

function identityAt(mem: Uint8Array, at: number): Identity {
  const u16 = (i: number): number => mem[at + i] << 8 | mem[at + i + 1];
  return {
    way: (['?', 'out', 'in', 'plain'] as const)[mem[at]] ?? '?', tenant: mem[at + 1], inside: (u16(2) << 16 | u16(4)) >>> 0, insidePort: u16(6), remote: (u16(8) << 16 | u16(10)) >>> 0, remotePort: u16(12),
  };
}

/** VM i of either subnet has a MAC that ends as its address does, in decimal digits read as hexadecimal ones. */
function macOf(address: number): number {
  return Number.parseInt(String(address & 0xff), 16);
}

const room = new Uint8Array(2048);
const fates: Record<string, number> = {};
let packets = 0;

function send({ pa, carrier, bytes }: Template): void {
  const wanted = Atomics.load(words, Word.policy);
  if (wanted !== policy) {
    gateway.adopt(start.policies[wanted]);
    policy = wanted;
    Atomics.store(words, Word.adopted + start.worker, wanted);
    Atomics.notify(words, Word.adopted + start.worker);
  }
  const now = (FIRST_NOW + Atomics.load(words, Word.seconds)) * 1000;
  room.set(bytes, 64);
  const peer = gateway.context.policy.findSender(0, 0, 0xffff, pa, 50_000);
  gateway.now = now;
  const verdict = gateway.receive(room, 0, 64, 64 + bytes.length, peer, carrier === 'vxlan' ? Carrier.vxlan : Carrier.gre, Side.both);
  const fate = verdict === -3 ? 'forwarded' : verdict === -2 ? 'held' : verdict === -1 ? 'consumed' : REASON_NAMES[verdict];
  fates[fate] = (fates[fate] ?? 0) + 1;
  if (++packets % 32 === 0) gateway.tick(now);
}

parentPort?.postMessage('ready');
Atomics.wait(words, Word.go, 0);
if (start.work === 'firsts') {
  for (let round = 0; round < 4; round++) {
    const all = firsts();
    for (let i = all.length - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [all[i], all[j]] = [all[j], all[i]];
    }
    for (const template of all) send(template);
  }
} else {
  // Mostly from a part of all there is, the same for all threads, which moves on with the clock: so flows are long, and theirs together.
  const { out, back } = chaos();
  const pick = (from: readonly Template[]): Template => {
    const isAnywhere = random.below(8) === 0, at = Atomics.load(words, Word.seconds) * 5;
    return from[(isAnywhere ? random.below(from.length) : at + random.below(160)) % from.length];
  };
  while (Atomics.load(words, Word.stop) === 0) for (let i = 0; i < 64; i++) send(pick(random.below(3) === 0 ? back : out));
}
gateway.tick((FIRST_NOW + Atomics.load(words, Word.seconds)) * 1000);
gateway.leave();
const report: HammerReport = {
  worker: start.worker, packets, fast: countFast(gateway), fates, wrong, ledgerIn: gateway.received,
  outside: Object.fromEntries([...outside].map(([name, ends]) => [name, [...ends]])),
};
parentPort?.postMessage(report);
