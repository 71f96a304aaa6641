import t from 'tap';
import { readConfig } from '../../config/index.js';
import { compileConfig, TenantIds } from '../../daemon/tables.js';
import { addressWords, PeerFinder } from '../../daemon/worker/senders.js';
import { Policy } from '../../pipeline/policy.js';
import { seededRandom } from '../../pipeline/random.js';

/** Hosts at these PAs, h0 the first. */
function policyOf(...pas: string[]): Policy {
  const { config, problems } = readConfig(JSON.stringify({
    gateway: { name: 'g', listen: ['192.0.2.254', '2001:db8::fe'] },
    hosts: pas.map((pa, i) => ({ name: `h${i}`, pa, encap: 'nvgre' })),
    tenants: [],
  }), 'test.jsonc');
  if (config === undefined) throw new Error(JSON.stringify(problems));
  return new Policy(compileConfig(config, new TenantIds(1), 1, 1));
}

t.test('a PA without a port is found from any port, one with a port from that alone, however Node spells the address', async t => {
  const finder = new PeerFinder(policyOf('192.0.2.1', '192.0.2.2:4001', '192.0.2.2:4002', '2001:db8::7', '[2001:db8::8]:4003'));
  for (let again = 0; again < 2; again++) {
    t.equal(finder.find('192.0.2.1', 1), 0);
    t.equal(finder.find('192.0.2.1', 65535), 0);
    t.equal(finder.find('::ffff:192.0.2.1', 1), 0);
    t.equal(finder.find('192.0.2.2', 4001), 1);
    t.equal(finder.find('192.0.2.2', 4002), 2);
    t.equal(finder.find('192.0.2.2', 4003), -1);
    t.equal(finder.find('2001:db8::7', 4003), 3);
    t.equal(finder.find('2001:db8::8', 4003), 4);
    t.equal(finder.find('2001:db8::8', 4004), -1);
    t.equal(finder.find('192.0.2.3', 4001), -1);
    t.equal(finder.find('nonsense', 1), -1);
    t.equal(finder.find('', 1), -1);
  }
});

t.test('what a finder remembers is forgotten when peers are numbered anew', async t => {
  const finder = new PeerFinder(policyOf('192.0.2.1', '192.0.2.2'));
  t.equal(finder.find('192.0.2.1', 7), 0);
  t.equal(finder.find('192.0.2.2', 7), 1);
  finder.adopt(policyOf('192.0.2.2:7'));
  t.equal(finder.find('192.0.2.1', 7), -1);
  t.equal(finder.find('192.0.2.2', 7), 0);
  t.equal(finder.find('192.0.2.2', 8), -1);
});

t.test('with its memory it says the same as without, for 20,000 senders of whom most are strangers', async t => {
  const pas = ['192.0.2.1', '192.0.2.17:4001', '192.0.2.17:4002', '10.0.0.33', '2001:db8::1', '[2001:db8::2]:4001'];
  const policy = policyOf(...pas);
  const finder = new PeerFinder(policy);
  const addresses = ['192.0.2.1', '192.0.2.17', '10.0.0.33', '2001:db8::1', '2001:db8::2', '2001:db8::3'];
  const random = seededRandom(7);
  let wrong = 0, strangers = 0;
  for (let i = 0; i < 20_000; i++) {
    const address = random.next() % 2 === 0 ? addresses[random.next() % addresses.length] : `192.0.${random.next() % 64}.${random.next() % 256}`;
    const port = 4001 + random.next() % 3;
    const words = addressWords(address)!;
    const want = policy.findSender(words[0], words[1], words[2], words[3], port);
    if (want < 0) strangers++;
    if (finder.find(address, port) !== want) wrong++;
  }
  t.equal(wrong, 0);
  t.ok(strangers > 9000, `${strangers} strangers`);
});
