/**
 * A record that is free again becomes another flow's while somebody looks at it, between any two of the words that he reads: only who
 * had found it before it was taken out is waited for. So a look must not put words of two flows together.
 */
import t from 'tap';
import { ipv4Src } from '../../../codecs/ipv4.js';
import { udpSrcPort } from '../../../codecs/udp.js';
import { FlowTable, Kind, flowKey, flowWords } from '../../../pipeline/tables/flows.js';
import type { NatState } from '../../../pipeline/tables/nat-state.js';
import { Quiet, makeQuietMemory } from '../../../pipeline/tables/quiet.js';
import { betweenReads, watch } from '../../support/crash-points.js';
import { Crew, compileAll } from '../../support/crew.js';
import { vmDatagram, type Datagram } from '../../support/datagrams.js';
import { ip4, udp } from '../../support/frames.js';
import { FAR, makeConfig, vm } from '../../support/world.js';

const UDP = 17, GRE_LEN = 4, IPV4_LEN = 20;
const KEY = flowKey(1, UDP, Kind.fromHost), HASH = 12345;
type Key = readonly [src: number, dst: number, ports: number];

/** Look for a flow that is gone. Its record is freed before read `freed`, and is `other`'s before read `k`. */
function lookUp(how: 'peek' | 'find', other: Key, freed: number, k: number): { found: number; reads: number; isSamePlace: boolean } {
  const gone: Key = [1, 2, 3], sizes = { sessions: 8, plain: 8 };
  const memory = new SharedArrayBuffer(flowWords(sizes) * 4), quiet = new Quiet(makeQuietMemory(1));
  const table = watch(() => new FlowTable(new Int32Array(memory), sizes, 7, 1, quiet)), others = new FlowTable(new Int32Array(memory), sizes, 7, 2, quiet);
  const add = (key: Key): number => {
    const at = others.claim(HASH);
    others.publish(at, KEY, ...key, 1, 1, 1, 1);
    return at;
  };
  quiet.pass(0);
  const old = add(gone);
  others.remove(old);
  for (let i = 0; i < 2; i++) {
    quiet.advance();
    quiet.pass(0);
  }
  let found = -1, added = old;
  const reads = betweenReads(read => {
    if (read === freed) others.recycle(old);
    if (read === k) added = add(other);
  }, () => { found = table[how](KEY, ...gone, HASH); });
  return { found, reads, isSamePlace: added === old };
}

t.test('a look-up for a flow that is gone does not find the one that gets its place meanwhile', async t => {
  for (const how of ['peek', 'find'] as const) {
    for (const other of [[9, 2, 3], [1, 9, 3], [1, 2, 9], [9, 9, 9]] as const) {
      const wrong: string[] = [];
      let runs = 0;
      for (let freed = 1, reads = 1; freed <= reads; freed++) {
        for (let k = freed; k <= reads; k++, runs++) {
          const run = lookUp(how, other, freed, k);
          reads = run.reads;
          if (run.found >= 0 || !run.isSamePlace) wrong.push(`freed before read ${freed}, another’s before read ${k}`);
        }
      }
      t.same(wrong, [], `${how}, ${other.join(' ')}: ${runs} orders`);
      t.ok(runs > 20);
    }
  }
});

const A = vm('nv4');
const READER = 0, OTHER = 1;
const { policies, sizes: all } = compileAll([makeConfig(config => { Object.assign(config.gateway.limits, { tenants: 4, sessions: 4, bindings: 64, subscribers: 4, portBlocks: 4, connections: 4, fragments: 4, heldFragments: 4 }); })]);
const sizes = { ...all, nat: { ...all.nat, plain: 0 } };
const from = (port: number): Datagram => vmDatagram(A, udp(A.ca, port, FAR, 53, 'x'));

function endOf(nat: NatState, port: number): string {
  return [...nat.sessions()].filter(session => nat.sessionInsidePort(session) === port).map(session => `${nat.sessionOutside(session)}:${nat.sessionOutsidePort(session)}`).join(' and ');
}

/** A packet of a flow whose session is over; before read `k` another flow gets its record. How it left, and by which end it had to. */
function sendBetween(k: number): { reads: number; left: string; own: string } {
  const crew = new Crew({ policy: policies[0], sizes, workers: 2, build: (worker, make) => (worker === READER ? watch(make) : make()) });
  const { nat } = crew.overseer, { flows } = nat, quiet = new Quiet(crew.state.quiet);
  const homeOf = (port: number): number => flows.first(flows.hash(crew.policy.tenants.names.indexOf('red') << 8 | UDP, ip4(A.ca) | 0, ip4(FAR) | 0, port << 16 | 53));
  const port = 5000, home = homeOf(port);
  let same = port + 1;
  while (homeOf(same) !== home) same++;
  crew.send(OTHER, from(port));
  if (!nat.isOpen(home) || !nat.lockSession(home, true)) throw new Error('it is not at home');
  nat.close(home);
  nat.locks.unlock();
  for (let i = 0; i < 2; i++) {
    crew.gateways.forEach(gateway => gateway.tick(crew.now));
    quiet.advance();
  }
  crew.gateways.forEach(gateway => gateway.tick(crew.now));
  const reads = betweenReads(read => {
    if (read !== k) return;
    flows.recycle(home);
    crew.send(OTHER, from(same));
    if (nat.sessionInsidePort(home) !== same) throw new Error('the other is not at home');
  }, () => { crew.send(READER, from(port)); });
  const mine = crew.sent.filter(({ worker }) => worker === READER);
  return { reads, left: mine.map(({ bytes }) => `${ipv4Src(bytes, GRE_LEN)}:${udpSrcPort(bytes, GRE_LEN + IPV4_LEN)}`).join(' and '), own: endOf(nat, port) };
}

t.test('RFC 4787 §4.1: a packet whose session is over does not leave by the one that gets its record meanwhile', async t => {
  const wrong: string[] = [];
  const { reads } = sendBetween(Infinity);
  for (let k = 1; k <= reads; k++) {
    const { left, own } = sendBetween(k);
    if (left !== own || own === '') wrong.push(`before read ${k}: left from ${left}, its session is ${own}`);
  }
  t.same(wrong, [], `whichever of ${reads} reads the other comes before`);
});
