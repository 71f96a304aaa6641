/**
 * The last step of every packet that leaves: cut it if need be, write the tunnel header in place, hand it over.
 *
 * The header is written over what came before the inner packet where that is long enough (NVGRE to GRE shrinks); only
 * otherwise is the packet copied, once, into the scratch slot.
 */
import { copyBytes } from '../codecs/bytes.js';
import { ETHERNET_LEN, writeEthernet } from '../codecs/ethernet.js';
import { writeGre } from '../codecs/gre.js';
import {
  IPV4_MIN_LEN, ipv4DontFragment, ipv4FragmentOffset, ipv4HeaderLen, ipv4MoreFragments, recomputeIpv4Checksum, setIpv4Fragment, setIpv4TotalLen,
  writeIpv4FragmentHeader,
} from '../codecs/ipv4.js';
import { NVGRE_LEN, writeNvgre } from '../codecs/nvgre.js';
import { VXLAN_LEN, writeVxlan } from '../codecs/vxlan.js';
import { HEADROOM, type Context, type Exit } from './context.js';
import { Cell } from './ledger.js';
import { Encap, PeerKind } from './policy.js';

const GRE_LEN = 4;
const GRE_KEYED_LEN = 8;

/**
 * Send the inner packet `mem[l3..end)` of `tenant` through `exit`. Bytes `mem[start..l3)` may be overwritten. An IPv4
 * packet longer than `mtu` goes in fragments (RFC 791 §3.2); 0 never cuts. Counts `out` and its bytes; returns the
 * number of datagrams.
 */
export function transmit(
  c: Context, exit: Exit, tenant: number, mem: Uint8Array, start: number, l3: number, end: number, etherType: number, mtu: number, flowHash: number,
): number {
  if (mtu === 0 || end - l3 <= mtu) {
    sendOne(c, exit, tenant, mem, start, l3, end, etherType, flowHash);
    return 1;
  }

  const headerLen = ipv4HeaderLen(mem, l3);
  const before = ipv4FragmentOffset(mem, l3);
  const isLast = !ipv4MoreFragments(mem, l3);
  const dontFragment = ipv4DontFragment(mem, l3);
  let sent = 0;
  for (let from = l3 + headerLen; from < end; sent++) {
    // The first piece carries all options, later ones those with the copied flag.
    const to = c.scratch;
    const pieceHeader = from === l3 + headerLen ? headerLen : writeIpv4FragmentHeader(to, HEADROOM, mem, l3);
    if (pieceHeader === headerLen) copyBytes(to, HEADROOM, mem, l3, Math.max(IPV4_MIN_LEN, headerLen));
    const room = (mtu - pieceHeader) & ~7;
    const len = Math.min(room, end - from);
    const last = from + len === end;
    copyBytes(to, HEADROOM + pieceHeader, mem, from, len);
    setIpv4TotalLen(to, HEADROOM, pieceHeader + len);
    setIpv4Fragment(to, HEADROOM, before + from - l3 - headerLen, !(last && isLast), dontFragment);
    recomputeIpv4Checksum(to, HEADROOM);
    from += len;
    sendOne(c, exit, tenant, to, 0, HEADROOM, HEADROOM + pieceHeader + len, etherType, flowHash);
  }
  return sent;
}

function sendOne(
  c: Context, exit: Exit, tenant: number, mem: Uint8Array, start: number, l3: number, end: number, etherType: number, flowHash: number,
): void {
  const { peers } = c.policy;
  const toHost = peers.kind[exit.peer] === PeerKind.host;
  const need = toHost ? NVGRE_LEN + ETHERNET_LEN : exit.key >= 0 ? GRE_KEYED_LEN : GRE_LEN;
  if (l3 - start < need) {
    copyBytes(c.scratch, HEADROOM, mem, l3, end - l3);
    mem = c.scratch;
    end = HEADROOM + end - l3;
    l3 = HEADROOM;
  }

  let at = l3 - need;
  if (toHost) {
    writeEthernet(mem, l3 - ETHERNET_LEN, exit.dstHigh, exit.dstLow, exit.srcHigh, exit.srcLow, etherType);
    if (peers.encap[exit.peer] === Encap.vxlan) writeVxlan(mem, l3 - ETHERNET_LEN - VXLAN_LEN, exit.vsid);
    else writeNvgre(mem, at, exit.vsid, peers.flowHash[exit.peer] === 1 ? flowHash & 0xff : 0);
  } else {
    at = l3 - need;
    writeGre(mem, at, etherType, exit.key);
  }
  if (c.outlet.send(mem, at, end, exit.peer, flowHash) && mem === c.scratch) c.replaceScratch();
  c.ledger.add(tenant, Cell.out, 1);
  c.ledger.add(tenant, Cell.bytesOut, end - at);
}
