/** Rules that measure among workers: each has its own row of counts and its own notes, and the sum is what was sent. */
import t from 'tap';
import { MOST_METERS, MeterCache } from '../../../pipeline/acl/meter-cache.js';
import { makeTallies, sumTally, Tallies } from '../../../pipeline/acl/tallies.js';
import { FLOW_WORDS } from '../../../pipeline/tables/flows.js';
import { Crew, compileAll } from '../../support/crew.js';
import { uplinkDatagram, vmDatagram } from '../../support/datagrams.js';
import { countFast } from '../../support/fast-count.js';
import { udp } from '../../support/frames.js';
import { seeded } from '../../support/seeded.js';
import { FAR, LOADED_DICE, NAT_PORT, RED_POOL, makeConfig, vm } from '../../support/world.js';

const A = vm('nv4');

t.test('a worker that does not know which rules measure a flow finds out by one packet; none is lost, none counted twice', async t => {
  const { policies: [policy], sizes } = compileAll([makeConfig((_config, red) => {
    red.acls = [{ name: 'out', action: 'measure', direction: 'outbound' }, { name: 'in', action: 'measure', direction: 'inbound', local: A.ca }];
  })]);
  const crew = new Crew({ policy, sizes, workers: 3, random: () => LOADED_DICE });
  for (const gateway of crew.gateways) countFast(gateway);
  const sum = (name: string) => sumTally(policy.tallies, policy.rules.tally[policy.rules.names.indexOf(name)]);
  const ask = vmDatagram(A, udp(A.ca, 5000, FAR, 53, 'ask')), answer = uplinkDatagram('inet', udp(FAR, 53, RED_POOL, NAT_PORT, 'answer'));
  for (let i = 0; i < 30; i++) for (const datagram of [ask, answer]) t.equal(crew.send(i % 3, datagram), 'forwarded');
  t.same(sum('out'), { packets: 30, bytes: 30 * 31 });
  t.same(sum('in'), { packets: 30, bytes: 30 * 34 });
  t.same(crew.gateways.map(countFast), [18, 18, 18], 'each took the walks once a direction');
});

t.test('a note is about one record as it was: another key, lane, address or port there is another flow', async t => {
  const cache = new MeterCache();
  const at = 5 * FLOW_WORDS;
  const words = new Int32Array(16 * FLOW_WORDS);
  const write = (key: number, src: number, dst: number, ports: number, lane: number, to: number, port: number): void => words.set([key, src, dst, ports, lane, to, port << 16 | 0x81, 7], at);
  const flow = [1, 2, 3, 4, 5, 6, 7] as const;
  write(...flow);
  t.equal(cache.find(words, at), -1, 'nothing noted yet');
  cache.found.set([3, 1, 2]);
  cache.note(at, ...flow, 3);
  const note = cache.find(words, at);
  t.ok(note >= 0);
  for (let i = 0; i < flow.length; i++) {
    write(...flow.map((word, j) => (i === j ? word + 100 : word)) as unknown as typeof flow);
    t.equal(cache.find(words, at), -1, `another word ${i}`);
  }
  write(...flow);
  words[at + 6] |= 0x200; // its state and its clock say nothing about rules
  words[at + 7] = 99;
  t.equal(cache.find(words, at), note);
  const data = makeTallies(4, 1);
  cache.count(note, new Tallies(data, 0), 40);
  t.same([0, 1, 2, 3].map(tally => sumTally(data, tally)), [0, 1, 1, 1].map(n => ({ packets: n, bytes: n * 40 })));
});

/** More than there is room for. */
const FLOWS = 40_000;
const dice = seeded();
t.test(`notes that push each other out are missed, never mistaken (SEED=${dice.seed})`, async t => {
  const cache = new MeterCache();
  const words = new Int32Array(FLOWS * FLOW_WORDS);
  const told = new Map<number, readonly number[]>();
  const data = makeTallies(64, 1);
  let found = 0;
  for (let i = 0; i < 4 * FLOWS; i++) {
    const at = dice.below(FLOWS) * FLOW_WORDS, rulesOf = told.get(at);
    const note = rulesOf === undefined ? -1 : cache.find(words, at);
    if (rulesOf !== undefined && note >= 0) {
      found++;
      data.cells.fill(0);
      cache.count(note, new Tallies(data, 0), 1);
      const counted = rulesOf.every(tally => data.cells[tally * 2] === 1) && data.cells.reduce((sum, n) => sum + n, 0) === 2 * rulesOf.length;
      if (!counted) t.fail(`flow ${at} is measured by ${rulesOf.join()}, and others were counted`);
    }
    if (note >= 0 && dice.below(4) !== 0) continue;
    const rules = [...new Set(Array.from({ length: 1 + dice.below(MOST_METERS) }, () => dice.below(64)))].sort((a, b) => a - b);
    const key = [dice.u32() | 1, dice.u32(), dice.u32(), dice.u32(), dice.u32(), dice.u32()].map(word => word | 0) as [number, number, number, number, number, number], port = dice.below(65536);
    words.set([...key, port << 16 | 1, 0], at);
    cache.found.set(rules);
    cache.note(at, ...key, port, rules.length);
    told.set(at, rules);
  }
  t.ok(found > 1000, `${found} found`);
});
