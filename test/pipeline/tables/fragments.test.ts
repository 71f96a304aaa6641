import t from 'tap';
import { Fit, FragmentTable, makeFragmentMemory, type FragmentSizes, type Held } from '../../../pipeline/tables/fragments.js';
import { seeded } from '../../support/seeded.js';

const NOTHING: Held = { at: 0, end: 0, tag: 0, carrier: 0, side: 0, peer: 0, generation: 0, scope: 0 };
/** Bytes of a datagram behind a header of 20. */
const MOST = 65515;
function make(sizes: Partial<FragmentSizes> = {}): FragmentTable {
  const all = { datagrams: 4, slots: 3, slotBytes: 64, holders: 3, ...sizes };
  return new FragmentTable(makeFragmentMemory(all, 9), all, 1);
}
function add(table: FragmentTable, id: number, scope = 1, expires = 100): number {
  return table.add(scope, scope % 3, 0, 0, 0xffff, 1, 0, 0, 0xffff, 2, id, expires);
}
function find(table: FragmentTable, id: number, scope = 1): number {
  return table.find(scope, 0, 0, 0xffff, 1, 0, 0, 0xffff, 2, id);
}

t.test('a datagram is known by scope, addresses and id together', async t => {
  const table = make();
  const entry = add(table, 7);
  t.equal(find(table, 7), entry);
  t.equal(find(table, 8), -1);
  t.equal(find(table, 7, 2), -1, 'another scope');
  t.equal(table.find(1, 0, 0, 0xffff, 2, 0, 0, 0xffff, 1, 7), -1, 'the other direction');
  t.equal(table.find(1, 0, 1, 0xffff, 1, 0, 1, 0xffff, 2, 7), -1, 'words that cancel out in the hash');
  t.notOk(table.isKnown(entry));
  table.know(entry, 17, 0xffff0035, 24, MOST, 130);
  t.ok(table.isKnown(entry));
  t.same([table.protocol(entry), table.ports(entry), table.expires(entry), table.scope(entry)], [17, 0xffff0035, 130, 1]);
});

t.test('held datagrams come back oldest first, byte for byte, with how they came', async t => {
  const table = make();
  const entry = add(table, 7);
  for (let i = 0; i < 3; i++) t.ok(table.hold(entry, 1, new Uint8Array(80).fill(i), 10, 20 + i, 100 + i, 1, 2, 5, 9));
  t.notOk(table.hold(entry, 1, new Uint8Array(8), 0, 8, 0, 0, 0, 0, 0), 'three slots, not four');
  const held = { ...NOTHING };
  t.equal(table.release(entry, held), null, 'not before the first is known');
  table.know(entry, 17, 0, 8, MOST, 100);
  for (let i = 0; i < 3; i++) {
    t.same(table.release(entry, held), new Uint8Array(10 + i).fill(i));
    t.match(held, { tag: 100 + i, carrier: 1, side: 2, peer: 5, generation: 9 });
  }
  t.equal(table.release(entry, held), null);
  t.ok(table.hold(entry, 1, new Uint8Array(64), 0, 64, 0, 0, 0, 0, 0), 'a slot’s whole length');
  t.notOk(table.hold(entry, 1, new Uint8Array(65), 0, 65, 0, 0, 0, 0, 0), 'and one byte more');
});

t.test('a tenant gets as many slots as it leaves free, so however many take all they can, the next one finds room', async t => {
  const table = make({ slots: 80 });
  const [red, blue, green] = [add(table, 1), add(table, 2), add(table, 3)];
  const hold = (entry: number, tenant: number): boolean => table.hold(entry, tenant, new Uint8Array(8), 0, 8, 0, 0, 0, 0, 0);
  for (let i = 0; i < 40; i++) t.ok(hold(red, 1), `slot ${i}`);
  t.notOk(hold(red, 1), 'half, not more');
  for (let i = 0; i < 20; i++) t.ok(hold(blue, 2), `slot ${40 + i}`);
  t.notOk(hold(blue, 2), 'half of what was left');
  t.ok(hold(green, 3));
  for (let i = 0; i < 24; i++) t.notOk(hold(red, 1), 'one that has more than is free waits until others are done');

  table.know(red, 17, 0, 8, MOST, 100);
  for (let i = 0; i < 21; i++) t.ok(table.release(red, { ...NOTHING }));
  t.ok(hold(red, 1), 'slots that came free count no more');
});

t.test('no datagrams or no slots at all is a table that refuses, not one that breaks', async t => {
  const none = make({ slots: 0 });
  const entry = add(none, 1);
  t.notOk(none.hold(entry, 1, new Uint8Array(8), 0, 8, 0, 0, 0, 0, 0));
  t.equal(none.release(entry, { ...NOTHING }), null);
  const full = make({ datagrams: 1 }); // with one that waits: it does not give way
  t.equal(add(full, 1), 0);
  t.equal(add(full, 2), -1);
  full.remove(0);
  t.equal(add(full, 2), 0);
});

