/** The table of RFC 6146 §3.5.2.2, row by row: state, segment, side, next state, seconds that are set (0: unchanged). */
import t from 'tap';
import { IpProtocol } from '../../../codecs/ip-protocol.js';
import { TcpFlag } from '../../../codecs/tcp.js';
import { TCP_STATE_NAMES, TcpState, isOpening, letsPass, refreshes, sessionLifetime, tcpNext } from '../../../pipeline/nat/tcp-state.js';

const { fin, syn, rst, ack, psh } = TcpFlag;
const S = TcpState;
const TIMERS = { udp: 300, tcpEstablished: 7440, tcpTransitory: 240, tcpClosing: 250, icmp: 60, fragment: 30, fragmentHold: 2, portBlock: 120 };
const IN = true, OUT = false; // who sent it: the inside, the outside

const rows: [name: string, state: number, flags: number, fromInside: boolean, next: number, seconds: number][] = [
  ['inside SYN again', S.inInit, syn, IN, S.inInit, 240],
  ['outside SYN: simultaneous open', S.inInit, syn, OUT, S.established, 7440],
  ['outside SYN+ACK', S.inInit, syn | ack, OUT, S.established, 7440],
  ['outside RST: refused, and the timer goes on', S.inInit, rst | ack, OUT, S.inInit, 0],
  ['inside RST: refused, and the timer goes on', S.outInit, rst | ack, IN, S.outInit, 0],
  ['outside SYN again', S.outInit, syn, OUT, S.outInit, 240],
  ['inside SYN+ACK', S.outInit, syn | ack, IN, S.established, 7440],
  ['inside SYN: simultaneous open', S.outInit, syn, IN, S.established, 7440],
  ['data', S.established, ack | psh, IN, S.established, 7440],
  ['inside FIN', S.established, fin | ack, IN, S.inFin, 0],
  ['outside FIN', S.established, fin | ack, OUT, S.outFin, 0],
  ['inside RST', S.established, rst, IN, S.trans, 250],
  ['outside RST', S.established, rst | ack, OUT, S.trans, 250],
  ['data after the inside’s FIN', S.inFin, ack, OUT, S.inFin, 7440],
  ['inside FIN again', S.inFin, fin | ack, IN, S.inFin, 7440],
  ['both have closed, outside last', S.inFin, fin | ack, OUT, S.bothFin, 250],
  ['data after the outside’s FIN', S.outFin, ack, IN, S.outFin, 7440],
  ['both have closed, inside last', S.outFin, fin | ack, IN, S.bothFin, 250],
  ['the last ACK extends nothing', S.bothFin, ack, OUT, S.bothFin, 0],
  ['inside SYN: it begins anew, though the outside never closed', S.inFin, syn, IN, S.inInit, 240],
  ['outside SYN: what the inside closed stays closed', S.inFin, syn, OUT, S.inFin, 7440],
  ['outside SYN: it begins anew, though the inside never closed', S.outFin, syn, OUT, S.outInit, 240],
  ['inside SYN: the port pair is used again', S.bothFin, syn, IN, S.inInit, 240],
  ['outside SYN: the port pair is used again', S.bothFin, syn, OUT, S.outInit, 240],
  ['a late SYN+ACK opens nothing', S.bothFin, syn | ack, OUT, S.bothFin, 0],
  ['data after a reset: it was forged', S.trans, ack | psh, IN, S.established, 7440],
  ['another reset extends nothing', S.trans, rst, OUT, S.trans, 0],
  ['a FIN after a reset: it was forged, and the inside has closed', S.trans, fin | ack, IN, S.inFin, 0],
  ['inside RST in place of the FIN that is due', S.outFin, rst | ack, IN, S.trans, 250],
  ['outside RST', S.inFin, rst, OUT, S.trans, 250],
  ['a reset where both have closed extends nothing', S.bothFin, rst, IN, S.bothFin, 0],
];
for (const [name, state, flags, fromInside, next, seconds] of rows) {
  t.test(`RFC 6146 §3.5.2.2: ${TCP_STATE_NAMES[state]}, ${name}`, async t => {
    t.equal(TCP_STATE_NAMES[tcpNext(state, flags, fromInside)], TCP_STATE_NAMES[next]);
    t.equal(refreshes(state, next, flags) ? sessionLifetime(IpProtocol.tcp, next, TIMERS) : 0, seconds);
  });
}

t.test('wire-facts §2.4: only a SYN without ACK, RST or FIN opens; ECN bits may come along', async t => {
  t.ok(isOpening(syn));
  t.ok(isOpening(syn | 0xc0), 'RFC 3168 §6.1.1');
  for (const flags of [0, ack, syn | ack, syn | fin, syn | rst, fin, rst, 0x3f]) t.notOk(isOpening(flags), flags.toString(16));
});

t.test('segments that pass unseen are those that would change nothing: in every state that lets them, neither state nor whether they refresh', async t => {
  for (const state of Object.values(S)) {
    for (const side of [IN, OUT]) {
      for (const flags of [0, ack, ack | psh]) {
        if (letsPass(state)) t.same([tcpNext(state, flags, side), refreshes(state, state, flags)], [state, true], `${TCP_STATE_NAMES[state]}, flags ${flags}`);
        else t.ok(tcpNext(state, flags, side) !== state || sessionLifetime(IpProtocol.tcp, state, TIMERS) < TIMERS.tcpEstablished, `${TCP_STATE_NAMES[state]}, flags ${flags}`);
      }
    }
  }
});

t.test('RFC 7857 §2.1: what opens and what closes have times of their own', async t => {
  const seconds = (state: number): number => sessionLifetime(IpProtocol.tcp, state, TIMERS);
  t.same([S.inInit, S.outInit, S.bothFin, S.trans].map(seconds), [240, 240, 250, 250]);
});

t.test('RFC 4787 §4.3, RFC 5508 §3.2: who is not TCP has one lifetime, whatever its state', async t => {
  for (const state of [0, S.established, S.trans]) {
    t.equal(sessionLifetime(IpProtocol.udp, state, TIMERS), 300);
    t.equal(sessionLifetime(IpProtocol.icmp, state, TIMERS), 60);
  }
});
