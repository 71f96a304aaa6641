/** What every packet pays before anything is decided about it: its headers, checked and read. */
import { EtherType } from '../../codecs/ethernet.js';
import { GreView, parseGre, writeGre } from '../../codecs/gre.js';
import { checkIpv4, ipv4Dst, ipv4Protocol, ipv4Src, writeIpv4 } from '../../codecs/ipv4.js';
import { IpProtocol } from '../../codecs/ip-protocol.js';
import { checkNvgre, nvgreVsid, writeNvgre } from '../../codecs/nvgre.js';
import { measureNs } from '../harness.js';
import type { Bench } from '../result.js';

const HEADERS = 4096;
const SLOT = 32; // 128 KiB in all: the second-level cache, as for packets just received
const INNER = 22; // as many bytes as `checkNvgre` wants to see

/** `write` fills slot `i` from byte `at`; `read` checks what lies there and returns something of every field. */
function header(name: string, what: string, write: (mem: Uint8Array, at: number, i: number) => void, read: (mem: Uint8Array, at: number) => number): Bench {
  return {
    name: `codecs/${name}`, unit: 'ns', what,
    measure(effort) {
      const mem = new Uint8Array(HEADERS * SLOT);
      for (let i = 0; i < HEADERS; i++) write(mem, i * SLOT, i);
      return measureNs(effort, {
        ops: HEADERS,
        run(from, to) {
          let seen = 0;
          for (let i = from; i < to; i++) seen ^= read(mem, i * SLOT);
          return seen;
        },
      });
    },
  };
}

const gre = new GreView();

export const headerBenches: readonly Bench[] = [
  header('gre', 'parseGre of a header with a key', (mem, at, i) => writeGre(mem, at, EtherType.ipv4, i << 8),
    (mem, at) => parseGre(mem, at, at + INNER, gre) ^ gre.key ^ gre.headerLen),
  header('nvgre', 'checkNvgre, and the VSID', (mem, at, i) => writeNvgre(mem, at, 0x1000 + i, 0),
    (mem, at) => checkNvgre(mem, at, at + INNER) ^ nvgreVsid(mem, at)),
  header('ipv4', 'checkIpv4 with its checksum, and source, destination, protocol', (mem, at, i) => writeIpv4(mem, at, INNER, i, false, 64, IpProtocol.udp, 0x0a000000 + i, 0xc6120000 + i),
    (mem, at) => checkIpv4(mem, at, at + INNER) ^ ipv4Src(mem, at) ^ ipv4Dst(mem, at) ^ ipv4Protocol(mem, at)),
];