t.test('whatever is added, known, held, released and expired in whatever order, the table agrees with a plain map', async t => {
  const random = seeded();
  const sizes = { datagrams: 12, slots: 10, slotBytes: 32, holders: 3 };
  const table = make(sizes);
  const model = new Map<string, { entry: number; scope: number; known: boolean; expires: number; ports: number; held: { tag: number; bytes: number[] }[] }>();
  const wrong: string[] = [];
  const held = { ...NOTHING };
  let now = 0, tag = 0;

  const drain = (name: string): void => {
    const row = model.get(name);
    if (row === undefined) return;
    for (const want of row.held) {
      const bytes = table.release(row.entry, held);
      if (bytes === null) { wrong.push(`${name} gives back too little`); return; }
      if (held.tag !== want.tag || bytes.join() !== want.bytes.join()) wrong.push(`${name} gives back ${held.tag}: ${bytes.join()}, not ${want.tag}: ${want.bytes.join()}`);
    }
    if (table.release(row.entry, held) !== null) wrong.push(`${name} gives back too much`);
    row.held = [];
  };

  for (let step = 0; step < 20_000 && wrong.length === 0; step++) {
    const id = random.below(8), scope = random.below(3);
    const name = `${scope} ${id}`;
    const row = model.get(name);
    if (find(table, id, scope) !== (row?.entry ?? -1)) wrong.push(`${name}: find says ${find(table, id, scope)}, the model ${row?.entry}`);
    switch (random.below(6)) {
      case 0: case 1:
        if (row === undefined) {
          const mayGo = [...model].filter(([, other]) => other.known && other.held.length === 0);
          const isFull = model.size === sizes.datagrams;
          const entry = add(table, id, scope, now + 5);
          if ((entry < 0) !== (isFull && mayGo.length === 0)) wrong.push(`add says ${entry} with ${model.size} entries, ${mayGo.length} of which may go`);
          if (isFull && entry >= 0) {
            const [gone, was] = mayGo.find(([, other]) => other.entry === entry) ?? ['nobody', undefined];
            if (was === undefined || mayGo.some(([, other]) => other.expires < was.expires)) wrong.push(`${gone} had to go`);
            model.delete(gone);
          }
          if (entry >= 0) model.set(name, { entry, scope, known: false, expires: now + 5, ports: 0, held: [] });
        }
        break;
      case 2:
        if (row !== undefined) {
          row.known = true;
          row.ports = random.u32();
          row.expires = now + 10;
          table.know(row.entry, 17, row.ports, 8, MOST, row.expires);
          drain(name);
        }
        break;
      case 3: case 4:
        if (row !== undefined && !row.known) {
          const bytes = Array.from({ length: random.below(33) }, () => random.below(256));
          const used = [...model.values()].reduce((sum, other) => sum + other.held.length, 0);
          const kept = table.hold(row.entry, scope, Uint8Array.from(bytes), 0, bytes.length, ++tag, 0, 0, 0, 0);
          const own = [...model.values()].reduce((sum, other) => sum + (other.scope === scope ? other.held.length : 0), 0);
          if (kept !== (used < sizes.slots && own < 16)) wrong.push(`hold says ${kept} with ${used} slots in use, ${own} by the tenant`);
          if (kept) row.held.push({ tag, bytes });
        }
        break;
      default:
        now += random.below(3);
        for (let entry = table.expired(now, sizes.datagrams); entry >= 0; entry = table.expired(now, sizes.datagrams)) {
          const found = [...model].find(([, other]) => other.entry === entry);
          if (found === undefined || found[1].expires > now) { wrong.push(`entry ${entry} expired too early`); break; }
          let overdue = 0;
          while (table.takeOverdue(entry, now, held)) if (held.tag !== found[1].held[overdue++]?.tag) wrong.push(`entry ${entry} gives back ${held.tag}`);
          if (overdue !== found[1].held.length) wrong.push(`entry ${entry} gives back ${overdue} and not ${found[1].held.length}`);
          model.delete(found[0]);
        }
        if ([...model.values()].some(other => other.expires <= now)) wrong.push('something was not expired');
    }
    if (table.count !== model.size) wrong.push(`${table.count} entries, the model has ${model.size}`);
    for (const other of model.values()) if (other.ports !== 0 && table.ports(other.entry) !== other.ports) wrong.push('ports of another');
  }
  t.same(wrong, [], `seed ${random.seed}`);
});

