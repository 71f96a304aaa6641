/** A thread that does nothing but bind, open, close and read, on a state so small that others are always at the same. */
import { parentPort, workerData } from 'node:worker_threads';
import { F_DO, F_TO, Kind, OP_MASK, Op, flowKey } from '../../pipeline/tables/flows.js';
import type { NatSizes } from '../../pipeline/tables/nat-layout.js';
import { NatState } from '../../pipeline/tables/nat-state.js';
import { Quiet } from '../../pipeline/tables/quiet.js';
import { seeded } from '../support/seeded.js';

export interface StormStart {
  readonly nat: SharedArrayBuffer;
  readonly quiet: SharedArrayBuffer;
  readonly sizes: NatSizes;
  readonly worker: number;
  readonly seed: number;
  readonly rounds: number;
  readonly go: Int32Array;
}
export interface StormReport { readonly wrong: readonly string[]; readonly binds: number; readonly opens: number; readonly closes: number; readonly refused: number }

const UDP = 17, INSIDE = 0x0a000005, OUTSIDE = 0x4b007100, REMOTE = 0x46336407;
const FIRST_PORT = 5000, INSIDES = 16, ADDRESSES = 2, PORTS = 8, REMOTES = 3;
const TIMERS = { udp: 1e9, tcpEstablished: 1e9, tcpTransitory: 1e9, tcpClosing: 1e9, icmp: 1e9, fragment: 30, fragmentHold: 2, portBlock: 120 };
/** An inside end leaves by one address: so a reader can tell another's words from those it looked for. */
const outsideOf = (i: number): number => OUTSIDE + i % ADDRESSES;

const start = workerData as StormStart;
const quiet = new Quiet(start.quiet);
const nat = new NatState(start.nat, start.sizes, quiet, start.worker + 1);
const { flows } = nat;
const random = seeded(start.seed);
const wrong: string[] = [];
const did = { binds: 0, opens: 0, closes: 0, refused: 0 };
const fail = (what: string): void => { if (wrong.length < 10) wrong.push(what); };

/** Under the lock: whatever is right for this session now. */
function write(i: number, remotePort: number): void {
  const port = FIRST_PORT + i;
  const session = nat.findSession(1, UDP, INSIDE, port, REMOTE, remotePort);
  if (session >= 0) {
    if (nat.bindingOf(session) < 0) fail(`session of ${port} without a binding`);
    const back = nat.findInbound(UDP, nat.sessionOutside(session), nat.sessionOutsidePort(session), REMOTE, remotePort);
    if (back < 0 || flows.words[back + F_TO] !== INSIDE || flows.words[back + F_DO] >>> 16 !== port) fail(`session of ${port} without an inbound record of its own`);
    if (random.below(3) === 0) {
      nat.move(session, random.below(8), true);
      return;
    }
    nat.close(session);
    did.closes++;
    return;
  }
  let binding = nat.findInside(1, UDP, INSIDE, port, 100, TIMERS);
  if (binding < 0) {
    const outsidePort = random.below(PORTS);
    binding = nat.bind(1, UDP, INSIDE, port, outsideOf(i), outsidePort, false, 1, 100);
    if (binding < 0) {
      did.refused++;
      return;
    }
    did.binds++;
    if (nat.findOutside(UDP, outsideOf(i), outsidePort) !== binding) fail(`another has ${port}’s outside end`);
  } else if (nat.insidePort(binding) !== port) {
    fail(`findInside says the binding of ${nat.insidePort(binding)} for ${port}`);
  }
  if (nat.open(binding, REMOTE, remotePort, 0, true, 1, 100) < 0) {
    did.refused++;
    if (!nat.hasSessions(binding)) nat.unbind(binding);
  } else {
    did.opens++;
  }
}

/** As packets do it, without a lock. What is found may be gone in the next moment, and is this key's all the same. */
function read(i: number, remotePort: number): void {
  const port = FIRST_PORT + i, ports = port << 16 | remotePort;
  const at = flows.peek(flowKey(1, UDP, Kind.fromHost), INSIDE, REMOTE, ports, flows.hash(1 << 8 | UDP, INSIDE, REMOTE, ports));
  if (at >= 0) {
    for (let turn = random.below(200); turn > 0; turn--) flows.words[at]; // a packet takes its time
    const to = flows.words[at + F_TO], op = flows.words[at + F_DO];
    if ((to !== 0 && to !== outsideOf(i)) || (op !== 0 && ((op & OP_MASK) !== Op.natOut || op >>> 16 >= PORTS))) fail(`the record of ${port} leads to ${to.toString(16)}, ${op.toString(16)}`);
  }
  const address = OUTSIDE + random.below(ADDRESSES), outsidePort = random.below(PORTS);
  const binding = nat.findOutside(UDP, address, outsidePort);
  if (binding < 0) return;
  for (let turn = random.below(200); turn > 0; turn--) nat.inside(binding);
  const inside = nat.insidePort(binding) - FIRST_PORT;
  if (outsideOf(inside) !== address || nat.outsidePort(binding) !== outsidePort) fail(`the binding of ${address.toString(16)}:${outsidePort} turned into another’s in one’s hands`);
}

quiet.pass(start.worker);
parentPort?.postMessage('ready');
Atomics.wait(start.go, 0, 0);
for (let round = 0; round < start.rounds; round++) {
  const i = random.below(INSIDES);
  nat.lockInside(1, UDP, INSIDE, FIRST_PORT + i);
  write(i, random.below(REMOTES));
  nat.locks.unlock();
  read(random.below(INSIDES), random.below(REMOTES));
  if (round % 4 === 0) quiet.pass(start.worker);
}
quiet.leave(start.worker);
const report: StormReport = { wrong, ...did };
parentPort?.postMessage(report);
