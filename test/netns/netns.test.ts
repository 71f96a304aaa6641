/** Real Linux as tenant host and as the Internet, in namespaces of its own. */
import t from 'tap';
import { runPart } from './script.js';

t.test('kernel VXLAN hosts reach each other, the Internet and the physical network through the gateway', async t => {
  await runPart(t, 'walks');
});