t.test('what another thread sees is the same table; a datagram comes out of its slot once', async t => {
  const sizes = { datagrams: 4, slots: 3, slotBytes: 64, holders: 3 };
  const memory = makeFragmentMemory(sizes, 9);
  const [here, there] = [new FragmentTable(memory, sizes, 1), new FragmentTable(memory, sizes, 2)];
  const entry = add(here, 7);
  t.ok(here.hold(entry, 1, new Uint8Array(8).fill(3), 0, 8, 1, 0, 0, 0, 0));
  t.equal(find(there, 7), entry);
  there.know(entry, 17, 0, 8, MOST, 100);
  t.same(there.release(entry, { ...NOTHING }), new Uint8Array(8).fill(3));
  t.equal(here.release(entry, { ...NOTHING }), null);
  t.notOk(here.takeOverdue(entry, 99, { ...NOTHING }), 'its time is not up');
  t.equal(here.count, 1);
  t.notOk(here.takeOverdue(entry, 100, { ...NOTHING }));
  t.equal(there.count, 0, 'nothing was left in it, so it went');
});

t.test('RFC 5722 §3: whatever comes in whatever order, no byte is let through twice, none behind the end, and the datagram ends where its last fragment does', async t => {
  const random = seeded();
  const wrong: string[] = [];
  for (let round = 0; round < 3000 && wrong.length === 0; round++) {
    const table = make();
    const entry = add(table, 1);
    const most = 8 * (2 + random.below(60));
    const came = new Set<number>(); // bytes
    const firstLen = 8 * (1 + random.below(3));
    let end = 0, isBroken = false, reach = firstLen;
    for (let byte = 0; byte < firstLen; byte++) came.add(byte);
    table.know(entry, 17, 0, firstLen, most, 100);
    for (let i = 0; i < 40; i++) {
      const from = 8 * (1 + random.below(62)), isLast = random.below(8) === 0, len = isLast ? 1 + random.below(24) : 8 * (1 + random.below(4)), to = from + len;
      // A last fragment takes the whole unit that it begins.
      const bytes = Array.from({ length: Math.ceil(len / 8) * 8 }, (_, n) => from + n), known = bytes.filter(byte => came.has(byte)).length;
      const want = isBroken ? Fit.overlap : to > most || (end !== 0 && (to > end || (isLast && to !== end))) || (isLast && reach > Math.ceil(to / 8) * 8) ? Fit.beyond : known > 0 ? Fit.overlap : Fit.fits;
      const said = table.note(entry, from, len, isLast, 100);
      if (said !== want) wrong.push(`round ${round}, ${from} to ${to}${isLast ? ', the last' : ''}: ${said} and not ${want}`);
      if (said === Fit.overlap && known < bytes.length) isBroken = true;
      if (said !== Fit.fits) continue;
      bytes.forEach(byte => came.add(byte));
      reach = Math.max(reach, Math.ceil(to / 8) * 8);
      if (isLast) end = to;
      if (table.isComplete(entry) !== (end !== 0 && came.size === Math.ceil(end / 8) * 8)) wrong.push(`round ${round}: complete is ${table.isComplete(entry)} with ${came.size} of ${end} bytes`);
    }
  }
  t.same(wrong, [], `seed ${random.seed}`);
});

t.test('REQ-14a: the memory for one datagram is bounded: 58 fragments in the worst of orders are told apart, and more holes refuse the next', async t => {
  const table = make();
  const entry = add(table, 1);
  table.know(entry, 17, 0, 8, MOST, 100);
  for (let i = 1; i < 29; i++) t.equal(table.note(entry, 16 * i, 8, false, 100), Fit.fits, `every other one, ${i}`);
  t.equal(table.note(entry, 16 * 29, 8, false, 100), Fit.gaps);
  for (let i = 0; i < 29; i++) t.equal(table.note(entry, 16 * i + 8, 8, i === 28, 100), Fit.fits, `what lay between, ${i}`);
  t.ok(table.isComplete(entry));
});

t.test('a datagram that is complete need not be remembered for long', async t => {
  const table = make();
  const entry = add(table, 1);
  table.know(entry, 17, 0, 8, MOST, 130);
  t.equal(table.note(entry, 16, 5, true, 102), Fit.fits);
  t.equal(table.expires(entry), 130);
  t.equal(table.note(entry, 8, 8, false, 103), Fit.fits);
  t.equal(table.expires(entry), 103);
});

t.test('REQ-14a: when the table is full, the datagrams of whoever has more than a share give way first, whoever asks', async t => {
  const table = make({ datagrams: 68 });
  const put = (holder: number, id: number, expires: number): number => {
    const entry = table.add(holder, holder, 0, 0, 0xffff, 1, 0, 0, 0xffff, 2, id, expires);
    if (entry >= 0) table.know(entry, 17, 0, 8, MOST, expires);
    return entry;
  };
  const quiet = Array.from({ length: 8 }, (_, i) => put(2, i, 10 + i)); // the oldest of all
  for (let i = 0; i < 200; i++) t.ok(put(1, 1000 + i, 100 + i) >= 0, `flood ${i}`);
  t.same(quiet.map((_, i) => find(table, i, 2)), quiet, 'nobody else had to go');
  t.ok(put(2, 99, 400) >= 0, 'and there is room for others');
  t.same(quiet.map((_, i) => find(table, i, 2)), quiet);
});
