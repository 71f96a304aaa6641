import t from 'tap';
import type { Socket } from 'node:dgram';
import { Receiver } from '../../daemon/worker/receiver.js';
import { makeSocket } from '../../daemon/worker/sockets.js';
import { addressWords, makeAddressReader } from '../../daemon/worker/senders.js';
import { Carrier, Side } from '../../pipeline/packet.js';
import { Peer, until } from './daemon.js';

const LISTEN = { side: Side.both, carrier: Carrier.gre, family: 4, address: '127.0.0.1', port: 0 } as const;

t.test('a receive socket that fails is opened again on its port, and goes on delivering', async t => {
  const made: Socket[] = [];
  const got: string[] = [], failed: string[] = [];
  const receiver = new Receiver({
    listen: LISTEN, bufferBytes: 262144, deliver: datagram => got.push(datagram.toString()), failed: code => failed.push(code),
    makeSocket: family => { const socket = makeSocket(family); made.push(socket); return socket; },
  });
  const { port } = await receiver.open();
  const peer = await Peer.open();
  t.teardown(() => { receiver.close(); peer.close(); });
  peer.send(Buffer.from('before'), port);
  await until('the first datagram', () => got.length === 1 || undefined);

  made[0].emit('error', Object.assign(new Error('recvmsg ENOMEM'), { code: 'ENOMEM' }));
  await until('another socket', () => made.length === 2 || undefined);
  await until('a datagram through it', () => {
    peer.send(Buffer.from('after'), port);
    return got.includes('after') || undefined;
  });
  t.same(failed, ['ENOMEM']);
  made[0].emit('error', new Error('late news of a socket that is gone'));
  t.same(failed, ['ENOMEM']);
});

t.test('a port that is taken is said in words that keep the code', async t => {
  const parts = { listen: LISTEN, bufferBytes: 262144, deliver: () => {}, failed: () => {}, makeSocket };
  const first = new Receiver(parts);
  const { port } = await first.open();
  t.teardown(() => first.close());
  await t.rejects(new Receiver({ ...parts, listen: { ...LISTEN, port } }).open(), { message: `cannot bind 127.0.0.1 port ${port}: another program has it (EADDRINUSE)`, code: 'EADDRINUSE' });
});

t.test('every spelling of a sender that Node gives is read', async t => {
  const v4 = [0, 0, 0xffff, 0xc0000201];
  t.same(addressWords('192.0.2.1'), v4);
  t.same(addressWords('::ffff:192.0.2.1'), v4);
  t.same(addressWords('2001:db8::7'), [0x20010db8, 0, 0, 7]);
  t.same(addressWords('fe80::1%eth0'), [0xfe800000, 0, 0, 1]);
  t.equal(addressWords('nonsense'), undefined);
  const read = makeAddressReader();
  for (let i = 0; i < 5000; i++) read(`10.0.${i >> 8}.${i & 255}`);
  t.same(read('10.0.0.1'), [0, 0, 0xffff, 0x0a000001], 'however many came before');
});
