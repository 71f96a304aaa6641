/** Real TCP through the running gateway: what opens, idles, closes and resets in every way that TCP has, and leaves no session behind. */
import t from 'tap';
import { runPart } from './script.js';

t.test('RFC 5382: real TCP outlives what real TCP does, and the session table drains to zero', async t => {
  await runPart(t, 'tcp');
});
