/** Stateful rules, static mappings, hairpins and NETMAP, with real Linux on all sides. */
import t from 'tap';
import { runPart } from './script.js';

t.test('kernels speak through stateful rules, 1:1 addresses, hairpins and the maps of a site that overlaps, and leave no state behind', async t => {
  await runPart(t, 'policy');
});
