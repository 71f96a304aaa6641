import t from 'tap';
import type { Logger } from '../../daemon/control/log.js';
import { PressureWatch, pressures, type Pressure } from '../../daemon/control/pressure.js';
import { Crew, compileAll } from '../support/crew.js';
import { vmDatagram } from '../support/datagrams.js';
import { udp } from '../support/frames.js';
import { FAR, makeConfig, vm } from '../support/world.js';

const A = vm('nv4');

t.test('four fifths of a limit are said in the log once, and once that it is over', async t => {
  const said: [string, Record<string, unknown>, string][] = [];
  const log = Object.fromEntries((['warn', 'info'] as const).map(level => [level, (fields: Record<string, unknown>, msg: string) => said.push([level, fields, msg])])) as unknown as Logger;
  const watch = new PressureWatch(log);
  const look = (used: number, tenant: string | null = 'red', limit = 10): void => watch.look([{ what: 'NAT sessions', tenant, used, limit, see: 'tenants[].limits.sessions' }]);
  look(7);
  t.same(said, []);
  look(8);
  look(9);
  t.same(said.splice(0), [['warn', { what: 'NAT sessions', tenant: 'red', used: 8, limit: 10, see: 'tenants[].limits.sessions' }, 'four fifths in use']]);
  look(7.5);
  t.same(said, [], 'not at every step to and fro');
  look(7);
  look(6);
  t.same(said.splice(0), [['info', { what: 'NAT sessions', tenant: 'red', used: 7, limit: 10 }, 'less than four fifths in use again']]);
  look(10, null);
  t.same(said.splice(0).map(([level, fields]) => [level, 'tenant' in fields]), [['warn', false]]);
  watch.look([]);
  look(9, null);
  t.equal(said.length, 1, 'a limit that went and came back is a new one');
});

t.test('tables, quotas and pools are what can run out', async t => {
  const { policies, sizes } = compileAll([makeConfig((_config, red) => { Object.assign(red, { limits: { sessions: 4, bindings: 8 } }); })]);
  const crew = new Crew({ policy: policies[0], sizes, workers: 1 });
  for (let port = 1; port <= 3; port++) crew.send(0, vmDatagram(A, udp(A.ca, port, FAR, 53)));
  crew.send(0, vmDatagram(A, udp(A.ca, 1, FAR, 54)));
  const all = pressures(crew.overseer, crew.policy, [[0, '-'], [1, 'red'], [2, 'blue'], [3, 'gone']]);
  const words = (of: readonly Pressure[]): unknown[] => of.map(({ what, tenant, used, limit }) => [what, tenant, used, limit]);
  t.same(words(all), [
    ['NAT sessions', null, 4, 64], ['NAT bindings', null, 3, 48], ['inside addresses with NAT state', null, 1, 24], ['port blocks', null, 1, 24], ['connections', null, 0, sizes.connections.connections],
    ['NAT sessions', 'red', 4, 4], ['NAT bindings', 'red', 3, 8], ['port blocks of the pool', 'red', 1, 252], ['port blocks of the pool', 'blue', 0, 252],
  ]);
});
